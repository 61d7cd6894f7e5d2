/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The typed objects of a manifest: what `spec/` makes of YAML, complete and valid. Every string is
 * UTF-8 without NUL; hosts are lower case; defaults are filled in. Everything hangs off the object
 * that owns it; bottle_free()/grant_free() free it all.
 */
#ifndef BOTTLER_SPEC_BOTTLE_H
#define BOTTLER_SPEC_BOTTLE_H

#include "spec/base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Where something was written. Lines and columns count from 1; 0 = unknown. */
struct src_pos {
    unsigned line;
    unsigned column;
};

struct kv {
    char *key;
    char *value;
};
struct kv_list { /* in byte order of the keys */
    struct kv *items;
    size_t len;
};

enum pull_policy { PULL_IF_NOT_PRESENT, PULL_ALWAYS, PULL_NEVER };
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
enum auth_scheme { AUTH_NONE, AUTH_BEARER, AUTH_TOKEN };
enum dlp_action { DLP_BLOCK, DLP_WARN };
enum update_when { UPDATE_NOW, UPDATE_IDLE, UPDATE_WINDOW };

/* One environment variable of the agent. */
struct env_var {
    char *name;
    char *value;  /* literal; NULL when it is a secret */
    char *secret; /* the reference NAME of a whole-value ${NAME}; NULL when literal */
};

/* A directory of the host, or a volume of the bottle: exactly one of source and volume is set. */
struct mount {
    char *source;
    char *volume;
    char *target;
    bool read_only;
    bool retain; /* volumes only: kept when the bottle goes */
};

/* A file placed into the agent: content or secret, never both. */
struct agent_file {
    char *path; /* absolute, clean */
    char *content;
    char *secret;
    mode_t mode; /* permission bits; 0644 by default */
};

struct resources {
    int64_t memory_bytes; /* default RESOURCES_MEMORY */
    int64_t nano_cpus;    /* 0 = no limit */
    int64_t pids;
};
#define RESOURCES_MEMORY (INT64_C(2) << 30)
#define RESOURCES_PIDS 512

/* When the agent may be replaced, for a change that needs it. */
struct update_spec {
    enum update_when when;
    int from_min; /* UPDATE_WINDOW: minutes of the day in UTC; from_min > to_min wraps midnight, */
    int to_min;   /* and the two are never equal. `to_min` itself is outside. */
    int64_t
        deadline_s; /* since the change was accepted, then it is done anyway; 0: waits for ever */
};

struct agent_spec {
    char *image;
    enum pull_policy pull_policy;
    bool has_command;
    struct str_list command; /* replaces the image's Cmd when has_command */
    char *user;              /* NULL: the image's */
    char *working_dir;       /* NULL: the image's */
    struct env_var *env;     /* in byte order of the names */
    size_t env_len;
    struct mount *mounts; /* in order of the manifest */
    size_t mounts_len;
    struct agent_file *files;
    size_t files_len;
    enum restart_policy restart;
    bool tty;
    char *runtime; /* "auto" or a runtime's name */
    struct resources resources;
    struct update_spec update;
};

enum path_match { PATH_EXACT, PATH_PREFIX };
struct path_rule {
    enum path_match type;
    char *value;
};
struct header_rule {
    char *name; /* lower case */
    char *value;
};
/* One entry of `matches`: what is given must all hold; entries are alternatives. */
struct match_rule {
    struct path_rule *paths;
    size_t paths_len;
    struct str_list methods;
    struct header_rule *headers;
    size_t headers_len;
};

struct route {
    char *host;
    struct str_list path_allowlist; /* empty: all paths */
    struct str_list methods;        /* upper case; empty: all methods */
    struct match_rule *matches;     /* instead of the two above */
    size_t matches_len;
    enum auth_scheme auth_scheme;
    char *token_ref; /* set exactly when auth_scheme isn't AUTH_NONE */
    bool tls_passthrough;
    struct str_list ssrf_ip_allowlist; /* canonical CIDRs */
    struct src_pos pos;
};

struct egress_spec {
    struct str_list presets;   /* known names, in order */
    struct str_list allowlist; /* hosts, in order */
    struct route *routes;      /* in order; hosts unique */
    size_t routes_len;
    enum dlp_action dlp_action;
    int log; /* 0, 1, 2 */
};

struct git_repo {
    char *name;
    char *url; /* ssh://… */
    char *host_key;
    char *identity; /* a secret reference */
};
struct git_gate_spec {
    char *user_name;
    char *user_email;
    struct git_repo *repos; /* in byte order of the names */
    size_t repos_len;
};

struct bottle {
    char *name;
    char *uid; /* metadata.uid, NULL when not given */
    struct kv_list labels;
    char *extends; /* already merged; kept for display */
    bool abstract;
    bool suspended;
    char *suspend_reason;  /* NULL when not given */
    int64_t suspend_until; /* Unix seconds, 0 = open end */
    bool preserve;         /* stopped and kept when its manifest goes */
    struct agent_spec agent;
    struct egress_spec egress;
    struct git_gate_spec git_gate;
    bool supervise;
    char *text; /* canonical JSON of its merged manifest: sorted keys, no `extends`; manifest_load()
                   takes it */
    char *file; /* path of the manifest it came from */
    char *revision;                 /* of the source; NULL: it has none */
    struct str_list ancestors;      /* what it extends, and what that extends, and so on */
    struct str_list ancestor_files; /* where each of them is */
    struct src_pos pos;
};

struct grant {
    char *name;
    char *bottle;
    char *host;
    struct str_list path_allowlist;
    struct str_list methods;
    char *reason;
    int64_t expires; /* Unix seconds */
    char *file;
    struct src_pos pos;
};

struct bottle *bottle_free(struct bottle *b);
struct grant *grant_free(struct grant *g);

#endif
