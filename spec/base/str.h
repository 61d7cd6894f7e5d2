/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct str: a bounded string builder. Going over `max`, or over memory, is remembered: later
 * appends do nothing and str_failed() says so, so one check at the end is enough.
 * Invariant: `p` is never NULL after str_init() and is always NUL-terminated at p[len].
 *
 * struct sv: a view of bytes owned by somebody else; may hold NUL bytes.
 */
#ifndef BOTTLER_SPEC_BASE_STR_H
#define BOTTLER_SPEC_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    char *p;
    size_t len;
    size_t cap;
    size_t max; /* most bytes, without the NUL */
    bool failed;
};

struct sv {
    const char *p;
    size_t n;
};

void str_init(struct str *s, size_t max);
/* Frees; the object can be initialised again. A zeroed object is fine. */
void str_done(struct str *s);
/* Empties, keeps the memory, forgets a failure. */
void str_clear(struct str *s);
bool str_failed(const struct str *s);
/* Gives the NUL-terminated text to the caller (free()) and leaves `s` done. NULL if it failed. */
char *str_take(struct str *s) __attribute__((warn_unused_result));

void str_add(struct str *s, const char *text);
void str_addn(struct str *s, const void *bytes, size_t n);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Percent-encoded for a URL; the characters of `also_plain` ("/:" in a path) stay as they are. */
void str_add_url(struct str *s, struct sv text, const char *also_plain);

struct sv sv_of(const char *s);
bool sv_eq(struct sv a, const char *b);
bool sv_has_nul(struct sv a);

/* The first byte of the UTF-8 character that `at` lies in, so that a cut there halves none. */
size_t str_char_start(const char *text, size_t at);

/* The list of strings used all over the manifest. Zeroed = empty. Owns its items. */
struct str_list {
    char **items;
    size_t len;
};
void str_list_add(struct str_list *l, const char *s);
void str_list_add_take(struct str_list *l, char *s_take);
void str_list_done(struct str_list *l);
bool str_list_has(const struct str_list *l, const char *s);
/* strcmp order, duplicates dropped. */
void str_list_sort_unique(struct str_list *l);

/* Edit distance (insert, delete, replace, swap of neighbours), at most `cap`; for "did you mean".
 */
unsigned str_distance(const char *a, const char *b, unsigned cap);
/* ASCII only, in place; independent of the locale. */
void str_lower(char *s);
bool str_is_hex(const char *s, size_t n);
/* Writes 2n lower-case digits and a NUL. */
void str_hex(const uint8_t *bytes, size_t n, char *ret_hex);

#endif
