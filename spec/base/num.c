/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/base/num.h"

#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool digits(struct sv text, unsigned base, bool negative, int64_t *ret)
{
    int64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        int d = digit(text.p[i]);
        if (d < 0 || (unsigned)d >= base)
            return false;
        if (ckd_mul_i64(v, base, &v) || ckd_add_i64(v, negative ? -d : d, &v))
            return false;
    }
    *ret = v;
    return text.n > 0;
}

bool num_parse(struct sv text, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = text.n > 1 && text.p[0] == '-';
    struct sv rest = negative ? (struct sv){text.p + 1, text.n - 1} : text;
    if (rest.n > 1 && rest.p[0] == '0')
        return false;
    int64_t v = 0;
    if (!digits(rest, 10, negative, &v) || v < min || v > max)
        return false;
    *ret = v;
    return true;
}

bool num_parse_base(struct sv text, unsigned base, int64_t max, int64_t *ret)
{
    int64_t v = 0;
    if (!digits(text, base, false, &v) || v > max)
        return false;
    *ret = v;
    return true;
}

static bool octet(struct sv *text, uint32_t *ret)
{
    size_t n = 0;
    while (n < text->n && text->p[n] >= '0' && text->p[n] <= '9')
        n++;
    int64_t v = 0;
    if (n > 3 || !num_parse((struct sv){text->p, n}, 0, 255, &v))
        return false;
    *ret = (uint32_t)v;
    text->p += n;
    text->n -= n;
    return true;
}

bool num_parse_ipv4(struct sv text, uint32_t *ret_addr, unsigned *ret_bits)
{
    uint32_t addr = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t v = 0;
        if (i > 0) {
            if (!text.n || text.p[0] != '.')
                return false;
            text.p++;
            text.n--;
        }
        if (!octet(&text, &v))
            return false;
        addr = addr << 8 | v;
    }
    int64_t bits = 32;
    if (text.n) {
        if (text.p[0] != '/' || !num_parse((struct sv){text.p + 1, text.n - 1}, 0, 32, &bits))
            return false;
    }
    *ret_addr = addr;
    *ret_bits = (unsigned)bits;
    return true;
}
