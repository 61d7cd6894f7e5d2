/* SPDX-License-Identifier: Apache-2.0 */
/* Bottles that are left alone: what is kept of it, and its end. */
#ifndef BOTTLER_CONTROLLER_SUSPEND_H
#define BOTTLER_CONTROLLER_SUSPEND_H

#include "reconcile/suspension.h"

struct controller;
struct worker;

/* Reads who has suspended it by hand. A record that can't be read suspends it: nobody knows that it
 * may be touched. */
void suspend_load(struct worker *w);
/* Keeps it, and takes it over; with a `who` of NULL it is resumed. Nothing is changed on failure;
 * NOT_FOUND when the bottle has no record yet. */
struct err *suspend_store(struct worker *w, struct suspension *s_take) ERR_NODISCARD;
/* Its manifest or somebody by hand wants it left alone now. */
bool worker_is_suspended(const struct worker *w);
/* Wakes the controller at the next end of a suspension; after anything that may have changed that.
 */
void suspensions_arm(struct controller *c);

#endif
