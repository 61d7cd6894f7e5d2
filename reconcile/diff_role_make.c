/* SPDX-License-Identifier: Apache-2.0 */
/* A role's container from its image to running and confirmed. */
#include "reconcile/diff_role.h"
#include "spec/base/xalloc.h"

int target_add(struct builder *b, struct target *t, struct step_init s)
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

bool role_image_is_out_of_reach(struct builder *b, const struct desired_container *want)
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
        int s = target_add(b, t, (struct step_init){.kind = STEP_NET_CONNECT, .net = (enum net)n});
        plan_after(b->plan, s, b->net_step[n]);
    }
}

void target_prepare(struct builder *b, struct target *t)
{
    if (t->want->want_roots)
        t->last = build_roots(
            b,
            (struct step_init){
                .role = t->want->role, .next = t->next, .object = t->want->name, .id = t->id},
            t->last);
    if (t->want->files.len)
        target_add(b, t, (struct step_init){.kind = STEP_CTR_UPLOAD});
    target_add(b, t,
               (struct step_init){.kind = STEP_CTR_VERIFY,
                                  .cause = "nothing runs that isn't sealed as asked"});
}

void target_create(struct builder *b, struct target *t)
{
    int image = build_image(b, t->want);
    if (t->want->role == ROLE_EGRESS)
        b->egress_image = image;
    int s =
        target_add(b, t, (struct step_init){.kind = STEP_CTR_CREATE, .detail = t->want->image_ref});
    plan_after(b->plan, s, image);
    if (t->want->role == ROLE_AGENT)
        plan_after(b->plan, s, b->vol_step);
    after_networks(b, t->want, s);
    build_secondary_nets(b, t);
    target_prepare(b, t);
}

void target_after_prerequisites(struct builder *b, enum role role, int step)
{
    for (int r = 0; r < (int)role; r++) {
        if (role == ROLE_AGENT || role == ROLE_EGRESS)
            plan_after(b->plan, step, b->ready[r]);
    }
}

void target_start(struct builder *b, struct target *t, bool again)
{
    enum role role = t->want->role;
    if (t->want->config_hash)
        target_add(b, t,
                   (struct step_init){.kind = STEP_CLOCK,
                                      .cause = "to tell its new log lines from old ones"});
    int guard = role == ROLE_AGENT ? build_guard(b) : STEP_NONE;
    int start = target_add(b, t, (struct step_init){.kind = STEP_CTR_START, .again = again});
    plan_after(b->plan, start, guard);
    target_after_prerequisites(b, role, start);
    if (t->want->config_hash)
        target_add(b, t,
                   (struct step_init){.kind = STEP_CTR_CONFIRM,
                                      .detail = t->want->config_hash,
                                      .cause = "running means confirmed"});
    b->ready[role] = t->last;
}
