/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to requests when the engine is away, slow, restarted or not an engine; and when the
 * caller changes its mind. */
#include "tests/unit/controller/engine_fixture.c"

#include <grp.h>
#include <sys/stat.h>

#define GET(p)                                                                                     \
    (struct engine_request)                                                                        \
    {                                                                                              \
        .method = "GET", .path = (p), .lane = LANE_READ                                            \
    }
#define POST(p)                                                                                    \
    (struct engine_request)                                                                        \
    {                                                                                              \
        .method = "POST", .path = (p), .lane = LANE_WORK                                           \
    }

static void answer_path(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    fake_json(c, "200 OK", q->path);
}

static void say_nothing(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)c;
    (void)q;
}

static void hang_up(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    fake_close(c);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void reads_reuse_a_connection(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    for (int i = 0; i < 5; i++) {
        struct outcome o = {0};
        struct engine_request q = GET("/a");
        ask(f, &q, &o);
        assert_string_equal(o.body, "/v1.41/a");
        outcome_done(&o);
    }
    assert_int_equal(f->fake->accepted, 1);
    assert_int_equal(f->fake->log_len, 3 + 5);
    assert_int_equal(engine_requests(f->engine), 3 + 5);
    assert_int_equal(engine_mutations(f->engine), 0);
}

static void idle_connections_are_few(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    for (int i = 0; i < 40; i++) {
        struct outcome o = {0};
        struct engine_request q = POST("/a");
        ask(f, &q, &o);
        assert_int_equal(o.status, 200);
        outcome_done(&o);
    }
    run_idle(f);
    assert_int_equal(f->fake->accepted, 1 + 40);
    assert_in_range(f->fake->open, 1, 16);
    assert_int_equal(engine_mutations(f->engine), 40);
}

static void read_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    struct outcome o = {0};
    struct engine_request q = GET("/before");
    ask(f, &q, &o);
    outcome_done(&o);
    fake_stop(f->fake);
    fake_listen(f->fake, 64);
    q = GET("/after");
    ask(f, &q, &o);
    assert_false(o.failed);
    assert_string_equal(o.body, "/v1.41/after");
    assert_int_equal(f->fake->accepted, 2);
    outcome_done(&o);
}

/* Closes the kept connection at the worst moment: with the second request already in it. */
static void hang_up_on_first_connection(void *ctx, struct fake_conn *c,
                                        const struct fake_request *q)
{
    (void)ctx;
    if (c->number == 1)
        fake_close(c);
    else
        fake_json(c, "200 OK", q->path);
}

static void read_is_repeated_on_a_dead_connection(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = hang_up_on_first_connection;
    struct outcome o = {0};
    struct engine_request q = GET("/again");
    ask(f, &q, &o);
    assert_false(o.failed);
    assert_string_equal(o.body, "/v1.41/again");
    assert_int_equal(fake_count(f->fake, "GET", "/v1.41/again"), 2);
    outcome_done(&o);
}

/* A change that was read and then cut off may have happened: it must never be sent twice. */
static void change_is_never_repeated(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    struct outcome o = {0};
    struct engine_request q = GET("/warm-up");
    ask(f, &q, &o);
    outcome_done(&o);
    f->handle = hang_up;
    static const char *const methods[] = {"POST", "PUT", "DELETE"};
    for (size_t i = 0; i < 3; i++) {
        q = POST("/networks/create");
        q.method = methods[i];
        ask(f, &q, &o);
        run_idle(f);
        assert_true(o.failed);
        assert_int_equal(o.calls, 1);
        assert_int_equal(o.kind, ERR_UNAVAILABLE);
        assert_non_null(strstr(o.message, "closed the connection before its answer was complete"));
        assert_int_equal(fake_count(f->fake, methods[i], "/v1.41/networks/create"), 1);
        outcome_done(&o);
    }
    assert_int_equal(engine_mutations(f->engine), 3);
}

/* ---- an engine that isn't well --------------------------------------------------------------- */

struct bad_answer {
    const char *bytes;
    enum err_kind kind;
    const char *words;
};
static const struct bad_answer BAD_ANSWERS[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", ERR_UNAVAILABLE,
     "closed the connection"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", ERR_UNAVAILABLE,
     "closed the connection"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ERR_UNAVAILABLE,
     "closed the connection"},
    {"HTTP/1.1 200 OK\r\nConte", ERR_UNAVAILABLE, "closed the connection"},
    {"SSH-2.0-OpenSSH_9.2\r\n", ERR_UNAVAILABLE, "doesn't speak HTTP"},
    {"", ERR_UNAVAILABLE, "closed the connection"},
};

static void give_bad_answer(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)q;
    const struct fixture *f = ctx;
    const struct bad_answer *bad = f->ctx;
    c->close_after = true;
    fake_send(c, sv_of(bad->bytes));
}

static void broken_answers_are_errors(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = give_bad_answer;
    for (size_t i = 0; i < sizeof(BAD_ANSWERS) / sizeof(BAD_ANSWERS[0]); i++) {
        struct bad_answer bad = BAD_ANSWERS[i];
        f->ctx = &bad;
        struct outcome o = {0};
        struct engine_request q = POST("/x");
        ask(f, &q, &o);
        assert_true(o.failed);
        assert_int_equal(o.status, 0);
        assert_int_equal(o.body_len, 0);
        assert_non_null(strstr(o.message, bad.words));
        assert_int_equal(o.kind, bad.kind);
        outcome_done(&o);
    }
}

static void reset_is_unavailable(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->fake->close_on_accept = true;
    struct outcome o = {0};
    struct engine_request q = POST("/x");
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_UNAVAILABLE);
    outcome_done(&o);
}

static void silence_is_a_timeout(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = say_nothing;
    struct outcome o = {0};
    struct engine_request q = GET("/slow");
    uint64_t before = 0;
    uint64_t after = 0;
    (void)sd_event_now(f->loop, CLOCK_MONOTONIC, &before);
    q.timeout_ms = 60;
    ask(f, &q, &o);
    (void)sd_event_now(f->loop, CLOCK_MONOTONIC, &after);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_TIMEOUT);
    assert_non_null(strstr(o.message, "no whole answer from the engine at unix://"));
    assert_non_null(strstr(o.message, "within 0.060 s"));
    assert_true(after - before >= 60000 - 1000);
    outcome_done(&o);
    /* The engine is still good for the next one. */
    f->handle = answer_path;
    q = GET("/next");
    ask(f, &q, &o);
    assert_string_equal(o.body, "/v1.41/next");
    outcome_done(&o);
}

static void away_is_unavailable(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    fake_stop(f->fake);
    struct outcome o = {0};
    struct engine_request q = GET("/x");
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_UNAVAILABLE);
    assert_non_null(strstr(o.message, "there is no such socket; is the engine running?"));
    assert_non_null(strstr(o.message, f->fake->path));
    outcome_done(&o);
    /* A socket file that a killed engine left behind. */
    fake_listen(f->fake, 1);
    f->fake->acceptor = sd_event_source_disable_unref(f->fake->acceptor);
    (void)close(f->fake->fd);
    f->fake->fd = -1;
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_UNAVAILABLE);
    assert_non_null(strstr(o.message, "nobody listens there; is the engine running?"));
    outcome_done(&o);
}

static void full_backlog_is_unavailable(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    fake_stop(f->fake);
    fake_listen(f->fake, 0);
    (void)sd_event_source_set_enabled(f->fake->acceptor, SD_EVENT_OFF);
    struct outcome first = {0};
    struct outcome second = {0};
    struct engine_request q = POST("/x");
    q.timeout_ms = 100;
    (void)engine_send(f->engine, &q, on_outcome, &first);
    (void)engine_send(f->engine, &q, on_outcome, &second);
    run_until(f, &second.calls, 1);
    assert_true(second.failed);
    assert_int_equal(second.kind, ERR_UNAVAILABLE);
    assert_non_null(strstr(second.message, "takes no more connections now"));
    run_until(f, &first.calls, 1);
    assert_int_equal(first.kind, ERR_TIMEOUT);
    outcome_done(&first);
    outcome_done(&second);
}

static void no_permission_names_the_group(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    fake_stop(f->fake);
    fake_listen(f->fake, 8);
    assert_int_equal(chmod(f->fake->dir, 0755), 0);
    assert_int_equal(chmod(f->fake->path, 0), 0);
    const struct group *group = getgrgid(getegid());
    AUTO_FREE char *want = group ? xasprintf("group '%s'", group->gr_name)
                                 : xasprintf("group id %u", (unsigned)getegid());
    struct outcome o = {0};
    struct engine_request q = GET("/x");
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    ask(f, &q, &o);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_DENIED);
    assert_non_null(strstr(o.message, want));
    outcome_done(&o);
}

static void request_before_connect_fails(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    struct engine_request q = GET("/x");
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_UNAVAILABLE);
    assert_non_null(strstr(o.message, "has not answered yet"));
    assert_int_equal(f->fake->log_len, 0);
    assert_int_equal(engine_requests(f->engine), 0);
    outcome_done(&o);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void lanes_cap_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = say_nothing;
    static const struct {
        enum engine_lane lane;
        size_t cap;
    } caps[] = {{LANE_READ, 4}, {LANE_NETWORK, 1}, {LANE_WORK, 4},
                {LANE_PULL, 2}, {LANE_STREAM, 64}, {LANE_CONTROL, 8}};
    enum { EACH = 66 };
    struct outcome o = {0};
    size_t want = 3;
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct engine_request q = POST("/x");
        q.lane = caps[i].lane;
        for (int k = 0; k < EACH; k++)
            (void)engine_send(f->engine, &q, on_outcome, &o);
        run_idle(f);
        want += caps[i].cap;
        assert_int_equal(f->fake->log_len, want);
        assert_int_equal(engine_pending(f->engine, caps[i].lane), EACH);
    }
    assert_int_equal(o.calls, 0);
}

struct order {
    char text[64];
    int calls;
};
struct ordered {
    struct order *order;
    char name;
};
static void on_ordered(void *ctx, const struct engine_response *r)
{
    struct ordered *o = ctx;
    assert_null(r->error);
    o->order->text[o->order->calls++] = o->name;
}

static void a_lane_of_one_keeps_its_order(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    struct order order = {0};
    struct ordered items[8];
    for (int i = 0; i < 8; i++) {
        items[i] = (struct ordered){&order, (char)('a' + i)};
        struct engine_request q = POST("/networks/create");
        q.lane = LANE_NETWORK;
        (void)engine_send(f->engine, &q, on_ordered, &items[i]);
    }
    run_until(f, &order.calls, 8);
    assert_string_equal(order.text, "abcdefgh");
    assert_int_equal(engine_pending(f->engine, LANE_NETWORK), 0);
}

/* ---- a change of mind ------------------------------------------------------------------------ */

static void cancel_waiting_and_active(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = say_nothing;
    struct outcome o = {0};
    struct engine_request q = POST("/held");
    q.lane = LANE_NETWORK;
    uint64_t active = engine_send(f->engine, &q, on_outcome, &o);
    uint64_t waiting = engine_send(f->engine, &q, on_outcome, &o);
    assert_true(active != waiting);
    run_idle(f);
    engine_cancel(f->engine, waiting);
    engine_cancel(f->engine, waiting);
    engine_cancel(f->engine, 12345);
    engine_cancel(f->engine, active);
    assert_int_equal(engine_pending(f->engine, LANE_NETWORK), 0);
    /* The lane is free again. */
    f->handle = answer_path;
    struct outcome next = {0};
    q.path = "/next";
    ask(f, &q, &next);
    assert_string_equal(next.body, "/v1.41/next");
    run_idle(f);
    assert_int_equal(o.calls, 0);
    assert_int_equal(fake_count(f->fake, "POST", "/v1.41/held"), 1);
    outcome_done(&next);
}

struct canceller {
    struct engine *engine;
    uint64_t victims[3];
    int calls;
};
static void cancel_the_others(void *ctx, const struct engine_response *r)
{
    (void)r;
    struct canceller *c = ctx;
    c->calls++;
    for (size_t i = 0; i < 3; i++)
        engine_cancel(c->engine, c->victims[i]);
}

/* Also requests whose answer came in the same turn of the loop, and the one that is calling. */
static void cancel_inside_done(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    struct canceller c = {.engine = f->engine};
    struct engine_request q = GET("/x");
    for (size_t i = 0; i < 3; i++)
        c.victims[i] = engine_send(f->engine, &q, cancel_the_others, &c);
    run_until(f, &c.calls, 1);
    run_idle(f);
    assert_int_equal(c.calls, 1);
    assert_int_equal(engine_pending(f->engine, LANE_READ), 0);
}

struct chain {
    struct engine *engine;
    int calls;
};
static void send_another(void *ctx, const struct engine_response *r)
{
    struct chain *c = ctx;
    assert_null(r->error);
    if (++c->calls < 5) {
        struct engine_request q = GET("/more");
        (void)engine_send(c->engine, &q, send_another, c);
    }
}

static void send_inside_done(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    struct chain c = {.engine = f->engine};
    struct engine_request q = GET("/more");
    (void)engine_send(f->engine, &q, send_another, &c);
    run_until(f, &c.calls, 5);
    assert_int_equal(fake_count(f->fake, "GET", "/v1.41/more"), 5);
}

static void free_with_requests_under_way(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = say_nothing;
    struct outcome o = {0};
    for (int i = 0; i < 6; i++) {
        struct engine_request q = GET("/x");
        (void)engine_send(f->engine, &q, on_outcome, &o);
    }
    engine_connect(f->engine, on_fixture_connected, &o.calls);
    run_idle(f);
    o.calls = 0;
    engine_connect(f->engine, on_fixture_connected, &o.calls);
    f->engine = engine_free(f->engine);
    run_idle(f);
    assert_int_equal(o.calls, 0);
    assert_int_equal(f->fake->open, 0);
}

struct freer {
    struct fixture *f;
    int calls;
};
static void free_engine(void *ctx, const struct engine_response *r)
{
    (void)r;
    struct freer *x = ctx;
    x->calls++;
    x->f->engine = engine_free(x->f->engine);
}

static void free_inside_done(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = answer_path;
    struct freer x = {.f = f};
    for (int i = 0; i < 6; i++) {
        struct engine_request q = GET("/x");
        (void)engine_send(f->engine, &q, free_engine, &x);
    }
    run_until(f, &x.calls, 1);
    run_idle(f);
    assert_int_equal(x.calls, 1);
    assert_null(f->engine);
}

/* The same from a request that never got out. */
static void free_inside_failed_start(void **state)
{
    struct fixture *f = *state;
    struct freer x = {.f = f};
    struct engine_request q = GET("/x");
    (void)engine_send(f->engine, &q, free_engine, &x);
    (void)engine_send(f->engine, &q, free_engine, &x);
    run_until(f, &x.calls, 1);
    run_idle(f);
    assert_int_equal(x.calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        T(reads_reuse_a_connection),
        T(idle_connections_are_few),
        T(read_survives_a_restart),
        T(read_is_repeated_on_a_dead_connection),
        T(change_is_never_repeated),
        T(broken_answers_are_errors),
        T(reset_is_unavailable),
        T(silence_is_a_timeout),
        T(away_is_unavailable),
        T(full_backlog_is_unavailable),
        T(no_permission_names_the_group),
        T(request_before_connect_fails),
        T(lanes_cap_what_is_under_way),
        T(a_lane_of_one_keeps_its_order),
        T(cancel_waiting_and_active),
        T(cancel_inside_done),
        T(send_inside_done),
        T(free_with_requests_under_way),
        T(free_inside_done),
        T(free_inside_failed_start),
#undef T
    };
    return cmocka_run_group_tests_name("engine failures", tests, group_setup, group_teardown);
}
