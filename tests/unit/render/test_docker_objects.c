/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies for networks, attachments and volumes; what is read from an image's answer. */
#include "bodies.h"

static void image_answers_are_read(void **state)
{
    (void)state;
    struct image_info i = {0};
    fx_ok(image_info_parse("acme:1",
                           sv_of("{\"Id\":\"sha256:9\",\"Architecture\":\"amd64\",\"Config\":"
                                 "{\"User\":\"1000\",\"Cmd\":null,\"Entrypoint\":[\"/x\"]}}"),
                           &i));
    assert_string_equal(i.ref, "acme:1");
    assert_string_equal(i.id, "sha256:9");
    assert_string_equal(i.user, "1000");
    assert_string_equal(i.arch, "amd64");
    assert_true(i.has_command);
    image_info_done(&i);
    fx_ok(image_info_parse("acme:1", sv_of("{\"Id\":\"sha256:9\",\"Config\":null}"), &i));
    assert_string_equal(i.user, "");
    assert_string_equal(i.arch, "");
    assert_false(i.has_command);
    image_info_done(&i);
    fx_ok(image_info_parse("acme:1", sv_of("{\"Id\":\"sha256:9\",\"Config\":{\"Cmd\":[]}}"), &i));
    assert_false(i.has_command);
    image_info_done(&i);
    fx_refused(image_info_parse("acme:1", sv_of("{\"Id\":7}"), &i), ERR_INVALID, "no \"Id\"");
    fx_refused(image_info_parse("acme:1", sv_of("<html>"), &i), ERR_INVALID, "isn't JSON");
    fx_refused(image_info_parse("acme:1", (struct sv){NULL, 0}, &i), ERR_INVALID, "isn't JSON");
    assert_null(i.id);
}

static struct err *try_words(const char *config, struct image_info *ret)
{
    AUTO_FREE char *text = xasprintf("{\"Id\":\"sha256:9\",\"Config\":%s}", config);
    return image_info_parse("acme:1", sv_of(text), ret);
}

static void what_an_image_runs_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        const char *words; /* joined, the two lists with a '|' between them */
    } CASES[] = {
        {"{}", "|"},
        {"null", "|"},
        {"7", "|"},
        {"{\"Entrypoint\":null,\"Cmd\":null}", "|"},
        {"{\"Entrypoint\":[],\"Cmd\":[]}", "|"},
        {"{\"Entrypoint\":[\"/x\",\"-a b\"],\"Cmd\":[\"\",\"\u00e9\"]}", "/x,-a b,|,\u00e9,"},
        {"{\"Entrypoint\":\"/x y\",\"Cmd\":\"z\"}", "/x y,|z,"},
        /* How an image says that it has none of its base's. */
        {"{\"Entrypoint\":[\"\"],\"Cmd\":[\"z\"]}", "|z,"},
        {"{\"Entrypoint\":\"\",\"Cmd\":null}", "|"},
        {"{\"Entrypoint\":[\"\",\"x\"]}", ",x,|"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct image_info info = {0};
        struct str words;
        fx_ok(try_words(CASES[i].config, &info));
        str_init(&words, 1024);
        for (size_t k = 0; k < info.entrypoint.len; k++)
            str_addf(&words, "%s,", info.entrypoint.items[k]);
        str_addc(&words, '|');
        for (size_t k = 0; k < info.cmd.len; k++)
            str_addf(&words, "%s,", info.cmd.items[k]);
        assert_string_equal(words.p, CASES[i].words);
        assert_int_equal(info.has_command, words.len > 1);
        str_done(&words);
        image_info_done(&info);
    }
}

static void what_no_engine_answers_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } BAD[] = {
        {"{\"Entrypoint\":[\"/x\",7]}",
         "\"Entrypoint\" in the engine's answer has a word that isn't"},
        {"{\"Entrypoint\":[\"/x\"],\"Cmd\":[[\"y\"]]}",
         "\"Cmd\" in the engine's answer has a word"},
        {"{\"Cmd\":[null]}", "\"Cmd\" in the engine's answer has a word"},
        {"{\"Cmd\":{\"0\":\"x\"}}", "\"Cmd\" in the engine's answer isn't a list"},
        {"{\"Entrypoint\":true}", "\"Entrypoint\" in the engine's answer isn't a list"},
        {"{\"Cmd\":[\"a\\u0000b\"]}", "isn't JSON"},
        {"{\"Cmd\":[\"\xff\"]}", "isn't JSON"},
    };
    struct image_info info = {0};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        fx_refused(try_words(BAD[i].config, &info), ERR_INVALID, BAD[i].says);
        assert_null(info.id);
    }
    enum { WORDS = 4096 };
    struct str many;
    str_init(&many, 1 << 16);
    str_add(&many, "{\"Cmd\":[\"x\"");
    for (int i = 1; i < WORDS; i++)
        str_add(&many, ",\"x\"");
    AUTO_FREE char *most = xasprintf("%s]}", many.p);
    AUTO_FREE char *more = xasprintf("%s,\"x\"]}", many.p);
    str_done(&many);
    fx_ok(try_words(most, &info));
    assert_int_equal(info.cmd.len, WORDS);
    image_info_done(&info);
    fx_refused(try_words(more, &info), ERR_INVALID, "at most 4096 texts");
}

static void connecting_gives_the_alias(void **state)
{
    (void)state;
    json_t *j = parsed(docker_connect_body(ROLE_EGRESS, "c1"));
    at(j, "Container", "\"c1\"");
    at(j, "EndpointConfig", "{\"Aliases\":[\"egress\"]}");
    json_decref(j);
    j = parsed(docker_disconnect_body("c1"));
    at(j, "Container", "\"c1\"");
    at(j, "Force", "true");
    json_decref(j);
}

/* ---- networks and volumes -------------------------------------------------------------------- */

static json_t *network(const struct desired *d, enum net n, const struct engine_caps *caps)
{
    return parsed(docker_network_body(d, &d->networks[n], "10.213.0.16/28", caps));
}

static void networks_have_no_gateway_inside(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct desired *d = fx_render(&f);
    for (enum net n = 0; n < NET_COUNT; n++) {
        json_t *j = network(d, n, &OLD);
        char *name = xasprintf("\"%s\"", d->networks[n].name);
        at(j, "Name", name);
        at(j, "Driver", "\"bridge\"");
        at(j, "CheckDuplicate", "true");
        at(j, "EnableIPv6", "false");
        at(j, "Internal", n == NET_OUT ? "false" : "true");
        at(j, "IPAM.Config", "[{\"Subnet\":\"10.213.0.16/28\"}]");
        label(j, "dev.bottler.installation", "inst-1");
        label(j, "dev.bottler.bottle", "demo");
        label(j, "dev.bottler.role", net_role(n));
        label(j, "dev.bottler.uid", "uid-1");
        label(j, "dev.bottler.spec-hash", d->networks[n].spec_hash);
        label(j, "dev.bottler.self", d->networks[n].name);
        free(name);
        json_decref(j);
    }
    desired_free(d);
    fx_done(&f);
}

static void network_options_follow_the_engine(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct desired *d = fx_render(&f);
    static const struct {
        enum net net;
        const struct engine_caps *caps;
        const char *fmt;
    } CASES[] = {
        {NET_AGENT, &OLD,
         "{\"com.docker.network.bridge.inhibit_ipv4\":\"true\","
         "\"com.docker.network.bridge.name\":\"%s\"}"},
        {NET_CHAIN, &NEW,
         "{\"com.docker.network.bridge.gateway_mode_ipv4\":\"isolated\","
         "\"com.docker.network.bridge.inhibit_ipv4\":\"true\","
         "\"com.docker.network.bridge.name\":\"%s\"}"},
        {NET_OUT, &OLD, "{\"com.docker.network.bridge.name\":\"%s\"}"},
        {NET_OUT, &NEW,
         "{\"com.docker.network.bridge.enable_icc\":\"false\","
         "\"com.docker.network.bridge.name\":\"%s\"}"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        json_t *j = network(d, CASES[i].net, CASES[i].caps);
        struct str want;
        str_init(&want, 1024);
        const char *bridge = d->networks[CASES[i].net].bridge;
        const char *mark = strstr(CASES[i].fmt, "%s");
        str_addn(&want, CASES[i].fmt, (size_t)(mark - CASES[i].fmt));
        str_add(&want, bridge);
        str_add(&want, mark + 2);
        at(j, "Options", want.p);
        str_done(&want);
        json_decref(j);
    }
    desired_free(d);
    fx_done(&f);
}

static void volumes_say_whose_they_are(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    fx_mount(&f, "/tmp/x")->volume = fx_text(&f, "scratch");
    struct desired *d = fx_render(&f);
    json_t *kept = parsed(docker_volume_body(d, &d->volumes[0]));
    at(kept, "Name", "\"bottler.demo.cache\"");
    at(kept, "Driver", "\"local\"");
    label(kept, "dev.bottler.installation", "inst-1");
    label(kept, "dev.bottler.bottle", "demo");
    label(kept, "dev.bottler.role", "volume");
    label(kept, "dev.bottler.uid", "uid-1");
    label(kept, "dev.bottler.self", "bottler.demo.cache");
    label(kept, "dev.bottler.retain", "true");
    json_t *scratch = parsed(docker_volume_body(d, &d->volumes[1]));
    at(scratch, "Name", "\"bottler.demo.scratch\"");
    absent(scratch, "Labels", "dev.bottler.retain");
    json_decref(kept);
    json_decref(scratch);
    desired_free(d);
    fx_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_answers_are_read),
        cmocka_unit_test(what_an_image_runs_is_read),
        cmocka_unit_test(what_no_engine_answers_is_refused),
        cmocka_unit_test(connecting_gives_the_alias),
        cmocka_unit_test(networks_have_no_gateway_inside),
        cmocka_unit_test(network_options_follow_the_engine),
        cmocka_unit_test(volumes_say_whose_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
