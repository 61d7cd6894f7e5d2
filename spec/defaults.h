/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The defaults that a bottle was accepted with. A later bottler may have others: they are for new
 * bottles; what stands keeps its own, so that an upgrade changes none.
 */
#ifndef BOTTLER_SPEC_DEFAULTS_H
#define BOTTLER_SPEC_DEFAULTS_H

#include "spec/fields.h"

enum { DEFAULTS_MAX_BYTES = 256 * 1024 };

/* Today's: a JSON object on one line from every field that holds a value to its default as it would
 * be written, null for none. Sorted; the same in every run of one build. Owned by the caller. */
char *defaults_text(void) __attribute__((returns_nonnull, warn_unused_result));

struct defaults;
/* INVALID when `text` is none that defaults_text() could have made. */
struct err *defaults_parse(const char *text, struct defaults **ret) ERR_NODISCARD;
struct defaults *defaults_free(struct defaults *d);
/* What an absent field is; NULL: nothing. A field that `d` doesn't know, because it is newer, has
 * today's default, and so has every field when `d` is NULL. Borrowed. */
const char *defaults_get(const struct defaults *d, const struct field *f);
/* The text of `d` with today's defaults of the fields that it doesn't know, which from then on are
 * pinned too; NULL: it knows them all. Owned by the caller. */
char *defaults_completed(const struct defaults *d);

#endif
