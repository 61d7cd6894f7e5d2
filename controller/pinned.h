/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The defaults that each bottle was accepted with, kept in its record of the state directory
 * (`defaults`), so that another build of bottler changes no bottle that stands.
 */
#ifndef BOTTLER_CONTROLLER_PINNED_H
#define BOTTLER_CONTROLLER_PINNED_H

#include "controller/state.h"
#include "spec/manifest.h"

struct pinned;

/* Borrows `s`. */
struct pinned *pinned_new(struct state *s);
struct pinned *pinned_free(struct pinned *p);
/* Those of a bottle, NULL for one that has none yet: today's then. Read once. NULL too for what is
 * damaged or can't be read, which is told; state_bottle() refuses such a record, so that nothing is
 * done with today's. Borrowed until pinned_forget() or pinned_keep() of that bottle. `p` may be
 * NULL. */
const struct defaults *pinned_get(struct pinned *p, const char *bottle);
/* Sets what manifest_load_under() asks for. */
void pinned_rules(struct pinned *p, struct manifest_rules *rules);
/* For a bottle that has a record: writes what isn't pinned yet, fields that a new build has brought
 * among it. Writes nothing when there is nothing to add. */
void pinned_keep(struct pinned *p, const char *bottle);
void pinned_forget(struct pinned *p, const char *bottle);

#endif
