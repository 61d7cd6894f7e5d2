/* SPDX-License-Identifier: Apache-2.0 */
/* What a bottle's state is called, in each situation. */
#include "reconcile/status.h"
#include "spec/base/xalloc.h"
#include "tests/torture/driver.h"
#include "tests/torture/variants.h"
#include "tests/unit/support.h"

/* NOLINTBEGIN(bugprone-suspicious-include): the parts of one test program. */
#include "tests/torture/check.c"
#include "tests/torture/driver.c"
#include "tests/torture/model.c"
#include "tests/torture/model_api.c"
#include "tests/torture/model_container.c"
#include "tests/torture/model_open.c"
#include "tests/torture/model_proxy.c"
#include "tests/torture/variants.c"
/* NOLINTEND(bugprone-suspicious-include) */

#define MANIFEST                                                                                   \
    "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: demo}\n"                           \
    "spec: {agent: {image: \"x:1\"}}\n"
#define BROKEN_MANIFEST                                                                            \
    "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: demo}\nspec: {agent: {colour: "    \
    "x}}\n"

struct situation {
    struct variants v;
    struct world w;
    struct catalog catalog;
    struct conditions conditions;
    struct status_input in;
    struct observed *observed;
};

static void see(struct situation *s)
{
    observed_free(s->observed);
    s->observed = look(&s->w);
    bottle_view(s->observed, &s->w.memory, "demo", &s->in.view);
    conditions_update(&s->conditions, &s->in);
}

/* A bottle that is as it should be. */
static void set_up(struct situation *s)
{
    *s = (struct situation){0};
    variants_init(&s->v, "demo");
    world_init(&s->w, variants_model(47));
    world_add(&s->w, "demo", s->v.of[V_BASE]);
    world_run(&s->w);
    assert_null(s->w.m->violation);
    struct manifest_set *set = test_load("m.yaml", MANIFEST, NULL);
    catalog_update(&s->catalog, set);
    manifest_set_free(set);
    s->in = (struct status_input){
        .entry = catalog_find(&s->catalog, "demo"), .desired = s->v.of[V_BASE], .now_s = 1000};
    assert_non_null(s->in.entry);
    see(s);
}

static void tear_down(struct situation *s)
{
    conditions_done(&s->conditions);
    observed_free(s->observed);
    catalog_done(&s->catalog);
    world_done(&s->w);
    variants_done(&s->v);
}

static void says(const struct situation *s, enum condition_type t, enum truth status,
                 const char *reason, const char *part)
{
    const struct condition *c = &s->conditions.of[t];
    if (!c->present || c->status != status || strcmp(c->reason, reason) != 0 ||
        !strstr(c->message, part))
        fail_msg("%s is %s/%s '%s', expected %s/%s '%s'", condition_name(t),
                 c->present ? truth_name(c->status) : "absent", c->reason ? c->reason : "",
                 c->message ? c->message : "", truth_name(status), reason, part);
}

static struct model_container *part(const struct situation *s, const char *role)
{
    AUTO_FREE char *name = xasprintf("bottler.demo.%s", role);
    struct model_container *k = model_find(s->w.m, name);
    assert_non_null(k);
    return k;
}

static void test_ready(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    says(&s, COND_SPEC_ACCEPTED, TRUTH_TRUE, "Accepted", "generation 1 from m.yaml");
    says(&s, COND_SECRETS_RESOLVED, TRUTH_TRUE, "Resolved", "");
    says(&s, COND_ISOLATED, TRUTH_TRUE, "Sealed", "");
    says(&s, COND_POLICY_EFFECTIVE, TRUTH_TRUE, "Confirmed", "");
    says(&s, COND_READY, TRUTH_TRUE, "AsDesired", "");
    assert_false(s.conditions.of[COND_RECONCILING].present);
    assert_false(s.conditions.of[COND_STALLED].present);
    assert_false(s.conditions.of[COND_SUSPENDED].present);
    tear_down(&s);
}

static void test_parts_missing(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    model_exit(s.w.m, part(&s, "egress"), 1);
    see(&s);
    says(&s, COND_READY, TRUTH_FALSE, "Progressing", "bottler.demo.egress is exited");
    says(&s, COND_POLICY_EFFECTIVE, TRUTH_FALSE, "ProxyNotRunning", "bottler.demo.egress");
    model_drop_container(s.w.m, part(&s, "pipelock"));
    see(&s);
    says(&s, COND_READY, TRUTH_FALSE, "Progressing", "bottler.demo.pipelock does not exist yet");
    tear_down(&s);
}

static void test_open(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    model_attach(part(&s, "agent"), model_find_net(s.w.m, "company"));
    see(&s);
    says(&s, COND_ISOLATED, TRUTH_FALSE, "WrongNetworks", "bottler.demo.agent");
    says(&s, COND_READY, TRUTH_FALSE, "WrongNetworks", "bottler.demo.agent");
    model_exit(s.w.m, part(&s, "agent"), 1);
    see(&s);
    says(&s, COND_ISOLATED, TRUTH_TRUE, "AgentNotRunning", "");
    tear_down(&s);
}

static void test_policy(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    s.in.desired = s.v.of[V_PATH];
    see(&s);
    says(&s, COND_POLICY_EFFECTIVE, TRUTH_FALSE, "Unconfirmed", "bottler.demo.egress");
    says(&s, COND_READY, TRUTH_FALSE, "Unconfirmed", "bottler.demo.egress");
    /* The same routes with another token are another policy. */
    s.in.desired = s.v.of[V_TOKEN];
    see(&s);
    says(&s, COND_POLICY_EFFECTIVE, TRUTH_FALSE, "Unconfirmed", "bottler.demo.egress");
    s.in.desired = s.v.of[V_AGENT];
    see(&s);
    says(&s, COND_POLICY_EFFECTIVE, TRUTH_TRUE, "Confirmed", "");
    says(&s, COND_READY, TRUTH_FALSE, "Progressing", "bottler.demo.agent is of an older");
    tear_down(&s);
}

/* Sent another file, it is unknown what a proxy runs until it says so, also when the edit is taken
 * back. */
static void test_policy_in_doubt(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    memory_void_policy(&s.w.memory, part(&s, "egress")->id);
    see(&s);
    says(&s, COND_POLICY_EFFECTIVE, TRUTH_FALSE, "Unconfirmed", "bottler.demo.egress");
    tear_down(&s);
}

static void test_manifests(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    struct manifest_set *set = test_load("m.yaml", BROKEN_MANIFEST, NULL);
    catalog_update(&s.catalog, set);
    manifest_set_free(set);
    see(&s);
    says(&s, COND_SPEC_ACCEPTED, TRUTH_FALSE, "Invalid", "the last good generation stays");
    says(&s, COND_SPEC_ACCEPTED, TRUTH_FALSE, "Invalid", "m.yaml:4:");
    says(&s, COND_READY, TRUTH_TRUE, "AsDesired", ""); /* a bad edit never hurts */
    set = test_load("m.yaml", "[", NULL);
    catalog_update(&s.catalog, set);
    manifest_set_free(set);
    see(&s);
    says(&s, COND_SPEC_ACCEPTED, TRUTH_FALSE, "Unparsable", "m.yaml");
    set = manifest_load(NULL, 0);
    catalog_update(&s.catalog, set);
    manifest_set_free(set);
    s.in.desired = NULL;
    see(&s);
    says(&s, COND_SPEC_ACCEPTED, TRUTH_FALSE, "Removed", "");
    says(&s, COND_READY, TRUTH_FALSE, "NotWanted", "");
    says(&s, COND_POLICY_EFFECTIVE, TRUTH_UNKNOWN, "NoPolicy", "");
    s.in.entry = NULL;
    see(&s);
    says(&s, COND_SPEC_ACCEPTED, TRUTH_FALSE, "NoManifest", "");
    says(&s, COND_SECRETS_RESOLVED, TRUTH_UNKNOWN, "NoSpec", "");
    assert_int_equal(s.conditions.of[COND_READY].generation, 0);
    tear_down(&s);
}

static void test_problems(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    s.in.secrets_problem = "secret 'API_PAT' has no value";
    see(&s);
    says(&s, COND_SECRETS_RESOLVED, TRUTH_FALSE, "SecretMissing", "'API_PAT'");
    says(&s, COND_READY, TRUTH_FALSE, "SecretMissing", "'API_PAT'");
    s.in.secrets_problem = NULL;
    s.in.problem = "container.start x: the engine answered 500";
    s.in.working = true;
    see(&s);
    says(&s, COND_READY, TRUTH_FALSE, "Failed", "answered 500");
    says(&s, COND_RECONCILING, TRUTH_TRUE, "Pending", "");
    assert_false(s.conditions.of[COND_STALLED].present);
    s.in.terminal = true;
    see(&s);
    says(&s, COND_STALLED, TRUTH_TRUE, "NeedsEdit", "answered 500");
    s.in.unsupported = "supervise: this version can't";
    see(&s);
    says(&s, COND_READY, TRUTH_FALSE, "Refused", "supervise");
    says(&s, COND_STALLED, TRUTH_TRUE, "Refused", "supervise");
    tear_down(&s);
}

static void test_suspended(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    struct bottle *b = catalog_find(&s.catalog, "demo")->bottle;
    b->suspended = true;
    b->suspend_reason = xstrdup("lunch");
    b->suspend_until = s.in.now_s + 1;
    see(&s);
    says(&s, COND_SUSPENDED, TRUTH_TRUE, "Manifest",
         "by spec.suspend of its manifest until 1970-01-01T00:16:41Z: lunch");
    says(&s, COND_READY, TRUTH_FALSE, "Suspended", "");

    /* By hand too: both are told, and each ends for itself. */
    struct suspension by_hand = {.who = (char[]){"ada"},
                                 .reason = (char[]){"audit"},
                                 .since_s = 900,
                                 .until_s = s.in.now_s + 2};
    s.in.by_hand = &by_hand;
    see(&s);
    says(&s, COND_SUSPENDED, TRUTH_TRUE, "Manifest", "lunch; and by hand of ada since");
    s.in.now_s++;
    struct plan *p = plan_new("demo");
    (void)plan_add(p, &(struct step_init){.kind = STEP_CTR_INSPECT, .object = "demo.agent"});
    s.in.plan = p;
    see(&s);
    says(&s, COND_SUSPENDED, TRUTH_TRUE, "ByHand",
         "by hand of ada since 1970-01-01T00:15:00Z until 1970-01-01T00:16:42Z: audit");
    assert_null(strstr(s.conditions.of[COND_SUSPENDED].message, "step"));
    says(&s, COND_READY, TRUTH_FALSE, "Suspended", "");

    /* What it has drifted by is told. */
    (void)plan_add(p, &(struct step_init){.kind = STEP_CTR_START, .object = "demo.agent"});
    see(&s);
    says(&s, COND_SUSPENDED, TRUTH_TRUE, "ByHand", "audit; 1 step would be taken");
    s.in.now_s++;
    s.in.plan = NULL;
    see(&s);
    assert_false(s.conditions.of[COND_SUSPENDED].present);
    says(&s, COND_READY, TRUTH_TRUE, "AsDesired", "");
    plan_free(p);
    tear_down(&s);
}

/* No manifest wants it: what comes next is told, and it is never green. */
static void test_graves(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    struct manifest_set *set = manifest_load(NULL, 0);
    catalog_update(&s.catalog, set);
    manifest_set_free(set);
    char wait[] = "it is deleted at noon";
    struct grave g = {.verdict = GRAVE_WAITS, .message = wait};
    s.in.grave = &g;
    see(&s);
    says(&s, COND_SPEC_ACCEPTED, TRUTH_FALSE, "Removed", "is gone; it is deleted at noon");
    says(&s, COND_READY, TRUTH_FALSE, "Removed", "no manifest wants it; it is deleted at noon");
    says(&s, COND_ISOLATED, TRUTH_TRUE, "Sealed", ""); /* kept up as it was */
    assert_false(s.conditions.of[COND_PRUNE_HELD].present);
    static const enum grave_reason reasons[] = {GRAVE_TOO_MANY, GRAVE_SUSPENDED, GRAVE_SOURCE,
                                                GRAVE_MOVED, GRAVE_PRESERVED};
    static const char *const words[] = {"TooMany", "Suspended", "SourceReplaced", "MoveOffered",
                                        "Preserved"};
    g.verdict = GRAVE_HELD;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        g.reason = reasons[i];
        see(&s);
        says(&s, COND_PRUNE_HELD, TRUTH_TRUE, words[i], "it is deleted at noon");
        says(&s, COND_READY, TRUTH_FALSE, "PruneHeld", "");
    }
    s.in.entry = NULL;
    see(&s);
    says(&s, COND_SPEC_ACCEPTED, TRUTH_FALSE, "NoManifest", "it is deleted at noon");
    tear_down(&s);
}

static void test_plans(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    struct plan *p = plan_new("demo");
    plan_set_hold(p, HOLD_NO_ADDRESS, xstrdup("the address pool is exhausted"));
    s.in.plan = p;
    see(&s);
    says(&s, COND_READY, TRUTH_FALSE, "Held", "exhausted");
    says(&s, COND_STALLED, TRUTH_TRUE, "Held", "exhausted");
    plan_free(p);
    p = plan_new("demo");
    p->finished = true;
    s.in.plan = p;
    model_exit(s.w.m, part(&s, "agent"), 0);
    see(&s);
    says(&s, COND_READY, TRUTH_FALSE, "Finished", "the agent has ended");
    int step = plan_add(
        p, &(struct step_init){.kind = STEP_CTR_START, .object = "x", .cause = "it ended"});
    s.in.working = true;
    s.in.current = &p->steps[step];
    see(&s);
    says(&s, COND_RECONCILING, TRUTH_TRUE, "Progressing", "container.start x: it ended");
    plan_free(p);
    tear_down(&s);
}

/* The time is that of the last change of status, not of the words. */
static void test_times(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    assert_int_equal(s.conditions.of[COND_READY].since_s, 1000);
    s.in.now_s = 2000;
    see(&s);
    assert_int_equal(s.conditions.of[COND_READY].since_s, 1000);
    s.in.problem = "one";
    see(&s);
    assert_int_equal(s.conditions.of[COND_READY].since_s, 2000);
    s.in.now_s = 3000;
    s.in.problem = "two";
    see(&s);
    assert_int_equal(s.conditions.of[COND_READY].since_s, 2000);
    says(&s, COND_READY, TRUTH_FALSE, "Failed", "two");
    s.in.problem = NULL;
    see(&s);
    assert_int_equal(s.conditions.of[COND_READY].since_s, 3000);
    assert_int_equal(s.conditions.of[COND_ISOLATED].since_s, 1000);
    tear_down(&s);
}

static void test_json(void **state)
{
    (void)state;
    struct situation s;
    set_up(&s);
    json_t *list = conditions_json(&s.conditions);
    assert_int_equal(json_array_size(list), 5);
    const json_t *ready = json_array_get(list, COND_READY);
    assert_string_equal(json_string_value(json_object_get(ready, "type")), "Ready");
    assert_string_equal(json_string_value(json_object_get(ready, "status")), "True");
    assert_string_equal(json_string_value(json_object_get(ready, "lastTransitionTime")),
                        "1970-01-01T00:16:40Z");
    assert_int_equal(json_integer_value(json_object_get(ready, "observedGeneration")), 1);
    json_decref(list);

    json_t *parts = components_json(&s.in, &s.w.memory);
    assert_int_equal(json_array_size(parts), 3);
    const json_t *egress = json_array_get(parts, 1);
    const json_t *hash = json_object_get(egress, "configHash");
    assert_string_equal(json_string_value(json_object_get(egress, "role")), "egress");
    assert_string_equal(json_string_value(json_object_get(egress, "state")), "running");
    assert_string_equal(json_string_value(json_object_get(egress, "containerId")),
                        part(&s, "egress")->id);
    assert_string_equal(json_string_value(json_object_get(hash, "observed")),
                        json_string_value(json_object_get(hash, "desired")));
    json_decref(parts);

    json_t *nets = networks_json(&s.in);
    assert_int_equal(json_array_size(nets), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(nets, 0), "name")),
                        "bottler.demo.agent");
    assert_non_null(json_string_value(json_object_get(json_array_get(nets, 0), "subnet")));
    json_decref(nets);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_parts_missing),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_policy_in_doubt),
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_suspended),
        cmocka_unit_test(test_graves),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
