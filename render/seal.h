/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a container sealed as it was asked to be? Judged by what the engine says that it made
 * (GET /containers/{id}/json), never by labels: somebody may have made it anew, and an engine may
 * drop a setting. What the body asks for must be there, and what it doesn't ask for must not.
 */
#ifndef BOTTLER_RENDER_SEAL_H
#define BOTTLER_RENDER_SEAL_H

#include "render/desired.h"

enum seal_state {
    SEAL_SOUND,
    SEAL_LIMITS, /* limits or the restart policy differ: the engine can change these in place */
    SEAL_BROKEN, /* only another container will do */
};
struct seal {
    enum seal_state state;
    char *why; /* NULL when sound; the first difference, "HostConfig.Privileged is true" */
};
void seal_done(struct seal *s);

/* `ret` is overwritten. UNAVAILABLE when the answer isn't what an engine says of a container. Not
 * judged: networks (the lists tell), the runtime where the manifest leaves it to the engine, the
 * image (its tag may have moved since). */
struct err *seal_check(const struct desired_container *want, struct sv inspect, struct seal *ret)
    ERR_NODISCARD;

/* POST /containers/{id}/update: the limits and the restart policy as wanted. */
char *seal_update_body(const struct desired_container *want);

#endif
