/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes: plain SHA-256 for public bytes, HMAC-SHA-256 for anything made from a secret. */
#ifndef BOTTLER_RENDER_HASH_H
#define BOTTLER_RENDER_HASH_H

#include "spec/base/str.h"

#include <jansson.h>

enum { HASH_HEX = 64, HASH_KEY_BYTES = 32 };

/* 64 lower-case digits and a NUL. */
void hash_hex(struct sv bytes, char ret[HASH_HEX + 1]);
/* Keyed with the installation's secret key, so that a label or a log leaks no digest of a secret.
 */
void hash_keyed_hex(const uint8_t key[HASH_KEY_BYTES], struct sv bytes, char ret[HASH_HEX + 1]);
/* "v1:" and the hash of the value's canonical JSON (sorted keys, compact). The caller frees. */
char *hash_spec(const json_t *value);

#endif
