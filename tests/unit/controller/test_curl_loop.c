/* SPDX-License-Identifier: Apache-2.0 */
/* curl on the event loop, without the engine client on top. */
#include "controller/curl_loop.h"

#include "tests/unit/controller/engine_fixture.c"

enum { MANY = 20 };

struct probe {
    struct fixture f;
    struct curl_loop *curl;
    int done;
    int ok;
    int steps;
    bool free_in_step;
    bool free_in_done;
    bool chain; /* each end starts the same transfer again, up to MANY */
    CURL *easy[MANY];
    size_t easy_len;
};

static size_t swallow(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

static void drop_curl(struct probe *p)
{
    for (size_t i = 0; i < p->easy_len; i++)
        curl_loop_remove(p->curl, p->easy[i]);
    p->curl = curl_loop_free(p->curl);
}

static void on_stepped(void *ctx)
{
    struct probe *p = ctx;
    p->steps++;
    if (p->free_in_step)
        drop_curl(p);
}

static void on_over(void *ctx, CURL *easy, CURLcode code)
{
    struct probe *p = ctx;
    p->done++;
    p->ok += code == CURLE_OK;
    if (p->free_in_done) {
        drop_curl(p);
    } else if (p->chain && p->done < MANY) {
        AUTO_ERR error = curl_loop_add(p->curl, easy);
        assert_null(error);
    }
}

static void answer_ok(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    fake_json(c, "200 OK", "{}");
}

static int probe_setup(void **state)
{
    struct probe *p = xcalloc(1, sizeof(*p));
    if (sd_event_new(&p->f.loop) < 0)
        return -1;
    p->f.fake = fake_new(p->f.loop, answer_ok, p);
    struct curl_loop_hooks hooks = {.stepped = on_stepped, .done = on_over, .ctx = p};
    AUTO_ERR error = curl_loop_new(p->f.loop, &hooks, 4, &p->curl);
    *state = p;
    return error ? -1 : 0;
}

static int probe_teardown(void **state)
{
    struct probe *p = *state;
    if (p->curl)
        drop_curl(p);
    for (size_t i = 0; i < p->easy_len; i++)
        curl_easy_cleanup(p->easy[i]);
    fake_free(p->f.fake);
    (void)sd_event_unref(p->f.loop);
    free(p);
    return 0;
}

static void begin(struct probe *p, long timeout_ms)
{
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    p->easy[p->easy_len++] = easy;
    (void)curl_easy_setopt(easy, CURLOPT_URL, "http://docker/x");
    (void)curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, p->f.fake->path);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    AUTO_ERR error = curl_loop_add(p->curl, easy);
    assert_null(error);
}

static void every_end_is_reported(void **state)
{
    struct probe *p = *state;
    for (int i = 0; i < MANY; i++)
        begin(p, 0);
    run_until(&p->f, &p->done, MANY);
    run_idle(&p->f);
    assert_int_equal(p->done, MANY);
    assert_int_equal(p->ok, MANY);
    assert_int_equal(p->f.fake->log_len, MANY);
}

/* Ends that come together, in one step of curl: all are drained at once. */
static void ends_of_one_step_come_together(void **state)
{
    struct probe *p = *state;
    fake_stop(p->f.fake);
    for (int i = 0; i < 3; i++)
        begin(p, 0);
    run_until(&p->f, &p->done, 1);
    assert_int_equal(p->done, 3);
    assert_int_equal(p->ok, 0);
}

static void adding_inside_done(void **state)
{
    struct probe *p = *state;
    p->chain = true;
    begin(p, 0);
    run_until(&p->f, &p->done, MANY);
    assert_int_equal(p->ok, MANY);
    assert_int_equal(p->f.fake->accepted, 1);
}

static void say_nothing(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)c;
    (void)q;
}

/* The loop must wake up for curl's own timers, and while a slow callback made this turn's clock
 * stale. */
static void timers_fire(void **state)
{
    struct probe *p = *state;
    p->f.fake->handle = say_nothing;
    begin(p, 30);
    begin(p, 60);
    begin(p, 1);
    run_until(&p->f, &p->done, 3);
    assert_int_equal(p->ok, 0);
}

/* The socket's source survives whatever happens in the hooks; an end is one end. */
static void hang_up(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    fake_close(c);
}

static void hangups_are_seen(void **state)
{
    struct probe *p = *state;
    p->f.fake->handle = hang_up;
    begin(p, 0);
    run_until(&p->f, &p->done, 1);
    assert_int_equal(p->ok, 0);
    p->f.fake->handle = answer_ok;
    begin(p, 0);
    run_until(&p->f, &p->done, 2);
    assert_int_equal(p->ok, 1);
}

static void removed_transfers_stay_silent(void **state)
{
    struct probe *p = *state;
    begin(p, 0);
    begin(p, 0);
    (void)sd_event_run(p->f.loop, 0);
    curl_loop_remove(p->curl, p->easy[0]);
    run_until(&p->f, &p->done, 1);
    run_idle(&p->f);
    assert_int_equal(p->done, 1);
    curl_loop_remove(p->curl, p->easy[0]);
}

static void free_inside_done(void **state)
{
    struct probe *p = *state;
    p->free_in_done = true;
    for (int i = 0; i < 5; i++)
        begin(p, 0);
    run_until(&p->f, &p->done, 1);
    run_idle(&p->f);
    assert_int_equal(p->done, 1);
    assert_null(p->curl);
}

static void free_inside_step(void **state)
{
    struct probe *p = *state;
    p->free_in_step = true;
    begin(p, 0);
    run_until(&p->f, &p->steps, 1);
    run_idle(&p->f);
    assert_int_equal(p->done, 0);
    assert_int_equal(p->steps, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, probe_setup, probe_teardown)
        T(every_end_is_reported), T(ends_of_one_step_come_together),
        T(adding_inside_done),    T(timers_fire),
        T(hangups_are_seen),      T(removed_transfers_stay_silent),
        T(free_inside_done),      T(free_inside_step),
#undef T
    };
    return cmocka_run_group_tests_name("curl loop", tests, group_setup, group_teardown);
}
