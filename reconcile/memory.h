/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controller has learned and the engine's lists don't tell: images looked up, the policy
 * hashes that proxies have logged, subnets the engine refused. All of it can be learned again; none
 * of it is on disk, but for what agents were given to trust (controller/rotation.c).
 */
#ifndef BOTTLER_RECONCILE_MEMORY_H
#define BOTTLER_RECONCILE_MEMORY_H

#include "reconcile/pool.h"
#include "render/docker.h"
#include "render/names.h"
#include "render/seal.h"

#include <stdbool.h>
#include <stdint.h>

struct known_image {
    struct image_info info; /* info.id NULL: known to be absent */
    uint64_t seen_ns;
};

/* What a running proxy says that it runs. */
struct known_policy {
    char *container_id;
    char *config_hash; /* NULL: its log was read and names none */
    char *generation;  /* egress only */
    unsigned failed;   /* reloads in a row that it did not confirm */
    bool disturbed;    /* somebody else has written into it or signalled it since */
};

/* What inspecting a container told of its seal. */
struct known_seal {
    char *container_id;
    struct seal seal;
    char *limits; /* desired_container.limits that it was held against */
    bool stale;   /* it is to be inspected again */
    bool tried;   /* its limits were set anew: what still differs is beyond this engine */
};

/* When something was first seen, for what is left to whoever made it for a while. */
struct known_sight {
    char *id;
    uint64_t first_ns;
};

/* How often a container had to be started again, and from when on it may be. */
struct known_restart {
    char *name;
    unsigned count;  /* restarts in all */
    unsigned streak; /* in a row that ended within a minute */
    uint64_t started_ns;
    uint64_t not_before_ns;
};

/* The CAs that an agent's container has been given to trust. */
struct known_trust {
    char *name; /* of the container */
    char *container_id;
    char *hash;
};

/* A network that the engine wouldn't remove because something is attached to it. */
struct known_busy {
    char *net_id;
    bool looked; /* `attached` is what inspecting it told */
    struct str_list attached;
};

struct memory {
    struct str_list unstartable; /* ids of containers whose networks the engine can't find */
    struct known_image *images;
    size_t images_len;
    struct known_policy *policies;
    size_t policies_len;
    struct known_seal *seals;
    size_t seals_len;
    struct known_sight *sights;
    size_t sights_len;
    struct known_restart *restarts;
    size_t restarts_len;
    struct known_trust *trusts;
    size_t trusts_len;
    struct known_busy *busy;
    size_t busy_len;
    struct str_list guarded; /* ids of networks from which the host takes nothing any more */
    struct cidr_set refused; /* subnets that the engine said overlap something we can't see */
};

void memory_done(struct memory *m);

/* An image's lookup, no older than MEMORY_IMAGE_NS; else NULL. */
const struct known_image *memory_image(const struct memory *m, const char *ref, uint64_t now_ns);
/* However old. */
const struct known_image *memory_image_any(const struct memory *m, const char *ref);
/* Takes the contents of `info`. */
void memory_put_image(struct memory *m, struct image_info *info_take, uint64_t now_ns);
void memory_forget_image(struct memory *m, const char *ref);
#define MEMORY_IMAGE_NS (UINT64_C(30) * 1000000000)

/* NULL: nothing is known of that container yet. */
const struct known_policy *memory_policy(const struct memory *m, const char *container_id);
void memory_put_policy(struct memory *m, const char *container_id, const char *config_hash,
                       const char *generation);
void memory_policy_failed(struct memory *m, const char *container_id);
/* It has been given other files: what it runs isn't known until it says so. Failures stay counted.
 */
void memory_void_policy(struct memory *m, const char *container_id);
/* It starts anew. */
void memory_forget_policy(struct memory *m, const char *container_id);
/* Whatever it says that it runs, it is given its files again (memory_void_policy()) and has to
 * confirm them. */
void memory_disturb_policy(struct memory *m, const char *container_id);
/* Forgets the policies of containers that aren't in `ids` any more. */
void memory_keep_policies(struct memory *m, const struct str_list *ids);

/* NULL: it hasn't been inspected yet. */
const struct seal *memory_seal(const struct memory *m, const char *container_id);
/* Whether that seal is a judgement of these limits; false when there is none. */
bool memory_seal_is_of(const struct memory *m, const char *container_id, const char *limits);
/* `limits`: of what it was held against. Takes the contents of `seal`. */
void memory_put_seal(struct memory *m, const char *container_id, const char *limits,
                     struct seal *seal_take);
void memory_forget_seal(struct memory *m, const char *container_id);
/* Its limits were set anew; see known_seal. */
void memory_tried_limits(struct memory *m, const char *container_id);
/* Forgets the seals and sights of containers that aren't in `ids` any more. */
void memory_keep_containers(struct memory *m, const struct str_list *ids);

/* Notes that it is there; the first time counts. */
void memory_note_sight(struct memory *m, const char *id, uint64_t now_ns);
/* 0: never seen. */
uint64_t memory_first_sight(const struct memory *m, const char *id);

const struct known_restart *memory_restart(const struct memory *m, const char *name);
/* Notes a start of something that ran before: the next one waits longer (1 s doubling to 60 s),
 * unless it ran for a minute. */
void memory_note_restart(struct memory *m, const char *name, uint64_t now_ns);
void memory_forget_restart(struct memory *m, const char *name);

/* The hash of the CAs that it was given; NULL: nobody knows. One container of each name is known:
 * the one that was noted last. */
const char *memory_trust(const struct memory *m, const char *container_id);
void memory_put_trust(struct memory *m, const char *name, const char *container_id,
                      const char *hash);
void memory_forget_trust(struct memory *m, const char *name);

/* The engine keeps the ids of a container's networks; one that is gone makes it useless for good.
 */
bool memory_unstartable(const struct memory *m, const char *container_id);
void memory_put_unstartable(struct memory *m, const char *container_id);
void memory_forget_unstartable(struct memory *m, const char *container_id);

bool memory_guarded(const struct memory *m, const char *net_id);
void memory_put_guarded(struct memory *m, const char *net_id);
/* The host may have been started anew. */
void memory_forget_guards(struct memory *m);

const struct known_busy *memory_busy(const struct memory *m, const char *net_id);
/* `attached` NULL: not looked yet; else its contents are taken. */
void memory_put_busy(struct memory *m, const char *net_id, struct str_list *attached_take);
void memory_forget_busy(struct memory *m, const char *net_id);

#endif
