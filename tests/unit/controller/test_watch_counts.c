/* SPDX-License-Identifier: Apache-2.0 */
/* What the watch counts: how it was told of changes, and what nobody told it of. */
#include "io_support.h"

#include "controller/watch.h"

struct world {
    void *scratch;
    sd_event *loop;
    struct watch *watch;
    struct str_list dirs;
    uint64_t calls;
    uint64_t digest, want;
};

static uint64_t digest_now(const struct world *w)
{
    struct file_listing l = {0};
    files_list(&w->dirs, &l);
    uint64_t digest = file_listing_digest(&l);
    file_listing_done(&l);
    return digest;
}

static void look(void *ctx)
{
    struct world *w = ctx;
    w->calls++;
    w->digest = digest_now(w);
    watch_listed(w->watch, w->digest);
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    if (scratch_setup(&w->scratch) < 0 || sd_event_new(&w->loop) < 0)
        return -1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    watch_free(w->watch);
    sd_event_unref(w->loop);
    str_list_done(&w->dirs);
    int r = scratch_teardown(&w->scratch);
    free(w);
    return r;
}

static bool is_listed(void *ctx)
{
    const struct world *w = ctx;
    return w->calls && w->digest == w->want;
}

/* What there is now has been listed, and whatever was on its way has come. */
static void settle(struct world *w)
{
    w->want = digest_now(w);
    assert_true(turn_until(w->loop, is_listed, w));
    uint64_t now = 0, end = 0;
    (void)sd_event_now(w->loop, CLOCK_MONOTONIC, &end);
    for (end += 300000; now < end; (void)sd_event_now(w->loop, CLOCK_MONOTONIC, &now))
        assert_true(sd_event_run(w->loop, 50000) >= 0);
}

static void start(struct world *w, unsigned relist_ms)
{
    const struct watch_times times = {.relist_ms = relist_ms};
    make_dir(&w->scratch, "m");
    put(&w->scratch, "m/a.yaml", "1");
    str_list_add_take(&w->dirs, at(&w->scratch, "m"));
    assert_ok(watch_new(w->loop, &w->dirs, &times, look, w, &w->watch));
    settle(w);
}

/* Told by a hint, although the relist comes all the time: nothing was missed. */
static void test_hints(void **state)
{
    struct world *w = *state;
    start(w, 20);
    for (int i = 0; i < 20; i++) {
        AUTO_FREE char *text = xasprintf("%d", i);
        put(&w->scratch, "m/a.yaml", text);
        w->want = digest_now(w);
        assert_true(turn_until(w->loop, is_listed, w));
    }
    settle(w);
    const struct watch_counters *n = watch_counters(w->watch);
    assert_int_equal(n->listings, w->calls);
    assert_true(n->hints >= 20);
    assert_true(n->relists > 0);
    assert_int_equal(n->missed, 0);
    assert_int_equal(n->overflows, 0);
}

/* A writer that stays: no event comes before it closes the file. */
static void test_missed(void **state)
{
    struct world *w = *state;
    start(w, 200);
    struct watch_counters before = *watch_counters(w->watch);
    assert_int_equal(before.missed, 0);
    AUTO_FREE char *path = at(&w->scratch, "m/a.yaml");
    AUTO_CLOSE fd = open(path, O_WRONLY | O_CLOEXEC);
    for (unsigned i = 1; i <= 3; i++) {
        const char text[] = {(char)('a' + i)};
        assert_int_equal(pwrite(fd, text, 1, 0), 1);
        settle(w);
        const struct watch_counters *n = watch_counters(w->watch);
        assert_int_equal(n->missed, i);
        assert_int_equal(n->hints, before.hints);
        assert_true(n->relists >= before.relists + i);
    }
}

/* A poke is a hint of somebody else's. */
static void test_poke(void **state)
{
    struct world *w = *state;
    start(w, 3600 * 1000);
    struct watch_counters before = *watch_counters(w->watch);
    watch_poke(w->watch);
    settle(w);
    const struct watch_counters *n = watch_counters(w->watch);
    assert_int_equal(n->hints, before.hints + 1);
    assert_int_equal(n->listings, before.listings + 1);
    assert_int_equal(n->relists, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_hints),
        TEST(test_missed),
        TEST(test_poke),
    };
    return cmocka_run_group_tests_name("watch_counts", tests, NULL, NULL);
}
