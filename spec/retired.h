/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the original system that are no more, and what to write instead. */
#ifndef BOTTLER_SPEC_RETIRED_H
#define BOTTLER_SPEC_RETIRED_H

#include <stddef.h>

struct retired_key {
    const char *parent; /* path of the object as in the field table, or "" at the top */
    const char *key;
    const char *instead; /* continues "…: no longer a field; " */
};
extern const struct retired_key retired_keys[]; /* sorted by parent, then key */
extern const size_t retired_keys_len;

/* What to write instead of `key` in the object at `parent`; NULL when it never was a key. */
const char *retired_hint(const char *parent, const char *key);

#endif
