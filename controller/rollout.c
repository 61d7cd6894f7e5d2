/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/rollout.h"

#include "controller/controller.h"
#include "reconcile/clock.h"
#include "reconcile/update_gate.h"
#include "spec/base/xalloc.h"

#include <string.h>
#include <time.h>

/* An agent that has run for so long is taken to run; one that has ended so often not to. */
#define PROVEN_NS (10 * NS_PER_S)
enum { STARTS_MAX = 3, STREAK_MAX = 1 };
/* What comes before the old agent's end takes less, unless an image is pulled or a proxy is slow.
 */
enum { STOP_FRESH_S = 15 };

#define NOTE_PENDING "pending"

void rollout_done(struct rollout *r)
{
    change_list_done(&r->changes);
    bottle_free(r->fallback);
    free(r->reverted);
    idle_look_free(r->look);
    free(r->agent_id);
    *r = (struct rollout){0};
}

static void recheck_at(struct rollout *r, uint64_t ns)
{
    if (!r->recheck_ns || ns < r->recheck_ns)
        r->recheck_ns = ns;
}

/* ---- which generation ------------------------------------------------------------------------ */

/* What converged last, from its text; NULL when this version can't read it. */
static struct bottle *parse_applied(const struct worker *w)
{
    const struct manifest_input in = {.path = w->applied.file ? w->applied.file : w->name,
                                      .bytes = sv_of(w->applied.text)};
    struct manifest_rules rules = {0};
    pinned_rules(w->c->pinned, &rules);
    struct manifest_set *set = manifest_load_under(&in, 1, &rules);
    struct bottle *b = NULL;
    if (set->bottles_len == 1 && strcmp(set->bottles[0].name, w->name) == 0)
        b = TAKE_PTR(set->bottles[0].bottle);
    manifest_set_free(set);
    return b;
}

static void drop_fallback(struct rollout *r)
{
    r->fallback = bottle_free(r->fallback);
    free(r->reverted);
    r->reverted = NULL;
    r->given_up = 0;
}

static void fall_back(struct worker *w, int64_t generation)
{
    struct rollout *r = &w->rollout;
    const struct ledger_entry *l = ledger_find(&w->history.ledger, generation);
    drop_fallback(r);
    r->given_up = generation;
    r->fallback = parse_applied(w);
    if (r->fallback)
        r->reverted = xasprintf("generation %lld was given up: %s; generation %lld runs instead, "
                                "until the manifest is edited",
                                (long long)generation, l && l->message ? l->message : "it failed",
                                (long long)w->applied.generation);
}

void rollout_choose(struct worker *w, const struct catalog_entry *e)
{
    struct rollout *r = &w->rollout;
    bool given_up = w->applied.text && w->applied.generation != e->generation &&
                    history_gave_up(w, e->generation);
    if (given_up && r->given_up != e->generation)
        fall_back(w, e->generation);
    else if (!given_up)
        drop_fallback(r);
}

const struct bottle *rollout_bottle(const struct worker *w)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    return w->rollout.fallback ? w->rollout.fallback : e ? e->bottle : NULL;
}

void rollout_begin(struct worker *w)
{
    w->rollout.failed_starts = 0;
    w->rollout.looked_ns = 0;
}

void rollout_compare(struct worker *w)
{
    const struct cost_input in = {.old_text = w->applied.text,
                                  .old_secrets = &w->applied.secrets,
                                  .bottle = rollout_bottle(w),
                                  .defaults = pinned_get(w->c->pinned, w->name),
                                  .new_secrets = &w->secret_hashes};
    change_list_done(&w->rollout.changes);
    costs_find(&in, &w->rollout.changes);
}

/* ---- when ------------------------------------------------------------------------------------ */

static void on_looked(void *ctx, const struct activity *a)
{
    struct worker *w = ctx;
    struct rollout *r = &w->rollout;
    r->look = NULL;
    r->activity = *a;
    r->looked_ns = now_ns(w->c);
    worker_poke(w);
    controller_dispatch(w->c);
}

static bool is_fresh(const struct worker *w, int64_t for_s)
{
    const struct rollout *r = &w->rollout;
    return r->looked_ns && now_ns(w->c) < r->looked_ns + (uint64_t)for_s * NS_PER_S;
}

/* Asks what goes on, unless it is known or being asked. */
static void look_for_activity(struct worker *w, const struct bottle_view *v)
{
    struct rollout *r = &w->rollout;
    const struct observed_container *egress = v->roles[ROLE_EGRESS].container;
    if (r->look || is_fresh(w, UPDATE_GATE_LOOK_S) || !egress || w->c->opt.mode == MODE_PLAN)
        return;
    r->look = idle_look(w->c->engine, v->roles[ROLE_AGENT].container->id, egress->id, on_looked, w);
}

/* From what moment on the agent waits to be replaced, which begins the deadline: an edit,
 * another value of a secret. Further edits don't begin it anew. On disk, so that a restart doesn't
 * either. */
static void set_pending(struct worker *w, int64_t since_s)
{
    char text[CLOCK_TEXT] = "";
    w->rollout.pending_s = since_s;
    if (w->c->opt.mode == MODE_PLAN)
        return;
    if (since_s)
        clock_format(since_s, text);
    err_ignore(state_store_note(w->c->state, w->name, NOTE_PENDING, text),
               "it only counts after a restart");
}

static int64_t load_pending(const struct worker *w)
{
    int64_t s = 0;
    uint32_t ns = 0;
    AUTO_FREE char *text = NULL;
    AUTO_ERR e = state_load_note(w->c->state, w->name, NOTE_PENDING, CLOCK_TEXT, &text);
    return !e && text && clock_parse(text, &s, &ns) ? s : 0;
}

static void note_pending(struct worker *w, bool pending, int64_t now_s)
{
    struct rollout *r = &w->rollout;
    if (!r->pending_loaded)
        r->pending_s = load_pending(w);
    r->pending_loaded = true;
    bool since_ever = r->pending_s && r->pending_s <= now_s; /* the clock may have been ahead */
    if (pending && !since_ever)
        set_pending(w, now_s);
    else if (!pending && r->pending_s)
        set_pending(w, 0);
}

/* `fresh_s`: for how long what was idle is taken to be so still. */
static char *wait_text(struct worker *w, const struct desired *d, int64_t fresh_s)
{
    struct rollout *r = &w->rollout;
    const struct desired_container *want = d ? desired_find(d, ROLE_AGENT) : NULL;
    const struct update_spec *how = want ? &rollout_bottle(w)->agent.update : NULL;
    struct bottle_view v;
    bottle_view(w->c->observed, &w->c->memory, w->name, &v);
    const struct observed_container *c = v.roles[ROLE_AGENT].container;
    int64_t now_s = (int64_t)time(NULL);
    if (!want)
        return NULL;
    bool pending = c && container_is_up(c) && !desired_is_spec(want, c->owner.spec_hash);
    bool gated = pending && how->when != UPDATE_NOW;
    note_pending(w, gated, now_s);
    if (!gated)
        return NULL;
    if (how->when == UPDATE_IDLE)
        look_for_activity(w, &v);
    /* What was busy a while ago is told as that; what was idle counts only when just looked at. */
    static const struct activity unknown = {0};
    bool stale = activity_idle(&r->activity) && !is_fresh(w, fresh_s);
    const struct update_gate_in in = {.spec = how,
                                      .activity = stale ? &unknown : &r->activity,
                                      .pending_since_s = r->pending_s,
                                      .now_s = now_s};
    struct update_gate gate;
    update_gate(&in, &gate);
    char *text = gate.may ? NULL : xstrdup(gate.text);
    if (!gate.may && gate.next_look_s > now_s)
        recheck_at(r, now_ns(w->c) + (uint64_t)(gate.next_look_s - now_s) * NS_PER_S);
    update_gate_done(&gate);
    return text;
}

char *rollout_wait(struct worker *w, const struct desired *d)
{
    return wait_text(w, d, UPDATE_GATE_LOOK_S);
}

bool rollout_gives_way(struct worker *w, const struct step *s)
{
    if (s->kind != STEP_CTR_STOP || s->role != ROLE_AGENT || s->next || !w->desired)
        return false;
    AUTO_FREE char *why = wait_text(w, w->desired, STOP_FRESH_S);
    return why != NULL;
}

/* ---- how it ended ---------------------------------------------------------------------------- */

static void note_agent(struct worker *w, const struct observed_container *c)
{
    struct rollout *r = &w->rollout;
    bool up = c && container_is_up(c);
    bool same = up && r->agent_id && strcmp(r->agent_id, c->id) == 0;
    if (same)
        return;
    free(r->agent_id);
    r->agent_id = up ? xstrdup(c->id) : NULL;
    r->agent_since_ns = up ? now_ns(w->c) : 0;
    if (up)
        recheck_at(r, r->agent_since_ns + PROVEN_NS);
}

bool rollout_is_proven(const struct worker *w)
{
    const struct rollout *r = &w->rollout;
    bool ended_well = w->plan && w->plan->finished;
    return w->c->opt.mode == MODE_ONCE || ended_well ||
           (r->agent_since_ns && now_ns(w->c) >= r->agent_since_ns + PROVEN_NS);
}

/* Why the generation that is being brought up won't do; NULL: it still may. */
static char *failure(const struct worker *w, const struct plan *p,
                     const struct observed_container *c)
{
    const struct rollout *r = &w->rollout;
    const struct desired_container *want = w->desired ? desired_find(w->desired, ROLE_AGENT) : NULL;
    bool other = !r->fallback && w->applied.text && w->applied.generation != w->generation &&
                 changes_worst(&r->changes) == CHANGE_AGENT;
    if (!want || !other || !c || container_is_up(c) || p->finished ||
        !desired_is_spec(want, c->owner.spec_hash))
        return NULL;
    const struct known_restart *k = memory_restart(&w->c->memory, want->name);
    if (k && k->streak >= STREAK_MAX)
        return xasprintf("its agent ended each time within a minute of its start (exit code %d)",
                         c->exit_code);
    if (r->failed_starts >= STARTS_MAX || (r->failed_starts && w->terminal))
        return xasprintf("its agent can't be started: %s", w->problem ? w->problem : "it ended");
    return NULL;
}

bool rollout_judge(struct worker *w, const struct plan *p)
{
    struct bottle_view v;
    bottle_view(w->c->observed, &w->c->memory, w->name, &v);
    note_agent(w, v.roles[ROLE_AGENT].container);
    AUTO_FREE char *why =
        w->c->opt.mode == MODE_PLAN ? NULL : failure(w, p, v.roles[ROLE_AGENT].container);
    /* One that can't be read can't be put back: the new one is tried on. */
    struct bottle *before = why ? parse_applied(w) : NULL;
    if (!before)
        return false;
    bottle_free(before);
    journal_add(w->c->journal, w->name, JOURNAL_WARNING, "Reverted",
                xasprintf("generation %lld: %s; generation %lld is put back",
                          (long long)w->generation, why, (long long)w->applied.generation));
    history_reverted(w, w->generation, why);
    return true;
}

void rollout_ended(struct worker *w)
{
    const struct plan *p = exec_plan(w->exec);
    const struct step *failed = exec_error(w->exec) ? exec_current(w->exec) : NULL;
    if (failed && failed->kind == STEP_CTR_START && failed->role == ROLE_AGENT)
        w->rollout.failed_starts++;
    else if (!failed && plan_fate(p, ROLE_AGENT) >= FATE_STARTED)
        w->rollout.failed_starts = 0;
}
