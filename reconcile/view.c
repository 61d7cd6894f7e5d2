/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/builder.h"

#include "spec/base/xalloc.h"

#include <string.h>

static bool of_bottle(const struct observed_owner *o, bool proven, const char *bottle)
{
    return proven && o->bottle && strcmp(o->bottle, bottle) == 0;
}

bool view_nets_ok(const struct bottle_view *v, const struct observed_container *c)
{
    unsigned want = role_info(c->role)->nets;
    size_t n = 0;
    for (int net = 0; net < NET_COUNT; net++) {
        if (!(want & 1U << net))
            continue;
        n++;
        if (!v->nets[net] || !container_is_on(c, v->nets[net]->id))
            return false;
    }
    return n == c->net_ids_len;
}

static size_t members(const struct observed *o, const struct observed_network *n)
{
    size_t count = 0;
    for (size_t i = 0; i < o->containers_len; i++)
        count += o->containers[i].proven && container_is_on(&o->containers[i], n->id);
    return count;
}

/* Engines before 25 can hold two networks of one name: the one in use wins, then the older. */
static bool better(const struct observed *o, const struct observed_network *a,
                   const struct observed_network *b)
{
    size_t ma = members(o, a);
    size_t mb = members(o, b);
    return ma != mb ? ma > mb : a->created < b->created;
}

void bottle_view(const struct observed *o, const struct memory *m, const char *bottle,
                 struct bottle_view *ret)
{
    *ret = (struct bottle_view){0};
    for (size_t i = 0; i < o->networks_len; i++) {
        const struct observed_network *n = &o->networks[i];
        if (!of_bottle(&n->owner, n->proven, bottle))
            continue;
        const struct observed_network **slot = &ret->nets[n->net];
        if (!*slot || better(o, n, *slot))
            *slot = n;
    }
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (!of_bottle(&c->owner, c->proven, bottle) || c->next)
            continue;
        ret->roles[c->role] = (struct role_view){.container = c,
                                                 .policy = memory_policy(m, c->id),
                                                 .seal = memory_seal(m, c->id),
                                                 .nets_ok = view_nets_ok(ret, c)};
    }
}

static void add_owner(const struct observed_owner *o, bool proven, struct str_list *ret)
{
    if (proven)
        str_list_add(ret, o->bottle);
}

void observed_bottles(const struct observed *o, struct str_list *ret)
{
    *ret = (struct str_list){0};
    for (size_t i = 0; i < o->containers_len; i++)
        add_owner(&o->containers[i].owner, o->containers[i].proven, ret);
    for (size_t i = 0; i < o->networks_len; i++)
        add_owner(&o->networks[i].owner, o->networks[i].proven, ret);
    str_list_sort_unique(ret);
}
