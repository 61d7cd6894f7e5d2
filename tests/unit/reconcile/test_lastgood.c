/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are cut off somewhere: what runs stays as it is. */
#include "reconcile/lastgood.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

#define S UINT64_C(1000000000)

/* A catalogue with what it is fed from. */
struct world {
    struct catalog catalog;
    struct lastgood good;
    uint64_t now_ns;
};

static void world_done(struct world *w)
{
    catalog_done(&w->catalog);
    lastgood_done(&w->good);
}

/* A listing of path, bytes. */
static void list(struct world *w, const struct manifest_input *inputs, size_t n)
{
    struct str_list dropped = {0};
    struct manifest_set *set = lastgood_load(&w->good, inputs, n, NULL, w->now_ns);
    catalog_update(&w->catalog, set);
    lastgood_prune(&w->good, &w->catalog, set, &dropped);
    manifest_set_free(set);
    str_list_done(&dropped);
}

static void list_bytes(struct world *w, const char *path, const char *bytes, size_t n)
{
    struct manifest_input in = {.path = path, .bytes = {bytes, n}};
    list(w, &in, 1);
}

static void list_text(struct world *w, const char *path, const char *text)
{
    list_bytes(w, path, text, strlen(text));
}

static const struct catalog_entry *entry(const struct world *w, const char *name,
                                         enum entry_state state, int64_t generation)
{
    const struct catalog_entry *e = catalog_find(&w->catalog, name);
    if (!e)
        fail_msg("no entry '%s'", name);
    if ((int)e->state != (int)state)
        fail_msg("'%s' is %d, expected %d: %s", name, (int)e->state, (int)state,
                 e->message ? e->message : "");
    assert_int_equal(e->generation, generation);
    return e;
}

/* The state directory's side of a restart. */
static void restart(struct world *w)
{
    struct world next = {.now_ns = 5 * S};
    for (size_t i = 0; i < w->catalog.len; i++) {
        const struct catalog_entry *e = w->catalog.entries[i];
        if (!e->bottle)
            continue;
        struct manifest_set *set = test_load(e->bottle->file, e->text, NULL);
        assert_non_null(set->bottles[0].bottle);
        catalog_seed(&next.catalog, TAKE_PTR(set->bottles[0].bottle), e->text, e->generation);
        manifest_set_free(set);
    }
    for (size_t i = 0; i < w->good.len; i++)
        lastgood_seed(&next.good, w->good.files[i].path,
                      (struct sv){w->good.files[i].bytes, w->good.files[i].n});
    world_done(w);
    *w = next;
}

/* What each bottle says, so that it can be seen to stay. */
static void texts_of(const struct world *w, struct str_list *ret)
{
    for (size_t i = 0; i < w->catalog.len; i++)
        str_list_add(ret, w->catalog.entries[i]->bottle->text);
}

static void assert_stays(const struct world *w, const struct str_list *texts, size_t cut)
{
    size_t known = 0;
    for (size_t i = 0; i < w->catalog.len; i++) {
        const struct catalog_entry *e = w->catalog.entries[i];
        if (!e->bottle) /* a name that was cut: nothing was ever made of it */
            continue;
        if (e->state == ENTRY_GONE || e->generation != 1 ||
            strcmp(e->bottle->text, texts->items[known]) != 0)
            fail_msg("cut after %zu bytes: '%s' is %d, generation %d: %s", cut, e->name,
                     (int)e->state, (int)e->generation, e->message ? e->message : "");
        if (e->state != ENTRY_ACCEPTED)
            assert_non_null(e->message);
        known++;
    }
    assert_int_equal(known, texts->len);
}

/* Cut at every byte, forwards, backwards, each time from the whole, and with a restart. */
static void every_byte(const char *bytes, size_t n)
{
    struct world w = {0};
    struct str_list texts = {0};
    list_bytes(&w, "m/a.yaml", bytes, n);
    texts_of(&w, &texts);
    assert_true(texts.len > 0);
    for (size_t i = n; i-- > 0;) {
        list_bytes(&w, "m/a.yaml", bytes, i);
        assert_stays(&w, &texts, i);
        w.now_ns += S / 10;
    }
    for (size_t i = 0; i < n; i++) {
        list_bytes(&w, "m/a.yaml", bytes, i);
        assert_stays(&w, &texts, i);
    }
    for (size_t i = 0; i < n; i += 7) {
        list_bytes(&w, "m/a.yaml", bytes, n);
        restart(&w);
        list_bytes(&w, "m/a.yaml", bytes, i);
        assert_stays(&w, &texts, i);
    }
    list_bytes(&w, "m/a.yaml", bytes, n);
    assert_stays(&w, &texts, n);
    for (size_t i = 0; i < w.catalog.len; i++)
        assert_true(!w.catalog.entries[i]->bottle || w.catalog.entries[i]->state == ENTRY_ACCEPTED);
    str_list_done(&texts);
    world_done(&w);
}

static void test_every_byte_of_the_examples(void **state)
{
    (void)state;
    struct str_list names = {0};
    test_list_dir("examples", &names);
    size_t seen = 0;
    for (size_t i = 0; i < names.len; i++) {
        if (!test_ends_with(names.items[i], ".yaml"))
            continue;
        AUTO_FREE char *path = xasprintf("examples/%s", names.items[i]);
        struct test_bytes b = test_read_file(path);
        struct manifest_set *set = test_load(path, b.p, NULL);
        size_t bottles = 0;
        for (size_t k = 0; k < set->bottles_len; k++)
            bottles += set->bottles[k].bottle && !set->bottles[k].bottle->abstract;
        manifest_set_free(set);
        if (bottles) {
            every_byte(b.p, b.n);
            seen++;
        }
        free(b.p);
    }
    assert_true(seen > 0);
    str_list_done(&names);
}

/* Every way in which a beginning can be a whole manifest of something else. */
static const char chain[] = "apiVersion: bottler.dev/v1\n"
                            "kind: Bottle\n"
                            "spec:\n"
                            "  abstract: true\n"
                            "  agent:\n"
                            "    image: img:12\n"
                            "    env:\n"
                            "      ONE: '1'\n"
                            "metadata:\n"
                            "  name: base\n"
                            "---\n"
                            "kind: Bottle\n"
                            "apiVersion: bottler.dev/v1\n"
                            "spec:\n"
                            "  extends: base\n"
                            "  agent:\n"
                            "    command: [sleep, infinity]\n"
                            "    env:\n"
                            "      LEVEL: debug\n"
                            "      NUMBER: '1234'\n"
                            "      OTHER: plain words\n"
                            "  egress:\n"
                            "    allowlist:\n"
                            "    - a.example.com\n"
                            "    - b.example.com\n"
                            "metadata:\n"
                            "  labels: {team: x}\n"
                            "  name: webster\n"
                            "---\n"
                            "apiVersion: bottler.dev/v1\n"
                            "kind: Bottle\n"
                            "metadata: {name: api}\n"
                            "spec: {extends: base}\n"
                            "# the end";

static void test_every_byte_of_a_chain(void **state)
{
    (void)state;
    every_byte(chain, sizeof(chain) - 1);
    every_byte(chain, strlen(chain) - strlen("\n# the end"));
}

/* What extends a cut parent, in another file, isn't touched, and can be edited meanwhile. */
static void test_child_of_a_cut_parent(void **state)
{
    (void)state;
    struct world w = {0};
    static const char parent[] =
        "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: base}\n"
        "spec:\n  abstract: true\n  agent:\n    image: img:1\n"
        "    env:\n      A: x\n      B: y\n";
    static const char child[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: web}\n"
                                "spec: {extends: base}\n";
    static const char edited[] = "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: web}\n"
                                 "spec: {extends: base, supervise: false}\n";
    struct manifest_input in[] = {{.path = "base.yaml", .bytes = sv_of(parent)},
                                  {.path = "web.yaml", .bytes = sv_of(child)}};
    list(&w, in, 2);
    AUTO_FREE char *text = xstrdup(entry(&w, "web", ENTRY_ACCEPTED, 1)->text);
    size_t valid = strlen(parent) - strlen("      B: y\n");
    for (size_t i = 0; i < strlen(parent); i++) {
        in[0].bytes.n = i;
        list(&w, in, 2);
        const struct catalog_entry *e = catalog_find(&w.catalog, "web");
        assert_int_equal(e->generation, 1);
        assert_string_equal(e->text, text);
        assert_int_not_equal(e->state, ENTRY_GONE);
        if (i == valid)
            assert_int_equal(e->state, ENTRY_ACCEPTED);
    }
    in[0].bytes.n = valid;
    in[1].bytes = sv_of(edited);
    list(&w, in, 2);
    const struct bottle *b = entry(&w, "web", ENTRY_ACCEPTED, 2)->bottle;
    assert_int_equal(b->agent.env_len, 2);
    /* Until it is taken. */
    w.now_ns += 61 * S;
    list(&w, in, 2);
    b = entry(&w, "web", ENTRY_ACCEPTED, 3)->bottle;
    assert_int_equal(b->agent.env_len, 1);
    assert_int_equal(w.good.taken.len, 1);
    assert_string_equal(w.good.taken.items[0], "base.yaml");
    world_done(&w);
}

#define HEAD                                                                                       \
    "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: web}\nspec:\n  agent:\n"           \
    "    image: img:1\n"

static void test_a_line_that_stays_away(void **state)
{
    (void)state;
    struct world w = {0};
    list_text(&w, "a.yaml", HEAD "    tty: true\n");
    list_text(&w, "a.yaml", HEAD);
    const struct catalog_entry *e = entry(&w, "web", ENTRY_HELD, 1);
    assert_string_equal(e->held_reason, "HalfWritten");
    assert_non_null(strstr(e->message, "a.yaml: these are the first "));
    assert_non_null(strstr(e->message, "60 s"));
    w.now_ns = 59 * S;
    list_text(&w, "a.yaml", HEAD);
    entry(&w, "web", ENTRY_HELD, 1);
    assert_int_equal(w.good.taken.len, 0);
    w.now_ns = 60 * S;
    list_text(&w, "a.yaml", HEAD);
    entry(&w, "web", ENTRY_ACCEPTED, 2);
    assert_int_equal(w.good.taken.len, 1);
    /* It is what counts from now on. */
    list_text(&w, "a.yaml", HEAD);
    assert_int_equal(w.good.taken.len, 0);
    list_text(&w, "a.yaml", HEAD "    tty: true\n");
    entry(&w, "web", ENTRY_ACCEPTED, 3);
    /* A shorter one begins its time anew. */
    list_text(&w, "a.yaml", HEAD "    tty: true\n    user: '1'\n    restart: never\n");
    list_text(&w, "a.yaml", HEAD "    tty: true\n    user: '1'\n");
    w.now_ns += 50 * S;
    list_text(&w, "a.yaml", HEAD "    tty: true\n");
    w.now_ns += 50 * S;
    list_text(&w, "a.yaml", HEAD "    tty: true\n");
    entry(&w, "web", ENTRY_HELD, 4);
    world_done(&w);
}

static void test_within_a_line(void **state)
{
    (void)state;
    struct world w = {0};
    list_text(&w, "a.yaml", HEAD "    working_dir: /data/site\n");
    list_text(&w, "a.yaml", HEAD "    working_dir: /data");
    entry(&w, "web", ENTRY_HELD, 1);
    w.now_ns = 3600 * S;
    list_text(&w, "a.yaml", HEAD "    working_dir: /data");
    const struct catalog_entry *e = entry(&w, "web", ENTRY_HELD, 1);
    assert_non_null(strstr(e->message, "the middle of a line"));
    assert_string_equal(e->bottle->agent.working_dir, "/data/site");
    /* Whoever means it ends the line. */
    list_text(&w, "a.yaml", HEAD "    working_dir: /data\n");
    e = entry(&w, "web", ENTRY_ACCEPTED, 2);
    assert_string_equal(e->bottle->agent.working_dir, "/data");
    assert_int_equal(w.good.taken.len, 0);
    world_done(&w);
}

/* What changes nothing is taken at once: a comment, the last newline. */
static void test_cut_that_says_the_same(void **state)
{
    (void)state;
    struct world w = {0};
    list_text(&w, "a.yaml", HEAD "# some words\n");
    list_text(&w, "a.yaml", HEAD "# some wo");
    entry(&w, "web", ENTRY_ACCEPTED, 1);
    list_text(&w, "a.yaml", HEAD);
    entry(&w, "web", ENTRY_ACCEPTED, 1);
    assert_int_equal(w.good.taken.len, 0);
    world_done(&w);
}

/* A document less, at the end of the file: held like any other cut, then it is gone. */
#define OTHER                                                                                      \
    "---\napiVersion: bottler.dev/v1\nkind: Bottle\n"                                              \
    "metadata: {name: api}\nspec: {agent: {image: img:2}}\n"

static void test_last_document_goes(void **state)
{
    (void)state;
    struct world w = {0};
    list_text(&w, "a.yaml", HEAD OTHER);
    list_text(&w, "a.yaml", HEAD);
    entry(&w, "web", ENTRY_HELD, 1);
    entry(&w, "api", ENTRY_HELD, 1);
    restart(&w);
    list_text(&w, "a.yaml", HEAD);
    entry(&w, "api", ENTRY_HELD, 1);
    w.now_ns += 60 * S;
    list_text(&w, "a.yaml", HEAD);
    entry(&w, "web", ENTRY_ACCEPTED, 1);
    entry(&w, "api", ENTRY_GONE, 1);
    world_done(&w);
}

/* What a commit holds is as it is meant to be. */
static void test_whole(void **state)
{
    (void)state;
    struct world w = {0};
    struct manifest_input in = {.path = "git:a.yaml", .bytes = sv_of(HEAD OTHER), .whole = true};
    list(&w, &in, 1);
    in.bytes = sv_of(HEAD);
    list(&w, &in, 1);
    entry(&w, "web", ENTRY_ACCEPTED, 1);
    entry(&w, "api", ENTRY_GONE, 1);
    assert_int_equal(w.good.taken.len, 0);
    world_done(&w);
}

/* Removed and made again piece by piece, as a checkout does it. */
static void test_removed_and_written_anew(void **state)
{
    (void)state;
    struct world w = {0};
    list_text(&w, "a.yaml", HEAD "    tty: true\n");
    list(&w, NULL, 0);
    entry(&w, "web", ENTRY_GONE, 1);
    assert_int_equal(w.good.len, 1);
    list_text(&w, "a.yaml", HEAD);
    entry(&w, "web", ENTRY_HELD, 1);
    list_text(&w, "a.yaml", HEAD "    tty: true\n");
    entry(&w, "web", ENTRY_ACCEPTED, 1);
    list(&w, NULL, 0);
    catalog_drop(&w.catalog, "web");
    list(&w, NULL, 0);
    assert_int_equal(w.good.len, 0);
    world_done(&w);
}

/* A broken text says what is wrong with it, whether it is a beginning or not. */
static void test_broken_is_told_as_broken(void **state)
{
    (void)state;
    struct world w = {0};
    list_text(&w, "a.yaml", HEAD "    env: {A: x}\n");
    list_text(&w, "a.yaml", HEAD "    env: {A:");
    const struct catalog_entry *e = entry(&w, "web", ENTRY_HELD, 1);
    assert_string_equal(e->held_reason, "Unparsable");
    assert_non_null(strstr(e->message, "a.yaml:8:1: "));
    /* A rejected text isn't what counts. */
    list_text(&w, "a.yaml", HEAD "    env: {A: x}\n    ttyy: true\n");
    entry(&w, "web", ENTRY_REJECTED, 1);
    list_text(&w, "a.yaml", HEAD "    env: {A: x}\n");
    entry(&w, "web", ENTRY_ACCEPTED, 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_of_the_examples),
        cmocka_unit_test(test_every_byte_of_a_chain),
        cmocka_unit_test(test_child_of_a_cut_parent),
        cmocka_unit_test(test_a_line_that_stays_away),
        cmocka_unit_test(test_within_a_line),
        cmocka_unit_test(test_cut_that_says_the_same),
        cmocka_unit_test(test_last_document_goes),
        cmocka_unit_test(test_removed_and_written_anew),
        cmocka_unit_test(test_broken_is_told_as_broken),
        cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
