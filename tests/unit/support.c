/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "spec/base/xalloc.h"

enum { FILE_MAX = 4 * 1024 * 1024, INPUTS_MAX = 16 };

struct test_bytes test_read_file(const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        fail_msg("%s: can't be opened; do the tests run from the root of the tree?", path);
        abort();
    }
    struct test_bytes b = {.p = xmalloc(FILE_MAX + 1)};
    b.n = fread(b.p, 1, FILE_MAX, f);
    assert_false(ferror(f));
    assert_true(b.n < FILE_MAX);
    (void)fclose(f);
    b.p = xreallocarray(b.p, b.n + 1, 1);
    b.p[b.n] = '\0';
    return b;
}

void test_write_file(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void test_list_dir(const char *path, struct str_list *ret)
{
    DIR *d = opendir(path);
    if (!d) {
        fail_msg("%s: can't be listed; do the tests run from the root of the tree?", path);
        abort();
    }
    *ret = (struct str_list){0};
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            str_list_add(ret, e->d_name);
    }
    (void)closedir(d);
    str_list_sort_unique(ret);
}

bool test_ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t e = strlen(end);
    return n >= e && strcmp(text + n - e, end) == 0;
}

struct manifest_set *test_load(const char *path, const char *text, ...)
{
    struct manifest_input in[INPUTS_MAX];
    size_t n = 0;
    va_list ap;
    va_start(ap, text);
    while (path) {
        assert_true(n < INPUTS_MAX);
        in[n++] = (struct manifest_input){.path = path, .bytes = sv_of(text)};
        path = va_arg(ap, const char *);
        text = path ? va_arg(ap, const char *) : NULL;
    }
    va_end(ap);
    return manifest_load(in, n);
}

const struct bottle *test_bottle(const char *text, struct manifest_set **ret_set)
{
    struct manifest_set *set = test_load("m.yaml", text, NULL);
    test_expect_diags(set, "");
    assert_int_equal(set->bottles_len, 1);
    assert_non_null(set->bottles[0].bottle);
    *ret_set = set;
    return set->bottles[0].bottle;
}

char *test_diags(const struct manifest_set *set)
{
    struct diag_list all;
    struct str out;
    manifest_set_diags(set, &all);
    str_init(&out, FILE_MAX);
    for (size_t i = 0; i < all.len; i++) {
        diag_format(&all.items[i], &out);
        str_addc(&out, '\n');
    }
    free(all.items);
    char *text = str_take(&out);
    assert_non_null(text);
    return text;
}

void test_expect_diags(const struct manifest_set *set, const char *expected)
{
    AUTO_FREE char *found = test_diags(set);
    assert_string_equal(found, expected);
}
