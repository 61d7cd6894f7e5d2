/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher itself: the bytes that bottler carries, run here. Only the path of the file that it
 * reads is another one in the copy: "env" in the working directory.
 */
#include "tests/unit/support.h"

#include "render/launcher.h"
#include "spec/base/xalloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET "launch-value-2718281828"
#define LAUNCH_FILE_ENV "/etc/bottler/env"

/* A directory with the launcher's copy; *state is its path. */
static int setup(void **state)
{
    char *dir = xstrdup("/tmp/bottler-launch.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    struct sv bytes = launcher_bytes();
    AUTO_FREE char *copy = xmemdup0(bytes.p, bytes.n);
    size_t places = 0;
    for (char *at = copy; (at = memmem(at, bytes.n - (size_t)(at - copy), LAUNCH_FILE_ENV,
                                       sizeof(LAUNCH_FILE_ENV))) != NULL;
         at++) {
        memcpy(at, "env", sizeof("env"));
        places++;
    }
    AUTO_FREE char *path = xasprintf("%s/launch", dir);
    test_write_file(path, copy, bytes.n);
    *state = dir;
    return places == 1 && chmod(path, 0700) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    char *dir = *state;
    static const char *const NAMES[] = {"launch", "env", "out", "err", "tool", "data"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        AUTO_FREE char *path = xasprintf("%s/%s", dir, NAMES[i]);
        (void)unlink(path);
    }
    int rc = rmdir(dir);
    free(dir);
    return rc;
}

static char *in_dir(void **state, const char *name)
{
    return xasprintf("%s/%s", (const char *)*state, name);
}

static void put(void **state, const char *name, const char *bytes, size_t n)
{
    AUTO_FREE char *path = in_dir(state, name);
    test_write_file(path, bytes, n);
}

#define PUT_ENV(state, text) put(state, "env", text, sizeof(text) - 1)

static char *got(void **state, const char *name, size_t *ret_n)
{
    AUTO_FREE char *path = in_dir(state, name);
    struct test_bytes b = test_read_file(path);
    *ret_n = b.n;
    return b.p;
}

/* Nothing was written there. */
static void silent(void **state, const char *name)
{
    size_t n = 0;
    AUTO_FREE char *bytes = got(state, name, &n);
    assert_string_equal(bytes, "");
    assert_int_equal(n, 0);
}

/* Descriptors 1 and 2 become the files; a child that can't isn't worth a message. */
static void child(const char *dir, char *const *argv, char *const *envp)
{
    if (chdir(dir) == 0) {
        int out = open("out", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int err = open("err", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (out >= 0 && err >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0)
            (void)execve("./launch", argv, envp);
    }
    _exit(99);
}

/* The exit status of `launch ARGUMENT…`, of which there are three at most. */
static int launch(void **state, const char *a, const char *b, const char *c)
{
    const char *const args[] = {"launch", a, b, c};
    const char *const vars[] = {"PATH=/usr/bin:/bin", "KEPT=kept", "CHANGED=old"};
    enum { ARGS = sizeof(args) / sizeof(args[0]), VARS = sizeof(vars) / sizeof(vars[0]) };
    char *argv[ARGS + 1] = {0};
    char *envp[VARS + 1] = {0};
    for (size_t i = 0; i < ARGS; i++)
        argv[i] = xstrdup_null(args[i]);
    for (size_t i = 0; i < VARS; i++)
        envp[i] = xstrdup(vars[i]);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(*state, argv, envp);
    for (size_t i = 0; i < ARGS; i++)
        free(argv[i]);
    for (size_t i = 0; i < VARS; i++)
        free(envp[i]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What was said has the part, in one line of the launcher's, and no secret. */
static void said(void **state, const char *part)
{
    size_t n = 0;
    AUTO_FREE char *err = got(state, "err", &n);
    if (!strstr(err, part))
        print_error("said: %s\nexpected: %s\n", err, part);
    assert_non_null(strstr(err, part));
    assert_memory_equal(err, "bottler launch: ", strlen("bottler launch: "));
    assert_ptr_equal(strchr(err, '\n'), err + n - 1);
    assert_null(strstr(err, SECRET));
}

/* ---- it works -------------------------------------------------------------------------------- */

static void the_program_has_the_variables(void **state)
{
    static const char WANT[] =
        "PATH=/usr/bin:/bin\0KEPT=kept\0CHANGED=" SECRET "\0TWO=a=b\nc \xff\0EMPTY=";
    PUT_ENV(state, "CHANGED=" SECRET "\0TWO=a=b\nc \xff\0EMPTY=\0");
    assert_int_equal(launch(state, "env", "-0", NULL), 0);
    size_t n = 0;
    AUTO_FREE char *out = got(state, "out", &n);
    assert_int_equal(n, sizeof(WANT));
    assert_memory_equal(out, WANT, n);
    silent(state, "err");
}

static void the_program_is_itself_with_its_arguments_and_status(void **state)
{
    PUT_ENV(state, "A=7\0");
    assert_int_equal(launch(state, "sh", "-c", "printf %s \"$0 $#\"; exit $A"), 7);
    size_t n = 0;
    AUTO_FREE char *out = got(state, "out", &n);
    assert_string_equal(out, "sh 0");
}

static void the_path_is_the_new_environments(void **state)
{
    static const char TOOL[] = "#!/bin/sh\necho found\n";
    AUTO_FREE char *tool = in_dir(state, "tool");
    AUTO_FREE char *env = xasprintf("PATH=%s", (const char *)*state);
    put(state, "tool", TOOL, strlen(TOOL));
    assert_int_equal(chmod(tool, 0700), 0);
    put(state, "env", env, strlen(env) + 1);
    assert_int_equal(launch(state, "tool", NULL, NULL), 0);
    size_t n = 0;
    AUTO_FREE char *out = got(state, "out", &n);
    assert_string_equal(out, "found\n");
    assert_int_equal(launch(state, "sh", "-c", "true"), 127);
    said(state, "'sh': No such file or directory");
}

static void an_empty_file_adds_nothing(void **state)
{
    put(state, "env", "", 0);
    assert_int_equal(launch(state, "env", NULL, NULL), 0);
    size_t n = 0;
    AUTO_FREE char *out = got(state, "out", &n);
    assert_string_equal(out, "PATH=/usr/bin:/bin\nKEPT=kept\nCHANGED=old\n");
}

static void as_much_as_may_be_arrives(void **state)
{
    enum { RECORDS = 8, RECORD = LAUNCHER_ENV_MAX_BYTES / RECORDS };
    AUTO_FREE char *all = xmalloc(LAUNCHER_ENV_MAX_BYTES + 1);
    memset(all, 'x', LAUNCHER_ENV_MAX_BYTES);
    for (size_t i = 0; i < RECORDS; i++) {
        all[i * RECORD] = (char)('A' + (int)i);
        all[i * RECORD + 1] = '=';
        all[(i + 1) * RECORD - 1] = '\0';
    }
    put(state, "env", all, LAUNCHER_ENV_MAX_BYTES);
    assert_int_equal(launch(state, "sh", "-c", "echo ${#A} ${#H}"), 0);
    size_t n = 0;
    AUTO_FREE char *out = got(state, "out", &n);
    assert_string_equal(out, "131069 131069\n");
    /* A byte more is refused, whatever it is. */
    all[LAUNCHER_ENV_MAX_BYTES] = '\0';
    put(state, "env", all, LAUNCHER_ENV_MAX_BYTES + 1);
    assert_int_equal(launch(state, "true", NULL, NULL), 125);
    said(state, "env: over 1048576 bytes");
}

/* ---- it fails -------------------------------------------------------------------------------- */

static void without_a_command_it_says_so(void **state)
{
    PUT_ENV(state, "A=" SECRET "\0");
    assert_int_equal(launch(state, NULL, NULL, NULL), 125);
    said(state, "expected a command to run");
}

static void without_its_file_nothing_runs(void **state)
{
    AUTO_FREE char *env = in_dir(state, "env");
    assert_int_equal(launch(state, "sh", "-c", "echo ran"), 125);
    said(state, "env: No such file or directory");
    /* Nor through a link that somebody put in its place. */
    assert_int_equal(symlink("data", env), 0);
    put(state, "data", "A=b\0", 4);
    assert_int_equal(launch(state, "sh", "-c", "echo ran"), 125);
    said(state, "env: Too many levels of symbolic links");
    assert_int_equal(unlink(env), 0);
    assert_int_equal(mkdir(env, 0700), 0);
    assert_int_equal(launch(state, "sh", "-c", "echo ran"), 125);
    said(state, "env: Is a directory");
    assert_int_equal(rmdir(env), 0);
    silent(state, "out");
}

static void a_broken_record_is_counted_and_nothing_runs(void **state)
{
    static const struct {
        struct sv bytes;
        const char *says;
    } BAD[] = {
        {{"A=" SECRET, sizeof("A=" SECRET) - 1}, "record 1 isn't NAME=VALUE and a NUL"},
        {{"A=1\0B=" SECRET, sizeof("A=1\0B=" SECRET) - 1}, "record 2 isn't"},
        {{"A=1\0" SECRET "\0", sizeof("A=1\0" SECRET "\0") - 1}, "record 2 isn't"},
        {{"=" SECRET "\0", sizeof("=" SECRET "\0") - 1}, "record 1 isn't"},
        {{"A=1\0\0B=2\0", sizeof("A=1\0\0B=2\0") - 1}, "record 2 isn't"},
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        put(state, "env", BAD[i].bytes.p, BAD[i].bytes.n);
        assert_int_equal(launch(state, "sh", "-c", "echo ran"), 125);
        said(state, BAD[i].says);
        silent(state, "out");
    }
}

static void a_program_that_does_not_run_is_named(void **state)
{
    PUT_ENV(state, "A=" SECRET "\0");
    put(state, "data", "text", 4);
    assert_int_equal(launch(state, "no-such-program", NULL, NULL), 127);
    said(state, "'no-such-program': No such file or directory");
    assert_int_equal(launch(state, "./data/x", NULL, NULL), 127);
    said(state, "'./data/x': Not a directory");
    assert_int_equal(launch(state, "./data", NULL, NULL), 126);
    said(state, "'./data': Permission denied");
    assert_int_equal(launch(state, "", NULL, NULL), 127);
    said(state, "'': No such file or directory");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_program_has_the_variables),
        T(the_program_is_itself_with_its_arguments_and_status),
        T(the_path_is_the_new_environments),
        T(an_empty_file_adds_nothing),
        T(as_much_as_may_be_arrives),
        T(without_a_command_it_says_so),
        T(without_its_file_nothing_runs),
        T(a_broken_record_is_counted_and_nothing_runs),
        T(a_program_that_does_not_run_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
