/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/pool.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t mask_of(unsigned bits)
{
    return bits ? UINT32_MAX << (32 - bits) : 0;
}

bool cidr_parse(const char *text, struct cidr *ret)
{
    struct cidr c = {0};
    if (!num_parse_ipv4(sv_of(text), &c.base, &c.bits))
        return false;
    c.base &= mask_of(c.bits);
    *ret = c;
    return true;
}

bool cidr_overlap(struct cidr a, struct cidr b)
{
    uint32_t mask = mask_of(a.bits < b.bits ? a.bits : b.bits);
    return (a.base & mask) == (b.base & mask);
}

static bool is_private(struct cidr c)
{
    static const struct cidr ranges[] = {
        {0x0a000000, 8}, {0xac100000, 12}, {0xc0a80000, 16}, {0x64400000, 10}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
        if (c.bits >= ranges[i].bits && cidr_overlap(c, ranges[i]))
            return true;
    }
    return false;
}

struct err *pool_parse(const char *text, struct pool *ret)
{
    struct cidr c = {0};
    uint32_t addr = 0;
    unsigned bits = 0;
    if (!strchr(text, '/') || !num_parse_ipv4(sv_of(text), &addr, &bits) || !cidr_parse(text, &c))
        return err_new(ERR_INVALID, "address pool '%s': expected an IPv4 range such as %s", text,
                       POOL_DEFAULT);
    if (addr != c.base)
        return err_new(ERR_INVALID, "address pool '%s' has host bits set", text);
    if (bits < 8 || bits > POOL_SLICE_BITS)
        return err_new(ERR_INVALID, "address pool '%s': expected a size from /8 to /%d", text,
                       POOL_SLICE_BITS);
    if (!is_private(c))
        return err_new(ERR_INVALID,
                       "address pool '%s' is not private: expected a part of 10.0.0.0/8, "
                       "172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10",
                       text);
    ret->range = c;
    return NULL;
}

struct err *pool_next(const struct pool *p, const struct cidr *used, size_t n, struct cidr *ret)
{
    uint32_t slices = UINT32_C(1) << (POOL_SLICE_BITS - p->range.bits);
    uint32_t i = 0;
    while (i < slices) {
        struct cidr c = {p->range.base + (i << (32 - POOL_SLICE_BITS)), POOL_SLICE_BITS};
        const struct cidr *hit = NULL;
        for (size_t k = 0; k < n && !hit; k++) {
            if (cidr_overlap(c, used[k]))
                hit = &used[k];
        }
        if (!hit) {
            *ret = c;
            return NULL;
        }
        /* Jump over a large neighbour at once: a /8 next door must not cost a million steps. */
        uint32_t skip =
            hit->bits < POOL_SLICE_BITS ? (hit->base | ~mask_of(hit->bits)) - c.base : 0;
        i += (skip >> (32 - POOL_SLICE_BITS)) + 1;
    }
    char text[POOL_SUBNET_TEXT];
    cidr_format(p->range, text);
    return err_new(ERR_INVALID,
                   "the address pool %s is exhausted: all %" PRIu32
                   " /%d slices are taken or overlap other networks; a bottle needs three: give a "
                   "larger --address-pool",
                   text, slices, POOL_SLICE_BITS);
}

void cidr_format(struct cidr c, char ret[POOL_SUBNET_TEXT])
{
    (void)snprintf(ret, POOL_SUBNET_TEXT, "%u.%u.%u.%u/%u", c.base >> 24 & 255, c.base >> 16 & 255,
                   c.base >> 8 & 255, c.base & 255, c.bits & 63);
}

void cidr_set_add(struct cidr_set *s, struct cidr c)
{
    s->items = xreallocarray(s->items, s->len + 1, sizeof(*s->items));
    s->items[s->len++] = c;
}

void cidr_set_done(struct cidr_set *s)
{
    free(s->items);
    *s = (struct cidr_set){0};
}
