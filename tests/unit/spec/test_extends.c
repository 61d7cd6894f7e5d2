/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <string.h>

#include "spec/base/xalloc.h"

#define HEAD(name) "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata:\n  name: " name "\n"
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

static const char base[] =
    HEAD("base") "  uid: base-uid\n  labels: {team: platform, tier: one}\n"
                 "spec:\n"
                 "  abstract: true\n"
                 "  suspend: {reason: resting}\n"
                 "  agent:\n"
                 "    image: example.com/agent:1\n"
                 "    command: [sleep, infinity]\n"
                 "    user: \"1000\"\n"
                 "    working_dir: /work\n"
                 "    env: {A: base, B: base, S: \"${SECRET}\"}\n"
                 "    mounts: [{volume: cache, target: /cache}]\n"
                 "    files: [{path: /f, content: base}]\n"
                 "    restart: never\n"
                 "    tty: true\n"
                 "    resources: {memory: 1Gi, pids: 100}\n"
                 "  egress:\n"
                 "    presets: [claude-code]\n"
                 "    allowlist: [base.example.com]\n"
                 "    routes: [{host: r.example.com}]\n"
                 "    dlp_action: warn\n"
                 "    log: 2\n"
                 "  git-gate:\n"
                 "    user: {name: Ada, email: ada@example.com}\n"
                 "    repos:\n"
                 "      site: {url: \"ssh://git@git.example.com/site.git\", host_key: " KEY
                 ", identity: BASE_KEY}\n"
                 "      docs: {url: \"ssh://git@git.example.com/docs.git\", host_key: " KEY
                 ", identity: BASE_KEY}\n"
                 "  supervise: true\n";

/* The bottle "child" of a set of base and `spec` as the child's spec. */
static const struct bottle *child_of_base(const char *spec, struct manifest_set **ret_set)
{
    AUTO_FREE char *text = xasprintf(HEAD("child") "spec:\n  extends: base\n%s", spec);
    struct manifest_set *set = test_load("child.yaml", text, "base.yaml", base, NULL);
    test_expect_diags(set, "");
    assert_int_equal(set->bottles_len, 2);
    assert_string_equal(set->bottles[1].name, "child");
    *ret_set = set;
    return set->bottles[1].bottle;
}

static const char *env_of(const struct bottle *b, const char *name)
{
    for (size_t i = 0; i < b->agent.env_len; i++) {
        if (strcmp(b->agent.env[i].name, name) == 0)
            return b->agent.env[i].value ? b->agent.env[i].value : b->agent.env[i].secret;
    }
    return NULL;
}

static const char *label_of(const struct bottle *b, const char *key)
{
    for (size_t i = 0; i < b->labels.len; i++) {
        if (strcmp(b->labels.items[i].key, key) == 0)
            return b->labels.items[i].value;
    }
    return NULL;
}

static void test_inherits_everything_but_identity(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = child_of_base("", &set);
    assert_string_equal(b->name, "child");
    assert_string_equal(b->extends, "base");
    assert_string_equal(b->file, "child.yaml");
    assert_null(b->uid);
    assert_false(b->abstract);
    assert_false(b->suspended);
    assert_null(b->suspend_reason);
    assert_string_equal(label_of(b, "team"), "platform");
    assert_string_equal(b->agent.image, "example.com/agent:1");
    assert_true(b->agent.has_command);
    assert_int_equal(b->agent.command.len, 2);
    assert_string_equal(b->agent.working_dir, "/work");
    assert_int_equal(b->agent.env_len, 3);
    assert_int_equal(b->agent.mounts_len, 1);
    assert_int_equal(b->agent.files_len, 1);
    assert_int_equal(b->agent.restart, RESTART_NEVER);
    assert_true(b->agent.tty);
    assert_int_equal(b->agent.resources.memory_bytes, INT64_C(1) << 30);
    assert_int_equal(b->agent.resources.pids, 100);
    assert_int_equal(b->egress.routes_len, 1);
    assert_int_equal(b->egress.dlp_action, DLP_WARN);
    assert_int_equal(b->egress.log, 2);
    assert_int_equal(b->git_gate.repos_len, 2);
    assert_true(b->supervise);
    manifest_set_free(set);
}

static void test_agent_merges_by_field(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = child_of_base("  agent:\n"
                                           "    image: example.com/other\n"
                                           "    env: {B: child, C: child}\n"
                                           "    mounts: [{volume: data, target: /data}]\n"
                                           "    tty: false\n"
                                           "    resources: {memory: 3Gi}\n",
                                           &set);
    assert_string_equal(b->agent.image, "example.com/other");
    assert_string_equal(b->agent.user, "1000");
    assert_int_equal(b->agent.env_len, 4);
    assert_string_equal(env_of(b, "A"), "base");
    assert_string_equal(env_of(b, "B"), "child");
    assert_string_equal(env_of(b, "C"), "child");
    assert_string_equal(env_of(b, "S"), "SECRET");
    /* Lists are replaced, not joined. */
    assert_int_equal(b->agent.mounts_len, 1);
    assert_string_equal(b->agent.mounts[0].target, "/data");
    assert_false(b->agent.tty);
    assert_int_equal(b->agent.resources.memory_bytes, INT64_C(3) << 30);
    assert_int_equal(b->agent.resources.pids, 100);
    manifest_set_free(set);
}

static void test_egress_is_replaced_whole(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b =
        child_of_base("  egress: {allowlist: [child.example.com]}\n  supervise: false\n", &set);
    assert_int_equal(b->egress.presets.len, 0);
    assert_int_equal(b->egress.routes_len, 0);
    assert_int_equal(b->egress.allowlist.len, 1);
    assert_string_equal(b->egress.allowlist.items[0], "child.example.com");
    assert_int_equal(b->egress.dlp_action, DLP_BLOCK);
    assert_int_equal(b->egress.log, 1);
    assert_false(b->supervise);
    manifest_set_free(set);
}

static void test_git_gate_merges_by_repo_and_field(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = child_of_base("  git-gate:\n"
                                           "    user: {email: child@example.com}\n"
                                           "    repos:\n"
                                           "      site: {identity: CHILD_KEY}\n"
                                           "      wiki: {url: \"ssh://git.example.com/w.git\", "
                                           "host_key: " KEY ", identity: W}\n",
                                           &set);
    const struct git_gate_spec *g = &b->git_gate;
    assert_string_equal(g->user_name, "Ada");
    assert_string_equal(g->user_email, "child@example.com");
    assert_int_equal(g->repos_len, 3);
    assert_string_equal(g->repos[0].name, "docs");
    assert_string_equal(g->repos[0].identity, "BASE_KEY");
    assert_string_equal(g->repos[1].name, "site");
    assert_string_equal(g->repos[1].identity, "CHILD_KEY");
    assert_string_equal(g->repos[1].url, "ssh://git@git.example.com/site.git");
    assert_string_equal(g->repos[2].name, "wiki");
    manifest_set_free(set);
}

static void test_empty_clears(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = child_of_base("  agent: {command: [], env: {}, mounts: [], files: ~, "
                                           "resources: {}}\n"
                                           "  egress: {}\n"
                                           "  git-gate: {user: {}, repos: {}}\n",
                                           &set);
    assert_string_equal(b->agent.image, "example.com/agent:1");
    assert_false(b->agent.has_command);
    assert_int_equal(b->agent.command.len, 0);
    assert_int_equal(b->agent.env_len, 0);
    assert_int_equal(b->agent.mounts_len, 0);
    assert_int_equal(b->agent.files_len, 0);
    assert_int_equal(b->agent.resources.memory_bytes, RESOURCES_MEMORY);
    assert_int_equal(b->agent.resources.pids, RESOURCES_PIDS);
    assert_int_equal(b->egress.routes_len, 0);
    assert_int_equal(b->egress.presets.len, 0);
    assert_null(b->git_gate.user_name);
    assert_int_equal(b->git_gate.repos_len, 0);
    manifest_set_free(set);
}

static void test_labels_merge_by_key(void **state)
{
    (void)state;
    static const char child[] =
        HEAD("child") "  labels: {tier: two, own: x}\nspec: {extends: base}\n";
    struct manifest_set *set = test_load("base.yaml", base, "child.yaml", child, NULL);
    test_expect_diags(set, "");
    const struct bottle *b = set->bottles[1].bottle;
    assert_int_equal(b->labels.len, 3);
    assert_string_equal(b->labels.items[0].key, "own");
    assert_string_equal(label_of(b, "tier"), "two");
    assert_string_equal(label_of(b, "team"), "platform");
    manifest_set_free(set);
}

/* Through several levels, and whatever the order of names and files. */
static void test_chain(void **state)
{
    (void)state;
    static const char a[] = HEAD("a") "spec: {extends: z, agent: {env: {A: a}}}\n";
    static const char z[] = HEAD("z") "spec: {extends: m, agent: {env: {A: z, Z: z}}}\n";
    static const char m[] =
        HEAD("m") "spec: {agent: {image: i, env: {A: m, Z: m, M: m}}, supervise: true}\n";
    struct manifest_set *set = test_load("1", a, "2", z, "3", m, NULL);
    test_expect_diags(set, "");
    const struct bottle *b = set->bottles[0].bottle;
    assert_string_equal(b->name, "a");
    assert_string_equal(env_of(b, "A"), "a");
    assert_string_equal(env_of(b, "Z"), "z");
    assert_string_equal(env_of(b, "M"), "m");
    assert_true(b->supervise);
    assert_string_equal(env_of(set->bottles[2].bottle, "A"), "z");
    assert_string_equal(env_of(set->bottles[1].bottle, "A"), "m");
    manifest_set_free(set);
}

/* Only the members of a circle, and what hangs below, are at fault. */
static void test_circle_spares_the_others(void **state)
{
    (void)state;
    static const char a[] = HEAD("a") "spec: {extends: b, agent: {image: i}}\n";
    static const char b[] = HEAD("b") "spec: {extends: a, agent: {image: i}}\n";
    static const char c[] = HEAD("c") "spec: {agent: {image: i}}\n";
    static const char d[] = HEAD("d") "spec: {extends: c}\n";
    struct manifest_set *set = test_load("1", a, "2", b, "3", c, "4", d, NULL);
    assert_int_equal(set->bottles_len, 4);
    assert_null(set->bottles[0].bottle);
    assert_null(set->bottles[1].bottle);
    assert_non_null(set->bottles[2].bottle);
    assert_non_null(set->bottles[3].bottle);
    assert_string_equal(set->bottles[3].bottle->agent.image, "i");
    assert_true(set->files[0].usable);
    manifest_set_free(set);
}

static void test_long_circle_is_cut(void **state)
{
    (void)state;
    struct str text;
    enum { MEMBERS = 40 };
    str_init(&text, 64 * 1024);
    for (int i = 0; i < MEMBERS; i++)
        str_addf(&text, HEAD("m%d") "spec: {extends: m%d}\n---\n", i, (i + 1) % MEMBERS);
    struct manifest_set *set = test_load("t", text.p, NULL);
    assert_int_equal(set->bottles_len, MEMBERS);
    for (size_t i = 0; i < set->bottles_len; i++)
        assert_int_equal(set->bottles[i].diags.len, 1);
    assert_string_equal(set->bottles[0].diags.items[0].message,
                        "goes in a circle: m0 -> m1 -> m2 -> m3 -> m4 -> m5 -> m6 -> m7 -> ...");
    manifest_set_free(set);
    str_done(&text);
}

static void test_known_names_are_told(void **state)
{
    (void)state;
    static const char text[] = HEAD("child") "spec: {extends: bass, agent: {image: i}}\n";
    struct manifest_set *set = test_load("base.yaml", base, "child.yaml", text, NULL);
    test_expect_diags(set,
                      "child.yaml:5:17: spec.extends: there is no bottle 'bass'; known: base\n");
    manifest_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inherits_everything_but_identity),
        cmocka_unit_test(test_agent_merges_by_field),
        cmocka_unit_test(test_egress_is_replaced_whole),
        cmocka_unit_test(test_git_gate_merges_by_repo_and_field),
        cmocka_unit_test(test_empty_clears),
        cmocka_unit_test(test_labels_merge_by_key),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_circle_spares_the_others),
        cmocka_unit_test(test_long_circle_is_cut),
        cmocka_unit_test(test_known_names_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
