/* SPDX-License-Identifier: Apache-2.0 */
/* A bottle's CAs through their stages, on a disk that may fail at any write. */
#include "io_support.h"

#include "controller/ca.h"
#include "controller/state.h"

#include <signal.h>
#include <sys/resource.h>

enum { DAY_S = 86400 };

static struct state *open_state(void *const *state)
{
    struct state *s = NULL;
    AUTO_FREE char *dir = at(state, "st");
    assert_ok(state_open(dir, "bottler", &s));
    return s;
}

static char *slurp(void *const *state, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/st/bottles/a/%s", (const char *)*state, name);
    AUTO_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char *text = xcalloc(1, 16384);
    assert_true(read(fd, text, 16383) >= 0);
    return text;
}

static void assert_holds(void *const *state, const char *name, const char *text)
{
    AUTO_FREE char *have = slurp(state, name);
    assert_string_equal(have, text);
}

static bool has(void *const *state, const char *name)
{
    AUTO_FREE char *path = xasprintf("st/bottles/a/%s", name);
    return exists(state, path);
}

static void write_file(void *const *state, const char *name, const char *text)
{
    AUTO_FREE char *path = xasprintf("st/bottles/a/%s", name);
    put(state, path, text);
}

/* However short --ca-days is by then: the next one still lives when the old one has ended, and
 * isn't due to give way itself before. */
static void test_shorter_lives(void **state)
{
    struct state *s = open_state(state);
    struct bottle_state b = {0};
    state_set_ca_days(s, 365);
    assert_ok(state_bottle(s, "a", NULL, &b));
    state_set_ca_days(s, 30);
    for (int shorter = 0; shorter < 5; shorter++) {
        const struct ca_life *life = &b.egress_beside.turn.life;
        int64_t third = (life->until - life->from) / 3;
        assert_ok(state_ca_introduce(s, "a", ROLE_EGRESS, &b));
        assert_ok(state_ca_switch(s, "a", ROLE_EGRESS, &b));
        assert_true((life->until - life->from) * 2 / 3 >= third);
        assert_ok(state_ca_retire(s, "a", ROLE_EGRESS, &b));
    }
    int64_t days = (b.egress_beside.turn.life.until - b.egress_beside.turn.life.from) / DAY_S;
    assert_int_equal(days, 30);
    bottle_state_done(&b);
    state_close(s);
}

/* Both CAs go the whole way, and each stage outlives a restart. */
static void test_stages(void **state)
{
    struct state *s = open_state(state);
    struct bottle_state b = {0}, again = {0};
    assert_ok(state_bottle(s, "a", NULL, &b));
    AUTO_FREE char *old_cert = xstrdup(b.egress_ca_cert), *old_key = xstrdup(b.egress_ca_key);
    AUTO_FREE char *other = xstrdup(b.pipelock_ca_cert);
    assert_int_equal(b.egress_beside.turn.stage, CA_STEADY);
    assert_int_equal(b.egress_beside.turn.life.until, b.ca_expires);

    state_set_ca_days(s, 2);
    assert_ok(state_ca_introduce(s, "a", ROLE_EGRESS, &b));
    assert_int_equal(b.egress_beside.turn.stage, CA_INTRODUCED);
    assert_int_equal(b.pipelock_beside.turn.stage, CA_STEADY);
    assert_string_equal(b.egress_ca_cert, old_cert);
    AUTO_FREE char *next_cert = xstrdup(b.egress_beside.next_cert);
    AUTO_FREE char *next_key = slurp(state, "egress-ca-next.key");
    struct ca_life life = {0};
    assert_ok(ca_check(sv_of(next_cert), sv_of(next_key), &life));
    assert_int_equal(life.until - life.from, (STATE_CA_DAYS / 2 + 1) * DAY_S + 3600);

    assert_ok(state_ca_switch(s, "a", ROLE_EGRESS, &b));
    assert_int_equal(b.egress_beside.turn.stage, CA_SWITCHED);
    assert_string_equal(b.egress_ca_cert, next_cert);
    assert_string_equal(b.egress_ca_key, next_key);
    assert_string_equal(b.egress_beside.old_cert, old_cert);
    assert_null(b.egress_beside.next_cert);
    assert_int_equal(b.egress_beside.turn.life.until, life.until);
    assert_true(b.egress_beside.turn.old.until > life.until);
    assert_int_equal(b.ca_expires, life.until);
    assert_false(has(state, "egress-ca-next.key"));
    assert_false(has(state, "egress-ca-next.pem"));
    state_close(s);

    s = open_state(state);
    assert_ok(state_bottle(s, "a", NULL, &again));
    assert_int_equal(again.egress_beside.turn.stage, CA_SWITCHED);
    assert_string_equal(again.egress_beside.old_cert, old_cert);
    assert_ok(state_ca_retire(s, "a", ROLE_EGRESS, &again));
    assert_int_equal(again.egress_beside.turn.stage, CA_STEADY);
    assert_null(again.egress_beside.old_cert);
    assert_string_equal(again.egress_ca_cert, next_cert);
    assert_string_equal(again.pipelock_ca_cert, other);
    assert_false(has(state, "egress-ca-old.pem"));
    bottle_state_done(&b);
    bottle_state_done(&again);
    state_close(s);
}

/* The old key is nowhere on the disk any more once the next one signs. */
static void test_old_key_is_overwritten(void **state)
{
    struct state *s = open_state(state);
    struct bottle_state b = {0};
    assert_ok(state_bottle(s, "a", NULL, &b));
    AUTO_FREE char *key = at(state, "st/bottles/a/pipelock-ca.key"), *kept = at(state, "kept");
    assert_int_equal(link(key, kept), 0);
    assert_ok(state_ca_introduce(s, "a", ROLE_PIPELOCK, &b));
    assert_ok(state_ca_switch(s, "a", ROLE_PIPELOCK, &b));
    AUTO_CLOSE fd = open(kept, O_RDONLY | O_CLOEXEC);
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof(buf));
    assert_true(n > 0);
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal(buf[i], 0);
    bottle_state_done(&b);
    state_close(s);
}

/* What a crash leaves after each step of a switch, and between minting the key and its certificate.
 */
struct cut {
    bool old_cert, key_moved, key_blank, cert_moved;
    enum ca_stage stage;
};
static void test_crashes(void **state)
{
    static const struct cut cuts[] = {
        {false, false, false, false, CA_INTRODUCED}, {true, false, false, false, CA_SWITCHED},
        {true, false, true, false, CA_SWITCHED},     {true, true, false, false, CA_SWITCHED},
        {true, true, false, true, CA_SWITCHED},
    };
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        const struct cut *c = &cuts[i];
        struct state *s = open_state(state);
        struct bottle_state b = {0}, seen = {0}, after = {0};
        assert_ok(state_bottle(s, "a", NULL, &b));
        assert_ok(state_ca_introduce(s, "a", ROLE_EGRESS, &b));
        AUTO_FREE char *next_key = slurp(state, "egress-ca-next.key");
        state_close(s);
        if (c->old_cert)
            write_file(state, "egress-ca-old.pem", b.egress_ca_cert);
        if (c->key_blank)
            write_file(state, "egress-ca.key", "\n\n\n");
        if (c->key_moved)
            move(state, "st/bottles/a/egress-ca-next.key", "st/bottles/a/egress-ca.key");
        if (c->cert_moved)
            move(state, "st/bottles/a/egress-ca-next.pem", "st/bottles/a/egress-ca.pem");
        bool switched = c->stage == CA_SWITCHED;
        const char *signs = switched ? b.egress_beside.next_cert : b.egress_ca_cert;

        /* A plan beside it sees where that leads, and changes nothing. */
        AUTO_FREE char *dir = at(state, "st");
        bool there = has(state, "egress-ca-next.pem");
        assert_ok(state_peek(dir, "bottler", &s));
        assert_ok(state_bottle(s, "a", NULL, &seen));
        assert_int_equal(seen.egress_beside.turn.stage, c->stage);
        assert_string_equal(seen.egress_ca_cert, signs);
        assert_int_equal(has(state, "egress-ca-next.pem"), there);
        state_close(s);

        s = open_state(state);
        assert_ok(state_bottle(s, "a", NULL, &after));
        assert_int_equal(after.egress_beside.turn.stage, c->stage);
        assert_string_equal(after.egress_ca_cert, signs);
        if (switched) {
            assert_string_equal(after.egress_ca_key, next_key);
            assert_string_equal(after.egress_beside.old_cert, b.egress_ca_cert);
            assert_false(has(state, "egress-ca-next.key"));
            assert_false(has(state, "egress-ca-next.pem"));
            assert_holds(state, "egress-ca.key", next_key);
        }
        bottle_state_done(&b);
        bottle_state_done(&seen);
        bottle_state_done(&after);
        assert_ok(state_remove(s, "a"));
        state_close(s);
    }
}

/* A key without its certificate is nothing yet. */
static void test_half_introduced(void **state)
{
    struct state *s = open_state(state);
    struct bottle_state b = {0};
    assert_ok(state_bottle(s, "a", NULL, &b));
    bottle_state_done(&b);
    write_file(state, "egress-ca-next.key", "half a k");
    assert_ok(state_bottle(s, "a", NULL, &b));
    assert_int_equal(b.egress_beside.turn.stage, CA_STEADY);
    assert_ok(state_ca_introduce(s, "a", ROLE_EGRESS, &b));
    assert_int_equal(b.egress_beside.turn.stage, CA_INTRODUCED);
    bottle_state_done(&b);
    state_close(s);
}

/* A damaged successor is said, never passed over. */
static void test_damage(void **state)
{
    struct state *s = open_state(state);
    struct bottle_state b = {0}, again = {0};
    assert_ok(state_bottle(s, "a", NULL, &b));
    assert_ok(state_ca_introduce(s, "a", ROLE_EGRESS, &b));
    write_file(state, "egress-ca-next.key", b.egress_ca_key);
    assert_err(state_bottle(s, "a", NULL, &again), ERR_INVALID,
               "egress-ca-next.pem' and 'egress-ca-next.key' are damaged");
    write_file(state, "egress-ca-next.key", "");
    assert_err(state_bottle(s, "a", NULL, &again), ERR_INVALID, "egress-ca-next.key' is damaged");
    bottle_state_done(&b);
    state_close(s);
}

/* ---- no space ------------------------------------------------------------------------------- */

static struct err *by_stage(struct state *s, enum ca_stage stage, struct bottle_state *b)
{
    return stage == CA_STEADY ? state_ca_introduce(s, "a", ROLE_EGRESS, b)
                              : state_ca_switch(s, "a", ROLE_EGRESS, b);
}

/* Nothing can be written: the stage stays, in memory and on disk, and comes when there is space. */
static char *child_no_space(void *ctx)
{
    void **state = ctx;
    (void)signal(SIGXFSZ, SIG_IGN);
    struct state *s = open_state(state);
    struct bottle_state b = {0};
    CHILD_CHECK(!state_bottle(s, "a", NULL, &b));
    for (enum ca_stage stage = CA_STEADY; stage < CA_SWITCHED; stage++) {
        struct rlimit limit = {100, RLIM_INFINITY};
        CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        AUTO_FREE char *cert = xstrdup(b.egress_ca_cert);
        AUTO_ERR e = by_stage(s, stage, &b);
        CHILD_CHECK(e && err_kind(e) == ERR_UNAVAILABLE);
        CHILD_CHECK(b.egress_beside.turn.stage == stage);
        CHILD_CHECK(strcmp(b.egress_ca_cert, cert) == 0);
        bottle_state_done(&b);
        CHILD_CHECK(!state_bottle(s, "a", NULL, &b));
        CHILD_CHECK(b.egress_beside.turn.stage == stage);
        CHILD_CHECK(strcmp(b.egress_ca_cert, cert) == 0);
        limit.rlim_cur = RLIM_INFINITY;
        CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHILD_CHECK(!by_stage(s, stage, &b));
        CHILD_CHECK(b.egress_beside.turn.stage == stage + 1);
    }
    bottle_state_done(&b);
    state_close(s);
    return NULL;
}

static void test_no_space(void **state)
{
    run_child(NULL, child_no_space, state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stages, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_old_key_is_overwritten, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_crashes, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_shorter_lives, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_half_introduced, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_damage, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_no_space, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
