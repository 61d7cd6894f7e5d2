/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl's multi interface on an sd-event loop. It hides the two rules of that interface: nothing of
 * the multi handle may be called from inside curl's own callbacks, and finished transfers must be
 * drained after every step. Both callbacks below run outside of curl, so they may add, remove and
 * free anything, this object included.
 */
#ifndef BOTTLER_CONTROLLER_CURL_LOOP_H
#define BOTTLER_CONTROLLER_CURL_LOOP_H

#include "spec/base/err.h"

#include <curl/curl.h>
#include <systemd/sd-event.h>

struct curl_loop;

struct curl_loop_hooks {
    /* After each step of curl, before the ends it brought: what arrived can be handed on now. May
     * be NULL. */
    void (*stepped)(void *ctx);
    /* A transfer is over. It is no longer part of the loop; the easy handle stays the caller's. */
    void (*done)(void *ctx, CURL *easy, CURLcode code);
    void *ctx;
};

/* curl_global_init() must have run. The pool keeps `max_connects` connections at most. */
struct err *curl_loop_new(sd_event *loop, const struct curl_loop_hooks *hooks, long max_connects,
                          struct curl_loop **ret) ERR_NODISCARD;
/* Every easy handle must have been removed. NULL is fine; also from inside a hook. Returns NULL. */
struct curl_loop *curl_loop_free(struct curl_loop *l);

/* Starts a transfer; nothing is called before the loop's next turn. Never from one of curl's
 * callbacks. */
struct err *curl_loop_add(struct curl_loop *l, CURL *easy) ERR_NODISCARD;
/* Ends a transfer, finished or not, without a call of `done`. Never from one of curl's callbacks.
 */
void curl_loop_remove(struct curl_loop *l, CURL *easy);

#endif
