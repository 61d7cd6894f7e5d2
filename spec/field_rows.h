/* SPDX-License-Identifier: Apache-2.0 */
/* For those who write rows of a field table: where a member is. */
#ifndef BOTTLER_SPEC_FIELD_ROWS_H
#define BOTTLER_SPEC_FIELD_ROWS_H

#include <stddef.h>

#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define NESTED(type, member) .offset = offsetof(type, member)
#define ITEMS(type, member, count, item)                                                           \
    .offset = offsetof(type, member), .len_offset = offsetof(type, count), .size = sizeof(item)
#define STRINGS(type, member) .offset = offsetof(type, member)

#endif
