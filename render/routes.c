/* SPDX-License-Identifier: Apache-2.0 */
/* routes.yaml: the route table of the egress proxy. Key order is part of the format. */
#include "render/routeset.h"

#include "render/yaml_out.h"
#include "spec/base/xalloc.h"

static void put_match(struct yaml_out *y, const struct match_rule *m)
{
    yaml_out_map(y);
    if (m->paths_len) {
        yaml_out_key_list(y, "paths");
        for (size_t i = 0; i < m->paths_len; i++) {
            yaml_out_map(y);
            yaml_out_key_word(y, "type", m->paths[i].type == PATH_EXACT ? "exact" : "prefix");
            yaml_out_key_text(y, "value", m->paths[i].value);
            yaml_out_map_end(y);
        }
        yaml_out_list_end(y);
    }
    if (m->methods.len)
        yaml_out_key_texts(y, "methods", &m->methods);
    if (m->headers_len) {
        yaml_out_key_list(y, "headers");
        for (size_t i = 0; i < m->headers_len; i++) {
            yaml_out_map(y);
            yaml_out_key_text(y, "name", m->headers[i].name);
            yaml_out_key_text(y, "value", m->headers[i].value);
            yaml_out_map_end(y);
        }
        yaml_out_list_end(y);
    }
    yaml_out_map_end(y);
}

static void put_conditions(struct yaml_out *y, const struct route *route)
{
    if (route->path_allowlist.len)
        yaml_out_key_texts(y, "path_allowlist", &route->path_allowlist);
    if (route->methods.len)
        yaml_out_key_texts(y, "methods", &route->methods);
    if (route->matches_len) {
        yaml_out_key_list(y, "matches");
        for (size_t i = 0; i < route->matches_len; i++)
            put_match(y, &route->matches[i]);
        yaml_out_list_end(y);
    }
}

static void put_route(struct yaml_out *y, const struct resolved_route *rr)
{
    AUTO_FREE char *host = xstrdup(rr->host);
    str_lower(host);
    yaml_out_map(y);
    yaml_out_key_text(y, "host", host);
    if (rr->route)
        put_conditions(y, rr->route);
    if (rr->route && rr->slot >= 0) {
        AUTO_FREE char *slot = xasprintf("EGRESS_TOKEN_%d", rr->slot);
        yaml_out_key_word(y, "auth_scheme",
                          rr->route->auth_scheme == AUTH_TOKEN ? "token" : "Bearer");
        yaml_out_key_word(y, "token_env", slot);
    }
    yaml_out_map_end(y);
}

char *render_routes(const struct bottle *b, const struct routeset *r)
{
    struct yaml_out *y = yaml_out_new();
    yaml_out_map(y);
    yaml_out_key_int(y, "log", b->egress.log);
    yaml_out_key_list(y, "routes");
    for (size_t i = 0; i < r->len; i++)
        put_route(y, &r->routes[i]);
    yaml_out_list_end(y);
    yaml_out_map_end(y);
    return yaml_out_end(y);
}
