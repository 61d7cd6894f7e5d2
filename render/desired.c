/* SPDX-License-Identifier: Apache-2.0 */
#include "render/desired.h"

#include "render/parts.h"
#include "render/seal.h"
#include "spec/base/xalloc.h"

#include <string.h>

void bottle_secret_refs(const struct bottle *b, struct str_list *ret)
{
    struct str_list l = {0};
    for (size_t i = 0; i < b->agent.env_len; i++) {
        if (b->agent.env[i].secret)
            str_list_add(&l, b->agent.env[i].secret);
    }
    for (size_t i = 0; i < b->agent.files_len; i++) {
        if (b->agent.files[i].secret)
            str_list_add(&l, b->agent.files[i].secret);
    }
    for (size_t i = 0; i < b->egress.routes_len; i++) {
        if (b->egress.routes[i].token_ref)
            str_list_add(&l, b->egress.routes[i].token_ref);
    }
    for (size_t i = 0; i < b->git_gate.repos_len; i++) {
        if (b->git_gate.repos[i].identity)
            str_list_add(&l, b->git_gate.repos[i].identity);
    }
    str_list_sort_unique(&l);
    *ret = l;
}

/* What parses and validates, but can't be run by this version: said, never passed over. */
static struct err *refuse_unsupported(const struct bottle *b)
{
    if (b->abstract)
        return err_new(ERR_INVALID, "bottle '%s' is abstract: it is there to be extended", b->name);
    if (b->git_gate.repos_len || b->git_gate.user_name || b->git_gate.user_email)
        return err_new(ERR_INVALID, "git-gate: this version of bottler can't run the git gate yet");
    if (b->supervise)
        return err_new(ERR_INVALID,
                       "supervise: this version of bottler can't run the supervise sidecar yet");
    return NULL;
}

/* All of them in one message, so that one look is enough. */
static struct err *check_secrets(const struct part *p)
{
    struct str_list refs = {0};
    bottle_secret_refs(p->b, &refs);
    struct err *first = NULL;
    for (size_t i = 0; i < refs.len; i++) {
        struct sv v = {0};
        struct err *e = part_secret(p, refs.items[i], &v);
        if (e && first) {
            struct err *both =
                err_new(err_kind(first), "%s; %s", err_message(first), err_message(e));
            err_free(e);
            err_free(first);
            first = both;
        } else if (e) {
            first = e;
        }
    }
    str_list_done(&refs);
    return first;
}

/* Subnet, bridge name and what the engine can do aren't in the hash: they are the controller's to
 * choose, and stay as they were created. */
static void add_networks(const struct part *p, struct desired *d)
{
    for (enum net n = 0; n < NET_COUNT; n++) {
        struct desired_network *net = &d->networks[n];
        net->net = n;
        net->internal = n != NET_OUT;
        net->name = object_name(p->s->instance, p->b->name, net_name(n));
        net->bridge = bridge_name(p->s->installation, p->b->name, n);
        json_t *semantic =
            XNN(json_pack("{s:s, s:b}", "role", net_role(n), "internal", (int)net->internal));
        net->spec_hash = hash_spec(semantic);
        json_decref(semantic);
    }
}

static void add_volumes(const struct part *p, struct desired *d)
{
    const struct agent_spec *a = &p->b->agent;
    d->volumes = xcalloc(a->mounts_len + 1, sizeof(*d->volumes));
    for (size_t i = 0; i < a->mounts_len; i++) {
        if (!a->mounts[i].volume)
            continue;
        AUTO_FREE char *name = object_name(p->s->instance, p->b->name, a->mounts[i].volume);
        size_t at = 0;
        while (at < d->volumes_len && strcmp(d->volumes[at].name, name) != 0)
            at++;
        if (at == d->volumes_len)
            d->volumes[d->volumes_len++].name = TAKE_PTR(name);
        /* Mounted twice: kept if either mount says so. */
        d->volumes[at].retain = d->volumes[at].retain || a->mounts[i].retain;
    }
}

static struct err *add_containers(const struct part *p, struct desired *d)
{
    static struct err *(*const BUILDERS[])(const struct part *, struct desired_container *) = {
        part_pipelock,
        part_egress,
        part_agent,
    };
    enum { N = sizeof(BUILDERS) / sizeof(BUILDERS[0]) };
    d->containers = xcalloc(N, sizeof(*d->containers));
    for (size_t i = 0; i < N; i++) {
        struct desired_container *c = &d->containers[d->containers_len++];
        TRY(BUILDERS[i](p, c));
        c->limits = seal_limits(c);
    }
    return NULL;
}

static void desired_freep(struct desired **d)
{
    *d = desired_free(*d);
}

struct err *desired_render(const struct bottle *b, const struct render_settings *s,
                           const struct render_inputs *in, struct desired **ret)
{
    AUTO(desired_freep) struct desired *d = xcalloc(1, sizeof(*d));
    const struct part p = {.b = b, .s = s, .in = in, .d = d};
    TRY(refuse_unsupported(b));
    d->bottle = xstrdup(b->name);
    d->uid = xstrdup(in->uid);
    d->instance = xstrdup(s->instance);
    d->installation = xstrdup(s->installation);
    add_networks(&p, d);
    add_volumes(&p, d);
    TRY(check_secrets(&p));
    TRY(add_containers(&p, d));
    *ret = TAKE_PTR(d);
    return NULL;
}

static void container_done(struct desired_container *c)
{
    free(c->name);
    free(c->image_ref);
    free(c->spec_hash);
    str_list_done(&c->earlier);
    free(c->limits);
    free(c->trust_hash);
    json_decref(c->body);
    file_list_done(&c->files);
    free(c->config_hash);
    free(c->generation);
}

struct desired *desired_free(struct desired *d)
{
    if (!d)
        return NULL;
    for (size_t i = 0; i < NET_COUNT; i++) {
        free(d->networks[i].name);
        free(d->networks[i].bridge);
        free(d->networks[i].spec_hash);
    }
    for (size_t i = 0; i < d->containers_len; i++)
        container_done(&d->containers[i]);
    for (size_t i = 0; i < d->volumes_len; i++)
        free(d->volumes[i].name);
    free(d->containers);
    free(d->volumes);
    free(d->bottle);
    free(d->uid);
    free(d->instance);
    free(d->installation);
    free(d);
    return NULL;
}

const struct desired_container *desired_find(const struct desired *d, enum role role)
{
    for (size_t i = 0; i < d->containers_len; i++) {
        if (d->containers[i].role == role)
            return &d->containers[i];
    }
    return NULL;
}

bool desired_is_spec(const struct desired_container *want, const char *spec_hash)
{
    return spec_hash &&
           (strcmp(want->spec_hash, spec_hash) == 0 || str_list_has(&want->earlier, spec_hash));
}
