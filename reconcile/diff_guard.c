/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host is closed to the bottle's internal networks before the agent runs on one: once for each
 * network that this controller sees, again after the engine was away. A network that an agent runs
 * on can't have been made anew since, so an agent that runs needs nothing.
 */
#include "reconcile/builder.h"
#include "render/guard.h"
#include "spec/base/xalloc.h"

#include <string.h>

static bool is_guarded(const struct builder *b)
{
    for (int n = 0; n < NET_COUNT; n++) {
        if (!b->in->desired->networks[n].internal)
            continue;
        if (!b->view.nets[n] || !memory_guarded(b->in->memory, b->view.nets[n]->id))
            return false;
    }
    return true;
}

static const struct observed_container *leftover(const struct builder *b)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (c->guard && strcmp(c->owner.bottle, b->in->bottle) == 0 && c->state != RUN_REMOVING)
            return c;
    }
    return NULL;
}

static int add(struct builder *b, enum step_kind kind, const char *name, const char *detail,
               int after)
{
    int s = plan_add(b->plan, &(struct step_init){.kind = kind,
                                                  .role = ROLE_AGENT,
                                                  .object = name,
                                                  .detail = detail,
                                                  .cause = "the host answers on a bridge without "
                                                           "an address, too"});
    plan_after(b->plan, s, after);
    return s;
}

static int remove_leftover(struct builder *b)
{
    const struct observed_container *old = leftover(b);
    if (!old)
        return STEP_NONE;
    return plan_add(b->plan, &(struct step_init){.kind = STEP_GUARD_REMOVE,
                                                 .role = ROLE_AGENT,
                                                 .object = old->name,
                                                 .id = old->id,
                                                 .cause = "left by an interrupted plan"});
}

void build_guard_leftover(struct builder *b)
{
    if (b->guard == STEP_NONE)
        (void)remove_leftover(b);
}

/* It runs in the egress proxy's image: that is there whenever a bottle is. */
int build_guard(struct builder *b)
{
    if (b->guard != STEP_NONE || is_guarded(b))
        return b->guard;
    const struct observed_container *egress = b->view.roles[ROLE_EGRESS].container;
    AUTO_FREE char *name = guard_name(b->in->desired->instance, b->in->bottle);
    int last = remove_leftover(b);
    last = add(b, STEP_GUARD_CREATE, name, egress ? egress->image_id : NULL, last);
    plan_after(b->plan, last, b->egress_image);
    for (int n = 0; n < NET_COUNT; n++) {
        if (b->in->desired->networks[n].internal)
            plan_after(b->plan, last, b->net_step[n]);
    }
    last = add(b, STEP_GUARD_UPLOAD, name, NULL, last);
    last = add(b, STEP_GUARD_START, name, NULL, last);
    b->guard = add(b, STEP_GUARD_WAIT, name, NULL, last);
    (void)add(b, STEP_GUARD_REMOVE, name, NULL, b->guard);
    return b->guard;
}
