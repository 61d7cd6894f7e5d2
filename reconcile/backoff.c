/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/backoff.h"

uint64_t prng_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t doubled(uint64_t first_ns, unsigned times)
{
    uint64_t d = first_ns;
    while (times-- > 0 && d < BACKOFF_LAST_NS)
        d *= 2;
    return d < BACKOFF_LAST_NS ? d : BACKOFF_LAST_NS;
}

uint64_t backoff_delay_ns(unsigned failures, uint64_t *prng)
{
    uint64_t full = doubled(BACKOFF_FIRST_NS, failures ? failures - 1 : 0);
    return full / 2 + prng_next(prng) % (full / 2 + 1);
}

uint64_t restart_delay_ns(unsigned streak)
{
    return doubled(NS_PER_S, streak);
}
