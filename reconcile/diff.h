/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff(desired, observed, what is known, now) -> plan. Pure and total: any mixture of leftovers
 * of any interrupted earlier plan gives a plan towards the desired state, and a world that is as
 * desired gives an empty one. Only proven objects are touched.
 */
#ifndef BOTTLER_RECONCILE_DIFF_H
#define BOTTLER_RECONCILE_DIFF_H

#include "reconcile/memory.h"
#include "reconcile/plan.h"
#include "reconcile/pool.h"
#include "render/desired.h"
#include "render/docker.h"
#include "render/observed.h"

struct diff_input {
    const char *instance;
    const char *bottle;
    const struct desired *desired; /* NULL: no manifest wants it, take it away */
    const struct bottle
        *last_good; /* of one that isn't wanted: its volumes' last word on `retain`; may be NULL */
    const struct observed *observed;
    const struct memory *memory;
    const struct pool *pool;
    const struct cidr_set *reserved; /* subnets promised to other bottles' running plans */
    const struct engine_caps *caps;
    const char *quarantine;  /* why the agent may not run, whatever else is well; NULL: it may */
    const char *agent_waits; /* why an agent that runs may not be replaced yet; NULL: it may */
    bool preserve;     /* `desired` is NULL, but it is to be stopped and kept, not taken away */
    bool isolate_only; /* what is wanted isn't known now: only what opens the bottle is closed */
    uint64_t now_ns;
};
/* Never NULL. */
struct plan *diff(const struct diff_input *in);

/* Bottles of this installation with something on the engine, sorted; the garbage collector takes
 * from it what the catalogue doesn't know. */
void observed_bottles(const struct observed *o, struct str_list *ret);

/* Does a volume outlive its bottle by what was last accepted of it? `last` may be NULL. */
bool volume_is_retained(const struct bottle *last, const char *instance, const char *bottle,
                        const char *volume);

/* How a bottle stands, for conditions and `get`: the same reading of the world as the plan's. */
struct role_view {
    const struct observed_container *container; /* NULL: none */
    const struct known_policy *policy;
    const struct seal *seal; /* NULL: not inspected yet */
    bool nets_ok;
};
struct bottle_view {
    struct role_view roles[ROLE_COUNT];
    const struct observed_network *nets[NET_COUNT];
};
void bottle_view(const struct observed *o, const struct memory *m, const char *bottle,
                 struct bottle_view *ret);
/* Does the proxy run what is wanted of it? True for roles that have no policy. `k` may be NULL. */
bool policy_matches(const struct desired_container *want, const struct known_policy *k);

#endif
