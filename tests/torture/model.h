/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Docker Engine in memory: the requests that a plan's execution makes, the three lists, and the
 * rules of the real one (reference: engine.md section 6) that an interrupted plan can run into.
 * The two proxies log what the real ones log. It also watches: the first thing that must never
 * happen is kept in `violation`.
 */
#ifndef BOTTLER_TESTS_TORTURE_MODEL_H
#define BOTTLER_TESTS_TORTURE_MODEL_H

#include "render/names.h"
#include "render/observed.h"
#include "spec/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define MODEL_INSTALLATION "inst-1"
enum { MODEL_ID = 64 };

struct model_file {
    char *path; /* without the leading slash */
    char *data;
    size_t n;
};
struct model_line {
    uint64_t ns;
    char *text;
};
struct model_endpoint {
    char *net_id, *net_name;
};
struct model_container {
    char id[MODEL_ID + 1];
    char *name;
    json_t *labels; /* shared, never changed */
    json_t *mounts;
    json_t *host; /* HostConfig, as inspecting it tells */
    char *user;
    json_t *cmd;
    char *image_id, *net_mode;
    enum run_state state;
    int exit_code;
    uint64_t finished_ns;
    unsigned starts;
    struct model_endpoint *ends;
    size_t ends_len;
    struct model_file *files;
    size_t files_len;
    struct model_line *lines;
    size_t lines_len;
    /* What a proxy's process runs; "" before it has loaded anything. */
    char hash[MODEL_ID + 1], generation[MODEL_ID + 1];
    size_t load_line; /* index of the line that told that first, in this run */
    unsigned up_in;   /* requests until it has loaded; 0: it has */
    bool told;        /* the controller has been sent that line since it started */
};
struct model_network {
    char id[MODEL_ID + 1];
    char *name, *subnet, *bridge;
    json_t *labels;
    bool internal;
    bool ipv6;
    bool guarded; /* the host takes nothing from it */
    json_t *options;
    uint64_t created_ns;
};
struct model_volume {
    char *name;
    json_t *labels;
};
struct model_image {
    char *ref, *id;
    bool present, pullable;
};
/* The policy that a bottle's proxies must have logged before its agent starts. */
struct model_expect {
    char *bottle;
    char *pipelock, *egress, *generation;
};

struct model {
    struct model_container **ctrs;
    size_t ctrs_len;
    struct model_network **nets;
    size_t nets_len;
    struct model_volume *vols;
    size_t vols_len;
    struct model_image *images;
    size_t images_len;
    struct model_expect *expects;
    size_t expects_len;
    int api_minor;
    uint64_t next_id;
    uint64_t now_ns; /* Unix time */
    unsigned mutations;
    /* Knobs. */
    bool pipelock_watches;  /* an upload reloads by itself, a signal after it then logs nothing */
    unsigned reject_reload; /* bits by role: a reload is refused, the old policy stays */
    unsigned mute;          /* bits by role: nothing is logged at start */
    bool no_roots;          /* the agent's image was said to have no trust store */
    unsigned slow;          /* requests until a started proxy is up */
    const char *hidden;     /* a subnet that is taken, though no list shows it */
    char *violation;
};

struct model_answer {
    int status;
    char *body;
    size_t body_n;
    struct str_list lines; /* of logs and pulls */
    size_t told_from;      /* logs: index of the first line given */
};
void model_answer_done(struct model_answer *a);

struct model *model_new(int api_minor);
struct model *model_clone(const struct model *m);
struct model *model_free(struct model *m);
void model_violate(struct model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void model_add_image(struct model *m, const char *ref, bool present, bool pullable);
/* The controller has ended: whatever it was told is forgotten. */
void model_forget_told(struct model *m);
void model_expect_policy(struct model *m, const char *bottle, const char *pipelock,
                         const char *egress, const char *generation);

/* One request. `ret` is overwritten. */
void model_request(struct model *m, const char *method, const char *path, struct sv body,
                   struct model_answer *ret);
/* `n` lines of a log that was asked for have reached the controller. */
void model_log_told(struct model *m, const char *path, const struct model_answer *a, size_t n);

/* The three lists, as bodies. */
char *model_list_containers(const struct model *m);
char *model_list_networks(const struct model *m);
char *model_list_volumes(const struct model *m);
/* Everything that isn't this installation's, as text, to compare. */
char *model_strangers(const struct model *m);
/* How many containers, networks and volumes carry this installation's label or a name that starts
 * with `prefix`. */
size_t model_count_ours(const struct model *m, const char *prefix);

struct model_container *model_find(const struct model *m, const char *name_or_id);
struct model_network *model_find_net(const struct model *m, const char *name_or_id);
struct model_volume *model_find_vol(const struct model *m, const char *name);
const struct model_file *model_file(const struct model_container *c, const char *path);
const char *model_label(const json_t *labels, const char *key);
bool model_ours(const json_t *labels);

/* What strangers and accidents do, past the API's checks. */
struct model_network *model_make_net(struct model *m, const char *name, const char *subnet,
                                     json_t *labels_take);
struct model_container *model_make_container(struct model *m, const char *name, json_t *labels_take,
                                             enum run_state state);
void model_make_volume(struct model *m, const char *name, json_t *labels_take);
void model_attach(struct model_container *c, const struct model_network *n);
void model_detach(struct model_container *c, const char *net_id);
void model_drop_container(struct model *m, struct model_container *c);
void model_drop_net(struct model *m, struct model_network *n);
void model_exit(struct model *m, struct model_container *c, int code);
/* As if somebody had made it with this in its HostConfig, or changed it. */
void model_set_host(struct model_container *c, const char *key, json_t *value_take);

/* model_proxy.c: what runs inside. */
void model_run(struct model *m, struct model_container *c);
void model_reload(struct model *m, struct model_container *c);
/* Time passes for what is starting; all of it for model_settle(). */
void model_tick(struct model *m);
void model_settle(struct model *m);
void model_log(struct model *m, struct model_container *c, const char *text);
/* Unpacks an archive into a container's files; false when it isn't one. */
bool model_unpack(struct model *m, struct model_container *c, struct sv tar);
/* Checks that a container of this installation may start now. */
void model_check_start(struct model *m, const struct model_container *c);

/* model_api.c */
void model_answer_set(struct model_answer *a, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
