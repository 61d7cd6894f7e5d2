/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static void sha256_of_known_texts(void **state)
{
    (void)state;
    char hex[HASH_HEX + 1];
    hash_hex(sv_of("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_hex((struct sv){NULL, 0}, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231 test case 1's data under a key of 32 bytes, checked with another implementation. */
static void hmac_of_known_text(void **state)
{
    (void)state;
    uint8_t key[HASH_KEY_BYTES];
    memset(key, 0x0b, sizeof(key));
    char hex[HASH_HEX + 1];
    hash_keyed_hex(key, sv_of("Hi There"), hex);
    assert_string_equal(hex, "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
}

static void another_key_gives_another_hash(void **state)
{
    (void)state;
    uint8_t key[HASH_KEY_BYTES] = {0};
    char a[HASH_HEX + 1];
    char b[HASH_HEX + 1];
    hash_keyed_hex(key, sv_of("x"), a);
    key[31] = 1;
    hash_keyed_hex(key, sv_of("x"), b);
    assert_string_not_equal(a, b);
    hash_keyed_hex(key, (struct sv){NULL, 0}, a);
    assert_int_equal(strlen(a), HASH_HEX);
}

static void spec_hash_is_of_sorted_compact_json(void **state)
{
    (void)state;
    json_t *one = json_pack("{s:i, s:{s:s, s:[i, i]}}", "b", 1, "a", "y", "z", "x", 1, 2);
    json_t *two = json_pack("{s:{s:[i, i], s:s}, s:i}", "a", "x", 1, 2, "y", "z", "b", 1);
    json_t *list = json_pack("{s:{s:[i, i], s:s}, s:i}", "a", "x", 2, 1, "y", "z", "b", 1);
    char *h1 = hash_spec(one);
    char *h2 = hash_spec(two);
    char *h3 = hash_spec(list);
    char hex[HASH_HEX + 1];
    hash_hex(sv_of("{\"a\":{\"x\":[1,2],\"y\":\"z\"},\"b\":1}"), hex);
    assert_true(strncmp(h1, "v1:", 3) == 0);
    assert_string_equal(h1 + 3, hex);
    assert_string_equal(h1, h2);
    assert_string_not_equal(h1, h3);
    free(h1);
    free(h2);
    free(h3);
    json_decref(one);
    json_decref(two);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_known_texts),
        cmocka_unit_test(hmac_of_known_text),
        cmocka_unit_test(another_key_gives_another_hash),
        cmocka_unit_test(spec_hash_is_of_sorted_compact_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
