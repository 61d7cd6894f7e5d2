/* SPDX-License-Identifier: Apache-2.0 */
/* Several questions to the engine at once; their answers as JSON when all are in. */
#ifndef BOTTLER_CONTROLLER_GATHER_H
#define BOTTLER_CONTROLLER_GATHER_H

#include "controller/engine.h"

#include <jansson.h>

struct gather;
enum { GATHER_MAX = 24 };

/* `error` is the first failure, borrowed; NULL: all is there. */
typedef void gather_done_fn(void *ctx, const struct err *error);

struct gather *gather_new(struct engine *e, gather_done_fn *done, void *ctx);
/* GET `path`; *slot becomes the answer, owned by the caller (what was there is dropped). With
 * `optional`, a 404 makes it NULL and is no failure. At most GATHER_MAX. */
void gather_add(struct gather *g, const char *path, bool optional, json_t **slot);
/* Sends what was added; `done` comes once, later, from the loop, also when nothing was added, and
 * the object is gone after it. */
void gather_start(struct gather *g, sd_event *loop);
/* Forgets it, without `done`. NULL is fine. Returns NULL. */
struct gather *gather_free(struct gather *g);

#endif
