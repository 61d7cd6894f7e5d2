/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the engine what goes on in a bottle: exec sessions of its agent, requests in its proxy. */
#ifndef BOTTLER_CONTROLLER_IDLE_H
#define BOTTLER_CONTROLLER_IDLE_H

#include "controller/engine.h"
#include "reconcile/activity.h"

struct idle_look;
/* `a` is valid during the call; what couldn't be asked isn't known in it. The look is over, and
 * must not be freed any more. */
typedef void idle_done_fn(void *ctx, const struct activity *a);
/* Ids of containers. `done` runs later, from the loop. */
struct idle_look *idle_look(struct engine *e, const char *agent, const char *egress,
                            idle_done_fn *done, void *ctx);
/* Before it is done: `done` isn't called any more. NULL is fine. Returns NULL. */
struct idle_look *idle_look_free(struct idle_look *l);

#endif
