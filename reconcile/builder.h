/* SPDX-License-Identifier: Apache-2.0 */
/* Private to reconcile/diff*.c: a plan in the making. */
#ifndef BOTTLER_RECONCILE_BUILDER_H
#define BOTTLER_RECONCILE_BUILDER_H

#include "reconcile/diff.h"

struct builder {
    const struct diff_input *in;
    struct plan *plan;
    struct bottle_view view;
    struct cidr_set used;
    struct str_list lookups;  /* images that nobody has looked up yet */
    struct str_list scans;    /* "<role> <container id>" of proxies whose policy isn't known yet */
    struct str_list inspects; /* the same of containers whose seal isn't known yet */
    int net_step[NET_COUNT];  /* creation of a missing network */
    int vol_step;             /* last volume creation */
    int ready[ROLE_COUNT];    /* the step after which the role is up and confirmed; STEP_NONE: it is
                                 already */
    int egress_image;         /* the step after which its image is there */
    int guard;    /* the step after which the host takes nothing from the internal networks;
                     STEP_NONE: no need was seen */
    bool waiting; /* a role can't be brought up now, so what depends on it isn't started either */
};

/* reconcile/view.c: is it attached to exactly the networks of its role, and no other? */
bool view_nets_ok(const struct bottle_view *v, const struct observed_container *c);
/* reconcile/diff_role.c: one role of a wanted bottle. */
void build_role(struct builder *b, const struct desired_container *want);
/* reconcile/diff_trust.c: the reads of the image's own trust store, one after the other after
 * `after`, as what `of` names; the last of them. */
int build_roots(struct builder *b, struct step_init of, int after);
/* The same of a container that runs, whatever else is due for it: the CAs that it is to trust are
 * uploaded when it was given others. */
void build_trust(struct builder *b, const struct desired_container *want,
                 const struct observed_container *c);
/* reconcile/diff_seal.c: what makes an opened bottle safe; false when there is nothing to do for
 * that: it is closed, or safe, and to be mended or waited for. */
bool build_isolation(struct builder *b);
/* reconcile/diff_guard.c: the step after which the agent may be on its network. */
int build_guard(struct builder *b);
/* One that an interrupted plan has left. */
void build_guard_leftover(struct builder *b);
/* Containers that `attest` has left behind; `all`: the bottle goes. */
void build_probes(struct builder *b, bool all);
#define PROBE_LIFE_NS (UINT64_C(900) * 1000000000)
/* reconcile/diff_gone.c: everything of a bottle that no manifest wants. */
void build_removal(struct builder *b);
/* Stops a bottle that no manifest wants but that is kept: the agent first. */
void build_stop(struct builder *b);
/* Removes a network: what is still attached to it first, when the engine said that something is. */
void build_net_removal(struct builder *b, const struct observed_network *n, const char *cause,
                       const int *after, size_t after_len);

#endif
