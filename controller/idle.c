/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/idle.h"

#include "spec/base/xalloc.h"

/* The last lines of the proxy's log: in_flight is told each time that it changes, once a second at
 * most, so it is among them unless thousands of requests came in between; then it isn't known. */
enum { LOG_TAIL = 2000, LOG_MS = 10000 };

struct idle_look {
    struct engine *e;
    idle_done_fn *done;
    void *ctx;
    char *egress;
    struct str_list execs; /* still to be asked for */
    struct activity found;
    bool failed;
    uint64_t request;
};

struct idle_look *idle_look_free(struct idle_look *l)
{
    if (!l)
        return NULL;
    engine_cancel(l->e, l->request);
    str_list_done(&l->execs);
    free(l->egress);
    free(l);
    return NULL;
}

static void finish(struct idle_look *l)
{
    if (l->failed)
        l->found.known = false;
    struct activity found = l->found;
    idle_done_fn *done = l->done;
    void *ctx = l->ctx;
    l->request = 0;
    idle_look_free(l);
    done(ctx, &found);
}

static bool on_line(void *ctx, int stream, struct sv line)
{
    struct idle_look *l = ctx;
    (void)stream;
    activity_log_line(&l->found, line);
    return true;
}

static void on_log(void *ctx, const struct engine_response *r)
{
    struct idle_look *l = ctx;
    AUTO_ERR e = engine_check(r, "reading the egress proxy's log");
    l->failed = e != NULL;
    finish(l);
}

static void read_log(struct idle_look *l)
{
    AUTO_FREE char *path =
        xasprintf("/containers/%s/logs?stdout=1&stderr=1&tail=%d", l->egress, LOG_TAIL);
    const struct engine_request q = {
        .method = "GET", .path = path, .lane = LANE_READ, .timeout_ms = LOG_MS, .framed = true};
    l->request = engine_stream(l->e, &q, on_line, on_log, l);
}

static void ask_next(struct idle_look *l);

static void on_exec(void *ctx, const struct engine_response *r)
{
    struct idle_look *l = ctx;
    bool over = !r->error && r->status == 404;
    AUTO_ERR e = over ? NULL : engine_check(r, "asking for an exec session");
    if (!e && !over)
        e = activity_exec(&l->found, r->body);
    l->failed = l->failed || e;
    ask_next(l);
}

/* The sessions of the agent, one after the other; then the proxy. */
static void ask_next(struct idle_look *l)
{
    if (l->failed) {
        finish(l);
        return;
    }
    if (!l->execs.len) {
        read_log(l);
        return;
    }
    AUTO_FREE char *id = l->execs.items[--l->execs.len];
    AUTO_FREE char *path = xasprintf("/exec/%s/json", id);
    const struct engine_request q = {.method = "GET", .path = path, .lane = LANE_READ};
    l->request = engine_send(l->e, &q, on_exec, l);
}

static void on_agent(void *ctx, const struct engine_response *r)
{
    struct idle_look *l = ctx;
    AUTO_ERR e = engine_check(r, "asking for the agent's exec sessions");
    if (!e)
        e = activity_exec_ids(r->body, &l->execs);
    l->failed = e != NULL;
    ask_next(l);
}

struct idle_look *idle_look(struct engine *e, const char *agent, const char *egress,
                            idle_done_fn *done, void *ctx)
{
    struct idle_look *l = xcalloc(1, sizeof(*l));
    *l = (struct idle_look){.e = e, .done = done, .ctx = ctx, .egress = xstrdup(egress)};
    AUTO_FREE char *path = xasprintf("/containers/%s/json", agent);
    const struct engine_request q = {.method = "GET", .path = path, .lane = LANE_READ};
    l->request = engine_send(e, &q, on_agent, l);
    return l;
}
