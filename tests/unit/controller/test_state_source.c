/* SPDX-License-Identifier: Apache-2.0 */
/* What the state directory keeps of manifest files. */
#include "io_support.h"

#include "controller/state.h"
#include "spec/manifest.h"

#include <dirent.h>

static struct state *open_state(void *const *state)
{
    struct state *s = NULL;
    AUTO_FREE char *dir = at(state, "st");
    assert_ok(state_open(dir, "bottler", &s));
    return s;
}

struct seen {
    unsigned files;
    char *path;
    char *bytes;
    size_t n;
};

static void note(void *ctx, const char *path, struct sv bytes)
{
    struct seen *s = ctx;
    s->files++;
    free(s->path);
    free(s->bytes);
    s->path = xstrdup(path);
    s->bytes = xmemdup0(bytes.p, bytes.n);
    s->n = bytes.n;
}

static void seen_done(struct seen *s)
{
    free(s->path);
    free(s->bytes);
    *s = (struct seen){0};
}

/* The one file that is kept, if there is one. */
static char *only_file(void *const *state)
{
    AUTO_FREE char *dir = at(state, "st/sources");
    char *found = NULL;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] == '.')
            continue;
        assert_null(found);
        found = xasprintf("%s/%s", dir, e->d_name);
    }
    (void)closedir(d);
    return found;
}

static void test_kept_over_a_restart(void **state)
{
    static const char bytes[] = "a: 1\n\0b\n";
    struct seen seen = {0};
    struct state *s = open_state(state);
    assert_ok(state_load_sources(s, note, &seen));
    assert_int_equal(seen.files, 0);
    assert_ok(state_drop_source(s, "m/a.yaml"));
    assert_ok(state_store_source(s, "m/a.yaml", sv_of("old")));
    assert_ok(state_store_source(s, "m/a.yaml", (struct sv){bytes, sizeof(bytes) - 1}));
    state_close(s);
    s = open_state(state);
    assert_ok(state_load_sources(s, note, &seen));
    assert_int_equal(seen.files, 1);
    assert_string_equal(seen.path, "m/a.yaml");
    assert_int_equal(seen.n, sizeof(bytes) - 1);
    assert_memory_equal(seen.bytes, bytes, seen.n);
    seen_done(&seen);
    assert_ok(state_store_source(s, "m/b.yaml", sv_of("b")));
    assert_ok(state_drop_source(s, "m/a.yaml"));
    assert_ok(state_load_sources(s, note, &seen));
    assert_int_equal(seen.files, 1);
    assert_string_equal(seen.path, "m/b.yaml");
    seen_done(&seen);
    AUTO_FREE char *file = only_file(state);
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    state_close(s);
}

/* What a power failure leaves: it is dropped, and nothing else suffers. */
static void test_damaged(void **state)
{
    struct state *s = open_state(state);
    for (off_t n = 0; n < 80; n += 13) {
        struct seen seen = {0};
        assert_ok(state_store_source(s, "m/a.yaml", sv_of("0123456789")));
        AUTO_FREE char *file = only_file(state);
        assert_int_equal(truncate(file, n), 0);
        assert_ok(state_load_sources(s, note, &seen));
        assert_int_equal(seen.files, 0);
        assert_null(only_file(state));
    }
    state_close(s);
}

static void test_peek_reads_only(void **state)
{
    struct seen seen = {0};
    AUTO_FREE char *dir = at(state, "st");
    struct state *peek = NULL;
    assert_ok(state_peek(dir, "bottler", &peek));
    assert_ok(state_load_sources(peek, note, &seen));
    assert_int_equal(seen.files, 0);
    state_close(peek);
    struct state *s = open_state(state);
    assert_ok(state_store_source(s, "m/a.yaml", sv_of("0123456789")));
    AUTO_FREE char *file = only_file(state);
    assert_ok(state_peek(dir, "bottler", &peek));
    assert_ok(state_load_sources(peek, note, &seen));
    assert_int_equal(seen.files, 1);
    assert_int_equal(truncate(file, 70), 0);
    assert_ok(state_load_sources(peek, note, &seen));
    assert_int_equal(seen.files, 1);
    AUTO_FREE char *still = only_file(state);
    assert_non_null(still);
    seen_done(&seen);
    state_close(peek);
    state_close(s);
}

static void test_largest(void **state)
{
    struct state *s = open_state(state);
    struct seen seen = {0};
    AUTO_FREE char *bytes = xcalloc(MANIFEST_MAX_BYTES, 1);
    assert_ok(state_store_source(s, "m/a.yaml", (struct sv){bytes, MANIFEST_MAX_BYTES}));
    assert_ok(state_load_sources(s, note, &seen));
    assert_int_equal(seen.n, MANIFEST_MAX_BYTES);
    seen_done(&seen);
    state_close(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kept_over_a_restart),
        TEST(test_damaged),
        TEST(test_peek_reads_only),
        TEST(test_largest),
    };
    return cmocka_run_group_tests_name("state_source", tests, NULL, NULL);
}
