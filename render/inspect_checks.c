/* SPDX-License-Identifier: Apache-2.0 */
/* Containers: privileges, namespaces, limits. */
#include "render/inspect_checks.h"

#include "render/seccomp.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <string.h>

const char *inspect_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool inspect_is_empty(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

enum attest_verdict inspect_says(struct inspect_check *c, const char *key, const json_t *value,
                                 bool sealed)
{
    enum { SHOWN_MAX = 400 };
    AUTO_FREE char *text =
        value ? XNN(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS)) : NULL;
    str_addf(c->evidence, "%s %.*s", key, SHOWN_MAX, text ? text : "absent");
    return sealed ? ATTEST_DENIED : ATTEST_OPEN;
}

static enum attest_verdict says(struct inspect_check *c, const char *key, bool sealed)
{
    return inspect_says(c, key, json_object_get(c->host, key), sealed);
}

static bool lists(const json_t *list, const char *word)
{
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(list, i, v)
    {
        const char *text = json_string_value(v);
        if (text && strcasecmp(text, word) == 0)
            return true;
    }
    return false;
}

/* ---- privileges ------------------------------------------------------------------------------ */

enum attest_verdict inspect_privileged(struct inspect_check *c)
{
    return says(c, "Privileged", json_is_false(json_object_get(c->host, "Privileged")));
}

enum attest_verdict inspect_capabilities(struct inspect_check *c)
{
    const json_t *add = json_object_get(c->host, "CapAdd");
    const json_t *drop = json_object_get(c->host, "CapDrop");
    bool sealed = inspect_is_empty(add) && lists(drop, "ALL");
    (void)inspect_says(c, "CapDrop", drop, sealed);
    str_add(c->evidence, ", ");
    return inspect_says(c, "CapAdd", add, sealed);
}

/* Bottler's own profile of system calls is long, and known. */
static enum attest_verdict options_say(struct inspect_check *c, const json_t *options, bool sealed)
{
    json_t *shown = options ? XNN(json_deep_copy(options)) : NULL;
    for (size_t i = 0; i < json_array_size(shown); i++) {
        const char *text = json_string_value(json_array_get(shown, i));
        if (text && seccomp_is_ours(text) &&
            json_array_set_new(shown, i, XNN(json_string("seccomp=(bottler's own)"))) != 0)
            xoom();
    }
    enum attest_verdict v = inspect_says(c, "SecurityOpt", shown, sealed);
    json_decref(shown);
    return v;
}

enum attest_verdict inspect_no_new_privileges(struct inspect_check *c)
{
    const json_t *options = json_object_get(c->host, "SecurityOpt");
    return options_say(c, options,
                       lists(options, "no-new-privileges") ||
                           lists(options, "no-new-privileges:true") ||
                           lists(options, "no-new-privileges=true"));
}

/* What a profile of somebody else's lets through, nobody knows. */
static bool loosens(const char *option)
{
    const char *value = strpbrk(option, "=:");
    if (!value)
        return false;
    if (sv_eq((struct sv){option, (size_t)(value - option)}, "seccomp"))
        return strcmp(value + 1, "builtin") != 0 && !seccomp_is_ours(option);
    return strcmp(value + 1, "unconfined") == 0 || strcmp(value + 1, "disable") == 0;
}

/* "seccomp=unconfined", "apparmor:unconfined", "label=disable", "systempaths=unconfined". */
enum attest_verdict inspect_confinement(struct inspect_check *c)
{
    const json_t *options = json_object_get(c->host, "SecurityOpt");
    bool sealed = true;
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(options, i, v)
    {
        const char *text = json_string_value(v);
        if (!text || loosens(text))
            sealed = false;
    }
    return options_say(c, options, sealed);
}

/* Empty lists are how an engine says that it hides nothing. */
enum attest_verdict inspect_proc(struct inspect_check *c)
{
    size_t masked = json_array_size(json_object_get(c->host, "MaskedPaths"));
    size_t fixed = json_array_size(json_object_get(c->host, "ReadonlyPaths"));
    str_addf(c->evidence, "%zu paths masked, %zu read-only", masked, fixed);
    return masked && fixed ? ATTEST_DENIED : ATTEST_OPEN;
}

/* ---- namespaces ------------------------------------------------------------------------------ */

/* "" leaves it to the engine, whose default for each of these is a namespace of one's own. */
static enum attest_verdict own_namespace(struct inspect_check *c, const char *key)
{
    const char *mode = inspect_text(c->host, key);
    return says(c, key,
                !*mode || strcmp(mode, "private") == 0 || strcmp(mode, "none") == 0 ||
                    strcmp(mode, "shareable") == 0);
}

enum attest_verdict inspect_pid(struct inspect_check *c)
{
    return own_namespace(c, "PidMode");
}

enum attest_verdict inspect_ipc(struct inspect_check *c)
{
    return own_namespace(c, "IpcMode");
}

enum attest_verdict inspect_uts(struct inspect_check *c)
{
    return own_namespace(c, "UTSMode");
}

enum attest_verdict inspect_userns(struct inspect_check *c)
{
    return own_namespace(c, "UsernsMode");
}

enum attest_verdict inspect_cgroupns(struct inspect_check *c)
{
    const char *version = inspect_text(c->w->info, "CgroupVersion");
    if (strcmp(version, "2") == 0)
        return own_namespace(c, "CgroupnsMode");
    str_addf(c->evidence, "control groups version '%s': the host's tree is seen, read-only",
             version);
    return ATTEST_SKIPPED;
}

enum attest_verdict inspect_network_mode(struct inspect_check *c)
{
    const char *mode = inspect_text(c->host, "NetworkMode");
    return says(c, "NetworkMode",
                *mode && strcmp(mode, "host") != 0 && strcmp(mode, "bridge") != 0 &&
                    strcmp(mode, "default") != 0 && strncmp(mode, "container:", 10) != 0);
}

/* ---- what it has ----------------------------------------------------------------------------- */

enum attest_verdict inspect_devices(struct inspect_check *c)
{
    static const char *const keys[] = {"Devices", "DeviceRequests", "DeviceCgroupRules"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (!inspect_is_empty(json_object_get(c->host, keys[i])))
            return says(c, keys[i], false);
    }
    str_add(c->evidence, "no device, no request for one, no rule");
    return ATTEST_DENIED;
}

enum attest_verdict inspect_ports(struct inspect_check *c)
{
    const json_t *settings = json_object_get(c->container, "NetworkSettings");
    const char *port = NULL;
    json_t *bound = NULL;
    if (!inspect_is_empty(json_object_get(c->host, "PortBindings")))
        return says(c, "PortBindings", false);
    if (json_is_true(json_object_get(c->host, "PublishAllPorts")))
        return says(c, "PublishAllPorts", false);
    json_object_foreach(json_object_get(settings, "Ports"), port, bound)
    {
        if (!inspect_is_empty(bound))
            return inspect_says(c, port, bound, false);
    }
    str_add(c->evidence, "no port is bound on the host");
    return ATTEST_DENIED;
}

enum attest_verdict inspect_dns(struct inspect_check *c)
{
    const json_t *dns = json_object_get(c->host, "Dns");
    bool sealed = json_array_size(dns) > 0;
    for (size_t i = 0; i < json_array_size(dns); i++) {
        const char *server = json_string_value(json_array_get(dns, i));
        sealed = sealed && server && strcmp(server, "127.0.0.1") == 0;
    }
    return inspect_says(c, "Dns", dns, sealed);
}

/* Started by the engine after a reboot, an agent would run before its proxies are confirmed. */
enum attest_verdict inspect_restart(struct inspect_check *c)
{
    const json_t *policy = json_object_get(c->host, "RestartPolicy");
    const char *name = inspect_text(policy, "Name");
    return inspect_says(c, "RestartPolicy", policy, !*name || strcmp(name, "no") == 0);
}

enum attest_verdict inspect_runtime(struct inspect_check *c)
{
    const char *runtime = inspect_text(c->host, "Runtime");
    const json_t *known = json_object_get(c->w->info, "Runtimes");
    if (*runtime && json_object_get(known, runtime))
        return says(c, "Runtime", true);
    (void)says(c, "Runtime", false);
    return ATTEST_ERROR;
}

enum attest_verdict inspect_limits(struct inspect_check *c)
{
    json_int_t memory = json_integer_value(json_object_get(c->host, "Memory"));
    json_int_t pids = json_integer_value(json_object_get(c->host, "PidsLimit"));
    bool immortal = json_is_true(json_object_get(c->host, "OomKillDisable"));
    str_addf(c->evidence, "%lld bytes, %lld processes%s", (long long)memory, (long long)pids,
             immortal ? ", never killed for want of memory" : "");
    return memory > 0 && pids > 0 && !immortal ? ATTEST_DENIED : ATTEST_OPEN;
}

enum attest_verdict inspect_user(struct inspect_check *c)
{
    const json_t *user = json_object_get(json_object_get(c->container, "Config"), "User");
    const char *text = json_string_value(user);
    int64_t uid = 0;
    bool sealed = text && num_parse((struct sv){text, strcspn(text, ":")}, 1, UINT32_MAX, &uid);
    return inspect_says(c, "User", user, sealed);
}

enum attest_verdict inspect_forwarding(struct inspect_check *c)
{
    const json_t *sysctls = json_object_get(c->host, "Sysctls");
    return inspect_says(c, "Sysctls", sysctls,
                        strcmp(inspect_text(sysctls, "net.ipv4.ip_forward"), "0") == 0);
}
