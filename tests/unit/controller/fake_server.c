/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine to talk to, for tests: HTTP on a Unix socket, in the same thread and on the same event
 * loop as the client, so that every run has the same order of things and nothing sleeps. Included
 * by the tests that need it.
 *
 * A test gives one handler; it is called for each whole request and decides what goes back: an
 * answer at once, bytes in pieces that the client is sure to read one by one, nothing at all, or a
 * closed connection.
 */
#include "spec/base/num.h"
#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

#define FAKE_FN __attribute__((unused)) static

enum { FAKE_MAX = 64 << 20, FAKE_MAX_LOG = 256, FAKE_BUFFER = 64 << 10 };

struct fake;
struct fake_conn {
    LIST_ENTRY(fake_conn) in_fake;
    struct fake *fake;
    int number; /* 1 is the first one accepted */
    int fd;
    sd_event_source *readable;
    sd_event_source *sender; /* idle-priority: while there are pieces to send */
    struct str in;
    struct str out;
    size_t sent;
    size_t piece; /* bytes at a time; 0: as they fit */
    bool close_after;
    bool closed; /* freed when its handler returns */
};
LIST_HEAD(fake_conns, fake_conn);

struct fake_request {
    char *method;
    char *path;
    char *head; /* request line and headers */
    char *body;
    size_t body_len;
    int conn;
};

typedef void fake_handler(void *ctx, struct fake_conn *c, const struct fake_request *q);

struct fake {
    sd_event *loop;
    char dir[32];
    char *path;
    int fd;
    sd_event_source *acceptor;
    struct fake_conns conns;
    int accepted;
    int open;             /* connections now */
    bool close_on_accept; /* without reading: what the client sent meets a reset */
    fake_handler *handle;
    void *ctx;
    struct fake_request log[FAKE_MAX_LOG];
    size_t log_len;
};

static void fake_conn_free(struct fake_conn *c)
{
    LIST_REMOVE(c, in_fake);
    c->fake->open--;
    (void)sd_event_source_disable_unref(c->readable);
    (void)sd_event_source_disable_unref(c->sender);
    (void)close(c->fd);
    str_done(&c->in);
    str_done(&c->out);
    free(c);
}

/* Ends the connection now, whatever wasn't sent. */
FAKE_FN void fake_close(struct fake_conn *c)
{
    if (!c->closed)
        (void)shutdown(c->fd, SHUT_RDWR);
    c->closed = true;
}

/* Sends what waits; pieces only when the client has read the one before. */
static int fake_on_send(sd_event_source *source, void *ctx)
{
    (void)source;
    struct fake_conn *c = ctx;
    int unread = 0;
    if (c->piece > 0 && ioctl(c->fd, SIOCOUTQ, &unread) == 0 && unread > 0)
        return 0;
    size_t n = c->out.len - c->sent;
    if (c->piece > 0 && n > c->piece)
        n = c->piece;
    ssize_t done = send(c->fd, c->out.p + c->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0 && errno == EAGAIN)
        return 0;
    if (done < 0) {
        fake_conn_free(c);
        return 0;
    }
    c->sent += (size_t)done;
    if (c->sent < c->out.len)
        return 0;
    str_clear(&c->out);
    c->sent = 0;
    (void)sd_event_source_set_enabled(c->sender, SD_EVENT_OFF);
    if (c->close_after)
        fake_conn_free(c);
    return 0;
}

FAKE_FN void fake_send(struct fake_conn *c, struct sv bytes)
{
    str_addn(&c->out, bytes.p, bytes.n);
    assert(!str_failed(&c->out));
    (void)sd_event_source_set_enabled(c->sender, SD_EVENT_ON);
}

/* A whole answer with a length; the connection stays open. */
FAKE_FN void fake_answer(struct fake_conn *c, const char *status, const char *type, struct sv body)
{
    AUTO_FREE char *head = xasprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nApi-Version: 1.41\r\n"
                                     "Content-Length: %zu\r\n\r\n",
                                     status, type, body.n);
    fake_send(c, sv_of(head));
    fake_send(c, body);
}

FAKE_FN void fake_json(struct fake_conn *c, const char *status, const char *body)
{
    fake_answer(c, status, "application/json", sv_of(body));
}

/* The start of a chunked answer, a chunk, and its end. */
FAKE_FN void fake_chunked(struct fake_conn *c, const char *status, const char *type)
{
    AUTO_FREE char *head = xasprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\n"
                                     "Transfer-Encoding: chunked\r\n\r\n",
                                     status, type);
    fake_send(c, sv_of(head));
}

FAKE_FN void fake_chunk(struct fake_conn *c, struct sv bytes)
{
    char size[24];
    (void)snprintf(size, sizeof(size), "%zx\r\n", bytes.n);
    fake_send(c, sv_of(size));
    fake_send(c, bytes);
    fake_send(c, sv_of("\r\n"));
}

FAKE_FN void fake_chunk_end(struct fake_conn *c)
{
    fake_send(c, sv_of("0\r\n\r\n"));
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The value of a header of a recorded request, up to the end of its line; NULL when there is none.
 */
FAKE_FN char *fake_header(const struct fake_request *q, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = strchr(q->head, '\n'); p; p = strchr(p, '\n')) {
        p++;
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            p += strspn(p, " ");
            return xmemdup0(p, strcspn(p, "\r\n"));
        }
    }
    return NULL;
}

static size_t fake_body_len(const struct fake_request *q)
{
    AUTO_FREE char *text = fake_header(q, "Content-Length");
    int64_t n = 0;
    if (text && !num_parse(sv_of(text), 0, FAKE_MAX, &n))
        abort();
    return (size_t)n;
}

static void fake_request_done(struct fake_request *q)
{
    free(q->method);
    free(q->path);
    free(q->head);
    free(q->body);
    *q = (struct fake_request){0};
}

/* One whole request off the front of what came. */
static bool fake_parse(struct fake_conn *c, struct fake_request *q)
{
    const char *end = memmem(c->in.p, c->in.len, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head_len = (size_t)(end - c->in.p) + 4;
    *q = (struct fake_request){.head = xmemdup0(c->in.p, head_len), .conn = c->number};
    q->body_len = fake_body_len(q);
    if (c->in.len < head_len + q->body_len) {
        fake_request_done(q);
        return false;
    }
    q->body = xmemdup0(c->in.p + head_len, q->body_len);
    size_t method_len = strcspn(q->head, " ");
    q->method = xmemdup0(q->head, method_len);
    const char *path = q->head + method_len + 1;
    q->path = xmemdup0(path, strcspn(path, " "));
    size_t used = head_len + q->body_len;
    AUTO_FREE char *rest = xmemdup0(c->in.p + used, c->in.len - used);
    size_t rest_len = c->in.len - used;
    str_clear(&c->in);
    str_addn(&c->in, rest, rest_len);
    return true;
}

static int fake_on_readable(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
    (void)source;
    (void)revents;
    struct fake_conn *c = ctx;
    AUTO_FREE char *buffer = xmalloc(FAKE_BUFFER);
    ssize_t n = recv(fd, buffer, FAKE_BUFFER, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0) {
        fake_conn_free(c);
        return 0;
    }
    str_addn(&c->in, buffer, (size_t)n);
    assert(!str_failed(&c->in));
    struct fake *f = c->fake;
    while (!c->closed && f->log_len < FAKE_MAX_LOG && fake_parse(c, &f->log[f->log_len])) {
        const struct fake_request *q = &f->log[f->log_len++];
        f->handle(f->ctx, c, q);
    }
    if (c->closed)
        fake_conn_free(c);
    return 0;
}

static int fake_on_accept(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
    (void)source;
    (void)revents;
    struct fake *f = ctx;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return 0;
    f->accepted++;
    if (f->close_on_accept) {
        (void)close(client);
        return 0;
    }
    struct fake_conn *c = xcalloc(1, sizeof(*c));
    c->fake = f;
    c->number = f->accepted;
    c->fd = client;
    str_init(&c->in, FAKE_MAX);
    str_init(&c->out, FAKE_MAX);
    LIST_INSERT_HEAD(&f->conns, c, in_fake);
    f->open++;
    if (sd_event_add_io(f->loop, &c->readable, client, EPOLLIN, fake_on_readable, c) < 0 ||
        sd_event_add_defer(f->loop, &c->sender, fake_on_send, c) < 0)
        abort();
    (void)sd_event_source_set_priority(c->sender, SD_EVENT_PRIORITY_IDLE);
    (void)sd_event_source_set_enabled(c->sender, SD_EVENT_OFF);
    return 0;
}

/* ---- its life -------------------------------------------------------------------------------- */

/* Starts to listen at f->path; as an engine does again after a restart. */
FAKE_FN void fake_listen(struct fake *f, int backlog)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
    f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (f->fd < 0 || bind(f->fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
        listen(f->fd, backlog) < 0 ||
        sd_event_add_io(f->loop, &f->acceptor, f->fd, EPOLLIN, fake_on_accept, f) < 0)
        abort();
}

/* The engine goes away: no socket, every connection closed. */
FAKE_FN void fake_stop(struct fake *f)
{
    f->acceptor = sd_event_source_disable_unref(f->acceptor);
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
    (void)unlink(f->path);
    while (!LIST_EMPTY(&f->conns))
        fake_conn_free(LIST_FIRST(&f->conns));
}

FAKE_FN struct fake *fake_new(sd_event *loop, fake_handler *handle, void *ctx)
{
    struct fake *f = xcalloc(1, sizeof(*f));
    f->loop = loop;
    f->handle = handle;
    f->ctx = ctx;
    f->fd = -1;
    LIST_INIT(&f->conns);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bottler-fake-XXXXXX");
    if (!mkdtemp(f->dir))
        abort();
    f->path = xasprintf("%s/engine.sock", f->dir);
    fake_listen(f, 256);
    return f;
}

FAKE_FN struct fake *fake_free(struct fake *f)
{
    fake_stop(f);
    (void)rmdir(f->dir);
    for (size_t i = 0; i < f->log_len; i++)
        fake_request_done(&f->log[i]);
    free(f->path);
    free(f);
    return NULL;
}

/* How many requests of this method and path came; NULL: any. */
FAKE_FN size_t fake_count(const struct fake *f, const char *method, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < f->log_len; i++)
        if ((!method || strcmp(f->log[i].method, method) == 0) &&
            (!path || strcmp(f->log[i].path, path) == 0))
            n++;
    return n;
}

FAKE_FN const struct fake_request *fake_last(const struct fake *f)
{
    assert(f->log_len > 0);
    return &f->log[f->log_len - 1];
}
