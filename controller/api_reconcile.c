/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/reconcile, and its receipt. */
#include "controller/routes.h"
#include "spec/base/xalloc.h"

#include <time.h>

/* ---- the sources ----------------------------------------------------------------------------- */

uint64_t controller_poll_source(struct controller *c)
{
    uint64_t poll = ++c->source_polls;
    manifests_load(c);
    if (!sources_poll(c, poll))
        controller_polled(c, poll);
    return poll;
}

void controller_polled(struct controller *c, uint64_t poll)
{
    if (poll > c->source_polls_done)
        c->source_polls_done = poll;
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        if (w->asked.token > w->asked.handled && !w->asked.begun)
            worker_poke(w);
    }
    controller_dispatch(c);
}

/* ---- the receipt ----------------------------------------------------------------------------- */

void reconcile_begun(struct worker *w)
{
    w->asked.begun = w->c->source_polls_done >= w->asked.poll;
}

/* What waits for its next try has been tried. */
void reconcile_follow(struct worker *w)
{
    bool rests = !w->exec && (!w->dirty || w->not_before_ns > now_ns(w->c));
    if (w->asked.begun && rests)
        w->asked.handled = w->asked.token;
}

/* Grows over restarts too, so that an old receipt never is taken for a new one. */
static uint64_t new_token(struct controller *c)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    uint64_t now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    c->last_token = now_ms > c->last_token ? now_ms : c->last_token + 1;
    return c->last_token;
}

/* ---- the request ----------------------------------------------------------------------------- */

static json_t *refuse_suspended(const struct named *names, int *ret_status)
{
    for (size_t i = 0; !names->all && i < names->len; i++) {
        const struct worker *w = names->items[i];
        const struct condition *why = &w->conditions.of[COND_SUSPENDED];
        if (worker_is_suspended(w))
            return route_refuse(409, ret_status,
                                "bottle '%s' is suspended %s: it is left as it is until `bottler "
                                "resume %s`, or an edit of its manifest",
                                w->name, why->present ? why->message : "", w->name);
    }
    return NULL;
}

json_t *api_reconcile(const struct route_call *call, int *ret_status)
{
    struct controller *c = call->c;
    AUTO(named_done) struct named names = {0};
    bool source = json_is_true(json_object_get(call->q->body, "withSource"));
    uint64_t poll = source ? controller_poll_source(c) : 0;
    json_t *refusal = route_named(call, &names, ret_status);
    if (!refusal)
        refusal = refuse_suspended(&names, ret_status);
    if (refusal)
        return refusal;
    uint64_t token = new_token(c);
    json_t *asked = XNN(json_array());
    json_t *left = XNN(json_array());
    for (size_t i = 0; i < names.len; i++) {
        struct worker *w = names.items[i];
        bool suspended = worker_is_suspended(w);
        json_array_append_new(suspended ? left : asked, XNN(json_string(w->name)));
        if (suspended)
            continue;
        w->asked = (struct asked){.token = token, .poll = poll, .handled = w->asked.handled};
        worker_retry(w);
        worker_status(w);
    }
    controller_dispatch(c);
    return XNN(json_pack("{s:I, s:o, s:o}", "token", (json_int_t)token, "names", asked, "suspended",
                         left));
}
