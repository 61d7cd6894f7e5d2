/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/builder.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { MAX_OF_BOTTLE = 2 * ROLE_COUNT };

void build_net_removal(struct builder *b, const struct observed_network *n, const char *cause,
                       const int *after, size_t after_len)
{
    const struct known_busy *busy = memory_busy(b->in->memory, n->id);
    int last = STEP_NONE;
    if (busy && !busy->looked) {
        last = plan_add(b->plan, &(struct step_init){.kind = STEP_NET_INSPECT,
                                                     .net = n->net,
                                                     .object = n->name,
                                                     .id = n->id,
                                                     .cause = "what is still attached to it?"});
        for (size_t i = 0; i < after_len; i++)
            plan_after(b->plan, last, after[i]);
        return; /* the next plan knows */
    }
    for (size_t i = 0; busy && i < busy->attached.len; i++) {
        int s =
            plan_add(b->plan, &(struct step_init){.kind = STEP_NET_DISCONNECT,
                                                  .net = n->net,
                                                  .object = n->name,
                                                  .id = busy->attached.items[i],
                                                  .detail = n->id,
                                                  .cause = "a stranger on a network that goes"});
        plan_after(b->plan, s, last);
        last = s;
    }
    int s = plan_add(b->plan, &(struct step_init){.kind = STEP_NET_REMOVE,
                                                  .net = n->net,
                                                  .object = n->name,
                                                  .id = n->id,
                                                  .cause = cause});
    plan_after(b->plan, s, last);
    for (size_t i = 0; i < after_len; i++)
        plan_after(b->plan, s, after[i]);
}

static int remove_container(struct builder *b, const struct observed_container *c, int after)
{
    static const char cause[] = "no manifest wants the bottle";
    if (c->role == ROLE_AGENT && c->state == RUN_RUNNING) {
        int stop = plan_add(b->plan, &(struct step_init){.kind = STEP_CTR_STOP,
                                                         .role = c->role,
                                                         .next = c->next,
                                                         .object = c->owner.self,
                                                         .id = c->id,
                                                         .cause = cause});
        plan_after(b->plan, stop, after);
        after = stop;
    }
    int s = plan_add(b->plan, &(struct step_init){.kind = STEP_CTR_REMOVE,
                                                  .role = c->role,
                                                  .next = c->next,
                                                  .object = c->owner.self,
                                                  .id = c->id,
                                                  .cause = cause});
    plan_after(b->plan, s, after);
    return s;
}

/* One that is paused was made safe: it stays as it is, since stopping it would let it run on. */
void build_stop(struct builder *b)
{
    const struct observed *o = b->in->observed;
    int last = STEP_NONE;
    build_probes(b, true);
    build_guard_leftover(b);
    for (int role = ROLE_COUNT - 1; role >= 0; role--) {
        int before = last;
        for (size_t i = 0; i < o->containers_len; i++) {
            const struct observed_container *c = &o->containers[i];
            if (!c->proven || (int)c->role != role || strcmp(c->owner.bottle, b->in->bottle) != 0 ||
                c->state != RUN_RUNNING)
                continue;
            last = plan_add(
                b->plan, &(struct step_init){.kind = STEP_CTR_STOP,
                                             .role = c->role,
                                             .next = c->next,
                                             .object = c->owner.self,
                                             .id = c->id,
                                             .cause = "no manifest wants it, and it is preserved"});
            plan_after(b->plan, last, before);
        }
    }
}

/* Labels can't be changed after creation: a `retain` that came later is known from the manifest
 * alone. */
bool volume_is_retained(const struct bottle *last, const char *instance, const char *bottle,
                        const char *volume)
{
    for (size_t i = 0; last && i < last->agent.mounts_len; i++) {
        const struct mount *m = &last->agent.mounts[i];
        if (!m->volume || !m->retain)
            continue;
        AUTO_FREE char *name = object_name(instance, bottle, m->volume);
        if (strcmp(name, volume) == 0)
            return true;
    }
    return false;
}

void build_removal(struct builder *b)
{
    const struct observed *o = b->in->observed;
    build_probes(b, true);
    build_guard_leftover(b);
    int gone[MAX_OF_BOTTLE];
    size_t n = 0;
    int last = STEP_NONE;
    for (int role = ROLE_COUNT - 1; role >= 0; role--) {
        for (size_t i = 0; i < o->containers_len && n < MAX_OF_BOTTLE; i++) {
            const struct observed_container *c = &o->containers[i];
            if (!c->proven || (int)c->role != role || strcmp(c->owner.bottle, b->in->bottle) != 0)
                continue;
            if (c->state == RUN_REMOVING) {
                b->plan->not_before_ns = b->in->now_ns + 500 * UINT64_C(1000000);
                continue;
            }
            last = remove_container(b, c, last);
            gone[n++] = last;
        }
    }
    for (size_t i = 0; i < o->networks_len; i++) {
        const struct observed_network *net = &o->networks[i];
        if (net->proven && strcmp(net->owner.bottle, b->in->bottle) == 0)
            build_net_removal(b, net, "no manifest wants the bottle", gone, n);
    }
    for (size_t i = 0; i < o->volumes_len; i++) {
        const struct observed_volume *v = &o->volumes[i];
        if (!v->proven || v->retain || strcmp(v->owner.bottle, b->in->bottle) != 0 ||
            volume_is_retained(b->in->last_good, b->in->instance, b->in->bottle, v->name))
            continue;
        int s = plan_add(b->plan, &(struct step_init){.kind = STEP_VOL_REMOVE,
                                                      .object = v->name,
                                                      .cause = "no manifest wants the bottle"});
        for (size_t k = 0; k < n; k++)
            plan_after(b->plan, s, gone[k]);
    }
}
