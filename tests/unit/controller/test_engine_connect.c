/* SPDX-License-Identifier: Apache-2.0 */
/* engine_connect(): which version is spoken, what is learned, and who is refused. */
#include "tests/unit/controller/engine_fixture.c"

struct connected {
    struct fixture *f;
    int calls;
    bool failed;
    enum err_kind kind;
    char *message;
    bool free_engine;
};

static void on_connected(void *ctx, const struct err *error, const struct engine_info *info)
{
    struct connected *c = ctx;
    c->calls++;
    c->failed = error != NULL;
    assert_true((error == NULL) == (info != NULL));
    if (error) {
        c->kind = err_kind(error);
        c->message = xstrdup(err_message(error));
    }
    if (c->free_engine)
        c->f->engine = engine_free(c->f->engine);
}

static struct connected try_connect(struct fixture *f)
{
    struct connected c = {.f = f};
    engine_connect(f->engine, on_connected, &c);
    assert_int_equal(c.calls, 0);
    run_until(f, &c.calls, 1);
    return c;
}

static void answer_path(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    fake_json(c, "200 OK", q->path);
}

/* ---- versions -------------------------------------------------------------------------------- */

struct version_case {
    const char *version; /* of the engine */
    const char *newest;
    const char *oldest; /* NULL: the engine doesn't say */
    int want;           /* minor in use; 0: refused */
    const char *words;
};
static const struct version_case VERSIONS[] = {
    {"20.10.24", "1.41", "1.12", 41, NULL},
    {"23.0.1", "1.42", "1.12", 42, NULL},
    {"28.5.2", "1.51", "1.24", 51, NULL},
    {"29.0.0", "1.52", "1.44", 51, NULL},
    {"29.7.2", "1.55", "1.40", 51, NULL},
    {"40.0.0", "1.100", "1.51", 51, NULL},
    {"20.10.0", "1.41", NULL, 41, NULL},
    {"19.03.15", "1.40", "1.12", 0,
     "engine 19.03.15 at unix://%s offers API 1.40; bottler needs 1.41 or newer"},
    {"1.7", "1.9", "1.9", 0, "engine 1.7 at unix://%s offers API 1.9; bottler needs 1.41 or newer"},
    {"40.0.0", "1.100", "1.52", 0,
     "engine 40.0.0 at unix://%s demands API 1.52 or newer; this bottler speaks 1.41 to 1.51"},
    {"50.0.0", "2.0", "1.41", 0,
     "engine 50.0.0 at unix://%s offers API '2.0'; bottler needs 1.41 or newer"},
    {"x", "1.4x", "1.12", 0,
     "engine x at unix://%s offers API '1.4x'; bottler needs 1.41 or newer"},
    {"x", "", "1.12", 0, "engine x at unix://%s offers API ''; bottler needs 1.41 or newer"},
    {"x", "1.45", "2.0", 0,
     "engine x at unix://%s demands API 2.0 or newer; this bottler speaks 1.41 to 1.51"},
};

static char *version_text(const struct version_case *v)
{
    AUTO_FREE char *oldest =
        v->oldest ? xasprintf(",\"MinAPIVersion\":\"%s\"", v->oldest) : xstrdup("");
    return xasprintf("{\"Version\":\"%s\",\"ApiVersion\":\"%s\",\"Arch\":\"arm64\"%s}", v->version,
                     v->newest, oldest);
}

static void versions_are_negotiated(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(VERSIONS) / sizeof(VERSIONS[0]); i++) {
        const struct version_case *v = &VERSIONS[i];
        AUTO_FREE char *text = version_text(v);
        f->version_json = text;
        struct connected c = try_connect(f);
        if (v->want == 0) {
            AUTO_FREE char *words = xasprintf("%.*s%s%s", (int)(strstr(v->words, "%s") - v->words),
                                              v->words, f->fake->path, strstr(v->words, "%s") + 2);
            assert_true(c.failed);
            assert_string_equal(c.message, words);
            assert_int_equal(c.kind, ERR_DENIED);
            free(c.message);
            continue;
        }
        assert_false(c.failed);
        const struct engine_info *info = engine_get_info(f->engine);
        assert_int_equal(info->api_minor, v->want);
        assert_string_equal(info->server_version, v->version);
        assert_string_equal(info->arch, "arm64");
        /* What follows is asked in that version. */
        AUTO_FREE char *path = xasprintf("/v1.%d/info", v->want);
        assert_string_equal(fake_last(f->fake)->path, path);
    }
}

static void requests_follow_the_newest_version(void **state)
{
    struct fixture *f = *state;
    f->handle = answer_path;
    fixture_connect(f);
    assert_string_equal(f->fake->log[0].path, "/_ping");
    assert_string_equal(f->fake->log[1].path, "/version");
    assert_string_equal(f->fake->log[2].path, "/v1.41/info");
    /* The engine is upgraded under the running controller. */
    f->version_json = "{\"Version\":\"29.7.2\",\"ApiVersion\":\"1.55\",\"MinAPIVersion\":\"1.40\"}";
    fixture_connect(f);
    struct outcome o = {0};
    struct engine_request q = {.method = "GET", .path = "/networks", .lane = LANE_READ};
    ask(f, &q, &o);
    assert_string_equal(o.body, "/v1.51/networks");
    assert_int_equal(engine_caps(f->engine).api_minor, 51);
    outcome_done(&o);
}

static void capabilities_follow_the_version(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *json;
        bool multi, isolated;
    } cases[] = {
        {"{\"ApiVersion\":\"1.41\"}", false, false}, {"{\"ApiVersion\":\"1.43\"}", false, false},
        {"{\"ApiVersion\":\"1.44\"}", true, false},  {"{\"ApiVersion\":\"1.47\"}", true, false},
        {"{\"ApiVersion\":\"1.48\"}", true, true},   {"{\"ApiVersion\":\"1.99\"}", true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->version_json = cases[i].json;
        fixture_connect(f);
        struct engine_caps caps = engine_caps(f->engine);
        assert_int_equal(caps.multi_endpoint, cases[i].multi);
        assert_int_equal(caps.isolated_gw, cases[i].isolated);
    }
}

/* ---- what it says of itself ------------------------------------------------------------------ */

static void info_is_read(void **state)
{
    struct fixture *f = *state;
    f->info_json =
        "{\"ID\":\"AAAA:BBBB\",\"Driver\":\"overlayfs\",\"OSType\":\"linux\",\"NCPU\":8,"
        "\"DriverStatus\":[[\"driver-type\",\"io.containerd.snapshotter.v1\"]],"
        "\"SecurityOptions\":[\"name=seccomp,profile=builtin\",\"name=rootless\"],"
        "\"Runtimes\":{\"runsc\":{\"path\":\"x\"},\"io.containerd.runc.v2\":{},\"runc\":{}},"
        "\"DefaultRuntime\":\"runc\",\"DockerRootDir\":\"/data/docker\","
        "\"LiveRestoreEnabled\":true,\"SystemTime\":\"2026-11-22T06:49:14.299365856Z\","
        "\"Warnings\":null}";
    fixture_connect(f);
    const struct engine_info *i = engine_get_info(f->engine);
    assert_string_equal(i->id, "AAAA:BBBB");
    assert_string_equal(i->server_version, "20.10.24");
    assert_string_equal(i->driver, "overlayfs");
    assert_string_equal(i->arch, "amd64");
    assert_string_equal(i->os, "linux");
    assert_int_equal(i->cpus, 8);
    assert_int_equal(i->api_minor, 41);
    assert_int_equal(i->api_minor_max, 41);
    assert_int_equal(i->time, 1795330154);
    assert_true(i->rootless);
    assert_true(i->has_runsc);
    assert_true(i->containerd_store);
    assert_true(i->live_restore);
    assert_int_equal(i->runtimes.len, 3);
    assert_string_equal(i->runtimes.items[0], "io.containerd.runc.v2");
    struct engine_caps caps = engine_caps(f->engine);
    assert_true(caps.has_runsc);
    assert_string_equal(caps.arch, "amd64");
    assert_int_equal(caps.runtimes->len, 3);
    assert_string_equal(caps.default_runtime, "runc");
    assert_string_equal(i->root_dir, "/data/docker");
}

static void info_of_few_words(void **state)
{
    struct fixture *f = *state;
    f->info_json = "{\"OSType\":\"linux\",\"Runtimes\":[],\"NCPU\":\"2\",\"SystemTime\":\"soon\","
                   "\"DriverStatus\":[[],3,[1,2]],\"SecurityOptions\":[null,7]}";
    fixture_connect(f);
    const struct engine_info *i = engine_get_info(f->engine);
    assert_string_equal(i->id, "");
    assert_string_equal(i->driver, "");
    assert_int_equal(i->cpus, 0);
    assert_int_equal(i->time, 0);
    assert_false(i->rootless);
    assert_false(i->has_runsc);
    assert_false(i->containerd_store);
    assert_int_equal(i->runtimes.len, 0);
    assert_string_equal(i->default_runtime, "");
    assert_string_equal(i->root_dir, "");
}

static void the_filter_of_system_calls_is_judged(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *version, *options;
        bool weak;
    } cases[] = {
        {"1.41", "[\"name=seccomp,profile=default\"]", true},
        {"1.43", "[\"name=apparmor\",7,\"name=seccomp,profile=builtin\"]", true},
        {"1.51", "[\"name=seccomp,profile=builtin\"]", true},
        {"1.41", "[\"name=seccomp,profile=/etc/docker/own.json\"]", false},
        {"1.43", "[\"name=seccomp,profile=unconfined\"]", false},
        {"1.41", "[\"name=apparmor\"]", false},
        {"1.41", "null", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_FREE char *version =
            xasprintf("{\"ApiVersion\":\"%s\",\"Arch\":\"amd64\"}", cases[i].version);
        AUTO_FREE char *info =
            xasprintf("{\"OSType\":\"linux\",\"SecurityOptions\":%s}", cases[i].options);
        f->version_json = version;
        f->info_json = info;
        fixture_connect(f);
        assert_int_equal(engine_caps(f->engine).weak_seccomp, cases[i].weak);
    }
}

static void icc_is_guessed_from_info(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *json;
        bool works;
    } cases[] = {
        {"{\"OSType\":\"linux\",\"BridgeNfIptables\":true,\"Warnings\":null}", true},
        {"{\"OSType\":\"linux\",\"BridgeNfIptables\":false,\"Warnings\":[\"WARNING: No swap limit "
         "support\",\"WARNING: bridge-nf-call-iptables is disabled\"]}",
         false},
        /* 28 and later: the field is gone or always false, and no warning comes */
        {"{\"OSType\":\"linux\",\"BridgeNfIptables\":false,\"Warnings\":[]}", true},
        {"{\"OSType\":\"linux\"}", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->info_json = cases[i].json;
        fixture_connect(f);
        assert_int_equal(engine_caps(f->engine).icc_off_works, cases[i].works);
    }
}

/* ---- who is refused -------------------------------------------------------------------------- */

static void refuse(struct fixture *f, enum err_kind kind, const char *words)
{
    struct connected c = try_connect(f);
    assert_true(c.failed);
    if (!strstr(c.message, words))
        fail_msg("\"%s\" lacks \"%s\"", c.message, words);
    assert_int_equal(c.kind, kind);
    free(c.message);
}

static void strange_answers_are_refused(void **state)
{
    struct fixture *f = *state;
    f->version_json = "{\"ApiVersion\":\"1.4";
    refuse(f, ERR_UNAVAILABLE, "reading the engine's /version: the engine at unix://");
    f->version_json = "[]";
    refuse(f, ERR_UNAVAILABLE, "something else than a JSON object");
    f->version_json = "{\"ApiVersion\":\"1.41\"} trailing";
    refuse(f, ERR_UNAVAILABLE, "something else than a JSON object");
    f->version_json = FIXTURE_VERSION;
    f->info_json = "";
    refuse(f, ERR_UNAVAILABLE, "reading the engine's /info: ");
    f->info_json = "{\"OSType\":\"windows\"}";
    refuse(f, ERR_DENIED, "runs 'windows' containers; bottler needs linux");
    assert_null(engine_get_info(f->engine));
}

static void answer_as_a_web_server(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    fake_send(c, sv_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
}

static void answer_503(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    fake_answer(c, "503 Service Unavailable", "text/plain", sv_of("starting\n"));
}

static void ping_must_be_an_engine(void **state)
{
    struct fixture *f = *state;
    f->fake->handle = answer_as_a_web_server;
    refuse(f, ERR_UNAVAILABLE, "is not a Docker Engine (no Api-Version)");
    f->fake->handle = answer_503;
    refuse(f, ERR_UNAVAILABLE, "asking for the engine: the engine answered 503: starting");
    assert_int_equal(f->fake->log_len, 2);
    fake_stop(f->fake);
    refuse(f, ERR_UNAVAILABLE, "is the engine running?");
}

static void failed_reconnect_keeps_what_was_known(void **state)
{
    struct fixture *f = *state;
    f->handle = answer_path;
    fixture_connect(f);
    fake_stop(f->fake);
    refuse(f, ERR_UNAVAILABLE, "is the engine running?");
    assert_string_equal(engine_get_info(f->engine)->id, "AAAA:BBBB");
    fake_listen(f->fake, 8);
    struct outcome o = {0};
    struct engine_request q = {.method = "GET", .path = "/x", .lane = LANE_READ};
    ask(f, &q, &o);
    assert_string_equal(o.body, "/v1.41/x");
    outcome_done(&o);
}

/* Hung reads must not keep the engine from being found again. */
static void say_nothing(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)c;
    (void)q;
}

static void connects_past_full_lanes(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = say_nothing;
    struct outcome o = {0};
    struct engine_request q = {.method = "GET", .path = "/x", .lane = LANE_READ};
    for (int i = 0; i < 8; i++)
        (void)engine_send(f->engine, &q, on_outcome, &o);
    q.lane = LANE_STREAM;
    for (int i = 0; i < 80; i++)
        (void)engine_send(f->engine, &q, on_outcome, &o);
    run_idle(f);
    assert_int_equal(f->fake->log_len, 3 + 4 + 64);
    fixture_connect(f);
    assert_int_equal(o.calls, 0);
}

static void free_inside_connected(void **state)
{
    struct fixture *f = *state;
    struct connected c = {.f = f, .free_engine = true};
    engine_connect(f->engine, on_connected, &c);
    run_until(f, &c.calls, 1);
    run_idle(f);
    assert_int_equal(c.calls, 1);
    assert_false(c.failed);
}

static void two_connects_at_once(void **state)
{
    struct fixture *f = *state;
    struct connected a = {.f = f};
    struct connected b = {.f = f};
    engine_connect(f->engine, on_connected, &a);
    engine_connect(f->engine, on_connected, &b);
    run_until(f, &a.calls, 1);
    run_until(f, &b.calls, 1);
    assert_false(a.failed || b.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        T(versions_are_negotiated),
        T(requests_follow_the_newest_version),
        T(capabilities_follow_the_version),
        T(info_is_read),
        T(info_of_few_words),
        T(the_filter_of_system_calls_is_judged),
        T(icc_is_guessed_from_info),
        T(strange_answers_are_refused),
        T(ping_must_be_an_engine),
        T(failed_reconnect_keeps_what_was_known),
        T(connects_past_full_lanes),
        T(free_inside_connected),
        T(two_connects_at_once),
#undef T
    };
    return cmocka_run_group_tests_name("engine connect", tests, group_setup, group_teardown);
}
