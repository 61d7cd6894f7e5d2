/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the class that each field declares the truth? tests/golden/fields/edits.json has an edit of
 * every field; what is rendered before and after says what it costs.
 */
#include "fixture.h"

#include "render/seal.h"
#include "spec/change.h"
#include "spec/diag.h"

static json_t *load_edits(void)
{
    struct test_bytes text = test_read_file("tests/golden/fields/edits.json");
    json_t *o = json_loads(text.p, JSON_REJECT_DUPLICATES, NULL);
    free(text.p);
    assert_non_null(o);
    return o;
}

static struct manifest_set *load(const json_t *manifest, const struct manifest_rules *rules)
{
    AUTO_FREE char *text = XNN(json_dumps(manifest, 0));
    struct manifest_input in = {.path = "m.json", .bytes = sv_of(text)};
    struct manifest_set *set = manifest_load_under(&in, 1, rules);
    test_expect_diags(set, "");
    assert_int_equal(set->bottles_len, 1);
    return set;
}

static struct desired *render(const struct bottle *b)
{
    struct fixture f;
    struct desired *d = NULL;
    fx_minimal(&f);
    fx_secret(&f, "NETRC", "machine example.com\n");
    fx_secret(&f, "OTHER", "other");
    fx_secret(&f, "API_PAT", "api-token");
    fx_ok(desired_render(b, &f.s, &f.in, &d));
    fx_done(&f);
    return d;
}

static json_t *child(json_t *at, const json_t *step)
{
    return json_is_integer(step) ? json_array_get(at, (size_t)json_integer_value(step))
                                 : json_object_get(at, json_string_value(step));
}

/* `value` NULL: what is there goes. */
static void put(json_t *root, const json_t *path, json_t *value)
{
    json_t *at = root;
    size_t n = json_array_size(path);
    for (size_t i = 0; i + 1 < n; i++)
        at = XNN(child(at, json_array_get(path, i)));
    const json_t *last = json_array_get(path, n - 1);
    if (json_is_integer(last))
        assert_int_equal(json_array_set(at, (size_t)json_integer_value(last), value), 0);
    else if (value)
        assert_int_equal(json_object_set(at, json_string_value(last), value), 0);
    else
        (void)json_object_del(at, json_string_value(last));
}

static json_t *edit_of(const json_t *edits, const char *field)
{
    size_t i = 0;
    json_t *e = NULL;
    json_array_foreach(json_object_get(edits, "edits"), i, e)
    {
        if (strcmp(json_string_value(json_object_get(e, "field")), field) == 0)
            return e;
    }
    fail_msg("tests/golden/fields/edits.json has no edit of %s", field);
    return NULL;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What has to happen to a bottle that stands. */
static enum change_class cost(const struct desired *a, const struct desired *b)
{
    enum change_class worst = CHANGE_NONE;
    assert_int_equal(a->containers_len, b->containers_len);
    for (size_t i = 0; i < a->containers_len; i++) {
        const struct desired_container *x = &a->containers[i];
        const struct desired_container *y = &b->containers[i];
        AUTO_FREE char *limits_x = seal_limits(x);
        AUTO_FREE char *limits_y = seal_limits(y);
        enum change_class c = CHANGE_NONE;
        if (!same(x->spec_hash, y->spec_hash))
            c = x->role == ROLE_AGENT ? CHANGE_AGENT : CHANGE_SIDECAR;
        else if (!same(x->config_hash, y->config_hash) || !same(x->generation, y->generation))
            c = CHANGE_RELOAD;
        else if (!same(limits_x, limits_y))
            c = CHANGE_LIVE;
        worst = c > worst ? c : worst;
    }
    return worst;
}

static bool holds_value(const struct field *f)
{
    return f->kind != FIELD_OBJECT && f->kind != FIELD_LIST && f->kind != FIELD_DICT;
}

static char *path_of(const struct field *f)
{
    struct str path;
    str_init(&path, FIELD_PATH_MAX);
    field_path(f, &path);
    return XNN(str_take(&path));
}

static void check_edit(const json_t *base, const json_t *edit, const struct field *f)
{
    json_t *edited = XNN(json_deep_copy(base));
    put(edited, json_object_get(edit, "path"), json_object_get(edit, "value"));
    struct manifest_set *old = load(base, NULL);
    struct manifest_set *new = load(edited, NULL);
    const struct bottle *x = old->bottles[0].bottle;
    const struct bottle *y = new->bottles[0].bottle;
    struct desired *a = render(x);
    struct desired *b = render(y);
    struct change_list l;
    changes_find(x->text, y->text, &l);
    enum change_class true_cost = cost(a, b);
    if (true_cost != f->change || changes_worst(&l) != f->change || !l.len)
        fail_msg("%s.%s: declared %s, told %s, costs %s", f->parent, f->name,
                 change_class_name(f->change), change_class_name(changes_worst(&l)),
                 change_class_name(true_cost));
    change_list_done(&l);
    desired_free(a);
    desired_free(b);
    manifest_set_free(old);
    manifest_set_free(new);
    json_decref(edited);
}

static void every_field_costs_what_it_says(void **state)
{
    (void)state;
    json_t *edits = load_edits();
    size_t tried = 0;
    for (size_t i = 0; i < fields_bottle.len; i++) {
        const struct field *f = &fields_bottle.fields[i];
        if (!holds_value(f))
            continue;
        AUTO_FREE char *path = path_of(f);
        const json_t *edit = edit_of(edits, path);
        if (json_object_get(edit, "not"))
            continue;
        check_edit(json_object_get(edits, "base"), edit, f);
        tried++;
    }
    assert_true(tried > 40);
    json_decref(edits);
}

/* ---- another version's defaults -------------------------------------------------------------- */

static const struct defaults *pinned_of(void *ctx, const char *bottle)
{
    (void)bottle;
    return ctx;
}

/* All that decides whether something is replaced, reloaded or updated. */
static char *decisive(const struct desired *d)
{
    struct str out;
    str_init(&out, 256 * 1024);
    for (size_t i = 0; i < d->containers_len; i++) {
        const struct desired_container *c = &d->containers[i];
        AUTO_FREE char *body = XNN(json_dumps(c->body, JSON_SORT_KEYS));
        AUTO_FREE char *limits = seal_limits(c);
        str_addf(&out, "%s %s %s %s %d %d\n%s\n%s\n", c->name, c->spec_hash,
                 c->config_hash ? c->config_hash : "-", c->generation ? c->generation : "-",
                 (int)c->restart, (int)c->pull_policy, limits, body);
    }
    for (size_t i = 0; i < d->volumes_len; i++)
        str_addf(&out, "%s %d\n", d->volumes[i].name, d->volumes[i].retain);
    return XNN(str_take(&out));
}

static char *decisive_under(const json_t *manifest, struct defaults *pinned)
{
    const struct manifest_rules rules = {.defaults = pinned_of, .defaults_ctx = pinned};
    struct manifest_set *set = load(manifest, pinned ? &rules : NULL);
    struct desired *d = render(set->bottles[0].bottle);
    char *text = decisive(d);
    desired_free(d);
    manifest_set_free(set);
    return text;
}

/* A default is that of every item of a list: leaves only those that `path` goes through. Returns
 * the path in what is left. */
static json_t *only_on(json_t *root, const json_t *path)
{
    json_t *shorter = XNN(json_deep_copy(path));
    json_t *at = root;
    for (size_t i = 0; i + 1 < json_array_size(path); i++) {
        const json_t *step = json_array_get(path, i);
        json_t *next = XNN(child(at, step));
        if (json_is_integer(step)) {
            json_incref(next);
            json_array_clear(at);
            json_array_append_new(at, next);
            json_array_set_new(shorter, i, json_integer(0));
        }
        at = next;
    }
    return shorter;
}

/* A bottle that an older version made, where the field's default was `value`: it stands as if its
 * manifest said so. */
static void check_pinned(const json_t *base, const json_t *edit, const char *path)
{
    json_t *value = json_object_get(edit, "value");
    json_t *silent = XNN(json_deep_copy(base));
    json_t *steps = only_on(silent, json_object_get(edit, "path"));
    json_t *said = XNN(json_deep_copy(silent));
    put(silent, steps, NULL);
    put(said, steps, value);
    AUTO_FREE char *written = json_is_string(value) ? xstrdup(json_string_value(value))
                                                    : json_dumps(value, JSON_ENCODE_ANY);
    AUTO_FREE char *text = xasprintf("{\"%s\": \"%s\"}", path, written);
    struct defaults *pinned = NULL;
    fx_ok(defaults_parse(text, &pinned));
    AUTO_FREE char *before = decisive_under(said, NULL);
    AUTO_FREE char *after = decisive_under(silent, pinned);
    if (strcmp(after, before) != 0)
        fail_msg("%s by default, and the same written out:\n%s\n%s", path, after, before);
    defaults_free(pinned);
    json_decref(steps);
    json_decref(silent);
    json_decref(said);
}

static void another_default_changes_no_bottle_that_stands(void **state)
{
    (void)state;
    json_t *edits = load_edits();
    json_t *base = json_object_get(edits, "base");
    size_t tried = 0;
    for (size_t i = 0; i < fields_bottle.len; i++) {
        const struct field *f = &fields_bottle.fields[i];
        AUTO_FREE char *path = path_of(f);
        const json_t *edit = holds_value(f) ? edit_of(edits, path) : NULL;
        const json_t *value = json_object_get(edit, "value");
        bool optional = !(f->flags & (FIELD_REQUIRED | FIELD_REQUIRED_WHOLE)) &&
                        f->name[0] != '[' && f->name[0] != '*';
        /* What has to be written in its object, sometimes, never has a default. */
        bool either = strstr(path, "[].source") || strstr(path, "[].volume") ||
                      strstr(path, "[].content") || strstr(path, "[].secret") ||
                      strstr(path, ".update.window");
        if (!optional || either || json_is_object(value) || !value)
            continue;
        check_pinned(base, edit, path);
        tried++;
    }
    assert_true(tried >= 18);
    /* And all of today's together are today's. */
    AUTO_FREE char *text = defaults_text();
    struct defaults *today = NULL;
    fx_ok(defaults_parse(text, &today));
    AUTO_FREE char *with = decisive_under(base, today);
    AUTO_FREE char *without = decisive_under(base, NULL);
    assert_string_equal(with, without);
    defaults_free(today);
    json_decref(edits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_costs_what_it_says),
        cmocka_unit_test(another_default_changes_no_bottle_that_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
