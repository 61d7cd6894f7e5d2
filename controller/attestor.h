/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `run --attest INTERVAL`: each bottle is attested from inside, again and again, one at a time.
 * What gets out puts the bottle in quarantine: its agent is paused, also after a restart of the
 * controller, until an attestation finds the bottle sealed. Bottles in quarantine are attested
 * without --attest, too.
 */
#ifndef BOTTLER_CONTROLLER_ATTESTOR_H
#define BOTTLER_CONTROLLER_ATTESTOR_H

#include "spec/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct controller;
struct worker;
struct attestor;

enum { ATTEST_INTERVAL_MIN_S = 10, ATTEST_QUARANTINE_RETRY_S = 60 };

/* What the last attestation of a bottle said. */
struct attested {
    int64_t at_s;        /* Unix seconds; 0: never */
    const char *verdict; /* "sealed", "open", "unproven"; static */
    char *summary;
    uint64_t due_ns; /* the next one, monotonic */
};
void attested_done(struct attested *a);
/* {"verdict", "at", "summary"}, or null when there was none yet. */
json_t *attested_json(const struct attested *a);

/* `interval_s` 0: only what is in quarantine. */
struct err *attestor_open(struct controller *c, unsigned interval_s, struct attestor **ret)
    ERR_NODISCARD;
/* A probe that runs now is left to the next start. NULL is fine; returns NULL. */
struct attestor *attestor_free(struct attestor *a);
/* Calls off what is under way; its probe is removed first. */
void attestor_stop(struct attestor *a);
bool attestor_busy(const struct attestor *a);
/* After anything that may make a bottle ready to be attested. */
void attestor_look(struct attestor *a);
/* The bottle is going away: what is said of it isn't wanted any more. */
void attestor_forget(struct attestor *a, const char *bottle);

#endif
