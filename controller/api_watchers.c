/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/api_watchers.h"

#include "controller/api.h"
#include "spec/base/xalloc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum { BLOCK_BYTES = 16 * 1024 };

struct line {
    unsigned refs;
    size_t n;
    char *bytes;
};

struct watcher {
    struct api_watchers *all;
    struct watcher *prev, *next;
    struct MHD_Connection *conn;
    struct line *queue[API_WATCH_MAX_LINES]; /* oldest first */
    size_t queue_len;
    size_t sent; /* of queue[0] */
    bool asleep;
    bool over;   /* the next read ends the answer */
    int peer_fd; /* a copy of the connection's */
    sd_event_source *peer;
};

struct api_watchers {
    sd_event *loop;
    void (*kick)(void *ctx);
    void *ctx;
    struct watcher *first;
    unsigned count;
};

static struct line *line_new(const char *text)
{
    struct line *l = xcalloc(1, sizeof(*l));
    l->refs = 1;
    l->n = strlen(text);
    l->bytes = xmemdup0(text, l->n);
    return l;
}

static void line_unref(struct line *l)
{
    if (--l->refs == 0) {
        free(l->bytes);
        free(l);
    }
}

/* ---- one watcher ---------------------------------------------------------------------------- */

static void drop_lines(struct watcher *w)
{
    for (size_t i = 0; i < w->queue_len; i++)
        line_unref(w->queue[i]);
    w->queue_len = 0;
    w->sent = 0;
}

static void wake(struct watcher *w)
{
    if (!w->asleep)
        return;
    w->asleep = false;
    MHD_resume_connection(w->conn);
    w->all->kick(w->all->ctx);
}

/* A connection that is asleep is one that the library doesn't look at, and one that can't take more
 * is one that it waits for: cutting the line below it ends both. */
static void cut(struct watcher *w)
{
    w->over = true;
    drop_lines(w);
    (void)sd_event_source_set_enabled(w->peer, SD_EVENT_OFF);
    (void)shutdown(w->peer_fd, SHUT_RDWR);
    wake(w);
}

static int on_peer_gone(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
    (void)source;
    (void)fd;
    (void)revents;
    cut(ctx);
    return 0;
}

static ssize_t on_read(void *ctx, uint64_t pos, char *buf, size_t max)
{
    (void)pos;
    struct watcher *w = ctx;
    if (w->over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (w->queue_len == 0) {
        w->asleep = true;
        MHD_suspend_connection(w->conn);
        return 0;
    }
    struct line *l = w->queue[0];
    size_t left = l->n - w->sent;
    size_t n = left < max ? left : max;
    memcpy(buf, l->bytes + w->sent, n);
    w->sent += n;
    if (n == left) {
        line_unref(l);
        w->queue_len--;
        w->sent = 0;
        for (size_t i = 0; i < w->queue_len; i++)
            w->queue[i] = w->queue[i + 1];
    }
    return (ssize_t)n;
}

static void on_free(void *ctx)
{
    struct watcher *w = ctx;
    struct api_watchers *all = w->all;
    if (w->prev)
        w->prev->next = w->next;
    else
        all->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    all->count--;
    drop_lines(w);
    sd_event_source_disable_unref(w->peer);
    if (w->peer_fd >= 0)
        (void)close(w->peer_fd);
    free(w);
}

static void push(struct watcher *w, struct line *l)
{
    if (w->over)
        return;
    if (w->queue_len == API_WATCH_MAX_LINES) {
        cut(w);
        return;
    }
    l->refs++;
    w->queue[w->queue_len++] = l;
    wake(w);
}

/* ---- all ------------------------------------------------------------------------------------ */

struct api_watchers *api_watchers_new(sd_event *loop, void (*kick)(void *ctx), void *ctx)
{
    struct api_watchers *ws = xcalloc(1, sizeof(*ws));
    *ws = (struct api_watchers){.loop = sd_event_ref(loop), .kick = kick, .ctx = ctx};
    return ws;
}

void api_watchers_free(struct api_watchers *ws)
{
    if (!ws)
        return;
    sd_event_unref(ws->loop);
    free(ws);
}

/* Asleep, the library doesn't see that a client went away; a copy of the descriptor does. It is a
 * copy, so that closing the original can't take another source's place in the loop. */
static bool mind_peer(struct watcher *w)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(w->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return false;
    w->peer_fd = fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 3);
    if (w->peer_fd < 0)
        return false;
    return sd_event_add_io(w->all->loop, &w->peer, w->peer_fd, EPOLLRDHUP, on_peer_gone, w) >= 0;
}

struct MHD_Response *api_watchers_add(struct api_watchers *ws, struct MHD_Connection *conn,
                                      const char *line)
{
    if (ws->count == API_MAX_WATCHERS)
        return NULL;
    struct watcher *w = xcalloc(1, sizeof(*w));
    *w = (struct watcher){.all = ws, .next = ws->first, .conn = conn, .peer_fd = -1};
    if (ws->first)
        ws->first->prev = w;
    ws->first = w;
    ws->count++;
    if (!mind_peer(w)) {
        on_free(w);
        return NULL;
    }
    w->queue[w->queue_len++] = line_new(line);
    return XNN(
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, w, on_free));
}

void api_watchers_push(struct api_watchers *ws, const char *line)
{
    struct line *l = line_new(line);
    for (struct watcher *w = ws->first; w; w = w->next)
        push(w, l);
    line_unref(l);
}

void api_watchers_end(struct api_watchers *ws)
{
    for (struct watcher *w = ws->first; w; w = w->next) {
        w->over = true;
        drop_lines(w);
        wake(w);
    }
}

unsigned api_watchers_count(const struct api_watchers *ws)
{
    return ws->count;
}
