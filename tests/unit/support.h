/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of all layers share. They run from the root of the source tree. */
#ifndef BOTTLER_TESTS_UNIT_SUPPORT_H
#define BOTTLER_TESTS_UNIT_SUPPORT_H

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/base/str.h"
#include "spec/manifest.h"

/* The bytes of a file, with a NUL after them that doesn't count; fails the test when there is none.
 * The caller frees ret->p through free((void *)...) or test_bytes_free(). */
struct test_bytes {
    char *p;
    size_t n;
};
struct test_bytes test_read_file(const char *path);
/* Writes a file; for regenerating golden files. */
void test_write_file(const char *path, const char *bytes, size_t n);
/* The names in a directory, sorted, without "." and "..". Fails the test when it can't be read. */
void test_list_dir(const char *path, struct str_list *ret);
bool test_ends_with(const char *text, const char *end);

/* manifest_load() on texts: path, text, path, text, …, NULL. */
struct manifest_set *test_load(const char *path, const char *text, ...) __attribute__((sentinel));
/* One valid bottle from one text; fails the test with the findings when it isn't one. The set owns
 * it. */
const struct bottle *test_bottle(const char *text, struct manifest_set **ret_set);
/* All findings of a set, one a line, each with a newline. The caller frees it. */
char *test_diags(const struct manifest_set *set);
/* Fails unless the findings are exactly these lines. */
void test_expect_diags(const struct manifest_set *set, const char *expected);

#endif
