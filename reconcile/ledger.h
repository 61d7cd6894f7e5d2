/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of each generation of a bottle: when it was accepted and from where, what it changed,
 * how it ended. Bounded; the oldest are forgotten. Pure: the clock comes from outside.
 */
#ifndef BOTTLER_RECONCILE_LEDGER_H
#define BOTTLER_RECONCILE_LEDGER_H

#include "spec/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LEDGER_MAX = 100,        /* generations */
    LEDGER_CHANGES_MAX = 64, /* of one generation; one more then says how many are left out */
    LEDGER_TEXT_MAX = 512,   /* bytes of a field, a change, a message; more is cut */
    LEDGER_BYTES_MAX = 8 << 20,
};

enum outcome {
    OUTCOME_PENDING,    /* under way, or waiting */
    OUTCOME_CONVERGED,  /* the bottle was as it says, with nothing left to do */
    OUTCOME_FAILED,     /* it can't be had as it is; it may still come to converge */
    OUTCOME_SUPERSEDED, /* the next one came before it was reached */
    OUTCOME_REVERTED,   /* an older one was put back in its place */
    OUTCOME_REMOVED,    /* its manifest went */
    OUTCOME_COUNT
};
/* "Converged" */
const char *outcome_name(enum outcome o);

struct ledger_change {
    char *field;
    char *change;
};
struct ledger_entry {
    int64_t generation;
    char *revision; /* NULL: its source has none */
    char *file;     /* may be NULL */
    int64_t accepted_s;
    struct ledger_change *changes; /* from the generation before */
    size_t changes_len;
    enum outcome outcome;
    int64_t ended_s; /* 0: it hasn't */
    char *message;   /* of the outcome; may be NULL */
};
struct ledger {
    struct ledger_entry *items; /* oldest first */
    size_t len;
};
void ledger_done(struct ledger *l);

/* A new generation, of which `init` says the first four; copied. One that was pending is superseded
 * by it. False, and nothing is changed, when the newest entry is of this generation already and was
 * not removed. */
bool ledger_accept(struct ledger *l, const struct ledger_entry *init);
/* Adds to the newest entry; cuts and counts what is too much. Nothing without an entry. */
void ledger_add_change(struct ledger *l, const char *field, const char *change);
/* How the newest entry of `generation` ended. False, and nothing is changed, when there is none, or
 * its end can't become this one: only what is pending or failed can converge or fail, and what was
 * superseded, reverted or removed stays so. */
bool ledger_end(struct ledger *l, int64_t generation, enum outcome how, const char *message,
                int64_t now_s);
/* The newest entry of a generation; NULL: none. */
const struct ledger_entry *ledger_find(const struct ledger *l, int64_t generation);

/* [{"generation", "revision", "file", "acceptedAt", "changes": [{"field", "change"}], "outcome",
 * "endedAt", "message"}], oldest first. */
json_t *ledger_json(const struct ledger *l);
/* The same objects, one a line, but for the oldest ones where all would be over LEDGER_BYTES_MAX;
 * the caller frees. */
char *ledger_format(const struct ledger *l);
/* Reads lines; *l is overwritten. Lines that are none are left out; the answer is the number of the
 * first of them, from 1, or 0. */
size_t ledger_parse(struct sv text, struct ledger *l);

#endif
