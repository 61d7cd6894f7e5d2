/* SPDX-License-Identifier: Apache-2.0 */
/* One role of a wanted bottle: from whatever state its containers are in to running and confirmed.
 */
#include "reconcile/diff_role.h"
#include "reconcile/backoff.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { RELOADS_BEFORE_REPLACE = 3, ENDS_BEFORE_REPLACE = 3 };

static bool wants_network(const struct builder *b, const struct desired_container *want,
                          const char *net_id)
{
    for (int n = 0; n < NET_COUNT; n++) {
        if (role_info(want->role)->nets & 1U << n && b->view.nets[n] &&
            strcmp(b->view.nets[n]->id, net_id) == 0)
            return true;
    }
    return false;
}

/* Attachments of a container that stays: foreign networks go first, missing ones come back. */
static void build_attachments(struct builder *b, struct target *t,
                              const struct observed_container *c)
{
    for (size_t i = 0; i < c->net_ids_len; i++) {
        if (wants_network(b, t->want, c->net_ids[i]) ||
            !observed_network(b->in->observed, c->net_ids[i]))
            continue;
        target_add(b, t,
                   (struct step_init){.kind = STEP_NET_DISCONNECT,
                                      .net = NET_COUNT,
                                      .detail = c->net_ids[i],
                                      .cause = "attached to a network that is not the bottle's"});
    }
    for (int n = 0; n < NET_COUNT; n++) {
        if (!(role_info(t->want->role)->nets & 1U << n))
            continue;
        bool there = false;
        for (size_t i = 0; i < c->net_ids_len && b->view.nets[n]; i++)
            there = there || strcmp(c->net_ids[i], b->view.nets[n]->id) == 0;
        if (there)
            continue;
        int guard = t->want->role == ROLE_AGENT ? build_guard(b) : STEP_NONE;
        int s = target_add(b, t,
                           (struct step_init){.kind = STEP_NET_CONNECT,
                                              .net = (enum net)n,
                                              .cause = "detached from the bottle's network"});
        plan_after(b->plan, s, b->net_step[n]);
        plan_after(b->plan, s, guard);
    }
}

static bool text_eq(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool policy_matches(const struct desired_container *want, const struct known_policy *k)
{
    return !want->config_hash || (k && text_eq(k->config_hash, want->config_hash) &&
                                  text_eq(k->generation, want->generation));
}

static void build_reload(struct builder *b, struct target *t, const struct known_policy *k)
{
    t->cause = k->disturbed     ? "somebody else wrote into it or signalled it"
               : k->config_hash ? "the policy changed"
                                : "its log names no policy";
    target_add(
        b, t,
        (struct step_init){.kind = STEP_CLOCK, .cause = "to tell its new log lines from old ones"});
    target_add(b, t, (struct step_init){.kind = STEP_CTR_UPLOAD, .hot_only = true});
    target_add(b, t, (struct step_init){.kind = STEP_CTR_SIGNAL});
    target_add(b, t,
               (struct step_init){.kind = STEP_CTR_CONFIRM,
                                  .detail = t->want->config_hash,
                                  .cause = "effective means confirmed"});
    b->ready[t->want->role] = t->last;
}

/* Not an agent whose keys aren't both there, nor one that something keeps from running. */
static void build_unpause(struct builder *b, struct target *t)
{
    enum role role = t->want->role;
    if (role == ROLE_AGENT && (b->waiting || b->plan->hold == HOLD_OPEN))
        return;
    int s =
        target_add(b, t, (struct step_init){.kind = STEP_CTR_UNPAUSE, .cause = "it was paused"});
    if (role == ROLE_AGENT)
        target_after_prerequisites(b, role, s);
}

static void build_limits(struct builder *b, struct target *t)
{
    target_add(b, t,
               (struct step_init){.kind = STEP_CTR_UPDATE,
                                  .cause = "its limits or its restart policy were changed"});
}

static void build_running(struct builder *b, const struct desired_container *want,
                          const struct observed_container *c)
{
    struct target t = {.want = want, .id = c->id, .cause = "repair", .last = STEP_NONE};
    const struct role_view *v = &b->view.roles[want->role];
    const struct seal *seal = memory_seal(b->in->memory, c->id);
    if (seal->state == SEAL_BROKEN) {
        role_replace(b, want, c, "it is not sealed as asked");
        return;
    }
    if (want->config_hash && v->policy && v->policy->failed >= RELOADS_BEFORE_REPLACE) {
        role_replace(b, want, c, "it does not confirm its policy");
        return;
    }
    build_trust(b, want, c);
    if (!v->nets_ok)
        build_attachments(b, &t, c);
    if (seal->state == SEAL_LIMITS)
        build_limits(b, &t);
    if (c->state == RUN_PAUSED)
        build_unpause(b, &t);
    b->ready[want->role] = t.last;
    if (policy_matches(want, v->policy) && !(v->policy && v->policy->disturbed))
        return;
    if (!v->policy) {
        role_scan_first(b, c);
        return;
    }
    build_reload(b, &t, v->policy);
}

/* May it be started again now, and should it be at all? */
static bool may_restart(struct builder *b, const struct desired_container *want,
                        const struct observed_container *c)
{
    bool rests = want->restart == RESTART_NEVER ||
                 (want->restart == RESTART_ON_FAILURE && c->exit_code == 0);
    if (rests) {
        b->plan->finished = true;
        return false;
    }
    const struct known_restart *k = memory_restart(b->in->memory, want->name);
    if (!k || k->not_before_ns <= b->in->now_ns)
        return true;
    if (!b->plan->not_before_ns || k->not_before_ns < b->plan->not_before_ns)
        b->plan->not_before_ns = k->not_before_ns;
    b->waiting = true;
    return false;
}

/* What others have done to its file system is not undone by starting it again. */
static bool keeps_ending(const struct builder *b, const struct desired_container *want)
{
    const struct known_restart *k = memory_restart(b->in->memory, want->name);
    return want->role != ROLE_AGENT && k && k->streak >= ENDS_BEFORE_REPLACE;
}

static void build_stopped(struct builder *b, const struct desired_container *want,
                          const struct observed_container *c)
{
    bool ran = c->state == RUN_EXITED;
    if (ran && !may_restart(b, want, c))
        return;
    struct target t = {.want = want,
                       .id = c->id,
                       .last = STEP_NONE,
                       .cause = ran ? "it ended" : "an interrupted start"};
    const struct seal *seal = memory_seal(b->in->memory, c->id);
    if (seal && seal->state == SEAL_BROKEN) {
        role_again(b, want, c, "it is not sealed as asked");
        return;
    }
    if (ran && keeps_ending(b, want)) {
        t.cause = "it ends each time: another one is made";
        t.last = role_remove(b, c, want, t.cause, STEP_NONE);
        t.id = NULL;
        target_create(b, &t);
        target_start(b, &t, true); /* counted, so that the next one waits longer */
        return;
    }
    if (memory_unstartable(b->in->memory, c->id)) {
        role_again(b, want, c, "the engine can't start it any more");
        return;
    }
    if (!b->view.roles[want->role].nets_ok) {
        if (!ran || want->role != ROLE_AGENT) {
            /* Nothing in it is worth keeping, and its endpoints are stale. */
            role_again(b, want, c, "stopped, and off its networks");
            return;
        }
        build_attachments(b, &t, c);
    }
    target_prepare(b, &t);
    target_start(b, &t, ran);
}

static void build_existing(struct builder *b, const struct desired_container *want,
                           const struct observed_container *c)
{
    switch (c->state) {
    case RUN_RUNNING:
    case RUN_PAUSED:
    case RUN_RESTARTING:
        build_running(b, want, c);
        return;
    case RUN_CREATED:
    case RUN_EXITED:
        build_stopped(b, want, c);
        return;
    case RUN_DEAD:
        role_again(b, want, c, "dead: the engine could not remove it");
        return;
    case RUN_REMOVING:
        b->waiting = true;
        b->plan->not_before_ns = b->in->now_ns + 500 * NS_PER_MS;
        return;
    }
}

/* An agent can't start before both keys are confirmed: until they can be, it stays as it is. */
static bool waits_for_keys(const struct builder *b, const struct desired_container *want,
                           const struct observed_container *c, bool as_wanted)
{
    bool runs = c && (c->state == RUN_RUNNING || c->state == RUN_PAUSED);
    bool held = b->waiting || b->plan->hold == HOLD_OPEN;
    return held && want->role == ROLE_AGENT && !(as_wanted && runs);
}

/* Whoever made it: it is looked at once, before anything is decided on it. */
static bool seal_unknown(struct builder *b, const struct desired_container *want,
                         const struct observed_container *c)
{
    const struct seal *seal = memory_seal(b->in->memory, c->id);
    if (c->state == RUN_REMOVING || c->state == RUN_DEAD ||
        (seal && !seal->other && memory_seal_is_of(b->in->memory, c->id, want->limits)))
        return false;
    str_list_add_take(&b->inspects, xasprintf("%s %s", role_info(want->role)->name, c->id));
    return true;
}

/* One that is to be another, and stands as long as it waits, is suspended, or has no image: is it
 * open, and has it the limits that are wanted now? */
static bool other_unknown(struct builder *b, const struct desired_container *want,
                          const struct observed_container *c)
{
    bool waits = want->role == ROLE_AGENT && b->in->agent_waits;
    bool known = waits ? memory_seal_is_of(b->in->memory, c->id, want->limits)
                       : memory_seal(b->in->memory, c->id) != NULL;
    if (known || !container_is_up(c))
        return false;
    str_list_add_take(&b->inspects, xasprintf("%s %s", role_info(want->role)->name, c->id));
    return true;
}

/* It is to be another one, but not yet: it stays, on its networks and not paused, unless somebody
 * has made it otherwise than bottler would. */
static bool build_waiting_agent(struct builder *b, const struct desired_container *want,
                                const struct observed_container *c)
{
    if (want->role != ROLE_AGENT || !b->in->agent_waits || !c || !container_is_up(c))
        return false;
    const struct seal *seal = memory_seal(b->in->memory, c->id);
    if (seal && seal->state == SEAL_BROKEN)
        return false;
    struct target t = {.want = want, .id = c->id, .cause = "repair", .last = STEP_NONE};
    b->plan->waits = xstrdup(b->in->agent_waits);
    build_trust(b, want, c);
    if (!b->view.roles[ROLE_AGENT].nets_ok)
        build_attachments(b, &t, c);
    if (seal && seal->state == SEAL_LIMITS)
        build_limits(b, &t);
    if (c->state == RUN_PAUSED)
        build_unpause(b, &t);
    return true;
}

void build_role(struct builder *b, const struct desired_container *want)
{
    const struct observed_container *c = b->view.roles[want->role].container;
    const struct observed_container *waiting = role_next(b, want->role);
    bool as_wanted = c && role_is_as_wanted(want, c);
    if (c && !as_wanted && other_unknown(b, want, c))
        return;
    if (waits_for_keys(b, want, c, as_wanted))
        return;
    if (!as_wanted && build_waiting_agent(b, want, c))
        return;
    if (!as_wanted && role_image_is_out_of_reach(b, want))
        return;
    if (!c && !waiting) {
        role_fresh(b, want, "the container is missing", STEP_NONE);
    } else if (!c) {
        role_replace(b, want, NULL, "an interrupted replacement");
    } else if (!as_wanted) {
        role_replace(b, want, c, "the manifest changed");
    } else {
        if (waiting)
            role_remove(b, waiting, want, "left by an interrupted replacement", STEP_NONE);
        if (!seal_unknown(b, want, c))
            build_existing(b, want, c);
    }
}
