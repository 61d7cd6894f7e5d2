/* SPDX-License-Identifier: Apache-2.0 */
#include "render/seccomp.h"

#include "render/hash.h"
#include "render/parts.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>

/* The hash of the option, for every profile that ever was passed to an engine, this version's last.
 * Containers with an earlier one are sealed as well, so that a new version replaces none of them.
 */
static const char *const OURS[] = {
    "75b843a7e02f9b8a8f29283fe9d95663a6356a7eddc8aa07c8ea98e251db0ede",
};

/* ---- the profile ----------------------------------------------------------------------------- */

/* Whatever isn't named here is refused with EPERM, or with ENOSYS where it is newer than the newest
 * named one that the engine knows. Names that it doesn't know are passed over. Left out on purpose,
 * though programs without privileges may make them: io_uring (no filter sees its operations), bpf,
 * userfaultfd, perf_event_open, keys (not confined by namespaces), everything that makes or joins
 * namespaces, handles to files, fanotify, NUMA policies, tables of segments, descriptors of others.
 */
static const char *const ALLOWED[] = {
    /* files by name */
    "access chdir chmod chown chown32 creat faccessat faccessat2 fchmodat fchmodat2 fchownat "
    "file_getattr file_setattr fstatat64 futimesat getcwd lchown lchown32 link linkat lstat "
    "lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 readlink "
    "readlinkat rename renameat renameat2 rmdir stat stat64 statfs statfs64 statx symlink "
    "symlinkat truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes",
    /* extended attributes; mounts, to be read */
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr "
    "listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat",
    "listmount statmount",
    /* descriptors */
    "_llseek arm_fadvise64_64 arm_sync_file_range cachestat close close_range copy_file_range dup "
    "dup2 dup3 fadvise64 fadvise64_64 fallocate fchdir fchmod fchown fchown32 fcntl fcntl64 "
    "fdatasync flock fstat fstat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 getdents "
    "getdents64 ioctl lseek memfd_create memfd_secret pipe pipe2 pread64 preadv preadv2 pwrite64 "
    "pwritev pwritev2 read readahead readv sendfile sendfile64 splice sync sync_file_range "
    "sync_file_range2 syncfs tee vmsplice write writev",
    /* waiting for them */
    "_newselect epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd "
    "eventfd2 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll "
    "ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4",
    "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit",
    /* sockets, once they are there */
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown",
    /* memory */
    "brk madvise map_shadow_stack membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect "
    "mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect",
    /* queues, semaphores, shared memory: each container has its own */
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop "
    "semtimedop_time64 shmat shmctl shmdt shmget",
    /* processes and threads */
    "arch_prctl breakpoint cacheflush execve execveat exit exit_group fork futex futex_requeue "
    "futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area get_tls getcpu "
    "getpgid getpgrp getpid getppid getsid gettid pidfd_open pidfd_send_signal prctl rseq "
    "set_robust_list set_thread_area set_tid_address set_tls setpgid setsid uprobe uretprobe vfork "
    "wait4 waitid waitpid",
    "getpriority ioprio_get ioprio_set nice sched_get_priority_max sched_get_priority_min "
    "sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler sched_yield setpriority",
    /* signals */
    "kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sigaction sigaltstack signal sigpending sigprocmask sigreturn sigsuspend tgkill tkill",
    /* who one is; to be another takes a capability */
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 "
    "getresgid getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid "
    "setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 "
    "setresuid setresuid32 setreuid setreuid32 setuid setuid32",
    /* filters on oneself, limits, the machine */
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self lsm_get_self_attr "
    "lsm_list_modules seccomp",
    "getrandom getrlimit getrusage prlimit64 setrlimit sysinfo times ugetrlimit uname",
    /* timers, and clocks; to set one takes a capability */
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep "
    "setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime timerfd_settime64",
};

/* As if the kernel had none of these, so that a libc or a library takes another way. The arguments
 * of clone3 and socketcall are in memory, where no filter can look. */
static const char ABSENT[] = "clone3 io_uring_enter io_uring_register io_uring_setup socketcall";

/* Only for one's own processes, and since Linux 4.8 not past the filter. */
static const char DEBUGGING[] = "process_vm_readv process_vm_writev ptrace";

static const int FAMILIES[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* Linux, 32-bit Linux, each as if it were a 2.6 kernel, and the question what it is. */
static const json_int_t PERSONALITIES[] = {PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26,
                                           0xffffffff};

enum {
    NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                 CLONE_NEWPID | CLONE_NEWNET
};

static void append(json_t *array, json_t *item_take)
{
    if (json_array_append_new(array, XNN(item_take)) != 0)
        xoom();
}

static json_t *rule(const char *action, const char *names)
{
    json_t *list = XNN(json_array());
    while (*names) {
        size_t n = strcspn(names, " ");
        append(list, json_stringn(names, n));
        names += n + strspn(names + n, " ");
    }
    return XNN(json_pack("{s:o, s:s}", "names", list, "action", action));
}

static json_t *allow(const char *names)
{
    return rule("SCMP_ACT_ALLOW", names);
}

/* Only when its first argument is this. */
static json_t *allow_when(const char *name, json_int_t value)
{
    json_t *r = allow(name);
    json_put(r, "args",
             json_pack("[{s:i, s:I, s:s}]", "index", 0, "value", value, "op", "SCMP_CMP_EQ"));
    return r;
}

/* Only when its first argument has none of these bits. */
static json_t *allow_without(const char *name, json_int_t bits)
{
    json_t *r = allow(name);
    json_put(r, "args",
             json_pack("[{s:i, s:I, s:i, s:s}]", "index", 0, "value", bits, "valueTwo", 0, "op",
                       "SCMP_CMP_MASKED_EQ"));
    return r;
}

/* Without a rule of its own socketcall would pass: libseccomp allows it along with socket, bind and
 * the others, and a rule that says no more than the default action isn't handed to it. */
static json_t *rules(void)
{
    json_t *all = XNN(json_array());
    json_t *absent = rule("SCMP_ACT_ERRNO", ABSENT);
    json_put(absent, "errnoRet", json_integer(ENOSYS));
    append(all, absent);
    for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(ALLOWED[0]); i++)
        append(all, allow(ALLOWED[i]));
    json_t *debugging = allow(DEBUGGING);
    json_put(debugging, "includes", json_pack("{s:s}", "minKernel", "4.8"));
    append(all, debugging);
    append(all, allow_without("clone", NAMESPACES));
    for (size_t i = 0; i < sizeof(PERSONALITIES) / sizeof(PERSONALITIES[0]); i++)
        append(all, allow_when("personality", PERSONALITIES[i]));
    for (size_t i = 0; i < sizeof(FAMILIES) / sizeof(FAMILIES[0]); i++)
        append(all, allow_when("socket", FAMILIES[i]));
    append(all, allow_when("socketpair", AF_UNIX));
    return all;
}

/* The engine takes the entry of its own architecture. Without x32, a call of that ABI ends the
 * thread that makes it. */
char *seccomp_option(void)
{
    json_t *profile = XNN(json_pack(
        "{s:s, s:[{s:s, s:[s]}, {s:s, s:[s]}], s:o}", "defaultAction", "SCMP_ACT_ERRNO", "archMap",
        "architecture", "SCMP_ARCH_X86_64", "subArchitectures", "SCMP_ARCH_X86", "architecture",
        "SCMP_ARCH_AARCH64", "subArchitectures", "SCMP_ARCH_ARM", "syscalls", rules()));
    AUTO_FREE char *text = XNN(json_dumps(profile, JSON_COMPACT));
    json_decref(profile);
    return xasprintf("seccomp=%s", text);
}

void seccomp_put(json_t *host_config)
{
    AUTO_FREE char *option = seccomp_option();
    append(json_object_get(host_config, "SecurityOpt"), json_string(option));
}

/* ---- when, and whose ------------------------------------------------------------------------- */

bool seccomp_is_weak(const char *arch, const char *profile)
{
    bool written_for = strcmp(arch, "amd64") == 0 || strcmp(arch, "arm64") == 0;
    bool builtin = profile && (!*profile || strcmp(profile, "default") == 0 ||
                               strcmp(profile, "builtin") == 0);
    return written_for && builtin;
}

bool seccomp_is_ours(const char *option)
{
    char hex[HASH_HEX + 1];
    hash_hex(sv_of(option), hex);
    for (size_t i = 0; i < sizeof(OURS) / sizeof(OURS[0]); i++) {
        if (strcmp(OURS[i], hex) == 0)
            return true;
    }
    return false;
}
