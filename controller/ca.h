/* SPDX-License-Identifier: Apache-2.0 */
/* Mints certificate authorities in-process, and checks kept ones. */
#ifndef BOTTLER_CONTROLLER_CA_H
#define BOTTLER_CONTROLLER_CA_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdint.h>

/* EC P-256, self-signed, CA:TRUE critical, keyCertSign+cRLSign critical, SKI, random 128-bit
 * serial, valid from an hour ago for `days` (1 to 36500) from now. The key is "EC PRIVATE KEY" PEM,
 * the one form pipelock's loader takes. `common_name` is UTF-8, 1 to 64 bytes. The caller owns both
 * strings; wipe the key with secret_free(). */
struct err *ca_mint(const char *common_name, unsigned days, char **ret_cert, char **ret_key)
    ERR_NODISCARD;

/* INVALID unless `cert` is one CA certificate, `key` an EC P-256 key, and they belong together.
 * Says nothing of the time: *ret_expires is notAfter in Unix seconds. Messages never hold any of
 * the key. */
struct err *ca_check(struct sv cert, struct sv key, int64_t *ret_expires) ERR_NODISCARD;

#endif
