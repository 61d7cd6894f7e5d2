/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seccomp profile of bottler's own. What an engine filters by default can't be added to through
 * its API, and it lets AF_VSOCK through, sockets that no network namespace confines: engines before
 * 23 by any way, later ones by socketcall and by a family above 32 bits. Engines before 25 let
 * io_uring through as well.
 */
#ifndef BOTTLER_RENDER_SECCOMP_H
#define BOTTLER_RENDER_SECCOMP_H

#include <jansson.h>
#include <stdbool.h>

/* Is the filter that an engine gives to every container to be replaced by ours? `arch` is Go's
 * word, `profile` what /info says ("default", "builtin"; NULL: it has no seccomp). False for a
 * profile that the operator chose, and on architectures for which ours isn't written. */
bool seccomp_is_weak(const char *arch, const char *profile);

/* "seccomp={…}" for HostConfig.SecurityOpt. The same bytes at any time and on any architecture.
 * The caller frees. */
char *seccomp_option(void);

/* Adds it to the SecurityOpt of a HostConfig that has one. */
void seccomp_put(json_t *host_config);

/* Is it the option of this or of an earlier version of bottler, to the byte? */
bool seccomp_is_ours(const char *option);

#endif
