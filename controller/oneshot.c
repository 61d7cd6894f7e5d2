/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/oneshot.h"

#include "render/text_clean.h"
#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>

enum { TAIL_MAX = 2048, REMOVE_TRIES = 5, REMOVE_AGAIN_MS = 500 };

struct oneshot {
    struct engine *e;
    sd_event *loop;
    sd_event_source *timer;
    engine_line_fn *line;
    oneshot_done_fn *done;
    void *ctx;
    char *name;
    char *body;
    char *tars[ONESHOT_TARS];
    size_t tars_n[ONESHOT_TARS];
    size_t uploaded;
    uint64_t request; /* under way */
    bool may_exist;   /* the create call was sent */
    bool irrevocable; /* what is under way may make it: wait for its answer */
    bool ending;      /* what is under way is the last before the removal */
    bool removing;
    unsigned tries;
    struct err *error; /* the first */
    int exit_code;
    bool oom_killed;
    struct str tail;
};

static void start(struct oneshot *o);

struct oneshot *oneshot_free(struct oneshot *o)
{
    if (!o)
        return NULL;
    engine_cancel(o->e, o->request);
    (void)sd_event_source_disable_unref(o->timer);
    for (size_t i = 0; i < ONESHOT_TARS; i++)
        free(o->tars[i]);
    free(o->name);
    free(o->body);
    err_free(o->error);
    str_done(&o->tail);
    free(o);
    return NULL;
}

static void finish(struct oneshot *o)
{
    AUTO_FREE char *tail = text_clean((struct sv){o->tail.p, o->tail.len}, TAIL_MAX);
    const struct oneshot_end end = {
        .error = o->error, .exit_code = o->exit_code, .oom_killed = o->oom_killed, .tail = tail};
    o->done(o->ctx, &end);
    oneshot_free(o);
}

static void fail(struct oneshot *o, struct err *e_take)
{
    if (o->error)
        err_ignore(e_take, "the first failure is told");
    else
        o->error = e_take;
}

static void send(struct oneshot *o, const struct engine_request *q, engine_done_fn *done)
{
    o->request = engine_send(o->e, q, done, o);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void remove_it(struct oneshot *o);

static int on_again(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    remove_it(ctx);
    return 0;
}

static void arm(struct oneshot *o, uint64_t ms, sd_event_time_handler_t fn)
{
    o->timer = sd_event_source_disable_unref(o->timer);
    (void)sd_event_add_time_relative(o->loop, &o->timer, CLOCK_MONOTONIC, ms * 1000, 1000, fn, o);
}

static void on_removed(void *ctx, const struct engine_response *r)
{
    struct oneshot *o = ctx;
    o->request = 0;
    AUTO_FREE char *what = xasprintf("removing '%s'", o->name);
    struct err *e = engine_check(r, what);
    /* 409: its removal is under way, by somebody else; asking again tells when it is over. */
    if (!e || err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "it is gone");
        finish(o);
    } else if (++o->tries < REMOVE_TRIES) {
        err_ignore(e, "tried again");
        arm(o, REMOVE_AGAIN_MS, on_again);
    } else {
        err_free(o->error); /* graver than what came before */
        o->error = e;
        finish(o);
    }
}

static void remove_it(struct oneshot *o)
{
    o->removing = true;
    o->timer = sd_event_source_disable_unref(o->timer);
    if (!o->may_exist) {
        finish(o);
        return;
    }
    AUTO_FREE char *path = xasprintf("/containers/%s?force=1&v=1", o->name);
    const struct engine_request q = {.method = "DELETE", .path = path, .lane = LANE_WORK};
    send(o, &q, on_removed);
}

/* Ends it early. An answer that may make it is waited for: a container that is made after its
 * removal would stay. */
static void stop(struct oneshot *o, struct err *e_take)
{
    fail(o, e_take);
    if (o->removing || o->ending)
        return;
    if (o->irrevocable) {
        o->ending = true;
        return;
    }
    engine_cancel(o->e, o->request);
    o->request = 0;
    remove_it(o);
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct oneshot *o = ctx;
    stop(o, err_new(ERR_TIMEOUT, "container '%s' did not end in time", o->name));
    return 0;
}

/* `done` must come from the loop, never from inside this call. */
static int on_cancelled(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct oneshot *o = ctx;
    stop(o, err_new(ERR_DENIED, "called off"));
    return 0;
}

void oneshot_cancel(struct oneshot *o)
{
    if (!o->removing && !o->ending)
        arm(o, 0, on_cancelled);
}

/* ---- the run --------------------------------------------------------------------------------- */

/* False: the request has failed, or this is to end; then the removal is under way. */
static bool go_on(struct oneshot *o, const struct engine_response *r, const char *doing)
{
    o->request = 0;
    AUTO_FREE char *what = xasprintf("%s '%s'", doing, o->name);
    struct err *e = engine_check(r, what);
    if (e)
        fail(o, e);
    if (!e && !o->ending)
        return true;
    remove_it(o);
    return false;
}

static void on_inspected(void *ctx, const struct engine_response *r)
{
    struct oneshot *o = ctx;
    if (!go_on(o, r, "asking for the end of"))
        return;
    json_t *root = json_loadb(r->body.p, r->body.n, 0, NULL);
    const json_t *state = json_object_get(root, "State");
    const json_t *code = json_object_get(state, "ExitCode");
    if (!json_is_integer(code) || json_is_true(json_object_get(state, "Running")))
        fail(o,
             err_new(ERR_UNAVAILABLE, "the output of container '%s' ended before it did", o->name));
    o->exit_code = (int)json_integer_value(code);
    o->oom_killed = json_is_true(json_object_get(state, "OOMKilled"));
    json_decref(root);
    remove_it(o);
}

static void on_output_end(void *ctx, const struct engine_response *r)
{
    struct oneshot *o = ctx;
    if (!go_on(o, r, "listening to"))
        return;
    AUTO_FREE char *path = xasprintf("/containers/%s/json", o->name);
    const struct engine_request q = {.method = "GET", .path = path, .lane = LANE_READ};
    send(o, &q, on_inspected);
}

static bool on_line(void *ctx, int stream, struct sv line)
{
    struct oneshot *o = ctx;
    if (stream != 2)
        return o->line(o->ctx, stream, line);
    if (o->tail.len + line.n + 1 > TAIL_MAX)
        str_clear(&o->tail);
    str_addn(&o->tail, line.p, line.n < TAIL_MAX - 1 ? line.n : TAIL_MAX - 1);
    str_addc(&o->tail, '\n');
    return true;
}

static void on_started(void *ctx, const struct engine_response *r)
{
    struct oneshot *o = ctx;
    if (!go_on(o, r, "starting"))
        return;
    AUTO_FREE char *path = xasprintf("/containers/%s/logs?follow=1&stdout=1&stderr=1", o->name);
    const struct engine_request q = {
        .method = "GET", .path = path, .lane = LANE_STREAM, .framed = true};
    o->request = engine_stream(o->e, &q, on_line, on_output_end, o);
}

static void on_uploaded(void *ctx, const struct engine_response *r)
{
    struct oneshot *o = ctx;
    if (!go_on(o, r, "uploading files to"))
        return;
    o->uploaded++;
    start(o);
}

/* Its files, one archive after the other, then the start. */
static void start(struct oneshot *o)
{
    size_t i = o->uploaded;
    bool upload = i < ONESHOT_TARS && o->tars_n[i];
    AUTO_FREE char *path =
        xasprintf(upload ? "/containers/%s/archive?path=%%2F" : "/containers/%s/start", o->name);
    const struct engine_request q = {.method = upload ? "PUT" : "POST",
                                     .path = path,
                                     .body = {upload ? o->tars[i] : "", upload ? o->tars_n[i] : 0},
                                     .content_type = upload ? "application/x-tar" : NULL,
                                     .lane = LANE_WORK};
    send(o, &q, upload ? on_uploaded : on_started);
}

static void on_created(void *ctx, const struct engine_response *r)
{
    struct oneshot *o = ctx;
    o->irrevocable = false;
    /* A refusal is a promise that there is nothing. */
    if (!r->error && r->status >= 400 && r->status < 500)
        o->may_exist = false;
    if (go_on(o, r, "creating"))
        start(o);
}

struct oneshot *oneshot_start(struct engine *e, sd_event *loop, const struct oneshot_spec *spec,
                              engine_line_fn *line, oneshot_done_fn *done, void *ctx)
{
    struct oneshot *o = xcalloc(1, sizeof(*o));
    *o = (struct oneshot){.e = e, .loop = loop, .line = line, .done = done, .ctx = ctx};
    o->name = xstrdup(spec->name);
    o->body = xstrdup(spec->body);
    for (size_t i = 0; i < ONESHOT_TARS; i++) {
        o->tars[i] = xmemdup0(spec->tars[i].p ? spec->tars[i].p : "", spec->tars[i].n);
        o->tars_n[i] = spec->tars[i].n;
    }
    str_init(&o->tail, TAIL_MAX * 2);
    struct str path;
    str_init(&path, 1024);
    str_add(&path, "/containers/create?name=");
    str_add_url(&path, sv_of(o->name), "");
    const struct engine_request q = {
        .method = "POST", .path = path.p, .body = sv_of(o->body), .lane = LANE_WORK};
    o->may_exist = true;
    o->irrevocable = true;
    send(o, &q, on_created);
    str_done(&path);
    arm(o, spec->timeout_ms, on_timeout);
    return o;
}
