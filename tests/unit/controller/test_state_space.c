/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/state.h"
#include "controller/statefs.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

static struct state *open_state(void *const *state, const char *name)
{
    struct state *s = NULL;
    AUTO_FREE char *dir = at(state, name);
    assert_ok(state_open(dir, "bottler", &s));
    return s;
}

/* ---- no space ------------------------------------------------------------------------------- */

/* The limit of a process on the size of files is a full disk that needs no rights. */
static char *child_no_space(void *ctx)
{
    void **state = ctx;
    struct state *s = open_state(state, "st");
    struct bottle_state b = {0};
    CHILD_CHECK(!state_bottle(s, "kept", NULL, &b));
    bottle_state_done(&b);
    CHILD_CHECK(!state_store_manifest(s, "kept", sv_of("{\"old\":true}")));
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {100, 100};
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);

    AUTO_ERR e = state_bottle(s, "fresh", NULL, &b);
    CHILD_CHECK(e && err_kind(e) == ERR_UNAVAILABLE);
    CHILD_CHECK(strstr(err_message(e), "recording bottle 'fresh': writing '"));
    CHILD_CHECK(strstr(err_message(e), "egress-ca.key': File too large"));
    CHILD_CHECK(!exists(state, "st/bottles/fresh"));
    CHILD_CHECK(!exists(state, "st/bottles/.new-fresh"));

    char large[200];
    memset(large, 'x', sizeof(large));
    AUTO_ERR e2 = state_store_manifest(s, "kept", (struct sv){large, sizeof(large)});
    CHILD_CHECK(e2 && err_kind(e2) == ERR_UNAVAILABLE);
    AUTO_FREE char *kept = at(state, "st/bottles/kept");
    struct sdir d = {open(kept, O_RDONLY | O_DIRECTORY), kept};
    struct str_list names = {0};
    CHILD_CHECK(!sdir_names(&d, &names));
    CHILD_CHECK(names.len == 7 && !strstr(names.items[0], ".tmp"));
    char *text = NULL;
    size_t n = 0;
    CHILD_CHECK(!state_load_manifest(s, "kept", &text, &n));
    CHILD_CHECK(strcmp(text, "{\"old\":true}") == 0);
    state_close(s);
    return NULL;
}

static void test_no_space(void **state)
{
    run_child(NULL, child_no_space, state);
    struct state *s = open_state(state, "st");
    struct bottle_state b = {0};
    assert_ok(state_bottle(s, "fresh", NULL, &b));
    bottle_state_done(&b);
    state_close(s);
}

/* A really full file system. */
static char *child_full_disk(void *ctx)
{
    void **state = ctx;
    AUTO_FREE char *dir = at(state, "disk"), *st = at(state, "disk/st"),
                   *fill = at(state, "disk/fill");
    CHILD_CHECK(unshare(CLONE_NEWNS) == 0);
    CHILD_CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHILD_CHECK(mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0755") == 0);
    struct state *s = NULL;
    struct bottle_state b = {0};
    CHILD_CHECK(!state_open(st, "bottler", &s));
    AUTO_CLOSE fd = open(fill, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char block[4096] = {0};
    while (write(fd, block, sizeof(block)) > 0)
        ;
    AUTO_ERR e = state_bottle(s, "a", NULL, &b);
    CHILD_CHECK(e && err_kind(e) == ERR_UNAVAILABLE);
    CHILD_CHECK(strstr(err_message(e), "No space left on device"));
    CHILD_CHECK(strstr(err_message(e), "disk/st/bottles"));
    /* Room again: the next try works, on what is there. */
    CHILD_CHECK(ftruncate(fd, 0) == 0);
    CHILD_CHECK(!state_bottle(s, "a", NULL, &b));
    bottle_state_done(&b);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    /* Removing and starting need no room. */
    CHILD_CHECK(!state_remove(s, "a"));
    state_close(s);
    CHILD_CHECK(!state_open(st, "bottler", &s));
    state_close(s);
    return NULL;
}

static void test_full_disk(void **state)
{
    need_root();
    make_dir(state, "disk");
    run_child(NULL, child_full_disk, state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_no_space),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests_name("state: no space", tests, NULL, NULL);
}
