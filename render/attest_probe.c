/* SPDX-License-Identifier: Apache-2.0 */
/* What a probe is told, and the container that it runs in. */
#include "render/attest_world.h"
#include "render/parts.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum {
    PROBE_MEMORY = 512 << 20,
    PROBE_PIDS = 512,
    PEERS_MAX = 48, /* containers of others; the bottle's own are always told */
    HOST_ADDRESSES_MAX = 64,
    ADDRESS_TEXT = 16,
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void push(json_t *list, json_t *item_take)
{
    if (json_array_append_new(list, XNN(item_take)) != 0)
        xoom();
}

static void push_once(json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return;
    }
    push(list, json_string(text));
}

/* ---- peers ----------------------------------------------------------------------------------- */

enum { PORTS_MAX = 8, PROXY_PORT = 9099 };
struct peer_ports {
    const char *role;
    int open;             /* what the agent may use of its own bottle's; 0: nothing */
    int ports[PORTS_MAX]; /* ends with 0 */
};
static const struct peer_ports PEER_PORTS[] = {
    {"pipelock", 0, {8888, 9090, 9091, 0}},
    {"egress", PROXY_PORT, {9099, 8080, 8081, 9090, 0}},
    {"git-gate", 9418, {9418, 22, 80, 443, 8080, 0}},
    {"supervise", 9100, {9100, 80, 8080, 9090, 0}},
    {"agent", 0, {22, 80, 3000, 8080, 8888, 0}},
};
/* Of containers that aren't bottler's. */
static const struct peer_ports OTHER_PORTS = {"other", 0, {22, 80, 443, 2375, 5432, 6379, 8080, 0}};

static const struct peer_ports *ports_of(const char *role)
{
    for (size_t i = 0; i < sizeof(PEER_PORTS) / sizeof(PEER_PORTS[0]); i++) {
        if (strcmp(PEER_PORTS[i].role, role) == 0)
            return &PEER_PORTS[i];
    }
    return &OTHER_PORTS;
}

static json_t *ports_json(const struct peer_ports *p, bool reachable)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; p->ports[i]; i++) {
        if (!reachable || p->ports[i] != p->open)
            push(list, json_integer(p->ports[i]));
    }
    return list;
}

static void add_peer(json_t *list, const struct peer_ports *p, const char *bottle, bool reachable,
                     const char *address)
{
    push(list, json_pack("{s:s, s:s, s:[s], s:o}", "role", p->role, "bottle", bottle, "addresses",
                         address, "ports", ports_json(p, reachable)));
}

static json_t *networks_of(const json_t *container)
{
    return json_object_get(json_object_get(container, "NetworkSettings"), "Networks");
}

/* Each of a container's addresses: on the agent's own network what it serves there is meant to be
 * reached, anywhere else nothing is. */
static void add_container(const struct attest_world *w, json_t *list, const json_t *c)
{
    const json_t *labels = json_object_get(c, "Labels");
    const json_t *own = attest_listed(w, ROLE_AGENT);
    bool ours = *text_of(labels, LABEL_SELF) != '\0';
    bool same = ours && strcmp(text_of(labels, LABEL_BOTTLE), w->bottle) == 0 &&
                strcmp(text_of(labels, LABEL_INSTALLATION),
                       text_of(json_object_get(own, "Labels"), LABEL_INSTALLATION)) == 0;
    const struct peer_ports *p = ours ? ports_of(text_of(labels, LABEL_ROLE)) : &OTHER_PORTS;
    const char *home = attest_id(attest_network(w, NET_AGENT));
    const char *name = NULL;
    json_t *n = NULL;
    json_object_foreach(networks_of(c), name, n)
    {
        const char *address = text_of(n, "IPAddress");
        bool there = same && home && strcmp(text_of(n, "NetworkID"), home) == 0;
        if (*address)
            add_peer(list, p, same ? "same" : "other", there, address);
    }
}

static bool is_own(const struct attest_world *w, const json_t *c)
{
    const json_t *labels = json_object_get(c, "Labels");
    return strcmp(text_of(labels, LABEL_BOTTLE), w->bottle) == 0;
}

static json_t *peers(const struct attest_world *w)
{
    json_t *list = XNN(json_array());
    const json_t *agent = attest_listed(w, ROLE_AGENT);
    size_t others = 0;
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(w->containers, i, c)
    {
        if (c == agent ||
            strcmp(text_of(json_object_get(c, "Labels"), LABEL_ROLE), PROBE_ROLE) == 0)
            continue;
        if (is_own(w, c) || others++ < PEERS_MAX)
            add_container(w, list, c);
    }
    return list;
}

static json_t *proxy(const struct attest_world *w)
{
    json_t *addresses = XNN(json_array());
    const char *home = attest_id(attest_network(w, NET_AGENT));
    const char *name = NULL;
    json_t *n = NULL;
    json_object_foreach(networks_of(attest_listed(w, ROLE_EGRESS)), name, n)
    {
        if (home && strcmp(text_of(n, "NetworkID"), home) == 0 && *text_of(n, "IPAddress"))
            push_once(addresses, text_of(n, "IPAddress"));
    }
    return XNN(
        json_pack("{s:s, s:i, s:o}", "name", "egress", "port", PROXY_PORT, "addresses", addresses));
}

/* ---- the host -------------------------------------------------------------------------------- */

/* Addresses of containers aren't the host's, wherever in a subnet they are. */
static bool is_container(const struct attest_world *w, const char *address)
{
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(w->containers, i, c)
    {
        const char *name = NULL;
        json_t *n = NULL;
        json_object_foreach(networks_of(c), name, n)
        {
            if (strcmp(text_of(n, "IPAddress"), address) == 0)
                return true;
        }
    }
    return false;
}

static void add_host(const struct attest_world *w, json_t *list, const char *address)
{
    uint32_t number = 0;
    unsigned bits = 0;
    if (json_array_size(list) < HOST_ADDRESSES_MAX &&
        num_parse_ipv4(sv_of(address), &number, &bits) && bits == 32 && !is_container(w, address))
        push_once(list, address);
}

static void add_number(const struct attest_world *w, json_t *list, uint32_t address)
{
    char text[ADDRESS_TEXT];
    (void)snprintf(text, sizeof(text), "%u.%u.%u.%u", address >> 24, (address >> 16) & 255U,
                   (address >> 8) & 255U, address & 255U);
    add_host(w, list, text);
}

/* Its gateway, said or usual; of the bottle's own also the other end. */
static void add_network(const struct attest_world *w, json_t *list, const json_t *network, bool own)
{
    enum { WIDEST_BITS = 30 };
    size_t i = 0;
    const json_t *config = NULL;
    json_array_foreach(json_object_get(json_object_get(network, "IPAM"), "Config"), i, config)
    {
        uint32_t base = 0;
        unsigned bits = 0;
        add_host(w, list, text_of(config, "Gateway"));
        if (!num_parse_ipv4(sv_of(text_of(config, "Subnet")), &base, &bits) || bits < 8 ||
            bits > WIDEST_BITS)
            continue;
        uint32_t size = UINT32_C(1) << (32 - bits);
        base &= ~(size - 1);
        add_number(w, list, base + 1);
        if (own)
            add_number(w, list, base + size - 2);
    }
}

static json_t *host(const struct attest_world *w, const struct attest_asks *a)
{
    json_t *addresses = XNN(json_array());
    for (enum net n = 0; n < NET_COUNT; n++)
        add_network(w, addresses, attest_network(w, n), true);
    for (size_t i = 0; a->host_addresses && i < a->host_addresses->len; i++)
        add_host(w, addresses, a->host_addresses->items[i]);
    size_t i = 0;
    const json_t *n = NULL;
    json_array_foreach(w->networks, i, n)
    {
        add_network(w, addresses, n, false);
    }
    json_t *tcp = XNN(json_array());
    json_t *udp = XNN(json_array());
    if (a->tcp_port)
        push(tcp, json_integer(a->tcp_port));
    if (a->udp_port)
        push(udp, json_integer(a->udp_port));
    return XNN(json_pack("{s:o, s:o, s:o}", "addresses", addresses, "tcp", tcp, "udp", udp));
}

/* ---- the rest of the input ------------------------------------------------------------------- */

static json_t *targets(const struct attest_asks *a)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < a->targets_len; i++) {
        const struct attest_target *t = &a->targets[i];
        json_t *tcp = XNN(json_array());
        json_t *udp = XNN(json_array());
        if (t->port)
            push(t->udp ? udp : tcp, json_integer(t->port));
        if (!t->port && !t->udp) {
            push(tcp, json_integer(443));
            push(tcp, json_integer(80));
            push(tcp, json_integer(22));
        }
        if (!t->port)
            push(udp, json_integer(53));
        push(list, json_pack("{s:s, s:o, s:o}", "address", t->address, "tcp", tcp, "udp", udp));
    }
    return list;
}

static json_t *mounts(const json_t *agent)
{
    json_t *list = XNN(json_array());
    size_t i = 0;
    const json_t *m = NULL;
    json_array_foreach(json_object_get(agent, "Mounts"), i, m)
    {
        if (*text_of(m, "Destination"))
            push(list, json_string(text_of(m, "Destination")));
    }
    return list;
}

/* What the manifest has taken out of pipelock's sight, as its container's labels tell. */
static json_t *scanning(const struct attest_world *w)
{
    const json_t *labels = json_object_get(attest_listed(w, ROLE_PIPELOCK), "Labels");
    json_t *hosts = XNN(json_array());
    AUTO_FREE char *list = xstrdup(text_of(labels, LABEL_UNSCANNED));
    char *rest = list;
    for (char *host; (host = strsep(&rest, " ")) != NULL;) {
        if (*host)
            push(hosts, json_string(host));
    }
    bool warn = strcmp(text_of(labels, LABEL_DLP), "warn") == 0;
    return XNN(json_pack("{s:s, s:o}", "action", warn ? "warn" : "block", "passthrough", hosts));
}

json_t *attest_input(const struct attest_world *w, const struct attest_asks *a)
{
    static const struct str_list everything = {0};
    AUTO_FREE char *canary = xasprintf("%s.canary.example.net", a->nonce);
    return XNN(json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:[s], s:{s:o}, s:o}", "as",
                         a->as_root ? "root" : "user", "deadline_s", a->deadline_s, "nonce",
                         a->nonce, "only", json_texts(a->only ? a->only : &everything), "proxy",
                         proxy(w), "peers", peers(w), "host", host(w, a), "targets", targets(a),
                         "wide", (int)a->wide, "names", canary, "agent", "mounts",
                         mounts(w->inspect[ROLE_AGENT]), "pipelock", scanning(w)));
}

/* ---- its container --------------------------------------------------------------------------- */

/* Belongs to the network namespace or to the agent's own life, or would be refused beside
 * NetworkMode "container:". */
static const char *const NOT_TAKEN_OVER[] = {
    "Binds",          "ContainerIDFile", "Dns",         "DnsOptions",        "DnsSearch",
    "ExtraHosts",     "Links",           "Mounts",      "PortBindings",      "PublishAllPorts",
    "RestartPolicy",  "Tmpfs",           "VolumesFrom", "ReadonlyRootfs",    "AutoRemove",
    "KernelMemory",   "KernelMemoryTCP", "CpuCount",    "CpuPercent",        "NanoCpus",
    "CpuPeriod",      "CpuQuota",        "LogConfig",   "MemoryReservation", "MemorySwappiness",
    "OomKillDisable", "ConsoleSize",     "StorageOpt",  "Annotations",
};

/* Those of the network come with the namespace. */
static void drop_network_sysctls(json_t *host)
{
    json_t *sysctls = json_object_get(host, "Sysctls");
    const char *name = NULL;
    void *next = NULL;
    json_t *v = NULL;
    json_object_foreach_safe(sysctls, next, name, v)
    {
        if (strncmp(name, "net.", 4) == 0)
            (void)json_object_del(sysctls, name);
    }
}

static json_t *host_config(const json_t *agent)
{
    const json_t *theirs = json_object_get(agent, "HostConfig");
    json_t *host = json_is_object(theirs) ? XNN(json_deep_copy(theirs)) : XNN(json_object());
    const char *id = text_of(agent, "Id");
    for (size_t i = 0; i < sizeof(NOT_TAKEN_OVER) / sizeof(NOT_TAKEN_OVER[0]); i++)
        (void)json_object_del(host, NOT_TAKEN_OVER[i]);
    drop_network_sysctls(host);
    AUTO_FREE char *mode = xasprintf("container:%s", id);
    AUTO_FREE char *volumes = xasprintf("%s:ro", id);
    json_put_text(host, "NetworkMode", mode);
    json_put(host, "VolumesFrom", json_pack("[s]", volumes));
    json_put(host, "Memory", json_integer(PROBE_MEMORY));
    json_put(host, "MemorySwap", json_integer(PROBE_MEMORY));
    json_put(host, "PidsLimit", json_integer(PROBE_PIDS));
    json_put(host, "Init", json_true());
    json_put(host, "RestartPolicy", json_pack("{s:s}", "Name", "no"));
    json_put(host, "LogConfig",
             json_pack("{s:s, s:{s:s, s:s}}", "Type", "json-file", "Config", "max-size", "16m",
                       "max-file", "1"));
    return host;
}

static json_t *labels(const struct attest_world *w, const char *name)
{
    const json_t *theirs =
        json_object_get(json_object_get(w->inspect[ROLE_AGENT], "Config"), "Labels");
    return XNN(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", LABEL_INSTALLATION,
                         text_of(theirs, LABEL_INSTALLATION), LABEL_BOTTLE, w->bottle, LABEL_ROLE,
                         PROBE_ROLE, LABEL_UID, text_of(theirs, LABEL_UID), LABEL_SELF, name,
                         LABEL_SPEC_HASH, "", LABEL_IMAGE, ""));
}

json_t *attest_probe_body(const struct attest_world *w, const char *name, const char *image,
                          const char *user)
{
    const json_t *agent = w->inspect[ROLE_AGENT];
    if (!agent || !*text_of(agent, "Id"))
        return NULL;
    return XNN(json_pack("{s:s, s:s, s:s, s:[s,s,s,s], s:[], s:{s:[s]}, s:o, s:o}", "Image", image,
                         "User", user, "WorkingDir", "/", "Entrypoint", "python3", "-B", "-I",
                         ATTEST_PROBE_DIR "/main.py", "Cmd", "Healthcheck", "Test", "NONE",
                         "Labels", labels(w, name), "HostConfig", host_config(agent)));
}
