/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that want something else than to be read, and commits that nobody signed. */
#include "git_fixture.h"

static bool is_made(struct git_world *w, const char *name)
{
    return exists(&w->scratch, name);
}

/* Attributes, filters, hooks, submodules, a .git in the tree: nothing is run, and nothing changes
 * what is read. */
static void test_nothing_of_a_repository_is_executed(void **state)
{
    struct git_world *w = *state;
    sh(w, "cat >.gitconfig <<E\n[filter \"evil\"]\n\tsmudge = touch $HOME/smudged; cat\n"
          "\tclean = cat\n\trequired = true\n[core]\n\thooksPath = $HOME/hooks\n[init]\n"
          "\ttemplateDir = $HOME/template\n[alias]\n\tls-tree = !touch $HOME/alias\nE\n"
          "mkdir -p hooks template/hooks\n"
          "for h in reference-transaction post-checkout pre-auto-gc post-index-change; do\n"
          "printf '#!/bin/sh\\ntouch %s/hooked\\n' \"$HOME\" >hooks/$h; chmod +x hooks/$h\n"
          "cp hooks/$h template/hooks/; done");
    push(w,
         "printf 'a.yaml filter=evil ident export-subst text eol=crlf\\nb.yaml export-ignore\\n"
         "c.yaml working-tree-encoding=UTF-16LE\\n' >.gitattributes\n"
         "printf '[submodule \"s\"]\\n\\tpath = s\\n\\turl = ext::touch x\\n' >.gitmodules\n"
         "printf '$Id$ $Format:%%H$\\n' >a.yaml; printf B >b.yaml; printf 'C\\0' >c.yaml; mkdir s\n"
         "git update-index --add --cacheinfo 160000,$(git hash-object -t tree /dev/null),s\n"
         "mkdir -p hooks; printf '#!/bin/sh\\ntouch x\\n' >hooks/post-checkout");
    sh(w, "rm -f hooked smudged"); /* by the push */
    start(w);
    expect_good(w);
    expect_listed(w, "git:a.yaml=$Id$ $Format:%H$\n git:b.yaml=B git:c.yaml=C ");
    assert_false(is_made(w, "smudged"));
    assert_false(is_made(w, "hooked"));
    assert_false(is_made(w, "alias"));
    sh(w, "test -z \"$(find source -name hooks -o -name s -o -name .gitattributes)\"");
}

/* Links are followed inside only, by whoever reads. */
static void test_links_do_not_lead_out(void **state)
{
    struct git_world *w = *state;
    sh(w, "printf SECRET >secret.yaml");
    AUTO_FREE char *script = xasprintf(
        "mkdir d e; printf A >d/a.yaml; ln -s d/a.yaml in.yaml; ln -s /etc/hostname abs.yaml\n"
        "ln -s %s/secret.yaml near.yaml; ln -s ../../../secret.yaml up.yaml; ln -s / e/root\n"
        "ln -s ../../origin kept.yaml; ln -s loop.yaml loop.yaml\n"
        "mkdir .github; printf x >.github/rules.md; ln -s .github/rules.md AGENTS.md",
        (const char *)w->scratch);
    push(w, script);
    start(w);
    expect_good(w);
    expect_listed(w, "git:abs.yaml=a symlink that leaves the directory "
                     "git:d/a.yaml=A git:e/root=a symlink that leaves the directory "
                     "git:kept.yaml=a symlink that leaves the directory "
                     "git:loop.yaml=a symlink that ends in itself "
                     "git:near.yaml=a symlink that leaves the directory "
                     "git:up.yaml=a symlink that leaves the directory ");
}

/* A tree that says a name twice, first as a link out, then as a directory. git's fsck refuses it.
 */
static void test_a_forged_tree_is_refused(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    start(w);
    AUTO_FREE char *head = head_of(w);
    AUTO_FREE char *script =
        xasprintf("cd work; mkdir ../out\n"
                  "link=$(printf %s/out | git hash-object -w --stdin)\n"
                  "blob=$(printf X | git hash-object -w --stdin)\n"
                  "sub=$(printf '100644 blob %%s\\tx.yaml\\n' $blob | git mktree)\n"
                  "hex() { printf \"$(printf %%s $1 | sed 's/../\\\\x&/g')\"; }\n"
                  "bin() { printf %%s $1 | python3 -c 'import sys; "
                  "sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))'; }\n"
                  "tree=$({ printf '120000 d\\0'; bin $link; printf '40000 d\\0'; bin $sub; } | "
                  "git hash-object -t tree -w --stdin --literally)\n"
                  "git push -qf origin $(git commit-tree -m forged $tree):refs/heads/main",
                  (const char *)w->scratch);
    sh(w, script);
    look_again(w);
    expect_problem(w, "fsck");
    expect_revision(w, head);
    assert_int_equal(count_events(w, "SourceRefused"), 1);
    sh(w, "test -z \"$(ls out)\"");
    /* What was refused isn't fetched again by itself, and told once. */
    look_again(w);
    assert_int_equal(count_events(w, "SourceRefused"), 1);
    push(w, "printf B >a.yaml");
    look_again(w);
    expect_good(w);
}

static void test_too_much_is_refused_before_it_is_written(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    start(w);
    AUTO_FREE char *head = head_of(w);
    /* 80 MiB that weigh nothing in the repository. */
    push(w, "for i in $(seq 80); do head -c 1048576 /dev/zero >$i.yaml; done");
    look_again(w);
    expect_problem(w, "the manifest files are larger than 64 MiB together");
    expect_revision(w, head);
    push(w, "rm -f [0-9]*.yaml; printf 0 >0.json; sum=$(git hash-object -w 0.json)\n"
            "seq 5000 | sed \"s/.*/100644 $sum 0\\t&.yaml/\" | git update-index --index-info\n"
            "git commit -qm many; git push -qf origin HEAD:main; git reset -q --hard");
    look_again(w);
    expect_problem(w, "more than 4096 manifest files");
    expect_revision(w, head);
    expect_listed(w, "git:a.yaml=A ");
    sh(w, "test $(ls -A source/trees | wc -l) = 1");
}

/* A remote that leads to a command. */
static void test_no_remote_helper_is_run(void **state)
{
    struct git_world *w = *state;
    push(w, "printf A >a.yaml");
    AUTO_FREE char *config =
        xasprintf("printf '[url \"ext::sh -c touch%%%% %s/ran%%%% \"]\\n\\tinsteadOf = "
                  "https://git.example.com/\\n' >.gitconfig",
                  (const char *)w->scratch);
    sh(w, config);
    w->opt.url = "https://git.example.com/x";
    start(w);
    expect_problem(w, "transport 'ext' not allowed");
    assert_false(is_made(w, "ran"));
}

/* ---- signatures ----------------------------------------------------------------------------- */

static void make_keys(struct git_world *w)
{
    sh(w, "for k in ada eve; do ssh-keygen -q -t ed25519 -N '' -C $k -f $k; done\n"
          "printf 'ada@example.com namespaces=\"git\" %s\\n' \"$(cut -d' ' -f1,2 ada.pub)\" "
          ">signers\ngit -C work config gpg.format ssh");
}

#define SIGN(key) "git config user.signingkey \"$PWD/../" key "\"; git config commit.gpgsign true; "

/* Only ada may sign, and has; returns the commit. `*ret_signers` is to outlive the source. */
static char *start_signed(struct git_world *w, char **ret_signers)
{
    make_keys(w);
    *ret_signers = at(&w->scratch, "signers");
    w->opt.allowed_signers = *ret_signers;
    push(w, SIGN("ada") "printf A >a.yaml");
    start(w);
    expect_good(w);
    char *head = head_of(w);
    expect_revision(w, head);
    return head;
}

static void expect_refused(struct git_world *w, const char *head, const char *part)
{
    look_again(w);
    expect_problem(w, part);
    expect_problem(w, "is not signed by one of");
    expect_revision(w, head);
    expect_listed(w, "git:a.yaml=A ");
}

static void test_only_signed_commits_count(void **state)
{
    struct git_world *w = *state;
    AUTO_FREE char *signers = NULL, *head = start_signed(w, &signers);
    push(w, "git config commit.gpgsign false; printf B >a.yaml");
    expect_refused(w, head, "");
    assert_int_equal(count_events(w, "SourceRefused"), 1);
    look_again(w);
    assert_int_equal(count_events(w, "SourceRefused"), 1);

    push(w, SIGN("eve") "printf C >a.yaml");
    expect_refused(w, head, "");
    assert_int_equal(count_events(w, "SourceRefused"), 2);

    push(w, SIGN("ada") "printf D >a.yaml");
    look_again(w);
    expect_good(w);
    expect_listed(w, "git:a.yaml=D ");

    /* Every look asks the file anew: a key that it names later counts from then on. */
    push(w, SIGN("eve") "printf E >a.yaml");
    look_again(w);
    expect_problem(w, "is not signed by one of");
    sh(w, "printf 'eve@example.com %s\\n' \"$(cut -d' ' -f1,2 eve.pub)\" >>signers");
    look_again(w);
    expect_good(w);
    expect_listed(w, "git:a.yaml=E ");
}

/* A content that was changed after signing. */
static void test_a_forged_signature_does_not_count(void **state)
{
    struct git_world *w = *state;
    AUTO_FREE char *signers = NULL, *head = start_signed(w, &signers);
    push(w, "printf B >a.yaml; git add -A; git commit -qm b; "
            "forged=$(git cat-file commit HEAD | sed 's/^b$/c/' | git hash-object -t commit -w "
            "--stdin)\n"
            "git config commit.gpgsign false; git reset -q --hard $forged");
    sh(w, "git -C work push -qf origin HEAD~1:main"); /* below push()'s own commit */
    expect_refused(w, head, "");
}

/* A signature of another kind is for another program to judge, with keys that nobody has allowed.
 */
static void test_no_other_key_ring_is_asked(void **state)
{
    struct git_world *w = *state;
    AUTO_FREE char *signers = NULL, *head = start_signed(w, &signers);
    sh(w, "mkdir bin; for p in gpg gpgsm; do printf '#!/bin/sh\\ncat >/dev/null; touch "
          "%s/asked\\nprintf \"[GNUPG:] NEWSIG\\\\n[GNUPG:] GOODSIG 0123456789ABCDEF "
          "Eve\\\\n[GNUPG:] VALIDSIG 0123456789ABCDEF0123456789ABCDEF01234567\\\\n[GNUPG:] "
          "TRUST_ULTIMATE\\\\n\" \\n' \"$PWD\" >bin/$p; chmod +x bin/$p; done");
    AUTO_FREE char *path = xasprintf("%s/bin:%s", (const char *)w->scratch, getenv("PATH"));
    AUTO_FREE char *before = xstrdup(getenv("PATH"));
    assert_int_equal(setenv("PATH", path, 1), 0);
    const char *const armours[] = {"PGP SIGNATURE", "SIGNED MESSAGE"};
    for (size_t i = 0; i < 2; i++) {
        AUTO_FREE char *script = xasprintf(
            "cd work; git config commit.gpgsign false; printf %zu >a.yaml; git add -A; git commit "
            "-qm x\n"
            "forged=$(git cat-file commit HEAD | sed '/^committer /a gpgsig -----BEGIN %s-----\\n "
            "x\\n -----END %s-----' | git hash-object -t commit -w --stdin)\n"
            "git push -qf origin $forged:refs/heads/main\n"
            /* The trap is armed: with git's own settings it counts. */
            "git verify-commit $forged; rm ../asked",
            i, armours[i], armours[i]);
        sh(w, script);
        expect_refused(w, head, "");
        assert_false(is_made(w, "asked"));
    }
    assert_int_equal(setenv("PATH", before, 1), 0);
}

/* Trees of commits that needn't be signed say nothing once they must be. */
static void test_verification_begins_anew(void **state)
{
    struct git_world *w = *state;
    make_keys(w);
    push(w, "printf A >a.yaml");
    start(w);
    expect_listed(w, "git:a.yaml=A ");
    w->source = git_source_free(w->source);
    AUTO_FREE char *signers = at(&w->scratch, "signers");
    w->opt.allowed_signers = signers;
    start(w);
    expect_problem(w, "is not signed by one of");
    assert_null(git_source_root(w->source));
}

/* ---- what is shown -------------------------------------------------------------------------- */

static void test_a_password_is_never_shown(void **state)
{
    struct git_world *w = *state;
    w->opt.url = "https://ada:hunter2@127.0.0.1:1/x.git";
    start(w);
    expect_problem(w, "127.0.0.1");
    assert_non_null(strstr(w->events.p, "git 'https://***@127.0.0.1:1/x.git'"));
    json_t *json = git_source_json(w->source);
    AUTO_FREE char *text = XNN(json_dumps(json, 0));
    json_decref(json);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "ada"));
    assert_null(strstr(w->events.p, "hunter2"));
    assert_null(strstr(w->events.p, "ada"));
    assert_int_equal(count_events(w, "SourceUnreachable"), 1);
    sh(w, "! grep -rq hunter2 source");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, git_setup, git_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_nothing_of_a_repository_is_executed),
        CASE(test_links_do_not_lead_out),
        CASE(test_a_forged_tree_is_refused),
        CASE(test_too_much_is_refused_before_it_is_written),
        CASE(test_no_remote_helper_is_run),
        CASE(test_only_signed_commits_count),
        CASE(test_a_forged_signature_does_not_count),
        CASE(test_no_other_key_ring_is_asked),
        CASE(test_verification_begins_anew),
        CASE(test_a_password_is_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
