/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on in a bottle, from the egress proxy's log and the engine's answers, and lies. */
#include "reconcile/activity.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

#define SINCE "\"since\":\"2026-11-22T13:00:00.123Z\""
#define LINE(n) "{\"event\":\"activity\",\"in_flight\":" n "," SINCE "}"
#define ID_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID_B "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void says(const struct activity *a, const char *text)
{
    AUTO_FREE char *got = activity_text(a);
    assert_string_equal(got, text);
}

static void test_lines(void **state)
{
    (void)state;
    struct activity a = {0};
    assert_false(activity_idle(&a));
    says(&a, "it isn't known what is in flight");
    activity_log_line(&a, sv_of(LINE("0")));
    assert_true(a.known && a.in_flight == 0);
    assert_true(activity_idle(&a));
    says(&a, "nothing in flight");
    activity_log_line(&a, sv_of(LINE("1")));
    assert_false(activity_idle(&a));
    says(&a, "1 request in flight");
    activity_log_line(&a, sv_of("{\"event\": \"activity\", \"in_flight\": 12, " SINCE "}\r\n"));
    says(&a, "12 requests in flight");
    a.execs = 1;
    says(&a, "1 exec session, 12 requests in flight");
    activity_log_line(&a, sv_of(LINE("0")));
    assert_false(activity_idle(&a));
    says(&a, "1 exec session");
    a.execs = 2;
    a.known = false;
    says(&a, "2 exec sessions, it isn't known what is in flight");
}

static void test_lies(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "",
        "0",
        "null",
        "activity 0",
        LINE("0") " trailing",
        "[" LINE("0") "]",
        LINE("-1"),
        LINE("0.0"),
        LINE("\"0\""),
        LINE("true"),
        LINE("null"),
        LINE("65537"),
        LINE("99999999999999999999"),
        "{\"event\":\"activity\",\"in_flight\":0}",
        "{\"event\":\"activity\"," SINCE "}",
        "{\"event\":\"activity\",\"in_flight\":0,\"since\":\"now\"}",
        "{\"event\":\"activity\",\"in_flight\":0,\"since\":0}",
        "{\"event\":\"activity\",\"in_flight\":3,\"in_flight\":0," SINCE "}",
        "{\"event\":[\"activity\"],\"in_flight\":0," SINCE "}",
        "{\"event\":\"decision\",\"path\":\"{\\\"event\\\":\\\"activity\\\"}\",\"in_flight\":"
        "0," SINCE "}",
        "{\"event\":\"routes_loaded\",\"in_flight\":0," SINCE "}",
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        struct activity unknown = {0};
        struct activity busy = {.known = true, .in_flight = 7};
        activity_log_line(&unknown, sv_of(lies[i]));
        activity_log_line(&busy, sv_of(lies[i]));
        if (unknown.known || !busy.known || busy.in_flight != 7)
            fail_msg("%s", lies[i]);
    }
}

/* Every prefix of a line is no line, and one that is too long isn't either. */
static void test_cut(void **state)
{
    (void)state;
    static const char line[] = LINE("0");
    for (size_t n = 0; n < sizeof(line) - 1; n++) {
        struct activity a = {.known = true, .in_flight = 3};
        activity_log_line(&a, (struct sv){line, n});
        assert_int_equal(a.in_flight, 3);
    }
    struct activity a = {0};
    struct str padded;
    str_init(&padded, (size_t)2 * ACTIVITY_LINE_MAX);
    str_add(&padded, line);
    while (padded.len < ACTIVITY_LINE_MAX + 1)
        str_addc(&padded, ' ');
    activity_log_line(&a, (struct sv){padded.p, padded.len});
    assert_false(a.known);
    activity_log_line(&a, (struct sv){padded.p, ACTIVITY_LINE_MAX});
    assert_true(a.known);
    str_done(&padded);
}

static void test_exec(void **state)
{
    (void)state;
    struct activity a = {.known = true};
    assert_null(activity_exec(&a, sv_of("{\"ID\":\"" ID_A "\",\"Running\":false,\"ExitCode\":0}")));
    assert_true(activity_idle(&a));
    assert_null(activity_exec(&a, sv_of("{\"ID\":\"" ID_A "\",\"Running\":true,\"Pid\":7}")));
    assert_null(activity_exec(&a, sv_of("{\"Running\":true}")));
    assert_int_equal(a.execs, 2);
    assert_false(activity_idle(&a));
    says(&a, "2 exec sessions");
    static const char *const bad[] = {
        "", "{}", "{\"Running\":\"false\"}", "{\"Running\":0}", "[]", "{\"Running\":false"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct activity idle = {.known = true};
        AUTO_ERR e = activity_exec(&idle, sv_of(bad[i]));
        if (!e || idle.known || activity_idle(&idle))
            fail_msg("%s", bad[i]);
        assert_int_equal(err_kind(e), ERR_UNAVAILABLE);
    }
}

static void test_exec_ids(void **state)
{
    (void)state;
    struct str_list ids = {0};
    assert_null(activity_exec_ids(sv_of("{\"Id\":\"x\",\"ExecIDs\":null}"), &ids));
    assert_null(activity_exec_ids(sv_of("{\"ExecIDs\":[]}"), &ids));
    assert_int_equal(ids.len, 0);
    assert_null(activity_exec_ids(sv_of("{\"ExecIDs\":[\"" ID_A "\",\"" ID_B "\"]}"), &ids));
    assert_int_equal(ids.len, 2);
    assert_string_equal(ids.items[0], ID_A);
    assert_string_equal(ids.items[1], ID_B);
    /* What isn't there isn't "none"; what isn't an id must not get into the path of a request. */
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"ExecIDs\":{}}",
        "{\"ExecIDs\":\"" ID_A "\"}",
        "{\"ExecIDs\":[null]}",
        "{\"ExecIDs\":[\"\"]}",
        "{\"ExecIDs\":[\"../../containers/x\"]}",
        "{\"ExecIDs\":[\"" ID_A "\",\"" ID_A "0\"]}",
        "{\"ExecIDs\":[\"" ID_A "\",7]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        AUTO_ERR e = activity_exec_ids(sv_of(bad[i]), &ids);
        if (!e || ids.len != 2)
            fail_msg("%s", bad[i]);
    }
    struct str many;
    str_init(&many, (size_t)1 << 20);
    str_add(&many, "{\"ExecIDs\":[\"" ID_A "\"");
    for (int i = 0; i < ACTIVITY_EXECS_MAX; i++)
        str_add(&many, ",\"" ID_B "\"");
    str_add(&many, "]}");
    AUTO_ERR e = activity_exec_ids((struct sv){many.p, many.len}, &ids);
    assert_non_null(e);
    assert_string_equal(err_message(e), "1025 exec sessions, at most 1024 are looked at");
    assert_int_equal(ids.len, 2);
    str_done(&many);
    str_list_done(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_lies),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_exec),  cmocka_unit_test(test_exec_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
