/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/suspend.h"

#include "controller/controller.h"
#include "spec/base/xalloc.h"

#include <time.h>

#define NOTE_SUSPEND "suspend"
#define US_PER_S UINT64_C(1000000)
/* time() is a tick behind the clock that timers go by. */
#define LAG_US UINT64_C(50000)

void suspend_load(struct worker *w)
{
    struct controller *c = w->c;
    AUTO_FREE char *text = NULL;
    AUTO_ERR e = state_load_note(c->state, w->name, NOTE_SUSPEND, SUSPENSION_BYTES_MAX, &text);
    if (!e)
        e = suspension_parse(sv_of(text ? text : ""), &w->by_hand);
    if (!e)
        return;
    w->by_hand = (struct suspension){
        .who = xstrdup("somebody"),
        .reason = xasprintf("who and why can't be read any more: %s; `bottler resume %s` ends it",
                            err_message(e), w->name)};
    journal_add(c->journal, w->name, JOURNAL_WARNING, "RecordDamaged",
                xasprintf("'" NOTE_SUSPEND "' in its record: %s; it stays suspended until it is "
                          "resumed",
                          err_message(e)));
}

struct err *suspend_store(struct worker *w, struct suspension *s_take)
{
    AUTO_FREE char *text = suspension_format(s_take);
    struct err *e = state_store_note(w->c->state, w->name, NOTE_SUSPEND, text);
    if (e) {
        suspension_done(s_take);
        return e;
    }
    suspension_done(&w->by_hand);
    w->by_hand = *s_take;
    *s_take = (struct suspension){0};
    return NULL;
}

static const struct bottle *bottle_of(const struct worker *w)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    return e ? e->bottle : NULL;
}

bool worker_is_suspended(const struct worker *w)
{
    int64_t now = (int64_t)time(NULL);
    return manifest_suspends(bottle_of(w), now) || suspension_holds(&w->by_hand, now);
}

static int on_end(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct controller *c = ctx;
    c->suspension_armed_s = 0;
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        if (w->conditions.of[COND_SUSPENDED].present)
            worker_retry(w);
    }
    controller_dispatch(c);
    return 0;
}

/* By the wall clock, as people say it: a clock that is set moves the end. */
static bool set_timer(struct controller *c, int64_t at_s)
{
    uint64_t us = (uint64_t)at_s * US_PER_S + LAG_US;
    if (!c->suspension_end)
        return sd_event_add_time(c->loop, &c->suspension_end, CLOCK_REALTIME, us, 1000, on_end,
                                 c) >= 0;
    return sd_event_source_set_time(c->suspension_end, us) >= 0 &&
           sd_event_source_set_enabled(c->suspension_end, SD_EVENT_ONESHOT) >= 0;
}

void suspensions_arm(struct controller *c)
{
    int64_t now = (int64_t)time(NULL);
    int64_t next = 0;
    for (size_t i = 0; i < c->workers_len; i++) {
        int64_t end = suspension_ends(bottle_of(c->workers[i]), &c->workers[i]->by_hand, now);
        if (end && (!next || end < next))
            next = end;
    }
    /* One that goes off for nothing costs a pass; one that is put off while it is due would be
     * lost. */
    bool due = c->suspension_armed_s && c->suspension_armed_s <= now;
    if (next && !due && next != c->suspension_armed_s && set_timer(c, next))
        c->suspension_armed_s = next;
}
