/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/tree.h"
#include "controller/watch.h"

#include <signal.h>
#include <time.h>

/* "path=text" of each file, or "path!why", one a line, without the scratch directory. */
static char *shown(void *const *state, const struct file_listing *l)
{
    struct str s;
    size_t skip = strlen(*state) + 1;
    str_init(&s, 1 << 20);
    for (size_t i = 0; i < l->len; i++) {
        const struct read_file *f = &l->files[i];
        assert_true(!f->error == !!f->bytes);
        assert_true(f->error || !f->tree);
        assert_int_equal(f->directory, strcmp(f->path + skip, "m/dir.yaml") == 0);
        str_addf(&s, "%s%s%s\n", f->path + skip,
                 f->tree    ? "/?"
                 : f->error ? "!"
                            : "=",
                 f->error ? f->error : f->bytes);
    }
    return str_take(&s);
}

/* Lists `names` below the scratch directory and compares. */
static void assert_lists(void *const *state, const char *const *names, const char *expected)
{
    struct file_listing l = {0};
    struct str_list dirs = {0};
    for (; *names; names++)
        str_list_add_take(&dirs, at(state, *names));
    files_list(&dirs, &l);
    AUTO_FREE char *got = shown(state, &l);
    assert_string_equal(got, expected);
    file_listing_done(&l);
    str_list_done(&dirs);
}
#define LISTS(expected, ...) assert_lists(state, (const char *const[]){__VA_ARGS__, NULL}, expected)

/* Nothing is known of the directory, and that is all that is listed. */
static void assert_unknown(void *const *state, const char *name, const char *part)
{
    struct file_listing l = {0};
    struct str_list dirs = {0};
    str_list_add_take(&dirs, at(state, name));
    files_list(&dirs, &l);
    assert_int_equal(l.sources_len, 1);
    assert_non_null(l.sources[0].error);
    if (!strstr(l.sources[0].error, part))
        fail_msg("expected '%s' in '%s'", part, l.sources[0].error);
    AUTO_FREE char *unknown = file_listing_unknown(&l);
    assert_string_equal(unknown, l.sources[0].error);
    assert_int_equal(l.len, 1);
    assert_true(l.files[0].tree);
    assert_string_equal(l.files[0].path, dirs.items[0]);
    file_listing_done(&l);
    str_list_done(&dirs);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a.yaml",   "a.yml",     "a.json",
                                       "a.b.yaml", "4913.yaml", "~.yaml"};
    static const char *const bad[] = {
        ".yaml",    ".a.yaml", ".a.yaml.swp", "a.yaml.swp", "a.yaml~", "#a.yaml#", "#a.yaml",
        ".#a.yaml", "4913",    "a.yaml.bak",  "a.yaml.tmp", "a.YAML",  "yaml",     "a",
        "",         "a.yaml ", "sedXw3Yz1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(tree_manifest_name(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(tree_manifest_name(bad[i]));
}

static void test_lists_sorted_and_deep(void **state)
{
    make_dir(state, "m");
    make_dir(state, "m/sub");
    make_dir(state, "m/sub/deep");
    make_dir(state, "m/.git");
    put(state, "m/b.yaml", "B");
    put(state, "m/a.yml", "A");
    put(state, "m/sub.yaml", "S");
    put(state, "m/sub/x.json", "X");
    put(state, "m/sub/deep/y.yaml", "Y");
    put(state, "m/sub/README.md", "no");
    put(state, "m/.git/z.yaml", "no");
    put(state, "m/.b.yaml.swp", "no");
    put(state, "m/b.yaml~", "no");
    put(state, "m/empty.yaml", "");
    LISTS(
        "m/a.yml=A\nm/b.yaml=B\nm/empty.yaml=\nm/sub.yaml=S\nm/sub/deep/y.yaml=Y\nm/sub/x.json=X\n",
        "m");
    /* However it is spelled, the paths look the same. */
    LISTS("m/sub/deep/y.yaml=Y\nm/sub/x.json=X\n", "m/sub///");
}

static void test_several_directories(void **state)
{
    make_dir(state, "one");
    make_dir(state, "two");
    make_dir(state, "two/in");
    put(state, "one/a.yaml", "1");
    put(state, "two/a.yaml", "2");
    put(state, "two/in/b.yaml", "3");
    LISTS("two/a.yaml=2\ntwo/in/b.yaml=3\none/a.yaml=1\n", "two", "one");
    /* Overlapping ones list a file once. */
    LISTS("two/a.yaml=2\ntwo/in/b.yaml=3\n", "two", "two/in", "./two");
}

static void test_empty_is_not_missing(void **state)
{
    make_dir(state, "m");
    LISTS("", "m");
    assert_unknown(state, "missing", "missing' can't be read: No such file");
    put(state, "file", "x");
    assert_unknown(state, "file", "Not a directory");
}

/* A missing directory is unknown, whatever its place; the others are listed. */
static void test_one_missing_of_three(void **state)
{
    struct file_listing l = {0};
    struct str_list dirs = {0};
    make_dir(state, "m");
    make_dir(state, "n");
    put(state, "m/a.yaml", "A");
    put(state, "n/b.yaml", "B");
    str_list_add_take(&dirs, at(state, "n"));
    str_list_add_take(&dirs, at(state, "gone/"));
    str_list_add_take(&dirs, at(state, "m"));
    files_list(&dirs, &l);
    assert_int_equal(l.sources_len, 3);
    assert_null(l.sources[0].error);
    assert_non_null(strstr(l.sources[1].error, "gone' can't be read: No such file"));
    assert_null(l.sources[2].error);
    /* By source, not by path. */
    AUTO_FREE char *got = shown(state, &l);
    AUTO_FREE char *want = xasprintf("n/b.yaml=B\ngone/?%s\nm/a.yaml=A\n", l.sources[1].error);
    assert_string_equal(got, want);
    struct manifest_input *in = NULL;
    file_listing_inputs(&l, &in);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(in[i].source, i);
    assert_true(in[1].tree);
    free(in);
    file_listing_done(&l);
    str_list_done(&dirs);
}

static char *child_unreadable(void *ctx)
{
    void **state = ctx;
    struct file_listing l = {0};
    struct str_list dirs = {0};
    CHILD_CHECK(become_nobody(IO_NOBODY, IO_NOBODY));
    str_list_add_take(&dirs, at(state, "m"));
    files_list(&dirs, &l);
    CHILD_CHECK(!l.sources[0].error && l.len == 2);
    CHILD_CHECK(strcmp(l.files[0].bytes, "A") == 0);
    CHILD_CHECK(l.files[1].tree && strcmp(l.files[1].error, "Permission denied") == 0);
    AUTO_FREE char *unknown = file_listing_unknown(&l);
    CHILD_CHECK(unknown && strstr(unknown, "m/closed' can't be read: Permission denied"));
    file_listing_done(&l);
    str_list_done(&dirs);

    str_list_add_take(&dirs, at(state, "n"));
    files_list(&dirs, &l);
    CHILD_CHECK(!l.sources[0].error && l.len == 1 && !l.files[0].tree);
    CHILD_CHECK(strcmp(l.files[0].error, "Permission denied") == 0);
    file_listing_done(&l);
    str_list_done(&dirs);

    /* Names can be read, but not what they are. */
    str_list_add_take(&dirs, at(state, "o"));
    files_list(&dirs, &l);
    CHILD_CHECK(!l.sources[0].error && l.len == 1 && l.files[0].tree);
    file_listing_done(&l);
    str_list_done(&dirs);
    return NULL;
}

static void test_unreadable(void **state)
{
    need_root();
    make_dir(state, "m");
    make_dir(state, "m/closed");
    make_dir(state, "n");
    make_dir(state, "o");
    make_dir(state, "o/names");
    put(state, "m/a.yaml", "A");
    put(state, "n/secret.yaml", "S");
    put(state, "o/names/a.yaml", "A");
    put(state, "o/names/b.yaml", "B");
    AUTO_FREE char *dir = at(state, "m/closed"), *file = at(state, "n/secret.yaml");
    AUTO_FREE char *names = at(state, "o/names");
    assert_int_equal(chmod(names, 0744), 0);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(chmod(file, 0600), 0);
    run_child(NULL, child_unreadable, state);
}

/* ---- symlinks ------------------------------------------------------------------------------- */

/* What a projected volume looks like. */
static void test_projected_volume(void **state)
{
    make_dir(state, "m");
    make_dir(state, "m/..2026_11");
    put(state, "m/..2026_11/a.yaml", "A");
    put(state, "m/..2026_11/b.yaml", "B");
    link_to(state, "..2026_11", "m/..data");
    link_to(state, "..data/a.yaml", "m/a.yaml");
    link_to(state, "..data/b.yaml", "m/b.yaml");
    LISTS("m/a.yaml=A\nm/b.yaml=B\n", "m");
}

static void test_root_is_a_symlink(void **state)
{
    make_dir(state, "trees");
    make_dir(state, "trees/abc");
    put(state, "trees/abc/a.yaml", "A");
    link_to(state, "trees/abc", "current");
    LISTS("current/a.yaml=A\n", "current");
}

static void test_symlinks_stay_inside(void **state)
{
    make_dir(state, "m");
    make_dir(state, "m/real");
    make_dir(state, "out");
    make_dir(state, "mm");
    put(state, "m/real/a.yaml", "A");
    put(state, "out/secret.yaml", "SECRET");
    put(state, "mm/secret.yaml", "SECRET");
    AUTO_FREE char *inside = at(state, "m/real/a.yaml");
    link_to(state, "/etc/passwd", "m/p.yaml");
    link_to(state, "../out/secret.yaml", "m/s.yaml");
    link_to(state, "../mm/secret.yaml", "m/sibling.yaml"); /* a path with the root's as a prefix */
    link_to(state, "../out", "m/outdir");
    link_to(state, "/etc/hostname", "m/hostname"); /* nobody asked for it */
    link_to(state, "nowhere", "m/dangling.yaml");
    link_to(state, "nowhere", "m/dangling");
    link_to(state, "loop.yaml", "m/loop.yaml");
    link_to(state, "real/a.yaml", "m/alias.yaml"); /* the same file: listed once */
    link_to(state, inside, "m/absolute.yaml");     /* absolute, but inside, and the same file */
    link_to(state, "real", "m/again");
    link_to(state, ".", "m/self");
    LISTS("m/dangling.yaml!a symlink that ends nowhere\n"
          "m/loop.yaml!a symlink that ends in itself\n"
          "m/outdir!a symlink that leaves the directory\n"
          "m/p.yaml!a symlink that leaves the directory\n"
          "m/real/a.yaml=A\n"
          "m/s.yaml!a symlink that leaves the directory\n"
          "m/sibling.yaml!a symlink that leaves the directory\n",
          "m");
}

/* A tree that is only reached through a symlink, with a symlink of its own. */
static void test_symlinked_directory(void **state)
{
    make_dir(state, "m");
    make_dir(state, "m/.worktrees");
    make_dir(state, "m/.worktrees/abc");
    make_dir(state, "m/.worktrees/abc/sub");
    put(state, "m/.worktrees/abc/a.yaml", "A");
    put(state, "m/.worktrees/abc/sub/b.yaml", "B");
    put(state, "m/.worktrees/hidden.txt", "C");
    link_to(state, "../hidden.txt", "m/.worktrees/abc/c.yaml");
    link_to(state, ".worktrees/abc", "m/current");
    LISTS("m/current/a.yaml=A\nm/current/c.yaml=C\nm/current/sub/b.yaml=B\n", "m");
}

/* What is only reached through it isn't gone when that is missing. */
static void test_dangling_directory(void **state)
{
    make_dir(state, "m");
    make_dir(state, "m/..2026_11");
    make_dir(state, "m/..2026_11/sub");
    put(state, "m/..2026_11/sub/a.yaml", "A");
    link_to(state, "..2026_11", "m/..data");
    link_to(state, "..data/sub", "m/sub");
    link_to(state, ".worktrees/abc", "m/current");
    link_to(state, "/srv/.hidden/elsewhere", "m/absolute");
    LISTS("m/current/?a symlink that ends nowhere\n"
          "m/sub/a.yaml=A\n",
          "m");
    move(state, "m/..2026_11", "m/.gone");
    LISTS("m/current/?a symlink that ends nowhere\n"
          "m/sub/?a symlink that ends nowhere\n",
          "m");
}

/* ---- not regular files ---------------------------------------------------------------------- */

static void test_special_files(void **state)
{
    make_dir(state, "m");
    make_dir(state, "m/dir.yaml");
    put(state, "m/dir.yaml/in.yaml", "I");
    AUTO_FREE char *fifo = at(state, "m/fifo.yaml"), *other = at(state, "m/other");
    assert_int_equal(mkfifo(fifo, 0644), 0);
    assert_int_equal(mkfifo(other, 0644), 0);
    link_to(state, "other", "m/link.yaml");
    LISTS("m/dir.yaml=\nm/dir.yaml/in.yaml=I\nm/fifo.yaml!not a regular file\nm/link.yaml!not a "
          "regular file\n",
          "m");
}

static void test_names_that_are_no_text(void **state)
{
    make_dir(state, "m");
    put(state, "m/a\nb.yaml", "x");
    put(state, "m/\xff.yaml", "x");
    put(state, "m/\xc3\xa4.yaml", "x");
    LISTS("m/\\xff.yaml!the name of the file isn't printable UTF-8\n"
          "m/a\\x0ab.yaml!the name of the file isn't printable UTF-8\n"
          "m/\xc3\xa4.yaml=x\n",
          "m");
}

/* ---- limits --------------------------------------------------------------------------------- */

static void put_sized(void *const *state, const char *name, off_t size)
{
    put(state, name, "");
    AUTO_FREE char *path = at(state, name);
    assert_int_equal(truncate(path, size), 0);
}

/* The parser says that it is too large: it must see one byte too many, not a cut file that looks
 * whole. */
static void test_size_of_a_file(void **state)
{
    struct file_listing l = {0};
    struct str_list dirs = {0};
    make_dir(state, "m");
    put_sized(state, "m/a.yaml", MANIFEST_MAX_BYTES);
    put_sized(state, "m/b.yaml", MANIFEST_MAX_BYTES + 1);
    put_sized(state, "m/c.yaml", MANIFEST_MAX_BYTES * 4);
    str_list_add_take(&dirs, at(state, "m"));
    files_list(&dirs, &l);
    assert_int_equal(l.len, 3);
    assert_int_equal(l.files[0].n, MANIFEST_MAX_BYTES);
    assert_int_equal(l.files[1].n, MANIFEST_MAX_BYTES + 1);
    assert_int_equal(l.files[2].n, MANIFEST_MAX_BYTES + 1);

    struct manifest_input *in = NULL;
    file_listing_inputs(&l, &in);
    assert_ptr_equal(in[1].path, l.files[1].path);
    assert_ptr_equal(in[1].bytes.p, l.files[1].bytes);
    assert_int_equal(in[1].bytes.n, MANIFEST_MAX_BYTES + 1);
    assert_null(in[1].read_error);
    free(in);
    file_listing_done(&l);
    str_list_done(&dirs);
}

static void test_size_of_all(void **state)
{
    make_dir(state, "m");
    for (int i = 0; i < 65; i++) {
        AUTO_FREE char *name = xasprintf("m/%02d.yaml", i);
        put_sized(state, name, MANIFEST_MAX_BYTES);
    }
    assert_unknown(state, "m", "larger than 64 MiB together");
}

static void test_number_of_files(void **state)
{
    make_dir(state, "m");
    for (int i = 0; i <= FILES_MAX; i++) {
        AUTO_FREE char *name = xasprintf("m/%04d.yaml", i);
        put(state, name, "");
    }
    assert_unknown(state, "m", "more than 4096 manifest files");
    /* What is told of it goes into JSON, and to terminals. */
    AUTO_FREE char *last = at(state, "m/4096.yaml");
    AUTO_FREE char *to = at(state, "m/5\xff\033.yaml");
    assert_int_equal(rename(last, to), 0);
    assert_unknown(state, "m", "/m/5\\xff\\x1b.yaml' is one too many");
}

static void test_depth(void **state)
{
    struct str path;
    str_init(&path, 4096);
    str_add(&path, "m");
    make_dir(state, path.p);
    for (int i = 1; i <= 9; i++) {
        str_addf(&path, "/%d", i);
        make_dir(state, path.p);
        AUTO_FREE char *file = xasprintf("%s/f.yaml", path.p);
        put(state, file, "F");
    }
    struct file_listing l = {0};
    struct str_list dirs = {0};
    str_list_add_take(&dirs, at(state, "m"));
    files_list(&dirs, &l);
    AUTO_FREE char *got = shown(state, &l);
    assert_non_null(strstr(got, "m/1/2/3/4/5/6/7/8/f.yaml=F\n"));
    assert_non_null(strstr(got, "m/1/2/3/4/5/6/7/8/9/?not read: more than 8 directories deep\n"));
    assert_null(strstr(got, "9/f.yaml"));
    assert_int_equal(l.len, 9);
    file_listing_done(&l);
    str_list_done(&dirs);
    str_done(&path);
}

/* ---- a world that moves --------------------------------------------------------------------- */

/* Touches a file for as long as it lives. */
static char *child_toucher(void *ctx)
{
    void **state = ctx;
    AUTO_FREE char *path = at(state, "m/a.yaml");
    for (long i = 1;; i++) {
        const struct timespec times[2] = {{.tv_sec = i}, {.tv_sec = i}};
        CHILD_CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
    }
}

static void test_file_that_keeps_changing(void **state)
{
    make_dir(state, "m");
    put_sized(state, "m/a.yaml", MANIFEST_MAX_BYTES);
    int out = -1;
    struct str_list dirs = {0};
    pid_t pid = child_start(child_toucher, state, &out);
    str_list_add_take(&dirs, at(state, "m"));
    bool refused = false;
    for (time_t end = time(NULL) + IO_DEADLINE_S; !refused && time(NULL) < end;) {
        struct file_listing l = {0};
        files_list(&dirs, &l);
        assert_int_equal(l.len, 1);
        if (l.files[0].error) {
            assert_string_equal(l.files[0].error, "it keeps changing while it is read");
            refused = true;
        }
        file_listing_done(&l);
    }
    assert_true(refused);
    child_kill(pid, out);
    struct file_listing l = {0};
    files_list(&dirs, &l);
    assert_null(l.files[0].error);
    file_listing_done(&l);
    str_list_done(&dirs);
}

/* ---- explicit paths ------------------------------------------------------------------------- */

static void test_explicit(void **state)
{
    make_dir(state, "m");
    put(state, "m/a.yaml", "A");
    put(state, "anything.txt", "T");
    link_to(state, "anything.txt", "link");
    struct file_listing l = {0};
    struct str_list paths = {0};
    str_list_add_take(&paths, at(state, "m"));
    str_list_add_take(&paths, at(state, "m/a.yaml"));
    str_list_add_take(&paths, at(state, "link"));
    str_list_add_take(&paths, at(state, "none.yaml"));
    str_list_add_take(&paths, at(state, "anything.txt"));
    assert_ok(files_read(&paths, &l));
    AUTO_FREE char *got = shown(state, &l);
    assert_string_equal(got, "link=T\nm/a.yaml=A\nnone.yaml!No such file or directory\n");
    file_listing_done(&l);
    str_list_done(&paths);
}

static void test_explicit_pipe(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], "piped", 5), 5);
    (void)close(fds[1]);
    struct file_listing l = {0};
    struct str_list paths = {0};
    str_list_add_take(&paths, xasprintf("/proc/self/fd/%d", fds[0]));
    /* Opening the pipe anew has no writer any more: end of file after what is there. */
    assert_ok(files_read(&paths, &l));
    assert_int_equal(l.len, 1);
    assert_null(l.files[0].error);
    assert_string_equal(l.files[0].bytes, "piped");
    (void)close(fds[0]);
    file_listing_done(&l);
    str_list_done(&paths);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_lists_sorted_and_deep),
        TEST(test_several_directories),
        TEST(test_empty_is_not_missing),
        TEST(test_one_missing_of_three),
        TEST(test_unreadable),
        TEST(test_projected_volume),
        TEST(test_dangling_directory),
        TEST(test_root_is_a_symlink),
        TEST(test_symlinks_stay_inside),
        TEST(test_symlinked_directory),
        TEST(test_special_files),
        TEST(test_names_that_are_no_text),
        TEST(test_size_of_a_file),
        TEST(test_size_of_all),
        TEST(test_number_of_files),
        TEST(test_depth),
        TEST(test_file_that_keeps_changing),
        TEST(test_explicit),
        TEST(test_explicit_pipe),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
