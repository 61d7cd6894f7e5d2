/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/update_gate.h"

#include "reconcile/clock.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MINUTE_S = 60, DAY_S = 24 * 60 * 60 };

/* Seconds since midnight, UTC; also before 1970. */
static int64_t second_of_day(int64_t now_s)
{
    return ((now_s % DAY_S) + DAY_S) % DAY_S;
}

static bool in_window(const struct update_spec *u, int64_t now_s)
{
    int64_t at = second_of_day(now_s);
    bool begun = at >= (int64_t)u->from_min * MINUTE_S;
    bool over = at >= (int64_t)u->to_min * MINUTE_S;
    return u->from_min < u->to_min ? begun && !over : begun || !over;
}

static int64_t window_opens_s(const struct update_spec *u, int64_t now_s)
{
    int64_t at = second_of_day(now_s);
    int64_t opens = (int64_t)u->from_min * MINUTE_S;
    return now_s - at + opens + (opens <= at ? DAY_S : 0);
}

/* The moment from which on it doesn't wait any more; INT64_MAX: never. */
static int64_t forced_s(const struct update_gate_in *in)
{
    int64_t at = 0;
    if (!in->spec->deadline_s || ckd_add_i64(in->pending_since_s, in->spec->deadline_s, &at))
        return INT64_MAX;
    return at;
}

static char *window_text(const struct update_spec *u)
{
    return xasprintf("%02d:%02d-%02d:%02d UTC", u->from_min / 60, u->from_min % 60, u->to_min / 60,
                     u->to_min % 60);
}

static void may(struct update_gate *ret, char *text_take)
{
    *ret = (struct update_gate){.may = true, .text = text_take};
}

static void wait_until(const struct update_gate_in *in, const char *what, int64_t look_s,
                       struct update_gate *ret)
{
    int64_t forced = forced_s(in);
    char at[CLOCK_TEXT];
    clock_format(forced == INT64_MAX ? 0 : forced, at);
    ret->may = false;
    ret->text = xasprintf("waiting for %s, %s%s", what,
                          forced == INT64_MAX ? "without a deadline" : "forced at ",
                          forced == INT64_MAX ? "" : at);
    ret->next_look_s = look_s < forced ? look_s : forced;
}

static void gate_idle(const struct update_gate_in *in, struct update_gate *ret)
{
    if (activity_idle(in->activity)) {
        may(ret, xstrdup("the agent is idle"));
        return;
    }
    AUTO_FREE char *busy = activity_text(in->activity);
    AUTO_FREE char *what = xasprintf("idle (%s)", busy);
    wait_until(in, what, in->now_s + UPDATE_GATE_LOOK_S, ret);
}

static void gate_window(const struct update_gate_in *in, struct update_gate *ret)
{
    AUTO_FREE char *window = window_text(in->spec);
    if (in_window(in->spec, in->now_s)) {
        may(ret, xasprintf("within its window (%s)", window));
        return;
    }
    int64_t opens = window_opens_s(in->spec, in->now_s);
    char at[CLOCK_TEXT];
    clock_format(opens, at);
    AUTO_FREE char *what = xasprintf("its window (%s, next at %s)", window, at);
    wait_until(in, what, opens, ret);
}

void update_gate(const struct update_gate_in *in, struct update_gate *ret)
{
    if (in->spec->when == UPDATE_NOW) {
        may(ret, xstrdup("at once"));
    } else if (in->now_s >= forced_s(in)) {
        char at[CLOCK_TEXT];
        clock_format(in->pending_since_s, at);
        may(ret, xasprintf("forced: it has waited since %s", at));
    } else if (in->spec->when == UPDATE_IDLE) {
        gate_idle(in, ret);
    } else {
        gate_window(in, ret);
    }
}

void update_gate_done(struct update_gate *g)
{
    free(g->text);
    *g = (struct update_gate){0};
}
