/* SPDX-License-Identifier: Apache-2.0 */
#include "render/seal.h"

#include "render/seccomp.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { SEAL_MAX_BYTES = 4 * 1024 * 1024, SHOWN_MAX = 120, NANO_CPUS = 1000000000 };

static void decrefp(json_t **j)
{
    json_decref(*j);
}

void seal_done(struct seal *s)
{
    free(s->why);
    *s = (struct seal){0};
}

/* The worse of the two is kept; of two alike, the first. */
static void worsen(struct seal *s, enum seal_state state, char *why_take)
{
    if (state <= s->state) {
        free(why_take);
        return;
    }
    free(s->why);
    s->state = state;
    s->why = why_take;
}

static char *shown(const json_t *v)
{
    if (!v)
        return xstrdup("missing");
    char *text = XNN(json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS));
    if (strlen(text) > SHOWN_MAX)
        memcpy(text + str_char_start(text, SHOWN_MAX - 3), "...", 4);
    return text;
}

static void differs(struct seal *s, enum seal_state state, const char *key, const json_t *have,
                    const json_t *want)
{
    AUTO_FREE char *is = shown(have);
    if (!want) {
        worsen(s, state, xasprintf("HostConfig.%s is %s", key, is));
        return;
    }
    AUTO_FREE char *wanted = shown(want);
    worsen(s, state, xasprintf("HostConfig.%s is %s, expected %s", key, is, wanted));
}

/* ---- what nobody asks for -------------------------------------------------------------------- */

static bool is_empty(const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_TRUE:
        return false;
    case JSON_STRING:
        return json_string_length(v) == 0;
    case JSON_INTEGER:
        return json_integer_value(v) == 0;
    case JSON_REAL:
        return false;
    case JSON_ARRAY:
        return json_array_size(v) == 0;
    case JSON_OBJECT:
        return json_object_size(v) == 0;
    }
    return false;
}

/* Each would open something; a body that asks for one (Sysctls) is compared instead. */
static const char *const UNASKED[] = {
    "AutoRemove",     "Binds",        "CapAdd",      "Cgroup",          "DeviceCgroupRules",
    "DeviceRequests", "Devices",      "ExtraHosts",  "GroupAdd",        "Links",
    "OomKillDisable", "PortBindings", "Privileged",  "PublishAllPorts", "Sysctls",
    "UsernsMode",     "UTSMode",      "VolumesFrom",
};

static void check_unasked(const json_t *want, const json_t *have, struct seal *s)
{
    for (size_t i = 0; i < sizeof(UNASKED) / sizeof(UNASKED[0]); i++) {
        const json_t *v = json_object_get(have, UNASKED[i]);
        if (!json_object_get(want, UNASKED[i]) && !is_empty(v))
            differs(s, SEAL_BROKEN, UNASKED[i], v, NULL);
    }
}

/* Namespaces of its own, whatever the engine's defaults are called. */
static void check_own(const json_t *have, const char *key, struct seal *s)
{
    static const char *const own[] = {"", "private", "shareable", "none"};
    const json_t *v = json_object_get(have, key);
    const char *text = json_string_value(v);
    for (size_t i = 0; text && i < sizeof(own) / sizeof(own[0]); i++) {
        if (strcmp(text, own[i]) == 0)
            return;
    }
    if (v && !json_is_null(v))
        differs(s, SEAL_BROKEN, key, v, NULL);
}

static void check_network_mode(const json_t *have, struct seal *s)
{
    const json_t *v = json_object_get(have, "NetworkMode");
    const char *text = json_string_value(v);
    if (!text || strcmp(text, "host") == 0 || strncmp(text, "container:", 10) == 0)
        differs(s, SEAL_BROKEN, "NetworkMode", v, NULL);
}

/* An engine that hides nothing of /proc says so with an empty list. */
static void check_hidden(const json_t *have, const char *key, struct seal *s)
{
    const json_t *v = json_object_get(have, key);
    if (!json_is_array(v) || json_array_size(v) == 0)
        differs(s, SEAL_BROKEN, key, v, NULL);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool same_text(const json_t *a, const char *b)
{
    const char *text = json_string_value(a);
    return text && strcmp(text, b) == 0;
}

/* Engines write "no-new-privileges" with and without a value. */
static bool same_option(const json_t *want, const json_t *have)
{
    return want && (json_equal(want, have) || same_text(have, "no-new-privileges:true") ||
                    same_text(have, "no-new-privileges=true"));
}

/* Bottler's own seccomp profile may be there beside what the body asks for: which engines get it is
 * no setting of the bottle. Nobody else's may. */
static bool same_options(const json_t *want, const json_t *have)
{
    size_t taken = 0;
    for (size_t i = 0; i < json_array_size(have); i++) {
        const json_t *h = json_array_get(have, i);
        const char *text = json_string_value(h);
        if (text && seccomp_is_ours(text))
            continue;
        if (!same_option(json_array_get(want, taken), h))
            return false;
        taken++;
    }
    return taken == json_array_size(want);
}

static bool same_policy(const json_t *want, const json_t *have)
{
    const char *name = json_string_value(json_object_get(have, "Name"));
    const char *wanted = json_string_value(json_object_get(want, "Name"));
    bool never = wanted && strcmp(wanted, "no") == 0;
    return name && ((never && !*name) || (wanted && strcmp(name, wanted) == 0));
}

static bool same_mount(const json_t *want, const json_t *have)
{
    static const char *const texts[] = {"Type", "Source", "Target"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!json_equal(json_object_get(want, texts[i]), json_object_get(have, texts[i])))
            return false;
    }
    return json_is_true(json_object_get(want, "ReadOnly")) ==
           json_is_true(json_object_get(have, "ReadOnly"));
}

static bool same_mounts(const json_t *want, const json_t *have)
{
    if (json_array_size(want) != json_array_size(have))
        return false;
    for (size_t i = 0; i < json_array_size(want); i++) {
        if (!same_mount(json_array_get(want, i), json_array_get(have, i)))
            return false;
    }
    return true;
}

static bool same(const json_t *want, const json_t *have)
{
    return want && have && json_equal(want, have);
}

struct asked {
    const char *key;
    enum seal_state otherwise;
    bool (*same)(const json_t *want, const json_t *have);
};
static const struct asked ASKED[] = {
    {"CapDrop", SEAL_BROKEN, same},  {"SecurityOpt", SEAL_BROKEN, same_options},
    {"Sysctls", SEAL_BROKEN, same},  {"Dns", SEAL_BROKEN, same},
    {"Runtime", SEAL_BROKEN, same},  {"LogConfig", SEAL_BROKEN, same},
    {"Init", SEAL_BROKEN, same},     {"RestartPolicy", SEAL_LIMITS, same_policy},
    {"Memory", SEAL_LIMITS, same},   {"MemorySwap", SEAL_LIMITS, same},
    {"NanoCpus", SEAL_LIMITS, same}, {"PidsLimit", SEAL_LIMITS, same},
};

static void check_asked(const json_t *want, const json_t *have, struct seal *s)
{
    for (size_t i = 0; i < sizeof(ASKED) / sizeof(ASKED[0]); i++) {
        const json_t *w = json_object_get(want, ASKED[i].key);
        const json_t *h = json_object_get(have, ASKED[i].key);
        bool theirs = s->other && strcmp(ASKED[i].key, "Runtime") == 0;
        if (w && !theirs && !ASKED[i].same(w, h))
            differs(s, ASKED[i].otherwise, ASKED[i].key, h, w);
    }
    if (s->other)
        return;
    const json_t *mounts = json_object_get(have, "Mounts");
    if (!same_mounts(json_object_get(want, "Mounts"), mounts))
        differs(s, SEAL_BROKEN, "Mounts", mounts, json_object_get(want, "Mounts"));
}

static json_int_t all_cpus(int cpus)
{
    return (json_int_t)cpus * NANO_CPUS;
}

/* No limit was asked for. */
static void check_no_cpu_limit(const json_t *want, const json_t *have, int cpus, struct seal *s)
{
    const json_t *v = json_object_get(have, "NanoCpus");
    json_int_t n = json_integer_value(v);
    if (!json_object_get(want, "NanoCpus") && cpus > 0 && n && n < all_cpus(cpus))
        differs(s, SEAL_LIMITS, "NanoCpus", v, NULL);
}

static void check_user(const struct desired_container *want, const json_t *root, struct seal *s)
{
    const json_t *w = json_object_get(want->body, "User");
    const json_t *h = json_object_get(json_object_get(root, "Config"), "User");
    if (!w || same(w, h))
        return;
    AUTO_FREE char *is = shown(h);
    AUTO_FREE char *wanted = shown(w);
    worsen(s, SEAL_BROKEN, xasprintf("Config.User is %s, expected %s", is, wanted));
}

/* ret->other is set. */
static struct err *check(const struct desired_container *want, int cpus, struct sv inspect,
                         struct seal *ret)
{
    if (inspect.n > SEAL_MAX_BYTES)
        return err_new(ERR_UNAVAILABLE, "%s: the engine's answer is over %d bytes", want->name,
                       SEAL_MAX_BYTES);
    AUTO(decrefp) json_t *root = json_loadb(inspect.n ? inspect.p : "", inspect.n, 0, NULL);
    const json_t *have = json_object_get(root, "HostConfig");
    if (!json_is_object(have))
        return err_new(ERR_UNAVAILABLE, "%s: the engine's answer has no HostConfig", want->name);
    const json_t *asked = json_object_get(want->body, "HostConfig");
    check_unasked(asked, have, ret);
    check_own(have, "PidMode", ret);
    check_own(have, "IpcMode", ret);
    check_network_mode(have, ret);
    check_hidden(have, "MaskedPaths", ret);
    check_hidden(have, "ReadonlyPaths", ret);
    check_asked(asked, have, ret);
    check_no_cpu_limit(asked, have, cpus, ret);
    if (!ret->other)
        check_user(want, root, ret);
    return NULL;
}

struct err *seal_check(const struct desired_container *want, int cpus, struct sv inspect,
                       struct seal *ret)
{
    *ret = (struct seal){0};
    return check(want, cpus, inspect, ret);
}

struct err *seal_check_other(const struct desired_container *want, int cpus, struct sv inspect,
                             struct seal *ret)
{
    *ret = (struct seal){.other = true};
    return check(want, cpus, inspect, ret);
}

char *seal_limits(const struct desired_container *want)
{
    AUTO(decrefp) json_t *body = XNN(json_object());
    const json_t *asked = json_object_get(want->body, "HostConfig");
    for (size_t i = 0; i < sizeof(ASKED) / sizeof(ASKED[0]); i++) {
        json_t *v = json_object_get(asked, ASKED[i].key);
        if (v && ASKED[i].otherwise == SEAL_LIMITS && json_object_set(body, ASKED[i].key, v) != 0)
            xoom();
    }
    return XNN(json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS));
}

char *seal_update_body(const char *limits, int cpus)
{
    AUTO(decrefp) json_t *body = XNN(json_loads(limits, 0, NULL));
    if (!json_object_get(body, "NanoCpus") && cpus > 0 &&
        json_object_set_new(body, "NanoCpus", XNN(json_integer(all_cpus(cpus)))) != 0)
        xoom();
    return XNN(json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS));
}
