/* SPDX-License-Identifier: Apache-2.0 */
/* Several sources, one before the other; and what can't be told of a file or a source. */
#include "reconcile/catalog.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

#define DOC(name, image)                                                                           \
    "---\napiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name                        \
    "}\nspec: {agent: {image: " image "}}\n"
#define BASE(image)                                                                                \
    "---\napiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: base}\n"                      \
    "spec: {abstract: true, agent: {image: " image "}}\n"
#define CHILD(name, more)                                                                          \
    "---\napiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name                        \
    "}\nspec: {extends: base" more "}\n"
#define WRONG(name)                                                                                \
    "---\napiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name                        \
    "}\nspec: {agent: {image: x, colour: red}}\n"
#define BROKEN "apiVersion: [bottler.dev/v1\n"

/* A file of a source; NULL text: the directory at `path` is unknown. */
struct source_file {
    unsigned source;
    const char *path;
    const char *text;
};

static struct manifest_set *load(const struct source_file *files, size_t n)
{
    struct manifest_input in[8] = {0};
    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++)
        in[i] = (struct manifest_input){.path = files[i].path,
                                        .bytes = sv_of(files[i].text ? files[i].text : ""),
                                        .read_error = files[i].text ? NULL : "no such directory",
                                        .tree = !files[i].text,
                                        .source = files[i].source,
                                        .revision = files[i].source ? "r1" : "r0"};
    return manifest_load(in, n);
}

static void update(struct catalog *c, const struct source_file *files, size_t n)
{
    struct manifest_set *set = load(files, n);
    catalog_update(c, set);
    manifest_set_free(set);
}
#define LIST(c, ...)                                                                               \
    update(c, (const struct source_file[]){__VA_ARGS__},                                           \
           sizeof((const struct source_file[]){__VA_ARGS__}) / sizeof(struct source_file))

static const struct catalog_entry *entry(const struct catalog *c, const char *name,
                                         enum entry_state state, const char *image)
{
    const struct catalog_entry *e = catalog_find(c, name);
    if (!e)
        fail_msg("no entry '%s'", name);
    if ((int)e->state != (int)state)
        fail_msg("'%s' is %d, expected %d: %s", name, (int)e->state, (int)state,
                 e->message ? e->message : "");
    assert_string_equal(e->bottle->agent.image, image);
    return e;
}

static void says(const struct catalog_entry *e, const char *part)
{
    assert_non_null(e->message);
    if (!strstr(e->message, part))
        fail_msg("expected '%s' in '%s'", part, e->message);
}

/* ---- priority ------------------------------------------------------------------------------- */

static void test_earlier_source_wins(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {1, "a/web.yaml", DOC("web", "img:1") DOC("api", "img:3")},
         {0, "z/web.yaml", DOC("web", "img:0")});
    const struct catalog_entry *e = entry(&c, "web", ENTRY_ACCEPTED, "img:0");
    assert_string_equal(e->file, "z/web.yaml");
    assert_string_equal(e->revision, "r0");
    assert_string_equal(e->also, "a/web.yaml:4:18");
    e = entry(&c, "api", ENTRY_ACCEPTED, "img:3");
    assert_null(e->also);
    assert_string_equal(e->revision, "r1");
    /* What has no effect has no faults. */
    LIST(&c, {1, "a/web.yaml", WRONG("web")}, {0, "z/web.yaml", DOC("web", "img:0")});
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:0")->generation, 1);
    /* A faulty one keeps its priority: no other manifest for a typing error. */
    LIST(&c, {1, "a/web.yaml", DOC("web", "img:1")}, {0, "z/web.yaml", WRONG("web")});
    entry(&c, "web", ENTRY_REJECTED, "img:0");
    /* Removed there: what is left counts. */
    LIST(&c, {1, "a/web.yaml", DOC("web", "img:1")});
    e = entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    assert_int_equal(e->generation, 2);
    assert_null(e->also);
    catalog_done(&c);
}

static void test_duplicates_within_a_source(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")});
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {0, "b.yaml", DOC("web", "img:2")},
         {1, "c.yaml", DOC("web", "img:3")});
    const struct catalog_entry *e = entry(&c, "web", ENTRY_REJECTED, "img:1");
    says(e, "is also defined at");
    assert_null(strstr(e->message, "c.yaml"));
    /* Two of less priority hurt nobody. */
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {1, "b.yaml", DOC("web", "img:2")},
         {1, "c.yaml", DOC("web", "img:3")});
    e = entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    assert_string_equal(e->also, "b.yaml:4:18, c.yaml:4:18");
    catalog_done(&c);
}

/* A parent is found by the same rule. */
static void test_parent_of_the_earlier_source(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {1, "b/base.yaml", BASE("img:1")}, {1, "b/web.yaml", CHILD("web", "")},
         {0, "a/base.yaml", BASE("img:0")});
    const struct catalog_entry *e = entry(&c, "web", ENTRY_ACCEPTED, "img:0");
    assert_int_equal(e->bottle->ancestors.len, 1);
    assert_string_equal(e->bottle->ancestors.items[0], "base");
    assert_string_equal(e->bottle->ancestor_files.items[0], "a/base.yaml");
    catalog_done(&c);
}

/* ---- an unknown source ---------------------------------------------------------------------- */

static void test_unknown_later_source(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:1")}, {0, "a/old.yaml", DOC("old", "img:1")},
         {1, "b/api.yaml", DOC("api", "img:1")});
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:1")}, {0, "a/old.yaml", DOC("old", "img:1")},
         {1, "b", NULL});
    const struct catalog_entry *e = entry(&c, "api", ENTRY_HELD, "img:1");
    says(e, "b: can't be read: no such directory");
    assert_string_equal(e->held_reason, "SourceUnreadable");
    /* The others go on: edited, removed, made. */
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:2")}, {0, "a/new.yaml", DOC("new", "img:1")},
         {1, "b", NULL});
    entry(&c, "web", ENTRY_ACCEPTED, "img:2");
    entry(&c, "new", ENTRY_ACCEPTED, "img:1");
    entry(&c, "old", ENTRY_GONE, "img:1");
    entry(&c, "api", ENTRY_HELD, "img:1");
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:2")});
    entry(&c, "api", ENTRY_GONE, "img:1");
    catalog_done(&c);
}

/* Vanished in the same moment: nobody knows whether it went there. */
static void test_vanished_with_the_source(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:1")}, {1, "b/api.yaml", DOC("api", "img:1")});
    LIST(&c, {1, "b", NULL});
    entry(&c, "web", ENTRY_HELD, "img:1");
    LIST(&c, {1, "b", NULL});
    entry(&c, "web", ENTRY_HELD, "img:1");
    LIST(&c, {1, "b/api.yaml", DOC("api", "img:1")});
    entry(&c, "web", ENTRY_GONE, "img:1");
    catalog_done(&c);
}

/* What the unknown one overruled doesn't step in for it. */
static void test_unknown_earlier_source(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0") BASE("img:0")},
         {1, "b/web.yaml", DOC("web", "img:1") BASE("img:1") CHILD("kid", "")});
    entry(&c, "kid", ENTRY_ACCEPTED, "img:0");
    LIST(&c, {0, "a", NULL}, {1, "b/web.yaml", DOC("web", "img:1") BASE("img:1") CHILD("kid", "")});
    const struct catalog_entry *e = entry(&c, "web", ENTRY_HELD, "img:0");
    assert_int_equal(e->generation, 1);
    assert_string_equal(e->file, "a/web.yaml");
    says(e, "until that file can be judged, what b/web.yaml:2 says about it is not taken");
    e = entry(&c, "kid", ENTRY_HELD, "img:0");
    assert_int_equal(e->generation, 1);
    LIST(&c, {1, "b/web.yaml", DOC("web", "img:1") BASE("img:1") CHILD("kid", "")});
    entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    entry(&c, "kid", ENTRY_ACCEPTED, "img:1");
    catalog_done(&c);
}

/* Removed where it had priority, while what it overruled is unknown: that would be what is left. */
static void test_overruled_is_unknown(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "b/web.yaml", DOC("web", "img:1")});
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "b", NULL});
    entry(&c, "web", ENTRY_ACCEPTED, "img:0");
    catalog_done(&c);
    c = (struct catalog){0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "b/web.yaml", DOC("web", "img:1")});
    LIST(&c, {1, "b", NULL});
    entry(&c, "web", ENTRY_HELD, "img:0");
    catalog_done(&c);
}

/* The same, one after the other: what the unknown one held is still not known. */
static void test_overruled_stays_unknown(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "b/web.yaml", DOC("web", "img:1")},
         {2, "c/web.yaml", DOC("web", "img:2")});
    for (int i = 0; i < 3; i++)
        LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "b/web.yaml", DOC("web", "img:1")},
             {2, "c", NULL});
    entry(&c, "web", ENTRY_ACCEPTED, "img:0");
    for (int i = 0; i < 3; i++) {
        LIST(&c, {2, "c", NULL});
        says(entry(&c, "web", ENTRY_HELD, "img:0"), "c: can't be read");
    }
    LIST(&c, {2, "c/web.yaml", DOC("web", "img:2")});
    entry(&c, "web", ENTRY_ACCEPTED, "img:2");
    LIST(&c, {2, "c/api.yaml", DOC("api", "img:2")});
    entry(&c, "web", ENTRY_GONE, "img:2");
    catalog_done(&c);
}

/* The same manifest stands elsewhere, and is taken: what the unknown one says is still not known.
 */
static void test_equal_one_steps_in(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "b/web.yaml", DOC("web", "img:0")});
    for (int i = 0; i < 3; i++) {
        LIST(&c, {0, "a", NULL}, {1, "b/web.yaml", DOC("web", "img:0")});
        assert_string_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:0")->file, "b/web.yaml");
    }
    for (int i = 0; i < 3; i++) {
        LIST(&c, {0, "a", NULL}, {1, "b/web.yaml", DOC("web", "img:1")});
        says(entry(&c, "web", ENTRY_HELD, "img:0"), "what b/web.yaml:2 says about it is not taken");
    }
    for (int i = 0; i < 3; i++) {
        LIST(&c, {0, "a", NULL});
        says(entry(&c, "web", ENTRY_HELD, "img:0"), "a: can't be read");
    }
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")});
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:0")->generation, 1);
    LIST(&c, {0, "a", NULL}, {1, "b/web.yaml", DOC("web", "img:0")});
    LIST(&c, {1, "b/web.yaml", DOC("web", "img:1")});
    entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    catalog_done(&c);
}

static void test_equal_parent_steps_in(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/base.yaml", BASE("img:0")}, {1, "b/base.yaml", BASE("img:0") CHILD("kid", "")});
    LIST(&c, {0, "a", NULL}, {1, "b/base.yaml", BASE("img:0") CHILD("kid", "")});
    entry(&c, "kid", ENTRY_ACCEPTED, "img:0");
    LIST(&c, {0, "a", NULL}, {1, "b/base.yaml", BASE("img:1") CHILD("kid", "")});
    entry(&c, "kid", ENTRY_HELD, "img:0");
    catalog_done(&c);
}

/* Without a --path all of a repository is below "git:". */
static void test_unknown_repository(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "git:web.yaml", DOC("web", "img:1")});
    for (int i = 0; i < 3; i++)
        LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")}, {1, "git:", NULL});
    LIST(&c, {1, "git:", NULL});
    entry(&c, "web", ENTRY_HELD, "img:0");
    catalog_done(&c);
}

/* Each of two of one name says what has less priority. */
static void test_duplicates_with_another(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {0, "b.yaml", DOC("web", "img:2")},
         {1, "c.yaml", DOC("web", "img:3")});
    assert_string_equal(catalog_find(&c, "web")->also, "c.yaml:4:18");
    catalog_done(&c);
}

/* A later run has to know where it is. */
static void test_moved_is_kept(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")});
    catalog_find(&c, "web")->changed = false;
    LIST(&c, {0, "a/web.yaml", DOC("web", "img:0")});
    assert_false(catalog_find(&c, "web")->changed);
    LIST(&c, {1, "b/web.yaml", DOC("web", "img:0")});
    const struct catalog_entry *e = entry(&c, "web", ENTRY_ACCEPTED, "img:0");
    assert_true(e->changed);
    assert_int_equal(e->generation, 1);
    catalog_done(&c);
}

static void test_unknown_subdirectory(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "m/a.yaml", DOC("web", "img:1")}, {0, "m/sub/b.yaml", DOC("api", "img:1")},
         {0, "m/subway.yaml", DOC("old", "img:1")});
    LIST(&c, {0, "m/a.yaml", DOC("web", "img:2")}, {0, "m/sub", NULL},
         {0, "m/subway.yaml", DOC("old", "img:1")});
    entry(&c, "web", ENTRY_ACCEPTED, "img:2");
    entry(&c, "api", ENTRY_HELD, "img:1");
    LIST(&c, {0, "m/a.yaml", DOC("web", "img:2")}, {0, "m/sub", NULL});
    entry(&c, "api", ENTRY_HELD, "img:1");
    entry(&c, "old", ENTRY_GONE, "img:1");
    catalog_done(&c);
}

/* ---- broken files --------------------------------------------------------------------------- */

/* web's file is replaced by what api's says: api is there twice, and web nowhere. */
static void test_anothers_content(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {0, "b.yaml", DOC("api", "img:2")});
    for (int i = 0; i < 3; i++) {
        LIST(&c, {0, "a.yaml", DOC("api", "img:2")}, {0, "b.yaml", DOC("api", "img:2")});
        const struct catalog_entry *e = entry(&c, "web", ENTRY_HELD, "img:1");
        says(e, "a.yaml:4:18: metadata.name: bottle 'api' is also defined at b.yaml");
        assert_string_equal(e->held_reason, "FileRejected");
        entry(&c, "api", ENTRY_REJECTED, "img:2");
    }
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {0, "b.yaml", DOC("api", "img:2")});
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:1")->generation, 1);
    assert_int_equal(entry(&c, "api", ENTRY_ACCEPTED, "img:2")->generation, 1);
    catalog_done(&c);
}

/* In the place of its manifest there is a directory, with or without something in it. */
static void test_directory_in_its_place(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {0, "b.yaml", DOC("api", "img:1")});
    struct manifest_input in = {.path = "a.yaml", .bytes = sv_of(""), .directory = true};
    struct manifest_set *set = manifest_load(&in, 1);
    struct diag_list diags = {0};
    manifest_set_diags(set, &diags);
    assert_int_equal(diags.len, 0);
    catalog_update(&c, set);
    manifest_set_free(set);
    says(entry(&c, "web", ENTRY_HELD, "img:1"), "a.yaml is a directory");
    entry(&c, "api", ENTRY_GONE, "img:1");
    catalog_done(&c);
}

/* One of two documents in a file is faulty, and the other isn't there. */
static void test_rest_of_a_faulty_file(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1") DOC("api", "img:2")});
    LIST(&c, {0, "a.yaml", WRONG("web")});
    entry(&c, "web", ENTRY_REJECTED, "img:1");
    entry(&c, "api", ENTRY_HELD, "img:2");
    /* But one that is found elsewhere was moved. */
    LIST(&c, {0, "a.yaml", WRONG("web")}, {0, "b.yaml", DOC("api", "img:3")});
    entry(&c, "api", ENTRY_ACCEPTED, "img:3");
    catalog_done(&c);
}

/* web is moved into a file that is known to be api's, and that is broken at that moment. */
static void test_moved_into_a_broken_file(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {0, "b.yaml", DOC("api", "img:2")});
    for (int i = 0; i < 3; i++) {
        LIST(&c, {0, "b.yaml", BROKEN});
        says(entry(&c, "web", ENTRY_HELD, "img:1"), "b.yaml:");
        entry(&c, "api", ENTRY_HELD, "img:2");
    }
    LIST(&c, {0, "b.yaml", DOC("api", "img:2") DOC("web", "img:1")});
    assert_int_equal(entry(&c, "web", ENTRY_ACCEPTED, "img:1")->generation, 1);
    catalog_done(&c);
}

/* A file that has been broken for long, and doesn't speak of it, delays nobody's removal. */
static void test_long_broken_file(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1") DOC("web-2", "img:1") DOC("zoo", "img:1")},
         {0, "b.yaml", BROKEN "# web-2\n"});
    LIST(&c, {0, "b.yaml", BROKEN "# web-2\n"});
    entry(&c, "web", ENTRY_GONE, "img:1");
    entry(&c, "zoo", ENTRY_GONE, "img:1");
    entry(&c, "web-2", ENTRY_HELD, "img:1");
    catalog_done(&c);
}

/* Of two with one name, one is broken for a moment: the other doesn't get its chance by that. */
static void test_duplicate_breaks(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")});
    LIST(&c, {0, "a.yaml", DOC("web", "img:1")}, {0, "b.yaml", DOC("web", "img:2")});
    entry(&c, "web", ENTRY_REJECTED, "img:1");
    LIST(&c, {0, "a.yaml", BROKEN}, {0, "b.yaml", DOC("web", "img:2")});
    says(entry(&c, "web", ENTRY_HELD, "img:1"), "what b.yaml:2 says about it is not taken");
    LIST(&c, {0, "b.yaml", DOC("web", "img:2")});
    entry(&c, "web", ENTRY_ACCEPTED, "img:2");
    catalog_done(&c);
}

/* The same for a parent: its child doesn't change its shape while the parent's file is broken. */
static void test_parent_breaks(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "base.yaml", BASE("img:1")}, {0, "web.yaml", CHILD("web", "")});
    LIST(&c, {0, "base.yaml", BROKEN}, {0, "web.yaml", CHILD("web", "")});
    says(entry(&c, "web", ENTRY_REJECTED, "img:1"), "there is no bottle 'base'");
    LIST(&c, {0, "base.yaml", BROKEN}, {0, "other.yaml", BASE("img:2")},
         {0, "web.yaml", CHILD("web", "")});
    says(entry(&c, "web", ENTRY_HELD, "img:1"), "base.yaml:");
    /* A new shape that has nothing to do with it is an edit. */
    LIST(&c, {0, "base.yaml", BROKEN}, {0, "web.yaml", DOC("web", "img:3")});
    entry(&c, "web", ENTRY_ACCEPTED, "img:3");
    catalog_done(&c);
}

/* Only those in the circle, and what is made of them. */
static void test_circle_faults_its_members(void **state)
{
    (void)state;
    struct catalog c = {0};
    LIST(&c, {0, "a.yaml", BASE("img:1") CHILD("web", "") DOC("api", "img:2")});
    LIST(&c, {0, "a.yaml", BASE("img:1") CHILD("web", "") DOC("api", "img:3")},
         {0, "b.yaml",
          "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: one}\nspec: {extends: two}\n"
          "---\napiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: two}\n"
          "spec: {extends: one}\n"});
    entry(&c, "web", ENTRY_ACCEPTED, "img:1");
    entry(&c, "api", ENTRY_ACCEPTED, "img:3");
    assert_int_equal(catalog_find(&c, "one")->state, ENTRY_REJECTED);
    assert_int_equal(catalog_find(&c, "two")->state, ENTRY_REJECTED);
    catalog_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_earlier_source_wins),
        cmocka_unit_test(test_duplicates_within_a_source),
        cmocka_unit_test(test_parent_of_the_earlier_source),
        cmocka_unit_test(test_unknown_later_source),
        cmocka_unit_test(test_vanished_with_the_source),
        cmocka_unit_test(test_unknown_earlier_source),
        cmocka_unit_test(test_overruled_is_unknown),
        cmocka_unit_test(test_overruled_stays_unknown),
        cmocka_unit_test(test_equal_one_steps_in),
        cmocka_unit_test(test_equal_parent_steps_in),
        cmocka_unit_test(test_unknown_repository),
        cmocka_unit_test(test_duplicates_with_another),
        cmocka_unit_test(test_moved_is_kept),
        cmocka_unit_test(test_unknown_subdirectory),
        cmocka_unit_test(test_anothers_content),
        cmocka_unit_test(test_directory_in_its_place),
        cmocka_unit_test(test_rest_of_a_faulty_file),
        cmocka_unit_test(test_moved_into_a_broken_file),
        cmocka_unit_test(test_long_broken_file),
        cmocka_unit_test(test_duplicate_breaks),
        cmocka_unit_test(test_parent_breaks),
        cmocka_unit_test(test_circle_faults_its_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
