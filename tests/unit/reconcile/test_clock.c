/* SPDX-License-Identifier: Apache-2.0 */
/* Times of the engine. */
#include "reconcile/clock.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
        uint32_t ns;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"2026-11-22T06:29:53.458993612Z", 1795328993, 458993612},
        {"2026-11-22t06:29:53z", 1795328993, 0},
        {"2026-11-22T08:29:53+02:00", 1795328993, 0},
        {"2026-11-22T01:59:53.5-04:30", 1795328993, 500000000},
        {"2026-11-22T06:29:53.000000001Z", 1795328993, 1},
        {"2024-02-29T00:00:00Z", 1709164800, 0},
        {"2016-12-31T23:59:60Z", 1483228800, 0},
        {"0001-01-01T00:00:00Z", -62135596800, 0},
        {"9999-12-31T23:59:59Z", 253402300799, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t s = 0;
        uint32_t ns = 0;
        if (!clock_parse(rows[i].text, &s, &ns))
            fail_msg("%s", rows[i].text);
        assert_true(s == rows[i].s);
        assert_int_equal(ns, rows[i].ns);
    }
}

static void test_garbage(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "now",
        "2026-11-22",
        "2026-11-22T06:29:53",
        "2026-11-22 06:29:53Z",
        "2026-11-22T06:29Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00.5",
        "2026-01-01T00:00:00+0200",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+02:60",
        "2026-01-01T00:00:00+02:00x",
        "2026-01-01T00:00:00Zx",
        "-026-01-01T00:00:00Z",
        "+026-01-01T00:00:00Z",
        "2026-1-01T00:00:00Z",
        "2026-01-01T 0:00:00Z",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        int64_t s = 7;
        uint32_t ns = 7;
        if (clock_parse(bad[i], &s, &ns))
            fail_msg("'%s' is taken for a time", bad[i]);
        assert_int_equal(s, 7);
        assert_null(clock_since(bad[i]));
    }
}

/* Every prefix of a good text is bad, and none is read past its end (the sanitizer sees that). */
static void test_prefixes(void **state)
{
    (void)state;
    static const char text[] = "2026-11-22T08:29:53.123+02:00";
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        AUTO_FREE char *part = xmemdup0(text, n);
        int64_t s = 0;
        uint32_t ns = 0;
        assert_false(clock_parse(part, &s, &ns));
    }
}

static void test_since(void **state)
{
    (void)state;
    AUTO_FREE char *a = clock_since("2026-11-22T06:29:53.4Z");
    AUTO_FREE char *b = clock_since("2026-11-22T07:29:53+01:00");
    AUTO_FREE char *never = clock_since("0001-01-01T00:00:00Z");
    assert_string_equal(a, "1795328993.400000000");
    assert_string_equal(b, "1795328993.000000000");
    assert_string_equal(never, "-62135596800.000000000");
}

static void test_format(void **state)
{
    (void)state;
    char text[CLOCK_TEXT];
    clock_format(1795328993, text);
    assert_string_equal(text, "2026-11-22T06:29:53Z");
    clock_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    int64_t s = 0;
    uint32_t ns = 0;
    for (int64_t t = -86400; t < 4102444800; t += 7654321) {
        clock_format(t, text);
        assert_true(clock_parse(text, &s, &ns));
        assert_true(s == t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),    cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_prefixes), cmocka_unit_test(test_since),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
