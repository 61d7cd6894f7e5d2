/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/rotation.h"

#include <string.h>

/* The sixths of a life after which the next CA is made, and signs. */
enum { LIFE_PARTS = 6, INTRODUCE_AFTER = 4, SWITCH_AFTER = 5 };

static int64_t after_sixths(const struct ca_life *l, int parts)
{
    return l->from + (l->until - l->from) / LIFE_PARTS * parts;
}

int64_t ca_due_at(const struct ca_turn *t)
{
    switch (t->stage) {
    case CA_INTRODUCED:
        return after_sixths(&t->life, SWITCH_AFTER);
    case CA_SWITCHED:
        return t->old.until;
    case CA_STEADY:
    case CA_STAGE_COUNT:
        break;
    }
    return after_sixths(&t->life, INTRODUCE_AFTER);
}

enum ca_move ca_due(const struct ca_turn *t, bool everywhere, int64_t now_s)
{
    const struct ca_life *leaves = t->stage == CA_SWITCHED ? &t->old : &t->life;
    if (now_s < ca_due_at(t) && now_s >= leaves->from)
        return CA_STAY;
    if (t->stage == CA_SWITCHED)
        return CA_RETIRE;
    if (t->stage == CA_INTRODUCED)
        return everywhere ? CA_SWITCH : CA_STAY;
    return CA_INTRODUCE;
}

const char *ca_stage_name(enum ca_stage s)
{
    static const char *const names[CA_STAGE_COUNT] = {
        [CA_STEADY] = "Steady",
        [CA_INTRODUCED] = "Introduced",
        [CA_SWITCHED] = "Switched",
    };
    return names[s];
}

bool ca_is_everywhere(const struct desired *d, const struct bottle_view *v, const struct memory *m)
{
    const struct desired_container *egress = d ? desired_find(d, ROLE_EGRESS) : NULL;
    const struct desired_container *agent = d ? desired_find(d, ROLE_AGENT) : NULL;
    const struct observed_container *c = v->roles[ROLE_EGRESS].container;
    if (!egress || !agent || (c && !desired_is_spec(egress, c->owner.spec_hash)))
        return false;
    c = v->roles[ROLE_AGENT].container;
    if (!c || (c->state != RUN_RUNNING && c->state != RUN_PAUSED && c->state != RUN_RESTARTING))
        return true;
    const char *trust = memory_trust(m, c->id);
    return trust && strcmp(trust, agent->trust_hash) == 0;
}
