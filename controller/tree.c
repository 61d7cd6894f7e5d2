/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/tree.h"

#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_LINK "..data" /* of a projected volume */

/* A directory that was read: who it is, and how it looked before. */
struct seen_dir {
    char *rel; /* "." for the root */
    struct stat st;
};
struct seen_file {
    dev_t dev;
    ino_t ino;
};
struct link {
    char *rel;
    unsigned depth; /* of the directory that holds it */
};

struct walk {
    const char *root;
    int rootfd;
    const struct tree_ops *ops;
    void *ctx;
    char *revision; /* at the start */
    size_t entries;
    struct seen_dir *dirs;
    size_t dirs_len;
    struct seen_file *files;
    size_t files_len;
    struct link *links; /* not yet followed */
    size_t links_len;
};

static struct err *read_dir(struct walk *w, int fd_take, const char *rel, unsigned depth);

static void walk_done(struct walk *w)
{
    for (size_t i = 0; i < w->dirs_len; i++)
        free(w->dirs[i].rel);
    for (size_t i = 0; i < w->links_len; i++)
        free(w->links[i].rel);
    free(w->dirs);
    free(w->files);
    free(w->links);
    free(w->revision);
    if (w->rootfd >= 0)
        (void)close(w->rootfd);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

bool tree_manifest_name(const char *name)
{
    /* The endings alone exclude "x.yaml~", "#x.yaml#", ".x.yaml.swp" and vim's "4913". */
    if (name[0] == '.' || name[0] == '#')
        return false;
    return ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".json");
}

bool tree_is_hidden(const char *path)
{
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (p[0] == '.' && n != 1 && !(n == 2 && p[1] == '.'))
            return true;
        p += n + (p[n] == '/');
    }
    return false;
}

/* ---- staying inside ------------------------------------------------------------------------- */

static ssize_t fd_real_path(int fd, char ret[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, ret, PATH_MAX - 1);
    if (n >= 0)
        ret[n] = '\0';
    return n;
}

int tree_open_inside(int rootfd, const char *rel)
{
    /* O_PATH resolves every symlink but opens nothing: no FIFO blocks, no device wakes. Where it
     * ended is then asked of the descriptor itself, so nothing can be swapped between the question
     * and the answer. */
    AUTO_CLOSE fd = openat(rootfd, rel, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -1;
    char root[PATH_MAX], path[PATH_MAX];
    ssize_t root_n = fd_real_path(rootfd, root);
    if (root_n < 0 || fd_real_path(fd, path) < 0)
        return -1;
    size_t n = strcmp(root, "/") == 0 ? 0 : (size_t)root_n;
    if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n] != '\0')) {
        errno = EXDEV;
        return -1;
    }
    return TAKE_FD(fd);
}

int tree_reopen(int pathfd)
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", pathfd);
    return open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* ---- what was seen -------------------------------------------------------------------------- */

static bool dir_seen(const struct walk *w, const struct stat *st)
{
    for (size_t i = 0; i < w->dirs_len; i++)
        if (w->dirs[i].st.st_dev == st->st_dev && w->dirs[i].st.st_ino == st->st_ino)
            return true;
    return false;
}

static bool file_seen(const struct walk *w, const struct stat *st)
{
    for (size_t i = 0; i < w->files_len; i++)
        if (w->files[i].dev == st->st_dev && w->files[i].ino == st->st_ino)
            return true;
    return false;
}

static char *path_of(const struct walk *w, const char *rel)
{
    size_t n = strlen(w->root);
    while (n > 1 && w->root[n - 1] == '/')
        n--;
    if (strcmp(rel, ".") == 0)
        return xmemdup0(w->root, n);
    return xasprintf("%.*s%s%s", (int)n, w->root, w->root[n - 1] == '/' ? "" : "/", rel);
}

static char *rel_join(const char *dir, const char *name)
{
    return strcmp(dir, ".") == 0 ? xstrdup(name) : xasprintf("%s/%s", dir, name);
}

static struct err *refuse(struct walk *w, const char *rel, const char *why)
{
    if (!w->ops->refused)
        return NULL;
    AUTO_FREE char *path = path_of(w, rel);
    return w->ops->refused(w->ctx, path, why);
}

static struct err *cant_read(struct walk *w, const char *rel, int errnum)
{
    AUTO_FREE char *path = path_of(w, rel);
    return err_new(ERR_UNAVAILABLE, "directory '%s' can't be read: %s", path, err_errno(errnum));
}

/* Of a directory below the root; the root's own faults end the walk. */
static struct err *leave_out(struct walk *w, const char *rel, const char *why)
{
    if (!w->ops->unknown)
        return NULL;
    AUTO_FREE char *path = path_of(w, rel);
    return w->ops->unknown(w->ctx, path, why);
}

static struct err *cant_read_dir(struct walk *w, const char *rel, int errnum)
{
    if (strcmp(rel, ".") == 0)
        return cant_read(w, rel, errnum);
    return leave_out(w, rel, err_errno(errnum));
}

/* ---- entries -------------------------------------------------------------------------------- */

static struct err *take_file(struct walk *w, struct tree_file *f, const char *rel)
{
    w->files = xreallocarray(w->files, w->files_len + 1, sizeof(*w->files));
    w->files[w->files_len++] = (struct seen_file){f->st.st_dev, f->st.st_ino};
    if (!w->ops->file)
        return NULL;
    AUTO_FREE char *path = path_of(w, rel);
    f->path = path;
    return w->ops->file(w->ctx, f);
}

static struct err *take_subdir(struct walk *w, int dirfd, const char *name, const char *rel,
                               unsigned depth)
{
    if (depth > TREE_MAX_DEPTH) {
        char why[96];
        (void)snprintf(why, sizeof(why), "not read: more than %d directories deep", TREE_MAX_DEPTH);
        return leave_out(w, rel, why);
    }
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* Gone, or something else, since it was listed: the change is a hint to walk again. */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return NULL;
    if (fd < 0)
        return cant_read_dir(w, rel, errno);
    return read_dir(w, fd, rel, depth);
}

static struct err *take_entry(struct walk *w, int dirfd, const char *dir_rel, const char *name,
                              unsigned depth)
{
    struct tree_file f = {.dirfd = dirfd, .name = name};
    AUTO_FREE char *rel = rel_join(dir_rel, name);
    if (fstatat(dirfd, name, &f.st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : cant_read_dir(w, dir_rel, errno);
    if (S_ISDIR(f.st.st_mode))
        return take_subdir(w, dirfd, name, rel, depth + 1);
    if (S_ISLNK(f.st.st_mode)) {
        w->links = xreallocarray(w->links, w->links_len + 1, sizeof(*w->links));
        w->links[w->links_len++] = (struct link){TAKE_PTR(rel), depth};
        return NULL;
    }
    if (!tree_manifest_name(name))
        return NULL;
    if (!S_ISREG(f.st.st_mode))
        return refuse(w, rel, "not a regular file");
    return take_file(w, &f, rel);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* An errno of the directory, or 0; over the limit, ret->len says so. */
static int list_names(DIR *d, size_t max, struct str_list *ret)
{
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno)
            return errno;
        if (!e || ret->len > max)
            break;
        if (e->d_name[0] != '.')
            str_list_add(ret, e->d_name);
    }
    if (ret->len)
        qsort(ret->items, ret->len, sizeof(*ret->items), by_name);
    return 0;
}

static void dir_freep(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static struct err *read_dir(struct walk *w, int fd_take, const char *rel, unsigned depth)
{
    AUTO_CLOSE fd = fd_take;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return cant_read_dir(w, rel, errno);
    if (dir_seen(w, &st))
        return NULL;
    if (w->dirs_len == TREE_MAX_DIRS)
        return err_new(ERR_INVALID, "more than %d directories below '%s'", TREE_MAX_DIRS, w->root);
    w->dirs = xreallocarray(w->dirs, w->dirs_len + 1, sizeof(*w->dirs));
    w->dirs[w->dirs_len++] = (struct seen_dir){xstrdup(rel), st};
    if (w->ops->dir) {
        AUTO_FREE char *path = path_of(w, rel);
        TRY(w->ops->dir(w->ctx, fd, path));
    }

    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0)
        return cant_read_dir(w, rel, errno);
    AUTO(dir_freep) DIR *d = XNN(fdopendir(again));
    AUTO(str_list_done) struct str_list names = {0};
    int errnum = list_names(d, TREE_MAX_ENTRIES - w->entries, &names);
    if (errnum)
        return cant_read_dir(w, rel, errnum);
    w->entries += names.len;
    if (w->entries > TREE_MAX_ENTRIES)
        return err_new(ERR_INVALID, "more than %d files below '%s'", TREE_MAX_ENTRIES, w->root);
    for (size_t i = 0; i < names.len; i++)
        TRY(take_entry(w, fd, rel, names.items[i], depth));
    return NULL;
}

/* ---- symlinks, after everything that is reached without one --------------------------------- */

static const char *link_problem(int errnum)
{
    switch (errnum) {
    case EXDEV:
        return "a symlink that leaves the directory";
    case ENOENT:
        return "a symlink that ends nowhere";
    case ELOOP:
        return "a symlink that ends in itself";
    default:
        return err_errno(errnum);
    }
}

/* Outside the root only a manifest's name and a directory are worth a word. */
static bool link_matters(const struct walk *w, const struct link *l, const char *name, int errnum)
{
    struct stat st;
    if (tree_manifest_name(name))
        return true;
    return errnum == EXDEV && fstatat(w->rootfd, l->rel, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* It may lead to manifests that nothing else leads to, being hidden: what was reached without a
 * link comes first. */
static bool may_have_led_on(const struct walk *w, const struct link *l)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(w->rootfd, l->rel, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    return target[0] != '/' && tree_is_hidden(target);
}

static struct err *take_link(struct walk *w, const struct link *l)
{
    const char *slash = strrchr(l->rel, '/');
    const char *name = slash ? slash + 1 : l->rel;
    AUTO_CLOSE fd = tree_open_inside(w->rootfd, l->rel);
    if (fd < 0) {
        int errnum = errno;
        if (link_matters(w, l, name, errnum))
            return refuse(w, l->rel, link_problem(errnum));
        bool hides = errnum != EXDEV && may_have_led_on(w, l);
        return hides ? leave_out(w, l->rel, link_problem(errnum)) : NULL;
    }
    struct tree_file f = {.dirfd = w->rootfd, .name = l->rel, .symlink = true};
    if (fstat(fd, &f.st) < 0)
        return cant_read(w, l->rel, errno);
    if (S_ISDIR(f.st.st_mode)) {
        if (dir_seen(w, &f.st))
            return NULL;
        return take_subdir(w, fd, ".", l->rel, l->depth + 1);
    }
    if (!tree_manifest_name(name))
        return NULL;
    if (!S_ISREG(f.st.st_mode))
        return refuse(w, l->rel, "not a regular file");
    return file_seen(w, &f.st) ? NULL : take_file(w, &f, l->rel);
}

static struct err *take_links(struct walk *w)
{
    /* Following one may find more: they join the end. */
    for (size_t i = 0; i < w->links_len; i++) {
        AUTO_FREE char *rel = xstrdup(w->links[i].rel);
        struct link l = {rel, w->links[i].depth};
        TRY(take_link(w, &l));
    }
    return NULL;
}

/* ---- the walk ------------------------------------------------------------------------------- */

static bool same_stamp(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The last name of what a symlink points to; NULL when it is none. */
static char *target_name(int dirfd, const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dirfd, path, target, sizeof(target) - 1);
    while (n > 0 && target[n - 1] == '/')
        n--;
    if (n <= 0)
        return NULL;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    return xstrdup(slash ? slash + 1 : target);
}

static char *read_revision(const struct walk *w)
{
    AUTO_FREE char *root = path_of(w, ".");
    char *revision = target_name(w->rootfd, VERSION_LINK);
    return revision ? revision : target_name(AT_FDCWD, root);
}

/* A directory that is removed while it is read looks empty: only comparing afterwards can tell. */
static struct err *check_unmoved(struct walk *w)
{
    struct stat st;
    assert(w->dirs_len > 0); /* the root is the first that is read */
    const struct stat *root = &w->dirs[0].st;
    if (stat(w->root, &st) < 0 || st.st_dev != root->st_dev || st.st_ino != root->st_ino)
        return err_new(ERR_UNAVAILABLE, "directory '%s' was replaced while it was read", w->root);
    /* Its directory's own stamp is too coarse to tell every swap. */
    AUTO_FREE char *revision = read_revision(w);
    if (!revision != !w->revision || (revision && strcmp(revision, w->revision) != 0))
        return err_new(ERR_UNAVAILABLE, "directory '%s' was swapped while it was read", w->root);
    if (w->ops->revision)
        TRY(w->ops->revision(w->ctx, w->revision));
    /* There is nothing to be seen of a volume that was swapped there and back, but of its stamp. */
    bool volume = fstatat(w->rootfd, VERSION_LINK, &st, AT_SYMLINK_NOFOLLOW) == 0;
    for (size_t i = 0; i < w->dirs_len; i++)
        if (fstatat(w->rootfd, w->dirs[i].rel, &st, 0) < 0 || !same_stamp(&st, &w->dirs[i].st))
            return err_new(volume ? ERR_UNAVAILABLE : ERR_CONFLICT,
                           "directory '%s' changed while it was read", w->root);
    return NULL;
}

struct err *tree_walk(const char *root, const struct tree_ops *ops, void *ctx)
{
    AUTO(walk_done) struct walk w = {.root = root, .rootfd = -1, .ops = ops, .ctx = ctx};
    if (!*root)
        return err_new(ERR_INVALID, "expected a directory, got ''");
    w.rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w.rootfd < 0)
        return cant_read(&w, ".", errno);
    int fd = fcntl(w.rootfd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return cant_read(&w, ".", errno);
    w.revision = read_revision(&w);
    TRY(read_dir(&w, fd, ".", 0));
    TRY(take_links(&w));
    return check_unmoved(&w);
}
