/* SPDX-License-Identifier: Apache-2.0 */
/* What inspect answers say about a bottle: a sealed one of a real engine, and every way to open it
 * that a setting can be. */
#include "render/inspect_judge.h"
#include "render/seccomp.h"
#include "world.h"

static json_t *judged(const struct recorded *r)
{
    struct attest_report *report = attest_report_new("one", "2026-11-22T10:00:00Z", NULL);
    inspect_judge(&r->w, report);
    attest_report_finish(report);
    json_t *json = attest_report_json(report);
    attest_report_free(report);
    return json;
}

static const json_t *row(const json_t *report, const char *id)
{
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(json_object_get(report, "results"), i, v)
    {
        if (strcmp(json_string_value(json_object_get(v, "id")), id) == 0)
            return v;
    }
    return NULL;
}

static const char *field(const json_t *report, const char *id, const char *key)
{
    const json_t *v = row(report, id);
    if (!v)
        fail_msg("no row %s", id);
    return json_string_value(json_object_get(v, key));
}

static size_t count(const json_t *report, const char *verdict)
{
    return (size_t)json_integer_value(json_object_get(json_object_get(report, "summary"), verdict));
}

/* Exactly these ids (ended by NULL) have the verdict. */
static void expect_only(const json_t *report, const char *verdict, const char *const *ids)
{
    size_t n = 0;
    for (; ids[n]; n++) {
        if (strcmp(field(report, ids[n], "verdict"), verdict) != 0)
            fail_msg("%s is %s (%s)", ids[n], field(report, ids[n], "verdict"),
                     field(report, ids[n], "evidence"));
    }
    if (count(report, verdict) != n) {
        char *text = json_dumps(report, JSON_INDENT(1));
        print_error("%s\n", text);
        free(text);
    }
    assert_int_equal(count(report, verdict), n);
}

static void a_real_bottle_is_sealed(void **state)
{
    (void)state;
    static const char *const engines[] = {"20.10", "28.5"};
    static const char *const none[] = {NULL};
    static const char *const skipped[] = {"I.agent.cgroupns", "I.egress.cgroupns",
                                          "I.pipelock.cgroupns", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct recorded r;
        world_open_of(&r, engines[i]);
        json_t *report = judged(&r);
        expect_only(report, "open", none);
        expect_only(report, "error", none);
        expect_only(report, "skipped", skipped);
        assert_true(count(report, "denied") >= 70);
        assert_string_equal(json_string_value(json_object_get(report, "verdict")), "sealed");
        assert_string_equal(field(report, "I.agent.capabilities", "evidence"),
                            "CapDrop [\"ALL\"], CapAdd null");
        assert_string_equal(field(report, "I.agent.capabilities", "class"), "inspect");
        assert_string_equal(field(report, "I.agent.capabilities", "row"), "H2");
        assert_string_equal(field(report, "I.agent.capabilities", "as"), "host");
        assert_non_null(strstr(field(report, "I.net-chain.members", "evidence"), "e2e.one.egress"));
        json_decref(report);
        world_close(&r);
    }
}

struct opened {
    const char *path;
    const char *json;
    const char *id;
};
#define AGENT "inspect/agent/HostConfig/"
#define MOUNT(type, source)                                                                        \
    "[{\"Type\":\"" type "\",\"Source\":\"" source                                                 \
    "\",\"Destination\":\"/x\",\"RW\":true,\"Propagation\":\"rprivate\"}]"
static const struct opened OPENED[] = {
    {AGENT "Privileged", "true", "I.agent.privileged"},
    {AGENT "Privileged", "", "I.agent.privileged"},
    {AGENT "CapAdd", "[\"NET_RAW\"]", "I.agent.capabilities"},
    {AGENT "CapDrop", "null", "I.agent.capabilities"},
    {AGENT "CapDrop", "[\"NET_RAW\"]", "I.agent.capabilities"},
    {AGENT "SecurityOpt", "null", "I.agent.no-new-privileges"},
    {AGENT "SecurityOpt", "[\"no-new-privileges:false\"]", "I.agent.no-new-privileges"},
    {AGENT "SecurityOpt", "[\"no-new-privileges\",\"seccomp=unconfined\"]", "I.agent.confinement"},
    {AGENT "SecurityOpt", "[\"no-new-privileges\",\"seccomp:unconfined\"]", "I.agent.confinement"},
    {AGENT "SecurityOpt", "[\"no-new-privileges\",\"seccomp={}\"]", "I.agent.confinement"},
    {AGENT "SecurityOpt", "[\"no-new-privileges\",\"apparmor:unconfined\"]", "I.agent.confinement"},
    {AGENT "SecurityOpt", "[\"no-new-privileges\",\"label=disable\"]", "I.agent.confinement"},
    {AGENT "SecurityOpt", "[\"no-new-privileges\",7]", "I.agent.confinement"},
    {AGENT "MaskedPaths", "[]", "I.agent.proc"},
    {AGENT "ReadonlyPaths", "[]", "I.agent.proc"},
    {AGENT "MaskedPaths", "null", "I.agent.proc"},
    {AGENT "PidMode", "\"host\"", "I.agent.pid"},
    {AGENT "PidMode", "\"container:abc\"", "I.agent.pid"},
    {AGENT "IpcMode", "\"host\"", "I.agent.ipc"},
    {AGENT "UTSMode", "\"host\"", "I.agent.uts"},
    {AGENT "UsernsMode", "\"host\"", "I.agent.userns"},
    {AGENT "NetworkMode", "\"host\"", "I.agent.network-mode"},
    {AGENT "NetworkMode", "\"default\"", "I.agent.network-mode"},
    {AGENT "NetworkMode", "\"container:abc\"", "I.agent.network-mode"},
    {AGENT "Devices", "[{\"PathOnHost\":\"/dev/fuse\"}]", "I.agent.devices"},
    {AGENT "DeviceRequests", "[{\"Count\":-1}]", "I.agent.devices"},
    {AGENT "DeviceCgroupRules", "[\"a *:* rwm\"]", "I.agent.devices"},
    {AGENT "PortBindings", "{\"80/tcp\":[{\"HostPort\":\"80\"}]}", "I.agent.ports"},
    {AGENT "PublishAllPorts", "true", "I.agent.ports"},
    {"inspect/agent/NetworkSettings/Ports", "{\"80/tcp\":[{\"HostPort\":\"32768\"}]}",
     "I.agent.ports"},
    {AGENT "Dns", "null", "I.agent.dns"},
    {AGENT "Dns", "[\"127.0.0.1\",\"192.0.2.53\"]", "I.agent.dns"},
    {AGENT "RestartPolicy", "{\"Name\":\"always\"}", "I.agent.restart"},
    {AGENT "RestartPolicy", "{\"Name\":\"unless-stopped\"}", "I.agent.restart"},
    {AGENT "Memory", "0", "I.agent.limits"},
    {AGENT "PidsLimit", "null", "I.agent.limits"},
    {AGENT "PidsLimit", "-1", "I.agent.limits"},
    {AGENT "OomKillDisable", "true", "I.agent.limits"},
    {"inspect/agent/Mounts", MOUNT("bind", "/var/run/docker.sock"), "I.agent.mounts"},
    {"inspect/agent/Mounts", MOUNT("bind", "/"), "I.agent.mounts"},
    {"inspect/agent/Mounts", MOUNT("bind", "/home/ada/.ssh"), "I.agent.mounts"},
    {"inspect/agent/Mounts",
     "[{\"Type\":\"bind\",\"Source\":\"/srv/a\",\"Destination\":\"/x\",\"Propagation\":"
     "\"rshared\"}]",
     "I.agent.mounts"},
    {"inspect/egress/Mounts", MOUNT("bind", "/srv/agents/one"), "I.egress.mounts"},
    {"inspect/agent/NetworkSettings/Networks/bridge", "{\"NetworkID\":\"abc\"}",
     "I.agent.networks"},
    /* A network of the right name that somebody else made. */
    {"inspect/agent/NetworkSettings/Networks/e2e.one.agent/NetworkID", "\"abc\"",
     "I.agent.networks"},
    {"inspect/agent/NetworkSettings/Networks/e2e.one.agent/Aliases", "[\"agent\",\"egress\"]",
     "I.agent.aliases"},
    {"inspect/egress/NetworkSettings/Networks/e2e.one.agent/DNSNames", "[\"pipelock\"]",
     "I.egress.aliases"},
    {"inspect/egress/Config/User", "\"0:0\"", "I.egress.user"},
    {"inspect/pipelock/Config/User", "\"\"", "I.pipelock.user"},
    {"inspect/pipelock/Config/User", "\"root\"", "I.pipelock.user"},
    {"inspect/egress/HostConfig/Sysctls", "null", "I.egress.forwarding"},
    {"inspect/pipelock/HostConfig/Sysctls", "{\"net.ipv4.ip_forward\":\"1\"}",
     "I.pipelock.forwarding"},
    {"inspect/egress/HostConfig/Privileged", "true", "I.egress.privileged"},
    {"inspect/egress/HostConfig/Dns", "[]", "I.egress.dns"},
    {"members/agent/Internal", "false", "I.net-agent.internal"},
    {"members/chain/Internal", "false", "I.net-chain.internal"},
    {"members/agent/Options/com.docker.network.bridge.inhibit_ipv4", "\"false\"",
     "I.net-agent.gateway"},
    {"members/agent/Options", "null", "I.net-agent.gateway"},
    {"members/out/EnableIPv6", "true", "I.net-out.ipv6"},
    {"members/agent/Driver", "\"macvlan\"", "I.net-agent.driver"},
    {"members/agent/Scope", "\"swarm\"", "I.net-agent.driver"},
    {"members/agent/Containers/abc", "{\"Name\":\"stranger\"}", "I.net-agent.members"},
};

static void each_setting_that_opens_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(OPENED) / sizeof(OPENED[0]); i++) {
        const char *ids[] = {OPENED[i].id, NULL};
        struct recorded r;
        world_open(&r);
        world_set(&r, OPENED[i].path, OPENED[i].json);
        json_t *report = judged(&r);
        expect_only(report, "open", ids);
        assert_string_equal(json_string_value(json_object_get(report, "verdict")), "open");
        json_decref(report);
        world_close(&r);
    }
}

/* Some break more than one rule at a time. */
static void a_member_of_the_wrong_network(void **state)
{
    (void)state;
    static const char *const ids[] = {"I.agent.networks", "I.net-out.members", NULL};
    struct recorded r;
    world_open(&r);
    const char *agent = json_string_value(world_at(r.root, "inspect/agent/Id"));
    const char *out = json_string_value(world_at(r.root, "members/out/Id"));
    char *member = xasprintf("members/out/Containers/%s", agent);
    char *joined = xasprintf("{\"NetworkID\":\"%s\"}", out);
    world_set(&r, member, "{\"Name\":\"e2e.one.agent\"}");
    world_set(&r, "inspect/agent/NetworkSettings/Networks/e2e.one.out", joined);
    json_t *report = judged(&r);
    expect_only(report, "open", ids);
    assert_string_equal(field(report, "I.agent.networks", "evidence"),
                        "e2e.one.agent, NOT ITS OWN: e2e.one.out");
    json_decref(report);
    free(member);
    free(joined);
    world_close(&r);
}

static void allowed_settings(void **state)
{
    (void)state;
    static const struct opened fine[] = {
        {AGENT "SecurityOpt", "[\"no-new-privileges:true\"]", "I.agent.no-new-privileges"},
        {AGENT "CapDrop", "[\"all\"]", "I.agent.capabilities"},
        {AGENT "CapAdd", "[]", "I.agent.capabilities"},
        {AGENT "IpcMode", "\"shareable\"", "I.agent.ipc"},
        {AGENT "RestartPolicy", "{\"Name\":\"\"}", "I.agent.restart"},
        {"inspect/agent/Mounts", MOUNT("bind", "/srv/agents/one"), "I.agent.mounts"},
        {"inspect/agent/Mounts", MOUNT("volume", "/var/lib/docker/volumes/v/_data"),
         "I.agent.mounts"},
        {"inspect/agent/NetworkSettings/Ports", "{\"80/tcp\":null}", "I.agent.ports"},
        {"members/agent/Options", "{\"com.docker.network.bridge.gateway_mode_ipv4\":\"isolated\"}",
         "I.net-agent.gateway"},
        {"inspect/agent/Config/User", "\"0:0\"", "I.agent.limits"},
    };
    static const char *const none[] = {NULL};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        struct recorded r;
        world_open(&r);
        world_set(&r, fine[i].path, fine[i].json);
        json_t *report = judged(&r);
        expect_only(report, "open", none);
        assert_string_equal(field(report, fine[i].id, "verdict"), "denied");
        json_decref(report);
        world_close(&r);
    }
}

static void the_own_profile_of_system_calls_is_named_not_shown(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    struct recorded r;
    world_open(&r);
    json_t *options = json_array();
    json_array_append_new(options, json_string("no-new-privileges"));
    AUTO_FREE char *ours = seccomp_option();
    json_array_append_new(options, json_string(ours));
    AUTO_FREE char *set = json_dumps(options, JSON_COMPACT);
    json_decref(options);
    world_set(&r, AGENT "SecurityOpt", set);
    json_t *report = judged(&r);
    expect_only(report, "open", none);
    assert_string_equal(field(report, "I.agent.confinement", "evidence"),
                        "SecurityOpt [\"no-new-privileges\",\"seccomp=(bottler's own)\"]");
    assert_string_equal(field(report, "I.agent.no-new-privileges", "evidence"),
                        "SecurityOpt [\"no-new-privileges\",\"seccomp=(bottler's own)\"]");
    json_decref(report);
    world_close(&r);
}

static void control_groups_of_version_2_have_namespaces(void **state)
{
    (void)state;
    static const char *const open[] = {"I.agent.cgroupns", NULL};
    struct recorded r;
    world_open(&r);
    world_set(&r, "info/CgroupVersion", "\"2\"");
    world_set(&r, "inspect/egress/HostConfig/CgroupnsMode", "\"private\"");
    world_set(&r, "inspect/pipelock/HostConfig/CgroupnsMode", "\"private\"");
    json_t *report = judged(&r);
    expect_only(report, "open", open);
    assert_string_equal(field(report, "I.egress.cgroupns", "verdict"), "denied");
    json_decref(report);
    world_close(&r);
}

static void a_volume_can_be_a_directory_in_disguise(void **state)
{
    (void)state;
    static const char *const open[] = {"I.agent.mounts", NULL};
    struct recorded r;
    world_open(&r);
    world_set(&r, "volumes/Volumes",
              "[{\"Name\":\"v\",\"Driver\":\"local\",\"Options\":{\"type\":\"none\",\"o\":\"bind\","
              "\"device\":\"/etc\"}}]");
    world_set(&r, "inspect/agent/Mounts",
              "[{\"Type\":\"volume\",\"Name\":\"v\",\"Source\":\"/var/lib/docker/volumes/v/_data\","
              "\"Destination\":\"/cache\",\"RW\":true}]");
    json_t *report = judged(&r);
    expect_only(report, "open", open);
    assert_string_equal(field(report, "I.agent.mounts", "evidence"), "FORBIDDEN /etc -> /cache");
    json_decref(report);
    world_close(&r);
}

static void the_engines_own_data_is_forbidden_wherever_it_is(void **state)
{
    (void)state;
    static const char *const open[] = {"I.agent.mounts", NULL};
    struct recorded r;
    world_open(&r);
    world_set(&r, "info/DockerRootDir", "\"/srv/docker\"");
    world_set(&r, "inspect/agent/Mounts", MOUNT("bind", "/srv"));
    json_t *report = judged(&r);
    expect_only(report, "open", open);
    json_decref(report);
    world_close(&r);
}

static void what_is_missing_proves_nothing(void **state)
{
    (void)state;
    static const char *const errors[] = {"I.pipelock.present", NULL};
    static const char *const two[] = {"I.egress.present", "I.net-chain.present", NULL};
    struct recorded r;
    world_open(&r);
    world_set(&r, "inspect/pipelock", "");
    json_t *report = judged(&r);
    expect_only(report, "error", errors);
    assert_string_equal(json_string_value(json_object_get(report, "verdict")), "unproven");
    assert_string_equal(field(report, "I.pipelock.present", "evidence"),
                        "there is no container 'pipelock' of this bottle");
    json_decref(report);
    world_close(&r);

    world_open(&r);
    world_set(&r, "inspect/egress", "");
    world_set(&r, "members/chain", "");
    report = judged(&r);
    expect_only(report, "error", two);
    json_decref(report);
    world_close(&r);
}

static void a_runtime_that_nobody_knows(void **state)
{
    (void)state;
    static const char *const errors[] = {"I.agent.runtime", NULL};
    struct recorded r;
    world_open(&r);
    world_set(&r, AGENT "Runtime", "\"magic\"");
    json_t *report = judged(&r);
    expect_only(report, "error", errors);
    json_decref(report);
    world_close(&r);
}

/* Answers of any shape are judged, never trusted. */
static void garbage_is_never_sealed(void **state)
{
    (void)state;
    static const char *const values[] = {"null", "7", "\"x\"", "[]", "{}", "[[]]", "true"};
    static const char *const paths[] = {
        "inspect/agent",
        "inspect/agent/HostConfig",
        "members/agent",
    };
    for (size_t p = 0; p < sizeof(paths) / sizeof(paths[0]); p++) {
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            struct recorded r;
            world_open(&r);
            world_set(&r, paths[p], values[i]);
            json_t *report = judged(&r);
            assert_string_not_equal(json_string_value(json_object_get(report, "verdict")),
                                    "sealed");
            json_decref(report);
            world_close(&r);
        }
    }
}

static void sources(void **state)
{
    (void)state;
    static const char *const forbidden[] = {
        "/",
        "/etc",
        "/var",
        "/var/lib",
        "/var/lib/docker",
        "/var/lib/docker/volumes/x",
        "/run",
        "/run/user/1000",
        "/var/run/docker.sock",
        "/proc/1/root",
        "/sys/fs/cgroup",
        "/dev/mem",
        "/root",
        "/home",
        "/home/ada/.ssh/id_ed25519",
        "/srv/docker.sock",
        "/srv/x/../../etc",
        "/srv//x",
        "relative",
        "",
        "/etc/shadow",
        "/home/ada/.config/../.aws",
        "/home/ada/.aws/credentials",
    };
    static const char *const fine[] = {
        "/srv/agents/one", "/home/ada/src",          "/data",          "/rooted", "/etcetera",
        "/runner",         "/home/ada/docker.sock2", "/srv/ssl/certs", "/opt/x",
    };
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        if (!inspect_source_is_forbidden(forbidden[i]))
            fail_msg("'%s' is let through", forbidden[i]);
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        if (inspect_source_is_forbidden(fine[i]))
            fail_msg("'%s' is refused", fine[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_bottle_is_sealed),
        cmocka_unit_test(each_setting_that_opens_is_found),
        cmocka_unit_test(a_member_of_the_wrong_network),
        cmocka_unit_test(allowed_settings),
        cmocka_unit_test(the_own_profile_of_system_calls_is_named_not_shown),
        cmocka_unit_test(control_groups_of_version_2_have_namespaces),
        cmocka_unit_test(a_volume_can_be_a_directory_in_disguise),
        cmocka_unit_test(the_engines_own_data_is_forbidden_wherever_it_is),
        cmocka_unit_test(what_is_missing_proves_nothing),
        cmocka_unit_test(a_runtime_that_nobody_knows),
        cmocka_unit_test(garbage_is_never_sealed),
        cmocka_unit_test(sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
