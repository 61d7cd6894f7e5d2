/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "spec/base/xalloc.h"
#include "spec/change.h"
#include "spec/defaults.h"

static const struct field *field(const char *parent, const char *name)
{
    return XNN(field_find(&fields_bottle, parent, name));
}

static struct defaults *parsed(const char *text)
{
    struct defaults *d = NULL;
    AUTO_ERR e = defaults_parse(text, &d);
    if (e)
        fail_msg("%s", err_message(e));
    return d;
}

static void todays_hold_every_value(void **state)
{
    (void)state;
    AUTO_FREE char *text = defaults_text();
    AUTO_FREE char *again = defaults_text();
    assert_string_equal(text, again);
    assert_non_null(strstr(text, "\"spec.agent.resources.memory\": \"2Gi\""));
    assert_non_null(strstr(text, "\"spec.agent.resources.cpus\": null"));
    assert_non_null(strstr(text, "\"spec.suspend\": \"false\""));
    assert_non_null(strstr(text, "\"spec.agent.mounts[].read_only\": \"false\""));
    assert_null(strstr(text, "\"spec.agent\":"));
    struct defaults *d = parsed(text);
    for (size_t i = 0; i < fields_bottle.len; i++) {
        const struct field *f = &fields_bottle.fields[i];
        assert_string_equal(defaults_get(d, f) ? defaults_get(d, f) : "(none)",
                            f->def ? f->def : "(none)");
    }
    assert_null(defaults_completed(d));
    defaults_free(d);
}

static void what_is_pinned_counts_and_what_is_new_is_todays(void **state)
{
    (void)state;
    struct defaults *d =
        parsed("{\"spec.agent.tty\": \"true\", \"spec.egress.log\": null, \"spec.gone\": \"x\"}");
    assert_string_equal(defaults_get(d, field("spec.agent", "tty")), "true");
    assert_null(defaults_get(d, field("spec.egress", "log")));
    assert_string_equal(defaults_get(d, field("spec.agent", "restart")), "always");
    assert_string_equal(defaults_get(NULL, field("spec.agent", "tty")), "false");
    AUTO_FREE char *text = defaults_completed(d);
    assert_non_null(strstr(text, "\"spec.agent.tty\": \"true\""));
    assert_non_null(strstr(text, "\"spec.agent.restart\": \"always\""));
    assert_non_null(strstr(text, "\"spec.egress.log\": null"));
    assert_non_null(strstr(text, "\"spec.gone\": \"x\""));
    defaults_free(d);
}

static void what_is_no_object_of_texts_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "[]", "{\"a\": 1}", "{\"a\": \"b\"", "{\"a\": {}}", "{\"a\": \"b\", \"a\": \"c\"}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct defaults *d = NULL;
        AUTO_ERR e = defaults_parse(wrong[i], &d);
        assert_int_equal(err_kind(e), ERR_INVALID);
        assert_null(d);
    }
}

/* ---- a manifest under them ------------------------------------------------------------------- */

static const struct defaults *of_old(void *ctx, const char *bottle)
{
    return strcmp(bottle, "old") == 0 ? ctx : NULL;
}

#define HEAD(name) "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name "}\n"
#define SPEC                                                                                       \
    "spec:\n  agent: {image: i, mounts: [{volume: c, target: /c}, {volume: d, target: /d,"         \
    " read_only: false}]}\n  egress: {routes: [{host: a.example.com}]}\n"

static void a_bottle_keeps_those_it_was_accepted_with(void **state)
{
    (void)state;
    struct defaults *d =
        parsed("{\"spec.agent.tty\": \"true\", \"spec.agent.runtime\": \"runc\","
               " \"spec.agent.resources.memory\": \"1Gi\", \"spec.agent.resources.pids\": \"99\","
               " \"spec.agent.resources.cpus\": \"2\", \"spec.agent.mounts[].read_only\": \"true\","
               " \"spec.agent.working_dir\": \"/work\", \"spec.egress.dlp_action\": \"warn\","
               " \"spec.egress.log\": \"0\", \"spec.agent.restart\": \"never\", \"spec.preserve\": "
               "\"true\","
               " \"spec.egress.routes[].pipelock.tls_passthrough\": \"true\"}");
    static const char text[] = HEAD("new") SPEC "---\n" HEAD("old") SPEC;
    const struct manifest_input in = {.path = "m.yaml", .bytes = sv_of(text)};
    struct manifest_set *plain = manifest_load(&in, 1);
    const struct manifest_rules rules = {.defaults = of_old, .defaults_ctx = d};
    struct manifest_set *set = manifest_load_under(&in, 1, &rules);
    test_expect_diags(set, "");
    const struct bottle *new = set->bottles[0].bottle;
    const struct bottle *old = set->bottles[1].bottle;
    assert_false(new->agent.tty);
    assert_string_equal(new->agent.runtime, "auto");
    assert_int_equal(new->agent.resources.memory_bytes, RESOURCES_MEMORY);
    assert_true(old->agent.tty);
    assert_true(old->preserve);
    assert_string_equal(old->agent.runtime, "runc");
    assert_string_equal(old->agent.working_dir, "/work");
    assert_int_equal(old->agent.restart, RESTART_NEVER);
    assert_int_equal(old->agent.resources.memory_bytes, INT64_C(1) << 30);
    assert_int_equal(old->agent.resources.pids, 99);
    assert_int_equal(old->agent.resources.nano_cpus, INT64_C(2000000000));
    assert_true(old->agent.mounts[0].read_only);
    assert_false(old->agent.mounts[1].read_only);
    assert_int_equal(old->egress.dlp_action, DLP_WARN);
    assert_int_equal(old->egress.log, 0);
    assert_true(old->egress.routes[0].tls_passthrough);
    /* What is compared and kept stays as it was written. */
    assert_string_equal(old->text, plain->bottles[1].bottle->text);
    manifest_set_free(plain);
    manifest_set_free(set);
    defaults_free(d);
}

/* A word that this version hasn't any more is a finding, where the object is: nothing is guessed.
 */
static void a_default_that_is_no_longer_a_value_is_told(void **state)
{
    (void)state;
    struct defaults *d = parsed("{\"spec.agent.restart\": \"sometimes\"}");
    static const char text[] = HEAD("old") "spec:\n  agent: {image: i}\n";
    const struct manifest_input in = {.path = "m.yaml", .bytes = sv_of(text)};
    const struct manifest_rules rules = {.defaults = of_old, .defaults_ctx = d};
    struct manifest_set *set = manifest_load_under(&in, 1, &rules);
    test_expect_diags(set, "m.yaml:5:10: spec.agent.restart: expected always, on_failure or never, "
                           "got the string 'sometimes'\n");
    manifest_set_free(set);
    defaults_free(d);
}

static void changes_are_those_of_the_bottle(void **state)
{
    (void)state;
    struct defaults *d = parsed("{\"spec.agent.resources.memory\": \"1Gi\"}");
    static const char none[] = "{\"spec\": {}}";
    static const char one[] = "{\"spec\": {\"agent\": {\"resources\": {\"memory\": \"1Gi\"}}}}";
    static const char two[] = "{\"spec\": {\"agent\": {\"resources\": {\"memory\": \"2Gi\"}}}}";
    struct change_list l;
    changes_find_with(none, one, d, &l);
    assert_int_equal(l.len, 0);
    change_list_done(&l);
    changes_find_with(none, two, d, &l);
    assert_int_equal(l.len, 1);
    assert_string_equal(l.items[0].old_text, "1Gi");
    assert_string_equal(l.items[0].new_text, "2Gi");
    change_list_done(&l);
    changes_find(none, two, &l);
    assert_int_equal(l.len, 0);
    change_list_done(&l);
    defaults_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(todays_hold_every_value),
        cmocka_unit_test(what_is_pinned_counts_and_what_is_new_is_todays),
        cmocka_unit_test(what_is_no_object_of_texts_is_refused),
        cmocka_unit_test(a_bottle_keeps_those_it_was_accepted_with),
        cmocka_unit_test(a_default_that_is_no_longer_a_value_is_told),
        cmocka_unit_test(changes_are_those_of_the_bottle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
