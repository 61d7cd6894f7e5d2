/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/mounts.h"

#include "spec/base/xalloc.h"
#include "spec/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { ABOVE_MAX = 64 };

struct file_id {
    dev_t dev;
    ino_t ino;
};

struct guarded {
    char *what;
    char *path; /* absolute, as given */
    char *real; /* without links; NULL: it isn't there */
    struct file_id self;
    struct file_id above[ABOVE_MAX]; /* of `real`, up to the root */
    size_t above_len;
};

struct mount_guard {
    bool local;
    struct guarded *items;
    size_t len;
};

struct mount_guard *mount_guard_new(bool local)
{
    struct mount_guard *g = xcalloc(1, sizeof(*g));
    g->local = local;
    return g;
}

static void guarded_done(struct guarded *k)
{
    free(k->what);
    free(k->path);
    free(k->real);
}

struct mount_guard *mount_guard_free(struct mount_guard *g)
{
    if (!g)
        return NULL;
    for (size_t i = 0; i < g->len; i++)
        guarded_done(&g->items[i]);
    free(g->items);
    free(g);
    return NULL;
}

/* Absolute and without '.', '..' and doubled separators, by the letters alone. */
static char *absolute(const char *path)
{
    AUTO_FREE char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
    AUTO_FREE char *whole =
        path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", cwd ? cwd : "", path);
    struct str out;
    str_init(&out, PATH_MAX * 2);
    for (const char *p = whole; *p;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        struct sv part = {p, n};
        p += n;
        if (n == 0 || sv_eq(part, "."))
            continue;
        if (!sv_eq(part, "..")) {
            str_addc(&out, '/');
            str_addn(&out, part.p, part.n);
            continue;
        }
        while (out.len && out.p[out.len - 1] != '/')
            out.p[--out.len] = '\0';
        if (out.len)
            out.p[--out.len] = '\0';
    }
    if (!out.len)
        str_addc(&out, '/');
    char *text = str_take(&out);
    return text ? text : xstrdup(path);
}

static struct file_id id_of(const struct stat *st)
{
    return (struct file_id){st->st_dev, st->st_ino};
}

static bool same_file(struct file_id a, struct file_id b)
{
    return a.dev == b.dev && a.ino == b.ino;
}

static void look(struct guarded *k)
{
    struct stat st;
    free(k->real);
    k->real = realpath(k->path, NULL);
    k->above_len = 0;
    if (!k->real || stat(k->real, &st) != 0)
        return;
    k->self = id_of(&st);
    AUTO_FREE char *at = xstrdup(k->real);
    for (char *slash = strrchr(at, '/'); slash && k->above_len < ABOVE_MAX;
         slash = strrchr(at, '/')) {
        *slash = '\0';
        if (stat(*at ? at : "/", &st) == 0)
            k->above[k->above_len++] = id_of(&st);
    }
}

void mount_guard_add(struct mount_guard *g, const char *what, const char *path)
{
    if (!path || !*path)
        return;
    g->items = xreallocarray(g->items, g->len + 1, sizeof(*g->items));
    struct guarded *k = &g->items[g->len++];
    *k = (struct guarded){.what = xstrdup(what), .path = absolute(path)};
    look(k);
}

void mount_guard_set(struct mount_guard *g, const char *what, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->len; i++) {
        if (strcmp(g->items[i].what, what) == 0)
            guarded_done(&g->items[i]);
        else
            g->items[kept++] = g->items[i];
    }
    g->len = kept;
    mount_guard_add(g, what, path);
}

void mount_guard_refresh(struct mount_guard *g)
{
    for (size_t i = 0; i < g->len; i++)
        look(&g->items[i]);
}

/* ---- one source ---- */

static char *refusal(const struct guarded *k, const char *how)
{
    return xasprintf("%s %s, '%s': that would break the seal", how, k->what, k->path);
}

static char *named(const struct guarded *k, const char *source)
{
    const char *const paths[] = {k->path, k->real};
    for (size_t i = 0; i < 2; i++) {
        if (!paths[i])
            continue;
        if (strcmp(source, paths[i]) == 0)
            return refusal(k, "it is");
        if (path_is_within(source, paths[i]))
            return refusal(k, "it lies in");
        if (path_is_within(paths[i], source))
            return refusal(k, "it holds");
    }
    return NULL;
}

/* A step on the way down to the source; `last`: the source itself. */
static char *met(const struct guarded *k, struct file_id id, bool last)
{
    if (!k->real)
        return NULL;
    if (same_file(id, k->self))
        return refusal(k, last ? "under another name it is" : "under another name it lies in");
    for (size_t i = 0; last && i < k->above_len; i++) {
        if (same_file(id, k->above[i]))
            return refusal(k, "under another name it holds");
    }
    return NULL;
}

/* A step on the way. */
struct seen {
    struct file_id id;
    mode_t mode;
    bool last; /* the source itself */
};

/* Walks down to the source, each step opened from the last so that nothing can be swapped in
 * between. `step` sees each; a text that it returns ends the walk. */
typedef char *step_fn(const void *ctx, const char *at, struct seen seen);

static char *walk(const char *source, bool follow, step_fn *step, const void *ctx)
{
    AUTO_FREE char *path = xstrdup(source);
    AUTO_CLOSE fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *p = path;
    while (fd >= 0 && *p == '/') {
        char *part = p + 1;
        size_t n = strcspn(part, "/");
        bool last = part[n] == '\0';
        part[n] = '\0';
        int next = openat(fd, part, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
        (void)close(fd);
        fd = next;
        struct stat st;
        if (fd < 0 || fstat(fd, &st) != 0)
            return NULL; /* isn't there, or not ours to see */
        char *said = step(ctx, path, (struct seen){id_of(&st), st.st_mode, last});
        if (said || last)
            return said;
        part[n] = '/';
        p = part + n;
    }
    return NULL;
}

static char *identity_step(const void *ctx, const char *at, struct seen seen)
{
    const struct mount_guard *g = ctx;
    char *said = NULL;
    (void)at;
    for (size_t i = 0; !said && i < g->len; i++)
        said = met(&g->items[i], seen.id, seen.last);
    return said;
}

char *mount_guard_refusal(const struct mount_guard *g, const char *source)
{
    for (size_t i = 0; i < g->len; i++) {
        char *said = named(&g->items[i], source);
        if (said)
            return said;
    }
    return g->local ? walk(source, true, identity_step, g) : NULL;
}

static char *link_step(const void *ctx, const char *at, struct seen seen)
{
    (void)ctx;
    if (S_ISLNK(seen.mode)) {
        AUTO_FREE char *to = realpath(at, NULL);
        return xasprintf("'%s' is a symbolic link%s%s%s, and where it leads can change under a "
                         "running bottle; write the path without links",
                         at, to ? " to '" : "", to ? to : "", to ? "'" : "");
    }
    if (seen.last && !S_ISDIR(seen.mode) && !S_ISREG(seen.mode))
        return xasprintf("'%s' is neither a directory nor a file", at);
    return NULL;
}

char *mount_source_fault(const struct mount_guard *g, const char *source)
{
    return g->local ? walk(source, false, link_step, NULL) : NULL;
}
