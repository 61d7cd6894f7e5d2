/* SPDX-License-Identifier: Apache-2.0 */
/* Times as the engine and people write them. Pure: nobody asks for the present here. */
#ifndef BOTTLER_RECONCILE_CLOCK_H
#define BOTTLER_RECONCILE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_TEXT = 32 };

/* RFC 3339 with any zone and up to nine fractional digits. */
bool clock_parse(const char *text, int64_t *ret_s, uint32_t *ret_ns);
/* The form that the engine's log filter takes, "1795000000.123456789", from RFC 3339; NULL when it
 * isn't that. The caller frees. */
char *clock_since(const char *rfc3339);
/* "2026-11-22T06:29:00Z" */
void clock_format(int64_t unix_s, char ret[CLOCK_TEXT]);

#endif
