/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/openings.h"

#include "spec/base/xalloc.h"

#include <string.h>

const char *opening_reason(enum opening_kind k)
{
    static const char *const names[] = {
        [OPEN_NETWORK] = "ForeignNetwork", [OPEN_GUEST] = "ForeignContainer",
        [OPEN_LODGER] = "SharedNamespace", [OPEN_BRIDGE] = "WrongNetwork",
        [OPEN_SETTINGS] = "WrongSettings", [OPEN_POLICY] = "PolicyTouched",
        [OPEN_QUARANTINE] = "Quarantined",
    };
    return names[k];
}

bool opening_is_listed(enum opening_kind k)
{
    return k == OPEN_NETWORK || k == OPEN_GUEST || k == OPEN_LODGER || k == OPEN_BRIDGE;
}

void openings_done(struct openings *o)
{
    for (size_t i = 0; i < o->len; i++)
        free(o->items[i].text);
    free(o->items);
    *o = (struct openings){0};
}

static void add(struct openings *o, struct opening item)
{
    o->items = xreallocarray(o->items, o->len + 1, sizeof(*o->items));
    o->items[o->len++] = item;
}

static bool of_bottle(const struct observed_container *c, const char *bottle)
{
    return (c->proven || c->probe) && strcmp(c->owner.bottle, bottle) == 0;
}

static bool of_role(const struct observed_network *n, const struct observed_container *c)
{
    return n->proven && strcmp(n->owner.bottle, c->owner.bottle) == 0 &&
           role_info(c->role)->nets & 1U << n->net;
}

/* A network that is gone can't carry anything: such an attachment is stale, not open. */
static void own_container(const struct diff_input *in, const struct observed_container *c,
                          struct openings *ret)
{
    for (size_t i = 0; i < c->net_ids_len; i++) {
        const struct observed_network *n = observed_network(in->observed, c->net_ids[i]);
        if (n && !of_role(n, c))
            add(ret, (struct opening){OPEN_NETWORK, c, n,
                                      xasprintf("%s is attached to network '%s', which is not its "
                                                "own",
                                                c->name, n->name)});
    }
    const struct seal *seal = memory_seal(in->memory, c->id);
    if (seal && seal->state == SEAL_BROKEN)
        add(ret, (struct opening){OPEN_SETTINGS, c, NULL,
                                  xasprintf("%s is not sealed as asked: %s", c->name, seal->why)});
    const struct known_policy *policy = memory_policy(in->memory, c->id);
    if (policy && policy->disturbed)
        add(ret, (struct opening){
                     OPEN_POLICY, c, NULL,
                     xasprintf("somebody else has written into %s or signalled it", c->name)});
}

static bool joins(const struct observed_container *guest, const struct observed_container *host)
{
    size_t n = strlen(guest->joins);
    return n > 0 &&
           (strcmp(guest->joins, host->name) == 0 || strncmp(guest->joins, host->id, n) == 0);
}

static void stranger(const struct bottle_view *v, const struct observed_container *c,
                     struct openings *ret)
{
    const char *name = c->name;
    for (size_t i = 0; i < c->net_ids_len; i++) {
        for (int n = 0; n < NET_COUNT; n++) {
            if (v->nets[n] && strcmp(v->nets[n]->id, c->net_ids[i]) == 0)
                add(ret, (struct opening){OPEN_GUEST, c, v->nets[n],
                                          xasprintf("container '%s', which is not the bottle's, is "
                                                    "attached to network '%s'",
                                                    name, v->nets[n]->name)});
        }
    }
    for (int r = 0; c->joins && r < ROLE_COUNT; r++) {
        const struct observed_container *host = v->roles[r].container;
        if (host && container_is_up(host) && joins(c, host))
            add(ret, (struct opening){OPEN_LODGER, c, NULL,
                                      xasprintf("container '%s', which is not the bottle's, shares "
                                                "the network of %s: the agent stays paused until "
                                                "it is removed",
                                                name, host->name)});
    }
}

const char *network_fault(const struct observed_network *n, const struct engine_caps *caps)
{
    bool internal = n->net != NET_OUT;
    if (!n->bridge)
        return "its driver is not bridge";
    if (n->internal != internal)
        return internal ? "it is not internal" : "it is internal";
    if (n->ipv6)
        return "IPv6 is on";
    if (internal && !n->inhibit_ipv4)
        return "the host has an address on it";
    if (!internal && caps->icc_off_works && !n->icc_off)
        return "its members reach each other";
    return NULL;
}

void openings_find(const struct diff_input *in, const struct bottle_view *v, struct openings *ret)
{
    const struct observed *o = in->observed;
    *ret = (struct openings){0};
    if (in->quarantine)
        add(ret, (struct opening){OPEN_QUARANTINE, NULL, NULL, xstrdup(in->quarantine)});
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (!container_is_up(c))
            continue;
        if (!of_bottle(c, in->bottle))
            stranger(v, c, ret);
        else if (c->proven)
            own_container(in, c, ret);
    }
    for (int n = 0; n < NET_COUNT; n++) {
        const char *fault = v->nets[n] ? network_fault(v->nets[n], in->caps) : NULL;
        if (fault)
            add(ret, (struct opening){OPEN_BRIDGE, NULL, v->nets[n],
                                      xasprintf("network '%s' is not closed as asked: %s",
                                                v->nets[n]->name, fault)});
    }
}
