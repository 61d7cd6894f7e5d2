/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for bottles' networks: /28 slices of the installation's own pool. The engine's default
 * pools end at 30 networks (reference: engine.md section 5), so every subnet is asked for by name.
 */
#ifndef BOTTLER_RECONCILE_POOL_H
#define BOTTLER_RECONCILE_POOL_H

#include "spec/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_DEFAULT "10.213.0.0/16"
enum { POOL_SLICE_BITS = 28, POOL_SUBNET_TEXT = 19 /* "255.255.255.255/28" and a NUL */ };

struct cidr {
    uint32_t base;
    unsigned bits;
};
/* "a.b.c.d/n" or "a.b.c.d"; false for anything else (IPv6 too). Host bits are cleared. */
bool cidr_parse(const char *text, struct cidr *ret);
bool cidr_overlap(struct cidr a, struct cidr b);

struct pool {
    struct cidr range;
};
/* INVALID unless it is a private IPv4 range of /8 to /28 without host bits. */
struct err *pool_parse(const char *text, struct pool *ret) ERR_NODISCARD;
/* The first slice that overlaps nothing in `used`. INVALID when the pool is exhausted: says how
 * many slices it has and how to get more. */
struct err *pool_next(const struct pool *p, const struct cidr *used, size_t n, struct cidr *ret)
    ERR_NODISCARD;
void cidr_format(struct cidr c, char ret[POOL_SUBNET_TEXT]);

/* A growing set. Zeroed = empty. */
struct cidr_set {
    struct cidr *items;
    size_t len;
};
void cidr_set_add(struct cidr_set *s, struct cidr c);
void cidr_set_done(struct cidr_set *s);

#endif
