/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard BRIDGE…: the host's kernel takes no IPv4 packet from these bridges.
 *
 * An internal network's bridge has no address, but the kernel of the engine's host still answers
 * ARP on it for every address that the host has, and takes what is sent there: a datagram to a
 * service of the host gets out of the bottle, although no answer ever comes back. Strict
 * reverse-path filtering ends that, as no route leads back to a bridge without an address; not
 * answering ARP ends it one step earlier.
 *
 * Runs once in the host's network namespace with CAP_NET_ADMIN and nothing else, says what is so
 * now, one line a bridge, and ends with 0 when all of them are closed. Static: any image will do.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 32768,
    RP_FILTER_STRICT = 1,
    ARP_IGNORE_ALL = 8, /* answer for no address */
};

struct setting {
    unsigned short id; /* IPV4_DEVCONF_… */
    uint32_t value;
};
static const struct setting SETTINGS[] = {
    {IPV4_DEVCONF_RP_FILTER, RP_FILTER_STRICT},
    {IPV4_DEVCONF_ARP_IGNORE, ARP_IGNORE_ALL},
};
enum { SETTINGS_LEN = sizeof(SETTINGS) / sizeof(SETTINGS[0]) };

struct message {
    struct nlmsghdr h;
    struct ifinfomsg link;
    char attributes[256];
};

static struct rtattr *attribute(struct message *m, unsigned short type, const void *data, size_t n)
{
    struct rtattr *a = (struct rtattr *)(void *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    if (n)
        memcpy(RTA_DATA(a), data, n);
    m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
    return a;
}

static void close_nest(const struct message *m, struct rtattr *a)
{
    a->rta_len = (unsigned short)((const char *)m + NLMSG_ALIGN(m->h.nlmsg_len) - (char *)a);
}

static struct message message_for(unsigned short type, unsigned short flags, unsigned index)
{
    return (struct message){
        .h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
              .nlmsg_type = type,
              .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags)},
        .link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index},
    };
}

/* The kernel's answer in `buf`; its error, or 0 for an acknowledgement or data. */
static int ask(int fd, const struct message *m, char *buf, size_t *n)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(fd, m, m->h.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return errno;
    ssize_t got = recv(fd, buf, MESSAGE_MAX, 0);
    if (got < (ssize_t)sizeof(struct nlmsghdr))
        return got < 0 ? errno : EPROTO;
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
    *n = (size_t)got;
    if (h->nlmsg_type != NLMSG_ERROR)
        return 0;
    if (*n < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
        return EPROTO;
    const struct nlmsgerr *e = (const struct nlmsgerr *)(const void *)(buf + NLMSG_LENGTH(0));
    return -e->error;
}

static int set(int fd, unsigned index, char *buf)
{
    struct message m = message_for(RTM_SETLINK, NLM_F_ACK, index);
    struct rtattr *spec = attribute(&m, IFLA_AF_SPEC, NULL, 0);
    struct rtattr *inet = attribute(&m, AF_INET, NULL, 0);
    struct rtattr *conf = attribute(&m, IFLA_INET_CONF, NULL, 0);
    size_t n = 0;
    for (size_t i = 0; i < SETTINGS_LEN; i++)
        (void)attribute(&m, SETTINGS[i].id, &SETTINGS[i].value, sizeof(uint32_t));
    close_nest(&m, conf);
    close_nest(&m, inet);
    close_nest(&m, spec);
    return ask(fd, &m, buf, &n);
}

/* An attribute of that type among `len` bytes of them; NULL: none. */
static const struct rtattr *find(const char *at, size_t len, unsigned short type)
{
    while (len >= sizeof(struct rtattr)) {
        const struct rtattr *a = (const struct rtattr *)(const void *)at;
        size_t n = a->rta_len;
        if (n < sizeof(*a) || n > len)
            return NULL;
        if ((a->rta_type & NLA_TYPE_MASK) == type)
            return a;
        n = (n + NLA_ALIGNTO - 1) & ~(size_t)(NLA_ALIGNTO - 1);
        n = n < len ? n : len;
        at += n;
        len -= n;
    }
    return NULL;
}

static const char *payload(const struct rtattr *a)
{
    return (const char *)a + RTA_LENGTH(0);
}

static const struct rtattr *inside(const struct rtattr *a, unsigned short type)
{
    return a ? find(payload(a), a->rta_len - RTA_LENGTH(0), type) : NULL;
}

/* What the kernel has now, not what it was told. */
static int check(int fd, unsigned index, char *buf, bool *ret_closed)
{
    struct message m = message_for(RTM_GETLINK, 0, index);
    size_t n = 0;
    int e = ask(fd, &m, buf, &n);
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
    if (e || h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len > n ||
        h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
        return e ? e : EPROTO;
    size_t head = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct ifinfomsg)));
    const struct rtattr *spec = find(buf + head, h->nlmsg_len - head, IFLA_AF_SPEC);
    const struct rtattr *conf = inside(inside(spec, AF_INET), IFLA_INET_CONF);
    *ret_closed = conf != NULL;
    for (size_t i = 0; conf && i < SETTINGS_LEN; i++) {
        uint32_t now = 0;
        size_t at = (SETTINGS[i].id - 1U) * sizeof(now);
        if (conf->rta_len < RTA_LENGTH(at + sizeof(now)))
            return EPROTO;
        memcpy(&now, payload(conf) + at, sizeof(now));
        *ret_closed = *ret_closed && now == SETTINGS[i].value;
    }
    return 0;
}

static bool guard(int fd, const char *bridge, char *buf)
{
    unsigned index = if_nametoindex(bridge);
    bool closed = false;
    int e = index ? set(fd, index, buf) : errno;
    if (!e)
        e = check(fd, index, buf, &closed);
    (void)printf("%s: %s\n", bridge,
                 e        ? strerrordesc_np(e)
                 : closed ? "closed"
                          : "the kernel has not taken it");
    return !e && closed;
}

int main(int argc, char **argv)
{
    static char buf[MESSAGE_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    bool all = fd >= 0 && argc > 1;
    if (fd < 0)
        (void)printf("netlink: %s\n", strerrordesc_np(errno));
    for (int i = 1; fd >= 0 && i < argc; i++)
        all = guard(fd, argv[i], buf) && all;
    if (fd >= 0)
        (void)close(fd);
    return fflush(stdout) == 0 && all ? 0 : 1;
}
