/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/attest.h"

#include "controller/attest_host.h"
#include "controller/gather.h"
#include "controller/oneshot.h"
#include "reconcile/clock.h"
#include "render/files.h"
#include "render/inspect_judge.h"
#include "render/probe_bundle.h"
#include "spec/base/xalloc.h"

#include <string.h>
#include <sys/random.h>

enum { NONCE_BYTES = 8, NAME_BYTES = 3, SLACK_MS = 60000 };

struct attest {
    struct engine *e;
    sd_event *loop;
    sd_event_source *timer; /* of the whole */
    sd_event_source *soon;  /* to end from the loop */
    attest_done_fn *done;
    void *ctx;

    char *instance, *bottle, *option_image;
    struct str_list only;
    struct attest_target *targets;
    size_t targets_len;
    bool wide;
    attest_progress_fn *progress;
    unsigned timeout_s;

    struct attest_world w; /* owns its values */
    struct attest_report *report;
    char nonce[2 * NONCE_BYTES + 1];
    char *user;
    char *image;
    char *epoch; /* of the agent when a probe began */
    json_t *top, *again;
    enum attest_as as; /* of the probe under way */
    struct gather *gather;
    struct oneshot *run;
    struct attest_host *host;
    struct err *error;
};

static void begin_probe(struct attest *a);

/* ---- life ------------------------------------------------------------------------------------ */

static void world_done(struct attest_world *w)
{
    json_decref(w->containers);
    json_decref(w->networks);
    json_decref(w->volumes);
    json_decref(w->info);
    for (int r = 0; r < ROLE_COUNT; r++)
        json_decref(w->inspect[r]);
    for (int n = 0; n < NET_COUNT; n++)
        json_decref(w->members[n]);
}

struct attest *attest_free(struct attest *a)
{
    if (!a)
        return NULL;
    gather_free(a->gather);
    oneshot_free(a->run);
    attest_host_free(a->host);
    (void)sd_event_source_disable_unref(a->timer);
    (void)sd_event_source_disable_unref(a->soon);
    world_done(&a->w);
    attest_report_free(a->report);
    json_decref(a->top);
    json_decref(a->again);
    for (size_t i = 0; i < a->targets_len; i++)
        free(a->targets[i].address);
    free(a->targets);
    str_list_done(&a->only);
    free(a->instance);
    free(a->bottle);
    free(a->option_image);
    free(a->user);
    free(a->image);
    free(a->epoch);
    err_free(a->error);
    free(a);
    return NULL;
}

/* The last that happens; also what was interrupted tells what is known. */
static void finish(struct attest *a)
{
    bool tell = !a->error || err_kind(a->error) == ERR_TIMEOUT;
    if (a->report && a->host)
        attest_host_report(a->host, a->report);
    if (a->report && a->error)
        attest_report_problem(a->report, ATTEST_AS_HOST, "A.end", "%s", err_message(a->error));
    if (a->report)
        attest_report_finish(a->report);
    a->done(a->ctx, a->error, tell ? a->report : NULL);
    attest_free(a);
}

static int on_soon(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    finish(ctx);
    return 0;
}

/* From the loop: callers of what is public here may still hold the object. */
static void finish_soon(struct attest *a)
{
    a->gather = gather_free(a->gather);
    if (!a->soon)
        (void)sd_event_add_time_relative(a->loop, &a->soon, CLOCK_MONOTONIC, 0, 1000, on_soon, a);
}

/* The probe's container goes first. */
static void stop(struct attest *a, struct err *e_take)
{
    if (a->error) {
        err_ignore(e_take, "it is ending already");
        return;
    }
    a->error = e_take;
    if (a->run)
        oneshot_cancel(a->run);
    else
        finish_soon(a);
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct attest *a = ctx;
    stop(a, err_new(ERR_TIMEOUT, "attesting '%s' took more than %u s", a->bottle, a->timeout_s));
    return 0;
}

void attest_cancel(struct attest *a)
{
    stop(a, err_new(ERR_DENIED, "attesting '%s' was called off", a->bottle));
}

static void say(const struct attest *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct attest *a, const char *fmt, ...)
{
    if (!a->progress)
        return;
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    va_end(ap);
    AUTO_FREE char *line = xasprintf("%s: %s", a->bottle, text);
    a->progress(a->ctx, line);
}

/* ---- the probes ------------------------------------------------------------------------------ */

static void after_probes(struct attest *a)
{
    finish_soon(a);
}

/* A network that went away under the probe refuses everything, which proves nothing. */
static void on_again(void *ctx, const struct err *error)
{
    struct attest *a = ctx;
    a->gather = NULL;
    AUTO_FREE char *epoch = a->again ? attest_agent_epoch(a->again) : xstrdup("");
    if (error || strcmp(epoch, a->epoch) != 0 || !attest_agent_runs(a->again))
        attest_report_problem(a->report, a->as, "A.agent.changed",
                              "the agent was stopped, replaced or put on other networks while the "
                              "probe was at work");
    if (a->as == ATTEST_AS_USER) {
        a->as = ATTEST_AS_ROOT;
        begin_probe(a);
    } else {
        after_probes(a);
    }
}

static void look_again(struct attest *a)
{
    const char *id = attest_id(a->w.inspect[ROLE_AGENT]);
    AUTO_FREE char *path = xasprintf("/containers/%s/json", id ? id : "");
    a->gather = gather_new(a->e, on_again, a);
    gather_add(a->gather, path, true, &a->again);
    gather_start(a->gather, a->loop);
}

static void on_probe_end(void *ctx, const struct oneshot_end *end)
{
    struct attest *a = ctx;
    a->run = NULL;
    if (a->error) { /* the reason why it was called off is told */
        finish_soon(a);
        return;
    }
    if (end->error)
        attest_report_problem(a->report, a->as, "A.probe.run", "%s", err_message(end->error));
    else if (end->exit_code != 0)
        attest_report_problem(a->report, a->as, "A.probe.exit", "the probe ended with %d%s%s%s",
                              end->exit_code, end->oom_killed ? ", out of memory" : "",
                              *end->tail ? ": " : "", end->tail);
    attest_report_probe_end(a->report, a->as);
    look_again(a);
}

static bool on_probe_line(void *ctx, int stream, struct sv line)
{
    struct attest *a = ctx;
    (void)stream;
    attest_report_line(a->report, a->as, line);
    return true;
}

static struct err *random_hex(size_t n, char *ret)
{
    uint8_t bytes[NONCE_BYTES];
    if (getrandom(bytes, n, 0) != (ssize_t)n)
        return err_new(ERR_INTERNAL, "no random bytes");
    str_hex(bytes, n, ret);
    return NULL;
}

static unsigned deadline_s(const struct attest *a)
{
    return a->timeout_s < ATTEST_DEADLINE_S ? a->timeout_s : ATTEST_DEADLINE_S;
}

static struct err *input_tar(struct attest *a, char **ret, size_t *ret_n)
{
    struct str_list own = {0};
    if (a->host)
        attest_host_addresses(&own);
    const struct attest_asks asks = {.as_root = a->as == ATTEST_AS_ROOT,
                                     .deadline_s = (int)deadline_s(a),
                                     .nonce = a->nonce,
                                     .only = &a->only,
                                     .targets = a->targets,
                                     .targets_len = a->targets_len,
                                     .wide = a->wide,
                                     .host_addresses = &own,
                                     .tcp_port = a->host ? attest_host_tcp_port(a->host) : 0,
                                     .udp_port = a->host ? attest_host_udp_port(a->host) : 0};
    json_t *input = attest_input(&a->w, &asks);
    AUTO_FREE char *text = XNN(json_dumps(input, JSON_COMPACT));
    json_decref(input);
    str_list_done(&own);
    struct file_list files = {0};
    file_list_add(&files, ATTEST_PROBE_DIR "/input.json", 0, 0, 0444, sv_of(text));
    struct err *e = tar_write(&files, false, ret, ret_n);
    file_list_done(&files);
    return e;
}

static struct err *start_probe(struct attest *a)
{
    char hex[2 * NAME_BYTES + 1];
    TRY(random_hex(NAME_BYTES, hex));
    AUTO_FREE char *what = xasprintf(PROBE_ROLE "-%s", hex);
    AUTO_FREE char *name = object_name(a->instance, a->bottle, what);
    const char *user = a->as == ATTEST_AS_ROOT ? "0:0" : a->user;
    json_t *json = attest_probe_body(&a->w, name, a->image, user);
    if (!json)
        return err_new(ERR_INTERNAL, "the agent was not inspected");
    AUTO_FREE char *body = XNN(json_dumps(json, JSON_COMPACT));
    json_decref(json);
    AUTO_FREE char *input = NULL;
    size_t input_n = 0;
    TRY(input_tar(a, &input, &input_n));
    const struct oneshot_spec spec = {.name = name,
                                      .body = body,
                                      .tars = {probe_bundle(), {input, input_n}},
                                      .timeout_ms = deadline_s(a) * 1000 + SLACK_MS};
    say(a, "attempting to escape as %s", a->as == ATTEST_AS_ROOT ? "root" : user);
    a->run = oneshot_start(a->e, a->loop, &spec, on_probe_line, on_probe_end, a);
    return NULL;
}

static void begin_probe(struct attest *a)
{
    struct err *e = start_probe(a);
    if (e)
        stop(a, e);
}

/* ---- what stands ----------------------------------------------------------------------------- */

/* The host can be attacked where the engine's bridges are; elsewhere (a remote engine, a rootless
 * one, one in a namespace of its own) our listeners would hear nothing whatever happens. */
static void open_host(struct attest *a)
{
    static const char *const ids[] = {"HOST.tcp", "HOST.udp"};
    const json_t *options = json_object_get(attest_network(&a->w, NET_AGENT), "Options");
    const char *bridge = json_string_value(json_object_get(options, BRIDGE_NAME));
    struct str_list own = {0};
    struct err *e = NULL;
    if (bridge && attest_host_has_interface(bridge)) {
        attest_addresses(&a->w, &own);
        e = attest_host_open(a->loop, a->nonce, &own, &a->host);
        str_list_done(&own);
        if (!e)
            return;
    }
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct attest_row row = {
            .id = ids[i],
            .row = "N2",
            .class = "host",
            .title = "nothing from inside the bottle arrives at the engine's host",
            .evidence = e ? err_message(e)
                          : "the engine's bridges are not in this network namespace: run attest on "
                            "the engine's host to have this tried",
            .verdict = e ? ATTEST_ERROR : ATTEST_SKIPPED};
        attest_report_add(a->report, ATTEST_AS_HOST, &row);
    }
    err_free(e);
}

static void attack(struct attest *a)
{
    attest_report_user(a->report, a->user);
    a->epoch = attest_agent_epoch(a->w.inspect[ROLE_AGENT]);
    open_host(a);
    a->as = ATTEST_AS_USER;
    begin_probe(a);
}

static void on_top(void *ctx, const struct err *error)
{
    struct attest *a = ctx;
    a->gather = NULL;
    a->user = error ? NULL : attest_user_of_top(a->top);
    if (!a->user) {
        a->user = xstrdup("65534:65534");
        say(a, "the agent's user can't be told by its processes: attempting as %s", a->user);
    }
    attack(a);
}

/* A user by name means what the agent's image says; its first process tells. */
static void find_user(struct attest *a)
{
    a->user = attest_user(a->w.inspect[ROLE_AGENT]);
    if (a->user) {
        attack(a);
        return;
    }
    const char *id = attest_id(a->w.inspect[ROLE_AGENT]);
    AUTO_FREE char *path = xasprintf("/containers/%s/top?ps_args=-eo%%20pid,uid,gid", id ? id : "");
    a->gather = gather_new(a->e, on_top, a);
    gather_add(a->gather, path, true, &a->top);
    gather_start(a->gather, a->loop);
}

static bool find_image(struct attest *a)
{
    const char *own = json_string_value(json_object_get(a->w.inspect[ROLE_EGRESS], "Image"));
    a->image = xstrdup_null(a->option_image ? a->option_image : own);
    if (!a->image)
        attest_report_problem(a->report, ATTEST_AS_HOST, "A.image",
                              "there is no egress container whose image the probe could run in");
    return a->image != NULL;
}

static void on_inspected(void *ctx, const struct err *error)
{
    struct attest *a = ctx;
    a->gather = NULL;
    if (error) {
        stop(a, err_new(err_kind(error), "%s", err_message(error)));
        return;
    }
    inspect_judge(&a->w, a->report);
    bool runs = attest_agent_runs(a->w.inspect[ROLE_AGENT]);
    if (!runs)
        attest_report_problem(a->report, ATTEST_AS_HOST, "A.agent",
                              "the agent doesn't run: nothing can be attempted from inside");
    if (runs && find_image(a))
        find_user(a);
    else
        finish_soon(a);
}

static void on_listed(void *ctx, const struct err *error)
{
    struct attest *a = ctx;
    a->gather = NULL;
    if (!error && !attest_listed(&a->w, ROLE_AGENT)) {
        stop(a, err_new(ERR_NOT_FOUND, "instance '%s' has no bottle '%s' on this engine",
                        a->instance, a->bottle));
        return;
    }
    if (error) {
        stop(a, err_new(err_kind(error), "%s", err_message(error)));
        return;
    }
    say(a, "asking the engine about its containers and networks");
    a->gather = gather_new(a->e, on_inspected, a);
    for (enum role r = 0; r < ROLE_COUNT; r++) {
        const char *id = attest_id(attest_listed(&a->w, r));
        AUTO_FREE char *path = xasprintf("/containers/%s/json", id ? id : "");
        if (id)
            gather_add(a->gather, path, true, &a->w.inspect[r]);
    }
    for (enum net n = 0; n < NET_COUNT; n++) {
        const char *id = attest_id(attest_network(&a->w, n));
        AUTO_FREE char *path = xasprintf("/networks/%s", id ? id : "");
        if (id)
            gather_add(a->gather, path, true, &a->w.members[n]);
    }
    gather_start(a->gather, a->loop);
}

static void copy_options(struct attest *a, const struct attest_options *opt)
{
    a->instance = xstrdup(opt->instance);
    a->bottle = xstrdup(opt->bottle);
    a->option_image = xstrdup_null(opt->image);
    a->wide = opt->wide;
    a->progress = opt->progress;
    a->timeout_s = opt->timeout_s ? opt->timeout_s : ATTEST_TIMEOUT_S;
    for (size_t i = 0; opt->only && i < opt->only->len; i++)
        str_list_add(&a->only, opt->only->items[i]);
    a->targets = xcalloc(opt->targets_len + 1, sizeof(*a->targets));
    for (size_t i = 0; i < opt->targets_len; i++) {
        a->targets[i] = opt->targets[i];
        a->targets[i].address = xstrdup(opt->targets[i].address);
    }
    a->targets_len = opt->targets_len;
    a->w.instance = a->instance;
    a->w.bottle = a->bottle;
}

struct attest *attest_start(struct engine *e, sd_event *loop, const struct attest_options *opt,
                            attest_done_fn *done, void *ctx)
{
    struct attest *a = xcalloc(1, sizeof(*a));
    *a = (struct attest){.e = e, .loop = loop, .done = done, .ctx = ctx};
    copy_options(a, opt);
    char now[CLOCK_TEXT];
    clock_format((int64_t)time(NULL), now);
    const struct engine_info *info = engine_get_info(e);
    a->report = attest_report_new(a->bottle, now, &a->only);
    attest_report_engine(a->report, info->server_version, info->api_minor);
    (void)sd_event_add_time_relative(loop, &a->timer, CLOCK_MONOTONIC,
                                     (uint64_t)a->timeout_s * 1000000, 1000, on_timeout, a);
    struct err *problem = random_hex(NONCE_BYTES, a->nonce);
    if (problem) {
        stop(a, problem);
        return a;
    }
    a->gather = gather_new(e, on_listed, a);
    gather_add(a->gather, "/containers/json?all=1", false, &a->w.containers);
    gather_add(a->gather, "/networks", false, &a->w.networks);
    gather_add(a->gather, "/volumes", false, &a->w.volumes);
    gather_add(a->gather, "/info", false, &a->w.info);
    gather_start(a->gather, loop);
    return a;
}
