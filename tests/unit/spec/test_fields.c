/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "spec/base/xalloc.h"
#include "spec/diag.h"
#include "spec/fields.h"
#include "spec/retired.h"

enum { TABLES = 3 };
static const struct field_table *const tables[TABLES] = {&fields_bottle, &fields_grant,
                                                         &fields_policy};

static bool holds_children(const struct field *f)
{
    return f->kind == FIELD_OBJECT || f->kind == FIELD_SWITCH || f->kind == FIELD_LIST ||
           f->kind == FIELD_DICT;
}

/* What the code that reads the table takes for granted. */
static void check_row(const struct field_table *t, const struct field *f)
{
    struct str path;
    str_init(&path, FIELD_PATH_MAX);
    field_path(f, &path);
    if (!f->help || strlen(f->help) < 5 || f->help[strlen(f->help) - 1] != '.')
        fail_msg("%s has no help, or it doesn't end with a period", path.p);
    const struct field *child = field_next(t, path.p, NULL);
    if (holds_children(f) != (child != NULL))
        fail_msg("%s should %shave fields below it", path.p, holds_children(f) ? "" : "not ");
    if (f->kind == FIELD_LIST)
        assert_string_equal(child ? child->name : "", "[]");
    if (f->kind == FIELD_DICT)
        assert_string_equal(child ? child->name : "", "*");
    if (f->kind == FIELD_LIST || f->kind == FIELD_DICT)
        assert_true(f->max > 0);
    assert_int_equal(f->kind == FIELD_ENUM, f->words != NULL);
    if (f->kind == FIELD_INT)
        assert_true(f->max > f->min);
    if (f->flags & FIELD_REQUIRED)
        assert_null(f->def);
    assert_ptr_equal(field_find(t, f->parent, f->name), f);
    assert_string_not_equal(field_kind_name(f->kind), "value");
    if (*f->parent) {
        char *at = strrchr(f->parent, '.');
        assert_true(at || strcmp(f->parent, "metadata") == 0 || strcmp(f->parent, "spec") == 0);
    }
    str_done(&path);
}

static void test_table(void **state)
{
    (void)state;
    size_t rows = 0;
    for (size_t t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < tables[t]->len; i++, rows++)
            check_row(tables[t], &tables[t]->fields[i]);
    }
    assert_true(rows > 80);
}

/* Every parent named by a row is a row that can have children. */
static void test_parents_exist(void **state)
{
    (void)state;
    for (size_t t = 0; t < TABLES; t++) {
        struct str_list holders = {0};
        for (size_t i = 0; i < tables[t]->len; i++) {
            struct str path;
            str_init(&path, FIELD_PATH_MAX);
            field_path(&tables[t]->fields[i], &path);
            if (holds_children(&tables[t]->fields[i]))
                str_list_add(&holders, path.p);
            str_done(&path);
        }
        for (size_t i = 0; i < tables[t]->len; i++) {
            const char *parent = tables[t]->fields[i].parent;
            if (*parent && !str_list_has(&holders, parent))
                fail_msg("'%s' is nobody's path", parent);
        }
        str_list_done(&holders);
    }
}

static void test_retired_table(void **state)
{
    (void)state;
    assert_true(retired_keys_len > 40);
    for (size_t i = 0; i < retired_keys_len; i++) {
        const struct retired_key *r = &retired_keys[i];
        if (i > 0) {
            int c = strcmp(retired_keys[i - 1].parent, r->parent);
            assert_true(c < 0 || (c == 0 && strcmp(retired_keys[i - 1].key, r->key) < 0));
        }
        assert_string_equal(retired_hint(r->parent, r->key), r->instead);
        /* A retired key isn't a field, and its object exists. */
        assert_null(field_find(&fields_bottle, r->parent, r->key));
        assert_non_null(field_next(&fields_bottle, r->parent, NULL));
    }
    assert_null(retired_hint("spec", "agent"));
    assert_null(retired_hint("nowhere", "ssh"));
}

static void test_change_classes(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum change_class expected;
    } cases[] = {
        {"metadata.labels", CHANGE_NONE},
        {"metadata.uid", CHANGE_NONE},
        {"metadata.name", CHANGE_AGENT},
        {"metadata.labels.team", CHANGE_NONE},
        {"metadata.labels['a.b/c']", CHANGE_NONE},
        {"spec.suspend", CHANGE_NONE},
        {"spec.suspend.until", CHANGE_NONE},
        {"spec.abstract", CHANGE_AGENT},
        {"spec.preserve", CHANGE_NONE},
        {"spec.agent.update", CHANGE_NONE},
        {"spec.agent.update.deadline", CHANGE_NONE},
        {"spec.agent.mounts[0].retain", CHANGE_NONE},
        {"spec.agent.pull_policy", CHANGE_NONE},
        {"spec.agent.image", CHANGE_AGENT},
        {"spec.agent.env", CHANGE_AGENT},
        {"spec.agent.env.PATH", CHANGE_AGENT},
        {"spec.agent.mounts[0].read_only", CHANGE_AGENT},
        {"spec.agent.resources.memory", CHANGE_LIVE},
        {"spec.agent.resources", CHANGE_LIVE},
        {"spec.egress.allowlist[3]", CHANGE_RELOAD},
        {"spec.egress.presets", CHANGE_RELOAD},
        {"spec.egress.log", CHANGE_RELOAD},
        {"spec.egress.routes[2].host", CHANGE_RELOAD},
        {"spec.egress.routes[].auth.token_ref", CHANGE_RELOAD},
        {"spec.egress.routes[2].pipelock.tls_passthrough", CHANGE_SIDECAR},
        {"spec.egress.routes[2].pipelock.ssrf_ip_allowlist[0]", CHANGE_SIDECAR},
        {"spec.egress.dlp_action", CHANGE_SIDECAR},
        {"spec.git-gate.repos.site.url", CHANGE_SIDECAR},
        {"spec.supervise", CHANGE_AGENT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum change_class c = CHANGE_NONE;
        AUTO_ERR e = field_change_class(cases[i].path, &c);
        if (e || c != cases[i].expected)
            fail_msg("%s: %s", cases[i].path, e ? err_message(e) : change_class_name(c));
    }
    enum change_class c = CHANGE_NONE;
    AUTO_ERR e = field_change_class("spec.nothing", &c);
    assert_int_equal(err_kind(e), ERR_NOT_FOUND);
}

/* What the build is checked for: no field, whatever its kind, may be silent about its cost. */
static void test_a_field_without_a_class_is_found(void **state)
{
    (void)state;
    struct str out;
    str_init(&out, 64 * 1024);
    assert_true(fields_classified(&fields_bottle, &out));
    assert_true(fields_classified(&fields_grant, &out));
    assert_int_equal(out.len, 0);
    struct field *copy = xcalloc(fields_bottle.len, sizeof(*copy));
    memcpy(copy, fields_bottle.fields, fields_bottle.len * sizeof(*copy));
    const struct field_table patched = {"Bottle", copy, fields_bottle.len};
    for (size_t i = 0; i < patched.len; i++) {
        const enum change_class was = copy[i].change;
        copy[i].change = CHANGE_UNSET;
        struct str expected;
        str_init(&expected, 1024);
        str_add(&expected, "Bottle: ");
        field_path(&copy[i], &expected);
        str_addc(&expected, '\n');
        str_clear(&out);
        assert_false(fields_classified(&patched, &out));
        assert_string_equal(out.p, expected.p);
        copy[i].change = was;
        str_done(&expected);
    }
    free(copy);
    str_done(&out);
}

static void expect_mean(const char *parent, const char *key, const char *expected)
{
    AUTO_FREE char *near = field_did_you_mean(&fields_bottle, parent, key);
    if (!near || !expected)
        assert_ptr_equal(near, expected);
    else
        assert_string_equal(near, expected);
}

static void test_did_you_mean(void **state)
{
    (void)state;
    expect_mean("spec", "agnet", "agent");
    expect_mean("spec", "gitGate", "git-gate");
    expect_mean("spec", "git_gate", "git-gate");
    expect_mean("spec", "extend", "extends");
    expect_mean("spec.agent", "pullPolicy", "pull_policy");
    expect_mean("spec.agent", "WORKINGDIR", "working_dir");
    expect_mean("spec.agent.resources", "cpu", "cpus");
    expect_mean("spec", "image", "spec.agent.image");
    expect_mean("spec", "memory", "spec.agent.resources.memory");
    expect_mean("spec", "nothing-like-it", NULL);
    expect_mean("spec", "", NULL);
    AUTO_FREE char *far = xmalloc(5000);
    memset(far, 'x', 4999);
    far[4999] = '\0';
    expect_mean("spec", far, NULL);
}

static char *explain(const char *path)
{
    struct str out;
    str_init(&out, 64 * 1024);
    AUTO_ERR e = fields_explain(path, &out);
    if (e) {
        str_clear(&out);
        str_addf(&out, "error: %s", err_message(e));
    }
    return XNN(str_take(&out));
}

static void test_explain(void **state)
{
    (void)state;
    AUTO_FREE char *memory = explain("spec.agent.resources.memory");
    assert_string_equal(memory, "KIND     Bottle\n"
                                "FIELD    spec.agent.resources.memory\n"
                                "TYPE     amount of memory\n"
                                "DEFAULT  2Gi\n"
                                "CHANGING live: limits are set in place\n"
                                "\n"
                                "  Memory; 6Mi to 16Ti.\n");
    AUTO_FREE char *shorter = explain("agent.resources.memory");
    assert_string_equal(shorter, memory);
    AUTO_FREE char *host = explain("spec.egress.routes.host");
    assert_non_null(strstr(host, "FIELD    spec.egress.routes[].host\n"));
    AUTO_FREE char *grant = explain("grant.spec.expires");
    assert_non_null(strstr(grant, "KIND     Grant\n"));
    assert_non_null(strstr(grant, "REQUIRED yes\n"));
    AUTO_FREE char *agent = explain("spec.agent");
    assert_non_null(strstr(agent, "FIELDS\n  image "));
    assert_non_null(strstr(agent, "\n  resources "));
    assert_non_null(strstr(agent, "CHANGING agent: only a new container can have it\n"
                                  "LOSES    what the agent has written outside its mounts\n"));
    AUTO_FREE char *abstract = explain("spec.abstract");
    assert_non_null(strstr(abstract,
                           "\nCHANGING agent: an abstract bottle doesn't run\nLOSES    "
                           "the bottle, with those of its volumes that aren't retained\n"));
    AUTO_FREE char *retain = explain("spec.agent.mounts.retain");
    assert_non_null(strstr(retain, "\nCHANGING none: it counts when the bottle goes\n\n"));
    AUTO_FREE char *whole = explain(NULL);
    assert_non_null(strstr(whole, "\n  metadata "));
    AUTO_FREE char *wrong = explain("spec.agent.imgae");
    assert_string_equal(wrong, "error: there is no field 'spec.agent.imgae'; did you mean "
                               "'spec.agent.image'?");
    AUTO_FREE char *nothing = explain("zzzzzzzzzzz");
    assert_string_equal(nothing, "error: there is no field 'zzzzzzzzzzz'");
}

/* Every field can be explained by its own path. */
static void test_explain_all(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t]->len; i++) {
            struct str path;
            str_init(&path, FIELD_PATH_MAX);
            str_addf(&path, "%s.", tables[t]->kind);
            field_path(&tables[t]->fields[i], &path);
            AUTO_FREE char *text = explain(path.p);
            AUTO_FREE char *line = xasprintf("FIELD    %s\n", path.p + strlen(tables[t]->kind) + 1);
            if (!strstr(text, line))
                fail_msg("%s: %s", path.p, text);
            str_done(&path);
        }
    }
}

static const json_t *property(const json_t *schema, const char *name)
{
    const json_t *p = json_object_get(json_object_get(schema, "properties"), name);
    if (!p)
        fail_msg("the schema has no '%s'", name);
    return p;
}

static void test_schema(void **state)
{
    (void)state;
    json_t *schema = fields_schema();
    const json_t *kinds = json_object_get(schema, "oneOf");
    assert_int_equal(json_array_size(kinds), 2);
    const json_t *bottle = json_array_get(kinds, 0);
    assert_string_equal(json_string_value(json_object_get(property(bottle, "kind"), "const")),
                        "Bottle");
    const json_t *spec = property(bottle, "spec");
    assert_true(json_is_false(json_object_get(spec, "additionalProperties")));
    const json_t *agent = property(spec, "agent");
    assert_string_equal(json_string_value(json_object_get(property(agent, "restart"), "default")),
                        "always");
    assert_int_equal(json_array_size(json_object_get(property(agent, "restart"), "enum")), 3);
    const json_t *pids = property(property(agent, "resources"), "pids");
    assert_int_equal(json_integer_value(json_object_get(pids, "default")), 512);
    const json_t *route = json_object_get(property(property(spec, "egress"), "routes"), "items");
    assert_string_equal(json_string_value(json_array_get(json_object_get(route, "required"), 0)),
                        "host");
    assert_int_equal(json_array_size(json_object_get(property(spec, "suspend"), "oneOf")), 2);
    assert_non_null(
        json_object_get(json_object_get(property(agent, "env"), "propertyNames"), "pattern"));
    /* The same every time. */
    json_t *again = fields_schema();
    assert_true(json_equal(schema, again));
    json_decref(again);
    json_decref(schema);
}

/* The manual's table is that of the program. BOTTLER_REGOLD=1 writes it anew. */
static void check_manual(const char *path, void (*markdown)(struct str *out))
{
    static const char begin[] = "<!-- fields: begin -->\n";
    static const char end[] = "<!-- fields: end -->\n";
    struct str table;
    str_init(&table, 256 * 1024);
    markdown(&table);
    assert_false(str_failed(&table));
    struct test_bytes manual = test_read_file(path);
    const char *from = strstr(manual.p, begin);
    const char *to = strstr(manual.p, end);
    assert_non_null(from);
    assert_non_null(to);
    from += strlen(begin);
    if (getenv("BOTTLER_REGOLD")) {
        AUTO_FREE char *text = xasprintf("%.*s%s%s", (int)(from - manual.p), manual.p, table.p, to);
        test_write_file(path, text, strlen(text));
    } else {
        AUTO_FREE char *there = xmemdup0(from, (size_t)(to - from));
        assert_string_equal(there, table.p);
    }
    free(manual.p);
    str_done(&table);
}

static void test_manuals_are_current(void **state)
{
    (void)state;
    check_manual("docs/manifest.md", fields_markdown);
    check_manual("docs/policy.md", fields_policy_markdown);
}

/* Every field of the table, in its order, with its class. */
static void test_json(void **state)
{
    (void)state;
    json_t *list = fields_json(&fields_bottle);
    assert_int_equal(json_array_size(list), fields_bottle.len);
    size_t i = 0;
    const json_t *o = NULL;
    json_array_foreach(list, i, o)
    {
        enum change_class class = CHANGE_NONE;
        const char *path = json_string_value(json_object_get(o, "path"));
        assert_null(field_change_class(path, &class));
        assert_string_equal(json_string_value(json_object_get(o, "class")),
                            change_class_name(class));
        assert_non_null(json_string_value(json_object_get(o, "reason")));
        if (strcmp(path, "spec.agent.resources.memory") == 0) {
            assert_string_equal(json_string_value(json_object_get(o, "kind")), "amount of memory");
            assert_string_equal(json_string_value(json_object_get(o, "default")), "2Gi");
            assert_true(json_is_null(json_object_get(o, "loses")));
        }
    }
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_parents_exist),
        cmocka_unit_test(test_retired_table),
        cmocka_unit_test(test_change_classes),
        cmocka_unit_test(test_a_field_without_a_class_is_found),
        cmocka_unit_test(test_did_you_mean),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_explain_all),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_manuals_are_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
