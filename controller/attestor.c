/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/attestor.h"

#include "controller/attest.h"
#include "controller/controller.h"
#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <string.h>
#include <time.h>

enum { SUMMARY_MAX = 4096 };

struct attestor {
    struct controller *c;
    unsigned interval_s;
    sd_event_source *timer; /* of the next one that is due */
    struct attest *running;
    char *bottle; /* whose; NULL: nobody waits for it any more */
};

void attested_done(struct attested *a)
{
    free(a->summary);
    *a = (struct attested){0};
}

json_t *attested_json(const struct attested *a)
{
    char at[CLOCK_TEXT];
    if (!a->at_s)
        return XNN(json_null());
    clock_format(a->at_s, at);
    return XNN(
        json_pack("{s:s, s:s, s:s}", "verdict", a->verdict, "at", at, "summary", a->summary));
}

/* ---- which one, and when --------------------------------------------------------------------- */

static bool has_agent(const struct worker *w)
{
    struct bottle_view v;
    bottle_view(w->c->observed, &w->c->memory, w->name, &v);
    const struct observed_container *agent = v.roles[ROLE_AGENT].container;
    const struct observed_container *egress = v.roles[ROLE_EGRESS].container;
    return agent && egress && egress->state == RUN_RUNNING &&
           (agent->state == RUN_RUNNING || agent->state == RUN_PAUSED);
}

/* In the middle of a change there is nothing to prove. */
static bool can_be_attested(const struct worker *w)
{
    bool ready = w->conditions.of[COND_READY].status == TRUTH_TRUE;
    return (ready || w->quarantine) && !w->exec && has_agent(w);
}

static bool is_due_ever(const struct attestor *a, const struct worker *w)
{
    return a->interval_s || w->quarantine;
}

static void set_timer(struct attestor *a, uint64_t due_ns)
{
    (void)sd_event_source_set_time(a->timer, due_ns / 1000 + 1);
    (void)sd_event_source_set_enabled(a->timer, SD_EVENT_ONESHOT);
}

static void start(struct attestor *a, const struct worker *w);

void attestor_look(struct attestor *a)
{
    if (!a || a->running || a->c->stopping || !a->c->connected || !a->c->observed)
        return;
    uint64_t now = now_ns(a->c);
    uint64_t next = 0;
    for (size_t i = 0; i < a->c->workers_len; i++) {
        const struct worker *w = a->c->workers[i];
        if (!is_due_ever(a, w) || !can_be_attested(w))
            continue;
        if (w->attested.due_ns <= now) {
            start(a, w);
            return;
        }
        if (!next || w->attested.due_ns < next)
            next = w->attested.due_ns;
    }
    if (next)
        set_timer(a, next);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    attestor_look(ctx);
    return 0;
}

/* ---- what comes of it ------------------------------------------------------------------------ */

static void quarantine(struct worker *w, char *text_take)
{
    struct controller *c = w->c;
    bool was = w->quarantine != NULL;
    free(w->quarantine);
    w->quarantine = text_take;
    AUTO_ERR e = state_store_quarantine(c->state, w->name, text_take);
    if (e)
        journal_add(c->journal, w->name, JOURNAL_WARNING, "QuarantineNotKept",
                    xasprintf("a restart of the controller would forget it: %s", err_message(e)));
    if (was && !text_take)
        journal_add(c->journal, w->name, JOURNAL_NORMAL, "Released",
                    xstrdup("an attestation has found the bottle sealed"));
    worker_poke(w);
    controller_dispatch(c);
}

/* "P1.connect.22 (CONNECT to port 22)", of the first one that got out. */
static char *first_open(const struct attest_report *r)
{
    json_t *v = attest_report_json(r);
    char *text = NULL;
    size_t i = 0;
    const json_t *row = NULL;
    json_array_foreach(json_object_get(v, "results"), i, row)
    {
        const char *verdict = json_string_value(json_object_get(row, "verdict"));
        const char *id = json_string_value(json_object_get(row, "id"));
        const char *title = json_string_value(json_object_get(row, "title"));
        if (!text && verdict && strcmp(verdict, "open") == 0)
            text = xasprintf("%s (%s)", id ? id : "?", title ? title : "?");
    }
    json_decref(v);
    return text ? text : xstrdup("an attempt");
}

static void take_report(struct worker *w, const struct attest_report *r)
{
    enum attest_conclusion how = attest_report_conclusion(r);
    struct str summary;
    str_init(&summary, SUMMARY_MAX);
    attest_report_summary(r, &summary);
    free(w->attested.summary);
    w->attested.summary = xstrdup(summary.p);
    w->attested.verdict = attest_conclusion_name(how);
    w->attested.at_s = (int64_t)time(NULL);
    str_done(&summary);
    if (how == ATTEST_IS_OPEN) {
        AUTO_FREE char *first = first_open(r);
        char at[CLOCK_TEXT];
        clock_format(w->attested.at_s, at);
        journal_add(w->c->journal, w->name, JOURNAL_WARNING, "AttestFailed",
                    xasprintf("%s; first: %s", w->attested.summary, first));
        quarantine(w, xasprintf("attestation at %s: %s got out; the agent stays paused until an "
                                "attestation finds the bottle sealed",
                                at, first));
    } else if (how == ATTEST_UNPROVEN) {
        journal_add(w->c->journal, w->name, JOURNAL_WARNING, "AttestUnproven",
                    xstrdup(w->attested.summary));
    } else if (w->quarantine) {
        quarantine(w, NULL);
    }
    worker_status(w);
}

/* What is in quarantine waits a minute at most. */
static unsigned wait_s(const struct attestor *a, const struct worker *w)
{
    bool sooner = w->quarantine && a->interval_s > ATTEST_QUARANTINE_RETRY_S;
    return sooner || !a->interval_s ? ATTEST_QUARANTINE_RETRY_S : a->interval_s;
}

static void on_attested(void *ctx, const struct err *error, const struct attest_report *r)
{
    struct attestor *a = ctx;
    struct controller *c = a->c;
    struct worker *w = a->bottle ? worker_find(c, a->bottle) : NULL;
    a->running = NULL;
    free(a->bottle);
    a->bottle = NULL;
    if (w) {
        w->attested.due_ns = now_ns(c) + wait_s(a, w) * NS_PER_S;
        if (error)
            journal_add(c->journal, w->name, JOURNAL_WARNING, "AttestUnproven",
                        xasprintf("it could not be attested: %s", err_message(error)));
        else
            take_report(w, r);
    }
    attestor_look(a);
    controller_dispatch(c);
}

static void start(struct attestor *a, const struct worker *w)
{
    struct attest_options opt = {.instance = a->c->opt.instance, .bottle = w->name, .wide = true};
    a->bottle = xstrdup(w->name);
    a->running = attest_start(a->c->engine, a->c->loop, &opt, on_attested, a);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct err *attestor_open(struct controller *c, unsigned interval_s, struct attestor **ret)
{
    struct attestor *a = xcalloc(1, sizeof(*a));
    *a = (struct attestor){.c = c, .interval_s = interval_s};
    int r = sd_event_add_time(c->loop, &a->timer, CLOCK_MONOTONIC, UINT64_MAX, 100000, on_timer, a);
    if (r < 0) {
        free(a);
        return err_new(ERR_INTERNAL, "timer: %s", err_errno(-r));
    }
    *ret = a;
    return NULL;
}

struct attestor *attestor_free(struct attestor *a)
{
    if (!a)
        return NULL;
    attest_free(a->running);
    sd_event_source_unref(a->timer);
    free(a->bottle);
    free(a);
    return NULL;
}

void attestor_stop(struct attestor *a)
{
    if (a && a->running)
        attest_cancel(a->running);
}

bool attestor_busy(const struct attestor *a)
{
    return a && a->running;
}

void attestor_forget(struct attestor *a, const char *bottle)
{
    if (!a || !a->bottle || strcmp(a->bottle, bottle) != 0)
        return;
    free(a->bottle);
    a->bottle = NULL;
    attest_cancel(a->running);
}
