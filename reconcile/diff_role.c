/* SPDX-License-Identifier: Apache-2.0 */
/* One role of a wanted bottle: from whatever state its containers are in to running and confirmed.
 */
#include "reconcile/backoff.h"
#include "reconcile/builder.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { RELOADS_BEFORE_REPLACE = 3, ENDS_BEFORE_REPLACE = 3 };

/* A container that steps are added for. */
struct target {
    const struct desired_container *want;
    const char *id; /* NULL: made by this plan */
    bool next;
    const char *cause;
    int last; /* the step so far */
};

static int add(struct builder *b, struct target *t, struct step_init s)
{
    s.role = t->want->role;
    s.next = t->next;
    s.object = t->want->name;
    s.id = t->id;
    if (!s.cause)
        s.cause = t->cause;
    int added = plan_add(b->plan, &s);
    plan_after(b->plan, added, t->last);
    t->last = added;
    return added;
}

/* The steps after which the image is known to be there; STEP_NONE when it is already. */
static int build_image(struct builder *b, const struct desired_container *want)
{
    const struct known_image *k = memory_image(b->in->memory, want->image_ref, b->in->now_ns);
    if (!k) {
        str_list_add(&b->lookups, want->image_ref);
        return STEP_NONE;
    }
    bool absent = !k->info.id;
    if (!absent && want->pull_policy != PULL_ALWAYS)
        return STEP_NONE;
    int pull =
        plan_add(b->plan, &(struct step_init){.kind = STEP_IMAGE_PULL,
                                              .role = want->role,
                                              .object = want->image_ref,
                                              .cause = absent ? "the image is not on the engine"
                                                              : "pull_policy is always"});
    int inspect = plan_add(b->plan, &(struct step_init){.kind = STEP_IMAGE_INSPECT,
                                                        .role = want->role,
                                                        .object = want->image_ref,
                                                        .cause = "its id pins the container"});
    plan_after(b->plan, inspect, pull);
    return inspect;
}

/* An image that isn't there and may not be fetched: the role stays as it is, whatever that is. */
static bool image_is_out_of_reach(struct builder *b, const struct desired_container *want)
{
    const struct known_image *k = memory_image(b->in->memory, want->image_ref, b->in->now_ns);
    if (!k || k->info.id || want->pull_policy != PULL_NEVER)
        return false;
    plan_set_hold(b->plan, HOLD_IMAGE,
                  xasprintf("image '%s' is not on the engine, and %s", want->image_ref,
                            want->role == ROLE_AGENT
                                ? "pull_policy is never"
                                : "it is never pulled: `bottler images build` makes it"));
    b->waiting = true;
    return true;
}

static void after_networks(struct builder *b, const struct desired_container *want, int step)
{
    for (int n = 0; n < NET_COUNT; n++) {
        if (role_info(want->role)->nets & 1U << n)
            plan_after(b->plan, step, b->net_step[n]);
    }
}

/* Engines below API 1.44 take one network at creation; the others follow before the start. */
static void build_secondary_nets(struct builder *b, struct target *t)
{
    const struct role_info *info = role_info(t->want->role);
    if (b->in->caps->multi_endpoint)
        return;
    for (int n = 0; n < NET_COUNT; n++) {
        if (!(info->nets & 1U << n) || n == (int)info->primary)
            continue;
        int s = add(b, t, (struct step_init){.kind = STEP_NET_CONNECT, .net = (enum net)n});
        plan_after(b->plan, s, b->net_step[n]);
    }
}

/* Its files, and the last look at it before it may start. */
static void build_prepare(struct builder *b, struct target *t)
{
    if (t->want->want_roots)
        t->last = build_roots(
            b,
            (struct step_init){
                .role = t->want->role, .next = t->next, .object = t->want->name, .id = t->id},
            t->last);
    if (t->want->files.len)
        add(b, t, (struct step_init){.kind = STEP_CTR_UPLOAD});
    add(b, t,
        (struct step_init){.kind = STEP_CTR_VERIFY,
                           .cause = "nothing runs that isn't sealed as asked"});
}

static void build_create(struct builder *b, struct target *t)
{
    int image = build_image(b, t->want);
    if (t->want->role == ROLE_EGRESS)
        b->egress_image = image;
    int s = add(b, t, (struct step_init){.kind = STEP_CTR_CREATE, .detail = t->want->image_ref});
    plan_after(b->plan, s, image);
    if (t->want->role == ROLE_AGENT)
        plan_after(b->plan, s, b->vol_step);
    after_networks(b, t->want, s);
    build_secondary_nets(b, t);
    build_prepare(b, t);
}

/* What must be up and confirmed before this role may start. */
static void after_prerequisites(struct builder *b, enum role role, int step)
{
    for (int r = 0; r < (int)role; r++) {
        if (role == ROLE_AGENT || role == ROLE_EGRESS)
            plan_after(b->plan, step, b->ready[r]);
    }
}

static void build_start(struct builder *b, struct target *t, bool again)
{
    enum role role = t->want->role;
    if (t->want->config_hash)
        add(b, t,
            (struct step_init){.kind = STEP_CLOCK,
                               .cause = "to tell its new log lines from old ones"});
    int guard = role == ROLE_AGENT ? build_guard(b) : STEP_NONE;
    int start = add(b, t, (struct step_init){.kind = STEP_CTR_START, .again = again});
    plan_after(b->plan, start, guard);
    after_prerequisites(b, role, start);
    if (t->want->config_hash)
        add(b, t,
            (struct step_init){.kind = STEP_CTR_CONFIRM,
                               .detail = t->want->config_hash,
                               .cause = "running means confirmed"});
    b->ready[role] = t->last;
}

/* What it enforces is to be read from its log first. */
static void scan_first(struct builder *b, const struct observed_container *c)
{
    str_list_add_take(&b->scans, xasprintf("%s %s", role_info(c->role)->name, c->id));
}

static const struct observed_container *find_next(const struct builder *b, enum role role)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (c->proven && c->next && c->role == role && strcmp(c->owner.bottle, b->in->bottle) == 0)
            return c;
    }
    return NULL;
}

static bool same_spec(const struct desired_container *want, const struct observed_container *c)
{
    return desired_is_spec(want, c->owner.spec_hash);
}

static int build_remove(struct builder *b, const struct observed_container *c,
                        const struct desired_container *want, const char *cause, int after)
{
    struct target t = {.want = want, .id = c->id, .next = c->next, .cause = cause, .last = after};
    if (c->role == ROLE_AGENT && c->state == RUN_RUNNING)
        add(b, &t, (struct step_init){.kind = STEP_CTR_STOP});
    return add(b, &t, (struct step_init){.kind = STEP_CTR_REMOVE});
}

/* The replacement, with its files: the one that an interrupted plan has left when it is of use. */
static struct target build_next(struct builder *b, const struct desired_container *want,
                                const char *cause)
{
    const struct observed_container *waiting = find_next(b, want->role);
    struct target t = {.want = want, .next = true, .cause = cause, .last = STEP_NONE};
    if (waiting && same_spec(want, waiting) && waiting->state == RUN_CREATED &&
        view_nets_ok(&b->view, waiting)) {
        t.id = waiting->id;
        build_prepare(b, &t);
        return t;
    }
    if (waiting)
        t.last = build_remove(b, waiting, want, "left by an interrupted replacement", STEP_NONE);
    build_create(b, &t);
    return t;
}

/* Whether it would finish what is in flight through it: pipelock doesn't, whatever it is sent. */
static bool can_drain(const struct desired_container *want, const struct observed_container *c)
{
    return want->role == ROLE_EGRESS && c->state == RUN_RUNNING;
}

/* The policy that one which can drain enforces isn't known: it is to be read first. */
static bool policy_unknown(struct builder *b, const struct desired_container *want,
                           const struct observed_container *c)
{
    if (!can_drain(want, c) || memory_policy(b->in->memory, c->id))
        return false;
    scan_first(b, c);
    return true;
}

/* The proxy that has been relieved. It may finish what it has begun where it enforces what is
 * wanted now: what a manifest has taken away ends at once. */
static int build_retire(struct builder *b, const struct observed_container *c,
                        const struct desired_container *want, const char *cause, int after)
{
    struct target t = {.want = want, .id = c->id, .cause = cause, .last = after};
    const struct known_policy *k = memory_policy(b->in->memory, c->id);
    bool drains = can_drain(want, c);
    if (drains && policy_matches(want, k) && !k->disturbed)
        add(b, &t,
            (struct step_init){.kind = STEP_CTR_STOP,
                               .cause =
                                   "what is in flight through it is finished, in 10 s at most"});
    else if (drains)
        t.cause = "its policy is not the wanted one: what is in flight through it ends";
    return add(b, &t, (struct step_init){.kind = STEP_CTR_REMOVE});
}

/* A proxy that runs is replaced by one that runs already and has confirmed its policy: both answer
 * to the role's name for a moment, and there is none without a proxy. */
static void build_relieve(struct builder *b, const struct desired_container *want,
                          const struct observed_container *old, const char *cause)
{
    if (policy_unknown(b, want, old))
        return;
    struct target t = build_next(b, want, cause);
    build_start(b, &t, false);
    t.last = build_retire(b, old, want, cause, t.last);
    add(b, &t, (struct step_init){.kind = STEP_CTR_RENAME});
    b->ready[want->role] = t.last;
}

/* The relief runs: left so by an interrupted plan. False when it is of no use. */
static bool build_relieved(struct builder *b, const struct desired_container *want,
                           const struct observed_container *old, const char *cause)
{
    const struct observed_container *next = find_next(b, want->role);
    if (!next || !want->config_hash || next->state != RUN_RUNNING || !same_spec(want, next) ||
        !view_nets_ok(&b->view, next))
        return false;
    const struct known_policy *k = memory_policy(b->in->memory, next->id);
    if (!k) {
        scan_first(b, next);
        return true;
    }
    if (!policy_matches(want, k) || k->disturbed)
        return false;
    if (old && policy_unknown(b, want, old))
        return true;
    struct target t = {
        .want = want, .id = next->id, .next = true, .cause = cause, .last = STEP_NONE};
    if (old)
        t.last = build_retire(b, old, want, cause, STEP_NONE);
    add(b, &t, (struct step_init){.kind = STEP_CTR_RENAME});
    b->ready[want->role] = t.last;
    return true;
}

static bool can_be_relieved(const struct builder *b, const struct desired_container *want,
                            const struct observed_container *old)
{
    const struct seal *seal = memory_seal(b->in->memory, old->id);
    return want->config_hash && old->state == RUN_RUNNING && b->view.roles[want->role].nets_ok &&
           (!seal || seal->state != SEAL_BROKEN);
}

/* The replacement exists, with its files, before anything running is touched: an image or a setting
 * that the engine refuses costs nothing. `old` NULL: an interrupted replacement is finished. */
static void build_replace(struct builder *b, const struct desired_container *want,
                          const struct observed_container *old, const char *cause)
{
    if (build_relieved(b, want, old, cause))
        return;
    if (old && can_be_relieved(b, want, old)) {
        build_relieve(b, want, old, cause);
        return;
    }
    struct target t = build_next(b, want, cause);
    if (old) {
        int first = (int)b->plan->steps_len;
        t.last = build_remove(b, old, want, cause, t.last);
        after_prerequisites(b, want->role,
                            first); /* else it would be gone for as long as they take */
    }
    add(b, &t, (struct step_init){.kind = STEP_CTR_RENAME});
    t.next = false;
    build_start(b, &t, false);
}

static void build_fresh(struct builder *b, const struct desired_container *want, const char *cause,
                        int after)
{
    struct target t = {.want = want, .cause = cause, .last = after};
    build_create(b, &t);
    build_start(b, &t, false);
}

/* A stopped container that is of no use: gone first, then made anew. */
static void build_again(struct builder *b, const struct desired_container *want,
                        const struct observed_container *c, const char *cause)
{
    build_fresh(b, want, cause, build_remove(b, c, want, cause, STEP_NONE));
}

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
        add(b, t,
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
        int s = add(b, t,
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
    add(b, t,
        (struct step_init){.kind = STEP_CLOCK, .cause = "to tell its new log lines from old ones"});
    add(b, t, (struct step_init){.kind = STEP_CTR_UPLOAD, .hot_only = true});
    add(b, t, (struct step_init){.kind = STEP_CTR_SIGNAL});
    add(b, t,
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
    int s = add(b, t, (struct step_init){.kind = STEP_CTR_UNPAUSE, .cause = "it was paused"});
    if (role == ROLE_AGENT)
        after_prerequisites(b, role, s);
}

static void build_limits(struct builder *b, struct target *t)
{
    add(b, t,
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
        build_replace(b, want, c, "it is not sealed as asked");
        return;
    }
    if (want->config_hash && v->policy && v->policy->failed >= RELOADS_BEFORE_REPLACE) {
        build_replace(b, want, c, "it does not confirm its policy");
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
        scan_first(b, c);
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
        build_again(b, want, c, "it is not sealed as asked");
        return;
    }
    if (ran && keeps_ending(b, want)) {
        t.cause = "it ends each time: another one is made";
        t.last = build_remove(b, c, want, t.cause, STEP_NONE);
        t.id = NULL;
        build_create(b, &t);
        build_start(b, &t, true); /* counted, so that the next one waits longer */
        return;
    }
    if (memory_unstartable(b->in->memory, c->id)) {
        build_again(b, want, c, "the engine can't start it any more");
        return;
    }
    if (!b->view.roles[want->role].nets_ok) {
        if (!ran || want->role != ROLE_AGENT) {
            /* Nothing in it is worth keeping, and its endpoints are stale. */
            build_again(b, want, c, "stopped, and off its networks");
            return;
        }
        build_attachments(b, &t, c);
    }
    build_prepare(b, &t);
    build_start(b, &t, ran);
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
        build_again(b, want, c, "dead: the engine could not remove it");
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
    str_list_add_take(&b->others, xasprintf("%s %s", role_info(want->role)->name, c->id));
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
    const struct observed_container *waiting = find_next(b, want->role);
    bool as_wanted = c && same_spec(want, c);
    if (c && !as_wanted && other_unknown(b, want, c))
        return;
    if (waits_for_keys(b, want, c, as_wanted))
        return;
    if (!as_wanted && build_waiting_agent(b, want, c))
        return;
    if (!as_wanted && image_is_out_of_reach(b, want))
        return;
    if (!c && !waiting) {
        build_fresh(b, want, "the container is missing", STEP_NONE);
    } else if (!c) {
        build_replace(b, want, NULL, "an interrupted replacement");
    } else if (!as_wanted) {
        build_replace(b, want, c, "the manifest changed");
    } else {
        if (waiting)
            build_remove(b, waiting, want, "left by an interrupted replacement", STEP_NONE);
        if (!seal_unknown(b, want, c))
            build_existing(b, want, c);
    }
}
