/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include "controller/duration.h"

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
    } cases[] = {{"0", 0},      {"0s", 0},    {"1s", 1},      {"30s", 30},       {"5m", 300},
                 {"90m", 5400}, {"1h", 3600}, {"2d", 172800}, {"365d", 31536000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t s = -1;
        assert_true(duration_parse(cases[i].text, 0, INT64_MAX, &s));
        assert_int_equal(s, cases[i].s);
        s = -1;
        assert_true(timeout_parse(cases[i].text, 0, INT64_MAX, &s));
        assert_int_equal(s, cases[i].s);
    }
    int64_t s = 0;
    assert_true(timeout_parse("300", 1, 300, &s));
    assert_int_equal(s, 300);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "s",
                                        "5",
                                        "-1s",
                                        "+1s",
                                        "1.5h",
                                        " 1s",
                                        "1s ",
                                        "1 s",
                                        "1sec",
                                        "1h5m",
                                        "01s",
                                        "1S",
                                        "x",
                                        "00",
                                        "9223372036854775807m",
                                        "99999999999999999999s"};
    int64_t s = -1;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_false(duration_parse(cases[i], 0, INT64_MAX, &s));
    assert_false(duration_parse("0", 1, 60, &s));
    assert_false(duration_parse("61s", 1, 60, &s));
    assert_false(duration_parse("2m", 1, 60, &s));
    assert_false(timeout_parse("61", 1, 60, &s));
    assert_false(timeout_parse("-1", 1, 60, &s));
    assert_false(timeout_parse("1x", 1, 60, &s));
    assert_int_equal(s, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
