/* SPDX-License-Identifier: Apache-2.0 */
#include "render/proof.h"

#include "render/observed_json.h"
#include "spec/base/xalloc.h"

#include <string.h>

const char *object_kind_name(enum object_kind k)
{
    static const char *const names[] = {"container", "network", "volume"};
    return names[k];
}

static bool ours(const struct observed_owner *o, const char *installation)
{
    return o->installation && strcmp(o->installation, installation) == 0;
}

size_t observed_objects(const struct observed *o, const char *installation, struct object_ref **ret)
{
    size_t n = 0;
    *ret = xcalloc(o->containers_len + o->networks_len + o->volumes_len + 1, sizeof(**ret));
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (ours(&c->owner, installation) && c->state != RUN_REMOVING && c->name[0])
            (*ret)[n++] = (struct object_ref){.kind = OBJECT_CONTAINER,
                                              .id = c->id,
                                              .name = c->name,
                                              .owner = &c->owner,
                                              .proven = c->proven || c->probe || c->guard};
    }
    for (size_t i = 0; i < o->networks_len; i++) {
        const struct observed_network *k = &o->networks[i];
        if (ours(&k->owner, installation))
            (*ret)[n++] = (struct object_ref){.kind = OBJECT_NETWORK,
                                              .id = k->id,
                                              .name = k->name,
                                              .owner = &k->owner,
                                              .proven = k->proven};
    }
    for (size_t i = 0; i < o->volumes_len; i++) {
        const struct observed_volume *v = &o->volumes[i];
        if (ours(&v->owner, installation))
            (*ret)[n++] = (struct object_ref){.kind = OBJECT_VOLUME,
                                              .id = v->name,
                                              .name = v->name,
                                              .owner = &v->owner,
                                              .retained = v->retain,
                                              .proven = v->proven};
    }
    return n;
}

static bool role_known(const struct object_ref *r)
{
    enum role role;
    enum net net;
    switch (r->kind) {
    case OBJECT_CONTAINER:
        return role_parse(r->owner->role, &role) || strcmp(r->owner->role, PROBE_ROLE) == 0 ||
               strcmp(r->owner->role, GUARD_ROLE) == 0;
    case OBJECT_NETWORK:
        return net_role_parse(r->owner->role, &net);
    case OBJECT_VOLUME:
        break;
    }
    return strcmp(r->owner->role, VOLUME_ROLE) == 0;
}

/* The last word of its self-reference; NULL: any. */
static const char *what_of(const struct object_ref *r)
{
    enum role role;
    enum net net = NET_AGENT;
    if (r->kind == OBJECT_CONTAINER && role_parse(r->owner->role, &role))
        return r->owner->role;
    if (r->kind == OBJECT_NETWORK && net_role_parse(r->owner->role, &net))
        return net_name(net);
    return NULL;
}

char *proof_lacks(const struct object_ref *ref, const char *installation)
{
    const struct observed_owner *o = ref->owner;
    const struct {
        const char *label, *value;
    } labels[] = {{LABEL_BOTTLE, o->bottle},
                  {LABEL_ROLE, o->role},
                  {LABEL_UID, o->uid},
                  {LABEL_SELF, o->self}};
    for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
        if (!labels[i].value || !*labels[i].value)
            return xasprintf("it has no label %s", labels[i].label);
    }
    if (!role_known(ref))
        return xasprintf("its label %s is '%s', which is no role of a %s", LABEL_ROLE, o->role,
                         object_kind_name(ref->kind));
    if (!owner_proven(o, installation, what_of(ref)))
        return xasprintf("its label %s is '%s', which is not of role '%s' of bottle '%s'",
                         LABEL_SELF, o->self, o->role, o->bottle);
    return NULL;
}

char *proof_text(const struct object_ref *ref, const char *installation)
{
    char *lacks = proof_lacks(ref, installation);
    return lacks ? lacks
                 : xasprintf("it is named '%s', and its labels say '%s'", ref->name,
                             ref->owner->self);
}
