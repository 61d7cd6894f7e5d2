/* SPDX-License-Identifier: Apache-2.0 */
/* A bottle in one line, for those who are about to let it run. */
#ifndef BOTTLER_RENDER_SUMMARY_H
#define BOTTLER_RENDER_SUMMARY_H

#include "spec/bottle.h"

/* "4 hosts allowed (a.example.com, b.example.com, c.example.com, +1 more)", in the order of
 * routeset_resolve(): all of them up to five, else the first three. "no hosts allowed (sealed)" for
 * none. Owned by the caller. */
char *summary_hosts(const struct bottle *b) __attribute__((returns_nonnull, warn_unused_result));

#endif
