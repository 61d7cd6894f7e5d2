/* SPDX-License-Identifier: Apache-2.0 */
/* What should exist, as manifests come, break, move and go. */
#include "reconcile/catalog.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#define DOC(name, image)                                                                           \
    "---\napiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name                        \
    "}\nspec: {agent: {image: " image "}}\n"
#define WRONG(name)                                                                                \
    "---\napiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name                        \
    "}\nspec: {agent: {image: x, colour: red, size: 3}}\n"
#define BROKEN "apiVersion: [bottler.dev/v1\n"

static void update(struct catalog *c, struct manifest_set *set_take)
{
    catalog_update(c, set_take);
    manifest_set_free(set_take);
}

/* One file; NULL text: it can't be read. */
static void file(struct catalog *c, const char *path, const char *text)
{
    struct manifest_input in = {.path = path,
                                .bytes = sv_of(text ? text : ""),
                                .read_error = text ? NULL : "permission denied"};
    update(c, manifest_load(&in, 1));
}

static void none(struct catalog *c)
{
    update(c, manifest_load(NULL, 0));
}

static const struct catalog_entry *entry(const struct catalog *c, const char *name,
                                         enum entry_state state, const char *image)
{
    const struct catalog_entry *e = catalog_find(c, name);
    if (!e)
        fail_msg("no entry '%s'", name);
    assert_int_equal(e->state, state);
    if (image)
        assert_string_equal(e->bottle->agent.image, image);
    else
        assert_null(e->bottle);
    return e;
}

static void test_accept(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("two", "img:1") DOC("one", "img:2"));
    assert_int_equal(c.len, 2);
    assert_string_equal(c.entries[0]->name, "one");
    const struct catalog_entry *e = entry(&c, "two", ENTRY_ACCEPTED, "img:1");
    assert_int_equal(e->generation, 1);
    assert_true(e->changed);
    assert_null(e->message);
    assert_string_equal(e->file, "a.yaml");
    assert_int_equal(e->pos.line, 2);
    assert_null(catalog_find(&c, "three"));
    catalog_done(&c);
}

/* The same again is no change, whatever its layout. */
static void test_same(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1"));
    catalog_find(&c, "web")->changed = false;
    file(&c, "a.yaml",
         "# a word\n---\nkind: Bottle\napiVersion: bottler.dev/v1\nspec:\n  agent:\n"
         "    image: 'img:1'\nmetadata:\n  name: web\n");
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:1")->generation, 1);
    assert_false(catalog_find(&c, "web")->changed);
    file(&c, "a.yaml", DOC("web", "img:2"));
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:2")->generation, 2);
    assert_true(catalog_find(&c, "web")->changed);
    catalog_done(&c);
}

static void test_rejected_keeps_last_good(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1"));
    file(&c, "a.yaml", WRONG("web"));
    const struct catalog_entry *e = entry(&c, "web", ENTRY_REJECTED, "img:1");
    assert_int_equal(e->generation, 1);
    assert_non_null(strstr(e->message, "a.yaml:5:"));
    assert_non_null(strstr(e->message, "colour"));
    assert_non_null(strstr(e->message, "(and 1 more)"));
    file(&c, "a.yaml", DOC("web", "img:1"));
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:1")->generation, 1);
    assert_null(catalog_find(&c, "web")->message);
    catalog_done(&c);
}

static void test_never_good(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", WRONG("web"));
    assert_int_equal(entry(&c, "web", ENTRY_REJECTED, NULL)->generation, 0);
    none(&c);
    entry(&c, "web", ENTRY_GONE, NULL);
    catalog_done(&c);
}

/* An emptied file too: that is what an editor leaves for a moment. */
static void test_unusable_file_holds(void **state)
{
    (void)state;
    static const char *const bad[] = {BROKEN, NULL, "", "just a text\n",
                                      "---\nkind: Bottle\napiVersion: bottler.dev/v1\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct catalog c = {0};
        file(&c, "a.yaml", DOC("web", "img:1") DOC("api", "img:2"));
        file(&c, "a.yaml", bad[i]);
        const struct catalog_entry *e = entry(&c, "web", ENTRY_HELD, "img:1");
        assert_int_equal(e->generation, 1);
        assert_non_null(strstr(e->message, "a.yaml"));
        entry(&c, "api", ENTRY_HELD, "img:2");
        file(&c, "a.yaml", DOC("web", "img:1"));
        entry(&c, "web", ENTRY_ACCEPTED, "img:1");
        entry(&c, "api", ENTRY_GONE, "img:2");
        catalog_done(&c);
    }
}

/* Half of the file is good, the other's name can't be told: it may be the missing one. */
static void test_half_written(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1") DOC("api", "img:2"));
    file(&c, "a.yaml", DOC("web", "img:1") "---\napiVersion: bottler.dev/v1\nkind: Bottle\n");
    entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    entry(&c, "api", ENTRY_HELD, "img:2");
    catalog_done(&c);
}

static void test_moved_and_broken_on_the_way(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1"));
    /* Another file, that nobody has seen before, can't be parsed: it may be the renamed one. */
    file(&c, "b.yaml", BROKEN);
    entry(&c, "web", ENTRY_HELD, "img:1");
    file(&c, "b.yaml", DOC("web", "img:1"));
    const struct catalog_entry *e = entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    assert_int_equal(e->generation, 1);
    assert_string_equal(e->file, "b.yaml");
    catalog_done(&c);
}

static void test_renamed_file_keeps_the_bottle(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1"));
    catalog_find(&c, "web")->changed = false;
    file(&c, "z/b.yaml", DOC("web", "img:1"));
    const struct catalog_entry *e = entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    assert_int_equal(e->generation, 1);
    assert_string_equal(e->file, "z/b.yaml");
    catalog_done(&c);
}

static void test_duplicates(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1"));
    update(&c, test_load("a.yaml", DOC("web", "img:1"), "b.yaml", DOC("web", "img:9"), NULL));
    const struct catalog_entry *e = entry(&c, "web", ENTRY_REJECTED, "img:1");
    assert_non_null(e->message);
    assert_int_equal(c.len, 1);
    /* The one that goes is the one that was good: what is left counts. */
    file(&c, "b.yaml", DOC("web", "img:9"));
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:9")->generation, 2);
    catalog_done(&c);
}

static void test_gone_and_back(void **state)
{
    (void)state;
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1"));
    none(&c);
    entry(&c, "web", ENTRY_GONE, "img:1");
    file(&c, "a.yaml", DOC("web", "img:1"));
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:1")->generation, 1);
    none(&c);
    catalog_drop(&c, "web");
    catalog_drop(&c, "web");
    assert_int_equal(c.len, 0);
    file(&c, "a.yaml", DOC("web", "img:1"));
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:1")->generation, 1);
    assert_true(catalog_find(&c, "web")->changed);
    catalog_done(&c);
}

static void test_abstract_is_no_bottle(void **state)
{
    (void)state;
    struct catalog c = {0};
    static const char base[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: base}\n"
                               "spec: {abstract: true, agent: {image: img:1}}\n";
    static const char child[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: web}\n"
                                "spec: {extends: base}\n";
    update(&c, test_load("a.yaml", base, "b.yaml", child, NULL));
    assert_int_equal(c.len, 1);
    entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    /* What it is made from has an error: it stays as it is. */
    file(&c, "b.yaml", child);
    assert_non_null(entry(&c, "web", ENTRY_REJECTED, "img:1")->message);
    catalog_done(&c);
}

static struct bottle *take_bottle(const char *text)
{
    struct manifest_set *set = test_load("state", text, NULL);
    assert_int_equal(set->bottles_len, 1);
    struct bottle *b = TAKE_PTR(set->bottles[0].bottle);
    assert_non_null(b);
    manifest_set_free(set);
    return b;
}

static void test_seed(void **state)
{
    (void)state;
    struct catalog c = {0};
    struct bottle *b = take_bottle(DOC("web", "img:1"));
    AUTO_FREE char *text = xstrdup(b->text);
    catalog_seed(&c, b, text, 7);
    assert_int_equal(entry(&c, "web", ENTRY_HELD, "img:1")->generation, 7);
    assert_false(catalog_find(&c, "web")->changed);
    /* The first listing can't read it: it stays held. */
    file(&c, "a.yaml", BROKEN);
    assert_int_equal(entry(&c, "web", ENTRY_HELD, "img:1")->generation, 7);
    /* The same manifest: the same generation, so that nothing is thought to have changed. */
    file(&c, "a.yaml", DOC("web", "img:1"));
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:1")->generation, 7);
    file(&c, "a.yaml", DOC("web", "img:2"));
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:2")->generation, 8);
    catalog_done(&c);
}

/* A manifest that went while nobody looked. */
static void test_seed_then_gone(void **state)
{
    (void)state;
    struct catalog c = {0};
    struct bottle *b = take_bottle(DOC("web", "img:1"));
    AUTO_FREE char *text = xstrdup(b->text);
    catalog_seed(&c, b, text, 2);
    file(&c, "a.yaml", DOC("api", "img:1"));
    entry(&c, "web", ENTRY_GONE, "img:1");
    entry(&c, "api", ENTRY_ACCEPTED, "img:1");
    catalog_done(&c);
}

static char *no_red(void *ctx, const char *source)
{
    (void)ctx;
    return strcmp(source, "/red") == 0 ? xstrdup("not the red one") : NULL;
}

/* Forbidden by the installation, which is told from a fault; the last good one is kept either way.
 */
static void test_forbidden(void **state)
{
    (void)state;
    static const char forbidden[] = DOC("web", "img:2, mounts: [{source: /red, target: /r}]");
    struct manifest_rules rules = {.mount_refusal = no_red};
    struct manifest_input in = {.path = "a.yaml", .bytes = sv_of(forbidden)};
    struct catalog c = {0};
    file(&c, "a.yaml", DOC("web", "img:1"));
    update(&c, manifest_load_under(&in, 1, &rules));
    const struct catalog_entry *e = entry(&c, "web", ENTRY_REJECTED, "img:1");
    assert_true(e->forbidden);
    assert_non_null(strstr(e->message, "spec.agent.mounts[0].source: not the red one"));
    file(&c, "a.yaml", WRONG("web"));
    assert_false(entry(&c, "web", ENTRY_REJECTED, "img:1")->forbidden);
    update(&c, manifest_load_under(&in, 1, &rules));
    assert_true(entry(&c, "web", ENTRY_REJECTED, "img:1")->forbidden);
    file(&c, "a.yaml", forbidden); /* the rule is no more */
    assert_false(entry(&c, "web", ENTRY_ACCEPTED, "img:2")->forbidden);
    catalog_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_rejected_keeps_last_good),
        cmocka_unit_test(test_never_good),
        cmocka_unit_test(test_forbidden),
        cmocka_unit_test(test_unusable_file_holds),
        cmocka_unit_test(test_half_written),
        cmocka_unit_test(test_moved_and_broken_on_the_way),
        cmocka_unit_test(test_renamed_file_keeps_the_bottle),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_gone_and_back),
        cmocka_unit_test(test_abstract_is_no_bottle),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_seed_then_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
