/* SPDX-License-Identifier: Apache-2.0 */
#include "render/pipelock_keys.h"

#include <string.h>

#define WEAKER "strict mode refuses the weaker setting"
#define AT_START "read at the start only, though a reload says success"
#define DECIDES "it decides what passes, and an open tunnel would keep the old setting"
#define LIMIT "a limit: an open tunnel may keep the old one"

/* The list of the first version. */
#define FIRST_IGNORED                                                                              \
    "Accept Accept-Encoding Authorization Connection Content-Length Content-Type Host Keep-Alive " \
    "Proxy-Authenticate Te Trailer Transfer-Encoding Upgrade User-Agent"

#define REFUSES(p, w)                                                                              \
    {                                                                                              \
        (p), PIPELOCK_REFUSES, PIPELOCK_REPLACE, NULL, (w)                                         \
    }
#define IGNORES(p, w)                                                                              \
    {                                                                                              \
        (p), PIPELOCK_IGNORES, PIPELOCK_REPLACE, NULL, (w)                                         \
    }
#define APPLIES(p, w)                                                                              \
    {                                                                                              \
        (p), PIPELOCK_APPLIES, PIPELOCK_REPLACE, NULL, (w)                                         \
    }
#define RELOADS(p, frozen, w)                                                                      \
    {                                                                                              \
        (p), PIPELOCK_APPLIES, PIPELOCK_RELOAD, (frozen), (w)                                      \
    }

static const struct pipelock_key KEYS[] = {
    APPLIES("version", "another language of the file"),
    REFUSES("mode", WEAKER),
    REFUSES("enforce", WEAKER),
    RELOADS("explain_blocks", "true", "only the words of a refusal"),
    RELOADS("api_allowlist", "", "egress ends the open tunnels of hosts that are gone"),
    REFUSES("seed_phrase_detection.enabled", WEAKER),
    IGNORES("fetch_proxy.listen", AT_START),
    IGNORES("fetch_proxy.timeout_seconds", AT_START),
    RELOADS("fetch_proxy.monitoring.max_url_length", "8192", LIMIT),
    RELOADS("fetch_proxy.monitoring.entropy_threshold", "5.0", LIMIT),
    RELOADS("fetch_proxy.monitoring.max_requests_per_minute", "100000", LIMIT),
    REFUSES("forward_proxy.enabled", "refused in both directions"),
    RELOADS("forward_proxy.max_tunnel_seconds", "86400", LIMIT),
    RELOADS("forward_proxy.idle_timeout_seconds", "900", LIMIT),
    APPLIES("forward_proxy.sni_verification", DECIDES),
    REFUSES("websocket_proxy.enabled", "refused in both directions"),
    REFUSES("dlp.include_defaults", WEAKER),
    REFUSES("dlp.scan_env", "refused in both directions"),
    REFUSES("request_body_scanning.enabled", WEAKER),
    APPLIES("request_body_scanning.action", DECIDES),
    RELOADS("request_body_scanning.max_body_bytes", "16777216", LIMIT),
    APPLIES("request_body_scanning.scan_headers", DECIDES),
    APPLIES("request_body_scanning.header_mode", DECIDES),
    RELOADS("request_body_scanning.ignore_headers", FIRST_IGNORED,
            "what egress injects; another list only comes with another bottler"),
    REFUSES("tls_interception.enabled", WEAKER),
    APPLIES("tls_interception.ca_cert", "egress trusts the CA from its own start on"),
    APPLIES("tls_interception.ca_key", "egress trusts the CA from its own start on"),
    RELOADS("tls_interception.max_response_bytes", "16777216", LIMIT),
    REFUSES("tls_interception.passthrough_domains",
            "strict mode refuses more of them, and an open tunnel stays unscanned"),
    REFUSES("ssrf.ip_allowlist", "strict mode refuses a wider one, and an open tunnel stays"),
    REFUSES("response_scanning.enabled", WEAKER),
    APPLIES("response_scanning.action", DECIDES),
    APPLIES("response_scanning.sse_streaming.enabled", DECIDES),
    APPLIES("response_scanning.sse_streaming.action", DECIDES),
    RELOADS("response_scanning.sse_streaming.max_event_bytes", "4194304", LIMIT),
    REFUSES("media_policy.enabled", WEAKER),
    REFUSES("taint.enabled", WEAKER),
    IGNORES("sentry.enabled", AT_START),
    IGNORES("logging.format", AT_START),
    REFUSES("logging.output", "another place needs a file, and none is there"),
    IGNORES("logging.include_allowed", AT_START),
    IGNORES("logging.include_blocked", AT_START),
};

const struct pipelock_key *pipelock_keys(size_t *ret_len)
{
    *ret_len = sizeof(KEYS) / sizeof(KEYS[0]);
    return KEYS;
}

const struct pipelock_key *pipelock_key_find(const char *path)
{
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
        if (strcmp(KEYS[i].path, path) == 0)
            return &KEYS[i];
    }
    return NULL;
}
