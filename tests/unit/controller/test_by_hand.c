/* SPDX-License-Identifier: Apache-2.0 */
/* What people ask of a controller, and what it keeps of bottles: routes, suspension, receipts,
 * history. Without an engine: the workers are there, nothing runs. */
#include "io_support.h"

#include "controller/controller.h"
#include "controller/routes.h"
#include "tests/unit/support.h"

#include <time.h>

#define HEAD "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: "
#define ONE HEAD "one}\nspec: {agent: {image: \"x:1\"}}\n"
#define TWO HEAD "two}\nspec: {agent: {image: \"x:1\"}, suspend: {reason: audit}}\n"

struct world {
    void *scratch;
    struct controller c;
};

static void list(struct world *w, const char *one, const char *two)
{
    struct manifest_set *set = test_load("one.yaml", one, "two.yaml", two, NULL);
    catalog_update(&w->c.catalog, set);
    manifest_set_free(set);
}

static void start(struct world *w)
{
    AUTO_FREE char *dir = at(&w->scratch, "st");
    struct controller *c = &w->c;
    *c = (struct controller){0};
    assert_true(sd_event_new(&c->loop) >= 0);
    c->journal = journal_new(&(struct journal_hooks){0});
    assert_ok(state_open(dir, "bottler", &c->state));
    list(w, ONE, TWO);
    struct bottle_state s = {0};
    for (size_t i = 0; i < c->catalog.len; i++) {
        struct catalog_entry *e = c->catalog.entries[i];
        assert_ok(state_bottle(c->state, e->name, NULL, &s));
        bottle_state_done(&s);
        struct worker *x = worker_obtain(c, e->name);
        x->generation = e->generation;
        history_load(x);
    }
}

static void stop(struct world *w)
{
    struct controller *c = &w->c;
    while (c->workers_len)
        worker_free(c->workers[--c->workers_len]);
    free(c->workers);
    state_close(c->state);
    catalog_done(&c->catalog);
    memory_done(&c->memory);
    journal_free(c->journal);
    sd_event_source_unref(c->suspension_end);
    sd_event_unref(c->loop);
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    if (scratch_setup(&w->scratch) < 0)
        return -1;
    start(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    stop(w);
    int r = scratch_teardown(&w->scratch);
    free(w);
    return r;
}

/* Asks; the answer as JSON text, which must hold `part`. */
static void asks(struct world *w, const char *method, const char *path, const char *body,
                 int expected, const char *part)
{
    int status = 0;
    json_t *in = body ? XNN(json_loads(body, 0, NULL)) : NULL;
    struct api_request q = {.method = method, .path = path, .body = in, .uid = 0};
    json_t *out = report_handle(&w->c, &q, &status);
    AUTO_FREE char *text = XNN(json_dumps(out, JSON_COMPACT));
    if (status != expected || !strstr(text, part))
        fail_msg("%s %s %s: expected %d %s, got %d %s", method, path, body ? body : "", expected,
                 part, status, text);
    json_decref(in);
    json_decref(out);
}

static struct worker *one(struct world *w)
{
    return XNN(worker_find(&w->c, "one"));
}

/* ---- routes ---------------------------------------------------------------------------------- */

static void test_routes(void **state)
{
    struct world *w = *state;
    static const char suspend[] = "/v1/suspend";
    asks(w, "GET", "/v1/bottles/one", NULL, 200, "\"name\":\"one\"");
    asks(w, "GET", "/v1/events", NULL, 200, "\"kind\":\"EventList\"");
    asks(w, "GET", "/v1/bottles/one/history", NULL, 200, "\"bottle\":\"one\"");
    asks(w, "GET", "/v1/bottles/three", NULL, 404, "there is no bottle 'three'");
    asks(w, "GET", "/v1/bottles/three/history", NULL, 404, "there is no bottle 'three'");
    asks(w, "GET", "/v1/bottles/", NULL, 404, "there is no '/v1/bottles/' in this version");
    asks(w, "GET", "/v1/bottles/one/", NULL, 404, "in this version");
    asks(w, "GET", "/v1/bottles/one/history/x", NULL, 404, "in this version");
    asks(w, "GET", "/v1/bottlesx", NULL, 404, "in this version");
    asks(w, "POST", "/v1/bottles", "{}", 405, "'/v1/bottles' only answers GET");
    asks(w, "GET", suspend, NULL, 405, "only answers POST");
    asks(w, "POST", suspend, NULL, 400, "expected either names");
    asks(w, "POST", suspend, "[]", 400, "expected either names");
    asks(w, "POST", suspend, "{\"names\":[]}", 400, "expected either names");
    asks(w, "POST", suspend, "{\"names\":[\"one\"],\"all\":true}", 400, "expected either names");
    asks(w, "POST", suspend, "{\"names\":[1]}", 400, "names of bottles");
    asks(w, "POST", suspend, "{\"names\":[\"one\",\"three\"]}", 404, "there is no bottle 'three'");
    asks(w, "POST", suspend, "{\"names\":[\"one\"],\"reason\":7}", 400,
         "reason: expected one line");
    asks(w, "POST", suspend, "{\"names\":[\"one\"],\"reason\":\"a\\nb\"}", 400, "reason: expected");
    asks(w, "POST", suspend, "{\"names\":[\"one\"],\"until\":\"soon\"}", 400,
         "until: expected a time");
    asks(w, "POST", suspend, "{\"names\":[\"one\"],\"until\":\"2020-01-01T00:00:00Z\"}", 400,
         "a time to come");
    assert_false(worker_is_suspended(one(w)));
}

/* ---- suspension ------------------------------------------------------------------------------ */

static void test_suspension_is_kept(void **state)
{
    struct world *w = *state;
    asks(w, "POST", "/v1/suspend", "{\"names\":[\"one\"],\"reason\":\"why not\"}", 200,
         "{\"items\":[{\"name\":\"one\",\"suspended\":{\"who\":\"root\",\"reason\":\"why not\"");
    assert_true(worker_is_suspended(one(w)));
    int64_t since = one(w)->by_hand.since_s;
    stop(w);
    start(w);
    assert_true(worker_is_suspended(one(w)));
    assert_string_equal(one(w)->by_hand.reason, "why not");
    one(w)->by_hand.since_s = since - 100;
    asks(w, "POST", "/v1/suspend", "{\"names\":[\"one\"]}", 200, "\"reason\":null");
    assert_int_equal(one(w)->by_hand.since_s, since - 100); /* since it was */
    asks(w, "POST", "/v1/reconcile", "{\"names\":[\"one\"]}", 409, "suspended by hand of root");
    asks(w, "POST", "/v1/resume", "{\"names\":[\"one\"]}", 200, "\"suspended\":null");
    asks(w, "POST", "/v1/resume", "{\"names\":[\"one\"]}", 200, "\"suspended\":null");
    stop(w);
    start(w);
    assert_false(worker_is_suspended(one(w)));
}

static void test_the_manifests_suspension(void **state)
{
    struct world *w = *state;
    asks(w, "POST", "/v1/suspend", "{\"all\":true}", 200, "\"name\":\"two\"");
    asks(w, "POST", "/v1/resume", "{\"names\":[\"one\",\"two\"]}", 409,
         "bottle 'two' is suspended by its manifest, two.yaml:1");
    assert_true(worker_is_suspended(one(w)));
    asks(w, "POST", "/v1/resume", "{\"all\":true}", 200, "\"refused\":[{\"name\":\"two\"");
    assert_false(worker_is_suspended(one(w)));
    /* Of all, what is suspended is left out. */
    asks(w, "POST", "/v1/reconcile", "{\"all\":true}", 200,
         "\"names\":[\"one\"],\"suspended\":[\"two\"]");
    list(w, ONE, HEAD "two}\nspec: {agent: {image: \"x:1\"}}\n");
    assert_true(worker_is_suspended(worker_find(&w->c, "two"))); /* by hand, still */
    asks(w, "POST", "/v1/resume", "{\"names\":[\"two\"]}", 200, "\"suspended\":null");
    assert_false(worker_is_suspended(worker_find(&w->c, "two")));
}

/* Whether it may be touched isn't known: it may not. */
static void test_a_damaged_suspension_holds(void **state)
{
    struct world *w = *state;
    stop(w);
    put(&w->scratch, "st/bottles/one/suspend", "{\"who\":\"ada\",");
    start(w);
    assert_true(worker_is_suspended(one(w)));
    assert_non_null(strstr(one(w)->by_hand.reason, "can't be read any more"));
    asks(w, "POST", "/v1/resume", "{\"names\":[\"one\"]}", 200, "\"suspended\":null");
    stop(w);
    start(w);
    assert_false(worker_is_suspended(one(w)));
}

/* ---- receipts -------------------------------------------------------------------------------- */

static void test_receipt(void **state)
{
    struct world *w = *state;
    struct worker *x = one(w);
    x->failures = 3;
    x->terminal = true;
    x->not_before_ns = UINT64_MAX;
    asks(w, "POST", "/v1/reconcile", "{\"names\":[\"one\"]}", 200, "\"token\":");
    assert_int_equal(x->failures, 0);
    assert_false(x->terminal);
    assert_int_equal(x->not_before_ns, 0);
    uint64_t token = x->asked.token;
    assert_true(token > 0 && x->asked.handled == 0);
    assert_true(x->dirty && x->needs_look == 1);
    /* A pass that was under way has ended: that is not the one. */
    x->dirty = false;
    reconcile_follow(x);
    assert_int_equal(x->asked.handled, 0);
    /* One has begun; it needs another. */
    reconcile_begun(x);
    x->dirty = true;
    reconcile_follow(x);
    assert_int_equal(x->asked.handled, 0);
    x->dirty = false;
    reconcile_follow(x);
    assert_int_equal(x->asked.handled, token);

    /* What failed has been tried, although it will be again. */
    asks(w, "POST", "/v1/reconcile", "{\"names\":[\"one\"]}", 200, "\"token\":");
    assert_true(x->asked.token > token);
    assert_int_equal(x->asked.handled, token);
    reconcile_begun(x);
    x->dirty = true;
    x->not_before_ns = UINT64_MAX;
    reconcile_follow(x);
    assert_int_equal(x->asked.handled, x->asked.token);
}

static void test_receipt_after_the_source(void **state)
{
    struct world *w = *state;
    struct worker *x = one(w);
    x->asked = (struct asked){.token = 5, .poll = 2};
    w->c.source_polls = 2;
    controller_polled(&w->c, 1);
    reconcile_begun(x);
    x->dirty = false;
    reconcile_follow(x);
    assert_int_equal(x->asked.handled, 0);
    controller_polled(&w->c, 2);
    assert_true(x->dirty);
    reconcile_begun(x);
    x->dirty = false;
    reconcile_follow(x);
    assert_int_equal(x->asked.handled, 5);
    controller_polled(&w->c, 1); /* late, and no step back */
    assert_int_equal(w->c.source_polls_done, 2);
}

/* ---- history --------------------------------------------------------------------------------- */

/* As after a pass that found nothing to do. */
static void settle(struct world *w)
{
    struct worker *x = one(w);
    const struct catalog_entry *e = catalog_find(&w->c.catalog, "one");
    history_accepted(x, e);
    x->generation = e->generation;
    x->dirty = false;
    plan_free(x->plan);
    x->plan = plan_new("one");
    if (!x->desired)
        x->desired = xcalloc(1, sizeof(*x->desired));
    x->rollout.agent_since_ns = 1; /* long ago */
    x->conditions.of[COND_READY].status = TRUTH_TRUE;
    x->conditions.of[COND_READY].generation = e->generation;
}

static ino_t inode(struct world *w, const char *note)
{
    AUTO_FREE char *name = xasprintf("st/bottles/one/%s", note);
    AUTO_FREE char *path = at(&w->scratch, name);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static enum outcome outcome_of(struct world *w, int64_t generation)
{
    return XNN(ledger_find(&one(w)->history.ledger, generation))->outcome;
}

#define EDITED HEAD "one}\nspec: {agent: {image: \"x:2\"}}\n"

static void test_converged(void **state)
{
    struct world *w = *state;
    settle(w);
    one(w)->dirty = true; /* not yet */
    history_follow(one(w));
    assert_null(one(w)->applied.text);
    one(w)->dirty = false;
    one(w)->rollout.agent_since_ns = now_ns(&w->c); /* it has to stay up for a while */
    history_follow(one(w));
    assert_null(one(w)->applied.text);
    one(w)->rollout.agent_since_ns = 1;
    history_follow(one(w));
    assert_int_equal(one(w)->applied.generation, 1);
    assert_string_equal(one(w)->applied.text, catalog_find(&w->c.catalog, "one")->text);
    assert_int_equal(outcome_of(w, 1), OUTCOME_CONVERGED);
    ino_t applied = inode(w, "applied"), history = inode(w, "history");
    stop(w);
    start(w);
    assert_int_equal(one(w)->applied.generation, 1);
    settle(w);
    history_follow(one(w));
    assert_int_equal(inode(w, "applied"), applied);
    assert_int_equal(inode(w, "history"), history);

    /* The conditions are of the old one as long as no pass took up the new one. */
    list(w, EDITED, TWO);
    history_follow(one(w));
    assert_int_equal(one(w)->applied.generation, 1);
    settle(w);
    one(w)->conditions.of[COND_READY].status = TRUTH_FALSE;
    one(w)->conditions.of[COND_STALLED] =
        (struct condition){.present = true, .reason = "Held", .message = xstrdup("no image")};
    history_follow(one(w));
    assert_int_equal(outcome_of(w, 2), OUTCOME_FAILED);
    assert_string_equal(ledger_find(&one(w)->history.ledger, 2)->message, "Held: no image");
    one(w)->conditions.of[COND_STALLED].present = false;
    one(w)->conditions.of[COND_READY].status = TRUTH_TRUE;
    history_follow(one(w));
    assert_int_equal(outcome_of(w, 2), OUTCOME_CONVERGED);
    assert_int_equal(one(w)->applied.generation, 2);
}

/* A commit that leaves the bottle as it is writes nothing. */
static void test_revision(void **state)
{
    struct world *w = *state;
    struct catalog_entry *e = catalog_find(&w->c.catalog, "one");
    free(e->revision);
    e->revision = xstrdup("abc");
    settle(w);
    history_follow(one(w));
    assert_string_equal(one(w)->applied.revision, "abc");
    assert_string_equal(ledger_find(&one(w)->history.ledger, 1)->revision, "abc");
    ino_t applied = inode(w, "applied");
    free(e->revision);
    e->revision = xstrdup("def");
    settle(w);
    history_follow(one(w));
    assert_int_equal(inode(w, "applied"), applied);
    assert_string_equal(one(w)->applied.revision, "abc");
}

static void test_reverted_and_removed(void **state)
{
    struct world *w = *state;
    settle(w);
    history_follow(one(w));
    list(w, EDITED, TWO);
    settle(w);
    one(w)->conditions.of[COND_READY].status = TRUTH_FALSE;
    history_follow(one(w));
    history_reverted(one(w), 2, "not ready within 5m");
    /* The older one that was put back is healthy under the number of the new one. */
    one(w)->conditions.of[COND_READY].status = TRUTH_TRUE;
    history_follow(one(w));
    assert_int_equal(outcome_of(w, 2), OUTCOME_REVERTED);
    assert_int_equal(one(w)->applied.generation, 1);

    list(w, ONE, TWO);
    settle(w);
    history_follow(one(w));
    assert_int_equal(one(w)->applied.generation, 3);
    catalog_find(&w->c.catalog, "one")->state = ENTRY_GONE;
    history_follow(one(w));
    assert_int_equal(outcome_of(w, 3), OUTCOME_REMOVED);
}

static void test_damaged_records(void **state)
{
    struct world *w = *state;
    settle(w);
    history_follow(one(w));
    stop(w);
    put(&w->scratch, "st/bottles/one/applied", "{\"generation\":");
    put(&w->scratch, "st/bottles/one/history", "{}\n");
    start(w);
    assert_null(one(w)->applied.text);
    assert_int_equal(one(w)->history.ledger.len, 0);
    assert_int_equal(journal_last(w->c.journal), 2); /* told, each */
    settle(w);
    history_follow(one(w));
    assert_int_equal(one(w)->applied.generation, 1);
    assert_int_equal(outcome_of(w, 1), OUTCOME_CONVERGED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_routes),
        TEST(test_suspension_is_kept),
        TEST(test_the_manifests_suspension),
        TEST(test_a_damaged_suspension_holds),
        TEST(test_receipt),
        TEST(test_receipt_after_the_source),
        TEST(test_converged),
        TEST(test_revision),
        TEST(test_reverted_and_removed),
        TEST(test_damaged_records),
    };
    return cmocka_run_group_tests_name("by hand", tests, NULL, NULL);
}
