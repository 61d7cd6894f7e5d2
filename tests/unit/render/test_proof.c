/* SPDX-License-Identifier: Apache-2.0 */
/* What is ours, what only says so, and what it lacks. */
#include "fixture.h"
#include "render/proof.h"
#include "spec/base/xalloc.h"

#include <jansson.h>

/* Sorted by name; the words are what proof_lacks() and proof_text() say, NULL: nothing. */
static const struct {
    const char *name;
    const char *lacks, *text;
} containers[] = {
    {"a-name", NULL, "it is named 'a-name', and its labels say 'e2e.a.agent'"},
    {"b-bottle", "it has no label dev.bottler.bottle", NULL},
    {"c-role", "its label dev.bottler.role is 'king', which is no role of a container", NULL},
    {"d-uid", "it has no label dev.bottler.uid", NULL},
    {"e-self",
     "its label dev.bottler.self is 'e2e.b.agent', which is not of role 'agent' of bottle 'a'",
     NULL},
    {"e2e.a.agent", NULL, NULL},
    {"e2e.a.egress.next", NULL, NULL},
    {"e2e.a.probe-12", NULL, NULL},
    {"f-empty", "it has no label dev.bottler.self", NULL},
    {"g-probe", NULL, "it is named 'g-probe', and its labels say 'e2e.a.probe-12'"},
};

/* What an answer of the engine names; NULL: it has no such label. */
struct labelled {
    const char *id, *name;
    const char *bottle, *role, *uid, *self;
};
static const struct labelled listed[] = {
    {"1", "a-name", "a", "agent", "u", "e2e.a.agent"},
    {"2", "b-bottle", NULL, NULL, NULL, NULL},
    {"3", "c-role", "a", "king", "u", "e2e.a.king"},
    {"4", "d-uid", "a", "agent", "", "e2e.a.agent"},
    {"5", "e-self", "a", "agent", "u", "e2e.b.agent"},
    {"6", "e2e.a.agent", "a", "agent", "u", "e2e.a.agent"},
    {"7", "e2e.a.egress.next", "a", "egress", "u", "e2e.a.egress"},
    {"8", "e2e.a.probe-12", "a", "probe", "u", "e2e.a.probe-12"},
    {"9", "f-empty", "a", "agent", "u", ""},
    {"10", "g-probe", "a", "probe", "u", "e2e.a.probe-12"},
};
static const struct labelled networks[] = {
    {"n1", "e2e.a.out", "a", "net-out", "u", "e2e.a.out"},
    {"n2", "odd", "a", "net-out", "u", "e2e.a.agent"},
};
static const struct labelled volumes[] = {
    {"e2e.a.cache", "e2e.a.cache", "a", "volume", "u", "e2e.a.cache"},
    {"odd", "odd", "a", "agent", "u", "e2e.a.agent"},
};

static json_t *item(const struct labelled *l, const char *installation, const char *state)
{
    AUTO_FREE char *slashed = xasprintf("/%s", l->name);
    json_t *labels = XNN(json_pack("{s:s, s:s*, s:s*, s:s*, s:s*, s:s}", LABEL_INSTALLATION,
                                   installation, LABEL_BOTTLE, l->bottle, LABEL_ROLE, l->role,
                                   LABEL_UID, l->uid, LABEL_SELF, l->self, LABEL_RETAIN, "true"));
    return XNN(json_pack("{s:s, s:s, s:[s], s:s, s:s, s:o}", "Id", l->id, "Name", l->name, "Names",
                         slashed, "ImageID", "i", "State", state, "Labels", labels));
}

static json_t *items(const struct labelled *l, size_t n)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, item(&l[i], "inst-1", "exited"));
    return list;
}

static char *text_take(json_t *v_take)
{
    char *text = XNN(json_dumps(v_take, JSON_COMPACT));
    json_decref(v_take);
    return text;
}

static struct observed *world(struct object_ref **refs, size_t *n)
{
    static const struct labelled going = {"11", "x", NULL, NULL, NULL, NULL};
    static const struct labelled theirs = {"12", "y", "a", "agent", "u", "e2e.a.agent"};
    struct observed *o = NULL;
    json_t *list = items(listed, sizeof(listed) / sizeof(*listed));
    json_array_append_new(list, item(&going, "inst-1", "removing"));
    json_array_append_new(list, item(&theirs, "inst-2", "exited"));
    AUTO_FREE char *c = text_take(list);
    AUTO_FREE char *k = text_take(items(networks, sizeof(networks) / sizeof(*networks)));
    AUTO_FREE char *v = text_take(
        XNN(json_pack("{s:o}", "Volumes", items(volumes, sizeof(volumes) / sizeof(*volumes)))));
    fx_ok(observed_parse("inst-1", sv_of(c), sv_of(k), sv_of(v), &o));
    *n = observed_objects(o, "inst-1", refs);
    return o;
}

static void says(char *is_take, const char *want)
{
    if ((is_take == NULL) != (want == NULL) || (want && strcmp(is_take, want) != 0))
        fail_msg("got '%s', expected '%s'", is_take ? is_take : "nothing", want ? want : "nothing");
    free(is_take);
}

static void test_containers(void **state)
{
    (void)state;
    struct object_ref *refs = NULL;
    size_t n = 0;
    struct observed *o = world(&refs, &n);
    size_t want = sizeof(containers) / sizeof(*containers);
    assert_int_equal(n, want + 4);
    for (size_t i = 0; i < want; i++) {
        assert_string_equal(refs[i].name, containers[i].name);
        assert_int_equal(refs[i].kind, OBJECT_CONTAINER);
        assert_int_equal(refs[i].proven, !containers[i].lacks && !containers[i].text);
        says(proof_lacks(&refs[i], "inst-1"), containers[i].lacks);
        if (!refs[i].proven)
            says(proof_text(&refs[i], "inst-1"),
                 containers[i].text ? containers[i].text : containers[i].lacks);
    }
    free(refs);
    observed_free(o);
}

static void test_others(void **state)
{
    (void)state;
    struct object_ref *refs = NULL;
    size_t n = 0;
    struct observed *o = world(&refs, &n);
    const struct object_ref *r = refs + n - 4;
    assert_string_equal(r[0].id, "n1");
    assert_true(r[0].proven);
    assert_string_equal(r[1].id, "n2");
    assert_false(r[1].proven);
    says(proof_lacks(&r[1], "inst-1"),
         "its label dev.bottler.self is 'e2e.a.agent', which is not of role 'net-out' of bottle "
         "'a'");
    assert_string_equal(r[2].id, "e2e.a.cache");
    assert_true(r[2].proven && r[2].retained);
    assert_string_equal(object_kind_name(r[3].kind), "volume");
    assert_false(r[3].proven);
    says(proof_lacks(&r[3], "inst-1"),
         "its label dev.bottler.role is 'agent', which is no role of a volume");
    free(refs);
    observed_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
