/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an empty directory may be believed. */
#include "io_support.h"

#include "controller/roots.h"

#include <sched.h>
#include <sys/mount.h>

struct world {
    void *scratch;
    struct str_list dirs;
    struct roots *roots;
};

static void open_world(struct world *w, void *scratch, const char *dirs)
{
    *w = (struct world){.scratch = scratch};
    for (; *dirs; dirs++) {
        const char name[] = {*dirs, '\0'};
        str_list_add_take(&w->dirs, at(&w->scratch, name));
    }
    w->roots = roots_new(&w->dirs);
}

static void close_world(struct world *w)
{
    roots_free(w->roots);
    str_list_done(&w->dirs);
}

/* One listing; whether something new is doubted. Fails when it can't be read, but for `missing`. */
static bool look(struct world *w, bool missing)
{
    struct file_listing files = {0};
    files_list(roots_look(w->roots), &files);
    AUTO_FREE char *unknown = file_listing_unknown(&files);
    bool news = roots_listed(w->roots, &files);
    file_listing_done(&files);
    if (missing != (unknown != NULL))
        fail_msg("%s", unknown ? unknown : "it could be listed");
    return news;
}

static void drop(struct world *w, const char *name)
{
    AUTO_FREE char *path = at(&w->scratch, name);
    assert_int_equal(remove(path), 0);
}

static const char *doubt(const struct world *w, const char *file)
{
    AUTO_FREE char *path = file ? at(&w->scratch, file) : NULL;
    return roots_doubt(w->roots, path);
}

/* One directory, "m", listed with a manifest in it. */
static void open_one(struct world *w, void **state)
{
    make_dir(state, "m");
    open_world(w, *state, "m");
    put(state, "m/a.yaml", "x");
    assert_false(look(w, false));
}

/* Its place is taken by another one, which is empty and doubted. */
static void replace_by_empty(struct world *w, void **state)
{
    move(state, "m", "old");
    make_dir(state, "m");
    assert_true(look(w, false));
}

static void put_back(struct world *w, void **state)
{
    drop(w, "m");
    move(state, "old", "m");
    assert_false(look(w, false));
}

static void expect_no_doubt(const struct world *w)
{
    assert_null(doubt(w, "m/a.yaml"));
}

static void test_emptied(void **state)
{
    struct world w;
    make_dir(state, "m");
    open_world(&w, *state, "m");
    assert_false(look(&w, false)); /* never held anything: nothing to doubt */
    put(state, "m/a.yaml", "x");
    assert_false(look(&w, false));
    drop(&w, "m/a.yaml");
    assert_false(look(&w, false));
    expect_no_doubt(&w);
    close_world(&w);
}

static void test_made_anew(void **state)
{
    struct world w;
    make_dir(state, "m");
    make_dir(state, "n");
    open_world(&w, *state, "mn");
    put(state, "m/a.yaml", "x");
    put(state, "n/b.yaml", "x");
    assert_false(look(&w, false));
    move(state, "m", "elsewhere");
    assert_false(look(&w, true)); /* missing is unknown, which is another matter */
    expect_no_doubt(&w);
    make_dir(state, "m");
    assert_true(look(&w, false));
    assert_false(look(&w, false)); /* told once */
    const char *why = doubt(&w, "m/a.yaml");
    assert_non_null(why);
    assert_non_null(strstr(why, "is empty and is not the directory that held the manifests"));
    assert_null(doubt(&w, "n/b.yaml"));
    assert_non_null(doubt(&w, NULL)); /* nobody knows where it was */
    assert_non_null(doubt(&w, "nowhere/c.yaml"));
    /* Something in it: it is believed. And empty again: it is the one that held something. */
    put(state, "m/z.yaml", "x");
    assert_false(look(&w, false));
    expect_no_doubt(&w);
    drop(&w, "m/z.yaml");
    assert_false(look(&w, false));
    expect_no_doubt(&w);
    close_world(&w);
}

/* A file system gives the number of a directory that was removed to the next one that is made. */
static void test_made_anew_in_place(void **state)
{
    struct world w;
    open_one(&w, state);
    drop(&w, "m/a.yaml");
    drop(&w, "m");
    make_dir(state, "m");
    assert_true(look(&w, false));
    assert_non_null(doubt(&w, "m/a.yaml"));
    AUTO_FREE char *text = roots_text(w.roots);
    close_world(&w);
    open_world(&w, *state, "m");
    roots_restore(w.roots, text);
    assert_true(look(&w, false));
    close_world(&w);
}

/* It is replaced between the look at its place and the listing. */
static void test_made_anew_meanwhile(void **state)
{
    struct world w;
    struct file_listing files = {0};
    open_one(&w, state);
    const struct str_list *dirs = roots_look(w.roots);
    move(state, "m", "old");
    make_dir(state, "m");
    files_list(dirs, &files);
    assert_true(roots_listed(w.roots, &files));
    assert_non_null(doubt(&w, "m/a.yaml"));
    file_listing_done(&files);
    close_world(&w);
}

static void test_trailing_slashes(void **state)
{
    struct world w = {.scratch = *state};
    make_dir(state, "m");
    str_list_add_take(&w.dirs, at(state, "m//"));
    w.roots = roots_new(&w.dirs);
    put(state, "m/a.yaml", "x");
    assert_false(look(&w, false));
    move(state, "m", "old");
    make_dir(state, "m");
    assert_true(look(&w, false));
    assert_non_null(doubt(&w, "m/a.yaml"));
    close_world(&w);
}

static void test_back_again(void **state)
{
    struct world w;
    open_one(&w, state);
    replace_by_empty(&w, state);
    put_back(&w, state);
    expect_no_doubt(&w);
    close_world(&w);
}

/* A swapped symlink may lead to an empty directory on purpose. */
static void test_swapped(void **state)
{
    struct world w;
    make_dir(state, "one");
    make_dir(state, "two");
    make_dir(state, "one/p");
    make_dir(state, "two/p");
    put(state, "one/p/a.yaml", "x");
    link_to(state, "one/p", "m");
    open_world(&w, *state, "m");
    assert_false(look(&w, false));
    drop(&w, "m");
    link_to(state, "two/p", "m");
    assert_false(look(&w, false));
    expect_no_doubt(&w);
    close_world(&w);
}

static void test_believed(void **state)
{
    struct world w;
    open_one(&w, state);
    replace_by_empty(&w, state);
    roots_believe(w.roots);
    assert_false(look(&w, false));
    expect_no_doubt(&w);
    /* The whole directory. */
    put_back(&w, state);
    move(state, "m", "old");
    assert_false(look(&w, true));
    AUTO_FREE char *file = at(state, "m/a.yaml");
    assert_true(roots_missing(w.roots, file));
    assert_true(roots_missing(w.roots, NULL));
    roots_believe(w.roots);
    assert_false(look(&w, false));
    expect_no_doubt(&w);
    /* Believed until it is there again. */
    make_dir(state, "m");
    assert_false(look(&w, false));
    assert_false(roots_missing(w.roots, file));
    drop(&w, "m");
    assert_false(look(&w, true));
    close_world(&w);
}

/* It goes after the listing that was approved: nobody has been told of that. */
static void test_gone_since_the_listing(void **state)
{
    struct world w;
    open_one(&w, state);
    move(state, "m", "old");
    roots_believe(w.roots);
    assert_false(look(&w, true));
    close_world(&w);
}

static void test_next_run(void **state)
{
    struct world w;
    make_dir(state, "m");
    open_world(&w, *state, "m");
    AUTO_FREE char *none = roots_text(w.roots);
    assert_string_equal(none, "[]");
    put(state, "m/a.yaml", "x");
    assert_false(look(&w, false));
    AUTO_FREE char *text = roots_text(w.roots);
    close_world(&w);
    move(state, "m", "old");
    make_dir(state, "m");
    open_world(&w, *state, "m");
    roots_restore(w.roots, "[{]");
    assert_false(look(&w, false));
    roots_restore(w.roots, text);
    assert_true(look(&w, false));
    AUTO_FREE char *again = roots_text(w.roots);
    assert_string_equal(again, text); /* still doubted by the run after */
    close_world(&w);
}

/* A name that is no text can't be kept, and isn't. */
static void test_leads_to_no_text(void **state)
{
    struct world w;
    make_dir(state, "\xff");
    put(state, "\xff/a.yaml", "x");
    link_to(state, "\xff", "m");
    open_world(&w, *state, "m");
    assert_false(look(&w, false));
    AUTO_FREE char *text = roots_text(w.roots);
    assert_non_null(strstr(text, "\"real\": null"));
    close_world(&w);
}

static void test_unmounted(void **state)
{
    struct world w;
    make_dir(state, "m");
    open_world(&w, *state, "m");
    AUTO_FREE char *path = at(state, "m");
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", path, "tmpfs", 0, NULL) < 0) {
        close_world(&w);
        skip(); /* only root can mount */
    }
    put(state, "m/a.yaml", "x");
    assert_false(look(&w, false));
    assert_int_equal(umount(path), 0);
    assert_true(look(&w, false));
    assert_non_null(doubt(&w, "m/a.yaml"));
    /* A bind mount of another directory of the same file system, too. */
    AUTO_FREE char *other = at(state, "other");
    make_dir(state, "other");
    assert_int_equal(mount(other, path, NULL, MS_BIND, NULL), 0);
    put(state, "m/a.yaml", "x");
    assert_false(look(&w, false));
    expect_no_doubt(&w);
    assert_int_equal(umount(path), 0);
    assert_true(look(&w, false));
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_emptied, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_made_anew, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_made_anew_in_place, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_made_anew_meanwhile, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_trailing_slashes, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_back_again, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_swapped, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_believed, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_gone_since_the_listing, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_next_run, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_leads_to_no_text, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_unmounted, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
