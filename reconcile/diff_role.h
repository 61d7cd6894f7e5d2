/* SPDX-License-Identifier: Apache-2.0 */
/* Private to reconcile/diff_role*.c: the steps for one role's containers. */
#ifndef BOTTLER_RECONCILE_DIFF_ROLE_H
#define BOTTLER_RECONCILE_DIFF_ROLE_H

#include "reconcile/builder.h"

/* A container that steps are added for. */
struct target {
    const struct desired_container *want;
    const char *id; /* NULL: made by this plan */
    bool next;
    const char *cause;
    int last; /* the step so far */
};

/* ---- diff_role_make.c */

/* A step of this container, after its last one; it is the last one then. */
int target_add(struct builder *b, struct target *t, struct step_init s);
/* Its image, itself, its networks, and what target_prepare() adds. */
void target_create(struct builder *b, struct target *t);
/* Its files, and the last look at it before it may start. */
void target_prepare(struct builder *b, struct target *t);
/* Until the role is up and confirmed; `again`: the start counts as one more. */
void target_start(struct builder *b, struct target *t, bool again);
/* `step` comes after what must be up and confirmed before this role may start. */
void target_after_prerequisites(struct builder *b, enum role role, int step);
/* An image that isn't there and may not be fetched: the role stays as it is, whatever that is. */
bool role_image_is_out_of_reach(struct builder *b, const struct desired_container *want);

/* ---- diff_role_replace.c */

/* The container that waits under the role's .next name, or relieves it; NULL: there is none. */
const struct observed_container *role_next(const struct builder *b, enum role role);
bool role_is_as_wanted(const struct desired_container *want, const struct observed_container *c);
/* What a proxy enforces is to be read from its log first. */
void role_scan_first(struct builder *b, const struct observed_container *c);
/* Removes it, an agent that runs after a stop; the last step. */
int role_remove(struct builder *b, const struct observed_container *c,
                const struct desired_container *want, const char *cause, int after);
/* The replacement exists, with its files, before anything running is touched: an image or a setting
 * that the engine refuses costs nothing. `old` NULL: an interrupted replacement is finished. */
void role_replace(struct builder *b, const struct desired_container *want,
                  const struct observed_container *old, const char *cause);
void role_fresh(struct builder *b, const struct desired_container *want, const char *cause,
                int after);
/* A stopped container that is of no use: gone first, then made anew. */
void role_again(struct builder *b, const struct desired_container *want,
                const struct observed_container *c, const char *cause);

#endif
