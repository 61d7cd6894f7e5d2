/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/child.h"

#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    US_PER_MS = 1000,
    READ_CHUNK = 64 * 1024,
    READS_PER_TURN = 8,
    FIRST_FREE_FD = 3,
    FAILED_TO_START = 127,
};

/* One of its two outputs. */
struct output {
    struct child *child;
    int fd;
    struct str text;
    bool flooded;
    sd_event_source *io;
};

struct child {
    sd_event *loop;
    pid_t pid; /* 0: reaped */
    int pidfd;
    struct output out, err;
    sd_event_source *exit_io;
    sd_event_source *timer;
    bool timed_out;
    child_ended_fn *ended;
    void *ctx;
};

/* ---- in the new process: only what is safe after a fork ------------------------------------- */

struct new_process {
    const struct child_spec *spec;
    pid_t parent;
    int in, out, err;
    int report; /* the errno of what failed goes there; closed by a successful exec */
};

static bool set_up(const struct new_process *p)
{
    sigset_t none;
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != p->parent)
        return false;
    struct sigaction normal = {.sa_handler = SIG_DFL};
    for (int i = 1; i <= SIGRTMAX; i++) /* what we were started with too, by nohup say */
        (void)sigaction(i, &normal, NULL);
    (void)sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return false;
    if (p->spec->file_max) {
        struct rlimit files = {.rlim_cur = p->spec->file_max, .rlim_max = p->spec->file_max};
        if (setrlimit(RLIMIT_FSIZE, &files) < 0)
            return false;
    }
    (void)umask(077);
    /* Ours are all close-on-exec; this is for what libraries may have opened, on kernels that can.
     */
    (void)close_range(FIRST_FREE_FD, ~0U, CLOSE_RANGE_CLOEXEC);
    return dup2(p->in, STDIN_FILENO) >= 0 && dup2(p->out, STDOUT_FILENO) >= 0 &&
           dup2(p->err, STDERR_FILENO) >= 0;
}

__attribute__((noreturn)) static void become(const struct new_process *p)
{
    if (set_up(p))
        (void)execvpe(p->spec->argv[0], p->spec->argv, p->spec->env);
    int errnum = errno;
    ssize_t n = write(p->report, &errnum, sizeof(errnum));
    _exit(n == (ssize_t)sizeof(errnum) ? FAILED_TO_START : FAILED_TO_START + 1);
}

/* ---- its end -------------------------------------------------------------------------------- */

static void kill_group(const struct child *c, int sig)
{
    if (c->pid > 0)
        (void)kill(-c->pid, sig);
}

/* While it is not reaped its number is nobody else's, so neither is its group's. */
static void reap(struct child *c, siginfo_t *ret)
{
    kill_group(c, SIGKILL);
    *ret = (siginfo_t){0};
    while (waitid(P_PIDFD, (id_t)c->pidfd, ret, WEXITED) < 0 && errno == EINTR)
        ;
    c->pid = 0;
}

static void close_output(struct output *o)
{
    o->io = sd_event_source_disable_unref(o->io);
    if (o->fd >= 0)
        (void)close(TAKE_FD(o->fd));
}

/* False at its end. */
static bool read_some(struct output *o, unsigned times)
{
    char buf[READ_CHUNK];
    for (unsigned i = 0; i < times; i++) {
        ssize_t n = read(o->fd, buf, sizeof(buf));
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;
        size_t room = o->text.max - o->text.len;
        o->flooded = o->flooded || (size_t)n > room;
        str_addn(&o->text, buf, (size_t)n > room ? room : (size_t)n);
    }
    return true;
}

/* All that is in the pipe; a stranger that still holds the other end is not waited for. */
static void drain(struct output *o)
{
    enum { PIPE_MAX_READS = 64 };
    if (o->fd >= 0)
        (void)read_some(o, PIPE_MAX_READS);
    close_output(o);
}

static int on_exit_of(sd_event_source *s, int fd, uint32_t revents, void *ctx)
{
    (void)s;
    (void)fd;
    (void)revents;
    struct child *c = ctx;
    siginfo_t how;
    c->exit_io = sd_event_source_disable_unref(c->exit_io);
    c->timer = sd_event_source_disable_unref(c->timer);
    reap(c, &how);
    drain(&c->out);
    drain(&c->err);
    struct child_end end = {
        .how = how.si_code == CLD_EXITED ? CHILD_EXITED : CHILD_SIGNALLED,
        .code = how.si_status,
        .out = {c->out.text.p, c->out.text.len},
        .err = {c->err.text.p, c->err.text.len},
    };
    if (c->out.flooded)
        end.how = CHILD_FLOODED;
    else if (c->timed_out)
        end.how = CHILD_TIMED_OUT;
    c->ended(c->ctx, &end);
    return 0;
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *ctx)
{
    (void)s;
    (void)fd;
    (void)revents;
    struct output *o = ctx;
    struct child *c = o->child;
    if (!read_some(o, READS_PER_TURN))
        close_output(o);
    if (c->out.flooded)
        kill_group(c, SIGKILL);
    return 0;
}

static int on_time(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)usec;
    struct child *c = ctx;
    kill_group(c, c->timed_out ? SIGKILL : SIGTERM);
    if (!c->timed_out) {
        c->timed_out = true;
        (void)sd_event_source_set_time_relative(s, CHILD_TERM_MS * (uint64_t)US_PER_MS);
        (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct child *child_free(struct child *c)
{
    siginfo_t how;
    if (!c)
        return NULL;
    sd_event_source_disable_unref(c->exit_io);
    sd_event_source_disable_unref(c->timer);
    if (c->pid > 0)
        reap(c, &how);
    close_output(&c->out);
    close_output(&c->err);
    if (c->pidfd >= 0)
        (void)close(c->pidfd);
    str_done(&c->out.text);
    str_done(&c->err.text);
    sd_event_unref(c->loop);
    free(c);
    return NULL;
}

static void child_freep(struct child **c)
{
    *c = child_free(*c);
}

static struct err *cant(const char *what, int errnum)
{
    return err_new(ERR_UNAVAILABLE, "%s: %s", what, err_errno(errnum));
}

static struct err *open_output(struct child *c, struct output *o, size_t max, int *ret_theirs)
{
    int fds[2];
    o->child = c;
    str_init(&o->text, max);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return cant("no pipe can be had", errno);
    o->fd = fds[0];
    *ret_theirs = fds[1];
    if (fcntl(o->fd, F_SETFL, O_NONBLOCK) < 0)
        return cant("no pipe can be had", errno);
    int r = sd_event_add_io(c->loop, &o->io, o->fd, EPOLLIN, on_output, o);
    return r < 0 ? cant("event loop", -r) : NULL;
}

/* Forks, and waits until the program runs or is known not to. */
static struct err *spawn(struct child *c, struct new_process *p)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return cant("no pipe can be had", errno);
    AUTO_CLOSE report = fds[0];
    AUTO_CLOSE theirs = fds[1];
    p->report = theirs;
    p->parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return cant("no process can be had", errno);
    if (pid == 0)
        become(p);
    c->pid = pid;
    (void)close(TAKE_FD(theirs));
    c->pidfd = pidfd_open(pid, 0);
    int errnum = c->pidfd < 0 ? errno : 0;
    ssize_t n = 0;
    if (!errnum)
        n = read(report, &errnum, sizeof(errnum));
    if (c->pidfd >= 0 && n == 0)
        return NULL;
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
    if (errnum == ENOENT || errnum == EACCES || errnum == ENOEXEC)
        return err_new(ERR_INVALID, "the program '%s' can't be run: %s", p->spec->argv[0],
                       err_errno(errnum));
    return cant(p->spec->argv[0], errnum ? errnum : EIO);
}

struct err *child_run(sd_event *loop, const struct child_spec *spec, child_ended_fn *ended,
                      void *ctx, struct child **ret)
{
    AUTO(child_freep) struct child *c = xcalloc(1, sizeof(*c));
    *c = (struct child){.loop = sd_event_ref(loop),
                        .pidfd = -1,
                        .out = {.fd = -1},
                        .err = {.fd = -1},
                        .ended = ended,
                        .ctx = ctx};
    AUTO_CLOSE null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return cant("/dev/null", errno);
    AUTO_CLOSE out = -1;
    AUTO_CLOSE err = -1;
    TRY(open_output(c, &c->out, spec->out_max, &out));
    TRY(open_output(c, &c->err, spec->err_max, &err));
    struct new_process p = {
        .spec = spec, .in = spec->stdin_fd >= 0 ? spec->stdin_fd : null, .out = out, .err = err};
    TRY(spawn(c, &p));
    int r = sd_event_add_io(loop, &c->exit_io, c->pidfd, EPOLLIN, on_exit_of, c);
    if (r >= 0)
        r = sd_event_add_time_relative(loop, &c->timer, CLOCK_MONOTONIC,
                                       (uint64_t)spec->timeout_ms * US_PER_MS, US_PER_MS, on_time,
                                       c);
    if (r < 0)
        return cant("event loop", -r);
    *ret = TAKE_PTR(c);
    return NULL;
}
