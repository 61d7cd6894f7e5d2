/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of events: order, folding, its limits, and what of the conditions is told. */
#include "controller/journal.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

struct world {
    struct journal *j;
    int64_t now_ms;
    unsigned told;
    uint64_t told_seq;
    uint64_t told_count;
};

static int64_t now_ms(void *ctx)
{
    const struct world *w = ctx;
    return w->now_ms;
}

static void added(void *ctx, const struct journal_entry *e)
{
    struct world *w = ctx;
    w->told++;
    w->told_seq = e->seq;
    w->told_count = e->count;
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    w->now_ms = INT64_C(1795328993000);
    w->j = journal_new(&(struct journal_hooks){.now_ms = now_ms, .added = added, .ctx = w});
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    journal_free(w->j);
    free(w);
    return 0;
}

/* The events as lines "seq bottle type reason message xN"; the caller frees. */
static char *lines(const struct world *w)
{
    json_t *list = journal_json(w->j);
    struct str s;
    size_t i = 0;
    json_t *e = NULL;
    str_init(&s, 1 << 20);
    assert_string_equal(json_string_value(json_object_get(list, "kind")), "EventList");
    json_array_foreach(json_object_get(list, "items"), i, e)
    {
        str_addf(&s, "%lld %s %s %s %s x%lld\n",
                 (long long)json_integer_value(json_object_get(e, "seq")),
                 json_string_value(json_object_get(e, "bottle")),
                 json_string_value(json_object_get(e, "type")),
                 json_string_value(json_object_get(e, "reason")),
                 json_string_value(json_object_get(e, "message")),
                 (long long)json_integer_value(json_object_get(e, "count")));
    }
    json_decref(list);
    return str_take(&s);
}

static void expect(const struct world *w, const char *expected)
{
    AUTO_FREE char *found = lines(w);
    assert_string_equal(found, expected);
}

static size_t count_of(const struct world *w, const char *bottle)
{
    json_t *list = journal_json(w->j);
    size_t i = 0;
    size_t n = 0;
    json_t *e = NULL;
    json_array_foreach(json_object_get(list, "items"), i, e)
    {
        n += !bottle || strcmp(json_string_value(json_object_get(e, "bottle")), bottle) == 0;
    }
    json_decref(list);
    return n;
}

static void add(struct world *w, const char *bottle, const char *message)
{
    journal_add(w->j, bottle, JOURNAL_NORMAL, "Said", xstrdup(message));
}

static void test_order_and_fields(void **state)
{
    struct world *w = *state;
    assert_int_equal(journal_last(w->j), 0);
    expect(w, "");
    journal_add(w->j, "one", JOURNAL_WARNING, "StepFailed", xstrdup("no such image"));
    journal_add(w->j, NULL, JOURNAL_NORMAL, "EngineConnected", xstrdup("engine 28"));
    expect(w, "1 one Warning StepFailed no such image x1\n"
              "2  Normal EngineConnected engine 28 x1\n");
    assert_int_equal(journal_last(w->j), 2);
    assert_int_equal(w->told, 2);
    assert_int_equal(w->told_seq, 2);
}

static void test_repeats_are_folded(void **state)
{
    struct world *w = *state;
    add(w, "one", "a");
    w->now_ms += 60000;
    add(w, "two", "a");
    add(w, "one", "b");
    w->now_ms += 60000;
    add(w, "one", "a");
    expect(w, "2 two Normal Said a x1\n"
              "3 one Normal Said b x1\n"
              "4 one Normal Said a x2\n");
    assert_int_equal(w->told_count, 2);
    json_t *list = journal_json(w->j);
    const json_t *e = json_array_get(json_object_get(list, "items"), 2);
    assert_string_equal(json_string_value(json_object_get(e, "firstTime")), "2026-11-22T06:29:53Z");
    assert_string_equal(json_string_value(json_object_get(e, "lastTime")), "2026-11-22T06:31:53Z");
    json_decref(list);
    /* Another type or reason is another event. */
    journal_add(w->j, "one", JOURNAL_WARNING, "Said", xstrdup("a"));
    journal_add(w->j, "one", JOURNAL_NORMAL, "Heard", xstrdup("a"));
    assert_int_equal(w->told_count, 1);
    assert_int_equal(count_of(w, NULL), 5);
}

static void test_what_is_long_past_is_told_anew(void **state)
{
    struct world *w = *state;
    add(w, "one", "first");
    for (int i = 0; i < JOURNAL_FOLD_SPAN; i++) {
        AUTO_FREE char *text = xasprintf("other %d", i);
        add(w, "one", text);
        add(w, "two", text); /* of another bottle, so not in the way */
    }
    add(w, "one", "other 0");
    assert_int_equal(w->told_count, 2);
    add(w, "one", "first");
    assert_int_equal(w->told_count, 1);
}

static void test_one_bottle_does_not_push_out_the_others(void **state)
{
    struct world *w = *state;
    add(w, "quiet", "still here");
    for (int i = 0; i < 3 * JOURNAL_MAX; i++) {
        AUTO_FREE char *text = xasprintf("line %d", i);
        add(w, "noisy", text);
    }
    assert_int_equal(count_of(w, "noisy"), JOURNAL_MAX_OF_BOTTLE);
    assert_int_equal(count_of(w, "quiet"), 1);
    AUTO_FREE char *all = lines(w);
    assert_non_null(strstr(all, "quiet Normal Said still here x1\n"));
    assert_non_null(strstr(all, "Said line 3071 x1\n"));
    assert_null(strstr(all, "Said line 2815 x1\n"));
    /* Many bottles together: the oldest goes. */
    for (int i = 0; i < JOURNAL_MAX; i++) {
        AUTO_FREE char *name = xasprintf("b%d", i);
        add(w, name, "x");
    }
    assert_int_equal(count_of(w, NULL), JOURNAL_MAX);
    assert_int_equal(count_of(w, "quiet"), 0);
    assert_int_equal(count_of(w, "b0"), 1);
}

static void test_text_is_printable(void **state)
{
    struct world *w = *state;
    add(w, "o\nne",
        "a\nb\x1b[31m\x7f \xc3\xa4 \xe2\x82\xac \xf0\x9f\x8d\xbe \xc2\x85 \xff \xe2\x82");
    expect(w, "1 o?ne Normal Said a?b?[31m? \xc3\xa4 \xe2\x82\xac \xf0\x9f\x8d\xbe ?? ? ?? x1\n");
    char big[3 * JOURNAL_MESSAGE_MAX];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    add(w, "big", big);
    json_t *list = journal_json(w->j);
    const char *text = json_string_value(
        json_object_get(json_array_get(json_object_get(list, "items"), 1), "message"));
    assert_int_equal(strlen(text), JOURNAL_MESSAGE_MAX);
    assert_true(test_ends_with(text, "xxx..."));
    json_decref(list);
    /* Cut between characters, never inside one. */
    for (size_t i = 0; i + 3 < sizeof(big); i += 3)
        memcpy(big + i, "\xe2\x82\xac", 3);
    add(w, "euro", big);
    list = journal_json(w->j);
    text = json_string_value(
        json_object_get(json_array_get(json_object_get(list, "items"), 2), "message"));
    assert_true(test_ends_with(text, "\xe2\x82\xac..."));
    json_decref(list);
}

static void test_without_a_journal(void **state)
{
    (void)state;
    journal_add(NULL, "one", JOURNAL_NORMAL, "Said", xstrdup("a"));
    assert_int_equal(journal_last(NULL), 0);
    json_t *list = journal_json(NULL);
    assert_int_equal(json_array_size(json_object_get(list, "items")), 0);
    json_decref(list);
}

/* ---- conditions ----------------------------------------------------------------------------- */

struct bottle_world {
    struct catalog catalog;
    struct conditions conditions;
    struct status_input in;
    struct desired desired;
};

static void bottle_begin(struct bottle_world *b, const char *text)
{
    struct manifest_set *set = test_load("one.yaml", text, NULL);
    catalog_update(&b->catalog, set);
    manifest_set_free(set);
    b->in = (struct status_input){.entry = catalog_find(&b->catalog, "one"), .now_s = 1};
}

static void bottle_end(struct bottle_world *b)
{
    catalog_done(&b->catalog);
    conditions_done(&b->conditions);
}

static const char good[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: one}\n"
                           "spec: {agent: {image: a, user: '1:1'}}\n";
static const char bad[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: one}\n"
                          "spec: {agent: {imag: a}}\n";

static void test_accepted_and_rejected(void **state)
{
    struct world *w = *state;
    struct bottle_world b = {0};
    bottle_begin(&b, good);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    expect(w, "1 one Normal Accepted generation 1 from one.yaml x1\n");
    struct manifest_set *set = test_load("one.yaml", bad, NULL);
    catalog_update(&b.catalog, set);
    manifest_set_free(set);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    expect(w,
           "1 one Normal Accepted generation 1 from one.yaml x1\n"
           "2 one Warning Invalid one.yaml:4:15: spec.agent.image: required, but not given (and 1 "
           "more); the last good generation stays x1\n");
    set = test_load(NULL, NULL, NULL);
    catalog_update(&b.catalog, set);
    manifest_set_free(set);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    AUTO_FREE char *all = lines(w);
    assert_non_null(strstr(all, "3 one Normal Removed its manifest is gone"));
    bottle_end(&b);
}

static char *never(void *ctx, const char *source)
{
    (void)ctx;
    return xasprintf("'%s' is mine", source);
}

static void test_forbidden_by_the_installation(void **state)
{
    struct world *w = *state;
    struct bottle_world b = {0};
    static const char text[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: one}\n"
                               "spec: {agent: {image: a, mounts: [{source: /a, target: /t}]}}\n";
    struct manifest_input in = {.path = "one.yaml", .bytes = sv_of(text)};
    bottle_begin(&b, text);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    struct manifest_set *set =
        manifest_load_under(&in, 1, &(struct manifest_rules){.mount_refusal = never});
    catalog_update(&b.catalog, set);
    manifest_set_free(set);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    AUTO_FREE char *all = lines(w);
    assert_non_null(strstr(all, "2 one Warning PolicyViolation one.yaml:4:44: "
                                "spec.agent.mounts[0].source: '/a' is mine; the last good"));
    bottle_end(&b);
}

static void test_secrets_stalls_and_suspension(void **state)
{
    struct world *w = *state;
    struct bottle_world b = {0};
    bottle_begin(&b, good);
    b.in.secrets_problem = "secret 'A' is missing";
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.secrets_problem = "secrets 'A', 'B' are missing";
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.secrets_problem = NULL;
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.unsupported = "runtime 'x' is not on the engine";
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.unsupported = NULL;
    struct suspension by_hand = {.who = (char[]){"ada"}};
    b.in.by_hand = &by_hand;
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.by_hand = NULL;
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    expect(w, "1 one Normal Accepted generation 1 from one.yaml x1\n"
              "2 one Warning SecretMissing secret 'A' is missing x1\n"
              "3 one Warning SecretMissing secrets 'A', 'B' are missing x1\n"
              "4 one Normal SecretsResolved every reference has a value x1\n"
              "5 one Warning Refused runtime 'x' is not on the engine x1\n"
              "6 one Normal Suspended by hand of ada x1\n"
              "7 one Normal Resumed it is kept as desired again x1\n");
    bottle_end(&b);
}

static void test_ready_and_not(void **state)
{
    struct world *w = *state;
    struct bottle_world b = {0};
    bottle_begin(&b, good);
    journal_conditions(w->j, "one", &b.conditions, &b.in); /* nothing desired yet */
    b.in.desired = &b.desired;                             /* of no container, so all of it runs */
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.problem = "the engine said no";
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.problem = "the engine said no again";
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    b.in.problem = NULL;
    journal_conditions(w->j, "one", &b.conditions, &b.in);
    expect(w, "1 one Normal Accepted generation 1 from one.yaml x1\n"
              "3 one Warning NotReady Failed: the engine said no x1\n"
              "4 one Normal Ready generation 1: every part runs, sealed and confirmed x2\n");
    bottle_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repeats_are_folded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_long_past_is_told_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_bottle_does_not_push_out_the_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_text_is_printable, setup, teardown),
        cmocka_unit_test(test_without_a_journal),
        cmocka_unit_test_setup_teardown(test_accepted_and_rejected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forbidden_by_the_installation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secrets_stalls_and_suspension, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ready_and_not, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
