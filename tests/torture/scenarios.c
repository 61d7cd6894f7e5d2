/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/torture/scenarios.h"

#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#define BIT(role) (1U << (role))
#define ALL_ROLES (BIT(ROLE_COUNT) - 1)
#define SIDECARS (BIT(ROLE_PIPELOCK) | BIT(ROLE_EGRESS))

static struct model_container *victim(struct model *m, enum role role)
{
    AUTO_FREE char *name = xasprintf("bottler.demo.%s", role_info(role)->name);
    struct model_container *k = model_find(m, name);
    assert_non_null(k);
    return k;
}

static struct model_network *net_of(struct model *m, enum net net)
{
    AUTO_FREE char *name = xasprintf("bottler.demo.%s", net_name(net));
    struct model_network *n = model_find_net(m, name);
    assert_non_null(n);
    return n;
}

static void wreck_remove(struct model *m, const struct scenario *s)
{
    model_drop_container(m, victim(m, s->role));
}

static void wreck_exit(struct model *m, const struct scenario *s)
{
    model_exit(m, victim(m, s->role), 137);
}

static void wreck_finish(struct model *m, const struct scenario *s)
{
    model_exit(m, victim(m, s->role), 0);
}

static void wreck_pause(struct model *m, const struct scenario *s)
{
    victim(m, s->role)->state = RUN_PAUSED;
}

static void wreck_dead(struct model *m, const struct scenario *s)
{
    struct model_container *k = victim(m, s->role);
    model_exit(m, k, 137);
    k->state = RUN_DEAD;
}

static void wreck_detach(struct model *m, const struct scenario *s)
{
    model_detach(victim(m, s->role), net_of(m, s->net)->id);
}

static void wreck_attach_stranger(struct model *m, const struct scenario *s)
{
    model_attach(victim(m, s->role), model_find_net(m, "company"));
}

static void detach_all(struct model *m, const struct model_network *n)
{
    for (size_t i = 0; i < m->ctrs_len; i++)
        model_detach(m->ctrs[i], n->id);
}

static void wreck_net(struct model *m, const struct scenario *s)
{
    detach_all(m, net_of(m, s->net));
    model_drop_net(m, net_of(m, s->net));
}

static void wreck_reboot(struct model *m, const struct scenario *s)
{
    (void)s;
    for (int r = 0; r < ROLE_COUNT; r++) {
        if (r == ROLE_PIPELOCK || r == ROLE_EGRESS || r == ROLE_AGENT)
            model_exit(m, victim(m, (enum role)r), 137);
    }
}

/* Everything has ended, and the network that one of them was on is gone with its id. */
static void wreck_reboot_net(struct model *m, const struct scenario *s)
{
    wreck_reboot(m, s);
    model_drop_net(m, net_of(m, s->net));
}

/* Created, with their files, but never started. */
static void wreck_created(struct model *m, const struct scenario *s)
{
    wreck_reboot(m, s);
    for (size_t i = 0; i < m->ctrs_len; i++) {
        struct model_container *k = m->ctrs[i];
        if (!model_ours(k->labels))
            continue;
        k->state = RUN_CREATED;
        k->exit_code = 0;
        k->starts = 0;
        for (size_t l = 0; l < k->lines_len; l++)
            free(k->lines[l].text);
        k->lines_len = 0;
    }
}

static void wreck_created_net(struct model *m, const struct scenario *s)
{
    wreck_created(m, s);
    model_drop_net(m, net_of(m, s->net));
}

/* The agent ended while attached to a stranger's network, and that network is gone. */
static void wreck_stale_stranger(struct model *m, const struct scenario *s)
{
    struct model_network *n = model_make_net(m, "passing", "10.99.0.0/24", XNN(json_object()));
    model_attach(victim(m, s->role), n);
    model_exit(m, victim(m, s->role), 1);
    model_drop_net(m, n);
}

static void wreck_reject(struct model *m, const struct scenario *s)
{
    m->reject_reload = BIT(s->role);
}

static void wreck_hidden(struct model *m, const struct scenario *s)
{
    (void)s;
    m->hidden = "10.213.0.0/27";
}

static void wreck_guest(struct model *m, const struct scenario *s)
{
    model_attach(model_find(m, "postgres"), net_of(m, s->net));
}

/* Made anew by somebody who left the guard off. */
static void wreck_net_open(struct model *m, const struct scenario *s)
{
    net_of(m, s->net)->internal = false;
}

static void wreck_net_gateway(struct model *m, const struct scenario *s)
{
    struct model_network *n = net_of(m, s->net);
    json_decref(n->options);
    n->options = XNN(json_object());
}

static void wreck_net_ipv6(struct model *m, const struct scenario *s)
{
    net_of(m, s->net)->ipv6 = true;
    wreck_guest(m, s);
}

static void wreck_privileged(struct model *m, const struct scenario *s)
{
    model_set_host(victim(m, s->role), "Privileged", json_true());
}

static void wreck_limits(struct model *m, const struct scenario *s)
{
    struct model_container *k = victim(m, s->role);
    model_set_host(k, "Memory", json_integer(1 << 30));
    model_set_host(k, "RestartPolicy", json_pack("{s:s}", "Name", "always"));
}

static void wreck_unsealed_reboot(struct model *m, const struct scenario *s)
{
    wreck_privileged(m, s);
    wreck_reboot(m, s);
}

static void wreck_spare_net(struct model *m, const struct scenario *s)
{
    const struct model_network *n = net_of(m, s->net);
    struct model_network *spare =
        model_make_net(m, n->name, "10.213.9.0/28", json_incref(n->labels));
    spare->internal = n->internal;
    spare->options = json_incref(n->options);
}

static struct model_container *make_next(struct model *m, const struct scenario *s)
{
    const struct model_container *k = victim(m, s->role);
    AUTO_FREE char *name = xasprintf("%s%s", k->name, NEXT_SUFFIX);
    struct model_container *next =
        model_make_container(m, name, json_incref(k->labels), RUN_CREATED);
    next->net_mode = xstrdup_null(k->net_mode);
    next->user = xstrdup_null(k->user);
    next->host = json_incref(k->host);
    for (size_t i = 0; i < k->ends_len; i++)
        model_attach(next, model_find_net(m, k->ends[i].net_id));
    return next;
}

static void wreck_next_created(struct model *m, const struct scenario *s)
{
    make_next(m, s);
}

static void wreck_next_exited(struct model *m, const struct scenario *s)
{
    model_exit(m, make_next(m, s), 3);
}

static void wreck_next_running(struct model *m, const struct scenario *s)
{
    make_next(m, s)->state = RUN_RUNNING;
}

/* Only the replacement is left, and on one network of its two. */
static void wreck_next_alone(struct model *m, const struct scenario *s)
{
    struct model_container *next = make_next(m, s);
    model_detach(next, net_of(m, s->net)->id);
    model_drop_container(m, victim(m, s->role));
}

/* A sidecar that an earlier manifest asked for, on the agent's network and on the way out. */
static void wreck_unwanted(struct model *m, const struct scenario *s)
{
    json_t *labels = XNN(json_deep_copy(victim(m, s->role)->labels));
    json_object_set_new(labels, LABEL_ROLE, json_string("git-gate"));
    json_object_set_new(labels, LABEL_SELF, json_string("bottler.demo.git-gate"));
    struct model_container *k =
        model_make_container(m, "bottler.demo.git-gate", labels, RUN_RUNNING);
    model_attach(k, net_of(m, NET_AGENT));
    model_attach(k, net_of(m, NET_OUT));
}

#define P ROLE_PIPELOCK
#define E ROLE_EGRESS
#define A ROLE_AGENT
#define ROLES3(n, wreck, extra)                                                                    \
    {n " pipelock", V_BASE, V_BASE, wreck, P, NET_CHAIN, BIT(P) | (extra)},                        \
        {n " egress", V_BASE, V_BASE, wreck, E, NET_CHAIN, BIT(E) | (extra)},                      \
    {                                                                                              \
        n " agent", V_BASE, V_BASE, wreck, A, NET_AGENT, BIT(A) | (extra)                          \
    }
#define EDIT(n, to)                                                                                \
    {                                                                                              \
        n, V_BASE, to, NULL, P, NET_AGENT, 0                                                       \
    }

const struct scenario scenarios[] = {
    {"bring-up small", V_NONE, V_SMALL, NULL, P, NET_AGENT, 0},
    {"bring-up", V_NONE, V_BASE, NULL, P, NET_AGENT, 0},
    {"bring-up, pull always", V_NONE, V_PULL, NULL, P, NET_AGENT, 0},
    {"bring-up, hidden subnets", V_NONE, V_BASE, wreck_hidden, P, NET_AGENT, 0},
    EDIT("no change", V_BASE),
    EDIT("route edit", V_ROUTE),
    EDIT("path edit", V_PATH),
    EDIT("token edit", V_TOKEN),
    EDIT("agent edit", V_AGENT),
    EDIT("limits edit", V_LIMITS),
    {"limits edit back", V_LIMITS, V_BASE, NULL, P, NET_AGENT, 0},
    EDIT("CAs introduced", V_CA),
    {"CAs switched", V_CA, V_CA_NEXT, NULL, P, NET_AGENT, 0},
    {"CAs retired", V_CA, V_BASE, NULL, P, NET_AGENT, 0},
    {"CAs introduced, agent ended", V_BASE, V_CA, wreck_exit, A, NET_AGENT, BIT(A)},
    {"CAs introduced, agent paused", V_BASE, V_CA, wreck_pause, A, NET_AGENT, 0},
    EDIT("pipelock replaced", V_COLD),
    EDIT("egress replaced", V_SIDECAR),
    EDIT("everything replaced", V_ALL),
    EDIT("removal", V_NONE),
    {"removal, volumes stay", V_RETAIN, V_NONE, NULL, P, NET_AGENT, 0},
    {"removal, guest on agent's network", V_BASE, V_NONE, wreck_guest, P, NET_AGENT, 0},
    {"removal, guest on out", V_BASE, V_NONE, wreck_guest, P, NET_OUT, 0},
    {"removal, half created", V_BASE, V_NONE, wreck_created, P, NET_OUT, 0},
    {"removal, dead agent", V_BASE, V_NONE, wreck_dead, A, NET_OUT, 0},
    {"removal, replacement waiting", V_BASE, V_NONE, wreck_next_running, A, NET_OUT, 0},
    {"removal, spare network", V_BASE, V_NONE, wreck_spare_net, A, NET_OUT, 0},
    ROLES3("rm -f", wreck_remove, 0),
    ROLES3("exit of", wreck_exit, 0),
    ROLES3("exit 0 of", wreck_finish, 0),
    ROLES3("pause of", wreck_pause, 0),
    ROLES3("dead", wreck_dead, 0),
    ROLES3("disconnect of", wreck_detach, 0),
    {"disconnect of pipelock from out", V_BASE, V_BASE, wreck_detach, P, NET_OUT, 0},
    {"disconnect of egress from agent", V_BASE, V_BASE, wreck_detach, E, NET_AGENT, 0},
    ROLES3("stranger's network on", wreck_attach_stranger, 0),
    {"network agent gone", V_BASE, V_BASE, wreck_net, P, NET_AGENT, 0},
    {"network chain gone", V_BASE, V_BASE, wreck_net, P, NET_CHAIN, 0},
    {"network out gone", V_BASE, V_BASE, wreck_net, P, NET_OUT, 0},
    {"reboot", V_BASE, V_BASE, wreck_reboot, P, NET_OUT, ALL_ROLES},
    {"reboot and edit", V_BASE, V_ALL, wreck_reboot, P, NET_OUT, ALL_ROLES},
    {"reboot, agent's network gone", V_BASE, V_BASE, wreck_reboot_net, P, NET_AGENT, ALL_ROLES},
    {"reboot, chain gone", V_BASE, V_BASE, wreck_reboot_net, P, NET_CHAIN, ALL_ROLES},
    {"reboot, out gone", V_BASE, V_BASE, wreck_reboot_net, P, NET_OUT, ALL_ROLES},
    {"created only", V_BASE, V_BASE, wreck_created, P, NET_OUT, ALL_ROLES},
    {"created only, edit", V_BASE, V_ALL, wreck_created, P, NET_OUT, ALL_ROLES},
    {"created only, agent's network gone", V_BASE, V_BASE, wreck_created_net, P, NET_AGENT,
     ALL_ROLES},
    {"created only, chain gone", V_BASE, V_BASE, wreck_created_net, P, NET_CHAIN, ALL_ROLES},
    {"created only, out gone", V_BASE, V_BASE, wreck_created_net, P, NET_OUT, ALL_ROLES},
    {"ended on a stranger's network", V_BASE, V_BASE, wreck_stale_stranger, A, NET_AGENT, BIT(A)},
    {"reload refused by pipelock", V_BASE, V_ROUTE, wreck_reject, P, NET_OUT, BIT(P)},
    {"reload refused by egress", V_BASE, V_ROUTE, wreck_reject, E, NET_OUT, BIT(E)},
    {"spare network", V_BASE, V_BASE, wreck_spare_net, P, NET_CHAIN, 0},
    ROLES3("left replacement of", wreck_next_created, 0),
    ROLES3("ended replacement of", wreck_next_exited, 0),
    ROLES3("running replacement of", wreck_next_running, 0),
    {"only a replacement of pipelock", V_BASE, V_BASE, wreck_next_alone, P, NET_CHAIN, BIT(P)},
    {"only a replacement of egress", V_BASE, V_BASE, wreck_next_alone, E, NET_CHAIN, BIT(E)},
    {"left replacement and edit", V_BASE, V_ALL, wreck_next_created, A, NET_CHAIN, 0},
    {"guest on agent's network", V_BASE, V_BASE, wreck_guest, P, NET_AGENT, 0},
    {"guest on chain", V_BASE, V_BASE, wreck_guest, P, NET_CHAIN, 0},
    {"guest on out, and edit", V_BASE, V_ALL, wreck_guest, P, NET_OUT, 0},
    {"agent's network not internal", V_BASE, V_BASE, wreck_net_open, P, NET_AGENT, 0},
    {"chain not internal", V_BASE, V_BASE, wreck_net_open, P, NET_CHAIN, 0},
    {"agent's network with a gateway", V_BASE, V_BASE, wreck_net_gateway, P, NET_AGENT, 0},
    {"out with ICC on", V_BASE, V_BASE, wreck_net_gateway, P, NET_OUT, 0},
    {"agent's network with IPv6 and a guest", V_BASE, V_BASE, wreck_net_ipv6, P, NET_AGENT, 0},
    ROLES3("privileged", wreck_privileged, 0),
    ROLES3("unsealed before a reboot", wreck_unsealed_reboot, ALL_ROLES),
    ROLES3("limits changed of", wreck_limits, 0),
    {"unwanted sidecar", V_BASE, V_BASE, wreck_unwanted, E, NET_AGENT, 0},
    {"unwanted sidecar, removal", V_BASE, V_NONE, wreck_unwanted, E, NET_AGENT, 0},
    {"finished agent, route edit", V_NEVER, V_NEVER, wreck_finish, A, NET_CHAIN, BIT(A)},
};
const size_t scenarios_len = sizeof(scenarios) / sizeof(*scenarios);
