/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes on in a bottle: commands that somebody runs in the agent (exec sessions of the engine),
 * and requests that are on their way through the egress proxy (its log's `activity` lines, see
 * docs/egress.md). What is not known counts as busy.
 *
 * For a fresh picture: a zeroed struct, then the lines of the egress proxy's present run in their
 * order, then the exec sessions, one by one.
 */
#ifndef BOTTLER_RECONCILE_ACTIVITY_H
#define BOTTLER_RECONCILE_ACTIVITY_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdbool.h>

enum {
    ACTIVITY_EXECS_MAX = 1024,        /* more sessions at once are an error */
    ACTIVITY_IN_FLIGHT_MAX = 1 << 16, /* a line that says more is no such line */
    ACTIVITY_LINE_MAX = 4096,         /* nor is one that is longer */
};

struct activity {
    bool known;         /* the proxy has said what is in flight, and nothing was unreadable since */
    unsigned execs;     /* that run */
    unsigned in_flight; /* as the last line said */
};

/* One line of the egress proxy's log; what isn't an activity line is ignored, whole. */
void activity_log_line(struct activity *a, struct sv line);
/* The ids (64 hexadecimal digits) in the engine's description of a container; its list may be null.
 * On failure nothing is added. */
struct err *activity_exec_ids(struct sv container_inspect, struct str_list *ret) ERR_NODISCARD;
/* The engine's description of one exec session (GET /exec/ID/json); one that the engine no longer
 * knows is over and needn't be told. On failure `a` isn't known any more. */
struct err *activity_exec(struct activity *a, struct sv exec_inspect) ERR_NODISCARD;
bool activity_idle(const struct activity *a);
/* "2 exec sessions, 1 request in flight", "nothing in flight", or that it isn't known. The caller
 * frees it. */
char *activity_text(const struct activity *a) __attribute__((returns_nonnull));

#endif
