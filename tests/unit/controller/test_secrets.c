/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/secrets.h"

/* A secrets directory that is closed to others, and no environment of the outside. */
static int setup(void **state)
{
    if (scratch_setup(state) < 0)
        return -1;
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    make_dir(state, "s");
    AUTO_FREE char *dir = at(state, "s");
    return chmod(dir, 0700);
}

static void secret(void *const *state, const char *name, const char *text, mode_t mode)
{
    put(state, name, text);
    AUTO_FREE char *path = at(state, name);
    assert_int_equal(chmod(path, mode), 0);
}

static void open_dir(void *const *state, const char *name, mode_t mode)
{
    AUTO_FREE char *path = at(state, name);
    assert_int_equal(chmod(path, mode), 0);
}

static struct str_list refs_of(const char *const *names)
{
    struct str_list refs = {0};
    for (; *names; names++)
        str_list_add(&refs, *names);
    return refs;
}
#define REFS(...) refs_of((const char *const[]){__VA_ARGS__, NULL})

static struct err *resolve(void *const *state, struct str_list refs, struct secret_set *ret)
{
    AUTO_FREE char *dir = at(state, "s");
    struct err *e = secrets_resolve(dir, &refs, ret);
    str_list_done(&refs);
    return e;
}

/* One name has this value. */
static void assert_value(void *const *state, const char *name, const char *value)
{
    struct secret_set set = {0};
    assert_ok(resolve(state, REFS(name), &set));
    assert_int_equal(set.len, 1);
    assert_string_equal(set.items[0].name, name);
    assert_int_equal(set.items[0].value.n, strlen(value));
    assert_string_equal(set.items[0].value.p, value);
    secret_set_done(&set);
    assert_null(set.items);
}

static void assert_none(void *const *state, const char *name, enum err_kind kind, const char *part)
{
    struct secret_set set = {0};
    assert_err(resolve(state, REFS(name), &set), kind, part);
    assert_int_equal(set.len, 0);
    assert_null(set.items);
}

static void test_values(void **state)
{
    secret(state, "s/PLAIN", "value", 0600);
    secret(state, "s/LINE", "value\n", 0400);
    secret(state, "s/SPACES", " a b\t\n", 0600);
    secret(state, "s/_lower1", "x", 0600);
    assert_value(state, "PLAIN", "value");
    assert_value(state, "LINE", "value");
    assert_value(state, "SPACES", " a b\t");
    assert_value(state, "_lower1", "x");
}

static void test_order_of_places(void **state)
{
    make_dir(state, "c");
    open_dir(state, "c", 0550);
    AUTO_FREE char *credentials = at(state, "c");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", credentials, 1), 0);
    assert_int_equal(setenv("IO_TEST_KEY", "from-env", 1), 0);
    assert_value(state, "IO_TEST_KEY", "from-env");
    /* The service manager's own files show the mask of an ACL where a group's rights would be. */
    secret(state, "c/IO_TEST_KEY", "from-credentials", 0440);
    assert_value(state, "IO_TEST_KEY", "from-credentials");
    secret(state, "s/IO_TEST_KEY", "from-directory", 0600);
    assert_value(state, "IO_TEST_KEY", "from-directory");
    /* The first place that has it decides, also when it says nothing. */
    secret(state, "s/IO_TEST_KEY", "", 0600);
    assert_none(state, "IO_TEST_KEY", ERR_NOT_FOUND,
                "'IO_TEST_KEY' is empty in the secrets directory");

    struct secret_set set = {0};
    struct str_list refs = REFS("IO_TEST_KEY");
    assert_ok(secrets_resolve(NULL, &refs, &set));
    assert_string_equal(set.items[0].value.p, "from-credentials");
    secret_set_done(&set);
    secret(state, "c/IO_TEST_KEY", "from-credentials", 0444);
    open_dir(state, "c", 0755);
    assert_err(secrets_resolve(NULL, &refs, &set), ERR_INVALID, "can be read or written by others");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_ok(secrets_resolve(NULL, &refs, &set));
    assert_string_equal(set.items[0].value.p, "from-env");
    secret_set_done(&set);
    assert_int_equal(setenv("IO_TEST_KEY", "", 1), 0);
    assert_err(secrets_resolve(NULL, &refs, &set), ERR_NOT_FOUND, "is empty in the environment");
    assert_int_equal(unsetenv("IO_TEST_KEY"), 0);
    assert_err(secrets_resolve(NULL, &refs, &set), ERR_NOT_FOUND, "is not in the environment");
    str_list_done(&refs);
}

static void test_bad_content(void **state)
{
    secret(state, "s/EMPTY", "", 0600);
    secret(state, "s/NEWLINE", "\n", 0600);
    secret(state, "s/TWO_LINES", "hunter\ntwo", 0600);
    secret(state, "s/TWO_ENDS", "hunter\n\n", 0600);
    secret(state, "s/CR", "hunter\r\n", 0600);
    secret(state, "s/NUL", "", 0600);
    AUTO_FREE char *path = at(state, "s/NUL");
    AUTO_CLOSE fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "hunter\0x", 8), 8);
    assert_none(state, "EMPTY", ERR_NOT_FOUND, "'EMPTY' is empty");
    assert_none(state, "NEWLINE", ERR_NOT_FOUND, "'NEWLINE' is empty");
    assert_none(state, "TWO_LINES", ERR_INVALID, "more than one line");
    assert_none(state, "TWO_ENDS", ERR_INVALID, "more than one line");
    assert_none(state, "CR", ERR_INVALID, "carriage return");
    assert_none(state, "NUL", ERR_INVALID, "NUL byte");
}

static void test_sizes(void **state)
{
    AUTO_FREE char *text = xcalloc(SECRET_MAX_BYTES + 2, 1);
    memset(text, 'k', SECRET_MAX_BYTES);
    secret(state, "s/MOST", text, 0600);
    assert_value(state, "MOST", text);
    text[SECRET_MAX_BYTES] = 'k';
    secret(state, "s/MORE", text, 0600);
    assert_none(state, "MORE", ERR_INVALID, "larger than 64 KiB");
    assert_int_equal(setenv("IO_TEST_MORE", text, 1), 0);
    assert_none(state, "IO_TEST_MORE", ERR_INVALID, "larger than 64 KiB in the environment");
    assert_int_equal(unsetenv("IO_TEST_MORE"), 0);
}

static void test_modes(void **state)
{
    /* Nobody can come near what is in a closed directory: a projected volume's 0644 is fine there.
     */
    secret(state, "s/K", "v", 0644);
    assert_value(state, "K", "v");
    secret(state, "s/K", "v", 0666);
    assert_none(state, "K", ERR_INVALID, "can be read or written by others (expected mode 0600");
    open_dir(state, "s", 0755);
    static const mode_t bad[] = {0640, 0604, 0620, 0602, 0610, 0644};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        secret(state, "s/K", "v", bad[i]);
        assert_none(state, "K", ERR_INVALID, "'K' can be read or written by others");
    }
    secret(state, "s/K", "v", 0600);
    assert_value(state, "K", "v");
    secret(state, "s/K", "v", 0400);
    assert_value(state, "K", "v");
}

static void test_foreign_owner(void **state)
{
    need_root();
    secret(state, "s/K", "v", 0600);
    AUTO_FREE char *path = at(state, "s/K");
    assert_int_equal(chown(path, IO_NOBODY, IO_NOBODY), 0);
    assert_none(state, "K", ERR_INVALID, "'K' belongs to another user");
}

static char *child_unreadable(void *ctx)
{
    void **state = ctx;
    AUTO_FREE char *dir = at(state, "s");
    struct secret_set set = {0};
    CHILD_CHECK(chmod(dir, 0755) == 0 && become_nobody(IO_NOBODY, IO_NOBODY));
    AUTO_ERR e = resolve(state, REFS("K"), &set); /* root's, and only root's */
    CHILD_CHECK(e && err_kind(e) == ERR_UNAVAILABLE);
    CHILD_CHECK(strstr(err_message(e), "'K' can't be read in the secrets directory"));
    return NULL;
}

static void test_unreadable(void **state)
{
    need_root();
    secret(state, "s/K", "v", 0600);
    run_child(NULL, child_unreadable, state);
}

static void test_symlinks(void **state)
{
    make_dir(state, "s/..1");
    secret(state, "s/..1/K", "inside", 0600);
    secret(state, "outside", "hunter", 0600);
    link_to(state, "..1", "s/..data");
    link_to(state, "..data/K", "s/K");
    link_to(state, "../outside", "s/OUT");
    link_to(state, "nowhere", "s/DANGLING");
    assert_value(state, "K", "inside");
    assert_none(state, "OUT", ERR_INVALID, "'OUT' can't be read in the secrets directory");
    assert_none(state, "OUT", ERR_INVALID, "a symlink that leaves the directory");
    assert_none(state, "DANGLING", ERR_NOT_FOUND, "is neither in the secrets directory");
}

static void test_not_files(void **state)
{
    make_dir(state, "s/DIR");
    AUTO_FREE char *fifo = at(state, "s/FIFO");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_none(state, "DIR", ERR_INVALID, "'DIR' is not a regular file");
    assert_none(state, "FIFO", ERR_INVALID, "'FIFO' is not a regular file");
}

static void test_names(void **state)
{
    static const char *const bad[] = {"",    "1A",  "A-B", "A.B",   "../s/K", "/etc/passwd",
                                      "A B", "A\n", "Ä",   "..data"};
    secret(state, "s/K", "v", 0600);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(secret_name_ok(bad[i]));
        assert_none(state, bad[i], ERR_INVALID, "is not a name");
    }
    char name[SECRET_NAME_MAX + 2];
    memset(name, 'A', sizeof(name));
    name[SECRET_NAME_MAX + 1] = '\0';
    assert_false(secret_name_ok(name));
    name[SECRET_NAME_MAX] = '\0';
    assert_true(secret_name_ok(name));
    assert_none(state, name, ERR_NOT_FOUND, "is neither in");
}

static void test_missing_directory(void **state)
{
    AUTO_FREE char *dir = at(state, "s");
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(setenv("IO_TEST_KEY", "from-env", 1), 0);
    /* Unknown is not absent: the environment's value may be an old one. */
    assert_none(state, "IO_TEST_KEY", ERR_UNAVAILABLE, "s': No such file or directory");
    assert_int_equal(unsetenv("IO_TEST_KEY"), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* All problems at once, the worst one's kind, and no value in any of them. */
static void test_all_problems(void **state)
{
    secret(state, "s/GOOD", "hunter-good", 0600);
    secret(state, "s/LOOSE", "hunter-loose", 0666);
    secret(state, "s/LINES", "hunter-a\nhunter-b", 0600);
    struct secret_set set = {0};
    AUTO_ERR e = resolve(state, REFS("GOOD", "ABSENT", "LOOSE", "LINES", "b-d"), &set);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_INVALID);
    const char *m = err_message(e);
    assert_non_null(strstr(m, "'ABSENT' is neither in"));
    assert_non_null(strstr(m, "; 'LOOSE' can be read"));
    assert_non_null(strstr(m, "; 'LINES' holds"));
    assert_non_null(strstr(m, "; 'b-d' is not a name"));
    assert_null(strstr(m, "GOOD"));
    assert_null(strstr(m, "hunter"));
    assert_int_equal(set.len, 0);

    secret(state, "s/ALSO", "x", 0600);
    assert_ok(resolve(state, REFS("GOOD", "ALSO"), &set));
    assert_int_equal(set.len, 2);
    assert_string_equal(set.items[0].name, "GOOD");
    assert_string_equal(set.items[0].value.p, "hunter-good");
    assert_string_equal(set.items[1].name, "ALSO");
    secret_set_done(&set);
    struct str_list none = {0};
    assert_ok(secrets_resolve(NULL, &none, &set));
    assert_int_equal(set.len, 0);
    secret_set_done(&set);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_values),
        TEST(test_order_of_places),
        TEST(test_bad_content),
        TEST(test_sizes),
        TEST(test_modes),
        TEST(test_foreign_owner),
        TEST(test_unreadable),
        TEST(test_symlinks),
        TEST(test_not_files),
        TEST(test_names),
        TEST(test_missing_directory),
        TEST(test_all_problems),
    };
    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
