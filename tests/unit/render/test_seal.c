/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine says of a container, held against what was asked for. The answers of
 * tests/golden/seal were taken from real engines; each opening is one change to them.
 */
#include "render/seal.h"

#include "render/seccomp.h"
#include "tests/unit/render/fixture.h"

enum { CPUS = 2 };

struct world {
    struct fixture f;
    struct desired *d;
    json_t *agent; /* what inspecting a sound one answers */
    json_t *egress;
};

static json_t *answer(const char *path)
{
    json_error_t e;
    json_t *v = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    if (!v)
        fail_msg("%s:%d: %s", path, e.line, e.text);
    return v;
}

static void set_up(struct world *w)
{
    fx_minimal(&w->f);
    w->f.b.agent.user = fx_text(&w->f, "1000:1000");
    w->d = fx_render(&w->f);
    w->agent = answer("tests/golden/seal/agent-20.10.json");
    w->egress = answer("tests/golden/seal/egress-20.10.json");
}

static void tear_down(struct world *w)
{
    json_decref(w->agent);
    json_decref(w->egress);
    desired_free(w->d);
    fx_done(&w->f);
}

static struct seal judge(const struct world *w, enum role role, const json_t *v)
{
    AUTO_FREE char *text = XNN(json_dumps(v, JSON_COMPACT));
    struct seal s;
    fx_ok(seal_check(desired_find(w->d, role), CPUS, sv_of(text), &s));
    return s;
}

static void what_was_asked_for_is_sound(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    struct seal a = judge(&w, ROLE_AGENT, w.agent);
    struct seal e = judge(&w, ROLE_EGRESS, w.egress);
    assert_null(a.why);
    assert_null(e.why);
    assert_int_equal(a.state, SEAL_SOUND);
    assert_int_equal(e.state, SEAL_SOUND);
    tear_down(&w);
}

struct change {
    const char *key, *value; /* of HostConfig, as JSON; NULL: it is missing */
    enum seal_state state;
    const char *why;
};
static const struct change CHANGES[] = {
    {"Privileged", "true", SEAL_BROKEN, "HostConfig.Privileged is true"},
    {"CapAdd", "[\"NET_RAW\"]", SEAL_BROKEN, "HostConfig.CapAdd is [\"NET_RAW\"]"},
    {"CapDrop", "null", SEAL_BROKEN, "HostConfig.CapDrop is null, expected [\"ALL\"]"},
    {"CapDrop", "[\"NET_RAW\"]", SEAL_BROKEN, "expected [\"ALL\"]"},
    {"SecurityOpt", NULL, SEAL_BROKEN, "HostConfig.SecurityOpt is missing"},
    {"SecurityOpt", "[\"no-new-privileges\",\"seccomp=unconfined\"]", SEAL_BROKEN, "seccomp"},
    {"SecurityOpt", "[\"apparmor=unconfined\"]", SEAL_BROKEN, "apparmor"},
    {"NetworkMode", "\"host\"", SEAL_BROKEN, "HostConfig.NetworkMode is \"host\""},
    {"NetworkMode", "\"container:abc\"", SEAL_BROKEN, "container:abc"},
    {"NetworkMode", NULL, SEAL_BROKEN, "NetworkMode is missing"},
    {"PidMode", "\"host\"", SEAL_BROKEN, "HostConfig.PidMode is \"host\""},
    {"PidMode", "\"container:abc\"", SEAL_BROKEN, "PidMode"},
    {"IpcMode", "\"host\"", SEAL_BROKEN, "HostConfig.IpcMode is \"host\""},
    {"UTSMode", "\"host\"", SEAL_BROKEN, "UTSMode"},
    {"UsernsMode", "\"host\"", SEAL_BROKEN, "UsernsMode"},
    {"Binds", "[\"/var/run/docker.sock:/s\"]", SEAL_BROKEN, "docker.sock"},
    {"Mounts", "[{\"Type\":\"bind\",\"Source\":\"/\",\"Target\":\"/host\"}]", SEAL_BROKEN,
     "HostConfig.Mounts is "},
    {"VolumesFrom", "[\"other\"]", SEAL_BROKEN, "VolumesFrom"},
    {"Devices", "[{\"PathOnHost\":\"/dev/mem\"}]", SEAL_BROKEN, "/dev/mem"},
    {"DeviceRequests", "[{\"Count\":-1}]", SEAL_BROKEN, "DeviceRequests"},
    {"DeviceCgroupRules", "[\"a *:* rwm\"]", SEAL_BROKEN, "DeviceCgroupRules"},
    {"PortBindings", "{\"22/tcp\":[{\"HostPort\":\"22\"}]}", SEAL_BROKEN, "22/tcp"},
    {"PublishAllPorts", "true", SEAL_BROKEN, "PublishAllPorts"},
    {"ExtraHosts", "[\"egress:1.2.3.4\"]", SEAL_BROKEN, "ExtraHosts"},
    {"Links", "[\"/a:/b\"]", SEAL_BROKEN, "Links"},
    {"GroupAdd", "[\"docker\"]", SEAL_BROKEN, "GroupAdd"},
    {"Sysctls", "{\"net.ipv4.ip_forward\":\"1\"}", SEAL_BROKEN, "Sysctls"},
    {"MaskedPaths", "null", SEAL_BROKEN, "HostConfig.MaskedPaths is null"},
    {"ReadonlyPaths", "[]", SEAL_BROKEN, "HostConfig.ReadonlyPaths is []"},
    {"Dns", "[]", SEAL_BROKEN, "HostConfig.Dns is [], expected [\"127.0.0.1\"]"},
    {"AutoRemove", "true", SEAL_BROKEN, "AutoRemove"},
    {"OomKillDisable", "true", SEAL_BROKEN, "OomKillDisable"},
    {"RestartPolicy", "{\"Name\":\"always\"}", SEAL_LIMITS, "HostConfig.RestartPolicy is "},
    {"Memory", "0", SEAL_LIMITS, "HostConfig.Memory is 0, expected 2147483648"},
    {"MemorySwap", "-1", SEAL_LIMITS, "MemorySwap"},
    {"NanoCpus", "1500000000", SEAL_LIMITS, "HostConfig.NanoCpus is 1500000000"},
    {"NanoCpus", "2000000000", SEAL_SOUND, NULL}, /* as many as there are: none */
    {"PidsLimit", "null", SEAL_LIMITS, "HostConfig.PidsLimit is null, expected 512"},
    /* As other engines say the same. */
    {"SecurityOpt", "[\"no-new-privileges:true\"]", SEAL_SOUND, NULL},
    {"RestartPolicy", "{\"Name\":\"\"}", SEAL_SOUND, NULL},
    {"IpcMode", "\"shareable\"", SEAL_SOUND, NULL},
    {"IpcMode", NULL, SEAL_SOUND, NULL},
    {"Binds", "[]", SEAL_SOUND, NULL},
    {"CapAdd", "[]", SEAL_SOUND, NULL},
    {"Runtime", "\"runsc\"", SEAL_SOUND, NULL},
    {"SomethingNew", "true", SEAL_SOUND, NULL},
};

static void each_change_is_seen(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        const struct change *c = &CHANGES[i];
        json_t *v = XNN(json_deep_copy(w.agent));
        json_t *host = json_object_get(v, "HostConfig");
        if (c->value)
            json_object_set_new(host, c->key, json_loads(c->value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(host, c->key);
        struct seal s = judge(&w, ROLE_AGENT, v);
        if (s.state != c->state || (c->why && !strstr(s.why, c->why)) || (!c->why && s.why))
            fail_msg("%s = %s: %d, %s", c->key, c->value, (int)s.state, s.why);
        seal_done(&s);
        json_decref(v);
    }
    tear_down(&w);
}

/* Bottler's own profile of system calls is as good as none; another one isn't. */
static void a_profile_of_system_calls(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    AUTO_FREE char *ours = seccomp_option();
    AUTO_FREE char *altered = xstrdup(ours);
    memcpy(strstr(altered, "SCMP_ACT_ERRNO"), "SCMP_ACT_ALLOW", 14);
    const struct {
        const char *first, *second;
        enum seal_state state;
    } cases[] = {
        {"no-new-privileges", ours, SEAL_SOUND},
        {ours, "no-new-privileges:true", SEAL_SOUND},
        {"no-new-privileges", altered, SEAL_BROKEN},
        {"no-new-privileges", "seccomp=unconfined", SEAL_BROKEN},
        {"no-new-privileges", "seccomp={}", SEAL_BROKEN},
        {"no-new-privileges", "no-new-privileges", SEAL_BROKEN},
        {ours, ours, SEAL_BROKEN},
        {"apparmor=unconfined", ours, SEAL_BROKEN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_object_set_new(json_object_get(w.agent, "HostConfig"), "SecurityOpt",
                            json_pack("[s, s]", cases[i].first, cases[i].second));
        struct seal s = judge(&w, ROLE_AGENT, w.agent);
        if (s.state != cases[i].state ||
            (s.why && !strstr(s.why, "expected [\"no-new-privileges\"]")))
            fail_msg("%zu: %d, %s", i, (int)s.state, s.why);
        seal_done(&s);
    }
    json_object_set_new(json_object_get(w.egress, "HostConfig"), "SecurityOpt",
                        json_pack("[s, s]", "no-new-privileges", ours));
    struct seal s = judge(&w, ROLE_EGRESS, w.egress);
    assert_int_equal(s.state, SEAL_SOUND);
    tear_down(&w);
}

static void the_worst_is_told(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    json_t *host = json_object_get(w.agent, "HostConfig");
    json_object_set_new(host, "Memory", json_integer(0));
    json_object_set_new(host, "Privileged", json_true());
    struct seal s = judge(&w, ROLE_AGENT, w.agent);
    assert_int_equal(s.state, SEAL_BROKEN);
    assert_string_equal(s.why, "HostConfig.Privileged is true");
    seal_done(&s);
    json_object_set_new(host, "Privileged", json_false());
    json_object_set_new(json_object_get(w.agent, "Config"), "User", json_string("0"));
    s = judge(&w, ROLE_AGENT, w.agent);
    assert_string_equal(s.why, "Config.User is \"0\", expected \"1000:1000\"");
    seal_done(&s);
    tear_down(&w);
}

/* One of another generation: what that asked for isn't known, what none asks for is. */
static void another_generation(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        enum seal_state state;
    } rows[] = {
        {"Mounts", "[{\"Type\":\"bind\",\"Source\":\"/srv/x\",\"Target\":\"/x\"}]", SEAL_SOUND},
        {"Runtime", "\"runsc\"", SEAL_SOUND},
        {"Memory", "1234567890", SEAL_LIMITS},
        {"PidsLimit", "7", SEAL_LIMITS},
        {"Privileged", "true", SEAL_BROKEN},
        {"PidMode", "\"host\"", SEAL_BROKEN},
        {"Binds", "[\"/:/host\"]", SEAL_BROKEN},
        {"CapDrop", "[]", SEAL_BROKEN},
        {"NetworkMode", "\"host\"", SEAL_BROKEN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct world w;
        set_up(&w);
        json_object_set_new(json_object_get(w.agent, "Config"), "User", json_string("0"));
        json_object_set_new(json_object_get(w.agent, "HostConfig"), rows[i].key,
                            json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        AUTO_FREE char *text = json_dumps(w.agent, 0);
        struct seal s;
        fx_ok(seal_check_other(desired_find(w.d, ROLE_AGENT), CPUS, sv_of(text), &s));
        assert_true(s.other);
        if (s.state != rows[i].state)
            fail_msg("%s: %s", rows[i].key, s.why ? s.why : "sound");
        seal_done(&s);
        tear_down(&w);
    }
}

static void mounts_are_compared_one_by_one(void **state)
{
    (void)state;
    struct world w;
    fx_full(&w.f);
    w.d = fx_render(&w.f);
    w.agent = answer("tests/golden/seal/agent-20.10.json");
    w.egress = json_null();
    json_t *host = json_object_get(w.agent, "HostConfig");
    const json_t *asked = json_object_get(
        json_object_get(desired_find(w.d, ROLE_AGENT)->body, "HostConfig"), "Mounts");
    /* An engine leaves out what is false. */
    json_t *mounts = XNN(json_deep_copy(asked));
    json_object_del(json_array_get(mounts, 0), "ReadOnly");
    json_object_set_new(host, "Mounts", mounts);
    struct seal s = judge(&w, ROLE_AGENT, w.agent);
    assert_null(s.why);
    json_object_set_new(json_array_get(mounts, 0), "Source", json_string("/etc"));
    s = judge(&w, ROLE_AGENT, w.agent);
    assert_int_equal(s.state, SEAL_BROKEN);
    seal_done(&s);
    /* What is told of it goes into JSON, wherever a long one is cut. */
    for (size_t i = 0; i < 3; i++) {
        AUTO_FREE char *source = xasprintf(
            "/srv/%s%s", &"xx"[i], "€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€");
        json_object_set_new(json_array_get(mounts, 0), "Source", json_string(source));
        s = judge(&w, ROLE_AGENT, w.agent);
        json_t *utf8 = json_string(s.why);
        assert_non_null(utf8);
        json_decref(utf8);
        seal_done(&s);
    }
    json_array_clear(mounts);
    s = judge(&w, ROLE_AGENT, w.agent);
    assert_int_equal(s.state, SEAL_BROKEN);
    seal_done(&s);
    tear_down(&w);
}

static void nonsense_is_no_seal(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "null", "[]", "{}", "{\"HostConfig\":[]}", "{\"Host"};
    struct world w;
    set_up(&w);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct seal s;
        fx_refused(seal_check(desired_find(w.d, ROLE_AGENT), CPUS, sv_of(bodies[i]), &s),
                   ERR_UNAVAILABLE, "has no HostConfig");
    }
    struct seal s;
    fx_ok(seal_check(desired_find(w.d, ROLE_AGENT), CPUS, sv_of("{\"HostConfig\":{}}"), &s));
    assert_int_equal(s.state, SEAL_BROKEN); /* an empty answer proves nothing */
    seal_done(&s);
    tear_down(&w);
}

static void an_update_restores_the_limits(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    w.f.b.agent.resources.nano_cpus = 1500000000;
    struct desired *d = fx_render(&w.f);
    AUTO_FREE char *text = seal_update_body(desired_find(d, ROLE_AGENT)->limits, CPUS);
    assert_string_equal(text, "{\"Memory\":2147483648,\"MemorySwap\":2147483648,"
                              "\"NanoCpus\":1500000000,\"PidsLimit\":512,"
                              "\"RestartPolicy\":{\"Name\":\"no\"}}");
    AUTO_FREE char *none = seal_update_body(desired_find(w.d, ROLE_AGENT)->limits, CPUS);
    assert_non_null(strstr(none, "\"NanoCpus\":2000000000"));
    AUTO_FREE char *unknown = seal_update_body(desired_find(w.d, ROLE_AGENT)->limits, 0);
    assert_null(strstr(unknown, "NanoCpus"));
    desired_free(d);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_asked_for_is_sound),
        cmocka_unit_test(each_change_is_seen),
        cmocka_unit_test(a_profile_of_system_calls),
        cmocka_unit_test(the_worst_is_told),
        cmocka_unit_test(another_generation),
        cmocka_unit_test(mounts_are_compared_one_by_one),
        cmocka_unit_test(nonsense_is_no_seal),
        cmocka_unit_test(an_update_restores_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
