/* SPDX-License-Identifier: Apache-2.0 */
/* What the lists tell of strangers, probes and networks: all that may open a bottle. */
#include "render/observed.h"
#include "tests/unit/support.h"

#define NO_LIST sv_of("[]")
#define NO_VOLUMES sv_of("{\"Volumes\":[]}")

/* A stranger's oddities keep nobody from seeing the rest; what it may be attached to counts. */
static void strangers_are_read_as_far_as_they_go(void **state)
{
    (void)state;
    struct observed *o = NULL;
    struct err *e =
        observed_parse("inst-1",
                       sv_of("[{}, {\"Id\":7,\"Names\":{},\"State\":\"melted\"},"
                             " {\"Id\":\"s1\",\"Names\":[\"/spy\"],\"State\":\"running\","
                             "  \"HostConfig\":{\"NetworkMode\":\"container:abc\"},"
                             "  \"NetworkSettings\":{\"Networks\":{\"a\":{\"NetworkID\":\"n1\"},"
                             "\"b\":{\"NetworkID\":3}}}}]"),
                       NO_LIST, NO_VOLUMES, &o);
    assert_null(e);
    assert_int_equal(o->containers_len, 3);
    const struct observed_container *spy = &o->containers[2];
    assert_string_equal(spy->name, "spy");
    assert_string_equal(spy->joins, "abc");
    assert_false(spy->proven);
    assert_int_equal(spy->net_ids_len, 1);
    assert_string_equal(spy->net_ids[0], "n1");
    /* In doubt it runs. */
    assert_int_equal(o->containers[0].state, RUN_RUNNING);
    assert_int_equal(o->containers[1].state, RUN_RUNNING);
    observed_free(o);
}

/* From the list of what runs only strangers are taken: ours are known from their own. */
static void strangers_join_what_is_ours(void **state)
{
    (void)state;
    struct observed *o = NULL;
    struct err *e = observed_parse(
        "inst-1",
        sv_of("[{\"Id\":\"p\",\"Names\":[\"/m\"],\"ImageID\":\"i\",\"State\":\"exited\","
              "\"Labels\":{\"dev.bottler.installation\":\"inst-1\"}}]"),
        NO_LIST, NO_VOLUMES, &o);
    assert_null(e);
    e = observed_add_strangers(
        o, "inst-1",
        sv_of("[{\"Id\":\"p\",\"Names\":[\"/m\"],\"ImageID\":\"i\",\"State\":\"running\","
              "\"Labels\":{\"dev.bottler.installation\":\"inst-1\"}},"
              "{\"Id\":\"q\",\"Names\":[\"/a\"],\"State\":\"running\","
              "\"Labels\":{\"dev.bottler.installation\":\"inst-2\"}},"
              "{\"Id\":\"r\",\"Names\":[\"/z\"],\"State\":\"paused\"}]"));
    assert_null(e);
    assert_int_equal(o->containers_len, 3);
    assert_string_equal(o->containers[0].name, "a");
    assert_string_equal(o->containers[1].name, "m");
    assert_int_equal(o->containers[1].state, RUN_EXITED);
    assert_string_equal(o->containers[2].name, "z");
    e = observed_add_strangers(o, "inst-1", sv_of("{}"));
    assert_non_null(e);
    assert_non_null(strstr(err_message(e), "list of what runs"));
    err_free(e);
    observed_free(o);
}

/* What `attest` starts is ours to remove, and no part of the bottle. */
static void probes_are_known(void **state)
{
    (void)state;
    struct observed *o = NULL;
    struct err *e = observed_parse(
        "inst-1",
        sv_of("[{\"Id\":\"p\",\"Names\":[\"/b.demo.probe-1a2b3c\"],\"ImageID\":\"i\","
              "\"State\":\"exited\",\"Status\":\"Exited (0) 1 second ago\",\"Labels\":{"
              "\"dev.bottler.installation\":\"inst-1\",\"dev.bottler.bottle\":\"demo\","
              "\"dev.bottler.role\":\"probe\",\"dev.bottler.uid\":\"u\","
              "\"dev.bottler.self\":\"b.demo.probe-1a2b3c\"}}]"),
        NO_LIST, NO_VOLUMES, &o);
    assert_null(e);
    assert_true(o->containers[0].probe);
    assert_false(o->containers[0].proven);
    observed_free(o);
}

static void networks_say_how_closed_they_are(void **state)
{
    (void)state;
    struct observed *o = NULL;
    struct err *e = observed_parse(
        "inst-1", NO_LIST,
        sv_of("[{\"Id\":\"1\",\"Name\":\"a\",\"Driver\":\"bridge\",\"Internal\":true,"
              "\"Options\":{\"com.docker.network.bridge.inhibit_ipv4\":\"true\"}},"
              "{\"Id\":\"2\",\"Name\":\"b\",\"Driver\":\"macvlan\",\"EnableIPv6\":true,"
              "\"Options\":{\"com.docker.network.bridge.enable_icc\":\"false\"}}]"),
        NO_VOLUMES, &o);
    assert_null(e);
    const struct observed_network *a = &o->networks[0];
    const struct observed_network *b = &o->networks[1];
    assert_true(a->bridge && a->internal && a->inhibit_ipv4 && !a->ipv6 && !a->icc_off);
    assert_true(!b->bridge && !b->internal && !b->inhibit_ipv4 && b->ipv6 && b->icc_off);
    observed_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_read_as_far_as_they_go),
        cmocka_unit_test(strangers_join_what_is_ours),
        cmocka_unit_test(probes_are_known),
        cmocka_unit_test(networks_say_how_closed_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
