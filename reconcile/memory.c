/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/memory.h"

#include "reconcile/backoff.h"
#include "spec/base/xalloc.h"

#include <string.h>

void memory_done(struct memory *m)
{
    for (size_t i = 0; i < m->images_len; i++)
        image_info_done(&m->images[i].info);
    free(m->images);
    for (size_t i = 0; i < m->policies_len; i++) {
        free(m->policies[i].container_id);
        free(m->policies[i].config_hash);
        free(m->policies[i].generation);
    }
    free(m->policies);
    for (size_t i = 0; i < m->restarts_len; i++)
        free(m->restarts[i].name);
    free(m->restarts);
    for (size_t i = 0; i < m->busy_len; i++) {
        free(m->busy[i].net_id);
        str_list_done(&m->busy[i].attached);
    }
    free(m->busy);
    while (m->trusts_len)
        memory_forget_trust(m, m->trusts[0].name);
    free(m->trusts);
    memory_keep_containers(m, &(const struct str_list){0});
    free(m->seals);
    free(m->sights);
    cidr_set_done(&m->refused);
    str_list_done(&m->unstartable);
    str_list_done(&m->guarded);
    *m = (struct memory){0};
}

static struct known_image *find_image(const struct memory *m, const char *ref)
{
    for (size_t i = 0; i < m->images_len; i++) {
        if (strcmp(m->images[i].info.ref, ref) == 0)
            return &m->images[i];
    }
    return NULL;
}

const struct known_image *memory_image(const struct memory *m, const char *ref, uint64_t now_ns)
{
    const struct known_image *k = find_image(m, ref);
    return k && now_ns - k->seen_ns <= MEMORY_IMAGE_NS ? k : NULL;
}

const struct known_image *memory_image_any(const struct memory *m, const char *ref)
{
    return find_image(m, ref);
}

void memory_put_image(struct memory *m, struct image_info *info_take, uint64_t now_ns)
{
    struct known_image *k = find_image(m, info_take->ref);
    if (k) {
        image_info_done(&k->info);
    } else {
        m->images = xreallocarray(m->images, m->images_len + 1, sizeof(*m->images));
        k = &m->images[m->images_len++];
    }
    *k = (struct known_image){.info = *info_take, .seen_ns = now_ns};
    *info_take = (struct image_info){0};
}

void memory_forget_image(struct memory *m, const char *ref)
{
    struct known_image *k = find_image(m, ref);
    if (!k)
        return;
    image_info_done(&k->info);
    *k = m->images[--m->images_len];
}

static struct known_policy *find_policy(const struct memory *m, const char *id)
{
    for (size_t i = 0; i < m->policies_len; i++) {
        if (strcmp(m->policies[i].container_id, id) == 0)
            return &m->policies[i];
    }
    return NULL;
}

const struct known_policy *memory_policy(const struct memory *m, const char *container_id)
{
    return find_policy(m, container_id);
}

static struct known_policy *policy_slot(struct memory *m, const char *id)
{
    struct known_policy *k = find_policy(m, id);
    if (k)
        return k;
    m->policies = xreallocarray(m->policies, m->policies_len + 1, sizeof(*m->policies));
    k = &m->policies[m->policies_len++];
    *k = (struct known_policy){.container_id = xstrdup(id)};
    return k;
}

void memory_put_policy(struct memory *m, const char *container_id, const char *config_hash,
                       const char *generation)
{
    struct known_policy *k = policy_slot(m, container_id);
    free(k->config_hash);
    free(k->generation);
    k->config_hash = xstrdup_null(config_hash);
    k->generation = xstrdup_null(generation);
    k->failed = 0;
}

void memory_disturb_policy(struct memory *m, const char *container_id)
{
    policy_slot(m, container_id)->disturbed = true;
}

void memory_policy_failed(struct memory *m, const char *container_id)
{
    policy_slot(m, container_id)->failed++;
}

void memory_void_policy(struct memory *m, const char *container_id)
{
    struct known_policy *k = policy_slot(m, container_id);
    free(k->config_hash);
    free(k->generation);
    k->config_hash = NULL;
    k->generation = NULL;
    k->disturbed = false;
}

static void policy_done(struct known_policy *k)
{
    free(k->container_id);
    free(k->config_hash);
    free(k->generation);
}

void memory_forget_policy(struct memory *m, const char *container_id)
{
    struct known_policy *k = find_policy(m, container_id);
    if (!k)
        return;
    policy_done(k);
    *k = m->policies[--m->policies_len];
}

void memory_keep_policies(struct memory *m, const struct str_list *ids)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->policies_len; i++) {
        struct known_policy *k = &m->policies[i];
        if (str_list_has(ids, k->container_id)) {
            m->policies[kept++] = *k;
            continue;
        }
        policy_done(k);
    }
    m->policies_len = kept;
}

static struct known_seal *find_seal(const struct memory *m, const char *id)
{
    for (size_t i = 0; i < m->seals_len; i++) {
        if (strcmp(m->seals[i].container_id, id) == 0)
            return &m->seals[i];
    }
    return NULL;
}

const struct seal *memory_seal(const struct memory *m, const char *container_id)
{
    const struct known_seal *k = find_seal(m, container_id);
    return k && !k->stale ? &k->seal : NULL;
}

bool memory_seal_is_of(const struct memory *m, const char *container_id, const char *limits)
{
    const struct known_seal *k = find_seal(m, container_id);
    return k && !k->stale && strcmp(k->limits, limits) == 0;
}

void memory_put_seal(struct memory *m, const char *container_id, const char *limits,
                     struct seal *seal_take)
{
    struct known_seal *k = find_seal(m, container_id);
    if (!k) {
        m->seals = xreallocarray(m->seals, m->seals_len + 1, sizeof(*m->seals));
        k = &m->seals[m->seals_len++];
        *k = (struct known_seal){.container_id = xstrdup(container_id)};
    }
    if (!k->limits || strcmp(k->limits, limits) != 0) {
        free(k->limits);
        k->limits = xstrdup(limits);
        k->tried = false;
    }
    seal_done(&k->seal);
    k->seal = *seal_take;
    k->stale = false;
    *seal_take = (struct seal){0};
    if (k->tried && k->seal.state == SEAL_LIMITS) {
        bool other = k->seal.other;
        seal_done(&k->seal); /* a kernel that can't limit swap, say */
        k->seal.other = other;
    }
}

void memory_tried_limits(struct memory *m, const char *container_id)
{
    struct known_seal *k = find_seal(m, container_id);
    if (k)
        k->stale = k->tried = true;
}

static void known_seal_done(struct known_seal *k)
{
    free(k->container_id);
    free(k->limits);
    seal_done(&k->seal);
}

void memory_forget_seal(struct memory *m, const char *container_id)
{
    struct known_seal *k = find_seal(m, container_id);
    if (!k)
        return;
    known_seal_done(k);
    *k = m->seals[--m->seals_len];
}

void memory_keep_containers(struct memory *m, const struct str_list *ids)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->seals_len; i++) {
        if (str_list_has(ids, m->seals[i].container_id))
            m->seals[kept++] = m->seals[i];
        else
            known_seal_done(&m->seals[i]);
    }
    m->seals_len = kept;
    kept = 0;
    for (size_t i = 0; i < m->sights_len; i++) {
        if (str_list_has(ids, m->sights[i].id))
            m->sights[kept++] = m->sights[i];
        else
            free(m->sights[i].id);
    }
    m->sights_len = kept;
}

static struct known_sight *find_sight(const struct memory *m, const char *id)
{
    for (size_t i = 0; i < m->sights_len; i++) {
        if (strcmp(m->sights[i].id, id) == 0)
            return &m->sights[i];
    }
    return NULL;
}

void memory_note_sight(struct memory *m, const char *id, uint64_t now_ns)
{
    if (find_sight(m, id))
        return;
    m->sights = xreallocarray(m->sights, m->sights_len + 1, sizeof(*m->sights));
    m->sights[m->sights_len++] = (struct known_sight){xstrdup(id), now_ns};
}

uint64_t memory_first_sight(const struct memory *m, const char *id)
{
    const struct known_sight *k = find_sight(m, id);
    return k ? k->first_ns : 0;
}

static struct known_restart *find_restart(const struct memory *m, const char *name)
{
    for (size_t i = 0; i < m->restarts_len; i++) {
        if (strcmp(m->restarts[i].name, name) == 0)
            return &m->restarts[i];
    }
    return NULL;
}

const struct known_restart *memory_restart(const struct memory *m, const char *name)
{
    return find_restart(m, name);
}

void memory_note_restart(struct memory *m, const char *name, uint64_t now_ns)
{
    struct known_restart *k = find_restart(m, name);
    if (!k) {
        m->restarts = xreallocarray(m->restarts, m->restarts_len + 1, sizeof(*m->restarts));
        k = &m->restarts[m->restarts_len++];
        *k = (struct known_restart){.name = xstrdup(name)};
    }
    bool ran_long = k->count && now_ns - k->started_ns >= RESTART_FORGIVEN_NS;
    k->streak = ran_long || !k->count ? 0 : k->streak + 1;
    k->count++;
    k->started_ns = now_ns;
    k->not_before_ns = now_ns + restart_delay_ns(k->streak);
}

void memory_forget_restart(struct memory *m, const char *name)
{
    struct known_restart *k = find_restart(m, name);
    if (!k)
        return;
    free(k->name);
    *k = m->restarts[--m->restarts_len];
}

const char *memory_trust(const struct memory *m, const char *container_id)
{
    for (size_t i = 0; i < m->trusts_len; i++) {
        if (strcmp(m->trusts[i].container_id, container_id) == 0)
            return m->trusts[i].hash;
    }
    return NULL;
}

void memory_put_trust(struct memory *m, const char *name, const char *container_id,
                      const char *hash)
{
    struct known_trust k = {xstrdup(name), xstrdup(container_id), xstrdup(hash)};
    memory_forget_trust(m, name);
    m->trusts = xreallocarray(m->trusts, m->trusts_len + 1, sizeof(*m->trusts));
    m->trusts[m->trusts_len++] = k;
}

void memory_forget_trust(struct memory *m, const char *name)
{
    for (size_t i = 0; i < m->trusts_len; i++) {
        struct known_trust *k = &m->trusts[i];
        if (strcmp(k->name, name) != 0)
            continue;
        free(k->name);
        free(k->container_id);
        free(k->hash);
        *k = m->trusts[--m->trusts_len];
        return;
    }
}

bool memory_unstartable(const struct memory *m, const char *container_id)
{
    return str_list_has(&m->unstartable, container_id);
}

void memory_put_unstartable(struct memory *m, const char *container_id)
{
    if (!memory_unstartable(m, container_id))
        str_list_add(&m->unstartable, container_id);
}

void memory_forget_unstartable(struct memory *m, const char *container_id)
{
    struct str_list *l = &m->unstartable;
    for (size_t i = 0; i < l->len; i++) {
        if (strcmp(l->items[i], container_id) != 0)
            continue;
        free(l->items[i]);
        l->items[i] = l->items[--l->len];
        return;
    }
}

bool memory_guarded(const struct memory *m, const char *net_id)
{
    return str_list_has(&m->guarded, net_id);
}

void memory_put_guarded(struct memory *m, const char *net_id)
{
    if (!memory_guarded(m, net_id))
        str_list_add(&m->guarded, net_id);
}

void memory_forget_guards(struct memory *m)
{
    str_list_done(&m->guarded);
}

static struct known_busy *find_busy(const struct memory *m, const char *net_id)
{
    for (size_t i = 0; i < m->busy_len; i++) {
        if (strcmp(m->busy[i].net_id, net_id) == 0)
            return &m->busy[i];
    }
    return NULL;
}

const struct known_busy *memory_busy(const struct memory *m, const char *net_id)
{
    return find_busy(m, net_id);
}

void memory_put_busy(struct memory *m, const char *net_id, struct str_list *attached_take)
{
    struct known_busy *k = find_busy(m, net_id);
    if (!k) {
        m->busy = xreallocarray(m->busy, m->busy_len + 1, sizeof(*m->busy));
        k = &m->busy[m->busy_len++];
        *k = (struct known_busy){.net_id = xstrdup(net_id)};
    }
    str_list_done(&k->attached);
    k->looked = attached_take != NULL;
    if (attached_take) {
        k->attached = *attached_take;
        *attached_take = (struct str_list){0};
    }
}

void memory_forget_busy(struct memory *m, const char *net_id)
{
    struct known_busy *k = find_busy(m, net_id);
    if (!k)
        return;
    free(k->net_id);
    str_list_done(&k->attached);
    *k = m->busy[--m->busy_len];
}
