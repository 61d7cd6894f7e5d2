/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that runs once: created, given files, started, listened to until it ends, removed.
 * Whatever happens, also when it is called off, it is removed before `done`, by a name that nobody
 * else has.
 */
#ifndef BOTTLER_CONTROLLER_ONESHOT_H
#define BOTTLER_CONTROLLER_ONESHOT_H

#include "controller/engine.h"

struct oneshot;

enum { ONESHOT_TARS = 2 };
struct oneshot_spec {             /* copied */
    const char *name;             /* new, and hard to guess */
    const char *body;             /* of the create call */
    struct sv tars[ONESHOT_TARS]; /* extracted at "/", in order; an empty one ends them */
    unsigned timeout_ms;          /* from the create call to its end */
};
/* `error` is set when it could not be run to its own end (TIMEOUT, or what the engine said), or is
 * still there; borrowed. Else the exit code. `tail` is the last that it wrote to stderr. */
struct oneshot_end {
    const struct err *error;
    int exit_code;
    bool oom_killed;
    const char *tail;
};
typedef void oneshot_done_fn(void *ctx, const struct oneshot_end *end);

/* `line` gets its stdout. `done` comes once, later, from the loop; the object is gone after it. */
struct oneshot *oneshot_start(struct engine *e, sd_event *loop, const struct oneshot_spec *spec,
                              engine_line_fn *line, oneshot_done_fn *done, void *ctx);
/* Ends it early: no further line; `done` comes with DENIED after the removal. */
void oneshot_cancel(struct oneshot *o);
/* Forgets it at once, without `done`; the container may stay. NULL is fine. Returns NULL. */
struct oneshot *oneshot_free(struct oneshot *o);

#endif
