/* SPDX-License-Identifier: Apache-2.0 */
/* For verbs: asking the controller, and reading what it answers. */
#ifndef BOTTLER_CONTROLLER_ASK_H
#define BOTTLER_CONTROLLER_ASK_H

#include "controller/api.h"
#include "controller/cli.h"

const char *ask_socket(const struct cli *cli);
/* EXIT_OK and *ret, which the caller drops; else what went wrong is told, and *ret is NULL. What
 * the controller refuses as things are is EXIT_REFUSED, a request it can't understand EXIT_USAGE.
 */
int ask(const struct cli *cli, const char *method, const char *path, const json_t *body,
        json_t **ret);
/* The body of a request about NAME… or --all, in `body`; an err says that it is neither. */
struct err *ask_about(const struct cli *cli, json_t *body) ERR_NODISCARD;
/* "" when it is none. */
const char *ask_text(const json_t *o, const char *key);
/* Of a bottle of `get -o json`; NULL: it isn't there. */
const json_t *ask_condition(const json_t *bottle, const char *type);
const char *ask_name(const json_t *bottle);
/* The bottle of that name in a list; NULL: there is none. */
const json_t *ask_bottle(const json_t *list, const char *name);

#endif
