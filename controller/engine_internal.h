/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the engine_*.c files only. */
#ifndef BOTTLER_CONTROLLER_ENGINE_INTERNAL_H
#define BOTTLER_CONTROLLER_ENGINE_INTERNAL_H

#include "controller/curl_loop.h"
#include "controller/engine.h"
#include "controller/engine_lines.h"

#include <curl/curl.h>
#include <stdio.h>
#include <sys/queue.h>

enum { API_MIN = 41, API_MAX = 51 };

/* One request. On its lane's `waiting` list, then on its `active` list; on neither while it is
 * being finished. */
struct request {
    TAILQ_ENTRY(request) in_lane;
    TAILQ_ENTRY(request) in_fresh;
    struct engine *e;
    uint64_t id;
    enum engine_lane lane;
    bool active;
    bool fresh; /* on the engine's list of streams with bytes to hand on */
    bool busy;  /* its callback is running: may be `dead` but not freed */
    bool dead;
    bool too_big;

    char *method;
    char *path;
    char *body;
    size_t body_len;
    char *body_path;
    FILE *body_file;
    char *content_type;
    char *registry_auth;
    unsigned timeout_ms;
    size_t max_body;
    bool unversioned;
    bool framed;

    engine_done_fn *done;
    engine_line_fn *line; /* NULL: not a stream */
    void *ctx;

    CURL *easy; /* NULL until started */
    struct curl_slist *header_list;
    struct str headers;
    struct str answer; /* body, or the bytes of a stream that aren't split yet */
    struct engine_lines *lines;
    bool headers_whole;
    bool decided;    /* the fields below are known */
    bool error_body; /* a stream whose status is 400 or above: `answer` is its body */
    char curl_error[CURL_ERROR_SIZE];
};
TAILQ_HEAD(request_list, request);

struct lane {
    struct request_list waiting;
    struct request_list active;
    size_t waiting_len;
    size_t active_len;
};

struct connecting;
LIST_HEAD(connecting_list, connecting);

struct engine {
    sd_event *loop;
    struct endpoint at;
    struct curl_loop *curl;
    sd_event_source *pump; /* starts what waits, from the loop */
    struct lane lanes[LANE_COUNT];
    struct request_list fresh;
    struct connecting_list connecting;
    struct engine_info info;
    bool connected; /* once: `info` is there */
    uint64_t last_id;
    uint64_t mutations;
    uint64_t requests;
    unsigned depth; /* callbacks under way; the object outlives them */
    bool freed;
};

/* engine_http.c: one request as curl sees it. On failure nothing needs to be undone but
 * request_free(). */
struct err *http_prepare(struct request *r) ERR_NODISCARD;
/* What went wrong, in our words; NULL for CURLE_OK. */
struct err *http_error(const struct request *r, CURLcode code) ERR_NODISCARD;
bool http_is_safe(const char *method);

/* engine_connect.c */
void connecting_drop_all(struct engine *e);
void engine_info_done(struct engine_info *i);

/* endpoint.c */
void endpoint_copy(const struct endpoint *from, struct endpoint *ret);

#endif
