/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <string.h>

#include "spec/base/xalloc.h"
#include "spec/yaml.h"

static void load(struct yaml_file *f, const char *text)
{
    yaml_file_parse(f, "t.yaml", sv_of(text));
}

static char *findings(struct yaml_file *f)
{
    struct str out;
    str_init(&out, 64 * 1024);
    for (size_t i = 0; i <= f->len; i++) {
        const struct diag_list *l = i ? &f->docs[i - 1].diags : &f->diags;
        for (size_t j = 0; j < l->len; j++) {
            diag_format(&l->items[j], &out);
            str_addc(&out, '\n');
        }
    }
    return str_take(&out);
}

static void expect_clean(struct yaml_file *f, const char *text)
{
    load(f, text);
    AUTO_FREE char *found = findings(f);
    assert_string_equal(found, "");
    assert_true(f->ok);
}

static const struct {
    const char *text;
    enum yaml_kind kind;
    int64_t integer;
} core_schema[] = {
    {"~", YAML_NULL, 0},
    {"null", YAML_NULL, 0},
    {"NULL", YAML_NULL, 0},
    {"nULL", YAML_STRING, 0},
    {"", YAML_NULL, 0},
    {"''", YAML_STRING, 0},
    {"'null'", YAML_STRING, 0},
    {"\"true\"", YAML_STRING, 0},
    {"true", YAML_BOOL, 0},
    {"False", YAML_BOOL, 0},
    {"yes", YAML_STRING, 0},
    {"No", YAML_STRING, 0},
    {"on", YAML_STRING, 0},
    {"off", YAML_STRING, 0},
    {"y", YAML_STRING, 0},
    {"0", YAML_INT, 0},
    {"-0", YAML_INT, 0},
    {"007", YAML_INT, 7},
    {"0644", YAML_INT, 644},
    {"+12", YAML_INT, 12},
    {"-12", YAML_INT, -12},
    {"0x1f", YAML_INT, 31},
    {"0o17", YAML_INT, 15},
    {"0o8", YAML_STRING, 0},
    {"0b1", YAML_STRING, 0},
    {"0x", YAML_STRING, 0},
    {"-0x1", YAML_STRING, 0},
    {"1_000", YAML_STRING, 0},
    {"1:30", YAML_STRING, 0},
    {"9223372036854775807", YAML_INT, INT64_MAX},
    {"-9223372036854775808", YAML_INT, INT64_MIN},
    {"9223372036854775808", YAML_FLOAT, 0},
    {"0xffffffffffffffff", YAML_FLOAT, 0},
    {"1.5", YAML_FLOAT, 0},
    {"1.", YAML_FLOAT, 0},
    {".5", YAML_FLOAT, 0},
    {".", YAML_STRING, 0},
    {"1e3", YAML_FLOAT, 0},
    {"1e", YAML_STRING, 0},
    {"-.INF", YAML_FLOAT, 0},
    {".nan", YAML_FLOAT, 0},
    {"-.nan", YAML_STRING, 0},
    {"1.2.3", YAML_STRING, 0},
    {"2026-12-01T00:00:00Z", YAML_STRING, 0},
    {"2Gi", YAML_STRING, 0},
    {"[]", YAML_SEQ, 0},
    {"{}", YAML_MAP, 0},
    {"!!str 5", YAML_STRING, 0},
    {"!!int 5", YAML_INT, 5},
    {"!!float 5", YAML_INT, 5},
    {"!!null ''", YAML_BAD, 0},
    {"|\n  a\n  b\n", YAML_STRING, 0},
};

static void test_core_schema(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(core_schema) / sizeof(core_schema[0]); i++) {
        struct yaml_file f;
        AUTO_FREE char *text = xasprintf("%s\n", core_schema[i].text);
        AUTO_FREE char *doc = xasprintf("--- %s", text);
        load(&f, doc);
        assert_int_equal(f.len, 1);
        bool same = f.docs[0].root->kind == core_schema[i].kind;
        if (core_schema[i].kind == YAML_INT)
            same = same && f.docs[0].root->integer == core_schema[i].integer;
        if (!same)
            fail_msg("'%s' is kind %d, integer %lld", core_schema[i].text,
                     (int)f.docs[0].root->kind, (long long)f.docs[0].root->integer);
        yaml_file_done(&f);
    }
}

static void expect_pos(const struct yaml_node *n, unsigned line, unsigned column)
{
    assert_non_null(n);
    assert_int_equal(n->pos.line, line);
    assert_int_equal(n->pos.column, column);
}

static void test_positions(void **state)
{
    (void)state;
    struct yaml_file f;
    expect_clean(&f, "a: 1\nb:\n  - x\n  - {c: \xC3\xA9, d: e}\n---\nz: y\n");
    assert_int_equal(f.len, 2);
    const struct yaml_node *root = f.docs[0].root;
    const struct yaml_node *list = yaml_get(root, "b");
    expect_pos(root, 1, 1);
    expect_pos(yaml_get(root, "a"), 1, 4);
    expect_pos(list, 3, 3);
    expect_pos(list->pairs[0].value, 3, 5);
    expect_pos(yaml_get(list->pairs[1].value, "c"), 4, 9);
    expect_pos(yaml_get(list->pairs[1].value, "d"), 4, 15);
    assert_int_equal(yaml_get_pair(root, "b")->key_pos.line, 2);
    expect_pos(yaml_get(f.docs[1].root, "z"), 6, 4);
    assert_null(yaml_get(root, "c"));
    assert_null(yaml_get(list, "c"));
    assert_null(yaml_get(NULL, "c"));
    yaml_file_done(&f);
}

static void test_json_is_yaml(void **state)
{
    (void)state;
    struct yaml_file f;
    expect_clean(&f, "{\"a\":1,\"b\":[true,null,\"x\\/y\\u00e9\\n\"],\t\"c\":{\"d\":-1.5e3}}");
    const struct yaml_node *root = f.docs[0].root;
    assert_int_equal(yaml_get(root, "a")->integer, 1);
    const struct yaml_node *b = yaml_get(root, "b");
    assert_int_equal(b->len, 3);
    assert_true(b->pairs[0].value->boolean);
    assert_int_equal(b->pairs[1].value->kind, YAML_NULL);
    assert_string_equal(b->pairs[2].value->text, "x/y\xC3\xA9\n");
    assert_int_equal(yaml_get(yaml_get(root, "c"), "d")->kind, YAML_FLOAT);
    yaml_file_done(&f);
}

static void test_bom(void **state)
{
    (void)state;
    struct yaml_file f;
    expect_clean(&f, "\xEF\xBB\xBF"
                     "a: b\n");
    expect_pos(yaml_get(f.docs[0].root, "a"), 1, 4);
    yaml_file_done(&f);
}

static char *repeat(const char *a, size_t n, const char *b)
{
    struct str s;
    str_init(&s, 8 * 1024 * 1024);
    for (size_t i = 0; i < n; i++)
        str_add(&s, a);
    str_add(&s, b);
    return XNN(str_take(&s));
}

static void expect_refused(const char *text, const char *finding)
{
    struct yaml_file f;
    load(&f, text);
    AUTO_FREE char *found = findings(&f);
    AUTO_FREE char *expected = xasprintf("%s\n", finding);
    assert_string_equal(found, expected);
    assert_false(f.ok);
    assert_int_equal(f.len, 0);
    yaml_file_done(&f);
}

static void test_depth(void **state)
{
    (void)state;
    AUTO_FREE char *flow = repeat("[", 200 * 1000, "");
    expect_refused(flow, "t.yaml:1:65: nested deeper than 64 levels");
    AUTO_FREE char *maps = repeat("{a: ", 100, "");
    expect_refused(maps, "t.yaml:1:257: nested deeper than 64 levels");
    AUTO_FREE char *block = repeat("- ", 100, "x");
    expect_refused(block, "t.yaml:1:129: nested deeper than 64 levels");
    struct yaml_file f;
    AUTO_FREE char *open = repeat("[", MANIFEST_MAX_DEPTH, "");
    AUTO_FREE char *close = repeat("]", MANIFEST_MAX_DEPTH, "\n");
    AUTO_FREE char *fits = xasprintf("%s%s", open, close);
    expect_clean(&f, fits);
    yaml_file_done(&f);
}

static void test_nodes(void **state)
{
    (void)state;
    struct yaml_file f;
    AUTO_FREE char *many = repeat("- a\n", MANIFEST_MAX_NODES, "");
    expect_refused(many, "t.yaml:20000:3: more than 20000 values and keys in a file");
    AUTO_FREE char *fits = repeat("- a\n", MANIFEST_MAX_NODES - 1, "");
    expect_clean(&f, fits);
    assert_int_equal(f.docs[0].root->len, MANIFEST_MAX_NODES - 1);
    yaml_file_done(&f);
    /* Over all documents together. */
    AUTO_FREE char *docs =
        repeat("--- [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, "
               "a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, "
               "a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, "
               "a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]\n",
               MANIFEST_MAX_DOCUMENTS, "");
    expect_refused(docs, "t.yaml:251:5: more than 20000 values and keys in a file");
}

static void test_documents(void **state)
{
    (void)state;
    struct yaml_file f;
    AUTO_FREE char *many = repeat("--- a\n", MANIFEST_MAX_DOCUMENTS + 1, "");
    expect_refused(many, "t.yaml:257:1: more than 256 documents in a file");
    AUTO_FREE char *fits = repeat("--- a\n", MANIFEST_MAX_DOCUMENTS, "");
    expect_clean(&f, fits);
    assert_int_equal(f.len, MANIFEST_MAX_DOCUMENTS);
    yaml_file_done(&f);
}

static void test_size(void **state)
{
    (void)state;
    struct yaml_file f;
    AUTO_FREE char *large = repeat("#", MANIFEST_MAX_BYTES + 1, "");
    expect_refused(large, "t.yaml:1:1: larger than 1024 KiB");
    AUTO_FREE char *fits = repeat("#", MANIFEST_MAX_BYTES, "");
    expect_clean(&f, fits);
    assert_int_equal(f.len, 0);
    yaml_file_done(&f);
}

/* Inputs that take libyaml quadratic time, or would if they reached it. */
static void test_slow_inputs(void **state)
{
    (void)state;
    AUTO_FREE char *tags = repeat("%TAG !a! tag:x\n", 60 * 1000, "--- a\n");
    expect_refused(tags, "t.yaml:1:1: %TAG directives aren't allowed");
    AUTO_FREE char *keys = repeat("? ", 300 * 1000, "");
    struct yaml_file f;
    load(&f, keys);
    assert_false(f.ok);
    assert_string_equal(f.diags.items[0].message, "nested deeper than 64 levels");
    assert_int_equal(f.diags.items[0].pos.column, 129);
    yaml_file_done(&f);
    /* Many documents with many findings. */
    AUTO_FREE char *anchors = repeat("- &a b\n", MANIFEST_MAX_NODES - 1, "");
    load(&f, anchors);
    assert_true(f.ok);
    assert_int_equal(f.docs[0].diags.len, MANIFEST_MAX_ERRORS + 1);
    assert_string_equal(f.docs[0].diags.items[MANIFEST_MAX_ERRORS].message,
                        "more errors, not shown: the first 200 of this file are listed");
    yaml_file_done(&f);
}

/* A refused thing is a finding of its document, and the others are read. */
static void test_findings_stay_in_their_document(void **state)
{
    (void)state;
    struct yaml_file f;
    load(&f, "a: &x 1\n---\nb: 2\n---\nc: 1\nc: 2\n");
    assert_true(f.ok);
    assert_int_equal(f.len, 3);
    assert_true(f.docs[0].failed);
    assert_false(f.docs[1].failed);
    assert_true(f.docs[2].failed);
    assert_true(f.docs[2].root->duplicates);
    assert_false(f.docs[1].root->duplicates);
    assert_int_equal(f.docs[0].diags.len, 1);
    assert_string_equal(f.docs[2].diags.items[0].message,
                        "the key 'c' is here twice, first at line 5");
    yaml_file_done(&f);
}

/* Findings made before a syntax error aren't lost. */
static void test_syntax_error_keeps_earlier_findings(void **state)
{
    (void)state;
    struct yaml_file f;
    load(&f, "a: &x 1\n---\nb: [\n");
    AUTO_FREE char *found = findings(&f);
    assert_string_equal(found, "t.yaml:4:1: not valid YAML: did not find expected node content, "
                               "while parsing a flow node\n"
                               "t.yaml:1:4: a: anchors ('x') aren't allowed: write the value out, "
                               "or use extends\n");
    assert_false(f.ok);
    yaml_file_done(&f);
}

/* libyaml's reader knows only a byte offset: line and column come from counting. */
static void test_reader_error_position(void **state)
{
    (void)state;
    expect_refused("a: \xC3\xA9\r\nb: x\nc: \xC3\xA9\xFF\n",
                   "t.yaml:3:5: not text in UTF-8: invalid leading UTF-8 octet");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_schema),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_json_is_yaml),
        cmocka_unit_test(test_bom),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_slow_inputs),
        cmocka_unit_test(test_findings_stay_in_their_document),
        cmocka_unit_test(test_syntax_error_keeps_earlier_findings),
        cmocka_unit_test(test_reader_error_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
