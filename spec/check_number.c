/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/check.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "spec/diag.h"

#include <string.h>
#include <time.h>

#define MEMORY_MIN (INT64_C(6) << 20) /* the engine refuses less */
#define MEMORY_MAX (INT64_C(16) << 40)
#define NANO INT64_C(1000000000)
#define CPUS_MIN (NANO / 100)
#define CPUS_MAX (1024 * NANO)
#define MINUTE INT64_C(60)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define DURATION_MAX (30 * DAY)

/* The digits at the start of `text`; false when there are none or they are too large. */
static bool leading_number(const char **text, int64_t *ret)
{
    size_t n = strspn(*text, "0123456789");
    if (!num_parse((struct sv){*text, n}, 0, INT64_MAX, ret))
        return false;
    *text += n;
    return true;
}

static bool unit_factor(const char *unit, int64_t *ret)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {
        {"", 1},
        {"k", INT64_C(1000)},
        {"M", INT64_C(1000000)},
        {"G", INT64_C(1000000000)},
        {"T", INT64_C(1000000000000)},
        {"Ki", INT64_C(1) << 10},
        {"Mi", INT64_C(1) << 20},
        {"Gi", INT64_C(1) << 30},
        {"Ti", INT64_C(1) << 40},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].unit) == 0) {
            *ret = units[i].factor;
            return true;
        }
    }
    return false;
}

bool check_memory(const char *text, struct str *why, int64_t *ret)
{
    static const char what[] = "an amount of memory such as 2Gi, 512Mi, 500M or a number of bytes";
    const char *p = text;
    int64_t n = 0;
    int64_t factor = 1;
    if (!leading_number(&p, &n) || !unit_factor(p, &factor))
        return check_refuse(why, text, what);
    int64_t bytes = 0;
    if (ckd_mul_i64(n, factor, &bytes) || bytes < MEMORY_MIN || bytes > MEMORY_MAX)
        return check_refuse_detail(why, text, what, "it must be from 6Mi to 16Ti");
    *ret = bytes;
    return true;
}

bool check_cpus(const char *text, struct str *why, int64_t *ret)
{
    static const char what[] = "a number of CPUs such as 2 or 1.5";
    static const char range[] = "it must be from 0.01 to 1024";
    const char *p = text;
    int64_t whole = 0;
    int64_t nano = 0;
    if (!leading_number(&p, &whole))
        return check_refuse(why, text, what);
    if (whole > CPUS_MAX / NANO)
        return check_refuse_detail(why, text, what, range);
    if (*p == '.') {
        p++;
        size_t n = strspn(p, "0123456789");
        if (n == 0 || n > 9)
            return check_refuse_detail(why, text, what, "with 1 to 9 digits after the point");
        for (size_t i = 0; i < 9; i++)
            nano = nano * 10 + (i < n ? p[i] - '0' : 0);
        p += n;
    }
    if (*p)
        return check_refuse(why, text, what);
    nano += whole * NANO;
    if (nano < CPUS_MIN || nano > CPUS_MAX)
        return check_refuse_detail(why, text, what, range);
    *ret = nano;
    return true;
}

bool check_mode(const char *text, struct str *why, int64_t *ret)
{
    if (strlen(text) != 4 || text[0] != '0' || !num_parse_base(sv_of(text), 8, 0777, ret))
        return check_refuse(why, text, "permission bits as four octal digits, such as \"0644\"");
    return true;
}

/* Two or four digits at `p`, in min..max. */
static bool digits_at(const char *p, size_t n, int64_t max, int *ret)
{
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (p[i] - '0');
    }
    *ret = v;
    return v <= max;
}

static bool is_shape(const char *text, const char *shape)
{
    if (strlen(text) != strlen(shape))
        return false;
    for (; *text; text++, shape++) {
        bool digit = *text >= '0' && *text <= '9';
        if (*shape == '0' ? !digit : *text != *shape)
            return false;
    }
    return true;
}

bool check_time(const char *text, struct str *why, int64_t *ret)
{
    static const char what[] = "a time in UTC such as 2026-12-01T00:00:00Z";
    struct tm tm = {0};
    int year = 0;
    int month = 0;
    if (!is_shape(text, "0000-00-00T00:00:00Z") || !digits_at(text, 4, 9999, &year) ||
        !digits_at(text + 5, 2, 12, &month) || !digits_at(text + 8, 2, 31, &tm.tm_mday) ||
        !digits_at(text + 11, 2, 23, &tm.tm_hour) || !digits_at(text + 14, 2, 59, &tm.tm_min) ||
        !digits_at(text + 17, 2, 59, &tm.tm_sec))
        return check_refuse(why, text, what);
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    struct tm asked = tm;
    int64_t at = timegm(&tm);
    /* timegm() turns the 31st of a short month into the next one's first: no such day. */
    if (year < 1970 || month == 0 || asked.tm_mday == 0 || tm.tm_mday != asked.tm_mday ||
        tm.tm_mon != asked.tm_mon)
        return check_refuse_detail(why, text, what, "there is no such day");
    *ret = at;
    return true;
}

bool check_duration(const char *text, struct str *why, int64_t *ret)
{
    static const char what[] = "a duration such as 30m, 4h or 2d";
    const char *p = text;
    int64_t n = 0;
    if (!leading_number(&p, &n) || !*p || p[1] || !strchr("mhd", *p))
        return check_refuse(why, text, what);
    int64_t seconds = 0;
    int64_t unit = *p == 'm' ? MINUTE : *p == 'h' ? HOUR : DAY;
    if (ckd_mul_i64(n, unit, &seconds) || seconds < MINUTE || seconds > DURATION_MAX)
        return check_refuse_detail(why, text, what, "it must be from 1m to 30d");
    *ret = seconds;
    return true;
}

bool check_window(const char *text, struct str *why, int *ret_from_min, int *ret_to_min)
{
    static const char what[] = "a time of day from-to in UTC such as 22:00-06:00";
    int hour[2] = {0};
    int minute[2] = {0};
    if (!is_shape(text, "00:00-00:00"))
        return check_refuse(why, text, what);
    for (size_t i = 0; i < 2; i++) {
        const char *p = text + 6 * i;
        if (!digits_at(p, 2, 23, &hour[i]) || !digits_at(p + 3, 2, 59, &minute[i]))
            return check_refuse_detail(why, text, what, "a day is from 00:00 to 23:59");
    }
    int from = hour[0] * 60 + minute[0];
    int to = hour[1] * 60 + minute[1];
    if (from == to)
        return check_refuse_detail(why, text, what, "it is empty");
    *ret_from_min = from;
    *ret_to_min = to;
    return true;
}
