/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/gather.h"

#include "spec/base/xalloc.h"

#include <assert.h>

struct question {
    struct gather *g;
    char *path;
    bool optional;
    json_t **slot;
    uint64_t request;
};
struct gather {
    struct engine *e;
    sd_event_source *idle; /* when there is nothing to ask */
    gather_done_fn *done;
    void *ctx;
    struct question questions[GATHER_MAX];
    size_t len, pending;
    struct err *error;
};

struct gather *gather_new(struct engine *e, gather_done_fn *done, void *ctx)
{
    struct gather *g = xcalloc(1, sizeof(*g));
    *g = (struct gather){.e = e, .done = done, .ctx = ctx};
    return g;
}

struct gather *gather_free(struct gather *g)
{
    if (!g)
        return NULL;
    for (size_t i = 0; i < g->len; i++) {
        engine_cancel(g->e, g->questions[i].request);
        free(g->questions[i].path);
    }
    (void)sd_event_source_disable_unref(g->idle);
    err_free(g->error);
    free(g);
    return NULL;
}

void gather_add(struct gather *g, const char *path, bool optional, json_t **slot)
{
    assert(g->len < GATHER_MAX);
    g->questions[g->len++] =
        (struct question){.g = g, .path = xstrdup(path), .optional = optional, .slot = slot};
}

static struct err *take(const struct question *q, const struct engine_response *r)
{
    AUTO_FREE char *what = xasprintf("asking for %s", q->path);
    json_decref(*q->slot);
    *q->slot = NULL;
    if (!r->error && r->status == 404 && q->optional)
        return NULL;
    TRY(engine_check(r, what));
    *q->slot = json_loadb(r->body.n ? r->body.p : "", r->body.n, 0, NULL);
    return *q->slot ? NULL : err_new(ERR_UNAVAILABLE, "%s: the answer isn't JSON", what);
}

static void end(struct gather *g)
{
    g->done(g->ctx, g->error);
    gather_free(g);
}

static void on_answer(void *ctx, const struct engine_response *r)
{
    struct question *q = ctx;
    struct gather *g = q->g;
    q->request = 0;
    struct err *e = take(q, r);
    if (g->error)
        err_ignore(e, "the first failure is told");
    else
        g->error = e;
    if (--g->pending == 0)
        end(g);
}

static int on_idle(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    end(ctx);
    return 0;
}

void gather_start(struct gather *g, sd_event *loop)
{
    g->pending = g->len;
    if (!g->len)
        (void)sd_event_add_time_relative(loop, &g->idle, CLOCK_MONOTONIC, 0, 1000, on_idle, g);
    for (size_t i = 0; i < g->len; i++) {
        struct question *q = &g->questions[i];
        const struct engine_request ask = {.method = "GET", .path = q->path, .lane = LANE_READ};
        q->request = engine_send(g->e, &ask, on_answer, q);
    }
}
