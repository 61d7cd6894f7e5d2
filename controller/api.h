/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status API: HTTP on a Unix socket (mode 0660; only root, our own uid and members of the
 * socket's group, by peer credentials), libmicrohttpd driven from the sd-event loop. Handlers
 * answer at once from memory.
 *
 * Answers are JSON with a final newline. What the server refuses itself is {"error": "…"}: 403 for
 * a stranger, 405 for another method than GET, HEAD and POST, 413 for a body over API_MAX_BODY, 415
 * for a body that isn't application/json, 400 for one that isn't JSON, 503 for one watcher too
 * many.
 */
#ifndef BOTTLER_CONTROLLER_API_H
#define BOTTLER_CONTROLLER_API_H

#include "spec/base/err.h"

#include <jansson.h>
#include <systemd/sd-event.h>

#include <stdbool.h>
#include <sys/types.h>

enum {
    API_MAX_CLIENTS = 64,
    API_MAX_WATCHERS = 32, /* of the clients, so that they can't lock the others out */
    API_MAX_BODY = 1024 * 1024,
    API_IDLE_S = 30,                   /* a client that neither sends nor takes anything */
    API_WATCH_MAX_LINES = 64,          /* waiting for a slow watcher; then it is dropped */
    API_MAX_ANSWER = 64 * 1024 * 1024, /* that the client takes */
};

struct api_server;
/* Borrowed, for the time of the call. */
struct api_request {
    const char *method; /* GET or POST */
    const char *path;   /* without the query */
    const json_t *body; /* at most 1 MiB; NULL when there was none */
    uid_t uid;          /* who asks, by the kernel's word; our own for the lines of a watch */
};
/* Answers one request: a JSON value (owned by the server from then on) and a status code (200 when
 * untouched). May call api_server_changed(); must not free the server. */
typedef json_t *api_handler(void *ctx, const struct api_request *q, int *ret_status);
/* A stale socket file that nobody answers on is replaced; a live one, or anything that is no
 * socket, is CONFLICT. A missing parent directory is made (0755). The group that may use the socket
 * is the file's own: chgrp works at any time. At most 64 clients. */
struct err *api_server_new(sd_event *loop, const char *socket_path, api_handler *handle, void *ctx,
                           struct api_server **ret) ERR_NODISCARD;
/* Wakes every watcher: GET /v1/watch answers one JSON line at once and one after each call (the
 * handler's value for
 * "/v1/bottles"), chunked, until the client goes away. Calls within one turn of the loop share a
 * line. Cheap when nobody watches; the handler is never called from inside. */
void api_server_changed(struct api_server *s);
/* Ends every connection and removes the socket file, unless it was replaced. Returns NULL. */
struct api_server *api_server_free(struct api_server *s);
/* Watchers now, for tests and metrics. */
unsigned api_server_watchers(const struct api_server *s);

/* Client side, blocking. UNAVAILABLE says that no controller answers at `socket_path` and how to
 * start one, DENIED that the user may not use the socket, TIMEOUT that it didn't answer in
 * `API_IDLE_S`. Any status is an answer: *ret_status. */
struct err *api_call(const char *socket_path, const char *method, const char *path,
                     const json_t *body, int *ret_status, json_t **ret) ERR_NODISCARD;
/* Calls `line` for each line of GET /v1/watch until it returns false. UNAVAILABLE when the
 * controller ends it. */
typedef bool api_line_fn(void *ctx, const json_t *value);
struct err *api_watch(const char *socket_path, api_line_fn *line, void *ctx) ERR_NODISCARD;
/* The same for `timeout_s` at most: TIMEOUT then. */
struct err *api_watch_for(const char *socket_path, unsigned timeout_s, api_line_fn *line, void *ctx)
    ERR_NODISCARD;

#endif
