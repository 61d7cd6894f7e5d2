/* SPDX-License-Identifier: Apache-2.0 */
/* The only number parsers, and checked arithmetic. */
#ifndef BOTTLER_SPEC_BASE_NUM_H
#define BOTTLER_SPEC_BASE_NUM_H

#include "spec/base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Decimal, optional '-', no sign '+', no spaces, no leading zeros but "0" itself. False when the
 * text is anything else or out of min..max; *ret is then untouched. */
bool num_parse(struct sv text, int64_t min, int64_t max, int64_t *ret);
/* The same in another base (8 or 16), digits only. */
bool num_parse_base(struct sv text, unsigned base, int64_t max, int64_t *ret);
/* IPv4 address or CIDR in dotted form, no leading zeros. `ret_bits` 32 when no "/bits" is there.
 * Host bits are not checked here. */
bool num_parse_ipv4(struct sv text, uint32_t *ret_addr, unsigned *ret_bits);

#define ckd_add_i64(a, b, ret) __builtin_add_overflow((int64_t)(a), (int64_t)(b), (ret))
#define ckd_mul_i64(a, b, ret) __builtin_mul_overflow((int64_t)(a), (int64_t)(b), (ret))

#endif
