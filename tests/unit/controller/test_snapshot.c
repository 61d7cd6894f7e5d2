/* SPDX-License-Identifier: Apache-2.0 */
/* One swap is one snapshot: a listing is of one version or the other, and says of which. */
#include "io_support.h"

#include "controller/tree.h"
#include "controller/watch.h"

#include <signal.h>
#include <time.h>

static void make_version(void *const *state, const char *dir, const char *text)
{
    static const char *const files[] = {"a", "b", "c", "d"};
    make_dir(state, dir);
    for (size_t i = 0; i < 4; i++) {
        AUTO_FREE char *name = xasprintf("%s/%s.yaml", dir, files[i]);
        put(state, name, text);
    }
}

/* What a projected volume looks like, with two versions. */
static void make_volume(void *const *state)
{
    make_dir(state, "m");
    make_version(state, "m/..v1", "1");
    make_version(state, "m/..v2", "2");
    link_to(state, "..v1", "m/..data");
    link_to(state, "..data/a.yaml", "m/a.yaml");
    link_to(state, "..data/b.yaml", "m/b.yaml");
    link_to(state, "..data/c.yaml", "m/c.yaml");
    link_to(state, "..data/d.yaml", "m/d.yaml");
}

static void swap(void *const *state, const char *target, const char *link)
{
    AUTO_FREE char *temp = xasprintf("%s.tmp", link);
    link_to(state, target, temp);
    move(state, temp, link);
}

static char *revision_of(void *const *state, const char *dir)
{
    struct file_listing l = {0};
    struct str_list dirs = {0};
    str_list_add_take(&dirs, at(state, dir));
    files_list(&dirs, &l);
    assert_null(l.sources[0].error);
    struct manifest_input *in = NULL;
    file_listing_inputs(&l, &in);
    for (size_t i = 0; i < l.len; i++)
        assert_ptr_equal(in[i].revision, l.sources[0].revision);
    free(in);
    char *revision = TAKE_PTR(l.sources[0].revision);
    file_listing_done(&l);
    str_list_done(&dirs);
    return revision;
}

#define REVISION(dir, expected)                                                                    \
    do {                                                                                           \
        AUTO_FREE char *revision = revision_of(state, dir);                                        \
        assert_non_null(revision);                                                                 \
        assert_string_equal(revision, expected);                                                   \
    } while (0)

static void test_revision(void **state)
{
    make_volume(state);
    make_dir(state, "trees");
    make_version(state, "trees/0123abc", "x");
    link_to(state, "trees/0123abc/", "current");
    link_to(state, "trees/\xff", "odd");
    make_version(state, "trees/\xff", "x");
    REVISION("m", "..v1");
    swap(state, "..v2", "m/..data");
    REVISION("m", "..v2");
    REVISION("current", "0123abc");
    REVISION("current/", "0123abc");
    REVISION("odd", "\\xff");
    assert_null(revision_of(state, "trees"));
    assert_null(revision_of(state, "trees/0123abc"));
}

struct swapper {
    void *const *state;
    const char *target, *link;
    unsigned files;
    bool told;
};

static struct err *swap_at_second(void *ctx, const struct tree_file *f)
{
    struct swapper *s = ctx;
    (void)f;
    if (++s->files == 2)
        swap(s->state, s->target, s->link);
    return NULL;
}

static struct err *note_revision(void *ctx, const char *revision)
{
    struct swapper *s = ctx;
    (void)revision;
    s->told = true;
    return NULL;
}

/* In the middle of a walk, also within one tick of the file system's clock. */
static void test_swapped_in_the_walk(void **state)
{
    static const struct tree_ops ops = {.file = swap_at_second, .revision = note_revision};
    make_volume(state);
    make_dir(state, "trees");
    make_version(state, "trees/v1", "1");
    make_version(state, "trees/v2", "2");
    link_to(state, "trees/v1", "current");
    for (int i = 0; i < 20; i++) {
        struct swapper s = {state, i % 2 ? "..v1" : "..v2", "m/..data", 0, false};
        AUTO_FREE char *m = at(state, "m"), *current = at(state, "current");
        assert_err(tree_walk(m, &ops, &s), ERR_UNAVAILABLE, "swapped while it was read");
        assert_false(s.told);
        assert_int_equal(s.files, 4);
        struct swapper t = {state, i % 2 ? "trees/v1" : "trees/v2", "current", 0, false};
        assert_err(tree_walk(current, &ops, &t), ERR_UNAVAILABLE, "replaced while it was read");
        assert_false(t.told);
    }
}

/* As the writers of such volumes do it: each version has a name of its own. */
static char *child_swapper(void *ctx)
{
    void **state = ctx;
    AUTO_FREE char *temp = at(state, "m/..tmp"), *link = at(state, "m/..data");
    for (unsigned i = 1;; i++) {
        AUTO_FREE char *name = xasprintf("..%u", i),
                       *path = xasprintf("%s/m/%s", (char *)*state, name);
        CHILD_CHECK(symlink(i % 2 ? "..v1" : "..v2", path) == 0);
        CHILD_CHECK(symlink(name, temp) == 0 && rename(temp, link) == 0);
    }
}

static void list_volume(const struct str_list *dirs, char **revision, unsigned *changes,
                        unsigned *unknown)
{
    struct file_listing l = {0};
    files_list(dirs, &l);
    if (l.sources[0].error) {
        ++*unknown;
    } else {
        assert_int_equal(l.len, 4);
        size_t n = strlen(l.sources[0].revision);
        const char *text = l.sources[0].revision[n - 1] % 2 ? "1" : "2";
        for (size_t k = 0; k < 4; k++)
            assert_string_equal(l.files[k].bytes, text);
        *changes += !*revision || strcmp(*revision, l.sources[0].revision) != 0;
        free(*revision);
        *revision = TAKE_PTR(l.sources[0].revision);
    }
    file_listing_done(&l);
}

/* Swapped all the time: each listing is whole and has its own revision, or is unknown. */
static void test_swapped_all_the_time(void **state)
{
    make_volume(state);
    int out = -1;
    unsigned changes = 0, unknown = 0;
    struct str_list dirs = {0};
    AUTO_FREE char *revision = NULL;
    pid_t pid = child_start(child_swapper, state, &out);
    str_list_add_take(&dirs, at(state, "m"));
    time_t end = time(NULL) + IO_DEADLINE_S;
    while (changes + unknown < 100 && time(NULL) < end)
        list_volume(&dirs, &revision, &changes, &unknown);
    child_kill(pid, out);
    assert_true(changes + unknown >= 100);
    unknown = 0;
    list_volume(&dirs, &revision, &changes, &unknown);
    assert_int_equal(unknown, 0);
    str_list_done(&dirs);
}

/* ---- other roots ---------------------------------------------------------------------------- */

/* Rewrites a file and swaps directories for as long as it lives. */
static char *child_mover(void *ctx)
{
    void **state = ctx;
    AUTO_FREE char *a = at(state, "v1"), *b = at(state, "v2"), *link = at(state, "m");
    AUTO_FREE char *temp = at(state, "m.tmp");
    for (;;) {
        CHILD_CHECK(symlink(a, temp) == 0 && rename(temp, link) == 0);
        CHILD_CHECK(symlink(b, temp) == 0 && rename(temp, link) == 0);
    }
}

/* A listing is of one version or the other, or an error: never empty, never a mixture. */
static void test_swapped_root(void **state)
{
    make_version(state, "v1", "1");
    make_version(state, "v2", "2");
    link_to(state, "v1", "m");
    int out = -1, listed = 0;
    struct str_list dirs = {0};
    pid_t pid = child_start(child_mover, state, &out);
    str_list_add_take(&dirs, at(state, "m"));
    for (int i = 0; i < 500; i++) {
        struct file_listing l = {0};
        files_list(&dirs, &l);
        if (l.sources[0].error) {
            assert_int_equal(l.len, 1);
            file_listing_done(&l);
            continue;
        }
        listed++;
        assert_int_equal(l.len, 4);
        for (size_t k = 0; k < 4; k++)
            assert_string_equal(l.files[k].bytes, l.files[0].bytes);
        file_listing_done(&l);
    }
    assert_true(listed > 0);
    child_kill(pid, out);
    str_list_done(&dirs);
}

/* Publishes whole directories under one name and empties what was there before. */
static char *child_replacer(void *ctx)
{
    void **state = ctx;
    static const char *const files[] = {"next/a.yaml", "next/b.yaml", "next/c.yaml", "next/d.yaml"};
    static const char *const olds[] = {"old/a.yaml", "old/b.yaml", "old/c.yaml", "old/d.yaml"};
    AUTO_FREE char *next = at(state, "next"), *m = at(state, "m"), *old = at(state, "old");
    for (;;) {
        CHILD_CHECK(mkdir(next, 0755) == 0);
        for (size_t i = 0; i < 4; i++)
            put(state, files[i], "x");
        CHILD_CHECK(rename(m, old) == 0 && rename(next, m) == 0);
        for (size_t i = 0; i < 4; i++) {
            AUTO_FREE char *path = at(state, olds[i]);
            CHILD_CHECK(unlink(path) == 0);
        }
        CHILD_CHECK(rmdir(old) == 0);
    }
}

/* A directory that is emptied under the reader's hands is not one without manifests. */
static void test_replaced_root(void **state)
{
    static const char *const files[] = {"m/a.yaml", "m/b.yaml", "m/c.yaml", "m/d.yaml"};
    make_dir(state, "m");
    for (size_t i = 0; i < 4; i++)
        put(state, files[i], "x");
    int out = -1, listed = 0;
    struct str_list dirs = {0};
    pid_t pid = child_start(child_replacer, state, &out);
    str_list_add_take(&dirs, at(state, "m"));
    for (int i = 0; i < 3000; i++) {
        struct file_listing l = {0};
        files_list(&dirs, &l);
        if (l.sources[0].error) {
            assert_int_equal(l.len, 1);
            file_listing_done(&l);
            continue;
        }
        listed++;
        assert_int_equal(l.len, 4);
        file_listing_done(&l);
    }
    assert_true(listed > 0);
    child_kill(pid, out);
    str_list_done(&dirs);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_revision),     TEST(test_swapped_in_the_walk), TEST(test_swapped_all_the_time),
        TEST(test_swapped_root), TEST(test_replaced_root),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
