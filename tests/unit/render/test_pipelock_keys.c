/* SPDX-License-Identifier: Apache-2.0 */
/* What an edit of each key of pipelock.yaml costs: no key without a row, no row without a key, and
 * the rows are those that the real program is tested with. */
#include "fixture.h"
#include "render/pipelock_keys.h"
#include "render/routeset.h"
#include "spec/yaml.h"

#define TABLE "tests/golden/render/pipelock-reload.tsv"

static char *text_of(const struct bottle *b,
                     char *(*render)(const struct bottle *, const struct routeset *))
{
    struct routeset r;
    routeset_resolve(b, &r);
    char *text = render(b, &r);
    routeset_done(&r);
    return text;
}

/* The dotted paths of everything that isn't a map, in the file's order. */
static void collect_paths(const struct yaml_node *map, const char *prefix, struct str_list *ret)
{
    for (size_t i = 0; i < map->len; i++) {
        char *path = xasprintf("%s%s%s", prefix, *prefix ? "." : "", map->pairs[i].key);
        if (map->pairs[i].value->kind == YAML_MAP) {
            collect_paths(map->pairs[i].value, path, ret);
            free(path);
        } else {
            str_list_add_take(ret, path);
        }
    }
}

static void paths_of(const char *text, struct str_list *ret)
{
    struct yaml_file f;
    yaml_file_parse(&f, "pipelock.yaml", sv_of(text));
    assert_true(f.ok);
    assert_int_equal(f.len, 1);
    assert_int_equal(f.docs[0].root->kind, YAML_MAP);
    collect_paths(f.docs[0].root, "", ret);
    yaml_file_done(&f);
}

static void every_key_of_the_file_has_its_row_and_every_row_its_key(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    AUTO_FREE char *text = text_of(&f.b, render_pipelock);
    struct str_list paths = {0};
    paths_of(text, &paths);
    size_t n = 0;
    const struct pipelock_key *keys = pipelock_keys(&n);
    for (size_t i = 0; i < paths.len || i < n; i++) {
        const char *have = i < paths.len ? paths.items[i] : "(no key)";
        assert_string_equal(have, i < n ? keys[i].path : "(no row)");
        assert_ptr_equal(pipelock_key_find(have), &keys[i]);
    }
    assert_null(pipelock_key_find("mode.strict"));
    assert_null(pipelock_key_find("enabled"));
    str_list_done(&paths);
    fx_done(&f);
}

/* Rendered files of other bottles have no key beside these. */
static void every_rendered_file_has_keys_of_the_table_only(void **state)
{
    (void)state;
    struct str_list names;
    size_t files = 0;
    test_list_dir("tests/golden/render", &names);
    for (size_t i = 0; i < names.len; i++) {
        AUTO_FREE char *path = xasprintf("tests/golden/render/%s/pipelock.yaml", names.items[i]);
        FILE *there = fopen(path, "re");
        if (!there)
            continue;
        assert_int_equal(fclose(there), 0);
        struct test_bytes text = test_read_file(path);
        struct str_list paths = {0};
        paths_of(text.p, &paths);
        for (size_t k = 0; k < paths.len; k++)
            assert_non_null(pipelock_key_find(paths.items[k]));
        str_list_done(&paths);
        free(text.p);
        files++;
    }
    assert_true(files >= 14);
    str_list_done(&names);
}

/* The value at a dotted path as it is written in the table: items with blanks between them. */
static char *value_of(const char *text, const char *path)
{
    struct yaml_file f;
    yaml_file_parse(&f, "pipelock.yaml", sv_of(text));
    AUTO_FREE char *parts = xstrdup(path);
    char *rest = NULL;
    const struct yaml_node *n = f.docs[0].root;
    for (char *part = strtok_r(parts, ".", &rest); part; part = strtok_r(NULL, ".", &rest))
        n = yaml_get(n, part);
    assert_non_null(n);
    struct str out;
    str_init(&out, 4096);
    if (n->kind != YAML_SEQ)
        str_add(&out, n->text);
    for (size_t i = 0; n->kind == YAML_SEQ && i < n->len; i++)
        str_addf(&out, "%s%s", i ? " " : "", n->pairs[i].value->text);
    yaml_file_done(&f);
    return XNN(str_take(&out));
}

/* What reloads, and only that, is frozen in the cold text; so its value replaces nothing. */
static void what_reloads_is_frozen_in_the_cold_text(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.b.egress.dlp_action = DLP_WARN;
    AUTO_FREE char *cold = text_of(&f.b, render_pipelock_cold);
    size_t n = 0;
    size_t frozen = 0;
    const struct pipelock_key *keys = pipelock_keys(&n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(keys[i].change == PIPELOCK_RELOAD, keys[i].frozen != NULL);
        assert_true(keys[i].why && *keys[i].why);
        if (!keys[i].frozen)
            continue;
        /* Only what pipelock was seen to take over may be left to a reload. */
        assert_int_equal(keys[i].answer, PIPELOCK_APPLIES);
        AUTO_FREE char *have = value_of(cold, keys[i].path);
        assert_string_equal(have, keys[i].frozen);
        frozen++;
    }
    assert_in_range(frozen, 1, n - 1);
    assert_non_null(strstr(cold, "  action: warn\n"));
    assert_non_null(strstr(cold, "  - \"pinned.example.com\"\n"));
    assert_non_null(strstr(cold, "  - \"10.20.0.0/16\"\n"));
    fx_done(&f);
}

static const char *change_word(enum pipelock_change c)
{
    return c == PIPELOCK_RELOAD ? "reload" : "replace";
}

static const char *answer_word(enum pipelock_answer a)
{
    return a == PIPELOCK_APPLIES ? "applies" : a == PIPELOCK_IGNORES ? "ignores" : "refuses";
}

static void the_real_program_is_tested_with_every_row(void **state)
{
    (void)state;
    struct test_bytes table = test_read_file(TABLE);
    size_t n = 0;
    size_t seen = 0;
    const struct pipelock_key *keys = pipelock_keys(&n);
    char *rest = NULL;
    for (char *line = strtok_r(table.p, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (*line == '#')
            continue;
        char *field = NULL;
        const char *path = strtok_r(line, "\t", &field);
        const char *change = strtok_r(NULL, "\t", &field);
        const char *answer = strtok_r(NULL, "\t", &field);
        const struct pipelock_key *k = pipelock_key_find(path);
        assert_non_null(k);
        assert_string_equal(change, change_word(k->change));
        assert_string_equal(answer, answer_word(k->answer));
        /* In the order of the rows, some of them more than once. */
        if (seen < n && k == &keys[seen])
            seen++;
        else
            assert_true(seen > 0 && k == &keys[seen - 1]);
    }
    assert_int_equal(seen, n);
    free(table.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_the_file_has_its_row_and_every_row_its_key),
        cmocka_unit_test(every_rendered_file_has_keys_of_the_table_only),
        cmocka_unit_test(what_reloads_is_frozen_in_the_cold_text),
        cmocka_unit_test(the_real_program_is_tested_with_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
