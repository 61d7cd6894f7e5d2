/* SPDX-License-Identifier: Apache-2.0 */
/* The model's objects. */
#include "tests/torture/model.h"

#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <stdarg.h>

enum { LINE_MAX_BYTES = 4096 };

/* ---- containers ------------------------------------------------------------------------------ */

static void ends_done(struct model_container *c)
{
    for (size_t i = 0; i < c->ends_len; i++) {
        free(c->ends[i].net_id);
        free(c->ends[i].net_name);
    }
    free(c->ends);
    c->ends = NULL;
    c->ends_len = 0;
}

static struct model_container *container_free(struct model_container *c)
{
    ends_done(c);
    for (size_t i = 0; i < c->files_len; i++) {
        free(c->files[i].path);
        free(c->files[i].data);
    }
    for (size_t i = 0; i < c->lines_len; i++)
        free(c->lines[i].text);
    free(c->files);
    free(c->lines);
    free(c->name);
    free(c->image_id);
    free(c->net_mode);
    json_decref(c->labels);
    json_decref(c->mounts);
    json_decref(c->host);
    json_decref(c->cmd);
    free(c->user);
    free(c);
    return NULL;
}

static struct model_container *container_clone(const struct model_container *c)
{
    struct model_container *d = xmalloc(sizeof(*d));
    *d = *c;
    d->name = xstrdup(c->name);
    d->image_id = xstrdup_null(c->image_id);
    d->net_mode = xstrdup_null(c->net_mode);
    json_incref(c->labels);
    json_incref(c->mounts);
    json_incref(c->host);
    json_incref(c->cmd);
    d->user = xstrdup_null(c->user);
    d->ends = xcalloc(c->ends_len + 1, sizeof(*d->ends));
    for (size_t i = 0; i < c->ends_len; i++)
        d->ends[i] =
            (struct model_endpoint){xstrdup(c->ends[i].net_id), xstrdup(c->ends[i].net_name)};
    d->files = xcalloc(c->files_len + 1, sizeof(*d->files));
    for (size_t i = 0; i < c->files_len; i++)
        d->files[i] = (struct model_file){xstrdup(c->files[i].path),
                                          xmemdup0(c->files[i].data, c->files[i].n), c->files[i].n};
    d->lines = xcalloc(c->lines_len + 1, sizeof(*d->lines));
    for (size_t i = 0; i < c->lines_len; i++)
        d->lines[i] = (struct model_line){c->lines[i].ns, xstrdup(c->lines[i].text)};
    return d;
}

struct model_container *model_find(const struct model *m, const char *name_or_id)
{
    for (size_t i = 0; i < m->ctrs_len; i++) {
        if (strcmp(m->ctrs[i]->id, name_or_id) == 0 || strcmp(m->ctrs[i]->name, name_or_id) == 0)
            return m->ctrs[i];
    }
    return NULL;
}

static void make_id(struct model *m, char ret[MODEL_ID + 1])
{
    (void)snprintf(ret, MODEL_ID + 1, "%064" PRIx64, ++m->next_id * UINT64_C(0x9e3779b97f4a7c15));
}

struct model_container *model_make_container(struct model *m, const char *name, json_t *labels_take,
                                             enum run_state state)
{
    struct model_container *c = xcalloc(1, sizeof(*c));
    make_id(m, c->id);
    c->name = xstrdup(name);
    c->labels = labels_take;
    c->state = state;
    c->image_id = xstrdup("sha256:0");
    m->ctrs = xreallocarray(m->ctrs, m->ctrs_len + 1, sizeof(struct model_container *));
    m->ctrs[m->ctrs_len++] = c;
    return c;
}

void model_drop_container(struct model *m, struct model_container *c)
{
    for (size_t i = 0; i < m->ctrs_len; i++) {
        if (m->ctrs[i] != c)
            continue;
        m->ctrs_len--;
        memmove(&m->ctrs[i], &m->ctrs[i + 1], (m->ctrs_len - i) * sizeof(*m->ctrs));
        container_free(c);
        return;
    }
}

void model_exit(struct model *m, struct model_container *c, int code)
{
    c->finished_ns = m->now_ns;
    c->state = RUN_EXITED;
    c->exit_code = code;
    c->up_in = 0;
    c->hash[0] = '\0';
    c->generation[0] = '\0';
    c->told = false;
}

void model_set_host(struct model_container *c, const char *key, json_t *value_take)
{
    json_t *host = c->host ? XNN(json_deep_copy(c->host)) : XNN(json_object());
    json_decref(c->host); /* clones share it */
    c->host = host;
    if (json_object_set_new(host, key, XNN(value_take)) != 0)
        xoom();
}

/* The entry of the same name is overwritten, as the engine does. */
void model_attach(struct model_container *c, const struct model_network *n)
{
    for (size_t i = 0; i < c->ends_len; i++) {
        if (strcmp(c->ends[i].net_name, n->name) != 0)
            continue;
        free(c->ends[i].net_id);
        c->ends[i].net_id = xstrdup(n->id);
        return;
    }
    c->ends = xreallocarray(c->ends, c->ends_len + 1, sizeof(*c->ends));
    c->ends[c->ends_len++] = (struct model_endpoint){xstrdup(n->id), xstrdup(n->name)};
}

void model_detach(struct model_container *c, const char *net_id)
{
    for (size_t i = 0; i < c->ends_len; i++) {
        if (strcmp(c->ends[i].net_id, net_id) != 0)
            continue;
        free(c->ends[i].net_id);
        free(c->ends[i].net_name);
        c->ends[i] = c->ends[--c->ends_len];
        return;
    }
}

const struct model_file *model_file(const struct model_container *c, const char *path)
{
    for (size_t i = 0; i < c->files_len; i++) {
        if (strcmp(c->files[i].path, path) == 0)
            return &c->files[i];
    }
    return NULL;
}

/* ---- networks, volumes, images --------------------------------------------------------------- */

struct model_network *model_find_net(const struct model *m, const char *name_or_id)
{
    for (size_t i = 0; i < m->nets_len; i++) {
        if (strcmp(m->nets[i]->id, name_or_id) == 0 || strcmp(m->nets[i]->name, name_or_id) == 0)
            return m->nets[i];
    }
    return NULL;
}

struct model_network *model_make_net(struct model *m, const char *name, const char *subnet,
                                     json_t *labels_take)
{
    struct model_network *n = xcalloc(1, sizeof(*n));
    make_id(m, n->id);
    n->name = xstrdup(name);
    n->subnet = xstrdup(subnet);
    n->bridge = xstrdup("");
    n->labels = labels_take;
    n->created_ns = m->now_ns;
    m->nets = xreallocarray(m->nets, m->nets_len + 1, sizeof(struct model_network *));
    m->nets[m->nets_len++] = n;
    return n;
}

static void net_free(struct model_network *n)
{
    free(n->name);
    free(n->subnet);
    free(n->bridge);
    json_decref(n->labels);
    json_decref(n->options);
    free(n);
}

void model_drop_net(struct model *m, struct model_network *n)
{
    for (size_t i = 0; i < m->nets_len; i++) {
        if (m->nets[i] != n)
            continue;
        m->nets_len--;
        memmove(&m->nets[i], &m->nets[i + 1], (m->nets_len - i) * sizeof(*m->nets));
        net_free(n);
        return;
    }
}

struct model_volume *model_find_vol(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->vols_len; i++) {
        if (strcmp(m->vols[i].name, name) == 0)
            return &m->vols[i];
    }
    return NULL;
}

void model_make_volume(struct model *m, const char *name, json_t *labels_take)
{
    m->vols = xreallocarray(m->vols, m->vols_len + 1, sizeof(*m->vols));
    m->vols[m->vols_len++] = (struct model_volume){xstrdup(name), labels_take};
}

void model_add_image(struct model *m, const char *ref, bool present, bool pullable)
{
    m->images = xreallocarray(m->images, m->images_len + 1, sizeof(*m->images));
    char id[MODEL_ID + 1];
    make_id(m, id);
    m->images[m->images_len++] =
        (struct model_image){xstrdup(ref), xasprintf("sha256:%s", id), present, pullable};
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct model *model_new(int api_minor)
{
    struct model *m = xcalloc(1, sizeof(*m));
    m->api_minor = api_minor;
    m->now_ns = UINT64_C(1795000000) * UINT64_C(1000000000);
    return m;
}

struct model *model_clone(const struct model *m)
{
    struct model *d = xmalloc(sizeof(*d));
    *d = *m;
    d->ctrs = xcalloc(m->ctrs_len + 1, sizeof(struct model_container *));
    for (size_t i = 0; i < m->ctrs_len; i++)
        d->ctrs[i] = container_clone(m->ctrs[i]);
    d->nets = xcalloc(m->nets_len + 1, sizeof(struct model_network *));
    for (size_t i = 0; i < m->nets_len; i++) {
        d->nets[i] = xmalloc(sizeof(*d->nets[i]));
        *d->nets[i] = *m->nets[i];
        d->nets[i]->name = xstrdup(m->nets[i]->name);
        d->nets[i]->subnet = xstrdup(m->nets[i]->subnet);
        d->nets[i]->bridge = xstrdup(m->nets[i]->bridge);
        json_incref(d->nets[i]->labels);
        json_incref(d->nets[i]->options);
    }
    d->vols = NULL;
    d->vols_len = 0;
    for (size_t i = 0; i < m->vols_len; i++)
        model_make_volume(d, m->vols[i].name, json_incref(m->vols[i].labels));
    d->images = xcalloc(m->images_len + 1, sizeof(*d->images));
    for (size_t i = 0; i < m->images_len; i++) {
        d->images[i] = m->images[i];
        d->images[i].ref = xstrdup(m->images[i].ref);
        d->images[i].id = xstrdup(m->images[i].id);
    }
    d->expects = NULL;
    d->expects_len = 0;
    for (size_t i = 0; i < m->expects_len; i++)
        model_expect_policy(d, m->expects[i].bottle, m->expects[i].pipelock, m->expects[i].egress,
                            m->expects[i].generation);
    d->violation = xstrdup_null(m->violation);
    return d;
}

static void expect_done(struct model_expect *e)
{
    free(e->bottle);
    free(e->pipelock);
    free(e->egress);
    free(e->generation);
}

struct model *model_free(struct model *m)
{
    if (!m)
        return NULL;
    for (size_t i = 0; i < m->ctrs_len; i++)
        container_free(m->ctrs[i]);
    for (size_t i = 0; i < m->nets_len; i++)
        net_free(m->nets[i]);
    for (size_t i = 0; i < m->vols_len; i++) {
        free(m->vols[i].name);
        json_decref(m->vols[i].labels);
    }
    for (size_t i = 0; i < m->images_len; i++) {
        free(m->images[i].ref);
        free(m->images[i].id);
    }
    for (size_t i = 0; i < m->expects_len; i++)
        expect_done(&m->expects[i]);
    free(m->ctrs);
    free(m->nets);
    free(m->vols);
    free(m->images);
    free(m->expects);
    free(m->violation);
    free(m);
    return NULL;
}

void model_violate(struct model *m, const char *fmt, ...)
{
    if (m->violation)
        return;
    va_list ap;
    va_start(ap, fmt);
    m->violation = xvasprintf(fmt, ap);
    va_end(ap);
}

void model_forget_told(struct model *m)
{
    for (size_t i = 0; i < m->ctrs_len; i++)
        m->ctrs[i]->told = false;
}

void model_expect_policy(struct model *m, const char *bottle, const char *pipelock,
                         const char *egress, const char *generation)
{
    struct model_expect *e = NULL;
    for (size_t i = 0; i < m->expects_len; i++) {
        if (strcmp(m->expects[i].bottle, bottle) == 0)
            e = &m->expects[i];
    }
    if (e) {
        expect_done(e);
    } else {
        m->expects = xreallocarray(m->expects, m->expects_len + 1, sizeof(*m->expects));
        e = &m->expects[m->expects_len++];
    }
    *e = (struct model_expect){xstrdup(bottle), xstrdup(pipelock), xstrdup(egress),
                               xstrdup(generation)};
}

const char *model_label(const json_t *labels, const char *key)
{
    const char *v = json_string_value(json_object_get(labels, key));
    return v ? v : "";
}

bool model_ours(const json_t *labels)
{
    return strcmp(model_label(labels, LABEL_INSTALLATION), MODEL_INSTALLATION) == 0;
}

static bool counts(const json_t *labels, const char *name, const char *prefix)
{
    return model_ours(labels) || strncmp(name, prefix, strlen(prefix)) == 0;
}

size_t model_count_ours(const struct model *m, const char *prefix)
{
    size_t n = 0;
    for (size_t i = 0; i < m->ctrs_len; i++)
        n += counts(m->ctrs[i]->labels, m->ctrs[i]->name, prefix);
    for (size_t i = 0; i < m->nets_len; i++)
        n += counts(m->nets[i]->labels, m->nets[i]->name, prefix);
    for (size_t i = 0; i < m->vols_len; i++)
        n += counts(m->vols[i].labels, m->vols[i].name, prefix);
    return n;
}

/* Where a stranger is, but for our own networks: it may be sent off those when they go. */
static void add_ends(struct str *s, const struct model *m, const struct model_container *c)
{
    for (size_t i = 0; i < c->ends_len; i++) {
        const struct model_network *n = model_find_net(m, c->ends[i].net_id);
        if (n && !model_ours(n->labels))
            str_addf(s, " %s", n->id);
    }
}

char *model_strangers(const struct model *m)
{
    struct str s;
    str_init(&s, 1 << 20);
    for (size_t i = 0; i < m->ctrs_len; i++) {
        const struct model_container *c = m->ctrs[i];
        if (model_ours(c->labels))
            continue;
        str_addf(&s, "container %s %s %s starts=%u files=%zu", c->name, c->id,
                 run_state_name(c->state), c->starts, c->files_len);
        add_ends(&s, m, c);
        str_addc(&s, '\n');
    }
    for (size_t i = 0; i < m->nets_len; i++) {
        const struct model_network *n = m->nets[i];
        if (!model_ours(n->labels))
            str_addf(&s, "network %s %s %s\n", n->name, n->id, n->subnet);
    }
    for (size_t i = 0; i < m->vols_len; i++) {
        if (!model_ours(m->vols[i].labels))
            str_addf(&s, "volume %s\n", m->vols[i].name);
    }
    char *text = XNN(str_take(&s));
    return text;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* An engine of 20.10 names no network id before the first start. */
static json_t *endpoints_json(const struct model *m, const struct model_container *c)
{
    json_t *o = XNN(json_object());
    bool known = c->starts || m->api_minor >= 44;
    for (size_t i = 0; i < c->ends_len; i++)
        json_object_set_new(o, c->ends[i].net_name,
                            XNN(json_pack("{s:s}", "NetworkID", known ? c->ends[i].net_id : "")));
    return o;
}

static char *dump(json_t *j_take)
{
    char *text = XNN(json_dumps(j_take, JSON_COMPACT));
    json_decref(j_take);
    return text;
}

char *model_list_containers(const struct model *m)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < m->ctrs_len; i++) {
        const struct model_container *c = m->ctrs[i];
        AUTO_FREE char *name = xasprintf("/%s", c->name);
        AUTO_FREE char *status = c->state == RUN_EXITED
                                     ? xasprintf("Exited (%d) 2 seconds ago", c->exit_code)
                                     : xstrdup("Up 2 seconds");
        json_array_append_new(
            list, XNN(json_pack("{s:s, s:[s], s:s, s:O, s:s, s:s, s:{s:s}, s:{s:o}}", "Id", c->id,
                                "Names", name, "ImageID", c->image_id, "Labels", c->labels, "State",
                                run_state_name(c->state), "Status", status, "HostConfig",
                                "NetworkMode", c->net_mode ? c->net_mode : "default",
                                "NetworkSettings", "Networks", endpoints_json(m, c))));
    }
    return dump(list);
}

char *model_list_networks(const struct model *m)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < m->nets_len; i++) {
        const struct model_network *n = m->nets[i];
        uint64_t s = n->created_ns / UINT64_C(1000000000);
        AUTO_FREE char *created =
            xasprintf("2026-11-%02" PRIu64 "T%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 "Z",
                      1 + s / 86400 % 28, s / 3600 % 24, s / 60 % 60, s % 60);
        json_array_append_new(
            list,
            XNN(json_pack("{s:s, s:s, s:s, s:s, s:O, s:O?, s:b, s:b, s:{s:[{s:s}]}}", "Id", n->id,
                          "Name", n->name, "Driver", "bridge", "Created", created, "Labels",
                          n->labels, "Options", n->options, "Internal", (int)n->internal,
                          "EnableIPv6", (int)n->ipv6, "IPAM", "Config", "Subnet", n->subnet)));
    }
    return dump(list);
}

char *model_list_volumes(const struct model *m)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < m->vols_len; i++) {
        if (model_ours(m->vols[i].labels))
            json_array_append_new(list, XNN(json_pack("{s:s, s:O}", "Name", m->vols[i].name,
                                                      "Labels", m->vols[i].labels)));
    }
    return dump(XNN(json_pack("{s:o}", "Volumes", list)));
}
