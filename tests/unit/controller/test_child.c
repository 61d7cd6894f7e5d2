/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/child.h"

#include <poll.h>
#include <signal.h>

struct seen {
    sd_event *loop;
    struct child *child;
    unsigned calls;
    enum child_how how;
    int code;
    char *out, *err;
    size_t out_n;
};

static int setup(void **state)
{
    struct seen *s = xcalloc(1, sizeof(*s));
    *state = s;
    return sd_event_new(&s->loop) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct seen *s = *state;
    child_free(s->child);
    sd_event_unref(s->loop);
    free(s->out);
    free(s->err);
    free(s);
    return 0;
}

static void ended(void *ctx, const struct child_end *end)
{
    struct seen *s = ctx;
    s->calls++;
    s->how = end->how;
    s->code = end->code;
    s->out = xmemdup0(end->out.p, end->out.n);
    s->out_n = end->out.n;
    s->err = xmemdup0(end->err.p, end->err.n);
    s->child = child_free(s->child);
}

static bool has_ended(void *ctx)
{
    const struct seen *s = ctx;
    return s->calls > 0;
}

static struct child_spec shell(char *const argv[])
{
    static char path[] = "PATH=/usr/bin:/bin", only[] = "ONLY=this";
    static char *const env[] = {path, only, NULL};
    return (struct child_spec){.argv = argv,
                               .env = env,
                               .stdin_fd = -1,
                               .out_max = 1 << 16,
                               .err_max = 1 << 10,
                               .timeout_ms = IO_DEADLINE_S * 1000};
}

#define SCRIPT(text)                                                                               \
    (char *const[])                                                                                \
    {                                                                                              \
        (char[]){"sh"}, (char[]){"-c"}, (char[]){text}, NULL                                       \
    }

static void start(struct seen *s, const struct child_spec *spec)
{
    assert_ok(child_run(s->loop, spec, ended, s, &s->child));
}

static void wait_end(struct seen *s)
{
    assert_true(turn_until(s->loop, has_ended, s));
    assert_int_equal(s->calls, 1);
}

static void run(struct seen *s, const struct child_spec *spec)
{
    start(s, spec);
    wait_end(s);
}

static void test_output_and_exit_code(void **state)
{
    struct seen *s = *state;
    struct child_spec spec = shell(SCRIPT("printf out; printf err >&2; exit 3"));
    run(s, &spec);
    assert_int_equal(s->how, CHILD_EXITED);
    assert_int_equal(s->code, 3);
    assert_string_equal(s->out, "out");
    assert_string_equal(s->err, "err");
}

/* What it has: the environment that was given, an empty stdin, a session without a terminal, no
 * other descriptor, no signal blocked or ignored (but 32 and 33, the C library's own, which its
 * posix_spawn() leaves ignored in what make starts). */
static void test_its_surroundings(void **state)
{
    struct seen *s = *state;
    sigset_t set, before;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGUSR1};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    AUTO_CLOSE secret = dup(STDERR_FILENO); /* not close-on-exec */
    struct child_spec spec = shell(SCRIPT(
        "env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | sort; cat; echo end of input\n"
        "(: </dev/tty) 2>/dev/null || echo no terminal\n"
        "grep -E '^SigBlk' /proc/self/status | tr -d '\\t'\n"
        "printf 'SigIgn:%x\\n' $((0x$(sed -n 's/^SigIgn:\t*//p' /proc/self/status) & "
        "~0x180000000))\n"
        "test \"$(cut -d' ' -f6 /proc/$$/stat)\" = $$ && echo own session\n"
        "for fd in /proc/$$/fd/*; do case $fd in */[012]) ;; *) readlink $fd && echo $fd;; esac; "
        "done\numask"));
    run(s, &spec);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        (void)signal(ignored[i], SIG_DFL);
    assert_string_equal(s->out, "ONLY=this\nPATH=/usr/bin:/bin\nend of input\nno terminal\n"
                                "SigBlk:0000000000000000\nSigIgn:0\nown session\n"
                                "0077\n");
}

static void test_stdin_from_a_descriptor(void **state)
{
    struct seen *s = *state;
    AUTO_CLOSE fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    struct child_spec spec = shell(SCRIPT("cat"));
    spec.stdin_fd = fd;
    run(s, &spec);
    assert_string_equal(s->out, "test_child\n");
}

static void test_much_output_is_whole(void **state)
{
    struct seen *s = *state;
    struct child_spec spec = shell(SCRIPT("head -c 3000000 /dev/zero"));
    spec.out_max = 3000000;
    run(s, &spec);
    assert_int_equal(s->how, CHILD_EXITED);
    assert_int_equal(s->out_n, 3000000);
}

static void test_a_flood_is_ended(void **state)
{
    struct seen *s = *state;
    struct child_spec spec = shell(SCRIPT("cat /dev/zero"));
    run(s, &spec);
    assert_int_equal(s->how, CHILD_FLOODED);
    assert_int_equal(s->out_n, 1 << 16);
}

static void test_much_on_stderr_is_cut(void **state)
{
    struct seen *s = *state;
    struct child_spec spec =
        shell(SCRIPT("printf first >&2; head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1"));
    run(s, &spec);
    assert_int_equal(s->how, CHILD_EXITED);
    assert_int_equal(s->code, 1);
    assert_int_equal(strlen(s->err), 1 << 10);
    assert_memory_equal(s->err, "firstxxx", 8);
}

static void test_a_signal_is_told(void **state)
{
    struct seen *s = *state;
    struct child_spec spec = shell(SCRIPT("kill -9 $$"));
    run(s, &spec);
    assert_int_equal(s->how, CHILD_SIGNALLED);
    assert_int_equal(s->code, SIGKILL);
}

static bool is_gone(void *ctx)
{
    const char *pid = ctx;
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof(path), "/proc/%.20s", pid);
    return stat(path, &st) < 0;
}

/* A zombie that init has yet to see is as good as gone; cmocka's loop has none to wait with. */
static void expect_gone(const char *pid)
{
    AUTO_FREE char *copy = xmemdup0(pid, strcspn(pid, "\n"));
    assert_true(*copy);
    for (int i = 0; i < IO_DEADLINE_S * 100 && !is_gone(copy); i++) {
        AUTO_FREE char *path = xasprintf("/proc/%s/stat", copy);
        char text[512] = "";
        AUTO_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strstr(text, ") Z "))
            return;
        (void)poll(NULL, 0, 10);
    }
    assert_true(is_gone(copy));
}

static bool wrote(void *ctx)
{
    struct stat st;
    return stat(ctx, &st) == 0 && st.st_size > 0;
}

/* What it started goes with it, also when that ignores SIGTERM and holds the pipes. The loop stands
 * still until both ignore it, so that the time is up no sooner. */
static void test_a_timeout_ends_the_group(void **state)
{
    struct seen *s = *state;
    char name[] = "/tmp/bottler-io.XXXXXX";
    AUTO_CLOSE fd = mkstemp(name);
    assert_true(fd >= 0);
    AUTO_FREE char *script =
        xasprintf("trap '' TERM; sh -c 'trap \"\" TERM; echo $$; echo >%s; exec sleep 1000'", name);
    struct child_spec spec = shell((char *const[]){(char[]){"sh"}, (char[]){"-c"}, script, NULL});
    spec.timeout_ms = 200;
    start(s, &spec);
    for (int i = 0; i < IO_DEADLINE_S * 100 && !wrote(name); i++)
        (void)poll(NULL, 0, 10);
    assert_true(wrote(name));
    assert_int_equal(unlink(name), 0);
    wait_end(s);
    assert_int_equal(s->how, CHILD_TIMED_OUT);
    expect_gone(s->out);
}

static void test_the_rest_of_the_group_ends_with_it(void **state)
{
    struct seen *s = *state;
    struct child_spec spec = shell(SCRIPT("sleep 1000 & echo $!; exit 0"));
    run(s, &spec);
    assert_int_equal(s->how, CHILD_EXITED);
    assert_int_equal(s->code, 0);
    expect_gone(s->out);
}

static void test_freed_it_is_killed_and_calls_nobody(void **state)
{
    struct seen *s = *state;
    char dir[] = "/tmp/bottler-io.XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *file = xasprintf("%s/pid", dir);
    AUTO_FREE char *script = xasprintf("echo $$ >%s; sleep 1000", file);
    struct child_spec spec = shell((char *const[]){(char[]){"sh"}, (char[]){"-c"}, script, NULL});
    start(s, &spec);
    assert_true(turn_until(s->loop, wrote, file));
    s->child = child_free(s->child);
    char pid[32] = "";
    AUTO_CLOSE fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, pid, sizeof(pid) - 1) > 0);
    expect_gone(pid);
    assert_int_equal(s->calls, 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void test_too_large_a_file_ends_it(void **state)
{
    struct seen *s = *state;
    char name[] = "/tmp/bottler-io.XXXXXX";
    AUTO_CLOSE fd = mkstemp(name);
    assert_true(fd >= 0);
    AUTO_FREE char *script = xasprintf("exec head -c 100000 /dev/zero >%s", name);
    struct child_spec spec = shell((char *const[]){(char[]){"sh"}, (char[]){"-c"}, script, NULL});
    spec.file_max = 4096;
    run(s, &spec);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(s->how, CHILD_SIGNALLED);
    assert_int_equal(s->code, SIGXFSZ);
}

static void test_no_such_program(void **state)
{
    struct seen *s = *state;
    struct child_spec spec = shell((char *const[]){(char[]){"/no/such/program"}, NULL});
    assert_err(child_run(s->loop, &spec, ended, s, &s->child), ERR_INVALID,
               "the program '/no/such/program' can't be run");
    assert_null(s->child);
    spec = shell((char *const[]){(char[]){"/etc/passwd"}, NULL});
    assert_err(child_run(s->loop, &spec, ended, s, &s->child), ERR_INVALID, "/etc/passwd");
    assert_int_equal(s->calls, 0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_output_and_exit_code),
        CASE(test_its_surroundings),
        CASE(test_stdin_from_a_descriptor),
        CASE(test_much_output_is_whole),
        CASE(test_a_flood_is_ended),
        CASE(test_much_on_stderr_is_cut),
        CASE(test_a_signal_is_told),
        CASE(test_a_timeout_ends_the_group),
        CASE(test_the_rest_of_the_group_ends_with_it),
        CASE(test_freed_it_is_killed_and_calls_nobody),
        CASE(test_too_large_a_file_ends_it),
        CASE(test_no_such_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
