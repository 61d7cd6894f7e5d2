/* SPDX-License-Identifier: Apache-2.0 */
/* What must not happen while a bottle is open. */
#include "tests/torture/model_internal.h"

#include "spec/base/xalloc.h"

static bool same_bottle(const json_t *a, const json_t *b)
{
    return model_ours(a) && model_ours(b) &&
           strcmp(model_label(a, LABEL_BOTTLE), model_label(b, LABEL_BOTTLE)) == 0;
}

static bool container_is_open(const struct model *m, const struct model_container *k)
{
    enum role role = ROLE_COUNT;
    if (!role_parse(model_label(k->labels, LABEL_ROLE), &role))
        return false;
    for (size_t i = 0; i < k->ends_len; i++) {
        const struct model_network *n = model_find_net(m, k->ends[i].net_id);
        enum net net = NET_COUNT;
        bool own = n && same_bottle(n->labels, k->labels) &&
                   net_role_parse(model_label(n->labels, LABEL_ROLE), &net) &&
                   role_info(role)->nets & 1U << net;
        if (n && !own)
            return true;
    }
    return false;
}

static bool net_is_open(const struct model *m, const struct model_network *n)
{
    enum net net = NET_COUNT;
    bool internal = net_role_parse(model_label(n->labels, LABEL_ROLE), &net) && net != NET_OUT;
    if (internal != n->internal || n->ipv6 || !json_object_size(n->options))
        return true;
    for (size_t i = 0; i < m->ctrs_len; i++) {
        const struct model_container *k = m->ctrs[i];
        if (model_runs(k) && !same_bottle(k->labels, n->labels) && model_is_on(k, n->id))
            return true;
    }
    return false;
}

static bool is_open(const struct model *m, const struct model_container *agent)
{
    for (size_t i = 0; i < m->ctrs_len; i++) {
        const struct model_container *k = m->ctrs[i];
        if (model_runs(k) && same_bottle(k->labels, agent->labels) && container_is_open(m, k))
            return true;
    }
    for (size_t i = 0; i < m->nets_len; i++) {
        if (same_bottle(m->nets[i]->labels, agent->labels) && net_is_open(m, m->nets[i]))
            return true;
    }
    return false;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t e = strlen(end);
    return n >= e && strcmp(s + n - e, end) == 0;
}

static bool makes_safe(const struct call *c)
{
    return strcmp(c->method, "DELETE") == 0 || ends_with(c->path, "/pause") ||
           ends_with(c->path, "/disconnect") || ends_with(c->path, "/stop");
}

/* The labels of the bottle that the request is about. */
static const json_t *subject(const struct call *c)
{
    const json_t *labels = json_object_get(c->body, "Labels");
    if (labels)
        return labels;
    AUTO_FREE char *copy = xstrdup(c->path);
    char *rest = copy + 1;
    const char *kind = strsep(&rest, "/");
    const char *id = strsep(&rest, "/");
    const struct model_container *k =
        strcmp(kind, "containers") == 0 && id ? model_find(c->m, id) : NULL;
    const struct model_network *n =
        strcmp(kind, "networks") == 0 && id ? model_find_net(c->m, id) : NULL;
    return k ? k->labels : n ? n->labels : NULL;
}

void model_check_open(const struct call *c)
{
    if (strcmp(c->method, "GET") == 0 || makes_safe(c))
        return;
    const json_t *labels = subject(c);
    for (size_t i = 0; labels && i < c->m->ctrs_len; i++) {
        const struct model_container *k = c->m->ctrs[i];
        bool agent = strcmp(model_label(k->labels, LABEL_ROLE), "agent") == 0;
        if (agent && k->state == RUN_RUNNING && same_bottle(k->labels, labels) && is_open(c->m, k))
            model_violate(c->m, "%s %s while the bottle of %s is open", c->method, c->path,
                          k->name);
    }
}
