/* SPDX-License-Identifier: Apache-2.0 */
/* Slices of the address pool. */
#include "reconcile/pool.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

static struct pool pool(const char *text)
{
    struct pool p;
    AUTO_ERR e = pool_parse(text, &p);
    if (e)
        fail_msg("%s", err_message(e));
    return p;
}

/* The next slice beside `used`, as text; the failure's message after a "!". */
static char *next(const char *range, const char *const *used, size_t n)
{
    struct pool p = pool(range);
    struct cidr_set set = {0};
    struct cidr slice = {0};
    for (size_t i = 0; i < n; i++) {
        struct cidr c;
        assert_true(cidr_parse(used[i], &c));
        cidr_set_add(&set, c);
    }
    AUTO_ERR e = pool_next(&p, set.items, set.len, &slice);
    cidr_set_done(&set);
    if (e)
        return xasprintf("!%s", err_message(e));
    char text[POOL_SUBNET_TEXT];
    cidr_format(slice, text);
    return xstrdup(text);
}

static void expect(const char *range, const char *const *used, size_t n, const char *want)
{
    AUTO_FREE char *have = next(range, used, n);
    assert_string_equal(have, want);
}

static void test_cidr(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.1.2.3", "10.1.2.3/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"255.255.255.255/28", "255.255.255.240/28"},
        {"192.168.1.129/25", "192.168.1.128/25"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct cidr c;
        char text[POOL_SUBNET_TEXT];
        assert_true(cidr_parse(rows[i].text, &c));
        cidr_format(c, text);
        assert_string_equal(text, rows[i].want);
    }
    static const char *const bad[] = {
        "",        "10.0.0.0/33", "10.0.0/8",    "fd00::/8",    "10.0.0.0/",
        "a.b.c.d", "10.0.0.0/8 ", "010.0.0.0/8", "10.0.0.256/8"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct cidr c = {1, 2};
        assert_false(cidr_parse(bad[i], &c));
        assert_int_equal(c.base, 1);
    }
}

static void test_overlap(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool want;
    } rows[] = {
        {"10.0.0.0/8", "10.213.0.0/28", true},     {"10.213.0.0/28", "10.213.0.16/28", false},
        {"10.213.0.0/28", "10.213.0.15", true},    {"0.0.0.0/0", "192.168.0.0/16", true},
        {"172.16.0.0/12", "172.32.0.0/16", false}, {"10.0.0.1", "10.0.0.1", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct cidr a = {0};
        struct cidr b = {0};
        assert_true(cidr_parse(rows[i].a, &a));
        assert_true(cidr_parse(rows[i].b, &b));
        assert_int_equal(cidr_overlap(a, b), rows[i].want);
        assert_int_equal(cidr_overlap(b, a), rows[i].want);
    }
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"10.213.0.0", "expected an IPv4 range"},
        {"", "expected an IPv4 range"},
        {"nonsense/8", "expected an IPv4 range"},
        {"10.213.0.1/16", "host bits"},
        {"10.0.0.0/7", "from /8 to /28"},
        {"10.0.0.0/29", "from /8 to /28"},
        {"8.8.0.0/16", "not private"},
        {"172.0.0.0/8", "not private"},
        {"192.0.0.0/8", "not private"},
        {"100.128.0.0/16", "not private"},
        {"0.0.0.0/8", "not private"},
        {"224.0.0.0/8", "not private"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pool p = {{7, 7}};
        AUTO_ERR e = pool_parse(rows[i].text, &p);
        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
        if (!strstr(err_message(e), rows[i].part))
            fail_msg("'%s': %s", rows[i].text, err_message(e));
        assert_int_equal(p.range.base, 7);
    }
    pool(POOL_DEFAULT);
    pool("10.0.0.0/8");
    pool("100.64.0.0/10");
    pool("192.168.5.16/28");
}

static void test_first_free(void **state)
{
    (void)state;
    static const char *const one[] = {"10.213.0.0/28"};
    static const char *const gap[] = {"10.213.0.0/28", "10.213.0.32/28"};
    static const char *const wide[] = {"10.213.0.0/24", "10.213.1.4/30"};
    static const char *const wider[] = {"10.208.0.0/12"};
    static const char *const host[] = {"10.213.0.17"};
    static const char *const away[] = {"192.168.0.0/16", "172.17.0.0/16"};
    expect("10.213.0.0/16", NULL, 0, "10.213.0.0/28");
    expect("10.213.0.0/16", one, 1, "10.213.0.16/28");
    expect("10.213.0.0/16", gap, 2, "10.213.0.16/28");
    expect("10.213.0.0/16", wide, 2, "10.213.1.16/28");
    expect("10.0.0.0/8", wider, 1, "10.0.0.0/28");
    expect("10.213.0.0/16", host, 1, "10.213.0.0/28");
    expect("10.213.0.0/16", away, 2, "10.213.0.0/28");
}

static void test_exhausted(void **state)
{
    (void)state;
    static const char *const both[] = {"10.213.0.0/28", "10.213.0.16/28"};
    static const char *const over[] = {"10.0.0.0/8"};
    static const char *const all[] = {"0.0.0.0/0"};
    static const char words[] =
        "!the address pool 10.213.0.0/27 is exhausted: all 2 /28 slices are taken or overlap other "
        "networks; a bottle needs three: give a larger --address-pool";
    expect("10.213.0.0/27", both, 2, words);
    expect("10.213.0.0/27", over, 1, words);
    expect("10.213.0.0/27", all, 1, words);
    /* A neighbour as large as the whole largest pool costs no million steps: this test would be
     * seen to hang. */
    for (int i = 0; i < 1000; i++) {
        AUTO_FREE char *text = next("10.0.0.0/8", over, 1);
        assert_non_null(strstr(text, "all 1048576 /28 slices"));
    }
}

/* The last slice is given too, and every one once. */
static void test_all_slices(void **state)
{
    (void)state;
    struct pool p = pool("192.168.7.0/24");
    struct cidr_set used = {0};
    for (unsigned i = 0; i < 16; i++) {
        struct cidr c = {0};
        AUTO_ERR e = pool_next(&p, used.items, used.len, &c);
        assert_null(e);
        for (size_t k = 0; k < used.len; k++)
            assert_false(cidr_overlap(used.items[k], c));
        assert_true(cidr_overlap(p.range, c));
        assert_int_equal(c.bits, POOL_SLICE_BITS);
        cidr_set_add(&used, c);
    }
    struct cidr c = {0};
    AUTO_ERR e = pool_next(&p, used.items, used.len, &c);
    assert_non_null(e);
    cidr_set_done(&used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cidr),          cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_parse_refuses), cmocka_unit_test(test_first_free),
        cmocka_unit_test(test_exhausted),     cmocka_unit_test(test_all_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
