/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one generation of a bottle to the next: what differs and costs what, whether the agent may
 * be replaced already, and what happens when the new one doesn't stay up: the last generation that
 * converged is put back, until the manifest is edited.
 */
#ifndef BOTTLER_CONTROLLER_ROLLOUT_H
#define BOTTLER_CONTROLLER_ROLLOUT_H

#include "controller/idle.h"
#include "reconcile/catalog.h"
#include "reconcile/costs.h"
#include "reconcile/diff.h"

struct worker;

struct rollout {
    struct change_list changes; /* from the generation that converged last to it */
    struct bottle *fallback;    /* instead of generation `given_up`; NULL: the newest is run */
    int64_t given_up;
    char *reverted;           /* why; told in conditions */
    struct idle_look *look;   /* under way */
    struct activity activity; /* what the last one found */
    uint64_t looked_ns;       /* 0: none yet */
    char *agent_id;           /* the agent that runs, and since when it was seen to */
    uint64_t agent_since_ns;
    unsigned failed_starts; /* of the agent of this generation, in a row */
    uint64_t recheck_ns;    /* a look is due then though nothing happened; 0: none is */
    int64_t pending_s;      /* since when the agent waits to be replaced; 0: it doesn't */
    bool pending_loaded;
};
void rollout_done(struct rollout *r);

/* Decides what the worker is to make of the entry. */
void rollout_choose(struct worker *w, const struct catalog_entry *e);
/* What that is: borrowed from the catalogue or the worker, until either is updated. NULL: no
 * manifest says anything of it. */
const struct bottle *rollout_bottle(const struct worker *w);
/* A new generation: what was given up for the one before counts no more. */
void rollout_begin(struct worker *w);
/* After the secrets were read: what differs from what runs. */
void rollout_compare(struct worker *w);
/* Why the agent is not to be replaced yet; NULL: it may be. The caller frees it. May look at what
 * goes on, and pokes the worker when it knows. */
char *rollout_wait(struct worker *w, const struct desired *d);
/* Before a step of a plan under way: it is the end of the agent, which may not be any more, since
 * what came before it took so long. */
bool rollout_gives_way(struct worker *w, const struct step *s);
/* After a plan was made: notes the agent that runs. True when the generation has been given up, so
 * that another look is due. */
bool rollout_judge(struct worker *w, const struct plan *p);
/* After a plan was carried out. */
void rollout_ended(struct worker *w);
/* The agent has run for long enough to say that its generation is good. */
bool rollout_is_proven(const struct worker *w);

#endif
