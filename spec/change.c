/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/change.h"

#include "spec/base/xalloc.h"
#include "spec/canonical.h"
#include "spec/change_text.h"

#include <string.h>

/* What stands for a key that the table doesn't have. */
static const struct field unknown = {.parent = "", .name = "", .kind = FIELD_TEXT};

struct finder {
    struct change_list *out;
    const struct defaults *defaults;
    struct str at;    /* path in the table */
    struct str shown; /* the same with keys and identities */
};

struct place {
    size_t at;
    size_t shown;
};

static struct place enter(struct finder *c, const char *name)
{
    struct place p = {c->at.len, c->shown.len};
    if (c->at.len && strcmp(name, "[]") != 0)
        str_addc(&c->at, '.');
    str_add(&c->at, name);
    return p;
}

static void leave(struct finder *c, struct place p)
{
    field_path_cut(&c->at, p.at);
    field_path_cut(&c->shown, p.shown);
}

static enum change_class class_of(const struct field *f)
{
    return f->change == CHANGE_UNSET ? CHANGE_AGENT : f->change;
}

static const char *loses(const struct field *f)
{
    return f->change == CHANGE_UNSET ? "nobody knows what" : field_loses(f);
}

/* `f` says what it costs. */
static void add(struct finder *c, const struct field *f, char *old_take, char *new_take)
{
    struct change_list *l = c->out;
    l->items = xreallocarray(l->items, l->len + 1, sizeof(*l->items));
    l->items[l->len++] = (struct change){.field = xstrdup(c->shown.p),
                                         .old_text = old_take,
                                         .new_text = new_take,
                                         .change = class_of(f),
                                         .loses_state = loses(f) != NULL,
                                         .loses = loses(f),
                                         .reason = field_reason(f)};
}

static bool is_structure(const struct field *f)
{
    return f->kind == FIELD_OBJECT || f->kind == FIELD_SWITCH || f->kind == FIELD_LIST ||
           f->kind == FIELD_DICT;
}

/* A structure that is empty is as one that isn't there. */
static const struct yaml_node *given(const struct field *f, const struct yaml_node *n)
{
    return n && n->kind == YAML_NULL && is_structure(f) ? NULL : n;
}

/* ---- scalars --------------------------------------------------------------------------------- */

static void compare_scalar(struct finder *c, const struct field *f, const struct yaml_node *a,
                           const struct yaml_node *b)
{
    const char *def_text = defaults_get(c->defaults, f);
    AUTO_FREE char *x = field_normal(f, a, def_text);
    AUTO_FREE char *y = field_normal(f, b, def_text);
    if (x == y || (x && y && strcmp(x, y) == 0))
        return;
    struct yaml_node def = {.file = "", .kind = YAML_STRING, .text = def_text};
    const struct yaml_node *filled = def_text ? &def : NULL;
    char *old = NULL;
    char *new = NULL;
    if (x && y)
        change_text_pair(f, a ? a : filled, b ? b : filled, &old, &new);
    else if (x)
        old = change_text(f, c->at.p, a);
    else
        new = change_text(f, c->at.p, b);
    add(c, f, old, new);
}

/* ---- what comes and goes whole --------------------------------------------------------------- */

static const struct field *dearer(const struct field *a, const struct field *b)
{
    return class_of(b) > class_of(a) ? b : a;
}

static const struct field *child_of(const char *at, const char *key)
{
    const struct field *f = field_find(&fields_bottle, at, key);
    return f ? f : field_find(&fields_bottle, at, "*");
}

/* The dearest field that is given below `n` and says something other than its default. */
static const struct field *dearest(struct finder *c, const struct field *f,
                                   const struct yaml_node *n)
{
    const struct field *best = f;
    for (size_t i = 0; (n->kind == YAML_MAP || n->kind == YAML_SEQ) && i < n->len; i++) {
        const struct field *child = n->kind == YAML_SEQ ? field_find(&fields_bottle, c->at.p, "[]")
                                                        : child_of(c->at.p, n->pairs[i].key);
        const struct yaml_node *value = child ? given(child, n->pairs[i].value) : NULL;
        if (!child)
            best = dearer(best, &unknown);
        if (!value)
            continue;
        struct place p = enter(c, child->name);
        if (is_structure(child)) {
            /* An empty one says nothing. */
            if (value->len)
                best = dearer(best, dearest(c, child->kind == FIELD_OBJECT ? best : child, value));
        } else {
            AUTO_FREE char *said = field_normal(child, value, NULL);
            AUTO_FREE char *unsaid = field_normal(child, NULL, defaults_get(c->defaults, child));
            if (!unsaid || strcmp(said, unsaid) != 0)
                best = dearer(best, child);
        }
        leave(c, p);
    }
    return best;
}

/* An item `f` that only one side has; c->at is its path. */
static void compare_lone(struct finder *c, const struct field *f, const struct yaml_node *a,
                         const struct yaml_node *b)
{
    char *old = change_text(f, c->at.p, a);
    char *new = change_text(f, c->at.p, b);
    add(c, dearest(c, f, a ? a : b), old, new);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* What an item is known by. Owned by the caller. */
static char *item_id(const struct field *list, const struct field *item, const char *item_at,
                     const struct yaml_node *n)
{
    if (!is_structure(item))
        return field_normal(item, n, NULL);
    const struct field *f = field_find(&fields_bottle, item_at, list->identity);
    const struct yaml_node *id = yaml_get(n, list->identity);
    return f && id ? field_normal(f, id, NULL) : xstrdup("");
}

struct ids {
    char **items;
    size_t *order; /* indexes, by item */
    size_t len;
};

struct id_at {
    const char *id;
    size_t at;
};

static int by_id(const void *a, const void *b)
{
    const struct id_at *x = a;
    const struct id_at *y = b;
    int c = strcmp(x->id, y->id);
    return c ? c : (x->at > y->at) - (x->at < y->at);
}

static void ids_init(struct ids *ids, struct finder *c, const struct field *list,
                     const struct yaml_node *n)
{
    const struct field *item = field_find(&fields_bottle, c->at.p, "[]");
    AUTO_FREE char *item_at = xasprintf("%s[]", c->at.p);
    ids->len = n ? n->len : 0;
    ids->items = xcalloc(ids->len + 1, sizeof(*ids->items));
    ids->order = xcalloc(ids->len + 1, sizeof(*ids->order));
    AUTO_FREE struct id_at *sorted = xcalloc(ids->len + 1, sizeof(*sorted));
    for (size_t i = 0; i < ids->len; i++) {
        ids->items[i] = item_id(list, item, item_at, n->pairs[i].value);
        sorted[i] = (struct id_at){ids->items[i], i};
    }
    qsort(sorted, ids->len, sizeof(*sorted), by_id);
    for (size_t i = 0; i < ids->len; i++)
        ids->order[i] = sorted[i].at;
}

static void ids_done(struct ids *ids)
{
    for (size_t i = 0; i < ids->len; i++)
        free(ids->items[i]);
    free(ids->items);
    free(ids->order);
}

static void compare_object(struct finder *c, const struct yaml_node *a, const struct yaml_node *b);

static void compare_item(struct finder *c, const struct field *item, const struct yaml_node *a,
                         const struct yaml_node *b)
{
    struct place p = enter(c, "[]");
    if (a && b)
        compare_object(c, a, b);
    else
        compare_lone(c, item, a, b);
    field_path_cut(&c->at, p.at);
}

static const struct yaml_node *item_at(const struct yaml_node *list, size_t i)
{
    return list && i < list->len ? list->pairs[i].value : NULL;
}

/* Both sorted by identity, side by side. `ret_moved`: those that both have are in another order. */
static void compare_known(struct finder *c, const struct field *list, const struct yaml_node *a,
                          const struct yaml_node *b, bool *ret_moved)
{
    const struct field *item = field_find(&fields_bottle, c->at.p, "[]");
    struct ids x;
    struct ids y;
    size_t shown = c->shown.len;
    ids_init(&x, c, list, a);
    ids_init(&y, c, list, b);
    AUTO_FREE size_t *partner = xcalloc(x.len + 1, sizeof(*partner)); /* in b, + 1; 0: none */
    for (size_t i = 0, j = 0; i < x.len || j < y.len;) {
        int d = i == x.len ? 1 : j == y.len ? -1 : strcmp(x.items[x.order[i]], y.items[y.order[j]]);
        size_t in_a = d <= 0 ? x.order[i++] : SIZE_MAX;
        size_t in_b = d >= 0 ? y.order[j++] : SIZE_MAX;
        str_addf(&c->shown, "[%s]", in_a != SIZE_MAX ? x.items[in_a] : y.items[in_b]);
        compare_item(c, item, item_at(a, in_a), item_at(b, in_b));
        field_path_cut(&c->shown, shown);
        if (d == 0)
            partner[in_a] = in_b + 1;
    }
    size_t last = 0;
    *ret_moved = false;
    for (size_t i = 0; i < x.len; i++) {
        *ret_moved = *ret_moved || (partner[i] && partner[i] < last);
        last = partner[i] ? partner[i] : last;
    }
    ids_done(&x);
    ids_done(&y);
}

/* The identities in their order, as a list of words. */
static char *order_text(struct finder *c, const struct field *list, const struct yaml_node *n)
{
    enum { ORDER_MAX = 1024 * 1024 };
    struct ids ids;
    struct str out;
    str_init(&out, ORDER_MAX);
    ids_init(&ids, c, list, n);
    for (size_t i = 0; i < ids.len && out.len < CHANGE_TEXT_MAX; i++)
        str_addf(&out, "%s%s", i ? ", " : "in the order ", ids.items[i]);
    ids_done(&ids);
    char *text = XNN(str_take(&out));
    if (strlen(text) > CHANGE_TEXT_MAX)
        memcpy(text + CHANGE_TEXT_MAX - 3, "...", sizeof("..."));
    return text;
}

static void compare_by_place(struct finder *c, const struct yaml_node *a, const struct yaml_node *b)
{
    const struct field *item = field_find(&fields_bottle, c->at.p, "[]");
    size_t shown = c->shown.len;
    size_t n = a && (!b || a->len > b->len) ? a->len : b ? b->len : 0;
    for (size_t i = 0; i < n; i++) {
        field_path_add_index(&c->shown, i);
        compare_item(c, item, item_at(a, i), item_at(b, i));
        field_path_cut(&c->shown, shown);
    }
}

/* A list of words is one value. Whether their order is part of it is the field's to say. */
static bool same_words(struct finder *c, const struct field *f, const struct yaml_node *a,
                       const struct yaml_node *b)
{
    struct ids x;
    struct ids y;
    ids_init(&x, c, f, a);
    ids_init(&y, c, f, b);
    bool ordered = f->flags & FIELD_ORDERED;
    bool same = x.len == y.len;
    for (size_t i = 0; same && i < x.len; i++)
        same = strcmp(x.items[ordered ? i : x.order[i]], y.items[ordered ? i : y.order[i]]) == 0;
    ids_done(&x);
    ids_done(&y);
    return same;
}

static bool is_list(const struct yaml_node *n)
{
    return n && n->kind == YAML_SEQ && n->len > 0;
}

static void compare_words(struct finder *c, const struct field *f, const struct yaml_node *a,
                          const struct yaml_node *b)
{
    if (same_words(c, f, a, b))
        return;
    char *old = NULL;
    char *new = NULL;
    if (a && b) {
        change_text_pair(f, a, b, &old, &new);
    } else {
        old = change_text(f, c->at.p, a);
        new = change_text(f, c->at.p, b);
    }
    add(c, f, old, new);
}

static void compare_list(struct finder *c, const struct field *f, const struct yaml_node *a_node,
                         const struct yaml_node *b_node)
{
    const struct yaml_node *a = is_list(a_node) ? a_node : NULL;
    const struct yaml_node *b = is_list(b_node) ? b_node : NULL;
    const struct field *item = field_find(&fields_bottle, c->at.p, "[]");
    bool moved = false;
    if (!is_structure(item))
        compare_words(c, f, a, b);
    else if (!f->identity)
        compare_by_place(c, a, b);
    else
        compare_known(c, f, a, b, &moved);
    if (moved && (f->flags & FIELD_ORDERED))
        add(c, f, order_text(c, f, a), order_text(c, f, b));
}

/* ---- maps ------------------------------------------------------------------------------------ */

static void compare_switch(struct finder *c, const struct field *f, const struct yaml_node *a,
                           const struct yaml_node *b)
{
    bool was = a && (a->kind == YAML_MAP || a->boolean);
    bool is = b && (b->kind == YAML_MAP || b->boolean);
    if (was != is)
        add(c, f, xstrdup(was ? "true" : "false"), xstrdup(is ? "true" : "false"));
    compare_object(c, a, b);
}

static void compare_value(struct finder *c, const struct field *f, const struct yaml_node *a,
                          const struct yaml_node *b)
{
    a = given(f, a);
    b = given(f, b);
    if (f->kind == FIELD_SWITCH)
        compare_switch(c, f, a, b);
    else if (f->kind == FIELD_LIST)
        compare_list(c, f, a, b);
    else if (f->kind == FIELD_OBJECT || f->kind == FIELD_DICT)
        compare_object(c, a, b);
    else
        compare_scalar(c, f, a, b);
}

/* What stands under a free key: an object comes and goes as one. */
static void compare_entry(struct finder *c, const struct field *f, const struct yaml_node *a,
                          const struct yaml_node *b)
{
    if (f->kind == FIELD_OBJECT && (!a || !b))
        compare_lone(c, f, a, b);
    else
        compare_value(c, f, a, b);
}

/* What the table doesn't know: nobody can say what it costs. */
static void compare_unknown(struct finder *c, const struct yaml_node *a, const struct yaml_node *b)
{
    AUTO_FREE char *x = a ? canonical_text(a) : NULL;
    AUTO_FREE char *y = b ? canonical_text(b) : NULL;
    if (x && y && strcmp(x, y) == 0)
        return;
    add(c, &unknown, change_text(NULL, c->at.p, a), change_text(NULL, c->at.p, b));
}

static void compare_key(struct finder *c, const char *key, const struct yaml_node *a,
                        const struct yaml_node *b)
{
    const struct field *f = field_find(&fields_bottle, c->at.p, "*");
    struct place p = enter(c, f ? "*" : key);
    field_path_add_key(&c->shown, key);
    if (f)
        compare_entry(c, f, a, b);
    else
        compare_unknown(c, a, b);
    leave(c, p);
}

/* Keys that aren't the names of fields: those of a dict, and what the table doesn't know. */
static void compare_free_keys(struct finder *c, const struct yaml_node *a,
                              const struct yaml_node *b)
{
    for (size_t i = 0; a && a->kind == YAML_MAP && i < a->len; i++) {
        if (!field_find(&fields_bottle, c->at.p, a->pairs[i].key))
            compare_key(c, a->pairs[i].key, a->pairs[i].value, yaml_get(b, a->pairs[i].key));
    }
    for (size_t i = 0; b && b->kind == YAML_MAP && i < b->len; i++) {
        const char *key = b->pairs[i].key;
        if (!field_find(&fields_bottle, c->at.p, key) && !yaml_get(a, key))
            compare_key(c, key, NULL, b->pairs[i].value);
    }
}

static void compare_object(struct finder *c, const struct yaml_node *a, const struct yaml_node *b)
{
    for (const struct field *f = field_next(&fields_bottle, c->at.p, NULL); f;
         f = field_next(&fields_bottle, c->at.p, f)) {
        if (strcmp(f->name, "*") == 0)
            continue;
        struct place p = enter(c, f->name);
        field_path_add_key(&c->shown, f->name);
        compare_value(c, f, yaml_get(a, f->name), yaml_get(b, f->name));
        leave(c, p);
    }
    compare_free_keys(c, a, b);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int dearest_first(const void *a, const void *b)
{
    const struct change *x = a;
    const struct change *y = b;
    if (x->change != y->change)
        return x->change > y->change ? -1 : 1;
    return strcmp(x->field, y->field);
}

static const struct yaml_node *root_of(struct yaml_file *f, const char *text)
{
    yaml_file_parse(f, "", sv_of(text));
    bool one = f->ok && f->len == 1 && f->docs[0].root && f->docs[0].root->kind == YAML_MAP;
    return one ? f->docs[0].root : NULL;
}

void changes_find(const char *old_text, const char *new_text, struct change_list *ret)
{
    changes_find_with(old_text, new_text, NULL, ret);
}

void changes_find_with(const char *old_text, const char *new_text, const struct defaults *defaults,
                       struct change_list *ret)
{
    struct yaml_file a = {0};
    struct yaml_file b = {0};
    const struct yaml_node *old = root_of(&a, old_text);
    const struct yaml_node *new = root_of(&b, new_text);
    *ret = (struct change_list){0};
    struct finder c = {.out = ret, .defaults = defaults};
    str_init(&c.at, FIELD_PATH_MAX);
    str_init(&c.shown, FIELD_PATH_MAX);
    if (old && new) {
        compare_object(&c, old, new);
    } else if (strcmp(old_text, new_text) != 0) {
        str_add(&c.shown, "spec");
        add(&c, &unknown, NULL, NULL);
    }
    str_done(&c.at);
    str_done(&c.shown);
    yaml_file_done(&a);
    yaml_file_done(&b);
    if (ret->len)
        qsort(ret->items, ret->len, sizeof(*ret->items), dearest_first);
}

enum change_class changes_worst(const struct change_list *l)
{
    enum change_class worst = CHANGE_NONE;
    for (size_t i = 0; i < l->len; i++)
        worst = l->items[i].change > worst ? l->items[i].change : worst;
    return worst;
}

void change_list_done(struct change_list *l)
{
    for (size_t i = 0; i < l->len; i++) {
        free(l->items[i].field);
        free(l->items[i].old_text);
        free(l->items[i].new_text);
    }
    free(l->items);
    *l = (struct change_list){0};
}
