/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that is to be another one, and stands for as long as it waits. */
#include "reconcile/diff.h"

#include "spec/base/xalloc.h"

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

static const char agent_name[] = "bottler.demo.agent";

struct rig {
    struct variants v;
    struct world w;
    struct observed *o;
    const char *id;     /* of the agent */
    const char *limits; /* that are wanted of it */
    struct plan *plan;
};

static void set_up(struct rig *r)
{
    *r = (struct rig){0};
    variants_init(&r->v, "demo");
    world_init(&r->w, variants_model(47));
    world_add(&r->w, "demo", r->v.of[V_BASE]);
    world_run(&r->w);
    assert_null(r->w.m->violation);
    r->o = look(&r->w);
    r->id = model_find(r->w.m, agent_name)->id;
    r->limits = desired_find(r->v.of[V_AGENT], ROLE_AGENT)->limits;
}

static void tear_down(struct rig *r)
{
    plan_free(r->plan);
    observed_free(r->o);
    world_done(&r->w);
    variants_done(&r->v);
}

static const struct plan *planned(struct rig *r, enum variant to, const char *waits)
{
    const struct cidr_set none = {0};
    const struct diff_input in = {.instance = "bottler",
                                  .bottle = "demo",
                                  .desired = r->v.of[to],
                                  .observed = r->o,
                                  .memory = &r->w.memory,
                                  .pool = &r->w.pool,
                                  .reserved = &none,
                                  .caps = &r->w.caps,
                                  .agent_waits = waits,
                                  .now_ns = r->w.now_ns};
    plan_free(r->plan);
    r->plan = diff(&in);
    return r->plan;
}

static void know(struct rig *r, enum seal_state state)
{
    struct seal s = {
        .state = state, .why = state == SEAL_SOUND ? NULL : xstrdup("why"), .other = true};
    memory_put_seal(&r->w.memory, r->id, r->limits, &s);
}

static void assert_only(const struct plan *p, enum step_kind kind)
{
    assert_int_equal(p->steps_len, 1);
    assert_string_equal(step_kind_name(p->steps[0].kind), step_kind_name(kind));
    assert_string_equal(p->steps[0].object, agent_name);
}

/* A controller that is new looks at it, as what may not be in any generation opens the bottle. */
static void test_looked_at(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    const struct plan *p = planned(&r, V_AGENT, "until it is idle");
    assert_int_equal(p->steps_len, 0);
    assert_string_equal(p->waits, "until it is idle");

    memory_forget_seal(&r.w.memory, r.id);
    assert_only(planned(&r, V_AGENT, "until it is idle"), STEP_CTR_INSPECT);
    /* Suspended, or without an image for the next one, it stands as long. */
    assert_only(planned(&r, V_AGENT, NULL), STEP_CTR_INSPECT);
    know(&r, SEAL_SOUND);
    p = planned(&r, V_AGENT, "until it is idle");
    assert_int_equal(p->steps_len, 0);
    assert_non_null(p->waits);
    /* The edit is taken back: now all of it is looked at. */
    assert_only(planned(&r, V_BASE, NULL), STEP_CTR_INSPECT);

    know(&r, SEAL_BROKEN);
    p = planned(&r, V_AGENT, "until it is idle");
    assert_true(p->isolates);
    assert_only(p, STEP_CTR_PAUSE);
    tear_down(&r);
}

/* Limits need no other container. */
static void test_limits(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    know(&r, SEAL_LIMITS);
    const struct plan *p = planned(&r, V_AGENT, "until it is idle");
    assert_only(p, STEP_CTR_UPDATE);
    assert_non_null(p->waits);
    /* What this engine can't set isn't tried again, and hides nothing of the rest. */
    memory_tried_limits(&r.w.memory, r.id);
    assert_only(planned(&r, V_AGENT, "until it is idle"), STEP_CTR_INSPECT);
    know(&r, SEAL_LIMITS);
    assert_int_equal(planned(&r, V_AGENT, "until it is idle")->steps_len, 0);
    assert_only(planned(&r, V_BASE, NULL), STEP_CTR_INSPECT);
    tear_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looked_at),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
