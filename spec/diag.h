/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting findings: where they go, how many a file may have, how a field's path is written. */
#ifndef BOTTLER_SPEC_DIAG_H
#define BOTTLER_SPEC_DIAG_H

#include "spec/manifest.h"

/* Where the findings of one document (or file) go. `used` counts those of the whole file: beyond
 * MANIFEST_MAX_ERRORS, each list gets one line that says so, and no more. */
struct diag_sink {
    struct diag_list *list;
    unsigned *used;
    bool failed; /* something was reported, shown or not */
};

/* `field` may be NULL. */
void diag_add(struct diag_sink *s, const char *file, struct src_pos pos, const char *field,
              char *message_take);
/* Moves all of `from` to the end of `to`. */
void diag_list_move(struct diag_list *to, struct diag_list *from);

enum { FIELD_PATH_MAX = 8 * 1024 };
/* "a" + key -> "a.key"; a long key, or one with other characters than [A-Za-z0-9_-] -> a['k.e/y'].
 * A path of MANIFEST_MAX_DEPTH keys always fits into FIELD_PATH_MAX. */
void field_path_add_key(struct str *path, const char *key);
void field_path_add_index(struct str *path, size_t index);
/* Cuts the path back to a length it had before. */
void field_path_cut(struct str *path, size_t len);

/* 'text' in quotes for a message, cut when long. Owned by the caller. */
char *diag_quote(const char *text) __attribute__((returns_nonnull, warn_unused_result));

#endif
