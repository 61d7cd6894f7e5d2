/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine's answers say of it: recorded ones of a real engine, changed one fact at a time.
 */
#include "reconcile/doctor.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

static json_t *answer(const char *name)
{
    char *path = xasprintf("tests/golden/doctor/%s.json", name);
    struct test_bytes b = test_read_file(path);
    json_t *root = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    free(b.p);
    free(path);
    return root;
}

/* A change to an answer: a key and its new value; NULL value removes it. */
struct change {
    const char *key;
    const char *json;
};

static void apply(json_t *root, const struct change *c)
{
    if (!c->key || !json_object_get(root, c->key))
        return;
    if (!c->json)
        (void)json_object_del(root, c->key);
    else
        assert_int_equal(
            json_object_set_new(root, c->key, json_loads(c->json, JSON_DECODE_ANY, NULL)), 0);
}

/* What the trial writes on an engine where all is well. */
static const char GOOD_SEALED[] =
    "{\"host\":false,\"hostEvidence\":\"10.0.0.1:1 timeout after 3003 ms\",\"dns\":false,"
    "\"dnsEvidence\":\"no answer\",\"route\":true,\"ipv6\":[],\"seccomp\":2,"
    "\"noNewPrivileges\":true,\"capabilities\":false}";
static const char LEAKY_PLAIN[] =
    "{\"host\":true,\"hostEvidence\":\"10.0.0.17:1 ECONNREFUSED after 0 ms\",\"dns\":true,"
    "\"dnsEvidence\":\"answers NXDOMAIN\",\"route\":true,\"ipv6\":[],\"seccomp\":2,"
    "\"noNewPrivileges\":true,\"capabilities\":false}";

struct case_ {
    struct change version, info;
    const char *sealed, *plain; /* of the trial; NULL: not run */
};

static void facts_of(const struct case_ *c, struct doctor_facts *f)
{
    json_t *version = answer("version-20.10");
    json_t *info = answer("info-20.10");
    apply(version, &c->version);
    /* A key that the answer doesn't have is added. */
    if (c->info.key && c->info.json && !json_object_get(info, c->info.key))
        (void)json_object_set_new(info, c->info.key, json_null());
    apply(info, &c->info);
    doctor_facts_init(f);
    doctor_facts_read(f, version, info);
    doctor_facts_say(&f->endpoint, "unix:///run/docker.sock");
    f->local = true;
    const char *const out[DOCTOR_TRIALS] = {c->sealed, c->plain};
    for (enum doctor_trial t = 0; t < DOCTOR_TRIALS; t++) {
        json_t *json = out[t] ? json_loads(out[t], 0, NULL) : NULL;
        assert_int_equal(doctor_facts_seen(f, t, json), out[t] != NULL);
        json_decref(json);
    }
    json_decref(version);
    json_decref(info);
}

static const struct doctor_row *row(const struct doctor_rows *rows, const char *id)
{
    for (size_t i = 0; i < rows->len; i++) {
        if (strcmp(rows->rows[i].id, id) == 0)
            return &rows->rows[i];
    }
    fail_msg("no row %s", id);
    return &rows->rows[0];
}

static void expect(const struct doctor_facts *f, const char *id, enum doctor_state state,
                   const char *says)
{
    struct doctor_rows rows;
    doctor_judge(f, &rows);
    const struct doctor_row *r = row(&rows, id);
    if (r->state != state || !strstr(r->engine, says))
        fail_msg("%s: %s: %s", id, doctor_state_name(r->state), r->engine);
    assert_true(r->bottler[0] != '\0');
    doctor_rows_done(&rows);
}

static void expect_case(const struct case_ *c, const char *id, enum doctor_state state,
                        const char *says)
{
    struct doctor_facts f;
    facts_of(c, &f);
    expect(&f, id, state, says);
    doctor_facts_done(&f);
}

/* ---- the recorded engine --------------------------------------------------------------------- */

static void facts_are_read(void **state)
{
    (void)state;
    struct doctor_facts f;
    facts_of(&(struct case_){0}, &f);
    assert_string_equal(f.version, "20.10.24+dfsg1");
    assert_int_equal(f.major, 20);
    assert_int_equal(f.minor, 10);
    assert_int_equal(f.patch, 24);
    assert_int_equal(f.api_minor, 41);
    assert_string_equal(f.api_min, "1.12");
    assert_string_equal(f.os_type, "linux");
    assert_string_equal(f.driver, "overlay2");
    assert_string_equal(f.cgroup_version, "1");
    assert_string_equal(f.default_runtime, "runc");
    assert_string_equal(f.swarm, "inactive");
    assert_string_equal(f.seccomp, "default");
    assert_int_equal(f.runtimes.len, 3);
    assert_false(f.apparmor || f.selinux || f.rootless || f.userns || f.live_restore);
    assert_int_equal(f.memory_limit, DOCTOR_YES);
    assert_int_equal(f.pids_limit, DOCTOR_YES);
    assert_int_equal(f.ip_forward, DOCTOR_YES);
    assert_true(f.time > 1700000000);
    assert_null(doctor_refusal(&f));
    doctor_facts_done(&f);
}

static void the_recorded_engine_is_fit(void **state)
{
    (void)state;
    struct doctor_facts f;
    struct doctor_rows rows;
    facts_of(&(struct case_){.sealed = GOOD_SEALED, .plain = LEAKY_PLAIN}, &f);
    doctor_judge(&f, &rows);
    assert_int_equal(doctor_count(&rows, DOCTOR_FAIL), 0);
    assert_int_equal(doctor_count(&rows, DOCTOR_WARN), 1);
    assert_int_equal(row(&rows, "container.lsm")->state, DOCTOR_WARN);
    assert_int_equal(row(&rows, "network.dns")->state, DOCTOR_MITIGATED);
    assert_non_null(
        strstr(row(&rows, "network.dns")->engine,
               "tried: a plain internal network answers NXDOMAIN, bottler's no answer"));
    assert_int_equal(row(&rows, "network.host")->state, DOCTOR_MITIGATED);
    assert_non_null(
        strstr(row(&rows, "network.host")->engine, "10.0.0.17:1 ECONNREFUSED after 0 ms"));
    assert_null(doctor_refusal(&f));
    doctor_rows_done(&rows);
    doctor_facts_done(&f);
}

static void a_newer_engine_is_fit(void **state)
{
    (void)state;
    struct doctor_facts f;
    json_t *version = answer("version-28.5");
    json_t *info = answer("info-28.5");
    doctor_facts_init(&f);
    doctor_facts_read(&f, version, info);
    json_decref(version);
    json_decref(info);
    assert_int_equal(f.major, 28);
    assert_int_equal(f.api_minor, 51);
    assert_string_equal(f.api_min, "1.24");
    assert_string_equal(f.seccomp, "builtin");
    assert_int_equal(f.bridge_netfilter, DOCTOR_UNKNOWN);
    expect(&f, "network.dns", DOCTOR_OK, "no names");
    expect(&f, "network.gateway", DOCTOR_OK, "isolated");
    expect(&f, "network.firewall", DOCTOR_OK, "iptables");
    expect(&f, "container.seccomp", DOCTOR_MITIGATED, "'builtin'");
    assert_null(doctor_refusal(&f));
    doctor_facts_done(&f);
}

static void ids_are_unique(void **state)
{
    (void)state;
    struct doctor_facts f;
    struct doctor_rows rows;
    doctor_facts_init(&f);
    doctor_judge(&f, &rows);
    assert_true(rows.len >= 25);
    for (size_t i = 0; i < rows.len; i++) {
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows.rows[i].id, rows.rows[k].id);
    }
    doctor_rows_done(&rows);
    doctor_facts_done(&f);
}

/* ---- one fact at a time ---------------------------------------------------------------------- */

static void versions_with_the_leak(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        enum doctor_state want;
    } cases[] = {
        {"\"20.10.24+dfsg1\"", DOCTOR_MITIGATED},
        {"\"23.0.10\"", DOCTOR_MITIGATED},
        {"\"23.0.11\"", DOCTOR_OK},
        {"\"24.0.9\"", DOCTOR_MITIGATED},
        {"\"24.1.0\"", DOCTOR_MITIGATED},
        {"\"25.0.4\"", DOCTOR_MITIGATED},
        {"\"25.0.5\"", DOCTOR_OK},
        {"\"26.0.0\"", DOCTOR_OK},
        {"\"26.1.5+dfsg1\"", DOCTOR_OK},
        {"\"29.7.2\"", DOCTOR_OK},
        {"\"dev\"", DOCTOR_MITIGATED},
        {"\"\"", DOCTOR_MITIGATED},
        {"7", DOCTOR_MITIGATED},
        {"\"99999999999.1\"", DOCTOR_MITIGATED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct case_ c = {.version = {"Version", cases[i].version}};
        expect_case(&c, "network.dns", cases[i].want, "internal networks");
    }
}

static void a_leak_that_was_seen_counts_more_than_a_version(void **state)
{
    (void)state;
    struct case_ c = {
        .version = {"Version", "\"29.7.2\""}, .sealed = GOOD_SEALED, .plain = LEAKY_PLAIN};
    expect_case(&c, "network.dns", DOCTOR_MITIGATED, "answers NXDOMAIN");
    c.sealed = LEAKY_PLAIN;
    expect_case(&c, "network.dns", DOCTOR_FAIL, "answers NXDOMAIN");
}

static void gateways(void **state)
{
    (void)state;
    const struct case_ old = {.version = {"ApiVersion", "\"1.47\""}};
    const struct case_ new = {.version = {"ApiVersion", "\"1.48\""}};
    expect_case(&old, "network.gateway", DOCTOR_MITIGATED, "internal ones included");
    expect_case(&new, "network.gateway", DOCTOR_OK, "isolated");
    const struct case_ low = {.version = {"ApiVersion", "\"1.40\""}};
    expect_case(&low, "engine.version", DOCTOR_FAIL, "API 1.40");
}

static void the_host(void **state)
{
    (void)state;
    struct case_ c = {0};
    expect_case(&c, "network.host", DOCTOR_WARN, "was not tried");
    c.sealed = GOOD_SEALED;
    c.plain = GOOD_SEALED;
    expect_case(&c, "network.host", DOCTOR_OK, "plain or bottler's");
    c.plain = NULL;
    expect_case(&c, "network.host", DOCTOR_OK, "of bottler's");
    c.sealed = LEAKY_PLAIN;
    expect_case(&c, "network.host", DOCTOR_FAIL, "10.0.0.17:1 ECONNREFUSED");
}

static void settings_of_info(void **state)
{
    (void)state;
    static const struct {
        struct change info;
        const char *id;
        enum doctor_state want;
        const char *says;
    } cases[] = {
        {{"OSType", "\"windows\""}, "engine.os", DOCTOR_FAIL, "'windows'"},
        {{"OSType", NULL}, "engine.os", DOCTOR_FAIL, "''"},
        {{"SecurityOptions", "[]"}, "container.seccomp", DOCTOR_FAIL, "has no seccomp"},
        {{"SecurityOptions", "null"}, "container.seccomp", DOCTOR_FAIL, "has no seccomp"},
        {{"SecurityOptions", "[\"name=seccomp,profile=unconfined\"]"},
         "container.seccomp",
         DOCTOR_FAIL,
         "'unconfined'"},
        {{"SecurityOptions", "[\"name=seccomp,profile=builtin\"]"},
         "container.seccomp",
         DOCTOR_MITIGATED,
         "'builtin'"},
        {{"SecurityOptions", "[\"name=seccomp,profile=/etc/docker/own.json\"]"},
         "container.seccomp",
         DOCTOR_WARN,
         "/etc/docker/own.json"},
        {{"SecurityOptions", "[\"name=seccompish\"]"},
         "container.seccomp",
         DOCTOR_FAIL,
         "no seccomp"},
        {{"SecurityOptions", "[\"name=apparmor\"]"}, "container.lsm", DOCTOR_OK, "AppArmor"},
        {{"SecurityOptions", "[\"name=selinux\"]"}, "container.lsm", DOCTOR_OK, "SELinux"},
        {{"SecurityOptions", "[\"name=rootless\"]"}, "container.rootless", DOCTOR_WARN, "rootless"},
        {{"SecurityOptions", "[\"name=rootless\"]"}, "container.userns", DOCTOR_OK, "nobody"},
        {{"SecurityOptions", "[\"name=userns\"]"}, "container.userns", DOCTOR_OK, "nobody"},
        {{"PidsLimit", "false"}, "container.cgroups", DOCTOR_FAIL, "processes NOT limited"},
        {{"MemoryLimit", "false"}, "container.cgroups", DOCTOR_FAIL, "memory NOT limited"},
        {{"SwapLimit", "false"}, "container.cgroups", DOCTOR_WARN, "swap not limited"},
        {{"Runtimes", "{\"runc\":{},\"runsc\":{}}"}, "container.runtime", DOCTOR_OK, "runc, runsc"},
        {{"Driver", "\"vfs\""}, "engine.storage", DOCTOR_WARN, "'vfs'"},
        {{"DriverStatus", "[[\"driver-type\",\"io.containerd.snapshotter.v1\"]]"},
         "engine.storage",
         DOCTOR_OK,
         "containerd's store"},
        {{"LiveRestoreEnabled", "true"}, "engine.live-restore", DOCTOR_OK, "run on"},
        {{"Swarm", "{\"LocalNodeState\":\"active\"}"}, "engine.swarm", DOCTOR_WARN, "active"},
        {{"IPv4Forwarding", "false"}, "network.firewall", DOCTOR_WARN, "NOT forwarded"},
        {{"FirewallBackend", "{\"Driver\":\"nftables\"}"},
         "network.firewall",
         DOCTOR_OK,
         "nftables"},
        {{"Warnings", "[\"WARNING: bridge-nf-call-iptables is disabled\"]"},
         "network.icc",
         DOCTOR_MITIGATED,
         "br_netfilter is off"},
        {{"Warnings", "[\"WARNING: bridge-nf-call-iptables is disabled\"]"},
         "engine.warnings",
         DOCTOR_OK,
         "nothing"},
        {{"Warnings", "[\"WARNING: the API is open\",7]"},
         "engine.warnings",
         DOCTOR_WARN,
         "the API is open"},
        {{"Plugins", "{\"Authorization\":[\"gate\"]}"}, "engine.authorization", DOCTOR_OK, "gate"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct case_ c = {.info = cases[i].info};
        expect_case(&c, cases[i].id, cases[i].want, cases[i].says);
    }
}

static void what_a_container_was_given(void **state)
{
    (void)state;
    static const char unfiltered[] = "{\"ipv6\":[],\"seccomp\":0,\"noNewPrivileges\":true,"
                                     "\"capabilities\":false,\"host\":false,\"dns\":false}";
    static const char capable[] = "{\"ipv6\":[],\"seccomp\":2,\"noNewPrivileges\":true,"
                                  "\"capabilities\":true,\"host\":false,\"dns\":false}";
    static const char privileged[] = "{\"ipv6\":[\"fe80::1 on eth0\"],\"seccomp\":2,"
                                     "\"noNewPrivileges\":false,\"capabilities\":false}";
    struct case_ c = {.sealed = unfiltered};
    expect_case(&c, "container.seccomp", DOCTOR_FAIL, "had no filter");
    c.sealed = capable;
    expect_case(&c, "container.capabilities", DOCTOR_FAIL, "unasked");
    c.sealed = privileged;
    expect_case(&c, "container.capabilities", DOCTOR_FAIL, "unasked");
    expect_case(&c, "network.ipv6", DOCTOR_WARN, "fe80::1 on eth0");
    c.sealed = GOOD_SEALED;
    expect_case(&c, "container.capabilities", DOCTOR_OK, "tried");
}

static void calls_past_the_filter(void **state)
{
    (void)state;
    static const char loose[] = "{\"ipv6\":[],\"seccomp\":2,\"noNewPrivileges\":true,"
                                "\"capabilities\":false,\"openCalls\":[\"io_uring\",\"vsock\"]}";
    struct case_ c = {0};
    expect_case(&c, "container.syscalls", DOCTOR_OK, "not tried");
    c.sealed = GOOD_SEALED;
    c.plain = LEAKY_PLAIN;
    expect_case(&c, "container.syscalls", DOCTOR_OK, "refuses io_uring and vsock");
    c.plain = loose;
    expect_case(&c, "container.syscalls", DOCTOR_MITIGATED, "io_uring, vsock");
    c.sealed = loose;
    expect_case(&c, "container.syscalls", DOCTOR_WARN, "io_uring, vsock");
}

static void trials_that_say_nothing(void **state)
{
    (void)state;
    static const char *const outputs[] = {"null", "[]", "{}", "{\"seccomp\":2}",
                                          "{\"seccomp\":\"2\",\"ipv6\":[]}"};
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        struct doctor_facts f;
        doctor_facts_init(&f);
        json_t *json = json_loads(outputs[i], JSON_DECODE_ANY, NULL);
        assert_false(doctor_facts_seen(&f, DOCTOR_SEALED, json));
        assert_false(f.seen[DOCTOR_SEALED].ran);
        json_decref(json);
        doctor_facts_done(&f);
    }
}

/* ---- how it is reached, its clock, its networks -----------------------------------------------
 */

static void endpoints_and_clocks(void **state)
{
    (void)state;
    struct doctor_facts f;
    facts_of(&(struct case_){0}, &f);
    expect(&f, "engine.access", DOCTOR_OK, "a local socket");
    expect(&f, "engine.place", DOCTOR_OK, "on this host");
    f.local = false;
    doctor_facts_say(&f.endpoint, "tcp://192.0.2.1:2375");
    expect(&f, "engine.access", DOCTOR_WARN, "neither encrypted nor authenticated");
    expect(&f, "engine.place", DOCTOR_WARN, "another host");
    f.encrypted = true;
    expect(&f, "engine.access", DOCTOR_OK, "with certificates");
    f.now = f.time;
    expect(&f, "engine.clock", DOCTOR_OK, "agrees");
    f.now = f.time - 31;
    expect(&f, "engine.clock", DOCTOR_WARN, "31 s off");
    f.now = f.time + 3600;
    expect(&f, "engine.clock", DOCTOR_WARN, "-3600 s off");
    doctor_facts_done(&f);
}

static void networks(struct doctor_facts *f, const char *json, const char *pool)
{
    struct pool p;
    json_t *list = json_loads(json, 0, NULL);
    struct err *e = pool_parse(pool, &p);
    assert_null(e);
    doctor_facts_networks(f, list, &p);
    json_decref(list);
}
#define NET(name, subnet, labels)                                                                  \
    "{\"Name\":\"" name "\",\"IPAM\":{\"Config\":[{\"Subnet\":\"" subnet                           \
    "\"}]},\"Labels\":" labels "}"

static void pools(void **state)
{
    (void)state;
    struct doctor_facts f;
    facts_of(&(struct case_){0}, &f);
    expect(&f, "network.pool", DOCTOR_OK, "not looked at");
    networks(&f, "[" NET("bridge", "172.17.0.0/16", "{}") ",{\"IPAM\":7},null]", "10.213.0.0/16");
    assert_int_equal(f.pool_free, 4096);
    expect(&f, "network.pool", DOCTOR_OK, "10.213.0.0/16: nobody else's");
    networks(&f,
             "[" NET("e2e.one.agent", "10.213.0.0/28", "{\"dev.bottler.installation\":\"x\"}") "]",
             "10.213.0.0/16");
    assert_int_equal(f.pool_free, 4095);
    expect(&f, "network.pool", DOCTOR_OK, "nobody else's");
    networks(&f, "[" NET("lab", "10.213.1.0/24", "null") "]", "10.213.0.0/16");
    assert_int_equal(f.pool_free, 4080);
    expect(&f, "network.pool", DOCTOR_MITIGATED, "lab (10.213.1.0/24)");
    networks(&f, "[" NET("lab", "10.0.0.0/8", "null") "]", "10.213.0.0/16");
    assert_int_equal(f.pool_free, 0);
    expect(&f, "network.pool", DOCTOR_FAIL, "every slice is taken");
    struct err *e = doctor_refusal(&f);
    assert_int_equal(err_kind(e), ERR_DENIED);
    assert_non_null(strstr(err_message(e), "network.pool"));
    err_free(e);
    doctor_facts_done(&f);
}

static void routes(void **state)
{
    (void)state;
    static const char table[] =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t0001D50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "br-abc\t0002D50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "bto-75c1dd779e\t2000D50A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0\n"
        "short\t00\n";
    struct doctor_facts f;
    struct pool p;
    facts_of(&(struct case_){0}, &f);
    networks(&f, "[]", "10.213.0.0/16");
    assert_null(pool_parse("10.213.0.0/16", &p));
    doctor_facts_routes(&f, table, &p);
    assert_int_equal(f.routes.len, 1);
    assert_string_equal(f.routes.items[0], "10.213.1.0/24 on tun0");
    expect(&f, "network.pool", DOCTOR_WARN, "10.213.1.0/24 on tun0");
    doctor_facts_done(&f);
}

/* ---- the refusal and the forms ----------------------------------------------------------------
 */

static void what_is_refused(void **state)
{
    (void)state;
    static const struct change fatal[] = {
        {"OSType", "\"windows\""},
        {"SecurityOptions", "[]"},
        {"SecurityOptions", "[\"name=seccomp,profile=unconfined\"]"},
        {"PidsLimit", "false"},
        {"MemoryLimit", "false"},
    };
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        struct doctor_facts f;
        facts_of(&(struct case_){.info = fatal[i]}, &f);
        struct err *e = doctor_refusal(&f);
        if (!e)
            fail_msg("%s is let through", fatal[i].key);
        assert_int_equal(err_kind(e), ERR_DENIED);
        assert_non_null(strstr(err_message(e), "this engine can't seal bottles: "));
        err_free(e);
        doctor_facts_done(&f);
    }
}

/* An engine that tells nothing can't be trusted with anything. */
static void silence_is_refused(void **state)
{
    (void)state;
    struct doctor_facts f;
    doctor_facts_init(&f);
    doctor_facts_read(&f, NULL, NULL);
    struct err *e = doctor_refusal(&f);
    assert_non_null(e);
    assert_non_null(strstr(err_message(e), "container.seccomp"));
    err_free(e);
    doctor_facts_done(&f);
}

static void forms(void **state)
{
    (void)state;
    struct doctor_facts f;
    struct doctor_rows rows;
    struct str text;
    facts_of(&(struct case_){.sealed = GOOD_SEALED,
                             .plain = LEAKY_PLAIN,
                             .info = {"Warnings", "[\"\\u001b[2J evil \\u202e\"]"}},
             &f);
    doctor_judge(&f, &rows);
    json_t *json = doctor_json(&f, &rows);
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "DoctorReport");
    assert_string_equal(json_string_value(json_object_get(json, "verdict")), "sealed");
    assert_true(json_is_true(json_object_get(json, "tried")));
    assert_int_equal(json_array_size(json_object_get(json, "rows")), rows.len);
    json_t *engine = json_object_get(json, "engine");
    assert_string_equal(json_string_value(json_object_get(engine, "api")), "1.41");
    str_init(&text, 1 << 20);
    doctor_print(&f, &rows, &text);
    assert_false(str_failed(&text));
    assert_null(strchr(text.p, '\x1b'));
    assert_null(strstr(text.p, "\xe2\x80\xae"));
    assert_non_null(strstr(text.p, "\\x1b[2J evil \\u{202e}"));
    assert_non_null(strstr(text.p, "0 failed: bottles are sealed here\n"));
    json_decref(json);
    str_done(&text);
    doctor_rows_done(&rows);
    doctor_facts_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_read),
        cmocka_unit_test(the_recorded_engine_is_fit),
        cmocka_unit_test(a_newer_engine_is_fit),
        cmocka_unit_test(ids_are_unique),
        cmocka_unit_test(versions_with_the_leak),
        cmocka_unit_test(a_leak_that_was_seen_counts_more_than_a_version),
        cmocka_unit_test(gateways),
        cmocka_unit_test(the_host),
        cmocka_unit_test(settings_of_info),
        cmocka_unit_test(what_a_container_was_given),
        cmocka_unit_test(calls_past_the_filter),
        cmocka_unit_test(trials_that_say_nothing),
        cmocka_unit_test(endpoints_and_clocks),
        cmocka_unit_test(pools),
        cmocka_unit_test(routes),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(silence_is_refused),
        cmocka_unit_test(forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
