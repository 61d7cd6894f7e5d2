/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bottle should look like on an engine: the value that the planner compares with what is
 * observed. Pure: from a typed bottle, the installation's settings, resolved secrets and the
 * bottle's CAs.
 */
#ifndef BOTTLER_RENDER_DESIRED_H
#define BOTTLER_RENDER_DESIRED_H

#include "render/files.h"
#include "render/hash.h"
#include "render/names.h"
#include "spec/base/err.h"
#include "spec/bottle.h"

#include <jansson.h>

/* What is the same for every bottle of a controller. Borrowed. */
struct render_settings {
    const char *instance;          /* prefix of names */
    const char *installation;      /* label value: who owns the objects */
    const char *image[ROLE_COUNT]; /* per sidecar role; NULL: role_info()->image */
    struct sv upstream_ca;         /* PEM of further roots; empty: none */
    const uint8_t *hash_key;       /* HASH_KEY_BYTES */
    /* What runtime `auto` is to be, where more than one would do but not all; NULL: the engine's
     * choice. Not in the spec hash: an agent that runs in it already stays. */
    const char *auto_runtime;
};

/* What is secret or minted, per bottle. Borrowed. */
struct render_secret {
    const char *name; /* the reference */
    struct sv value;
};
struct render_inputs {
    const char *uid; /* identity of the bottle */
    const struct render_secret *secrets;
    size_t secrets_len;
    struct sv egress_ca_cert, egress_ca_key;     /* PEM */
    struct sv pipelock_ca_cert, pipelock_ca_key; /* PEM */
    /* While a CA rotates, the certificate that is trusted beside it: the one that has signed before
     * it, or the one that will after it. Empty: none. */
    struct sv egress_ca_old, egress_ca_next;
    struct sv pipelock_ca_old, pipelock_ca_next;
};

struct desired_container {
    enum role role;
    char *name;      /* final name */
    char *image_ref; /* as a human writes it */
    enum pull_policy pull_policy;
    enum restart_policy restart; /* sidecars: RESTART_ALWAYS */
    char *spec_hash; /* "v1:…" over everything that needs a new container when it changes */
    struct str_list earlier; /* hashes that earlier versions gave the same container */
    json_t *body;            /* create body without Image, NetworkMode, NetworkingConfig */
    char *limits;            /* what of it the engine can change in place: seal_limits() */
    struct file_list files;
    char *config_hash; /* what its log must confirm: sha256 of the hot file; NULL: nothing */
    char *generation;  /* egress: keyed hash of routes and tokens; else NULL */
    bool want_roots;  /* agent: bundle of the image's own roots plus the CA is uploaded before start
                       */
    char *trust_hash; /* agent: of the CAs that it trusts, which change while it runs; else NULL */
    bool trust_many;  /* agent: more than one of them, as a CA rotates */
    bool launch;      /* agent: the launcher is its entrypoint, as its environment has secrets */
};
struct desired_network {
    enum net net;
    char *name;
    char *bridge;
    char *spec_hash;
    bool internal;
};
struct desired_volume {
    char *name;
    bool retain;
};
struct desired {
    char *bottle;
    char *uid;
    char *instance;
    char *installation;
    struct desired_network networks[NET_COUNT];
    struct desired_container *containers; /* in start order */
    size_t containers_len;
    struct desired_volume *volumes;
    size_t volumes_len;
};

/* INVALID with a reason when this version can't run the bottle (git-gate, supervise) or a secret
 * can't be used as asked; NOT_FOUND naming the reference when one is missing from `in`. */
struct err *desired_render(const struct bottle *b, const struct render_settings *s,
                           const struct render_inputs *in, struct desired **ret) ERR_NODISCARD;
struct desired *desired_free(struct desired *d);
const struct desired_container *desired_find(const struct desired *d, enum role role);
/* Whether a container with that label (may be NULL) is the one that is wanted, so that it stays,
 * whichever version of bottler made it. */
bool desired_is_spec(const struct desired_container *want, const char *spec_hash);

/* Where the agent's trust lives, and what joins its image's own roots. */
#define AGENT_CA_PATH "/etc/bottler/ca.pem"
#define AGENT_BUNDLE_PATH "/etc/bottler/ca-bundle.pem"
/* What puts secrets into its environment, and where from: sidecars/agent/launch.c. */
#define AGENT_LAUNCH_PATH "/etc/bottler/launch"
#define AGENT_ENV_PATH "/etc/bottler/env"

/* Every secret reference that the bottle needs, sorted, without duplicates. `ret` is overwritten;
 * the caller frees it with str_list_done(). */
void bottle_secret_refs(const struct bottle *b, struct str_list *ret);

#endif
