/* SPDX-License-Identifier: Apache-2.0 */
/* A bottle's CAs give way to new ones while it runs: the stages of reconcile/rotation.h, taken. */
#ifndef BOTTLER_CONTROLLER_ROTATION_H
#define BOTTLER_CONTROLLER_ROTATION_H

#include "controller/controller.h"

/* What the record says that the agent was given to trust; once, when it is loaded. */
struct err *rotation_load(struct worker *w) ERR_NODISCARD;
/* Notes what the agent was given since. False when it can't: told as an event, and tried again. */
bool rotation_save(struct worker *w);
/* Before the bottle is rendered: takes the stages that are due and wait for nobody. A failure is
 * told as an event, and tried again at the next pass; the bottle goes on with the CAs that it has.
 */
void rotation_begin(struct worker *w);
/* After it: `d` is what is wanted now. True when other CAs sign from now on, so that it has to be
 * rendered anew. */
bool rotation_switch(struct worker *w, const struct desired *d);
/* [{"role", "expires", "stage", "nextStageAt"}] */
json_t *rotation_json(const struct worker *w);

#endif
