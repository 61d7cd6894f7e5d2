/* SPDX-License-Identifier: Apache-2.0 */
/* One container of a role gives way to another: beside it, after it, or instead of one that is
 * gone. */
#include "reconcile/diff_role.h"
#include "spec/base/xalloc.h"

#include <string.h>

void role_scan_first(struct builder *b, const struct observed_container *c)
{
    str_list_add_take(&b->scans, xasprintf("%s %s", role_info(c->role)->name, c->id));
}

const struct observed_container *role_next(const struct builder *b, enum role role)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (c->proven && c->next && c->role == role && strcmp(c->owner.bottle, b->in->bottle) == 0)
            return c;
    }
    return NULL;
}

bool role_is_as_wanted(const struct desired_container *want, const struct observed_container *c)
{
    return desired_is_spec(want, c->owner.spec_hash);
}

int role_remove(struct builder *b, const struct observed_container *c,
                const struct desired_container *want, const char *cause, int after)
{
    struct target t = {.want = want, .id = c->id, .next = c->next, .cause = cause, .last = after};
    if (c->role == ROLE_AGENT && c->state == RUN_RUNNING)
        target_add(b, &t, (struct step_init){.kind = STEP_CTR_STOP});
    return target_add(b, &t, (struct step_init){.kind = STEP_CTR_REMOVE});
}

/* The replacement, with its files: the one that an interrupted plan has left when it is of use. */
static struct target build_next(struct builder *b, const struct desired_container *want,
                                const char *cause)
{
    const struct observed_container *waiting = role_next(b, want->role);
    struct target t = {.want = want, .next = true, .cause = cause, .last = STEP_NONE};
    if (waiting && role_is_as_wanted(want, waiting) && waiting->state == RUN_CREATED &&
        view_nets_ok(&b->view, waiting)) {
        t.id = waiting->id;
        target_prepare(b, &t);
        return t;
    }
    if (waiting)
        t.last = role_remove(b, waiting, want, "left by an interrupted replacement", STEP_NONE);
    target_create(b, &t);
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
    role_scan_first(b, c);
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
        target_add(b, &t,
                   (struct step_init){
                       .kind = STEP_CTR_STOP,
                       .cause = "what is in flight through it is finished, in 10 s at most"});
    else if (drains)
        t.cause = "its policy is not the wanted one: what is in flight through it ends";
    return target_add(b, &t, (struct step_init){.kind = STEP_CTR_REMOVE});
}

/* A proxy that runs is replaced by one that runs already and has confirmed its policy: both answer
 * to the role's name for a moment, and there is none without a proxy. */
static void build_relieve(struct builder *b, const struct desired_container *want,
                          const struct observed_container *old, const char *cause)
{
    if (policy_unknown(b, want, old))
        return;
    struct target t = build_next(b, want, cause);
    target_start(b, &t, false);
    t.last = build_retire(b, old, want, cause, t.last);
    target_add(b, &t, (struct step_init){.kind = STEP_CTR_RENAME});
    b->ready[want->role] = t.last;
}

/* The relief runs: left so by an interrupted plan. False when it is of no use. */
static bool build_relieved(struct builder *b, const struct desired_container *want,
                           const struct observed_container *old, const char *cause)
{
    const struct observed_container *next = role_next(b, want->role);
    if (!next || !want->config_hash || next->state != RUN_RUNNING ||
        !role_is_as_wanted(want, next) || !view_nets_ok(&b->view, next))
        return false;
    const struct known_policy *k = memory_policy(b->in->memory, next->id);
    if (!k) {
        role_scan_first(b, next);
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
    target_add(b, &t, (struct step_init){.kind = STEP_CTR_RENAME});
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

void role_replace(struct builder *b, const struct desired_container *want,
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
        t.last = role_remove(b, old, want, cause, t.last);
        target_after_prerequisites(b, want->role,
                                   first); /* else it would be gone for as long as they take */
    }
    target_add(b, &t, (struct step_init){.kind = STEP_CTR_RENAME});
    t.next = false;
    target_start(b, &t, false);
}

void role_fresh(struct builder *b, const struct desired_container *want, const char *cause,
                int after)
{
    struct target t = {.want = want, .cause = cause, .last = after};
    target_create(b, &t);
    target_start(b, &t, false);
}

void role_again(struct builder *b, const struct desired_container *want,
                const struct observed_container *c, const char *cause)
{
    role_fresh(b, want, cause, role_remove(b, c, want, cause, STEP_NONE));
}
