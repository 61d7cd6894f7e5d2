/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next try. Clock and chance come from the caller. */
#ifndef BOTTLER_RECONCILE_BACKOFF_H
#define BOTTLER_RECONCILE_BACKOFF_H

#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define BACKOFF_FIRST_NS (250 * NS_PER_MS)
#define BACKOFF_LAST_NS (60 * NS_PER_S)
#define RESTART_FORGIVEN_NS (60 * NS_PER_S)

/* splitmix64: small, seedable, good enough for jitter; never for secrets. */
uint64_t prng_next(uint64_t *state);

/* After `failures` (from 1) in a row: 250 ms doubling to 60 s, of which the upper half is jitter.
 */
uint64_t backoff_delay_ns(unsigned failures, uint64_t *prng);
/* Before start number `streak` + 2 of something that keeps ending: 1 s doubling to 60 s. */
uint64_t restart_delay_ns(unsigned streak);

#endif
