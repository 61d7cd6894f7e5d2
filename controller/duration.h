/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of time as people write them. */
#ifndef BOTTLER_CONTROLLER_DURATION_H
#define BOTTLER_CONTROLLER_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/* "30s", "5m", "1h", "2d", and "0". False, and *ret_s untouched, when it is none of these or not in
 * min_s..max_s. */
bool duration_parse(const char *text, int64_t min_s, int64_t max_s, int64_t *ret_s);
/* The same, and plain seconds: "300". */
bool timeout_parse(const char *text, int64_t min_s, int64_t max_s, int64_t *ret_s);

#endif
