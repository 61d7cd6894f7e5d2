/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/curl_loop.h"

#include "spec/base/xalloc.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

struct curl_loop {
    sd_event *loop;
    CURLM *multi;
    sd_event_source *timer;
    struct curl_loop_hooks hooks;
    unsigned depth; /* steps under way; the object outlives them */
    bool freed;
};

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

static void destroy(struct curl_loop *l)
{
    if (l->multi)
        (void)curl_multi_cleanup(l->multi);
    (void)sd_event_source_disable_unref(l->timer);
    (void)sd_event_unref(l->loop);
    free(l);
}

/* All ends that a step brought, not only the first: the rest would wait for another event, or for
 * ever. */
static void drain(struct curl_loop *l)
{
    while (!l->freed) {
        int left = 0;
        const CURLMsg *m = curl_multi_info_read(l->multi, &left);
        if (!m)
            return;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        (void)curl_multi_remove_handle(l->multi, easy);
        l->hooks.done(l->hooks.ctx, easy, code);
    }
}

static void step(struct curl_loop *l, curl_socket_t fd, int events)
{
    int running = 0;
    l->depth++;
    (void)curl_multi_socket_action(l->multi, fd, events, &running);
    if (l->hooks.stepped)
        l->hooks.stepped(l->hooks.ctx);
    drain(l);
    l->depth--;
    if (l->freed && l->depth == 0)
        destroy(l);
}

/* The handlers return 0 whatever happens: sd-event switches a source off when its handler fails. */
static int on_io(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
    (void)source;
    int events = 0;
    if (revents & (EPOLLIN | EPOLLRDHUP))
        events |= CURL_CSELECT_IN;
    if (revents & EPOLLOUT)
        events |= CURL_CSELECT_OUT;
    if (revents & (EPOLLERR | EPOLLHUP))
        events |= CURL_CSELECT_ERR;
    step(ctx, fd, events);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
    (void)source;
    (void)usec;
    step(ctx, CURL_SOCKET_TIMEOUT, 0);
    return 0;
}

/* curl wants to be called in `timeout_ms`. Counted from now and not from the start of this turn of
 * the loop, which a slow handler may have left behind. */
static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct curl_loop *l = ctx;
    if (timeout_ms < 0)
        return sd_event_source_set_enabled(l->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    uint64_t at = now_us() + (uint64_t)timeout_ms * 1000U;
    if (sd_event_source_set_time(l->timer, at) < 0)
        return -1;
    return sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

static uint32_t poll_mask(int what)
{
    uint32_t mask = 0;
    if (what & CURL_POLL_IN)
        mask |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        mask |= EPOLLOUT;
    return mask;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *source_of_fd)
{
    (void)easy;
    struct curl_loop *l = ctx;
    sd_event_source *source = source_of_fd;
    if (what == CURL_POLL_REMOVE) {
        (void)sd_event_source_disable_unref(source);
        (void)curl_multi_assign(l->multi, fd, NULL);
        return 0;
    }
    if (source)
        return sd_event_source_set_io_events(source, poll_mask(what)) < 0 ? -1 : 0;
    if (sd_event_add_io(l->loop, &source, fd, poll_mask(what), on_io, l) < 0)
        return -1;
    (void)sd_event_source_set_description(source, "curl-socket");
    return curl_multi_assign(l->multi, fd, source) == CURLM_OK ? 0 : -1;
}

struct err *curl_loop_new(sd_event *loop, const struct curl_loop_hooks *hooks, long max_connects,
                          struct curl_loop **ret)
{
    struct curl_loop *l = xcalloc(1, sizeof(*l));
    l->hooks = *hooks;
    l->loop = sd_event_ref(loop);
    l->multi = XNN(curl_multi_init());
    /* Accuracy 1 µs: the default would let the loop be a quarter of a second late. */
    int rc = sd_event_add_time(loop, &l->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_timer, l);
    if (rc < 0) {
        destroy(l);
        return err_new(ERR_INTERNAL, "event loop: adding a timer: %s", err_errno(-rc));
    }
    (void)sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
    (void)sd_event_source_set_description(l->timer, "curl-timer");
    CURLMcode bad = CURLM_OK;
    bad = bad ? bad : curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    bad = bad ? bad : curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
    bad = bad ? bad : curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    bad = bad ? bad : curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
    bad = bad ? bad : curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, max_connects);
    if (bad) {
        destroy(l);
        return err_new(ERR_INTERNAL, "curl: %s", curl_multi_strerror(bad));
    }
    *ret = l;
    return NULL;
}

struct curl_loop *curl_loop_free(struct curl_loop *l)
{
    if (!l)
        return NULL;
    assert(!l->freed);
    l->freed = true;
    if (l->depth == 0)
        destroy(l);
    return NULL;
}

struct err *curl_loop_add(struct curl_loop *l, CURL *easy)
{
    CURLMcode rc = curl_multi_add_handle(l->multi, easy);
    if (rc != CURLM_OK)
        return err_new(ERR_INTERNAL, "curl: %s", curl_multi_strerror(rc));
    return NULL;
}

void curl_loop_remove(struct curl_loop *l, CURL *easy)
{
    (void)curl_multi_remove_handle(l->multi, easy);
}
