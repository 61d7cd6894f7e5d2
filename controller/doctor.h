/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects the facts about an engine: what it tells, and what a trial shows. The trial makes two
 * internal networks of the address pool (one as bottler makes them, one without any care), runs a
 * container on each, and removes all of it, however it ends.
 */
#ifndef BOTTLER_CONTROLLER_DOCTOR_H
#define BOTTLER_CONTROLLER_DOCTOR_H

#include "controller/engine.h"
#include "reconcile/doctor.h"

struct doctor;

/* `error`: nothing could be learnt, or it was called off; borrowed. */
typedef void doctor_done_fn(void *ctx, const struct err *error, const struct doctor_facts *facts);
typedef void doctor_progress_fn(void *ctx, const char *text);

struct doctor_options { /* copied */
    const struct endpoint *endpoint;
    const struct pool *pool;
    const char *image; /* what the trial runs in, with Python; NULL: the egress proxy's */
    doctor_progress_fn *progress;
};
/* The engine must be connected. `done` comes once, later, from the loop; the object is gone after
 * it. */
struct doctor *doctor_start(struct engine *e, sd_event *loop, const struct doctor_options *opt,
                            doctor_done_fn *done, void *ctx);
/* Ends it early; `done` comes with DENIED after everything is removed. */
void doctor_cancel(struct doctor *d);
/* Forgets it at once. NULL is fine. Returns NULL. */
struct doctor *doctor_free(struct doctor *d);

#endif
