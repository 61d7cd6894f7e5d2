/* SPDX-License-Identifier: Apache-2.0 */
/* The model's requests that concern containers. */
#include "reconcile/clock.h"
#include "render/files.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "tests/torture/model_internal.h"

#include <inttypes.h>

/* ---- containers ------------------------------------------------------------------------------ */

static void make_mounts(struct call *c, struct model_container *k)
{
    size_t i = 0;
    const json_t *mount = NULL;
    k->mounts = json_incref(json_object_get(json_object_get(c->body, "HostConfig"), "Mounts"));
    json_array_foreach(k->mounts, i, mount)
    {
        const char *source = model_label(mount, "Source");
        if (strcmp(model_label(mount, "Type"), "volume") == 0 && !model_find_vol(c->m, source))
            model_make_volume(c->m, source, json_object()); /* as the engine does: no labels */
    }
}

static void container_create(struct call *c)
{
    const char *name = call_query(c, "name");
    const struct model_image *image = model_image(c->m, call_text(c, "Image"));
    json_t *labels = json_object_get(c->body, "Labels");
    json_t *nets = json_object_get(json_object_get(c->body, "NetworkingConfig"), "EndpointsConfig");
    const char *mode =
        json_string_value(json_object_get(json_object_get(c->body, "HostConfig"), "NetworkMode"));
    bool guard = strcmp(model_label(labels, LABEL_ROLE), GUARD_ROLE) == 0;
    bool placed = mode && (guard ? strcmp(mode, "host") == 0 : json_object_get(nets, mode) != NULL);
    if (!model_ours(labels) || !placed) {
        model_violate(c->m, "container %s is made without labels or network", name);
        return;
    }
    if (!image || !image->present) {
        call_refuse(c, 404, "No such image:", call_text(c, "Image"));
    } else if (model_find(c->m, name)) {
        call_refuse(c, 409, "Conflict. The container name is already in use:", name);
    } else if (json_object_size(nets) > 1 && c->m->api_minor < MULTI_ENDPOINT_API) {
        call_refuse(c, 400, "Container cannot be connected to network endpoints:", "");
    } else {
        struct model_container *k =
            model_make_container(c->m, name, json_incref(labels), RUN_CREATED);
        free(k->image_id);
        k->image_id = xstrdup(image->id);
        k->net_mode = xstrdup(mode);
        k->user = xstrdup_null(json_string_value(json_object_get(c->body, "User")));
        k->host = json_incref(json_object_get(c->body, "HostConfig"));
        k->cmd = json_incref(json_object_get(c->body, "Cmd"));
        make_mounts(c, k);
        const char *id = NULL;
        json_t *v = NULL;
        json_object_foreach(nets, id, v)
        {
            const struct model_network *n = model_find_net(c->m, id);
            /* The engine takes the name of a network that isn't there, and fails at the start. */
            struct model_network gone = {.name = (char[]){"gone"}};
            (void)snprintf(gone.id, sizeof(gone.id), "%s", id);
            model_attach(k, n ? n : &gone);
        }
        model_answer_set(c->a, 201, "{\"Id\":\"%s\",\"Warnings\":[]}", k->id);
    }
}

/* At once, with its program or without. */
static void guard_run(struct model *m, struct model_container *k)
{
    bool can = model_file(k, "bottler-guard") != NULL;
    for (size_t i = 0; can && i < m->nets_len; i++) {
        size_t at = 0;
        const json_t *bridge = NULL;
        json_array_foreach(k->cmd, at, bridge)
        {
            if (strcmp(m->nets[i]->bridge, json_string_value(bridge)) == 0)
                m->nets[i]->guarded = true;
        }
    }
    model_exit(m, k, can ? 0 : 127);
}

static void container_start(struct call *c, struct model_container *k)
{
    if (k->state == RUN_RUNNING) {
        model_answer_set(c->a, 304, "%s", "");
        return;
    }
    if (k->state != RUN_CREATED && k->state != RUN_EXITED) {
        call_refuse(c, 409, "cannot start container in this state:", k->name);
        return;
    }
    for (size_t i = 0; i < k->ends_len; i++) {
        if (!model_find_net(c->m, k->ends[i].net_id)) {
            call_refuse(c, 404, "network not found:", k->ends[i].net_id);
            return;
        }
    }
    if (strcmp(model_label(k->labels, LABEL_ROLE), GUARD_ROLE) == 0) {
        guard_run(c->m, k);
    } else {
        model_check_start(c->m, k);
        model_run(c->m, k);
    }
    call_ok(c);
}

/* What runs has ended by then: time isn't waited for here. */
static void container_wait(struct call *c, const struct model_container *k)
{
    model_answer_set(c->a, 200, "{\"StatusCode\":%d}", k->exit_code);
}

static void container_kill(struct call *c, struct model_container *k)
{
    if (k->state != RUN_RUNNING) {
        call_refuse(c, 409, "container is not running:", k->name);
        return;
    }
    const struct model_file *f = model_file(k, "etc/bottler/pipelock.yaml");
    if (!f || !c->m->pipelock_watches || k->up_in)
        model_reload(c->m, k);
    call_ok(c);
}

static void container_rename(struct call *c, struct model_container *k)
{
    const char *name = call_query(c, "name");
    if (model_find(c->m, name)) {
        call_refuse(c, 409, "Conflict. The container name is already in use:", name);
        return;
    }
    free(k->name);
    k->name = xstrdup(name);
    call_ok(c);
}

/* The images of the newer engine bring a trust store of their own. */
static void send_roots(struct call *c)
{
    static const char path[] = "/etc/ssl/certs/ca-certificates.crt";
    if (c->m->api_minor < MULTI_ENDPOINT_API || strcmp(call_query(c, "path"), path) != 0) {
        call_refuse(c, 404, "Could not find the file", call_query(c, "path"));
        return;
    }
    struct file_list l = {0};
    file_list_add(&l, "/ca-certificates.crt", 0, 0, 0644, sv_of(MODEL_ROOTS));
    err_ignore(tar_write(&l, false, &c->a->body, &c->a->body_n), "nothing in it can fail");
    file_list_done(&l);
    c->a->status = 200;
}

static void container_archive(struct call *c, struct model_container *k)
{
    if (strcmp(c->method, "GET") == 0) {
        send_roots(c);
        return;
    }
    if (strcmp(call_query(c, "path"), "/") != 0 || !model_unpack(c->m, k, c->raw)) {
        model_violate(c->m, "an upload to %s that is no archive for /", k->name);
        return;
    }
    if (k->state == RUN_RUNNING && !k->up_in && c->m->pipelock_watches &&
        model_file(k, "etc/bottler/pipelock.yaml"))
        model_reload(c->m, k);
    model_answer_set(c->a, 200, "%s", "");
}

/* "1795000000.000000000" */
static uint64_t since_ns(const char *text)
{
    int64_t s = 0;
    int64_t ns = 0;
    const char *dot = strchr(text, '.');
    size_t n = dot ? (size_t)(dot - text) : strlen(text);
    if (!num_parse((struct sv){text, n}, 0, INT64_MAX / 1000000000, &s))
        return 0;
    if (dot && !num_parse_base(sv_of(dot + 1), 10, 999999999, &ns))
        return 0;
    return (uint64_t)s * MODEL_S + (uint64_t)ns;
}

static void container_logs(struct call *c, const struct model_container *k)
{
    uint64_t since = since_ns(call_query(c, "since"));
    model_answer_set(c->a, 200, "%s", "");
    c->a->told_from = k->lines_len;
    for (size_t i = 0; i < k->lines_len; i++) {
        if (k->lines[i].ns < since)
            continue;
        if (!c->a->lines.len)
            c->a->told_from = i;
        str_list_add(&c->a->lines, k->lines[i].text);
    }
}

void model_log_told(struct model *m, const char *path, const struct model_answer *a, size_t n)
{
    struct call c = {.m = m};
    call_parse(&c, path);
    char *id = c.path + strlen("/containers/");
    id[strcspn(id, "/")] = '\0';
    struct model_container *k = model_find(m, id);
    for (size_t i = a->told_from; k && k->hash[0] && i < a->told_from + n; i++) {
        const char *text = a->lines.items[i - a->told_from];
        bool ends_load = strstr(text, "\"config_hash\"") || strstr(text, "\"canary\"");
        k->told = k->told || (i >= k->load_line && ends_load);
    }
    call_done(&c);
}

static void container_remove(struct call *c, struct model_container *k)
{
    if (strcmp(call_query(c, "force"), "1") != 0 && model_runs(k)) {
        call_refuse(c, 409, "cannot remove a running container", k->name);
    } else if (k->state == RUN_REMOVING) {
        call_refuse(c, 409, "removal of container is already in progress:", k->name);
    } else {
        model_drop_container(c->m, k);
        call_ok(c);
    }
}

static void container_stop(struct call *c, struct model_container *k)
{
    if (!model_runs(k)) {
        model_answer_set(c->a, 304, "%s", "");
        return;
    }
    model_exit(c->m, k, 137);
    call_ok(c);
}

static void container_unpause(struct call *c, struct model_container *k)
{
    if (k->state != RUN_PAUSED) {
        call_refuse(c, 500, "Container is not paused:", k->name);
        return;
    }
    k->state = RUN_RUNNING;
    call_ok(c);
}

static void container_pause(struct call *c, struct model_container *k)
{
    if (k->state != RUN_RUNNING) {
        call_refuse(c, 409,
                    k->state == RUN_PAUSED ? "Container is already paused:"
                                           : "Container is not running:",
                    k->name);
        return;
    }
    k->state = RUN_PAUSED;
    call_ok(c);
}

static void container_update(struct call *c, struct model_container *k)
{
    const char *key = NULL;
    json_t *v = NULL;
    json_object_foreach(c->body, key, v)
    {
        if (!json_is_integer(v) || json_integer_value(v)) /* a zero changes nothing */
            model_set_host(k, key, json_incref(v));
    }
    model_answer_set(c->a, 200, "{\"Warnings\":[]}");
}

/* What an engine adds to what it was asked for. */
static json_t *host_json(const struct model_container *k)
{
    json_t *host = k->host ? XNN(json_deep_copy(k->host)) : XNN(json_object());
    json_t *more = XNN(json_pack("{s:[s], s:[s], s:s, s:s, s:n, s:b, s:s}", "MaskedPaths",
                                 "/proc/kcore", "ReadonlyPaths", "/proc/sys", "IpcMode", "private",
                                 "PidMode", "", "CapAdd", "Privileged", 0, "Runtime", "runc"));
    (void)json_object_update_missing_new(host, more);
    return host;
}

static void container_inspect(struct call *c, const struct model_container *k)
{
    char at[CLOCK_TEXT];
    clock_format((int64_t)(k->finished_ns / MODEL_S), at);
    at[strlen(at) - 1] = '\0';
    AUTO_FREE char *finished = k->finished_ns
                                   ? xasprintf("%s.%09" PRIu64 "Z", at, k->finished_ns % MODEL_S)
                                   : xstrdup("0001-01-01T00:00:00Z");
    json_t *v =
        XNN(json_pack("{s:{s:s}, s:o, s:{s:s?, s:O}}", "State", "FinishedAt", finished,
                      "HostConfig", host_json(k), "Config", "User", k->user, "Labels", k->labels));
    AUTO_FREE char *text = XNN(json_dumps(v, JSON_COMPACT));
    json_decref(v);
    model_answer_set(c->a, 200, "%s", text);
}

static void container_verb(struct call *c, struct model_container *k, const char *verb)
{
    if (strcmp(verb, "json") == 0)
        container_inspect(c, k);
    else if (strcmp(verb, "logs") == 0)
        container_logs(c, k);
    else if (strcmp(verb, "archive") == 0)
        container_archive(c, k);
    else if (strcmp(verb, "start") == 0)
        container_start(c, k);
    else if (strcmp(verb, "stop") == 0)
        container_stop(c, k);
    else if (strcmp(verb, "kill") == 0)
        container_kill(c, k);
    else if (strcmp(verb, "wait") == 0)
        container_wait(c, k);
    else if (strcmp(verb, "pause") == 0)
        container_pause(c, k);
    else if (strcmp(verb, "update") == 0)
        container_update(c, k);
    else if (strcmp(verb, "unpause") == 0)
        container_unpause(c, k);
    else if (strcmp(verb, "rename") == 0)
        container_rename(c, k);
    else if (!*verb && strcmp(c->method, "DELETE") == 0)
        container_remove(c, k);
    else
        model_violate(c->m, "a request that the engine doesn't know: %s %s", c->method, c->path);
}

void call_container(struct call *c, char *rest)
{
    if (strcmp(rest, "create") == 0) {
        container_create(c);
        return;
    }
    char *verb = strchr(rest, '/');
    if (verb)
        *verb++ = '\0';
    struct model_container *k = model_find(c->m, rest);
    if (!k) {
        call_refuse(c, 404, "No such container:", rest);
        return;
    }
    if (strcmp(c->method, "GET") != 0 && !model_ours(k->labels))
        model_violate(c->m, "stranger %s is changed: %s %s", k->name, c->method, verb ? verb : "");
    container_verb(c, k, verb ? verb : "");
}
