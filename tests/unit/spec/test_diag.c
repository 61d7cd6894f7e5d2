/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <string.h>

#include "spec/base/xalloc.h"
#include "spec/diag.h"

static void test_diag_format(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        struct src_pos pos;
        const char *field;
        const char *message;
        const char *expected;
    } cases[] = {
        {"a.yaml", {3, 7}, "spec.x", "wrong", "a.yaml:3:7: spec.x: wrong"},
        {"a.yaml", {3, 7}, NULL, "wrong", "a.yaml:3:7: wrong"},
        {"a.yaml", {0, 0}, NULL, "wrong", "a.yaml: wrong"},
        {"a\nb", {1, 1}, NULL, "x\x1b[31m\x7f\xC2\x9B\t", "a\\nb:1:1: x\\x1b[31m\\x7f\\x9b\\t"},
        {"a", {1, 1}, NULL, "\xC3\xA4", "a:1:1: \xC3\xA4"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct diag_list l = {0};
        unsigned used = 0;
        struct diag_sink sink = {.list = &l, .used = &used};
        struct str out;
        str_init(&out, 1024);
        diag_add(&sink, cases[i].file, cases[i].pos, cases[i].field, xstrdup(cases[i].message));
        assert_true(sink.failed);
        assert_int_equal(used, 1);
        diag_format(&l.items[0], &out);
        assert_string_equal(out.p, cases[i].expected);
        str_done(&out);
        diag_list_done(&l);
    }
}

static void test_quote_cuts_between_characters(void **state)
{
    (void)state;
    char text[2 * 41 + 1];
    for (size_t i = 0; i < 41; i++)
        memcpy(text + 2 * i, "\xC3\xA4", 2);
    text[82] = '\0';
    AUTO_FREE char *cut = diag_quote(text);
    assert_int_equal(strlen(cut), 2 + 76 + 3);
    assert_string_equal(cut + 75, "\xC3\xA4...'");
    text[80] = '\0';
    AUTO_FREE char *whole = diag_quote(text);
    assert_int_equal(strlen(whole), 82);
}

static void test_sort(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        struct src_pos pos;
    } in[] = {{"b", {1, 1}}, {"a", {2, 1}}, {"a", {1, 9}}, {"a", {1, 2}}, {"a", {1, 2}}};
    struct diag_list l = {0};
    unsigned used = 0;
    struct diag_sink sink = {.list = &l, .used = &used};
    for (size_t i = 0; i < 5; i++)
        diag_add(&sink, in[i].file, in[i].pos, NULL, xasprintf("%zu", i));
    diag_list_sort(&l);
    static const char *const order[] = {"3", "4", "2", "1", "0"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(l.items[i].message, order[i]);
    diag_list_done(&l);
}

static void test_field_paths(void **state)
{
    (void)state;
    struct str path;
    str_init(&path, FIELD_PATH_MAX);
    field_path_add_key(&path, "spec");
    field_path_add_key(&path, "git-gate");
    size_t len = path.len;
    field_path_add_index(&path, 12);
    field_path_add_key(&path, "a b");
    assert_string_equal(path.p, "spec.git-gate[12]['a b']");
    field_path_cut(&path, len);
    assert_string_equal(path.p, "spec.git-gate");
    /* However long the keys are, the deepest path fits. */
    AUTO_FREE char *key = xmalloc(100 * 1000 + 1);
    memset(key, 'k', 100 * 1000);
    key[100 * 1000] = '\0';
    for (int i = 0; i < MANIFEST_MAX_DEPTH; i++)
        field_path_add_key(&path, key);
    assert_false(str_failed(&path));
    str_done(&path);
}

/* Each document that has errors says at least one thing, however many came before. */
static void test_budget(void **state)
{
    (void)state;
    struct diag_list a = {0};
    struct diag_list b = {0};
    unsigned used = 0;
    struct diag_sink first = {.list = &a, .used = &used};
    struct diag_sink second = {.list = &b, .used = &used};
    for (int i = 0; i < MANIFEST_MAX_ERRORS + 50; i++)
        diag_add(&first, "f", (struct src_pos){1, 1}, NULL, xstrdup("x"));
    for (int i = 0; i < 5; i++)
        diag_add(&second, "f", (struct src_pos){1, 1}, "spec", xstrdup("y"));
    assert_int_equal(a.len, MANIFEST_MAX_ERRORS + 1);
    assert_int_equal(b.len, 1);
    assert_string_equal(b.items[0].message, a.items[a.len - 1].message);
    assert_null(b.items[0].field);
    assert_true(second.failed);
    diag_list_done(&a);
    diag_list_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diag_format), cmocka_unit_test(test_quote_cuts_between_characters),
        cmocka_unit_test(test_sort),        cmocka_unit_test(test_field_paths),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
