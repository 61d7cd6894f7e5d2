/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries a plan out, without doing I/O: exec_next() gives the requests that may be sent now,
 * exec_line() and exec_feed() take what came back. What waits for a step that
 * failed is never given out; what doesn't goes on, so that a part that can't be mended keeps no
 * other from being mended.
 */
#ifndef BOTTLER_RECONCILE_EXEC_H
#define BOTTLER_RECONCILE_EXEC_H

#include "reconcile/memory.h"
#include "reconcile/plan.h"
#include "reconcile/response.h"
#include "render/desired.h"
#include "render/docker.h"
#include "render/observed.h"

struct exec;

enum exec_answer {
    ANSWER_BODY,  /* exec_feed() wants the whole body */
    ANSWER_LINES, /* lines of JSON as they come */
    ANSWER_LOG,   /* a container's log, line by line */
};

struct exec_request {
    int step;
    const struct step *of; /* borrowed from the plan */
    const char *method;
    char *path;
    char *body; /* body_n bytes; may hold secrets */
    size_t body_n;
    const char *content_type;
    enum exec_answer answer;
    unsigned timeout_ms; /* 0: the transport's default */
};
void exec_request_done(struct exec_request *q);

/* Borrows plan, desired (NULL for a removal), memory and caps for its life. `nets` are the networks
 * that are there already (bottle_view), copied. */
struct exec *exec_new(const struct plan *plan, const struct desired *desired,
                      const struct observed_network *const nets[NET_COUNT], struct memory *memory,
                      const struct engine_caps *caps);
struct exec *exec_free(struct exec *x);

/* Fills *ret with a request to send now; false when there is none at the moment. */
bool exec_next(struct exec *x, uint64_t now_ns, struct exec_request *ret);
/* One line of an ANSWER_LINES or ANSWER_LOG request; false when no more is wanted: the caller ends
 * the stream and feeds a success. */
bool exec_line(struct exec *x, int step, struct sv line);
/* The request has ended. Exactly once for each one given out. */
void exec_feed(struct exec *x, int step, const struct response *r, uint64_t now_ns);

/* Nothing is in flight and nothing more will be given out. */
bool exec_finished(const struct exec *x);
/* The first failure; NULL when all went well. Borrowed. */
const struct err *exec_error(const struct exec *x);
/* The step that failed, or the one in flight for longest; NULL: none. */
const struct step *exec_current(const struct exec *x);
const struct plan *exec_plan(const struct exec *x);

#endif
