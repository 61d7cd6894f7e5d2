/* SPDX-License-Identifier: Apache-2.0 */
/* A status API over a scratch directory, and raw clients of it. */
#ifndef BOTTLER_TESTS_UNIT_CONTROLLER_API_FIXTURE_H
#define BOTTLER_TESTS_UNIT_CONTROLLER_API_FIXTURE_H

#include "io_support.h"

#include "controller/api.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- a server and what it was asked --------------------------------------------------------- */

struct world {
    void *scratch;
    char *path;
    sd_event *loop;
    struct api_server *server;
    unsigned asked;
    char method[16];
    char url[128];
    char *body; /* as compact JSON, NULL: none */
    uid_t uid;
    int version;    /* what watchers see */
    size_t padding; /* bytes added to what watchers see */
    bool post_changes;
};

static inline json_t *handle(void *ctx, const struct api_request *q, int *ret_status)
{
    struct world *w = ctx;
    w->asked++;
    (void)snprintf(w->method, sizeof(w->method), "%s", q->method);
    (void)snprintf(w->url, sizeof(w->url), "%s", q->path);
    w->uid = q->uid;
    free(w->body);
    w->body = q->body ? json_dumps(q->body, JSON_COMPACT) : NULL;
    if (strcmp(q->path, "/v1/nothing") == 0)
        return NULL;
    if (strcmp(q->path, "/v1/missing") == 0) {
        *ret_status = 404;
        return json_pack("{s:s}", "error", "no such thing");
    }
    if (strcmp(q->method, "POST") == 0 && w->post_changes) {
        w->version++;
        api_server_changed(w->server);
    }
    AUTO_FREE char *pad = xcalloc(w->padding + 1, 1);
    memset(pad, 'x', w->padding);
    return json_pack("{s:i, s:s}", "version", w->version, "pad", pad);
}

static inline int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    if (scratch_setup(&w->scratch) < 0 || sd_event_new(&w->loop) < 0)
        return -1;
    w->path = at(&w->scratch, "run/api.sock");
    if (api_server_new(w->loop, w->path, handle, w, &w->server))
        return -1;
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    api_server_free(w->server);
    sd_event_unref(w->loop);
    free(w->path);
    free(w->body);
    int r = scratch_teardown(&w->scratch);
    free(w);
    return r;
}

/* ---- raw clients ---------------------------------------------------------------------------- */

static inline int dial(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static inline bool say(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Everything until the other side ends. */
static inline char *hear(int fd)
{
    struct str s;
    str_init(&s, 1 << 20);
    char buf[4096];
    for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) > 0;)
        str_addn(&s, buf, (size_t)n);
    return str_take(&s);
}

static inline char *exchange(const char *path, const char *request)
{
    AUTO_CLOSE fd = dial(path);
    if (fd < 0 || !say(fd, request, strlen(request)))
        return xstrdup("");
    return hear(fd);
}

static inline bool has_status(const char *answer, const char *status)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 && strncmp(answer + 9, status, 3) == 0;
}

/* ---- clients in children that both programs use --------------------------------------------- */

static inline char *child_get(void *ctx)
{
    struct world *w = ctx;
    int status = 0;
    json_t *value = NULL;
    struct err *e = api_call(w->path, "GET", "/v1/bottles/a-b?x=1&y=2", NULL, &status, &value);
    if (e)
        return xstrdup(err_message(e));
    CHILD_CHECK(status == 200);
    CHILD_CHECK(json_integer_value(json_object_get(value, "version")) == 7);
    json_decref(value);
    return NULL;
}

static inline char *child_post_empty(void *ctx)
{
    struct world *w = ctx;
    int status = 0;
    json_t *value = NULL;
    struct err *e = api_call(w->path, "POST", "/v1/do", NULL, &status, &value);
    if (e)
        return xstrdup(err_message(e));
    CHILD_CHECK(status == 200);
    return NULL;
}

#endif
