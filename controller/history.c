/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/history.h"

#include "controller/controller.h"
#include "spec/base/xalloc.h"
#include "spec/change.h"

#include <string.h>
#include <time.h>

#define NOTE_APPLIED "applied"
#define NOTE_HISTORY "history"
#define RETRY_NS (10 * NS_PER_S)

/* A manifest, escaped once more. */
enum { APPLIED_MAX = 4 * STATE_MANIFEST_MAX, WHY_MAX = 2 * LEDGER_TEXT_MAX };

void history_done(struct history *h)
{
    ledger_done(&h->ledger);
    *h = (struct history){0};
}

static int64_t now_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- to and from the record ------------------------------------------------------------------ */

static void tell_damaged(const struct worker *w, const char *note, const char *why)
{
    journal_add(w->c->journal, w->name, JOURNAL_WARNING, "RecordDamaged",
                xasprintf("'%s' in its record: %s, ignoring", note, why));
}

static void load_applied(struct worker *w)
{
    AUTO_FREE char *text = NULL;
    AUTO_ERR e = state_load_note(w->c->state, w->name, NOTE_APPLIED, APPLIED_MAX, &text);
    if (!e && text)
        e = applied_parse(sv_of(text), &w->applied);
    if (e)
        tell_damaged(w, NOTE_APPLIED, err_message(e));
}

static void load_ledger(struct worker *w)
{
    AUTO_FREE char *text = NULL;
    AUTO_ERR e = state_load_note(w->c->state, w->name, NOTE_HISTORY, LEDGER_BYTES_MAX, &text);
    if (e) {
        tell_damaged(w, NOTE_HISTORY, err_message(e));
        return;
    }
    size_t bad = text ? ledger_parse(sv_of(text), &w->history.ledger) : 0;
    if (bad) {
        AUTO_FREE char *why = xasprintf("line %zu is none, nor are those like it", bad);
        tell_damaged(w, NOTE_HISTORY, why);
    }
}

void history_load(struct worker *w)
{
    if (w->history.loaded)
        return;
    w->history.loaded = true;
    load_applied(w);
    load_ledger(w);
}

/* Without a record, or where it can't be written, it is kept in memory and tried again. */
static bool store(struct worker *w, const char *note, const char *text)
{
    struct controller *c = w->c;
    AUTO_ERR e = state_store_note(c->state, w->name, note, text);
    if (!e)
        return true;
    w->history.retry_ns = now_ns(c) + RETRY_NS;
    if (err_kind(e) != ERR_NOT_FOUND)
        journal_add(c->journal, w->name, JOURNAL_WARNING, "RecordNotKept",
                    xasprintf("%s, retrying", err_message(e)));
    return false;
}

static bool may_store(const struct worker *w)
{
    return w->c->opt.mode != MODE_PLAN && now_ns(w->c) >= w->history.retry_ns;
}

static void save_ledger(struct worker *w)
{
    if (!w->history.unsaved || !may_store(w))
        return;
    AUTO_FREE char *text = ledger_format(&w->history.ledger);
    w->history.unsaved = !store(w, NOTE_HISTORY, text);
}

/* ---- what is noted --------------------------------------------------------------------------- */

static char *change_text(const struct change *c)
{
    const char *class = change_class_name(c->change);
    if (!c->old_text)
        return xasprintf("added %s (%s)", c->new_text ? c->new_text : "", class);
    if (!c->new_text)
        return xasprintf("removed %s (%s)", c->old_text, class);
    return xasprintf("%s -> %s (%s)", c->old_text, c->new_text, class);
}

static void add_changes(struct worker *w, const char *old_text, const char *new_text)
{
    struct change_list found;
    changes_find_with(old_text, new_text, pinned_get(w->c->pinned, w->name), &found);
    for (size_t i = 0; i < found.len; i++) {
        AUTO_FREE char *text = change_text(&found.items[i]);
        ledger_add_change(&w->history.ledger, found.items[i].field, text);
    }
    change_list_done(&found);
}

void history_accepted(struct worker *w, const struct catalog_entry *e)
{
    struct ledger_entry init = {.generation = e->generation,
                                .revision = e->revision,
                                .file = e->file,
                                .accepted_s = (int64_t)time(NULL)};
    if (e->state == ENTRY_GONE || !w->history.loaded || !ledger_accept(&w->history.ledger, &init))
        return;
    AUTO_FREE char *before = manifests_kept(w->c, w->name);
    if (before)
        add_changes(w, before, e->text);
    w->history.unsaved = true;
    save_ledger(w);
}

static void end(struct worker *w, int64_t generation, enum outcome how, const char *message)
{
    if (ledger_end(&w->history.ledger, generation, how, message, (int64_t)time(NULL)))
        w->history.unsaved = true;
}

/* The conditions are about the generation that the last pass took up, and nothing is left to do. */
static bool is_done(const struct worker *w, const struct catalog_entry *e)
{
    const struct condition *ready = &w->conditions.of[COND_READY];
    const struct plan *p = w->plan;
    bool idle = !w->exec && !w->dirty && w->desired && p && !p->steps_len && !p->hold;
    bool so = ready->status == TRUTH_TRUE || (p && p->finished);
    return idle && so && rollout_is_proven(w) && e->generation == w->generation &&
           ready->generation == e->generation;
}

bool history_gave_up(const struct worker *w, int64_t generation)
{
    const struct ledger_entry *l = ledger_find(&w->history.ledger, generation);
    return l && l->outcome == OUTCOME_REVERTED;
}

static void converged(struct worker *w, const struct catalog_entry *e)
{
    /* The one that the generation came with: later ones that change nothing of it are no news. */
    const struct ledger_entry *accepted = ledger_find(&w->history.ledger, e->generation);
    struct applied now = {.generation = e->generation,
                          .text = e->text,
                          .revision = accepted ? accepted->revision : NULL,
                          .file = e->file,
                          .secrets = w->secret_hashes,
                          .at_ms = now_ms()};
    end(w, e->generation, OUTCOME_CONVERGED, NULL);
    if (applied_same(&now, &w->applied) || !may_store(w) ||
        strlen(now.text) > STATE_MANIFEST_MAX) /* which is told where it is kept itself */
        return;
    AUTO_FREE char *text = applied_format(&now);
    struct applied kept = {0};
    AUTO_ERR e2 = applied_parse(sv_of(text), &kept);
    if (e2 || !store(w, NOTE_APPLIED, text)) {
        applied_done(&kept);
        return;
    }
    applied_done(&w->applied);
    w->applied = kept;
}

static void failed(struct worker *w, const struct catalog_entry *e)
{
    const struct condition *stalled = &w->conditions.of[COND_STALLED];
    AUTO_FREE char *why = xasprintf("%s: %.*s", stalled->reason, WHY_MAX, stalled->message);
    end(w, e->generation, OUTCOME_FAILED, why);
}

void history_follow(struct worker *w)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    if (!e || !e->bottle)
        return;
    if (e->state == ENTRY_GONE)
        history_load(w);
    if (!w->history.loaded)
        return;
    if (e->state == ENTRY_GONE)
        end(w, e->generation, OUTCOME_REMOVED, NULL);
    else if (is_done(w, e) && !history_gave_up(w, e->generation))
        converged(w, e);
    else if (w->conditions.of[COND_STALLED].present && e->generation == w->generation && !w->exec)
        failed(w, e);
    save_ledger(w);
}

void history_reverted(struct worker *w, int64_t generation, const char *why)
{
    history_load(w);
    end(w, generation, OUTCOME_REVERTED, why);
    save_ledger(w);
}
