/* SPDX-License-Identifier: Apache-2.0 */
/* When a CA gives way to the next one, and what of it an agent that runs is given. */
#include "reconcile/rotation.h"

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

/* ---- stages ---------------------------------------------------------------------------------- */

static void test_moves(void **state)
{
    (void)state;
    const struct ca_life life = {1000, 1600};
    static const struct {
        enum ca_stage stage;
        bool everywhere;
        int64_t now;
        struct ca_life old;
        enum ca_move move;
    } rows[] = {
        {CA_STEADY, false, 999, {0, 0}, CA_INTRODUCE}, /* made by a clock that was ahead */
        {CA_STEADY, true, 1000, {0, 0}, CA_STAY},
        {CA_STEADY, true, 1399, {0, 0}, CA_STAY},
        {CA_STEADY, false, 1400, {0, 0}, CA_INTRODUCE},
        {CA_STEADY, true, 1400, {0, 0}, CA_INTRODUCE},
        {CA_STEADY, true, 9999, {0, 0}, CA_INTRODUCE}, /* nobody looked until it had ended */
        {CA_INTRODUCED, false, 999, {0, 0}, CA_STAY},
        {CA_INTRODUCED, true, 999, {0, 0}, CA_SWITCH},
        {CA_INTRODUCED, true, 1400, {0, 0}, CA_STAY},
        {CA_INTRODUCED, true, 1499, {0, 0}, CA_STAY},
        {CA_INTRODUCED, false, 1500, {0, 0}, CA_STAY},
        {CA_INTRODUCED, true, 1500, {0, 0}, CA_SWITCH},
        {CA_INTRODUCED, false, 9999, {0, 0}, CA_STAY}, /* too late, but never out of order */
        {CA_INTRODUCED, true, 9999, {0, 0}, CA_SWITCH},
        {CA_SWITCHED, true, 1050, {500, 1100}, CA_STAY},
        {CA_SWITCHED, true, 1099, {500, 1100}, CA_STAY},
        {CA_SWITCHED, false, 1100, {500, 1100}, CA_RETIRE},
        {CA_SWITCHED, true, 1050, {2000, 3000}, CA_RETIRE},
        {CA_SWITCHED, true, 1500, {500, 1600}, CA_STAY}, /* not the one after next before it */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ca_turn t = {rows[i].stage, life, rows[i].old};
        assert_int_equal(ca_due(&t, rows[i].everywhere, rows[i].now), rows[i].move);
    }
}

/* Any life, a clock of any pace: each stage comes once, in order, and what signs is never used
 * after its end unless the next one couldn't be introduced. */
static void test_lives(void **state)
{
    (void)state;
    uint64_t rng = 7;
    for (int n = 0; n < 1000; n++) {
        int64_t span = 6 + (int64_t)(prng_next(&rng) % 100000000);
        int64_t now = (int64_t)(prng_next(&rng) % 2000000000);
        struct ca_turn t = {CA_STEADY, {now, now + span}, {0, 0}};
        enum ca_move last = CA_RETIRE;
        for (int moves = 0; moves < 9;) {
            int64_t at = ca_due_at(&t);
            assert_int_equal(ca_due(&t, true, at - 1), CA_STAY);
            now = at > now ? at : now;
            enum ca_move move = ca_due(&t, true, now);
            assert_int_equal(move, last == CA_RETIRE ? CA_INTRODUCE : last + 1);
            if (move == CA_SWITCH) {
                assert_true(now < t.life.until);
                t = (struct ca_turn){CA_SWITCHED, {now, now + span}, t.life};
            } else {
                t.stage = move == CA_INTRODUCE ? CA_INTRODUCED : CA_STEADY;
            }
            last = move;
            moves++;
        }
    }
}

/* ---- what the agent is given ----------------------------------------------------------------- */

struct rig {
    struct variants v;
    struct world w;
};

static void set_up(struct rig *r)
{
    variants_init(&r->v, "demo");
    world_init(&r->w, variants_model(47));
    world_add(&r->w, "demo", r->v.of[V_BASE]);
    world_run(&r->w);
    assert_null(r->w.m->violation);
}

static void tear_down(struct rig *r)
{
    world_done(&r->w);
    variants_done(&r->v);
}

static const struct model_container *part(const struct rig *r, enum role role)
{
    AUTO_FREE char *name = xasprintf("bottler.demo.%s", role_info(role)->name);
    const struct model_container *k = model_find(r->w.m, name);
    assert_non_null(k);
    return k;
}

static void go(struct rig *r, enum variant to)
{
    r->w.bottles[0].want = r->v.of[to];
    r->w.bottles[0].edited = r->v.of[to];
    r->w.bottles[0].settled = false;
    world_run(&r->w);
    world_check(&r->w);
    if (r->w.m->violation)
        fail_msg("%s", r->w.m->violation);
}

/* The caller frees. */
static char *text_of(const struct rig *r, enum role role, const char *path)
{
    const struct model_file *f = model_file(part(r, role), path);
    if (!f)
        fail_msg("there is no %s", path);
    return f ? xmemdup0(f->data, f->n) : NULL;
}

static void assert_file(const struct rig *r, enum role role, const char *path, const char *text)
{
    AUTO_FREE char *have = text_of(r, role, path);
    assert_string_equal(have, text);
}

static bool is_everywhere(struct rig *r, enum variant want)
{
    struct bottle_view v;
    struct observed *o = look(&r->w);
    bottle_view(o, &r->w.memory, "demo", &v);
    bool is = ca_is_everywhere(r->v.of[want], &v, &r->w.memory);
    observed_free(o);
    return is;
}

/* The two files of an agent that runs, and no more; the proxies in the order that lets nobody see a
 * certificate that it doesn't trust. */
static void test_walk(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    AUTO_FREE char *agent = xstrdup(part(&r, ROLE_AGENT)->id);
    AUTO_FREE char *pipelock = xstrdup(part(&r, ROLE_PIPELOCK)->id);
    AUTO_FREE char *egress = xstrdup(part(&r, ROLE_EGRESS)->id);
    assert_false(is_everywhere(&r, V_CA));

    go(&r, V_CA);
    assert_file(&r, ROLE_AGENT, "etc/bottler/ca.pem", "EGRESS-CERT\nEGRESS-CERT-2\n");
    assert_file(&r, ROLE_EGRESS, "etc/bottler/ca/pipelock-ca.pem",
                "PIPELOCK-CERT\nPIPELOCK-CERT-2\n");
    assert_string_equal(part(&r, ROLE_PIPELOCK)->id, pipelock);
    assert_string_not_equal(part(&r, ROLE_EGRESS)->id, egress);
    assert_true(is_everywhere(&r, V_CA));
    /* A restart knows it from the record; nothing is sent again. */
    unsigned before = r.w.m->mutations;
    world_crash(&r.w);
    go(&r, V_CA);
    assert_int_equal(r.w.m->mutations, before);
    assert_true(is_everywhere(&r, V_CA));

    go(&r, V_CA_NEXT);
    assert_file(&r, ROLE_PIPELOCK, "etc/bottler/ca.pem", "PIPELOCK-CERT-2\n");
    assert_file(&r, ROLE_EGRESS, "etc/bottler/ca/egress-ca.pem", "EGRESS-KEY-2\nEGRESS-CERT-2\n");
    assert_string_equal(part(&r, ROLE_AGENT)->id, agent);
    assert_int_equal(part(&r, ROLE_AGENT)->starts, 1);
    tear_down(&r);
}

/* Made before CAs rotated, so nobody has noted what it trusts. */
static void test_unknown_trust(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    unsigned before = r.w.m->mutations;
    memory_forget_trust(&r.w.memory, "bottler.demo.agent");
    go(&r, V_BASE);
    assert_int_equal(r.w.m->mutations, before);
    assert_false(is_everywhere(&r, V_BASE));
    go(&r, V_CA);
    assert_file(&r, ROLE_AGENT, "etc/bottler/ca.pem", "EGRESS-CERT\nEGRESS-CERT-2\n");
    assert_true(is_everywhere(&r, V_CA));
    tear_down(&r);
}

/* The bundle is made anew with the image's own roots in it. */
static void test_bundle(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    AUTO_FREE char *old = text_of(&r, ROLE_AGENT, "etc/bottler/ca-bundle.pem");
    go(&r, V_CA);
    AUTO_FREE char *want = xasprintf("%sEGRESS-CERT-2\n", old);
    assert_true(strlen(old) > strlen("EGRESS-CERT\n"));
    assert_file(&r, ROLE_AGENT, "etc/bottler/ca-bundle.pem", want);
    tear_down(&r);
}

/* An agent that is to be another one, but not yet, is given what it is to trust meanwhile: how long
 * it waits is not the CA's to know. */
static void test_waiting_agent(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    const char *id = part(&r, ROLE_AGENT)->id;
    memory_put_trust(&r.w.memory, "bottler.demo.agent", id, "another");
    struct observed *o = look(&r.w);
    const struct cidr_set none = {0};
    const struct diff_input in = {.instance = "bottler",
                                  .bottle = "demo",
                                  .desired = r.v.of[V_AGENT],
                                  .observed = o,
                                  .memory = &r.w.memory,
                                  .pool = &r.w.pool,
                                  .reserved = &none,
                                  .caps = &r.w.caps,
                                  .agent_waits = "until it is idle",
                                  .now_ns = r.w.now_ns};
    struct plan *p = diff(&in);
    assert_non_null(p->waits);
    size_t uploads = 0;
    for (size_t i = 0; i < p->steps_len; i++) {
        const struct step *s = &p->steps[i];
        assert_int_equal(s->role, ROLE_AGENT);
        assert_true(s->kind == STEP_CTR_ROOTS || s->kind == STEP_CTR_UPLOAD);
        uploads += s->kind == STEP_CTR_UPLOAD && s->trust_only && strcmp(s->id, id) == 0;
    }
    assert_int_equal(uploads, 1);
    plan_free(p);
    observed_free(o);
    tear_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),  cmocka_unit_test(test_lives),
        cmocka_unit_test(test_walk),   cmocka_unit_test(test_unknown_trust),
        cmocka_unit_test(test_bundle), cmocka_unit_test(test_waiting_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
