/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/diff.h"

#include "reconcile/builder.h"
#include "spec/base/xalloc.h"

#include <string.h>

static void collect_used(struct builder *b)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->networks_len; i++) {
        for (size_t k = 0; k < o->networks[i].subnets_len; k++) {
            struct cidr c;
            if (cidr_parse(o->networks[i].subnets[k], &c))
                cidr_set_add(&b->used, c);
        }
    }
    for (size_t i = 0; i < b->in->reserved->len; i++)
        cidr_set_add(&b->used, b->in->reserved->items[i]);
    for (size_t i = 0; i < b->in->memory->refused.len; i++)
        cidr_set_add(&b->used, b->in->memory->refused.items[i]);
}

static bool name_is_foreign(const struct builder *b, const char *name)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->networks_len; i++) {
        if (strcmp(o->networks[i].name, name) == 0 && !o->networks[i].proven)
            return true;
    }
    return false;
}

static void build_network(struct builder *b, const struct desired_network *want)
{
    if (b->view.nets[want->net])
        return;
    if (name_is_foreign(b, want->name)) {
        plan_set_hold(b->plan, HOLD_FOREIGN_NAME,
                      xasprintf("a network named '%s' exists that this installation did not make: "
                                "remove or rename it, or use another --instance",
                                want->name));
        return;
    }
    struct cidr slice;
    AUTO_ERR e = pool_next(b->in->pool, b->used.items, b->used.len, &slice);
    if (e) {
        plan_set_hold(b->plan, HOLD_NO_ADDRESS, xstrdup(err_message(e)));
        return;
    }
    cidr_set_add(&b->used, slice);
    char subnet[POOL_SUBNET_TEXT];
    cidr_format(slice, subnet);
    b->net_step[want->net] =
        plan_add(b->plan, &(struct step_init){.kind = STEP_NET_CREATE,
                                              .net = want->net,
                                              .object = want->name,
                                              .detail = subnet,
                                              .cause = "the network is missing"});
}

/* Engines before 25 let two creations of one name both succeed: the spare one goes. */
static void build_spare_networks(struct builder *b)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->networks_len; i++) {
        const struct observed_network *n = &o->networks[i];
        if (n->proven && strcmp(n->owner.bottle, b->in->bottle) == 0 && n != b->view.nets[n->net])
            build_net_removal(b, n, "another network of the same name is in use", NULL, 0);
    }
}

static bool have_volume(const struct observed *o, const char *name)
{
    for (size_t i = 0; i < o->volumes_len; i++) {
        if (strcmp(o->volumes[i].name, name) == 0)
            return true;
    }
    return false;
}

static void build_volumes(struct builder *b)
{
    const struct desired *d = b->in->desired;
    for (size_t i = 0; i < d->volumes_len; i++) {
        if (have_volume(b->in->observed, d->volumes[i].name))
            continue;
        int s = plan_add(b->plan, &(struct step_init){.kind = STEP_VOL_CREATE,
                                                      .object = d->volumes[i].name,
                                                      .cause = "the volume is missing"});
        plan_after(b->plan, s, b->vol_step);
        b->vol_step = s;
    }
}

/* Of roles that the manifest had once. */
static void build_unwanted(struct builder *b)
{
    const struct observed *o = b->in->observed;
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (!c->proven || strcmp(c->owner.bottle, b->in->bottle) != 0 ||
            desired_find(b->in->desired, c->role))
            continue;
        plan_add(b->plan, &(struct step_init){.kind = STEP_CTR_REMOVE,
                                              .role = c->role,
                                              .next = c->next,
                                              .object = c->owner.self,
                                              .id = c->id,
                                              .cause = "the manifest doesn't ask for it any more"});
    }
}

static void build_wanted(struct builder *b)
{
    const struct desired *d = b->in->desired;
    for (int n = 0; n < NET_COUNT; n++)
        build_network(b, &d->networks[n]);
    build_spare_networks(b);
    build_probes(b, false);
    build_volumes(b);
    for (size_t i = 0; i < d->containers_len; i++)
        build_role(b, &d->containers[i]);
    build_unwanted(b);
    build_guard_leftover(b);
}

static void add_inspect(struct plan *p, enum role role, const char *name, const char *id)
{
    plan_add(p, &(struct step_init){.kind = STEP_CTR_INSPECT,
                                    .role = role,
                                    .object = name,
                                    .id = id,
                                    .cause = "is it sealed as asked?"});
}

static void add_scan(struct plan *p, enum role role, const char *name, const char *id)
{
    int inspect = plan_add(p, &(struct step_init){.kind = STEP_CTR_INSPECT,
                                                  .role = role,
                                                  .object = name,
                                                  .id = id,
                                                  .cause = "which log lines are of this run?"});
    int scan = plan_add(p, &(struct step_init){.kind = STEP_CTR_SCAN,
                                               .role = role,
                                               .object = name,
                                               .id = id,
                                               .cause = "which policy does it run?"});
    plan_after(p, scan, inspect);
}

static const char *name_of(const struct observed *o, const char *id)
{
    for (size_t i = 0; i < o->containers_len; i++) {
        if (strcmp(o->containers[i].id, id) == 0)
            return o->containers[i].name;
    }
    return id;
}

/* Of "<role> <container id>" words. */
static void add_reads(const struct builder *b, const struct str_list *words,
                      void (*add)(struct plan *, enum role, const char *, const char *),
                      struct plan *reads)
{
    for (size_t i = 0; i < words->len; i++) {
        const char *id = strchr(words->items[i], ' ');
        AUTO_FREE char *role_text = xmemdup0(words->items[i], (size_t)(id - words->items[i]));
        enum role role = ROLE_COUNT;
        if (role_parse(role_text, &role))
            add(reads, role, name_of(b->in->observed, id + 1), id + 1);
    }
}

/* Nothing is decided on what isn't known: when something must be looked up first, the plan is just
 * that. */
static struct plan *lookups_first(struct builder *b)
{
    if (b->plan->hold && b->plan->hold != HOLD_IMAGE && b->plan->hold != HOLD_OPEN) {
        plan_drop_steps(b->plan);
        return b->plan;
    }
    if (!b->lookups.len && !b->scans.len && !b->inspects.len)
        return b->plan;
    struct plan *reads = plan_new(b->in->bottle);
    str_list_sort_unique(&b->lookups);
    for (size_t i = 0; i < b->lookups.len; i++)
        plan_add(reads, &(struct step_init){.kind = STEP_IMAGE_INSPECT,
                                            .object = b->lookups.items[i],
                                            .cause = "is the image there?"});
    add_reads(b, &b->inspects, add_inspect, reads);
    add_reads(b, &b->scans, add_scan, reads);
    plan_free(b->plan);
    return reads;
}

struct plan *diff(const struct diff_input *in)
{
    struct builder b = {.in = in,
                        .plan = plan_new(in->bottle),
                        .vol_step = STEP_NONE,
                        .egress_image = STEP_NONE,
                        .guard = STEP_NONE};
    for (int i = 0; i < NET_COUNT; i++)
        b.net_step[i] = STEP_NONE;
    for (int i = 0; i < ROLE_COUNT; i++)
        b.ready[i] = STEP_NONE;
    bottle_view(in->observed, in->memory, in->bottle, &b.view);
    collect_used(&b);
    bool keep = in->desired || in->isolate_only;
    bool made_safe = keep && build_isolation(&b);
    if (!made_safe && in->desired)
        build_wanted(&b);
    else if (!keep && in->preserve)
        build_stop(&b);
    else if (!keep)
        build_removal(&b);
    struct plan *p = lookups_first(&b);
    cidr_set_done(&b.used);
    str_list_done(&b.lookups);
    str_list_done(&b.scans);
    str_list_done(&b.inspects);
    return p;
}
