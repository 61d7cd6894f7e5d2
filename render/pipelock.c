/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipelock.yaml. Every switch whose default in pipelock 2.3.0 is on, or changes between a missing
 * key and a false one, is written out: the file says all that matters. docs/rendered-files.md has
 * the reason for each value.
 */
#include "render/routeset.h"

#include "render/yaml_out.h"
#include "spec/base/xalloc.h"

#include <string.h>

/* Strict mode refuses an empty list; RFC 6761 keeps ".invalid" from ever resolving. */
#define SEALED_HOST "sealed.bottler.invalid"

enum {
    MAX_URL_BYTES = 8192,
    MAX_REQUESTS_PER_MINUTE = 100000, /* can't be switched off; 0 would mean 60 */
    FETCH_TIMEOUT_S = 120,
    TUNNEL_S = 86400, /* model streams and clones last; the default ends them at 300 s */
    TUNNEL_IDLE_S = 900,
    /* A body is held whole, and scanning takes ten times its size in memory: this fits the limit of
     * the container a few times. What is larger is refused, with a reason. */
    MAX_BODY_BYTES = 16 * 1024 * 1024,
    MAX_SSE_EVENT_BYTES = 4 * 1024 * 1024,
};

/* pipelock's own list for "all" (hop-by-hop and framing headers), and what egress injects: it drops
 * the agent's Authorization on every request, so this one is never the agent's. */
static const char *const IGNORED_HEADERS[] = {
    "Accept",     "Accept-Encoding", "Authorization",
    "Connection", "Content-Length",  "Content-Type",
    "Host",       "Keep-Alive",      "Proxy-Authenticate",
    "Te",         "Trailer",         "Transfer-Encoding",
    "Upgrade",    "User-Agent",      NULL,
};

static void collect_allowlist(const struct bottle *b, const struct routeset *r,
                              struct str_list *ret)
{
    for (size_t i = 0; i < r->len; i++) {
        char *host = xstrdup(r->routes[i].host);
        str_lower(host);
        str_list_add_take(ret, host);
    }
    if (b->supervise)
        str_list_add(ret, "supervise");
    if (!ret->len)
        str_list_add(ret, SEALED_HOST);
    str_list_sort_unique(ret);
}

static void collect_passthrough(const struct routeset *r, struct str_list *ret)
{
    for (size_t i = 0; i < r->len; i++) {
        if (!r->routes[i].route || !r->routes[i].route->tls_passthrough)
            continue;
        char *host = xstrdup(r->routes[i].host);
        str_lower(host);
        str_list_add_take(ret, host);
    }
    str_list_sort_unique(ret);
}

static void collect_ssrf(const struct routeset *r, struct str_list *ret)
{
    for (size_t i = 0; i < r->len; i++) {
        const struct route *route = r->routes[i].route;
        for (size_t j = 0; route && j < route->ssrf_ip_allowlist.len; j++)
            str_list_add(ret, route->ssrf_ip_allowlist.items[j]);
    }
    str_list_sort_unique(ret);
}

static void put_disabled(struct yaml_out *y, const char *section)
{
    yaml_out_key_map(y, section);
    yaml_out_key_bool(y, "enabled", false);
    yaml_out_map_end(y);
}

static void put_proxies(struct yaml_out *y)
{
    yaml_out_key_map(y, "fetch_proxy");
    yaml_out_key_text(y, "listen", "0.0.0.0:8888");
    yaml_out_key_int(y, "timeout_seconds", FETCH_TIMEOUT_S);
    yaml_out_key_map(y, "monitoring");
    yaml_out_key_int(y, "max_url_length", MAX_URL_BYTES);
    yaml_out_key_word(y, "entropy_threshold", "5.0");
    yaml_out_key_int(y, "max_requests_per_minute", MAX_REQUESTS_PER_MINUTE);
    yaml_out_map_end(y);
    yaml_out_map_end(y);
    yaml_out_key_map(y, "forward_proxy");
    yaml_out_key_bool(y, "enabled", true);
    yaml_out_key_int(y, "max_tunnel_seconds", TUNNEL_S);
    yaml_out_key_int(y, "idle_timeout_seconds", TUNNEL_IDLE_S);
    yaml_out_key_bool(y, "sni_verification", true);
    yaml_out_map_end(y);
    put_disabled(y, "websocket_proxy");
}

static void put_request_scanning(struct yaml_out *y, enum dlp_action action)
{
    yaml_out_key_map(y, "dlp");
    yaml_out_key_bool(y, "include_defaults", true);
    yaml_out_key_bool(y, "scan_env", false);
    yaml_out_map_end(y);
    yaml_out_key_map(y, "request_body_scanning");
    yaml_out_key_bool(y, "enabled", true);
    yaml_out_key_word(y, "action", action == DLP_WARN ? "warn" : "block");
    yaml_out_key_int(y, "max_body_bytes", MAX_BODY_BYTES);
    yaml_out_key_bool(y, "scan_headers", true);
    yaml_out_key_word(y, "header_mode", "all");
    yaml_out_key_list(y, "ignore_headers");
    for (const char *const *h = IGNORED_HEADERS; *h; h++)
        yaml_out_text(y, *h);
    yaml_out_list_end(y);
    yaml_out_map_end(y);
}

static void put_tls(struct yaml_out *y, const struct routeset *r)
{
    struct str_list hosts = {0};
    collect_passthrough(r, &hosts);
    yaml_out_key_map(y, "tls_interception");
    yaml_out_key_bool(y, "enabled", true);
    yaml_out_key_text(y, "ca_cert", "/etc/bottler/ca.pem");
    yaml_out_key_text(y, "ca_key", "/etc/bottler/ca-key.pem");
    yaml_out_key_int(y, "max_response_bytes", MAX_BODY_BYTES);
    if (hosts.len)
        yaml_out_key_texts(y, "passthrough_domains", &hosts);
    yaml_out_map_end(y);
    str_list_done(&hosts);
}

static void put_ssrf(struct yaml_out *y, const struct routeset *r)
{
    struct str_list cidrs = {0};
    collect_ssrf(r, &cidrs);
    if (cidrs.len) {
        yaml_out_key_map(y, "ssrf");
        yaml_out_key_texts(y, "ip_allowlist", &cidrs);
        yaml_out_map_end(y);
    }
    str_list_done(&cidrs);
}

static void put_response_scanning(struct yaml_out *y)
{
    yaml_out_key_map(y, "response_scanning");
    yaml_out_key_bool(y, "enabled", true);
    yaml_out_key_word(y, "action", "warn");
    yaml_out_key_map(y, "sse_streaming");
    yaml_out_key_bool(y, "enabled", true);
    yaml_out_key_word(y, "action", "warn");
    yaml_out_key_int(y, "max_event_bytes", MAX_SSE_EVENT_BYTES);
    yaml_out_map_end(y);
    yaml_out_map_end(y);
}

static void put_logging(struct yaml_out *y)
{
    yaml_out_key_map(y, "logging");
    yaml_out_key_word(y, "format", "json");
    yaml_out_key_word(y, "output", "stdout");
    yaml_out_key_bool(y, "include_allowed", true);
    yaml_out_key_bool(y, "include_blocked", true);
    yaml_out_map_end(y);
}

static char *render(const struct bottle *b, const struct routeset *r,
                    const struct str_list *allowlist)
{
    struct yaml_out *y = yaml_out_new();
    yaml_out_map(y);
    yaml_out_key_int(y, "version", 1);
    yaml_out_key_word(y, "mode", "strict");
    yaml_out_key_bool(y, "enforce", true);
    yaml_out_key_bool(y, "explain_blocks", true);
    yaml_out_key_texts(y, "api_allowlist", allowlist);
    put_disabled(y, "seed_phrase_detection");
    put_proxies(y);
    put_request_scanning(y, b->egress.dlp_action);
    put_tls(y, r);
    put_ssrf(y, r);
    put_response_scanning(y);
    put_disabled(y, "media_policy");
    put_disabled(y, "taint");
    put_disabled(y, "sentry");
    put_logging(y);
    yaml_out_map_end(y);
    return yaml_out_end(y);
}

char *render_pipelock(const struct bottle *b, const struct routeset *r)
{
    struct str_list allowlist = {0};
    collect_allowlist(b, r, &allowlist);
    char *text = render(b, r, &allowlist);
    str_list_done(&allowlist);
    return text;
}

char *render_pipelock_cold(const struct bottle *b, const struct routeset *r)
{
    const struct str_list none = {0};
    return render(b, r, &none);
}
