/* SPDX-License-Identifier: Apache-2.0 */
#include "render/names.h"

#include "render/hash.h"
#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

static const struct role_info ROLES[ROLE_COUNT] = {
    [ROLE_PIPELOCK] = {.name = "pipelock",
                       .image = "ghcr.io/luckypipewrench/pipelock:2.3.0",
                       .primary = NET_OUT,
                       .nets = NET_BIT_CHAIN | NET_BIT_OUT,
                       .uid = 65534,
                       .gid = 65534,
                       .hot_file = "/etc/bottler/pipelock.yaml"},
    [ROLE_EGRESS] = {.name = "egress",
                     .image = "bottler/egress",
                     .primary = NET_AGENT,
                     .nets = NET_BIT_AGENT | NET_BIT_CHAIN,
                     .uid = 10001,
                     .gid = 10001,
                     .hot_file = "/etc/bottler/routes.yaml"},
    [ROLE_GIT_GATE] = {.name = "git-gate",
                       .image = "bottler/git-gate",
                       .primary = NET_OUT,
                       .nets = NET_BIT_AGENT | NET_BIT_OUT,
                       .uid = 10003,
                       .gid = 10003},
    [ROLE_SUPERVISE] = {.name = "supervise",
                        .image = "bottler/supervise",
                        .primary = NET_AGENT,
                        .nets = NET_BIT_AGENT,
                        .uid = 10004,
                        .gid = 10004},
    [ROLE_AGENT] = {.name = "agent", .primary = NET_AGENT, .nets = NET_BIT_AGENT},
};

struct net_words {
    const char *name;
    const char *role;
};
static const struct net_words NETS[NET_COUNT] = {
    [NET_AGENT] = {"agent", "net-agent"},
    [NET_CHAIN] = {"chain", "net-chain"},
    [NET_OUT] = {"out", "net-out"},
};

const struct role_info *role_info(enum role role)
{
    assert(role < ROLE_COUNT);
    return &ROLES[role];
}

bool role_parse(const char *name, enum role *ret)
{
    for (enum role r = 0; r < ROLE_COUNT; r++) {
        if (strcmp(ROLES[r].name, name) == 0) {
            *ret = r;
            return true;
        }
    }
    return false;
}

const char *net_name(enum net net)
{
    assert(net < NET_COUNT);
    return NETS[net].name;
}

bool net_parse(const char *name, enum net *ret)
{
    for (enum net n = 0; n < NET_COUNT; n++) {
        if (strcmp(NETS[n].name, name) == 0) {
            *ret = n;
            return true;
        }
    }
    return false;
}

const char *net_role(enum net net)
{
    assert(net < NET_COUNT);
    return NETS[net].role;
}

bool net_role_parse(const char *role, enum net *ret)
{
    for (enum net n = 0; n < NET_COUNT; n++) {
        if (strcmp(NETS[n].role, role) == 0) {
            *ret = n;
            return true;
        }
    }
    return false;
}

char *object_name(const char *instance, const char *bottle, const char *what)
{
    return xasprintf("%s.%s.%s", instance, bottle, what);
}

char *bridge_name(const char *installation, const char *bottle, enum net net)
{
    enum { BRIDGE_HEX = 10 };
    /* Lengths go in, so that ("ab","c") and ("a","bc") differ. */
    AUTO_FREE char *text = xasprintf("%zu:%s/%zu:%s/%s", strlen(installation), installation,
                                     strlen(bottle), bottle, net_name(net));
    char hex[HASH_HEX + 1];
    hash_hex(sv_of(text), hex);
    return xasprintf("bt%c-%.*s", net_name(net)[0], BRIDGE_HEX, hex);
}
