/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/doctor_net.h"

#include "render/doctor_trial.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { REMOVE_TRIES = 10, AGAIN_MS = 300, OVERLAPS_MAX = 256, BRIDGE_ID = 12 };

struct doctor_net {
    struct engine *e;
    sd_event *loop;
    sd_event_source *timer;
    char *name;
    char *bridge;
    bool sealed;
    struct pool pool;
    struct cidr_set *used;
    struct cidr slice;
    uint64_t request;
    bool creating, may_exist;
    bool remove_next; /* when the creation has been answered */
    unsigned tries;
    doctor_net_done_fn *done;
    void *ctx;
};

struct doctor_net *doctor_net_new(struct engine *e, sd_event *loop,
                                  const struct doctor_net_spec *spec)
{
    struct doctor_net *n = xcalloc(1, sizeof(*n));
    *n = (struct doctor_net){.e = e,
                             .loop = loop,
                             .name = xstrdup(spec->name),
                             .bridge = xstrdup(spec->bridge),
                             .sealed = spec->sealed,
                             .pool = *spec->pool,
                             .used = spec->used};
    return n;
}

struct doctor_net *doctor_net_free(struct doctor_net *n)
{
    if (!n)
        return NULL;
    engine_cancel(n->e, n->request);
    (void)sd_event_source_disable_unref(n->timer);
    free(n->name);
    free(n->bridge);
    free(n);
    return NULL;
}

struct cidr doctor_net_slice(const struct doctor_net *n)
{
    return n->slice;
}

const char *doctor_net_bridge(const struct doctor_net *n)
{
    return n->bridge;
}

static void remove_it(struct doctor_net *n);

static int on_timer(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    remove_it(ctx);
    return 0;
}

static void remove_after(struct doctor_net *n, uint64_t ms)
{
    n->timer = sd_event_source_disable_unref(n->timer);
    (void)sd_event_add_time_relative(n->loop, &n->timer, CLOCK_MONOTONIC, ms * 1000, 1000, on_timer,
                                     n);
}

/* ---- making ---------------------------------------------------------------------------------- */

static void create(struct doctor_net *n);

/* Bridges without a name of their own are named after their network. */
static void learn_bridge(struct doctor_net *n, const struct engine_response *r)
{
    json_t *answer = json_loadb(r->body.n ? r->body.p : "", r->body.n, 0, NULL);
    const char *id = json_string_value(json_object_get(answer, "Id"));
    if (!n->sealed && id) {
        free(n->bridge);
        n->bridge = xasprintf("br-%.*s", BRIDGE_ID, id);
    }
    json_decref(answer);
}

static void on_created(void *ctx, const struct engine_response *r)
{
    struct doctor_net *n = ctx;
    n->request = 0;
    n->creating = false;
    AUTO_ERR e = engine_check(r, "creating the trial's network");
    if (!r->error && r->status >= 400 && r->status < 500)
        n->may_exist = false;
    if (n->remove_next) {
        remove_it(n);
        return;
    }
    /* Somebody's network is there that the list didn't show. */
    if (e && r->status == 403 && n->used->len < OVERLAPS_MAX) {
        create(n);
        return;
    }
    if (!e)
        learn_bridge(n, r);
    n->done(n->ctx, e);
}

static int on_exhausted(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct doctor_net *n = ctx;
    AUTO_ERR e = err_new(ERR_INVALID, "the address pool has no free slice for the trial");
    n->done(n->ctx, e);
    return 0;
}

static void create(struct doctor_net *n)
{
    char subnet[POOL_SUBNET_TEXT];
    struct err *e = pool_next(&n->pool, n->used->items, n->used->len, &n->slice);
    if (e) {
        err_ignore(e, "told in fewer words");
        n->timer = sd_event_source_disable_unref(n->timer);
        (void)sd_event_add_time_relative(n->loop, &n->timer, CLOCK_MONOTONIC, 0, 1000, on_exhausted,
                                         n);
        return;
    }
    cidr_set_add(n->used, n->slice);
    cidr_format(n->slice, subnet);
    json_t *json =
        doctor_network_body(n->name, n->bridge, subnet, n->sealed, engine_caps(n->e).isolated_gw);
    AUTO_FREE char *body = XNN(json_dumps(json, JSON_COMPACT));
    json_decref(json);
    const struct engine_request q = {
        .method = "POST", .path = "/networks/create", .body = sv_of(body), .lane = LANE_NETWORK};
    n->creating = true;
    n->may_exist = true;
    n->request = engine_send(n->e, &q, on_created, n);
}

void doctor_net_create(struct doctor_net *n, doctor_net_done_fn *done, void *ctx)
{
    n->done = done;
    n->ctx = ctx;
    create(n);
}

/* ---- removing -------------------------------------------------------------------------------- */

static void on_removed(void *ctx, const struct engine_response *r)
{
    struct doctor_net *n = ctx;
    n->request = 0;
    AUTO_FREE char *what = xasprintf("removing network '%s'", n->name);
    AUTO_ERR e = engine_check(r, what);
    bool gone = !e || err_kind(e) == ERR_NOT_FOUND;
    if (!gone && ++n->tries < REMOVE_TRIES) {
        remove_after(n, AGAIN_MS);
        return;
    }
    n->done(n->ctx, gone ? NULL : e);
}

static void remove_it(struct doctor_net *n)
{
    if (!n->may_exist) {
        n->done(n->ctx, NULL);
        return;
    }
    AUTO_FREE char *path = xasprintf("/networks/%s", n->name);
    const struct engine_request q = {.method = "DELETE", .path = path, .lane = LANE_NETWORK};
    n->request = engine_send(n->e, &q, on_removed, n);
}

void doctor_net_remove(struct doctor_net *n, doctor_net_done_fn *done, void *ctx)
{
    n->done = done;
    n->ctx = ctx;
    if (n->creating)
        n->remove_next = true;
    else
        remove_after(n, 0);
}
