/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/roots.h"

#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

/* What stands at a path. */
struct place {
    bool there;
    uint64_t dev, ino;
    uint64_t mount; /* 0: unknown */
    uint64_t born;  /* when it was made, in ns; 0: unknown */
    char *real;
};

struct root {
    char *path; /* without slashes at the end */
    struct place now;
    struct place last; /* when it last held a manifest; not `there`: it never did */
    char *doubt;
    bool believed; /* that it is missing */
};

struct roots {
    struct root *items;
    size_t len;
    struct str_list listed;
};

static void place_done(struct place *p)
{
    free(p->real);
    *p = (struct place){0};
}

static struct place place_of(const char *path)
{
    enum { NS_PER_SECOND = 1000000000 };
    struct statx st;
    struct place p = {0};
    if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID | STATX_BTIME, &st) != 0) {
        p.there = errno != ENOENT && errno != ENOTDIR; /* what can't be read is another matter */
        return p;
    }
    p.there = true;
    p.dev = ((uint64_t)st.stx_dev_major << 32) | st.stx_dev_minor;
    p.ino = st.stx_ino;
    p.mount = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id : 0;
    if (st.stx_mask & STATX_BTIME)
        p.born = (uint64_t)st.stx_btime.tv_sec * NS_PER_SECOND + st.stx_btime.tv_nsec;
    p.real = realpath(path, NULL);
    return p;
}

/* The number of a directory that was removed is given to the next one: its birth tells them apart.
 */
static bool same_place(const struct place *a, const struct place *b)
{
    bool swapped = a->real && b->real && strcmp(a->real, b->real) != 0;
    bool same_birth = !a->born || !b->born || a->born == b->born;
    return a->dev == b->dev && (!a->mount || !b->mount || a->mount == b->mount) &&
           (swapped || (a->ino == b->ino && same_birth));
}

struct roots *roots_new(const struct str_list *dirs)
{
    struct roots *r = xcalloc(1, sizeof(*r));
    r->items = xcalloc(dirs->len + 1, sizeof(*r->items));
    for (size_t i = 0; i < dirs->len; i++) {
        const char *dir = dirs->items[i];
        size_t n = strlen(dir);
        while (n > 1 && dir[n - 1] == '/')
            n--;
        r->items[r->len++].path = xmemdup0(dir, n);
    }
    return r;
}

struct roots *roots_free(struct roots *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->len; i++) {
        free(r->items[i].path);
        place_done(&r->items[i].now);
        place_done(&r->items[i].last);
        free(r->items[i].doubt);
    }
    str_list_done(&r->listed);
    free(r->items);
    free(r);
    return NULL;
}

const struct str_list *roots_look(struct roots *r)
{
    str_list_done(&r->listed);
    for (size_t i = 0; i < r->len; i++) {
        struct root *one = &r->items[i];
        place_done(&one->now);
        one->now = place_of(one->path);
        one->believed = one->believed && !one->now.there;
        if (!one->believed)
            str_list_add(&r->listed, one->path);
    }
    return &r->listed;
}

static bool below(const char *root, const char *file)
{
    size_t n = strlen(root);
    return strncmp(file, root, n) == 0 && (file[n] == '/' || root[n - 1] == '/');
}

static bool holds(const struct root *one, const struct file_listing *files)
{
    for (size_t i = 0; i < files->len; i++) {
        if (!files->files[i].tree && below(one->path, files->files[i].path))
            return true;
    }
    return false;
}

/* Missing, or not to be read. */
static bool is_unknown(const struct root *one, const struct file_listing *files)
{
    for (size_t i = 0; i < files->sources_len; i++) {
        if (files->sources[i].error && strcmp(files->sources[i].dir, one->path) == 0)
            return true;
    }
    return !one->now.there;
}

/* Looked at again after the listing: an unmount in between must neither make a full listing belong
 * to the empty place, nor an empty one to the place that was full. */
static void remember(struct root *one, struct place *after)
{
    if (!after->there || !same_place(after, &one->now))
        return;
    place_done(&one->last);
    one->last = *after;
    *after = (struct place){0};
}

bool roots_listed(struct roots *r, const struct file_listing *files)
{
    bool news = false;
    for (size_t i = 0; i < r->len; i++) {
        struct root *one = &r->items[i];
        if (!one->believed && is_unknown(one, files))
            continue; /* another matter: what was doubted still is */
        bool full = !one->believed && holds(one, files);
        struct place after = place_of(one->path);
        bool stayed = same_place(&one->last, &one->now) && same_place(&one->last, &after);
        bool doubted = !full && !one->believed && one->last.there && !stayed;
        if (full)
            remember(one, &after);
        place_done(&after);
        if (!doubted) {
            free(one->doubt);
            one->doubt = NULL;
        } else if (!one->doubt) {
            one->doubt = xasprintf("'%s' is empty and is not the directory that held the manifests "
                                   "(unmounted, or made anew?)",
                                   one->path);
            news = true;
        }
    }
    return news;
}

/* The root it is below, the innermost; NULL: none. */
static const struct root *root_of(const struct roots *r, const char *file)
{
    const struct root *best = NULL;
    for (size_t i = 0; file && i < r->len; i++) {
        if (below(r->items[i].path, file) &&
            (!best || strlen(r->items[i].path) > strlen(best->path)))
            best = &r->items[i];
    }
    return best;
}

const char *roots_doubt(const struct roots *r, const char *file)
{
    const struct root *of = root_of(r, file);
    if (of)
        return of->doubt;
    for (size_t i = 0; i < r->len; i++) {
        if (r->items[i].doubt)
            return r->items[i].doubt;
    }
    return NULL;
}

static bool is_missing(const struct root *one)
{
    struct place p = place_of(one->path);
    bool there = p.there;
    place_done(&p);
    return !there;
}

bool roots_missing(const struct roots *r, const char *file)
{
    const struct root *of = root_of(r, file);
    if (of)
        return is_missing(of);
    for (size_t i = 0; i < r->len; i++) {
        if (is_missing(&r->items[i]))
            return true;
    }
    return false;
}

void roots_believe(struct roots *r)
{
    for (size_t i = 0; i < r->len; i++) {
        struct root *one = &r->items[i];
        one->believed = one->believed || (!one->now.there && is_missing(one));
        if (!one->doubt && !one->believed)
            continue;
        free(one->doubt);
        one->doubt = NULL;
        place_done(&one->last);
    }
}

char *roots_text(const struct roots *r)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < r->len; i++) {
        const struct root *one = &r->items[i];
        json_t *path = json_string(one->path); /* NULL: not UTF-8, then it isn't kept */
        json_t *real = json_string(one->last.real);
        if (path && one->last.there)
            json_array_append_new(
                list,
                XNN(json_pack("{s:O, s:O?, s:I, s:I, s:I}", "path", path, "real", real, "device",
                              (json_int_t)one->last.dev, "inode", (json_int_t)one->last.ino, "born",
                              (json_int_t)one->last.born)));
        json_decref(path);
        json_decref(real);
    }
    char *text = XNN(json_dumps(list, JSON_INDENT(1)));
    json_decref(list);
    return text;
}

void roots_restore(struct roots *r, const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    for (size_t i = 0; i < r->len; i++) {
        struct root *one = &r->items[i];
        size_t k = 0;
        const json_t *v = NULL;
        json_array_foreach(list, k, v)
        {
            const char *path = json_string_value(json_object_get(v, "path"));
            const char *real = json_string_value(json_object_get(v, "real"));
            if (!path || strcmp(path, one->path) != 0)
                continue;
            place_done(&one->last);
            one->last =
                (struct place){.there = true,
                               .dev = (uint64_t)json_integer_value(json_object_get(v, "device")),
                               .ino = (uint64_t)json_integer_value(json_object_get(v, "inode")),
                               .born = (uint64_t)json_integer_value(json_object_get(v, "born")),
                               .real = xstrdup_null(real)};
        }
    }
    json_decref(list);
}
