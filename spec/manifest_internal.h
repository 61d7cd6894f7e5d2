/* SPDX-License-Identifier: Apache-2.0 */
/* Private to spec/manifest*.c. */
#ifndef BOTTLER_SPEC_MANIFEST_INTERNAL_H
#define BOTTLER_SPEC_MANIFEST_INTERNAL_H

#include "spec/manifest.h"
#include "spec/yaml.h"

/* A file while it is read. */
struct source {
    struct yaml_file yaml;
    const struct manifest_input *in;
    struct manifest_file *out;
};

/* A document that says what it is and what its name is. */
struct item {
    struct source *source;
    struct yaml_doc *doc;
    char *name; /* owned */
    const struct yaml_node *name_node;
    const struct yaml_node *tree; /* what it says after `extends` */
    char *also;                   /* where it is defined with less priority; owned, may be NULL */
    struct str_list also_files;
    bool duplicate;
    bool forbidden; /* by the rules, and else without fault */
    struct bottle *bottle;
    struct grant *grant;
};

struct item_list {
    struct item *items;
    size_t len;
};

__attribute__((format(printf, 5, 6))) void manifest_doc_error(struct source *s, struct yaml_doc *d,
                                                              struct src_pos pos, const char *field,
                                                              const char *fmt, ...);

/* Sorts by name. Of one name, only what comes from the source with the most priority stays in the
 * list, and is told where else it is; more than one of that source are duplicates of each other. */
void manifest_settle_names(struct item_list *l, const char *what);

#endif
