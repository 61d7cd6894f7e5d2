/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/engine_internal.h"
#include "render/seccomp.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

enum { PING_TIMEOUT_MS = 10000, INFO_TIMEOUT_MS = 30000 };

/* One engine_connect() under way: ping, version, info. What it learns replaces the engine's own
 * only when all of it is there. */
struct connecting {
    LIST_ENTRY(connecting) in_engine;
    struct engine *e;
    engine_connected_fn *done;
    void *ctx;
    struct engine_info info;
};

void engine_info_done(struct engine_info *i)
{
    free(i->id);
    free(i->server_version);
    free(i->driver);
    free(i->arch);
    free(i->os);
    free(i->default_runtime);
    free(i->root_dir);
    str_list_done(&i->runtimes);
    json_decref(i->version_answer);
    json_decref(i->info_answer);
    *i = (struct engine_info){0};
}

static void connecting_free(struct connecting *c)
{
    engine_info_done(&c->info);
    free(c);
}

void connecting_drop_all(struct engine *e)
{
    while (!LIST_EMPTY(&e->connecting)) {
        struct connecting *c = LIST_FIRST(&e->connecting);
        LIST_REMOVE(c, in_engine);
        connecting_free(c);
    }
}

static void end(struct connecting *c, struct err *error_take)
{
    AUTO_ERR error = error_take;
    struct engine *e = c->e;
    LIST_REMOVE(c, in_engine);
    if (!error) {
        engine_info_done(&e->info);
        e->info = c->info;
        c->info = (struct engine_info){0};
        e->connected = true;
    }
    c->done(c->ctx, error, error ? NULL : &e->info);
    connecting_free(c);
}

static void ask(struct connecting *c, const char *path, unsigned timeout_ms, engine_done_fn *done)
{
    /* A lane of its own: what hangs elsewhere must not keep the engine from being found again. */
    struct engine_request q = {.method = "GET",
                               .path = path,
                               .lane = LANE_CONTROL,
                               .timeout_ms = timeout_ms,
                               .unversioned = true};
    (void)engine_send(c->e, &q, done, c);
}

/* "1.41" to 41. Only a 1 in front is an API we know. */
static bool parse_version(struct sv text, int *ret_minor)
{
    int64_t minor = 0;
    if (text.n < 3 || memcmp(text.p, "1.", 2) != 0 ||
        !num_parse((struct sv){text.p + 2, text.n - 2}, 0, 9999, &minor))
        return false;
    *ret_minor = (int)minor;
    return true;
}

static char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return xstrdup(text ? text : "");
}

static struct err *parse_object(struct connecting *c, const struct engine_response *r,
                                const char *what, json_t **ret)
{
    TRY(engine_check(r, what));
    json_error_t problem;
    json_t *root = json_loadb(r->body.p, r->body.n, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_new(ERR_UNAVAILABLE,
                       "%s: the engine at %s sent something else than a JSON object", what,
                       c->e->at.display);
    }
    *ret = root;
    return NULL;
}

/* ---- what /info says ------------------------------------------------------------------------- */

static bool list_mentions(const json_t *array, const char *word)
{
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(array, i, item)
    {
        const char *text = json_string_value(item);
        if (text && strstr(text, word))
            return true;
    }
    return false;
}

static bool uses_containerd_store(const json_t *driver_status)
{
    size_t i = 0;
    const json_t *pair = NULL;
    json_array_foreach(driver_status, i, pair)
    {
        const char *value = json_string_value(json_array_get(pair, 1));
        if (value && strcmp(value, "io.containerd.snapshotter.v1") == 0)
            return true;
    }
    return false;
}

/* A bridge without ICC needs br_netfilter. Engines up to 27 warn when its switch is off, which is
 * also so when it isn't loaded; later ones say false (below API 1.50) or nothing, whatever is the
 * case. */
static bool icc_off_works(const json_t *info)
{
    const json_t *filter = json_object_get(info, "BridgeNfIptables");
    if (json_is_true(filter))
        return true;
    return !list_mentions(json_object_get(info, "Warnings"), "bridge-nf-call-iptables is disabled");
}

/* "name=seccomp,profile=default" among the options. */
static bool weak_seccomp(const struct engine_info *i, const json_t *options)
{
    static const char name[] = "name=seccomp,profile=";
    size_t at = 0;
    const json_t *option = NULL;
    json_array_foreach(options, at, option)
    {
        const char *text = json_string_value(option);
        if (text && strncmp(text, name, strlen(name)) == 0)
            return seccomp_is_weak(i->arch, text + strlen(name));
    }
    return false;
}

static int64_t parse_time(const char *text)
{
    struct tm tm = {0};
    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        return 0;
    return timegm(&tm);
}

static void read_info(struct engine_info *i, const json_t *info)
{
    i->id = text_of(info, "ID");
    i->driver = text_of(info, "Driver");
    i->os = text_of(info, "OSType");
    json_t *runtimes = json_object_get(info, "Runtimes");
    for (void *at = json_object_iter(runtimes); at; at = json_object_iter_next(runtimes, at))
        str_list_add(&i->runtimes, json_object_iter_key(at));
    str_list_sort_unique(&i->runtimes);
    i->default_runtime = text_of(info, "DefaultRuntime");
    i->root_dir = text_of(info, "DockerRootDir");
    i->has_runsc = str_list_has(&i->runtimes, "runsc");
    i->rootless = list_mentions(json_object_get(info, "SecurityOptions"), "name=rootless");
    i->containerd_store = uses_containerd_store(json_object_get(info, "DriverStatus"));
    i->live_restore = json_is_true(json_object_get(info, "LiveRestoreEnabled"));
    i->icc_off_works = icc_off_works(info);
    i->weak_seccomp = weak_seccomp(i, json_object_get(info, "SecurityOptions"));
    i->cpus = (int)json_integer_value(json_object_get(info, "NCPU"));
    i->time = parse_time(json_string_value(json_object_get(info, "SystemTime")));
}

static void on_info(void *ctx, const struct engine_response *r)
{
    struct connecting *c = ctx;
    json_t *info = NULL;
    struct err *error = parse_object(c, r, "reading the engine's /info", &info);
    if (!error) {
        read_info(&c->info, info);
        c->info.info_answer = info;
        if (strcmp(c->info.os, "linux") != 0)
            error =
                err_new(ERR_DENIED, "the engine at %s runs '%s' containers; bottler needs linux",
                        c->e->at.display, c->info.os);
    }
    end(c, error);
}

/* ---- the version ----------------------------------------------------------------------------- */

static struct err *negotiate(struct connecting *c, const json_t *version)
{
    struct engine_info *i = &c->info;
    const char *at = c->e->at.display;
    AUTO_FREE char *newest = text_of(version, "ApiVersion");
    AUTO_FREE char *oldest = text_of(version, "MinAPIVersion");
    i->server_version = text_of(version, "Version");
    i->arch = text_of(version, "Arch");
    if (!parse_version(sv_of(newest), &i->api_minor_max))
        return err_new(ERR_DENIED, "engine %s at %s offers API '%s'; bottler needs 1.%d or newer",
                       i->server_version, at, newest, API_MIN);
    if (i->api_minor_max < API_MIN)
        return err_new(ERR_DENIED, "engine %s at %s offers API %s; bottler needs 1.%d or newer",
                       i->server_version, at, newest, API_MIN);
    int floor = 0;
    if (oldest[0] && !parse_version(sv_of(oldest), &floor))
        floor = API_MAX + 1;
    i->api_minor = i->api_minor_max < API_MAX ? i->api_minor_max : API_MAX;
    if (i->api_minor < floor)
        return err_new(ERR_DENIED,
                       "engine %s at %s demands API %s or newer; this bottler speaks 1.%d to 1.%d",
                       i->server_version, at, oldest, API_MIN, API_MAX);
    return NULL;
}

static void on_version(void *ctx, const struct engine_response *r)
{
    struct connecting *c = ctx;
    json_t *version = NULL;
    struct err *error = parse_object(c, r, "reading the engine's /version", &version);
    if (!error) {
        error = negotiate(c, version);
        c->info.version_answer = version;
    }
    if (error) {
        end(c, error);
        return;
    }
    char path[32];
    (void)snprintf(path, sizeof(path), "/v1.%d/info", c->info.api_minor);
    ask(c, path, INFO_TIMEOUT_MS, on_info);
}

static void on_ping(void *ctx, const struct engine_response *r)
{
    struct connecting *c = ctx;
    struct err *error = engine_check(r, "asking for the engine");
    if (!error && engine_header(r, "Api-Version").n == 0)
        error =
            err_new(ERR_UNAVAILABLE, "what answers at %s is not a Docker Engine (no Api-Version)",
                    c->e->at.display);
    if (error)
        end(c, error);
    else
        ask(c, "/version", PING_TIMEOUT_MS, on_version);
}

void engine_connect(struct engine *e, engine_connected_fn *done, void *ctx)
{
    struct connecting *c = xcalloc(1, sizeof(*c));
    c->e = e;
    c->done = done;
    c->ctx = ctx;
    LIST_INSERT_HEAD(&e->connecting, c, in_engine);
    ask(c, "/_ping", PING_TIMEOUT_MS, on_ping);
}

const struct engine_info *engine_get_info(const struct engine *e)
{
    return e->connected ? &e->info : NULL;
}

struct engine_caps engine_caps(const struct engine *e)
{
    const struct engine_info *i = &e->info;
    return (struct engine_caps){
        .cpus = e->info.cpus,
        .api_minor = i->api_minor,
        .multi_endpoint = i->api_minor >= 44,
        .isolated_gw = i->api_minor_max >= 48,
        .icc_off_works = i->icc_off_works,
        .weak_seccomp = i->weak_seccomp,
        .arch = i->arch,
        .has_runsc = i->has_runsc,
        .runtimes = &i->runtimes,
        .default_runtime = i->default_runtime,
    };
}
