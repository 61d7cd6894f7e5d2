/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/duration.h"

#include "spec/base/num.h"

#include <string.h>

/* Seconds; 0: it is no unit. */
static int64_t unit_of(const char *text)
{
    static const struct {
        const char *name;
        int64_t s;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (strcmp(units[i].name, text) == 0)
            return units[i].s;
    }
    return 0;
}

static bool in_units(struct sv digits, int64_t unit, int64_t min_s, int64_t max_s, int64_t *ret_s)
{
    int64_t count = 0;
    int64_t s = 0;
    if (!num_parse(digits, 0, INT64_MAX, &count) || ckd_mul_i64(count, unit, &s) || s < min_s ||
        s > max_s)
        return false;
    *ret_s = s;
    return true;
}

bool duration_parse(const char *text, int64_t min_s, int64_t max_s, int64_t *ret_s)
{
    size_t n = strspn(text, "0123456789");
    int64_t unit = strcmp(text, "0") == 0 ? 1 : unit_of(text + n);
    return unit && in_units((struct sv){text, n}, unit, min_s, max_s, ret_s);
}

bool timeout_parse(const char *text, int64_t min_s, int64_t max_s, int64_t *ret_s)
{
    return duration_parse(text, min_s, max_s, ret_s) ||
           in_units(sv_of(text), 1, min_s, max_s, ret_s);
}
