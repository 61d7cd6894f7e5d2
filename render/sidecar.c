/* SPDX-License-Identifier: Apache-2.0 */
/* The pipelock and egress containers. */
#include "render/parts.h"

#include "render/routeset.h"
#include "spec/base/xalloc.h"

#include <string.h>

#define PIPELOCK_CONFIG BOTTLER_DIR "/pipelock.yaml"

enum {
    PIPELOCK_MEMORY = 512 << 20,
    EGRESS_MEMORY = 512 << 20,
    /* What the egress proxy reads: sidecars/egress/routes.py and store.py. */
    ROUTES_MAX_BYTES = 1 << 20,
    TOKEN_MAX_BYTES = 8192,
    UNSCANNED_MAX = 1 << 20,
};

static void routeset_freep(struct routeset *r)
{
    routeset_done(r);
}

/* ---- pipelock -------------------------------------------------------------------------------- */

static void pipelock_files(const struct part *p, const char *config, struct file_list *files)
{
    const struct role_info *info = role_info(ROLE_PIPELOCK);
    file_list_add_dir(files, BOTTLER_DIR, 0, 0, 0755);
    file_list_add_hot(files, PIPELOCK_CONFIG, 0, info->gid, 0440, sv_of(config));
    file_list_add(files, BOTTLER_DIR "/ca.pem", 0, 0, 0444, p->in->pipelock_ca_cert);
    file_list_add(files, BOTTLER_DIR "/ca-key.pem", info->uid, info->gid, 0400,
                  p->in->pipelock_ca_key);
    if (p->s->upstream_ca.n) {
        file_list_add_dir(files, BOTTLER_DIR "/upstream", 0, 0, 0755);
        file_list_add(files, BOTTLER_DIR "/upstream/ca.pem", 0, 0, 0444, p->s->upstream_ca);
    }
}

/* What the manifest has taken out of its sight, for `attest`, which knows no manifest. Both need
 * another container when they change, so the labels stay true. */
static void pipelock_labels(const struct part *p, const struct routeset *r, json_t *labels)
{
    struct str hosts;
    str_init(&hosts, UNSCANNED_MAX);
    for (size_t i = 0; i < r->len; i++) {
        if (r->routes[i].route && r->routes[i].route->tls_passthrough)
            str_addf(&hosts, "%s%s", hosts.len ? " " : "", r->routes[i].host);
    }
    if (p->b->egress.dlp_action == DLP_WARN)
        json_put_text(labels, LABEL_DLP, "warn");
    if (hosts.len && !str_failed(&hosts))
        json_put_text(labels, LABEL_UNSCANNED, hosts.p);
    str_done(&hosts);
}

struct err *part_pipelock(const struct part *p, struct desired_container *c)
{
    AUTO(routeset_freep) struct routeset routes = {0};
    routeset_resolve(p->b, &routes);
    AUTO_FREE char *config = render_pipelock(p->b, &routes);
    AUTO_FREE char *cold = render_pipelock_cold(p->b, &routes);
    char hex[HASH_HEX + 1];

    part_begin(p, ROLE_PIPELOCK, c);
    pipelock_files(p, config, &c->files);
    hash_hex(sv_of(config), hex);
    c->config_hash = xstrdup(hex);

    json_t *semantic = part_hash_base(p, c);
    hash_hex(sv_of(cold), hex);
    json_put_text(semantic, "config", hex);
    part_finish(p, c, semantic);
    pipelock_labels(p, &routes, json_object_get(c->body, "Labels"));
    /* pipelock resolves the names of upstreams, so it has the engine's resolver. */
    part_sidecar(c, PIPELOCK_MEMORY, NULL);
    json_put(c->body, "Entrypoint", json_pack("[s]", "/pipelock"));
    json_put(c->body, "Cmd", json_pack("[sss]", "run", "--config", PIPELOCK_CONFIG));
    json_put(c->body, "Healthcheck", json_pack("{s:[s]}", "Test", "NONE"));
    /* Its garbage is to be collected before the kernel's limit is met: see MAX_BODY_BYTES. */
    json_t *env = XNN(json_pack("[s]", "GOMEMLIMIT=448MiB"));
    if (p->s->upstream_ca.n &&
        json_array_append_new(
            env, XNN(json_string("SSL_CERT_DIR=" BOTTLER_DIR "/upstream:/etc/ssl/certs"))) != 0)
        xoom();
    json_put(c->body, "Env", env);
    return NULL;
}

/* ---- egress ---------------------------------------------------------------------------------- */

/* What goes into a header as one word: visible ASCII. The egress proxy refuses a whole table for
 * anything else, so it must not get there. */
static bool token_usable(struct sv token)
{
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] <= ' ' || token.p[i] > '~')
            return false;
    }
    return token.n <= TOKEN_MAX_BYTES;
}

static struct err *token(const struct part *p, const char *name, struct sv *ret)
{
    struct sv v = {0};
    TRY(part_secret(p, name, &v));
    while (v.n && (v.p[v.n - 1] == '\n' || v.p[v.n - 1] == '\r'))
        v.n--;
    if (!v.n)
        return err_new(ERR_NOT_FOUND, "secret '%s' is empty", name);
    if (!token_usable(v))
        return err_new(ERR_INVALID,
                       "secret '%s' can't be sent in a header: expected one word of ASCII text, at "
                       "most %d bytes",
                       name, TOKEN_MAX_BYTES);
    *ret = v;
    return NULL;
}

/* `generation` says which routes and which tokens these are, without saying the tokens. */
static struct err *generation(const struct part *p, const struct routeset *r, const char *routes,
                              char ret_hex[HASH_HEX + 1])
{
    /* The sizes are known before the buffer is made: a growing one leaves copies behind. */
    enum { LENGTH_DIGITS = 20 };
    size_t cap = LENGTH_DIGITS + 2 + strlen(routes);
    for (size_t i = 0; i < r->slots_len; i++) {
        struct sv v = {0};
        TRY(token(p, r->slots[i], &v));
        cap += LENGTH_DIGITS + 2 + v.n;
    }
    char *buf = xmalloc(cap + 1);
    int at = snprintf(buf, cap + 1, "%zu:%s", strlen(routes), routes);
    size_t n = (size_t)at;
    for (size_t i = 0; i < r->slots_len; i++) {
        struct sv v = {0};
        err_ignore(token(p, r->slots[i], &v), "looked up above");
        n += (size_t)snprintf(buf + n, cap + 1 - n, "%zu:%.*s", v.n, (int)v.n, v.p);
    }
    hash_keyed_hex(p->s->hash_key, (struct sv){buf, n}, ret_hex);
    secret_wipe(buf, cap);
    free(buf);
    return NULL;
}

static struct err *add_tokens(const struct part *p, const struct routeset *r,
                              struct file_list *files)
{
    const struct role_info *info = role_info(ROLE_EGRESS);
    /* Always there, so that the first token of a bottle is no reason for a new container. */
    file_list_add_dir(files, BOTTLER_DIR "/tokens", info->uid, info->gid, 0500);
    for (size_t i = 0; i < r->slots_len; i++) {
        struct sv v = {0};
        TRY(token(p, r->slots[i], &v));
        AUTO_FREE char *path = xasprintf(BOTTLER_DIR "/tokens/EGRESS_TOKEN_%zu", i);
        file_list_add_hot(files, path, info->uid, info->gid, 0400, v);
    }
    return NULL;
}

/* mitmproxy reads key and certificate from one file. */
static void add_egress_ca(const struct part *p, struct file_list *files)
{
    const struct role_info *info = role_info(ROLE_EGRESS);
    struct sv key = p->in->egress_ca_key;
    struct sv cert = p->in->egress_ca_cert;
    bool newline = key.n && key.p[key.n - 1] != '\n';
    size_t n = key.n + newline + cert.n;
    char *both = xmalloc(n + 1);
    if (key.n)
        memcpy(both, key.p, key.n);
    if (newline)
        both[key.n] = '\n';
    if (cert.n)
        memcpy(both + key.n + newline, cert.p, cert.n);
    file_list_add(files, BOTTLER_DIR "/ca/egress-ca.pem", info->uid, info->gid, 0400,
                  (struct sv){both, n});
    secret_wipe(both, n);
    free(both);
}

static struct err *egress_files(const struct part *p, const struct routeset *r, const char *routes,
                                struct desired_container *c)
{
    const struct role_info *info = role_info(ROLE_EGRESS);
    char hex[HASH_HEX + 1];
    TRY(generation(p, r, routes, hex));
    c->generation = xstrdup(hex);
    AUTO_FREE char *line = xasprintf("%s\n", hex);
    file_list_add_dir(&c->files, BOTTLER_DIR, 0, 0, 0755);
    file_list_add_hot(&c->files, BOTTLER_DIR "/routes.yaml", 0, info->gid, 0440, sv_of(routes));
    file_list_add_hot(&c->files, BOTTLER_DIR "/generation", 0, info->gid, 0440, sv_of(line));
    TRY(add_tokens(p, r, &c->files));
    file_list_add_dir(&c->files, BOTTLER_DIR "/ca", 0, 0, 0755);
    add_egress_ca(p, &c->files);
    AUTO(str_done) struct str trust;
    part_trust(p->in->pipelock_ca_old, p->in->pipelock_ca_cert, p->in->pipelock_ca_next, &trust);
    file_list_add(&c->files, BOTTLER_DIR "/ca/pipelock-ca.pem", 0, 0, 0444,
                  (struct sv){trust.p, trust.len});
    if (p->s->upstream_ca.n)
        file_list_add(&c->files, BOTTLER_DIR "/ca/upstream-ca.pem", 0, 0, 0444, p->s->upstream_ca);
    return NULL;
}

struct err *part_egress(const struct part *p, struct desired_container *c)
{
    AUTO(routeset_freep) struct routeset r = {0};
    routeset_resolve(p->b, &r);
    AUTO_FREE char *routes = render_routes(p->b, &r);
    char hex[HASH_HEX + 1];

    if (strlen(routes) > ROUTES_MAX_BYTES)
        return err_new(ERR_INVALID,
                       "egress: the route table has %zu bytes, the proxy takes %d at most",
                       strlen(routes), ROUTES_MAX_BYTES);
    part_begin(p, ROLE_EGRESS, c);
    TRY(egress_files(p, &r, routes, c));
    hash_hex(sv_of(routes), hex);
    c->config_hash = xstrdup(hex);
    part_finish(p, c, part_hash_base(p, c));
    part_sidecar(c, EGRESS_MEMORY, "127.0.0.1");
    return NULL;
}
