/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bottle that something has opened is made safe before anything else is done: its agent is
 * paused, what doesn't belong is cut off, a network that isn't closed is taken away. The next look
 * sees a bottle that is closed and broken, and mends it; the agent goes on when both keys are
 * confirmed.
 */
#include "reconcile/builder.h"
#include "reconcile/openings.h"
#include "spec/base/xalloc.h"

#include <string.h>

/* Pausing isn't waited for: either of the two makes safe, and the engine may be able to do only
 * one. */
static void pause_agent(struct builder *b)
{
    const struct observed_container *agent = b->view.roles[ROLE_AGENT].container;
    if (!agent || agent->state != RUN_RUNNING)
        return;
    plan_add(b->plan, &(struct step_init){.kind = STEP_CTR_PAUSE,
                                          .role = ROLE_AGENT,
                                          .object = agent->name,
                                          .id = agent->id,
                                          .cause = "the bottle is open"});
}

static int cut(struct builder *b, const struct observed_container *c,
               const struct observed_network *n, const char *cause)
{
    return plan_add(b->plan, &(struct step_init){.kind = STEP_NET_DISCONNECT,
                                                 .role = c->role,
                                                 .net = NET_COUNT,
                                                 .object = c->name,
                                                 .id = c->id,
                                                 .detail = n->id,
                                                 .cause = cause});
}

/* Everybody off, then away with it: the options of a network can't be changed. */
static void take_down(struct builder *b, const struct observed_network *n)
{
    static const char cause[] = "the network is not closed as asked";
    const struct observed *o = b->in->observed;
    int *after = xcalloc(o->containers_len + 1, sizeof(*after));
    size_t len = 0;
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (container_is_up(c) && container_is_on(c, n->id) && len < STEP_MAX_DEPS - 1)
            after[len++] = cut(b, c, n, cause);
    }
    build_net_removal(b, n, cause, after, len);
    free(after);
}

static void close_one(struct builder *b, const struct opening *o)
{
    switch (o->kind) {
    case OPEN_NETWORK:
        cut(b, o->container, o->network, "attached to a network that is not the bottle's");
        return;
    case OPEN_GUEST:
        cut(b, o->container, o->network, "a stranger on the bottle's network");
        return;
    case OPEN_BRIDGE:
        take_down(b, o->network);
        return;
    case OPEN_LODGER:
    case OPEN_QUARANTINE:
        plan_set_hold(b->plan, HOLD_OPEN, xstrdup(o->text));
        return;
    case OPEN_SETTINGS:
    case OPEN_POLICY:
        return; /* mended like any drift, once the agent is paused */
    }
}

bool build_isolation(struct builder *b)
{
    struct openings o;
    openings_find(b->in, &b->view, &o);
    if (o.len)
        pause_agent(b);
    /* A guest of a network that goes anyway is cut off with everybody else. */
    for (size_t i = 0; i < o.len; i++) {
        bool goes =
            o.items[i].kind == OPEN_GUEST && network_fault(o.items[i].network, b->in->caps) != NULL;
        if (!goes)
            close_one(b, &o.items[i]);
    }
    openings_done(&o);
    b->plan->isolates = b->plan->steps_len > 0;
    return b->plan->isolates;
}

void build_probes(struct builder *b, bool all)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        bool ours = c->probe || (c->guard && all);
        if (!ours || strcmp(c->owner.bottle, b->in->bottle) != 0 || c->state == RUN_REMOVING)
            continue;
        uint64_t seen = memory_first_sight(b->in->memory, c->id);
        bool old = seen && b->in->now_ns >= seen + PROBE_LIFE_NS;
        if (all || old)
            plan_add(b->plan,
                     &(struct step_init){.kind = STEP_CTR_REMOVE,
                                         .role = ROLE_AGENT,
                                         .object = c->name,
                                         .id = c->id,
                                         .cause = all ? "no manifest wants the bottle"
                                                      : "a probe that nobody waits for any more"});
    }
}
