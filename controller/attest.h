/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof that a bottle is sealed: attempts to escape from inside it, once as the agent's user and
 * once as root, from a container that shares its network namespace and its security settings; what
 * the engine says of it; and whether anything arrived at listeners on this host. Needs nothing but
 * the engine: no controller, no state directory. The bottle itself is not touched, and what was
 * made is removed at the end, however it ends.
 *
 *   attest.c          the state machine        attest_host.c   the listeners
 *   render/attest_*   what is told to the probe, what comes of it
 */
#ifndef BOTTLER_CONTROLLER_ATTEST_H
#define BOTTLER_CONTROLLER_ATTEST_H

#include "controller/engine.h"
#include "render/attest_report.h"
#include "render/attest_world.h"

struct attest;

enum { ATTEST_TIMEOUT_S = 300, ATTEST_DEADLINE_S = 120 };

/* `error`: NOT_FOUND (no such bottle), TIMEOUT, DENIED (called off), or what the engine said. The
 * report is NULL when there was nothing to tell; with a TIMEOUT it holds what is known so far. Both
 * are borrowed. */
typedef void attest_done_fn(void *ctx, const struct err *error, const struct attest_report *report);
/* For people: one line without its end. */
typedef void attest_progress_fn(void *ctx, const char *text);

struct attest_options { /* copied */
    const char *instance, *bottle;
    const struct str_list *only;         /* globs on ids; NULL or empty: everything */
    const struct attest_target *targets; /* further addresses that must not be reached */
    size_t targets_len;
    bool wide;          /* also addresses that belong to the world: metadata services, resolvers */
    unsigned timeout_s; /* for all of it; 0: ATTEST_TIMEOUT_S */
    const char *image;  /* what the probe runs in; NULL: the bottle's own egress image */
    attest_progress_fn *progress; /* may be NULL */
};

/* The engine must be connected. `done` comes once, later, from the loop; the object is gone after
 * it. */
struct attest *attest_start(struct engine *e, sd_event *loop, const struct attest_options *opt,
                            attest_done_fn *done, void *ctx);
/* Ends it early; `done` comes after the probe is removed. */
void attest_cancel(struct attest *a);
/* Forgets it at once, without `done`; a probe may stay (the controller removes it later). NULL is
 * fine. Returns NULL. */
struct attest *attest_free(struct attest *a);

#endif
