/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/tree.h"
#include "controller/watch.h"

#include "spec/base/xalloc.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_TRIES = 3, /* a file or a directory that changes while it is read */
    UNKNOWN_MAX = 64 * 1024,
};

#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

struct file_id {
    dev_t dev;
    ino_t ino;
};

struct reader {
    struct file_listing list;
    size_t cap;
    size_t total; /* bytes of all files */
    struct file_id *ids;
    size_t ids_len;
    size_t ids_before; /* those of earlier arguments */
    unsigned source;
    char *revision; /* of the argument that is read */
};

void file_listing_done(struct file_listing *l)
{
    for (size_t i = 0; i < l->len; i++) {
        free(l->files[i].path);
        free(l->files[i].bytes);
        free(l->files[i].error);
    }
    free(l->files);
    for (size_t i = 0; i < l->sources_len; i++) {
        free(l->sources[i].dir);
        free(l->sources[i].revision);
        free(l->sources[i].error);
    }
    free(l->sources);
    *l = (struct file_listing){0};
}

static void reader_done(struct reader *r)
{
    file_listing_done(&r->list);
    free(r->ids);
    free(r->revision);
}

/* Arguments that overlap list a file once. Two names of one file below one argument stay two files.
 */
static bool read_before(struct reader *r, const struct stat *st)
{
    for (size_t i = 0; i < r->ids_before; i++)
        if (r->ids[i].dev == st->st_dev && r->ids[i].ino == st->st_ino)
            return true;
    r->ids = xreallocarray(r->ids, r->ids_len + 1, sizeof(*r->ids));
    r->ids[r->ids_len++] = (struct file_id){st->st_dev, st->st_ino};
    return false;
}

void file_listing_inputs(const struct file_listing *l, struct manifest_input **ret)
{
    *ret = xcalloc(l->len, sizeof(**ret));
    for (size_t i = 0; i < l->len; i++) {
        const struct read_file *f = &l->files[i];
        const struct file_source *s = f->source < l->sources_len ? &l->sources[f->source] : NULL;
        (*ret)[i] = (struct manifest_input){
            .path = f->path,
            .bytes = {f->bytes ? f->bytes : "", f->n},
            .read_error = f->error,
            .tree = f->tree,
            .directory = f->directory,
            .whole = s && s->whole,
            .source = f->source,
            .revision = s ? s->revision : NULL,
        };
    }
}

char *file_listing_unknown(const struct file_listing *l)
{
    struct str text;
    str_init(&text, UNKNOWN_MAX);
    for (size_t i = 0; i < l->sources_len; i++)
        if (l->sources[i].error)
            str_addf(&text, "%s%s", text.len ? "; " : "", l->sources[i].error);
    for (size_t i = 0; i < l->len; i++) {
        const struct read_file *f = &l->files[i];
        bool root = f->source < l->sources_len && l->sources[f->source].error;
        if (f->tree && !root)
            str_addf(&text, "%sdirectory '%s' can't be read: %s", text.len ? "; " : "", f->path,
                     f->error);
    }
    if (str_failed(&text)) {
        str_done(&text);
        return xstrdup("more directories can't be read than can be told");
    }
    bool any = text.len > 0;
    char *whole = str_take(&text);
    if (!any)
        free(whole);
    return any ? whole : NULL;
}

static void digest_bytes(uint64_t *h, const char *p, size_t n)
{
    /* FNV-1a, with the length, so that neighbours can't run into each other. */
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ (unsigned char)p[i]) * FNV_PRIME;
    *h = (*h ^ n) * FNV_PRIME;
}

static void digest_text(uint64_t *h, const char *text)
{
    digest_bytes(h, text ? text : "", text ? strlen(text) : 0);
}

uint64_t file_listing_digest(const struct file_listing *l)
{
    uint64_t h = FNV_START;
    for (size_t i = 0; i < l->sources_len; i++) {
        digest_text(&h, l->sources[i].revision);
        digest_text(&h, l->sources[i].error);
    }
    for (size_t i = 0; i < l->len; i++) {
        digest_text(&h, l->files[i].path);
        digest_bytes(&h, l->files[i].bytes ? l->files[i].bytes : "", l->files[i].n);
        digest_text(&h, l->files[i].error);
    }
    return h;
}

/* ---- paths as text -------------------------------------------------------------------------- */

static bool is_text(const char *path)
{
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    json_t *utf8 = json_string(path);
    json_decref(utf8);
    return utf8 != NULL;
}

char *files_text(const char *path)
{
    struct str s;
    if (is_text(path))
        return xstrdup(path);
    str_init(&s, strlen(path) * 4 + 1);
    for (const char *p = path; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c >= 0x7f)
            str_addf(&s, "\\x%02x", c);
        else
            str_addc(&s, *p);
    }
    return XNN(str_take(&s));
}

/* ---- one file ------------------------------------------------------------------------------- */

static void append(struct reader *r, const char *path, struct read_file f)
{
    r->total += f.n;
    f.path = files_text(path);
    f.source = r->source;
    if (r->list.len == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->list.files = xreallocarray(r->list.files, r->cap, sizeof(*r->list.files));
    }
    r->list.files[r->list.len++] = f;
}

static struct err *add(struct reader *r, const char *path, struct read_file f)
{
    if (r->list.len >= FILES_MAX) {
        free(f.bytes);
        free(f.error);
        return err_new(ERR_INVALID, "more than %d manifest files, '%s' is one too many", FILES_MAX,
                       path);
    }
    append(r, path, f);
    if (r->total > FILES_MAX_BYTES)
        return err_new(ERR_INVALID,
                       "the manifest files are larger than %d MiB together, '%s' is one too many",
                       FILES_MAX_BYTES / 1024 / 1024, path);
    return NULL;
}

static struct err *add_error(struct reader *r, const char *path, const char *why)
{
    return add(r, path, (struct read_file){.error = xstrdup(why)});
}

/* Up to MANIFEST_MAX_BYTES + 1 from where the descriptor stands; an errno, or 0. */
static int read_some(int fd, struct str *ret)
{
    char buf[16 * 1024];
    while (ret->len <= MANIFEST_MAX_BYTES) {
        size_t want = MANIFEST_MAX_BYTES + 1 - ret->len;
        ssize_t n = read(fd, buf, want < sizeof(buf) ? want : sizeof(buf));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        str_addn(ret, buf, (size_t)n);
    }
    return 0;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A regular file, as it was at one moment. Returns why not, or NULL. */
static const char *read_steady(int fd, struct str *ret)
{
    for (int i = 0; i < READ_TRIES; i++) {
        struct stat before, after;
        str_clear(ret);
        if (fstat(fd, &before) < 0)
            return err_errno(errno);
        if (!S_ISREG(before.st_mode))
            return "not a regular file";
        if (lseek(fd, 0, SEEK_SET) < 0)
            return err_errno(errno);
        int errnum = read_some(fd, ret);
        if (errnum)
            return err_errno(errnum);
        if (fstat(fd, &after) < 0)
            return err_errno(errno);
        bool whole = (off_t)ret->len == after.st_size || ret->len > MANIFEST_MAX_BYTES;
        if (whole && unchanged(&before, &after))
            return NULL;
    }
    return "it keeps changing while it is read";
}

static struct err *add_content(struct reader *r, const char *path, struct str *content_take)
{
    struct read_file f = {.n = content_take->len};
    f.bytes = XNN(str_take(content_take));
    return add(r, path, f);
}

static struct err *add_fd(struct reader *r, const char *path, int fd)
{
    if (!is_text(path))
        return add_error(r, path, "the name of the file isn't printable UTF-8");
    struct str s;
    str_init(&s, MANIFEST_MAX_BYTES + 1);
    const char *why = read_steady(fd, &s);
    if (!why)
        return add_content(r, path, &s);
    str_done(&s);
    return add_error(r, path, why);
}

/* ---- directories ---------------------------------------------------------------------------- */

static int open_file(const struct tree_file *f)
{
    if (!f->symlink)
        return openat(f->dirfd, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    AUTO_CLOSE path = tree_open_inside(f->dirfd, f->name);
    return path < 0 ? -1 : tree_reopen(path);
}

static struct err *on_file(void *ctx, const struct tree_file *f)
{
    struct reader *r = ctx;
    if (read_before(r, &f->st))
        return NULL;
    AUTO_CLOSE fd = open_file(f);
    if (fd >= 0)
        return add_fd(r, f->path, fd);
    /* Removed since it was listed: then it isn't there. */
    return errno == ENOENT ? NULL : add_error(r, f->path, err_errno(errno));
}

static struct err *on_refused(void *ctx, const char *path, const char *why)
{
    return add_error(ctx, path, why);
}

/* Once for each directory, however often the walk meets it. */
static struct err *on_unknown(void *ctx, const char *path, const char *why)
{
    struct reader *r = ctx;
    size_t n = r->list.len;
    if (n && r->list.files[n - 1].tree && strcmp(r->list.files[n - 1].path, path) == 0)
        return NULL;
    return add(r, path, (struct read_file){.error = xstrdup(why), .tree = true});
}

static struct err *on_revision(void *ctx, const char *revision)
{
    struct reader *r = ctx;
    free(r->revision);
    r->revision = revision ? files_text(revision) : NULL;
    return NULL;
}

/* One in the place of a manifest is worth a word: that manifest wasn't removed. */
static struct err *on_dir(void *ctx, int fd, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)fd;
    if (!tree_manifest_name(slash ? slash + 1 : path))
        return NULL;
    return add(ctx, path, (struct read_file){.bytes = xstrdup(""), .directory = true});
}

static const struct tree_ops reader_ops = {.dir = on_dir,
                                           .file = on_file,
                                           .refused = on_refused,
                                           .unknown = on_unknown,
                                           .revision = on_revision};

static int by_source(const void *a, const void *b)
{
    const struct read_file *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void finish(struct reader *r, struct file_listing *ret)
{
    if (r->list.len)
        qsort(r->list.files, r->list.len, sizeof(*r->list.files), by_source);
    *ret = r->list;
    r->list = (struct file_listing){0};
}

static void reader_cut(struct reader *r, size_t len, size_t total)
{
    while (r->list.len > len) {
        struct read_file *f = &r->list.files[--r->list.len];
        free(f->path);
        free(f->bytes);
        free(f->error);
    }
    r->total = total;
}

/* A directory that changed while it was read is read again; one that never stops is taken as it was
 * seen last, since the change is also a hint. One that is missing may be between two names of a
 * swap. */
static struct err *read_tree(struct reader *r, const char *dir)
{
    size_t len = r->list.len, total = r->total;
    for (int i = 1;; i++) {
        r->ids_len = r->ids_before;
        struct err *e = tree_walk(dir, &reader_ops, r);
        if (!e)
            return NULL;
        bool moving = err_kind(e) == ERR_CONFLICT;
        if (i == READ_TRIES && moving) {
            err_ignore(e, "the next listing will see it");
            return NULL;
        }
        if (i == READ_TRIES || (!moving && err_kind(e) != ERR_UNAVAILABLE))
            return e;
        err_ignore(e, "read again");
        reader_cut(r, len, total);
    }
}

/* What is below a root that can't be listed is unknown; that is told whatever the limits are. */
static void list_source(struct reader *r, const char *dir)
{
    struct file_source *s = &r->list.sources[r->source];
    size_t len = r->list.len, total = r->total, n = strlen(dir);
    AUTO_ERR e = read_tree(r, dir);
    s->dir = xstrdup(dir);
    s->revision = TAKE_PTR(r->revision);
    if (!e)
        return;
    reader_cut(r, len, total);
    r->ids_len = r->ids_before;
    while (n > 1 && dir[n - 1] == '/')
        n--;
    AUTO_FREE char *root = xmemdup0(dir, n);
    s->error = files_text(err_message(e));
    append(r, root, (struct read_file){.error = xstrdup(s->error), .tree = true});
}

void files_list(const struct str_list *dirs, struct file_listing *ret)
{
    AUTO(reader_done) struct reader r = {0};
    r.list.sources = xcalloc(dirs->len, sizeof(*r.list.sources));
    r.list.sources_len = dirs->len;
    for (size_t i = 0; i < dirs->len; i++) {
        r.source = (unsigned)i;
        r.ids_before = r.ids_len;
        list_source(&r, dirs->items[i]);
    }
    finish(&r, ret);
}

/* ---- explicit paths ------------------------------------------------------------------------- */

static struct err *read_explicit(struct reader *r, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return add_error(r, path, err_errno(errno));
    if (S_ISDIR(st.st_mode))
        return read_tree(r, path);
    /* Blocks on a pipe, as the user wishes: `validate <(…)`. */
    AUTO_CLOSE fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return add_error(r, path, err_errno(errno));
    if (S_ISREG(st.st_mode))
        return read_before(r, &st) ? NULL : add_fd(r, path, fd);
    struct str s;
    str_init(&s, MANIFEST_MAX_BYTES + 1);
    int errnum = read_some(fd, &s);
    if (!errnum && is_text(path))
        return add_content(r, path, &s);
    str_done(&s);
    return add_error(r, path,
                     errnum ? err_errno(errnum) : "the name of the file isn't printable UTF-8");
}

struct err *files_read(const struct str_list *paths, struct file_listing *ret)
{
    AUTO(reader_done) struct reader r = {0};
    for (size_t i = 0; i < paths->len; i++) {
        r.ids_before = r.ids_len;
        TRY(read_explicit(&r, paths->items[i]));
    }
    finish(&r, ret);
    return NULL;
}
