/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of GET /v1/watch: connections that sleep until there is a line for them. Lines are
 * shared between all; a client that doesn't take them is cut off rather than buffered without
 * bound.
 */
#ifndef BOTTLER_CONTROLLER_API_WATCHERS_H
#define BOTTLER_CONTROLLER_API_WATCHERS_H

#include <microhttpd.h>
#include <systemd/sd-event.h>

struct api_watchers;
/* `kick` is called when the daemon has to run soon: a connection was woken. */
struct api_watchers *api_watchers_new(sd_event *loop, void (*kick)(void *ctx), void *ctx);
/* After the daemon was stopped: every watcher is gone by then. NULL is fine. */
void api_watchers_free(struct api_watchers *ws);

/* The chunked answer of a new watcher, which starts with `line` (copied); NULL when there are too
 * many. The caller queues it and drops its reference. */
struct MHD_Response *api_watchers_add(struct api_watchers *ws, struct MHD_Connection *conn,
                                      const char *line);
/* One more line for each (copied once). */
void api_watchers_push(struct api_watchers *ws, const char *line);
/* Ends each; the daemon has to run once to do it. */
void api_watchers_end(struct api_watchers *ws);
unsigned api_watchers_count(const struct api_watchers *ws);

#endif
