/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has happened lately, for `bottler events`: a ring in memory, newest last. What repeats is
 * folded into one entry with a count, which then counts as new. One bottle can't push out what the
 * others did. Pure: the clock and whoever is told come from outside.
 */
#ifndef BOTTLER_CONTROLLER_JOURNAL_H
#define BOTTLER_CONTROLLER_JOURNAL_H

#include "reconcile/status.h"

#include <jansson.h>
#include <stdint.h>

enum {
    JOURNAL_MAX = 1024,          /* entries */
    JOURNAL_MAX_OF_BOTTLE = 256, /* of them */
    JOURNAL_FOLD_SPAN = 16,      /* latest entries of a bottle that a repeat is looked for in */
    JOURNAL_MESSAGE_MAX = 2000,  /* bytes; more is cut */
    JOURNAL_BOTTLE_MAX = 64,
};

enum journal_type { JOURNAL_NORMAL, JOURNAL_WARNING };

struct journal_entry {
    uint64_t seq;     /* from 1; a repeat takes a new one */
    int64_t first_ms; /* Unix milliseconds of the first and the latest */
    int64_t last_ms;
    char *bottle; /* "": the controller as a whole */
    enum journal_type type;
    const char *reason; /* CamelCase, static */
    char *message;      /* one line of printable UTF-8 */
    uint64_t count;
};

struct journal_hooks {
    int64_t (*now_ms)(void *ctx); /* NULL: the system's clock */
    /* After each journal_add(); NULL: nobody. */
    void (*added)(void *ctx, const struct journal_entry *e);
    void *ctx;
};

struct journal;
struct journal *journal_new(const struct journal_hooks *hooks);
struct journal *journal_free(struct journal *j);
/* `bottle` may be NULL: the controller as a whole. Never a secret in `message`. Owns the message;
 * what is not printable in it is shown as '?'. With a NULL journal nothing is kept. */
void journal_add(struct journal *j, const char *bottle, enum journal_type type, const char *reason,
                 char *message_take);
/* conditions_update(), and an entry for each change that people want to know of: accepted or not,
 * secrets, isolation, policy, ready or not, stalled, suspended. */
void journal_conditions(struct journal *j, const char *bottle, struct conditions *c,
                        const struct status_input *in);

/* The latest number given; 0: none yet. */
uint64_t journal_last(const struct journal *j);
const char *journal_type_name(enum journal_type t);
/* {"kind": "EventList", "items": [{"seq", "firstTime", "lastTime", "bottle", "type", "reason",
 * "message", "count"}]}, oldest first. */
json_t *journal_json(const struct journal *j);

#endif
