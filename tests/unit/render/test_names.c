/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static void roles_have_their_words_both_ways(void **state)
{
    (void)state;
    static const char *const NAMES[ROLE_COUNT] = {"pipelock", "egress", "git-gate", "supervise",
                                                  "agent"};
    for (enum role r = 0; r < ROLE_COUNT; r++) {
        enum role back = ROLE_COUNT;
        assert_string_equal(role_info(r)->name, NAMES[r]);
        assert_true(role_parse(NAMES[r], &back));
        assert_int_equal(back, r);
    }
    enum role untouched = ROLE_EGRESS;
    assert_false(role_parse("net-agent", &untouched));
    assert_false(role_parse("", &untouched));
    assert_int_equal(untouched, ROLE_EGRESS);
}

static void every_role_is_on_its_primary_network(void **state)
{
    (void)state;
    for (enum role r = 0; r < ROLE_COUNT; r++)
        assert_true(role_info(r)->nets & (1u << role_info(r)->primary));
}

/* The seal in one line: nobody is both beside the agent and on the way out, but the git gate; and
 * the agent is on no other network than its own. */
static void networks_keep_agent_and_internet_apart(void **state)
{
    (void)state;
    assert_int_equal(role_info(ROLE_AGENT)->nets, NET_BIT_AGENT);
    assert_int_equal(role_info(ROLE_EGRESS)->nets, NET_BIT_AGENT | NET_BIT_CHAIN);
    assert_int_equal(role_info(ROLE_PIPELOCK)->nets, NET_BIT_CHAIN | NET_BIT_OUT);
    assert_int_equal(role_info(ROLE_GIT_GATE)->nets, NET_BIT_AGENT | NET_BIT_OUT);
    assert_int_equal(role_info(ROLE_SUPERVISE)->nets, NET_BIT_AGENT);
}

static void sidecars_have_fixed_users_and_images(void **state)
{
    (void)state;
    static const unsigned UIDS[ROLE_COUNT] = {65534, 10001, 10003, 10004, 0};
    for (enum role r = 0; r < ROLE_COUNT; r++) {
        assert_int_equal(role_info(r)->uid, UIDS[r]);
        assert_int_equal(role_info(r)->gid, UIDS[r]);
        assert_int_equal(role_info(r)->image == NULL, r == ROLE_AGENT);
    }
    assert_string_equal(role_info(ROLE_PIPELOCK)->hot_file, "/etc/bottler/pipelock.yaml");
    assert_string_equal(role_info(ROLE_EGRESS)->hot_file, "/etc/bottler/routes.yaml");
    assert_null(role_info(ROLE_AGENT)->hot_file);
}

static void networks_have_their_words_both_ways(void **state)
{
    (void)state;
    static const char *const NAMES[NET_COUNT] = {"agent", "chain", "out"};
    static const char *const ROLES[NET_COUNT] = {"net-agent", "net-chain", "net-out"};
    for (enum net n = 0; n < NET_COUNT; n++) {
        enum net back = NET_COUNT;
        assert_string_equal(net_name(n), NAMES[n]);
        assert_string_equal(net_role(n), ROLES[n]);
        assert_true(net_parse(NAMES[n], &back));
        assert_int_equal(back, n);
        back = NET_COUNT;
        assert_true(net_role_parse(ROLES[n], &back));
        assert_int_equal(back, n);
        assert_false(net_role_parse(NAMES[n], &back));
        assert_false(net_parse(ROLES[n], &back));
    }
}

static void object_names_join_three_words(void **state)
{
    (void)state;
    char *name = object_name("bottler", "gitea-dev", "egress");
    assert_string_equal(name, "bottler.gitea-dev.egress");
    free(name);
}

static void bridge_names_fit_the_kernel_and_differ(void **state)
{
    (void)state;
    static const struct {
        const char *installation, *bottle;
        enum net net;
    } SOME[] = {
        {"inst", "demo", NET_AGENT}, {"inst", "demo", NET_CHAIN}, {"inst", "demo", NET_OUT},
        {"inst", "dem", NET_AGENT},  {"instd", "emo", NET_AGENT}, {"other", "demo", NET_AGENT},
    };
    enum { N = sizeof(SOME) / sizeof(SOME[0]) };
    char *names[N];
    for (size_t i = 0; i < N; i++) {
        names[i] = bridge_name(SOME[i].installation, SOME[i].bottle, SOME[i].net);
        assert_int_equal(strlen(names[i]), 14);
        assert_memory_equal(names[i], "bt", 2);
        assert_int_equal(names[i][2], "aco"[SOME[i].net]);
        assert_int_equal(names[i][3], '-');
        assert_true(str_is_hex(names[i] + 4, 10));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(names[i] + 4, names[j] + 4);
    }
    char *again = bridge_name("inst", "demo", NET_AGENT);
    assert_string_equal(again, names[0]);
    free(again);
    for (size_t i = 0; i < N; i++)
        free(names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_have_their_words_both_ways),
        cmocka_unit_test(every_role_is_on_its_primary_network),
        cmocka_unit_test(networks_keep_agent_and_internet_apart),
        cmocka_unit_test(sidecars_have_fixed_users_and_images),
        cmocka_unit_test(networks_have_their_words_both_ways),
        cmocka_unit_test(object_names_join_three_words),
        cmocka_unit_test(bridge_names_fit_the_kernel_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
