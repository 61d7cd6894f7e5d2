/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/controller.h"

#include "controller/cli.h"
#include "controller/log.h"
#include "controller/planning.h"
#include "reconcile/doctor.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define RESYNC_US (30 * UINT64_C(1000000))
enum { UPSTREAM_CA_MAX = 1024 * 1024 };

uint64_t now_ns(const struct controller *c)
{
    uint64_t us = 0;
    (void)sd_event_now(c->loop, CLOCK_MONOTONIC, &us);
    return us * 1000;
}

static void wake_at(struct controller *c, uint64_t ns)
{
    uint64_t us = ns / 1000 + 1;
    (void)sd_event_source_set_time(c->wake, us);
    (void)sd_event_source_set_enabled(c->wake, SD_EVENT_ONESHOT);
}

/* Names that stand on the engine but that nobody knows: left by a crash, or their manifest went
 * while we slept. */
static void adopt_orphans(struct controller *c)
{
    struct str_list names = {0};
    observed_bottles(c->observed, &names);
    for (size_t i = 0; i < names.len; i++)
        worker_obtain(c, names.items[i]);
    str_list_done(&names);
}

static bool all_settled(const struct controller *c)
{
    if (!c->observed || (!c->manifests_known && !c->manifests_error) || !sources_ready(c))
        return false;
    for (size_t i = 0; i < c->workers_len; i++) {
        if (!worker_settled(c->workers[i]))
            return false;
    }
    return true;
}

static int verdict(const struct controller *c)
{
    if (!c->manifests_known || c->manifests_error || c->findings || sources_problem(c))
        return 1;
    for (size_t i = 0; i < c->workers_len; i++) {
        if (c->workers[i]->conditions.of[COND_READY].status != TRUTH_TRUE)
            return 1;
    }
    return 0;
}

static bool in_flight(const struct controller *c)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        if (c->workers[i]->flights)
            return true;
    }
    return false;
}

static void maybe_end(struct controller *c)
{
    if (c->stopping && !in_flight(c) && !attestor_busy(c->attestor))
        (void)sd_event_exit(c->loop, c->exit_code);
    else if (c->stopping || c->opt.mode == MODE_RUN || !all_settled(c))
        return;
    else if (c->opt.mode == MODE_APPLY)
        planning_settled(c);
    else
        controller_stop(c, verdict(c));
}

void controller_stop(struct controller *c, int exit_code)
{
    if (!c->stopping) {
        c->stopping = true;
        c->exit_code = exit_code;
    }
    maybe_end(c);
}

/* The next worker whose pass is due; passes can add and drop workers, so the search starts anew
 * each time. */
static struct worker *due(struct controller *c, bool *ret_look, uint64_t *ret_next)
{
    uint64_t now = now_ns(c);
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        uint64_t recheck = w->rollout.recheck_ns;
        if (recheck && recheck <= now) {
            w->rollout.recheck_ns = 0;
            w->dirty = true;
        } else if (recheck && (!*ret_next || recheck < *ret_next)) {
            *ret_next = recheck;
        }
        if (w->exec || !w->dirty)
            continue;
        if (w->not_before_ns > now) {
            if (!*ret_next || w->not_before_ns < *ret_next)
                *ret_next = w->not_before_ns;
        } else if (w->needs_look > c->looks_done) {
            *ret_look = true;
        } else {
            return w;
        }
    }
    return NULL;
}

static int on_wake(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct controller *c = ctx;
    bool want_look = false;
    uint64_t next = 0;
    uint64_t grace = 0;
    if (!c->stopping && c->observed && (c->manifests_known || c->manifests_error)) {
        adopt_orphans(c);
        grace = deletion_update(c);
        for (struct worker *w = due(c, &want_look, &next); w; w = due(c, &want_look, &next)) {
            worker_pass(w);
            want_look = false;
            next = 0;
        }
    }
    if (want_look)
        observe(c);
    if (grace && (!next || grace < next))
        next = grace;
    if (next)
        wake_at(c, next);
    suspensions_arm(c);
    attestor_look(c->attestor);
    maybe_end(c);
    return 0;
}

void controller_dispatch(struct controller *c)
{
    wake_at(c, 0);
}

static int on_resync(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)usec;
    struct controller *c = ctx;
    cidr_set_done(&c->memory.refused); /* what was in the way may have gone */
    for (size_t i = 0; i < c->workers_len; i++)
        worker_poke(c->workers[i]);
    observe(c);
    (void)sd_event_source_set_time_relative(s, RESYNC_US);
    (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    return 0;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *ctx)
{
    (void)s;
    struct controller *c = ctx;
    if (c->stopping) {
        log_at(LOG_NOTE, "stopping at once; what was under way is looked at on the next start");
        (void)sd_event_exit(c->loop, 1);
        return 0;
    }
    log_at(LOG_NOTE, "signal %u: finishing what is under way, then stopping; the bottles run on",
           si->ssi_signo);
    for (size_t i = 0; i < c->workers_len; i++)
        flights_cancel(c->workers[i], FLIGHTS_READS);
    attestor_stop(c->attestor);
    controller_stop(c, c->opt.mode == MODE_RUN ? 0 : 1);
    return 0;
}

/* ---- the engine's connection ---- */

static int on_retry(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    engine_open(ctx);
    return 0;
}

static void retry_connection(struct controller *c, const struct err *why)
{
    c->connect_failures++;
    uint64_t delay = backoff_delay_ns(c->connect_failures, &c->prng);
    journal_add(c->journal, NULL, JOURNAL_WARNING, "EngineUnreachable",
                xasprintf("%s, retrying", err_message(why)));
    (void)sd_event_source_set_time_relative(c->retry, delay / 1000);
    (void)sd_event_source_set_enabled(c->retry, SD_EVENT_ONESHOT);
}

/* An engine that can't seal a bottle gets none; `doctor` says more. */
static struct err *refuse_engine(const struct engine_info *info)
{
    struct doctor_facts facts;
    doctor_facts_init(&facts);
    doctor_facts_read(&facts, info->version_answer, info->info_answer);
    struct err *e = doctor_refusal(&facts);
    doctor_facts_done(&facts);
    return e;
}

static void on_connected(void *ctx, const struct err *error, const struct engine_info *info)
{
    struct controller *c = ctx;
    c->connecting = false;
    if (error) {
        bool give_up = c->opt.mode != MODE_RUN || err_kind(error) == ERR_DENIED ||
                       err_kind(error) == ERR_INVALID;
        if (give_up) {
            log_at(LOG_ERROR, "engine: %s", err_message(error));
            controller_stop(c, 2);
            return;
        }
        retry_connection(c, error);
        return;
    }
    AUTO_ERR refusal = refuse_engine(info);
    if (refusal) {
        journal_add(c->journal, NULL, JOURNAL_WARNING, "EngineRefused",
                    xstrdup(err_message(refusal)));
        controller_stop(c, EXIT_REFUSED);
        return;
    }
    c->connected = true;
    c->caps = engine_caps(c->engine);
    rules_engine(c, info->root_dir);
    /* What happened while nobody listened is looked up, not guessed. */
    memory_keep_policies(&c->memory, &(const struct str_list){0});
    memory_keep_containers(&c->memory, &(const struct str_list){0});
    memory_forget_guards(&c->memory);
    journal_add(
        c->journal, NULL, JOURNAL_NORMAL, "EngineConnected",
        xasprintf("engine %s, API 1.%d, %s", info->server_version, info->api_minor, info->arch));
    if (c->opt.mode == MODE_RUN)
        events_open(c);
    for (size_t i = 0; i < c->workers_len; i++) {
        c->workers[i]->needs_look = c->looks_started + 1;
        c->workers[i]->not_before_ns = 0;
        worker_poke(c->workers[i]);
    }
    observe(c);
    report_changed(c);
}

void engine_open(struct controller *c)
{
    if (c->connecting || c->stopping)
        return;
    c->connecting = true;
    engine_connect(c->engine, on_connected, c);
}

void engine_lost(struct controller *c, const struct err *why)
{
    if (c->connecting || c->stopping)
        return;
    c->connected = false;
    engine_cancel(c->engine, c->events_id);
    c->events_id = 0;
    observe_abort(c);
    retry_connection(c, why);
    report_changed(c);
}

/* ---- life ---- */

static void on_manifests(void *ctx)
{
    manifests_load(ctx);
}

static void on_secrets(void *ctx)
{
    struct controller *c = ctx;
    for (size_t i = 0; i < c->workers_len; i++)
        worker_poke(c->workers[i]);
    controller_dispatch(c);
}

static struct err *read_upstream_ca(struct controller *c)
{
    const char *path = c->opt.upstream_ca_file;
    if (!path)
        return NULL;
    AUTO_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_new(ERR_INVALID, "--upstream-ca '%s': %s", path, err_errno(errno));
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > UPSTREAM_CA_MAX)
        return err_new(ERR_INVALID,
                       "--upstream-ca '%s': expected a file with PEM certificates, at most 1 MiB",
                       path);
    c->upstream_ca = xcalloc(1, (size_t)st.st_size + 1);
    ssize_t n = read(fd, c->upstream_ca, (size_t)st.st_size);
    if (n != st.st_size)
        return err_new(ERR_INVALID, "--upstream-ca '%s' can't be read whole", path);
    c->upstream_ca_n = (size_t)n;
    if (!strstr(c->upstream_ca, "-----BEGIN CERTIFICATE-----"))
        return err_new(ERR_INVALID, "--upstream-ca '%s' holds no PEM certificate", path);
    return NULL;
}

static struct err *loop_err(int r, const char *what)
{
    return r < 0 ? err_new(ERR_INTERNAL, "%s: %s", what, err_errno(-r)) : NULL;
}

static struct err *open_loop(struct controller *c)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    TRY(loop_err(sd_event_new(&c->loop), "event loop"));
    TRY(loop_err(sd_event_add_signal(c->loop, NULL, SIGTERM, on_signal, c), "SIGTERM"));
    TRY(loop_err(sd_event_add_signal(c->loop, NULL, SIGINT, on_signal, c), "SIGINT"));
    TRY(loop_err(
        sd_event_add_time(c->loop, &c->wake, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_wake, c),
        "timer"));
    TRY(loop_err(
        sd_event_add_time(c->loop, &c->retry, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_retry, c),
        "timer"));
    TRY(loop_err(
        sd_event_add_time(c->loop, &c->echo, CLOCK_MONOTONIC, UINT64_MAX, 1000, events_echo, c),
        "timer"));
    (void)sd_event_source_set_enabled(c->echo, SD_EVENT_OFF);
    return loop_err(sd_event_add_time_relative(c->loop, &c->resync, CLOCK_MONOTONIC, RESYNC_US, 0,
                                               on_resync, c),
                    "timer");
}

static struct err *open_watches(struct controller *c)
{
    TRY(from_git_open(c));
    if (c->opt.manifests->len)
        TRY(watch_new(c->loop, c->opt.manifests, NULL, on_manifests, c, &c->watch));
    if (!c->opt.secrets_dir || c->opt.mode != MODE_RUN)
        return NULL;
    struct str_list dirs = {0};
    str_list_add(&dirs, c->opt.secrets_dir);
    struct err *e = watch_new(c->loop, &dirs, NULL, on_secrets, c, &c->secrets_watch);
    str_list_done(&dirs);
    return e;
}

static struct err *open_all(struct controller *c)
{
    struct endpoint at = {0};
    TRY(pool_parse(c->opt.address_pool, &c->pool));
    TRY(read_upstream_ca(c));
    TRY(endpoint_resolve(c->opt.engine, &at));
    struct err *e = rules_open(c, &at);
    if (!e)
        e = open_loop(c);
    if (!e)
        e = (c->opt.mode == MODE_PLAN ? state_peek : state_open)(c->opt.state_dir, c->opt.instance,
                                                                 &c->state);
    if (!e)
        c->pinned = pinned_new(c->state);
    if (!e && c->opt.ca_days)
        state_set_ca_days(c->state, c->opt.ca_days);
    if (!e)
        e = deletion_open(c, &c->deletion);
    if (!e)
        e = orphans_open(c, &c->orphans);
    if (!e)
        e = manifests_seed(c);
    if (!e)
        e = engine_new(c->loop, &at, &c->engine);
    endpoint_done(&at);
    if (!e && c->opt.socket && c->opt.mode == MODE_RUN)
        e = api_server_new(c->loop, c->opt.socket, report_handle, c, &c->api);
    if (!e && c->opt.mode == MODE_RUN)
        e = attestor_open(c, c->opt.attest_s, &c->attestor);
    if (!e)
        e = open_watches(c);
    if (!e)
        e = rules_watch(c);
    return e;
}

void controller_close(struct controller *c)
{
    c->api = api_server_free(c->api);
    c->attestor = attestor_free(c->attestor);
    watch_free(c->watch);
    from_git_close(c);
    watch_free(c->secrets_watch);
    rules_free(c->rules);
    observe_abort(c);
    while (c->workers_len)
        worker_free(c->workers[--c->workers_len]);
    free(c->workers);
    c->orphans = orphans_free(c->orphans);
    c->deletion = deletion_free(c->deletion);
    engine_free(c->engine);
    pinned_free(c->pinned);
    state_close(c->state);
    catalog_done(&c->catalog);
    lastgood_done(&c->lastgood);
    str_list_done(&c->sources_seen);
    memory_done(&c->memory);
    observed_free(c->observed);
    free(c->manifests_error);
    free(c->findings);
    free(c->upstream_ca);
    journal_free(c->journal);
    sd_event_source_unref(c->wake);
    sd_event_source_unref(c->retry);
    sd_event_source_unref(c->resync);
    sd_event_source_unref(c->echo);
    sd_event_source_unref(c->suspension_end);
    sd_event_unref(c->loop);
}

struct err *controller_run_whole(struct controller *c, int *ret_exit)
{
    TRY(open_all(c));
    engine_open(c);
    int r = sd_event_loop(c->loop);
    if (r < 0)
        return err_new(ERR_INTERNAL, "event loop: %s", err_errno(-r));
    *ret_exit = r;
    return NULL;
}

void controller_init(struct controller *c, const struct controller_options *opt)
{
    *c = (struct controller){.opt = *opt};
    c->journal = journal_new(&(struct journal_hooks){.added = report_event, .ctx = c});
    if (getrandom(&c->prng, sizeof(c->prng), GRND_NONBLOCK) < 0)
        c->prng = (uint64_t)getpid();
}

struct err *controller_run(const struct controller_options *opt, int *ret_exit)
{
    struct controller c;
    controller_init(&c, opt);
    struct err *e = controller_run_whole(&c, ret_exit);
    controller_close(&c);
    return e;
}
