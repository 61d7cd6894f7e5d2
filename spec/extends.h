/* SPDX-License-Identifier: Apache-2.0 */
/* `extends`: who inherits from whom, and what the result says. Works on trees, before typing, so
 * that everything keeps the place it was written at. */
#ifndef BOTTLER_SPEC_EXTENDS_H
#define BOTTLER_SPEC_EXTENDS_H

#include "spec/arena.h"
#include "spec/fields.h"
#include "spec/yaml.h"

enum { EXTENDS_MAX_DEPTH = 8 };

enum extends_state {
    EXTENDS_NONE,      /* no `extends`, or one that isn't a name (the parser reports that) */
    EXTENDS_OK,        /* `parent` is set */
    EXTENDS_MISSING,   /* no bottle of that name */
    EXTENDS_AMBIGUOUS, /* more than one of that name */
    EXTENDS_CIRCLE,    /* this one is part of a circle; `parent` is set */
};

/* One bottle of the set. The caller fills the first part; extends_resolve() the second. */
struct extends_entry {
    const char *name;
    const struct yaml_node *root;
    bool ambiguous; /* another entry has the same name */

    enum extends_state state;
    const char *wanted; /* what `extends` says; NULL without */
    const struct yaml_node *at;
    size_t parent;  /* index of the entry it extends */
    unsigned depth; /* ancestors, counted up to and including a broken one */
};

/* `entries` are sorted by name. */
void extends_resolve(struct extends_entry *entries, size_t n);
/* "a -> b -> a", from `i` on. */
void extends_chain(const struct extends_entry *entries, size_t i, struct str *out);
/* The tree of a child with what it inherits. New nodes come from `arena`; others are shared. */
const struct yaml_node *extends_merge(struct arena *arena, const struct yaml_node *parent,
                                      const struct yaml_node *child);

#endif
