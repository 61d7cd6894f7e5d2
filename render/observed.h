/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on an engine, from its list answers: GET /containers/json?all=1 with our installation
 * label, GET /containers/json (whoever runs: a stranger may be on a bottle's network), GET
 * /networks (all: the subnets of strangers count), GET /volumes with our label. Strict about the
 * shapes of what carries our label, tolerant of unknown keys and of strangers' oddities; engine
 * answers are hostile input.
 */
#ifndef BOTTLER_RENDER_OBSERVED_H
#define BOTTLER_RENDER_OBSERVED_H

#include "render/names.h"
#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum run_state {
    RUN_CREATED,
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_RESTARTING,
    RUN_REMOVING,
    RUN_EXITED,
    RUN_DEAD
};

struct observed_owner { /* from labels; NULL where a label is missing */
    char *installation, *bottle, *role, *uid, *spec_hash, *self;
};
struct observed_container {
    char *id;
    char *name; /* without the slash */
    char *image_id;
    struct observed_owner owner;
    enum role role; /* valid when proven */
    bool next;      /* its name ends in NEXT_SUFFIX: a replacement waiting */
    bool proven;    /* labels, self-reference and name agree: it is ours to touch */
    bool probe;     /* the same for a probe of `attest`, which shares the agent's namespace */
    bool guard;     /* the same for a guard (guard.h) */
    enum run_state state;
    int exit_code;  /* of an exited one, from the engine's status text; -1 unknown */
    char **net_ids; /* NetworkID of every attachment */
    size_t net_ids_len;
    char *joins; /* the container whose network namespace it shares, as its creator wrote it;
                    NULL: it has its own */
};
struct observed_network {
    char *id, *name;
    struct observed_owner owner;
    bool proven;
    enum net net;   /* valid when proven */
    char **subnets; /* IPv4, "a.b.c.d/n" */
    size_t subnets_len;
    int64_t created; /* Unix seconds, 0 unknown */
    /* What keeps it closed. */
    bool bridge;   /* made by the engine's own bridge driver */
    bool internal; /* no way out */
    bool ipv6;
    bool inhibit_ipv4; /* no address of the host on it */
    bool icc_off;      /* its members don't reach each other */
};
struct observed_volume {
    char *name;
    struct observed_owner owner;
    bool proven;
    bool retain;
};
struct observed {
    struct observed_container *containers; /* by name */
    size_t containers_len;
    struct observed_network *networks; /* by name, then id */
    size_t networks_len;
    struct observed_volume *volumes; /* by name */
    size_t volumes_len;
};

/* `installation` decides what is proven. The three answers are whole JSON bodies. */
struct err *observed_parse(const char *installation, struct sv containers, struct sv networks,
                           struct sv volumes, struct observed **ret) ERR_NODISCARD;
/* Adds the strangers among what runs: GET /containers/json, without a filter. Ours are in the first
 * list, which has those that don't run as well. */
struct err *observed_add_strangers(struct observed *o, const char *installation, struct sv running)
    ERR_NODISCARD;
struct observed *observed_free(struct observed *o);
const char *run_state_name(enum run_state s);
/* It has processes: running, paused, or just being restarted. */
bool container_is_up(const struct observed_container *c);
bool container_is_on(const struct observed_container *c, const char *net_id);
/* NULL: there is none of that id. */
const struct observed_network *observed_network(const struct observed *o, const char *id);

#endif
