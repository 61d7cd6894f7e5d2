/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of files, sockets and inotify share: scratch directories, children, a loop with a
 * deadline. */
#ifndef BOTTLER_TESTS_UNIT_CONTROLLER_IO_SUPPORT_H
#define BOTTLER_TESTS_UNIT_CONTROLLER_IO_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/base/err.h"
#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

/* For waiting in vain only, so it may be long: a busy machine takes its time. */
enum { IO_DEADLINE_S = 120, IO_NOBODY = 65534 };

/* Each test works in a directory of its own: *state is its path. */
static inline int scratch_setup(void **state)
{
    char *dir = xstrdup("/tmp/bottler-io.XXXXXX");
    if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
        return -1;
    *state = dir;
    return 0;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int scratch_teardown(void **state)
{
    char *dir = *state;
    int r = nftw(dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
    return r;
}

static inline char *at(void *const *state, const char *name)
{
    return xasprintf("%s/%s", (const char *)*state, name);
}

/* Writes a file below the scratch directory. */
static inline void put(void *const *state, const char *name, const char *text)
{
    AUTO_FREE char *path = at(state, name);
    AUTO_CLOSE fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static inline void make_dir(void *const *state, const char *name)
{
    AUTO_FREE char *path = at(state, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static inline void link_to(void *const *state, const char *target, const char *name)
{
    AUTO_FREE char *path = at(state, name);
    assert_int_equal(symlink(target, path), 0);
}

static inline void move(void *const *state, const char *from, const char *to)
{
    AUTO_FREE char *a = at(state, from), *b = at(state, to);
    assert_int_equal(rename(a, b), 0);
}

static inline bool exists(void *const *state, const char *name)
{
    AUTO_FREE char *path = at(state, name);
    struct stat st;
    return lstat(path, &st) == 0;
}

static inline void assert_ok(struct err *e)
{
    if (e)
        print_error("unexpected: %s\n", err_message(e));
    assert_null(e);
}

/* The error has this kind and its message holds `part`. */
static inline void assert_err(struct err *e_take, enum err_kind kind, const char *part)
{
    AUTO_ERR e = e_take;
    assert_non_null(e);
    if (err_kind(e) != kind || !strstr(err_message(e), part))
        print_error("got %s: %s\n", err_kind_name(err_kind(e)), err_message(e));
    assert_string_equal(err_kind_name(err_kind(e)), err_kind_name(kind));
    assert_non_null(strstr(err_message(e), part));
}

/* Turns the loop until `done` says so; false when that took too long. */
static inline bool turn_until(sd_event *loop, bool (*done)(void *ctx), void *ctx)
{
    uint64_t now = 0, end = 0;
    (void)sd_event_now(loop, CLOCK_MONOTONIC, &end);
    for (end += IO_DEADLINE_S * UINT64_C(1000000); !done(ctx);) {
        if (sd_event_run(loop, 100000) < 0)
            return false;
        (void)sd_event_now(loop, CLOCK_MONOTONIC, &now);
        if (now > end)
            return false;
    }
    return true;
}

/* Runs `fn` in a child, which passes when it returns NULL; else what it returns is the complaint.
 */
typedef char *child_fn(void *ctx);
static inline pid_t child_start(child_fn *fn, void *ctx, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(IO_DEADLINE_S);
        char *complaint = fn(ctx);
        if (complaint) {
            ssize_t n = write(fds[1], complaint, strlen(complaint));
            (void)n;
        }
        _exit(complaint ? 1 : 0);
    }
    (void)close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

/* Ends one that goes on for as long as it lives. */
static inline void child_kill(pid_t pid, int fd_take)
{
    int status = 0;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(fd_take);
}

static inline void child_result(int fd_take, int status)
{
    char text[1024] = "";
    ssize_t n = read(fd_take, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    (void)close(fd_take);
    if (n > 0)
        print_error("child: %s\n", text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

struct child_wait {
    pid_t pid;
    bool ended;
    int status;
};
static inline bool child_ended(void *ctx)
{
    struct child_wait *c = ctx;
    if (!c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
        c->ended = true;
    return c->ended;
}

/* The same, with the loop turning meanwhile (NULL: just waits). */
static inline void run_child(sd_event *loop, child_fn *fn, void *ctx)
{
    struct child_wait c = {0};
    int fd = -1;
    c.pid = child_start(fn, ctx, &fd);
    if (loop)
        assert_true(turn_until(loop, child_ended, &c));
    else
        assert_int_equal(waitpid(c.pid, &c.status, 0), c.pid);
    child_result(fd, c.status);
}

#define CHILD_CHECK(cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            return xasprintf("line %d: %s", __LINE__, #cond);                                      \
    } while (0)

/* In a child: becomes a user without rights. `group` is its primary group, `extra` a supplementary
 * one. */
static inline bool become_nobody(gid_t group, gid_t extra)
{
    return setgroups(1, &extra) == 0 && setresgid(group, group, group) == 0 &&
           setresuid(IO_NOBODY, IO_NOBODY, IO_NOBODY) == 0;
}

/* Tests about other users need root. */
static inline void need_root(void)
{
    if (geteuid() == 0)
        return;
    if (getenv("BOTTLER_TEST_STRICT"))
        fail_msg("this test needs root");
    skip();
}

#endif
