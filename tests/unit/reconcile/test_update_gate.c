/* SPDX-License-Identifier: Apache-2.0 */
/* When an agent may be replaced: tables of times and doings. */
#include "reconcile/clock.h"
#include "reconcile/update_gate.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <inttypes.h>

#define HM(h, m) ((h)*60 + (m))
#define SINCE "2026-11-22T14:00:00Z"

struct row {
    struct update_spec spec;
    struct activity activity;
    const char *now;
    bool may;
    const char *text;
    const char *next; /* NULL where it may */
};

static int64_t at(const char *text)
{
    int64_t s = 0;
    uint32_t ns = 0;
    assert_true(clock_parse(text, &s, &ns));
    return s;
}

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        struct update_gate_in in = {&r->spec, &r->activity, at(SINCE), at(r->now)};
        struct update_gate got = {0};
        update_gate(&in, &got);
        char next[CLOCK_TEXT];
        clock_format(got.next_look_s, next);
        if (got.may != r->may || strcmp(got.text, r->text) != 0 ||
            strcmp(next, r->next ? r->next : "1970-01-01T00:00:00Z") != 0)
            fail_msg("row %zu: %s '%s' %s", i, got.may ? "may" : "waits", got.text, next);
        update_gate_done(&got);
        assert_null(got.text);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof(*(rows)))

static void test_now(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{.when = UPDATE_NOW}, {0}, SINCE, true, "at once", NULL},
        {{.when = UPDATE_NOW, .deadline_s = 60},
         {.known = true, .execs = 1, .in_flight = 1},
         "2026-11-23T14:00:00Z",
         true,
         "at once",
         NULL},
    };
    CHECK(rows);
}

static void test_idle(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{.when = UPDATE_IDLE}, {.known = true}, SINCE, true, "the agent is idle", NULL},
        {{.when = UPDATE_IDLE, .deadline_s = 4 * 3600},
         {.known = true, .execs = 2, .in_flight = 1},
         "2026-11-22T14:00:07Z",
         false,
         "waiting for idle (2 exec sessions, 1 request in flight), forced at 2026-11-22T18:00:00Z",
         "2026-11-22T14:00:12Z"},
        /* Not known is busy. */
        {{.when = UPDATE_IDLE, .deadline_s = 4 * 3600},
         {0},
         SINCE,
         false,
         "waiting for idle (it isn't known what is in flight), forced at 2026-11-22T18:00:00Z",
         "2026-11-22T14:00:05Z"},
        /* It ends at the deadline, not after the next look. */
        {{.when = UPDATE_IDLE, .deadline_s = 60},
         {.known = true, .in_flight = 1},
         "2026-11-22T14:00:58Z",
         false,
         "waiting for idle (1 request in flight), forced at 2026-11-22T14:01:00Z",
         "2026-11-22T14:01:00Z"},
        {{.when = UPDATE_IDLE, .deadline_s = 60},
         {.known = true, .in_flight = 1},
         "2026-11-22T14:01:00Z",
         true,
         "forced: it has waited since " SINCE,
         NULL},
        {{.when = UPDATE_IDLE, .deadline_s = 60},
         {0},
         "2026-11-25T00:00:00Z",
         true,
         "forced: it has waited since " SINCE,
         NULL},
        /* No deadline: for ever. */
        {{.when = UPDATE_IDLE},
         {.known = true, .in_flight = 3},
         "2036-11-22T14:00:00Z",
         false,
         "waiting for idle (3 requests in flight), without a deadline",
         "2036-11-22T14:00:05Z"},
        {{.when = UPDATE_IDLE, .deadline_s = INT64_MAX},
         {.known = true, .in_flight = 3},
         "2036-11-22T14:00:00Z",
         false,
         "waiting for idle (3 requests in flight), without a deadline",
         "2036-11-22T14:00:05Z"},
        /* A clock that was set back makes it wait longer, and says until when. */
        {{.when = UPDATE_IDLE, .deadline_s = 60},
         {.known = true, .execs = 1},
         "2026-11-21T14:00:00Z",
         false,
         "waiting for idle (1 exec session), forced at 2026-11-22T14:01:00Z",
         "2026-11-21T14:00:05Z"},
    };
    CHECK(rows);
}

#define NIGHT                                                                                      \
    {                                                                                              \
        .when = UPDATE_WINDOW, .from_min = HM(22, 0), .to_min = HM(6, 0)                           \
    }
#define NOON                                                                                       \
    {                                                                                              \
        .when = UPDATE_WINDOW, .from_min = HM(11, 30), .to_min = HM(12, 15)                        \
    }
#define NIGHT_1D                                                                                   \
    {                                                                                              \
        .when = UPDATE_WINDOW, .from_min = HM(22, 0), .to_min = HM(6, 0), .deadline_s = 7200       \
    }
#define IN_NIGHT "within its window (22:00-06:00 UTC)"
#define IN_NOON "within its window (11:30-12:15 UTC)"
#define FOR_NIGHT(day)                                                                             \
    "waiting for its window (22:00-06:00 UTC, next at 2026-11-" day                                \
    "T22:00:00Z), without a deadline"
#define FOR_NOON(day)                                                                              \
    "waiting for its window (11:30-12:15 UTC, next at 2026-11-" day                                \
    "T11:30:00Z), without a deadline"

static void test_window(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {NOON, {0}, "2026-11-23T11:29:59Z", false, FOR_NOON("23"), "2026-11-23T11:30:00Z"},
        {NOON, {0}, "2026-11-23T11:30:00Z", true, IN_NOON, NULL},
        {NOON, {0}, "2026-11-23T12:14:59Z", true, IN_NOON, NULL},
        {NOON, {0}, "2026-11-23T12:15:00Z", false, FOR_NOON("24"), "2026-11-24T11:30:00Z"},
        {NOON, {0}, "2026-11-23T00:00:00Z", false, FOR_NOON("23"), "2026-11-23T11:30:00Z"},
        {NOON, {0}, "2026-11-29T23:59:59Z", false, FOR_NOON("30"), "2026-11-30T11:30:00Z"},
        {NIGHT, {0}, "2026-11-22T21:59:59Z", false, FOR_NIGHT("22"), "2026-11-22T22:00:00Z"},
        {NIGHT, {0}, "2026-11-22T22:00:00Z", true, IN_NIGHT, NULL},
        {NIGHT, {0}, "2026-11-22T23:59:59Z", true, IN_NIGHT, NULL},
        {NIGHT, {0}, "2026-11-23T00:00:00Z", true, IN_NIGHT, NULL},
        {NIGHT, {0}, "2026-11-23T05:59:59Z", true, IN_NIGHT, NULL},
        {NIGHT, {0}, "2026-11-23T06:00:00Z", false, FOR_NIGHT("23"), "2026-11-23T22:00:00Z"},
        {NIGHT, {0}, "1969-12-31T23:00:00Z", true, IN_NIGHT, NULL},
        /* Ends or begins at midnight. */
        {{.when = UPDATE_WINDOW, .from_min = HM(23, 0), .to_min = 0},
         {0},
         "2026-11-22T23:59:59Z",
         true,
         "within its window (23:00-00:00 UTC)",
         NULL},
        {{.when = UPDATE_WINDOW, .from_min = HM(23, 0), .to_min = 0},
         {0},
         "2026-11-23T00:00:00Z",
         false,
         "waiting for its window (23:00-00:00 UTC, next at 2026-11-23T23:00:00Z), without a "
         "deadline",
         "2026-11-23T23:00:00Z"},
        {{.when = UPDATE_WINDOW, .from_min = 0, .to_min = 1},
         {0},
         "2026-11-23T00:00:59Z",
         true,
         "within its window (00:00-00:01 UTC)",
         NULL},
        /* The deadline comes before the window; busy or not doesn't count. */
        {NIGHT_1D,
         {.known = true, .execs = 1},
         "2026-11-22T15:00:00Z",
         false,
         "waiting for its window (22:00-06:00 UTC, next at 2026-11-22T22:00:00Z), forced at "
         "2026-11-22T16:00:00Z",
         "2026-11-22T16:00:00Z"},
        {NIGHT_1D,
         {.known = true, .execs = 1},
         "2026-11-22T16:00:00Z",
         true,
         "forced: it has waited since " SINCE,
         NULL},
    };
    CHECK(rows);
}

/* Minute by minute over two days: it may exactly in the window, and the next look is when it opens.
 */
static void test_minutes(void **state)
{
    (void)state;
    for (int from = 0; from < HM(24, 0); from += 97) {
        for (int to = 13; to < HM(24, 0); to += 131) {
            struct update_spec spec = {.when = UPDATE_WINDOW, .from_min = from, .to_min = to};
            if (from == to)
                continue;
            for (int m = 0; m < HM(48, 0); m += 7) {
                int of_day = m % HM(24, 0);
                int length = (to - from + HM(24, 0)) % HM(24, 0);
                int into = (of_day - from + HM(24, 0)) % HM(24, 0);
                struct update_gate got = {0};
                update_gate(&(struct update_gate_in){&spec, NULL, 0, (int64_t)m * 60}, &got);
                assert_int_equal(got.may, into < length);
                if (!got.may)
                    assert_true(got.next_look_s == (int64_t)(m + HM(24, 0) - into) * 60);
                update_gate_done(&got);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
