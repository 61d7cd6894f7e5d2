/* SPDX-License-Identifier: Apache-2.0 */
#include "render/routeset.h"

#include "spec/base/xalloc.h"
#include "spec/manifest.h"

#include <assert.h>
#include <string.h>

/* A mention of a host, for finding those that were named before. */
struct mention {
    char *host; /* lower case */
    size_t index;
};

static int mention_cmp(const void *a, const void *b)
{
    const struct mention *x = a;
    const struct mention *y = b;
    int c = strcmp(x->host, y->host);
    if (c)
        return c;
    return (x->index > y->index) - (x->index < y->index);
}

static void add(struct routeset *r, const char *host, const struct route *route)
{
    r->routes[r->len++] = (struct resolved_route){.host = host, .route = route, .slot = -1};
}

static size_t count_mentions(const struct egress_spec *e)
{
    size_t n = e->routes_len + e->allowlist.len;
    for (size_t i = 0; i < e->presets.len; i++) {
        const char *const *hosts = preset_hosts(e->presets.items[i]);
        for (; hosts && *hosts; hosts++)
            n++;
    }
    return n;
}

/* Keeps the first mention of each host, in order. */
static void drop_repeated(struct routeset *r)
{
    struct mention *m = xcalloc(r->len + 1, sizeof(*m));
    for (size_t i = 0; i < r->len; i++) {
        m[i] = (struct mention){.host = xstrdup(r->routes[i].host), .index = i};
        str_lower(m[i].host);
    }
    if (r->len)
        qsort(m, r->len, sizeof(*m), mention_cmp);
    for (size_t i = 1; i < r->len; i++) {
        if (strcmp(m[i].host, m[i - 1].host) == 0)
            r->routes[m[i].index].host = NULL;
    }
    size_t kept = 0;
    for (size_t i = 0; i < r->len; i++) {
        free(m[i].host);
        if (r->routes[i].host)
            r->routes[kept++] = r->routes[i];
    }
    free(m);
    r->len = kept;
}

static int slot_of(struct routeset *r, const char *token_ref)
{
    for (size_t i = 0; i < r->slots_len; i++) {
        if (strcmp(r->slots[i], token_ref) == 0)
            return (int)i;
    }
    r->slots[r->slots_len] = token_ref;
    return (int)r->slots_len++;
}

void routeset_resolve(const struct bottle *b, struct routeset *ret)
{
    const struct egress_spec *e = &b->egress;
    struct routeset r = {0};
    r.routes = xcalloc(count_mentions(e) + 1, sizeof(*r.routes));
    r.slots = xcalloc(e->routes_len + 1, sizeof(*r.slots));
    for (size_t i = 0; i < e->routes_len; i++)
        add(&r, e->routes[i].host, &e->routes[i]);
    for (size_t i = 0; i < e->presets.len; i++) {
        const char *const *hosts = preset_hosts(e->presets.items[i]);
        for (; hosts && *hosts; hosts++)
            add(&r, *hosts, NULL);
    }
    for (size_t i = 0; i < e->allowlist.len; i++)
        add(&r, e->allowlist.items[i], NULL);
    drop_repeated(&r);
    for (size_t i = 0; i < r.len; i++) {
        const struct route *route = r.routes[i].route;
        if (route && route->auth_scheme != AUTH_NONE)
            r.routes[i].slot = slot_of(&r, route->token_ref);
    }
    *ret = r;
}

void routeset_done(struct routeset *r)
{
    free(r->routes);
    free(r->slots);
    *r = (struct routeset){0};
}
