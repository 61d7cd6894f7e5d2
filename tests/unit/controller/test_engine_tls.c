/* SPDX-License-Identifier: Apache-2.0 */
/* tcp:// with TLS: the engine must be the one that the CA vouches for, and knows us by our
 * certificate. The other side is a forked child on a loopback port of its own. */
#include "tests/unit/controller/engine_fixture.c"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/wait.h>

/* ---- certificates ---------------------------------------------------------------------------- */

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* `by` NULL: signs itself and may sign others. */
static struct identity make_identity(const char *name, const struct identity *by)
{
    struct identity me = {EVP_EC_gen("P-256"), X509_new()};
    assert_non_null(me.key);
    (void)X509_set_version(me.cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(me.cert), by ? 2 : 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(me.cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(me.cert), 3600);
    (void)X509_set_pubkey(me.cert, me.key);
    X509_NAME *subject = X509_get_subject_name(me.cert);
    AUTO_FREE char *text = xstrdup(name);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)text, -1,
                                     -1, 0);
    X509 *issuer = by ? by->cert : me.cert;
    (void)X509_set_issuer_name(me.cert, X509_get_subject_name(issuer));
    add_extension(me.cert, issuer, NID_basic_constraints, by ? "CA:FALSE" : "critical,CA:TRUE");
    if (by)
        add_extension(me.cert, issuer, NID_subject_alt_name, "IP:127.0.0.1");
    assert_true(X509_sign(me.cert, by ? by->key : me.key, EVP_sha256()) > 0);
    return me;
}

static void identity_free(struct identity *i)
{
    EVP_PKEY_free(i->key);
    X509_free(i->cert);
}

static char *save(const char *dir, const char *name, const struct identity *i, bool key)
{
    char *path = xasprintf("%s/%s", dir, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(key ? PEM_write_PrivateKey(file, i->key, NULL, NULL, 0, NULL, NULL)
                         : PEM_write_X509(file, i->cert),
                     1);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* ---- the other side -------------------------------------------------------------------------- */

static const char TLS_ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

/* Serves one connection after the other until it is killed. */
static void serve(int listener, const struct identity *me, const struct identity *ca)
{
    (void)alarm(60);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    (void)SSL_CTX_use_certificate(ctx, me->cert);
    (void)SSL_CTX_use_PrivateKey(ctx, me->key);
    (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->cert);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        SSL *ssl = SSL_new(ctx);
        (void)SSL_set_fd(ssl, fd);
        char buffer[4096];
        if (SSL_accept(ssl) == 1 && SSL_read(ssl, buffer, sizeof(buffer)) > 0)
            (void)SSL_write(ssl, TLS_ANSWER, sizeof(TLS_ANSWER) - 1);
        (void)SSL_shutdown(ssl);
        SSL_free(ssl);
        (void)close(fd);
    }
}

struct tls {
    struct fixture f;
    char dir[32];
    char *ca_file, *other_ca_file, *cert_file, *key_file;
    char *host;
    pid_t child;
};

static int tls_setup(void **state)
{
    struct tls *t = xcalloc(1, sizeof(*t));
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/bottler-tls-XXXXXX");
    if (!mkdtemp(t->dir) || sd_event_new(&t->f.loop) < 0)
        return -1;
    struct identity ca = make_identity("test CA", NULL);
    struct identity other = make_identity("another CA", NULL);
    struct identity server = make_identity("engine", &ca);
    struct identity client = make_identity("client", &ca);
    t->ca_file = save(t->dir, "ca.pem", &ca, false);
    t->other_ca_file = save(t->dir, "other.pem", &other, false);
    t->cert_file = save(t->dir, "cert.pem", &client, false);
    t->key_file = save(t->dir, "key.pem", &client, true);

    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 8) < 0 ||
        getsockname(listener, (struct sockaddr *)&a, &len) < 0)
        return -1;
    t->host = xasprintf("127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
    t->child = fork();
    if (t->child == 0)
        serve(listener, &server, &ca);
    (void)close(listener);
    identity_free(&ca);
    identity_free(&other);
    identity_free(&server);
    identity_free(&client);
    *state = t;
    return t->child > 0 ? 0 : -1;
}

static int tls_teardown(void **state)
{
    struct tls *t = *state;
    (void)kill(t->child, SIGKILL);
    (void)waitpid(t->child, NULL, 0);
    char *files[] = {t->ca_file, t->other_ca_file, t->cert_file, t->key_file};
    for (size_t i = 0; i < 4; i++) {
        (void)unlink(files[i]);
        free(files[i]);
    }
    (void)rmdir(t->dir);
    free(t->host);
    (void)sd_event_unref(t->f.loop);
    free(t);
    return 0;
}

static struct outcome ping(struct tls *t, struct endpoint at)
{
    char display[] = "tcp://engine";
    at.host = t->host;
    at.tls = true;
    at.display = display;
    AUTO_ERR error = engine_new(t->f.loop, &at, &t->f.engine);
    assert_null(error);
    struct engine_request q = {
        .method = "GET", .path = "/_ping", .lane = LANE_READ, .unversioned = true};
    struct outcome o = {0};
    ask(&t->f, &q, &o);
    t->f.engine = engine_free(t->f.engine);
    return o;
}

static void mutual_tls_works(void **state)
{
    struct tls *t = *state;
    struct outcome o = ping(t, (struct endpoint){.tls_verify = true,
                                                 .ca_file = t->ca_file,
                                                 .cert_file = t->cert_file,
                                                 .key_file = t->key_file});
    if (o.failed)
        fail_msg("%s", o.message);
    assert_string_equal(o.body, "OK");
    outcome_done(&o);
}

static void another_ca_is_refused(void **state)
{
    struct tls *t = *state;
    struct endpoint at = {.tls_verify = true,
                          .ca_file = t->other_ca_file,
                          .cert_file = t->cert_file,
                          .key_file = t->key_file};
    struct outcome o = ping(t, at);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_DENIED);
    assert_non_null(strstr(o.message, "is not the one its CA vouches for"));
    outcome_done(&o);
    /* Unless the user said not to look. */
    at.tls_verify = false;
    o = ping(t, at);
    assert_false(o.failed);
    assert_string_equal(o.body, "OK");
    outcome_done(&o);
}

static void bad_files_are_named(void **state)
{
    struct tls *t = *state;
    char nowhere[] = "/nonexistent/ca.pem";
    struct outcome o = ping(t, (struct endpoint){.tls_verify = true, .ca_file = nowhere});
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_INVALID);
    assert_non_null(strstr(o.message, nowhere));
    outcome_done(&o);
    o = ping(t, (struct endpoint){.tls_verify = true,
                                  .ca_file = t->ca_file,
                                  .cert_file = nowhere,
                                  .key_file = t->key_file});
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_INVALID);
    assert_non_null(strstr(o.message, nowhere));
    outcome_done(&o);
}

static void without_our_certificate_there_is_no_answer(void **state)
{
    struct tls *t = *state;
    struct outcome o = ping(t, (struct endpoint){.tls_verify = true, .ca_file = t->ca_file});
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_UNAVAILABLE);
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, tls_setup, tls_teardown)
        T(mutual_tls_works),
        T(another_ca_is_refused),
        T(bad_files_are_named),
        T(without_our_certificate_there_is_no_answer),
#undef T
    };
    return cmocka_run_group_tests_name("engine TLS", tests, group_setup, group_teardown);
}
