/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pass changes and what that costs, before it is done: the fields and secrets that differ
 * from the generation that runs, each with its class, and what becomes of each container, read off
 * the plan's own steps. Pure.
 */
#ifndef BOTTLER_RECONCILE_COSTS_H
#define BOTTLER_RECONCILE_COSTS_H

#include "reconcile/plan.h"
#include "spec/bottle.h"
#include "spec/change.h"

struct cost_input {
    const char *old_text;              /* canonical manifest of what runs; NULL: nothing does */
    const struct kv_list *old_secrets; /* reference -> keyed hash of its value */
    const struct bottle *bottle;       /* what is wanted */
    const struct defaults *defaults;   /* with which it was accepted; NULL: today's */
    const struct kv_list *new_secrets;
};
/* `ret` is overwritten; empty without an old text. A secret whose value differs is a change of each
 * field that refers to it; the value isn't shown, that it is another one is. */
void costs_find(const struct cost_input *in, struct change_list *ret);

/* What a plan does to a container, from least to most. */
enum fate {
    FATE_UNTOUCHED,
    FATE_UPDATED,     /* limits, in place */
    FATE_RELOADED,    /* rereads its files, nothing restarts */
    FATE_INTERRUPTED, /* paused, unpaused, or put on its networks again */
    FATE_STARTED,
    FATE_STOPPED,
    FATE_CREATED,
    FATE_REPLACED,
    FATE_REMOVED,
    FATE_COUNT
};
enum fate plan_fate(const struct plan *p, enum role role);
const char *fate_name(enum fate f); /* "untouched" */
/* What a change of that class means for an agent that runs; static. */
const char *change_effect(enum change_class c);

/* {"agent": "untouched", …} of every role. */
json_t *fates_json(const struct plan *p);
/* [{"field", "old", "new", "class", "reason", "effect", "losesState"}] */
json_t *changes_json(const struct change_list *l);
/* A line for each change, and one for the fates when there are any steps. */
void costs_print(const struct plan *p, const struct change_list *l, struct str *out);

#endif
