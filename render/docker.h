/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies for the engine, from desired values plus what only the engine knows (ids). */
#ifndef BOTTLER_RENDER_DOCKER_H
#define BOTTLER_RENDER_DOCKER_H

#include "render/desired.h"

/* What the negotiated engine can do (reference: engine.md section 12). */
struct engine_caps {
    int api_minor;       /* negotiated: 41 … */
    bool multi_endpoint; /* several networks in one create call (>= 1.44) */
    bool isolated_gw;    /* gateway_mode_ipv4=isolated (daemon's own API >= 1.48) */
    bool icc_off_works;  /* enable_icc=false is accepted and harmless on this engine */
    bool weak_seccomp;   /* containers get a profile of ours: seccomp_is_weak() */
    int cpus;            /* of the engine's host; 0: it didn't say */
    const char *arch;    /* "amd64" … borrowed; may be NULL */
    bool has_runsc;
    const struct str_list *runtimes; /* names; borrowed; NULL or empty: it didn't say */
    const char *default_runtime;     /* borrowed; NULL or "": it didn't say */
};

/* What agent.runtime means on the engine: the name itself, or for "auto" runsc when it is there,
 * else the engine's default. NULL: the default, whose name it didn't say. Borrowed. */
const char *docker_runtime(const char *runtime, const struct engine_caps *caps);
/* INVALID when the engine doesn't have it; `auto` is always there. A shim's name
 * ("io.containerd.kata.v2") needs no entry in the engine's list: whether it is there only a start
 * tells. */
struct err *docker_check_runtime(const char *runtime, const struct engine_caps *caps) ERR_NODISCARD;

/* What inspecting an image told. Owned. */
struct image_info {
    char *ref;
    char *id;   /* "sha256:…" */
    char *user; /* Config.User, "" when none */
    char *arch;
    struct str_list entrypoint, cmd;
    bool has_command; /* one of them */
};
void image_info_done(struct image_info *i);
/* INVALID when it isn't what an engine answers; `ret` is then untouched. */
struct err *image_info_parse(const char *ref, struct sv json, struct image_info *ret) ERR_NODISCARD;

/* POST /networks/create. `subnet` is "a.b.c.d/28". */
char *docker_network_body(const struct desired *d, const struct desired_network *n,
                          const char *subnet, const struct engine_caps *caps);
/* POST /containers/create. net_ids by enum net (only the role's are read); a name does as well
 * where names are unique. INVALID when the image can't be run as asked (agent whose user is root by
 * the image alone, no command at all, wrong architecture). Below API 1.44 only the primary network
 * is in the body; connect the rest. */
struct err *docker_container_body(const struct desired_container *c, const struct image_info *image,
                                  const char *const net_ids[NET_COUNT],
                                  const struct engine_caps *caps, char **ret) ERR_NODISCARD;
/* POST /networks/{id}/connect. */
char *docker_connect_body(enum role role, const char *container_id);
char *docker_disconnect_body(const char *container_id);
/* POST /volumes/create. */
char *docker_volume_body(const struct desired *d, const struct desired_volume *v);

#endif
