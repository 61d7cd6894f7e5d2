/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long lives: accidents and edits one after the other, with failures at random; several bottles at
 * once on one engine; and strangers who hold a name that a bottle needs.
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

enum { API_OLD = 41, API_NEW = 47, LIVES = 150, EVENTS = 8, CROWDS = 200, MANY = 3 };

static const char *const names[MANY] = {"demo", "other", "third"};

/* ---- long lives ------------------------------------------------------------------------------ */

static const struct scenario *any_wreck(uint64_t *rng)
{
    for (;;) {
        const struct scenario *s = &scenarios[prng_next(rng) % scenarios_len];
        if (s->wreck && s->from == V_BASE)
            return s;
    }
}

static void live_event(struct world *w, const struct variants *v, uint64_t *rng)
{
    uint64_t bits = prng_next(rng);
    const struct scenario *wreck = any_wreck(rng);
    if (w->bottles[0].want && bits & 1) {
        wreck->wreck(w->m, wreck);
        /* As the engine's events have it. */
        memory_keep_containers(&w->memory, &(const struct str_list){0});
    }
    w->m->reject_reload &= (unsigned)-(int)(bits >> 1 & 1);
    w->m->slow = bits & 4 ? (unsigned)(bits >> 8 & 15) : 0;
    w->m->pipelock_watches = bits & 8;
    w->busy_neighbours = bits & 16;
    w->fault = (enum fault)((bits >> 16 & 255) % FAULT_COUNT);
    w->fault_at = w->requests + (bits >> 24 & 31);
    enum variant to = (enum variant)((bits >> 32 & 255) % V_COUNT);
    enum variant edited = (enum variant)((bits >> 40 & 255) % V_COUNT);
    w->bottles[0].want = bits & 32 ? v->of[to] : w->bottles[0].want;
    w->bottles[0].edited = w->fault == FAULT_EDIT ? v->of[edited] : w->bottles[0].want;
    if (w->trace)
        print_message("== %s; fault %s\n", bits & 1 ? wreck->name : "-", fault_name(w->fault));
}

static bool live(const struct variants *v, int api, uint64_t seed, size_t trace)
{
    uint64_t rng = seed;
    struct world w;
    world_init(&w, variants_model(api));
    world_add(&w, "demo", v->of[V_BASE]);
    AUTO_FREE char *before = model_strangers(w.m);
    w.shuffle = true;
    w.rng = seed;
    w.trace = trace;
    world_run(&w);
    for (int i = 0; i < EVENTS && !w.m->violation; i++) {
        live_event(&w, v, &rng);
        world_run(&w);
        world_check(&w);
        w.now_ns += 100 * NS_PER_S;
    }
    AUTO_FREE char *after = model_strangers(w.m);
    if (strcmp(before, after) != 0)
        model_violate(w.m, "a stranger was touched");
    bool ok = !w.m->violation;
    if (!ok)
        print_error("API 1.%d, seed %llu: %s\n", api, (unsigned long long)seed, w.m->violation);
    world_done(&w);
    return ok;
}

static void lives(int api)
{
    struct variants v;
    unsigned failed = 0;
    variants_init(&v, "demo");
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        if (live(&v, api, seed, 0))
            continue;
        failed++;
        if (failed == 1)
            live(&v, api, seed, WORLD_PASSES);
    }
    variants_done(&v);
    assert_int_equal(failed, 0);
}

static void test_lives_old(void **state)
{
    (void)state;
    lives(API_OLD);
}

static void test_lives_new(void **state)
{
    (void)state;
    lives(API_NEW);
}

/* ---- several bottles ------------------------------------------------------------------------- */

static bool crowd(const struct variants v[MANY], uint64_t seed)
{
    uint64_t rng = seed;
    struct world w;
    world_init(&w, variants_model(seed & 1 ? API_OLD : API_NEW));
    AUTO_FREE char *before = model_strangers(w.m);
    for (size_t i = 0; i < MANY; i++)
        world_add(&w, names[i], v[i].of[V_BASE]);
    w.shuffle = true;
    w.rng = seed;
    for (int round = 0; round < 3 && !w.m->violation; round++) {
        w.fault = (enum fault)(prng_next(&rng) % FAULT_COUNT);
        w.fault_at = w.requests + prng_next(&rng) % 64;
        for (size_t i = 0; i < MANY; i++) {
            enum variant to = (enum variant)(prng_next(&rng) % V_COUNT);
            enum variant edited = (enum variant)(prng_next(&rng) % V_COUNT);
            w.bottles[i].want = round ? v[i].of[to] : v[i].of[V_BASE];
            w.bottles[i].edited = w.fault == FAULT_EDIT ? v[i].of[edited] : w.bottles[i].want;
        }
        world_run(&w);
        world_check(&w);
    }
    AUTO_FREE char *after = model_strangers(w.m);
    if (strcmp(before, after) != 0)
        model_violate(w.m, "a stranger was touched");
    bool ok = !w.m->violation;
    if (!ok)
        print_error("seed %llu: %s\n", (unsigned long long)seed, w.m->violation);
    world_done(&w);
    return ok;
}

static void test_crowds(void **state)
{
    (void)state;
    struct variants v[MANY];
    unsigned failed = 0;
    for (size_t i = 0; i < MANY; i++)
        variants_init(&v[i], names[i]);
    for (uint64_t seed = 1; seed <= CROWDS; seed++)
        failed += !crowd(v, seed);
    for (size_t i = 0; i < MANY; i++)
        variants_done(&v[i]);
    assert_int_equal(failed, 0);
}

/* ---- strangers in the way -------------------------------------------------------------------- */

struct way {
    struct variants v;
    struct world w;
    char *before;
};

static void way_begin(struct way *y, void (*put)(struct model *m))
{
    variants_init(&y->v, "demo");
    world_init(&y->w, variants_model(API_NEW));
    put(y->w.m);
    y->before = model_strangers(y->w.m);
    world_add(&y->w, "demo", y->v.of[V_BASE]);
    world_run(&y->w);
}

/* Nothing of the stranger's is touched; and when the bottle is given up, nothing of ours is left.
 */
static void way_end(struct way *y)
{
    AUTO_FREE char *after = model_strangers(y->w.m);
    assert_string_equal(y->before, after);
    free(y->w.m->violation);
    y->w.m->violation = NULL;
    y->w.bottles[0].want = NULL;
    world_run(&y->w);
    if (y->w.m->violation)
        print_error("%s\n", y->w.m->violation);
    assert_null(y->w.m->violation);
    for (size_t i = 0; i < y->w.m->ctrs_len; i++)
        assert_false(model_ours(y->w.m->ctrs[i]->labels));
    for (size_t i = 0; i < y->w.m->nets_len; i++)
        assert_false(model_ours(y->w.m->nets[i]->labels));
    for (size_t i = 0; i < y->w.m->vols_len; i++)
        assert_false(model_ours(y->w.m->vols[i].labels));
    AUTO_FREE char *last = model_strangers(y->w.m);
    assert_string_equal(y->before, last);
    world_done(&y->w);
    variants_done(&y->v);
    free(y->before);
}

static void put_net(struct model *m)
{
    model_make_net(m, "bottler.demo.chain", "10.50.0.0/24", XNN(json_object()));
}

static void test_stranger_has_network(void **state)
{
    (void)state;
    struct way y;
    way_begin(&y, put_net);
    assert_null(y.w.m->violation);
    assert_int_equal(y.w.m->mutations, 0);
    assert_non_null(strstr(y.w.bottles[0].held, "'bottler.demo.chain'"));
    way_end(&y);
}

static void put_container(struct model *m)
{
    model_make_container(m, "bottler.demo.egress", XNN(json_object()), RUN_RUNNING);
}

static void test_stranger_has_container(void **state)
{
    (void)state;
    struct way y;
    way_begin(&y, put_container);
    /* It is tried again and again, and the agent never starts. */
    assert_string_equal(y.w.m->violation, "no end after 120 passes");
    const struct model_container *agent = model_find(y.w.m, "bottler.demo.agent");
    assert_true(!agent || agent->starts == 0);
    /* One try in vain for each look, and nothing else once the rest stands. */
    assert_in_range(y.w.m->mutations, WORLD_PASSES / 2, 2 * WORLD_PASSES);
    way_end(&y);
}

static void put_volume(struct model *m)
{
    model_make_volume(m, "bottler.demo.cache", XNN(json_object()));
}

/* Creating it would "succeed", again at every look, and the agent would write into it. */
static void test_stranger_has_volume(void **state)
{
    (void)state;
    struct way y;
    way_begin(&y, put_volume);
    assert_string_equal(y.w.m->violation, "no end after 120 passes");
    assert_null(model_find(y.w.m, "bottler.demo.agent"));
    assert_in_range(y.w.bottles[0].failures, WORLD_PASSES / 3, WORLD_PASSES);
    way_end(&y);
}

/* ---- one bad part ---------------------------------------------------------------------------- */

/* The agent's new image can't be had: its neighbours are repaired all the same, and it runs on. */
static void test_bad_image_stops_nothing_else(void **state)
{
    (void)state;
    struct variants v;
    struct world w;
    variants_init(&v, "demo");
    world_init(&w, variants_model(API_NEW));
    world_add(&w, "demo", v.of[V_BASE]);
    world_run(&w);
    assert_null(w.m->violation);
    const struct model_container *agent = model_find(w.m, "bottler.demo.agent");
    AUTO_FREE char *agent_id = xstrdup(agent->id);
    w.now_ns += 100 * NS_PER_S;
    for (size_t i = 0; i < w.m->images_len; i++) {
        if (strcmp(w.m->images[i].ref, AGENT_IMAGE) == 0)
            w.m->images[i].present = w.m->images[i].pullable = false;
    }
    model_drop_container(w.m, model_find(w.m, "bottler.demo.pipelock"));
    w.bottles[0].want = v.of[V_ALL];
    world_run(&w);
    assert_string_equal(w.m->violation, "no end after 120 passes");
    agent = model_find(w.m, agent_id);
    assert_non_null(agent);
    assert_int_equal(agent->state, RUN_RUNNING);
    const struct desired_container *want = desired_find(v.of[V_ALL], ROLE_PIPELOCK);
    const struct model_container *p = model_find(w.m, "bottler.demo.pipelock");
    assert_non_null(p);
    assert_string_equal(p->hash, want->config_hash);
    const struct model_container *e = model_find(w.m, "bottler.demo.egress");
    assert_non_null(e);
    assert_string_equal(e->hash, desired_find(v.of[V_ALL], ROLE_EGRESS)->config_hash);
    world_done(&w);
    variants_done(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives_old),
        cmocka_unit_test(test_lives_new),
        cmocka_unit_test(test_crowds),
        cmocka_unit_test(test_stranger_has_network),
        cmocka_unit_test(test_stranger_has_container),
        cmocka_unit_test(test_stranger_has_volume),
        cmocka_unit_test(test_bad_image_stops_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
