/* SPDX-License-Identifier: Apache-2.0 */
/* What runs inside the model's containers, and what must hold before it may. */
#include "render/hash.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "tests/torture/model_internal.h"

enum { TAR_BLOCK = 512, TAR_NAME = 100, TAR_SIZE_AT = 124, TAR_SIZE = 11, TAR_TYPE_AT = 156 };

/* ---- files ----------------------------------------------------------------------------------- */

static void put_file(struct model_container *c, const char *path, const char *data, size_t n)
{
    struct model_file *f = NULL;
    for (size_t i = 0; i < c->files_len; i++) {
        if (strcmp(c->files[i].path, path) == 0)
            f = &c->files[i];
    }
    if (f) {
        free(f->path);
        free(f->data);
    } else {
        c->files = xreallocarray(c->files, c->files_len + 1, sizeof(*c->files));
        f = &c->files[c->files_len++];
    }
    *f = (struct model_file){xstrdup(path), xmemdup0(data, n), n};
}

bool model_unpack(struct model *m, struct model_container *c, struct sv tar)
{
    size_t at = 0;
    while (at + TAR_BLOCK <= tar.n && tar.p[at]) {
        const char *h = tar.p + at;
        int64_t size = 0;
        if (!num_parse_base((struct sv){h + TAR_SIZE_AT, TAR_SIZE}, 8, INT32_MAX, &size))
            return false;
        at += TAR_BLOCK;
        size_t n = (size_t)size;
        if (n > tar.n - at)
            return false;
        AUTO_FREE char *name = xmemdup0(h, strnlen(h, TAR_NAME));
        if (h[TAR_TYPE_AT] == '0')
            put_file(c, name, tar.p + at, n);
        else if (h[TAR_TYPE_AT] != '5')
            model_violate(m, "an archive entry of type '%c' for '%s'", h[TAR_TYPE_AT], name);
        at += (n + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    }
    return at > 0;
}

/* ---- logs ------------------------------------------------------------------------------------ */

void model_log(struct model *m, struct model_container *c, const char *text)
{
    c->lines = xreallocarray(c->lines, c->lines_len + 1, sizeof(*c->lines));
    c->lines[c->lines_len++] = (struct model_line){m->now_ns, xstrdup(text)};
    m->now_ns += 1000;
}

static void log_take(struct model *m, struct model_container *c, char *text_take)
{
    model_log(m, c, text_take);
    free(text_take);
}

static bool muted(const struct model *m, const struct model_container *c)
{
    enum role role = ROLE_COUNT;
    return role_parse(model_label(c->labels, LABEL_ROLE), &role) && m->mute & 1U << role;
}

/* `line` tells of it; the same policy as before was told before. */
static void loaded(struct model_container *c, const char *hash, const char *generation, size_t line)
{
    if (strcmp(c->hash, hash) == 0 && strcmp(c->generation, generation) == 0)
        return;
    c->load_line = line;
    (void)snprintf(c->hash, sizeof(c->hash), "%s", hash);
    (void)snprintf(c->generation, sizeof(c->generation), "%s", generation);
    c->told = false;
}

static void load_pipelock(struct model *m, struct model_container *c, bool reload)
{
    const struct model_file *f = model_file(c, "etc/bottler/pipelock.yaml");
    char hash[HASH_HEX + 1];
    if (!f)
        return;
    hash_hex((struct sv){f->data, f->n}, hash);
    loaded(c, hash, "", c->lines_len);
    if (muted(m, c))
        return;
    if (reload)
        log_take(m, c,
                 xasprintf("{\"level\":\"info\",\"component\":\"pipelock\","
                           "\"event\":\"config_reload\",\"status\":\"success\","
                           "\"detail\":\"mode=strict\",\"config_hash\":\"%s\"}",
                           hash));
    else
        log_take(m, c,
                 xasprintf("{\"level\":\"info\",\"component\":\"pipelock\",\"event\":\"startup\","
                           "\"mode\":\"strict\",\"config_hash\":\"%s\"}",
                           hash));
}

static void load_egress(struct model *m, struct model_container *c)
{
    const struct model_file *routes = model_file(c, "etc/bottler/routes.yaml");
    const struct model_file *g = model_file(c, "etc/bottler/generation");
    char hash[HASH_HEX + 1];
    if (!routes || !g)
        return;
    hash_hex((struct sv){routes->data, routes->n}, hash);
    AUTO_FREE char *generation = xmemdup0(g->data, strcspn(g->data, "\n"));
    loaded(c, hash, generation, c->lines_len + 1);
    if (muted(m, c))
        return;
    log_take(m, c,
             xasprintf("{\"event\":\"routes_loaded\",\"routes_sha256\":\"%s\","
                       "\"generation\":\"%s\",\"routes\":1}",
                       hash, generation));
    log_take(m, c,
             xasprintf("{\"event\":\"canary\",\"verdict\":\"denied\",\"generation\":\"%s\"}",
                       generation));
}

/* ---- processes ------------------------------------------------------------------------------- */

static bool have_files(const struct model_container *c, const char *const *paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!model_file(c, paths[i]))
            return false;
    }
    return true;
}

static bool have_own_files(const struct model *m, const struct model_container *c, enum role role)
{
    static const char *const pipelock[] = {"etc/bottler/pipelock.yaml", "etc/bottler/ca.pem",
                                           "etc/bottler/ca-key.pem"};
    static const char *const egress[] = {"etc/bottler/routes.yaml", "etc/bottler/generation",
                                         "etc/bottler/ca/egress-ca.pem",
                                         "etc/bottler/ca/pipelock-ca.pem"};
    static const char *const agent[] = {"etc/bottler/ca.pem", "etc/bottler/ca-bundle.pem"};
    if (role == ROLE_PIPELOCK)
        return have_files(c, pipelock, sizeof(pipelock) / sizeof(*pipelock));
    if (role == ROLE_EGRESS)
        return have_files(c, egress, sizeof(egress) / sizeof(*egress));
    const struct model_file *bundle = model_file(c, agent[1]);
    return have_files(c, agent, sizeof(agent) / sizeof(*agent)) &&
           strstr(bundle->data, "EGRESS-CERT") &&
           (m->api_minor < MULTI_ENDPOINT_API || m->no_roots || strstr(bundle->data, MODEL_ROOTS));
}

static void come_up(struct model *m, struct model_container *c, enum role role)
{
    if (role == ROLE_PIPELOCK)
        load_pipelock(m, c, false);
    else if (role == ROLE_EGRESS)
        load_egress(m, c);
}

void model_run(struct model *m, struct model_container *c)
{
    enum role role = ROLE_COUNT;
    c->state = RUN_RUNNING;
    c->starts++;
    c->told = false;
    if (!model_ours(c->labels) || !role_parse(model_label(c->labels, LABEL_ROLE), &role))
        return;
    if (!have_own_files(m, c, role))
        model_exit(m, c, 1);
    else if (m->slow && role != ROLE_AGENT)
        c->up_in = m->slow;
    else
        come_up(m, c, role);
}

static void tick(struct model *m, bool all)
{
    for (size_t i = 0; i < m->ctrs_len; i++) {
        struct model_container *c = m->ctrs[i];
        enum role role = ROLE_COUNT;
        if (!c->up_in || (--c->up_in && !all))
            continue;
        c->up_in = 0;
        if (role_parse(model_label(c->labels, LABEL_ROLE), &role))
            come_up(m, c, role);
    }
}

void model_tick(struct model *m)
{
    tick(m, false);
}

void model_settle(struct model *m)
{
    tick(m, true);
}

void model_reload(struct model *m, struct model_container *c)
{
    enum role role = ROLE_COUNT;
    if (!role_parse(model_label(c->labels, LABEL_ROLE), &role))
        return;
    if (c->up_in) { /* a signal before the program has asked for it */
        model_exit(m, c, 129);
        return;
    }
    if (m->reject_reload & 1U << role) {
        model_log(m, c,
                  role == ROLE_PIPELOCK
                      ? "{\"level\":\"error\",\"component\":\"pipelock\",\"event\":\"error\","
                        "\"method\":\"CONFIG_RELOAD\",\"error\":\"rejected: security downgrade\"}"
                      : "{\"event\":\"routes_rejected\",\"routes_sha256\":\"\",\"error\":\"no\"}");
        return;
    }
    if (role == ROLE_PIPELOCK)
        load_pipelock(m, c, true);
    else if (role == ROLE_EGRESS)
        load_egress(m, c);
}

/* ---- what must hold before a start ----------------------------------------------------------- */

/* Exactly the networks of its role, of its bottle. */
static bool on_own_networks(const struct model *m, const struct model_container *c, enum role role)
{
    unsigned seen = 0;
    for (size_t i = 0; i < c->ends_len; i++) {
        const struct model_network *n = model_find_net(m, c->ends[i].net_id);
        enum net net = NET_COUNT;
        if (!n || !model_ours(n->labels) ||
            !net_role_parse(model_label(n->labels, LABEL_ROLE), &net) ||
            strcmp(model_label(n->labels, LABEL_BOTTLE), model_label(c->labels, LABEL_BOTTLE)) != 0)
            return false;
        seen |= 1U << net;
    }
    return seen == role_info(role)->nets;
}

static void check_key(struct model *m, const char *bottle, enum role role, const char *hash,
                      const char *generation)
{
    const char *what = role_info(role)->name;
    const struct model_container *k = NULL;
    for (size_t i = 0; i < m->ctrs_len; i++) {
        const struct model_container *c = m->ctrs[i];
        if (model_ours(c->labels) && strcmp(model_label(c->labels, LABEL_ROLE), what) == 0 &&
            strcmp(model_label(c->labels, LABEL_BOTTLE), bottle) == 0 && c->state == RUN_RUNNING)
            k = c;
    }
    if (!k)
        model_violate(m, "the agent of %s is started while %s does not run", bottle, what);
    else if (strcmp(k->hash, hash) != 0 || strcmp(k->generation, generation) != 0)
        model_violate(m, "the agent of %s is started while %s runs policy %.8s/%.8s, not %.8s/%.8s",
                      bottle, what, k->hash, k->generation, hash, generation);
    else if (!k->told)
        model_violate(m, "the agent of %s is started although %s has not told what it runs", bottle,
                      what);
}

void model_check_start(struct model *m, const struct model_container *c)
{
    enum role role = ROLE_COUNT;
    const char *bottle = model_label(c->labels, LABEL_BOTTLE);
    if (!model_ours(c->labels)) {
        model_violate(m, "the stranger %s is started", c->name);
        return;
    }
    if (!role_parse(model_label(c->labels, LABEL_ROLE), &role))
        return;
    /* A proxy runs before it relieves another; two agents never. */
    if (role == ROLE_AGENT && strcmp(c->name, model_label(c->labels, LABEL_SELF)) != 0)
        model_violate(m, "%s is started under another name than its own", c->name);
    if (!on_own_networks(m, c, role))
        model_violate(m, "%s is started off its networks", c->name);
    if (!have_own_files(m, c, role))
        model_violate(m, "%s is started without its files", c->name);
    if (role != ROLE_AGENT)
        return;
    for (size_t i = 0; i < c->ends_len; i++) {
        const struct model_network *n = model_find_net(m, c->ends[i].net_id);
        if (n && !n->guarded)
            model_violate(m, "%s is started where the host listens", c->name);
    }
    for (size_t i = 0; i < m->expects_len; i++) {
        const struct model_expect *e = &m->expects[i];
        if (strcmp(e->bottle, bottle) != 0)
            continue;
        check_key(m, bottle, ROLE_PIPELOCK, e->pipelock, "");
        check_key(m, bottle, ROLE_EGRESS, e->egress, e->generation);
        return;
    }
    model_violate(m, "the agent of %s is started, and nobody wants it", bottle);
}
