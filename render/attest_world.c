/* SPDX-License-Identifier: Apache-2.0 */
#include "render/attest_world.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <arpa/inet.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_text(const json_t *object, const char *key, const char *want)
{
    return strcmp(text_of(object, key), want) == 0;
}

/* ---- finding --------------------------------------------------------------------------------- */

static bool has_name(const json_t *listed, const char *name)
{
    const json_t *names = json_object_get(listed, "Names");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *n = json_string_value(json_array_get(names, i));
        if (n && n[0] == '/' && strcmp(n + 1, name) == 0)
            return true;
    }
    return false;
}

static const json_t *find_container(const json_t *containers, const char *instance,
                                    const char *bottle, const char *role)
{
    AUTO_FREE char *name = object_name(instance, bottle, role);
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(containers, i, c)
    {
        const json_t *labels = json_object_get(c, "Labels");
        if (has_name(c, name) && is_text(labels, LABEL_BOTTLE, bottle) &&
            is_text(labels, LABEL_ROLE, role) && is_text(labels, LABEL_SELF, name) &&
            *text_of(labels, LABEL_INSTALLATION))
            return c;
    }
    return NULL;
}

static const char *installation(const json_t *listed)
{
    return text_of(json_object_get(listed, "Labels"), LABEL_INSTALLATION);
}

void attest_bottles(const json_t *containers, const char *instance, struct str_list *ret)
{
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(containers, i, c)
    {
        const char *bottle = text_of(json_object_get(c, "Labels"), LABEL_BOTTLE);
        if (*bottle && find_container(containers, instance, bottle, "agent") == c)
            str_list_add(ret, bottle);
    }
    str_list_sort_unique(ret);
}

const json_t *attest_listed(const struct attest_world *w, enum role role)
{
    const json_t *agent = find_container(w->containers, w->instance, w->bottle, "agent");
    const json_t *c = find_container(w->containers, w->instance, w->bottle, role_info(role)->name);
    return agent && c && strcmp(installation(agent), installation(c)) == 0 ? c : NULL;
}

const json_t *attest_network(const struct attest_world *w, enum net net)
{
    const json_t *agent = attest_listed(w, ROLE_AGENT);
    AUTO_FREE char *name = object_name(w->instance, w->bottle, net_name(net));
    size_t i = 0;
    const json_t *n = NULL;
    json_array_foreach(w->networks, i, n)
    {
        const json_t *labels = json_object_get(n, "Labels");
        if (agent && is_text(n, "Name", name) && is_text(labels, LABEL_BOTTLE, w->bottle) &&
            is_text(labels, LABEL_ROLE, net_role(net)) && is_text(labels, LABEL_SELF, name) &&
            is_text(labels, LABEL_INSTALLATION, installation(agent)))
            return n;
    }
    return NULL;
}

void attest_addresses(const struct attest_world *w, struct str_list *ret)
{
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        const json_t *settings = json_object_get(attest_listed(w, role), "NetworkSettings");
        const char *name = NULL;
        json_t *n = NULL;
        json_object_foreach(json_object_get(settings, "Networks"), name, n)
        {
            if (*text_of(n, "IPAddress"))
                str_list_add(ret, text_of(n, "IPAddress"));
        }
    }
}

const char *attest_id(const json_t *listed)
{
    const char *id = text_of(listed, "Id");
    return *id ? id : NULL;
}

/* ---- the agent ------------------------------------------------------------------------------- */

bool attest_agent_runs(const json_t *inspect)
{
    const json_t *state = json_object_get(inspect, "State");
    /* A paused one still has its namespaces. */
    return json_is_true(json_object_get(state, "Running")) &&
           !json_is_true(json_object_get(state, "Restarting"));
}

char *attest_agent_epoch(const json_t *inspect)
{
    enum { EPOCH_MAX = 1 << 20 };
    struct str s;
    str_init(&s, EPOCH_MAX);
    str_addf(&s, "%s %s", text_of(inspect, "Id"),
             text_of(json_object_get(inspect, "State"), "StartedAt"));
    json_t *nets = json_object_get(json_object_get(inspect, "NetworkSettings"), "Networks");
    struct str_list ids = {0};
    const char *name = NULL;
    json_t *n = NULL;
    json_object_foreach(nets, name, n)
    {
        str_list_add_take(&ids,
                          xasprintf("%s/%s", text_of(n, "NetworkID"), text_of(n, "EndpointID")));
    }
    str_list_sort_unique(&ids);
    for (size_t i = 0; i < ids.len; i++)
        str_addf(&s, " %s", ids.items[i]);
    str_list_done(&ids);
    return XNN(str_take(&s));
}

char *attest_user(const json_t *inspect)
{
    const char *user = text_of(json_object_get(inspect, "Config"), "User");
    const char *colon = strchr(user, ':');
    int64_t uid = 0;
    int64_t gid = 0;
    if (!colon || !num_parse((struct sv){user, (size_t)(colon - user)}, 0, UINT32_MAX, &uid) ||
        !num_parse(sv_of(colon + 1), 0, UINT32_MAX, &gid))
        return NULL;
    return xstrdup(user);
}

char *attest_user_of_top(const json_t *top)
{
    enum { MAPPED = 65536 };
    const json_t *titles = json_object_get(top, "Titles");
    const json_t *first = json_array_get(json_object_get(top, "Processes"), 0);
    int64_t ids[2] = {-1, -1};
    for (size_t i = 0; i < json_array_size(titles); i++) {
        const char *title = json_string_value(json_array_get(titles, i));
        const char *value = json_string_value(json_array_get(first, i));
        if (!title || !value)
            return NULL;
        if (strcmp(title, "UID") == 0)
            (void)num_parse(sv_of(value), 0, MAPPED - 1, &ids[0]);
        if (strcmp(title, "GID") == 0)
            (void)num_parse(sv_of(value), 0, MAPPED - 1, &ids[1]);
    }
    if (ids[0] < 0 || ids[1] < 0)
        return NULL;
    return xasprintf("%lld:%lld", (long long)ids[0], (long long)ids[1]);
}

/* ---- targets --------------------------------------------------------------------------------- */

static bool is_address(const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

bool attest_target_parse(const char *text, struct attest_target *ret)
{
    size_t n = strlen(text);
    bool udp = n > 4 && strcmp(text + n - 4, "/udp") == 0;
    n -= udp ? 4 : 0;
    AUTO_FREE char *rest = xmemdup0(text, n);
    char *address = rest;
    const char *port = NULL;
    char *end = rest[0] == '[' ? strchr(rest, ']') : NULL;
    if (end) {
        address = rest + 1;
        *end = '\0';
        if (end[1] && end[1] != ':')
            return false;
        port = end[1] ? end + 2 : NULL;
    } else if (strchr(rest, ':') && strchr(rest, ':') == strrchr(rest, ':')) {
        char *colon = strchr(rest, ':');
        *colon = '\0';
        port = colon + 1;
    }
    int64_t number = 0;
    if (!is_address(address) || (port && !num_parse(sv_of(port), 1, UINT16_MAX, &number)))
        return false;
    *ret =
        (struct attest_target){.address = xstrdup(address), .port = (uint16_t)number, .udp = udp};
    return true;
}
