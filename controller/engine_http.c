/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/engine_internal.h"
#include "reconcile/response.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    CONNECT_TIMEOUT_MS = 5000,
    PULL_SILENCE_S = 600,
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 10,
    GROUP_BUFFER = 16 << 10,
};

/* ---- what curl calls ------------------------------------------------------------------------- */

static size_t on_header(char *bytes, size_t size, size_t n, void *ctx)
{
    struct request *r = ctx;
    struct sv line = {bytes, size * n};
    /* A status line starts another answer (100 Continue and the like came before). */
    if (line.n >= 5 && memcmp(line.p, "HTTP/", 5) == 0) {
        str_clear(&r->headers);
        r->headers_whole = false;
    } else if (line.n > 2) {
        str_addn(&r->headers, line.p, line.n);
    } else {
        r->headers_whole = true;
    }
    return line.n;
}

/* The first byte of a stream decides what the rest is. */
static void decide_stream(struct request *r)
{
    long status = 0;
    const char *type = NULL;
    (void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(r->easy, CURLINFO_CONTENT_TYPE, &type);
    r->error_body = status >= 400;
    if (type && strcasecmp(type, "application/vnd.docker.multiplexed-stream") == 0)
        r->framed = true;
    r->decided = true;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct request *r = ctx;
    size_t got = size * n;
    if (r->line && !r->decided)
        decide_stream(r);
    bool split = r->line && !r->error_body;
    size_t max = split ? r->answer.max : r->max_body;
    if (got > max || r->answer.len > max - got) {
        r->too_big = true;
        return CURL_WRITEFUNC_ERROR;
    }
    str_addn(&r->answer, bytes, got);
    if (split && !r->fresh) {
        r->fresh = true;
        TAILQ_INSERT_TAIL(&r->e->fresh, r, in_fresh);
    }
    return got;
}

static size_t on_read(char *buffer, size_t size, size_t n, void *ctx)
{
    struct request *r = ctx;
    size_t got = fread(buffer, 1, size * n, r->body_file);
    if (got == 0 && ferror(r->body_file))
        return CURL_READFUNC_ABORT;
    return got;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct request *r = ctx;
    if (origin != SEEK_SET || fseeko(r->body_file, offset, SEEK_SET) != 0)
        return CURL_SEEKFUNC_FAIL;
    return CURL_SEEKFUNC_OK;
}

/* Children of this program must not inherit the engine. */
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)ctx;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- setting up ------------------------------------------------------------------------------ */

bool http_is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* The first refusal of an option sticks; one check at the end. The value's type is curl's business.
 */
#define SET(r, rc, option, value)                                                                  \
    do {                                                                                           \
        if (*(rc) == CURLE_OK)                                                                     \
            *(rc) = curl_easy_setopt((r)->easy, (option), (value));                                \
    } while (0)

static void set_endpoint(struct request *r, CURLcode *rc)
{
    const struct endpoint *at = &r->e->at;
    char version[16] = "";
    if (!r->unversioned)
        (void)snprintf(version, sizeof(version), "/v1.%d", r->e->info.api_minor);
    AUTO_FREE char *url = xasprintf("%s://%s%s%s", at->tls ? "https" : "http",
                                    at->socket_path ? "docker" : at->host, version, r->path);
    SET(r, rc, CURLOPT_URL, url);
    SET(r, rc, CURLOPT_PATH_AS_IS, 1L);
    SET(r, rc, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(r, rc, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(r, rc, CURLOPT_PROXY, "");
    SET(r, rc, CURLOPT_NOSIGNAL, 1L);
    SET(r, rc, CURLOPT_USERAGENT, "bottler/" BOTTLER_VERSION);
    SET(r, rc, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    if (at->socket_path) {
        SET(r, rc, CURLOPT_UNIX_SOCKET_PATH, at->socket_path);
        return;
    }
    SET(r, rc, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(r, rc, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
    SET(r, rc, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S);
    if (!at->tls)
        return;
    SET(r, rc, CURLOPT_SSL_VERIFYPEER, at->tls_verify ? 1L : 0L);
    SET(r, rc, CURLOPT_SSL_VERIFYHOST, at->tls_verify ? 2L : 0L);
    SET(r, rc, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (at->ca_file)
        SET(r, rc, CURLOPT_CAINFO, at->ca_file);
    if (at->cert_file)
        SET(r, rc, CURLOPT_SSLCERT, at->cert_file);
    if (at->key_file)
        SET(r, rc, CURLOPT_SSLKEY, at->key_file);
}

static void set_timeouts(struct request *r, CURLcode *rc)
{
    SET(r, rc, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(r, rc, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    if (r->lane == LANE_PULL) {
        SET(r, rc, CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(r, rc, CURLOPT_LOW_SPEED_TIME, (long)PULL_SILENCE_S);
    }
}

static void set_callbacks(struct request *r, CURLcode *rc)
{
    SET(r, rc, CURLOPT_PRIVATE, r);
    SET(r, rc, CURLOPT_ERRORBUFFER, r->curl_error);
    SET(r, rc, CURLOPT_HEADERFUNCTION, on_header);
    SET(r, rc, CURLOPT_HEADERDATA, r);
    SET(r, rc, CURLOPT_WRITEFUNCTION, on_body);
    SET(r, rc, CURLOPT_WRITEDATA, r);
    if (!r->line)
        SET(r, rc, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)r->max_body);
}

static struct err *open_body(struct request *r, curl_off_t *ret_size)
{
    int fd = open(r->body_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int saved = errno;
        if (fd >= 0)
            (void)close(fd);
        return err_new(saved == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, "reading '%s': %s",
                       r->body_path, err_errno(saved));
    }
    if (!S_ISREG(st.st_mode)) {
        (void)close(fd);
        return err_new(ERR_INVALID, "'%s' is not a regular file", r->body_path);
    }
    r->body_file = XNN(fdopen(fd, "re"));
    *ret_size = st.st_size;
    return NULL;
}

/* Methods with a body are a POST to curl under another name: it needs no more than that. */
static struct err *set_body(struct request *r, CURLcode *rc)
{
    bool has_body = r->body_len > 0 || r->body_path;
    if (strcmp(r->method, "HEAD") == 0) {
        SET(r, rc, CURLOPT_NOBODY, 1L);
    } else if (has_body || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
        SET(r, rc, CURLOPT_POST, 1L);
        curl_off_t size = (curl_off_t)r->body_len;
        if (r->body_path) {
            TRY(open_body(r, &size));
            SET(r, rc, CURLOPT_READFUNCTION, on_read);
            SET(r, rc, CURLOPT_READDATA, r);
            SET(r, rc, CURLOPT_SEEKFUNCTION, on_seek);
            SET(r, rc, CURLOPT_SEEKDATA, r);
        } else {
            SET(r, rc, CURLOPT_POSTFIELDS, r->body ? r->body : "");
        }
        SET(r, rc, CURLOPT_POSTFIELDSIZE_LARGE, size);
    }
    SET(r, rc, CURLOPT_CUSTOMREQUEST, r->method);
    return NULL;
}

static void add_header(struct request *r, const char *line)
{
    r->header_list = XNN(curl_slist_append(r->header_list, line));
}

static void set_headers(struct request *r, CURLcode *rc)
{
    /* Waiting for "100 Continue" costs a round trip, and a second where none comes. */
    add_header(r, "Expect:");
    if (r->body_len > 0 || r->body_path) {
        AUTO_FREE char *type =
            xasprintf("Content-Type: %s", r->content_type ? r->content_type : "application/json");
        add_header(r, type);
    } else {
        add_header(r, "Content-Type:");
    }
    if (r->registry_auth) {
        char *auth = xasprintf("X-Registry-Auth: %s", r->registry_auth);
        add_header(r, auth);
        secret_free(auth);
    }
    SET(r, rc, CURLOPT_HTTPHEADER, r->header_list);
}

struct err *http_prepare(struct request *r)
{
    CURLcode rc = CURLE_OK;
    r->easy = XNN(curl_easy_init());
    set_endpoint(r, &rc);
    set_timeouts(r, &rc);
    set_callbacks(r, &rc);
    set_headers(r, &rc);
    TRY(set_body(r, &rc));
    /* curl sends a request again by itself, whatever its method, when a kept connection turns out
     * to be dead. A new connection never does: then a change is sent once, or not at all. */
    if (!http_is_safe(r->method))
        SET(r, &rc, CURLOPT_FRESH_CONNECT, 1L);
    if (rc == CURLE_OUT_OF_MEMORY)
        xoom();
    if (rc != CURLE_OK)
        return err_new(ERR_INVALID, "request %s %s: %s", r->method, r->path,
                       curl_easy_strerror(rc));
    return NULL;
}

/* ---- what went wrong ------------------------------------------------------------------------- */

static struct err *permission_error(const struct endpoint *at)
{
    struct stat st;
    if (stat(at->socket_path, &st) < 0)
        return err_new(ERR_DENIED, "no permission to reach the engine at %s", at->display);
    AUTO_FREE char *buffer = xmalloc(GROUP_BUFFER);
    struct group entry;
    struct group *found = NULL;
    (void)getgrgid_r(st.st_gid, &entry, buffer, GROUP_BUFFER, &found);
    AUTO_FREE char *group = found ? xasprintf("group '%s'", entry.gr_name)
                                  : xasprintf("group id %u", (unsigned)st.st_gid);
    return err_new(ERR_DENIED,
                   "no permission to use the engine at %s: its socket belongs to %s, which this "
                   "user is not in",
                   at->display, group);
}

static struct err *connect_error(const struct request *r)
{
    const struct endpoint *at = &r->e->at;
    long os_error = 0;
    (void)curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &os_error);
    if (!at->socket_path) {
        const char *why = os_error ? err_errno((int)os_error) : r->curl_error;
        return err_new(ERR_UNAVAILABLE, "can't connect to the engine at %s: %s", at->display, why);
    }
    switch (os_error) {
    case ENOENT:
    case ENOTDIR:
        return err_new(ERR_UNAVAILABLE,
                       "no engine at %s: there is no such socket; is the engine running?",
                       at->display);
    case ECONNREFUSED:
        return err_new(ERR_UNAVAILABLE,
                       "no engine at %s: nobody listens there; is the engine running?",
                       at->display);
    case EACCES:
    case EPERM:
        return permission_error(at);
    case 0:
    case EAGAIN:
    case ENOTCONN:
        return err_new(ERR_UNAVAILABLE, "the engine at %s takes no more connections now",
                       at->display);
    default:
        return err_new(ERR_UNAVAILABLE, "can't connect to the engine at %s: %s", at->display,
                       err_errno((int)os_error));
    }
}

static struct err *timeout_error(const struct request *r)
{
    const char *at = r->e->at.display;
    curl_off_t connected = 0;
    (void)curl_easy_getinfo(r->easy, CURLINFO_CONNECT_TIME_T, &connected);
    long connects = 0;
    (void)curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (connects > 0 && connected == 0)
        return err_new(ERR_TIMEOUT, "no connection to the engine at %s within %d s", at,
                       CONNECT_TIMEOUT_MS / 1000);
    if (r->timeout_ms == 0)
        return err_new(ERR_TIMEOUT, "the engine at %s fell silent for %d s", at, PULL_SILENCE_S);
    return err_new(ERR_TIMEOUT, "no whole answer from the engine at %s within %u.%03u s", at,
                   r->timeout_ms / 1000, r->timeout_ms % 1000);
}

struct err *http_error(const struct request *r, CURLcode code)
{
    const char *at = r->e->at.display;
    const char *words = r->curl_error[0] ? r->curl_error : curl_easy_strerror(code);
    if (r->too_big || code == CURLE_FILESIZE_EXCEEDED)
        return err_new(ERR_INTERNAL, "the engine's answer to %s %s is larger than %zu bytes",
                       r->method, r->path, r->max_body);
    /* curl is content with an answer that ends in the middle of its headers. */
    if (code == CURLE_OK && !r->headers_whole)
        code = CURLE_GOT_NOTHING;
    /* Only what is told apart is listed. */
    switch ((int)code) {
    case CURLE_OK:
        return NULL;
    case CURLE_OUT_OF_MEMORY:
        xoom();
    case CURLE_COULDNT_CONNECT:
        return connect_error(r);
    case CURLE_OPERATION_TIMEDOUT:
        return timeout_error(r);
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_new(ERR_UNAVAILABLE, "the name of the engine at %s can't be resolved", at);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return err_new(ERR_UNAVAILABLE,
                       "the engine at %s closed the connection before its answer was "
                       "complete (%s)",
                       at, words);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return err_new(ERR_UNAVAILABLE, "what answers at %s doesn't speak HTTP (%s)", at, words);
    case CURLE_SSL_CONNECT_ERROR:
        return err_new(ERR_UNAVAILABLE, "TLS with the engine at %s failed: %s", at, words);
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_new(ERR_DENIED, "the engine at %s is not the one its CA vouches for: %s", at,
                       words);
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return err_new(ERR_INVALID, "TLS files for the engine at %s: %s", at, words);
    case CURLE_ABORTED_BY_CALLBACK:
        return err_new(ERR_INTERNAL, "reading '%s' failed", r->body_path ? r->body_path : "");
    case CURLE_URL_MALFORMAT:
        return err_new(ERR_INVALID, "the engine can't be asked for '%s'", r->path);
    default:
        return err_new(ERR_INTERNAL, "asking the engine at %s: %s", at, words);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct sv trim(struct sv s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct sv){s.p + 1, s.n - 1};
    while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

struct sv engine_header(const struct engine_response *r, const char *name)
{
    struct sv found = {"", 0};
    size_t name_len = strlen(name);
    struct sv rest = r->headers;
    while (rest.n > 0) {
        const char *eol = memchr(rest.p, '\n', rest.n);
        size_t n = eol ? (size_t)(eol - rest.p) + 1 : rest.n;
        if (n > name_len && rest.p[name_len] == ':' && strncasecmp(rest.p, name, name_len) == 0)
            found = trim((struct sv){rest.p + name_len + 1, n - name_len - 1});
        rest = (struct sv){rest.p + n, rest.n - n};
    }
    return found;
}

struct err *engine_check(const struct engine_response *r, const char *what)
{
    struct response plain = {.error = r->error, .status = r->status, .body = r->body};
    return response_check(&plain, what);
}
