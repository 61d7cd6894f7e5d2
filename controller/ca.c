/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ca.h"

#include "spec/base/xalloc.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <limits.h>
#include <string.h>
#include <time.h>

enum {
    SERIAL_BYTES = 16,
    COMMON_NAME_MAX = 64, /* ub-common-name of X.520 */
    DAYS_MAX = 36500,
    PEM_MAX = 16 * 1024,
    BACKDATE_S = 3600, /* clocks of containers and their hosts differ a little */
};
#define DAY_S INT64_C(86400)

static void x509_freep(X509 **p)
{
    X509_free(*p);
}
static void pkey_freep(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
static void bio_freep(BIO **p)
{
    BIO_free_all(*p);
}
static void bn_freep(BIGNUM **p)
{
    BN_clear_free(*p);
}

/* The oldest entry of the library's queue is the cause; the rest is dropped. */
static struct err *openssl_err(const char *what)
{
    char text[256] = "no reason given";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return err_new(ERR_INTERNAL, "%s: %s", what, text);
}

static struct err *set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return openssl_err("drawing a serial number");
    /* Positive, and with the second bit set never short or zero. */
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
    AUTO(bn_freep) BIGNUM *bn = XNN(BN_bin2bn(bytes, sizeof(bytes), NULL));
    if (!BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)))
        return openssl_err("setting the serial number");
    return NULL;
}

static struct err *set_names(X509 *cert, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(cert);
    const unsigned char *text = (const unsigned char *)common_name;
    if (!X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) ||
        !X509_set_issuer_name(cert, name)) {
        ERR_clear_error();
        return err_new(ERR_INVALID, "'%s' can't be the name of a certificate", common_name);
    }
    return NULL;
}

static struct err *add_extensions(X509 *cert)
{
    static const struct {
        int nid;
        const char *value;
    } table[] = {
        {NID_basic_constraints, "critical,CA:TRUE"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
    };
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, table[i].nid, table[i].value);
        bool ok = ext && X509_add_ext(cert, ext, -1);
        X509_EXTENSION_free(ext);
        if (!ok)
            return openssl_err("adding an extension");
    }
    return NULL;
}

static char *bio_text(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    return xmemdup0(p, n > 0 ? (size_t)n : 0);
}

static struct err *write_pems(X509 *cert, EVP_PKEY *key, char **ret_cert, char **ret_key)
{
    AUTO(bio_freep) BIO *cert_out = XNN(BIO_new(BIO_s_mem()));
    AUTO(bio_freep) BIO *key_out = XNN(BIO_new(BIO_s_mem())); /* cleared when freed */
    if (!PEM_write_bio_X509(cert_out, cert))
        return openssl_err("writing the certificate");
    if (!PEM_write_bio_PrivateKey_traditional(key_out, key, NULL, NULL, 0, NULL, NULL))
        return openssl_err("writing the key");
    *ret_cert = bio_text(cert_out);
    *ret_key = bio_text(key_out);
    return NULL;
}

struct err *ca_mint(const char *common_name, unsigned days, char **ret_cert, char **ret_key)
{
    if (days < 1 || days > DAYS_MAX)
        return err_new(ERR_INVALID, "a certificate is valid for 1 to %d days, not %u", DAYS_MAX,
                       days);
    int64_t now = (int64_t)time(NULL);
    return ca_mint_for(common_name, &(struct ca_life){now - BACKDATE_S, now + days * DAY_S},
                       ret_cert, ret_key);
}

struct err *ca_mint_for(const char *common_name, const struct ca_life *life, char **ret_cert,
                        char **ret_key)
{
    size_t n = strlen(common_name);
    if (n < 1 || n > COMMON_NAME_MAX)
        return err_new(ERR_INVALID,
                       "'%s' can't be the name of a certificate: expected 1 to %d bytes",
                       common_name, COMMON_NAME_MAX);
    if (life->until <= life->from)
        return err_new(ERR_INVALID, "a certificate's life can't end before it begins");

    AUTO(pkey_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key)
        return openssl_err("generating a key");
    AUTO(x509_freep) X509 *cert = XNN(X509_new());
    if (!X509_set_version(cert, X509_VERSION_3) || !X509_set_pubkey(cert, key))
        return openssl_err("filling the certificate");
    TRY(set_serial(cert));
    TRY(set_names(cert, common_name));
    if (!ASN1_TIME_set(X509_getm_notBefore(cert), life->from) ||
        !ASN1_TIME_set(X509_getm_notAfter(cert), life->until))
        return openssl_err("setting the validity");
    TRY(add_extensions(cert));
    if (!X509_sign(cert, key, EVP_sha256()))
        return openssl_err("signing the certificate");
    return write_pems(cert, key, ret_cert, ret_key);
}

static struct err *parse_cert(struct sv pem, X509 **ret)
{
    if (pem.n == 0 || pem.n > PEM_MAX)
        return err_new(ERR_INVALID, "the certificate is empty or too large");
    AUTO(bio_freep) BIO *bio = XNN(BIO_new_mem_buf(pem.p, (int)pem.n));
    AUTO(x509_freep) X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    AUTO(x509_freep) X509 *second = cert ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    ERR_clear_error();
    if (!cert)
        return err_new(ERR_INVALID, "the certificate isn't whole PEM");
    if (second)
        return err_new(ERR_INVALID, "there is more than one certificate");
    if (X509_check_ca(cert) != 1)
        return err_new(ERR_INVALID, "the certificate isn't a CA's");
    *ret = TAKE_PTR(cert);
    return NULL;
}

/* An encrypted key has no one to ask for its password. */
static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return -1;
}

static struct err *parse_key(struct sv pem, EVP_PKEY **ret)
{
    static const char begin[] = "-----BEGIN EC PRIVATE KEY-----";
    if (pem.n == 0 || pem.n > PEM_MAX)
        return err_new(ERR_INVALID, "the key is empty or too large");
    if (pem.n < sizeof(begin) - 1 || memcmp(pem.p, begin, sizeof(begin) - 1) != 0)
        return err_new(ERR_INVALID, "the key isn't 'EC PRIVATE KEY' PEM");
    AUTO(bio_freep) BIO *bio = XNN(BIO_new_mem_buf(pem.p, (int)pem.n));
    AUTO(pkey_freep) EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    char group[32] = "";
    bool named = key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
    ERR_clear_error();
    if (!key)
        return err_new(ERR_INVALID, "the key isn't whole PEM");
    if (!named || strcmp(group, SN_X9_62_prime256v1) != 0)
        return err_new(ERR_INVALID, "the key isn't on the curve P-256");
    *ret = TAKE_PTR(key);
    return NULL;
}

static struct err *life_of(const X509 *cert, struct ca_life *ret)
{
    struct tm from, until;
    if (!ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from) ||
        !ASN1_TIME_to_tm(X509_get0_notAfter(cert), &until))
        return err_new(ERR_INVALID, "the certificate's validity can't be read");
    *ret = (struct ca_life){timegm(&from), timegm(&until)};
    return NULL;
}

struct err *ca_check_cert(struct sv cert_pem, struct ca_life *ret)
{
    AUTO(x509_freep) X509 *cert = NULL;
    TRY(parse_cert(cert_pem, &cert));
    return life_of(cert, ret);
}

struct err *ca_check(struct sv cert_pem, struct sv key_pem, struct ca_life *ret)
{
    AUTO(x509_freep) X509 *cert = NULL;
    AUTO(pkey_freep) EVP_PKEY *key = NULL;
    TRY(parse_cert(cert_pem, &cert));
    TRY(parse_key(key_pem, &key));
    bool match = X509_check_private_key(cert, key) == 1;
    ERR_clear_error();
    if (!match)
        return err_new(ERR_INVALID, "the key isn't the certificate's");
    return life_of(cert, ret);
}
