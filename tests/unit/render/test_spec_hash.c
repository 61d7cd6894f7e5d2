/* SPDX-License-Identifier: Apache-2.0 */
/* What changes which hash: a new spec hash costs a new container, so both directions matter. */
#include "fixture.h"

enum { P = 1 << ROLE_PIPELOCK, E = 1 << ROLE_EGRESS, A = 1 << ROLE_AGENT };

/* ---- a change, and the roles whose containers it replaces --------------------------------------
 */

static void m_image(struct fixture *f)
{
    f->b.agent.image = fx_text(f, "registry.example.com/agent:1.5");
}
static void m_command(struct fixture *f)
{
    str_list_add(&f->b.agent.command, "now");
}
static void m_no_command(struct fixture *f)
{
    f->b.agent.has_command = false;
}
static void m_user(struct fixture *f)
{
    f->b.agent.user = fx_text(f, "agent");
}
static void m_gid(struct fixture *f)
{
    f->b.agent.user = fx_text(f, "1000:1001");
}
static void m_working_dir(struct fixture *f)
{
    f->b.agent.working_dir = NULL;
}
static void m_env_value(struct fixture *f)
{
    f->env[0].value = fx_text(f, "info");
}
static void m_env_more(struct fixture *f)
{
    fx_env(f, "MORE", "");
}
static void m_mount_source(struct fixture *f)
{
    f->mounts[0].source = fx_text(f, "/srv/agents/other");
}
static void m_mount_target(struct fixture *f)
{
    f->mounts[0].target = fx_text(f, "/elsewhere");
}
static void m_mount_ro(struct fixture *f)
{
    f->mounts[0].read_only = true;
}
static void m_mount_volume(struct fixture *f)
{
    f->mounts[1].volume = fx_text(f, "cache2");
}
static void m_mount_kind(struct fixture *f)
{
    f->mounts[1].source = f->mounts[1].volume;
    f->mounts[1].volume = NULL;
}
static void m_file_content(struct fixture *f)
{
    f->files[0].content = fx_text(f, "Be bold.");
}
static void m_file_path(struct fixture *f)
{
    f->files[0].path = fx_text(f, "/home/agent/AGENTS.md");
}
static void m_file_mode(struct fixture *f)
{
    f->files[0].mode = 0600;
}
static void m_file_secret(struct fixture *f)
{
    f->secrets[0].value = sv_of("machine example.org\n");
}
static void m_tty(struct fixture *f)
{
    f->b.agent.tty = true;
}
static void m_runtime(struct fixture *f)
{
    f->b.agent.runtime = fx_text(f, "runc");
}
static void m_memory(struct fixture *f)
{
    f->b.agent.resources.memory_bytes *= 2;
}
static void m_cpus(struct fixture *f)
{
    f->b.agent.resources.nano_cpus = 1500000000;
}
static void m_pids(struct fixture *f)
{
    f->b.agent.resources.pids = 100;
}
static void m_egress_cert(struct fixture *f)
{
    f->in.egress_ca_cert = sv_of("EGRESS-CERT-2\n");
}
static void m_egress_key(struct fixture *f)
{
    f->in.egress_ca_key = sv_of("EGRESS-KEY-2\n");
}
static void m_pipelock_cert(struct fixture *f)
{
    f->in.pipelock_ca_cert = sv_of("PIPELOCK-CERT-2\n");
}
static void m_pipelock_key(struct fixture *f)
{
    f->in.pipelock_ca_key = sv_of("PIPELOCK-KEY-2\n");
}
static void m_egress_next(struct fixture *f)
{
    f->in.egress_ca_next = sv_of("EGRESS-CERT-2\n");
}
static void m_egress_old(struct fixture *f)
{
    f->in.egress_ca_old = sv_of("EGRESS-CERT-0\n");
}
static void m_pipelock_next(struct fixture *f)
{
    f->in.pipelock_ca_next = sv_of("PIPELOCK-CERT-2\n");
}
static void m_pipelock_old(struct fixture *f)
{
    f->in.pipelock_ca_old = sv_of("PIPELOCK-CERT-0\n");
}
static void m_upstream_ca(struct fixture *f)
{
    f->s.upstream_ca = sv_of("COMPANY\n");
}
static void m_dlp_warn(struct fixture *f)
{
    f->b.egress.dlp_action = DLP_WARN;
}
static void m_passthrough(struct fixture *f)
{
    f->routes[0].tls_passthrough = true;
}
static void m_ssrf(struct fixture *f)
{
    str_list_add(&f->routes[0].ssrf_ip_allowlist, "10.9.0.0/24");
}
static void m_egress_image(struct fixture *f)
{
    f->s.image[ROLE_EGRESS] = "registry.example.com/egress:2";
}
static void m_pipelock_image(struct fixture *f)
{
    f->s.image[ROLE_PIPELOCK] = "registry.example.com/pipelock:2";
}

/* ---- and what replaces nothing -----------------------------------------------------------------
 */

static void m_labels(struct fixture *f)
{
    f->label = (struct kv){fx_text(f, "team"), fx_text(f, "platform")};
    f->b.labels = (struct kv_list){&f->label, 1};
}
static void m_file_of_manifest(struct fixture *f)
{
    f->b.file = fx_text(f, "/elsewhere.yaml");
    f->b.pos.line = 99;
    f->b.extends = fx_text(f, "base");
}
static void m_suspend(struct fixture *f)
{
    f->b.suspended = true;
}
static void m_pull_policy(struct fixture *f)
{
    f->b.agent.pull_policy = PULL_NEVER;
}
static void m_restart(struct fixture *f)
{
    f->b.agent.restart = RESTART_ON_FAILURE;
}
static void m_update(struct fixture *f)
{
    f->b.agent.update = (struct update_spec){UPDATE_WINDOW, 60, 120, 3600};
}
static void m_preserve(struct fixture *f)
{
    f->b.preserve = true;
}
static void m_retain(struct fixture *f)
{
    f->mounts[1].retain = false;
}
static void m_uid(struct fixture *f)
{
    f->in.uid = "uid-2";
}
static void m_route_more(struct fixture *f)
{
    fx_route(f, "new.example.com");
}
static void m_route_less(struct fixture *f)
{
    f->b.egress.allowlist.len--;
    free(f->b.egress.allowlist.items[f->b.egress.allowlist.len]);
}
static void m_route_path(struct fixture *f)
{
    str_list_add(&f->routes[0].path_allowlist, "/users/");
}
static void m_route_method(struct fixture *f)
{
    str_list_add(&f->routes[0].methods, "POST");
}
static void m_route_auth(struct fixture *f)
{
    f->routes[0].auth_scheme = AUTH_NONE;
    f->routes[0].token_ref = NULL;
}
static void m_token(struct fixture *f)
{
    f->secrets[1].value = sv_of("rotated");
}
static void m_log(struct fixture *f)
{
    f->b.egress.log = 2;
}
static void m_mounts_swapped(struct fixture *f)
{
    struct mount m = f->mounts[0];
    f->mounts[0] = f->mounts[1];
    f->mounts[1] = m;
}
static void m_files_swapped(struct fixture *f)
{
    struct agent_file a = f->files[0];
    f->files[0] = f->files[1];
    f->files[1] = a;
}
static void m_command_default(struct fixture *f)
{
    f->b.agent.resources.pids = RESOURCES_PIDS;
    f->b.agent.resources.memory_bytes = RESOURCES_MEMORY;
}

static const struct {
    const char *what;
    void (*change)(struct fixture *f);
    unsigned replaces;
} CHANGES[] = {
    {"image", m_image, A},
    {"command", m_command, A},
    {"no command", m_no_command, A},
    {"user", m_user, A},
    {"group", m_gid, A},
    {"working_dir", m_working_dir, A},
    {"env value", m_env_value, A},
    {"env more", m_env_more, A},
    {"mount source", m_mount_source, A},
    {"mount target", m_mount_target, A},
    {"mount read_only", m_mount_ro, A},
    {"mount volume", m_mount_volume, A},
    {"mount kind", m_mount_kind, A},
    {"file content", m_file_content, A},
    {"file path", m_file_path, A},
    {"file mode", m_file_mode, A},
    {"file secret", m_file_secret, A},
    {"tty", m_tty, A},
    {"runtime", m_runtime, A},
    {"egress CA certificate", m_egress_cert, E},
    {"egress CA key", m_egress_key, E},
    {"egress CA's successor", m_egress_next, 0},
    {"egress CA's predecessor", m_egress_old, 0},
    {"pipelock CA's successor", m_pipelock_next, E},
    {"pipelock CA's predecessor", m_pipelock_old, E},
    {"pipelock CA certificate", m_pipelock_cert, P | E},
    {"pipelock CA key", m_pipelock_key, P},
    {"upstream CA", m_upstream_ca, P | E},
    {"dlp_action", m_dlp_warn, P},
    {"tls_passthrough", m_passthrough, P},
    {"ssrf_ip_allowlist", m_ssrf, P},
    {"egress image", m_egress_image, E},
    {"pipelock image", m_pipelock_image, P},

    {"labels", m_labels, 0},
    {"file and position of the manifest", m_file_of_manifest, 0},
    {"suspend", m_suspend, 0},
    {"pull_policy", m_pull_policy, 0},
    {"restart", m_restart, 0},
    {"update", m_update, 0},
    {"preserve", m_preserve, 0},
    {"retain", m_retain, 0},
    {"uid", m_uid, 0},
    {"a route more", m_route_more, 0},
    {"a host less", m_route_less, 0},
    {"path of a route", m_route_path, 0},
    {"method of a route", m_route_method, 0},
    {"auth of a route", m_route_auth, 0},
    {"token", m_token, 0},
    {"log", m_log, 0},
    {"memory", m_memory, 0},
    {"cpus", m_cpus, 0},
    {"pids", m_pids, 0},
    {"order of mounts", m_mounts_swapped, 0},
    {"order of files", m_files_swapped, 0},
    {"defaults written out", m_command_default, 0},
};

static void changes_replace_what_they_must_and_no_more(void **state)
{
    (void)state;
    struct fixture base;
    fx_full(&base);
    struct desired *before = fx_render(&base);
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        struct fixture f;
        fx_full(&f);
        CHANGES[i].change(&f);
        struct desired *after = fx_render(&f);
        unsigned replaced = 0;
        for (size_t c = 0; c < after->containers_len; c++) {
            if (strcmp(after->containers[c].spec_hash, before->containers[c].spec_hash) != 0)
                replaced |= 1u << after->containers[c].role;
        }
        if (replaced != CHANGES[i].replaces)
            print_error("%s: replaces %#x, expected %#x\n", CHANGES[i].what, replaced,
                        CHANGES[i].replaces);
        assert_int_equal(replaced, CHANGES[i].replaces);
        desired_free(after);
        fx_done(&f);
    }
    desired_free(before);
    fx_done(&base);
}

/* A new version of bottler must not replace containers by itself: what it or an earlier one made
 * stays what is wanted. Lines are added here, never taken away. */
static void hashes_have_not_changed_since_they_were_written_down(void **state)
{
    (void)state;
    static const struct {
        enum role role;
        const char *full, *minimal;
    } GOLDEN[] = {
        {ROLE_PIPELOCK, "v1:db8abe21e6c5ae4c440c82d8a5849e7015a7d4cdde8142a8f26afb8faf7490cb",
         "v1:fc1e5d83e39f1aff9aa8b52af3b1932ba7cfc96ad7a867519409d2ba923e1d7e"},
        {ROLE_EGRESS, "v1:3ede68ead9fcbba911278010e2d9c97cefb973c756f052b0ae2128b596cb6e58",
         "v1:3ede68ead9fcbba911278010e2d9c97cefb973c756f052b0ae2128b596cb6e58"},
        {ROLE_AGENT, "v1:b88aeeff3af3a1b7a931b33e7a8518ae5a5fa26b2a5e9cc166f25eadf0a04464",
         "v1:c0efb2d8439c25d8a64969014acef23507694e3c8dcda1f82e7b7840c87c810e"},
    };
    struct fixture full;
    struct fixture minimal;
    fx_full(&full);
    fx_minimal(&minimal);
    struct desired *d = fx_render(&full);
    struct desired *m = fx_render(&minimal);
    for (size_t i = 0; i < sizeof(GOLDEN) / sizeof(GOLDEN[0]); i++) {
        assert_true(desired_is_spec(desired_find(d, GOLDEN[i].role), GOLDEN[i].full));
        assert_true(desired_is_spec(desired_find(m, GOLDEN[i].role), GOLDEN[i].minimal));
    }
    static const char *const NETWORKS[NET_COUNT] = {
        "v1:eae3bf0ef1420fdb8240a01c7b84f3cc462b99c0130e1958312fc7d38a8eafdd",
        "v1:4e87887a6e121091c5ff6ff925c41a172fd577a2bf6120d8e38b839ee214f2fb",
        "v1:e786c86572a653b52ef0992ca9b6f0eb2d46581e8bc0c2fda97632db8dff7294"};
    for (enum net n = 0; n < NET_COUNT; n++)
        assert_string_equal(d->networks[n].spec_hash, NETWORKS[n]);
    desired_free(d);
    desired_free(m);
    fx_done(&full);
    fx_done(&minimal);
}

/* ---- what proxies confirm ----------------------------------------------------------------------
 */

struct seen {
    char pipelock[HASH_HEX + 1];
    char routes[HASH_HEX + 1];
    char generation[HASH_HEX + 1];
};

static struct seen look(struct fixture *f)
{
    struct desired *d = fx_render(f);
    struct seen s;
    memcpy(s.pipelock, desired_find(d, ROLE_PIPELOCK)->config_hash, HASH_HEX + 1);
    memcpy(s.routes, desired_find(d, ROLE_EGRESS)->config_hash, HASH_HEX + 1);
    memcpy(s.generation, desired_find(d, ROLE_EGRESS)->generation, HASH_HEX + 1);
    desired_free(d);
    return s;
}

static void a_route_changes_what_both_proxies_confirm(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct seen before = look(&f);
    fx_route(&f, "new.example.com");
    struct seen after = look(&f);
    assert_string_not_equal(before.pipelock, after.pipelock);
    assert_string_not_equal(before.routes, after.routes);
    assert_string_not_equal(before.generation, after.generation);
    fx_done(&f);
}

static void a_path_changes_only_what_egress_confirms(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct seen before = look(&f);
    str_list_add(&f.routes[0].path_allowlist, "/users/");
    struct seen after = look(&f);
    assert_string_equal(before.pipelock, after.pipelock);
    assert_string_not_equal(before.routes, after.routes);
    assert_string_not_equal(before.generation, after.generation);
    fx_done(&f);
}

static void a_token_changes_only_the_generation(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct seen before = look(&f);
    f.secrets[1].value = sv_of("rotated");
    struct seen after = look(&f);
    assert_string_equal(before.pipelock, after.pipelock);
    assert_string_equal(before.routes, after.routes);
    assert_string_not_equal(before.generation, after.generation);
    fx_done(&f);
}

/* Lengths go into the hash: bytes that move from one token to the next make a difference. */
static void tokens_do_not_run_into_each_other(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.secrets[1].value = sv_of("ab");
    f.secrets[2].value = sv_of("c");
    struct seen one = look(&f);
    f.secrets[1].value = sv_of("a");
    f.secrets[2].value = sv_of("bc");
    struct seen two = look(&f);
    assert_string_not_equal(one.generation, two.generation);
    f.secrets[1].value = sv_of("c");
    f.secrets[2].value = sv_of("ab");
    struct seen three = look(&f);
    assert_string_not_equal(one.generation, three.generation);
    fx_done(&f);
}

static void hashes_of_secrets_are_keyed(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct seen one = look(&f);
    struct desired *before = fx_render(&f);
    f.key[0] ^= 1;
    struct seen two = look(&f);
    struct desired *after = fx_render(&f);
    assert_string_equal(one.routes, two.routes);
    assert_string_not_equal(one.generation, two.generation);
    for (size_t i = 0; i < before->containers_len; i++)
        assert_string_not_equal(before->containers[i].spec_hash, after->containers[i].spec_hash);
    desired_free(before);
    desired_free(after);
    fx_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_replace_what_they_must_and_no_more),
        cmocka_unit_test(hashes_have_not_changed_since_they_were_written_down),
        cmocka_unit_test(a_route_changes_what_both_proxies_confirm),
        cmocka_unit_test(a_path_changes_only_what_egress_confirms),
        cmocka_unit_test(a_token_changes_only_the_generation),
        cmocka_unit_test(tokens_do_not_run_into_each_other),
        cmocka_unit_test(hashes_of_secrets_are_keyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
