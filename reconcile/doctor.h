/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine can and can't isolate: facts from its /version, /info and /networks and from a
 * trial on it, the rows that follow from them, and the refusal to run on one that can't seal. Pure;
 * engine answers are hostile input, and what isn't of the expected shape counts as absent.
 */
#ifndef BOTTLER_RECONCILE_DOCTOR_H
#define BOTTLER_RECONCILE_DOCTOR_H

#include "reconcile/pool.h"
#include "spec/base/err.h"
#include "spec/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum doctor_state {
    DOCTOR_OK,        /* the engine does it */
    DOCTOR_MITIGATED, /* it doesn't, and bottler makes up for it */
    DOCTOR_WARN,      /* bottles are sealed, and the operator should know */
    DOCTOR_FAIL,      /* bottles can't be sealed here */
    DOCTOR_STATE_COUNT
};
const char *doctor_state_name(enum doctor_state s); /* "ok", "mitigated", "warn", "fail" */

/* ---- facts ----------------------------------------------------------------------------------- */

enum doctor_yes { DOCTOR_UNKNOWN, DOCTOR_NO, DOCTOR_YES };

/* Seen from inside a container on an internal network. */
struct doctor_seen {
    bool ran;
    enum doctor_yes host;  /* something of the host answered */
    enum doctor_yes dns;   /* a name was looked up outside */
    enum doctor_yes route; /* there is a default route */
    char *host_evidence, *dns_evidence;
    struct str_list ipv6; /* addresses of its interfaces but loopback's */
    int seccomp;          /* 0 off, 2 filter; -1 unknown */
    enum doctor_yes no_new_privileges;
    enum doctor_yes capabilities; /* it has one */
    struct str_list calls;        /* calls that get past the filter, and shouldn't */
};
enum doctor_trial {
    DOCTOR_SEALED, /* a network and a container as bottler makes them */
    DOCTOR_PLAIN,  /* an internal network and a container of no special care */
    DOCTOR_TRIALS
};

struct doctor_facts { /* owned; texts are "" where unknown, but for those that may be NULL */
    /* /version */
    char *version, *api, *api_min, *arch, *kernel;
    int api_minor;           /* the daemon's newest */
    int major, minor, patch; /* of the version; 0 when it has none */
    /* /info */
    char *os_type, *driver, *cgroup_version, *cgroup_driver, *default_runtime, *swarm;
    char *firewall;
    char *seccomp; /* the profile; NULL: no seccomp */
    struct str_list runtimes, warnings, authorization;
    bool apparmor, selinux, rootless, userns, cgroupns;
    bool containerd_store, live_restore;
    enum doctor_yes memory_limit, swap_limit, pids_limit, ip_forward, bridge_netfilter;
    int64_t time; /* Unix seconds; 0: not said */
    /* How it is reached. */
    char *endpoint; /* as people write it */
    bool local;     /* a Unix socket */
    bool encrypted; /* or local */
    /* Networks. */
    char *pool;
    size_t pool_free;         /* slices that nobody uses */
    struct str_list overlaps; /* names of networks in the pool that aren't bottler's */
    bool networks_known;
    struct str_list routes; /* of this host, in the pool, when it is the engine's */
    int64_t now;            /* our own clock; 0: unknown */
    /* The trial. */
    struct doctor_seen seen[DOCTOR_TRIALS];
    char *not_measured; /* why not; NULL: it was */
};
void doctor_facts_init(struct doctor_facts *f);
void doctor_facts_done(struct doctor_facts *f);
/* Replaces one of the texts. */
void doctor_facts_say(char **text, const char *value);
/* From the two answers, once; NULL is fine. */
void doctor_facts_read(struct doctor_facts *f, const json_t *version, const json_t *info);
/* From GET /networks: what is in the pool. */
void doctor_facts_networks(struct doctor_facts *f, const json_t *networks, const struct pool *pool);
/* From this host's /proc/net/route. */
void doctor_facts_routes(struct doctor_facts *f, const char *table, const struct pool *pool);
/* What the trial's program wrote, a JSON object. False when it isn't that. */
bool doctor_facts_seen(struct doctor_facts *f, enum doctor_trial t, const json_t *output);

/* ---- rows ------------------------------------------------------------------------------------ */

enum { DOCTOR_ROWS_MAX = 40 };
struct doctor_row {
    const char *id; /* static */
    enum doctor_state state;
    char *engine;  /* what the engine does */
    char *bottler; /* what bottler does */
};
struct doctor_rows {
    struct doctor_row rows[DOCTOR_ROWS_MAX];
    size_t len;
};
void doctor_rows_done(struct doctor_rows *r);
/* All texts are cleaned. */
void doctor_judge(const struct doctor_facts *f, struct doctor_rows *ret);
size_t doctor_count(const struct doctor_rows *r, enum doctor_state s);
/* {"kind":"DoctorReport", …} */
json_t *doctor_json(const struct doctor_facts *f, const struct doctor_rows *r);
void doctor_print(const struct doctor_facts *f, const struct doctor_rows *r, struct str *out);

/* DENIED naming every row that fails; NULL when bottler may run on this engine. */
struct err *doctor_refusal(const struct doctor_facts *f) ERR_NODISCARD;

#endif
