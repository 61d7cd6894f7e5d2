/* SPDX-License-Identifier: Apache-2.0 */
/* The single checks behind inspect_judge(). Inside render/ only. */
#ifndef BOTTLER_RENDER_INSPECT_CHECKS_H
#define BOTTLER_RENDER_INSPECT_CHECKS_H

#include "render/attest_report.h"
#include "render/attest_world.h"

/* What one check looks at. */
struct inspect_check {
    const struct attest_world *w;
    enum role role;
    const json_t *container; /* inspected; of container checks */
    const json_t *host;      /* its HostConfig */
    enum net net;
    const json_t *network; /* inspected; of network checks */
    struct str *evidence;  /* what was seen, for people */
};
typedef enum attest_verdict inspect_fn(struct inspect_check *c);

inspect_fn inspect_privileged, inspect_capabilities, inspect_no_new_privileges, inspect_confinement,
    inspect_proc, inspect_pid, inspect_ipc, inspect_uts, inspect_userns, inspect_cgroupns,
    inspect_network_mode, inspect_devices, inspect_mounts, inspect_ports, inspect_dns,
    inspect_restart, inspect_runtime, inspect_limits, inspect_user, inspect_forwarding,
    inspect_networks, inspect_aliases;
inspect_fn inspect_net_internal, inspect_net_gateway, inspect_net_ipv6, inspect_net_driver,
    inspect_net_members, inspect_net_icc;

/* For checks: the evidence is `key` and its value; the verdict says whether it is as it must be. */
enum attest_verdict inspect_says(struct inspect_check *c, const char *key, const json_t *value,
                                 bool sealed);
/* "" for anything but a text. */
const char *inspect_text(const json_t *object, const char *key);
/* Absent, null, and an empty list, object or text. */
bool inspect_is_empty(const json_t *value);

#endif
