/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/attest_host.h"

#include "render/text_clean.h"
#include "spec/base/xalloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
    CLIENTS_MAX = 64,
    HEARD_MAX = 512, /* bytes of one connection or datagram */
    SHOWN_MAX = 80,
    SELF_BYTES = 8,
};

enum kind { KIND_TCP, KIND_UDP, KIND_COUNT };

struct client {
    struct attest_host *h;
    sd_event_source *source;
    int fd;
    char from[INET6_ADDRSTRLEN];
    char heard[HEARD_MAX];
    size_t n;
};
struct attest_host {
    sd_event *loop;
    sd_event_source *source[KIND_COUNT];
    int fd[KIND_COUNT];
    uint16_t port[KIND_COUNT];
    char *nonce;
    struct str_list bottle;
    char self[2 * SELF_BYTES + 1]; /* what our own calls say */
    bool works[KIND_COUNT];        /* our own call was heard */
    char *arrived[KIND_COUNT];     /* the first; NULL: none */
    size_t arrivals[KIND_COUNT];
    struct client clients[CLIENTS_MAX];
};

static void client_close(struct client *c)
{
    c->source = sd_event_source_disable_unref(c->source);
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

struct attest_host *attest_host_free(struct attest_host *h)
{
    if (!h)
        return NULL;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        client_close(&h->clients[i]);
    for (int k = 0; k < KIND_COUNT; k++) {
        (void)sd_event_source_disable_unref(h->source[k]);
        if (h->fd[k] >= 0)
            (void)close(h->fd[k]);
        free(h->arrived[k]);
    }
    str_list_done(&h->bottle);
    free(h->nonce);
    free(h);
    return NULL;
}

/* ---- what arrives ---------------------------------------------------------------------------- */

/* IPv4 peers of a socket for both families come as "::ffff:a.b.c.d". */
static void peer_name(const struct sockaddr_storage *ss, char ret[INET6_ADDRSTRLEN])
{
    static const char mapped[] = "::ffff:";
    ret[0] = '\0';
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, ss, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, ret, INET6_ADDRSTRLEN);
    } else if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, ss, sizeof(in6));
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, ret, INET6_ADDRSTRLEN);
        if (strncmp(ret, mapped, strlen(mapped)) == 0 && strchr(ret, '.'))
            memmove(ret, ret + strlen(mapped), strlen(ret) - strlen(mapped) + 1);
    }
}

static bool holds(const char *bytes, size_t n, const char *text)
{
    return memmem(bytes, n, text, strlen(text)) != NULL;
}

static void judge(struct attest_host *h, enum kind kind, const char *from, const char *bytes,
                  size_t n)
{
    if (holds(bytes, n, h->self)) {
        h->works[kind] = true;
        return;
    }
    if (!holds(bytes, n, h->nonce) && !str_list_has(&h->bottle, from))
        return; /* somebody else's: this host may well be scanned */
    h->arrivals[kind]++;
    if (!h->arrived[kind]) {
        AUTO_FREE char *shown = text_clean((struct sv){bytes, n}, SHOWN_MAX);
        h->arrived[kind] = xasprintf("from %s: '%s'", from, shown);
    }
}

static int on_bytes(sd_event_source *s, int fd, uint32_t events, void *ctx)
{
    (void)s;
    (void)events;
    struct client *c = ctx;
    ssize_t n = recv(fd, c->heard + c->n, sizeof(c->heard) - c->n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    c->n += n > 0 ? (size_t)n : 0;
    if (n > 0 && c->n < sizeof(c->heard))
        return 0;
    judge(c->h, KIND_TCP, c->from, c->heard, c->n);
    client_close(c);
    return 0;
}

/* Who comes when all places are taken takes the place of the first, which is judged as it is. */
static struct client *place(struct attest_host *h)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (h->clients[i].fd < 0)
            return &h->clients[i];
    }
    struct client *c = &h->clients[0];
    judge(h, KIND_TCP, c->from, c->heard, c->n);
    client_close(c);
    return c;
}

static int on_connection(sd_event_source *s, int fd, uint32_t events, void *ctx)
{
    (void)s;
    (void)events;
    struct attest_host *h = ctx;
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    int got = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (got < 0)
        return 0;
    struct client *c = place(h);
    *c = (struct client){.h = h, .fd = got};
    peer_name(&peer, c->from);
    if (sd_event_add_io(h->loop, &c->source, got, EPOLLIN, on_bytes, c) < 0)
        client_close(c);
    return 0;
}

static int on_datagram(sd_event_source *s, int fd, uint32_t events, void *ctx)
{
    (void)s;
    (void)events;
    struct attest_host *h = ctx;
    char bytes[HEARD_MAX];
    char from[INET6_ADDRSTRLEN];
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    ssize_t n = recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&peer, &len);
    if (n < 0)
        return 0;
    peer_name(&peer, from);
    judge(h, KIND_UDP, from, bytes, (size_t)n);
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* On every address of both families where there are two. */
static int bind_any(int type, uint16_t *ret_port)
{
    static const int families[] = {AF_INET6, AF_INET};
    for (size_t i = 0; i < 2; i++) {
        AUTO_CLOSE fd = socket(families[i], type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
        const struct sockaddr_in any = {.sin_family = AF_INET};
        int both = 0;
        if (fd < 0)
            continue;
        if (i == 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof(both)) != 0)
            continue;
        int r = i == 0 ? bind(fd, (const struct sockaddr *)&any6, sizeof(any6))
                       : bind(fd, (const struct sockaddr *)&any, sizeof(any));
        struct sockaddr_storage got = {0};
        socklen_t len = sizeof(got);
        if (r != 0 || getsockname(fd, (struct sockaddr *)&got, &len) != 0)
            continue;
        struct sockaddr_in in;
        memcpy(&in, &got, sizeof(in)); /* the port is at the same place in both */
        *ret_port = ntohs(in.sin_port);
        return TAKE_FD(fd);
    }
    return -1;
}

/* Over loopback this needs nobody's help, so it never waits. */
static bool call_oneself(const struct attest_host *h, int type, uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    AUTO_CLOSE fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
           send(fd, h->self, strlen(h->self), MSG_NOSIGNAL) == (ssize_t)strlen(h->self);
}

static struct err *open_kind(struct attest_host *h, enum kind kind)
{
    int type = kind == KIND_TCP ? SOCK_STREAM : SOCK_DGRAM;
    h->fd[kind] = bind_any(type, &h->port[kind]);
    if (h->fd[kind] < 0 || (kind == KIND_TCP && listen(h->fd[kind], CLIENTS_MAX) != 0))
        return err_new(ERR_UNAVAILABLE, "listening on this host: %s", err_errno(errno));
    if (sd_event_add_io(h->loop, &h->source[kind], h->fd[kind], EPOLLIN,
                        kind == KIND_TCP ? on_connection : on_datagram, h) < 0)
        return err_new(ERR_INTERNAL, "no event source for a listener");
    if (!call_oneself(h, type, h->port[kind]))
        return err_new(ERR_UNAVAILABLE, "this host's own listener can't be reached: %s",
                       err_errno(errno));
    return NULL;
}

struct err *attest_host_open(sd_event *loop, const char *nonce, const struct str_list *bottle,
                             struct attest_host **ret)
{
    struct attest_host *h = xcalloc(1, sizeof(*h));
    *h = (struct attest_host){.loop = loop, .fd = {-1, -1}, .nonce = xstrdup(nonce)};
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        h->clients[i].fd = -1;
    for (size_t i = 0; i < bottle->len; i++)
        str_list_add(&h->bottle, bottle->items[i]);
    uint8_t self[SELF_BYTES];
    struct err *e = getrandom(self, sizeof(self), 0) == sizeof(self)
                        ? NULL
                        : err_new(ERR_INTERNAL, "no random bytes: %s", err_errno(errno));
    str_hex(self, sizeof(self), h->self);
    for (enum kind k = 0; !e && k < KIND_COUNT; k++)
        e = open_kind(h, k);
    if (e) {
        attest_host_free(h);
        return e;
    }
    *ret = h;
    return NULL;
}

uint16_t attest_host_tcp_port(const struct attest_host *h)
{
    return h->port[KIND_TCP];
}

uint16_t attest_host_udp_port(const struct attest_host *h)
{
    return h->port[KIND_UDP];
}

/* Connections that are still open count with what they have said so far. */
static void close_clients(struct attest_host *h)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *c = &h->clients[i];
        if (c->fd >= 0)
            judge(h, KIND_TCP, c->from, c->heard, c->n);
        client_close(c);
    }
}

void attest_host_report(struct attest_host *h, struct attest_report *r)
{
    close_clients(h);
    static const char *const words[KIND_COUNT] = {"tcp", "udp"};
    static const char *const things[KIND_COUNT] = {"connection", "datagram"};
    for (enum kind k = 0; k < KIND_COUNT; k++) {
        AUTO_FREE char *control = xasprintf("C.host.%s", words[k]);
        AUTO_FREE char *title = xasprintf("a listener on this host hears %s", words[k]);
        AUTO_FREE char *seen = xasprintf("port %u, called over loopback", h->port[k]);
        attest_report_control(r, ATTEST_AS_HOST, control, title, h->works[k], seen);
        AUTO_FREE char *id = xasprintf("HOST.%s", words[k]);
        AUTO_FREE char *what =
            xasprintf("no %s from inside the bottle arrives at this host", things[k]);
        AUTO_FREE char *evidence =
            h->arrived[k] ? xasprintf("%zu arrived, the first %s", h->arrivals[k], h->arrived[k])
                          : xasprintf("nothing arrived at port %u", h->port[k]);
        const struct attest_row row = {.id = id,
                                       .row = "N2",
                                       .class = "host",
                                       .title = what,
                                       .evidence = evidence,
                                       .control = control,
                                       .verdict = h->arrived[k] ? ATTEST_OPEN : ATTEST_DENIED};
        attest_report_add(r, ATTEST_AS_HOST, &row);
    }
}

/* ---- this host ------------------------------------------------------------------------------- */

bool attest_host_has_interface(const char *name)
{
    return name[0] && if_nametoindex(name) != 0;
}

void attest_host_addresses(struct str_list *ret)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        struct sockaddr_storage ss = {0};
        char text[INET6_ADDRSTRLEN];
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        memcpy(&ss, i->ifa_addr, sizeof(struct sockaddr_in));
        peer_name(&ss, text);
        str_list_add(ret, text);
    }
    freeifaddrs(all);
}
