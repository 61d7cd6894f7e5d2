/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/api.h"

#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <curl/curl.h>

#include <errno.h>
#include <string.h>

enum { CONNECT_S = 5 };

/* One exchange. */
struct call {
    CURL *curl;
    struct curl_slist *headers;
    struct str body;
    /* api_watch() only */
    api_line_fn *line;
    void *ctx;
    bool enough;   /* the callee wants no more */
    bool not_json; /* a line was none */
};

static void call_done(struct call *c)
{
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    str_done(&c->body);
}

static struct err *not_json(const char *socket_path)
{
    return err_new(ERR_INTERNAL,
                   "what answers at '%s' doesn't speak JSON: is it a bottler controller?",
                   socket_path);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct call *c = ctx;
    str_addn(&c->body, data, size * n);
    return str_failed(&c->body) ? 0 : size * n;
}

static bool take_line(struct call *c, struct sv line)
{
    if (line.n == 0)
        return true;
    json_t *value = json_loadb(line.p, line.n, JSON_DECODE_ANY, NULL);
    if (!value) {
        c->not_json = true;
        return false;
    }
    c->enough = !c->line(c->ctx, value);
    json_decref(value);
    return !c->enough;
}

/* Calls back for each whole line; what follows the last one waits for more. */
static size_t on_lines(char *data, size_t size, size_t n, void *ctx)
{
    struct call *c = ctx;
    long status = 0;
    str_addn(&c->body, data, size * n);
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (str_failed(&c->body))
        return 0;
    if (status != 200)
        return size * n;
    size_t at = 0;
    for (;;) {
        const char *end = memchr(c->body.p + at, '\n', c->body.len - at);
        if (!end)
            break;
        size_t len = (size_t)(end - (c->body.p + at));
        if (!take_line(c, (struct sv){c->body.p + at, len}))
            return 0;
        at += len + 1;
    }
    memmove(c->body.p, c->body.p + at, c->body.len - at + 1);
    c->body.len -= at;
    return size * n;
}

/* The path comes from our own table of verbs, with names that were checked. */
static void prepare(struct call *c, const char *socket_path, const char *path)
{
    c->curl = XNN(curl_easy_init());
    AUTO_FREE char *url = xasprintf("http://bottler%s", path);
    str_init(&c->body, API_MAX_ANSWER);
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http");
    /* The user's proxy is not for this. */
    (void)curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
}

static struct err *transfer_err(struct call *c, CURLcode code, const char *socket_path)
{
    long errnum = 0;
    (void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &errnum);
    if (code == CURLE_COULDNT_CONNECT && (errnum == EACCES || errnum == EPERM))
        return err_new(ERR_DENIED,
                       "no permission to use socket '%s': ask its owner to add you to its group",
                       socket_path);
    if (code == CURLE_COULDNT_CONNECT)
        return err_new(ERR_UNAVAILABLE,
                       "no controller answers at '%s': start one with `bottler run --manifests DIR "
                       "--socket %s`, or say with --socket where it is",
                       socket_path, socket_path);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_new(ERR_TIMEOUT, "the controller at '%s' doesn't answer in time", socket_path);
    if (str_failed(&c->body))
        return err_new(ERR_INTERNAL, "the answer from '%s' is larger than %d MiB", socket_path,
                       API_MAX_ANSWER / 1024 / 1024);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
        return not_json(socket_path);
    return err_new(ERR_UNAVAILABLE, "the controller at '%s' went away: %s", socket_path,
                   curl_easy_strerror(code));
}

static struct err *set_body(struct call *c, const char *method, const json_t *body, char **text)
{
    if (strcmp(method, "POST") != 0)
        return strcmp(method, "GET") == 0 ? NULL : err_new(ERR_INTERNAL, "method '%s'", method);
    *text = body ? XNN(json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY)) : xstrdup("");
    c->headers = XNN(curl_slist_append(NULL, "Content-Type: application/json"));
    /* No round trip before a small body. */
    c->headers = XNN(curl_slist_append(c->headers, "Expect:"));
    (void)curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(*text));
    (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, *text);
    return NULL;
}

struct err *api_call(const char *socket_path, const char *method, const char *path,
                     const json_t *body, int *ret_status, json_t **ret)
{
    AUTO(call_done) struct call c = {0};
    AUTO_FREE char *text = NULL;
    long status = 0;
    prepare(&c, socket_path, path);
    (void)curl_easy_setopt(c.curl, CURLOPT_TIMEOUT, (long)API_IDLE_S);
    TRY(set_body(&c, method, body, &text));
    CURLcode code = curl_easy_perform(c.curl);
    if (code != CURLE_OK)
        return transfer_err(&c, code, socket_path);
    (void)curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &status);
    json_t *value = json_loadb(c.body.p, c.body.len, JSON_DECODE_ANY, NULL);
    if (!value)
        return not_json(socket_path);
    *ret_status = (int)status;
    *ret = value;
    return NULL;
}

/* What the server said instead of watching. */
static struct err *watch_refused(const struct call *c, long status, const char *socket_path)
{
    json_t *value = json_loadb(c->body.p, c->body.len, 0, NULL);
    const char *why = json_string_value(json_object_get(value, "error"));
    enum err_kind kind = status == 403   ? ERR_DENIED
                         : status == 503 ? ERR_UNAVAILABLE
                                         : ERR_INTERNAL;
    struct err *e = err_new(kind, "the controller at '%s' refuses to be watched: %s (status %ld)",
                            socket_path, why ? why : "no reason given", status);
    json_decref(value);
    return e;
}

struct err *api_watch(const char *socket_path, api_line_fn *line, void *ctx)
{
    return api_watch_for(socket_path, 0, line, ctx);
}

struct err *api_watch_for(const char *socket_path, unsigned timeout_s, api_line_fn *line, void *ctx)
{
    AUTO(call_done) struct call c = {.line = line, .ctx = ctx};
    long status = 0;
    prepare(&c, socket_path, "/v1/watch");
    (void)curl_easy_setopt(c.curl, CURLOPT_WRITEFUNCTION, on_lines);
    (void)curl_easy_setopt(c.curl, CURLOPT_TIMEOUT, (long)timeout_s);
    CURLcode code = curl_easy_perform(c.curl);
    (void)curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &status);
    if (c.enough)
        return NULL;
    if (c.not_json)
        return not_json(socket_path);
    if (code != CURLE_OK)
        return transfer_err(&c, code, socket_path);
    if (status != 200)
        return watch_refused(&c, status, socket_path);
    return err_new(ERR_UNAVAILABLE, "the controller at '%s' stopped", socket_path);
}
