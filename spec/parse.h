/* SPDX-License-Identifier: Apache-2.0 */
/* From a tree to a typed object, led by the field table. Reports everything that is wrong. */
#ifndef BOTTLER_SPEC_PARSE_H
#define BOTTLER_SPEC_PARSE_H

#include "spec/check.h"
#include "spec/defaults.h"
#include "spec/diag.h"
#include "spec/fields.h"
#include "spec/yaml.h"

struct parse_ctx {
    const struct field_table *table;
    struct diag_sink sink;
    struct str at;                   /* path of the object being read, as in the table */
    struct str shown;                /* the same with indexes and keys, for messages */
    bool partial;                    /* what FIELD_REQUIRED_WHOLE asks for may be missing */
    const struct defaults *defaults; /* what absent fields are; NULL: as the table says */
    bool extends;                    /* the tree has inherited something, or will */
};

void parse_ctx_init(struct parse_ctx *c, const struct field_table *t, struct diag_sink sink);
void parse_ctx_done(struct parse_ctx *c);

/* Fills `base` (a zeroed struct bottle or struct grant) from `root`. Whatever was allocated hangs
 * off `base`, also after errors; c->sink.failed says whether there were any. */
void parse_document(struct parse_ctx *c, const struct yaml_node *root, void *base);

/* Only reports the keys of `root` that the top of a document can't have. */
void parse_keys(struct parse_ctx *c, const struct yaml_node *root);

/* Reports at `node` (or, for NULL, nowhere) on the field at c->shown. */
void parse_error(struct parse_ctx *c, const struct yaml_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same on the field `key` of the object at c->shown. */
void parse_error_in(struct parse_ctx *c, const struct yaml_node *node, const char *key,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same on item `index` of the list `list`, and its field `key` when that isn't NULL. */
struct parse_item {
    const char *list;
    size_t index;
    const char *key;
};
void parse_error_item(struct parse_ctx *c, const struct yaml_node *node, struct parse_item item,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* validate.c: rules between the fields of one object, run after they were read. `base` is that of
 * the struct the object is stored in; members may be unset after errors. */
void validate_object(struct parse_ctx *c, const struct yaml_node *node, void *base);
/* policy.c: the same for a policy, whose objects are all in one struct. */
void policy_validate(struct parse_ctx *c, const struct yaml_node *node, void *base);

/* The check of one kind of scalar; NULL: it has none of this sort. */
check_text_fn *field_text_check(enum field_kind kind);
check_number_fn *field_number_check(enum field_kind kind);

#endif
