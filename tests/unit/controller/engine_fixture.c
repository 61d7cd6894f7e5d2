/* SPDX-License-Identifier: Apache-2.0 */
/* A client, a fake engine and a loop for the test_engine_*.c programs, which include this. */
#include "controller/engine.h"
#include "spec/base/xalloc.h"

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>

#include "tests/unit/controller/fake_server.c"

/* For waiting in vain only. */
enum { DEADLINE_US = 120000000, MAX_LINES = 64 };

struct fixture {
    sd_event *loop;
    struct fake *fake;
    struct engine *engine;
    const char *version_json;
    const char *info_json;
    fake_handler *handle; /* what is not part of connecting */
    void *ctx;            /* of the test's own */
};

/* What came of one request. */
struct outcome {
    struct fixture *f;
    int calls;
    bool failed;
    enum err_kind kind;
    char *message;
    int status;
    char *body;
    size_t body_len;
    char *header; /* of the name `want_header` */
    const char *want_header;
    char *lines[MAX_LINES];
    size_t line_lens[MAX_LINES];
    int streams[MAX_LINES];
    size_t lines_len;
    size_t stop_after; /* lines; 0: never */
};

static const char FIXTURE_VERSION[] = "{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\","
                                      "\"MinAPIVersion\":\"1.12\",\"Arch\":\"amd64\"}";
static const char FIXTURE_INFO[] = "{\"ID\":\"AAAA:BBBB\",\"OSType\":\"linux\",\"NCPU\":2}";

FAKE_FN void outcome_done(struct outcome *o)
{
    free(o->message);
    free(o->body);
    free(o->header);
    for (size_t i = 0; i < o->lines_len; i++)
        free(o->lines[i]);
    *o = (struct outcome){.f = o->f};
}

FAKE_FN void on_outcome(void *ctx, const struct engine_response *r)
{
    struct outcome *o = ctx;
    o->calls++;
    o->failed = r->error != NULL;
    if (r->error) {
        o->kind = err_kind(r->error);
        o->message = xstrdup(err_message(r->error));
    }
    o->status = r->status;
    o->body = xmemdup0(r->body.p ? r->body.p : "", r->body.n);
    o->body_len = r->body.n;
    if (o->want_header) {
        struct sv value = engine_header(r, o->want_header);
        o->header = xmemdup0(value.p, value.n);
    }
}

FAKE_FN bool on_outcome_line(void *ctx, int stream, struct sv line)
{
    struct outcome *o = ctx;
    assert_true(o->lines_len < MAX_LINES);
    assert_int_equal(o->calls, 0);
    o->streams[o->lines_len] = stream;
    o->line_lens[o->lines_len] = line.n;
    o->lines[o->lines_len++] = xmemdup0(line.p, line.n);
    return o->stop_after == 0 || o->lines_len < o->stop_after;
}

static void fixture_handle(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    struct fixture *f = ctx;
    if (strcmp(q->path, "/_ping") == 0)
        fake_answer(c, "200 OK", "text/plain", sv_of("OK"));
    else if (strcmp(q->path, "/version") == 0)
        fake_json(c, "200 OK", f->version_json);
    else if (strlen(q->path) > 5 && strcmp(q->path + strlen(q->path) - 5, "/info") == 0)
        fake_json(c, "200 OK", f->info_json);
    else if (f->handle)
        f->handle(f, c, q);
    else
        fail_msg("unexpected request %s %s", q->method, q->path);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *ctx)
{
    (void)source;
    (void)usec;
    *(bool *)ctx = true;
    return 0;
}

/* Turns the loop until the counter has reached `want`. A test that waits in vain fails here. */
FAKE_FN void run_until(struct fixture *f, const int *counter, int want)
{
    bool late = false;
    sd_event_source *deadline = NULL;
    assert_true(sd_event_add_time_relative(f->loop, &deadline, CLOCK_MONOTONIC, DEADLINE_US, 0,
                                           on_deadline, &late) >= 0);
    while (*counter < want && !late)
        assert_true(sd_event_run(f->loop, UINT64_MAX) >= 0);
    (void)sd_event_source_disable_unref(deadline);
    assert_false(late);
}

/* Lets everything happen that is about to happen: until nothing but timers is left. */
FAKE_FN void run_idle(struct fixture *f)
{
    int quiet = 0;
    for (int turns = 0; quiet < 3; turns++) {
        assert_true(turns < 100000);
        int rc = sd_event_run(f->loop, 2000);
        assert_true(rc >= 0);
        quiet = rc == 0 ? quiet + 1 : 0;
    }
}

static void on_fixture_connected(void *ctx, const struct err *error, const struct engine_info *info)
{
    if (error)
        fail_msg("connect: %s", err_message(error));
    assert_non_null(info);
    (*(int *)ctx)++;
}

FAKE_FN void fixture_connect(struct fixture *f)
{
    int connected = 0;
    engine_connect(f->engine, on_fixture_connected, &connected);
    run_until(f, &connected, 1);
}

FAKE_FN int fixture_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->version_json = FIXTURE_VERSION;
    f->info_json = FIXTURE_INFO;
    if (sd_event_new(&f->loop) < 0)
        return -1;
    f->fake = fake_new(f->loop, fixture_handle, f);
    char *display = xasprintf("unix://%s", f->fake->path);
    char origin[] = "test";
    struct endpoint at = {.socket_path = f->fake->path, .display = display, .origin = origin};
    struct err *error = engine_new(f->loop, &at, &f->engine);
    free(display);
    if (error)
        return -1;
    *state = f;
    return 0;
}

FAKE_FN int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    engine_free(f->engine);
    fake_free(f->fake);
    (void)sd_event_unref(f->loop);
    free(f);
    return 0;
}

FAKE_FN int group_setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -1;
}

FAKE_FN int group_teardown(void **state)
{
    (void)state;
    curl_global_cleanup();
    return 0;
}

/* Sends and waits for the end. */
FAKE_FN void ask(struct fixture *f, const struct engine_request *q, struct outcome *o)
{
    int before = o->calls;
    o->f = f;
    assert_true(engine_send(f->engine, q, on_outcome, o) > 0);
    assert_int_equal(o->calls, before);
    run_until(f, &o->calls, before + 1);
}

FAKE_FN void follow(struct fixture *f, const struct engine_request *q, struct outcome *o)
{
    o->f = f;
    assert_true(engine_stream(f->engine, q, on_outcome_line, on_outcome, o) > 0);
    run_until(f, &o->calls, 1);
}
