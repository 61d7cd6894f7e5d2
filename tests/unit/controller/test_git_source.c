/* SPDX-License-Identifier: Apache-2.0 */
/* A source of manifests against real repositories. */
#include "git_fixture.h"

#include <time.h>

static void test_a_push_becomes_the_revision(void **state)
{
    struct git_world *w = *state;
    push(w, "mkdir b; printf A >a.yaml; printf C >b/c.yml; printf no >README.md");
    start(w);
    expect_good(w);
    AUTO_FREE char *first = head_of(w);
    expect_revision(w, first);
    expect_listed(w, "git:a.yaml=A git:b/c.yml=C ");
    assert_int_equal(w->news, 1);
    assert_int_equal(count_events(w, "SourceUpdated"), 1);
    assert_non_null(strstr(w->events.p, first));
    /* What is no manifest isn't even written. */
    AUTO_FREE char *readme = xasprintf("source/trees/%s/README.md", first);
    assert_false(exists(&w->scratch, readme));

    look_again(w);
    assert_int_equal(w->news, 1);
    assert_int_equal(count_events(w, "Source"), 1);

    push(w, "printf A2 >a.yaml; rm b/c.yml");
    look_again(w);
    AUTO_FREE char *second = head_of(w);
    expect_revision(w, second);
    expect_listed(w, "git:a.yaml=A2 ");
    assert_int_equal(w->news, 2);

    json_t *json = git_source_json(w->source);
    assert_string_equal(json_string_value(json_object_get(json, "revision")), second);
    assert_string_equal(json_string_value(json_object_get(json, "ref")), "main");
    assert_true(json_is_null(json_object_get(json, "problem")));
    assert_true(json_is_string(json_object_get(json, "fetchedAt")));
    assert_true(json_is_string(json_object_get(json, "nextFetchAt")));
    assert_int_equal(json_integer_value(json_object_get(json, "looks")), 3);
    json_decref(json);
}

static void test_history_that_is_rewritten_is_followed(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    AUTO_FREE char *first = head_of(w);
    start(w);
    push(w, "printf B >a.yaml");
    look_again(w);
    sh(w, "git -C work push -qf origin HEAD~1:main");
    look_again(w);
    expect_good(w);
    expect_revision(w, first);
    expect_listed(w, "git:a.yaml=A ");
    /* Another root altogether. */
    sh(w, "cd work; git checkout -q --orphan other; git rm -qrf .; printf O >o.yaml; git add -A; "
          "git commit -qm o; git push -qf origin other:main");
    look_again(w);
    expect_listed(w, "git:o.yaml=O ");
}

static void test_refs_of_all_kinds(void **state)
{
    struct git_world *w = *state;
    push(w,
         "printf A >a.yaml; git add -A; git commit -qm a; git tag light; git tag -am x annotated; "
         "git push -q --tags origin; printf B >a.yaml");
    AUTO_FREE char *commit = sh_text(w, "git -C work rev-parse light");
    const char *const refs[] = {"light", "annotated", "refs/tags/annotated", commit};
    for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++) {
        w->opt.ref = refs[i];
        start(w);
        expect_good(w);
        expect_revision(w, commit);
        expect_listed(w, "git:a.yaml=A ");
        look_again(w);
        expect_good(w);
        w->source = git_source_free(w->source);
    }
    AUTO_FREE char *head = head_of(w);
    const char *const heads[] = {NULL, "HEAD", "refs/heads/main"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        w->opt.ref = heads[i];
        start(w);
        expect_good(w);
        expect_revision(w, head);
        w->source = git_source_free(w->source);
    }
    sh(w, "git -C work push -q origin HEAD:refs/heads/light");
    w->opt.ref = "light";
    start(w);
    expect_problem(w, "'light' is a branch and a tag; expected --ref refs/heads/light");
    /* The end of a longer name is another name. */
    sh(w, "git -C work push -q origin HEAD:refs/heads/x/only");
    w->source = git_source_free(w->source);
    w->opt.ref = "only";
    start(w);
    expect_problem(w, "the remote has no branch or tag 'only'");
}

static void test_a_path_of_the_repository(void **state)
{
    struct git_world *w = *state;
    push(w, "mkdir -p bottles/prod other; printf A >bottles/prod/a.yaml; printf X >other/x.yaml; "
            "printf f >bottles/file.yaml");
    w->opt.path = "bottles/prod";
    start(w);
    expect_good(w);
    expect_listed(w, "git:bottles/prod/a.yaml=A ");
    AUTO_FREE char *first = head_of(w);
    push(w, "git rm -qr bottles/prod");
    look_again(w);
    expect_problem(w, "has no directory 'bottles/prod'");
    expect_revision(w, first);
    expect_listed(w, "git:bottles/prod/a.yaml=A ");
    assert_int_equal(count_events(w, "SourceRefused"), 1);
    look_again(w);
    assert_int_equal(count_events(w, "SourceRefused"), 1);
    /* Neither a file nor a symlink is a directory. */
    push(w, "ln -s /etc bottles/prod");
    look_again(w);
    expect_problem(w, "has no directory 'bottles/prod'");
    push(w, "rm bottles/prod; mkdir bottles/prod; printf B >bottles/prod/a.yaml");
    look_again(w);
    expect_good(w);
    expect_listed(w, "git:bottles/prod/a.yaml=B ");
}

/* An empty commit says that there is nothing; that is not the same as saying nothing. */
static void test_an_empty_commit_is_an_empty_listing(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    start(w);
    push(w, "git rm -q a.yaml");
    look_again(w);
    expect_good(w);
    AUTO_FREE char *head = head_of(w);
    expect_revision(w, head);
    expect_listed(w, "");
}

static void test_an_unreachable_remote_keeps_the_revision(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    start(w);
    AUTO_FREE char *head = head_of(w);
    sh(w, "mv remote.git away");
    look_again(w);
    expect_problem(w, "asking for refs");
    expect_revision(w, head);
    expect_listed(w, "git:a.yaml=A ");
    look_again(w);
    assert_int_equal(count_events(w, "SourceUnreachable"), 1);
    sh(w, "mv away remote.git");
    look_again(w);
    expect_good(w);
    assert_int_equal(count_events(w, "SourceReachable"), 1);
    assert_int_equal(w->news, 1);
    sh(w, "git -C remote.git update-ref -d refs/heads/main");
    look_again(w);
    expect_problem(w, "the remote has no branch or tag 'main'");
    expect_listed(w, "git:a.yaml=A ");
}

/* By itself, soon, although the interval is an hour. */
static void test_failures_are_tried_again_soon(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    sh(w, "mv remote.git away");
    start(w);
    expect_problem(w, "asking for refs");
    assert_null(git_source_revision(w->source));
    assert_null(git_source_root(w->source));
    sh(w, "mv away remote.git");
    for (w->wait_for = 2; git_source_problem(w->source) && w->wait_for < 6; w->wait_for++)
        wait_look(w);
    expect_good(w);
    expect_listed(w, "git:a.yaml=A ");
}

/* A name in git's words is no finding of git's own checks: the commit isn't given up. */
static void test_a_name_is_no_refusal(void **state)
{
    struct git_world *w = *state;
    AUTO_FREE char *command = xasprintf("sh %s/ssh", (const char *)w->scratch);
    AUTO_FREE char *url =
        xasprintf("ssh://git@fsck.example.com%s/remote.git", (const char *)w->scratch);
    push(w, "printf A >a.yaml");
    sh(w, "cat >ssh <<'E'\necho x >>\"$HOME/calls\"\n"
          "[ $(wc -l <\"$HOME/calls\") -ne 2 ] || { echo 'fsck.example.com: reset by peer' >&2; "
          "exit 255; }\n"
          "for all; do :; done\neval \"$all\"\nE");
    assert_int_equal(setenv("GIT_SSH_COMMAND", command, 1), 0);
    assert_int_equal(setenv("GIT_SSH_VARIANT", "simple", 1), 0);
    w->opt.url = url;
    w->opt.interval_s = 1;
    start(w);
    expect_problem(w, "fsck.example.com: reset by peer");
    for (w->wait_for = 2; git_source_problem(w->source) && w->wait_for < 6; w->wait_for++)
        wait_look(w);
    assert_int_equal(unsetenv("GIT_SSH_COMMAND"), 0);
    assert_int_equal(unsetenv("GIT_SSH_VARIANT"), 0);
    expect_good(w);
    expect_listed(w, "git:a.yaml=A ");
    w->source = git_source_free(w->source);
}

static void test_without_the_remote_a_start_has_the_last_tree(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    start(w);
    AUTO_FREE char *head = head_of(w);
    w->source = git_source_free(w->source);
    sh(w, "mv remote.git away");
    open_source(w);
    expect_revision(w, head);
    expect_listed(w, "git:a.yaml=A ");
    wait_look(w);
    expect_problem(w, "asking for refs");
    expect_listed(w, "git:a.yaml=A ");
    w->source = git_source_free(w->source);
    /* But what was fetched from elsewhere says nothing. */
    w->opt.path = "other";
    open_source(w);
    assert_null(git_source_root(w->source));
}

/* A look that is asked for while one is under way comes after it: that one may have been too early.
 */
static void test_a_poll_during_a_look_is_another_look(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    start(w);
    uint64_t one = git_source_poll(w->source);
    assert_int_equal(one, 2);
    while (git_source_poll(w->source) != 3)
        assert_true(sd_event_run(w->loop, 100000) >= 0);
    push(w, "printf B >a.yaml");
    w->wait_for = 3;
    wait_look(w);
    expect_listed(w, "git:a.yaml=B ");
}

static void test_freed_in_the_middle_and_by_its_own_hook(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    for (unsigned turns = 1; turns < 14; turns++) {
        open_source(w);
        for (unsigned i = 0; i < turns && git_source_looks(w->source) == 0; i++)
            assert_true(sd_event_run(w->loop, 1000000) >= 0);
        w->source = git_source_free(w->source);
    }
    /* Whatever that has left behind, the next start gets on. */
    start(w);
    expect_good(w);
    expect_listed(w, "git:a.yaml=A ");
    push(w, "printf B >a.yaml");
    w->free_when_looked = true;
    look_again(w);
    assert_null(w->source);
    assert_int_equal(w->news, 2);
}

static size_t count_trees(struct git_world *w)
{
    AUTO_FREE char *n = sh_text(w, "ls -A source/trees | wc -l");
    return (size_t)(n[0] - '0');
}

static void test_old_trees_and_the_leavings_of_a_crash_go(void **state)
{
    struct git_world *w = *state;
    push(w, "printf 1 >a.yaml");
    start(w);
    for (int i = 0; i < 5; i++) {
        push(w, "date +%N >a.yaml");
        look_again(w);
    }
    assert_int_equal(count_trees(w), 3);
    sh(w, "test $(readlink source/current) = trees/$(git -C work rev-parse HEAD); "
          "ls source/trees/$(git -C work rev-parse HEAD~1) source/trees/$(git -C work rev-parse "
          "HEAD~2) >/dev/null");
    w->source = git_source_free(w->source);
    /* As after kill -9: a half tree, a half swap, locks of git. */
    sh(w, "mkdir -p source/trees/.new-0011/x; : >source/trees/.new-0011/x/a.yaml; "
          "ln -s nowhere source/.tmp-0011; : >source/fetching; : >source/repo/shallow.lock; "
          "rm -r source/repo/objects");
    push(w, "printf 9 >a.yaml");
    start(w);
    expect_good(w);
    expect_listed(w, "git:a.yaml=9 ");
    assert_int_equal(count_trees(w), 3);
    sh(w, "test -z \"$(find source -name '.new-*' -o -name '.tmp-*' -o -name fetching)\"");
}

/* A repository that is damaged otherwise is made anew. */
static void test_a_damaged_repository_heals(void **state)
{
    struct git_world *w = *state;
    push(w, "printf 1 >a.yaml");
    start(w);
    sh(w, "rm -r source/repo/objects; : >source/repo/shallow.lock");
    push(w, "printf 2 >a.yaml");
    for (w->wait_for = 2; w->wait_for < 5; w->wait_for++) {
        if (w->wait_for == 2)
            (void)git_source_poll(w->source);
        wait_look(w);
        if (!git_source_problem(w->source))
            break;
    }
    expect_good(w);
    expect_listed(w, "git:a.yaml=2 ");
}

static void test_a_thousand_manifests_are_one_change(void **state)
{
    struct git_world *w = *state;
    push(w, "for i in $(seq 1000); do printf $i >$i.yaml; done");
    start(w);
    expect_good(w);
    assert_int_equal(w->news, 1);
    assert_int_equal(count_events(w, "Source"), 1);
    struct str_list dirs = {0};
    struct file_listing l = {0};
    str_list_add(&dirs, git_source_root(w->source));
    files_list(&dirs, &l);
    assert_int_equal(l.len, 1000);
    file_listing_done(&l);
    str_list_done(&dirs);
}

static void test_options_that_cannot_be_right(void **state)
{
    struct git_world *w = *state;
    struct git_source_hooks hooks = {.looked = on_looked, .event = on_event, .ctx = w};
    struct git_source_options o = w->opt;
    o.url = "ext::sh -c id";
    assert_err(git_source_new(w->loop, &o, &hooks, &w->source), ERR_INVALID, "git URL");
    o = w->opt;
    o.ref = "--upload-pack=x";
    assert_err(git_source_new(w->loop, &o, &hooks, &w->source), ERR_INVALID, "git ref");
    o = w->opt;
    o.path = "../x";
    assert_err(git_source_new(w->loop, &o, &hooks, &w->source), ERR_INVALID, "relative");
    o = w->opt;
    o.allowed_signers = "/no/such/file";
    assert_err(git_source_new(w->loop, &o, &hooks, &w->source), ERR_INVALID, "allowed signers");
    assert_null(w->source);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, git_setup, git_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_push_becomes_the_revision),
        CASE(test_history_that_is_rewritten_is_followed),
        CASE(test_refs_of_all_kinds),
        CASE(test_a_path_of_the_repository),
        CASE(test_an_empty_commit_is_an_empty_listing),
        CASE(test_an_unreachable_remote_keeps_the_revision),
        CASE(test_failures_are_tried_again_soon),
        CASE(test_a_name_is_no_refusal),
        CASE(test_without_the_remote_a_start_has_the_last_tree),
        CASE(test_a_poll_during_a_look_is_another_look),
        CASE(test_freed_in_the_middle_and_by_its_own_hook),
        CASE(test_old_trees_and_the_leavings_of_a_crash_go),
        CASE(test_a_damaged_repository_heals),
        CASE(test_a_thousand_manifests_are_one_change),
        CASE(test_options_that_cannot_be_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
