/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of create calls for containers, as parsed JSON. */
#include "bodies.h"
#include "render/seccomp.h"

static const char *const IDS[NET_COUNT] = {"id-agent", "id-chain", "id-out"};

static struct image_info an_image(struct fixture *f)
{
    return (struct image_info){.ref = fx_text(f, "ref"),
                               .id = fx_text(f, "sha256:1234"),
                               .user = fx_text(f, "nobody"),
                               .arch = fx_text(f, "amd64"),
                               .has_command = true};
}

static json_t *container(const struct desired *d, enum role role, const struct image_info *image,
                         const struct engine_caps *caps)
{
    char *text = NULL;
    fx_ok(docker_container_body(desired_find(d, role), image, IDS, caps, &text));
    return parsed(text);
}

/* ---- containers ------------------------------------------------------------------------------ */

static void every_container_is_confined(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    for (size_t i = 0; i < d->containers_len; i++) {
        json_t *j = container(d, d->containers[i].role, &image, &OLD);
        at(j, "Image", "\"sha256:1234\"");
        at(j, "HostConfig.CapDrop", "[\"ALL\"]");
        at(j, "HostConfig.SecurityOpt", "[\"no-new-privileges\"]");
        at(j, "HostConfig.Init", "true");
        at(j, "HostConfig.RestartPolicy", "{\"Name\":\"no\"}");
        at(j, "HostConfig.LogConfig",
           "{\"Config\":{\"max-file\":\"2\",\"max-size\":\"10m\"},\"Type\":\"json-file\"}");
        static const char *const NEVER[] = {
            "Privileged", "PortBindings", "CapAdd",          "Binds",       "Devices",   "PidMode",
            "IpcMode",    "UsernsMode",   "PublishAllPorts", "VolumesFrom", "ExtraHosts"};
        for (size_t k = 0; k < sizeof(NEVER) / sizeof(NEVER[0]); k++)
            absent(j, "HostConfig", NEVER[k]);
        absent(j, NULL, "ExposedPorts");
        json_t *host = json_object_get(j, "HostConfig");
        assert_true(json_integer_value(json_object_get(host, "PidsLimit")) > 0);
        assert_true(json_integer_value(json_object_get(host, "Memory")) > 0);
        assert_int_equal(json_integer_value(json_object_get(host, "Memory")),
                         json_integer_value(json_object_get(host, "MemorySwap")));
        json_decref(j);
    }
    desired_free(d);
    fx_done(&f);
}

/* Once, beside the rest; and the container counts as the one without it. */
static void a_weak_engine_gets_a_profile_of_system_calls(void **state)
{
    (void)state;
    struct engine_caps weak = OLD;
    weak.weak_seccomp = true;
    struct fixture f;
    fx_full(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    for (size_t i = 0; i < d->containers_len; i++) {
        const struct desired_container *c = &d->containers[i];
        for (int again = 0; again < 2; again++) {
            json_t *j = container(d, c->role, &image, &weak);
            json_t *options = json_object_get(json_object_get(j, "HostConfig"), "SecurityOpt");
            assert_int_equal(json_array_size(options), 2);
            at(j, "HostConfig.SecurityOpt.0", "\"no-new-privileges\"");
            assert_true(seccomp_is_ours(json_string_value(json_array_get(options, 1))));
            label(j, "dev.bottler.spec-hash", c->spec_hash);
            json_decref(j);
        }
        json_t *j = container(d, c->role, &image, &OLD);
        at(j, "HostConfig.SecurityOpt", "[\"no-new-privileges\"]");
        label(j, "dev.bottler.spec-hash", c->spec_hash);
        json_decref(j);
    }
    desired_free(d);
    fx_done(&f);
}

static void every_container_says_whose_it_is(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    for (size_t i = 0; i < d->containers_len; i++) {
        const struct desired_container *c = &d->containers[i];
        json_t *j = container(d, c->role, &image, &OLD);
        char *hostname = xasprintf("\"%s\"", role_info(c->role)->name);
        at(j, "Hostname", hostname);
        label(j, "dev.bottler.installation", "inst-1");
        label(j, "dev.bottler.bottle", "demo");
        label(j, "dev.bottler.role", role_info(c->role)->name);
        label(j, "dev.bottler.uid", "uid-1");
        label(j, "dev.bottler.spec-hash", c->spec_hash);
        label(j, "dev.bottler.self", c->name);
        label(j, "dev.bottler.image", c->image_ref);
        bool unscanned = c->role == ROLE_PIPELOCK;
        if (unscanned)
            label(j, "dev.bottler.unscanned", "pinned.example.com");
        assert_int_equal(json_object_size(json_object_get(j, "Labels")), unscanned ? 8 : 7);
        free(hostname);
        json_decref(j);
    }
    desired_free(d);
    fx_done(&f);
}

static void pipelock_body(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_PIPELOCK, &image, &OLD);
    at(j, "User", "\"65534:65534\"");
    at(j, "Entrypoint", "[\"/pipelock\"]");
    at(j, "Cmd", "[\"run\",\"--config\",\"/etc/bottler/pipelock.yaml\"]");
    at(j, "Healthcheck", "{\"Test\":[\"NONE\"]}");
    at(j, "HostConfig.Memory", "536870912");
    at(j, "HostConfig.PidsLimit", "256");
    at(j, "HostConfig.Sysctls", "{\"net.ipv4.ip_forward\":\"0\"}");
    absent(j, "HostConfig", "Dns");
    at(j, "Env", "[\"GOMEMLIMIT=448MiB\"]");
    json_decref(j);
    desired_free(d);
    f.s.upstream_ca = sv_of("COMPANY\n");
    d = fx_render(&f);
    j = container(d, ROLE_PIPELOCK, &image, &OLD);
    at(j, "Env", "[\"GOMEMLIMIT=448MiB\",\"SSL_CERT_DIR=/etc/bottler/upstream:/etc/ssl/certs\"]");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void egress_body(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_EGRESS, &image, &OLD);
    at(j, "User", "\"10001:10001\"");
    at(j, "HostConfig.Memory", "536870912");
    at(j, "HostConfig.PidsLimit", "256");
    at(j, "HostConfig.Sysctls", "{\"net.ipv4.ip_forward\":\"0\"}");
    at(j, "HostConfig.Dns", "[\"127.0.0.1\"]");
    absent(j, NULL, "Entrypoint");
    absent(j, NULL, "Cmd");
    absent(j, NULL, "Env");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void agent_body(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.b.agent.resources = (struct resources){.memory_bytes = 1 << 30, .nano_cpus = 5, .pids = 9};
    f.mounts[0].read_only = true;
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_AGENT, &image, &OLD);
    at(j, "User", "\"1000:1000\"");
    at(j, "WorkingDir", "\"/work\"");
    at(j, "Cmd", "[\"sleep\",\"infinity\"]");
    absent(j, NULL, "Entrypoint");
    absent(j, NULL, "Tty");
    absent(j, NULL, "OpenStdin");
    at(j, "HostConfig.Dns", "[\"127.0.0.1\"]");
    at(j, "HostConfig.Memory", "1073741824");
    at(j, "HostConfig.NanoCpus", "5");
    at(j, "HostConfig.PidsLimit", "9");
    at(j, "HostConfig.Mounts.0",
       "{\"ReadOnly\":true,\"Source\":\"/srv/agents/demo\",\"Target\":\"/"
       "work\",\"Type\":\"bind\"}");
    at(j, "HostConfig.Mounts.1",
       "{\"ReadOnly\":false,\"Source\":\"bottler.demo.cache\",\"Target\":\"/home/agent/.cache\","
       "\"Type\":\"volume\"}");
    absent(j, "HostConfig", "Runtime");
    absent(j, "HostConfig", "Sysctls");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void a_bare_agent_leaves_it_to_the_image(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_AGENT, &image, &OLD);
    absent(j, NULL, "User");
    absent(j, NULL, "WorkingDir");
    absent(j, NULL, "Cmd");
    absent(j, "HostConfig", "Mounts");
    absent(j, "HostConfig", "NanoCpus");
    at(j, "HostConfig.Memory", "2147483648");
    at(j, "HostConfig.PidsLimit", "512");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void a_terminal_is_two_switches(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    f.b.agent.tty = true;
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_AGENT, &image, &OLD);
    at(j, "Tty", "true");
    at(j, "OpenStdin", "true");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void runtimes(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_AGENT, &image, &NEW);
    at(j, "HostConfig.Runtime", "\"runsc\"");
    json_decref(j);
    j = container(d, ROLE_EGRESS, &image, &NEW);
    absent(j, "HostConfig", "Runtime");
    json_decref(j);
    desired_free(d);
    f.b.agent.runtime = fx_text(&f, "kata");
    d = fx_render(&f);
    j = container(d, ROLE_AGENT, &image, &NEW);
    at(j, "HostConfig.Runtime", "\"kata\"");
    json_decref(j);
    j = container(d, ROLE_AGENT, &image, &OLD);
    at(j, "HostConfig.Runtime", "\"kata\"");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

/* Two runtimes, of which the second is the default. */
static struct engine_caps with_runtimes(struct str_list *names)
{
    struct engine_caps caps = OLD;
    str_list_add(names, "other");
    str_list_add(names, "runc");
    caps.runtimes = names;
    caps.default_runtime = "runc";
    return caps;
}

static void expect_runtime_refused(const char *runtime, const struct engine_caps *caps)
{
    AUTO_ERR e = docker_check_runtime(runtime, caps);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_INVALID);
    AUTO_FREE char *want =
        xasprintf("agent.runtime: '%s' is not on the engine; it has: other, runc", runtime);
    assert_string_equal(err_message(e), want);
}

static void runtimes_that_are_there(void **state)
{
    (void)state;
    struct str_list names = {0};
    struct engine_caps caps = with_runtimes(&names);
    static const char *const good[] = {"auto", "runc", "other", "io.containerd.kata.v2"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_null(docker_check_runtime(good[i], &caps));
    expect_runtime_refused("runsc", &caps);
    expect_runtime_refused("run", &caps);
    expect_runtime_refused("io.containerd", &caps);
    assert_string_equal(docker_runtime("auto", &caps), "runc");
    assert_string_equal(docker_runtime("other", &caps), "other");
    caps.has_runsc = true;
    assert_string_equal(docker_runtime("auto", &caps), "runsc");
    /* An engine that doesn't say. */
    assert_null(docker_check_runtime("runsc", &OLD));
    assert_null(docker_runtime("auto", &OLD));
    str_list_done(&names);
}

static void a_body_with_a_missing_runtime(void **state)
{
    (void)state;
    struct str_list names = {0};
    struct engine_caps caps = with_runtimes(&names);
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    f.b.agent.runtime = fx_text(&f, "runsc");
    struct desired *d = fx_render(&f);
    char *body = NULL;
    AUTO_ERR e = docker_container_body(desired_find(d, ROLE_AGENT), &image, IDS, &caps, &body);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_INVALID);
    assert_non_null(strstr(err_message(e), "'runsc' is not on the engine"));
    assert_null(body);
    desired_free(d);
    str_list_done(&names);
    fx_done(&f);
}

/* Said by name, but not in the hash: an agent that runs in it already isn't replaced. */
static void auto_can_be_pinned(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    AUTO_FREE char *hash = xstrdup(desired_find(d, ROLE_AGENT)->spec_hash);
    desired_free(d);
    f.s.auto_runtime = "runsc";
    d = fx_render(&f);
    assert_string_equal(desired_find(d, ROLE_AGENT)->spec_hash, hash);
    json_t *j = container(d, ROLE_AGENT, &image, &OLD);
    at(j, "HostConfig.Runtime", "\"runsc\"");
    json_decref(j);
    j = container(d, ROLE_EGRESS, &image, &OLD);
    absent(j, "HostConfig", "Runtime");
    json_decref(j);
    desired_free(d);
    f.b.agent.runtime = fx_text(&f, "kata");
    d = fx_render(&f);
    j = container(d, ROLE_AGENT, &image, &OLD);
    at(j, "HostConfig.Runtime", "\"kata\"");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static size_t env_count(json_t *j, const char *assignment)
{
    size_t seen = 0;
    json_t *env = json_object_get(j, "Env");
    for (size_t i = 0; i < json_array_size(env); i++)
        seen += strcmp(json_string_value(json_array_get(env, i)), assignment) == 0;
    return seen;
}

static void the_agent_finds_proxy_and_trust(void **state)
{
    (void)state;
    static const char *const WANT[] = {
        "HTTP_PROXY=http://egress:9099",
        "HTTPS_PROXY=http://egress:9099",
        "ALL_PROXY=http://egress:9099",
        "http_proxy=http://egress:9099",
        "https_proxy=http://egress:9099",
        "all_proxy=http://egress:9099",
        "NO_PROXY=localhost,127.0.0.1,::1,supervise,git-gate",
        "no_proxy=localhost,127.0.0.1,::1,supervise,git-gate",
        "NODE_EXTRA_CA_CERTS=/etc/bottler/ca.pem",
        "SSL_CERT_FILE=/etc/bottler/ca-bundle.pem",
        "REQUESTS_CA_BUNDLE=/etc/bottler/ca-bundle.pem",
        "CURL_CA_BUNDLE=/etc/bottler/ca-bundle.pem",
        "GIT_SSL_CAINFO=/etc/bottler/ca-bundle.pem",
        "AWS_CA_BUNDLE=/etc/bottler/ca-bundle.pem",
        "PIP_CERT=/etc/bottler/ca-bundle.pem",
        "CARGO_HTTP_CAINFO=/etc/bottler/ca-bundle.pem",
        "DENO_CERT=/etc/bottler/ca-bundle.pem",
        "LOG_LEVEL=debug",
    };
    struct fixture f;
    fx_full(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_AGENT, &image, &OLD);
    for (size_t i = 0; i < sizeof(WANT) / sizeof(WANT[0]); i++) {
        if (env_count(j, WANT[i]) != 1)
            print_error("%s: not once\n", WANT[i]);
        assert_int_equal(env_count(j, WANT[i]), 1);
    }
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void the_manifest_has_the_last_word_in_the_environment(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    fx_env(&f, "NO_PROXY", "");
    fx_env(&f, "PATH", "/opt/bin");
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_AGENT, &image, &OLD);
    json_t *env = json_object_get(j, "Env");
    size_t seen = 0;
    for (size_t i = 0; i < json_array_size(env); i++)
        seen += strncmp(json_string_value(json_array_get(env, i)), "NO_PROXY=", 9) == 0;
    assert_int_equal(seen, 1);
    assert_int_equal(env_count(j, "NO_PROXY="), 1);
    /* The manifest's come last. */
    size_t n = json_array_size(env);
    assert_string_equal(json_string_value(json_array_get(env, n - 1)), "PATH=/opt/bin");
    assert_string_equal(json_string_value(json_array_get(env, n - 2)), "NO_PROXY=");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void no_secret_is_in_any_body(void **state)
{
    (void)state;
    static const char *const SECRETS[] = {"api-token",  "git-token",    "machine example.com",
                                          "EGRESS-KEY", "PIPELOCK-KEY", "API_PAT",
                                          "GIT_PAT",    "NETRC"};
    struct fixture f;
    fx_full(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    for (size_t i = 0; i < d->containers_len; i++) {
        char *text = NULL;
        fx_ok(docker_container_body(&d->containers[i], &image, IDS, &NEW, &text));
        for (size_t k = 0; k < sizeof(SECRETS) / sizeof(SECRETS[0]); k++)
            assert_null(strstr(text, SECRETS[k]));
        free(text);
    }
    desired_free(d);
    fx_done(&f);
}

/* ---- networks of a container -------------------------------------------------------------------
 */

static void old_engines_get_the_primary_network_only(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_PIPELOCK, &image, &OLD);
    at(j, "HostConfig.NetworkMode", "\"id-out\"");
    at(j, "NetworkingConfig.EndpointsConfig", "{\"id-out\":{\"Aliases\":[\"pipelock\"]}}");
    json_decref(j);
    j = container(d, ROLE_EGRESS, &image, &OLD);
    at(j, "HostConfig.NetworkMode", "\"id-agent\"");
    at(j, "NetworkingConfig.EndpointsConfig", "{\"id-agent\":{\"Aliases\":[\"egress\"]}}");
    json_decref(j);
    j = container(d, ROLE_AGENT, &image, &OLD);
    at(j, "HostConfig.NetworkMode", "\"id-agent\"");
    at(j, "NetworkingConfig.EndpointsConfig", "{\"id-agent\":{\"Aliases\":[\"agent\"]}}");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void new_engines_get_all_networks(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    struct desired *d = fx_render(&f);
    json_t *j = container(d, ROLE_PIPELOCK, &image, &NEW);
    at(j, "HostConfig.NetworkMode", "\"id-out\"");
    at(j, "NetworkingConfig.EndpointsConfig",
       "{\"id-chain\":{\"Aliases\":[\"pipelock\"]},\"id-out\":{\"Aliases\":[\"pipelock\"]}}");
    json_decref(j);
    j = container(d, ROLE_AGENT, &image, &NEW);
    at(j, "NetworkingConfig.EndpointsConfig", "{\"id-agent\":{\"Aliases\":[\"agent\"]}}");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

/* ---- images that can't be run ------------------------------------------------------------------
 */

static struct err *try_agent(struct fixture *f, const struct image_info *image)
{
    struct desired *d = fx_render(f);
    char *text = NULL;
    struct err *e = docker_container_body(desired_find(d, ROLE_AGENT), image, IDS, &OLD, &text);
    assert_int_equal(e == NULL, text != NULL);
    free(text);
    desired_free(d);
    return e;
}

static void root_by_the_image_alone_is_refused(void **state)
{
    (void)state;
    static const char *const ROOTS[] = {"", "root", "0", "0:0", "root:wheel", ":1000"};
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    for (size_t i = 0; i < sizeof(ROOTS) / sizeof(ROOTS[0]); i++) {
        image.user = fx_text(&f, ROOTS[i]);
        fx_refused(try_agent(&f, &image), ERR_INVALID,
                   "image 'registry.example.com/agent:1.4' runs as root: expected agent.user");
    }
    /* Asked for, it is allowed. */
    f.b.agent.user = fx_text(&f, "0:0");
    fx_ok(try_agent(&f, &image));
    f.b.agent.user = NULL;
    image.user = fx_text(&f, "1000");
    fx_ok(try_agent(&f, &image));
    image.user = fx_text(&f, "rootless");
    fx_ok(try_agent(&f, &image));
    fx_done(&f);
}

static void an_image_without_a_command_needs_one(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    image.has_command = false;
    fx_refused(try_agent(&f, &image), ERR_INVALID, "has no command: expected agent.command");
    f.b.agent.has_command = true;
    fx_refused(try_agent(&f, &image), ERR_INVALID, "has no command: expected agent.command");
    str_list_add(&f.b.agent.command, "sleep");
    fx_ok(try_agent(&f, &image));
    fx_done(&f);
}

static void another_architecture_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct image_info image = an_image(&f);
    image.arch = fx_text(&f, "arm64");
    fx_refused(try_agent(&f, &image), ERR_INVALID, "is for arm64, the engine runs amd64");
    image.arch = fx_text(&f, "");
    fx_ok(try_agent(&f, &image));
    fx_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_container_is_confined),
        cmocka_unit_test(a_weak_engine_gets_a_profile_of_system_calls),
        cmocka_unit_test(every_container_says_whose_it_is),
        cmocka_unit_test(pipelock_body),
        cmocka_unit_test(egress_body),
        cmocka_unit_test(agent_body),
        cmocka_unit_test(a_bare_agent_leaves_it_to_the_image),
        cmocka_unit_test(a_terminal_is_two_switches),
        cmocka_unit_test(runtimes),
        cmocka_unit_test(runtimes_that_are_there),
        cmocka_unit_test(a_body_with_a_missing_runtime),
        cmocka_unit_test(auto_can_be_pinned),
        cmocka_unit_test(the_agent_finds_proxy_and_trust),
        cmocka_unit_test(the_manifest_has_the_last_word_in_the_environment),
        cmocka_unit_test(no_secret_is_in_any_body),
        cmocka_unit_test(old_engines_get_the_primary_network_only),
        cmocka_unit_test(new_engines_get_all_networks),
        cmocka_unit_test(root_by_the_image_alone_is_refused),
        cmocka_unit_test(an_image_without_a_command_needs_one),
        cmocka_unit_test(another_architecture_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
