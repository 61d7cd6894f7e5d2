/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's answers mean. */
#include "reconcile/response.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

static struct response answer(int status, const char *body)
{
    return (struct response){.status = status, .body = sv_of(body)};
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum err_kind kind;
    } rows[] = {
        {400, ERR_INVALID},     {401, ERR_DENIED},   {403, ERR_CONFLICT},
        {404, ERR_NOT_FOUND},   {409, ERR_CONFLICT}, {500, ERR_UNAVAILABLE},
        {503, ERR_UNAVAILABLE}, {301, ERR_INTERNAL}, {0, ERR_INTERNAL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct response r = answer(rows[i].status, "{\"message\":\"no\"}");
        AUTO_ERR e = response_check(&r, "trying");
        assert_non_null(e);
        assert_string_equal(err_kind_name(err_kind(e)), err_kind_name(rows[i].kind));
        AUTO_FREE char *want = xasprintf("trying: the engine answered %d: no", rows[i].status);
        assert_string_equal(err_message(e), want);
    }
    static const int good[] = {200, 201, 204, 299, 304};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        struct response r = answer(good[i], "");
        assert_null(response_check(&r, "trying"));
    }
}

static void test_transport(void **state)
{
    (void)state;
    AUTO_ERR broken = err_new(ERR_TIMEOUT, "no answer in 30 s");
    struct response r = {.error = broken, .status = 200, .body = sv_of("{\"message\":\"x\"}")};
    AUTO_ERR e = response_check(&r, "container.start web");
    assert_int_equal(err_kind(e), ERR_TIMEOUT);
    assert_string_equal(err_message(e), "container.start web: no answer in 30 s");
    assert_false(response_says(&r, "x"));
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"message\":\" two\\nlines\\tand\\u007fmore\\n\"}", "two lines and more"},
        {"plain text\n", "plain text"},
        {"{\"message\":7}", "{\"message\":7}"},
        {"{\"mess", "{\"mess"},
        {"", ""},
        {"[]", "[]"},
        {"\x1b[31mred", " [31mred"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct response r = answer(500, rows[i].body);
        AUTO_FREE char *have = response_message(&r);
        assert_string_equal(have, rows[i].want);
    }
    struct response none = {.status = 500};
    AUTO_ERR e = response_check(&none, "x");
    assert_string_equal(err_message(e), "x: the engine answered 500");
    struct response nul = {.status = 500, .body = {"a\0b", 3}};
    AUTO_FREE char *cut = response_message(&nul);
    assert_string_equal(cut, "a b");
    /* A gateway's own page, in whatever encoding. */
    struct response latin = answer(502, "Passerelle d\xe9"
                                        "fectueuse\n");
    AUTO_FREE char *words = response_message(&latin);
    assert_string_equal(words, "Passerelle d?fectueuse");
    struct response good = answer(500, "d\xc3\xa9"
                                       "fectueuse");
    AUTO_FREE char *kept = response_message(&good);
    assert_string_equal(kept, "d\xc3\xa9"
                              "fectueuse");
}

static void test_long_message(void **state)
{
    (void)state;
    struct str s;
    str_init(&s, 100000);
    for (int i = 0; i < 5000; i++)
        str_addc(&s, 'x');
    struct response r = {.status = 500, .body = {s.p, s.len}};
    AUTO_FREE char *have = response_message(&r);
    assert_int_equal(strlen(have), 2048);
    /* Never half a character. */
    s.p[2047] = '\xc3';
    s.p[2048] = '\xa9';
    AUTO_FREE char *whole = response_message(&r);
    assert_int_equal(strlen(whole), 2047);
    str_done(&s);
}

static void test_says(void **state)
{
    (void)state;
    struct response r =
        answer(403, "{\"message\":\"endpoint with name a already exists in network n\"}");
    assert_true(response_says(&r, "already exists in network"));
    assert_false(response_says(&r, "has active endpoints"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_transport),
        cmocka_unit_test(test_messages), cmocka_unit_test(test_long_message),
        cmocka_unit_test(test_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
