/* SPDX-License-Identifier: Apache-2.0 */
#include "render/observed.h"

#include "render/observed_json.h"
#include "spec/base/xalloc.h"

#include <string.h>

static const char *const STATE_NAMES[] = {
    [RUN_CREATED] = "created",   [RUN_RUNNING] = "running",
    [RUN_PAUSED] = "paused",     [RUN_RESTARTING] = "restarting",
    [RUN_REMOVING] = "removing", [RUN_EXITED] = "exited",
    [RUN_DEAD] = "dead",
};

const char *run_state_name(enum run_state s)
{
    return STATE_NAMES[s];
}

bool container_is_up(const struct observed_container *c)
{
    return c->state == RUN_RUNNING || c->state == RUN_PAUSED || c->state == RUN_RESTARTING;
}

bool container_is_on(const struct observed_container *c, const char *net_id)
{
    for (size_t i = 0; i < c->net_ids_len; i++) {
        if (strcmp(c->net_ids[i], net_id) == 0)
            return true;
    }
    return false;
}

const struct observed_network *observed_network(const struct observed *o, const char *id)
{
    for (size_t i = 0; i < o->networks_len; i++) {
        if (strcmp(o->networks[i].id, id) == 0)
            return &o->networks[i];
    }
    return NULL;
}

bool run_state_parse(const char *name, enum run_state *ret)
{
    for (size_t i = 0; i < sizeof(STATE_NAMES) / sizeof(STATE_NAMES[0]); i++) {
        if (strcmp(STATE_NAMES[i], name) == 0) {
            *ret = (enum run_state)i;
            return true;
        }
    }
    return false;
}

/* ---- ownership ------------------------------------------------------------------------------- */

/* "<instance>.<bottle>.<what>" with a non-empty instance. `what` NULL: any word. */
static bool self_agrees(const struct observed_owner *o, const char *what)
{
    const char *last = strrchr(o->self, '.');
    if (!last || !last[1] || (what && strcmp(last + 1, what) != 0))
        return false;
    size_t head = (size_t)(last - o->self); /* "<instance>.<bottle>" */
    size_t bottle = strlen(o->bottle);
    return bottle > 0 && !strchr(o->bottle, '.') && head > bottle + 1 &&
           o->self[head - bottle - 1] == '.' &&
           memcmp(o->self + head - bottle, o->bottle, bottle) == 0;
}

bool owner_proven(const struct observed_owner *o, const char *installation, const char *what)
{
    return o->installation && o->bottle && o->role && o->uid && o->self && o->uid[0] &&
           strcmp(o->installation, installation) == 0 && self_agrees(o, what);
}

/* ---- the value ------------------------------------------------------------------------------- */

static void owner_done(struct observed_owner *o)
{
    free(o->installation);
    free(o->bottle);
    free(o->role);
    free(o->uid);
    free(o->spec_hash);
    free(o->self);
}

static void texts_done(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

struct observed *observed_free(struct observed *o)
{
    if (!o)
        return NULL;
    for (size_t i = 0; i < o->containers_len; i++) {
        struct observed_container *c = &o->containers[i];
        free(c->id);
        free(c->name);
        free(c->image_id);
        owner_done(&c->owner);
        texts_done(c->net_ids, c->net_ids_len);
        free(c->joins);
    }
    for (size_t i = 0; i < o->networks_len; i++) {
        struct observed_network *n = &o->networks[i];
        free(n->id);
        free(n->name);
        owner_done(&n->owner);
        texts_done(n->subnets, n->subnets_len);
    }
    for (size_t i = 0; i < o->volumes_len; i++) {
        free(o->volumes[i].name);
        owner_done(&o->volumes[i].owner);
    }
    free(o->containers);
    free(o->networks);
    free(o->volumes);
    free(o);
    return NULL;
}

static int container_cmp(const void *a, const void *b)
{
    const struct observed_container *x = a;
    const struct observed_container *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->id, y->id);
}

static int network_cmp(const void *a, const void *b)
{
    const struct observed_network *x = a;
    const struct observed_network *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->id, y->id);
}

struct err *observed_add_strangers(struct observed *o, const char *installation, struct sv running)
{
    TRY_CTX(observed_strangers(o, installation, running), "list of what runs");
    qsort(o->containers, o->containers_len, sizeof(*o->containers), container_cmp);
    return NULL;
}

static int volume_cmp(const void *a, const void *b)
{
    const struct observed_volume *x = a;
    const struct observed_volume *y = b;
    return strcmp(x->name, y->name);
}

static void observed_freep(struct observed **o)
{
    *o = observed_free(*o);
}

struct err *observed_parse(const char *installation, struct sv containers, struct sv networks,
                           struct sv volumes, struct observed **ret)
{
    AUTO(observed_freep) struct observed *o = xcalloc(1, sizeof(*o));
    TRY_CTX(observed_networks(o, installation, networks), "list of networks");
    TRY_CTX(observed_containers(o, installation, containers), "list of containers");
    TRY_CTX(observed_volumes(o, installation, volumes), "list of volumes");
    qsort(o->containers, o->containers_len, sizeof(*o->containers), container_cmp);
    qsort(o->networks, o->networks_len, sizeof(*o->networks), network_cmp);
    qsort(o->volumes, o->volumes_len, sizeof(*o->volumes), volume_cmp);
    *ret = TAKE_PTR(o);
    return NULL;
}
