/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/base/str.h"

#include "spec/base/xalloc.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { STR_FIRST_CAP = 64, STR_DISTANCE_MAX_LEN = 64 };

void str_init(struct str *s, size_t max)
{
    *s = (struct str){.p = xcalloc(1, STR_FIRST_CAP), .cap = STR_FIRST_CAP, .max = max};
}

void str_done(struct str *s)
{
    free(s->p);
    *s = (struct str){0};
}

void str_clear(struct str *s)
{
    s->len = 0;
    s->failed = false;
    s->p[0] = '\0';
}

bool str_failed(const struct str *s)
{
    return s->failed;
}

char *str_take(struct str *s)
{
    char *p = NULL;
    if (!s->failed)
        p = TAKE_PTR(s->p);
    str_done(s);
    return p;
}

static bool reserve(struct str *s, size_t n)
{
    assert(s->p);
    if (s->failed || n > s->max || s->len > s->max - n) {
        s->failed = true;
        return false;
    }
    size_t need = s->len + n + 1;
    if (need > s->cap) {
        size_t cap = s->cap;
        while (cap < need)
            cap *= 2;
        s->p = xreallocarray(s->p, cap, 1);
        s->cap = cap;
    }
    return true;
}

void str_addn(struct str *s, const void *bytes, size_t n)
{
    if (!reserve(s, n))
        return;
    if (n)
        memcpy(s->p + s->len, bytes, n);
    s->len += n;
    s->p[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
    str_addn(s, text, strlen(text));
}

void str_addc(struct str *s, char c)
{
    str_addn(s, &c, 1);
}

void str_addf(struct str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    va_end(ap);
    str_add(s, text);
}

void str_add_url(struct str *s, struct sv text, const char *also_plain)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && (strchr("-._~", c) || strchr(also_plain, c)));
        if (plain)
            str_addc(s, (char)c);
        else
            str_addf(s, "%%%02X", c);
    }
}

struct sv sv_of(const char *s)
{
    return (struct sv){.p = s, .n = strlen(s)};
}

bool sv_eq(struct sv a, const char *b)
{
    size_t n = strlen(b);
    return a.n == n && (n == 0 || memcmp(a.p, b, n) == 0);
}

bool sv_has_nul(struct sv a)
{
    return a.n && memchr(a.p, '\0', a.n) != NULL;
}

size_t str_char_start(const char *text, size_t at)
{
    while (at && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

void str_list_add_take(struct str_list *l, char *s_take)
{
    l->items = xreallocarray(l->items, l->len + 1, sizeof(*l->items));
    l->items[l->len++] = s_take;
}

void str_list_add(struct str_list *l, const char *s)
{
    str_list_add_take(l, xstrdup(s));
}

void str_list_done(struct str_list *l)
{
    for (size_t i = 0; i < l->len; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct str_list){0};
}

bool str_list_has(const struct str_list *l, const char *s)
{
    for (size_t i = 0; i < l->len; i++) {
        if (strcmp(l->items[i], s) == 0)
            return true;
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

void str_list_sort_unique(struct str_list *l)
{
    if (l->len < 2)
        return;
    qsort(l->items, l->len, sizeof(*l->items), by_text);
    size_t kept = 1;
    for (size_t i = 1; i < l->len; i++) {
        if (strcmp(l->items[i], l->items[kept - 1]) == 0)
            free(l->items[i]);
        else
            l->items[kept++] = l->items[i];
    }
    l->len = kept;
}

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned str_distance(const char *a, const char *b, unsigned cap)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);
    if (la > STR_DISTANCE_MAX_LEN || lb > STR_DISTANCE_MAX_LEN)
        return cap;
    unsigned rows[3][STR_DISTANCE_MAX_LEN + 1] = {{0}};
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *cur = rows[i % 3];
        const unsigned *prev = rows[(i + 2) % 3];
        const unsigned *prev2 = rows[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = min2(prev[j] + 1, cur[j - 1] + 1);
            best = min2(best, prev[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = min2(best, prev2[j - 2] + 1);
            cur[j] = best;
        }
    }
    return min2(rows[la % 3][lb], cap);
}

void str_lower(char *s)
{
    for (; *s; s++) {
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s - 'A' + 'a');
    }
}

bool str_is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
    }
    return true;
}

void str_hex(const uint8_t *bytes, size_t n, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret_hex[2 * i] = digits[bytes[i] >> 4];
        ret_hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_hex[2 * n] = '\0';
}
