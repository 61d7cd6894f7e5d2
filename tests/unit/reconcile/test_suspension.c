/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include "reconcile/suspension.h"
#include "spec/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

static void test_who_and_until_when(void **state)
{
    (void)state;
    struct suspension nobody = {0};
    struct suspension open = {.who = (char[]){"ada"}, .since_s = 10};
    struct suspension till = {.who = (char[]){"ada"}, .since_s = 10, .until_s = 50};
    struct bottle b = {.suspended = true, .suspend_until = 40};
    struct bottle endless = {.suspended = true};
    struct bottle free_one = {.suspend_until = 40};
    assert_false(suspension_holds(&nobody, 0));
    assert_true(suspension_holds(&open, INT64_MAX));
    assert_true(suspension_holds(&till, 49));
    assert_false(suspension_holds(&till, 50));
    assert_true(manifest_suspends(&b, 39));
    assert_false(manifest_suspends(&b, 40));
    assert_false(manifest_suspends(&free_one, 0));
    assert_false(manifest_suspends(NULL, 0));

    static const int64_t none = 0;
    assert_int_equal(suspension_ends(NULL, &nobody, 0), none);
    assert_int_equal(suspension_ends(&b, &nobody, 0), 40);
    assert_int_equal(suspension_ends(&b, &open, 0), 40);
    assert_int_equal(suspension_ends(&b, &till, 0), 40);
    assert_int_equal(suspension_ends(&b, &till, 40), 50);
    assert_int_equal(suspension_ends(&b, &till, 50), none);
    assert_int_equal(suspension_ends(&endless, &till, 0), 50);
    assert_int_equal(suspension_ends(&endless, &open, 0), none);
    assert_int_equal(suspension_ends(&free_one, &nobody, 0), none);

    const char *reason = "untouched";
    assert_null(suspension_text(&b, &till, NULL, 50, &reason));
    assert_string_equal(reason, "untouched");
}

/* However long the reasons are, who and until when are told. */
static void test_long_reasons(void **state)
{
    (void)state;
    AUTO_FREE char *long_reason = xcalloc(SUSPENSION_REASON_MAX + 1, 1);
    memset(long_reason, 'x', SUSPENSION_REASON_MAX);
    struct suspension s = {
        .who = (char[]){"ada"}, .reason = long_reason, .since_s = 10, .until_s = 50};
    struct bottle b = {.suspended = true, .suspend_until = 40, .suspend_reason = long_reason};
    const char *reason = NULL;
    AUTO_FREE char *text = suspension_text(&b, &s, NULL, 20, &reason);
    assert_non_null(strstr(text, "spec.suspend of its manifest until 1970-01-01T00:00:40Z"));
    assert_non_null(
        strstr(text, "by hand of ada since 1970-01-01T00:00:10Z until 1970-01-01T00:00:50Z"));
}

static void test_record(void **state)
{
    (void)state;
    struct suspension s = {.who = (char[]){"ada"},
                           .reason = (char[]){"kernel \"update\""},
                           .since_s = 1000,
                           .until_s = 2000};
    struct suspension back = {0};
    AUTO_FREE char *text = suspension_format(&s);
    assert_string_equal(text, "{\"who\":\"ada\",\"reason\":\"kernel \\\"update\\\"\",\"since\":"
                              "\"1970-01-01T00:16:40Z\",\"until\":\"1970-01-01T00:33:20Z\"}\n");
    assert_null(suspension_parse(sv_of(text), &back));
    assert_string_equal(back.who, s.who);
    assert_string_equal(back.reason, s.reason);
    assert_int_equal(back.since_s, 1000);
    assert_int_equal(back.until_s, 2000);
    suspension_done(&back);

    AUTO_FREE char *nobody = suspension_format(&back);
    assert_string_equal(nobody, "");
    assert_null(suspension_parse(sv_of(nobody), &back));
    assert_null(back.who);

    /* Every cut of it but the newline is damage, never somebody else's suspension or none. */
    for (size_t n = 1; n < strlen(text) - 1; n++) {
        struct err *e = suspension_parse((struct sv){text, n}, &back);
        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
        err_free(e);
        assert_null(back.who);
    }
    static const char *const bad[] = {"{}",
                                      "[]",
                                      "{\"who\":\"\",\"since\":null,\"until\":null}",
                                      "{\"who\":\"a\",\"since\":1,\"until\":null}",
                                      "{\"who\":\"a\",\"since\":null,\"until\":\"soon\"}",
                                      "{\"who\":\"a\",\"since\":null}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        AUTO_ERR e = suspension_parse(sv_of(bad[i]), &back);
        assert_non_null(e);
        assert_null(back.who);
    }
}

static void test_drift(void **state)
{
    (void)state;
    struct plan *p = plan_new("demo");
    (void)plan_add(p, &(struct step_init){.kind = STEP_CTR_INSPECT, .object = "a"});
    (void)plan_add(p, &(struct step_init){
                          .kind = STEP_CTR_START, .object = "b.agent", .cause = "it has ended"});
    json_t *list = drift_json(p);
    AUTO_FREE char *text = json_dumps(list, JSON_COMPACT);
    assert_string_equal(
        text, "[{\"kind\":\"container.start\",\"object\":\"b.agent\",\"cause\":\"it has ended\"}]");
    json_decref(list);
    list = drift_json(NULL);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    plan_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_and_until_when),
        cmocka_unit_test(test_long_reasons),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_drift),
    };
    return cmocka_run_group_tests_name("suspension", tests, NULL, NULL);
}
