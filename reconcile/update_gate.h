/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an agent may be replaced now, by its spec.agent.update. Pure; times are Unix seconds. */
#ifndef BOTTLER_RECONCILE_UPDATE_GATE_H
#define BOTTLER_RECONCILE_UPDATE_GATE_H

#include "reconcile/activity.h"
#include "spec/bottle.h"

#include <stdbool.h>
#include <stdint.h>

enum { UPDATE_GATE_LOOK_S = 5 }; /* how often a busy agent is looked at */

struct update_gate {
    bool may;
    char *text; /* "waiting for idle (1 request in flight), forced at 2026-11-22T18:00:00Z"; where
                   it may, why: "forced: it has waited since 2026-11-22T14:00:00Z" */
    int64_t next_look_s; /* when the answer can be another one at the earliest; 0 where it may */
};

/* `pending_since_s`: when the change was accepted; the deadline counts from there. `activity` is
 * read for UPDATE_IDLE only, and may be NULL for the others. */
struct update_gate_in {
    const struct update_spec *spec;
    const struct activity *activity;
    int64_t pending_since_s;
    int64_t now_s;
};
void update_gate(const struct update_gate_in *in, struct update_gate *ret);
void update_gate_done(struct update_gate *g);

#endif
