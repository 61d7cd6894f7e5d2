/* SPDX-License-Identifier: Apache-2.0 */
/* Mints certificate authorities in-process, and checks kept ones. */
#ifndef BOTTLER_CONTROLLER_CA_H
#define BOTTLER_CONTROLLER_CA_H

#include "reconcile/rotation.h"
#include "spec/base/err.h"
#include "spec/base/str.h"

/* EC P-256, self-signed, CA:TRUE critical, keyCertSign+cRLSign critical, SKI, random 128-bit
 * serial, valid from an hour ago for `days` (1 to 36500) from now. The key is "EC PRIVATE KEY" PEM,
 * the one form pipelock's loader takes. `common_name` is UTF-8, 1 to 64 bytes. The caller owns both
 * strings; wipe the key with secret_free(). */
struct err *ca_mint(const char *common_name, unsigned days, char **ret_cert, char **ret_key)
    ERR_NODISCARD;
/* The same for a life of any length, in any time; INVALID when it ends before it begins. */
struct err *ca_mint_for(const char *common_name, const struct ca_life *life, char **ret_cert,
                        char **ret_key) ERR_NODISCARD;

/* INVALID unless `cert` is one CA certificate, `key` an EC P-256 key, and they belong together.
 * Says nothing of the time but in *ret, which is notBefore and notAfter. Messages never hold any of
 * the key. */
struct err *ca_check(struct sv cert, struct sv key, struct ca_life *ret) ERR_NODISCARD;
/* The same of a certificate whose key is not there any more. */
struct err *ca_check_cert(struct sv cert, struct ca_life *ret) ERR_NODISCARD;

#endif
