/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a bottle on an engine: roles, networks, labels, names. One table each. */
#ifndef BOTTLER_RENDER_NAMES_H
#define BOTTLER_RENDER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* In start order; stop is the reverse. */
enum role { ROLE_PIPELOCK, ROLE_EGRESS, ROLE_GIT_GATE, ROLE_SUPERVISE, ROLE_AGENT, ROLE_COUNT };

enum net { NET_AGENT, NET_CHAIN, NET_OUT, NET_COUNT };
enum { NET_BIT_AGENT = 1 << NET_AGENT, NET_BIT_CHAIN = 1 << NET_CHAIN, NET_BIT_OUT = 1 << NET_OUT };

struct role_info {
    const char *name;     /* "git-gate": label value, alias, part of the container's name */
    const char *image;    /* default image; NULL for the agent */
    enum net primary;     /* the network of the create call */
    unsigned nets;        /* NET_BIT_… */
    unsigned uid, gid;    /* of sidecars; 0 for the agent: the manifest or the image says */
    const char *hot_file; /* the file whose hash it logs; NULL: none */
};
const struct role_info *role_info(enum role role);
/* False when no role has that name. */
bool role_parse(const char *name, enum role *ret);
const char *net_name(enum net net); /* "agent", "chain", "out" */
bool net_parse(const char *name, enum net *ret);
/* Label value and part of the spec hash: "net-agent", "net-chain", "net-out". */
const char *net_role(enum net net);
bool net_role_parse(const char *role, enum net *ret);
#define VOLUME_ROLE "volume"
#define GUARD_ROLE "guard" /* of the container that guard.h is about */
#define PROBE_ROLE "probe" /* containers of `attest`: "<instance>.<bottle>.probe-<hex>" */

/* Options of the engine's bridge driver. */
#define BRIDGE_OPTION "com.docker.network.bridge."
#define BRIDGE_NAME BRIDGE_OPTION "name"
#define BRIDGE_INHIBIT_IPV4 BRIDGE_OPTION "inhibit_ipv4"
#define BRIDGE_GATEWAY_MODE_IPV4 BRIDGE_OPTION "gateway_mode_ipv4"
#define BRIDGE_ICC BRIDGE_OPTION "enable_icc"

#define LABEL_PREFIX "dev.bottler."
#define LABEL_INSTALLATION LABEL_PREFIX "installation"
#define LABEL_BOTTLE LABEL_PREFIX "bottle"
#define LABEL_ROLE LABEL_PREFIX "role" /* of networks: "net-agent", …; of volumes: "volume" */
#define LABEL_UID LABEL_PREFIX "uid"
#define LABEL_SPEC_HASH LABEL_PREFIX "spec-hash"
#define LABEL_SELF                                                                                 \
    LABEL_PREFIX "self" /* "<instance>.<bottle>.<what>", equal to the object's name */
#define LABEL_IMAGE                                                                                \
    LABEL_PREFIX "image" /* of containers: the image reference as a human writes it */
#define LABEL_DLP                                                                                  \
    LABEL_PREFIX "dlp" /* "warn" on a pipelock that by its manifest only logs what it finds */
#define LABEL_UNSCANNED                                                                            \
    LABEL_PREFIX "unscanned" /* on pipelock: hosts that it passes through, with blanks between */
#define LABEL_RETAIN LABEL_PREFIX "retain" /* "true" on volumes that outlive their bottle */

/* "<instance>.<bottle>.<what>"; the caller frees. */
char *object_name(const char *instance, const char *bottle, const char *what);
/* "bta-0123456789": at most 15 characters; from a hash of installation, bottle and network. */
char *bridge_name(const char *installation, const char *bottle, enum net net);
#define NEXT_SUFFIX ".next" /* a replacement container's name until it takes over */

#endif
