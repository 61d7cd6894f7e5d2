/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What opens a bottle: everything observed through which its agent could reach, or be reached by,
 * something that its manifest doesn't give it. Pure. A dead or detached proxy is none: the agent
 * has no way out but through both.
 */
#ifndef BOTTLER_RECONCILE_OPENINGS_H
#define BOTTLER_RECONCILE_OPENINGS_H

#include "reconcile/diff.h"

enum opening_kind {
    OPEN_NETWORK,  /* a container of the bottle is on a network that isn't its own */
    OPEN_GUEST,    /* a stranger is on one of the bottle's networks */
    OPEN_LODGER,   /* a stranger shares a container's network namespace: only its owner can end that
                    */
    OPEN_BRIDGE,   /* a network of the bottle isn't as it was asked for */
    OPEN_SETTINGS, /* a container isn't as it was asked for */
    OPEN_POLICY,   /* somebody else has written into a proxy, or signalled it */
    OPEN_QUARANTINE, /* the controller was told to keep the agent from running */
};

struct opening {
    enum opening_kind kind;
    const struct observed_container *container; /* of the bottle, or the stranger; may be NULL */
    const struct observed_network *network;     /* may be NULL */
    char *text;                                 /* what is open, in words */
};
struct openings {
    struct opening *items;
    size_t len;
};
/* `ret` is overwritten; borrows from `in`. */
void openings_find(const struct diff_input *in, const struct bottle_view *v, struct openings *ret);
void openings_done(struct openings *o);
/* CamelCase, of a condition. */
const char *opening_reason(enum opening_kind k);
/* Whether the engine's lists show it, so that it came from somebody else. */
bool opening_is_listed(enum opening_kind k);

/* The same question for one network: is it closed as this role of network has to be? `why`, NULL
 * when it is, is static. */
const char *network_fault(const struct observed_network *n, const struct engine_caps *caps);

#endif
