/* SPDX-License-Identifier: Apache-2.0 */
/* engine_stream(): events, pulls and logs, line by line. */
#include "tests/unit/controller/engine_fixture.c"

struct stream_script {
    const char *status;
    const char *type;
    const char *bytes;
    size_t n;
    size_t chunk; /* bytes a chunk */
    size_t piece; /* bytes the client reads at once */
    bool no_end;  /* the answer goes on */
    bool cut;     /* the connection ends without the last chunk */
};

static void play(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)q;
    const struct fixture *f = ctx;
    const struct stream_script *s = f->ctx;
    c->piece = s->piece;
    fake_chunked(c, s->status, s->type);
    for (size_t at = 0; at < s->n; at += s->chunk) {
        size_t n = s->n - at < s->chunk ? s->n - at : s->chunk;
        fake_chunk(c, (struct sv){s->bytes + at, n});
    }
    c->close_after = s->cut;
    if (!s->cut && !s->no_end)
        fake_chunk_end(c);
}

static const char EVENTS[] = "{\"Type\":\"container\"}\n{\"Type\":\"network\"}\n";
static const char LOGS[] = "\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n\1\0\0\0\0\0\0\2a\n";

static const struct engine_request EVENTS_REQUEST = {
    .method = "GET", .path = "/events", .lane = LANE_STREAM};
static const struct engine_request LOGS_REQUEST = {
    .method = "GET", .path = "/containers/x/logs?stdout=1", .lane = LANE_STREAM, .framed = true};

static void use(struct fixture *f, struct stream_script *s, const char *bytes, size_t n)
{
    f->handle = play;
    f->ctx = s;
    s->status = s->status ? s->status : "200 OK";
    s->type = s->type ? s->type : "application/json";
    s->bytes = bytes;
    s->n = n;
    s->chunk = s->chunk ? s->chunk : n;
}

static void lines_whatever_the_pieces(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    for (size_t chunk = 1; chunk <= 40; chunk += 13)
        for (size_t piece = 0; piece <= 30; piece += 7) {
            struct stream_script s = {.chunk = chunk, .piece = piece};
            use(f, &s, EVENTS, sizeof(EVENTS) - 1);
            struct outcome o = {0};
            follow(f, &EVENTS_REQUEST, &o);
            assert_false(o.failed);
            assert_int_equal(o.status, 200);
            assert_int_equal(o.body_len, 0);
            assert_int_equal(o.lines_len, 2);
            assert_string_equal(o.lines[0], "{\"Type\":\"container\"}");
            assert_string_equal(o.lines[1], "{\"Type\":\"network\"}");
            assert_int_equal(o.streams[0], 0);
            outcome_done(&o);
        }
}

/* An open stream delivers at once what it has, and costs the other requests nothing. */
static void open_stream_delivers_and_disturbs_nobody(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    struct stream_script s = {.no_end = true};
    use(f, &s, EVENTS, sizeof(EVENTS) - 1);
    struct outcome o = {0};
    uint64_t id = engine_stream(f->engine, &EVENTS_REQUEST, on_outcome_line, on_outcome, &o);
    run_idle(f);
    assert_int_equal(o.lines_len, 2);
    assert_int_equal(o.calls, 0);
    assert_int_equal(engine_pending(f->engine, LANE_STREAM), 1);
    fixture_connect(f);
    engine_cancel(f->engine, id);
    run_idle(f);
    assert_int_equal(o.calls, 0);
    assert_int_equal(engine_pending(f->engine, LANE_STREAM), 0);
    outcome_done(&o);
}

static void cut_stream_is_unavailable(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    static const char bytes[] = "{\"a\":1}\n{\"half";
    struct stream_script s = {.cut = true};
    use(f, &s, bytes, sizeof(bytes) - 1);
    struct outcome o = {0};
    follow(f, &EVENTS_REQUEST, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_UNAVAILABLE);
    assert_int_equal(o.lines_len, 1);
    assert_string_equal(o.lines[0], "{\"a\":1}");
    outcome_done(&o);
}

static void stopped_by_its_line(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    struct stream_script s = {.no_end = true};
    use(f, &s, EVENTS, sizeof(EVENTS) - 1);
    struct outcome o = {.stop_after = 1};
    follow(f, &EVENTS_REQUEST, &o);
    run_idle(f);
    assert_false(o.failed);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.status, 200);
    assert_int_equal(o.lines_len, 1);
    assert_int_equal(f->fake->open, 0); /* an answer half read leaves no connection to keep */
    outcome_done(&o);
    /* The same with the last line of a stream that is at its end. */
    static const char unended[] = "one";
    s = (struct stream_script){0};
    use(f, &s, unended, sizeof(unended) - 1);
    o.stop_after = 1;
    follow(f, &EVENTS_REQUEST, &o);
    run_idle(f);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.lines_len, 1);
    assert_string_equal(o.lines[0], "one");
    outcome_done(&o);
}

/* A pull that fails before its first progress line. */
static void error_status_has_its_body(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    static const char bytes[] = "{\"message\":\"manifest unknown\"}\n";
    struct stream_script s = {.status = "404 Not Found", .piece = 5, .chunk = 7};
    use(f, &s, bytes, sizeof(bytes) - 1);
    struct engine_request q = {
        .method = "POST", .path = "/images/create?fromImage=x&tag=1", .lane = LANE_PULL};
    struct outcome o = {0};
    follow(f, &q, &o);
    assert_false(o.failed);
    assert_int_equal(o.status, 404);
    assert_int_equal(o.lines_len, 0);
    assert_string_equal(o.body, bytes);
    outcome_done(&o);
    q.max_body = 10;
    follow(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_INTERNAL);
    outcome_done(&o);
}

static void check_demuxed(struct fixture *f, const struct engine_request *q)
{
    struct outcome o = {0};
    follow(f, q, &o);
    assert_false(o.failed);
    assert_int_equal(o.lines_len, 3);
    assert_string_equal(o.lines[0], "out");
    assert_int_equal(o.streams[0], 1);
    assert_string_equal(o.lines[1], "err");
    assert_int_equal(o.streams[1], 2);
    assert_string_equal(o.lines[2], "a");
    assert_int_equal(o.streams[2], 1);
    outcome_done(&o);
}

static void logs_are_demultiplexed(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    /* 20.10 says nothing of use, so the caller does; later engines say so themselves. */
    static const char *const types[] = {"application/octet-stream",
                                        "application/vnd.docker.raw-stream",
                                        "application/vnd.docker.multiplexed-stream"};
    for (size_t i = 0; i < 3; i++)
        for (size_t piece = 0; piece < 12; piece++) {
            struct stream_script s = {.type = types[i], .piece = piece, .chunk = piece + 1};
            use(f, &s, LOGS, sizeof(LOGS) - 1);
            struct engine_request q = LOGS_REQUEST;
            q.framed = i < 2;
            check_demuxed(f, &q);
        }
}

static void tty_logs_stay_raw(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    static const char bytes[] = "hello\r\n\1 world\r\n";
    struct stream_script s = {.type = "application/vnd.docker.raw-stream"};
    use(f, &s, bytes, sizeof(bytes) - 1);
    struct engine_request q = LOGS_REQUEST;
    q.framed = false;
    struct outcome o = {0};
    follow(f, &q, &o);
    assert_false(o.failed);
    assert_int_equal(o.lines_len, 2);
    assert_string_equal(o.lines[0], "hello");
    assert_string_equal(o.lines[1], "\1 world");
    assert_int_equal(o.streams[0], 0);
    outcome_done(&o);
}

static void not_framed_is_an_error(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    static const char bytes[] = "plain text\n";
    struct stream_script s = {.no_end = true};
    use(f, &s, bytes, sizeof(bytes) - 1);
    struct outcome o = {0};
    follow(f, &LOGS_REQUEST, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_INTERNAL);
    assert_non_null(strstr(o.message, "not in the engine's log format"));
    assert_int_equal(o.lines_len, 0);
    assert_int_equal(engine_pending(f->engine, LANE_STREAM), 0);
    outcome_done(&o);
}

static void long_lines_are_cut(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    size_t n = 300000;
    char *bytes = xmalloc(n + 4);
    memset(bytes, 'x', n);
    memcpy(bytes + n, "\nok\n", 4);
    struct stream_script s = {.chunk = 50000};
    use(f, &s, bytes, n + 4);
    struct outcome o = {0};
    follow(f, &EVENTS_REQUEST, &o);
    assert_int_equal(o.lines_len, 2);
    assert_int_equal(o.line_lens[0], ENGINE_MAX_LINE);
    assert_string_equal(o.lines[1], "ok");
    outcome_done(&o);
    free(bytes);
}

/* More than any limit on bodies: a stream is not a body. */
static void long_streams_have_no_limit(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    size_t n = 17U << 20;
    char *bytes = xmalloc(n);
    memset(bytes, 'x', n);
    bytes[n - 1] = '\n';
    struct stream_script s = {.chunk = 1U << 20};
    use(f, &s, bytes, n);
    struct outcome o = {0};
    follow(f, &EVENTS_REQUEST, &o);
    assert_false(o.failed);
    assert_int_equal(o.lines_len, 1);
    assert_int_equal(o.line_lens[0], ENGINE_MAX_LINE);
    outcome_done(&o);
    free(bytes);
}

/* ---- from inside a line ---------------------------------------------------------------------- */

enum act { ACT_CANCEL_SELF, ACT_CANCEL_OTHER, ACT_FREE, ACT_SEND };
struct actor {
    struct fixture *f;
    enum act act;
    uint64_t self;
    uint64_t other;
    int lines;
    int ends;
};

static void on_actor_done(void *ctx, const struct engine_response *r)
{
    (void)r;
    struct actor *a = ctx;
    a->ends++;
}

static bool on_actor_line(void *ctx, int stream, struct sv line)
{
    (void)stream;
    (void)line;
    struct actor *a = ctx;
    a->lines++;
    if (a->act == ACT_CANCEL_SELF)
        engine_cancel(a->f->engine, a->self);
    if (a->act == ACT_CANCEL_OTHER)
        engine_cancel(a->f->engine, a->other);
    if (a->act == ACT_FREE)
        a->f->engine = engine_free(a->f->engine);
    if (a->act == ACT_SEND && a->lines == 1) {
        struct engine_request q = {
            .method = "GET", .path = "/_ping", .lane = LANE_READ, .unversioned = true};
        (void)engine_send(a->f->engine, &q, on_actor_done, a);
    }
    return true;
}

static void act(struct fixture *f, struct actor *a, bool at_end)
{
    static const char bytes[] = "one\ntwo\nthree";
    struct stream_script s = {.no_end = !at_end};
    use(f, &s, bytes, sizeof(bytes) - 1);
    a->f = f;
    a->other = engine_stream(f->engine, &EVENTS_REQUEST, on_actor_line, on_actor_done, a);
    a->self = engine_stream(f->engine, &EVENTS_REQUEST, on_actor_line, on_actor_done, a);
    if (a->act != ACT_CANCEL_OTHER)
        engine_cancel(f->engine, a->other);
    run_idle(f);
}

static void cancel_itself_inside_a_line(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    for (int at_end = 0; at_end < 2; at_end++) {
        struct actor a = {.act = ACT_CANCEL_SELF};
        act(f, &a, at_end);
        assert_int_equal(a.lines, 1);
        assert_int_equal(a.ends, 0);
        assert_int_equal(engine_pending(f->engine, LANE_STREAM), 0);
    }
}

/* Whichever of the two comes first, the second stream's lines come whole and the first one stops.
 */
static void cancel_another_inside_a_line(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    struct actor a = {.act = ACT_CANCEL_OTHER};
    act(f, &a, true);
    assert_in_range(a.lines, 3, 4);
    assert_int_equal(a.ends, 1);
    assert_int_equal(engine_pending(f->engine, LANE_STREAM), 0);
}

static void free_inside_a_line(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    struct actor a = {.act = ACT_FREE};
    act(f, &a, true);
    assert_int_equal(a.lines, 1);
    assert_int_equal(a.ends, 0);
    assert_null(f->engine);
}

static void send_inside_a_line(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    struct actor a = {.act = ACT_SEND};
    act(f, &a, true);
    assert_int_equal(a.lines, 3);
    assert_int_equal(a.ends, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        T(lines_whatever_the_pieces),   T(open_stream_delivers_and_disturbs_nobody),
        T(cut_stream_is_unavailable),   T(stopped_by_its_line),
        T(error_status_has_its_body),   T(logs_are_demultiplexed),
        T(tty_logs_stay_raw),           T(not_framed_is_an_error),
        T(long_lines_are_cut),          T(long_streams_have_no_limit),
        T(cancel_itself_inside_a_line), T(cancel_another_inside_a_line),
        T(free_inside_a_line),          T(send_inside_a_line),
#undef T
    };
    return cmocka_run_group_tests_name("engine streams", tests, group_setup, group_teardown);
}
