/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers of a plan's execution, one at a time. */
#include "exec_fixture.h"

/* What a registry says may be anything. */
static void test_pull_problem(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    step(&r, (struct step_init){.kind = STEP_IMAGE_PULL, .object = "x:1"});
    begin(&r);
    next(&r);
    exec_line(r.exec, r.q.step,
              sv_of("{\"errorDetail\":{\"message\":\"denied\\n\\u001b[2Jand gone\"}}"));
    feed(&r, 200, "");
    failed(&r, ERR_UNAVAILABLE, "image.pull x:1: denied\\x0a\\x1b[2Jand gone");
    tear_down(&r);
}

/* How often the old agent has ended is nothing against the new one, even before that has run. */
static void test_another_agent(void **state)
{
    (void)state;
    static const struct {
        enum step_kind kind;
        bool again, known;
    } rows[] = {
        {STEP_CTR_STOP, false, true},
        {STEP_CTR_RENAME, false, false},
        {STEP_CTR_START, false, false},
        {STEP_CTR_START, true, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        memory_note_restart(&r.memory, "bottler.demo.agent", NS_PER_MS);
        step(&r, (struct step_init){.kind = rows[i].kind,
                                    .role = ROLE_AGENT,
                                    .again = rows[i].again,
                                    .object = "bottler.demo.agent",
                                    .id = "c"});
        begin(&r);
        next(&r);
        assert_int_equal(memory_restart(&r.memory, "bottler.demo.agent") != NULL, rows[i].known);
        tear_down(&r);
    }
}

/* One step, its request, and what comes of the answer. */
static void test_requests(void **state)
{
    (void)state;
    static const struct {
        struct step_init s;
        const char *method, *path;
    } rows[] = {
        {{.kind = STEP_IMAGE_INSPECT, .object = "a.example.com:5000/x/y:1"},
         "GET",
         "/images/a.example.com:5000/x/y:1/json"},
        {{.kind = STEP_IMAGE_PULL, .object = "a.example.com:5000/x/y"},
         "POST",
         "/images/create?fromImage=a.example.com:5000/x/y&tag=latest"},
        {{.kind = STEP_IMAGE_PULL, .object = "x:1.4"},
         "POST",
         "/images/create?fromImage=x&tag=1.4"},
        {{.kind = STEP_IMAGE_PULL, .object = "a.example.com:5000/x:2@sha256:ab"},
         "POST",
         "/images/create?fromImage=a.example.com:5000/x&tag=sha256:ab"},
        {{.kind = STEP_NET_CONNECT,
          .role = ROLE_EGRESS,
          .net = NET_CHAIN,
          .object = "o",
          .id = "c"},
         "POST",
         "/networks/n-chain/connect"},
        {{.kind = STEP_NET_DISCONNECT, .object = "o", .id = "c", .detail = "n"},
         "POST",
         "/networks/n/disconnect"},
        {{.kind = STEP_NET_REMOVE, .object = "o", .id = "n"}, "DELETE", "/networks/n"},
        {{.kind = STEP_NET_INSPECT, .object = "o", .id = "n"}, "GET", "/networks/n"},
        {{.kind = STEP_VOL_REMOVE, .object = "v"}, "DELETE", "/volumes/v"},
        {{.kind = STEP_CTR_START, .object = "o", .id = "c"}, "POST", "/containers/c/start"},
        {{.kind = STEP_CTR_STOP, .object = "o", .id = "c"}, "POST", "/containers/c/stop?t=10"},
        {{.kind = STEP_CTR_SIGNAL, .object = "o", .id = "c"},
         "POST",
         "/containers/c/kill?signal=HUP"},
        {{.kind = STEP_CTR_REMOVE, .object = "o", .id = "c"},
         "DELETE",
         "/containers/c?force=1&v=1"},
        {{.kind = STEP_CTR_RENAME, .object = "bottler.demo.agent", .id = "c"},
         "POST",
         "/containers/c/rename?name=bottler.demo.agent"},
        {{.kind = STEP_CTR_ROOTS, .role = ROLE_AGENT, .object = "o", .id = "c", .detail = "/a b&c"},
         "GET",
         "/containers/c/archive?path=/a%20b%26c"},
        {{.kind = STEP_CTR_UPLOAD, .role = ROLE_EGRESS, .object = "o", .id = "c"},
         "PUT",
         "/containers/c/archive?path=/"},
        {{.kind = STEP_CLOCK, .object = "o"}, "GET", "/info"},
        {{.kind = STEP_CTR_INSPECT, .object = "o", .id = "c"}, "GET", "/containers/c/json"},
        {{.kind = STEP_CTR_SCAN, .role = ROLE_EGRESS, .object = "o", .id = "c"},
         "GET",
         "/containers/c/logs?stdout=1&stderr=1&since=0"},
        {{.kind = STEP_CTR_CONFIRM, .role = ROLE_EGRESS, .object = "o", .id = "c"},
         "GET",
         "/containers/c/logs?stdout=1&stderr=1&since=0&follow=1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        step(&r, rows[i].s);
        begin(&r);
        next(&r);
        assert_string_equal(r.q.method, rows[i].method);
        assert_string_equal(r.q.path, rows[i].path);
        exec_request_done(&r.q);
        assert_false(exec_next(r.exec, NS_PER_S, &r.q));
        assert_false(exec_finished(r.exec));
        tear_down(&r);
    }
}

/* 403 has several meanings; only an overlap says something of the subnet. */
static void test_refused_subnet(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t refused;
    } rows[] = {
        {"{\"message\":\"Pool overlaps with other one on this address space\"}", 1},
        {"{\"message\":\"invalid pool request: Pool overlaps with other one on this address "
         "space\"}",
         1},
        {"{\"message\":\"cannot create network a (bta-0): conflicts with network b (bta-0): "
         "networks have same bridge name\"}",
         0},
        {"{\"message\":\"plugin denied it\"}", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        step(&r, (struct step_init){.kind = STEP_NET_CREATE,
                                    .object = "bottler.demo.agent",
                                    .detail = "10.213.0.0/28"});
        begin(&r);
        next(&r);
        feed(&r, 403, rows[i].body);
        failed(&r, ERR_CONFLICT, "network.create bottler.demo.agent");
        assert_int_equal(r.memory.refused.len, rows[i].refused);
        tear_down(&r);
    }
}

/* Answers that say that it is so already are successes. */
static void test_already_so(void **state)
{
    (void)state;
    static const struct {
        enum step_kind kind;
        int status;
        const char *body;
        bool ok;
    } rows[] = {
        {STEP_NET_CONNECT, 403, "endpoint with name x already exists in network n", true},
        {STEP_NET_CONNECT, 403, "forbidden", false},
        {STEP_NET_CONNECT, 404, "network n not found", false},
        {STEP_NET_DISCONNECT, 500, "container c is not connected to network n", true},
        {STEP_NET_DISCONNECT, 404, "network n not found", true},
        {STEP_NET_DISCONNECT, 500, "something else", false},
        {STEP_NET_REMOVE, 404, "network n not found", true},
        {STEP_NET_REMOVE, 403, "has active endpoints", false},
        {STEP_NET_INSPECT, 404, "network n not found", true},
        {STEP_VOL_REMOVE, 404, "no such volume", true},
        {STEP_VOL_REMOVE, 409, "volume is in use", false},
        {STEP_CTR_REMOVE, 404, "No such container: c", true},
        {STEP_CTR_REMOVE, 409, "removal of container c is already in progress", false},
        {STEP_CTR_STOP, 304, "", true},
        {STEP_CTR_STOP, 404, "No such container: c", true},
        {STEP_CTR_START, 304, "", true},
        {STEP_CTR_START, 404, "network n not found", false},
        {STEP_CTR_UNPAUSE, 500, "Container c is not paused", true},
        {STEP_CTR_SIGNAL, 409, "Container c is not running", false},
        {STEP_CTR_RENAME, 409, "Conflict. The container name is already in use", false},
        {STEP_CTR_INSPECT, 404, "No such container: c", true},
        {STEP_CTR_SCAN, 404, "No such container: c", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        AUTO_FREE char *body = xasprintf("{\"message\":\"%s\"}", rows[i].body);
        step(&r, (struct step_init){.kind = rows[i].kind,
                                    .role = ROLE_EGRESS,
                                    .net = NET_CHAIN,
                                    .object = "x",
                                    .id = "c",
                                    .detail = "n"});
        begin(&r);
        next(&r);
        feed(&r, rows[i].status, body);
        if ((exec_error(r.exec) == NULL) != rows[i].ok)
            fail_msg("%s %d '%s'", step_kind_name(rows[i].kind), rows[i].status, rows[i].body);
        assert_true(exec_finished(r.exec));
        tear_down(&r);
    }
}

/* A container whose network's id is gone can't ever start: that is kept in mind. */
static void test_unstartable(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    step(&r, (struct step_init){.kind = STEP_CTR_START, .object = "x", .id = "c"});
    int rm = step(&r, (struct step_init){.kind = STEP_CTR_REMOVE, .object = "y", .id = "d"});
    memory_put_unstartable(&r.memory, "d");
    begin(&r);
    next(&r);
    feed(&r, 404, "{\"message\":\"network 1234 not found\"}");
    assert_true(memory_unstartable(&r.memory, "c"));
    next(&r);
    assert_int_equal(r.q.step, rm);
    feed(&r, 204, "");
    assert_false(memory_unstartable(&r.memory, "d"));
    failed(&r, ERR_NOT_FOUND, "container.start x");
    tear_down(&r);
}

static void test_foreign_volume(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err_kind kind;
        bool ok;
    } rows[] = {
        {"{\"Name\":\"bottler.demo.cache\",\"Labels\":{\"dev.bottler.self\":\"bottler.demo.cache\","
         "\"dev.bottler.installation\":\"inst-1\"}}",
         ERR_INTERNAL, true},
        {"{\"Name\":\"bottler.demo.cache\",\"Labels\":{\"dev.bottler.self\":\"bottler.demo.cache\","
         "\"dev.bottler.installation\":\"inst-2\"}}",
         ERR_CONFLICT, false},
        {"{\"Name\":\"bottler.demo.cache\",\"Labels\":null}", ERR_CONFLICT, false},
        {"{\"Name\":\"bottler.de", ERR_UNAVAILABLE, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        step(&r, (struct step_init){.kind = STEP_VOL_CREATE, .object = "bottler.demo.cache"});
        begin(&r);
        next(&r);
        feed(&r, 201, rows[i].body);
        if (rows[i].ok)
            assert_null(exec_error(r.exec));
        else
            failed(&r, rows[i].kind, "volume.create bottler.demo.cache");
        tear_down(&r);
    }
}

/* What is wanted now says only in part how a container of another generation was asked for. */
static void test_judged_by_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *labels;
        bool other;
    } rows[] = {
        {"{\"" LABEL_SPEC_HASH "\":\"v1:another\"}", true},
        {"{}", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        step(&r, (struct step_init){
                     .kind = STEP_CTR_INSPECT, .role = ROLE_EGRESS, .object = "e", .id = "c"});
        begin(&r);
        next(&r);
        AUTO_FREE char *body =
            xasprintf("{\"State\":{\"FinishedAt\":\"0001-01-01T00:00:00Z\"},"
                      "\"HostConfig\":{\"Privileged\":true},\"Config\":{\"Labels\":%s}}",
                      rows[i].labels);
        feed(&r, 200, body);
        assert_null(exec_error(r.exec));
        assert_int_equal(memory_seal(&r.memory, "c")->other, rows[i].other);
        tear_down(&r);
    }
}

/* A stop is answered when the container has ended, or was killed: that is waited for. */
static void test_stop_takes_its_time(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    step(&r,
         (struct step_init){.kind = STEP_CTR_STOP, .role = ROLE_EGRESS, .object = "e", .id = "c"});
    begin(&r);
    next(&r);
    assert_string_equal(r.q.path, "/containers/c/stop?t=10");
    assert_int_equal(r.q.timeout_ms, 40000);
    tear_down(&r);
}

/* Only a guard that has ended well closes the host; of another one the container stays, for its
 * log. */
static void test_guard(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool closes;
    } rows[] = {
        {"{\"StatusCode\":0}", true},
        {"{\"StatusCode\":1}", false},
        {"{\"StatusCode\":\"0\"}", false},
        {"{}", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rig r;
        set_up(&r);
        int wait = step(
            &r,
            (struct step_init){.kind = STEP_GUARD_WAIT, .object = "bottler.demo.guard", .id = "g"});
        int gone =
            step(&r, (struct step_init){
                         .kind = STEP_GUARD_REMOVE, .object = "bottler.demo.guard", .id = "g"});
        plan_after(r.plan, gone, wait);
        begin(&r);
        next(&r);
        assert_string_equal(r.q.path, "/containers/g/wait");
        feed(&r, 200, rows[i].answer);
        assert_int_equal(memory_guarded(&r.memory, "n-agent"), rows[i].closes);
        assert_int_equal(memory_guarded(&r.memory, "n-chain"), rows[i].closes);
        if (rows[i].closes)
            next(&r);
        else
            failed(&r, ERR_UNAVAILABLE, "`docker logs bottler.demo.guard` says why");
        tear_down(&r);
    }
}

/* Nothing is started that the engine didn't make as asked; what it is like is remembered. */
static void test_verify(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    int look = step(
        &r,
        (struct step_init){.kind = STEP_CTR_VERIFY, .role = ROLE_EGRESS, .object = "e", .id = "c"});
    int start = step(
        &r,
        (struct step_init){.kind = STEP_CTR_START, .role = ROLE_EGRESS, .object = "e", .id = "c"});
    plan_after(r.plan, start, look);
    begin(&r);
    next(&r);
    feed(&r, 200, "{\"HostConfig\":{\"Privileged\":true,\"NetworkMode\":\"n\"}}");
    failed(&r, ERR_INVALID, "it is not started: HostConfig.Privileged is true");
    assert_int_equal(memory_seal(&r.memory, "c")->state, SEAL_BROKEN);
    tear_down(&r);
}

/* What doesn't wait for the failed step is still done. */
static void test_other_branches_go_on(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    int a = step(&r, (struct step_init){.kind = STEP_CTR_STOP, .object = "a", .id = "a"});
    int b = step(&r, (struct step_init){.kind = STEP_CTR_REMOVE, .object = "a", .id = "a"});
    int c = step(&r, (struct step_init){.kind = STEP_CTR_REMOVE, .object = "c", .id = "c"});
    plan_after(r.plan, b, a);
    begin(&r);
    next(&r);
    assert_int_equal(r.q.step, a);
    feed(&r, 500, "{\"message\":\"no\"}");
    next(&r);
    assert_int_equal(r.q.step, c);
    feed(&r, 500, "{\"message\":\"later\"}");
    assert_false(exec_next(r.exec, NS_PER_S, &r.q));
    failed(&r, ERR_UNAVAILABLE, "container.stop a: the engine answered 500: no");
    assert_int_equal(exec_current(r.exec)->kind, STEP_CTR_STOP);
    tear_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_agent),
        cmocka_unit_test(test_pull_problem),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_refused_subnet),
        cmocka_unit_test(test_already_so),
        cmocka_unit_test(test_unstartable),
        cmocka_unit_test(test_foreign_volume),
        cmocka_unit_test(test_judged_by_its_own),
        cmocka_unit_test(test_stop_takes_its_time),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_other_branches_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
