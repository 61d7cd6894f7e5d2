/* SPDX-License-Identifier: Apache-2.0 */
/* One text for all spellings of a manifest: keys sorted, no comments, no positions. */
#ifndef BOTTLER_SPEC_CANONICAL_H
#define BOTTLER_SPEC_CANONICAL_H

#include "spec/yaml.h"

/* The tree as JSON-like flow YAML on one line, without spec.extends (a merged tree needs no parent
 * any more). manifest_load() takes it. Bounded by the limits that the tree was read under. The
 * caller frees. */
char *canonical_text(const struct yaml_node *root)
    __attribute__((returns_nonnull, warn_unused_result));

#endif
