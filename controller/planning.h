/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `plan` and `apply`: the controller's own planner, looked at and, with apply, carried out once.
 *
 * A plan document is {"format_version": "1", "kind": "Plan", "createdAt", "options", "bottles":
 * [{"bottle", "summary", "problem", "changes", "effects", "steps", "held", "waits", "mutates",
 * "suspended", "manifest", "secrets", "world"}]}: what is wanted and what was found are in it, so
 * that apply can tell what has moved since. No secret is: their keyed hashes are.
 */
#ifndef BOTTLER_CONTROLLER_PLANNING_H
#define BOTTLER_CONTROLLER_PLANNING_H

#include "controller/controller.h"

#define PLAN_FORMAT "1"

/* Looks once. `text`: for people. */
struct err *controller_plan(const struct controller_options *opt, struct str *text,
                            json_t **ret_document) ERR_NODISCARD;
/* Looks once, and carries out the document's plans if they are what would be planned now; else
 * changes nothing, and `text` says what moved. EXIT_OK when everything is as wanted afterwards,
 * EXIT_DIFFERS when something failed or is left to do, EXIT_REFUSED when something has moved. */
struct err *controller_apply(const struct controller_options *opt, const json_t *document,
                             struct str *text, int *ret_exit) ERR_NODISCARD;

/* The options of a document's run: paths made absolute. */
json_t *options_json(const struct controller_options *opt);
/* Borrows from `document`; `dirs` is filled, and freed by the caller. INVALID when it is no plan of
 * this format. */
struct err *options_of_document(const json_t *document, struct str_list *dirs,
                                struct controller_options *ret) ERR_NODISCARD;

/* Between controller.c and planning.c. */
struct err *controller_run_whole(struct controller *c, int *ret_exit) ERR_NODISCARD;
void controller_init(struct controller *c, const struct controller_options *opt);
void controller_close(struct controller *c);
/* MODE_APPLY: everything has been looked at for the first time, or carried out. */
void planning_settled(struct controller *c);

#endif
