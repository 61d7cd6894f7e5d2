/* SPDX-License-Identifier: Apache-2.0 */
/* Status as JSON: what the API serves and `get` prints. */
#include "controller/controller.h"
#include "controller/log.h"
#include "controller/rotation.h"
#include "controller/routes.h"
#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <string.h>
#include <time.h>

static json_t *retry_time(const struct worker *w)
{
    uint64_t now = now_ns(w->c);
    if (!w->dirty || w->exec || w->not_before_ns <= now)
        return json_null();
    char text[CLOCK_TEXT];
    clock_format((int64_t)time(NULL) + (int64_t)((w->not_before_ns - now) / NS_PER_S), text);
    return XNN(json_string(text));
}

static json_t *labels(const struct catalog_entry *e)
{
    json_t *o = XNN(json_object());
    for (size_t i = 0; e && e->bottle && i < e->bottle->labels.len; i++)
        json_object_set_new(o, e->bottle->labels.items[i].key,
                            json_string(e->bottle->labels.items[i].value));
    return o;
}

static json_t *metadata(const struct worker *w, const struct catalog_entry *e)
{
    json_t *source = json_null();
    if (e && e->file)
        source = XNN(json_pack("{s:s, s:i, s:s?}", "file", e->file, "line", (int)e->pos.line,
                               "revision", e->revision));
    return XNN(json_pack("{s:s, s:s?, s:I, s:o, s:o}", "name", w->name, "uid",
                         w->have_identity ? w->identity.uid : NULL, "generation",
                         (json_int_t)(e ? e->generation : 0), "labels", labels(e), "source",
                         source));
}

/* What is under way is no drift. */
static json_t *drift(const struct worker *w)
{
    return drift_json(w->exec ? NULL : w->plan);
}

static json_t *by_hand(const struct worker *w)
{
    return suspension_holds(&w->by_hand, (int64_t)time(NULL)) ? suspension_json(&w->by_hand)
                                                              : json_null();
}

json_t *report_bottle(const struct worker *w)
{
    struct status_input in;
    worker_input(w, &in);
    json_t *status =
        XNN(json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "observedGeneration",
                      (json_int_t)w->generation, "conditions", conditions_json(&w->conditions),
                      "components", components_json(&in, &w->c->memory), "networks",
                      networks_json(&in), "cas", rotation_json(w), "nextRetryAt", retry_time(w),
                      "attest", attested_json(&w->attested), "drift", drift(w), "suspendedByHand",
                      by_hand(w), "lastHandledReconcile", (json_int_t)w->asked.handled));
    return XNN(json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "bottler.dev/v1", "kind", "Bottle",
                         "metadata", metadata(w, in.entry), "status", status));
}

static json_t *source_counters(const struct watch_counters *n)
{
    return XNN(json_pack("{s:I, s:I, s:I, s:I, s:I}", "listings", (json_int_t)n->listings, "hints",
                         (json_int_t)n->hints, "overflows", (json_int_t)n->overflows, "relists",
                         (json_int_t)n->relists, "missedEventsFoundByRelist",
                         (json_int_t)n->missed));
}

json_t *report_bottles(const struct controller *c)
{
    json_t *items = XNN(json_array());
    for (size_t i = 0; i < c->workers_len; i++)
        json_array_append_new(items, report_bottle(c->workers[i]));
    json_t *health = XNN(json_pack(
        "{s:b, s:b, s:s?, s:s?, s:s?, s:I, s:I, s:o}", "engineConnected", c->connected,
        "manifestsKnown", c->manifests_known, "problem", c->manifests_error, "watchProblem",
        c->watch ? watch_problem(c->watch) : NULL, "policyProblem", rules_problem(c->rules),
        "mutatingRequests", (json_int_t)(c->engine ? engine_mutations(c->engine) : 0), "lastEvent",
        (json_int_t)journal_last(c->journal), "orphans", orphans_json(c)));
    if (c->watch)
        json_object_set_new(health, "source", source_counters(watch_counters(c->watch)));
    json_object_set_new(health, "git", c->git ? git_source_json(c->git) : json_null());
    return XNN(json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "bottler.dev/v1", "kind", "List",
                         "items", items, "controller", health));
}

/* ---- the routes ----------------------------------------------------------------------------- */

static json_t *get_bottles(const struct route_call *call, int *ret_status)
{
    (void)ret_status;
    return report_bottles(call->c);
}

static json_t *get_events(const struct route_call *call, int *ret_status)
{
    (void)ret_status;
    return journal_json(call->c->journal);
}

static json_t *get_bottle(const struct route_call *call, int *ret_status)
{
    (void)ret_status;
    return report_bottle(call->w);
}

/* A "*" in a path is the name of a bottle. */
static const struct api_route {
    const char *method;
    const char *path;
    route_fn *answer;
} routes[] = {
    {"GET", "/v1/bottles", get_bottles}, /* what a watch repeats */
    {"GET", "/v1/bottles/*", get_bottle},
    {"GET", "/v1/bottles/*/history", api_history},
    {"GET", "/v1/events", get_events},
    /* What is done by hand. */
    {"POST", "/v1/suspend", api_suspend},
    {"POST", "/v1/resume", api_resume},
    {"POST", "/v1/reconcile", api_reconcile},
    {"POST", "/v1/prune", api_prune},
    {"POST", "/v1/adopt", api_adopt},
    {"POST", "/v1/forget", api_forget},
};

/* Whether the path is of this form; ret_name is what stands at the "*", or empty. */
static bool route_matches(const char *form, const char *path, struct sv *ret_name)
{
    *ret_name = (struct sv){0};
    const char *star = strchr(form, '*');
    if (!star)
        return strcmp(form, path) == 0;
    size_t before = (size_t)(star - form);
    if (strncmp(form, path, before) != 0)
        return false;
    *ret_name = (struct sv){path + before, strcspn(path + before, "/")};
    return ret_name->n && strcmp(star + 1, ret_name->p + ret_name->n) == 0;
}

static json_t *take_route(const struct api_route *r, struct route_call *call, struct sv name,
                          int *ret_status)
{
    AUTO_FREE char *bottle = name.n ? xmemdup0(name.p, name.n) : NULL;
    call->w = bottle ? worker_find(call->c, bottle) : NULL;
    if (bottle && !call->w)
        return route_refuse(404, ret_status, "there is no bottle '%s'", bottle);
    return r->answer(call, ret_status);
}

json_t *report_handle(void *ctx, const struct api_request *q, int *ret_status)
{
    struct route_call call = {.c = ctx, .q = q};
    const char *other = NULL;
    *ret_status = 200;
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
        struct sv name;
        if (!route_matches(routes[i].path, q->path, &name))
            continue;
        if (strcmp(routes[i].method, q->method) == 0)
            return take_route(&routes[i], &call, name, ret_status);
        other = routes[i].method;
    }
    if (other)
        return route_refuse(405, ret_status, "'%s' only answers %s", q->path, other);
    return route_refuse(404, ret_status, "there is no '%s' in this version", q->path);
}

void report_changed(struct controller *c)
{
    if (c->api)
        api_server_changed(c->api);
}

void report_event(void *ctx, const struct journal_entry *e)
{
    struct controller *c = ctx;
    bool of_bottle = e->bottle[0] != '\0';
    /* What repeats is logged at each doubling. */
    if (c->opt.mode != MODE_PLAN && (e->count & (e->count - 1)) == 0)
        log_at(e->type == JOURNAL_WARNING ? LOG_WARN : LOG_NOTE, "%s%s%sevent=%s count=%llu %s",
               of_bottle ? "bottle=" : "", e->bottle, of_bottle ? " " : "", e->reason,
               (unsigned long long)e->count, e->message);
    report_changed(c);
}
