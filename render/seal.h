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
    char *why;  /* NULL when sound; the first difference, "HostConfig.Privileged is true" */
    bool other; /* it was made for another generation: seal_check_other() */
};
void seal_done(struct seal *s);

/* `ret` is overwritten. `cpus`: what the engine's host has, 0 unknown; a limit of as many is none,
 * and the only way to take one off: an update to 0 changes nothing (20.10.24). UNAVAILABLE when the
 * answer isn't what an engine says of a container. Not judged: networks (the lists tell), the
 * runtime where the manifest leaves it to the engine, the image (its tag may have moved since). */
struct err *seal_check(const struct desired_container *want, int cpus, struct sv inspect,
                       struct seal *ret) ERR_NODISCARD;

/* The same of a container that was made for another generation than `want`: what no manifest has a
 * say in, and the limits. Its mounts, runtime and user are that generation's. */
struct err *seal_check_other(const struct desired_container *want, int cpus, struct sv inspect,
                             struct seal *ret) ERR_NODISCARD;

/* What of the wanted settings an engine changes in place: limits and restart policy, as JSON. */
char *seal_limits(const struct desired_container *want);
/* The body of POST /containers/{id}/update for them. All of them each time: an engine that fails at
 * one has set those before it, and Memory can't grow without MemorySwap. */
char *seal_update_body(const char *limits, int cpus);

#endif
