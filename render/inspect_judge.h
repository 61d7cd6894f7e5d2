/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the engine can tell of a bottle: settings of its containers and networks that would
 * open it, judged by a table, without knowing its manifest. Rows of class "inspect". Pure.
 */
#ifndef BOTTLER_RENDER_INSPECT_JUDGE_H
#define BOTTLER_RENDER_INSPECT_JUDGE_H

#include "render/attest_report.h"
#include "render/attest_world.h"

/* Adds a row for each check of each container and network; ids "I.<role>.<check>" and
 * "I.net-<net>.<check>". A part of the bottle that isn't there is an ERROR. */
void inspect_judge(const struct attest_world *w, struct attest_report *r);

/* Whether mounting this path of a host would hand out the host, its engine, or somebody's
 * credentials. */
bool inspect_source_is_forbidden(const char *source);

#endif
