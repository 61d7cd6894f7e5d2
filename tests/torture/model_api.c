/* SPDX-License-Identifier: Apache-2.0 */
/* The model's requests. */
#include "reconcile/clock.h"
#include "reconcile/pool.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "tests/torture/model_internal.h"

#include <inttypes.h>

void model_answer_done(struct model_answer *a)
{
    free(a->body);
    str_list_done(&a->lines);
    *a = (struct model_answer){0};
}

void model_answer_set(struct model_answer *a, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    free(a->body);
    a->body = xvasprintf(fmt, ap);
    va_end(ap);
    a->body_n = strlen(a->body);
    a->status = status;
}

void call_refuse(const struct call *c, int status, const char *message, const char *name)
{
    model_answer_set(c->a, status, "{\"message\":\"%s %s\"}", message, name);
}

void call_ok(const struct call *c)
{
    model_answer_set(c->a, 204, "%s", "");
}

static void decode(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        int64_t v = 0;
        if (*p == '%' && p[1] && p[2] && num_parse_base((struct sv){p + 1, 2}, 16, 255, &v)) {
            *to++ = (char)v;
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

void call_parse(struct call *c, const char *path)
{
    c->path = xstrdup(path);
    char *rest = strchr(c->path, '?');
    if (rest)
        *rest++ = '\0';
    decode(c->path);
    for (char *part; rest && (part = strsep(&rest, "&")) != NULL && c->query_len < QUERY_MAX;) {
        char *value = strchr(part, '=');
        if (value)
            *value++ = '\0';
        c->query[c->query_len].key = xstrdup(part);
        c->query[c->query_len].value = xstrdup(value ? value : "");
        decode(c->query[c->query_len++].value);
    }
}

const char *call_query(const struct call *c, const char *key)
{
    for (size_t i = 0; i < c->query_len; i++) {
        if (strcmp(c->query[i].key, key) == 0)
            return c->query[i].value;
    }
    return "";
}

void call_done(struct call *c)
{
    for (size_t i = 0; i < c->query_len; i++) {
        free(c->query[i].key);
        free(c->query[i].value);
    }
    free(c->path);
    json_decref(c->body);
}

const char *call_text(const struct call *c, const char *key)
{
    const char *s = json_string_value(json_object_get(c->body, key));
    return s ? s : "";
}

/* ---- images ---------------------------------------------------------------------------------- */

struct model_image *model_image(const struct model *m, const char *ref_or_id)
{
    for (size_t i = 0; i < m->images_len; i++) {
        if (strcmp(m->images[i].ref, ref_or_id) == 0 || strcmp(m->images[i].id, ref_or_id) == 0)
            return &m->images[i];
    }
    return NULL;
}

static void image_inspect(struct call *c, const char *ref)
{
    const struct model_image *i = model_image(c->m, ref);
    if (!i || !i->present)
        call_refuse(c, 404, "No such image:", ref);
    else
        model_answer_set(c->a, 200,
                         "{\"Id\":\"%s\",\"Architecture\":\"amd64\",\"Config\":{\"User\":"
                         "\"1000\",\"Cmd\":[\"/run\"]}}",
                         i->id);
}

static void image_pull(struct call *c)
{
    const char *from = call_query(c, "fromImage");
    const char *tag = call_query(c, "tag");
    AUTO_FREE char *by_tag = xasprintf("%s:%s", from, tag);
    AUTO_FREE char *by_digest = xasprintf("%s@%s", from, tag);
    struct model_image *i = model_image(c->m, by_tag);
    i = i ? i : model_image(c->m, by_digest);
    i = i ? i : model_image(c->m, from);
    model_answer_set(c->a, 200, "%s", "");
    str_list_add(&c->a->lines, "{\"status\":\"Pulling\"}");
    if (i && i->pullable)
        i->present = true;
    else
        str_list_add(&c->a->lines, "{\"errorDetail\":{\"message\":\"pull access denied\"},"
                                   "\"error\":\"pull access denied\"}");
}

/* ---- networks -------------------------------------------------------------------------------- */

bool model_runs(const struct model_container *k)
{
    return k->state == RUN_RUNNING || k->state == RUN_PAUSED;
}

bool model_is_on(const struct model_container *k, const char *net_id)
{
    for (size_t i = 0; i < k->ends_len; i++) {
        if (strcmp(k->ends[i].net_id, net_id) == 0)
            return true;
    }
    return false;
}

static bool overlaps(const char *a, const char *b)
{
    struct cidr x;
    struct cidr y;
    return cidr_parse(a, &x) && cidr_parse(b, &y) && cidr_overlap(x, y);
}

/* NULL, or what the engine says. */
static const char *net_create_problem(const struct model *m, const char *name, const char *subnet,
                                      const char *bridge, int *ret_status)
{
    for (size_t i = 0; i < m->nets_len; i++) {
        const struct model_network *n = m->nets[i];
        *ret_status = 409;
        if (strcmp(n->name, name) == 0)
            return "network with this name already exists:";
        *ret_status = 403;
        if (overlaps(n->subnet, subnet))
            return "Pool overlaps with other one on this address space";
        if (strcmp(n->bridge, bridge) == 0)
            return "networks have same bridge name";
    }
    *ret_status = 403;
    if (m->hidden && overlaps(m->hidden, subnet))
        return "invalid pool request: Pool overlaps with other one on this address space";
    return NULL;
}

static void net_create(struct call *c)
{
    json_t *labels = json_object_get(c->body, "Labels");
    const json_t *config =
        json_array_get(json_object_get(json_object_get(c->body, "IPAM"), "Config"), 0);
    const char *subnet = json_string_value(json_object_get(config, "Subnet"));
    const char *bridge = json_string_value(
        json_object_get(json_object_get(c->body, "Options"), "com.docker.network.bridge.name"));
    int status = 0;
    if (!subnet || !bridge || !model_ours(labels)) {
        model_violate(c->m, "a network is made without subnet, bridge name or labels");
        return;
    }
    const char *problem = net_create_problem(c->m, call_text(c, "Name"), subnet, bridge, &status);
    if (problem) {
        call_refuse(c, status, problem, "");
        return;
    }
    struct model_network *n =
        model_make_net(c->m, call_text(c, "Name"), subnet, json_incref(labels));
    free(n->bridge);
    n->bridge = xstrdup(bridge);
    n->internal = json_is_true(json_object_get(c->body, "Internal"));
    n->ipv6 = json_is_true(json_object_get(c->body, "EnableIPv6"));
    n->options = json_incref(json_object_get(c->body, "Options"));
    model_answer_set(c->a, 201, "{\"Id\":\"%s\",\"Warning\":\"\"}", n->id);
}

static void net_connect(struct call *c, const struct model_network *n)
{
    struct model_container *k = model_find(c->m, call_text(c, "Container"));
    if (!k) {
        call_refuse(c, 404, "No such container:", call_text(c, "Container"));
    } else if (model_is_on(k, n->id) && model_runs(k)) {
        model_answer_set(c->a, 403,
                         "{\"message\":\"endpoint with name %s already exists in network %s\"}",
                         k->name, n->name);
    } else {
        if (!model_ours(k->labels) || !model_ours(n->labels))
            model_violate(c->m, "stranger %s is connected to %s", k->name, n->name);
        if (model_runs(k) && !n->guarded &&
            strcmp(model_label(k->labels, LABEL_ROLE), "agent") == 0)
            model_violate(c->m, "%s is connected where the host listens", k->name);
        model_attach(k, n);
        model_answer_set(c->a, 200, "%s", "");
    }
}

static void net_disconnect(struct call *c, const struct model_network *n)
{
    struct model_container *k = model_find(c->m, call_text(c, "Container"));
    if (!k || !model_is_on(k, n->id)) {
        model_answer_set(c->a, 500, "{\"message\":\"container %s is not connected to network %s\"}",
                         call_text(c, "Container"), n->name);
        return;
    }
    if (!model_ours(k->labels) && !model_ours(n->labels))
        model_violate(c->m, "stranger %s is disconnected from %s", k->name, n->name);
    model_detach(k, n->id);
    model_answer_set(c->a, 200, "%s", "");
}

static void net_remove(struct call *c, struct model_network *n)
{
    for (size_t i = 0; i < c->m->ctrs_len; i++) {
        if (model_runs(c->m->ctrs[i]) && model_is_on(c->m->ctrs[i], n->id)) {
            call_refuse(c, 403, "error while removing network: has active endpoints", n->name);
            return;
        }
    }
    if (!model_ours(n->labels))
        model_violate(c->m, "stranger network %s is removed", n->name);
    model_drop_net(c->m, n);
    call_ok(c);
}

static void net_inspect(struct call *c, const struct model_network *n)
{
    json_t *members = XNN(json_object());
    for (size_t i = 0; i < c->m->ctrs_len; i++) {
        const struct model_container *k = c->m->ctrs[i];
        if (model_runs(k) && model_is_on(k, n->id))
            json_object_set_new(members, k->id, XNN(json_pack("{s:s}", "Name", k->name)));
    }
    json_t *v = XNN(json_pack("{s:s, s:o}", "Id", n->id, "Containers", members));
    AUTO_FREE char *text = XNN(json_dumps(v, JSON_COMPACT));
    json_decref(v);
    model_answer_set(c->a, 200, "%s", text);
}

static void call_network(struct call *c, char *rest)
{
    if (strcmp(rest, "create") == 0) {
        net_create(c);
        return;
    }
    char *verb = strchr(rest, '/');
    if (verb)
        *verb++ = '\0';
    struct model_network *n = model_find_net(c->m, rest);
    if (!n)
        call_refuse(c, 404, "no such network:", rest);
    else if (verb && strcmp(verb, "connect") == 0)
        net_connect(c, n);
    else if (verb && strcmp(verb, "disconnect") == 0)
        net_disconnect(c, n);
    else if (strcmp(c->method, "DELETE") == 0)
        net_remove(c, n);
    else
        net_inspect(c, n);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static bool volume_used(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->ctrs_len; i++) {
        size_t k = 0;
        const json_t *mount = NULL;
        json_array_foreach(m->ctrs[i]->mounts, k, mount)
        {
            if (strcmp(model_label(mount, "Type"), "volume") == 0 &&
                strcmp(model_label(mount, "Source"), name) == 0)
                return true;
        }
    }
    return false;
}

static void call_volume(struct call *c, const char *rest)
{
    if (strcmp(rest, "create") == 0) {
        const char *name = call_text(c, "Name");
        if (!model_find_vol(c->m, name))
            model_make_volume(c->m, name, json_incref(json_object_get(c->body, "Labels")));
        const struct model_volume *v = model_find_vol(c->m, name);
        AUTO_FREE char *labels =
            v && v->labels ? XNN(json_dumps(v->labels, JSON_COMPACT)) : xstrdup("null");
        model_answer_set(c->a, 201, "{\"Name\":\"%s\",\"Driver\":\"local\",\"Labels\":%s}", name,
                         labels);
        return;
    }
    struct model_volume *v = model_find_vol(c->m, rest);
    if (!v) {
        call_refuse(c, 404, "no such volume", rest);
    } else if (volume_used(c->m, rest)) {
        call_refuse(c, 409, "volume is in use", rest);
    } else {
        if (!model_ours(v->labels))
            model_violate(c->m, "stranger volume %s is removed", rest);
        free(v->name);
        json_decref(v->labels);
        *v = c->m->vols[--c->m->vols_len];
        call_ok(c);
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

static void engine_info(struct call *c)
{
    int64_t s = (int64_t)(c->m->now_ns / MODEL_S);
    char at[CLOCK_TEXT];
    clock_format(s, at);
    at[strlen(at) - 1] = '\0';
    model_answer_set(c->a, 200, "{\"SystemTime\":\"%s.%09" PRIu64 "Z\"}", at,
                     c->m->now_ns % MODEL_S);
}

static void dispatch(struct call *c)
{
    char *p = c->path;
    size_t n = strlen(p);
    if (strncmp(p, "/containers/", 12) == 0) {
        call_container(c, p + 12);
    } else if (strncmp(p, "/networks/", 10) == 0) {
        call_network(c, p + 10);
    } else if (strncmp(p, "/volumes/", 9) == 0) {
        call_volume(c, p + 9);
    } else if (strcmp(p, "/images/create") == 0) {
        image_pull(c);
    } else if (strncmp(p, "/images/", 8) == 0 && n > 13 && strcmp(p + n - 5, "/json") == 0) {
        p[n - 5] = '\0';
        image_inspect(c, p + 8);
    } else if (strcmp(p, "/info") == 0) {
        engine_info(c);
    } else {
        model_violate(c->m, "a request that the engine doesn't know: %s %s", c->method, p);
    }
}

void model_request(struct model *m, const char *method, const char *path, struct sv body,
                   struct model_answer *ret)
{
    *ret = (struct model_answer){.status = 500};
    struct call c = {.m = m, .method = method, .raw = body, .a = ret};
    call_parse(&c, path);
    bool tar = strcmp(method, "PUT") == 0;
    if (body.n && !tar) {
        c.body = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
        if (!c.body)
            model_violate(m, "%s %s: the body isn't JSON", method, path);
    }
    m->now_ns += MODEL_MS;
    model_tick(m);
    m->mutations += strcmp(method, "GET") != 0;
    model_check_open(&c);
    dispatch(&c);
    call_done(&c);
}
