/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/ca.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <time.h>

enum { DAY_S = 86400 };

static X509 *read_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(key);
    return key;
}

static void test_form(void **state)
{
    (void)state;
    char *cert_pem = NULL, *key_pem = NULL;
    assert_ok(ca_mint("egress CA of gitea-dev", 30, &cert_pem, &key_pem));
    assert_memory_equal(key_pem, "-----BEGIN EC PRIVATE KEY-----\n", 31);
    assert_memory_equal(cert_pem, "-----BEGIN CERTIFICATE-----\n", 28);

    X509 *cert = read_cert(cert_pem);
    char cn[80] = "";
    assert_int_equal(X509_get_version(cert), X509_VERSION_3);
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof(cn));
    assert_string_equal(cn, "egress CA of gitea-dev");
    assert_int_equal(X509_check_ca(cert), 1);
    assert_int_equal(X509_get_key_usage(cert), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_extension_flags(cert) & (EXFLAG_INVALID | EXFLAG_SI | EXFLAG_SS),
                     EXFLAG_SI | EXFLAG_SS);
    assert_non_null(X509_get0_subject_key_id(cert));
    assert_int_equal(X509_get_signature_nid(cert), NID_ecdsa_with_SHA256);
    static const int critical[] = {NID_basic_constraints, NID_key_usage};
    for (size_t i = 0; i < 2; i++) {
        X509_EXTENSION *ext = X509_get_ext(cert, X509_get_ext_by_NID(cert, critical[i], -1));
        assert_int_equal(X509_EXTENSION_get_critical(ext), 1);
    }
    EVP_PKEY *key = read_key(key_pem);
    assert_int_equal(EVP_PKEY_get_bits(key), 256);
    assert_int_equal(X509_check_private_key(cert, key), 1);
    EVP_PKEY_free(key);
    X509_free(cert);
    free(cert_pem);
    secret_free(key_pem);
}

static void test_validity(void **state)
{
    (void)state;
    char *cert_pem = NULL, *key_pem = NULL;
    struct ca_life life = {0};
    time_t now = time(NULL), hour_ago = now - 3605, later = now + 30 * DAY_S - 5;
    assert_ok(ca_mint("x", 30, &cert_pem, &key_pem));
    time_t after = time(NULL);
    X509 *cert = read_cert(cert_pem);
    assert_int_equal(X509_cmp_time(X509_get0_notBefore(cert), &hour_ago), 1);
    hour_ago = after - 3600;
    assert_int_equal(X509_cmp_time(X509_get0_notBefore(cert), &hour_ago), -1);
    assert_int_equal(X509_cmp_time(X509_get0_notAfter(cert), &later), 1);
    assert_ok(ca_check(sv_of(cert_pem), sv_of(key_pem), &life));
    assert_in_range(life.until, now + 30 * DAY_S, after + 30 * DAY_S);
    X509_free(cert);
    free(cert_pem);
    secret_free(key_pem);

    assert_in_range(life.from, now - 3600, after - 3600);

    /* Past 2049, where the encoding of times changes. */
    assert_ok(ca_mint("x", 36500, &cert_pem, &key_pem));
    after = time(NULL);
    assert_ok(ca_check(sv_of(cert_pem), sv_of(key_pem), &life));
    assert_in_range(life.until, now + INT64_C(36500) * DAY_S, after + INT64_C(36500) * DAY_S);
    free(cert_pem);
    secret_free(key_pem);
}

/* What tests of a rotation need: a CA in any part of its life. */
static void test_any_life(void **state)
{
    (void)state;
    char *cert = NULL, *key = NULL;
    const struct ca_life past = {INT64_C(1000000000), INT64_C(1000086400)};
    struct ca_life life = {0};
    assert_ok(ca_mint_for("x", &past, &cert, &key));
    assert_ok(ca_check(sv_of(cert), sv_of(key), &life));
    assert_memory_equal(&life, &past, sizeof(past));
    life = (struct ca_life){0};
    assert_ok(ca_check_cert(sv_of(cert), &life));
    assert_memory_equal(&life, &past, sizeof(past));
    assert_err(ca_check_cert(sv_of(key), &life), ERR_INVALID, "isn't whole PEM");
    free(cert);
    secret_free(key);
    assert_err(ca_mint_for("x", &(struct ca_life){5, 5}, &cert, &key), ERR_INVALID,
               "can't end before it begins");
}

static void test_serials_differ(void **state)
{
    (void)state;
    ASN1_INTEGER *last = NULL;
    for (int i = 0; i < 8; i++) {
        char *cert_pem = NULL, *key_pem = NULL;
        assert_ok(ca_mint("x", 1, &cert_pem, &key_pem));
        X509 *cert = read_cert(cert_pem);
        BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
        assert_false(BN_is_negative(bn));
        assert_int_equal(BN_num_bits(bn), 127);
        assert_true(!last || ASN1_INTEGER_cmp(last, X509_get0_serialNumber(cert)) != 0);
        ASN1_INTEGER_free(last);
        last = ASN1_INTEGER_dup(X509_get0_serialNumber(cert));
        BN_free(bn);
        X509_free(cert);
        free(cert_pem);
        secret_free(key_pem);
    }
    ASN1_INTEGER_free(last);
}

/* ---- a leaf, as the proxies make them ------------------------------------------------------- */

static void add_ext(X509 *leaf, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, leaf, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(leaf, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static X509 *make_leaf(X509 *ca, EVP_PKEY *ca_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *leaf = X509_new();
    X509_set_version(leaf, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(leaf), 4711);
    X509_gmtime_adj(X509_getm_notBefore(leaf), 0);
    X509_gmtime_adj(X509_getm_notAfter(leaf), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(leaf), "CN", MBSTRING_UTF8,
                               (const unsigned char *)"api.example.com", -1, -1, 0);
    X509_set_issuer_name(leaf, X509_get_subject_name(ca));
    X509_set_pubkey(leaf, key);
    add_ext(leaf, ca, NID_subject_alt_name, "DNS:api.example.com");
    add_ext(leaf, ca, NID_subject_key_identifier, "hash");
    add_ext(leaf, ca, NID_authority_key_identifier, "keyid:always");
    add_ext(leaf, ca, NID_key_usage, "critical,digitalSignature");
    add_ext(leaf, ca, NID_ext_key_usage, "serverAuth");
    assert_true(X509_sign(leaf, ca_key, EVP_sha256()) > 0);
    EVP_PKEY_free(key);
    return leaf;
}

static int verify(X509 *trusted, X509 *leaf, const char *host)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, trusted);
    X509_STORE_CTX_init(ctx, store, leaf, NULL);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE |
                                           X509_V_FLAG_POLICY_CHECK);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set1_host(param, host, 0);
    int result = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return result;
}

static void test_leaf_verifies(void **state)
{
    (void)state;
    char *cert_pem[2] = {0}, *key_pem[2] = {0};
    X509 *ca[2];
    for (size_t i = 0; i < 2; i++) {
        assert_ok(ca_mint(i ? "other" : "one", 30, &cert_pem[i], &key_pem[i]));
        ca[i] = read_cert(cert_pem[i]);
    }
    EVP_PKEY *key = read_key(key_pem[0]);
    X509 *leaf = make_leaf(ca[0], key);
    assert_int_equal(verify(ca[0], leaf, "api.example.com"), X509_V_OK);
    assert_int_equal(verify(ca[0], leaf, "www.example.com"), X509_V_ERR_HOSTNAME_MISMATCH);
    assert_int_not_equal(verify(ca[1], leaf, "api.example.com"), X509_V_OK);
    X509_free(leaf);
    EVP_PKEY_free(key);
    for (size_t i = 0; i < 2; i++) {
        X509_free(ca[i]);
        free(cert_pem[i]);
        secret_free(key_pem[i]);
    }
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void test_mint_refuses(void **state)
{
    (void)state;
    char *cert = NULL, *key = NULL;
    assert_err(ca_mint("", 1, &cert, &key), ERR_INVALID, "expected 1 to 64 bytes");
    assert_err(ca_mint("1234567890123456789012345678901234567890123456789012345678901234x", 1,
                       &cert, &key),
               ERR_INVALID, "expected 1 to 64 bytes");
    assert_err(ca_mint("\xff\xfe", 1, &cert, &key), ERR_INVALID, "can't be the name");
    assert_err(ca_mint("x", 0, &cert, &key), ERR_INVALID, "1 to 36500 days");
    assert_err(ca_mint("x", 36501, &cert, &key), ERR_INVALID, "1 to 36500 days");
    assert_null(cert);
    assert_null(key);
}

static char *other_curve_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-384");
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    char *pem = xmemdup0(p, (size_t)n);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return pem;
}

static char *pkcs8_key(const char *pem)
{
    EVP_PKEY *key = read_key(pem);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    char *out = xmemdup0(p, (size_t)n);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return out;
}

static char *leaf_pem(const char *ca_pem, const char *key_pem)
{
    X509 *ca = read_cert(ca_pem);
    EVP_PKEY *key = read_key(key_pem);
    X509 *leaf = make_leaf(ca, key);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, leaf), 1);
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    char *out = xmemdup0(p, (size_t)n);
    BIO_free(bio);
    X509_free(leaf);
    EVP_PKEY_free(key);
    X509_free(ca);
    return out;
}

static void test_check_refuses(void **state)
{
    (void)state;
    char *cert = NULL, *key = NULL, *cert2 = NULL, *key2 = NULL;
    struct ca_life life = {-1, -1};
    assert_ok(ca_mint("one", 30, &cert, &key));
    assert_ok(ca_mint("two", 30, &cert2, &key2));
    AUTO_FREE char *both = xasprintf("%s%s", cert, cert2);
    AUTO_FREE char *curve = other_curve_key();
    AUTO_FREE char *pkcs8 = pkcs8_key(key);
    AUTO_FREE char *leaf = leaf_pem(cert, key);
    const struct {
        struct sv cert, key;
        const char *part;
    } bad[] = {
        {sv_of(""), sv_of(key), "the certificate is empty"},
        {sv_of("hello"), sv_of(key), "the certificate isn't whole PEM"},
        {{cert, strlen(cert) / 2}, sv_of(key), "the certificate isn't whole PEM"},
        {sv_of(key), sv_of(key), "the certificate isn't whole PEM"},
        {sv_of(both), sv_of(key), "more than one certificate"},
        {sv_of(leaf), sv_of(key), "the certificate isn't a CA's"},
        {sv_of(cert), sv_of(""), "the key is empty"},
        {sv_of(cert), sv_of(cert), "the key isn't 'EC PRIVATE KEY' PEM"},
        {sv_of(cert), {key, strlen(key) / 2}, "the key isn't whole PEM"},
        {sv_of(cert), sv_of(pkcs8), "the key isn't 'EC PRIVATE KEY' PEM"},
        {sv_of(cert), sv_of(curve), "the key isn't on the curve P-256"},
        {sv_of(cert), sv_of(key2), "the key isn't the certificate's"},
        {sv_of(cert2), sv_of(key), "the key isn't the certificate's"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_err(ca_check(bad[i].cert, bad[i].key, &life), ERR_INVALID, bad[i].part);
    assert_int_equal(life.until, -1);
    free(cert);
    free(cert2);
    secret_free(key);
    secret_free(key2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),          cmocka_unit_test(test_validity),
        cmocka_unit_test(test_any_life),      cmocka_unit_test(test_serials_differ),
        cmocka_unit_test(test_leaf_verifies), cmocka_unit_test(test_mint_refuses),
        cmocka_unit_test(test_check_refuses),
    };
    return cmocka_run_group_tests_name("ca", tests, NULL, NULL);
}
