/* SPDX-License-Identifier: Apache-2.0 */
/* The profile of system calls: what it says, when it is passed, and which ones are bottler's. */
#include "render/seccomp.h"

#include "fixture.h"
#include "render/hash.h"

#include <errno.h>

static json_t *profile(void)
{
    AUTO_FREE char *option = seccomp_option();
    assert_int_equal(strncmp(option, "seccomp=", 8), 0);
    json_error_t e;
    json_t *v = json_loads(option + 8, JSON_REJECT_DUPLICATES, &e);
    if (!v)
        fail_msg("%s", e.text);
    return v;
}

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static bool names(const json_t *rule, const char *name)
{
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(json_object_get(rule, "names"), i, v)
    {
        if (strcmp(json_string_value(v), name) == 0)
            return true;
    }
    return false;
}

/* The number of rules that name a call; the last of them. */
static size_t find(const json_t *p, const char *name, const json_t **ret)
{
    size_t n = 0, i = 0;
    const json_t *rule = NULL;
    json_array_foreach(json_object_get(p, "syscalls"), i, rule)
    {
        if (names(rule, name)) {
            n++;
            *ret = rule;
        }
    }
    return n;
}

static void refused_unless_named(void **state)
{
    (void)state;
    json_t *p = profile();
    assert_string_equal(text(p, "defaultAction"), "SCMP_ACT_ERRNO");
    AUTO_FREE char *archs = json_dumps(json_object_get(p, "archMap"), JSON_COMPACT);
    assert_string_equal(archs, "[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":["
                               "\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_AARCH64\","
                               "\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}]");
    size_t i = 0;
    const json_t *rule = NULL;
    json_array_foreach(json_object_get(p, "syscalls"), i, rule)
    {
        bool absent = json_object_get(rule, "errnoRet") != NULL;
        assert_string_equal(text(rule, "action"), absent ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW");
        assert_true(json_array_size(json_object_get(rule, "names")) > 0);
    }
    assert_true(i > 10);
    json_decref(p);
}

static bool has_values(const char *name)
{
    static const char *const several[] = {"personality", "socket"};
    return strcmp(name, several[0]) == 0 || strcmp(name, several[1]) == 0;
}

static void no_call_is_named_twice(void **state)
{
    (void)state;
    json_t *p = profile();
    size_t i = 0, k = 0, total = 0;
    const json_t *rule = NULL;
    const json_t *v = NULL;
    struct str_list seen = {0};
    json_array_foreach(json_object_get(p, "syscalls"), i, rule)
    {
        json_array_foreach(json_object_get(rule, "names"), k, v)
        {
            const char *name = json_string_value(v);
            assert_true(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name));
            if (str_list_has(&seen, name) && !has_values(name))
                fail_msg("%s is named twice", name);
            str_list_add(&seen, name);
            str_list_sort_unique(&seen);
            total++;
        }
    }
    assert_true(total > 300);
    str_list_done(&seen);
    json_decref(p);
}

static void what_opens_the_kernel_is_not_named(void **state)
{
    (void)state;
    static const char *const never[] = {
        "acct",
        "add_key",
        "bpf",
        "chroot",
        "clock_settime",
        "create_module",
        "delete_module",
        "fanotify_init",
        "finit_module",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "get_mempolicy",
        "init_module",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "lookup_dcookie",
        "lsm_set_self_attr",
        "mbind",
        "migrate_pages",
        "modify_ldt",
        "mount",
        "mount_setattr",
        "move_mount",
        "move_pages",
        "nfsservctl",
        "open_by_handle_at",
        "open_tree",
        "open_tree_attr",
        "perf_event_open",
        "pidfd_getfd",
        "pivot_root",
        "process_madvise",
        "quotactl",
        "quotactl_fd",
        "reboot",
        "request_key",
        "set_mempolicy",
        "setdomainname",
        "sethostname",
        "setns",
        "settimeofday",
        "stime",
        "swapoff",
        "swapon",
        "syslog",
        "umount",
        "umount2",
        "unshare",
        "uselib",
        "userfaultfd",
        "ustat",
        "vhangup",
        "vm86",
        "vm86old",
    };
    json_t *p = profile();
    const json_t *rule = NULL;
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (find(p, never[i], &rule))
            fail_msg("%s is allowed", never[i]);
    }
    json_decref(p);
}

static void what_a_libc_replaces_is_absent(void **state)
{
    (void)state;
    static const char *const absent[] = {"clone3", "io_uring_enter", "io_uring_register",
                                         "io_uring_setup", "socketcall"};
    json_t *p = profile();
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        const json_t *rule = NULL;
        assert_int_equal(find(p, absent[i], &rule), 1);
        assert_string_equal(text(rule, "action"), "SCMP_ACT_ERRNO");
        assert_int_equal(json_integer_value(json_object_get(rule, "errnoRet")), ENOSYS);
    }
    json_decref(p);
}

static void what_programs_need_is_named(void **state)
{
    (void)state;
    static const char *const all[] = {
        "accept4",
        "arch_prctl",
        "brk",
        "clock_gettime64",
        "close_range",
        "copy_file_range",
        "epoll_pwait2",
        "execve",
        "exit_group",
        "faccessat2",
        "fchmodat2",
        "flock",
        "fork",
        "fsetxattr",
        "futex",
        "futex_time64",
        "futex_waitv",
        "getdents64",
        "getrandom",
        "inotify_init1",
        "io_setup",
        "ioctl",
        "kill",
        "landlock_add_rule",
        "membarrier",
        "memfd_create",
        "mlock",
        "mmap",
        "mprotect",
        "newfstatat",
        "openat2",
        "pidfd_open",
        "pipe2",
        "poll",
        "prctl",
        "prlimit64",
        "read",
        "rseq",
        "rt_sigaction",
        "rt_sigreturn",
        "sched_setaffinity",
        "seccomp",
        "sendmmsg",
        "setgroups",
        "signalfd4",
        "statx",
        "timerfd_create",
        "utimensat",
        "vfork",
        "wait4",
    };
    json_t *p = profile();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const json_t *rule = NULL;
        if (find(p, all[i], &rule) != 1)
            fail_msg("%s is not allowed", all[i]);
        assert_string_equal(text(rule, "action"), "SCMP_ACT_ALLOW");
        assert_null(json_object_get(rule, "args"));
        assert_null(json_object_get(rule, "includes"));
    }
    json_decref(p);
}

/* The arguments of a call's rules, as JSON, one after the other. */
static char *arguments(const json_t *p, const char *name)
{
    struct str s;
    str_init(&s, 4096);
    size_t i = 0;
    const json_t *rule = NULL;
    json_array_foreach(json_object_get(p, "syscalls"), i, rule)
    {
        if (!names(rule, name))
            continue;
        AUTO_FREE char *args = json_dumps(json_object_get(rule, "args"), JSON_COMPACT);
        str_addf(&s, "%s", args ? args : "any");
    }
    return s.p;
}

static void arguments_are_limited(void **state)
{
    (void)state;
#define EQ(value) "[{\"index\":0,\"value\":" value ",\"op\":\"SCMP_CMP_EQ\"}]"
    static const char *const calls[][2] = {
        /* AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: no AF_ALG (38), no AF_VSOCK (40). */
        {"socket", EQ("1") EQ("2") EQ("10") EQ("16")},
        {"socketpair", EQ("1")},
        {"personality", EQ("0") EQ("8") EQ("131072") EQ("131080") EQ("4294967295")},
        /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
        {"clone", "[{\"index\":0,\"value\":2114060288,\"valueTwo\":0,"
                  "\"op\":\"SCMP_CMP_MASKED_EQ\"}]"},
    };
    json_t *p = profile();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        AUTO_FREE char *have = arguments(p, calls[i][0]);
        assert_string_equal(have, calls[i][1]);
    }
    const json_t *rule = NULL;
    assert_int_equal(find(p, "ptrace", &rule), 1);
    assert_true(names(rule, "process_vm_readv") && names(rule, "process_vm_writev"));
    assert_string_equal(text(json_object_get(rule, "includes"), "minKernel"), "4.8");
    json_decref(p);
}

static void which_are_ours(void **state)
{
    (void)state;
    AUTO_FREE char *option = seccomp_option();
    AUTO_FREE char *again = seccomp_option();
    assert_string_equal(option, again);
    char hex[HASH_HEX + 1];
    hash_hex(sv_of(option), hex);
    if (!seccomp_is_ours(option))
        fail_msg("a new profile: add \"%s\" to OURS in seccomp.c, below those that are there", hex);
    assert_false(seccomp_is_ours("seccomp=unconfined"));
    assert_false(seccomp_is_ours("seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"));
    assert_false(seccomp_is_ours(option + 8));
    assert_false(seccomp_is_ours(""));
    AUTO_FREE char *longer = xasprintf("%s ", option);
    assert_false(seccomp_is_ours(longer));
    *strchr(again, '3') = '4';
    assert_false(seccomp_is_ours(again));
}

static void which_engines_are_weak(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *profile;
        bool weak;
    } cases[] = {
        {"amd64", "default", true},
        {"arm64", "builtin", true},
        {"amd64", "", true},
        {"s390x", "default", false},
        {"", "default", false},
        {"amd64", NULL, false},
        {"amd64", "unconfined", false},
        {"amd64", "/etc/own", false},
        {"amd64", "default.json", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (seccomp_is_weak(cases[i].arch, cases[i].profile) != cases[i].weak)
            fail_msg("%s %s", cases[i].arch, cases[i].profile);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_unless_named),
        cmocka_unit_test(no_call_is_named_twice),
        cmocka_unit_test(what_opens_the_kernel_is_not_named),
        cmocka_unit_test(what_a_libc_replaces_is_absent),
        cmocka_unit_test(what_programs_need_is_named),
        cmocka_unit_test(arguments_are_limited),
        cmocka_unit_test(which_are_ours),
        cmocka_unit_test(which_engines_are_weak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
