/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/orphans.h"

#include "controller/controller.h"
#include "controller/log.h"
#include "render/proof.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

enum { ID_PART_MIN = 12, PATH_MAX_BYTES = 4096 };

struct orphan {
    struct controller *c;
    enum object_kind kind;
    char *id, *name, *bottle;
    char *self;    /* the name it should have; NULL: it can't be adopted */
    char *why;     /* it isn't proven */
    char *problem; /* of the last adoption */
    uint64_t request;
    bool seen;
};

struct orphans {
    struct orphan **items;
    size_t len;
    struct str_list forgotten; /* "<kind> <id>" */
};

static void orphan_free(struct orphan *o)
{
    engine_cancel(o->c->engine, o->request);
    free(o->id);
    free(o->name);
    free(o->bottle);
    free(o->self);
    free(o->why);
    free(o->problem);
    free(o);
}

struct orphans *orphans_free(struct orphans *o)
{
    if (!o)
        return NULL;
    for (size_t i = 0; i < o->len; i++)
        orphan_free(o->items[i]);
    free(o->items);
    str_list_done(&o->forgotten);
    free(o);
    return NULL;
}

struct err *orphans_open(struct controller *c, struct orphans **ret)
{
    AUTO_FREE char *text = NULL;
    TRY(state_load_file(c->state, STATE_FILE_FORGOTTEN, &text));
    struct orphans *o = xcalloc(1, sizeof(*o));
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v))
            str_list_add(&o->forgotten, json_string_value(v));
    }
    if (text && !list)
        log_at(LOG_WARN,
               "what was forgotten of orphans is damaged in the state directory, ignoring");
    json_decref(list);
    *ret = o;
    return NULL;
}

static void keep_forgotten(struct controller *c)
{
    const struct str_list *l = &c->orphans->forgotten;
    if (c->opt.mode == MODE_PLAN)
        return;
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < l->len; i++)
        json_array_append_new(list, json_string(l->items[i]));
    AUTO_FREE char *text = XNN(json_dumps(list, JSON_INDENT(1)));
    json_decref(list);
    AUTO_ERR e = state_store_file(c->state, STATE_FILE_FORGOTTEN, sv_of(l->len ? text : ""));
    if (e)
        log_at(LOG_ERROR, "keeping what is forgotten of orphans: %s, ignoring", err_message(e));
}

static char *key_of(enum object_kind kind, const char *id)
{
    return xasprintf("%s %s", object_kind_name(kind), id);
}

static struct orphan *find(const struct orphans *all, enum object_kind kind, const char *id)
{
    for (size_t i = 0; i < all->len; i++) {
        if (all->items[i]->kind == kind && strcmp(all->items[i]->id, id) == 0)
            return all->items[i];
    }
    return NULL;
}

static void note(struct controller *c, const struct object_ref *ref)
{
    struct orphans *all = c->orphans;
    const char *installation = state_installation(c->state);
    struct orphan *o = find(all, ref->kind, ref->id);
    bool is_new = !o;
    if (is_new) {
        all->items = xreallocarray(all->items, all->len + 1, sizeof(struct orphan *));
        o = xcalloc(1, sizeof(*o));
        *o = (struct orphan){.c = c, .kind = ref->kind, .id = xstrdup(ref->id)};
        all->items[all->len++] = o;
    }
    o->seen = true;
    free(o->name);
    free(o->bottle);
    free(o->self);
    free(o->why);
    AUTO_FREE char *lacks = proof_lacks(ref, installation);
    o->name = xstrdup(ref->name);
    o->bottle = xstrdup_null(ref->owner->bottle);
    o->self = lacks || ref->kind != OBJECT_CONTAINER ? NULL : xstrdup(ref->owner->self);
    o->why = proof_text(ref, installation);
    if (is_new)
        journal_add(c->journal, NULL, JOURNAL_WARNING, "OrphanFound",
                    xasprintf("%s '%s' (%.12s) carries our label, but %s: it is left alone; "
                              "`bottler adopt` or `bottler forget` settle it",
                              object_kind_name(o->kind), o->name, o->id, o->why));
}

/* Those that are gone, or have become proven or forgotten, are no orphans any more. */
static void drop_unseen(struct orphans *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->len; i++) {
        if (all->items[i]->seen)
            all->items[n++] = all->items[i];
        else
            orphan_free(all->items[i]);
    }
    all->len = n;
}

void orphans_look(struct controller *c)
{
    struct orphans *all = c->orphans;
    struct object_ref *refs = NULL;
    struct str_list still = {0};
    size_t n = observed_objects(c->observed, state_installation(c->state), &refs);
    for (size_t i = 0; i < all->len; i++)
        all->items[i]->seen = false;
    for (size_t i = 0; i < n; i++) {
        AUTO_FREE char *key = key_of(refs[i].kind, refs[i].id);
        if (refs[i].proven)
            continue;
        if (str_list_has(&all->forgotten, key))
            str_list_add(&still, key);
        else
            note(c, &refs[i]);
    }
    free(refs);
    drop_unseen(all);
    bool dropped = still.len != all->forgotten.len;
    str_list_done(&all->forgotten);
    all->forgotten = still;
    if (dropped)
        keep_forgotten(c);
}

json_t *orphans_json(const struct controller *c)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; c->orphans && i < c->orphans->len; i++) {
        const struct orphan *o = c->orphans->items[i];
        json_array_append_new(
            list, XNN(json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s?}", "kind",
                                object_kind_name(o->kind), "id", o->id, "name", o->name, "bottle",
                                o->bottle, "why", o->why, "problem", o->problem)));
    }
    return list;
}

/* ---- settling one ---------------------------------------------------------------------------- */

static bool called(const struct orphan *o, const char *which)
{
    size_t n = strlen(which);
    return strcmp(o->name, which) == 0 || strcmp(o->id, which) == 0 ||
           (n >= ID_PART_MIN && o->kind != OBJECT_VOLUME && strncmp(o->id, which, n) == 0);
}

static struct err *pick(const struct controller *c, const char *which, struct orphan **ret)
{
    struct orphan *found = NULL;
    for (size_t i = 0; i < c->orphans->len; i++) {
        struct orphan *o = c->orphans->items[i];
        if (!called(o, which))
            continue;
        if (found)
            return err_new(ERR_CONFLICT, "'%s' is more than one orphan: give an id (%s, %s)", which,
                           found->id, o->id);
        found = o;
    }
    if (!found)
        return err_new(ERR_NOT_FOUND,
                       "no orphan is called '%s'; `bottler prune --dry-run` lists them", which);
    *ret = found;
    return NULL;
}

static const struct observed_container *holder(const struct controller *c, const char *name)
{
    for (size_t i = 0; i < c->observed->containers_len; i++) {
        if (strcmp(c->observed->containers[i].name, name) == 0)
            return &c->observed->containers[i];
    }
    return NULL;
}

static void on_renamed(void *ctx, const struct engine_response *r)
{
    struct orphan *o = ctx;
    struct controller *c = o->c;
    AUTO_ERR e = engine_check(r, "giving it its name back");
    o->request = 0;
    free(o->problem);
    o->problem = e ? xstrdup(err_message(e)) : NULL;
    if (e)
        journal_add(c->journal, NULL, JOURNAL_WARNING, "AdoptFailed",
                    xasprintf("container '%s': %s", o->name, o->problem));
    else
        journal_add(c->journal, o->bottle, JOURNAL_NORMAL, "Adopted",
                    xasprintf("container '%s' is '%s' again", o->name, o->self));
    observe(c);
    report_changed(c);
}

struct err *orphans_adopt(struct controller *c, const char *which, char **ret_id)
{
    struct orphan *o = NULL;
    TRY(pick(c, which, &o));
    assert(o);
    if (!o->self)
        return err_new(ERR_CONFLICT, "%s '%s' can't be adopted: %s%s", object_kind_name(o->kind),
                       o->name, o->why,
                       o->kind == OBJECT_CONTAINER ? ", and labels can't be changed"
                                                   : ", and only containers can be renamed");
    const struct observed_container *other = holder(c, o->self);
    if (other)
        return err_new(
            ERR_CONFLICT,
            "container '%s' can't be adopted: its name '%s' is taken by %.12s; remove one "
            "of them, or `bottler forget %.12s`",
            o->name, o->self, other->id, o->id);
    if (!c->connected)
        return err_new(ERR_UNAVAILABLE, "the engine can't be reached now");
    if (!o->request) {
        struct str path;
        str_init(&path, PATH_MAX_BYTES);
        str_addf(&path, "/containers/%s/rename?name=", o->id);
        str_add_url(&path, sv_of(o->self), "");
        struct engine_request q = {.method = "POST", .path = path.p, .lane = LANE_WORK};
        free(o->problem);
        o->problem = NULL;
        o->request = engine_send(c->engine, &q, on_renamed, o);
        str_done(&path);
    }
    *ret_id = xstrdup(o->id);
    return NULL;
}

struct err *orphans_forget(struct controller *c, const char *which, char **ret_id)
{
    struct orphan *o = NULL;
    TRY(pick(c, which, &o));
    assert(o);
    str_list_add_take(&c->orphans->forgotten, key_of(o->kind, o->id));
    keep_forgotten(c);
    journal_add(c->journal, NULL, JOURNAL_NORMAL, "OrphanForgotten",
                xasprintf("%s '%s' (%.12s)", object_kind_name(o->kind), o->name, o->id));
    *ret_id = xstrdup(o->id);
    for (size_t i = 0; i < c->orphans->len; i++)
        c->orphans->items[i]->seen = c->orphans->items[i] != o;
    drop_unseen(c->orphans);
    report_changed(c);
    return NULL;
}
