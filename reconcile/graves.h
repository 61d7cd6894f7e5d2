/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletion on purpose: a tombstone for every name that is on the engine, or was once accepted, and
 * that no manifest wants. Pure: the caller says who is gone and what time it is.
 *
 * A tombstone waits for its grace period. At the moment one is due, all that stand count together
 * with what was deleted lately; when that is more than the limits allow, all of them are held,
 * those still in their grace too. What was held so stays held until it is approved or its own
 * manifest comes back: that others came back releases nobody, nor does a new start. One that is due
 * stays due until it is gone or wanted again. Other reasons to hold concern one bottle each; when
 * such a reason ends by itself, a new grace period begins.
 */
#ifndef BOTTLER_RECONCILE_GRAVES_H
#define BOTTLER_RECONCILE_GRAVES_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define GRAVES_GRACE_S 30
#define GRAVES_MAX 5
#define GRAVES_MAX_PERCENT 50
#define GRAVES_DEFAULT "5,50%" /* both, as they are written */
/* What was deleted counts for a grace period, and this long at least. */
#define GRAVES_WINDOW_NS (UINT64_C(10) * 1000000000)
enum { GRAVES_UNLIMITED = 1000000, GRAVES_PERCENT_FROM = 2 };

struct graves_limits {
    uint64_t grace_ns;
    unsigned max;         /* deletions at once */
    unsigned max_percent; /* of the bottles known; counts from GRAVES_PERCENT_FROM deletions on, so
                             that the last bottle can go */
};
/* "N", "P%" or "N,P%"; what isn't given isn't limited. False when it is none of these. */
bool graves_limits_parse(const char *text, struct graves_limits *ret);

enum grave_verdict {
    GRAVE_WAITS, /* until its grace is over; the bottle is kept as it was last accepted */
    GRAVE_HELD,  /* `reason` says why; kept like that too, but for GRAVE_PRESERVED */
    GRAVE_DUE,   /* to be removed now */
};
enum grave_reason {
    GRAVE_NO_REASON,
    GRAVE_TOO_MANY,
    GRAVE_SUSPENDED,
    GRAVE_SOURCE, /* where its manifest was can't be believed */
    GRAVE_MOVED,
    GRAVE_PRESERVED, /* spec.preserve: to be stopped, and kept */
};
const char *grave_verdict_name(enum grave_verdict v); /* "waits", "held", "due" */
const char *grave_reason_name(enum grave_reason r);   /* "TooMany", …; static */

struct grave {
    char *name;
    enum grave_verdict verdict;
    enum grave_reason reason;
    char *message; /* what happens to the bottle now, and what can be done */
    uint64_t since_ns;
    uint64_t until_ns; /* of GRAVE_WAITS */
    int64_t until_s;   /* the same as a time of day */
    bool preserve;     /* as its facts said last */
    bool approved;     /* it goes, whatever speaks against it */
    bool released;     /* approved among others: spec.preserve still counts */
};

struct graves {
    struct graves_limits limits;
    struct grave **items; /* by name */
    size_t len;
    uint64_t *executed; /* when the latest were deleted without having been approved */
    size_t executed_len;
    unsigned peak; /* the most that stood, of how many, since the breaker has tripped */
    unsigned peak_of;
};

/* A name that is gone now. Borrowed. */
struct grave_facts {
    const char *name;
    bool suspended;
    bool preserve;
    bool stopped;         /* its agent doesn't run */
    const char *source;   /* why its manifest's going isn't believed; NULL: it is */
    const char *moved_to; /* a new bottle that is equal but for the name; NULL: none */
    bool too_many;        /* it was held as one of too many before its tombstone was forgotten */
};
struct graves_now {
    const struct grave_facts *gone; /* by name */
    size_t gone_len;
    size_t known; /* bottles in all, those that are gone too */
    uint64_t now_ns;
    int64_t now_s;
};
/* Who isn't in `gone` any more has no tombstone any more; `ret_back` (may be NULL) gets their
 * names. */
void graves_update(struct graves *g, const struct graves_now *now, struct str_list *ret_back);
/* When the next grace is over; 0: none is waited for. */
uint64_t graves_next(const struct graves *g);
const struct grave *graves_find(const struct graves *g, const char *name);
/* Lets one go: `named` says that it was asked for by its name, which alone overrules
 * spec.preserve. What comes of it is decided by the next update. False: it has no tombstone. */
bool graves_approve(struct graves *g, const char *name, bool named);
/* Nothing is left of it. */
void graves_executed(struct graves *g, const char *name, uint64_t now_ns);
void graves_done(struct graves *g);

/* Are two canonical manifests equal but for metadata.name? */
bool graves_same_but_name(const char *a, const char *b);

#endif
