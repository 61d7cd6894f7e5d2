/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan's execution reads from the proxies' logs, and from when on. */
#include "exec_fixture.h"

/* Each proxy's log is read from its own moment, whatever the other's request did in between. */
static void test_own_clocks(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    int p = step(&r, (struct step_init){.kind = STEP_CLOCK, .role = ROLE_PIPELOCK, .object = "p"});
    int e = step(&r, (struct step_init){.kind = STEP_CLOCK, .role = ROLE_EGRESS, .object = "e"});
    int pc =
        step(&r, (struct step_init){
                     .kind = STEP_CTR_CONFIRM, .role = ROLE_PIPELOCK, .object = "p", .id = "c"});
    plan_after(r.plan, pc, p);
    plan_after(r.plan, pc, e);
    begin(&r);
    next(&r);
    feed(&r, 200, "{\"SystemTime\":\"2026-11-22T06:29:53.000000005Z\"}");
    next(&r);
    feed(&r, 200, "{\"SystemTime\":\"2026-11-22T06:30:53Z\"}");
    next(&r);
    assert_string_equal(r.q.path,
                        "/containers/c/logs?stdout=1&stderr=1&since=1795328993.000000005&follow=1");
    tear_down(&r);
}

/* A scan reads what this run has logged, not what an earlier one did. */
static void test_scan_of_this_run(void **state)
{
    (void)state;
    static const struct {
        const char *finished, *since;
    } rows[] = {
        {"2026-11-22T06:29:53.5Z", "1795328993.500000000"},
        {"0001-01-01T00:00:00Z", "0"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        int a =
            step(&r, (struct step_init){
                         .kind = STEP_CTR_INSPECT, .role = ROLE_EGRESS, .object = "e", .id = "c"});
        int b = step(&r, (struct step_init){
                             .kind = STEP_CTR_SCAN, .role = ROLE_EGRESS, .object = "e", .id = "c"});
        plan_after(r.plan, b, a);
        begin(&r);
        next(&r);
        AUTO_FREE char *body =
            xasprintf("{\"State\":{\"FinishedAt\":\"%s\"},\"HostConfig\":{}}", rows[i].finished);
        feed(&r, 200, body);
        next(&r);
        AUTO_FREE char *want =
            xasprintf("/containers/c/logs?stdout=1&stderr=1&since=%s", rows[i].since);
        assert_string_equal(r.q.path, want);
        tear_down(&r);
    }
}

/* What a proxy runs is unknown from the moment that a start or other files were asked for. */
static void test_policy_is_unknown_once_asked(void **state)
{
    (void)state;
    static const struct step_init kinds[] = {
        {.kind = STEP_CTR_START, .role = ROLE_EGRESS, .object = "e", .id = "c"},
        {.kind = STEP_CTR_UPLOAD, .role = ROLE_EGRESS, .hot_only = true, .object = "e", .id = "c"},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct rig r;
        set_up(&r);
        memory_put_policy(&r.memory, "c", "hash", "generation");
        step(&r, kinds[i]);
        begin(&r);
        next(&r);
        const struct known_policy *k = memory_policy(&r.memory, "c");
        assert_true(!k || !k->config_hash);
        tear_down(&r);
    }
}

static void confirm(struct rig *r)
{
    const struct desired_container *want = desired_find(r->v.of[V_BASE], ROLE_EGRESS);
    step(r, (struct step_init){.kind = STEP_CTR_CONFIRM,
                               .role = ROLE_EGRESS,
                               .object = want->name,
                               .id = "c",
                               .detail = want->config_hash});
    begin(r);
    next(r);
    assert_int_equal(r->q.answer, ANSWER_LOG);
}

static void fail_with(struct rig *r, enum err_kind kind)
{
    AUTO_ERR e = err_new(kind, "gone");
    struct response a = {.error = e};
    exec_feed(r->exec, r->q.step, &a, NS_PER_S);
}

static void test_confirm(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    confirm(&r);
    const struct desired_container *want = desired_find(r.v.of[V_BASE], ROLE_EGRESS);
    AUTO_FREE char *loaded =
        xasprintf("{\"event\":\"routes_loaded\",\"routes_sha256\":\"%s\",\"generation\":\"%s\"}",
                  want->config_hash, want->generation);
    AUTO_FREE char *canary = xasprintf(
        "{\"event\":\"canary\",\"verdict\":\"denied\",\"generation\":\"%s\"}", want->generation);
    assert_true(exec_line(r.exec, r.q.step, sv_of(loaded)));
    assert_false(exec_line(r.exec, r.q.step, sv_of(canary))); /* no more is wanted */
    feed(&r, 200, "");
    assert_null(exec_error(r.exec));
    assert_string_equal(memory_policy(&r.memory, "c")->generation, want->generation);
    tear_down(&r);
}

/* Silence speaks against the proxy; a broken connection doesn't. */
static void test_no_confirmation(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    confirm(&r);
    exec_line(r.exec, r.q.step, sv_of("Traceback: no module named x"));
    fail_with(&r, ERR_TIMEOUT);
    failed(&r, ERR_UNAVAILABLE, "no confirmation came in time; its log says: Traceback");
    assert_int_equal(memory_policy(&r.memory, "c")->failed, 1);
    tear_down(&r);
    set_up(&r);
    confirm(&r);
    feed(&r, 200, ""); /* its log ended: so did it */
    failed(&r, ERR_UNAVAILABLE, "it ended");
    assert_int_equal(memory_policy(&r.memory, "c")->failed, 1);
    tear_down(&r);
    set_up(&r);
    confirm(&r);
    fail_with(&r, ERR_UNAVAILABLE);
    failed(&r, ERR_UNAVAILABLE, "gone");
    assert_null(memory_policy(&r.memory, "c")); /* to be read anew */
    tear_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_clocks),
        cmocka_unit_test(test_scan_of_this_run),
        cmocka_unit_test(test_policy_is_unknown_once_asked),
        cmocka_unit_test(test_confirm),
        cmocka_unit_test(test_no_confirmation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
