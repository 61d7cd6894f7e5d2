/* SPDX-License-Identifier: Apache-2.0 */
/* Where the engine is looked for, in which order, and what is refused. */
#include "controller/endpoint.h"
#include "render/hash.h"
#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

static const char *const VARIABLES[] = {"DOCKER_HOST",      "DOCKER_CONTEXT",    "DOCKER_CONFIG",
                                        "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_TLS",
                                        "XDG_RUNTIME_DIR"};

struct world {
    char dir[32];
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/bottler-end-XXXXXX");
    if (!mkdtemp(w->dir))
        return -1;
    for (size_t i = 0; i < sizeof(VARIABLES) / sizeof(VARIABLES[0]); i++)
        (void)unsetenv(VARIABLES[i]);
    (void)setenv("HOME", w->dir, 1);
    *state = w;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    struct world *w = *state;
    (void)nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* Writes `text` to a file below the home, making its directories. */
static void put(const struct world *w, const char *name, const char *text)
{
    AUTO_FREE char *path = xasprintf("%s/%s", w->dir, name);
    for (char *slash = strchr(path + strlen(w->dir) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_context(const struct world *w, const char *name, const char *meta)
{
    char id[HASH_HEX + 1];
    hash_hex(sv_of(name), id);
    AUTO_FREE char *path = xasprintf(".docker/contexts/meta/%s/meta.json", id);
    put(w, path, meta);
}

static void put_context_tls(const struct world *w, const char *name, const char *file)
{
    char id[HASH_HEX + 1];
    hash_hex(sv_of(name), id);
    AUTO_FREE char *path = xasprintf(".docker/contexts/tls/%s/docker/%s", id, file);
    put(w, path, "x");
}

static struct endpoint resolve(const char *flag)
{
    struct endpoint e = {0};
    struct err *error = endpoint_resolve(flag, &e);
    if (error)
        fail_msg("%s", err_message(error));
    return e;
}

static void expect(const char *flag, const char *display, const char *origin)
{
    struct endpoint e = resolve(flag);
    assert_string_equal(e.display, display);
    assert_string_equal(e.origin, origin);
    endpoint_done(&e);
}

static void refuse(const char *flag, const char *words)
{
    struct endpoint e = {0};
    AUTO_ERR error = endpoint_resolve(flag, &e);
    assert_non_null(error);
    if (!strstr(err_message(error), words))
        fail_msg("\"%s\" lacks \"%s\"", err_message(error), words);
    assert_int_equal(err_kind(error), ERR_INVALID);
    assert_null(e.display);
}

static void forms_of_an_address(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"unix:///run/x.sock", "unix:///run/x.sock"},
        {"unix://", "unix:///var/run/docker.sock"},
        {"tcp://engine.example.com:2375", "tcp://engine.example.com:2375"},
        {"tcp://engine.example.com", "tcp://engine.example.com:2375"},
        {"tcp://engine.example.com:1/", "tcp://engine.example.com:1"},
        {"tcp://192.0.2.1:65535", "tcp://192.0.2.1:65535"},
        {"tcp://[2001:db8::1]:2376", "tcp://[2001:db8::1]:2376"},
        {"tcp://[2001:db8::1]", "tcp://[2001:db8::1]:2375"},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        expect(good[i][0], good[i][1], "--engine");
    static const char *const bad[][2] = {
        {"tcp://", "is not tcp://HOST:PORT"},
        {"tcp://:2375", "is not tcp://HOST:PORT"},
        {"tcp://a:0", "is not tcp://HOST:PORT"},
        {"tcp://a:65536", "is not tcp://HOST:PORT"},
        {"tcp://a:x", "is not tcp://HOST:PORT"},
        {"tcp://a:1:2", "is not tcp://HOST:PORT"},
        {"tcp://[]:1", "is not tcp://HOST:PORT"},
        {"tcp://[::1", "is not tcp://HOST:PORT"},
        {"tcp://user@a:1", "is not tcp://HOST:PORT"},
        {"tcp://a/path", "is not tcp://HOST:PORT"},
        {"tcp://a b:1", "is not tcp://HOST:PORT"},
        {"unix://relative", "needs an absolute path"},
        {"ssh://me@host", "forward the socket"},
        {"npipe:////./pipe/docker_engine", "expected unix://PATH or tcp://HOST:PORT"},
        {"fd://", "expected unix://PATH or tcp://HOST:PORT"},
        {"http://a:1", "expected unix://PATH or tcp://HOST:PORT"},
        {"/run/docker.sock", "did you mean 'unix:///run/docker.sock'?"},
        {"", "expected unix://PATH or tcp://HOST:PORT"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse(bad[i][0], bad[i][1]);
    AUTO_FREE char *fits = xasprintf("unix:///%0106d", 7);
    struct endpoint e = resolve(fits);
    assert_int_equal(strlen(e.socket_path), 107);
    endpoint_done(&e);
    AUTO_FREE char *longer = xasprintf("unix:///%0107d", 7);
    refuse(longer, "is longer than 107 bytes");
}

static void order_of_the_search(void **state)
{
    const struct world *w = *state;
    expect(NULL, "unix:///var/run/docker.sock", "default");
    put(w, ".docker/config.json", "{\"currentContext\":\"current\"}");
    put_context(w, "current",
                "{\"Endpoints\":{\"docker\":{\"Host\":\"unix:///run/current.sock\"}}}");
    put_context(w, "named", "{\"Endpoints\":{\"docker\":{\"Host\":\"unix:///run/named.sock\"}}}");
    expect(NULL, "unix:///run/current.sock", "context 'current'");
    (void)setenv("DOCKER_CONTEXT", "named", 1);
    expect(NULL, "unix:///run/named.sock", "context 'named'");
    (void)setenv("DOCKER_CONTEXT", "default", 1);
    expect(NULL, "unix:///var/run/docker.sock", "default");
    (void)setenv("DOCKER_HOST", "unix:///run/host.sock", 1);
    expect(NULL, "unix:///run/host.sock", "DOCKER_HOST");
    expect("unix:///run/flag.sock", "unix:///run/flag.sock", "--engine");
    (void)setenv("DOCKER_HOST", "", 1);
    (void)setenv("DOCKER_CONTEXT", "", 1);
    expect(NULL, "unix:///run/current.sock", "context 'current'");
    /* Another configuration directory. */
    AUTO_FREE char *other = xasprintf("%s/other", w->dir);
    (void)setenv("DOCKER_CONFIG", other, 1);
    expect(NULL, "unix:///var/run/docker.sock", "default");
    (void)setenv("DOCKER_HOST", "ssh://x", 1);
    refuse(NULL, "DOCKER_HOST: 'ssh://x' can't be used directly");
}

static void rootless_socket_when_there_is_no_default(void **state)
{
    const struct world *w = *state;
    (void)setenv("XDG_RUNTIME_DIR", w->dir, 1);
    expect(NULL, "unix:///var/run/docker.sock", "default");
    put(w, "docker.sock", "");
    if (access("/var/run/docker.sock", F_OK) == 0) {
        expect(NULL, "unix:///var/run/docker.sock", "default");
        return;
    }
    AUTO_FREE char *want = xasprintf("unix://%s/docker.sock", w->dir);
    expect(NULL, want, "rootless default");
}

static void broken_contexts_are_named(void **state)
{
    const struct world *w = *state;
    (void)setenv("DOCKER_CONTEXT", "gone", 1);
    refuse(NULL, "docker context 'gone' is not defined");
    put_context(w, "gone", "{\"Endpoints\":{}}");
    refuse(NULL, "docker context 'gone' names no host");
    put_context(w, "gone", "{\"Endpoints\":");
    refuse(NULL, "is not a JSON object");
    put_context(w, "gone", "{\"Endpoints\":{\"docker\":{\"Host\":\"ssh://a\"}}}");
    refuse(NULL, "context 'gone': 'ssh://a' can't be used directly");
    (void)unsetenv("DOCKER_CONTEXT");
    put(w, ".docker/config.json", "nonsense");
    refuse(NULL, "looking for a docker context: '");
    put(w, ".docker/config.json", "{\"auths\":{}}");
    expect(NULL, "unix:///var/run/docker.sock", "default");
}

static void tls_of_the_environment(void **state)
{
    const struct world *w = *state;
    (void)setenv("DOCKER_HOST", "tcp://engine.example.com", 1);
    (void)setenv("DOCKER_TLS_VERIFY", "1", 1);
    refuse(NULL, "DOCKER_TLS_VERIFY is set, but '");
    put(w, ".docker/ca.pem", "x");
    struct endpoint e = resolve(NULL);
    AUTO_FREE char *ca = xasprintf("%s/.docker/ca.pem", w->dir);
    assert_string_equal(e.ca_file, ca);
    assert_string_equal(e.host, "engine.example.com:2376");
    assert_true(e.tls && e.tls_verify);
    assert_null(e.cert_file);
    assert_null(e.key_file);
    endpoint_done(&e);

    put(w, "certs/ca.pem", "x");
    put(w, "certs/cert.pem", "x");
    AUTO_FREE char *certs = xasprintf("%s/certs", w->dir);
    (void)setenv("DOCKER_CERT_PATH", certs, 1);
    refuse(NULL, "one of cert.pem and key.pem");
    put(w, "certs/key.pem", "x");
    e = resolve(NULL);
    AUTO_FREE char *cert = xasprintf("%s/cert.pem", certs);
    AUTO_FREE char *key = xasprintf("%s/key.pem", certs);
    assert_string_equal(e.cert_file, cert);
    assert_string_equal(e.key_file, key);
    endpoint_done(&e);
    /* A flag's address takes the same variables; a socket none of them. */
    e = resolve("tcp://other.example.com:1");
    assert_true(e.tls);
    endpoint_done(&e);
    e = resolve("unix:///run/x.sock");
    assert_false(e.tls);
    assert_null(e.ca_file);
    endpoint_done(&e);

    (void)setenv("DOCKER_TLS_VERIFY", "", 1);
    e = resolve(NULL);
    assert_false(e.tls);
    assert_string_equal(e.host, "engine.example.com:2375");
    endpoint_done(&e);
    (void)setenv("DOCKER_TLS", "1", 1);
    e = resolve(NULL);
    assert_true(e.tls && !e.tls_verify);
    endpoint_done(&e);
}

static void tls_of_a_context(void **state)
{
    const struct world *w = *state;
    (void)setenv("DOCKER_CONTEXT", "far", 1);
    /* The environment's TLS is not a context's business. */
    (void)setenv("DOCKER_TLS_VERIFY", "1", 1);
    put_context(w, "far", "{\"Endpoints\":{\"docker\":{\"Host\":\"tcp://engine.example.com\"}}}");
    struct endpoint e = resolve(NULL);
    assert_false(e.tls);
    endpoint_done(&e);
    put_context_tls(w, "far", "ca.pem");
    put_context_tls(w, "far", "cert.pem");
    put_context_tls(w, "far", "key.pem");
    e = resolve(NULL);
    assert_true(e.tls && e.tls_verify);
    assert_string_equal(e.host, "engine.example.com:2376");
    assert_non_null(strstr(e.key_file, "/docker/key.pem"));
    endpoint_done(&e);
    put_context(w, "far",
                "{\"Endpoints\":{\"docker\":{\"Host\":\"tcp://engine.example.com:9\","
                "\"SkipTLSVerify\":true}}}");
    e = resolve(NULL);
    assert_true(e.tls && !e.tls_verify);
    assert_string_equal(e.host, "engine.example.com:9");
    endpoint_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(forms_of_an_address),
        T(order_of_the_search),
        T(rootless_socket_when_there_is_no_default),
        T(broken_contexts_are_named),
        T(tls_of_the_environment),
        T(tls_of_a_context),
#undef T
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
