/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's answers mean (reference: engine.md section 6). */
#ifndef BOTTLER_RECONCILE_RESPONSE_H
#define BOTTLER_RECONCILE_RESPONSE_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdbool.h>

/* `error` (borrowed) when there was no whole HTTP answer; else status and body. */
struct response {
    const struct err *error;
    int status;
    struct sv body;
};

/* NULL for 2xx and 304. Else an err with the engine's own words: 401 DENIED, 403/409 CONFLICT, 404
 * NOT_FOUND, other 4xx INVALID, 5xx UNAVAILABLE, the rest INTERNAL; a transport error keeps its
 * kind. `what` names the request. */
struct err *response_check(const struct response *r, const char *what) ERR_NODISCARD;
/* The engine's words, whether JSON {"message": …} or plain text, on one line, at most 2 KiB. The
 * caller frees. */
char *response_message(const struct response *r);
bool response_says(const struct response *r, const char *words);

#endif
