/* SPDX-License-Identifier: Apache-2.0 */
/* attest on a recorded engine: which requests it makes, and what it concludes whatever happens. */
#include "tests/unit/controller/engine_fixture.c"

#include "controller/attest.h"
#include "tests/unit/render/world.h"

struct script {
    struct recorded world;
    const char *lines[16]; /* of a probe; NULL ends */
    const char *second;    /* the agent's "StartedAt" when it is looked at again */
    const char *fails;     /* a path whose answer is 500 */
    const char *user_top;  /* the answer of /top; NULL: 404 */
    bool hold;             /* the probe's output doesn't end */
    int exit_code;
    char *info;
    /* What came of it. */
    struct attest *attest;
    int inspected, probes, removed, done;
    char *create[2];
    char *error;
    enum err_kind kind;
    json_t *report;
    int progress;
};

static const char *const GOOD[] = {
    "{\"type\":\"control\",\"id\":\"C1\",\"ok\":true}",
    "{\"type\":\"result\",\"id\":\"N2.a\",\"row\":\"N2\",\"class\":\"network\",\"title\":\"t\","
    "\"verdict\":\"denied\",\"evidence\":\"e\",\"control\":\"C1\"}",
    "{\"type\":\"result\",\"id\":\"N4.a\",\"row\":\"N4\",\"class\":\"dns\",\"title\":\"t\","
    "\"verdict\":\"denied\",\"evidence\":\"e\",\"control\":\"C1\"}",
    "{\"type\":\"result\",\"id\":\"P1.a\",\"row\":\"P1\",\"class\":\"proxy\",\"title\":\"t\","
    "\"verdict\":\"denied\",\"evidence\":\"e\",\"control\":\"C1\"}",
    "{\"type\":\"result\",\"id\":\"H2.a\",\"row\":\"H2\",\"class\":\"container\",\"title\":\"t\","
    "\"verdict\":\"denied\",\"evidence\":\"e\",\"control\":\"C1\"}",
    "{\"type\":\"end\",\"attempts\":4}",
    NULL};

static void answer_json(struct fake_conn *c, const json_t *v)
{
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    fake_json(c, v ? "200 OK" : "404 Not Found", v ? text : "{\"message\":\"no such thing\"}");
    free(text);
}

/* Framed, as the engine sends logs. */
static void answer_logs(const struct script *s, struct fake_conn *c)
{
    fake_chunked(c, "200 OK", "application/vnd.docker.raw-stream");
    for (size_t i = 0; s->lines[i]; i++) {
        struct str frame;
        size_t n = strlen(s->lines[i]) + 1;
        const char head[8] = {1, 0, 0, 0, 0, 0, (char)(n >> 8), (char)(n & 255)};
        str_init(&frame, 65536);
        str_addn(&frame, head, sizeof(head));
        str_addf(&frame, "%s\n", s->lines[i]);
        fake_chunk(c, (struct sv){frame.p, frame.len});
        str_done(&frame);
    }
    if (!s->hold)
        fake_chunk_end(c);
}

/* The agent is asked for again after each probe. */
static json_t *inspected(struct script *s, const char *id)
{
    for (enum role r = 0; r < ROLE_COUNT; r++) {
        json_t *v = s->world.w.inspect[r];
        const char *own = json_string_value(json_object_get(v, "Id"));
        if (!own || strcmp(own, id) != 0)
            continue;
        if (r == ROLE_AGENT && s->inspected++ > 0 && s->second)
            world_set(&s->world, "inspect/agent/State/StartedAt", s->second);
        return s->world.w.inspect[r];
    }
    return NULL;
}

static json_t *member(const struct script *s, const char *id)
{
    for (enum net n = 0; n < NET_COUNT; n++) {
        json_t *v = s->world.w.members[n];
        const char *own = json_string_value(json_object_get(v, "Id"));
        if (own && strcmp(own, id) == 0)
            return v;
    }
    return NULL;
}

static void of_probe(struct script *s, struct fake_conn *c, const struct fake_request *q)
{
    if (strcmp(q->method, "DELETE") == 0) {
        s->removed++;
        fake_answer(c, "204 No Content", "text/plain", sv_of(""));
    } else if (strstr(q->path, "/logs?")) {
        answer_logs(s, c);
    } else if (strstr(q->path, "/json")) {
        char *text = xasprintf("{\"State\":{\"Running\":false,\"ExitCode\":%d}}", s->exit_code);
        fake_json(c, "200 OK", text);
        free(text);
    } else {
        fake_json(c, "200 OK", "{}");
    }
}

static void create(struct script *s, struct fake_conn *c, const struct fake_request *q)
{
    if (s->probes < 2)
        s->create[s->probes++] = xstrdup(q->body);
    fake_json(c, "201 Created", "{\"Id\":\"x\"}");
}

static void handle(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    static const char containers[] = "/v1.41/containers/";
    static const char networks[] = "/v1.41/networks/";
    const struct fixture *f = ctx;
    struct script *s = f->ctx;
    if (s->fails && strstr(q->path, s->fails)) {
        fake_json(c, "500 Internal Server Error", "{\"message\":\"no luck\"}");
    } else if (strcmp(q->path, "/v1.41/containers/json?all=1") == 0) {
        answer_json(c, s->world.w.containers);
    } else if (strcmp(q->path, "/v1.41/networks") == 0) {
        answer_json(c, s->world.w.networks);
    } else if (strcmp(q->path, "/v1.41/volumes") == 0) {
        answer_json(c, s->world.w.volumes);
    } else if (strstr(q->path, "/containers/create?")) {
        create(s, c, q);
    } else if (strstr(q->path, ".probe-")) {
        of_probe(s, c, q);
    } else if (strstr(q->path, "/top?")) {
        fake_json(c, s->user_top ? "200 OK" : "404 Not Found", s->user_top ? s->user_top : "{}");
    } else if (strncmp(q->path, networks, strlen(networks)) == 0) {
        answer_json(c, member(s, q->path + strlen(networks)));
    } else {
        const char *id = q->path + strlen(containers);
        char *name = xmemdup0(id, strcspn(id, "/"));
        answer_json(c, inspected(s, name));
        free(name);
    }
}

static void on_done(void *ctx, const struct err *error, const struct attest_report *report)
{
    struct script *s = ctx;
    s->done++;
    s->attest = NULL;
    s->error = error ? xstrdup(err_message(error)) : NULL;
    s->kind = error ? err_kind(error) : ERR_INTERNAL;
    s->report = report ? attest_report_json(report) : NULL;
}

static void on_progress(void *ctx, const char *text)
{
    struct script *s = ctx;
    assert_non_null(strstr(text, "one: "));
    s->progress++;
}

static void script_open(struct fixture *f, struct script *s)
{
    world_open(&s->world);
    s->info = json_dumps(s->world.w.info, 0);
    f->info_json = s->info;
    f->handle = handle;
    f->ctx = s;
    if (!s->lines[0])
        memcpy(s->lines, GOOD, sizeof(GOOD));
    fixture_connect(f);
}

static void begin(struct fixture *f, struct script *s, const char *bottle, unsigned timeout_s)
{
    const struct attest_options opt = {.instance = "e2e",
                                       .bottle = bottle,
                                       .wide = true,
                                       .timeout_s = timeout_s,
                                       .progress = on_progress};
    s->attest = attest_start(f->engine, f->loop, &opt, on_done, s);
    assert_int_equal(s->done, 0);
}

static void run(struct fixture *f, struct script *s)
{
    begin(f, s, "one", 0);
    run_until(f, &s->done, 1);
    run_idle(f);
    assert_int_equal(s->done, 1);
}

static void script_close(struct script *s)
{
    world_close(&s->world);
    json_decref(s->report);
    free(s->info);
    free(s->error);
    free(s->create[0]);
    free(s->create[1]);
}

static const char *verdict(const struct script *s)
{
    return json_string_value(json_object_get(s->report, "verdict"));
}

/* The evidence of an error row. */
static const char *problem(const struct script *s, const char *id)
{
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(json_object_get(s->report, "results"), i, v)
    {
        if (strcmp(json_string_value(json_object_get(v, "id")), id) == 0 &&
            strcmp(json_string_value(json_object_get(v, "verdict")), "error") == 0)
            return json_string_value(json_object_get(v, "evidence"));
    }
    fail_msg("no error row %s", id);
    return "";
}

/* ---- what it does ---------------------------------------------------------------------------- */

static void a_good_bottle(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};
    script_open(f, &s);
    run(f, &s);
    assert_null(s.error);
    assert_string_equal(verdict(&s), "sealed");
    assert_string_equal(json_string_value(json_object_get(s.report, "user")), "1000:1000");
    assert_int_equal(s.probes, 2);
    assert_int_equal(s.removed, 2);
    assert_true(s.progress >= 3);
    /* Only the two probes were made, given files, started and removed. */
    assert_int_equal(engine_mutations(f->engine), 2 * 5);
    json_t *first = json_loads(s.create[0], 0, NULL);
    json_t *second = json_loads(s.create[1], 0, NULL);
    assert_string_equal(json_string_value(json_object_get(first, "User")), "1000:1000");
    assert_string_equal(json_string_value(json_object_get(second, "User")), "0:0");
    assert_string_equal(json_string_value(json_object_get(first, "Image")),
                        json_string_value(world_at(s.world.root, "inspect/egress/Image")));
    json_decref(first);
    json_decref(second);
    script_close(&s);
}

static void no_such_bottle(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};
    script_open(f, &s);
    begin(f, &s, "three", 0);
    run_until(f, &s.done, 1);
    assert_int_equal(s.kind, ERR_NOT_FOUND);
    assert_string_equal(s.error, "instance 'e2e' has no bottle 'three' on this engine");
    assert_null(s.report);
    assert_int_equal(engine_mutations(f->engine), 0);
    script_close(&s);
}

static void an_engine_that_does_not_answer(void **state)
{
    (void)state;
    static const char *const paths[] = {"/containers/json", "/networks", "/volumes"};
    for (size_t i = 0; i < 3; i++) {
        void *own = NULL;
        assert_int_equal(fixture_setup(&own), 0);
        struct fixture *f = own;
        struct script s = {.fails = paths[i]};
        script_open(f, &s);
        run(f, &s);
        assert_int_equal(s.kind, ERR_UNAVAILABLE);
        assert_null(s.report);
        assert_int_equal(engine_mutations(f->engine), 0);
        script_close(&s);
        assert_int_equal(fixture_teardown(&own), 0);
    }
}

static void an_agent_that_does_not_run(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};
    script_open(f, &s);
    world_set(&s.world, "inspect/agent/State/Running", "false");
    run(f, &s);
    assert_string_equal(verdict(&s), "unproven");
    assert_non_null(strstr(problem(&s, "A.agent"), "doesn't run"));
    assert_int_equal(s.probes, 0);
    script_close(&s);
}

static void a_user_by_name(void **state)
{
    struct fixture *f = *state;
    struct script s = {.user_top = "{\"Titles\":[\"PID\",\"UID\",\"GID\"],"
                                   "\"Processes\":[[\"7\",\"1001\",\"100\"]]}"};
    script_open(f, &s);
    world_set(&s.world, "inspect/agent/Config/User", "\"ada\"");
    run(f, &s);
    assert_string_equal(json_string_value(json_object_get(s.report, "user")), "1001:100");
    assert_string_equal(verdict(&s), "sealed");
    script_close(&s);
}

static void a_user_that_nobody_can_tell(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};
    script_open(f, &s);
    world_set(&s.world, "inspect/agent/Config/User", "\"ada\"");
    run(f, &s);
    assert_string_equal(json_string_value(json_object_get(s.report, "user")), "65534:65534");
    script_close(&s);
}

/* ---- what proves nothing -----------------------------------------------------------------------
 */

static void a_probe_that_dies(void **state)
{
    struct fixture *f = *state;
    struct script s = {.exit_code = 137};
    script_open(f, &s);
    s.lines[3] = NULL;
    run(f, &s);
    assert_string_equal(verdict(&s), "unproven");
    assert_string_equal(problem(&s, "A.probe.exit"), "the probe ended with 137");
    assert_non_null(strstr(problem(&s, "A.probe.end"), "before it had said everything"));
    script_close(&s);
}

static void an_agent_that_changes_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct script s = {.second = "\"2026-11-22T11:00:00Z\""};
    script_open(f, &s);
    run(f, &s);
    assert_string_equal(verdict(&s), "unproven");
    assert_non_null(strstr(problem(&s, "A.agent.changed"), "while the probe was at work"));
    script_close(&s);
}

static void a_probe_that_can_not_be_made(void **state)
{
    struct fixture *f = *state;
    struct script s = {.fails = "/containers/create"};
    script_open(f, &s);
    run(f, &s);
    assert_null(s.error);
    assert_string_equal(verdict(&s), "unproven");
    assert_non_null(strstr(problem(&s, "A.probe.run"), "no luck"));
    script_close(&s);
}

static void what_is_open_is_open(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};
    script_open(f, &s);
    s.lines[1] = "{\"type\":\"result\",\"id\":\"N2.a\",\"row\":\"N2\",\"class\":\"network\","
                 "\"title\":\"t\",\"verdict\":\"open\",\"evidence\":\"connected\"}";
    run(f, &s);
    assert_string_equal(verdict(&s), "open");
    script_close(&s);
}

/* ---- early ends --------------------------------------------------------------------------------
 */

static void called_off(void **state)
{
    struct fixture *f = *state;
    struct script s = {.hold = true};
    script_open(f, &s);
    begin(f, &s, "one", 0);
    while (s.probes == 0)
        assert_true(sd_event_run(f->loop, UINT64_MAX) >= 0);
    attest_cancel(s.attest);
    attest_cancel(s.attest);
    assert_int_equal(s.done, 0);
    run_until(f, &s.done, 1);
    run_idle(f);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.kind, ERR_DENIED);
    assert_null(s.report);
    assert_int_equal(s.removed, 1);
    script_close(&s);
}

static void called_off_before_anything(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};
    script_open(f, &s);
    begin(f, &s, "one", 0);
    attest_cancel(s.attest);
    run_until(f, &s.done, 1);
    assert_int_equal(s.kind, ERR_DENIED);
    assert_int_equal(engine_mutations(f->engine), 0);
    script_close(&s);
}

static void too_slow(void **state)
{
    struct fixture *f = *state;
    struct script s = {.hold = true};
    script_open(f, &s);
    s.lines[1] = NULL;
    begin(f, &s, "one", 1);
    run_until(f, &s.done, 1);
    assert_int_equal(s.kind, ERR_TIMEOUT);
    assert_string_equal(verdict(&s), "unproven");
    assert_string_equal(problem(&s, "A.end"), "attesting 'one' took more than 1 s");
    assert_int_equal(s.removed, 1);
    script_close(&s);
}

static void forgotten(void **state)
{
    struct fixture *f = *state;
    struct script s = {.hold = true};
    script_open(f, &s);
    begin(f, &s, "one", 0);
    while (s.probes == 0)
        assert_true(sd_event_run(f->loop, UINT64_MAX) >= 0);
    assert_null(attest_free(s.attest));
    run_idle(f);
    assert_int_equal(s.done, 0);
    script_close(&s);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_good_bottle),
        TEST(no_such_bottle),
        cmocka_unit_test(an_engine_that_does_not_answer),
        TEST(an_agent_that_does_not_run),
        TEST(a_user_by_name),
        TEST(a_user_that_nobody_can_tell),
        TEST(a_probe_that_dies),
        TEST(an_agent_that_changes_meanwhile),
        TEST(a_probe_that_can_not_be_made),
        TEST(what_is_open_is_open),
        TEST(called_off),
        TEST(called_off_before_anything),
        TEST(too_slow),
        TEST(forgotten),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
