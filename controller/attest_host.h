/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners on this host, on every address, that nothing inside a bottle may reach. */
#ifndef BOTTLER_CONTROLLER_ATTEST_HOST_H
#define BOTTLER_CONTROLLER_ATTEST_HOST_H

#include "render/attest_report.h"
#include "spec/base/str.h"

#include <systemd/sd-event.h>

struct attest_host;

/* Counted are arrivals that hold the nonce, and those from one of the `bottle`'s addresses.
 * UNAVAILABLE when this host can't listen. */
struct err *attest_host_open(sd_event *loop, const char *nonce, const struct str_list *bottle,
                             struct attest_host **ret) ERR_NODISCARD;
/* NULL is fine; returns NULL. */
struct attest_host *attest_host_free(struct attest_host *h);
uint16_t attest_host_tcp_port(const struct attest_host *h);
uint16_t attest_host_udp_port(const struct attest_host *h);
/* The rows "HOST.tcp" and "HOST.udp", and the control that the listeners hear at all. */
void attest_host_report(struct attest_host *h, struct attest_report *r);

/* Whether this interface is in our network namespace: the engine's bridges are where the engine's
 * host can be attacked. */
bool attest_host_has_interface(const char *name);
/* The host's own IPv4 addresses but loopback's; `ret` is added to. */
void attest_host_addresses(struct str_list *ret);

#endif
