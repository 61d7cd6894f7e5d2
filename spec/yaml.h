/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML 1.2 (core schema) to a tree in which every node knows where it was written. Limits are
 * checked before memory is taken; anchors, aliases, foreign tags, merge keys, duplicate keys and
 * keys that aren't strings are findings of their document, which is read to its end all the same.
 */
#ifndef BOTTLER_SPEC_YAML_H
#define BOTTLER_SPEC_YAML_H

#include "spec/arena.h"
#include "spec/diag.h"

enum yaml_kind {
    YAML_BAD, /* something refused stood here and was reported; say nothing more about it */
    YAML_NULL,
    YAML_BOOL,
    YAML_INT,
    YAML_FLOAT,
    YAML_STRING,
    YAML_SEQ,
    YAML_MAP,
};

struct yaml_node;
struct yaml_pair {
    const char *key; /* NULL in a sequence */
    struct src_pos key_pos;
    struct yaml_node *value;
};

struct yaml_node {
    enum yaml_kind kind;
    bool boolean;    /* YAML_BOOL */
    bool duplicates; /* YAML_MAP: has a key twice (reported) */
    const char *file;
    struct src_pos pos;
    const char *text;        /* scalars, as written but unquoted; UTF-8 without NUL */
    int64_t integer;         /* YAML_INT */
    struct yaml_pair *pairs; /* YAML_SEQ, YAML_MAP, in order */
    size_t len;
};

struct yaml_doc {
    struct yaml_node *root; /* NULL: nothing in it */
    struct src_pos pos;
    struct diag_list diags;
    bool failed;
};

struct yaml_file {
    const char *path;
    struct arena arena;
    struct yaml_doc *docs;
    size_t len;
    struct diag_list diags; /* of the file */
    unsigned used;          /* findings so far, see struct diag_sink */
    bool ok;                /* false: not YAML or over a limit; then there are no docs */
};

/* `path` is borrowed for the life of `f`, `bytes` for the call. */
void yaml_file_parse(struct yaml_file *f, const char *path, struct sv bytes);
void yaml_file_done(struct yaml_file *f);

/* The first value under `key`, or NULL. NULL for what isn't a map, or is NULL. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
const struct yaml_pair *yaml_get_pair(const struct yaml_node *map, const char *key);
/* The node at a path such as "spec.agent.mounts[1].source" (plain keys only), or the nearest one
 * above it that is there; `root` itself at worst. */
const struct yaml_node *yaml_nearest(const struct yaml_node *root, const char *path)
    __attribute__((returns_nonnull));
/* "a string", "a number", "a map": what a node is, without what it says. */
const char *yaml_kind_name(enum yaml_kind kind);
/* "the string 'x'", "the number '5'", "a map"…: what a node is, for a message. Owned by the caller.
 */
char *yaml_describe(const struct yaml_node *n) __attribute__((returns_nonnull, warn_unused_result));

/* Sets kind (and value) of a scalar by the core schema from n->text. */
void yaml_resolve_plain(struct yaml_node *n);

#endif
