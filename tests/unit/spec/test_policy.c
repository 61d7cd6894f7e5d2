/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of an installation. Golden: tests/golden/policy/file/<case>.yaml is a policy with
 * faults, judged/<case>/ a policy.yaml and manifests m-*.yaml that are held against it; .expected
 * has the findings. BOTTLER_REGOLD=1 writes the .expected files anew.
 */
#include "tests/unit/support.h"

#include "spec/base/xalloc.h"
#include "spec/check.h"
#include "spec/fields.h"
#include "spec/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/policy"

enum { LEAST_FILES = 18, LEAST_JUDGED = 10, MANIFESTS_MAX = 16, TEXT_MAX = 1 << 20 };

static struct policy *load(const char *text)
{
    struct diag_list found = {0};
    struct policy *p = policy_load("policy.yaml", sv_of(text), &found);
    for (size_t i = 0; i < found.len; i++)
        print_error("%s: %s\n", found.items[i].field, found.items[i].message);
    diag_list_done(&found);
    assert_non_null(p);
    return p;
}

static bool expect_golden(const char *path, const char *found)
{
    if (getenv("BOTTLER_REGOLD"))
        test_write_file(path, found, strlen(found));
    struct test_bytes expected = test_read_file(path);
    bool same = strcmp(expected.p, found) == 0;
    if (!same)
        print_error("%s: expected\n%sgot\n%s", path, expected.p, found);
    free(expected.p);
    return same;
}

static char *lines(const struct diag_list *l)
{
    struct str out;
    str_init(&out, TEXT_MAX);
    for (size_t i = 0; i < l->len; i++) {
        diag_format(&l->items[i], &out);
        str_addc(&out, '\n');
    }
    return str_take(&out);
}

static bool run_file(const char *name)
{
    AUTO_FREE char *path = xasprintf(GOLDEN "/file/%s", name);
    struct test_bytes b = test_read_file(path);
    struct diag_list found = {0};
    struct policy *p = policy_load(name, (struct sv){b.p, b.n}, &found);
    assert_null(p);
    assert_true(found.len > 0);
    AUTO_FREE char *text = lines(&found);
    diag_list_done(&found);
    free(b.p);
    path[strlen(path) - strlen(".yaml")] = '\0';
    AUTO_FREE char *expected = xasprintf("%s.expected", path);
    return expect_golden(expected, text);
}

static void test_faulty_files(void **state)
{
    (void)state;
    struct str_list entries;
    size_t ran = 0;
    size_t failed = 0;
    test_list_dir(GOLDEN "/file", &entries);
    for (size_t i = 0; i < entries.len; i++) {
        if (!test_ends_with(entries.items[i], ".yaml"))
            continue;
        ran++;
        failed += !run_file(entries.items[i]);
    }
    str_list_done(&entries);
    assert_int_equal(failed, 0);
    assert_true(ran >= LEAST_FILES);
}

/* A manifest that is only forbidden is valid without the policy, and says that it is forbidden. */
static void check_forbidden(const struct manifest_set *under, const struct manifest_set *free_set)
{
    assert_int_equal(under->bottles_len, free_set->bottles_len);
    for (size_t i = 0; i < under->bottles_len; i++) {
        const struct manifest_bottle *u = &under->bottles[i];
        const struct manifest_bottle *f = &free_set->bottles[i];
        assert_int_equal(u->forbidden, f->bottle && !u->bottle);
        assert_int_equal(u->bottle == NULL, u->diags.len > 0);
    }
}

static bool run_judged(const char *name)
{
    struct manifest_input in[MANIFESTS_MAX];
    struct test_bytes bytes[MANIFESTS_MAX];
    struct str_list entries;
    size_t n = 0;
    AUTO_FREE char *dir = xasprintf(GOLDEN "/judged/%s", name);
    AUTO_FREE char *policy_path = xasprintf("%s/policy.yaml", dir);
    struct test_bytes text = test_read_file(policy_path);
    struct policy *p = load(text.p);
    test_list_dir(dir, &entries);
    for (size_t i = 0; i < entries.len; i++) {
        if (strncmp(entries.items[i], "m-", 2) != 0)
            continue;
        AUTO_FREE char *path = xasprintf("%s/%s", dir, entries.items[i]);
        assert_true(n < MANIFESTS_MAX);
        bytes[n] = test_read_file(path);
        in[n] =
            (struct manifest_input){.path = entries.items[i], .bytes = {bytes[n].p, bytes[n].n}};
        n++;
    }
    assert_true(n > 0);
    struct manifest_set *set = manifest_load_under(in, n, &(struct manifest_rules){.policy = p});
    struct manifest_set *free_set = manifest_load(in, n);
    check_forbidden(set, free_set);
    AUTO_FREE char *found = test_diags(set);
    AUTO_FREE char *expected = xasprintf(GOLDEN "/judged/%s/expected", name);
    bool ok = expect_golden(expected, found);
    manifest_set_free(set);
    manifest_set_free(free_set);
    policy_free(p);
    for (size_t i = 0; i < n; i++)
        free(bytes[i].p);
    free(text.p);
    str_list_done(&entries);
    return ok;
}

static void test_judged(void **state)
{
    (void)state;
    struct str_list entries;
    size_t failed = 0;
    test_list_dir(GOLDEN "/judged", &entries);
    for (size_t i = 0; i < entries.len; i++)
        failed += !run_judged(entries.items[i]);
    assert_int_equal(failed, 0);
    assert_true(entries.len >= LEAST_JUDGED);
    str_list_done(&entries);
}

#define HEADER "apiVersion: bottler.dev/v1\nkind: Policy\n"

static void test_fields(void **state)
{
    (void)state;
    struct policy *p = load(HEADER "metadata: {name: host}\n"
                                   "spec:\n"
                                   "  mounts: {roots: [/srv/agents]}\n"
                                   "  images: {allow: [GHCR.io/acme/, index.docker.io, 'r:5000'], "
                                   "require_digest: true}\n"
                                   "  runtimes: [runsc]\n"
                                   "  resources: {memory: 8Gi, cpus: 4, pids: 4096}\n"
                                   "  egress: {deny_hosts: ['*.EXAMPLE.net', '*.onion']}\n");
    assert_string_equal(p->file, "policy.yaml");
    assert_string_equal(p->name, "host");
    assert_true(p->roots_given);
    assert_string_equal(p->roots.items[0], "/srv/agents");
    assert_int_equal(p->roots_at.line, 5);
    assert_int_equal(p->roots_at.column, 12);
    assert_string_equal(p->images.items[0], "ghcr.io/acme");
    assert_string_equal(p->images.items[1], "docker.io");
    assert_string_equal(p->images.items[2], "r:5000");
    assert_true(p->require_digest);
    assert_string_equal(p->runtimes.items[0], "runsc");
    assert_true(p->memory_bytes == INT64_C(8) << 30);
    assert_true(p->nano_cpus == INT64_C(4000000000));
    assert_int_equal(p->pids, 4096);
    assert_string_equal(p->deny_hosts.items[0], "*.example.net");
    assert_string_equal(p->deny_hosts.items[1], "*.onion");
    policy_free(p);
    /* One that limits nothing is said to. */
    p = load(HEADER "spec: {}\n");
    assert_false(p->roots_given);
    assert_int_equal(p->images.len + p->runtimes.len + p->deny_hosts.len, 0);
    assert_null(policy_check_runtime(p, "runc"));
    policy_free(p);
}

static void test_what_auto_came_to_be(void **state)
{
    (void)state;
    struct policy *p = load(HEADER "spec:\n  runtimes: [runsc, kata]\n");
    assert_null(policy_check_runtime(p, "kata"));
    AUTO_FREE char *why = policy_check_runtime(p, "runc");
    assert_string_equal(why, "the policy allows only the runtime runsc, kata, got 'runc' "
                             "(policy.yaml:4: spec.runtimes)");
    policy_free(p);
}

static void test_first_refusal(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = test_bottle("apiVersion: bottler.dev/v1\nkind: Bottle\n"
                                         "metadata: {name: one}\n"
                                         "spec: {agent: {image: a, runtime: x}}\n",
                                         &set);
    struct policy *p = load(HEADER "spec: {runtimes: [runsc]}\n");
    AUTO_FREE char *why = policy_refusal(p, b);
    assert_string_equal(why,
                        "spec.agent.runtime: the policy allows only the runtime runsc, got 'x' "
                        "(policy.yaml:3: spec.runtimes)");
    policy_free(p);
    p = load(HEADER "spec: {runtimes: [x]}\n");
    assert_null(policy_refusal(p, b));
    policy_free(p);
    manifest_set_free(set);
}

/* The controller's own directories come in this way. */
static char *refuse_state(void *ctx, const char *source)
{
    size_t *asked = ctx;
    (*asked)++;
    return strcmp(source, "/srv/state") == 0 ? xstrdup("it is the state directory") : NULL;
}

static void test_mounts_that_the_caller_refuses(void **state)
{
    (void)state;
    static const char text[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: one}\n"
                               "spec:\n"
                               "  agent:\n"
                               "    image: a\n"
                               "    mounts:\n"
                               "      - {volume: v, target: /v}\n"
                               "      - {source: /srv/state, target: /s}\n"
                               "      - {source: /srv/x, target: /x}\n";
    struct manifest_input in = {.path = "m.yaml", .bytes = sv_of(text)};
    size_t asked = 0;
    struct manifest_rules rules = {.mount_refusal = refuse_state, .ctx = &asked};
    struct manifest_set *set = manifest_load_under(&in, 1, &rules);
    test_expect_diags(set, "m.yaml:9:18: spec.agent.mounts[1].source: it is the state directory\n");
    assert_true(set->bottles[0].forbidden);
    assert_int_equal(asked, 2);
    manifest_set_free(set);
}

static void test_prefixes_and_patterns(void **state)
{
    (void)state;
    static const struct {
        check_text_fn *check;
        const char *text;
        const char *expected;
    } rows[] = {
        {check_image_prefix, "ghcr.io", "ghcr.io"},
        {check_image_prefix, "ghcr.io/", "ghcr.io"},
        {check_image_prefix, "localhost", "localhost"},
        {check_image_prefix, "localhost/x", "localhost/x"},
        {check_image_prefix, "r:5000/a/b/", "r:5000/a/b"},
        {check_image_prefix, "Index.Docker.io/acme", "docker.io/acme"},
        {check_image_prefix, "local", NULL},
        {check_image_prefix, "acme/agent", NULL},
        {check_image_prefix, "ghcr.io/a//", NULL},
        {check_image_prefix, "ghcr.io/a:1", NULL},
        {check_image_prefix, "ghcr.io/A", NULL},
        {check_image_prefix, "ghcr.io/*", NULL},
        {check_image_prefix, "/ghcr.io", NULL},
        {check_image_prefix, "r:0/x", NULL},
        {check_image_prefix, "", NULL},
        {check_image_prefix, "/", NULL},
        {check_host_pattern, "A.example.com", "a.example.com"},
        {check_host_pattern, "*.Example.com", "*.example.com"},
        {check_host_pattern, "*.com", "*.com"},
        {check_host_pattern, "*", NULL},
        {check_host_pattern, "*.", NULL},
        {check_host_pattern, "*..com", NULL},
        {check_host_pattern, "*.com.", NULL},
        {check_host_pattern, "x*.com", NULL},
        {check_host_pattern, "*.0x10", NULL},
        {check_host_pattern, "*.a b", NULL},
        {check_host_pattern, "", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct str why;
        AUTO_FREE char *got = NULL;
        str_init(&why, CHECK_WHY_MAX);
        bool ok = rows[i].check(rows[i].text, &why, &got);
        if (ok != (rows[i].expected != NULL))
            fail_msg("'%s': %s", rows[i].text, ok ? got : why.p);
        if (ok)
            assert_string_equal(got, rows[i].expected);
        else
            assert_true(why.len > 0);
        str_done(&why);
    }
}

static void test_explained(void **state)
{
    (void)state;
    struct str out;
    str_init(&out, TEXT_MAX);
    struct err *e = fields_explain("policy.spec.mounts.roots", &out);
    assert_null(e);
    assert_non_null(strstr(out.p, "KIND     Policy\nFIELD    spec.mounts.roots\n"));
    assert_null(strstr(out.p, "CHANGING"));
    str_clear(&out);
    e = fields_explain("Policy", &out);
    assert_null(e);
    assert_non_null(strstr(out.p, "  spec "));
    str_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faulty_files),
        cmocka_unit_test(test_judged),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_what_auto_came_to_be),
        cmocka_unit_test(test_first_refusal),
        cmocka_unit_test(test_mounts_that_the_caller_refuses),
        cmocka_unit_test(test_prefixes_and_patterns),
        cmocka_unit_test(test_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
