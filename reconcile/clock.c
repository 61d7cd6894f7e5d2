/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/clock.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool digits(const char **p, size_t n, char end, int64_t max, int64_t *ret)
{
    if (strnlen(*p, n) < n || !num_parse_base((struct sv){*p, n}, 10, max, ret))
        return false;
    *p += n;
    if (!end)
        return true;
    return *(*p)++ == end;
}

static bool fraction(const char **p, uint32_t *ret_ns)
{
    uint32_t ns = 0;
    uint32_t unit = 100000000;
    size_t n = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++, n++) {
        ns += (uint32_t)(**p - '0') * unit;
        unit /= 10;
    }
    *ret_ns = ns;
    return n > 0 && n <= 9;
}

static bool zone(const char *p, int64_t *ret_offset_s)
{
    if (strcmp(p, "Z") == 0 || strcmp(p, "z") == 0) {
        *ret_offset_s = 0;
        return true;
    }
    int64_t sign = *p == '-' ? -1 : 1;
    int64_t h = 0;
    int64_t m = 0;
    if (*p != '+' && *p != '-')
        return false;
    p++;
    if (!digits(&p, 2, ':', 23, &h) || !digits(&p, 2, '\0', 59, &m) || *p)
        return false;
    *ret_offset_s = sign * (h * 3600 + m * 60);
    return true;
}

bool clock_parse(const char *text, int64_t *ret_s, uint32_t *ret_ns)
{
    const char *p = text;
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    int64_t hour = 0;
    int64_t min = 0;
    int64_t sec = 0;
    if (!digits(&p, 4, '-', 9999, &year) || !digits(&p, 2, '-', 12, &month) ||
        !digits(&p, 2, '\0', 31, &day) || (*p != 'T' && *p != 't'))
        return false;
    p++;
    if (!digits(&p, 2, ':', 23, &hour) || !digits(&p, 2, ':', 59, &min) ||
        !digits(&p, 2, '\0', 60, &sec))
        return false;
    uint32_t ns = 0;
    if (*p == '.') {
        p++;
        if (!fraction(&p, &ns))
            return false;
    }
    int64_t offset = 0;
    if (!zone(p, &offset) || !month || !day)
        return false;
    struct tm date = {.tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day};
    (void)timegm(&date); /* brings the 30th of February to March */
    if (date.tm_mday != (int)day)
        return false;
    struct tm tm = {.tm_year = (int)year - 1900,
                    .tm_mon = (int)month - 1,
                    .tm_mday = (int)day,
                    .tm_hour = (int)hour,
                    .tm_min = (int)min,
                    .tm_sec = (int)sec};
    *ret_s = (int64_t)timegm(&tm) - offset;
    *ret_ns = ns;
    return true;
}

char *clock_since(const char *rfc3339)
{
    int64_t s = 0;
    uint32_t ns = 0;
    if (!clock_parse(rfc3339, &s, &ns))
        return NULL;
    return xasprintf("%" PRId64 ".%09" PRIu32, s, ns);
}

void clock_format(int64_t unix_s, char ret[CLOCK_TEXT])
{
    time_t t = (time_t)unix_s;
    struct tm tm = {0};
    (void)gmtime_r(&t, &tm);
    (void)strftime(ret, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
