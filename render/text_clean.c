/* SPDX-License-Identifier: Apache-2.0 */
#include "render/text_clean.h"

#include "spec/base/xalloc.h"

#include <string.h>

/* The code point at `p`, and its length; length 0 when the bytes aren't UTF-8 in its shortest
 * form. */
static size_t decode(const unsigned char *p, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80             ? 1
                 : (p[0] & 0xe0) == 0xc0 ? 2
                 : (p[0] & 0xf0) == 0xe0 ? 3
                 : (p[0] & 0xf8) == 0xf0 ? 4
                                         : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = (c << 6) | (p[i] & 0x3fU);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return len;
}

/* What moves the cursor, can't be seen, or turns the order of other characters around. */
static bool is_unfit(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        {0, 0x1f},           /* C0 */
        {0x7f, 0x9f},        /* DEL, C1 */
        {0xad, 0xad},        /* soft hyphen */
        {0x61c, 0x61c},      /* Arabic letter mark */
        {0x180e, 0x180e},    /* Mongolian vowel separator */
        {0x200b, 0x200f},    /* zero widths, marks of direction */
        {0x2028, 0x202e},    /* separators of lines, directions */
        {0x2060, 0x206f},    /* joiners, isolates */
        {0xfe00, 0xfe0f},    /* variation selectors */
        {0xfeff, 0xfeff},    /* byte order mark */
        {0xfff9, 0xfffb},    /* annotations */
        {0xe0000, 0xe0fff},  /* tags */
        {0xf0000, 0x10ffff}, /* private use */
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (c >= ranges[i].from && c <= ranges[i].to)
            return true;
    }
    return false;
}

char *text_clean(struct sv text, size_t max)
{
    static const char CUT[] = "…";
    struct str out;
    str_init(&out, max * 8 + sizeof(CUT));
    const unsigned char *p = (const unsigned char *)text.p;
    size_t at = 0;
    while (at < text.n) {
        uint32_t c = 0;
        size_t len = decode(p + at, text.n - at, &c);
        if (at + (len ? len : 1) > max) {
            str_add(&out, CUT);
            break;
        }
        if (len == 0)
            str_addf(&out, "\\x%02x", p[at]);
        else if (is_unfit(c))
            str_addf(&out, c < 0x100 ? "\\x%02x" : "\\u{%x}", c);
        else
            str_addn(&out, p + at, len);
        at += len ? len : 1;
    }
    return XNN(str_take(&out));
}
