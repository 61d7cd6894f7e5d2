/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/api.h"

#include "controller/api_socket.h"
#include "controller/api_watchers.h"
#include "spec/base/num.h"
#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <microhttpd.h>

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { US_PER_MS = 1000 };

#define WATCH_PATH "/v1/watch"
#define WATCHED_PATH "/v1/bottles"

struct api_server {
    api_handler *handle;
    void *ctx;
    char *path;
    dev_t dev; /* of the socket file, to remove only our own */
    ino_t ino;
    struct MHD_Daemon *daemon;
    struct api_watchers *watchers;
    sd_event_source *io;
    sd_event_source *timer;
    bool changed; /* watchers wait for a line */
    bool kicked;  /* the timer is due at once, and stays so until it ran */
};

/* From the first to the last call for one request. */
struct request {
    struct str body;
    uid_t uid;
    bool refused; /* answered already; the rest of the upload goes nowhere */
};

/* ---- answers -------------------------------------------------------------------------------- */

static enum MHD_Result send_json(struct MHD_Connection *conn, int status, json_t *value_take)
{
    char *text = XNN(json_dumps(value_take, JSON_COMPACT | JSON_ENCODE_ANY));
    json_decref(value_take);
    size_t n = strlen(text);
    text[n++] = '\n'; /* in the place of the NUL, which nobody needs */
    struct MHD_Response *r = XNN(MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE));
    (void)MHD_add_response_header(r, "Content-Type", "application/json");
    (void)MHD_add_response_header(r, "Cache-Control", "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, "Allow", "GET, HEAD, POST");
    enum MHD_Result result = MHD_queue_response(conn, (unsigned)status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *conn, int status, const char *why)
{
    return send_json(conn, status, XNN(json_pack("{s:s}", "error", why)));
}

static json_t *ask_handler(struct api_server *s, const struct api_request *q, int *ret_status)
{
    *ret_status = MHD_HTTP_OK;
    json_t *value = s->handle(s->ctx, q, ret_status);
    if (value)
        return value;
    *ret_status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    return XNN(json_pack("{s:s}", "error", "there is no answer"));
}

/* The value that watchers see, as one line. */
static char *watched_line(struct api_server *s)
{
    int status = 0;
    struct api_request q = {.method = "GET", .path = WATCHED_PATH, .uid = geteuid()};
    json_t *value = ask_handler(s, &q, &status);
    AUTO_FREE char *text = XNN(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
    json_decref(value);
    return xasprintf("%s\n", text);
}

/* ---- requests ------------------------------------------------------------------------------- */

static bool is_json_type(const char *type)
{
    static const char json[] = "application/json";
    if (!type || strncasecmp(type, json, sizeof(json) - 1) != 0)
        return false;
    char after = type[sizeof(json) - 1];
    return after == '\0' || after == ';' || after == ' ';
}

static const char *header(struct MHD_Connection *conn, const char *name)
{
    return MHD_lookup_connection_value(conn, MHD_HEADER_KIND, name);
}

/* What can be refused before any of the body is taken: a status, or 0. */
static int early_refusal(struct api_server *s, struct MHD_Connection *conn, const char *method,
                         uid_t *ret_uid, const char **ret_why)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || !api_socket_peer_ok(info->connect_fd, s->path, ret_uid)) {
        *ret_why = "only root, the controller's user and the group of its socket may ask";
        return MHD_HTTP_FORBIDDEN;
    }
    bool post = strcmp(method, "POST") == 0;
    if (!post && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        *ret_why = "expected GET, HEAD or POST";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    const char *length = header(conn, "Content-Length");
    int64_t n = 0;
    if (length && !num_parse(sv_of(length), 0, API_MAX_BODY, &n)) {
        *ret_why = "the body is larger than 1 MiB";
        return MHD_HTTP_CONTENT_TOO_LARGE;
    }
    bool body = n > 0 || header(conn, "Transfer-Encoding");
    if (post && body && !is_json_type(header(conn, "Content-Type"))) {
        *ret_why = "expected a body of type application/json";
        return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    }
    return 0;
}

static enum MHD_Result answer_watch(struct api_server *s, struct MHD_Connection *conn)
{
    AUTO_FREE char *line = watched_line(s);
    struct MHD_Response *r = api_watchers_add(s->watchers, conn, line);
    if (!r)
        return refuse(conn, MHD_HTTP_SERVICE_UNAVAILABLE, "too many watchers");
    (void)MHD_add_response_header(r, "Content-Type", "application/json");
    (void)MHD_add_response_header(r, "Cache-Control", "no-store");
    enum MHD_Result result = MHD_queue_response(conn, MHD_HTTP_OK, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result answer(struct api_server *s, struct MHD_Connection *conn, const char *method,
                              const char *path, const struct request *q)
{
    const struct str *body = &q->body;
    bool post = strcmp(method, "POST") == 0;
    if (strcmp(method, "GET") == 0 && strcmp(path, WATCH_PATH) == 0)
        return answer_watch(s, conn);
    json_t *value = NULL;
    if (post && body->len) {
        json_error_t where;
        value = json_loadb(body->p, body->len, JSON_REJECT_DUPLICATES, &where);
        if (!value) {
            AUTO_FREE char *why = xasprintf("the body isn't JSON: line %d, column %d: %s",
                                            where.line, where.column, where.text);
            return refuse(conn, MHD_HTTP_BAD_REQUEST, why);
        }
    }
    int status = 0;
    /* HEAD is GET whose body the library leaves out. */
    struct api_request ask = {
        .method = post ? "POST" : "GET", .path = path, .body = value, .uid = q->uid};
    json_t *result = ask_handler(s, &ask, &status);
    json_decref(value);
    return send_json(conn, status, result);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_n, void **req)
{
    (void)version;
    struct api_server *s = ctx;
    struct request *q = *req;
    if (!q) {
        const char *why = "";
        q = xcalloc(1, sizeof(*q));
        str_init(&q->body, API_MAX_BODY);
        *req = q;
        int status = early_refusal(s, conn, method, &q->uid, &why);
        q->refused = status != 0;
        return q->refused ? refuse(conn, status, why) : MHD_YES;
    }
    if (*data_n) {
        if (!q->refused)
            str_addn(&q->body, data, *data_n);
        *data_n = 0;
        /* A chunked upload without end: the connection is closed on it. */
        return str_failed(&q->body) ? MHD_NO : MHD_YES;
    }
    return q->refused ? MHD_YES : answer(s, conn, method, url, q);
}

static void on_completed(void *ctx, struct MHD_Connection *conn, void **req,
                         enum MHD_RequestTerminationCode code)
{
    (void)ctx;
    (void)conn;
    (void)code;
    struct request *q = *req;
    if (!q)
        return;
    str_done(&q->body);
    free(q);
    *req = NULL;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void arm(struct api_server *s, uint64_t in_us)
{
    (void)sd_event_source_set_time_relative(s->timer, in_us);
    (void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static void kick(void *ctx)
{
    struct api_server *s = ctx;
    s->kicked = true;
    arm(s, 0);
}

static unsigned connections(const struct api_server *s)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}

static void run(struct api_server *s)
{
    unsigned long long timeout_ms = 0;
    unsigned before = connections(s);
    (void)MHD_run(s->daemon);
    /* At its limit the library stops listening, and begins again only in the run after the one that
     * made room. */
    if (connections(s) < before)
        s->kicked = true;
    /* The library's own timeout must not put off what is due now. */
    if (s->kicked)
        arm(s, 0);
    else if (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES)
        arm(s, (uint64_t)timeout_ms * US_PER_MS);
    else
        (void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
    (void)source;
    (void)fd;
    (void)revents;
    run(ctx);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
    (void)source;
    (void)usec;
    struct api_server *s = ctx;
    if (s->changed) {
        s->changed = false;
        AUTO_FREE char *line = watched_line(s);
        api_watchers_push(s->watchers, line);
    }
    s->kicked = false;
    run(s);
    return 0;
}

void api_server_changed(struct api_server *s)
{
    if (api_watchers_count(s->watchers) == 0)
        return;
    s->changed = true;
    kick(s);
}

unsigned api_server_watchers(const struct api_server *s)
{
    return api_watchers_count(s->watchers);
}

/* ---- life ----------------------------------------------------------------------------------- */

static struct err *add_sources(struct api_server *s, sd_event *loop)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        return err_new(ERR_INTERNAL, "serving '%s': the HTTP library has no epoll", s->path);
    int r = sd_event_add_io(loop, &s->io, info->epoll_fd, EPOLLIN, on_readable, s);
    if (r >= 0)
        r = sd_event_add_time(loop, &s->timer, CLOCK_MONOTONIC, 0, US_PER_MS, on_timer, s);
    if (r < 0)
        return err_new(ERR_INTERNAL, "serving '%s': %s", s->path, err_errno(-r));
    return NULL;
}

static struct err *start_daemon(struct api_server *s)
{
    int fd = -1;
    TRY(api_socket_listen(s->path, &fd));
    struct stat st;
    if (lstat(s->path, &st) == 0) {
        s->dev = st.st_dev;
        s->ino = st.st_ino;
    }
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                                 on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)API_MAX_CLIENTS,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)API_IDLE_S,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
    if (s->daemon)
        return NULL;
    /* Whether it closed the socket is not told: better to lose a descriptor than to close somebody
     * else's. */
    api_socket_remove(s->path, s->dev, s->ino);
    return err_new(ERR_INTERNAL, "serving '%s': the HTTP library can't start", s->path);
}

static void server_freep(struct api_server **s)
{
    *s = api_server_free(*s);
}

struct err *api_server_new(sd_event *loop, const char *socket_path, api_handler *handle, void *ctx,
                           struct api_server **ret)
{
    AUTO(server_freep) struct api_server *s = xcalloc(1, sizeof(*s));
    s->handle = handle;
    s->ctx = ctx;
    s->path = xstrdup(socket_path);
    s->watchers = api_watchers_new(loop, kick, s);
    TRY(start_daemon(s));
    TRY(add_sources(s, loop));
    *ret = TAKE_PTR(s);
    return NULL;
}

struct api_server *api_server_free(struct api_server *s)
{
    if (!s)
        return NULL;
    if (s->daemon) {
        api_socket_remove(s->path, s->dev, s->ino);
        /* The library must not be stopped with connections asleep. */
        api_watchers_end(s->watchers);
        (void)MHD_run(s->daemon);
        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->timer);
        MHD_stop_daemon(s->daemon);
    }
    api_watchers_free(s->watchers);
    free(s->path);
    free(s);
    return NULL;
}
