/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/endpoint.h"

#include "controller/engine_internal.h"
#include "render/hash.h"
#include "spec/base/num.h"
#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define DEFAULT_SOCKET "/var/run/docker.sock"
enum { PORT_PLAIN = 2375, PORT_TLS = 2376, MAX_CONFIG = 1 << 20 };

void endpoint_done(struct endpoint *e)
{
    free(e->socket_path);
    free(e->host);
    free(e->ca_file);
    free(e->cert_file);
    free(e->key_file);
    free(e->display);
    free(e->origin);
    *e = (struct endpoint){0};
}

void endpoint_copy(const struct endpoint *from, struct endpoint *ret)
{
    *ret = (struct endpoint){
        .socket_path = xstrdup_null(from->socket_path),
        .host = xstrdup_null(from->host),
        .tls = from->tls,
        .tls_verify = from->tls_verify,
        .ca_file = xstrdup_null(from->ca_file),
        .cert_file = xstrdup_null(from->cert_file),
        .key_file = xstrdup_null(from->key_file),
        .display = xstrdup_null(from->display),
        .origin = xstrdup_null(from->origin),
    };
}

/* An environment variable that says something; empty is as good as absent. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* $DOCKER_CONFIG or ~/.docker; NULL when there is neither. */
static char *config_dir(void)
{
    if (env("DOCKER_CONFIG"))
        return xstrdup(env("DOCKER_CONFIG"));
    return env("HOME") ? xasprintf("%s/.docker", env("HOME")) : NULL;
}

/* ---- an address ------------------------------------------------------------------------------ */

static struct err *parse_unix(const char *path, struct endpoint *e)
{
    if (!path[0])
        path = DEFAULT_SOCKET;
    if (path[0] != '/')
        return err_new(ERR_INVALID, "%s: 'unix://%s' needs an absolute path", e->origin, path);
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return err_new(ERR_INVALID, "%s: socket path '%s' is longer than %zu bytes", e->origin,
                       path, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
    e->socket_path = xstrdup(path);
    e->display = xasprintf("unix://%s", path);
    return NULL;
}

static bool host_chars(struct sv host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  strchr("-._:[]", c);
        if (!ok)
            return false;
    }
    return host.n > 0;
}

/* "name", "name:port", "[::1]:port"; the port's default comes with TLS, so later. */
static struct err *parse_tcp(const char *text, struct endpoint *e)
{
    size_t n = strlen(text);
    if (n > 0 && text[n - 1] == '/')
        n--;
    struct sv host = {text, n};
    const char *colon = memrchr(text, ':', n);
    int64_t port = 0;
    bool v6 = n > 0 && text[0] == '[';
    if (colon && !(v6 && text[n - 1] == ']')) {
        struct sv digits = {colon + 1, (size_t)(text + n - colon - 1)};
        host.n = (size_t)(colon - text);
        if (!num_parse(digits, 1, 65535, &port))
            host.n = 0;
    }
    bool inner_ok = v6 ? host.n > 2 && host.p[host.n - 1] == ']' : !memchr(host.p, ':', host.n);
    if (!host_chars(host) || !inner_ok)
        return err_new(ERR_INVALID, "%s: 'tcp://%s' is not tcp://HOST:PORT", e->origin, text);
    if (port == 0)
        port = e->tls ? PORT_TLS : PORT_PLAIN;
    e->host = xasprintf("%.*s:%d", (int)host.n, host.p, (int)port);
    e->display = xasprintf("tcp://%s", e->host);
    return NULL;
}

static const char *after(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static struct err *parse_host(const char *text, struct endpoint *e)
{
    const char *rest = after(text, "unix://");
    if (rest)
        return parse_unix(rest, e);
    rest = after(text, "tcp://");
    if (rest)
        return parse_tcp(rest, e);
    if (after(text, "ssh://"))
        return err_new(ERR_INVALID,
                       "%s: '%s' can't be used directly; forward the socket ('ssh -nNT -L "
                       "/run/bottler-engine.sock:" DEFAULT_SOCKET " HOST') and use "
                       "unix:///run/bottler-engine.sock",
                       e->origin, text);
    if (text[0] == '/')
        return err_new(ERR_INVALID, "%s: '%s' is not an engine address; did you mean 'unix://%s'?",
                       e->origin, text, text);
    return err_new(ERR_INVALID,
                   "%s: '%s' is not an engine address; expected unix://PATH or tcp://HOST:PORT",
                   e->origin, text);
}

/* ---- TLS files ------------------------------------------------------------------------------- */

static char *file_if_there(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static struct err *use_tls_dir(const char *dir, struct endpoint *e)
{
    e->ca_file = file_if_there(dir, "ca.pem");
    e->cert_file = file_if_there(dir, "cert.pem");
    e->key_file = file_if_there(dir, "key.pem");
    if (!e->cert_file != !e->key_file)
        return err_new(ERR_INVALID,
                       "%s: '%s' has one of cert.pem and key.pem; both or neither are needed",
                       e->origin, dir);
    return NULL;
}

/* DOCKER_TLS_VERIFY: TLS with a checked server; DOCKER_TLS: without. Files from DOCKER_CERT_PATH,
 * else from the configuration's directory. Unix sockets never have TLS. */
static struct err *tls_from_env(struct endpoint *e)
{
    e->tls_verify = env("DOCKER_TLS_VERIFY") != NULL;
    e->tls = e->tls_verify || env("DOCKER_TLS");
    if (!e->tls)
        return NULL;
    AUTO_FREE char *dir = env("DOCKER_CERT_PATH") ? xstrdup(env("DOCKER_CERT_PATH")) : config_dir();
    if (dir)
        TRY(use_tls_dir(dir, e));
    if (e->tls_verify && !e->ca_file)
        return err_new(ERR_INVALID, "%s: DOCKER_TLS_VERIFY is set, but '%s/ca.pem' is missing",
                       e->origin, dir ? dir : "~/.docker");
    return NULL;
}

static struct err *from_address(const char *text, struct endpoint *e)
{
    if (after(text, "tcp://"))
        TRY(tls_from_env(e));
    return parse_host(text, e);
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* NULL in *ret when the file isn't there. */
static struct err *load_json(const char *path, json_t **ret)
{
    AUTO_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        *ret = NULL;
        return NULL;
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_new(ERR_INVALID, "reading '%s': %s", path, err_errno(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > MAX_CONFIG)
        return err_new(ERR_INVALID, "'%s' is not a regular file of at most %d bytes", path,
                       MAX_CONFIG);
    json_error_t problem;
    json_t *root = json_loadfd(fd, 0, &problem);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_new(ERR_INVALID, "'%s' is not a JSON object", path);
    }
    *ret = root;
    return NULL;
}

/* The name of the context in use; NULL for none. The caller frees. */
static struct err *context_name(const char *dir, char **ret)
{
    *ret = xstrdup_null(env("DOCKER_CONTEXT"));
    if (!*ret && dir) {
        AUTO_FREE char *path = xasprintf("%s/config.json", dir);
        json_t *config = NULL;
        TRY(load_json(path, &config));
        *ret = xstrdup_null(json_string_value(json_object_get(config, "currentContext")));
        json_decref(config);
    }
    if (*ret && (!(*ret)[0] || strcmp(*ret, "default") == 0)) {
        free(*ret);
        *ret = NULL;
    }
    return NULL;
}

static struct err *from_context(const char *dir, const char *name, struct endpoint *e)
{
    char id[HASH_HEX + 1];
    hash_hex(sv_of(name), id);
    AUTO_FREE char *path = xasprintf("%s/contexts/meta/%s/meta.json", dir ? dir : "", id);
    json_t *meta = NULL;
    if (dir)
        TRY(load_json(path, &meta));
    if (!meta)
        return err_new(ERR_INVALID, "docker context '%s' is not defined (no '%s')", name, path);
    const json_t *docker = json_object_get(json_object_get(meta, "Endpoints"), "docker");
    AUTO_FREE char *host = xstrdup_null(json_string_value(json_object_get(docker, "Host")));
    bool skip_verify = json_is_true(json_object_get(docker, "SkipTLSVerify"));
    json_decref(meta);
    if (!host || !host[0])
        return err_new(ERR_INVALID, "docker context '%s' names no host ('%s')", name, path);
    if (after(host, "tcp://")) {
        AUTO_FREE char *tls_dir = xasprintf("%s/contexts/tls/%s/docker", dir, id);
        TRY(use_tls_dir(tls_dir, e));
        e->tls = e->ca_file || e->cert_file || skip_verify;
        e->tls_verify = e->tls && !skip_verify;
    }
    return parse_host(host, e);
}

/* ---- the search ------------------------------------------------------------------------------ */

static struct err *from_default(struct endpoint *e)
{
    const char *runtime = env("XDG_RUNTIME_DIR");
    if (runtime && access(DEFAULT_SOCKET, F_OK) < 0) {
        AUTO_FREE char *rootless = xasprintf("%s/docker.sock", runtime);
        if (access(rootless, F_OK) == 0) {
            free(e->origin);
            e->origin = xstrdup("rootless default");
            return parse_unix(rootless, e);
        }
    }
    return parse_unix(DEFAULT_SOCKET, e);
}

static struct err *search(const char *flag, struct endpoint *e)
{
    if (flag) {
        e->origin = xstrdup("--engine");
        return from_address(flag, e);
    }
    if (env("DOCKER_HOST")) {
        e->origin = xstrdup("DOCKER_HOST");
        return from_address(env("DOCKER_HOST"), e);
    }
    AUTO_FREE char *dir = config_dir();
    AUTO_FREE char *name = NULL;
    TRY_CTX(context_name(dir, &name), "looking for a docker context");
    if (name) {
        e->origin = xasprintf("context '%s'", name);
        return from_context(dir, name, e);
    }
    e->origin = xstrdup("default");
    return from_default(e);
}

struct err *endpoint_resolve(const char *flag, struct endpoint *ret)
{
    struct endpoint e = {0};
    struct err *error = search(flag, &e);
    if (error) {
        endpoint_done(&e);
        return error;
    }
    *ret = e;
    return NULL;
}
