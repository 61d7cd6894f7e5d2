/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/catalog.h"

#include "spec/base/xalloc.h"

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
        free(e);
    }
    return NULL;
}

void catalog_done(struct catalog *c)
{
    for (size_t i = 0; i < c->len; i++)
        entry_free(c->entries[i]);
    free(c->entries);
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

static void set_place(struct catalog_entry *e, const char *file, struct src_pos pos)
{
    if (file != e->file) {
        free(e->file);
        e->file = xstrdup_null(file);
    }
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

static void accept(struct catalog_entry *e, struct bottle *b_take)
{
    e->state = ENTRY_ACCEPTED;
    e->forbidden = false;
    set_message(e, NULL);
    set_place(e, b_take->file, b_take->pos);
    if (!e->text || strcmp(e->text, b_take->text) != 0) {
        e->generation++;
        e->changed = true;
        free(e->text);
        e->text = xstrdup(b_take->text);
    }
    bottle_free(e->bottle);
    e->bottle = b_take;
}

static void reject(struct catalog_entry *e, const struct manifest_bottle *m)
{
    e->state = ENTRY_REJECTED;
    e->forbidden = m->forbidden;
    set_message(e, first_finding(&m->diags));
    set_place(e, m->file, m->pos);
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

static bool file_is_anothers(const struct catalog *c, const char *path, const char *name)
{
    for (size_t i = 0; i < c->len; i++) {
        const struct catalog_entry *e = c->entries[i];
        if (strcmp(e->name, name) != 0 && e->file && strcmp(e->file, path) == 0)
            return true;
    }
    return false;
}

/* The file that may still hold the entry's manifest: its own with an error that names no bottle, or
 * one that can't be read and isn't known to hold others (a rename). NULL: there is none. */
static const struct manifest_file *doubtful(const struct catalog *c, const struct catalog_entry *e,
                                            const struct manifest_set *set)
{
    for (size_t i = 0; i < set->files_len; i++) {
        const struct manifest_file *f = &set->files[i];
        if (f->usable && !f->diags.len)
            continue;
        if (e->file && strcmp(e->file, f->path) == 0)
            return f;
        if (!file_is_anothers(c, f->path, e->name))
            return f;
    }
    return NULL;
}

static void missing(const struct catalog *c, struct catalog_entry *e,
                    const struct manifest_set *set)
{
    const struct manifest_file *f = doubtful(c, e, set);
    e->state = f ? ENTRY_HELD : ENTRY_GONE;
    set_message(e, f ? first_finding(&f->diags) : NULL);
}

void catalog_update(struct catalog *c, struct manifest_set *set)
{
    for (size_t i = 0; i < set->bottles_len; i++) {
        struct manifest_bottle *m = &set->bottles[i];
        if (m->bottle && m->bottle->abstract)
            continue;
        struct catalog_entry *e = obtain(c, m->name);
        if (m->bottle)
            accept(e, TAKE_PTR(m->bottle));
        else
            reject(e, m);
    }
    for (size_t i = 0; i < c->len; i++) {
        if (!named(set, c->entries[i]->name))
            missing(c, c->entries[i], set);
    }
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
    e->state = ENTRY_HELD;
}
