/* SPDX-License-Identifier: Apache-2.0 */
/* What a bottle's state is called: conditions, from the same values that the plan is made from. */
#ifndef BOTTLER_RECONCILE_STATUS_H
#define BOTTLER_RECONCILE_STATUS_H

#include "reconcile/catalog.h"
#include "reconcile/diff.h"
#include "reconcile/graves.h"
#include "reconcile/suspension.h"

#include <jansson.h>

enum condition_type {
    COND_SPEC_ACCEPTED,
    COND_SECRETS_RESOLVED,
    COND_ISOLATED,
    COND_POLICY_EFFECTIVE,
    COND_READY,
    /* These are there only while they are true. */
    COND_RECONCILING,
    COND_STALLED,
    COND_SUSPENDED,
    COND_UPDATE_PENDING,
    COND_PRUNE_HELD,
    COND_COUNT
};
enum truth { TRUTH_UNKNOWN, TRUTH_TRUE, TRUTH_FALSE };

struct condition {
    bool present;
    enum truth status;
    const char *reason; /* CamelCase, static */
    char *message;
    int64_t since_s; /* Unix seconds of the last change of status */
    int64_t generation;
};
struct conditions {
    struct condition of[COND_COUNT];
};
void conditions_done(struct conditions *c);
const char *condition_name(enum condition_type t);
const char *truth_name(enum truth t);

struct status_input {
    const struct catalog_entry *entry; /* NULL: an orphan */
    const struct desired *desired;     /* NULL: it couldn't be rendered, or isn't wanted */
    struct bottle_view view;
    const char *secrets_problem; /* NULL: resolved */
    const char *unsupported;     /* NULL: this version can run it */
    const char *problem;         /* the last pass's failure; NULL: none */
    const struct step *current;  /* what is being done, or what failed; may be NULL */
    const struct plan *plan;     /* the last plan; may be NULL */
    const char *open_reason;     /* what opens it (openings.h); NULL: nothing; static */
    const char *open_text;       /* in words */
    const char *reverted;        /* why not the newest generation runs, but one before it; NULL */
    bool working;                /* something is under way or due */
    bool terminal;               /* `problem` won't go away by itself */
    const struct suspension *by_hand; /* NULL: nobody has suspended it by hand */
    const struct grave *grave;        /* no manifest wants it; NULL: one does, or nobody knows */
    int64_t now_s;
};
/* Replaces *c; keeps the times of what did not change. */
void conditions_update(struct conditions *c, const struct status_input *in);

/* {"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"} of each that
 * is there. */
json_t *conditions_json(const struct conditions *c);
/* The "components" and "networks" of `get -o json`. */
json_t *components_json(const struct status_input *in, const struct memory *m);
json_t *networks_json(const struct status_input *in);

#endif
