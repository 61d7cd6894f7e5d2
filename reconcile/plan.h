/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan: what it takes to make one bottle as desired, as a graph of single engine requests, each
 * with its cause. A value: it can be printed, compared and thrown away; nothing in it acts.
 */
#ifndef BOTTLER_RECONCILE_PLAN_H
#define BOTTLER_RECONCILE_PLAN_H

#include "render/names.h"
#include "spec/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum step_kind {
    STEP_IMAGE_INSPECT,
    STEP_IMAGE_PULL,
    STEP_NET_CREATE,
    STEP_NET_CONNECT,
    STEP_NET_DISCONNECT,
    STEP_NET_INSPECT, /* who is still attached, before a removal */
    STEP_NET_REMOVE,
    STEP_VOL_CREATE,
    STEP_VOL_REMOVE,
    STEP_CTR_CREATE,
    STEP_CTR_ROOTS,  /* read the image's own trust store */
    STEP_CTR_UPLOAD, /* files through the archive API */
    STEP_CLOCK,      /* the engine's own time, so that a log line can be told from an older one */
    STEP_CTR_START,
    STEP_CTR_SIGNAL,  /* HUP: reload */
    STEP_CTR_CONFIRM, /* follow its log until it names the hash it runs */
    STEP_CTR_INSPECT, /* when its last run ended: older log lines say nothing of this one */
    STEP_CTR_SCAN,    /* read its log for the hash it runs */
    STEP_CTR_VERIFY,  /* is it sealed as asked? Nothing that isn't is started */
    STEP_CTR_UPDATE,  /* limits and restart policy, in place */
    STEP_CTR_PAUSE,
    STEP_CTR_UNPAUSE,
    STEP_CTR_STOP,
    STEP_CTR_REMOVE,
    STEP_CTR_RENAME,   /* a waiting replacement takes the final name */
    STEP_GUARD_CREATE, /* render/guard.h: the host takes nothing from the internal networks */
    STEP_GUARD_UPLOAD,
    STEP_GUARD_START,
    STEP_GUARD_WAIT,
    STEP_GUARD_REMOVE,
    STEP_KIND_COUNT
};

enum { STEP_MAX_DEPS = 12, STEP_NONE = -1 };

struct step {
    enum step_kind kind;
    enum role role;  /* of container steps */
    enum net net;    /* of network steps */
    bool next;       /* the container waiting under its .next name */
    bool hot_only;   /* uploads */
    bool trust_only; /* the same: of an agent, what it trusts */
    bool again;      /* starts: it ran before and ended */
    char *object;    /* name as people know it: container, network, volume, image */
    char *id;     /* engine id of what is there already (of the container where a step names both a
                     container and a network); NULL: made by an earlier step */
    char *detail; /* subnet, path, hash: what the step needs and what is printed; may be NULL */
    const char *cause; /* why; static text */
    int deps[STEP_MAX_DEPS];
    unsigned deps_len;
};

/* What plan_add() copies from. */
struct step_init {
    enum step_kind kind;
    enum role role;
    enum net net;
    bool next, hot_only, trust_only, again;
    const char *object, *id, *detail; /* copied */
    const char *cause;                /* static */
};

enum plan_hold {
    HOLD_NONE,
    HOLD_FOREIGN_NAME, /* a stranger has a name that the bottle needs */
    HOLD_NO_ADDRESS,   /* the address pool is exhausted */
    HOLD_IMAGE,        /* pull_policy never, and the image isn't there */
    HOLD_OPEN, /* something opens the bottle that isn't ours to mend: the agent stays paused */
};

struct plan {
    char *bottle;
    struct step *steps;
    size_t steps_len;
    enum plan_hold hold; /* something can't be done, `why` tells; with HOLD_IMAGE and HOLD_OPEN the
                            steps that don't need it stay */
    char *why;
    char *waits;            /* why the agent isn't replaced yet, though it is to be; NULL */
    bool isolates;          /* first of all makes safe what has been opened */
    bool finished;          /* the agent has ended and its restart policy lets it rest */
    uint64_t not_before_ns; /* something waits for its restart delay until then; 0: nothing does */
};

struct plan *plan_new(const char *bottle);
struct plan *plan_free(struct plan *p);
/* Adds a step, returns its index. Strings are copied, NULL allowed where the struct says so. */
int plan_add(struct plan *p, const struct step_init *values);
/* `step` waits for `dep`; STEP_NONE is ignored. */
void plan_after(struct plan *p, int step, int dep);
/* The first one is kept. */
void plan_set_hold(struct plan *p, enum plan_hold hold, char *why_take);
void plan_drop_steps(struct plan *p);

const char *step_kind_name(enum step_kind k); /* "container.create" */
/* Whether the request can change something. */
bool step_mutates(enum step_kind k);
/* A plan with nothing but reads in it, or nothing at all, changes nothing. */
bool plan_mutates(const struct plan *p);

/* One line a step: symbol, kind, object, detail, cause. Stable for golden tests. */
void plan_print(const struct plan *p, struct str *out);
json_t *plan_json(const struct plan *p);

#endif
