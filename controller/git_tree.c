/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/git_tree.h"

#include "controller/tree.h"
#include "controller/watch.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#define NEW_PREFIX ".new-"
#define OLD_PREFIX ".old-"
#define LINK_PREFIX ".tmp-" /* sdir_sweep() knows it */

enum { RANDOM_BYTES = 8, DEPTH_MAX = 64 };

/* ---- what a commit holds -------------------------------------------------------------------- */

void git_listing_done(struct git_listing *l)
{
    for (size_t i = 0; i < l->len; i++)
        free(l->items[i].path);
    free(l->items);
    *l = (struct git_listing){0};
}

/* git checks names too, with transfer.fsckObjects; here nothing depends on that. */
static bool is_usable_path(const char *path)
{
    size_t depth = 0;
    if (!*path || strlen(path) >= PATH_MAX)
        return false;
    for (const char *p = path;; depth++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n > NAME_MAX || depth > DEPTH_MAX || (n == 1 && p[0] == '.') ||
            (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        if (!p[n])
            return true;
        p += n + 1;
    }
}

static bool is_hidden(const char *path)
{
    return path[0] == '.' || strstr(path, "/.");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static struct err *add_entry(struct git_listing *l, size_t *cap, const struct git_entry *e)
{
    if (l->len == FILES_MAX)
        return err_new(ERR_INVALID,
                       "more than %d manifest files, '%s' is one too many; expected a --path that "
                       "holds fewer",
                       FILES_MAX, e->path);
    if (e->size > (size_t)FILES_MAX_BYTES - l->bytes)
        return err_new(ERR_INVALID,
                       "the manifest files are larger than %d MiB together, '%s' is one too many; "
                       "expected a --path that holds fewer",
                       FILES_MAX_BYTES / 1024 / 1024, e->path);
    if (l->len == *cap) {
        *cap = *cap ? *cap * 2 : 16;
        l->items = xreallocarray(l->items, *cap, sizeof(*l->items));
    }
    l->bytes += e->size;
    l->items[l->len] = *e;
    l->items[l->len++].path = xstrdup(e->path);
    return NULL;
}

/* "<mode> <type> <oid> <size, padded>\t<path>" */
static bool read_entry(char *line, struct git_entry *ret, bool *ret_wanted)
{
    char *save = NULL;
    char *path = strchr(line, '\t');
    if (!path)
        return false;
    *path++ = '\0';
    const char *mode = strtok_r(line, " ", &save);
    const char *type = strtok_r(NULL, " ", &save);
    const char *oid = strtok_r(NULL, " ", &save);
    const char *size = strtok_r(NULL, " ", &save);
    if (!mode || !type || !oid || !size || !git_is_commit(oid))
        return false;
    *ret = (struct git_entry){.path = path, .symlink = strcmp(mode, "120000") == 0};
    memcpy(ret->oid, oid, sizeof(ret->oid));
    bool file = ret->symlink || strncmp(mode, "100", 3) == 0;
    *ret_wanted = file && !is_hidden(path) && (ret->symlink || tree_manifest_name(base_name(path)));
    if (!*ret_wanted)
        return true; /* a submodule, or nothing for us */
    int64_t n = 0;
    if (!num_parse(sv_of(size), 0, INT64_MAX, &n) || strcmp(type, "blob") != 0)
        return false;
    ret->size = (size_t)n;
    return true;
}

static void listing_freep(struct git_listing *l)
{
    git_listing_done(l);
}

struct err *git_listing_read(struct sv printed, struct git_listing *ret)
{
    AUTO(listing_freep) struct git_listing l = {0};
    size_t cap = 0;
    for (size_t at = 0; at < printed.n;) {
        const char *nul = memchr(printed.p + at, '\0', printed.n - at);
        if (!nul)
            return err_new(ERR_INTERNAL, "git's listing ends in the middle of a line");
        size_t n = (size_t)(nul - (printed.p + at));
        AUTO_FREE char *line = xmemdup0(printed.p + at, n);
        at += n + 1;
        struct git_entry e;
        bool wanted = false;
        if (!read_entry(line, &e, &wanted))
            return err_new(ERR_INTERNAL, "git's listing has a line of another form");
        if (!wanted)
            continue;
        if (!is_usable_path(e.path))
            return err_new(ERR_INVALID, "'%s' can't be the name of a file", e.path);
        TRY(add_entry(&l, &cap, &e));
    }
    *ret = l;
    l = (struct git_listing){0};
    return NULL;
}

struct err *git_listing_requests(const struct git_listing *l, int *ret_fd)
{
    struct str text;
    str_init(&text, (l->len + 1) * (GIT_COMMIT_HEX + 1));
    for (size_t i = 0; i < l->len; i++)
        str_addf(&text, "%s\n", l->items[i].oid);
    AUTO_CLOSE fd = memfd_create("git-requests", MFD_CLOEXEC);
    bool good =
        fd >= 0 && write(fd, text.p, text.len) == (ssize_t)text.len && lseek(fd, 0, SEEK_SET) == 0;
    str_done(&text);
    if (!good)
        return err_new(ERR_UNAVAILABLE, "no memory file can be had: %s", err_errno(errno));
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

/* ---- removing ------------------------------------------------------------------------------- */

static struct err *remove_all(const struct sdir *d, const char *name, unsigned depth)
{
    if (unlinkat(d->fd, name, 0) == 0 || errno == ENOENT)
        return NULL;
    if (errno != EISDIR && errno != EPERM)
        return sdir_err(d, "removing", name, errno);
    if (depth > DEPTH_MAX)
        return err_new(ERR_INTERNAL, "removing '%s/%s': too many directories deep", d->where, name);
    AUTO_CLOSE fd = openat(d->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return sdir_err(d, "removing", name, errno);
    AUTO_FREE char *where = xasprintf("%s/%s", d->where, name);
    struct sdir sub = {fd, where};
    AUTO(str_list_done) struct str_list names = {0};
    TRY(sdir_names(&sub, &names));
    for (size_t i = 0; i < names.len; i++)
        TRY(remove_all(&sub, names.items[i], depth + 1));
    if (unlinkat(d->fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return sdir_err(d, "removing", name, errno);
    return NULL;
}

struct err *git_remove(const struct sdir *d, const char *name)
{
    return remove_all(d, name, 0);
}

/* ---- the directories ------------------------------------------------------------------------ */

void git_dirs_done(struct git_dirs *d)
{
    if (d->top.fd >= 0)
        (void)close(d->top.fd);
    if (d->trees.fd >= 0)
        (void)close(d->trees.fd);
    free(d->top_path);
    free(d->trees_path);
    *d = (struct git_dirs){.top.fd = -1, .trees.fd = -1};
}

static struct err *random_name(const char *prefix, char **ret)
{
    uint8_t random[RANDOM_BYTES];
    char hex[RANDOM_BYTES * 2 + 1];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_new(ERR_INTERNAL, "drawing random bytes: %s", err_errno(errno));
    str_hex(random, sizeof(random), hex);
    *ret = xasprintf("%s%s", prefix, hex);
    return NULL;
}

static struct err *sweep_trees(const struct sdir *trees)
{
    AUTO(str_list_done) struct str_list names = {0};
    TRY(sdir_names(trees, &names));
    for (size_t i = 0; i < names.len; i++)
        if (!git_is_commit(names.items[i]))
            TRY(git_remove(trees, names.items[i]));
    return NULL;
}

static struct err *open_dirs(const char *dir, struct git_dirs *d)
{
    TRY(sdir_make_path(dir));
    d->top.fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (d->top.fd < 0)
        return sdir_err(&d->top, "opening directory", NULL, errno);
    TRY(sdir_sweep(&d->top));
    TRY(sdir_make(&d->top, "trees", true));
    TRY(sdir_open(&d->top, "trees", &d->trees.fd));
    return sweep_trees(&d->trees);
}

struct err *git_dirs_open(const char *dir, struct git_dirs *ret)
{
    struct git_dirs d = {.top.fd = -1, .trees.fd = -1};
    d.top_path = xstrdup(dir);
    d.trees_path = xasprintf("%s/trees", dir);
    d.top.where = d.top_path;
    d.trees.where = d.trees_path;
    struct err *e = open_dirs(dir, &d);
    if (e)
        git_dirs_done(&d);
    else
        *ret = d;
    return e;
}

bool git_dirs_have(const struct git_dirs *d, const char *commit)
{
    struct stat st;
    return git_is_commit(commit) && fstatat(d->trees.fd, commit, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

char *git_dirs_current(const struct git_dirs *d)
{
    static const char trees[] = "trees/";
    char target[PATH_MAX];
    ssize_t n = readlinkat(d->top.fd, "current", target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    const char *commit = target + strlen(trees);
    if (strncmp(target, trees, strlen(trees)) != 0 || !git_dirs_have(d, commit))
        return NULL;
    return xstrdup(commit);
}

/* ---- writing a tree ------------------------------------------------------------------------- */

/* Opens the directory that `path` is in (without its last name, or with it when `whole`), making
 * what is missing. Never through a symlink. */
static struct err *enter(const struct sdir *root, const char *path, bool whole, int *ret_fd)
{
    AUTO_CLOSE fd = openat(root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && *path) {
        size_t n = strcspn(path, "/");
        if (!path[n] && !whole)
            break;
        AUTO_FREE char *name = xmemdup0(path, n);
        if (mkdirat(fd, name, 0700) < 0 && errno != EEXIST)
            return sdir_err(root, "making directory", name, errno);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return sdir_err(root, "opening directory", name, errno);
        (void)close(fd);
        fd = next;
        path += n + (path[n] == '/');
    }
    if (fd < 0)
        return sdir_err(root, "opening directory", NULL, errno);
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

static struct err *write_file(const struct sdir *root, const struct git_entry *e, struct sv bytes)
{
    AUTO_CLOSE dir = -1;
    TRY(enter(root, e->path, false, &dir));
    AUTO_CLOSE fd =
        openat(dir, base_name(e->path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return sdir_err(root, "writing", e->path, errno);
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sdir_err(root, "writing", e->path, errno);
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return NULL;
}

static struct err *write_link(const struct sdir *root, const struct git_entry *e, struct sv target)
{
    AUTO_CLOSE dir = -1;
    if (target.n == 0 || target.n >= PATH_MAX || sv_has_nul(target))
        return err_new(ERR_INVALID, "the symlink '%s' has no target that can be one", e->path);
    AUTO_FREE char *to = xmemdup0(target.p, target.n);
    if (!tree_manifest_name(base_name(e->path)) && tree_is_hidden(to))
        return NULL; /* nothing hidden is written, so this would only look like a missing directory
                      */
    TRY(enter(root, e->path, false, &dir));
    if (symlinkat(to, dir, base_name(e->path)) < 0)
        return sdir_err(root, "writing", e->path, errno);
    return NULL;
}

/* "<oid> blob <size>\n<bytes>\n" */
static struct err *next_blob(struct sv *left, const struct git_entry *e, struct sv *ret)
{
    AUTO_FREE char *head = xasprintf("%s blob %zu\n", e->oid, e->size);
    size_t n = strlen(head);
    if (left->n < n + e->size + 1 || memcmp(left->p, head, n) != 0 || left->p[n + e->size] != '\n')
        return err_new(ERR_INTERNAL, "git did not give '%s' as it had listed it", e->path);
    *ret = (struct sv){left->p + n, e->size};
    left->p += n + e->size + 1;
    left->n -= n + e->size + 1;
    return NULL;
}

/* Symlinks last: nothing is ever written through one. */
static struct err *write_all(const struct sdir *root, const struct git_listing *l, struct sv blobs,
                             bool symlinks)
{
    for (size_t i = 0; i < l->len; i++) {
        struct sv bytes = {0};
        TRY(next_blob(&blobs, &l->items[i], &bytes));
        if (l->items[i].symlink == symlinks)
            TRY((symlinks ? write_link : write_file)(root, &l->items[i], bytes));
    }
    return NULL;
}

static struct err *write_tree(const struct sdir *tree, const char *prefix,
                              const struct git_listing *l, struct sv blobs)
{
    AUTO_CLOSE fd = -1;
    TRY(enter(tree, prefix, true, &fd));
    struct sdir root = {fd, tree->where};
    TRY(write_all(&root, l, blobs, false));
    return write_all(&root, l, blobs, true);
}

struct err *git_dirs_write(const struct git_dirs *d, const char *prefix,
                           const struct git_listing *l, struct sv blobs, char **ret_temp)
{
    AUTO_FREE char *temp = NULL;
    AUTO_CLOSE fd = -1;
    TRY(random_name(NEW_PREFIX, &temp));
    TRY(sdir_make(&d->trees, temp, false));
    TRY(sdir_open(&d->trees, temp, &fd));
    AUTO_FREE char *where = xasprintf("%s/%s", d->trees_path, temp);
    struct sdir tree = {fd, where};
    struct err *e = write_tree(&tree, prefix, l, blobs);
    if (e) {
        err_ignore(git_remove(&d->trees, temp), "the next start removes it");
        return e;
    }
    *ret_temp = TAKE_PTR(temp);
    return NULL;
}

struct err *git_dirs_settle(const struct git_dirs *d, const char *temp, const char *commit)
{
    return sdir_rename(&d->trees, temp, commit);
}

/* ---- which one counts ----------------------------------------------------------------------- */

struct aged {
    const char *name;
    struct timespec made;
};

static int newest_first(const void *a, const void *b)
{
    const struct aged *x = a, *y = b;
    if (x->made.tv_sec != y->made.tv_sec)
        return x->made.tv_sec < y->made.tv_sec ? 1 : -1;
    if (x->made.tv_nsec != y->made.tv_nsec)
        return x->made.tv_nsec < y->made.tv_nsec ? 1 : -1;
    return strcmp(x->name, y->name);
}

static struct err *prune(const struct git_dirs *d, const char *commit)
{
    AUTO(str_list_done) struct str_list names = {0};
    TRY(sdir_names(&d->trees, &names));
    AUTO_FREE struct aged *old = xcalloc(names.len + 1, sizeof(*old));
    size_t n = 0;
    for (size_t i = 0; i < names.len; i++) {
        struct stat st;
        if (strcmp(names.items[i], commit) != 0 && git_is_commit(names.items[i]) &&
            fstatat(d->trees.fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            old[n++] = (struct aged){names.items[i], st.st_mtim};
    }
    qsort(old, n, sizeof(*old), newest_first);
    for (size_t i = GIT_TREES_KEPT; i < n; i++) {
        /* A name of a commit never stands for a part of it. */
        AUTO_FREE char *temp = NULL;
        assert(old[i].name);
        TRY(random_name(OLD_PREFIX, &temp));
        assert(temp);
        TRY(sdir_rename(&d->trees, old[i].name, temp));
        TRY(git_remove(&d->trees, temp));
    }
    return NULL;
}

struct err *git_dirs_publish(const struct git_dirs *d, const char *commit)
{
    AUTO_FREE char *temp = NULL;
    AUTO_FREE char *target = xasprintf("trees/%s", commit);
    TRY(random_name(LINK_PREFIX, &temp));
    assert(temp);
    /* One that is taken up again is the newest again. */
    if (utimensat(d->trees.fd, commit, NULL, AT_SYMLINK_NOFOLLOW) < 0)
        return sdir_err(&d->trees, "taking up", commit, errno);
    if (symlinkat(target, d->top.fd, temp) < 0)
        return sdir_err(&d->top, "linking", temp, errno);
    struct err *e = sdir_rename(&d->top, temp, "current");
    if (e) {
        (void)unlinkat(d->top.fd, temp, 0);
        return e;
    }
    err_ignore(prune(d, commit), "the next change tries again; until then they only take space");
    return NULL;
}
