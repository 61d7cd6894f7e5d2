/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bottle as `attest` finds it on an engine, without knowing what its manifest asks for: by names
 * and labels, from list and inspect answers (borrowed jansson values; hostile input, so whatever
 * isn't of the expected shape counts as absent). And what the probe inside it is told. Pure.
 */
#ifndef BOTTLER_RENDER_ATTEST_WORLD_H
#define BOTTLER_RENDER_ATTEST_WORLD_H

#include "render/names.h"
#include "spec/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct attest_world {
    const char *instance, *bottle;
    json_t *containers; /* GET /containers/json?all=1: everybody's */
    json_t *networks;   /* GET /networks */
    json_t *volumes;    /* GET /volumes; NULL: unknown */
    json_t *info;       /* GET /info */
    /* GET /containers/{id}/json; NULL where there is none. */
    json_t *inspect[ROLE_COUNT];
    /* GET /networks/{id} of the bottle's own; NULL where there is none. */
    json_t *members[NET_COUNT];
};

/* The bottles of an instance that have an agent, sorted. `ret` is added to. */
void attest_bottles(const json_t *containers, const char *instance, struct str_list *ret);
/* Its entry in the list: name, labels and self-reference agree, and so does the installation with
 * the agent's. NULL when there is none. */
const json_t *attest_listed(const struct attest_world *w, enum role role);
/* The same for one of its networks, in the list of networks. */
const json_t *attest_network(const struct attest_world *w, enum net net);
/* The addresses of all containers of the bottle; `ret` is added to. */
void attest_addresses(const struct attest_world *w, struct str_list *ret);
/* The "Id" of what these give; NULL for NULL. */
const char *attest_id(const json_t *listed);

/* Whether the inspected agent runs (paused will do: its namespaces are there), and a text that is
 * another one once it has been started again, replaced, or put on other networks. The caller frees.
 */
bool attest_agent_runs(const json_t *inspect);
char *attest_agent_epoch(const json_t *inspect);

/* "uid:gid" when the inspected Config.User is that; else NULL: look at its processes. The caller
 * frees. */
char *attest_user(const json_t *inspect);
/* The same from GET /containers/{id}/top?ps_args=-eo pid,uid,gid: its first process. NULL for an
 * answer of another shape, and for ids above 65535, which a user namespace has mapped. */
char *attest_user_of_top(const json_t *top);

struct attest_target {
    char *address;
    uint16_t port; /* 0: the usual ones */
    bool udp;
};
/* ADDR[:PORT][/udp], "[v6]:PORT"; numeric addresses only. False for anything else. */
bool attest_target_parse(const char *text, struct attest_target *ret);

/* What the probe is told besides what the world tells. Borrowed. */
struct attest_asks {
    bool as_root;
    int deadline_s;
    const char *nonce; /* 16 hex digits */
    const struct str_list *only;
    const struct attest_target *targets;
    size_t targets_len;
    bool wide;
    const struct str_list *host_addresses; /* of the engine's host itself, when known */
    uint16_t tcp_port, udp_port;           /* that attest listens on there; 0: it doesn't */
};
json_t *attest_input(const struct attest_world *w, const struct attest_asks *a);

#define ATTEST_PROBE_DIR "/bottler-probe"
/* POST /containers/create of a probe: in the agent's network namespace, with its security settings,
 * from the egress proxy's image (`image`: an id). NULL when the agent was not inspected. */
json_t *attest_probe_body(const struct attest_world *w, const char *name, const char *image,
                          const char *user);

#endif
