/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipelock.yaml. Every switch whose default in pipelock 2.3.0 is on, or changes between a missing
 * key and a false one, is written out: the file says all that matters. docs/rendered-files.md has
 * the reason for each value.
 */
#include "render/routeset.h"

#include "render/pipelock_keys.h"
#include "render/yaml_out.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <inttypes.h>
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

/* What egress injects, and nothing else. It drops the agent's Authorization on every request, so
 * this one is never the agent's; pipelock's own list leaves out Accept, User-Agent and others that
 * the agent writes as it likes. */
#define INJECTED_HEADER "Authorization"

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

/* ---- writing, with the path of each key at hand ---------------------------------------------- */

enum { PATH_DEPTH = 2, PATH_MAX_BYTES = 256 };

struct writer {
    struct yaml_out *y;
    bool cold; /* what reloads goes out as the table has it frozen */
    const char *sections[PATH_DEPTH];
    size_t depth;
};

/* NULL: the value itself is to be written. */
static const char *frozen(const struct writer *w, const char *key)
{
    if (!w->cold)
        return NULL;
    struct str path;
    str_init(&path, PATH_MAX_BYTES);
    for (size_t i = 0; i < w->depth; i++)
        str_addf(&path, "%s.", w->sections[i]);
    str_add(&path, key);
    AUTO_FREE char *text = XNN(str_take(&path));
    const struct pipelock_key *k = pipelock_key_find(text);
    return k && k->change == PIPELOCK_RELOAD ? k->frozen : NULL;
}

static void put_section(struct writer *w, const char *section)
{
    assert(w->depth < PATH_DEPTH);
    w->sections[w->depth++] = section;
    yaml_out_key_map(w->y, section);
}

static void put_section_end(struct writer *w)
{
    w->depth--;
    yaml_out_map_end(w->y);
}

static void put_word(struct writer *w, const char *key, const char *word)
{
    const char *instead = frozen(w, key);
    yaml_out_key_word(w->y, key, instead ? instead : word);
}

static void put_bool(struct writer *w, const char *key, bool value)
{
    put_word(w, key, value ? "true" : "false");
}

static void put_int(struct writer *w, const char *key, int64_t value)
{
    AUTO_FREE char *text = xasprintf("%" PRId64, value);
    put_word(w, key, text);
}

/* Texts are what pipelock reads at its start: none of them reloads. */
static void put_text(struct writer *w, const char *key, const char *text)
{
    assert(!frozen(w, key));
    yaml_out_key_text(w->y, key, text);
}

static void put_texts(struct writer *w, const char *key, const struct str_list *texts)
{
    const char *instead = frozen(w, key);
    if (!instead) {
        yaml_out_key_texts(w->y, key, texts);
        return;
    }
    AUTO_FREE char *words = xstrdup(instead);
    char *rest = NULL;
    yaml_out_key_list(w->y, key);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        yaml_out_text(w->y, word);
    yaml_out_list_end(w->y);
}

static void put_disabled(struct writer *w, const char *section)
{
    put_section(w, section);
    put_bool(w, "enabled", false);
    put_section_end(w);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void put_proxies(struct writer *w)
{
    put_section(w, "fetch_proxy");
    put_text(w, "listen", "0.0.0.0:8888");
    put_int(w, "timeout_seconds", FETCH_TIMEOUT_S);
    put_section(w, "monitoring");
    put_int(w, "max_url_length", MAX_URL_BYTES);
    put_word(w, "entropy_threshold", "5.0");
    put_int(w, "max_requests_per_minute", MAX_REQUESTS_PER_MINUTE);
    put_section_end(w);
    put_section_end(w);
    put_section(w, "forward_proxy");
    put_bool(w, "enabled", true);
    put_int(w, "max_tunnel_seconds", TUNNEL_S);
    put_int(w, "idle_timeout_seconds", TUNNEL_IDLE_S);
    put_bool(w, "sni_verification", true);
    put_section_end(w);
    put_disabled(w, "websocket_proxy");
}

static void put_request_scanning(struct writer *w, enum dlp_action action)
{
    struct str_list ignored = {0};
    str_list_add(&ignored, INJECTED_HEADER);
    put_section(w, "dlp");
    put_bool(w, "include_defaults", true);
    put_bool(w, "scan_env", false);
    put_section_end(w);
    put_section(w, "request_body_scanning");
    put_bool(w, "enabled", true);
    put_word(w, "action", action == DLP_WARN ? "warn" : "block");
    put_int(w, "max_body_bytes", MAX_BODY_BYTES);
    put_bool(w, "scan_headers", true);
    put_word(w, "header_mode", "all");
    put_texts(w, "ignore_headers", &ignored);
    put_section_end(w);
    str_list_done(&ignored);
}

static void put_tls(struct writer *w, const struct routeset *r)
{
    struct str_list hosts = {0};
    collect_passthrough(r, &hosts);
    put_section(w, "tls_interception");
    put_bool(w, "enabled", true);
    put_text(w, "ca_cert", "/etc/bottler/ca.pem");
    put_text(w, "ca_key", "/etc/bottler/ca-key.pem");
    put_int(w, "max_response_bytes", MAX_BODY_BYTES);
    if (hosts.len)
        put_texts(w, "passthrough_domains", &hosts);
    put_section_end(w);
    str_list_done(&hosts);
}

static void put_ssrf(struct writer *w, const struct routeset *r)
{
    struct str_list cidrs = {0};
    collect_ssrf(r, &cidrs);
    if (cidrs.len) {
        put_section(w, "ssrf");
        put_texts(w, "ip_allowlist", &cidrs);
        put_section_end(w);
    }
    str_list_done(&cidrs);
}

static void put_response_scanning(struct writer *w)
{
    put_section(w, "response_scanning");
    put_bool(w, "enabled", true);
    put_word(w, "action", "warn");
    put_section(w, "sse_streaming");
    put_bool(w, "enabled", true);
    put_word(w, "action", "warn");
    put_int(w, "max_event_bytes", MAX_SSE_EVENT_BYTES);
    put_section_end(w);
    put_section_end(w);
}

static void put_logging(struct writer *w)
{
    put_section(w, "logging");
    put_word(w, "format", "json");
    put_word(w, "output", "stdout");
    put_bool(w, "include_allowed", true);
    put_bool(w, "include_blocked", true);
    put_section_end(w);
}

static char *render(const struct bottle *b, const struct routeset *r, bool cold)
{
    struct writer w = {.y = yaml_out_new(), .cold = cold};
    struct str_list allowlist = {0};
    collect_allowlist(b, r, &allowlist);
    yaml_out_map(w.y);
    put_int(&w, "version", 1);
    put_word(&w, "mode", "strict");
    put_bool(&w, "enforce", true);
    put_bool(&w, "explain_blocks", true);
    put_texts(&w, "api_allowlist", &allowlist);
    put_disabled(&w, "seed_phrase_detection");
    put_proxies(&w);
    put_request_scanning(&w, b->egress.dlp_action);
    put_tls(&w, r);
    put_ssrf(&w, r);
    put_response_scanning(&w);
    put_disabled(&w, "media_policy");
    put_disabled(&w, "taint");
    put_disabled(&w, "sentry");
    put_logging(&w);
    yaml_out_map_end(w.y);
    str_list_done(&allowlist);
    return yaml_out_end(w.y);
}

char *render_pipelock(const struct bottle *b, const struct routeset *r)
{
    return render(b, r, false);
}

char *render_pipelock_cold(const struct bottle *b, const struct routeset *r)
{
    return render(b, r, true);
}
