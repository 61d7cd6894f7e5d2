/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/engine.h"

#include "controller/engine_internal.h"
#include "spec/base/xalloc.h"

#include <assert.h>

/* Connections that may stay open without a request. */
enum { MAX_IDLE_CONNECTIONS = 16, STREAM_MAX_ERROR_BODY = 64 << 10 };

struct lane_rule {
    size_t at_once;
    unsigned timeout_ms; /* 0: none */
};
static const struct lane_rule LANE_RULES[LANE_COUNT] = {
    [LANE_READ] = {4, 30000}, [LANE_NETWORK] = {1, 180000}, [LANE_WORK] = {4, 180000},
    [LANE_PULL] = {2, 0},     [LANE_STREAM] = {64, 0},      [LANE_CONTROL] = {8, 0},
};

/* Between enter() and leave() the engine stays in memory, whatever a callback does. */
static void enter(struct engine *e)
{
    e->depth++;
}

static void destroy(struct engine *e)
{
    connecting_drop_all(e);
    e->curl = curl_loop_free(e->curl);
    endpoint_done(&e->at);
    engine_info_done(&e->info);
    (void)sd_event_unref(e->loop);
    free(e);
}

static void leave(struct engine *e)
{
    e->depth--;
    if (e->freed && e->depth == 0)
        destroy(e);
}

static void pump_later(struct engine *e)
{
    if (!e->freed)
        (void)sd_event_source_set_enabled(e->pump, SD_EVENT_ONESHOT);
}

static void request_free(struct request *r)
{
    if (r->easy)
        curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->header_list);
    if (r->body_file)
        (void)fclose(r->body_file);
    engine_lines_free(r->lines);
    str_done(&r->headers);
    str_done(&r->answer);
    secret_free(r->registry_auth);
    /* A body may be an archive with tokens in it. */
    if (r->body)
        secret_wipe(r->body, r->body_len);
    free(r->body);
    free(r->body_path);
    free(r->content_type);
    free(r->method);
    free(r->path);
    free(r);
}

/* Takes it off every list and away from curl: from here on nothing finds it. */
static void detach(struct request *r)
{
    struct lane *lane = &r->e->lanes[r->lane];
    if (r->fresh)
        TAILQ_REMOVE(&r->e->fresh, r, in_fresh);
    r->fresh = false;
    if (r->active) {
        TAILQ_REMOVE(&lane->active, r, in_lane);
        lane->active_len--;
        curl_loop_remove(r->e->curl, r->easy);
    } else {
        TAILQ_REMOVE(&lane->waiting, r, in_lane);
        lane->waiting_len--;
    }
    pump_later(r->e);
}

static void drop(struct request *r)
{
    detach(r);
    r->dead = true;
    if (!r->busy)
        request_free(r);
}

/* The one end of a request: it is detached, calls `done`, and is gone. The engine may be freed by
 * `done`. */
static void finish(struct request *r, struct err *error_take)
{
    AUTO_ERR error = error_take;
    long status = 0;
    if (!error && r->easy)
        (void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    struct engine_response answer = {.error = error, .status = (int)status};
    if (!error) {
        answer.headers = (struct sv){r->headers.p, r->headers.len};
        if (!r->line || r->error_body)
            answer.body = (struct sv){r->answer.p, r->answer.len};
    }
    r->done(r->ctx, &answer);
    request_free(r);
}

static bool hand_on_line(void *ctx, int stream, struct sv line)
{
    struct request *r = ctx;
    return r->line(r->ctx, stream, line) && !r->dead;
}

/* Splits what has come and calls the user for each line. False when the request is over: it is gone
 * then. */
static bool hand_on(struct request *r, bool at_end)
{
    if (!r->line || r->error_body)
        return true;
    if (!r->lines)
        r->lines = engine_lines_new(r->framed, ENGINE_MAX_LINE, hand_on_line, r);
    r->busy = true;
    enum lines_state state = engine_lines_feed(r->lines, (struct sv){r->answer.p, r->answer.len});
    if (state == LINES_MORE && at_end)
        state = engine_lines_end(r->lines);
    r->busy = false;
    str_clear(&r->answer);
    if (r->dead) {
        request_free(r);
        return false;
    }
    if (state == LINES_MORE)
        return true;
    if (r->active)
        detach(r);
    finish(r, state == LINES_STOPPED
                  ? NULL
                  : err_new(ERR_INTERNAL, "the answer of %s is not in the engine's log format",
                            r->path));
    return false;
}

static void on_step(void *ctx)
{
    struct engine *e = ctx;
    enter(e);
    struct request *r = NULL;
    while (!e->freed && (r = TAILQ_FIRST(&e->fresh)) != NULL) {
        TAILQ_REMOVE(&e->fresh, r, in_fresh);
        r->fresh = false;
        (void)hand_on(r, false);
    }
    leave(e);
}

static void on_done(void *ctx, CURL *easy, CURLcode code)
{
    struct engine *e = ctx;
    char *private = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct request *r = (void *)private;
    enter(e);
    /* Stays on its list while its last line is handed on, so that the line's callback can cancel
     * it. */
    if (code != CURLE_OK || hand_on(r, true)) {
        detach(r);
        finish(r, http_error(r, code));
    }
    leave(e);
}

static void start(struct engine *e, struct request *r)
{
    struct lane *lane = &e->lanes[r->lane];
    TAILQ_REMOVE(&lane->waiting, r, in_lane);
    lane->waiting_len--;
    struct err *error = NULL;
    if (!r->unversioned && !e->connected)
        error = err_new(ERR_UNAVAILABLE, "the engine at %s has not answered yet", e->at.display);
    if (!error)
        error = http_prepare(r);
    if (!error)
        error = curl_loop_add(e->curl, r->easy);
    if (error) {
        finish(r, error);
        return;
    }
    r->active = true;
    TAILQ_INSERT_TAIL(&lane->active, r, in_lane);
    lane->active_len++;
    e->requests++;
    if (!http_is_safe(r->method))
        e->mutations++;
}

static int on_pump(sd_event_source *source, void *ctx)
{
    (void)source;
    struct engine *e = ctx;
    enter(e);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &e->lanes[i];
        while (!e->freed && lane->active_len < LANE_RULES[i].at_once &&
               !TAILQ_EMPTY(&lane->waiting))
            start(e, TAILQ_FIRST(&lane->waiting));
    }
    leave(e);
    return 0;
}

struct err *engine_new(sd_event *loop, const struct endpoint *at, struct engine **ret)
{
    struct engine *e = xcalloc(1, sizeof(*e));
    TAILQ_INIT(&e->fresh);
    LIST_INIT(&e->connecting);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        TAILQ_INIT(&e->lanes[i].waiting);
        TAILQ_INIT(&e->lanes[i].active);
    }
    e->loop = sd_event_ref(loop);
    endpoint_copy(at, &e->at);
    struct curl_loop_hooks hooks = {.stepped = on_step, .done = on_done, .ctx = e};
    struct err *error = curl_loop_new(loop, &hooks, MAX_IDLE_CONNECTIONS, &e->curl);
    if (!error) {
        int rc = sd_event_add_defer(loop, &e->pump, on_pump, e);
        if (rc < 0)
            error = err_new(ERR_INTERNAL, "event loop: %s", err_errno(-rc));
    }
    if (error) {
        destroy(e);
        return error;
    }
    (void)sd_event_source_set_enabled(e->pump, SD_EVENT_OFF);
    *ret = e;
    return NULL;
}

struct engine *engine_free(struct engine *e)
{
    if (!e)
        return NULL;
    assert(!e->freed);
    e->freed = true;
    e->pump = sd_event_source_disable_unref(e->pump);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &e->lanes[i];
        while (!TAILQ_EMPTY(&lane->waiting))
            drop(TAILQ_FIRST(&lane->waiting));
        while (!TAILQ_EMPTY(&lane->active))
            drop(TAILQ_FIRST(&lane->active));
    }
    if (e->depth == 0)
        destroy(e);
    return NULL;
}

static uint64_t enqueue(struct engine *e, const struct engine_request *q, engine_line_fn *line,
                        engine_done_fn *done, void *ctx)
{
    assert(!e->freed && q->lane < LANE_COUNT && q->path[0] == '/');
    struct request *r = xcalloc(1, sizeof(*r));
    r->e = e;
    r->id = ++e->last_id;
    r->lane = q->lane;
    r->method = xstrdup(q->method);
    r->path = xstrdup(q->path);
    if (q->body.n > 0)
        r->body = xmemdup0(q->body.p, q->body.n);
    r->body_len = q->body.n;
    r->body_path = xstrdup_null(q->body_file);
    r->content_type = xstrdup_null(q->content_type);
    r->registry_auth = xstrdup_null(q->registry_auth);
    r->timeout_ms = q->timeout_ms ? q->timeout_ms : LANE_RULES[q->lane].timeout_ms;
    size_t usual = line ? (size_t)STREAM_MAX_ERROR_BODY : (size_t)ENGINE_MAX_BODY;
    r->max_body = q->max_body ? q->max_body : usual;
    r->unversioned = q->unversioned;
    r->framed = q->framed;
    r->line = line;
    r->done = done;
    r->ctx = ctx;
    str_init(&r->headers, ENGINE_MAX_HEADERS);
    str_init(&r->answer, line ? (size_t)ENGINE_MAX_BODY : r->max_body);
    TAILQ_INSERT_TAIL(&e->lanes[r->lane].waiting, r, in_lane);
    e->lanes[r->lane].waiting_len++;
    pump_later(e);
    return r->id;
}

uint64_t engine_send(struct engine *e, const struct engine_request *q, engine_done_fn *done,
                     void *ctx)
{
    return enqueue(e, q, NULL, done, ctx);
}

uint64_t engine_stream(struct engine *e, const struct engine_request *q, engine_line_fn *line,
                       engine_done_fn *done, void *ctx)
{
    assert(line);
    return enqueue(e, q, line, done, ctx);
}

static struct request *find(const struct request_list *list, uint64_t id)
{
    struct request *r = NULL;
    TAILQ_FOREACH(r, list, in_lane)
    if (r->id == id)
        return r;
    return NULL;
}

void engine_cancel(struct engine *e, uint64_t id)
{
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct request *r = find(&e->lanes[i].active, id);
        if (!r)
            r = find(&e->lanes[i].waiting, id);
        if (r) {
            drop(r);
            return;
        }
    }
}

uint64_t engine_mutations(const struct engine *e)
{
    return e->mutations;
}

uint64_t engine_requests(const struct engine *e)
{
    return e->requests;
}

size_t engine_pending(const struct engine *e, enum engine_lane lane)
{
    return e->lanes[lane].waiting_len + e->lanes[lane].active_len;
}
