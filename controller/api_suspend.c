/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/suspend and /v1/resume. */
#include "controller/routes.h"
#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <time.h>

struct wish {
    char *who;
    const char *reason; /* NULL: none */
    int64_t until_s;    /* 0: until it is resumed */
};

/* ---- the answer ------------------------------------------------------------------------------ */

static void add_item(json_t *items, const struct worker *w)
{
    bool by_hand = suspension_holds(&w->by_hand, (int64_t)time(NULL));
    json_array_append_new(items,
                          XNN(json_pack("{s:s, s:o}", "name", w->name, "suspended",
                                        by_hand ? suspension_json(&w->by_hand) : json_null())));
}

static json_t *failure(const struct worker *w, const struct err *e, int *ret_status)
{
    if (err_kind(e) == ERR_NOT_FOUND)
        return route_refuse(409, ret_status,
                            "bottle '%s' has no accepted manifest yet: there is nothing to keep",
                            w->name);
    return route_refuse(503, ret_status, "bottle '%s': %s", w->name, err_message(e));
}

/* ---- suspend --------------------------------------------------------------------------------- */

static json_t *read_wish(const struct route_call *call, struct wish *ret, int *ret_status)
{
    const char *until = NULL;
    uint32_t ns = 0;
    json_t *refusal = route_text(call, "reason", SUSPENSION_REASON_MAX, &ret->reason, ret_status);
    if (!refusal)
        refusal = route_text(call, "until", CLOCK_TEXT, &until, ret_status);
    if (refusal || !until)
        return refusal;
    if (!clock_parse(until, &ret->until_s, &ns))
        return route_refuse(400, ret_status,
                            "until: expected a time such as 2026-12-01T00:00:00Z, got '%s'", until);
    if (ret->until_s <= (int64_t)time(NULL))
        return route_refuse(400, ret_status, "until: expected a time to come, got '%s'", until);
    return NULL;
}

/* One that is suspended already stays so since then. */
static struct err *suspend_one(struct worker *w, const struct wish *wish)
{
    int64_t now = (int64_t)time(NULL);
    bool already = suspension_holds(&w->by_hand, now);
    struct suspension s = {.who = xstrdup(wish->who),
                           .reason = xstrdup_null(wish->reason),
                           .since_s = already ? w->by_hand.since_s : now,
                           .until_s = wish->until_s};
    TRY(suspend_store(w, &s));
    worker_status(w);
    return NULL;
}

json_t *api_suspend(const struct route_call *call, int *ret_status)
{
    AUTO(named_done) struct named names = {0};
    struct wish wish = {0};
    json_t *refusal = route_named(call, &names, ret_status);
    if (!refusal)
        refusal = read_wish(call, &wish, ret_status);
    if (refusal)
        return refusal;
    AUTO_FREE char *who = route_user(call);
    wish.who = who;
    json_t *items = XNN(json_array());
    for (size_t i = 0; i < names.len; i++) {
        AUTO_ERR e = suspend_one(names.items[i], &wish);
        if (e && !(names.all && err_kind(e) == ERR_NOT_FOUND)) {
            json_decref(items);
            return failure(names.items[i], e, ret_status);
        }
        if (!e)
            add_item(items, names.items[i]);
    }
    controller_dispatch(call->c); /* its end is waited for */
    return XNN(json_pack("{s:o, s:[]}", "items", items, "refused"));
}

/* ---- resume ---------------------------------------------------------------------------------- */

/* Why it can't be resumed by hand, the caller frees; NULL: it can. */
static char *why_not(const struct worker *w)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    if (!e || !manifest_suspends(e->bottle, (int64_t)time(NULL)))
        return NULL;
    return xasprintf("bottle '%s' is suspended by its manifest, %s:%u: take spec.suspend out there",
                     w->name, e->file ? e->file : "the last good one", e->pos.line);
}

static struct err *resume_one(struct worker *w)
{
    struct suspension nobody = {0};
    if (!w->by_hand.who)
        return NULL;
    TRY(suspend_store(w, &nobody));
    worker_retry(w);
    worker_status(w);
    return NULL;
}

static json_t *resume_all(const struct named *names, json_t *items, json_t *refused,
                          int *ret_status)
{
    for (size_t i = 0; i < names->len; i++) {
        struct worker *w = names->items[i];
        AUTO_FREE char *why = why_not(w);
        AUTO_ERR e = why ? NULL : resume_one(w);
        if (e)
            return failure(w, e, ret_status);
        if (why)
            json_array_append_new(refused,
                                  XNN(json_pack("{s:s, s:s}", "name", w->name, "why", why)));
        else
            add_item(items, w);
    }
    return NULL;
}

/* Of those that are named none is touched when one can't be; of all, those that can. */
json_t *api_resume(const struct route_call *call, int *ret_status)
{
    AUTO(named_done) struct named names = {0};
    json_t *refusal = route_named(call, &names, ret_status);
    for (size_t i = 0; !refusal && !names.all && i < names.len; i++) {
        AUTO_FREE char *why = why_not(names.items[i]);
        if (why)
            refusal = route_refuse(409, ret_status, "%s", why);
    }
    if (refusal)
        return refusal;
    json_t *items = XNN(json_array());
    json_t *refused = XNN(json_array());
    refusal = resume_all(&names, items, refused, ret_status);
    controller_dispatch(call->c);
    json_t *answer = XNN(json_pack("{s:o, s:o}", "items", items, "refused", refused));
    if (!refusal)
        return answer;
    json_decref(answer);
    return refusal;
}
