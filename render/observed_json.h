/* SPDX-License-Identifier: Apache-2.0 */
/* The three list answers, one function each. Inside render/ only. */
#ifndef BOTTLER_RENDER_OBSERVED_JSON_H
#define BOTTLER_RENDER_OBSERVED_JSON_H

#include "render/observed.h"

/* Limits on what an engine may answer. */
enum {
    OBSERVED_MAX_BYTES = 16 * 1024 * 1024,
    OBSERVED_MAX_OBJECTS = 65536,
    OBSERVED_MAX_PER_OBJECT = 4096, /* names, networks, subnets of one object */
};

/* Each fills its part of `o`; on failure `o` holds what was read so far, for observed_free().
 * Networks come before containers: their names are looked up. */
struct err *observed_containers(struct observed *o, const char *installation, struct sv body)
    ERR_NODISCARD;
/* Only those without our label; what is there stays. */
struct err *observed_strangers(struct observed *o, const char *installation, struct sv body)
    ERR_NODISCARD;
struct err *observed_networks(struct observed *o, const char *installation, struct sv body)
    ERR_NODISCARD;
struct err *observed_volumes(struct observed *o, const char *installation, struct sv body)
    ERR_NODISCARD;

/* Labels and self-reference agree; `what` is the last part of the self-reference, NULL for any. */
bool owner_proven(const struct observed_owner *o, const char *installation, const char *what);
bool run_state_parse(const char *name, enum run_state *ret);
/* RFC 3339 with any offset, fractions dropped; 0 for anything else. */
int64_t created_parse(const char *text);
/* The number of "Exited (137) 3 seconds ago"; -1 for anything else. */
int exit_code_parse(const char *status);

#endif
