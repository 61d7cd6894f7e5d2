/* SPDX-License-Identifier: Apache-2.0 */
/* A scratch directory with a work tree `work`, whose remote is the bare repository `remote.git`,
 * and a source that looks at it. */
#ifndef BOTTLER_TESTS_UNIT_CONTROLLER_GIT_FIXTURE_H
#define BOTTLER_TESTS_UNIT_CONTROLLER_GIT_FIXTURE_H

#include "io_support.h"

#include "controller/git_source.h"
#include "controller/watch.h"

struct git_world {
    void *scratch;
    sd_event *loop;
    struct git_source *source;
    char *url, *dir;
    struct git_source_options opt;
    unsigned news;     /* looks that gave another revision */
    struct str events; /* "reason: message\n" each */
    uint64_t wait_for; /* for looked() */
    bool free_when_looked;
};

/* In the scratch directory, with ada's name; fails the test when the script fails. */
static inline void sh(struct git_world *w, const char *script)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (chdir(w->scratch) == 0 && setenv("HOME", w->scratch, 1) == 0 &&
            setenv("GIT_CONFIG_NOSYSTEM", "1", 1) == 0 &&
            setenv("GIT_AUTHOR_NAME", "Ada", 1) == 0 &&
            setenv("GIT_AUTHOR_EMAIL", "ada@example.com", 1) == 0 &&
            setenv("GIT_COMMITTER_NAME", "Ada", 1) == 0 &&
            setenv("GIT_COMMITTER_EMAIL", "ada@example.com", 1) == 0)
            (void)execl("/bin/sh", "sh", "-euc", script, (char *)NULL);
        _exit(126);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("this script failed: %s", script);
}

/* What a script prints, without the last newline; the caller frees. */
static inline char *sh_text(struct git_world *w, const char *script)
{
    AUTO_FREE char *all = xasprintf("{ %s; } >text", script);
    sh(w, all);
    AUTO_FREE char *path = at(&w->scratch, "text");
    AUTO_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[4096] = "";
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    size_t n = strlen(text);
    return xmemdup0(text, n && text[n - 1] == '\n' ? n - 1 : n);
}

/* Commits all of the work tree and pushes it over whatever is there. */
static inline void push(struct git_world *w, const char *script)
{
    AUTO_FREE char *all = xasprintf(
        "cd work; %s\ngit add -A; git commit -q --allow-empty -m x; git push -qf origin HEAD:main",
        script);
    sh(w, all);
}

static inline char *head_of(struct git_world *w)
{
    return sh_text(w, "git -C work rev-parse HEAD");
}

static inline void on_looked(void *ctx, bool news)
{
    struct git_world *w = ctx;
    w->news += news;
    if (w->free_when_looked)
        w->source = git_source_free(w->source);
}

static inline void on_event(void *ctx, enum journal_type type, const char *reason,
                            char *message_take)
{
    struct git_world *w = ctx;
    (void)type;
    str_addf(&w->events, "%s: %s\n", reason, message_take);
    free(message_take);
}

static inline int git_setup(void **state)
{
    struct git_world *w = xcalloc(1, sizeof(*w));
    if (scratch_setup(&w->scratch) < 0 || sd_event_new(&w->loop) < 0)
        return -1;
    str_init(&w->events, 1 << 20);
    w->dir = at(&w->scratch, "source");
    w->url = xasprintf("file://%s/remote.git", (const char *)w->scratch);
    w->opt = (struct git_source_options){
        .dir = w->dir, .url = w->url, .ref = "main", .interval_s = 3600};
    /* The user's own configuration has no say in tests. */
    if (setenv("HOME", w->scratch, 1) < 0 || setenv("GIT_CONFIG_NOSYSTEM", "1", 1) < 0)
        return -1;
    sh(w, "git init -q --bare -b main remote.git; git init -q -b main work; cd work; "
          "git remote add origin ../remote.git");
    *state = w;
    return 0;
}

static inline int git_teardown(void **state)
{
    struct git_world *w = *state;
    git_source_free(w->source);
    sd_event_unref(w->loop);
    str_done(&w->events);
    free(w->url);
    free(w->dir);
    int r = scratch_teardown(&w->scratch);
    free(w);
    return r;
}

static inline void open_source(struct git_world *w)
{
    struct git_source_hooks hooks = {.looked = on_looked, .event = on_event, .ctx = w};
    assert_ok(git_source_new(w->loop, &w->opt, &hooks, &w->source));
    w->wait_for = 1;
}

static inline bool looked(void *ctx)
{
    const struct git_world *w = ctx;
    return !w->source || git_source_looks(w->source) >= w->wait_for;
}

static inline void wait_look(struct git_world *w)
{
    assert_true(turn_until(w->loop, looked, w));
}

static inline void look_again(struct git_world *w)
{
    w->wait_for = git_source_poll(w->source);
    wait_look(w);
}

/* A first look that is waited for. */
static inline void start(struct git_world *w)
{
    open_source(w);
    wait_look(w);
}

/* "a.yaml=A b/c.yaml=C ": what is listed of the current revision, as users see it. */
static inline void expect_listed(struct git_world *w, const char *expected)
{
    struct str_list dirs = {0};
    struct file_listing l = {0};
    struct str s;
    assert_non_null(git_source_root(w->source));
    str_init(&s, 1 << 16);
    str_list_add(&dirs, git_source_root(w->source));
    files_list(&dirs, &l);
    for (size_t i = 0; i < l.len; i++) {
        AUTO_FREE char *shown = git_source_shown(w->source, l.files[i].path);
        str_addf(&s, "%s=%s ", shown, l.files[i].error ? l.files[i].error : l.files[i].bytes);
    }
    assert_string_equal(s.p, expected);
    str_done(&s);
    file_listing_done(&l);
    str_list_done(&dirs);
}

static inline void expect_revision(struct git_world *w, const char *commit)
{
    assert_non_null(git_source_revision(w->source));
    assert_string_equal(git_source_revision(w->source), commit);
}

static inline void expect_problem(struct git_world *w, const char *part)
{
    const char *problem = git_source_problem(w->source);
    if (!problem || !strstr(problem, part))
        fail_msg("expected a problem with '%s', have '%s'", part, problem ? problem : "none");
}

static inline void expect_good(struct git_world *w)
{
    if (git_source_problem(w->source))
        fail_msg("unexpected: %s", git_source_problem(w->source));
}

static inline size_t count_events(const struct git_world *w, const char *reason)
{
    size_t n = 0;
    for (const char *p = strstr(w->events.p, reason); p; p = strstr(p + 1, reason))
        n++;
    return n;
}

#endif
