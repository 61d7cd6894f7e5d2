/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one resolved list of routes from which both proxies' files are rendered: manifest routes in
 * order, then presets, then the allowlist; the first mention of a host wins, case-insensitively.
 */
#ifndef BOTTLER_RENDER_ROUTESET_H
#define BOTTLER_RENDER_ROUTESET_H

#include "spec/bottle.h"

struct resolved_route {
    const char *host;
    const struct route *route; /* NULL: a bare-pass host */
    int slot;                  /* index of its token slot, -1: no credential */
};
/* Borrows everything from the bottle and the preset table. */
struct routeset {
    struct resolved_route *routes;
    size_t len;
    const char **slots; /* token_ref of EGRESS_TOKEN_<i>, in order of first use */
    size_t slots_len;
};
void routeset_resolve(const struct bottle *b, struct routeset *ret);
void routeset_done(struct routeset *r);

/* pipelock.yaml, for /etc/bottler/ in its container. Deterministic: the same bottle gives the same
 * bytes in any key order and letter case. */
char *render_pipelock(const struct bottle *b, const struct routeset *r);
/* The same with every key that reloads (render/pipelock_keys.h) at its frozen value: when this text
 * differs the container must be replaced. */
char *render_pipelock_cold(const struct bottle *b, const struct routeset *r);
/* routes.yaml, for /etc/bottler/ in the egress container. */
char *render_routes(const struct bottle *b, const struct routeset *r);

#endif
