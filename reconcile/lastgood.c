/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/lastgood.h"

#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void file_done(struct lastgood_file *f)
{
    free(f->path);
    free(f->bytes);
}

void lastgood_done(struct lastgood *g)
{
    for (size_t i = 0; i < g->len; i++)
        file_done(&g->files[i]);
    free(g->files);
    str_list_done(&g->taken);
    *g = (struct lastgood){0};
}

/* Where `path` is, or would be. */
static size_t place_of(const struct lastgood *g, const char *path, bool *ret_there)
{
    size_t lo = 0, hi = g->len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(g->files[mid].path, path);
        if (order == 0) {
            *ret_there = true;
            return mid;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_there = false;
    return lo;
}

static struct lastgood_file *find(const struct lastgood *g, const char *path)
{
    bool there = false;
    size_t at = place_of(g, path, &there);
    return there ? &g->files[at] : NULL;
}

static struct lastgood_file *obtain(struct lastgood *g, const char *path)
{
    bool there = false;
    size_t at = place_of(g, path, &there);
    if (there)
        return &g->files[at];
    g->files = xreallocarray(g->files, g->len + 1, sizeof(*g->files));
    memmove(&g->files[at + 1], &g->files[at], (g->len - at) * sizeof(*g->files));
    g->len++;
    g->files[at] = (struct lastgood_file){.path = xstrdup(path)};
    return &g->files[at];
}

static void remember(struct lastgood *g, const char *path, struct sv bytes)
{
    struct lastgood_file *f = obtain(g, path);
    bool same = f->bytes && f->n == bytes.n && memcmp(f->bytes, bytes.p, bytes.n) == 0;
    if (!same) {
        free(f->bytes);
        f->bytes = xmemdup0(bytes.p, bytes.n);
        f->n = bytes.n;
        f->stored = false;
    }
    f->cut_n = f->n;
}

void lastgood_seed(struct lastgood *g, const char *path, struct sv bytes)
{
    remember(g, path, bytes);
    obtain(g, path)->stored = true;
}

static bool is_cut(const struct lastgood_file *f, struct sv now)
{
    return now.n < f->n && memcmp(f->bytes, now.p, now.n) == 0;
}

/* The cut text ends where a line of the whole one did. */
static bool at_line_end(const struct lastgood_file *f, size_t n)
{
    return n && (f->bytes[n - 1] == '\n' || f->bytes[n] == '\n');
}

/* Why the text isn't taken, or NULL. */
static char *judge(struct lastgood_file *f, struct sv now, uint64_t now_ns)
{
    if (!is_cut(f, now)) {
        f->cut_n = f->n;
        return NULL;
    }
    if (f->cut_n != now.n) {
        f->cut_n = now.n;
        f->cut_since_ns = now_ns;
    }
    bool line = at_line_end(f, now.n);
    uint64_t stayed = now_ns - f->cut_since_ns;
    if (line && stayed >= LASTGOOD_CUT_NS)
        return NULL;
    if (!line)
        return xasprintf("these are the first %zu of the %zu bytes it had, up to the middle of a "
                         "line: half written? It is taken once it says anything else",
                         now.n, f->n);
    return xasprintf("these are the first %zu of the %zu bytes it had: half written? It is taken "
                     "once it says anything else, or has stayed like this for %" PRIu64 " s",
                     now.n, f->n, LASTGOOD_CUT_NS / UINT64_C(1000000000));
}

static int by_path(const void *a, const void *b)
{
    const struct manifest_file *x = a;
    const struct manifest_file *y = b;
    return strcmp(x->path, y->path);
}

static const struct manifest_file *file_of(const struct manifest_set *set, char *path)
{
    struct manifest_file key = {.path = path};
    return set->files_len ? bsearch(&key, set->files, set->files_len, sizeof(key), by_path) : NULL;
}

static bool same_bottles(const struct manifest_set *a, const struct manifest_set *b)
{
    if (a->bottles_len != b->bottles_len)
        return false;
    for (size_t i = 0; i < a->bottles_len; i++) {
        const struct manifest_bottle *x = &a->bottles[i];
        const struct manifest_bottle *y = &b->bottles[i];
        if (strcmp(x->name, y->name) != 0 || !x->bottle != !y->bottle)
            return false;
        if (x->bottle && strcmp(x->bottle->text, y->bottle->text) != 0)
            return false;
    }
    return true;
}

/* Of the inputs that look cut, those whose text would be taken: they get their last good one back.
 * False: there is none. */
static bool put_back(const struct lastgood *g, const struct manifest_set *set,
                     struct manifest_input *inputs, size_t n, char *const *why)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const struct lastgood_file *f = why[i] ? find(g, inputs[i].path) : NULL;
        const struct manifest_file *out = f ? file_of(set, f->path) : NULL;
        if (!out || !catalog_file_good(out))
            continue;
        inputs[i].bytes = (struct sv){f->bytes, f->n};
        inputs[i].held = why[i];
        any = true;
    }
    return any;
}

static void remember_all(struct lastgood *g, const struct manifest_set *set)
{
    for (size_t i = 0; i < set->files_len; i++) {
        const struct manifest_file *out = &set->files[i];
        if (catalog_file_good(out))
            remember(g, out->path, out->bytes);
    }
}

/* What a file has said before, when it may be half written now. */
static struct lastgood_file *known(const struct lastgood *g, const struct manifest_input *in)
{
    return in->read_error || in->whole ? NULL : find(g, in->path);
}

/* Those that were judged to be no half-written text after all, and are good. */
static void note_taken(struct lastgood *g, const struct manifest_set *set,
                       const struct manifest_input *inputs, size_t n, char *const *why)
{
    str_list_done(&g->taken);
    for (size_t i = 0; i < n; i++) {
        const struct lastgood_file *f = known(g, &inputs[i]);
        if (!f || why[i] || !is_cut(f, inputs[i].bytes))
            continue;
        const struct manifest_file *out = file_of(set, f->path);
        if (out && catalog_file_good(out))
            str_list_add(&g->taken, f->path);
    }
}

struct manifest_set *lastgood_load(struct lastgood *g, const struct manifest_input *inputs,
                                   size_t n, const struct manifest_rules *rules, uint64_t now_ns)
{
    struct manifest_set *set = manifest_load_under(inputs, n, rules);
    AUTO_FREE char **why = xcalloc(n, sizeof(*why));
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        struct lastgood_file *f = known(g, &inputs[i]);
        why[i] = f ? judge(f, inputs[i].bytes, now_ns) : NULL;
        any = any || why[i];
    }
    if (any) {
        AUTO_FREE struct manifest_input *whole = xcalloc(n, sizeof(*whole));
        memcpy(whole, inputs, n * sizeof(*whole));
        if (put_back(g, set, whole, n, why)) {
            struct manifest_set *other = manifest_load_under(whole, n, rules);
            bool same = same_bottles(set, other);
            manifest_set_free(same ? other : set);
            set = same ? set : other;
        }
    }
    note_taken(g, set, inputs, n, why);
    for (size_t i = 0; i < n; i++)
        free(why[i]);
    remember_all(g, set);
    return set;
}

static bool is_home(const struct catalog *c, const char *path)
{
    for (size_t i = 0; i < c->len; i++) {
        const struct catalog_entry *e = c->entries[i];
        const struct bottle *b = e->bottle;
        if ((e->file && strcmp(e->file, path) == 0) || (b && strcmp(b->file, path) == 0) ||
            (b && str_list_has(&b->ancestor_files, path)))
            return true;
    }
    return false;
}

void lastgood_prune(struct lastgood *g, const struct catalog *c, const struct manifest_set *set,
                    struct str_list *ret)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->len; i++) {
        struct lastgood_file *f = &g->files[i];
        if (file_of(set, f->path) || is_home(c, f->path)) {
            g->files[kept++] = *f;
            continue;
        }
        str_list_add_take(ret, TAKE_PTR(f->path));
        file_done(f);
    }
    g->len = kept;
}
