/* SPDX-License-Identifier: Apache-2.0 */
#include "render/docker.h"

#include "render/launcher.h"
#include "render/parts.h"
#include "render/seccomp.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { IMAGE_MAX_BYTES = 4 * 1024 * 1024, IMAGE_MAX_WORDS = 4096 };

static void decrefp(json_t **j)
{
    json_decref(*j);
}

static char *dump(const json_t *j)
{
    return XNN(json_dumps(j, JSON_COMPACT));
}

/* ---- images ---------------------------------------------------------------------------------- */

void image_info_done(struct image_info *i)
{
    free(i->ref);
    free(i->id);
    free(i->user);
    free(i->arch);
    str_list_done(&i->entrypoint);
    str_list_done(&i->cmd);
    *i = (struct image_info){0};
}

static char *text_or_empty(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return xstrdup(s ? s : "");
}

/* Absent, null, a list of texts, or one text: the engine reads all of these. */
static struct err *words(const char *ref, const json_t *config, const char *key,
                         struct str_list *ret)
{
    const json_t *v = json_object_get(config, key);
    if (!v || json_is_null(v))
        return NULL;
    if (json_is_string(v)) {
        str_list_add(ret, json_string_value(v));
        return NULL;
    }
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n > IMAGE_MAX_WORDS)
        return err_new(ERR_INVALID,
                       "image '%s': \"%s\" in the engine's answer isn't a list of at most %d texts",
                       ref, key, IMAGE_MAX_WORDS);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(v, i));
        if (!text)
            return err_new(ERR_INVALID,
                           "image '%s': \"%s\" in the engine's answer has a word that isn't text",
                           ref, key);
        str_list_add(ret, text);
    }
    return NULL;
}

static struct err *image_words(const json_t *config, struct image_info *i)
{
    TRY(words(i->ref, config, "Entrypoint", &i->entrypoint));
    TRY(words(i->ref, config, "Cmd", &i->cmd));
    /* One empty word is the engine's way to say that there is none. */
    if (i->entrypoint.len == 1 && !i->entrypoint.items[0][0])
        str_list_done(&i->entrypoint);
    i->has_command = i->entrypoint.len || i->cmd.len;
    return NULL;
}

struct err *image_info_parse(const char *ref, struct sv json, struct image_info *ret)
{
    if (json.n > IMAGE_MAX_BYTES)
        return err_new(ERR_INVALID, "image '%s': the engine's answer is over %d bytes", ref,
                       IMAGE_MAX_BYTES);
    json_error_t je;
    AUTO(decrefp) json_t *root = json_loadb(json.n ? json.p : "", json.n, 0, &je);
    if (!root)
        return err_new(ERR_INVALID, "image '%s': the engine's answer isn't JSON: %s", ref, je.text);
    const char *id = json_string_value(json_object_get(root, "Id"));
    if (!id || !id[0])
        return err_new(ERR_INVALID, "image '%s': the engine's answer has no \"Id\"", ref);
    const json_t *config = json_object_get(root, "Config");
    AUTO(image_info_done)
    struct image_info i = {
        .ref = xstrdup(ref),
        .id = xstrdup(id),
        .user = text_or_empty(config, "User"),
        .arch = text_or_empty(root, "Architecture"),
    };
    TRY(image_words(config, &i));
    *ret = i;
    i = (struct image_info){0};
    return NULL;
}

/* ---- networks -------------------------------------------------------------------------------- */

static json_t *object_labels(const struct desired *d, const char *role, const char *self,
                             const char *spec_hash)
{
    return XNN(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", LABEL_INSTALLATION, d->installation,
                         LABEL_BOTTLE, d->bottle, LABEL_ROLE, role, LABEL_UID, d->uid,
                         LABEL_SPEC_HASH, spec_hash, LABEL_SELF, self));
}

static json_t *network_options(const struct desired_network *n, const struct engine_caps *caps)
{
    json_t *o = XNN(json_object());
    json_put_text(o, BRIDGE_NAME, n->bridge);
    if (n->internal) {
        /* No address of the host on the bridge: what listens on the host stays out of reach. */
        json_put_text(o, BRIDGE_INHIBIT_IPV4, "true");
        if (caps->isolated_gw)
            json_put_text(o, BRIDGE_GATEWAY_MODE_IPV4, "isolated");
    } else if (caps->icc_off_works) {
        json_put_text(o, BRIDGE_ICC, "false");
    }
    return o;
}

char *docker_network_body(const struct desired *d, const struct desired_network *n,
                          const char *subnet, const struct engine_caps *caps)
{
    AUTO(decrefp)
    json_t *body = XNN(json_pack(
        "{s:s, s:s, s:b, s:b, s:b, s:{s:s, s:[{s:s}]}, s:o, s:o}", "Name", n->name, "Driver",
        "bridge", "CheckDuplicate", 1, "EnableIPv6", 0, "Internal", (int)n->internal, "IPAM",
        "Driver", "default", "Config", "Subnet", subnet, "Options", network_options(n, caps),
        "Labels", object_labels(d, net_role(n->net), n->name, n->spec_hash)));
    return dump(body);
}

char *docker_connect_body(enum role role, const char *container_id)
{
    AUTO(decrefp)
    json_t *body = XNN(json_pack("{s:s, s:{s:[s]}}", "Container", container_id, "EndpointConfig",
                                 "Aliases", role_info(role)->name));
    return dump(body);
}

char *docker_disconnect_body(const char *container_id)
{
    AUTO(decrefp)
    json_t *body = XNN(json_pack("{s:s, s:b}", "Container", container_id, "Force", 1));
    return dump(body);
}

/* ---- containers ------------------------------------------------------------------------------ */

/* "", "0", "root" and the same with a group. */
static bool user_is_root(const char *user)
{
    size_t n = strcspn(user, ":");
    struct sv name = {user, n};
    return n == 0 || sv_eq(name, "0") || sv_eq(name, "root");
}

/* Where neither the engine nor the image tells, it is tried. */
static struct err *check_launcher(const struct image_info *image, const struct engine_caps *caps)
{
    const char *arch = caps->arch && caps->arch[0] ? caps->arch : image->arch;
    if (!arch[0] || strcmp(arch, launcher_arch()) == 0)
        return NULL;
    return err_new(ERR_INVALID,
                   "agent.env: secrets there need bottler's launcher, which is for %s, and the "
                   "engine runs %s; expected files: [{path: …, secret: NAME}] instead",
                   launcher_arch()[0] ? launcher_arch() : "another architecture", arch);
}

static struct err *check_image(const struct desired_container *c, const struct image_info *image,
                               const struct engine_caps *caps)
{
    if (caps->arch && caps->arch[0] && image->arch[0] && strcmp(caps->arch, image->arch) != 0)
        return err_new(ERR_INVALID, "image '%s' is for %s, the engine runs %s", c->image_ref,
                       image->arch, caps->arch);
    if (c->launch)
        TRY(check_launcher(image, caps));
    bool own_command = json_array_size(json_object_get(c->body, "Cmd")) > 0 ||
                       json_array_size(json_object_get(c->body, "Entrypoint")) > 0;
    bool image_command = c->launch ? image->entrypoint.len || image->cmd.len : image->has_command;
    if (!own_command && !image_command)
        return err_new(ERR_INVALID,
                       "image '%s' has no command: expected agent.command to say what runs",
                       c->image_ref);
    if (!json_object_get(c->body, "User") && user_is_root(image->user))
        return err_new(ERR_INVALID,
                       "image '%s' runs as root: expected agent.user to name another user "
                       "(or \"0:0\", if root is meant)",
                       c->image_ref);
    return NULL;
}

const char *docker_runtime(const char *runtime, const struct engine_caps *caps)
{
    if (strcmp(runtime, "auto") != 0)
        return runtime;
    if (caps->has_runsc)
        return "runsc";
    return caps->default_runtime && caps->default_runtime[0] ? caps->default_runtime : NULL;
}

struct err *docker_check_runtime(const char *runtime, const struct engine_caps *caps)
{
    static const char shim[] = "io.containerd.";
    enum { LIST_MAX = 4096 };
    const struct str_list *known = caps->runtimes;
    if (strcmp(runtime, "auto") == 0 || strncmp(runtime, shim, strlen(shim)) == 0)
        return NULL;
    if (!known || !known->len || str_list_has(known, runtime))
        return NULL;
    struct str list;
    str_init(&list, LIST_MAX);
    for (size_t i = 0; i < known->len; i++)
        str_addf(&list, "%s%s", i ? ", " : "", known->items[i]);
    struct err *e = err_new(ERR_INVALID, "agent.runtime: '%s' is not on the engine; it has: %s",
                            runtime, list.p);
    str_done(&list);
    return e;
}

static json_t *endpoints(const struct role_info *info, const char *const net_ids[NET_COUNT],
                         const struct engine_caps *caps)
{
    json_t *o = XNN(json_object());
    for (enum net n = 0; n < NET_COUNT; n++) {
        bool wanted = caps->multi_endpoint ? (info->nets & (1u << n)) != 0 : n == info->primary;
        if (wanted)
            json_put(o, net_ids[n], json_pack("{s:[s]}", "Aliases", info->name));
    }
    return o;
}

/* The engine drops the image's Cmd for a body with an Entrypoint, so both are said. */
static void put_launcher(const struct image_info *image, json_t *body)
{
    json_t *entrypoint = json_texts(&image->entrypoint);
    if (json_array_insert_new(entrypoint, 0, XNN(json_string(AGENT_LAUNCH_PATH))) != 0)
        xoom();
    json_put(body, "Entrypoint", entrypoint);
    if (!json_object_get(body, "Cmd") && image->cmd.len)
        json_put(body, "Cmd", json_texts(&image->cmd));
}

struct err *docker_container_body(const struct desired_container *c, const struct image_info *image,
                                  const char *const net_ids[NET_COUNT],
                                  const struct engine_caps *caps, char **ret)
{
    const struct role_info *info = role_info(c->role);
    TRY(check_image(c, image, caps));
    AUTO(decrefp) json_t *body = XNN(json_deep_copy(c->body));
    json_t *host = json_object_get(body, "HostConfig");
    const char *runtime = json_string_value(json_object_get(host, "Runtime"));
    if (runtime)
        TRY(docker_check_runtime(runtime, caps));
    /* By id: pinned against a tag that moves, and cheap for the engine to list. */
    json_put_text(body, "Image", image->id);
    json_put_text(host, "NetworkMode", net_ids[info->primary]);
    if (c->launch)
        put_launcher(image, body);
    /* Not in the hash: a container of an earlier version, without it, isn't replaced. */
    if (caps->weak_seccomp)
        seccomp_put(host);
    if (c->role == ROLE_AGENT && caps->has_runsc && !json_object_get(host, "Runtime"))
        json_put_text(host, "Runtime", "runsc");
    json_put(body, "NetworkingConfig",
             json_pack("{s:o}", "EndpointsConfig", endpoints(info, net_ids, caps)));
    *ret = dump(body);
    return NULL;
}

/* ---- volumes --------------------------------------------------------------------------------- */

char *docker_volume_body(const struct desired *d, const struct desired_volume *v)
{
    AUTO(decrefp) json_t *semantic = XNN(json_pack("{s:s}", "role", VOLUME_ROLE));
    AUTO_FREE char *hash = hash_spec(semantic);
    json_t *labels = object_labels(d, VOLUME_ROLE, v->name, hash);
    if (v->retain)
        json_put_text(labels, LABEL_RETAIN, "true");
    AUTO(decrefp)
    json_t *body =
        XNN(json_pack("{s:s, s:s, s:o}", "Name", v->name, "Driver", "local", "Labels", labels));
    return dump(body);
}
