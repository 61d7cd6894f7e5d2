/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/clock.h"
#include "reconcile/doctor.h"
#include "render/names.h"
#include "render/text_clean.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { LIST_MAX = 64 /* of what is listed for people */ };

/* The texts that are never NULL. */
enum { TEXTS = 14 };
static void texts(struct doctor_facts *f, char **ret[TEXTS])
{
    char **all[TEXTS] = {&f->version,       &f->api,     &f->api_min,         &f->arch,
                         &f->kernel,        &f->os_type, &f->driver,          &f->cgroup_version,
                         &f->cgroup_driver, &f->swarm,   &f->default_runtime, &f->firewall,
                         &f->endpoint,      &f->pool};
    memcpy(ret, all, sizeof(all));
}

void doctor_facts_init(struct doctor_facts *f)
{
    char **all[TEXTS];
    *f = (struct doctor_facts){0};
    texts(f, all);
    for (size_t i = 0; i < TEXTS; i++)
        *all[i] = xstrdup("");
}

void doctor_facts_say(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

void doctor_facts_done(struct doctor_facts *f)
{
    struct str_list *lists[] = {&f->runtimes, &f->warnings, &f->authorization, &f->overlaps,
                                &f->routes};
    char **all[TEXTS];
    texts(f, all);
    for (size_t i = 0; i < TEXTS; i++)
        free(*all[i]);
    free(f->seccomp);
    free(f->not_measured);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        str_list_done(lists[i]);
    for (size_t i = 0; i < DOCTOR_TRIALS; i++) {
        free(f->seen[i].host_evidence);
        free(f->seen[i].dns_evidence);
        str_list_done(&f->seen[i].ipv6);
        str_list_done(&f->seen[i].calls);
    }
    *f = (struct doctor_facts){0};
}

static char *text_of(const json_t *object, const char *key)
{
    enum { LONGEST = 400 };
    const char *text = json_string_value(json_object_get(object, key));
    return text_clean(sv_of(text ? text : ""), LONGEST);
}

static void say(char **text, const json_t *object, const char *key)
{
    free(*text);
    *text = text_of(object, key);
}

static enum doctor_yes yes_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return !json_is_boolean(v) ? DOCTOR_UNKNOWN : json_is_true(v) ? DOCTOR_YES : DOCTOR_NO;
}

static void texts_of(const json_t *array, struct str_list *ret)
{
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(array, i, v)
    {
        if (json_is_string(v) && ret->len < LIST_MAX)
            str_list_add(ret, json_string_value(v));
    }
}

/* ---- /version -------------------------------------------------------------------------------- */

/* The leading number of a text, and what follows it and a dot. */
static const char *number(const char *text, int *ret)
{
    int64_t n = 0;
    size_t digits = strspn(text, "0123456789");
    if (!num_parse((struct sv){text, digits}, 0, 9999, &n))
        return "";
    *ret = (int)n;
    return text[digits] == '.' ? text + digits + 1 : "";
}

static void read_version(struct doctor_facts *f, const json_t *version)
{
    int one = 0;
    say(&f->version, version, "Version");
    say(&f->api, version, "ApiVersion");
    say(&f->api_min, version, "MinAPIVersion");
    say(&f->arch, version, "Arch");
    say(&f->kernel, version, "KernelVersion");
    const char *minor = number(f->version, &f->major);
    const char *patch = number(minor, &f->minor);
    (void)number(patch, &f->patch);
    (void)number(number(f->api, &one), &f->api_minor);
}

/* ---- /info ----------------------------------------------------------------------------------- */

/* "name=seccomp,profile=default": the value of a key; NULL when the name is another. */
static char *option(const char *text, const char *name, const char *key)
{
    size_t n = strlen(name);
    if (strncmp(text, "name=", 5) != 0 || strncmp(text + 5, name, n) != 0 ||
        (text[5 + n] && text[5 + n] != ','))
        return NULL;
    const char *at = strstr(text, key);
    if (!at)
        return xstrdup("");
    at += strlen(key);
    return xmemdup0(at, strcspn(at, ","));
}

static bool has_option(const struct str_list *options, const char *name)
{
    for (size_t i = 0; i < options->len; i++) {
        AUTO_FREE char *value = option(options->items[i], name, ",");
        if (value)
            return true;
    }
    return false;
}

static void read_security(struct doctor_facts *f, const json_t *info)
{
    struct str_list options = {0};
    texts_of(json_object_get(info, "SecurityOptions"), &options);
    for (size_t i = 0; i < options.len && !f->seccomp; i++)
        f->seccomp = option(options.items[i], "seccomp", "profile=");
    f->apparmor = has_option(&options, "apparmor");
    f->selinux = has_option(&options, "selinux");
    f->rootless = has_option(&options, "rootless");
    f->userns = has_option(&options, "userns");
    f->cgroupns = has_option(&options, "cgroupns");
    str_list_done(&options);
}

static bool uses_containerd_store(const json_t *status)
{
    size_t i = 0;
    const json_t *pair = NULL;
    json_array_foreach(status, i, pair)
    {
        const char *value = json_string_value(json_array_get(pair, 1));
        if (value && strcmp(value, "io.containerd.snapshotter.v1") == 0)
            return true;
    }
    return false;
}

static enum doctor_yes bridge_netfilter(const struct doctor_facts *f, const json_t *info)
{
    for (size_t i = 0; i < f->warnings.len; i++) {
        if (strstr(f->warnings.items[i], "bridge-nf-call-iptables is disabled"))
            return DOCTOR_NO;
    }
    /* Later ones say false, or nothing, whatever is the case. */
    enum { LAST_TO_TELL = 27 };
    bool told = json_is_true(json_object_get(info, "BridgeNfIptables"));
    return told || (f->major && f->major <= LAST_TO_TELL) ? DOCTOR_YES : DOCTOR_UNKNOWN;
}

static void read_info(struct doctor_facts *f, const json_t *info)
{
    json_t *runtimes = json_object_get(info, "Runtimes");
    const char *name = NULL;
    json_t *v = NULL;
    uint32_t ns = 0;
    say(&f->os_type, info, "OSType");
    say(&f->driver, info, "Driver");
    say(&f->cgroup_version, info, "CgroupVersion");
    say(&f->cgroup_driver, info, "CgroupDriver");
    say(&f->default_runtime, info, "DefaultRuntime");
    say(&f->swarm, json_object_get(info, "Swarm"), "LocalNodeState");
    say(&f->firewall, json_object_get(info, "FirewallBackend"), "Driver");
    json_object_foreach(runtimes, name, v)
    {
        if (f->runtimes.len < LIST_MAX)
            str_list_add(&f->runtimes, name);
    }
    str_list_sort_unique(&f->runtimes);
    texts_of(json_object_get(info, "Warnings"), &f->warnings);
    texts_of(json_object_get(json_object_get(info, "Plugins"), "Authorization"), &f->authorization);
    read_security(f, info);
    f->containerd_store = uses_containerd_store(json_object_get(info, "DriverStatus"));
    f->live_restore = json_is_true(json_object_get(info, "LiveRestoreEnabled"));
    f->memory_limit = yes_of(info, "MemoryLimit");
    f->swap_limit = yes_of(info, "SwapLimit");
    f->pids_limit = yes_of(info, "PidsLimit");
    f->ip_forward = yes_of(info, "IPv4Forwarding");
    f->bridge_netfilter = bridge_netfilter(f, info);
    AUTO_FREE char *time = text_of(info, "SystemTime");
    if (!clock_parse(time, &f->time, &ns))
        f->time = 0;
}

void doctor_facts_read(struct doctor_facts *f, const json_t *version, const json_t *info)
{
    read_version(f, version);
    read_info(f, info);
}

/* ---- networks and routes --------------------------------------------------------------------- */

static bool is_bottlers(const json_t *network)
{
    const json_t *labels = json_object_get(network, "Labels");
    return json_string_value(json_object_get(labels, LABEL_INSTALLATION)) != NULL;
}

/* How many /28 of the pool overlap nothing of the set. */
static size_t count_free(const struct pool *pool, const struct cidr_set *used)
{
    uint64_t size = UINT64_C(1) << (32 - POOL_SLICE_BITS);
    uint64_t slices = UINT64_C(1) << (POOL_SLICE_BITS - pool->range.bits);
    size_t n = 0;
    for (uint64_t i = 0; i < slices; i++) {
        struct cidr slice = {pool->range.base + (uint32_t)(i * size), POOL_SLICE_BITS};
        bool taken = false;
        for (size_t k = 0; k < used->len && !taken; k++)
            taken = cidr_overlap(slice, used->items[k]);
        n += !taken;
    }
    return n;
}

void doctor_facts_networks(struct doctor_facts *f, const json_t *networks, const struct pool *pool)
{
    enum { USED_MAX = 1024, WIDEST = 16 /* counting a larger pool says no more */ };
    struct cidr_set used = {0};
    char text[POOL_SUBNET_TEXT];
    size_t i = 0;
    const json_t *n = NULL;
    json_array_foreach(networks, i, n)
    {
        size_t k = 0;
        const json_t *config = NULL;
        json_array_foreach(json_object_get(json_object_get(n, "IPAM"), "Config"), k, config)
        {
            struct cidr c = {0};
            const char *subnet = json_string_value(json_object_get(config, "Subnet"));
            if (!subnet || !cidr_parse(subnet, &c) || !cidr_overlap(c, pool->range))
                continue;
            if (used.len < USED_MAX)
                cidr_set_add(&used, c);
            if (!is_bottlers(n) && f->overlaps.len < LIST_MAX)
                str_list_add_take(
                    &f->overlaps,
                    xasprintf("%s (%s)", json_string_value(json_object_get(n, "Name")), subnet));
        }
    }
    cidr_format(pool->range, text);
    doctor_facts_say(&f->pool, text);
    f->pool_free = pool->range.bits >= WIDEST ? count_free(pool, &used) : SIZE_MAX;
    f->networks_known = json_is_array(networks);
    cidr_set_done(&used);
}

/* "Iface Destination Gateway Flags RefCnt Use Metric Mask …", numbers as the host's hexadecimal
 * words. */
static bool parse_route(char *line, char **ret_interface, struct cidr *ret)
{
    enum { DESTINATION = 1, MASK = 7, FIELDS = 8 };
    char *fields[FIELDS];
    size_t n = 0;
    for (char *rest = line, *word; n < FIELDS && (word = strsep(&rest, " \t")) != NULL;) {
        if (*word)
            fields[n++] = word;
    }
    int64_t destination = 0;
    int64_t mask = 0;
    if (n < FIELDS || !num_parse_base(sv_of(fields[DESTINATION]), 16, UINT32_MAX, &destination) ||
        !num_parse_base(sv_of(fields[MASK]), 16, UINT32_MAX, &mask))
        return false;
    *ret_interface = fields[0];
    *ret = (struct cidr){__builtin_bswap32((uint32_t)destination),
                         (unsigned)__builtin_popcount((uint32_t)mask)};
    return true;
}

void doctor_facts_routes(struct doctor_facts *f, const char *table, const struct pool *pool)
{
    AUTO_FREE char *copy = xstrdup(table);
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *interface = NULL;
        struct cidr c = {0};
        char text[POOL_SUBNET_TEXT];
        /* The engine's own bridges are its networks, which are counted there. */
        if (!parse_route(line, &interface, &c) || c.bits == 0 || !cidr_overlap(c, pool->range) ||
            strncmp(interface, "br-", 3) == 0 || strncmp(interface, "docker", 6) == 0 ||
            strncmp(interface, "bt", 2) == 0 || f->routes.len >= LIST_MAX)
            continue;
        cidr_format(c, text);
        str_list_add_take(&f->routes, xasprintf("%s on %s", text, interface));
    }
}

/* ---- the trial ------------------------------------------------------------------------------- */

bool doctor_facts_seen(struct doctor_facts *f, enum doctor_trial t, const json_t *output)
{
    struct doctor_seen *s = &f->seen[t];
    const json_t *seccomp = json_object_get(output, "seccomp");
    const json_t *ipv6 = json_object_get(output, "ipv6");
    if (!json_is_object(output) || !json_is_integer(seccomp) || !json_is_array(ipv6))
        return false;
    *s = (struct doctor_seen){.ran = true,
                              .host = yes_of(output, "host"),
                              .dns = yes_of(output, "dns"),
                              .route = yes_of(output, "route"),
                              .host_evidence = text_of(output, "hostEvidence"),
                              .dns_evidence = text_of(output, "dnsEvidence"),
                              .seccomp = (int)json_integer_value(seccomp),
                              .no_new_privileges = yes_of(output, "noNewPrivileges"),
                              .capabilities = yes_of(output, "capabilities")};
    texts_of(ipv6, &s->ipv6);
    texts_of(json_object_get(output, "openCalls"), &s->calls);
    return true;
}
