/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden tests of error messages. tests/golden/validate/<case>.yaml, or a directory <case>/ of
 * files that are loaded together, and <case>.expected: the findings, one a line.
 * BOTTLER_REGOLD=1 writes the .expected files anew; look at the difference before keeping it.
 */
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "spec/base/xalloc.h"

#define GOLDEN "tests/golden/validate"

enum { LEAST_CASES = 110, FILES_MAX = 8 };

struct golden {
    struct manifest_input in[FILES_MAX];
    char *shown[FILES_MAX];
    struct test_bytes bytes[FILES_MAX];
    size_t n;
};

static void golden_add(struct golden *g, const char *shown)
{
    assert_true(g->n < FILES_MAX);
    AUTO_FREE char *path = xasprintf(GOLDEN "/%s", shown);
    g->shown[g->n] = xstrdup(shown);
    g->bytes[g->n] = test_read_file(path);
    g->in[g->n] = (struct manifest_input){.path = g->shown[g->n],
                                          .bytes = {g->bytes[g->n].p, g->bytes[g->n].n}};
    g->n++;
}

static void golden_read(struct golden *g, const char *entry)
{
    *g = (struct golden){0};
    if (test_ends_with(entry, ".yaml")) {
        golden_add(g, entry);
        return;
    }
    AUTO_FREE char *path = xasprintf(GOLDEN "/%s", entry);
    struct str_list files;
    test_list_dir(path, &files);
    assert_true(files.len > 0);
    for (size_t i = 0; i < files.len; i++) {
        AUTO_FREE char *shown = xasprintf("%s/%s", entry, files.items[i]);
        golden_add(g, shown);
    }
    str_list_done(&files);
}

static void golden_done(struct golden *g)
{
    for (size_t i = 0; i < g->n; i++) {
        free(g->shown[i]);
        free(g->bytes[i].p);
    }
}

static char *case_name(const char *entry)
{
    size_t n = strlen(entry);
    return xmemdup0(entry, test_ends_with(entry, ".yaml") ? n - 5 : n);
}

/* Nothing is half-accepted: a bottle is there exactly when nothing was found about it. */
static void check_whole(const struct manifest_set *set)
{
    for (size_t i = 0; i < set->bottles_len; i++) {
        const struct manifest_bottle *b = &set->bottles[i];
        assert_int_equal(b->bottle == NULL, b->diags.len > 0);
        assert_true(b->pos.line > 0);
    }
    for (size_t i = 0; i < set->files_len; i++) {
        if (!set->files[i].usable)
            assert_true(set->files[i].diags.len > 0);
    }
}

static bool run_case(const char *entry)
{
    struct golden g;
    golden_read(&g, entry);
    AUTO_FREE char *name = case_name(entry);
    AUTO_FREE char *expected_path = xasprintf(GOLDEN "/%s.expected", name);
    struct manifest_set *set = manifest_load(g.in, g.n);
    AUTO_FREE char *found = test_diags(set);
    check_whole(set);
    manifest_set_free(set);
    if (getenv("BOTTLER_REGOLD"))
        test_write_file(expected_path, found, strlen(found));
    struct test_bytes expected = test_read_file(expected_path);
    bool same = strcmp(expected.p, found) == 0;
    if (!same)
        print_error("%s: expected\n%sgot\n%s", entry, expected.p, found);
    if (!*found)
        print_error("%s: nothing was found\n", entry);
    bool ok = same && *found;

    /* The answer doesn't depend on the order of the files. */
    for (size_t i = 0; i < g.n / 2; i++) {
        struct manifest_input swap = g.in[i];
        g.in[i] = g.in[g.n - 1 - i];
        g.in[g.n - 1 - i] = swap;
    }
    set = manifest_load(g.in, g.n);
    AUTO_FREE char *again = test_diags(set);
    assert_string_equal(again, found);
    manifest_set_free(set);
    free(expected.p);
    golden_done(&g);
    return ok;
}

static void test_golden(void **state)
{
    (void)state;
    struct str_list entries;
    size_t ran = 0;
    size_t failed = 0;
    test_list_dir(GOLDEN, &entries);
    for (size_t i = 0; i < entries.len; i++) {
        if (test_ends_with(entries.items[i], ".expected"))
            continue;
        ran++;
        failed += !run_case(entries.items[i]);
    }
    print_message("%zu cases\n", ran);
    assert_int_equal(failed, 0);
    assert_true(ran >= LEAST_CASES);
    str_list_done(&entries);
}

/* No .expected without its input: a renamed case would go on passing unseen. */
static void test_no_orphans(void **state)
{
    (void)state;
    struct str_list entries;
    size_t seen = 0;
    test_list_dir(GOLDEN, &entries);
    for (size_t i = 0; i < entries.len; i++) {
        if (!test_ends_with(entries.items[i], ".expected"))
            continue;
        AUTO_FREE char *name =
            xmemdup0(entries.items[i], strlen(entries.items[i]) - strlen(".expected"));
        AUTO_FREE char *file = xasprintf("%s.yaml", name);
        if (!str_list_has(&entries, name) && !str_list_has(&entries, file))
            fail_msg("%s has no input", entries.items[i]);
        seen++;
    }
    assert_true(seen >= LEAST_CASES);
    str_list_done(&entries);
}

/* No input twice under two names. */
static void test_distinct(void **state)
{
    (void)state;
    struct str_list entries;
    struct str_list texts = {0};
    size_t files = 0;
    test_list_dir(GOLDEN, &entries);
    for (size_t i = 0; i < entries.len; i++) {
        if (!test_ends_with(entries.items[i], ".yaml"))
            continue;
        struct golden g;
        golden_read(&g, entries.items[i]);
        char *hex = xmalloc(2 * g.bytes[0].n + 1);
        str_hex((const uint8_t *)g.bytes[0].p, g.bytes[0].n, hex);
        str_list_add_take(&texts, hex);
        golden_done(&g);
        files++;
    }
    str_list_sort_unique(&texts);
    assert_int_equal(texts.len, files);
    str_list_done(&texts);
    str_list_done(&entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_no_orphans),
        cmocka_unit_test(test_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
