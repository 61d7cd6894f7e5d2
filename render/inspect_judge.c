/* SPDX-License-Identifier: Apache-2.0 */
#include "render/inspect_judge.h"

#include "render/inspect_checks.h"
#include "spec/base/xalloc.h"

#include <string.h>

struct container_check {
    const char *name;
    const char *row; /* of the list of escapes that it belongs to */
    const char *title;
    unsigned roles; /* 1 << enum role */
    inspect_fn *fn;
};
enum {
    EVERY = (1U << ROLE_COUNT) - 1,
    SIDECARS = EVERY & ~(1U << ROLE_AGENT),
    NO_RESOLVER = (1U << ROLE_AGENT) | (1U << ROLE_EGRESS) | (1U << ROLE_SUPERVISE),
    DOUBLE_HOMED = (1U << ROLE_EGRESS) | (1U << ROLE_PIPELOCK) | (1U << ROLE_GIT_GATE),
};
static const struct container_check CONTAINER_CHECKS[] = {
    {"privileged", "H2", "is not privileged", EVERY, inspect_privileged},
    {"capabilities", "H2", "has no capability", EVERY, inspect_capabilities},
    {"no-new-privileges", "H3", "can't gain privileges by an executable", EVERY,
     inspect_no_new_privileges},
    {"confinement", "H2", "seccomp, AppArmor and SELinux aren't switched off", EVERY,
     inspect_confinement},
    {"proc", "H2", "the kernel's files in /proc and /sys are hidden or read-only", EVERY,
     inspect_proc},
    {"pid", "H10", "has its own process namespace", EVERY, inspect_pid},
    {"ipc", "H10", "has its own IPC namespace", EVERY, inspect_ipc},
    {"uts", "H10", "has its own host name", EVERY, inspect_uts},
    {"userns", "H10", "doesn't step out of the engine's user namespace", EVERY, inspect_userns},
    {"cgroupns", "H10", "has its own view of control groups", EVERY, inspect_cgroupns},
    {"network-mode", "H10", "has its own network namespace", EVERY, inspect_network_mode},
    {"devices", "H1", "has no device of the host", EVERY, inspect_devices},
    {"mounts", "H1", "mounts nothing that hands out the host", EVERY, inspect_mounts},
    {"ports", "N13", "publishes no port", EVERY, inspect_ports},
    {"dns", "N4", "names are not looked up outside", NO_RESOLVER, inspect_dns},
    {"restart", "H8", "is started by bottler only", EVERY, inspect_restart},
    {"runtime", "H2", "runs under a runtime that the engine lists", EVERY, inspect_runtime},
    {"limits", "H7", "memory and processes are limited", EVERY, inspect_limits},
    {"user", "H10", "doesn't run as root", SIDECARS, inspect_user},
    {"forwarding", "N1", "forwards no packets", DOUBLE_HOMED, inspect_forwarding},
    {"networks", "N2", "is on its own networks only", EVERY, inspect_networks},
    {"aliases", "N14", "has nobody else's name", EVERY, inspect_aliases},
};

struct network_check {
    const char *name;
    const char *row;
    const char *title;
    unsigned nets; /* NET_BIT_… */
    inspect_fn *fn;
};
enum { INTERNAL = NET_BIT_AGENT | NET_BIT_CHAIN, ANY_NET = INTERNAL | NET_BIT_OUT };
static const struct network_check NETWORK_CHECKS[] = {
    {"internal", "N1", "has no way out", INTERNAL, inspect_net_internal},
    {"gateway", "N2", "has no address of the host", INTERNAL, inspect_net_gateway},
    {"ipv6", "N8", "has no IPv6", ANY_NET, inspect_net_ipv6},
    {"driver", "N1", "is a bridge on this host", ANY_NET, inspect_net_driver},
    {"members", "N10", "only this bottle's containers are on it", ANY_NET, inspect_net_members},
    {"icc", "N10", "its members don't reach each other", NET_BIT_OUT, inspect_net_icc},
};

enum { EVIDENCE_MAX = 4096 };

static void judge(const struct inspect_check *of, inspect_fn *fn, struct attest_report *r,
                  struct attest_row *row)
{
    struct str evidence;
    str_init(&evidence, EVIDENCE_MAX);
    struct inspect_check c = *of;
    c.evidence = &evidence;
    row->verdict = fn(&c);
    row->class = "inspect";
    /* One that didn't fit is cut in the report anyway. */
    row->evidence = evidence.p;
    attest_report_add(r, ATTEST_AS_HOST, row);
    str_done(&evidence);
}

static void judge_container(const struct attest_world *w, enum role role, struct attest_report *r)
{
    const char *name = role_info(role)->name;
    for (size_t i = 0; i < sizeof(CONTAINER_CHECKS) / sizeof(CONTAINER_CHECKS[0]); i++) {
        const struct container_check *k = &CONTAINER_CHECKS[i];
        if (!(k->roles & (1U << role)))
            continue;
        struct inspect_check c = {.w = w, .role = role, .container = w->inspect[role]};
        c.host = json_object_get(c.container, "HostConfig");
        AUTO_FREE char *id = xasprintf("I.%s.%s", name, k->name);
        AUTO_FREE char *title = xasprintf("%s %s", name, k->title);
        struct attest_row row = {.id = id, .row = k->row, .title = title};
        judge(&c, k->fn, r, &row);
    }
}

static void judge_network(const struct attest_world *w, enum net net, struct attest_report *r)
{
    for (size_t i = 0; i < sizeof(NETWORK_CHECKS) / sizeof(NETWORK_CHECKS[0]); i++) {
        const struct network_check *k = &NETWORK_CHECKS[i];
        if (!(k->nets & (1U << net)))
            continue;
        struct inspect_check c = {.w = w, .net = net, .network = w->members[net]};
        AUTO_FREE char *id = xasprintf("I.net-%s.%s", net_name(net), k->name);
        AUTO_FREE char *title = xasprintf("network '%s' %s", net_name(net), k->title);
        struct attest_row row = {.id = id, .row = k->row, .title = title};
        judge(&c, k->fn, r, &row);
    }
}

static void is_missing(struct attest_report *r, const char *what, const char *name)
{
    AUTO_FREE char *id = xasprintf("I.%s%s.present", what, name);
    attest_report_problem(r, ATTEST_AS_HOST, id, "there is no %s '%s' of this bottle",
                          *what ? "network" : "container", name);
}

/* The git gate and the supervisor are there when the manifest asks for them. */
static bool is_always_there(enum role role)
{
    return role == ROLE_PIPELOCK || role == ROLE_EGRESS || role == ROLE_AGENT;
}

void inspect_judge(const struct attest_world *w, struct attest_report *r)
{
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        if (w->inspect[role])
            judge_container(w, role, r);
        else if (is_always_there(role))
            is_missing(r, "", role_info(role)->name);
    }
    for (enum net net = 0; net < NET_COUNT; net++) {
        if (w->members[net])
            judge_network(w, net, r);
        else
            is_missing(r, "net-", net_name(net));
    }
}
