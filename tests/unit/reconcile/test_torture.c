/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way in which a bottle comes, changes, breaks and goes, against the model engine; then each
 * again with every single request failing in every way, with the controller dying there, and with
 * the manifest changing there. Always: it ends, with exactly what is wanted, nothing of a stranger
 * touched, no agent started before both keys have told their policy, and a second look that
 * changes nothing.
 *
 * A fifth of all combinations runs, another in each scenario; BOTTLER_TORTURE_FULL=1 runs them all.
 * BOTTLER_TORTURE=NAME runs one scenario.
 */
/* NOLINTBEGIN(bugprone-suspicious-include): the parts of one test program. */
#include "tests/torture/check.c"
#include "tests/torture/driver.c"
#include "tests/torture/model.c"
#include "tests/torture/model_api.c"
#include "tests/torture/model_container.c"
#include "tests/torture/model_open.c"
#include "tests/torture/model_proxy.c"
#include "tests/torture/scenarios.c"
#include "tests/torture/variants.c"
/* NOLINTEND(bugprone-suspicious-include) */

enum { API_OLD = 41, API_NEW = 47, REPORTS = 200, TRACE_PASSES = 12, STRIDE = 8, SEEDS = 20 };

/* One run's coordinates: what is printed when it fails, and what repeats it. */
struct run {
    const struct scenario *s;
    const struct model *start;  /* the scenario's, after its wreck */
    const struct memory *known; /* what the controller knew then */
    enum fault fault;
    size_t at;
    uint64_t seed; /* 0: requests in order */
    bool warm;     /* the controller lived through the wreck */
    bool busy;     /* world.busy_neighbours */
    unsigned slow; /* model.slow */
    bool watches;  /* model.pipelock_watches */
    enum variant edited;
};

struct torture {
    struct variants v;
    size_t runs, failed, requests;
};

static void copy_memory(const struct memory *from, struct memory *to)
{
    for (size_t i = 0; i < from->images_len; i++) {
        const struct image_info *k = &from->images[i].info;
        struct image_info info = {.ref = xstrdup(k->ref),
                                  .id = xstrdup_null(k->id),
                                  .user = xstrdup_null(k->user),
                                  .arch = xstrdup_null(k->arch),
                                  .has_command = k->has_command};
        memory_put_image(to, &info, from->images[i].seen_ns);
    }
    for (size_t i = 0; i < from->policies_len; i++)
        memory_put_policy(to, from->policies[i].container_id, from->policies[i].config_hash,
                          from->policies[i].generation);
}

/* What is on disk, too. */
static void copy_trusts(const struct memory *from, struct memory *to)
{
    for (size_t i = 0; i < from->trusts_len; i++)
        memory_put_trust(to, from->trusts[i].name, from->trusts[i].container_id,
                         from->trusts[i].hash);
}

static bool same_role(const struct torture *t, const struct run *r, enum role role)
{
    const struct desired *a = t->v.of[r->s->from];
    const struct desired *b = t->v.of[r->fault == FAULT_EDIT ? r->edited : r->s->to];
    const struct desired *c = t->v.of[r->s->to];
    if (!a || !b || !c || r->s->victims & BIT(role))
        return false;
    const char *hash = desired_find(a, role)->spec_hash;
    return strcmp(hash, desired_find(b, role)->spec_hash) == 0 &&
           strcmp(hash, desired_find(c, role)->spec_hash) == 0;
}

/* An agent whose spec is the same is not touched, whatever fails; without failures no sidecar is
 * either. */
static void check_kept(const struct torture *t, const struct run *r, struct world *w)
{
    static const enum role roles[] = {ROLE_AGENT, ROLE_PIPELOCK, ROLE_EGRESS};
    size_t n = r->fault == FAULT_NONE ? sizeof(roles) / sizeof(*roles) : 1;
    for (size_t i = 0; i < n; i++) {
        if (!same_role(t, r, roles[i]))
            continue;
        AUTO_FREE char *name = xasprintf("bottler.demo.%s", role_info(roles[i])->name);
        const struct model_container *before = model_find(r->start, name);
        const struct model_container *after = model_find(w->m, name);
        assert_non_null(before);
        if (!after || strcmp(after->id, before->id) != 0)
            model_violate(w->m, "%s was replaced for nothing", name);
        else if (after->starts != before->starts || after->state != RUN_RUNNING)
            model_violate(w->m, "%s was stopped or started for nothing", name);
    }
}

static void check_idle(struct world *w)
{
    unsigned before = w->m->mutations;
    world_crash(w);
    world_run(w);
    world_check(w);
    if (w->m->mutations != before)
        model_violate(w->m, "a second look changed something");
}

static void run_world(const struct torture *t, const struct run *r, struct world *w)
{
    world_init(w, model_clone(r->start));
    w->fault = r->fault;
    w->fault_at = r->at;
    w->shuffle = r->seed != 0;
    w->rng = r->seed;
    w->busy_neighbours = r->busy;
    w->m->pipelock_watches = r->watches;
    w->m->slow = r->slow;
    w->now_ns = 100 * NS_PER_S;
    copy_trusts(r->known, &w->memory);
    if (r->warm)
        copy_memory(r->known, &w->memory);
    else
        model_forget_told(w->m);
    world_add(w, "demo", t->v.of[r->s->to]);
    w->bottles[0].edited = t->v.of[r->edited];
}

static void finish_world(const struct torture *t, const struct run *r, struct world *w)
{
    AUTO_FREE char *before = model_strangers(r->start);
    world_run(w);
    world_check(w);
    if (w->bottles[0].held)
        model_violate(w->m, "held: %s", w->bottles[0].held);
    check_kept(t, r, w);
    w->fault = FAULT_NONE;
    if (!w->m->violation)
        check_idle(w);
    AUTO_FREE char *after = model_strangers(w->m);
    if (strcmp(before, after) != 0)
        model_violate(w->m, "a stranger was touched");
}

static void report(const struct torture *t, const struct run *r, const char *violation)
{
    if (t->failed > REPORTS)
        return;
    print_error("%s (%s engine): %s at request %zu, seed %llu%s%s%s, slow %u: %s\n", r->s->name,
                r->start->api_minor == API_OLD ? "old" : "new", fault_name(r->fault), r->at,
                (unsigned long long)r->seed, r->warm ? ", warm" : ", cold", r->busy ? ", busy" : "",
                r->watches ? ", watches" : "", r->slow, violation);
    if (t->failed > 1)
        return;
    struct world w;
    run_world(t, r, &w);
    w.trace = TRACE_PASSES;
    finish_world(t, r, &w);
    world_done(&w);
}

/* The number of requests that it took. */
static size_t run_once(struct torture *t, const struct run *r)
{
    struct world w;
    run_world(t, r, &w);
    finish_world(t, r, &w);
    size_t requests = w.requests;
    t->runs++;
    t->requests += requests;
    if (w.m->violation) {
        t->failed++;
        report(t, r, w.m->violation);
    }
    world_done(&w);
    return requests;
}

static void prepare(const struct torture *t, const struct scenario *s, int api, struct world *ret)
{
    world_init(ret, variants_model(api));
    world_add(ret, "demo", t->v.of[s->from]);
    world_run(ret);
    world_check(ret);
    if (ret->m->violation)
        print_error("%s: before the scenario begins: %s\n", s->name, ret->m->violation);
    assert_null(ret->m->violation);
    if (s->wreck)
        s->wreck(ret->m, s);
}

/* Every fault at every request, in order; of them every `stride`th. */
static void run_faults(struct torture *t, struct run r, size_t requests, size_t stride)
{
    static const enum variant edits[] = {V_NONE, V_BASE, V_ALL};
    size_t n = (size_t)(r.s - scenarios) % stride;
    for (int f = FAULT_REFUSED; f < FAULT_COUNT; f++) {
        size_t kinds = f == FAULT_EDIT ? sizeof(edits) / sizeof(*edits) : 1;
        r.fault = (enum fault)f;
        for (r.at = 0; r.at < requests; r.at++) {
            for (size_t k = 0; k < kinds; k++, n++) {
                r.edited = f == FAULT_EDIT ? edits[k] : r.s->to;
                if (n % stride == 0)
                    run_once(t, &r);
            }
        }
    }
}

/* Any fault at any request, in any order. */
static void run_seeds(struct torture *t, struct run r, size_t requests, unsigned count)
{
    static const enum variant edits[] = {V_NONE, V_BASE, V_ALL, V_ROUTE, V_COLD};
    for (unsigned i = 0; i < count; i++) {
        uint64_t rng = ((uint64_t)(r.s - scenarios) + 1) << 32 | i;
        r.fault = (enum fault)(prng_next(&rng) % FAULT_COUNT);
        r.at = (size_t)(prng_next(&rng) % (requests + 1));
        uint64_t bits = prng_next(&rng);
        r.warm = bits & 1;
        r.busy = bits & 2;
        r.watches = bits & 4;
        r.slow = bits & 8 ? 1 + (unsigned)(bits >> 16 & 15) : 0;
        r.edited = r.fault == FAULT_EDIT
                       ? edits[(bits >> 8 & 255) % (sizeof(edits) / sizeof(*edits))]
                       : r.s->to;
        r.seed = prng_next(&rng) | 1;
        run_once(t, &r);
    }
}

static void torture_scenario(struct torture *t, const struct scenario *s, int api, bool faults)
{
    bool full = getenv("BOTTLER_TORTURE_FULL") != NULL;
    struct world w;
    prepare(t, s, api, &w);
    struct run r = {.s = s, .start = w.m, .known = &w.memory, .warm = true, .edited = s->to};
    size_t failed = t->failed;
    size_t warm = run_once(t, &r);
    r.warm = false;
    size_t cold = run_once(t, &r);
    if (t->failed == failed && faults) {
        run_faults(t, r, cold, full ? 1 : STRIDE);
        r.warm = true;
        run_faults(t, r, warm, full ? 1 : STRIDE);
        run_seeds(t, r, cold, full ? 5 * SEEDS : SEEDS);
    }
    world_done(&w);
}

static void torture_all(int api, bool faults)
{
    struct torture t = {0};
    variants_init(&t.v, "demo");
    const char *only = getenv("BOTTLER_TORTURE");
    for (size_t i = 0; i < scenarios_len; i++) {
        if (!only || strcmp(scenarios[i].name, only) == 0)
            torture_scenario(&t, &scenarios[i], api, faults);
    }
    variants_done(&t.v);
    print_message("%zu runs, %zu requests, %zu failed\n", t.runs, t.requests, t.failed);
    assert_true(t.runs > 0);
    assert_int_equal(t.failed, 0);
}

static void test_scenarios_old(void **state)
{
    (void)state;
    torture_all(API_OLD, false);
}

static void test_scenarios_new(void **state)
{
    (void)state;
    torture_all(API_NEW, false);
}

static void test_torture_old(void **state)
{
    (void)state;
    torture_all(API_OLD, true);
}

static void test_torture_new(void **state)
{
    (void)state;
    torture_all(API_NEW, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenarios_old),
        cmocka_unit_test(test_scenarios_new),
        cmocka_unit_test(test_torture_old),
        cmocka_unit_test(test_torture_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
