/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/watch.h"

#include <sched.h>
#include <sys/mount.h>

/* Calls are counted; each one lists, as the controller does. */
struct world {
    void *scratch;
    sd_event *loop;
    struct watch *watch;
    struct str_list dirs;
    unsigned calls;
    bool unknown;     /* the last listing failed */
    char *listed;     /* what it held: "a.yaml=A b.yaml=B " */
    const char *want; /* for listed_is() */
    bool free_inside;
};

static void look(void *ctx)
{
    struct world *w = ctx;
    struct file_listing l = {0};
    struct str s;
    w->calls++;
    files_list(&w->dirs, &l);
    watch_listed(w->watch, file_listing_digest(&l));
    AUTO_FREE char *unknown = file_listing_unknown(&l);
    w->unknown = unknown != NULL;
    str_init(&s, 1 << 16);
    for (size_t i = 0; i < l.len; i++) {
        const char *name = l.files[i].path + strlen(w->scratch) + 1;
        str_addf(&s, "%s=%s ", name, l.files[i].error ? "!" : l.files[i].bytes);
    }
    free(w->listed);
    w->listed = str_take(&s);
    file_listing_done(&l);
    if (w->free_inside)
        w->watch = watch_free(w->watch);
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
    free(w->listed);
    int r = scratch_teardown(&w->scratch);
    free(w);
    return r;
}

static bool called(void *ctx)
{
    const struct world *w = ctx;
    return w->calls > 0;
}

static bool listed_is(void *ctx)
{
    const struct world *w = ctx;
    return w->listed && !w->unknown && strcmp(w->listed, w->want) == 0;
}

static bool is_unknown(void *ctx)
{
    const struct world *w = ctx;
    return w->unknown;
}

/* The relist is far away, so whatever is noticed was noticed by inotify. */
static const struct watch_times patient = {.relist_ms = 3600 * 1000};

static void start(struct world *w, const char *dir, const struct watch_times *times)
{
    str_list_add_take(&w->dirs, at(&w->scratch, dir));
    assert_ok(watch_new(w->loop, &w->dirs, times, look, w, &w->watch));
    assert_int_equal(w->calls, 0);
    assert_true(turn_until(w->loop, called, w));
    assert_int_equal(w->calls, 1);
}

static void expect(struct world *w, const char *listed)
{
    w->want = listed;
    if (!turn_until(w->loop, listed_is, w))
        fail_msg("expected '%s', have '%s'%s", listed, w->listed, w->unknown ? ", unknown" : "");
}

static void expect_unknown(struct world *w)
{
    assert_true(turn_until(w->loop, is_unknown, w));
}

/* Nothing more comes: the loop has nothing ready, and no settling is pending. */
static void drain(struct world *w)
{
    uint64_t now = 0, end = 0;
    (void)sd_event_now(w->loop, CLOCK_MONOTONIC, &end);
    for (end += 300000; now < end; (void)sd_event_now(w->loop, CLOCK_MONOTONIC, &now))
        assert_true(sd_event_run(w->loop, 50000) >= 0);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void test_files_come_change_and_go(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &patient);
    assert_string_equal(w->listed, "");
    assert_null(watch_problem(w->watch));
    put(&w->scratch, "m/a.yaml", "1");
    expect(w, "m/a.yaml=1 ");
    put(&w->scratch, "m/a.yaml", "2");
    expect(w, "m/a.yaml=2 ");
    put(&w->scratch, "m/.tmp", "3");
    move(&w->scratch, "m/.tmp", "m/a.yaml");
    expect(w, "m/a.yaml=3 ");
    move(&w->scratch, "m/a.yaml", "m/b.yaml");
    expect(w, "m/b.yaml=3 ");
    move(&w->scratch, "m/b.yaml", "out.yaml");
    expect(w, "");
    link_to(&w->scratch, ".x/f", "m/c.yaml");
    expect(w, "m/c.yaml=! ");
    AUTO_FREE char *path = at(&w->scratch, "m/c.yaml");
    assert_int_equal(unlink(path), 0);
    expect(w, "");
}

static char *child_readable_again(void *ctx)
{
    struct world *w = ctx;
    CHILD_CHECK(become_nobody(IO_NOBODY, IO_NOBODY));
    CHILD_CHECK(sd_event_new(&w->loop) >= 0);
    struct err *e = watch_new(w->loop, &w->dirs, &patient, look, w, &w->watch);
    CHILD_CHECK(!e);
    w->want = "m/a.yaml=! ";
    CHILD_CHECK(turn_until(w->loop, listed_is, w));
    AUTO_FREE char *path = at(&w->scratch, "m/a.yaml");
    CHILD_CHECK(chmod(path, 0600) == 0);
    w->want = "m/a.yaml=1 ";
    CHILD_CHECK(turn_until(w->loop, listed_is, w));
    return NULL;
}

static void test_mode_of_a_file(void **state)
{
    need_root();
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    put(&w->scratch, "m/a.yaml", "1");
    AUTO_FREE char *path = at(&w->scratch, "m/a.yaml");
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chown(path, IO_NOBODY, IO_NOBODY), 0);
    str_list_add_take(&w->dirs, at(&w->scratch, "m"));
    run_child(NULL, child_readable_again, w);
}

/* ---- directories ---------------------------------------------------------------------------- */

static void test_subdirectories(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &patient);
    make_dir(&w->scratch, "m/s");
    make_dir(&w->scratch, "m/s/t");
    put(&w->scratch, "m/s/t/a.yaml", "1");
    expect(w, "m/s/t/a.yaml=1 ");
    /* It is watched by now, and stays so under another name. */
    put(&w->scratch, "m/s/t/a.yaml", "2");
    expect(w, "m/s/t/a.yaml=2 ");
    move(&w->scratch, "m/s", "m/r");
    expect(w, "m/r/t/a.yaml=2 ");
    put(&w->scratch, "m/r/t/a.yaml", "3");
    expect(w, "m/r/t/a.yaml=3 ");
    /* A tree that comes whole, and one that leaves. */
    make_dir(&w->scratch, "n");
    put(&w->scratch, "n/b.yaml", "4");
    move(&w->scratch, "n", "m/n");
    expect(w, "m/n/b.yaml=4 m/r/t/a.yaml=3 ");
    move(&w->scratch, "m/n", "n");
    expect(w, "m/r/t/a.yaml=3 ");
    unsigned calls = w->calls;
    put(&w->scratch, "n/b.yaml", "5"); /* nobody's business any more */
    drain(w);
    assert_int_equal(w->calls, calls);
}

static void test_symlinked_subdirectory(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    make_dir(&w->scratch, "m/.tree");
    put(&w->scratch, "m/.tree/a.yaml", "1");
    start(w, "m", &patient);
    assert_string_equal(w->listed, "");
    link_to(&w->scratch, ".tree", "m/current");
    expect(w, "m/current/a.yaml=1 ");
    put(&w->scratch, "m/.tree/a.yaml", "2");
    expect(w, "m/current/a.yaml=2 ");
}

/* What is said of it goes into JSON. */
static void test_problem_is_text(void **state)
{
    struct world *w = *state;
    struct str deep;
    str_init(&deep, 256);
    str_add(&deep, "m");
    make_dir(&w->scratch, deep.p);
    for (int i = 1; i <= 9; i++) {
        str_add(&deep, "/\xff\033");
        make_dir(&w->scratch, deep.p);
    }
    str_done(&deep);
    start(w, "m", &patient);
    assert_non_null(strstr(watch_problem(w->watch), "/\\xff\\x1b' can't be watched: not read:"));
}

static void test_missing_directory_appears(void **state)
{
    struct world *w = *state;
    start(w, "a/b/m", &patient);
    assert_true(w->unknown);
    assert_non_null(strstr(watch_problem(w->watch), "a/b/m' can't be read: No such file"));
    /* Costs nothing meanwhile. */
    uint64_t hints = watch_counters(w->watch)->hints;
    put(&w->scratch, "unrelated", "x");
    drain(w);
    assert_int_equal(w->calls, 1);
    assert_int_equal(watch_counters(w->watch)->hints, hints);

    make_dir(&w->scratch, "a");
    drain(w);
    assert_true(w->unknown);
    make_dir(&w->scratch, "a/b");
    make_dir(&w->scratch, "a/b/m");
    put(&w->scratch, "a/b/m/x.yaml", "1");
    expect(w, "a/b/m/x.yaml=1 ");
    assert_null(watch_problem(w->watch));
    put(&w->scratch, "a/b/m/x.yaml", "2");
    expect(w, "a/b/m/x.yaml=2 ");
}

static void test_directory_is_removed_and_made_again(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &patient);
    AUTO_FREE char *dir = at(&w->scratch, "m");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rmdir(dir), 0);
        expect_unknown(w);
        make_dir(&w->scratch, "m");
        expect(w, "");
        put(&w->scratch, "m/a.yaml", "1");
        expect(w, "m/a.yaml=1 ");
        AUTO_FREE char *file = at(&w->scratch, "m/a.yaml");
        assert_int_equal(unlink(file), 0);
        expect(w, "");
    }
}

static void test_directory_is_replaced(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "top");
    make_dir(&w->scratch, "top/m");
    put(&w->scratch, "top/m/a.yaml", "old");
    make_dir(&w->scratch, "other");
    make_dir(&w->scratch, "other/m");
    put(&w->scratch, "other/m/a.yaml", "new");
    start(w, "top/m", &patient);
    expect(w, "top/m/a.yaml=old ");
    /* A directory further up, whose own descriptor nobody watches for its files. */
    move(&w->scratch, "top", "gone");
    expect_unknown(w);
    move(&w->scratch, "other", "top");
    expect(w, "top/m/a.yaml=new ");
    put(&w->scratch, "top/m/a.yaml", "newer");
    expect(w, "top/m/a.yaml=newer ");
    unsigned calls = w->calls;
    put(&w->scratch, "gone/m/a.yaml", "ignored");
    drain(w);
    assert_int_equal(w->calls, calls);
}

/* ---- swaps ---------------------------------------------------------------------------------- */

static void swap_link(struct world *w, const char *target, const char *name)
{
    link_to(&w->scratch, target, "swap.tmp");
    move(&w->scratch, "swap.tmp", name);
}

/* As git-sync does it: the root is below a symlink, whose target is elsewhere. */
static void test_symlinked_root_is_swapped(void **state)
{
    struct world *w = *state;
    for (int v = 1; v <= 3; v++) {
        AUTO_FREE char *dir = xasprintf("v%d", v), *m = xasprintf("v%d/m", v);
        AUTO_FREE char *file = xasprintf("v%d/m/a.yaml", v), *text = xasprintf("%d", v);
        make_dir(&w->scratch, dir);
        make_dir(&w->scratch, m);
        put(&w->scratch, file, text);
    }
    make_dir(&w->scratch, "pub");
    link_to(&w->scratch, "../v1", "pub/current");
    link_to(&w->scratch, "pub/current/m", "root");
    start(w, "root", &patient);
    expect(w, "root/a.yaml=1 ");
    swap_link(w, "../v2", "pub/current");
    expect(w, "root/a.yaml=2 ");
    AUTO_FREE char *absolute = at(&w->scratch, "v3");
    swap_link(w, absolute, "pub/current");
    expect(w, "root/a.yaml=3 ");
    put(&w->scratch, "v3/m/a.yaml", "4");
    expect(w, "root/a.yaml=4 ");
    swap_link(w, "v1/m", "root");
    expect(w, "root/a.yaml=1 ");
    swap_link(w, "nowhere", "root");
    expect_unknown(w);
    swap_link(w, "v2/m", "root");
    expect(w, "root/a.yaml=2 ");
}

static void test_projected_volume_is_swapped(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    make_dir(&w->scratch, "m/..1");
    put(&w->scratch, "m/..1/a.yaml", "1");
    link_to(&w->scratch, "..1", "m/..data");
    link_to(&w->scratch, "..data/a.yaml", "m/a.yaml");
    start(w, "m", &patient);
    expect(w, "m/a.yaml=1 ");
    make_dir(&w->scratch, "m/..2");
    put(&w->scratch, "m/..2/a.yaml", "2");
    swap_link(w, "..2", "m/..data");
    expect(w, "m/a.yaml=2 ");
}

/* ---- lost events ---------------------------------------------------------------------------- */

static int queue_limit(void)
{
    char text[32] = "";
    AUTO_CLOSE fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(n > 0);
    return (int)strtoull(text, NULL, 10);
}

/* More events than the queue holds, none of which says anything, with the one that matters after
 * them. */
static void test_overflow(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &patient);
    AUTO_FREE char *noise = at(&w->scratch, "noise");
    AUTO_FREE char *other = at(&w->scratch, "other");
    put(&w->scratch, "noise", "");
    int limit = queue_limit();
    for (int i = 0; i < limit + 10; i++)
        assert_int_equal(i % 2 ? rename(other, noise) : rename(noise, other), 0);
    make_dir(&w->scratch, "m/s");
    put(&w->scratch, "m/s/a.yaml", "1");
    expect(w, "m/s/a.yaml=1 ");
    put(&w->scratch, "m/s/a.yaml", "2");
    expect(w, "m/s/a.yaml=2 ");
    assert_true(watch_counters(w->watch)->overflows >= 1);
    assert_int_equal(watch_counters(w->watch)->missed, 0);
}

static bool two_calls(void *ctx)
{
    const struct world *w = ctx;
    return w->calls >= 2;
}

static void test_relist_without_a_hint(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &(struct watch_times){.relist_ms = 100});
    uint64_t hints = watch_counters(w->watch)->hints;
    assert_true(turn_until(w->loop, two_calls, w));
    assert_int_equal(watch_counters(w->watch)->hints, hints);
    assert_true(watch_counters(w->watch)->relists >= 1);
    assert_int_equal(watch_counters(w->watch)->missed, 0);
}

/* ---- settling ------------------------------------------------------------------------------- */

static bool five_calls(void *ctx)
{
    const struct world *w = ctx;
    put(&((struct world *)ctx)->scratch, "m/a.yaml", "x");
    return w->calls >= 5;
}

/* A burst is one call; a stream of changes that never settles is still looked at. */
static void test_settling(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &patient);
    for (int i = 0; i < 100; i++) {
        AUTO_FREE char *name = xasprintf("m/%02d.yaml", i);
        put(&w->scratch, name, "");
    }
    assert_true(turn_until(w->loop, two_calls, w));
    drain(w);
    assert_int_equal(w->calls, 2);
}

static void test_settling_has_an_end(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m",
          &(struct watch_times){
              .settle_ms = 3600 * 1000, .settle_max_ms = 100, .relist_ms = 3600 * 1000});
    assert_true(turn_until(w->loop, five_calls, w));
}

/* A file that is still being written is not looked at for its creation. */
static void test_writer_takes_its_time(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &(struct watch_times){.settle_max_ms = 3600 * 1000, .relist_ms = 3600 * 1000});
    AUTO_FREE char *path = at(&w->scratch, "m/a.yaml");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "ha", 2), 2);
    drain(w);
    assert_int_equal(w->calls, 1);
    assert_int_equal(write(fd, "lf", 2), 2);
    (void)close(fd);
    expect(w, "m/a.yaml=half ");
    assert_int_equal(w->calls, 2);
}

static void test_poke(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &patient);
    watch_poke(w->watch);
    assert_int_equal(w->calls, 1);
    assert_true(turn_until(w->loop, two_calls, w));
}

/* ---- life ----------------------------------------------------------------------------------- */

static bool freed(void *ctx)
{
    const struct world *w = ctx;
    return w->watch == NULL;
}

static void test_freed_in_its_own_call(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    start(w, "m", &patient);
    w->free_inside = true;
    put(&w->scratch, "m/a.yaml", "1");
    assert_true(turn_until(w->loop, freed, w));
    put(&w->scratch, "m/a.yaml", "2");
    drain(w);
    assert_int_equal(w->calls, 2);
}

static void test_bad_arguments(void **state)
{
    struct world *w = *state;
    assert_err(watch_new(w->loop, &w->dirs, NULL, look, w, &w->watch), ERR_INVALID,
               "at least one directory");
    str_list_add(&w->dirs, "");
    assert_err(watch_new(w->loop, &w->dirs, NULL, look, w, &w->watch), ERR_INVALID, "got ''");
    assert_null(w->watch);
}

static void test_two_roots(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    str_list_add_take(&w->dirs, at(&w->scratch, "m"));
    start(w, "n", &patient);
    assert_true(w->unknown);
    make_dir(&w->scratch, "n");
    put(&w->scratch, "n/b.yaml", "2");
    put(&w->scratch, "m/a.yaml", "1");
    expect(w, "m/a.yaml=1 n/b.yaml=2 ");
}

/* One root below the other: its directory is watched for its files, and as a step on the way. */
static void test_nested_roots(void **state)
{
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    make_dir(&w->scratch, "m/n");
    put(&w->scratch, "m/a.yaml", "1");
    str_list_add_take(&w->dirs, at(&w->scratch, "m"));
    start(w, "m/n", &patient);
    expect(w, "m/a.yaml=1 ");
    put(&w->scratch, "m/a.yaml", "2"); /* nothing but a close after writing */
    expect(w, "m/a.yaml=2 ");
    put(&w->scratch, "m/n/b.yaml", "3");
    expect(w, "m/a.yaml=2 m/n/b.yaml=3 ");
}

/* A file system that goes tells only those who watch what was on it; one that comes tells nobody.
 */
static char *child_unmount(void *ctx)
{
    struct world *w = ctx;
    AUTO_FREE char *dir = at(&w->scratch, "m");
    CHILD_CHECK(sd_event_new(&w->loop) >= 0);
    CHILD_CHECK(unshare(CLONE_NEWNS) == 0);
    CHILD_CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHILD_CHECK(mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0755") == 0);
    put(&w->scratch, "m/a.yaml", "1");
    CHILD_CHECK(!watch_new(w->loop, &w->dirs, &patient, look, w, &w->watch));
    w->want = "m/a.yaml=1 ";
    CHILD_CHECK(turn_until(w->loop, listed_is, w));
    CHILD_CHECK(umount(dir) == 0);
    w->want = "";
    CHILD_CHECK(turn_until(w->loop, listed_is, w));
    w->watch = watch_free(w->watch);

    CHILD_CHECK(
        !watch_new(w->loop, &w->dirs, &(struct watch_times){.relist_ms = 100}, look, w, &w->watch));
    CHILD_CHECK(turn_until(w->loop, listed_is, w));
    CHILD_CHECK(mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0755") == 0);
    put(&w->scratch, "m/b.yaml", "2");
    w->want = "m/b.yaml=2 ";
    CHILD_CHECK(turn_until(w->loop, listed_is, w));
    return NULL;
}

static void test_unmount(void **state)
{
    need_root();
    struct world *w = *state;
    make_dir(&w->scratch, "m");
    str_list_add_take(&w->dirs, at(&w->scratch, "m"));
    sd_event_unref(w->loop); /* a loop is the process's that made it */
    w->loop = NULL;
    run_child(NULL, child_unmount, w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_files_come_change_and_go),
        TEST(test_mode_of_a_file),
        TEST(test_subdirectories),
        TEST(test_symlinked_subdirectory),
        TEST(test_problem_is_text),
        TEST(test_missing_directory_appears),
        TEST(test_directory_is_removed_and_made_again),
        TEST(test_directory_is_replaced),
        TEST(test_symlinked_root_is_swapped),
        TEST(test_projected_volume_is_swapped),
        TEST(test_overflow),
        TEST(test_relist_without_a_hint),
        TEST(test_settling),
        TEST(test_settling_has_an_end),
        TEST(test_writer_takes_its_time),
        TEST(test_poke),
        TEST(test_freed_in_its_own_call),
        TEST(test_bad_arguments),
        TEST(test_two_roots),
        TEST(test_nested_roots),
        TEST(test_unmount),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
