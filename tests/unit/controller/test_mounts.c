/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that no bottle may mount, by name and under other names, and links on the way. */
#include "io_support.h"

#include "controller/mounts.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The refusal of <scratch>/<source> starts like this; NULL: none. */
static void expect(void *const *state, const struct mount_guard *g, const char *source,
                   const char *start)
{
    AUTO_FREE char *path = at(state, source);
    AUTO_FREE char *said = mount_guard_refusal(g, path);
    if (!start != !said || (said && strncmp(said, start, strlen(start)) != 0))
        fail_msg("%s: %s, expected %s", source, said ? said : "nothing", start ? start : "nothing");
}

static struct mount_guard *guard(void *const *state, bool local, const char *name)
{
    struct mount_guard *g = mount_guard_new(local);
    AUTO_FREE char *path = at(state, name);
    mount_guard_add(g, "the state directory", path);
    return g;
}

static void test_by_name(void **state)
{
    make_dir(state, "a");
    make_dir(state, "a/state");
    make_dir(state, "a/state/x");
    make_dir(state, "a/state2");
    for (int local = 0; local < 2; local++) {
        struct mount_guard *g = guard(state, local, "a/state");
        expect(state, g, "a/state", "it is the state directory, '/tmp/");
        expect(state, g, "a/state/x", "it lies in the state directory");
        expect(state, g, "a/state/not/there", "it lies in");
        expect(state, g, "a", "it holds the state directory");
        expect(state, g, "a/state2", NULL);
        expect(state, g, "a/not-there", NULL);
        expect(state, g, "b", NULL);
        mount_guard_free(g);
    }
}

static void test_not_there_yet(void **state)
{
    struct mount_guard *g = guard(state, true, "a/./b//../state/");
    make_dir(state, "a");
    expect(state, g, "a/state", "it is the state directory");
    expect(state, g, "a", "it holds");
    /* Once it is there, also under another name. */
    make_dir(state, "a/state");
    link_to(state, "a", "b");
    expect(state, g, "b/state", NULL);
    mount_guard_refresh(g);
    expect(state, g, "b/state", "under another name it is");
    mount_guard_free(g);
}

static void test_other_names(void **state)
{
    make_dir(state, "real");
    make_dir(state, "real/state");
    make_dir(state, "real/state/in");
    make_dir(state, "real/other");
    link_to(state, "real", "link");
    link_to(state, "real/state", "direct");
    /* Known by its link, mounted by its own name; and the other way round. */
    struct mount_guard *g = guard(state, true, "link/state");
    expect(state, g, "real/state", "it is the state directory");
    expect(state, g, "real", "it holds");
    expect(state, g, "direct", "under another name it is");
    expect(state, g, "direct/in", "under another name it lies in");
    expect(state, g, "link", "it holds");
    expect(state, g, "real/other", NULL);
    mount_guard_free(g);
    g = guard(state, true, "real/state");
    expect(state, g, "link", "under another name it holds");
    expect(state, g, "link/other", NULL);
    mount_guard_free(g);
    /* Of another host nothing can be known but names. */
    g = guard(state, false, "real/state");
    expect(state, g, "link", NULL);
    expect(state, g, "direct", NULL);
    mount_guard_free(g);
}

/* A directory mounted a second time elsewhere is no link, and the same directory. */
static char *child_bind(void *ctx)
{
    void *const *state = ctx;
    AUTO_FREE char *from = at(state, "a");
    AUTO_FREE char *to = at(state, "b");
    AUTO_FREE char *inner = at(state, "b/state");
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(from, to, NULL, MS_BIND, NULL) != 0)
        return xasprintf("a bind mount: %s", err_errno(errno));
    struct mount_guard *g = guard(state, true, "a/state");
    AUTO_FREE char *holds = mount_guard_refusal(g, to);
    AUTO_FREE char *is = mount_guard_refusal(g, inner);
    mount_guard_free(g);
    CHILD_CHECK(holds && strncmp(holds, "under another name it holds", 27) == 0);
    CHILD_CHECK(is && strncmp(is, "under another name it is", 24) == 0);
    return NULL;
}

static void test_bind_mounts(void **state)
{
    if (geteuid() != 0)
        skip();
    make_dir(state, "a");
    make_dir(state, "a/state");
    make_dir(state, "b");
    int out = -1, status = 0;
    pid_t pid = child_start(child_bind, state, &out);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    child_result(out, status);
}

static void test_set_replaces(void **state)
{
    struct mount_guard *g = guard(state, false, "one");
    AUTO_FREE char *two = at(state, "two");
    mount_guard_set(g, "the engine's own data", two);
    expect(state, g, "two", "it is the engine's own data");
    mount_guard_set(g, "the engine's own data", NULL);
    expect(state, g, "two", NULL);
    expect(state, g, "one", "it is the state directory");
    mount_guard_add(g, "nothing", "");
    mount_guard_free(g);
}

static void test_relative(void **state)
{
    AUTO_FREE char *cwd = getcwd(NULL, 0);
    struct mount_guard *g = mount_guard_new(true);
    mount_guard_add(g, "the state directory", "some/../state");
    AUTO_FREE char *path = xasprintf("%s/state", cwd);
    AUTO_FREE char *said = mount_guard_refusal(g, path);
    assert_non_null(said);
    AUTO_FREE char *above = mount_guard_refusal(g, cwd);
    assert_non_null(above);
    (void)state;
    mount_guard_free(g);
}

static void fault(void *const *state, const struct mount_guard *g, const char *source,
                  const char *part)
{
    AUTO_FREE char *path = at(state, source);
    AUTO_FREE char *said = mount_source_fault(g, path);
    if (!part != !said || (said && !strstr(said, part)))
        fail_msg("%s: %s, expected %s", source, said ? said : "nothing", part ? part : "nothing");
}

static void test_links_on_the_way(void **state)
{
    make_dir(state, "mine");
    make_dir(state, "mine/in");
    put(state, "mine/file", "x");
    link_to(state, "mine", "link");
    link_to(state, "/etc", "mine/evil");
    link_to(state, "nowhere", "mine/dangling");
    AUTO_FREE char *fifo = at(state, "mine/fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct mount_guard *g = mount_guard_new(true);
    fault(state, g, "mine", NULL);
    fault(state, g, "mine/in", NULL);
    fault(state, g, "mine/file", NULL);
    fault(state, g, "mine/not-there", NULL);
    fault(state, g, "mine/file/below", NULL);
    fault(state, g, "link", "/link' is a symbolic link to '/tmp/");
    fault(state, g, "link/in", "/link' is a symbolic link to '/tmp/");
    fault(state, g, "mine/evil", "/mine/evil' is a symbolic link to '/etc', and");
    fault(state, g, "mine/evil/passwd", "/mine/evil' is a symbolic link");
    fault(state, g, "mine/dangling", "/mine/dangling' is a symbolic link, and");
    fault(state, g, "mine/fifo", "is neither a directory nor a file");
    mount_guard_free(g);
    /* Another host's links can't be seen from here. */
    g = mount_guard_new(false);
    fault(state, g, "mine/evil", NULL);
    mount_guard_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_by_name, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_not_there_yet, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_other_names, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_bind_mounts, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_set_replaces, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_relative, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_links_on_the_way, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
