/* SPDX-License-Identifier: Apache-2.0 */
/* What a bottle should look like: refusals, objects, files. Hashes are in test_spec_hash.c. */
#include "fixture.h"

/* ---- refusals -------------------------------------------------------------------------------- */

static struct err *try_render(struct fixture *f)
{
    struct desired *d = NULL;
    struct err *e = desired_render(&f->b, &f->s, &f->in, &d);
    assert_true(e ? d == NULL : d != NULL);
    desired_free(d);
    return e;
}

static void what_this_version_cannot_run_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.b.supervise = true;
    fx_refused(try_render(&f), ERR_INVALID, "supervise: this version");
    f.b.supervise = false;
    f.b.git_gate.user_name = fx_text(&f, "Ada");
    fx_refused(try_render(&f), ERR_INVALID, "git-gate: this version");
    f.b.git_gate.user_name = NULL;
    f.b.git_gate.repos = f.repos;
    f.b.git_gate.repos_len = 1;
    fx_refused(try_render(&f), ERR_INVALID, "git-gate: this version");
    f.b.git_gate.repos_len = 0;
    f.b.abstract = true;
    fx_refused(try_render(&f), ERR_INVALID, "'demo' is abstract");
    f.b.abstract = false;
    fx_ok(try_render(&f));
    fx_done(&f);
}

static void every_missing_or_empty_secret_is_named(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.in.secrets_len = 0;
    fx_refused(try_render(&f), ERR_NOT_FOUND,
               "secret 'API_PAT' has no value; secret 'GIT_PAT' has no value; "
               "secret 'NETRC' has no value");
    fx_secret(&f, "API_PAT", "");
    fx_secret(&f, "GIT_PAT", "\n\r\n");
    fx_secret(&f, "NETRC", "x");
    fx_refused(try_render(&f), ERR_NOT_FOUND, "secret 'API_PAT' is empty");
    f.secrets[0].value = sv_of("t");
    fx_refused(try_render(&f), ERR_NOT_FOUND, "secret 'GIT_PAT' is empty");
    fx_done(&f);
}

static void a_token_that_breaks_a_header_is_refused(void **state)
{
    (void)state;
    static const struct sv BAD[] = {
        {"abc\ndef", 7},     {"abc\0def", 7}, {"abc\rX: y", 8},
        {"t\xc3\xb6ken", 6}, {"a\tb", 3},     {"two words", 9},
    };
    struct fixture f;
    fx_full(&f);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        f.secrets[1].value = BAD[i];
        struct err *e = try_render(&f);
        assert_non_null(e);
        assert_null(strstr(err_message(e), "abc"));
        fx_refused(e, ERR_INVALID, "secret 'API_PAT' can't be sent in a header");
    }
    fx_done(&f);
}

static void what_the_egress_proxy_would_not_read_is_refused(void **state)
{
    (void)state;
    enum { TOKEN_MAX = 8192, HOSTS = 20000 };
    struct fixture f;
    fx_full(&f);
    AUTO_FREE char *token = xmalloc(TOKEN_MAX + 1);
    memset(token, 'x', TOKEN_MAX + 1);
    f.secrets[1].value = (struct sv){token, TOKEN_MAX};
    fx_ok(try_render(&f));
    f.secrets[1].value = (struct sv){token, TOKEN_MAX + 1};
    fx_refused(try_render(&f), ERR_INVALID, "at most 8192 bytes");
    f.secrets[1].value = sv_of("short");
    for (int i = 0; i < HOSTS; i++) {
        AUTO_FREE char *host =
            xasprintf("a-host-with-a-name-that-is-long-enough-for-this-test-%d.example.com", i);
        str_list_add(&f.b.egress.allowlist, host);
    }
    fx_refused(try_render(&f), ERR_INVALID, "egress: the route table has ");
    fx_done(&f);
}

static void a_file_below_our_directory_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.files[0].path = fx_text(&f, "/etc/bottler/ca.pem");
    fx_refused(try_render(&f), ERR_INVALID, "agent.files[0].path: '/etc/bottler/ca.pem'");
    f.files[0].path = fx_text(&f, "/etc/bottler");
    fx_refused(try_render(&f), ERR_INVALID, "agent.files[0].path: '/etc/bottler'");
    f.files[0].path = fx_text(&f, "/etc/bottlers");
    fx_ok(try_render(&f));
    fx_done(&f);
}

/* ---- objects --------------------------------------------------------------------------------- */

static void containers_come_in_start_order(void **state)
{
    (void)state;
    static const enum role ORDER[] = {ROLE_PIPELOCK, ROLE_EGRESS, ROLE_AGENT};
    static const char *const NAMES[] = {"bottler.demo.pipelock", "bottler.demo.egress",
                                        "bottler.demo.agent"};
    static const enum pull_policy PULL[] = {PULL_IF_NOT_PRESENT, PULL_NEVER, PULL_ALWAYS};
    struct fixture f;
    fx_full(&f);
    f.b.agent.restart = RESTART_NEVER;
    f.b.agent.pull_policy = PULL_ALWAYS;
    struct desired *d = fx_render(&f);
    assert_int_equal(d->containers_len, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct desired_container *c = &d->containers[i];
        bool agent = c->role == ROLE_AGENT;
        assert_int_equal(c->role, ORDER[i]);
        assert_string_equal(c->name, NAMES[i]);
        assert_ptr_equal(desired_find(d, ORDER[i]), c);
        assert_int_equal(c->restart, agent ? RESTART_NEVER : RESTART_ALWAYS);
        /* Images of ours are only ever built on the spot. */
        assert_int_equal(c->pull_policy, PULL[i]);
        assert_int_equal(c->want_roots, agent);
        assert_int_equal(c->config_hash == NULL, agent);
        assert_int_equal(c->generation == NULL, c->role != ROLE_EGRESS);
        assert_memory_equal(c->spec_hash, "v1:", 3);
        assert_true(str_is_hex(c->spec_hash + 3, HASH_HEX));
        assert_int_equal(strlen(c->spec_hash), 3 + HASH_HEX);
    }
    assert_null(desired_find(d, ROLE_SUPERVISE));
    assert_string_equal(d->bottle, "demo");
    assert_string_equal(d->uid, "uid-1");
    assert_string_equal(d->instance, "bottler");
    assert_string_equal(d->installation, "inst-1");
    desired_free(d);
    fx_done(&f);
}

static void images_are_the_manifests_the_settings_or_ours(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    f.s.image[ROLE_EGRESS] = "registry.example.com/egress@sha256:1";
    f.s.image[ROLE_AGENT] = "ignored";
    struct desired *d = fx_render(&f);
    assert_string_equal(desired_find(d, ROLE_PIPELOCK)->image_ref, role_info(ROLE_PIPELOCK)->image);
    assert_string_equal(desired_find(d, ROLE_EGRESS)->image_ref,
                        "registry.example.com/egress@sha256:1");
    assert_string_equal(desired_find(d, ROLE_AGENT)->image_ref, "registry.example.com/agent:1.4");
    desired_free(d);
    fx_done(&f);
}

static void networks_are_three_and_two_internal(void **state)
{
    (void)state;
    static const char *const NAMES[NET_COUNT] = {"bottler.demo.agent", "bottler.demo.chain",
                                                 "bottler.demo.out"};
    struct fixture f;
    fx_minimal(&f);
    struct desired *d = fx_render(&f);
    for (enum net n = 0; n < NET_COUNT; n++) {
        char *bridge = bridge_name("inst-1", "demo", n);
        assert_int_equal(d->networks[n].net, n);
        assert_string_equal(d->networks[n].name, NAMES[n]);
        assert_string_equal(d->networks[n].bridge, bridge);
        assert_int_equal(d->networks[n].internal, n != NET_OUT);
        free(bridge);
    }
    assert_string_not_equal(d->networks[0].spec_hash, d->networks[1].spec_hash);
    desired_free(d);
    fx_done(&f);
}

static void volumes_are_named_once_and_kept_if_any_mount_says_so(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    fx_mount(&f, "/other")->volume = fx_text(&f, "data");
    struct mount *again = fx_mount(&f, "/again");
    again->volume = fx_text(&f, "data");
    again->retain = true;
    fx_mount(&f, "/scratch")->volume = fx_text(&f, "scratch");
    struct desired *d = fx_render(&f);
    assert_int_equal(d->volumes_len, 3);
    assert_string_equal(d->volumes[0].name, "bottler.demo.cache");
    assert_true(d->volumes[0].retain);
    assert_string_equal(d->volumes[1].name, "bottler.demo.data");
    assert_true(d->volumes[1].retain);
    assert_string_equal(d->volumes[2].name, "bottler.demo.scratch");
    assert_false(d->volumes[2].retain);
    desired_free(d);
    fx_done(&f);
}

static void secret_references_are_sorted_and_unique(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    fx_auth(&f, fx_route(&f, "more.example.com"), AUTH_BEARER, "API_PAT");
    f.repos[0].identity = fx_text(&f, "DEPLOY_KEY");
    f.b.git_gate.repos = f.repos;
    f.b.git_gate.repos_len = 1;
    fx_env(&f, "X", "");
    f.env[1].value = NULL;
    f.env[1].secret = fx_text(&f, "ZED");
    struct str_list refs;
    bottle_secret_refs(&f.b, &refs);
    static const char *const WANT[] = {"API_PAT", "DEPLOY_KEY", "GIT_PAT", "NETRC", "ZED"};
    assert_int_equal(refs.len, 5);
    for (size_t i = 0; i < refs.len; i++)
        assert_string_equal(refs.items[i], WANT[i]);
    str_list_done(&refs);
    fx_done(&f);
}

/* ---- files ----------------------------------------------------------------------------------- */

struct want_file {
    const char *path;
    unsigned uid, gid;
    mode_t mode;
    bool dir, hot;
    const char *data; /* NULL: not compared */
};

static void check_files(const struct desired_container *c, const struct want_file *want, size_t n)
{
    for (size_t i = 0; i < c->files.len && i < n; i++) {
        const struct file_item *f = &c->files.items[i];
        assert_string_equal(f->path, want[i].path);
        assert_int_equal(f->uid, want[i].uid);
        assert_int_equal(f->gid, want[i].gid);
        assert_int_equal(f->mode, want[i].mode);
        assert_int_equal(f->dir, want[i].dir);
        assert_int_equal(f->hot, want[i].hot);
        if (want[i].data) {
            assert_int_equal(f->n, strlen(want[i].data));
            assert_memory_equal(f->data, want[i].data, f->n);
        }
    }
    assert_int_equal(c->files.len, n);
}

static void pipelock_gets_its_files(void **state)
{
    (void)state;
    static const struct want_file WANT[] = {
        {"/etc/bottler", 0, 0, 0755, true, false, NULL},
        {"/etc/bottler/pipelock.yaml", 0, 65534, 0440, false, true, NULL},
        {"/etc/bottler/ca.pem", 0, 0, 0444, false, false, "PIPELOCK-CERT\n"},
        {"/etc/bottler/ca-key.pem", 65534, 65534, 0400, false, false, "PIPELOCK-KEY\n"},
        {"/etc/bottler/upstream", 0, 0, 0755, true, false, NULL},
        {"/etc/bottler/upstream/ca.pem", 0, 0, 0444, false, false, "COMPANY\n"},
    };
    struct fixture f;
    fx_full(&f);
    struct desired *d = fx_render(&f);
    check_files(desired_find(d, ROLE_PIPELOCK), WANT, 4);
    desired_free(d);
    f.s.upstream_ca = sv_of("COMPANY\n");
    d = fx_render(&f);
    check_files(desired_find(d, ROLE_PIPELOCK), WANT, 6);
    char hex[HASH_HEX + 1];
    const struct file_item *config =
        file_list_find(&desired_find(d, ROLE_PIPELOCK)->files, "/etc/bottler/pipelock.yaml");
    hash_hex((struct sv){config->data, config->n}, hex);
    assert_string_equal(desired_find(d, ROLE_PIPELOCK)->config_hash, hex);
    desired_free(d);
    fx_done(&f);
}

static void egress_gets_its_files(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.s.upstream_ca = sv_of("COMPANY\n");
    f.in.egress_ca_key = sv_of("KEY-WITHOUT-NEWLINE");
    struct desired *d = fx_render(&f);
    const struct desired_container *c = desired_find(d, ROLE_EGRESS);
    char *generation = xasprintf("%s\n", c->generation);
    const struct want_file want[] = {
        {"/etc/bottler", 0, 0, 0755, true, false, NULL},
        {"/etc/bottler/routes.yaml", 0, 10001, 0440, false, true, NULL},
        {"/etc/bottler/generation", 0, 10001, 0440, false, true, generation},
        {"/etc/bottler/tokens", 10001, 10001, 0500, true, false, NULL},
        {"/etc/bottler/tokens/EGRESS_TOKEN_0", 10001, 10001, 0400, false, true, "api-token"},
        {"/etc/bottler/tokens/EGRESS_TOKEN_1", 10001, 10001, 0400, false, true, "git-token"},
        {"/etc/bottler/ca", 0, 0, 0755, true, false, NULL},
        {"/etc/bottler/ca/egress-ca.pem", 10001, 10001, 0400, false, false,
         "KEY-WITHOUT-NEWLINE\nEGRESS-CERT\n"},
        {"/etc/bottler/ca/pipelock-ca.pem", 0, 0, 0444, false, false, "PIPELOCK-CERT\n"},
        {"/etc/bottler/ca/upstream-ca.pem", 0, 0, 0444, false, false, "COMPANY\n"},
    };
    assert_int_equal(strlen(c->generation), HASH_HEX);
    assert_true(str_is_hex(c->generation, HASH_HEX));
    check_files(c, want, sizeof(want) / sizeof(want[0]));
    char hex[HASH_HEX + 1];
    const struct file_item *routes = file_list_find(&c->files, "/etc/bottler/routes.yaml");
    hash_hex((struct sv){routes->data, routes->n}, hex);
    assert_string_equal(c->config_hash, hex);
    free(generation);
    desired_free(d);
    fx_done(&f);
}

static void agent_gets_its_files(void **state)
{
    (void)state;
    static const struct want_file WANT[] = {
        {"/etc/bottler", 0, 0, 0755, true, false, NULL},
        {"/home/agent/CLAUDE.md", 1000, 1000, 0644, false, false, "Be careful."},
        {"/home/agent/.netrc", 1000, 1000, 0600, false, false, "machine example.com\n"},
        {"/etc/bottler/ca.pem", 0, 0, 0644, false, false, "EGRESS-CERT\n"},
    };
    struct fixture f;
    fx_full(&f);
    struct desired *d = fx_render(&f);
    check_files(desired_find(d, ROLE_AGENT), WANT, 4);
    desired_free(d);
    fx_done(&f);
}

static void agent_files_belong_to_a_numeric_user(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        unsigned uid, gid;
    } CASES[] = {
        {"1000", 1000, 0},       {"1000:100", 1000, 100},
        {"1000:staff", 1000, 0}, {"agent", 0, 0},
        {"agent:100", 0, 0},     {"0:0", 0, 0},
        {"4294967296", 0, 0},    {"-1", 0, 0},
        {"1000:", 1000, 0},      {"4294967295", 4294967295u, 0},
    };
    struct fixture f;
    fx_full(&f);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        f.b.agent.user = fx_text(&f, CASES[i].user);
        struct desired *d = fx_render(&f);
        const struct file_item *file =
            file_list_find(&desired_find(d, ROLE_AGENT)->files, "/home/agent/CLAUDE.md");
        assert_int_equal(file->uid, CASES[i].uid);
        assert_int_equal(file->gid, CASES[i].gid);
        desired_free(d);
    }
    fx_done(&f);
}

/* /etc of an image keeps its owner and mode: an entry for it would set them. */
static void no_archive_touches_a_directory_of_the_image(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.s.upstream_ca = sv_of("COMPANY\n");
    struct desired *d = fx_render(&f);
    size_t dirs = 0;
    for (size_t i = 0; i < d->containers_len; i++) {
        for (size_t j = 0; j < d->containers[i].files.len; j++) {
            const struct file_item *item = &d->containers[i].files.items[j];
            if (!item->dir)
                continue;
            dirs++;
            assert_memory_equal(item->path, "/etc/bottler", strlen("/etc/bottler"));
        }
    }
    assert_int_equal(dirs, 6);
    desired_free(d);
    fx_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_this_version_cannot_run_is_refused),
        cmocka_unit_test(every_missing_or_empty_secret_is_named),
        cmocka_unit_test(a_token_that_breaks_a_header_is_refused),
        cmocka_unit_test(what_the_egress_proxy_would_not_read_is_refused),
        cmocka_unit_test(a_file_below_our_directory_is_refused),
        cmocka_unit_test(containers_come_in_start_order),
        cmocka_unit_test(images_are_the_manifests_the_settings_or_ours),
        cmocka_unit_test(networks_are_three_and_two_internal),
        cmocka_unit_test(volumes_are_named_once_and_kept_if_any_mount_says_so),
        cmocka_unit_test(secret_references_are_sorted_and_unique),
        cmocka_unit_test(pipelock_gets_its_files),
        cmocka_unit_test(egress_gets_its_files),
        cmocka_unit_test(agent_gets_its_files),
        cmocka_unit_test(agent_files_belong_to_a_numeric_user),
        cmocka_unit_test(no_archive_touches_a_directory_of_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
