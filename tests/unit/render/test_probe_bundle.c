/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's archive holds the modules of sidecars/probe as they are, and nothing that depends on
 * who built it. */
#include "render/probe_bundle.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <archive.h>
#include <archive_entry.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "bottler-probe/"

enum { MODULE_MAX = 1 << 20 };

static size_t read_module(const char *name, char *ret)
{
    AUTO_FREE char *path = xasprintf("sidecars/probe/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(ret, 1, MODULE_MAX, f);
    assert_int_equal(fclose(f), 0);
    return n;
}

/* One entry; its name without the prefix. */
static const char *check_entry(struct archive *a, struct archive_entry *e, char *found,
                               char *wanted)
{
    const char *name = archive_entry_pathname(e);
    assert_memory_equal(name, PREFIX, strlen(PREFIX));
    assert_int_equal(archive_entry_filetype(e), AE_IFREG);
    assert_int_equal(archive_entry_perm(e), 0644);
    assert_int_equal(archive_entry_uid(e), 0);
    assert_int_equal(archive_entry_gid(e), 0);
    assert_int_equal(archive_entry_mtime(e), 0);
    la_ssize_t n = archive_read_data(a, found, MODULE_MAX);
    size_t size = read_module(name + strlen(PREFIX), wanted);
    assert_true(n > 0 && (size_t)n == size);
    assert_memory_equal(found, wanted, size);
    return name + strlen(PREFIX);
}

static void test_modules(void **state)
{
    (void)state;
    struct sv bundle = probe_bundle();
    AUTO_FREE char *found = xmalloc(MODULE_MAX);
    AUTO_FREE char *wanted = xmalloc(MODULE_MAX);
    struct archive *a = archive_read_new();
    assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(a, bundle.p, bundle.n), ARCHIVE_OK);
    struct archive_entry *e = NULL;
    size_t modules = 0;
    size_t mains = 0;
    while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
        mains += strcmp(check_entry(a, e, found, wanted), "main.py") == 0;
        modules++;
    }
    assert_int_equal(archive_read_free(a), ARCHIVE_OK);
    glob_t all = {0};
    assert_int_equal(glob("sidecars/probe/*.py", 0, NULL, &all), 0);
    assert_int_equal(modules, all.gl_pathc);
    assert_int_equal(mains, 1);
    globfree(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_modules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
