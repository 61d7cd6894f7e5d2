/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a bottle on an engine, and what its probe is told. */
#include "world.h"

static char *compact(const json_t *v)
{
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    return text ? text : xstrdup("absent");
}

static void is(json_t *root, const char *path, const char *want)
{
    char *have = compact(world_at(root, path));
    assert_string_equal(have, want);
    free(have);
}

/* ---- finding --------------------------------------------------------------------------------- */

static void bottles_are_found_by_name_and_labels(void **state)
{
    (void)state;
    struct recorded r;
    struct str_list names = {0};
    world_open(&r);
    attest_bottles(r.w.containers, "e2e", &names);
    assert_int_equal(names.len, 2);
    assert_string_equal(names.items[0], "one");
    assert_string_equal(names.items[1], "two");
    str_list_done(&names);
    attest_bottles(r.w.containers, "other", &names);
    assert_int_equal(names.len, 0);
    assert_non_null(attest_listed(&r.w, ROLE_AGENT));
    assert_string_equal(attest_id(attest_listed(&r.w, ROLE_EGRESS)),
                        json_string_value(world_at(r.root, "inspect/egress/Id")));
    assert_null(attest_listed(&r.w, ROLE_GIT_GATE));
    assert_string_equal(attest_id(attest_network(&r.w, NET_CHAIN)),
                        json_string_value(world_at(r.root, "members/chain/Id")));
    r.w.bottle = "three";
    assert_null(attest_listed(&r.w, ROLE_AGENT));
    assert_null(attest_network(&r.w, NET_AGENT));
    assert_null(attest_id(NULL));
    world_close(&r);
}

/* The place of a container in the list. */
static size_t place(const struct recorded *r, const char *name)
{
    for (size_t i = 0; i < json_array_size(r->w.containers); i++) {
        const json_t *c = json_array_get(r->w.containers, i);
        if (strcmp(json_string_value(json_array_get(json_object_get(c, "Names"), 0)), name) == 0)
            return i;
    }
    fail_msg("no container %s", name);
    return 0;
}

static void labels_that_do_not_agree_are_nobodys(void **state)
{
    (void)state;
    static const char *const labels[] = {"bottle", "role", "self"};
    for (size_t i = 0; i < 3; i++) {
        struct recorded r;
        world_open(&r);
        char *path = xasprintf("containers/%zu/Labels/dev.bottler.%s", place(&r, "/e2e.one.agent"),
                               labels[i]);
        world_set(&r, path, "\"x\"");
        assert_null(attest_listed(&r.w, ROLE_AGENT));
        free(path);
        world_close(&r);
    }
    /* Another installation's egress isn't this agent's. */
    struct recorded r;
    world_open(&r);
    char *path =
        xasprintf("containers/%zu/Labels/dev.bottler.installation", place(&r, "/e2e.one.egress"));
    world_set(&r, path, "\"x\"");
    assert_null(attest_listed(&r.w, ROLE_EGRESS));
    assert_non_null(attest_listed(&r.w, ROLE_AGENT));
    free(path);
    world_close(&r);
}

static void answers_of_any_shape(void **state)
{
    (void)state;
    static const char *const values[] = {"null", "7",           "[]",
                                         "{}",   "[7,null,{}]", "[{\"Names\":7,\"Labels\":[]}]"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct recorded r;
        struct str_list names = {0};
        world_open(&r);
        json_object_set_new(r.root, "containers", json_loads(values[i], JSON_DECODE_ANY, NULL));
        world_parts(&r);
        world_set(&r, "members/agent", values[i]);
        attest_bottles(r.w.containers, "e2e", &names);
        assert_int_equal(names.len, 0);
        assert_null(attest_listed(&r.w, ROLE_AGENT));
        json_t *input = attest_input(&r.w, &(struct attest_asks){.nonce = "0123456789abcdef"});
        assert_non_null(input);
        json_decref(input);
        world_close(&r);
    }
}

/* ---- the agent ------------------------------------------------------------------------------- */

static void users(void **state)
{
    (void)state;
    static const char *const none[] = {"",   "1000", "ada",  "ada:users", "1000:users",
                                       ":5", "1:",   "-1:0", "1:2:3"};
    struct recorded r;
    world_open(&r);
    char *user = attest_user(r.w.inspect[ROLE_AGENT]);
    assert_string_equal(user, "1000:1000");
    free(user);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        char *json = xasprintf("\"%s\"", none[i]);
        world_set(&r, "inspect/agent/Config/User", json);
        user = attest_user(r.w.inspect[ROLE_AGENT]);
        if (user)
            fail_msg("'%s' is '%s'", none[i], user);
        free(json);
    }
    user = attest_user_of_top(json_object_get(r.root, "top"));
    assert_string_equal(user, "1000:1000");
    free(user);
    world_close(&r);
}

static void processes_of_other_shapes_tell_nothing(void **state)
{
    (void)state;
    static const char *const tops[] = {
        "null",
        "{}",
        "{\"Titles\":[\"PID\",\"UID\",\"GID\"],\"Processes\":[]}",
        "{\"Titles\":[\"PID\",\"UID\",\"GID\"],\"Processes\":[[\"1\",\"0\"]]}",
        "{\"Titles\":[\"PID\",\"UID\",\"GID\"],\"Processes\":[[\"1\",\"root\",\"0\"]]}",
        "{\"Titles\":[\"PID\",\"UID\",\"GID\"],\"Processes\":[[\"1\",\"100000\",\"100000\"]]}",
        "{\"Titles\":[\"PID\",\"UID\"],\"Processes\":[[\"1\",\"0\"]]}",
    };
    for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
        json_t *top = json_loads(tops[i], JSON_DECODE_ANY, NULL);
        char *user = attest_user_of_top(top);
        if (user)
            fail_msg("%s: %s", tops[i], user);
        json_decref(top);
    }
}

static void the_epoch_tells_a_change(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "inspect/agent/Id", "inspect/agent/State/StartedAt",
        "inspect/agent/NetworkSettings/Networks/e2e.one.agent/NetworkID",
        "inspect/agent/NetworkSettings/Networks/e2e.one.agent/EndpointID",
        "inspect/agent/NetworkSettings/Networks/e2e.one.agent"};
    struct recorded r;
    world_open(&r);
    char *before = attest_agent_epoch(r.w.inspect[ROLE_AGENT]);
    assert_true(attest_agent_runs(r.w.inspect[ROLE_AGENT]));
    world_close(&r);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        world_open(&r);
        world_set(&r, paths[i], i == 4 ? "" : "\"x\"");
        char *after = attest_agent_epoch(r.w.inspect[ROLE_AGENT]);
        assert_string_not_equal(before, after);
        free(after);
        world_close(&r);
    }
    world_open(&r);
    world_set(&r, "inspect/agent/State/Pid", "7");
    char *after = attest_agent_epoch(r.w.inspect[ROLE_AGENT]);
    assert_string_equal(before, after);
    world_set(&r, "inspect/agent/State/Paused", "true");
    assert_true(attest_agent_runs(r.w.inspect[ROLE_AGENT]));
    world_set(&r, "inspect/agent/State/Restarting", "true");
    assert_false(attest_agent_runs(r.w.inspect[ROLE_AGENT]));
    world_set(&r, "inspect/agent/State", "{\"Running\":false}");
    assert_false(attest_agent_runs(r.w.inspect[ROLE_AGENT]));
    assert_false(attest_agent_runs(NULL));
    free(after);
    free(before);
    world_close(&r);
}

/* ---- targets --------------------------------------------------------------------------------- */

static void targets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *address;
        uint16_t port;
        bool udp;
    } good[] = {
        {"198.51.100.7", "198.51.100.7", 0, false},
        {"198.51.100.7:443", "198.51.100.7", 443, false},
        {"198.51.100.7:53/udp", "198.51.100.7", 53, true},
        {"198.51.100.7/udp", "198.51.100.7", 0, true},
        {"2001:db8::1", "2001:db8::1", 0, false},
        {"[2001:db8::1]:443", "2001:db8::1", 443, false},
        {"[2001:db8::1]:53/udp", "2001:db8::1", 53, true},
        {"[2001:db8::1]", "2001:db8::1", 0, false},
    };
    static const char *const bad[] = {"",
                                      "host.example.com",
                                      "198.51.100.7:",
                                      "198.51.100.7:0",
                                      "198.51.100.7:65536",
                                      "198.51.100.7:x",
                                      "198.51.100.7:443/tcp",
                                      "198.51.100.256",
                                      "[2001:db8::1",
                                      "[2001:db8::1]443",
                                      "/udp",
                                      "198.51.100.0/24",
                                      "198.51.100.7 "};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct attest_target t = {0};
        if (!attest_target_parse(good[i].text, &t))
            fail_msg("'%s' is refused", good[i].text);
        assert_string_equal(t.address, good[i].address);
        assert_int_equal(t.port, good[i].port);
        assert_int_equal(t.udp, good[i].udp);
        free(t.address);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct attest_target t = {0};
        if (attest_target_parse(bad[i], &t))
            fail_msg("'%s' is taken", bad[i]);
        assert_null(t.address);
    }
}

/* ---- what the probe is told ------------------------------------------------------------------ */

static json_t *asked(struct recorded *r, const struct attest_asks *a)
{
    json_t *input = attest_input(&r->w, a);
    assert_non_null(input);
    return input;
}

/* Whether somebody is told as a peer with this address; gives the ports. */
static char *peer(json_t *input, const char *address)
{
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach(json_object_get(input, "peers"), i, p)
    {
        json_t *a = json_array_get(json_object_get(p, "addresses"), 0);
        if (strcmp(json_string_value(a), address) == 0) {
            char *ports = compact(json_object_get(p, "ports"));
            char *text = xasprintf("%s %s %s", json_string_value(json_object_get(p, "role")),
                                   json_string_value(json_object_get(p, "bottle")), ports);
            free(ports);
            return text;
        }
    }
    return xstrdup("none");
}

static void expect_peer(json_t *input, const char *address, const char *want)
{
    char *have = peer(input, address);
    assert_string_equal(have, want);
    free(have);
}

/* What pipelock isn't meant to find by the manifest is no way out. */
static void the_input_tells_what_is_not_scanned(void **state)
{
    (void)state;
    struct recorded r;
    world_open(&r);
    json_t *labels = json_object_get(attest_listed(&r.w, ROLE_PIPELOCK), "Labels");
    json_object_set_new(labels, LABEL_DLP, json_string("warn"));
    json_object_set_new(labels, LABEL_UNSCANNED, json_string("a.example.com  b.example.com"));
    json_t *input = asked(&r, &(struct attest_asks){.nonce = "0123456789abcdef"});
    is(input, "pipelock",
       "{\"action\":\"warn\",\"passthrough\":[\"a.example.com\",\"b.example.com\"]}");
    json_decref(input);
    world_close(&r);
}

static void the_input_names_everybody(void **state)
{
    (void)state;
    struct recorded r;
    world_open(&r);
    struct str_list own = {0};
    struct str_list only = {0};
    char *address = xstrdup("198.51.100.7");
    char *second = xstrdup("198.51.100.8");
    const struct attest_target to[] = {{.address = address, .port = 53, .udp = true},
                                       {.address = second}};
    str_list_add(&own, "192.0.2.10");
    str_list_add(&own, "10.213.0.2"); /* the egress proxy's: not the host's */
    str_list_add(&only, "N2.*");
    const struct attest_asks asks = {.deadline_s = 120,
                                     .nonce = "0123456789abcdef",
                                     .only = &only,
                                     .targets = to,
                                     .targets_len = 2,
                                     .wide = true,
                                     .host_addresses = &own,
                                     .tcp_port = 40001,
                                     .udp_port = 40002};
    json_t *input = asked(&r, &asks);
    is(input, "as", "\"user\"");
    is(input, "deadline_s", "120");
    is(input, "nonce", "\"0123456789abcdef\"");
    is(input, "only", "[\"N2.*\"]");
    is(input, "wide", "true");
    is(input, "names", "[\"0123456789abcdef.canary.example.net\"]");
    is(input, "proxy", "{\"addresses\":[\"10.213.0.2\"],\"name\":\"egress\",\"port\":9099}");
    is(input, "targets",
       "[{\"address\":\"198.51.100.7\",\"tcp\":[],\"udp\":[53]},"
       "{\"address\":\"198.51.100.8\",\"tcp\":[443,80,22],\"udp\":[53]}]");
    is(input, "agent", "{\"mounts\":[]}");
    is(input, "pipelock", "{\"action\":\"block\",\"passthrough\":[]}");
    is(input, "host/tcp", "[40001]");
    is(input, "host/udp", "[40002]");
    /* Both ends of the bottle's subnets, then the host's own, then every network's gateway. */
    is(input, "host/addresses",
       "[\"10.213.0.1\",\"10.213.0.14\",\"10.213.0.17\",\"10.213.0.30\",\"10.213.0.33\","
       "\"10.213.0.46\",\"192.0.2.10\",\"172.17.0.1\",\"10.213.0.49\",\"10.213.0.65\","
       "\"10.213.0.81\"]");
    /* What the agent may use of its own proxy is no attempt; where it isn't meant to be, it is. */
    expect_peer(input, "10.213.0.2", "egress same [8080,8081,9090]");
    expect_peer(input, "10.213.0.19", "egress same [9099,8080,8081,9090]");
    expect_peer(input, "10.213.0.18", "pipelock same [8888,9090,9091]");
    expect_peer(input, "10.213.0.34", "pipelock same [8888,9090,9091]");
    expect_peer(input, "10.213.0.50", "egress other [9099,8080,8081,9090]");
    expect_peer(input, "10.213.0.51", "agent other [22,80,3000,8080,8888]");
    expect_peer(input, "10.213.0.3", "none"); /* itself */
    json_decref(input);
    free(address);
    free(second);
    str_list_done(&own);
    str_list_done(&only);
    world_close(&r);
}

static void a_stranger_is_a_peer_and_a_probe_is_none(void **state)
{
    (void)state;
    struct recorded r;
    world_open(&r);
    char *labels = xasprintf("containers/%zu/Labels", place(&r, "/e2e.two.egress"));
    world_set(&r, labels, "{}");
    free(labels);
    char *role = xasprintf("containers/%zu/Labels/dev.bottler.role", place(&r, "/e2e.two.agent"));
    world_set(&r, role, "\"probe\"");
    free(role);
    json_t *input = asked(&r, &(struct attest_asks){.nonce = "0123456789abcdef", .as_root = true});
    is(input, "as", "\"root\"");
    is(input, "wide", "false");
    is(input, "host/tcp", "[]");
    expect_peer(input, "10.213.0.50", "other other [22,80,443,2375,5432,6379,8080]");
    expect_peer(input, "10.213.0.51", "none");
    json_decref(input);
    world_close(&r);
}

static void the_body_is_the_agents_own(void **state)
{
    (void)state;
    struct recorded r;
    world_open(&r);
    const char *id = json_string_value(world_at(r.root, "inspect/agent/Id"));
    char *mode = xasprintf("\"container:%s\"", id);
    char *volumes = xasprintf("[\"%s:ro\"]", id);
    world_set(&r, "inspect/agent/HostConfig/Sysctls",
              "{\"net.ipv4.ip_forward\":\"0\",\"kernel.msgmax\":\"1\"}");
    world_set(&r, "inspect/agent/HostConfig/SecurityOpt", "[\"seccomp=unconfined\"]");
    world_set(&r, "inspect/agent/HostConfig/CapAdd", "[\"NET_RAW\"]");
    world_set(&r, "inspect/agent/HostConfig/Privileged", "true");
    world_set(&r, "inspect/agent/HostConfig/PidMode", "\"host\"");
    world_set(&r, "inspect/agent/HostConfig/Devices", "[{\"PathOnHost\":\"/dev/fuse\"}]");
    world_set(&r, "inspect/agent/HostConfig/ReadonlyRootfs", "true");
    json_t *b = attest_probe_body(&r.w, "e2e.one.probe-abcdef", "sha256:77", "1000:1000");
    assert_non_null(b);
    is(b, "Image", "\"sha256:77\"");
    is(b, "User", "\"1000:1000\"");
    is(b, "Entrypoint", "[\"python3\",\"-B\",\"-I\",\"/bottler-probe/main.py\"]");
    is(b, "Cmd", "[]");
    is(b, "Healthcheck", "{\"Test\":[\"NONE\"]}");
    is(b, "Env", "absent");
    is(b, "Labels/dev.bottler.role", "\"probe\"");
    is(b, "Labels/dev.bottler.self", "\"e2e.one.probe-abcdef\"");
    is(b, "Labels/dev.bottler.bottle", "\"one\"");
    is(b, "Labels/dev.bottler.installation", "\"e2e-652ab905\"");
    is(b, "HostConfig/NetworkMode", mode);
    is(b, "HostConfig/VolumesFrom", volumes);
    is(b, "HostConfig/SecurityOpt", "[\"seccomp=unconfined\"]");
    is(b, "HostConfig/CapAdd", "[\"NET_RAW\"]");
    is(b, "HostConfig/CapDrop", "[\"ALL\"]");
    is(b, "HostConfig/Privileged", "true");
    is(b, "HostConfig/PidMode", "\"host\"");
    is(b, "HostConfig/Devices", "[{\"PathOnHost\":\"/dev/fuse\"}]");
    is(b, "HostConfig/Sysctls", "{\"kernel.msgmax\":\"1\"}");
    is(b, "HostConfig/Runtime", "\"runc\"");
    is(b, "HostConfig/Memory", "536870912");
    is(b, "HostConfig/MemorySwap", "536870912");
    is(b, "HostConfig/PidsLimit", "512");
    is(b, "HostConfig/RestartPolicy", "{\"Name\":\"no\"}");
    /* The engine refuses these beside "container:", or the files could not be uploaded. */
    is(b, "HostConfig/Dns", "absent");
    is(b, "HostConfig/ExtraHosts", "absent");
    is(b, "HostConfig/PortBindings", "absent");
    is(b, "HostConfig/ReadonlyRootfs", "absent");
    json_decref(b);
    r.w.inspect[ROLE_AGENT] = NULL;
    assert_null(attest_probe_body(&r.w, "e2e.one.probe-abcdef", "sha256:77", "0:0"));
    free(mode);
    free(volumes);
    world_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bottles_are_found_by_name_and_labels),
        cmocka_unit_test(labels_that_do_not_agree_are_nobodys),
        cmocka_unit_test(answers_of_any_shape),
        cmocka_unit_test(users),
        cmocka_unit_test(processes_of_other_shapes_tell_nothing),
        cmocka_unit_test(the_epoch_tells_a_change),
        cmocka_unit_test(targets),
        cmocka_unit_test(the_input_tells_what_is_not_scanned),
        cmocka_unit_test(the_input_names_everybody),
        cmocka_unit_test(a_stranger_is_a_peer_and_a_probe_is_none),
        cmocka_unit_test(the_body_is_the_agents_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
