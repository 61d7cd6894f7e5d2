/* SPDX-License-Identifier: Apache-2.0 */
/* spec.agent.update; what is wrong with it is in tests/golden/validate. */
#include "tests/unit/support.h"

#include <stdlib.h>

#include "spec/base/xalloc.h"

#define HEAD(name) "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name "}\n"

static void test_update_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct update_spec expected;
    } cases[] = {
        {"~", {UPDATE_NOW, 0, 0, 0}},
        {"{}", {UPDATE_NOW, 0, 0, 0}},
        {"{when: now}", {UPDATE_NOW, 0, 0, 0}},
        {"{when: idle}", {UPDATE_IDLE, 0, 0, 0}},
        {"{when: idle, deadline: 90m}", {UPDATE_IDLE, 0, 0, 5400}},
        {"{when: window, window: 22:00-06:30}", {UPDATE_WINDOW, 1320, 390, 0}},
        {"{deadline: 30d, window: \"00:00-23:59\", when: window}",
         {UPDATE_WINDOW, 0, 1439, 2592000}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct manifest_set *set = NULL;
        AUTO_FREE char *text =
            xasprintf(HEAD("u") "spec: {agent: {image: i, update: %s}}\n", cases[i].text);
        const struct bottle *b = test_bottle(text, &set);
        const struct update_spec *u = &b->agent.update;
        assert_int_equal(u->when, cases[i].expected.when);
        assert_int_equal(u->from_min, cases[i].expected.from_min);
        assert_int_equal(u->to_min, cases[i].expected.to_min);
        assert_int_equal(u->deadline_s, cases[i].expected.deadline_s);
        manifest_set_free(set);
    }
}

/* One decision: a child's is not mixed with its parent's. */
static void test_update_is_inherited_whole(void **state)
{
    (void)state;
    struct manifest_set *set =
        test_load("m.yaml",
                  HEAD("base") "spec: {abstract: true, preserve: true, agent: {image: i,"
                               " update: {when: window, window: 22:00-06:00, deadline: "
                               "2d}}}\n---\n" HEAD("same") "spec: {extends: base}\n---\n" HEAD(
                                   "zero") "spec: {extends: base, preserve: false, agent: {update: "
                                           "{when: idle}}}\n",
                  NULL);
    test_expect_diags(set, "");
    const struct bottle *same = set->bottles[1].bottle;
    const struct bottle *zero = set->bottles[2].bottle;
    assert_int_equal(same->agent.update.from_min, 1320);
    assert_int_equal(same->agent.update.deadline_s, 172800);
    assert_true(same->preserve);
    assert_int_equal(zero->agent.update.when, UPDATE_IDLE);
    assert_int_equal(zero->agent.update.deadline_s, 0);
    assert_false(zero->preserve);
    manifest_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_update_forms),
        cmocka_unit_test(test_update_is_inherited_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
