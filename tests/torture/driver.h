/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's loop without I/O and without waiting: look, plan, carry out, look again, on the
 * model engine, with one request failing, the controller dying, or the manifest changing at a
 * chosen request.
 */
#ifndef BOTTLER_TESTS_TORTURE_DRIVER_H
#define BOTTLER_TESTS_TORTURE_DRIVER_H

#include "reconcile/diff.h"
#include "reconcile/exec.h"
#include "tests/torture/model.h"

enum fault {
    FAULT_NONE,
    FAULT_REFUSED,      /* no answer, nothing happened */
    FAULT_RESET,        /* it happened, no answer */
    FAULT_404,          /* answered so, nothing happened */
    FAULT_409,          /* the same */
    FAULT_500,          /* the same */
    FAULT_TRUNCATED,    /* it happened, half of the answer */
    FAULT_CRASH_BEFORE, /* the controller dies, what it asked for did not happen */
    FAULT_CRASH_AFTER,  /* the same, but it did */
    FAULT_EDIT,         /* the manifest changes */
    FAULT_COUNT
};
const char *fault_name(enum fault f);

enum { WORLD_BOTTLES = 4, WORLD_PASSES = 120, WORLD_FLYING = 64, HELD_LOOKS = 3 };

struct world_bottle {
    const char *name;
    const struct desired *want;    /* NULL: no manifest wants it */
    const struct desired *edited;  /* after FAULT_EDIT */
    const struct desired *running; /* what `exec` works on */
    struct plan *plan;
    struct exec *exec;
    uint64_t due_ns;
    unsigned failures;
    bool settled;
    unsigned held_looks;
    char *held;
};

struct world {
    struct model *m;
    struct memory memory;
    struct engine_caps caps;
    struct pool pool;
    uint64_t now_ns;
    struct world_bottle bottles[WORLD_BOTTLES];
    size_t bottles_len;
    struct world_flight {
        size_t bottle;
        struct exec_request q;
    } flying[WORLD_FLYING];
    size_t flying_len;
    enum fault fault;
    size_t fault_at; /* number of the request, from 0 */
    bool forever;    /* every request from there on fails */
    size_t requests;
    size_t passes;
    uint64_t rng;
    bool shuffle;         /* of what could be answered now, any is */
    bool busy_neighbours; /* policies are never forgotten, as with others' plans always under way */
    size_t trace;         /* how many passes are printed */
};

/* Takes the model. */
void world_init(struct world *w, struct model *m_take);
void world_add(struct world *w, const char *bottle, const struct desired *want);
void world_done(struct world *w);
/* Until every bottle has nothing left to do, or is held. Broken rules, and no end, are in
 * w->m->violation. */
void world_run(struct world *w);
/* The controller dies: all it knew but what is on disk, and what it was doing, is gone. */
void world_crash(struct world *w);
/* Is the engine exactly as wanted? Else m->violation says what isn't. */
void world_check(struct world *w);

#endif
