/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/deletion.h"

#include "controller/controller.h"
#include "controller/log.h"
#include "controller/roots.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define NOTE_HELD "held"
#define HELD_TOO_MANY "TooMany"
#define HELD_MOVED "MoveOffered "
enum { HELD_MAX = 4096 };

struct deletion {
    struct graves graves;
    struct roots *roots;
    char *roots_kept; /* as it is in the state directory */
    uint64_t listing;
};

struct err *deletion_open(struct controller *c, struct deletion **ret)
{
    AUTO_FREE char *text = NULL;
    TRY(state_load_file(c->state, STATE_FILE_ROOTS, &text));
    struct deletion *d = xcalloc(1, sizeof(*d));
    d->graves.limits = c->opt.deletion;
    if (c->opt.mode == MODE_PLAN || c->opt.mode == MODE_APPLY)
        d->graves.limits.grace_ns = 0; /* what will be, once it is over */
    d->roots = roots_new(c->opt.manifests);
    if (text)
        roots_restore(d->roots, text);
    d->roots_kept = TAKE_PTR(text);
    *ret = d;
    return NULL;
}

struct deletion *deletion_free(struct deletion *d)
{
    if (!d)
        return NULL;
    graves_done(&d->graves);
    roots_free(d->roots);
    free(d->roots_kept);
    free(d);
    return NULL;
}

/* ---- listings -------------------------------------------------------------------------------- */

const struct str_list *deletion_sources(struct controller *c)
{
    return roots_look(c->deletion->roots);
}

static void keep_roots(struct controller *c)
{
    struct deletion *d = c->deletion;
    AUTO_FREE char *text = roots_text(d->roots);
    if (c->opt.mode == MODE_PLAN || (d->roots_kept && strcmp(text, d->roots_kept) == 0))
        return;
    AUTO_ERR e = state_store_file(c->state, STATE_FILE_ROOTS, sv_of(text));
    if (e) {
        log_at(LOG_ERROR, "keeping which directories the manifests came from: %s, retrying",
               err_message(e));
        return;
    }
    free(d->roots_kept);
    d->roots_kept = TAKE_PTR(text);
}

void deletion_read(struct controller *c, const struct file_listing *files)
{
    if (roots_listed(c->deletion->roots, files))
        journal_add(
            c->journal, NULL, JOURNAL_WARNING, "SourceReplaced",
            xasprintf("%s; nothing is deleted for it", roots_doubt(c->deletion->roots, NULL)));
    keep_roots(c);
}

/* Entries and workers are both sorted by name, and every entry has its worker. */
static struct worker *next_of(const struct controller *c, const struct catalog_entry *e, size_t *at)
{
    while (*at < c->workers_len && strcmp(c->workers[*at]->name, e->name) < 0)
        (*at)++;
    return *at < c->workers_len && strcmp(c->workers[*at]->name, e->name) == 0 ? c->workers[*at]
                                                                               : NULL;
}

static void note_presence(struct controller *c)
{
    uint64_t listing = ++c->deletion->listing;
    size_t at = 0;
    for (size_t i = 0; i < c->catalog.len; i++) {
        const struct catalog_entry *e = c->catalog.entries[i];
        struct worker *w = next_of(c, e, &at);
        if (!w)
            continue;
        if (!w->parting.born && e->state == ENTRY_ACCEPTED && !e->seeded)
            w->parting.born = listing;
        if (e->state != ENTRY_GONE)
            w->parting.gone = 0;
        else if (!w->parting.gone)
            w->parting.gone = listing;
    }
}

/* A bottle that came when `gone` went, or later, and is equal but for the name. */
static const char *successor(const struct controller *c, const struct catalog_entry *gone,
                             uint64_t since)
{
    assert(gone->text);
    size_t at = 0;
    size_t length = strlen(gone->text) - strlen(gone->name);
    for (size_t i = 0; i < c->catalog.len; i++) {
        const struct catalog_entry *e = c->catalog.entries[i];
        const struct worker *w = next_of(c, e, &at);
        if (w && e->state == ENTRY_ACCEPTED && w->parting.born >= since &&
            strlen(e->text) - strlen(e->name) == length &&
            graves_same_but_name(gone->text, e->text))
            return e->name;
    }
    return NULL;
}

/* ---- what holds over a new start ------------------------------------------------------------- */

static void load_held(struct worker *w)
{
    if (w->parting.loaded)
        return;
    AUTO_ERR e = state_load_note(w->c->state, w->name, NOTE_HELD, HELD_MAX, &w->parting.held);
    if (e)
        log_at(LOG_ERROR, "bottle=%s what held its deletion can't be read: %s, retrying", w->name,
               err_message(e));
    w->parting.loaded = !e;
}

static void keep_held(struct worker *w, const char *text)
{
    const char *was = w->parting.held;
    bool same = was && text ? strcmp(was, text) == 0 : was == text;
    if (same || w->c->opt.mode == MODE_PLAN)
        return;
    AUTO_ERR e = state_store_note(w->c->state, w->name, NOTE_HELD, text);
    if (e && err_kind(e) != ERR_NOT_FOUND) { /* what has no record is held until the next start */
        log_at(LOG_ERROR, "bottle=%s keeping what holds its deletion: %s, retrying", w->name,
               err_message(e));
        return;
    }
    char *now = xstrdup_null(text);
    free(w->parting.held);
    w->parting.held = now;
}

static void keep_all_held(struct controller *c)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        const struct grave *g = graves_find(&c->deletion->graves, w->name);
        bool held = g && g->verdict == GRAVE_HELD;
        AUTO_FREE char *moved = held && g->reason == GRAVE_MOVED
                                    ? xasprintf(HELD_MOVED "%s", w->parting.moved_to)
                                    : NULL;
        if (g) /* else it may only be unknown whether it is gone */
            keep_held(w, held && g->reason == GRAVE_TOO_MANY ? HELD_TOO_MANY : moved);
    }
}

/* Where it was moved, as long as that is there: an edit of the new one settles nothing. */
static const char *still_moved_to(const struct worker *w)
{
    size_t n = strlen(HELD_MOVED);
    const char *held = w->parting.held;
    const char *to = w->parting.moved_to;
    if (!to && held && strncmp(held, HELD_MOVED, n) == 0)
        to = held + n;
    const struct catalog_entry *e = to ? catalog_find(&w->c->catalog, to) : NULL;
    return e && e->state != ENTRY_GONE ? e->name : NULL;
}

void deletion_listed(struct controller *c)
{
    size_t at = 0;
    bool any_new = false;
    note_presence(c);
    for (size_t i = 0; i < c->workers_len; i++)
        any_new = any_new || c->workers[i]->parting.born > 1;
    for (size_t i = 0; i < c->catalog.len; i++) {
        const struct catalog_entry *e = c->catalog.entries[i];
        struct worker *w = next_of(c, e, &at);
        if (!w)
            continue;
        load_held(w);
        if (e->state == ENTRY_ACCEPTED || e->state == ENTRY_REJECTED)
            keep_held(w, NULL);
        bool look = w->parting.gone && e->text && (any_new || w->parting.gone == 1);
        const char *to = w->parting.gone ? still_moved_to(w) : NULL;
        if (!to && look)
            to = successor(c, e, w->parting.gone);
        free(w->parting.moved_to);
        w->parting.moved_to = xstrdup_null(to);
    }
}

/* ---- who is gone ----------------------------------------------------------------------------- */

static bool is_stopped(const struct worker *w)
{
    struct bottle_view v;
    bottle_view(w->c->observed, &w->c->memory, w->name, &v);
    const struct observed_container *agent = v.roles[ROLE_AGENT].container;
    return !agent || !container_is_up(agent);
}

/* No manifest has it; nobody knows what a broken file holds. */
static bool is_gone(const struct worker *w, const struct catalog_entry *e)
{
    return e ? e->state == ENTRY_GONE : !w->c->doubtful_files;
}

/* There is something to lose: objects, or a generation that was accepted. */
static bool stands(const struct worker *w, const struct catalog_entry *e,
                   const struct str_list *on_engine)
{
    return (e && e->bottle) || str_list_has(on_engine, w->name);
}

static struct grave_facts facts_of(const struct worker *w, const struct catalog_entry *e)
{
    const struct bottle *last = e ? e->bottle : NULL;
    bool preserve = last && last->preserve;
    const char *held = w->parting.held;
    return (struct grave_facts){.name = w->name,
                                .suspended = worker_is_suspended(w),
                                .preserve = preserve,
                                .stopped = preserve && is_stopped(w),
                                .source = roots_doubt(w->c->deletion->roots, e ? e->file : NULL),
                                .moved_to = w->parting.moved_to,
                                .too_many = held && strcmp(held, HELD_TOO_MANY) == 0};
}

/* What a worker is to be told of; the numbers of a tripped breaker may grow. */
static int verdict_of(const struct graves *all, const struct grave *g)
{
    enum { VERDICTS = 100, PEAKS = 10000 };
    if (!g)
        return 0;
    int peak = g->reason == GRAVE_TOO_MANY ? (int)all->peak % PEAKS : 0;
    return 1 + (peak * VERDICTS + (int)g->verdict) * VERDICTS + (int)g->reason;
}

/* A new verdict is a reason for a pass, as an edit is. */
static void tell_workers(struct controller *c)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        int v = verdict_of(&c->deletion->graves, graves_find(&c->deletion->graves, w->name));
        if (v == w->parting.told)
            continue;
        w->parting.told = v;
        w->not_before_ns = 0;
        worker_poke(w);
    }
}

static void tell_back(struct controller *c, const struct str_list *back)
{
    for (size_t i = 0; i < back->len; i++)
        journal_add(c->journal, back->items[i], JOURNAL_NORMAL, "DeletionCancelled",
                    xstrdup("its manifest is back, or a file that may hold it"));
}

static bool anything_gone(const struct controller *c)
{
    size_t at = 0;
    size_t wanted = 0;
    for (size_t i = 0; i < c->catalog.len; i++)
        wanted += c->catalog.entries[i]->state != ENTRY_GONE &&
                  next_of(c, c->catalog.entries[i], &at) != NULL;
    return wanted != c->workers_len || c->deletion->graves.len;
}

uint64_t deletion_update(struct controller *c)
{
    struct deletion *d = c->deletion;
    if (!c->observed || !c->manifests_known || !anything_gone(c))
        return 0;
    struct str_list on_engine;
    observed_bottles(c->observed, &on_engine);
    struct grave_facts *gone = xcalloc(c->workers_len + 1, sizeof(*gone));
    struct graves_now now = {.gone = gone, .now_ns = now_ns(c), .now_s = (int64_t)time(NULL)};
    size_t at = 0;
    for (size_t i = 0; i < c->workers_len; i++) {
        const struct worker *w = c->workers[i];
        while (at < c->catalog.len && strcmp(c->catalog.entries[at]->name, w->name) < 0)
            at++;
        const struct catalog_entry *e = at < c->catalog.len ? c->catalog.entries[at] : NULL;
        if (e && strcmp(e->name, w->name) != 0)
            e = NULL;
        bool buried_yet = graves_find(&d->graves, w->name) == NULL;
        if (buried_yet && !stands(w, e, &on_engine))
            continue;
        now.known++;
        if (is_gone(w, e))
            gone[now.gone_len++] = facts_of(w, e);
    }
    struct str_list back;
    graves_update(&d->graves, &now, &back);
    keep_all_held(c);
    tell_back(c, &back);
    tell_workers(c);
    str_list_done(&back);
    str_list_done(&on_engine);
    free(gone);
    return graves_next(&d->graves);
}

/* ---- what it means for one ------------------------------------------------------------------- */

const struct grave *deletion_of(const struct worker *w)
{
    return w->c->deletion ? graves_find(&w->c->deletion->graves, w->name) : NULL;
}

bool deletion_preserves(const struct worker *w)
{
    const struct grave *g = deletion_of(w);
    return g && g->verdict == GRAVE_HELD && g->reason == GRAVE_PRESERVED;
}

bool deletion_keeps(const struct worker *w)
{
    const struct grave *g = deletion_of(w);
    return g && g->verdict != GRAVE_DUE && !deletion_preserves(w);
}

bool deletion_allows(const struct worker *w)
{
    const struct grave *g = deletion_of(w);
    if (g)
        return g->verdict == GRAVE_DUE || deletion_preserves(w);
    struct str_list on_engine;
    observed_bottles(w->c->observed, &on_engine);
    bool nothing = !stands(w, catalog_find(&w->c->catalog, w->name), &on_engine);
    str_list_done(&on_engine);
    return nothing;
}

bool deletion_waits(const struct worker *w)
{
    const struct grave *g = deletion_of(w);
    return g && g->verdict == GRAVE_WAITS;
}

void deletion_buried(struct worker *w)
{
    graves_executed(&w->c->deletion->graves, w->name, now_ns(w->c));
}

/* ---- plan ------------------------------------------------------------------------------------ */

static char *plan_words(const struct worker *w, const struct grave *g)
{
    unsigned grace_s = (unsigned)(w->c->opt.deletion.grace_ns / NS_PER_S);
    return g->verdict == GRAVE_DUE
               ? xasprintf("would be deleted after %us, unless the manifest comes back", grace_s)
               : xasprintf("%s: %s", grave_reason_name(g->reason), g->message);
}

json_t *deletion_plan_json(const struct worker *w)
{
    const struct grave *g = deletion_of(w);
    if (!g)
        return XNN(json_null());
    AUTO_FREE char *words = plan_words(w, g);
    return XNN(json_pack("{s:s, s:s, s:s, s:I}", "verdict", grave_verdict_name(g->verdict),
                         "reason", grave_reason_name(g->reason), "message", words, "graceSeconds",
                         (json_int_t)(w->c->opt.deletion.grace_ns / NS_PER_S)));
}

void deletion_plan_text(const struct worker *w, struct str *out)
{
    const struct grave *g = deletion_of(w);
    if (!g)
        return;
    AUTO_FREE char *words = plan_words(w, g);
    str_addf(out, "  ! %s%s\n", g->verdict == GRAVE_HELD ? "held: " : "", words);
}

/* ---- approval -------------------------------------------------------------------------------- */

struct graves *deletion_graves(struct controller *c)
{
    return &c->deletion->graves;
}

bool deletion_missing(const struct worker *w)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    return roots_missing(w->c->deletion->roots, e ? e->file : NULL);
}

void deletion_believe(struct controller *c)
{
    roots_believe(c->deletion->roots);
    keep_roots(c);
}
