/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the status API can be asked, one function a route: the table is in report.c. Each answers at
 * once, from memory; what takes time is begun, and its end is seen in the bottle's status.
 */
#ifndef BOTTLER_CONTROLLER_ROUTES_H
#define BOTTLER_CONTROLLER_ROUTES_H

#include "controller/controller.h"

struct route_call {
    struct controller *c;
    const struct api_request *q;
    struct worker *w; /* the bottle that the path names; NULL: it names none */
};
typedef json_t *route_fn(const struct route_call *call, int *ret_status);

/* {"error": …} with a status: 400 the request is wrong, 404 there is no such bottle, 409 it is
 * refused as things are (the verb ends with 4), 503 it can't be done now. */
json_t *route_refuse(int status, int *ret_status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The bottles that a body is about: {"names": […]} or {"all": true}. */
struct named {
    struct worker **items; /* borrowed workers; free the array */
    size_t len;
    bool all;
};
/* NULL, or a refusal: the body is none of these, or names a bottle that isn't there. */
json_t *route_named(const struct route_call *call, struct named *ret, int *ret_status);
void named_done(struct named *n);
/* A text of the body; *ret is NULL without it. NULL, or a refusal: it is no text, holds control
 * characters, or is longer. */
json_t *route_text(const struct route_call *call, const char *key, size_t max, const char **ret,
                   int *ret_status);
/* Who asks, as the host calls them; the caller frees. */
char *route_user(const struct route_call *call);

/* api_suspend.c: POST /v1/suspend {names | all, reason, until}, POST /v1/resume {names | all}. Both
 * answer {"items": [{"name", "suspended"}], "refused": [{"name", "why"}]}. */
json_t *api_suspend(const struct route_call *call, int *ret_status);
json_t *api_resume(const struct route_call *call, int *ret_status);
/* api_reconcile.c: POST /v1/reconcile {names | all, withSource} answers {"token", "names",
 * "suspended"}: a pass is due for `names`; the bottles' status.lastHandledReconcile is at least
 * `token` once it has ended. Of all, those that are suspended are left out. */
json_t *api_reconcile(const struct route_call *call, int *ret_status);
/* api_history.c: GET /v1/bottles/NAME/history answers {"kind": "HistoryList", "items": […]}, see
 * ledger_json(). */
json_t *api_history(const struct route_call *call, int *ret_status);
/* api_prune.c:
 *   POST /v1/prune {"approve": false}                  {"items", "orphans", "problem"}
 *   POST /v1/prune {"approve": true, "names": [NAME…]} {"approved": [NAME…], "notApproved":
 *                                                      [{"name", "message"}]}; no names: all
 *   POST /v1/adopt {"object": NAME|ID}                 202 {"id"}: not in controller.orphans any
 *                                                      more when done, or there with a `problem`
 *   POST /v1/forget {"object": NAME|ID}                {"id"} */
json_t *api_prune(const struct route_call *call, int *ret_status);
json_t *api_adopt(const struct route_call *call, int *ret_status);
json_t *api_forget(const struct route_call *call, int *ret_status);

#endif
