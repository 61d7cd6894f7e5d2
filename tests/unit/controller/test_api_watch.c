/* SPDX-License-Identifier: Apache-2.0 */
#include "api_fixture.h"

/* ---- watching ------------------------------------------------------------------------------- */

struct watching {
    struct world *w;
    int said[2]; /* the child writes one byte for each line */
    int lines;   /* wanted */
    int seen;
    int versions[16];
};

static bool on_line(void *ctx, const json_t *value)
{
    struct watching *t = ctx;
    t->versions[t->seen++] = (int)json_integer_value(json_object_get(value, "version"));
    if (write(t->said[1], "l", 1) != 1)
        return false;
    return t->seen < t->lines;
}

static char *child_watch(void *ctx)
{
    struct watching *t = ctx;
    struct err *e = api_watch(t->w->path, on_line, t);
    if (e)
        return xstrdup(err_message(e));
    CHILD_CHECK(t->seen == t->lines);
    for (int i = 0; i < t->seen; i++)
        if (t->versions[i] != i)
            return xasprintf("line %d has version %d", i, t->versions[i]);
    return NULL;
}

struct byte_wait {
    int fd;
};
static bool byte_came(void *ctx)
{
    const struct byte_wait *b = ctx;
    char c;
    return read(b->fd, &c, 1) == 1;
}

static bool no_watchers(void *ctx)
{
    const struct world *w = ctx;
    return api_server_watchers(w->server) == 0;
}

static void watching_start(struct watching *t)
{
    assert_int_equal(pipe2(t->said, O_CLOEXEC | O_NONBLOCK), 0);
}

static void watching_end(struct watching *t)
{
    (void)close(t->said[0]);
    (void)close(t->said[1]);
}

static void test_watch(void **state)
{
    struct world *w = *state;
    struct watching t = {.w = w, .lines = 4};
    struct child_wait c = {0};
    int out = -1;
    watching_start(&t);
    c.pid = child_start(child_watch, &t, &out);
    struct byte_wait b = {t.said[0]};
    /* The first at once, the others one for each change. */
    for (int i = 0; i < t.lines; i++) {
        if (i) {
            w->version = i;
            api_server_changed(w->server);
        }
        assert_true(turn_until(w->loop, byte_came, &b));
    }
    assert_true(turn_until(w->loop, child_ended, &c));
    child_result(out, c.status);
    /* Nothing changes, and yet it is noticed that the client went away. */
    assert_true(turn_until(w->loop, no_watchers, w));
    watching_end(&t);
}

static char *child_watch_until_end(void *ctx)
{
    struct watching *t = ctx;
    struct err *e = api_watch(t->w->path, on_line, t);
    CHILD_CHECK(e && err_kind(e) == ERR_UNAVAILABLE);
    CHILD_CHECK(strstr(err_message(e), t->w->path));
    CHILD_CHECK(t->seen == 1);
    return NULL;
}

static void test_watch_ends_with_the_server(void **state)
{
    struct world *w = *state;
    struct watching t = {.w = w, .lines = 9};
    int out = -1, status = 0;
    watching_start(&t);
    pid_t pid = child_start(child_watch_until_end, &t, &out);
    assert_true(turn_until(w->loop, byte_came, &(struct byte_wait){t.said[0]}));
    assert_int_equal(api_server_watchers(w->server), 1);
    w->server = api_server_free(w->server);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    child_result(out, status);
    watching_end(&t);
}

static void test_change_from_inside_a_handler(void **state)
{
    struct world *w = *state;
    struct watching t = {.w = w, .lines = 2};
    struct child_wait c = {0};
    int out = -1;
    watching_start(&t);
    c.pid = child_start(child_watch, &t, &out);
    assert_true(turn_until(w->loop, byte_came, &(struct byte_wait){t.said[0]}));
    w->post_changes = true;
    run_child(w->loop, child_post_empty, w);
    assert_true(turn_until(w->loop, child_ended, &c));
    child_result(out, c.status);
    watching_end(&t);
}

/* Watchers that are connections of this very process, which only the kernel buffers for. */
static int raw_watch(struct world *w)
{
    static const char request[] = "GET /v1/watch HTTP/1.1\r\nHost: a\r\n\r\n";
    int fd = dial(w->path);
    assert_true(fd >= 0);
    assert_true(say(fd, request, sizeof(request) - 1));
    return fd;
}

struct count_wait {
    struct world *w;
    unsigned count;
};
static bool count_reached(void *ctx)
{
    const struct count_wait *c = ctx;
    return api_server_watchers(c->w->server) == c->count;
}

static bool push_until_dropped(void *ctx)
{
    const struct count_wait *c = ctx;
    api_server_changed(c->w->server);
    return api_server_watchers(c->w->server) <= c->count;
}

/* Someone who watches while nothing happens costs nothing: the loop sleeps. */
static void test_idle_watcher_is_free(void **state)
{
    struct world *w = *state;
    int fd = raw_watch(w);
    assert_true(turn_until(w->loop, count_reached, &(struct count_wait){w, 1}));
    uint64_t now = 0, end = 0;
    unsigned turns = 0;
    (void)sd_event_now(w->loop, CLOCK_MONOTONIC, &end);
    for (end += 500000; now < end; (void)sd_event_now(w->loop, CLOCK_MONOTONIC, &now))
        turns += sd_event_run(w->loop, 500000) > 0;
    assert_in_range(turns, 0, 10);
    (void)close(fd);
    assert_true(turn_until(w->loop, no_watchers, w));
}

static void test_slow_watcher_is_dropped(void **state)
{
    struct world *w = *state;
    int slow = raw_watch(w);
    assert_true(turn_until(w->loop, count_reached, &(struct count_wait){w, 1}));
    w->padding = 64 * 1024;
    unsigned before = w->asked;
    assert_true(turn_until(w->loop, push_until_dropped, &(struct count_wait){w, 0}));
    /* Not for the first line it was slow to take. */
    assert_true(w->asked - before > API_WATCH_MAX_LINES);
    /* Others are served. */
    w->padding = 0;
    w->version = 7;
    run_child(w->loop, child_get, w);
    (void)close(slow);
}

static char *child_one_too_many(void *ctx)
{
    struct watching *t = ctx;
    struct err *e = api_watch(t->w->path, on_line, t);
    CHILD_CHECK(e && err_kind(e) == ERR_UNAVAILABLE);
    CHILD_CHECK(strstr(err_message(e), "too many watchers"));
    CHILD_CHECK(t->seen == 0);
    return child_get(t->w);
}

static void test_watchers_are_limited(void **state)
{
    struct world *w = *state;
    int fds[API_MAX_WATCHERS];
    w->version = 7;
    for (size_t i = 0; i < API_MAX_WATCHERS; i++)
        fds[i] = raw_watch(w);
    assert_true(turn_until(w->loop, count_reached, &(struct count_wait){w, API_MAX_WATCHERS}));
    struct watching t = {.w = w, .lines = 1};
    run_child(w->loop, child_one_too_many, &t);
    for (size_t i = 0; i < API_MAX_WATCHERS; i++)
        (void)close(fds[i]);
    assert_true(turn_until(w->loop, no_watchers, w));
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_watch),
        TEST(test_watch_ends_with_the_server),
        TEST(test_change_from_inside_a_handler),
        TEST(test_idle_watcher_is_free),
        TEST(test_slow_watcher_is_dropped),
        TEST(test_watchers_are_limited),
    };
    return cmocka_run_group_tests_name("api watch", tests, NULL, NULL);
}
