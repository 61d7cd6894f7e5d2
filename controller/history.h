/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of a bottle's generations, in its record of the state directory: `applied`,
 * the last one that converged, and `history`, what became of the last hundred. Both are only told
 * of and compared with: a damaged one is said so and ignored, and one that can't be written is
 * tried again with a later pass.
 */
#ifndef BOTTLER_CONTROLLER_HISTORY_H
#define BOTTLER_CONTROLLER_HISTORY_H

#include "controller/secrets.h"
#include "reconcile/catalog.h"
#include "reconcile/ledger.h"

#include <stdint.h>

struct worker;

/* The last generation that the bottle was as asked with. */
struct applied {
    int64_t generation;
    char *text;             /* as catalog_entry.text; NULL: none ever was */
    char *revision;         /* of its source; NULL: it has none */
    char *file;             /* where it was defined; may be NULL */
    struct kv_list secrets; /* reference -> secret_hashes() */
    int64_t at_ms;          /* Unix milliseconds */
};
void applied_done(struct applied *a);
/* But for the time. */
bool applied_same(const struct applied *a, const struct applied *b);
/* As one line of JSON; the caller frees. */
char *applied_format(const struct applied *a);
/* INVALID says what is wrong with it. */
struct err *applied_parse(struct sv text, struct applied *ret) ERR_NODISCARD;

/* Keyed hashes of values, each bound to its reference's name, so that equal values of two
 * references don't show; *ret is replaced. */
void secret_hashes(const struct secret_set *s, const uint8_t key[HASH_KEY_BYTES],
                   struct kv_list *ret);
void kv_list_clear(struct kv_list *l);

/* Of a worker: what it knows of its generations. */
struct history {
    struct ledger ledger;
    bool loaded;
    bool unsaved;
    uint64_t retry_ns; /* no write before this, after one that failed */
};
void history_done(struct history *h);

/* Reads both once; before that, w->applied.text is NULL. */
void history_load(struct worker *w);
/* A pass begins with this generation of the manifest, which isn't news when that is gone; before
 * manifests_keep(), which forgets what the one before it said. */
void history_accepted(struct worker *w, const struct catalog_entry *e);
/* After w->conditions were judged: notes what has converged, failed, or gone. Writes only what
 * differs. */
void history_follow(struct worker *w);
/* Generation `generation` was given up for an older one: from now on it neither converges nor
 * fails, until it is accepted anew. */
void history_reverted(struct worker *w, int64_t generation, const char *why);
bool history_gave_up(const struct worker *w, int64_t generation);

#endif
