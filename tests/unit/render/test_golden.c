/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/golden/render/CASE/bottle.yaml renders to pipelock.yaml and routes.yaml beside it, byte for
 * byte. BOTTLER_REGOLD=1 writes them anew: look at the difference before it is committed.
 */
#include "fixture.h"
#include "render/routeset.h"

#include <unistd.h>
#include <yaml.h>

#define GOLDEN "tests/golden/render"
enum { CASES_MIN = 14 };

/* The bottle of a case: the one that isn't abstract. */
static const struct bottle *only_bottle(const struct manifest_set *set)
{
    const struct bottle *found = NULL;
    for (size_t i = 0; i < set->bottles_len; i++) {
        const struct bottle *b = set->bottles[i].bottle;
        assert_non_null(b);
        if (b->abstract)
            continue;
        assert_null(found);
        found = b;
    }
    assert_non_null(found);
    return found;
}

static void compare(const char *dir, const char *name, const char *have)
{
    AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
    if (getenv("BOTTLER_REGOLD")) {
        test_write_file(path, have, strlen(have));
        return;
    }
    struct test_bytes want = test_read_file(path);
    if (strcmp(want.p, have) != 0)
        print_error("%s differs; rendered now:\n%s", path, have);
    assert_string_equal(want.p, have);
    free(want.p);
}

/* Every scalar is there as a text of the user's or a word of ours, and the file is one document. */
static void parses_as_yaml(const char *text)
{
    yaml_parser_t p;
    yaml_document_t doc;
    assert_int_equal(yaml_parser_initialize(&p), 1);
    yaml_parser_set_input_string(&p, (const unsigned char *)text, strlen(text));
    assert_int_equal(yaml_parser_load(&p, &doc), 1);
    assert_non_null(yaml_document_get_root_node(&doc));
    yaml_document_delete(&doc);
    assert_int_equal(yaml_parser_load(&p, &doc), 1);
    assert_null(yaml_document_get_root_node(&doc));
    yaml_document_delete(&doc);
    yaml_parser_delete(&p);
    for (const char *c = text; *c; c++)
        assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
}

static void run_case(const char *dir)
{
    AUTO_FREE char *path = xasprintf("%s/bottle.yaml", dir);
    struct test_bytes yaml = test_read_file(path);
    struct manifest_set *set = test_load(path, yaml.p, NULL);
    test_expect_diags(set, "");
    const struct bottle *b = only_bottle(set);
    struct routeset r;
    routeset_resolve(b, &r);
    AUTO_FREE char *pipelock = render_pipelock(b, &r);
    AUTO_FREE char *routes = render_routes(b, &r);
    parses_as_yaml(pipelock);
    parses_as_yaml(routes);
    compare(dir, "pipelock.yaml", pipelock);
    compare(dir, "routes.yaml", routes);
    /* No reference to a secret is in either file. */
    struct str_list refs;
    bottle_secret_refs(b, &refs);
    for (size_t i = 0; i < refs.len; i++) {
        assert_null(strstr(pipelock, refs.items[i]));
        assert_null(strstr(routes, refs.items[i]));
    }
    str_list_done(&refs);
    routeset_done(&r);
    manifest_set_free(set);
    free(yaml.p);
}

static void every_case_renders_as_written_down(void **state)
{
    (void)state;
    struct str_list names;
    size_t ran = 0;
    test_list_dir(GOLDEN, &names);
    for (size_t i = 0; i < names.len; i++) {
        AUTO_FREE char *dir = xasprintf(GOLDEN "/%s", names.items[i]);
        AUTO_FREE char *manifest = xasprintf("%s/bottle.yaml", dir);
        if (access(manifest, F_OK) != 0)
            continue;
        run_case(dir);
        ran++;
    }
    str_list_done(&names);
    assert_true(ran >= CASES_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_renders_as_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
