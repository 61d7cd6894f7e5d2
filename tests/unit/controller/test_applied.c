/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include "controller/history.h"
#include "spec/base/err.h"
#include "spec/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t key_a[HASH_KEY_BYTES] = {1};
static const uint8_t key_b[HASH_KEY_BYTES] = {2};

static void test_hashes_of_secrets(void **state)
{
    (void)state;
    struct render_secret items[] = {{"ONE", {"value", 5}}, {"TWO", {"value", 5}}, {"ZERO", {0}}};
    struct secret_set s = {.items = items, .len = 3};
    struct kv_list a = {0}, b = {0};
    secret_hashes(&s, key_a, &a);
    assert_int_equal(a.len, 3);
    assert_string_equal(a.items[1].key, "TWO");
    assert_int_equal(strlen(a.items[1].value), HASH_HEX);
    /* Neither that two are equal, nor what one key says of another's, nor the plain digest. */
    assert_string_not_equal(a.items[0].value, a.items[1].value);
    secret_hashes(&s, key_b, &b);
    assert_string_not_equal(a.items[0].value, b.items[0].value);
    char plain[HASH_HEX + 1];
    hash_keyed_hex(key_a, sv_of("value"), plain);
    assert_string_not_equal(a.items[0].value, plain);
    /* Replaced, and the same for the same. */
    secret_hashes(&s, key_a, &b);
    assert_string_equal(a.items[0].value, b.items[0].value);
    items[0].value = (struct sv){"other", 5};
    secret_hashes(&s, key_a, &b);
    assert_string_not_equal(a.items[0].value, b.items[0].value);
    kv_list_clear(&a);
    kv_list_clear(&b);
}

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TEXT "{\"spec\": {\"agent\": {\"pids\": 0x10}}}"

static void test_round_trip(void **state)
{
    (void)state;
    struct kv pat = {(char[]){"PAT"}, (char[]){HEX}};
    struct applied a = {.generation = 7,
                        .text = (char[]){TEXT},
                        .revision = NULL,
                        .file = (char[]){"/data/a.yaml"},
                        .secrets = {&pat, 1},
                        .at_ms = 1795000000123};
    struct applied back = {0};
    AUTO_FREE char *line = applied_format(&a);
    assert_string_equal(line,
                        "{\"generation\":7,\"revision\":null,\"file\":\"/data/a.yaml\",\"at\":"
                        "1795000000123,\"secrets\":{\"PAT\":\"" HEX "\"},\"text\":\"{\\\"spec\\\": "
                        "{\\\"agent\\\": {\\\"pids\\\": 0x10}}}\"}\n");
    assert_null(applied_parse(sv_of(line), &back));
    assert_true(applied_same(&a, &back));
    assert_string_equal(back.text, TEXT); /* to the byte */
    assert_int_equal(back.at_ms, 1795000000123);
    back.at_ms++;
    assert_true(applied_same(&a, &back));
    back.secrets.items[0].value[0] = 'f';
    assert_false(applied_same(&a, &back));
    back.secrets.items[0].value[0] = '0';
    a.revision = (char[]){"r"};
    assert_false(applied_same(&a, &back));
    applied_done(&back);
    assert_false(applied_same(&a, &back));
}

static void test_damage(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "expected JSON"},
        {"{\"generation\":", "expected JSON"},
        {"[]", "a generation from 1"},
        {"{\"generation\":-1}", "a generation from 1"},
        {"{\"generation\":1}", "the text of a manifest"},
        {"{\"generation\":1,\"text\":\"\"}", "the text of a manifest"},
        {"{\"generation\":1,\"text\":{}}", "the text of a manifest"},
        {"{\"generation\":1,\"text\":\"{}\"}", "keyed hashes"},
        {"{\"generation\":1,\"text\":\"{}\",\"secrets\":{\"A\":1}}", "keyed hashes"},
        {"{\"generation\":1,\"text\":\"{}\",\"secrets\":{\"A\":\"" HEX "\",\"B\":\"x\"}}",
         "keyed hashes"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct applied a = {0};
        AUTO_ERR e = applied_parse(sv_of(cases[i].text), &a);
        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
        assert_non_null(strstr(err_message(e), cases[i].part));
        assert_null(a.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes_of_secrets),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests_name("applied", tests, NULL, NULL);
}
