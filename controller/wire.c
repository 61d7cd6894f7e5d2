/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's requests, on the engine client. */
#include "controller/controller.h"
#include "controller/log.h"
#include "spec/base/xalloc.h"

struct flight {
    struct flight *next;
    struct worker *w;
    uint64_t id;
    int step;
    bool mutates;       /* must end by itself; a pull needn't */
    bool stops;         /* the engine carries it to its end, whoever waits for it */
    const char *object; /* of the plan's step: an image that is pulled; else NULL */
    bool satisfied;     /* a followed log said what was waited for */
};

enum { ISOLATE_MS = 60000 };

/* What makes an opened bottle safe doesn't queue behind what makes others. */
static enum engine_lane lane_of(const struct worker *w, const struct exec_request *q)
{
    if (exec_plan(w->exec)->isolates)
        return LANE_CONTROL;
    switch ((int)q->of->kind) {
    case STEP_NET_CREATE:
    case STEP_NET_REMOVE:
        return LANE_NETWORK;
    case STEP_IMAGE_PULL:
        return LANE_PULL;
    case STEP_CTR_CONFIRM:
    case STEP_CTR_STOP: /* mostly waiting */
        return LANE_STREAM;
    default:
        return step_mutates(q->of->kind) ? LANE_WORK : LANE_READ;
    }
}

static void forget(struct flight *f)
{
    struct flight **at = &f->w->flights;
    while (*at && *at != f)
        at = &(*at)->next;
    if (*at)
        *at = f->next;
    free(f);
}

void flights_cancel(struct worker *w, enum flights which)
{
    struct flight *f = w->flights;
    while (f) {
        struct flight *next = f->next;
        if (!f->mutates || which == FLIGHTS_ALL || (which == FLIGHTS_WAITS && f->stops)) {
            engine_cancel(w->c->engine, f->id);
            forget(f);
        }
        f = next;
    }
}

static void on_done(void *ctx, const struct engine_response *r)
{
    struct flight *f = ctx;
    struct worker *w = f->w;
    struct response answer = {.error = r->error, .status = r->status, .body = r->body};
    if (f->satisfied)
        answer = (struct response){.status = 200};
    int step = f->step;
    forget(f);
    exec_feed(w->exec, step, &answer, now_ns(w->c));
    worker_pump(w);
}

/* Layers count up dozens of times a second; what is told is each new word, not each new number. */
static void log_progress(const struct flight *f, struct sv line)
{
    json_t *v = json_loadb(line.p, line.n, 0, NULL);
    const char *status = json_string_value(json_object_get(v, "status"));
    const char *layer = json_string_value(json_object_get(v, "id"));
    if (status && !json_object_get(v, "progress"))
        log_at(LOG_INFO, "bottle=%s pulling=%s %s%s%s", f->w->name, f->object, layer ? layer : "",
               layer ? ": " : "", status);
    json_decref(v);
}

static bool on_line(void *ctx, int stream, struct sv line)
{
    struct flight *f = ctx;
    (void)stream;
    if (f->object)
        log_progress(f, line);
    bool more = exec_line(f->w->exec, f->step, line);
    f->satisfied = f->satisfied || !more;
    return more;
}

/* The engine tells of it as it tells of everybody's. */
static void note_deed(struct worker *w, const struct step *s)
{
    if (s->kind == STEP_CTR_UPLOAD)
        w->deeds.uploads[s->role]++;
    if (s->kind == STEP_CTR_UPDATE)
        w->deeds.updates[s->role]++;
    if (s->kind == STEP_CTR_SIGNAL || s->kind == STEP_CTR_REMOVE || s->kind == STEP_CTR_STOP)
        w->deeds.signals[s->role]++;
}

static void log_step(const struct worker *w, const struct step *s)
{
    if (step_mutates(s->kind))
        log_at(LOG_INFO, "bottle=%s step=%s object=%s%s cause=\"%s\"%s%s", w->name,
               step_kind_name(s->kind), s->object ? s->object : "", s->next ? NEXT_SUFFIX : "",
               s->cause ? s->cause : "", s->detail ? " detail=" : "", s->detail ? s->detail : "");
}

static void send_request(struct worker *w, const struct exec_request *x)
{
    struct flight *f = xcalloc(1, sizeof(*f));
    *f = (struct flight){.next = w->flights,
                         .w = w,
                         .step = x->step,
                         .mutates = step_mutates(x->of->kind) && x->answer != ANSWER_LINES,
                         .stops = x->of->kind == STEP_CTR_STOP,
                         .object = x->answer == ANSWER_LINES ? x->of->object : NULL};
    w->flights = f;
    bool safe = exec_plan(w->exec)->isolates;
    struct engine_request q = {.method = x->method,
                               .path = x->path,
                               .body = {x->body, x->body_n},
                               .content_type = x->content_type,
                               .lane = lane_of(w, x),
                               .timeout_ms = safe ? ISOLATE_MS : x->timeout_ms,
                               .framed = x->answer == ANSWER_LOG};
    log_step(w, x->of);
    note_deed(w, x->of);
    f->id = x->answer == ANSWER_BODY ? engine_send(w->c->engine, &q, on_done, f)
                                     : engine_stream(w->c->engine, &q, on_line, on_done, f);
}

void worker_pump(struct worker *w)
{
    struct exec_request q;
    while (!w->c->stopping && !w->interrupted && exec_next(w->exec, now_ns(w->c), &q)) {
        w->interrupted = rollout_gives_way(w, q.of);
        if (!w->interrupted)
            send_request(w, &q);
        exec_request_done(&q);
    }
    struct controller *c = w->c;
    if (w->c->stopping || w->interrupted ? !w->flights : exec_finished(w->exec))
        worker_ended(w);
    else
        worker_status(w);
    controller_dispatch(c);
}
