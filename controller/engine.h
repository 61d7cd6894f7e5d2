/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Docker Engine API over libcurl's multi interface on an sd-event loop. One thread, nothing
 * blocks. Every request ends in exactly one call of its `done`, never from inside engine_send();
 * only engine_cancel() and engine_free() end one without it.
 *
 * Callbacks may call anything here: send, cancel (also the request itself), engine_free().
 *
 * Lanes cap what is in flight: network creation and removal queue on one mutex in the engine
 * anyway (reference: engine.md section 10), so they get a lane of one; image pulls and log streams
 * must not starve the rest. A request waits in its lane without a time limit; its time-out starts
 * when it is sent.
 *
 * What can change something is sent on a connection of its own and never repeated, neither here nor
 * by curl: whether it took effect is for the caller to look up. GET and HEAD reuse connections, and
 * are repeated when a kept one turns out to be dead (an engine that was restarted).
 */
#ifndef BOTTLER_CONTROLLER_ENGINE_H
#define BOTTLER_CONTROLLER_ENGINE_H

#include "controller/endpoint.h"
#include "render/docker.h"
#include "spec/base/err.h"
#include "spec/base/str.h"

#include <jansson.h>
#include <systemd/sd-event.h>

struct engine;

enum engine_lane {
    LANE_READ,    /* lists, inspects: 4 at a time, 30 s each */
    LANE_NETWORK, /* network create, remove: 1, 180 s */
    LANE_WORK,    /* everything else that changes something: 4, 180 s */
    LANE_PULL,    /* image pulls, builds, loads: 2, no limit but 10 minutes without a byte */
    LANE_STREAM,  /* followed logs: long-lived; 64, no limit */
    LANE_CONTROL, /* what must always get through: engine_connect()'s own, the events; 8, no limit
                   */
    LANE_COUNT
};

enum { ENGINE_MAX_BODY = 16 << 20, ENGINE_MAX_LINE = 64 << 10, ENGINE_MAX_HEADERS = 32 << 10 };

/* Everything that is borrowed here is copied by engine_send(). */
struct engine_request {
    const char *method;
    /* After the version: "/containers/json?all=1"; see str_add_url(). */
    const char *path;
    struct sv body; /* empty: none */
    /* A file to send instead of `body`, for large archives; NULL: none. */
    const char *body_file;
    /* "application/json" when NULL and there is a body. */
    const char *content_type;
    /* X-Registry-Auth, base64url JSON; NULL: none. Wiped after use. */
    const char *registry_auth;
    enum engine_lane lane;
    /* For the whole request; 0: the lane's default. Never short for what changes something: newer
     * engines cancel work whose client went away. */
    unsigned timeout_ms;
    /* Of the answer, more is an error; 0: ENGINE_MAX_BODY. For streams: of an error's body. */
    size_t max_body;
    /* /_ping, /version: goes out also before engine_connect() has succeeded. */
    bool unversioned;
    /* engine_stream(): the answer has the engine's log frames (logs, exec or attach of a container
     * without a tty). From API 1.42 on the content type of logs says so, and wins then. */
    bool framed;
};

/* `error` is set when there was no whole HTTP answer (UNAVAILABLE, TIMEOUT, DENIED for want of
 * permission on the socket or a bad certificate, INVALID for a request that can't be sent, INTERNAL
 * for an answer over its limit) and is borrowed; `status` is then 0. Else `status` and `body`. A
 * status of 400 and above is not an `error` here: engine_check(). All of it is valid during the
 * callback only. */
struct engine_response {
    const struct err *error;
    int status;
    struct sv body;
    struct sv headers; /* "Name: value\r\n" lines; engine_header() */
};
typedef void engine_done_fn(void *ctx, const struct engine_response *r);
/* One line of a stream, without its end ("\n" or "\r\n"); may be empty and may hold any byte.
 * `stream` is 1 (stdout) or 2 (stderr) for framed logs, 0 else. Lines longer than ENGINE_MAX_LINE
 * are cut. A last line without an end counts when the stream ended in order. Return false to end
 * the stream (done is still called, without an error). */
typedef bool engine_line_fn(void *ctx, int stream, struct sv line);

/* Opens nothing yet. The engine keeps its own copy of the endpoint. curl_global_init() must have
 * run and SIGPIPE must be ignored. */
struct err *engine_new(sd_event *loop, const struct endpoint *at, struct engine **ret)
    ERR_NODISCARD;
/* Drops every request without calling back; a change that was on its way may have happened. NULL is
 * fine. Returns NULL. */
struct engine *engine_free(struct engine *e);

/* Returns an id > 0 for engine_cancel(). `done` runs later, from the loop. */
uint64_t engine_send(struct engine *e, const struct engine_request *q, engine_done_fn *done,
                     void *ctx);
/* Splits the answer into lines as they come; `done` gets an empty body, or the error body when the
 * status is 400 or above. A connection that breaks in the middle is UNAVAILABLE. */
uint64_t engine_stream(struct engine *e, const struct engine_request *q, engine_line_fn *line,
                       engine_done_fn *done, void *ctx);
/* Forgets a request; its callbacks are not called again. Unknown ids are fine. */
void engine_cancel(struct engine *e, uint64_t id);
/* Requests sent so far that could change something (not GET/HEAD), and all; for tests and metrics.
 */
uint64_t engine_mutations(const struct engine *e);
uint64_t engine_requests(const struct engine *e);
/* Requests that wait or are under way in a lane. */
size_t engine_pending(const struct engine *e, enum engine_lane lane);

/* The value of an answer's header, without blanks around it; the last one when there are several;
 * empty when there is none. Any letter case. */
struct sv engine_header(const struct engine_response *r, const char *name);
/* NULL for 2xx and 304. Else an err with the engine's own words: 400 INVALID, 403/409 CONFLICT, 401
 * DENIED, 404 NOT_FOUND, 5xx UNAVAILABLE, other 4xx INVALID, the rest INTERNAL; or a copy of
 * r->error. `what` names the request ("creating container 'x'"). */
struct err *engine_check(const struct engine_response *r, const char *what) ERR_NODISCARD;

/* What /_ping, /version and /info told. Owned by the engine; valid after a connect succeeded, until
 * the next one does. Strings are never NULL. */
struct engine_info {
    char *id;             /* of the daemon */
    char *server_version; /* "20.10.24" */
    char *driver;         /* storage: "overlay2" */
    int api_minor;        /* negotiated */
    int api_minor_max;    /* the daemon's own */
    char *arch;           /* Go's word: "amd64" */
    char *os;
    struct str_list runtimes; /* sorted names */
    char *default_runtime;    /* "" when it didn't say */
    char *root_dir;           /* where it keeps its data, on its own host */
    bool rootless;
    bool has_runsc;
    bool containerd_store;
    bool live_restore;
    bool icc_off_works; /* see engine_caps */
    bool weak_seccomp;  /* see seccomp_is_weak() */
    int cpus;
    /* The daemon's clock, Unix seconds, for `since` of /events; 0 when it didn't say. */
    int64_t time;
    json_t *version_answer, *info_answer; /* whole */
};
typedef void engine_connected_fn(void *ctx, const struct err *error,
                                 const struct engine_info *info);
/* Negotiates the version (1.41 … 1.51; DENIED with a clear text when the engine is too old or
 * demands newer) and reads /version and /info. Call again after a lost connection. Requests started
 * before this succeeded once fail with UNAVAILABLE. A failed connect keeps what an earlier one had
 * learned. */
void engine_connect(struct engine *e, engine_connected_fn *done, void *ctx);
/* NULL before the first success. */
const struct engine_info *engine_get_info(const struct engine *e);
/* For render: computed from what engine_connect() learned, which must have succeeded; borrowed
 * strings. icc_off_works is a guess on the careful side: false when /info warns that
 * bridge-nf-call-iptables is off (without br_netfilter the engine then refuses enable_icc=false;
 * with it, it would turn it on by itself). Engines from 28 on never say, and may still refuse it
 * with "cannot restrict inter-container communication". */
struct engine_caps engine_caps(const struct engine *e);

#endif
