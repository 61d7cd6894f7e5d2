/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a manifest as one short line, for the list of changes. */
#ifndef BOTTLER_SPEC_CHANGE_TEXT_H
#define BOTTLER_SPEC_CHANGE_TEXT_H

#include "spec/fields.h"
#include "spec/yaml.h"

enum { CHANGE_TEXT_MAX = 160 };

/* The value of a scalar in its normal form, for comparing; owned by the caller. For a NULL node
 * that of `def`, and NULL when that is NULL too. */
char *field_normal(const struct field *f, const struct yaml_node *n, const char *def);
/* A node as people read it: at most CHANGE_TEXT_MAX bytes, then "...". `at` is the path of `f`.
 * Owned by the caller. NULL for no node, or for a list with nothing in it. */
char *change_text(const struct field *f, const char *at, const struct yaml_node *n);
/* Both sides of a scalar or of a list of words, neither NULL nor empty: from where they differ when
 * they are long. A text of lines (FIELD_CONTENT) is its length and the first line that differs. */
void change_text_pair(const struct field *f, const struct yaml_node *a, const struct yaml_node *b,
                      char **ret_old, char **ret_new);

#endif
