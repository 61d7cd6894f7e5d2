/* SPDX-License-Identifier: Apache-2.0 */
/* Delays, and what is remembered of restarts. */
#include "reconcile/backoff.h"
#include "reconcile/memory.h"
#include "tests/unit/support.h"

static void test_bounds(void **state)
{
    (void)state;
    uint64_t full = BACKOFF_FIRST_NS;
    for (unsigned failures = 1; failures < 200; failures++) {
        uint64_t rng = failures;
        for (int i = 0; i < 50; i++)
            assert_in_range(backoff_delay_ns(failures, &rng), full / 2, full);
        full = full * 2 < BACKOFF_LAST_NS ? full * 2 : BACKOFF_LAST_NS;
    }
    uint64_t rng = 1;
    assert_in_range(backoff_delay_ns(0, &rng), BACKOFF_FIRST_NS / 2, BACKOFF_FIRST_NS);
    assert_in_range(backoff_delay_ns(UINT32_MAX, &rng), BACKOFF_LAST_NS / 2, BACKOFF_LAST_NS);
}

/* Both halves of the jitter's range are used. */
static void test_jitter(void **state)
{
    (void)state;
    uint64_t rng = 42;
    unsigned low = 0;
    unsigned high = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t d = backoff_delay_ns(1, &rng);
        low += d < BACKOFF_FIRST_NS / 8 * 5;
        high += d > BACKOFF_FIRST_NS / 8 * 7;
    }
    assert_in_range(low, 150, 350);
    assert_in_range(high, 150, 350);
}

static void test_seed(void **state)
{
    (void)state;
    uint64_t a = 7;
    uint64_t b = 7;
    uint64_t c = 8;
    uint64_t from_a = prng_next(&a);
    assert_true(from_a == prng_next(&b));
    assert_true(from_a != prng_next(&c));
    assert_true(from_a != prng_next(&a));
    /* The published first value of splitmix64 for seed 0. */
    uint64_t zero = 0;
    assert_true(prng_next(&zero) == UINT64_C(0xe220a8397b1dcdaf));
}

static void test_restart_delay(void **state)
{
    (void)state;
    static const unsigned want_s[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    for (unsigned i = 0; i < sizeof(want_s) / sizeof(*want_s); i++)
        assert_int_equal(restart_delay_ns(i), want_s[i] * NS_PER_S);
    assert_int_equal(restart_delay_ns(UINT32_MAX), BACKOFF_LAST_NS);
}

static void test_streak(void **state)
{
    (void)state;
    struct memory m = {0};
    assert_null(memory_restart(&m, "a"));
    uint64_t now = 5 * NS_PER_S;
    static const unsigned wait_s[] = {1, 2, 4, 8};
    for (unsigned i = 0; i < sizeof(wait_s) / sizeof(*wait_s); i++) {
        memory_note_restart(&m, "a", now);
        const struct known_restart *k = memory_restart(&m, "a");
        assert_int_equal(k->count, i + 1);
        assert_int_equal(k->not_before_ns, now + wait_s[i] * NS_PER_S);
        now += 10 * NS_PER_S;
    }
    /* It ran for a minute: the next wait is short again, the count goes on. */
    now += RESTART_FORGIVEN_NS;
    memory_note_restart(&m, "a", now);
    const struct known_restart *k = memory_restart(&m, "a");
    assert_int_equal(k->count, 5);
    assert_int_equal(k->not_before_ns, now + NS_PER_S);
    memory_note_restart(&m, "b", now);
    memory_forget_restart(&m, "a");
    assert_null(memory_restart(&m, "a"));
    assert_int_equal(memory_restart(&m, "b")->count, 1);
    memory_forget_restart(&m, "a");
    memory_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_seed),   cmocka_unit_test(test_restart_delay),
        cmocka_unit_test(test_streak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
