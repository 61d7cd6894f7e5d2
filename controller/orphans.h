/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that carry this installation's label but lack the full proof of being ours (renamed by
 * hand, or labelled by somebody else): they are told of once, listed, and never touched. `adopt`
 * gives a container that only lost its name the name back; `forget` keeps quiet about one.
 */
#ifndef BOTTLER_CONTROLLER_ORPHANS_H
#define BOTTLER_CONTROLLER_ORPHANS_H

#include "spec/base/err.h"

#include <jansson.h>

struct controller;
struct orphans;

/* Reads what is forgotten. */
struct err *orphans_open(struct controller *c, struct orphans **ret) ERR_NODISCARD;
struct orphans *orphans_free(struct orphans *o);
/* After each look at the engine. */
void orphans_look(struct controller *c);
/* [{"kind", "id", "name", "bottle", "why", "problem"}]; `problem` is why the last adoption failed.
 */
json_t *orphans_json(const struct controller *c);

/* By name, or by an id's beginning of at least 12 characters, when there is just one such orphan.
 * The rename is sent; *ret_id (the caller frees) is gone from the orphans when it has succeeded,
 * and has a `problem` when it hasn't. NOT_FOUND: no orphan is called so; CONFLICT says what is
 * missing.
 */
struct err *orphans_adopt(struct controller *c, const char *which, char **ret_id) ERR_NODISCARD;
struct err *orphans_forget(struct controller *c, const char *which, char **ret_id) ERR_NODISCARD;

#endif
