/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: a program that runs once in the network namespace of the engine's host, and makes its
 * kernel take nothing from a bottle's internal networks (sidecars/guard). Needed because
 * inhibit_ipv4 and isolated gateways only leave the bridge without an address: the host still
 * answers ARP there and takes datagrams to any address that it has (seen on 20.10 and 28).
 */
#ifndef BOTTLER_RENDER_GUARD_H
#define BOTTLER_RENDER_GUARD_H

#include "render/desired.h"

#define GUARD_PATH "/bottler-guard"

/* POST /containers/create: it has CAP_NET_ADMIN in the host's network namespace and nothing else.
 */
char *guard_body(const struct desired *d, const char *image_id);
/* "<instance>.<bottle>.guard"; the caller frees. */
char *guard_name(const char *instance, const char *bottle);
/* An archive for PUT /archive?path=/. */
struct err *guard_archive(char **ret, size_t *ret_n) ERR_NODISCARD;

#endif
