/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/pinned.h"
#include "spec/defaults.h"

static struct state *open_state(void *const *state)
{
    struct state *s = NULL;
    AUTO_FREE char *dir = at(state, "st");
    assert_ok(state_open(dir, "bottler", &s));
    return s;
}

static void make_record(struct state *s, const char *name)
{
    struct bottle_state b = {0};
    assert_ok(state_bottle(s, name, NULL, &b));
    bottle_state_done(&b);
}

static char *stored(struct state *s, const char *name)
{
    char *text = NULL;
    assert_ok(state_load_note(s, name, "defaults", DEFAULTS_MAX_BYTES, &text));
    return text;
}

static const char *memory_of(const struct defaults *d)
{
    return defaults_get(d, field_find(&fields_bottle, "spec.agent.resources", "memory"));
}

/* Another build's: one default is other, and one field isn't known yet. */
#define OTHER "{\"spec.agent.resources.memory\": \"1Gi\"}"

static void test_a_new_record_has_todays(void **state)
{
    struct state *s = open_state(state);
    struct pinned *p = pinned_new(s);
    AUTO_FREE char *today = defaults_text();
    assert_null(pinned_get(p, "a"));
    make_record(s, "a");
    AUTO_FREE char *text = stored(s, "a");
    assert_string_equal(text, today);
    assert_string_equal(memory_of(pinned_get(p, "a")), "2Gi");
    assert_null(pinned_get(p, "b"));
    assert_null(pinned_get(NULL, "a"));
    pinned_free(p);
    state_close(s);
}

static void test_another_builds_are_kept_and_completed(void **state)
{
    struct state *s = open_state(state);
    make_record(s, "a");
    assert_ok(state_store_note(s, "a", "defaults", OTHER));
    struct pinned *p = pinned_new(s);
    struct manifest_rules rules = {0};
    pinned_rules(p, &rules);
    assert_string_equal(memory_of(rules.defaults(rules.defaults_ctx, "a")), "1Gi");
    for (int i = 0; i < 2; i++) {
        pinned_keep(p, "a");
        assert_string_equal(memory_of(pinned_get(p, "a")), "1Gi");
        AUTO_FREE char *text = stored(s, "a");
        assert_non_null(strstr(text, "\"spec.agent.resources.memory\": \"1Gi\""));
        assert_non_null(strstr(text, "\"spec.agent.restart\": \"always\""));
    }
    /* A bottle that comes after it has gone is a new one. */
    assert_ok(state_remove(s, "a"));
    pinned_forget(p, "a");
    assert_null(pinned_get(p, "a"));
    make_record(s, "a");
    assert_string_equal(memory_of(pinned_get(p, "a")), "2Gi");
    pinned_free(p);
    state_close(s);
}

static void test_a_first_versions_record_gets_todays(void **state)
{
    struct state *s = open_state(state);
    make_record(s, "a");
    AUTO_FREE char *path = at(state, "st/bottles/a/defaults");
    assert_int_equal(unlink(path), 0);
    struct pinned *p = pinned_new(s);
    AUTO_FREE char *today = defaults_text();
    make_record(s, "a"); /* no damage */
    assert_null(pinned_get(p, "a"));
    pinned_keep(p, "a");
    AUTO_FREE char *text = stored(s, "a");
    assert_string_equal(text, today);
    assert_non_null(pinned_get(p, "a"));
    pinned_free(p);
    state_close(s);
}

static void test_what_is_damaged_is_not_replaced(void **state)
{
    struct state *s = open_state(state);
    make_record(s, "a");
    put(state, "st/bottles/a/defaults", "{\"spec");
    struct pinned *p = pinned_new(s);
    for (int i = 0; i < 2; i++) {
        assert_null(pinned_get(p, "a"));
        pinned_keep(p, "a");
        AUTO_FREE char *text = stored(s, "a");
        assert_string_equal(text, "{\"spec");
    }
    /* Nothing is done for the bottle until then. */
    static const char *const wrong[] = {"{\"spec", "{\"spec.agent.tty\": 1}", ""};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct bottle_state b = {0};
        put(state, "st/bottles/a/defaults", wrong[i]);
        assert_err(state_bottle(s, "a", NULL, &b), ERR_INVALID, "bottles/a/defaults' is damaged");
    }
    /* Mended by hand. */
    put(state, "st/bottles/a/defaults", OTHER);
    assert_string_equal(memory_of(pinned_get(p, "a")), "1Gi");
    pinned_free(p);
    state_close(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_record_has_todays),
        TEST(test_another_builds_are_kept_and_completed),
        TEST(test_a_first_versions_record_gets_todays),
        TEST(test_what_is_damaged_is_not_replaced),
    };
    return cmocka_run_group_tests_name("pinned", tests, NULL, NULL);
}
