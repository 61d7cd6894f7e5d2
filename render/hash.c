/* SPDX-License-Identifier: Apache-2.0 */
#include "render/hash.h"

#include "spec/base/xalloc.h"

#include <openssl/evp.h>

enum { SHA256_BYTES = HASH_HEX / 2 };

void hash_hex(struct sv bytes, char ret[HASH_HEX + 1])
{
    uint8_t digest[SHA256_BYTES];
    if (EVP_Digest(bytes.n ? bytes.p : "", bytes.n, digest, NULL, EVP_sha256(), NULL) != 1)
        xoom();
    str_hex(digest, sizeof(digest), ret);
}

void hash_keyed_hex(const uint8_t key[HASH_KEY_BYTES], struct sv bytes, char ret[HASH_HEX + 1])
{
    const char *data = bytes.n ? bytes.p : "";
    uint8_t digest[SHA256_BYTES];
    size_t n = 0;
    /* EVP_Q_mac fails only for want of memory: algorithm and sizes are constants. */
    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, HASH_KEY_BYTES,
                   (const unsigned char *)data, bytes.n, digest, sizeof(digest), &n) ||
        n != sizeof(digest))
        xoom();
    str_hex(digest, sizeof(digest), ret);
}

char *hash_spec(const json_t *value)
{
    AUTO_FREE char *text =
        XNN(json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII | JSON_ENCODE_ANY));
    char hex[HASH_HEX + 1];
    hash_hex(sv_of(text), hex);
    return xasprintf("v1:%s", hex);
}
