/* SPDX-License-Identifier: Apache-2.0 */
/* A network that is there for a while: made in the next free slice of a pool, and removed. */
#ifndef BOTTLER_CONTROLLER_DOCTOR_NET_H
#define BOTTLER_CONTROLLER_DOCTOR_NET_H

#include "controller/engine.h"
#include "reconcile/pool.h"

struct doctor_net;

typedef void doctor_net_done_fn(void *ctx, const struct err *error);

struct doctor_net_spec { /* copied, but for `used` */
    const char *name;    /* new, and hard to guess */
    const char *bridge;  /* the interface's name when it is sealed */
    bool sealed;
    const struct pool *pool;
    struct cidr_set *used; /* borrowed: slices that are taken; what is tried is added */
};
struct doctor_net *doctor_net_new(struct engine *e, sd_event *loop,
                                  const struct doctor_net_spec *spec);
/* Forgets it at once, without `done`. NULL is fine. Returns NULL. */
struct doctor_net *doctor_net_free(struct doctor_net *n);
/* Makes it; `done` comes once, later, from the loop. */
void doctor_net_create(struct doctor_net *n, doctor_net_done_fn *done, void *ctx);
/* Removes it if it may be there; a creation under way is waited for, and its `done` doesn't come
 * any more. `done` comes once, later, from the loop. */
void doctor_net_remove(struct doctor_net *n, doctor_net_done_fn *done, void *ctx);
/* Valid once it is made: the slice, and the interface of its bridge. */
struct cidr doctor_net_slice(const struct doctor_net *n);
const char *doctor_net_bridge(const struct doctor_net *n);

#endif
