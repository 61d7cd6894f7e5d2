/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of strangers, made fit to be shown. */
#include "render/text_clean.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

static void clean(const char *bytes, size_t n, size_t max, const char *want)
{
    char *have = text_clean((struct sv){bytes, n}, max);
    assert_string_equal(have, want);
    free(have);
}

static void cleaning(void **state)
{
    (void)state;
    clean("", 0, 10, "");
    clean("abc", 3, 3, "abc");
    clean("abcd", 4, 3, "abc…");
    clean("a\0b", 3, 10, "a\\x00b");
    clean("\xff\xfe", 2, 10, "\\xff\\xfe");
    clean("\xc3\xa9", 2, 10, "é");
    clean("\xc3\xa9", 2, 1, "…");
    clean("\xc3", 1, 10, "\\xc3");
    clean("\xc0\xaf", 2, 10, "\\xc0\\xaf");                  /* "/" in a longer form */
    clean("\xed\xa0\x80", 3, 10, "\\xed\\xa0\\x80");         /* a surrogate */
    clean("\xf4\x90\x80\x80", 4, 9, "\\xf4\\x90\\x80\\x80"); /* above the last */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cleaning)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
