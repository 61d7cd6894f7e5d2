/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/extends.h"

#include "spec/base/xalloc.h"

#include <string.h>

static int by_name(const void *a, const void *b)
{
    const struct extends_entry *x = a;
    const struct extends_entry *y = b;
    return strcmp(x->name, y->name);
}

static void link_parent(struct extends_entry *entries, size_t n, size_t i)
{
    struct extends_entry *e = &entries[i];
    const struct yaml_node *at = yaml_get(yaml_get(e->root, "spec"), "extends");
    if (!at || at->kind != YAML_STRING)
        return;
    e->at = at;
    e->wanted = at->text;
    struct extends_entry key = {.name = e->wanted};
    struct extends_entry *found = bsearch(&key, entries, n, sizeof(key), by_name);
    if (!found) {
        e->state = EXTENDS_MISSING;
    } else if (found->ambiguous && strcmp(found->name, e->name) != 0) {
        e->state = EXTENDS_AMBIGUOUS;
    } else {
        e->state = EXTENDS_OK;
        e->parent = found->ambiguous ? i : (size_t)(found - entries);
    }
}

/* Every entry has at most one parent: follow it until a known one, or one seen on this walk. */
static void walk(struct extends_entry *entries, size_t start, size_t *walk_of, bool *done)
{
    size_t i = start;
    while (!done[i] && walk_of[i] != start + 1 && entries[i].state == EXTENDS_OK) {
        walk_of[i] = start + 1;
        i = entries[i].parent;
    }
    if (!done[i] && walk_of[i] == start + 1) {
        for (size_t j = i; entries[j].state != EXTENDS_CIRCLE; j = entries[j].parent) {
            entries[j].state = EXTENDS_CIRCLE;
            done[j] = true;
        }
    }
    done[i] = true;
    /* What led there is deeper by one at each step: count, then walk again. */
    unsigned steps = 0;
    for (size_t j = start; !done[j]; j = entries[j].parent)
        steps++;
    unsigned depth = entries[i].depth + steps;
    for (size_t j = start; !done[j]; j = entries[j].parent) {
        entries[j].depth = depth--;
        done[j] = true;
    }
}

void extends_resolve(struct extends_entry *entries, size_t n)
{
    AUTO_FREE size_t *walk_of = xcalloc(n, sizeof(*walk_of));
    AUTO_FREE bool *done = xcalloc(n, sizeof(*done));
    for (size_t i = 0; i < n; i++)
        link_parent(entries, n, i);
    for (size_t i = 0; i < n; i++) {
        if (!done[i])
            walk(entries, i, walk_of, done);
    }
}

void extends_chain(const struct extends_entry *entries, size_t i, struct str *out)
{
    size_t j = i;
    unsigned shown = 0;
    do {
        str_addf(out, "%s -> ", entries[j].name);
        j = entries[j].parent;
    } while (j != i && ++shown < EXTENDS_MAX_DEPTH);
    str_add(out, j == i ? entries[i].name : "...");
}

static const struct yaml_node *merge_map(struct arena *arena, struct str *at,
                                         const struct yaml_node *parent,
                                         const struct yaml_node *child);

/* The value of a key both have: the child's, or both merged. */
static struct yaml_node *merge_value(struct arena *arena, struct str *at, const struct field *field,
                                     struct yaml_node *parent, struct yaml_node *child)
{
    bool both = parent->kind == YAML_MAP && child->kind == YAML_MAP && child->len > 0;
    if (!both || !field || !(field->flags & FIELD_MERGE))
        return child;
    size_t len = at->len;
    if (len)
        str_addc(at, '.');
    str_add(at, field->name);
    const struct yaml_node *merged = merge_map(arena, at, parent, child);
    field_path_cut(at, len);
    struct yaml_node *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *merged;
    return copy;
}

static const struct field *field_of_key(const char *at, const char *key)
{
    const struct field *f = field_find(&fields_bottle, at, key);
    return f ? f : field_find(&fields_bottle, at, "*");
}

static const struct yaml_node *merge_map(struct arena *arena, struct str *at,
                                         const struct yaml_node *parent,
                                         const struct yaml_node *child)
{
    struct yaml_node *out = arena_alloc(arena, sizeof(*out));
    *out = *child;
    out->pairs = arena_calloc(arena, parent->len + child->len, sizeof(*out->pairs));
    out->len = 0;
    for (size_t i = 0; i < parent->len; i++) {
        const struct field *f = field_of_key(at->p, parent->pairs[i].key);
        if (f && !(f->flags & FIELD_OWN) && !yaml_get_pair(child, parent->pairs[i].key))
            out->pairs[out->len++] = parent->pairs[i];
    }
    for (size_t i = 0; i < child->len; i++) {
        struct yaml_pair p = child->pairs[i];
        struct yaml_node *inherited = yaml_get(parent, p.key);
        if (inherited)
            p.value = merge_value(arena, at, field_of_key(at->p, p.key), inherited, p.value);
        out->pairs[out->len++] = p;
    }
    return out;
}

const struct yaml_node *extends_merge(struct arena *arena, const struct yaml_node *parent,
                                      const struct yaml_node *child)
{
    struct str at;
    str_init(&at, FIELD_PATH_MAX);
    const struct yaml_node *merged = merge_map(arena, &at, parent, child);
    str_done(&at);
    return merged;
}
