/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/git_url.h"

static void test_urls_that_are_addresses(void **state)
{
    static const char *const good[] = {
        "https://git.example.com/acme/bottles.git",
        "https://ada:secret@git.example.com:8443/acme/bottles.git",
        "ssh://git@git.example.com:2222/acme/bottles.git",
        "ssh://[2001:db8::1]/acme/bottles.git",
        "git@git.example.com:acme/bottles.git",
        "git.example.com:bottles.git",
        "git://git.example.com/bottles.git",
        "file:///srv/bottles.git",
        "/srv/bottles.git",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_ok(git_url_check(good[i]));
}

/* Nothing that git would take for a command, an option, or a place relative to somewhere. */
static void test_urls_that_are_none(void **state)
{
    static const char *const bad[] = {
        "",
        "ext::sh -c touch% /tmp/x",
        "ext::sh",
        "fd::17",
        "-uhttps://git.example.com/x",
        "--upload-pack=sh",
        "http://git.example.com/x",
        "ftp://git.example.com/x",
        "https://",
        "https:///x",
        "ssh://-oProxyCommand=sh/x",
        "ssh://git@-oProxyCommand=sh/x",
        "-oProxyCommand=sh:x",
        "git@-oProxyCommand=sh:x",
        "file://srv/x",
        "/srv/ext::x",
        "bottles.git",
        "../bottles.git",
        "https://git.example.com/a b",
        "https://git.example.com/a\nb",
        "https://git.example.com/\xc3\xa4",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_err(git_url_check(bad[i]), ERR_INVALID, "git URL '");
    assert_err(git_url_check("http://ada:hunter2@git.example.com/x"), ERR_INVALID,
               "'http://***@git.example.com/x'");
}

static void test_refs(void **state)
{
    static const char *const good[] = {
        "main", "release/1.4",     "v1.0.0",
        "HEAD", "refs/heads/main", "0123456789abcdef0123456789abcdef01234567"};
    static const char *const bad[] = {"",    "-u",    "--upload-pack=x",
                                      "a b", "a..b",  "a:b",
                                      "a^",  "a~1",   "a*",
                                      "/a",  "a/",    "a//b",
                                      "a/.", "@",     "a@{1",
                                      ".a",  "a.lock"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_ok(git_ref_check(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_err(git_ref_check(bad[i]), ERR_INVALID, "expected a branch");
    assert_true(git_is_commit(good[5]));
    assert_false(git_is_commit("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(git_is_commit("0123456"));
}

static void test_paths(void **state)
{
    static const char *const bad[] = {"/a",    "a/",   "a//b", "../a", "a/..",
                                      "a/./b", ".git", "a/.b", "a\nb", "a\xff"};
    (void)state;
    assert_ok(git_path_check(""));
    assert_ok(git_path_check("bottles/prod"));
    assert_ok(git_path_check("b\xc3\xb6ttles"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_err(git_path_check(bad[i]), ERR_INVALID, "expected a directory");
}

static void expect_shown(const char *url, const char *shown)
{
    AUTO_FREE char *text = git_url_shown(url);
    assert_string_equal(text, shown);
}

static void test_what_is_shown_of_a_url(void **state)
{
    (void)state;
    expect_shown("https://git.example.com/a@b", "https://git.example.com/a@b");
    expect_shown("https://ada:hun@ter2@git.example.com/x", "https://***@git.example.com/x");
    expect_shown("https://ghp_token@git.example.com/x", "https://***@git.example.com/x");
    expect_shown("ssh://git@git.example.com/x", "ssh://git@git.example.com/x");
    expect_shown("ssh://git:pw@git.example.com/x", "ssh://***@git.example.com/x");
    expect_shown("git@git.example.com:x", "git@git.example.com:x");
}

static void expect_words(const char *printed, const char *url, const char *words)
{
    AUTO_FREE char *text = git_words(printed, url);
    assert_string_equal(text, words);
}

static void test_what_git_says(void **state)
{
    (void)state;
    expect_words("git@h: Permission denied (publickey).\nfatal: Could not read from remote "
                 "repository.\n\nPlease make sure you have the correct access rights\nand the "
                 "repository exists.\n",
                 "git@h:x",
                 "git@h: Permission denied (publickey).; fatal: Could not read from remote "
                 "repository.");
    expect_words("fatal: unable to access 'https://ada:hunter2@h/x/': no route\n",
                 "https://ada:hunter2@h/x", "fatal: unable to access 'https://***@h/x/': no route");
    expect_words("fatal: redirected to https://other:token@h/y and ada:hunter2\n",
                 "https://ada:hunter2@h/x", "fatal: redirected to https://***@h/y and ***");
    expect_words("remote: \x1b[31mred\xff\r\n", "/x", "remote: ?[31mred?");
    expect_words("", "/x", "");
    char many[2048];
    memset(many, 'y', sizeof(many));
    many[sizeof(many) - 1] = '\0';
    AUTO_FREE char *text = git_words(many, "/x");
    assert_int_equal(strlen(text), 400);
}

static void test_a_directory_of_this_host(void **state)
{
    (void)state;
    assert_string_equal(git_url_local("file:///srv/x"), "/srv/x");
    assert_string_equal(git_url_local("/srv/x"), "/srv/x");
    assert_null(git_url_local("https://h/x"));
    assert_null(git_url_local("h:/srv/x"));
    assert_null(git_url_local(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_that_are_addresses),
        cmocka_unit_test(test_urls_that_are_none),
        cmocka_unit_test(test_refs),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_what_is_shown_of_a_url),
        cmocka_unit_test(test_what_git_says),
        cmocka_unit_test(test_a_directory_of_this_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
