/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include "reconcile/ledger.h"
#include "spec/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

static bool accept(struct ledger *l, int64_t generation, int64_t at)
{
    struct ledger_entry e = {.generation = generation,
                             .revision = (char[]){"abc"},
                             .file = (char[]){"a.yaml"},
                             .accepted_s = at};
    return ledger_accept(l, &e);
}

static void assert_last(const struct ledger *l, int64_t generation, enum outcome how,
                        const char *message)
{
    const struct ledger_entry *e = &l->items[l->len - 1];
    assert_int_equal(e->generation, generation);
    assert_string_equal(outcome_name(e->outcome), outcome_name(how));
    if (message)
        assert_string_equal(e->message, message);
    else
        assert_null(e->message);
}

static void test_a_life(void **state)
{
    (void)state;
    struct ledger l = {0};
    assert_false(ledger_end(&l, 1, OUTCOME_CONVERGED, NULL, 5));
    assert_true(accept(&l, 1, 100));
    assert_false(accept(&l, 1, 101)); /* a new start takes it up again */
    assert_int_equal(l.items[0].accepted_s, 100);
    assert_true(ledger_end(&l, 1, OUTCOME_FAILED, "Held: no", 110));
    assert_false(ledger_end(&l, 1, OUTCOME_FAILED, "Held: no", 111));
    assert_true(ledger_end(&l, 1, OUTCOME_FAILED, "Held: still no", 112));
    assert_true(ledger_end(&l, 1, OUTCOME_CONVERGED, NULL, 120));
    assert_last(&l, 1, OUTCOME_CONVERGED, NULL);
    assert_int_equal(l.items[0].ended_s, 120);
    /* A drift later on changes nothing of that. */
    assert_false(ledger_end(&l, 1, OUTCOME_FAILED, "later", 130));
    assert_false(ledger_end(&l, 1, OUTCOME_CONVERGED, NULL, 131));
    assert_true(ledger_end(&l, 1, OUTCOME_REMOVED, NULL, 140));
    assert_false(ledger_end(&l, 1, OUTCOME_REMOVED, NULL, 141));
    /* It comes back as it was: that is a new life of the same generation. */
    assert_true(accept(&l, 1, 150));
    assert_int_equal(l.len, 2);
    assert_last(&l, 1, OUTCOME_PENDING, NULL);
    assert_true(ledger_end(&l, 1, OUTCOME_CONVERGED, NULL, 160));
    assert_int_equal(l.items[0].outcome, OUTCOME_REMOVED);
    ledger_done(&l);
}

static void test_superseded_and_reverted(void **state)
{
    (void)state;
    struct ledger l = {0};
    accept(&l, 1, 100);
    accept(&l, 2, 200);
    assert_int_equal(l.items[0].outcome, OUTCOME_SUPERSEDED);
    assert_int_equal(l.items[0].ended_s, 200);
    assert_false(ledger_end(&l, 1, OUTCOME_CONVERGED, NULL, 210));
    assert_true(ledger_end(&l, 2, OUTCOME_REVERTED, "not ready in 5m", 220));
    assert_false(ledger_end(&l, 2, OUTCOME_CONVERGED, NULL, 230));
    assert_false(ledger_end(&l, 2, OUTCOME_FAILED, "x", 230));
    assert_last(&l, 2, OUTCOME_REVERTED, "not ready in 5m");
    assert_int_equal(ledger_find(&l, 2)->ended_s, 220);
    assert_null(ledger_find(&l, 3));
    /* A failed one stays failed when the next comes. */
    accept(&l, 3, 300);
    assert_true(ledger_end(&l, 3, OUTCOME_FAILED, "no", 310));
    accept(&l, 4, 400);
    assert_int_equal(l.items[2].outcome, OUTCOME_FAILED);
    ledger_done(&l);
}

static void test_bounds(void **state)
{
    (void)state;
    struct ledger l = {0};
    ledger_add_change(&l, "a", "nothing to add it to");
    for (int64_t g = 1; g <= LEDGER_MAX + 5; g++)
        assert_true(accept(&l, g, g));
    assert_int_equal(l.len, LEDGER_MAX);
    assert_int_equal(l.items[0].generation, 6);
    for (int i = 0; i < LEDGER_CHANGES_MAX + 9; i++)
        ledger_add_change(&l, "spec.agent.image", "one -> two");
    const struct ledger_entry *e = &l.items[LEDGER_MAX - 1];
    assert_int_equal(e->changes_len, LEDGER_CHANGES_MAX + 1);
    assert_string_equal(e->changes[LEDGER_CHANGES_MAX].change, "and more");

    AUTO_FREE char *large = xcalloc(4096, 1);
    memset(large, 'x', LEDGER_TEXT_MAX - 1);
    memcpy(large + LEDGER_TEXT_MAX - 1, "ää", 4);
    assert_true(ledger_end(&l, e->generation, OUTCOME_FAILED, large, 9));
    assert_int_equal(strlen(e->message), LEDGER_TEXT_MAX - 1); /* no half character */
    assert_false(ledger_end(&l, e->generation, OUTCOME_FAILED, large, 10));
    ledger_done(&l);
}

/* The largest entries of all, as JSON: the oldest go, what is kept can be read again. */
static void test_largest(void **state)
{
    (void)state;
    struct ledger l = {0}, back = {0};
    AUTO_FREE char *quotes = xcalloc(LEDGER_TEXT_MAX + 1, 1);
    memset(quotes, '"', LEDGER_TEXT_MAX);
    for (int g = 1; g <= LEDGER_MAX; g++) {
        accept(&l, g, 1795000000 + g);
        for (int i = 0; i < LEDGER_CHANGES_MAX; i++)
            ledger_add_change(&l, quotes, quotes);
    }
    AUTO_FREE char *text = ledger_format(&l);
    assert_true(strlen(text) <= LEDGER_BYTES_MAX);
    assert_int_equal(ledger_parse(sv_of(text), &back), 0);
    assert_true(back.len > LEDGER_MAX / 2);
    assert_int_equal(back.items[back.len - 1].generation, LEDGER_MAX);
    assert_int_equal(back.items[0].generation, LEDGER_MAX + 1 - (int64_t)back.len);
    ledger_done(&back);
    ledger_done(&l);
}

static void test_lines(void **state)
{
    (void)state;
    struct ledger l = {0}, back = {0};
    accept(&l, 1, 1795000000);
    ledger_end(&l, 1, OUTCOME_CONVERGED, NULL, 1795000060);
    struct ledger_entry e = {.generation = 2, .file = (char[]){"b.yaml"}, .accepted_s = 1795000100};
    ledger_accept(&l, &e);
    ledger_add_change(&l, "spec.agent.image", "\"a\" -> \"b\"");
    AUTO_FREE char *text = ledger_format(&l);
    assert_string_equal(
        text,
        "{\"generation\":1,\"revision\":\"abc\",\"file\":\"a.yaml\",\"acceptedAt\":\"2026-11-18T"
        "11:06:40Z\",\"changes\":[],\"outcome\":\"Converged\",\"endedAt\":\"2026-11-18T11:07:40Z\","
        "\"message\":null}\n"
        "{\"generation\":2,\"revision\":null,\"file\":\"b.yaml\",\"acceptedAt\":\"2026-11-18T11:08:"
        "20Z\",\"changes\":[{\"field\":\"spec.agent.image\",\"change\":\"\\\"a\\\" -> "
        "\\\"b\\\"\"}],"
        "\"outcome\":\"Pending\",\"endedAt\":null,\"message\":null}\n");
    assert_int_equal(ledger_parse(sv_of(text), &back), 0);
    AUTO_FREE char *again = ledger_format(&back);
    assert_string_equal(again, text);
    json_t *list = ledger_json(&back);
    assert_int_equal(json_array_size(list), 2);
    json_decref(list);
    ledger_done(&back);
    ledger_done(&l);
}

/* Every cut of a good text, and lines that are none: what is whole stays, the first bad one is
 * named. */
static void test_damage(void **state)
{
    (void)state;
    struct ledger l = {0};
    accept(&l, 1, 1795000000);
    accept(&l, 2, 1795000001);
    AUTO_FREE char *text = ledger_format(&l);
    ledger_done(&l);
    size_t first = strcspn(text, "\n");
    for (size_t n = 0; n < strlen(text) - 1; n++) {
        size_t bad = ledger_parse((struct sv){text, n}, &l);
        assert_int_equal(bad, n == 0 || n == first || n == first + 1 ? 0 : n < first ? 1 : 2);
        assert_int_equal(l.len, n >= first);
        ledger_done(&l);
    }
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"generation\":0,\"acceptedAt\":null,\"endedAt\":null,\"outcome\":\"Pending\","
        "\"changes\":[]}",
        "{\"generation\":1,\"acceptedAt\":\"now\",\"endedAt\":null,\"outcome\":\"Pending\","
        "\"changes\":[]}",
        "{\"generation\":1,\"acceptedAt\":null,\"endedAt\":null,\"outcome\":\"Fine\","
        "\"changes\":[]}",
        "{\"generation\":1,\"acceptedAt\":null,\"endedAt\":null,\"outcome\":\"Pending\","
        "\"changes\":[{}]}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        AUTO_FREE char *mixed = xasprintf("%.*s\n%s\n", (int)first, text, wrong[i]);
        assert_int_equal(ledger_parse(sv_of(mixed), &l), 2);
        assert_int_equal(l.len, 1);
        ledger_done(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_life), cmocka_unit_test(test_superseded_and_reverted),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
