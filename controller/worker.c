/* SPDX-License-Identifier: Apache-2.0 */
/* One bottle: look, plan, carry out, look again, until the plan is empty. */
#include "controller/controller.h"
#include "controller/log.h"
#include "controller/rotation.h"
#include "reconcile/openings.h"
#include "spec/base/xalloc.h"

#include <string.h>
#include <time.h>

#define TERMINAL_RETRY_NS (60 * NS_PER_S)

struct worker *worker_find(const struct controller *c, const char *name)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        if (strcmp(c->workers[i]->name, name) == 0)
            return c->workers[i];
    }
    return NULL;
}

struct worker *worker_obtain(struct controller *c, const char *name)
{
    struct worker *w = worker_find(c, name);
    if (w)
        return w;
    size_t at = 0;
    while (at < c->workers_len && strcmp(c->workers[at]->name, name) < 0)
        at++;
    c->workers = xreallocarray(c->workers, c->workers_len + 1, sizeof(*c->workers));
    memmove(&c->workers[at + 1], &c->workers[at], (c->workers_len - at) * sizeof(*c->workers));
    c->workers_len++;
    w = xcalloc(1, sizeof(*w));
    *w = (struct worker){.c = c, .name = xstrdup(name), .dirty = true};
    c->workers[at] = w;
    suspend_load(w);
    return w;
}

void worker_free(struct worker *w)
{
    flights_cancel(w, FLIGHTS_ALL);
    exec_free(w->exec);
    plan_free(w->plan);
    desired_free(w->desired);
    bottle_state_done(&w->identity);
    conditions_done(&w->conditions);
    free(w->problem);
    free(w->secrets_problem);
    free(w->unsupported);
    free(w->quarantine);
    attested_done(&w->attested);
    kv_list_clear(&w->secret_hashes);
    applied_done(&w->applied);
    history_done(&w->history);
    rollout_done(&w->rollout);
    suspension_done(&w->by_hand);
    free(w->trust);
    free(w->parting.moved_to);
    free(w->parting.held);
    free(w->forbidden);
    free(w->open_text);
    free(w->name);
    free(w);
}

static void worker_drop(struct worker *w)
{
    struct controller *c = w->c;
    for (size_t i = 0; i < c->workers_len; i++) {
        if (c->workers[i] != w)
            continue;
        c->workers_len--;
        memmove(&c->workers[i], &c->workers[i + 1], (c->workers_len - i) * sizeof(*c->workers));
        break;
    }
    worker_free(w);
}

void worker_poke(struct worker *w)
{
    w->dirty = true;
}

static void set_text(char **slot, const char *text)
{
    free(*slot);
    *slot = xstrdup_null(text);
}

static const struct catalog_entry *wanted_entry(const struct worker *w)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    return e && e->bottle && (e->state != ENTRY_GONE || deletion_keeps(w)) ? e : NULL;
}

/* The uid that the engine's objects of this bottle carry, for a state directory that has lost its
 * record. */
static const char *uid_on_engine(const struct worker *w)
{
    const struct observed *o = w->c->observed;
    for (size_t i = 0; i < o->containers_len; i++) {
        if (o->containers[i].proven && strcmp(o->containers[i].owner.bottle, w->name) == 0)
            return o->containers[i].owner.uid;
    }
    return NULL;
}

static struct err *identify(struct worker *w, const struct bottle *b)
{
    if (w->have_identity)
        return NULL;
    const char *hint = uid_on_engine(w);
    TRY(state_bottle(w->c->state, w->name, hint ? hint : b->uid, &w->identity));
    struct err *e = state_load_quarantine(w->c->state, w->name, &w->quarantine);
    if (!e)
        e = rotation_load(w);
    if (e)
        bottle_state_done(&w->identity);
    TRY(e);
    history_load(w);
    w->have_identity = true;
    return NULL;
}

/* What may not run isn't even begun. One that stands already is kept up, with its agent held. */
static struct err *check_rules(const struct worker *w, const struct bottle *b)
{
    struct bottle_view v;
    bottle_view(w->c->observed, &w->c->memory, w->name, &v);
    if (w->forbidden && !v.roles[ROLE_AGENT].container)
        return err_new(ERR_INVALID, "%s", w->forbidden);
    return rules_refuse(w->c, b);
}

static struct render_inputs inputs_of(const struct bottle_state *id,
                                      const struct secret_set *secrets)
{
    const struct ca_beside *egress = &id->egress_beside, *pipelock = &id->pipelock_beside;
    return (struct render_inputs){
        .uid = id->uid,
        .secrets = secrets->items,
        .secrets_len = secrets->len,
        .egress_ca_cert = sv_of(id->egress_ca_cert),
        .egress_ca_key = sv_of(id->egress_ca_key),
        .egress_ca_old = sv_of(egress->old_cert ? egress->old_cert : ""),
        .egress_ca_next = sv_of(egress->next_cert ? egress->next_cert : ""),
        .pipelock_ca_cert = sv_of(id->pipelock_ca_cert),
        .pipelock_ca_key = sv_of(id->pipelock_ca_key),
        .pipelock_ca_old = sv_of(pipelock->old_cert ? pipelock->old_cert : ""),
        .pipelock_ca_next = sv_of(pipelock->next_cert ? pipelock->next_cert : "")};
}

/* With the CAs that are due now. */
static struct err *render_rotated(struct worker *w, const struct bottle *b,
                                  const struct render_settings *s, const struct secret_set *secrets,
                                  struct desired **ret)
{
    /* What was planned is what is applied: no CA moves on then. */
    enum controller_mode mode = w->c->opt.mode;
    bool noted = mode != MODE_PLAN && rotation_save(w);
    bool may_rotate = noted && mode != MODE_APPLY && !worker_is_suspended(w);
    if (may_rotate)
        rotation_begin(w);
    struct render_inputs in = inputs_of(&w->identity, secrets);
    TRY(desired_render(b, s, &in, ret));
    if (!may_rotate || !rotation_switch(w, *ret))
        return NULL;
    *ret = desired_free(*ret);
    in = inputs_of(&w->identity, secrets);
    return desired_render(b, s, &in, ret);
}

static struct err *render(struct worker *w, const struct bottle *b, struct desired **ret)
{
    struct controller *c = w->c;
    struct render_settings s = {.instance = c->opt.instance,
                                .installation = state_installation(c->state),
                                .upstream_ca = {c->upstream_ca, c->upstream_ca_n},
                                .auto_runtime = rules_auto_runtime(c),
                                .hash_key = state_hash_key(c->state)};
    memcpy(s.image, c->opt.image, sizeof(s.image));
    struct secret_set secrets = {0};
    struct str_list refs = {0};
    bottle_secret_refs(b, &refs);
    AUTO_ERR missing = secrets_resolve(c->opt.secrets_dir, &refs, &secrets);
    str_list_done(&refs);
    set_text(&w->secrets_problem, missing ? err_message(missing) : NULL);
    if (missing)
        return TAKE_PTR(missing);
    secret_hashes(&secrets, s.hash_key, &w->secret_hashes);
    struct err *e = check_rules(w, b);
    if (!e)
        e = render_rotated(w, b, &s, &secrets, ret);
    secret_set_done(&secrets);
    set_text(&w->unsupported, e ? err_message(e) : NULL);
    return e;
}

/* Every subnet that some running plan is about to ask for. */
static void reserved_subnets(const struct controller *c, struct cidr_set *ret)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        const struct plan *p = c->workers[i]->exec ? exec_plan(c->workers[i]->exec) : NULL;
        for (size_t k = 0; p && k < p->steps_len; k++) {
            struct cidr slice;
            if (p->steps[k].kind == STEP_NET_CREATE && cidr_parse(p->steps[k].detail, &slice))
                cidr_set_add(ret, slice);
        }
    }
}

static struct diff_input diff_input_of(const struct worker *w, const struct desired *d)
{
    const struct controller *c = w->c;
    const struct catalog_entry *last = catalog_find(&c->catalog, w->name);
    return (struct diff_input){.instance = c->opt.instance,
                               .bottle = w->name,
                               .desired = d,
                               .last_good = last ? last->bottle : NULL,
                               .observed = c->observed,
                               .memory = &c->memory,
                               .pool = &c->pool,
                               .caps = &c->caps,
                               .preserve = deletion_preserves(w),
                               .quarantine = w->forbidden ? w->forbidden : w->quarantine,
                               .now_ns = now_ns(c)};
}

static struct plan *make_plan(struct worker *w, const struct desired *d, bool isolate_only)
{
    AUTO_FREE char *waits = rollout_wait(w, d);
    struct cidr_set reserved = {0};
    reserved_subnets(w->c, &reserved);
    struct diff_input in = diff_input_of(w, d);
    in.reserved = &reserved;
    in.isolate_only = isolate_only;
    in.agent_waits = waits;
    struct plan *p = diff(&in);
    cidr_set_done(&reserved);
    return p;
}

/* What opens the bottle now, for the condition; whether the lists alone show something. */
static bool note_openings(struct worker *w)
{
    struct diff_input in = diff_input_of(w, w->desired);
    struct bottle_view v;
    struct openings o;
    bool listed = false;
    bottle_view(in.observed, in.memory, w->name, &v);
    openings_find(&in, &v, &o);
    for (size_t i = 0; i < o.len; i++)
        listed = listed || opening_is_listed(o.items[i].kind);
    w->open_reason = o.len ? opening_reason(o.items[0].kind) : NULL;
    set_text(&w->open_text, o.len ? o.items[0].text : NULL);
    openings_done(&o);
    return listed;
}

void worker_guard(struct worker *w)
{
    bool was_open = w->open_reason != NULL;
    bool listed = note_openings(w);
    if (listed || (was_open && !w->open_reason))
        worker_poke(w);
    if (!listed)
        return;
    if (!w->exec || exec_plan(w->exec)->isolates || w->interrupted || w->c->opt.mode == MODE_PLAN)
        return;
    w->interrupted = true;
    flights_cancel(w, FLIGHTS_WAITS);
    worker_pump(w);
}

static void forget_failures(struct worker *w)
{
    w->failures = 0;
    w->terminal = false;
    w->not_before_ns = 0;
    set_text(&w->problem, NULL);
}

void worker_retry(struct worker *w)
{
    forget_failures(w);
    w->needs_look = w->c->looks_started + 1;
    worker_poke(w);
}

/* Names and addresses came free: who waits for some may go on. */
static void wake_held(struct controller *c)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        if (w->plan && w->plan->hold) {
            w->needs_look = c->looks_started + 1;
            worker_poke(w);
        }
    }
}

/* The bottle is gone from both sides: so is our record of it. */
static void bury(struct worker *w)
{
    struct controller *c = w->c;
    if (c->opt.mode == MODE_PLAN)
        return;
    AUTO_ERR e = state_remove(c->state, w->name);
    if (e)
        log_at(LOG_ERROR, "bottle=%s removing its record: %s, ignoring", w->name, err_message(e));
    journal_add(c->journal, w->name, JOURNAL_NORMAL, "Gone", xstrdup("nothing of it is left"));
    for (int r = 0; r < ROLE_COUNT; r++) {
        AUTO_FREE char *name = object_name(c->opt.instance, w->name, role_info((enum role)r)->name);
        memory_forget_restart(&c->memory, name);
        memory_forget_trust(&c->memory, name);
    }
    pinned_forget(c->pinned, w->name);
    catalog_drop(&c->catalog, w->name);
    deletion_buried(w);
    attestor_forget(c->attestor, w->name);
    worker_drop(w);
    wake_held(c);
    report_changed(c);
}

void worker_input(const struct worker *w, struct status_input *ret)
{
    struct controller *c = w->c;
    *ret = (struct status_input){.entry = catalog_find(&c->catalog, w->name),
                                 .desired = w->desired,
                                 .secrets_problem = w->secrets_problem,
                                 .unsupported = w->unsupported,
                                 .problem = w->problem,
                                 .plan = w->plan,
                                 .current = w->exec ? exec_current(w->exec) : NULL,
                                 .open_reason = w->open_reason,
                                 .open_text = w->open_text,
                                 .reverted = w->rollout.reverted,
                                 .working = w->exec || w->dirty || w->failures,
                                 .terminal = w->terminal,
                                 .now_s = (int64_t)time(NULL)};
    ret->by_hand = &w->by_hand;
    ret->grave = deletion_of(w);
    if (c->observed)
        bottle_view(c->observed, &c->memory, w->name, &ret->view);
}

void worker_status(struct worker *w)
{
    struct status_input in;
    worker_input(w, &in);
    journal_conditions(w->c->journal, w->name, &w->conditions, &in);
    history_follow(w);
    reconcile_follow(w);
    report_changed(w->c);
}

static void wait_failed(struct worker *w, const struct err *e)
{
    struct controller *c = w->c;
    enum err_kind k = err_kind(e);
    w->terminal = k == ERR_INVALID || k == ERR_DENIED;
    w->failures++;
    uint64_t delay = w->terminal ? TERMINAL_RETRY_NS : backoff_delay_ns(w->failures, &c->prng);
    w->not_before_ns = now_ns(c) + delay;
    set_text(&w->problem, err_message(e));
    w->dirty = true;
    if (!w->terminal) /* else it is told as Stalled */
        journal_add(c->journal, w->name, JOURNAL_WARNING, "StepFailed",
                    xasprintf("%s, retrying", err_message(e)));
}

/* Looks at what is wanted; false when nothing may be done now (and status says why). */
static bool look(struct worker *w, struct desired **ret)
{
    struct controller *c = w->c;
    const struct catalog_entry *e = wanted_entry(w);
    if (!e) {
        const struct catalog_entry *any = catalog_find(&c->catalog, w->name);
        /* Not gone, only never good; or nobody knows what a broken file holds. */
        bool doubtful = any ? any->state != ENTRY_GONE : c->doubtful_files;
        set_text(&w->secrets_problem, NULL);
        set_text(&w->unsupported, NULL);
        set_text(&w->forbidden, NULL);
        return c->manifests_known && !doubtful && deletion_allows(w);
    }
    if (e->generation != w->generation) {
        forget_failures(w);
        w->generation = e->generation;
        rollout_begin(w);
    }
    AUTO_ERR fault = identify(w, e->bottle);
    rollout_choose(w, e);
    const struct bottle *b = rollout_bottle(w);
    free(w->forbidden);
    w->forbidden = rules_forbid(c, b);
    if (!fault)
        fault = render(w, b, ret);
    if (!fault)
        rollout_compare(w);
    history_accepted(w, e);
    manifests_keep(c, catalog_find(&c->catalog, w->name));
    if (fault && !w->secrets_problem && !w->unsupported)
        wait_failed(w, fault);
    return !fault;
}

static bool wait_restart(struct worker *w, const struct plan *p)
{
    if (p->not_before_ns && (!w->not_before_ns || p->not_before_ns < w->not_before_ns)) {
        w->not_before_ns = p->not_before_ns;
        w->dirty = true;
    }
    return p->not_before_ns != 0;
}

static void begin(struct worker *w)
{
    struct controller *c = w->c;
    struct bottle_view v;
    bottle_view(c->observed, &c->memory, w->name, &v);
    w->exec = exec_new(w->plan, w->desired, v.nets, &c->memory, &c->caps);
    worker_status(w);
    worker_pump(w);
}

/* Suspended means left alone, not left open; what is to be deleted was approved. */
bool worker_leaves_alone(const struct worker *w, const struct plan *p)
{
    return worker_is_suspended(w) && !p->isolates && (w->desired || !deletion_of(w));
}

static bool may_act(const struct worker *w, const struct plan *p)
{
    if (!p->steps_len)
        return false;
    if (!plan_mutates(p))
        return true; /* only looks something up */
    if (w->c->opt.mode == MODE_PLAN || w->c->opt.mode == MODE_APPLY)
        return false;
    return !worker_leaves_alone(w, p);
}

/* What is wanted isn't known, or can't be had: the bottle is left as it runs, but not open. */
static void keep_closed(struct worker *w)
{
    w->plan = make_plan(w, NULL, true);
    if (may_act(w, w->plan))
        begin(w);
    else
        worker_status(w);
}

void worker_carry_out(struct worker *w)
{
    if (w->plan && plan_mutates(w->plan) && !worker_leaves_alone(w, w->plan))
        begin(w);
}

void worker_pass(struct worker *w)
{
    struct desired *d = NULL;
    reconcile_begun(w);
    w->dirty = false;
    w->not_before_ns = 0;
    bool may = look(w, &d);
    desired_free(w->desired);
    w->desired = d;
    w->plan = plan_free(w->plan);
    (void)note_openings(w);
    if (!may) {
        keep_closed(w);
        return;
    }
    struct plan *p = make_plan(w, d, false);
    if (rollout_judge(w, p)) {
        plan_free(p);
        w->dirty = true;
        worker_status(w);
        return;
    }
    bool waits = wait_restart(w, p);
    if (!p->steps_len && !p->hold && !waits) {
        forget_failures(w);
        if (!d && !deletion_preserves(w)) {
            plan_free(p);
            bury(w);
            return;
        }
    }
    w->plan = p;
    if (may_act(w, p))
        begin(w);
    else
        worker_status(w);
}

void worker_ended(struct worker *w)
{
    const struct err *e = exec_error(w->exec);
    bool looked_only = !plan_mutates(exec_plan(w->exec));
    if (e)
        wait_failed(w, e);
    rollout_ended(w);
    w->exec = exec_free(w->exec);
    w->dirty = true;
    w->interrupted = false;
    w->ended_ns = now_ns(w->c);
    if (!looked_only)
        w->needs_look = w->c->looks_started + 1;
    worker_status(w);
}

bool worker_settled(const struct worker *w)
{
    if (w->exec || deletion_waits(w))
        return false;
    return !w->dirty || w->failures >= 3 || w->terminal;
}
