/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/catalog.h"

#include "spec/base/xalloc.h"

#include <limits.h>
#include <string.h>

enum { MESSAGE_MAX = 2000 };

static struct catalog_entry *entry_free(struct catalog_entry *e)
{
    if (e) {
        free(e->name);
        bottle_free(e->bottle);
        free(e->text);
        free(e->message);
        free(e->file);
        free(e->revision);
        free(e->also);
        str_list_done(&e->others);
        free(e->held_by);
        free(e);
    }
    return NULL;
}

static void doubts_done(struct catalog *c)
{
    for (size_t i = 0; i < c->doubts_len; i++) {
        free(c->doubts[i].path);
        free(c->doubts[i].bytes);
    }
    free(c->doubts);
    c->doubts = NULL;
    c->doubts_len = 0;
}

void catalog_done(struct catalog *c)
{
    for (size_t i = 0; i < c->len; i++)
        entry_free(c->entries[i]);
    free(c->entries);
    doubts_done(c);
    *c = (struct catalog){0};
}

struct catalog_entry *catalog_find(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->len; i++) {
        if (strcmp(c->entries[i]->name, name) == 0)
            return c->entries[i];
    }
    return NULL;
}

void catalog_drop(struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->len; i++) {
        if (strcmp(c->entries[i]->name, name) != 0)
            continue;
        entry_free(c->entries[i]);
        c->len--;
        memmove(&c->entries[i], &c->entries[i + 1], (c->len - i) * sizeof(*c->entries));
        return;
    }
}

static struct catalog_entry *obtain(struct catalog *c, const char *name)
{
    struct catalog_entry *e = catalog_find(c, name);
    if (e)
        return e;
    size_t at = 0;
    while (at < c->len && strcmp(c->entries[at]->name, name) < 0)
        at++;
    c->entries = xreallocarray(c->entries, c->len + 1, sizeof(*c->entries));
    memmove(&c->entries[at + 1], &c->entries[at], (c->len - at) * sizeof(*c->entries));
    c->len++;
    e = xcalloc(1, sizeof(*e));
    e->name = xstrdup(name);
    c->entries[at] = e;
    return e;
}

static void set_text(char **slot, const char *text)
{
    if (text == *slot)
        return;
    free(*slot);
    *slot = xstrdup_null(text);
}

static void set_place(struct catalog_entry *e, const char *file, struct src_pos pos,
                      const char *revision)
{
    set_text(&e->file, file);
    set_text(&e->revision, revision);
    e->pos = pos;
}

static void set_message(struct catalog_entry *e, char *message_take)
{
    free(e->message);
    e->message = message_take;
}

static char *first_finding(const struct diag_list *l)
{
    struct str s;
    str_init(&s, MESSAGE_MAX);
    if (l->len)
        diag_format(&l->items[0], &s);
    if (l->len > 1)
        str_addf(&s, " (and %zu more)", l->len - 1);
    char *text = str_take(&s);
    return text ? text : xstrdup("the manifest is not valid; see bottler validate");
}

static bool says_the_same(const struct catalog_entry *e, const struct bottle *b)
{
    return e->text && strcmp(e->text, b->text) == 0;
}

/* What `b` says counts. */
static void agree(struct catalog_entry *e, const struct bottle *b)
{
    e->state = ENTRY_ACCEPTED;
    e->forbidden = false;
    set_message(e, NULL);
    set_text(&e->held_by, NULL);
    set_place(e, b->file, b->pos, b->revision);
}

static void accept(struct catalog_entry *e, struct bottle *b_take)
{
    agree(e, b_take);
    if (!says_the_same(e, b_take)) {
        e->generation++;
        e->changed = true;
        free(e->text);
        e->text = xstrdup(b_take->text);
    }
    e->changed = e->changed || !e->bottle || strcmp(e->bottle->file, b_take->file) != 0;
    bottle_free(e->bottle);
    e->bottle = b_take;
}

static void reject(struct catalog_entry *e, const struct manifest_bottle *m)
{
    e->state = ENTRY_REJECTED;
    e->forbidden = m->forbidden;
    set_message(e, first_finding(&m->diags));
    set_text(&e->held_by, NULL);
    set_place(e, m->file, m->pos, m->revision);
}

static bool named(const struct manifest_set *set, const char *name)
{
    for (size_t i = 0; i < set->bottles_len; i++) {
        const struct manifest_bottle *m = &set->bottles[i];
        bool abstract = m->bottle && m->bottle->abstract;
        if (!abstract && strcmp(m->name, name) == 0)
            return true;
    }
    return false;
}

/* ---- what can't be told --------------------------------------------------------------------- */

/* It may hold documents whose names nobody can tell. */
static bool hides_names(const struct manifest_file *f)
{
    return f->tree || !f->usable || f->diags.len;
}

bool catalog_file_good(const struct manifest_file *f)
{
    return !hides_names(f) && !f->rejects && !f->held && !f->directory;
}

static bool covers(const struct manifest_file *f, const char *path)
{
    size_t n = strlen(f->path);
    if (!path || strncmp(f->path, path, n) != 0)
        return false;
    /* A colon: all of a repository. */
    bool above = n && (f->path[n - 1] == '/' || f->path[n - 1] == ':');
    return path[n] == '\0' || (f->tree && (path[n] == '/' || above));
}

static bool covers_any(const struct manifest_file *f, const struct str_list *paths)
{
    for (size_t i = 0; i < paths->len; i++) {
        if (covers(f, paths->items[i]))
            return true;
    }
    return false;
}

/* Where the last good manifest came from. A place of less priority counts too: it is what would be
 * left. */
static bool is_its_own(const struct catalog_entry *e, const struct manifest_file *f)
{
    return covers(f, e->file) || (e->bottle && covers(f, e->bottle->file)) ||
           covers_any(f, &e->others);
}

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* The name stands somewhere in the bytes, as a word. */
static bool mentions(struct sv bytes, const char *name)
{
    size_t n = strlen(name);
    const char *end = bytes.p + bytes.n;
    for (const char *at = bytes.p; (size_t)(end - at) >= n; at++) {
        at = memmem(at, (size_t)(end - at), name, n);
        if (!at)
            return false;
        bool begins = at == bytes.p || !in_name(at[-1]);
        if (begins && (at + n == end || !in_name(at[n])))
            return true;
    }
    return false;
}

/* As it was, with the same in it, in the listing before: what has vanished since isn't in there. */
static bool known_doubt(const struct catalog *c, const struct manifest_file *f)
{
    for (size_t i = 0; i < c->doubts_len; i++) {
        const struct doubt *d = &c->doubts[i];
        if (strcmp(d->path, f->path) == 0)
            return d->n == f->bytes.n && (!d->n || memcmp(d->bytes, f->bytes.p, d->n) == 0);
    }
    return false;
}

static bool file_is_anothers(const struct catalog *c, const char *path, const char *name)
{
    for (size_t i = 0; i < c->len; i++) {
        const struct catalog_entry *e = c->entries[i];
        if (strcmp(e->name, name) != 0 && e->file && strcmp(e->file, path) == 0)
            return true;
    }
    return false;
}

/* The bottle may have been moved there. */
static bool may_hide(const struct catalog *c, const struct catalog_entry *e,
                     const struct manifest_file *f)
{
    if (e->held_by && strcmp(e->held_by, f->path) == 0)
        return true;
    if (!known_doubt(c, f) || mentions(f->bytes, e->name))
        return true;
    return !f->usable && !f->bytes.n && !f->tree && !file_is_anothers(c, f->path, e->name);
}

/* The file because of which nobody can say that the missing bottle is gone; NULL: there is none. */
static const struct manifest_file *doubtful(const struct catalog *c, const struct catalog_entry *e,
                                            const struct manifest_set *set)
{
    for (size_t i = 0; i < set->files_len; i++) {
        const struct manifest_file *f = &set->files[i];
        if (!catalog_file_good(f) && is_its_own(e, f))
            return f;
    }
    for (size_t i = 0; i < set->files_len; i++) {
        const struct manifest_file *f = &set->files[i];
        if (hides_names(f) && may_hide(c, e, f))
            return f;
    }
    return NULL;
}

static char *file_finding(const struct manifest_set *set, const struct manifest_file *f)
{
    if (f->held)
        return xasprintf("%s: %s", f->path, f->held);
    if (f->diags.len)
        return first_finding(&f->diags);
    if (f->directory)
        return xasprintf("%s is a directory", f->path);
    for (size_t i = 0; i < set->bottles_len; i++) {
        if (set->bottles[i].diags.len && strcmp(set->bottles[i].file, f->path) == 0)
            return first_finding(&set->bottles[i].diags);
    }
    return xasprintf("%s can't be used", f->path);
}

static const char *reason_of(const struct catalog_entry *e, const struct manifest_file *f)
{
    bool own = e->file && strcmp(e->file, f->path) == 0;
    if (f->held)
        return "HalfWritten";
    if (own && !hides_names(f))
        return "FileRejected"; /* what else is in it */
    bool read = f->diags.len && f->diags.items[0].pos.line;
    return own && read ? "Unparsable" : "SourceUnreadable";
}

static void hold(struct catalog_entry *e, const struct manifest_file *f, char *message_take)
{
    e->state = ENTRY_HELD;
    e->held_reason = reason_of(e, f);
    set_text(&e->held_by, f->path);
    set_message(e, message_take);
}

static void missing(const struct catalog *c, struct catalog_entry *e,
                    const struct manifest_set *set)
{
    const struct manifest_file *f = doubtful(c, e, set);
    if (f) {
        hold(e, f, file_finding(set, f));
        return;
    }
    e->state = ENTRY_GONE;
    set_text(&e->held_by, NULL);
    set_message(e, NULL);
}

/* The file at `path`, when it can't be judged now and has at least as much say as `source`. */
static const struct manifest_file *unjudged(const struct manifest_set *set, const char *path,
                                            unsigned source)
{
    for (size_t i = 0; i < set->files_len; i++) {
        const struct manifest_file *f = &set->files[i];
        if (hides_names(f) && f->source <= source && covers(f, path))
            return f;
    }
    return NULL;
}

/* Something that the last good manifest was made of came from another file than the one that is
 * found now, which may still hold it, and can't be judged now: NULL, or that file. */
static const struct manifest_file *contested(const struct catalog_entry *e,
                                             const struct manifest_bottle *m,
                                             const struct manifest_set *set)
{
    const struct bottle *was = e->bottle;
    const struct bottle *is = m->bottle;
    if (!was)
        return NULL;
    const struct manifest_file *f = NULL;
    if (strcmp(was->file, is->file) != 0)
        f = unjudged(set, was->file, m->source);
    for (size_t i = 0; !f && i < was->ancestors.len; i++) {
        for (size_t k = 0; !f && k < is->ancestors.len; k++) {
            if (strcmp(was->ancestors.items[i], is->ancestors.items[k]) == 0 &&
                strcmp(was->ancestor_files.items[i], is->ancestor_files.items[k]) != 0)
                f = unjudged(set, was->ancestor_files.items[i], UINT_MAX);
        }
    }
    return f;
}

static const struct manifest_file *file_of(const struct manifest_set *set, const char *path)
{
    for (size_t i = 0; i < set->files_len; i++) {
        if (strcmp(set->files[i].path, path) == 0)
            return &set->files[i];
    }
    return NULL;
}

/* Where a file can't be judged, it is as it was. */
static void note_others(struct catalog_entry *e, const struct manifest_bottle *m,
                        const struct manifest_set *set)
{
    struct str_list now = {0};
    set_text(&e->also, m->also);
    for (size_t i = 0; i < m->also_files.len; i++)
        str_list_add(&now, m->also_files.items[i]);
    for (size_t i = 0; i < set->files_len; i++) {
        const struct manifest_file *f = &set->files[i];
        for (size_t k = 0; !catalog_file_good(f) && k < e->others.len; k++) {
            if (covers(f, e->others.items[k]))
                str_list_add(&now, e->others.items[k]);
        }
    }
    str_list_sort_unique(&now);
    str_list_done(&e->others);
    e->others = now;
}

static void take_up(struct catalog_entry *e, struct manifest_bottle *m,
                    const struct manifest_set *set)
{
    const struct manifest_file *f = contested(e, m, set);
    bool same = says_the_same(e, m->bottle);
    if (f && !same) {
        AUTO_FREE char *finding = file_finding(set, f);
        hold(e, f,
             xasprintf("%s; until that file can be judged, what %s:%u says about it is not taken",
                       finding, m->file, m->pos.line));
        return;
    }
    if (f)
        agree(e, m->bottle);
    else
        accept(e, TAKE_PTR(m->bottle));
    f = m->held ? file_of(set, m->file) : NULL;
    if (f)
        hold(e, f, file_finding(set, f));
}

static void note_doubts(struct catalog *c, const struct manifest_set *set)
{
    doubts_done(c);
    for (size_t i = 0; i < set->files_len; i++) {
        const struct manifest_file *f = &set->files[i];
        if (!hides_names(f))
            continue;
        c->doubts = xreallocarray(c->doubts, c->doubts_len + 1, sizeof(*c->doubts));
        c->doubts[c->doubts_len++] = (struct doubt){
            xstrdup(f->path), f->bytes.n ? xmemdup0(f->bytes.p, f->bytes.n) : NULL, f->bytes.n};
    }
}

void catalog_update(struct catalog *c, struct manifest_set *set)
{
    for (size_t i = 0; i < set->bottles_len; i++) {
        struct manifest_bottle *m = &set->bottles[i];
        if (m->bottle && m->bottle->abstract)
            continue;
        struct catalog_entry *e = obtain(c, m->name);
        note_others(e, m, set);
        if (m->bottle)
            take_up(e, m, set);
        else
            reject(e, m);
    }
    for (size_t i = 0; i < c->len; i++) {
        if (!named(set, c->entries[i]->name))
            missing(c, c->entries[i], set);
    }
    note_doubts(c, set);
}

void catalog_seed(struct catalog *c, struct bottle *bottle_take, const char *text,
                  int64_t generation)
{
    struct catalog_entry *e = obtain(c, bottle_take->name);
    accept(e, bottle_take);
    free(e->text);
    e->text = xstrdup(text);
    e->generation = generation;
    e->changed = false;
    e->seeded = true;
    e->state = ENTRY_HELD;
    e->held_reason = "SourceUnreadable";
}
