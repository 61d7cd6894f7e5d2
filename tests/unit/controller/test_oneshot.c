/* SPDX-License-Identifier: Apache-2.0 */
/* A container that runs once: whatever goes wrong, it is removed, and exactly it. */
#include "tests/unit/controller/engine_fixture.c"

#include "controller/oneshot.h"

/* How the engine behaves; NULL: as it should. */
struct world {
    const char *create, *upload, *start, *logs, *inspect; /* other statuses than success */
    const char *remove[8];                                /* in turn; NULL: 204 */
    int exit_code;
    bool oom, running;
    bool hold_create; /* the answer waits until `held` is let go */
    bool hold_logs;   /* the output never ends */
    bool drop_create; /* the connection closes without an answer */
    struct fake_conn *held;
    size_t removals;
    struct sv output; /* framed */
    /* What came of it. */
    struct oneshot *run;
    int ends;
    char *error, *tail;
    enum err_kind kind;
    int seen_exit;
    bool seen_oom;
    struct str lines;
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void answer(struct fake_conn *c, const char *status, const char *usual)
{
    fake_json(c, status ? status : usual, status ? "{\"message\":\"no luck\"}" : "{\"Id\":\"x\"}");
}

static void inspected(const struct world *w, struct fake_conn *c)
{
    char *body = xasprintf("{\"State\":{\"Running\":%s,\"ExitCode\":%d,\"OOMKilled\":%s}}",
                           w->running ? "true" : "false", w->exit_code, w->oom ? "true" : "false");
    fake_json(c, w->inspect ? w->inspect : "200 OK", body);
    free(body);
}

static void logs(const struct world *w, struct fake_conn *c)
{
    if (w->logs) {
        answer(c, w->logs, NULL);
        return;
    }
    fake_chunked(c, "200 OK", "application/vnd.docker.raw-stream");
    if (w->output.n)
        fake_chunk(c, w->output);
    if (!w->hold_logs)
        fake_chunk_end(c);
}

static void handle(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    const struct fixture *f = ctx;
    struct world *w = f->ctx;
    if (strstr(q->path, "/containers/create?")) {
        if (w->drop_create)
            fake_close(c);
        else if (w->hold_create)
            w->held = c;
        else
            answer(c, w->create, "201 Created");
    } else if (strcmp(q->method, "PUT") == 0) {
        answer(c, w->upload, "200 OK");
    } else if (ends_with(q->path, "/start")) {
        answer(c, w->start, "204 No Content");
    } else if (strstr(q->path, "/logs?")) {
        logs(w, c);
    } else if (strcmp(q->method, "DELETE") == 0) {
        answer(c, w->removals < 8 ? w->remove[w->removals] : NULL, "204 No Content");
        w->removals++;
    } else {
        inspected(w, c);
    }
}

static bool on_line(void *ctx, int stream, struct sv line)
{
    struct world *w = ctx;
    str_addf(&w->lines, "%d:%.*s|", stream, (int)line.n, line.p);
    return true;
}

static void on_end(void *ctx, const struct oneshot_end *end)
{
    struct world *w = ctx;
    w->ends++;
    w->run = NULL;
    w->error = end->error ? xstrdup(err_message(end->error)) : NULL;
    w->kind = end->error ? err_kind(end->error) : ERR_INTERNAL;
    w->seen_exit = end->exit_code;
    w->seen_oom = end->oom_killed;
    w->tail = xstrdup(end->tail);
}

static void begin(struct fixture *f, struct world *w, unsigned timeout_ms)
{
    f->handle = handle;
    f->ctx = w;
    str_init(&w->lines, 4096);
    fixture_connect(f);
    const struct oneshot_spec spec = {.name = "e2e.one.probe-abcdef",
                                      .body = "{\"Image\":\"x\"}",
                                      .tars = {{"first", 5}, {"second", 6}},
                                      .timeout_ms = timeout_ms};
    w->run = oneshot_start(f->engine, f->loop, &spec, on_line, on_end, w);
    assert_int_equal(w->ends, 0);
}

static void run(struct fixture *f, struct world *w)
{
    begin(f, w, 60000);
    run_until(f, &w->ends, 1);
    run_idle(f);
    assert_int_equal(w->ends, 1);
}

static void done(struct world *w)
{
    free(w->error);
    free(w->tail);
    str_done(&w->lines);
}

#define PATH "/v1.41/containers/e2e.one.probe-abcdef"

static size_t removals(const struct fixture *f)
{
    return fake_count(f->fake, "DELETE", PATH "?force=1&v=1");
}

static void runs_to_its_end(void **state)
{
    struct fixture *f = *state;
    static const char out[] =
        "\1\0\0\0\0\0\0\4one\n\2\0\0\0\0\0\0\6oops\x1b\n\1\0\0\0\0\0\0\4two\n";
    struct world w = {.output = {out, sizeof(out) - 1}, .exit_code = 3, .oom = true};
    run(f, &w);
    assert_null(w.error);
    assert_int_equal(w.seen_exit, 3);
    assert_true(w.seen_oom);
    assert_string_equal(w.lines.p, "1:one|1:two|");
    assert_string_equal(w.tail, "oops\\x1b\\x0a");
    assert_int_equal(
        fake_count(f->fake, "POST", "/v1.41/containers/create?name=e2e.one.probe-abcdef"), 1);
    assert_int_equal(fake_count(f->fake, "PUT", PATH "/archive?path=%2F"), 2);
    assert_int_equal(fake_count(f->fake, "POST", PATH "/start"), 1);
    assert_int_equal(removals(f), 1);
    size_t put = 0;
    for (size_t i = 0; i < f->fake->log_len; i++) {
        const struct fake_request *q = &f->fake->log[i];
        if (strcmp(q->method, "PUT") == 0)
            assert_string_equal(q->body, put++ == 0 ? "first" : "second");
    }
    done(&w);
}

/* Each step may fail; from the creation on there is something to remove. */
static void every_failure_ends_in_a_removal(void **state)
{
    (void)state;
    for (int step = 0; step < 6; step++) {
        void *own = NULL;
        assert_int_equal(fixture_setup(&own), 0);
        struct fixture *f = own;
        static const char bad[] = "500 Internal Server Error";
        struct world w = {.create = step == 0 ? bad : NULL,
                          .upload = step == 1 ? bad : NULL,
                          .start = step == 2 ? bad : NULL,
                          .logs = step == 3 ? bad : NULL,
                          .inspect = step == 4 ? bad : NULL,
                          .running = step == 5};
        run(f, &w);
        assert_non_null(w.error);
        assert_non_null(strstr(w.error, "e2e.one.probe-abcdef"));
        assert_int_equal(w.kind, ERR_UNAVAILABLE);
        assert_int_equal(removals(f), 1);
        done(&w);
        assert_int_equal(fixture_teardown(&own), 0);
    }
}

/* A refusal made nothing; and the name may be somebody else's. */
static void a_refused_creation_removes_nothing(void **state)
{
    (void)state;
    static const char *const statuses[] = {"400 Bad Request", "404 Not Found", "409 Conflict"};
    for (size_t i = 0; i < 3; i++) {
        void *own = NULL;
        assert_int_equal(fixture_setup(&own), 0);
        struct fixture *f = own;
        struct world w = {.create = statuses[i]};
        run(f, &w);
        assert_non_null(strstr(w.error, "creating 'e2e.one.probe-abcdef'"));
        assert_int_equal(removals(f), 0);
        done(&w);
        assert_int_equal(fixture_teardown(&own), 0);
    }
}

/* Without an answer nobody knows whether it is there. */
static void a_creation_without_an_answer_is_removed(void **state)
{
    struct fixture *f = *state;
    struct world w = {.drop_create = true, .remove = {"404 Not Found"}};
    run(f, &w);
    assert_int_equal(w.kind, ERR_UNAVAILABLE);
    assert_int_equal(removals(f), 1);
    done(&w);
}

static void an_end_in_time(void **state)
{
    struct fixture *f = *state;
    struct world w = {.hold_logs = true};
    begin(f, &w, 50);
    run_until(f, &w.ends, 1);
    assert_int_equal(w.kind, ERR_TIMEOUT);
    assert_string_equal(w.error, "container 'e2e.one.probe-abcdef' did not end in time");
    assert_int_equal(removals(f), 1);
    done(&w);
}

static void called_off_while_it_runs(void **state)
{
    struct fixture *f = *state;
    struct world w = {.hold_logs = true};
    begin(f, &w, 60000);
    while (fake_count(f->fake, "GET", PATH "/logs?follow=1&stdout=1&stderr=1") == 0)
        assert_true(sd_event_run(f->loop, UINT64_MAX) >= 0);
    oneshot_cancel(w.run);
    oneshot_cancel(w.run);
    assert_int_equal(w.ends, 0);
    run_until(f, &w.ends, 1);
    run_idle(f);
    assert_int_equal(w.ends, 1);
    assert_int_equal(w.kind, ERR_DENIED);
    assert_int_equal(removals(f), 1);
    done(&w);
}

/* It would be made after its removal: so the answer is waited for. */
static void called_off_while_it_is_created(void **state)
{
    struct fixture *f = *state;
    struct world w = {.hold_create = true};
    begin(f, &w, 60000);
    while (!w.held)
        assert_true(sd_event_run(f->loop, UINT64_MAX) >= 0);
    oneshot_cancel(w.run);
    run_idle(f);
    assert_int_equal(w.ends, 0);
    assert_int_equal(removals(f), 0);
    answer(w.held, NULL, "201 Created");
    run_until(f, &w.ends, 1);
    assert_int_equal(w.kind, ERR_DENIED);
    assert_int_equal(removals(f), 1);
    assert_int_equal(fake_count(f->fake, "PUT", PATH "/archive?path=%2F"), 0);
    assert_int_equal(fake_count(f->fake, "POST", PATH "/start"), 0);
    done(&w);
}

static void a_removal_is_tried_again(void **state)
{
    struct fixture *f = *state;
    struct world w = {.remove = {"500 Internal Server Error", "409 Conflict", "404 Not Found"}};
    run(f, &w);
    assert_null(w.error);
    assert_int_equal(w.removals, 3);
    done(&w);
}

static void what_stays_is_told(void **state)
{
    struct fixture *f = *state;
    static const char bad[] = "500 Internal Server Error";
    struct world w = {.remove = {bad, bad, bad, bad, bad, bad, bad, bad}, .upload = bad};
    run(f, &w);
    assert_string_equal(w.error,
                        "removing 'e2e.one.probe-abcdef': the engine answered 500: no luck");
    assert_int_equal(w.removals, 5);
    done(&w);
}

static void forgotten_without_a_word(void **state)
{
    struct fixture *f = *state;
    struct world w = {.hold_logs = true};
    begin(f, &w, 60000);
    while (fake_count(f->fake, "GET", PATH "/logs?follow=1&stdout=1&stderr=1") == 0)
        assert_true(sd_event_run(f->loop, UINT64_MAX) >= 0);
    assert_null(oneshot_free(w.run));
    run_idle(f);
    assert_int_equal(w.ends, 0);
    assert_null(oneshot_free(NULL));
    done(&w);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(runs_to_its_end),
        cmocka_unit_test(every_failure_ends_in_a_removal),
        cmocka_unit_test(a_refused_creation_removes_nothing),
        TEST(a_creation_without_an_answer_is_removed),
        TEST(an_end_in_time),
        TEST(called_off_while_it_runs),
        TEST(called_off_while_it_is_created),
        TEST(a_removal_is_tried_again),
        TEST(what_stays_is_told),
        TEST(forgotten_without_a_word),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
