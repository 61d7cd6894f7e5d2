/* SPDX-License-Identifier: Apache-2.0 */
/* What people can do about deletion and orphans, over the socket. */
#include "controller/routes.h"
#include "reconcile/clock.h"
#include "render/proof.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum {
    STATUS_ACCEPTED = 202,
    STATUS_BAD = 400,
    STATUS_NONE = 404,
    STATUS_CONFLICT = 409,
    STATUS_LATER = 503
};

static json_t *failure(const struct err *e, int *ret_status)
{
    enum err_kind k = err_kind(e);
    int status = k == ERR_NOT_FOUND ? STATUS_NONE : STATUS_LATER;
    return route_refuse(k == ERR_CONFLICT ? STATUS_CONFLICT : status, ret_status, "%s",
                        err_message(e));
}

/* ---- what stands to be deleted --------------------------------------------------------------- */

static bool is_kept(const struct worker *w, const struct object_ref *ref)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    return ref->kind == OBJECT_VOLUME &&
           (ref->retained ||
            volume_is_retained(e ? e->bottle : NULL, w->c->opt.instance, w->name, ref->name));
}

static json_t *objects_of(const struct worker *w, const struct object_ref *refs, size_t n)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < n; i++) {
        const struct observed_owner *o = refs[i].owner;
        if (!refs[i].proven || strcmp(o->bottle, w->name) != 0)
            continue;
        json_t *proof = XNN(json_pack("{s:s, s:s, s:s, s:s}", "installation", o->installation,
                                      "role", o->role, "uid", o->uid, "self", o->self));
        json_array_append_new(
            list, XNN(json_pack("{s:s, s:s, s:s, s:b, s:o}", "kind", object_kind_name(refs[i].kind),
                                "name", refs[i].name, "id", refs[i].id, "retained",
                                is_kept(w, &refs[i]), "proof", proof)));
    }
    return list;
}

static json_t *item(const struct worker *w, const char *verdict, const char *reason,
                    const char *message, json_t *objects_take)
{
    const struct grave *g = deletion_of(w);
    char until[CLOCK_TEXT] = "";
    if (g && g->verdict == GRAVE_WAITS)
        clock_format(g->until_s, until);
    return XNN(json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:o}", "name", w->name, "verdict", verdict,
                         "reason", reason, "message", message, "until", *until ? until : NULL,
                         "objects", objects_take));
}

static json_t *unknown_item(const struct worker *w, json_t *objects_take)
{
    AUTO_FREE char *message =
        xasprintf("%s, so nobody knows whether its manifest has gone, and it stays: bring the "
                  "directory back, or `bottler prune --approve` takes it for empty",
                  w->c->manifests_error);
    return item(w, "held", "SourceMissing", message, objects_take);
}

/* Its directory isn't there, so that nobody knows whether its manifest is. */
static bool is_missing(const struct worker *w)
{
    return w->c->manifests_error && deletion_missing(w);
}

static json_t *list(struct controller *c)
{
    json_t *items = XNN(json_array());
    struct object_ref *refs = NULL;
    size_t n = c->observed ? observed_objects(c->observed, state_installation(c->state), &refs) : 0;
    for (size_t i = 0; i < c->workers_len; i++) {
        const struct worker *w = c->workers[i];
        const struct grave *g = deletion_of(w);
        if (is_missing(w))
            json_array_append_new(items, unknown_item(w, objects_of(w, refs, n)));
        else if (g)
            json_array_append_new(items, item(w, grave_verdict_name(g->verdict),
                                              g->reason ? grave_reason_name(g->reason) : NULL,
                                              g->message, objects_of(w, refs, n)));
    }
    free(refs);
    return XNN(json_pack("{s:s, s:s, s:o, s:o, s:s?}", "apiVersion", "bottler.dev/v1", "kind",
                         "PruneList", "items", items, "orphans", orphans_json(c), "problem",
                         c->manifests_error));
}

/* ---- approval -------------------------------------------------------------------------------- */

/* The names in that list. */
static void note_listed(const struct controller *c, struct str_list *ret)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        if (is_missing(c->workers[i]) || deletion_of(c->workers[i]))
            str_list_add(ret, c->workers[i]->name);
    }
}

/* Only whole directories that aren't there can be taken for empty. NULL: what has gone is known. */
static const char *become_known(struct controller *c, bool by_name)
{
    if (!c->observed)
        return "the engine has not been listed yet, so nothing is approved; try again";
    bool missing = false;
    for (size_t i = 0; i < c->workers_len; i++)
        missing = missing || deletion_missing(c->workers[i]);
    if (c->manifests_error && (by_name || !missing))
        return c->manifests_error;
    if (!by_name)
        deletion_believe(c);
    manifests_load(c); /* what has come back by now isn't approved */
    if (c->manifests_error)
        return c->manifests_error;
    return c->manifests_known ? NULL : "the manifests have not been listed yet; try again";
}

static void approve_one(struct controller *c, const char *name, bool named, json_t *done)
{
    if (!graves_approve(deletion_graves(c), name, named))
        return;
    journal_add(c->journal, name, JOURNAL_NORMAL, "PruneApproved",
                xstrdup(named ? "asked for by its name" : "with everything that was listed"));
    json_array_append_new(done, json_string(name));
}

static void approve_named(struct controller *c, const json_t *names, const struct str_list *listed,
                          json_t *done, json_t *not_done)
{
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(names, i, v)
    {
        const char *name = json_string_value(v);
        bool was = name && str_list_has(listed, name);
        const struct grave *g = was ? graves_find(deletion_graves(c), name) : NULL;
        if (g)
            approve_one(c, g->name, true, done);
        else
            json_array_append_new(
                not_done, XNN(json_pack("{s:s, s:s}", "name", name ? name : "", "message",
                                        "it is not to be deleted: a manifest wants it, or there is "
                                        "no such bottle")));
    }
}

static void approve_all(struct controller *c, const struct str_list *listed, json_t *done,
                        json_t *not_done)
{
    const struct graves *all = deletion_graves(c);
    for (size_t i = 0; i < all->len; i++) {
        const struct grave *g = all->items[i];
        if (!str_list_has(listed, g->name))
            continue; /* it has only just gone */
        if (g->verdict == GRAVE_WAITS || g->reason == GRAVE_TOO_MANY || g->reason == GRAVE_SOURCE)
            approve_one(c, g->name, false, done);
        else if (g->verdict == GRAVE_HELD)
            json_array_append_new(
                not_done, XNN(json_pack("{s:s, s:s}", "name", g->name, "message", g->message)));
    }
}

static json_t *approve(struct controller *c, const json_t *names, int *ret_status)
{
    bool by_name = json_array_size(names) > 0;
    AUTO(str_list_done) struct str_list listed = {0};
    note_listed(c, &listed);
    const char *why_not = become_known(c, by_name);
    if (why_not)
        return route_refuse(STATUS_CONFLICT, ret_status, "%s", why_not);
    json_t *done = XNN(json_array());
    json_t *not_done = XNN(json_array());
    (void)deletion_update(c);
    if (by_name)
        approve_named(c, names, &listed, done, not_done);
    else
        approve_all(c, &listed, done, not_done);
    controller_dispatch(c);
    report_changed(c);
    return XNN(json_pack("{s:o, s:o}", "approved", done, "notApproved", not_done));
}

/* ---- the requests ---------------------------------------------------------------------------- */

json_t *api_prune(const struct route_call *call, int *ret_status)
{
    const json_t *yes = json_object_get(call->q->body, "approve");
    const json_t *names = json_object_get(call->q->body, "names");
    if (!json_is_boolean(yes) || (names && !json_is_array(names)))
        return route_refuse(STATUS_BAD, ret_status,
                            "expected {\"approve\": BOOLEAN, \"names\": [NAME…]}");
    return json_is_true(yes) ? approve(call->c, names, ret_status) : list(call->c);
}

static json_t *settle(const struct route_call *call, bool adopt, int *ret_status)
{
    const char *which = json_string_value(json_object_get(call->q->body, "object"));
    AUTO_FREE char *id = NULL;
    if (!which || !*which)
        return route_refuse(STATUS_BAD, ret_status, "expected {\"object\": NAME or ID}");
    if (!call->c->observed)
        return route_refuse(STATUS_LATER, ret_status,
                            "the engine has not been listed yet; try again");
    AUTO_ERR e = adopt ? orphans_adopt(call->c, which, &id) : orphans_forget(call->c, which, &id);
    if (e)
        return failure(e, ret_status);
    *ret_status = adopt ? STATUS_ACCEPTED : *ret_status;
    return XNN(json_pack("{s:s}", "id", id));
}

json_t *api_adopt(const struct route_call *call, int *ret_status)
{
    return settle(call, true, ret_status);
}

json_t *api_forget(const struct route_call *call, int *ret_status)
{
    return settle(call, false, ret_status);
}
