/* SPDX-License-Identifier: Apache-2.0 */
#include "render/observed_json.h"

#include "render/hash.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>

static void decrefp(json_t **j)
{
    json_decref(*j);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static struct err *load(struct sv body, json_t **ret)
{
    if (body.n > OBSERVED_MAX_BYTES)
        return err_new(ERR_INVALID, "%zu bytes are over the limit of %d", body.n,
                       OBSERVED_MAX_BYTES);
    json_error_t je;
    json_t *root = json_loadb(body.n ? body.p : "", body.n, 0, &je);
    if (!root)
        return err_new(ERR_INVALID, "not JSON at byte %d: %s", je.position, je.text);
    *ret = root;
    return NULL;
}

/* Absent and null are an empty list: *ret is NULL then. Borrowed, as all below. */
static struct err *as_list(json_t *v, const char *what, size_t max, json_t **ret)
{
    if (v && !json_is_null(v) && !json_is_array(v))
        return err_new(ERR_INVALID, "%s: expected a list", what);
    if (json_array_size(v) > max)
        return err_new(ERR_INVALID, "%s: %zu entries are over the limit of %zu", what,
                       json_array_size(v), max);
    *ret = json_is_array(v) ? v : NULL;
    return NULL;
}

static struct err *as_object(json_t *v, const char *what, size_t max, json_t **ret)
{
    if (v && !json_is_null(v) && !json_is_object(v))
        return err_new(ERR_INVALID, "%s: expected an object", what);
    if (json_object_size(v) > max)
        return err_new(ERR_INVALID, "%s: %zu entries are over the limit of %zu", what,
                       json_object_size(v), max);
    *ret = json_is_object(v) ? v : NULL;
    return NULL;
}

/* The answer itself: null isn't an empty list here, but an engine that answers nonsense. */
static struct err *answer_list(json_t *root, json_t **ret)
{
    if (!json_is_array(root))
        return err_new(ERR_INVALID, "expected a list");
    return as_list(root, "the answer", OBSERVED_MAX_OBJECTS, ret);
}

/* A text that must be there. */
static struct err *text(const json_t *object, const char *key, char **ret)
{
    const char *s = json_string_value(json_object_get(object, key));
    if (!s)
        return err_new(ERR_INVALID, "%s: expected a text", key);
    *ret = xstrdup(s);
    return NULL;
}

static struct err *owner(const json_t *object, struct observed_owner *ret)
{
    json_t *labels = NULL;
    TRY(as_object(json_object_get(object, "Labels"), "Labels", OBSERVED_MAX_PER_OBJECT, &labels));
    struct {
        const char *key;
        char **slot;
    } const fields[] = {
        {LABEL_INSTALLATION, &ret->installation},
        {LABEL_BOTTLE, &ret->bottle},
        {LABEL_ROLE, &ret->role},
        {LABEL_UID, &ret->uid},
        {LABEL_SPEC_HASH, &ret->spec_hash},
        {LABEL_SELF, &ret->self},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        *fields[i].slot = xstrdup_null(json_string_value(json_object_get(labels, fields[i].key)));
    return NULL;
}

/* ---- small texts ----------------------------------------------------------------------------- */

int exit_code_parse(const char *status)
{
    static const char BEFORE[] = "Exited (";
    size_t n = sizeof(BEFORE) - 1;
    if (strncmp(status, BEFORE, n) != 0)
        return -1;
    int64_t code = 0;
    struct sv digits = {status + n, strcspn(status + n, ")")};
    /* An engine on another system may have codes beyond 255. */
    if (status[n + digits.n] != ')' || !num_parse(digits, 0, INT32_MAX, &code))
        return -1;
    return (int)code;
}

/* Digits at `at`, with leading zeros. */
static bool digits_at(const char *s, size_t at, size_t n, int64_t *ret)
{
    int64_t v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (s[i] - '0');
    }
    *ret = v;
    return true;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March. */
static int64_t days_since_epoch(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool offset_parse(const char *s, int64_t *ret_seconds)
{
    int64_t h = 0;
    int64_t m = 0;
    *ret_seconds = 0;
    if (strcmp(s, "Z") == 0)
        return true;
    if (strlen(s) != sizeof("+00:00") - 1 || (s[0] != '+' && s[0] != '-') || s[3] != ':' ||
        !digits_at(s, 1, 2, &h) || !digits_at(s, 4, 2, &m) || h > 23 || m > 59)
        return false;
    *ret_seconds = (s[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

int64_t created_parse(const char *text)
{
    static const char SHAPE[] = "0000-00-00T00:00:00";
    enum { YEAR = 0, MONTH = 5, DAY = 8, HOUR = 11, MINUTE = 14, SECOND = 17 };
    size_t n = sizeof(SHAPE) - 1;
    int64_t y, mo, d, h, mi, s, off;
    if (strlen(text) <= n)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (SHAPE[i] != '0' && SHAPE[i] != text[i])
            return 0;
    }
    if (!digits_at(text, YEAR, 4, &y) || !digits_at(text, MONTH, 2, &mo) ||
        !digits_at(text, DAY, 2, &d) || !digits_at(text, HOUR, 2, &h) ||
        !digits_at(text, MINUTE, 2, &mi) || !digits_at(text, SECOND, 2, &s))
        return 0;
    if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60 || y < 1970)
        return 0;
    const char *rest = text + n;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (!offset_parse(rest, &off))
        return 0;
    int64_t t = days_since_epoch(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - off;
    return t > 0 ? t : 0;
}

/* ---- containers ------------------------------------------------------------------------------ */

/* The container's own name is "/name"; "/other/alias" are links. None while it is being removed. */
static struct err *own_name(const json_t *item, char **ret)
{
    json_t *names = NULL;
    TRY(as_list(json_object_get(item, "Names"), "Names", OBSERVED_MAX_PER_OBJECT, &names));
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *s = json_string_value(json_array_get(names, i));
        if (!s)
            return err_new(ERR_INVALID, "Names: expected texts");
        if (s[0] == '/')
            s++;
        if (!strchr(s, '/')) {
            *ret = xstrdup(s);
            return NULL;
        }
    }
    *ret = xstrdup("");
    return NULL;
}

/* Before a container's first start the engine (seen on 20.10) gives no NetworkID, and the name of
 * the network as the key, whatever the create call said; the id of that call is in NetworkMode. */
static const char *unstarted_net_id(const struct observed *o, const char *name, const char *mode,
                                    bool only)
{
    const char *by_name = NULL;
    if (only && strlen(mode) == HASH_HEX && str_is_hex(mode, HASH_HEX))
        return mode;
    for (size_t i = 0; i < o->networks_len; i++) {
        if (strcmp(o->networks[i].name, name) != 0)
            continue;
        if (strcmp(o->networks[i].id, mode) == 0)
            return mode;
        by_name = o->networks[i].id;
    }
    return by_name ? by_name : name;
}

static struct err *attachments(const struct observed *o, const json_t *item,
                               struct observed_container *c)
{
    json_t *settings = NULL;
    json_t *nets = NULL;
    TRY(as_object(json_object_get(item, "NetworkSettings"), "NetworkSettings", SIZE_MAX,
                  &settings));
    TRY(as_object(json_object_get(settings, "Networks"), "Networks", OBSERVED_MAX_PER_OBJECT,
                  &nets));
    const char *mode =
        json_string_value(json_object_get(json_object_get(item, "HostConfig"), "NetworkMode"));
    bool only = json_object_size(nets) == 1;
    c->net_ids = xcalloc(json_object_size(nets) + 1, sizeof(*c->net_ids));
    const char *key;
    json_t *endpoint;
    json_object_foreach(nets, key, endpoint)
    {
        json_t *id = json_object_get(endpoint, "NetworkID");
        if (id && !json_is_string(id))
            return err_new(ERR_INVALID, "NetworkID: expected a text");
        const char *s = json_string_value(id);
        if (!s || !s[0])
            s = unstarted_net_id(o, key, mode ? mode : "", only);
        c->net_ids[c->net_ids_len++] = xstrdup(s);
    }
    return NULL;
}

static bool container_proven(struct observed_container *c, const char *installation)
{
    const struct observed_owner *o = &c->owner;
    enum role role;
    if (!o->role || !role_parse(o->role, &role) || !owner_proven(o, installation, o->role))
        return false;
    size_t n = strlen(o->self);
    bool next = strncmp(c->name, o->self, n) == 0 && strcmp(c->name + n, NEXT_SUFFIX) == 0;
    if (!next && strcmp(c->name, o->self) != 0)
        return false;
    c->role = role;
    c->next = next;
    return true;
}

/* One that is no part of the bottle, but ours. */
static bool container_helps(const struct observed_container *c, const char *installation,
                            const char *role)
{
    const struct observed_owner *o = &c->owner;
    return o->role && strcmp(o->role, role) == 0 && owner_proven(o, installation, NULL) &&
           strcmp(c->name, o->self) == 0;
}

static void joined(const json_t *item, struct observed_container *c)
{
    static const char BEFORE[] = "container:";
    const char *mode =
        json_string_value(json_object_get(json_object_get(item, "HostConfig"), "NetworkMode"));
    if (mode && strncmp(mode, BEFORE, strlen(BEFORE)) == 0)
        c->joins = xstrdup(mode + strlen(BEFORE));
}

static struct err *container(const struct observed *o, const json_t *item, const char *installation,
                             struct observed_container *c)
{
    AUTO_FREE char *state = NULL;
    TRY(text(item, "Id", &c->id));
    TRY(own_name(item, &c->name));
    TRY(text(item, "ImageID", &c->image_id));
    TRY(text(item, "State", &state));
    if (!run_state_parse(state, &c->state))
        return err_new(ERR_INVALID, "container '%s': unknown state '%s'",
                       c->name[0] ? c->name : c->id, state);
    const char *status = json_string_value(json_object_get(item, "Status"));
    c->exit_code = c->state == RUN_EXITED && status ? exit_code_parse(status) : -1;
    TRY(attachments(o, item, c));
    joined(item, c);
    c->proven = container_proven(c, installation);
    c->probe = container_helps(c, installation, PROBE_ROLE);
    c->guard = container_helps(c, installation, GUARD_ROLE);
    return NULL;
}

/* Of a stranger only that counts which concerns our bottles: what can't be read of it is left out,
 * and no oddity of its keeps us from seeing our own. */
static void stranger(const struct observed *o, const json_t *item, struct observed_container *c)
{
    const char *id = json_string_value(json_object_get(item, "Id"));
    const char *state = json_string_value(json_object_get(item, "State"));
    c->id = xstrdup(id ? id : "");
    err_ignore(own_name(item, &c->name), "it is shown by its id then");
    if (!c->name)
        c->name = xstrdup(c->id);
    c->image_id = xstrdup("");
    c->exit_code = -1;
    if (!state || !run_state_parse(state, &c->state))
        c->state = RUN_RUNNING; /* deny on doubt */
    err_ignore(attachments(o, item, c), "what could be read of it counts");
    joined(item, c);
}

static bool label_is(const json_t *item, const char *label, const char *value)
{
    const char *have = json_string_value(json_object_get(json_object_get(item, "Labels"), label));
    return have && strcmp(have, value) == 0;
}

static struct err *any_container(const struct observed *o, const json_t *item,
                                 const char *installation, struct observed_container *c)
{
    if (!json_is_object(item))
        return err_new(ERR_INVALID, "expected an object");
    TRY(owner(item, &c->owner));
    if (c->owner.installation && strcmp(c->owner.installation, installation) == 0)
        return container(o, item, installation, c);
    stranger(o, item, c);
    return NULL;
}

struct err *observed_containers(struct observed *o, const char *installation, struct sv body)
{
    AUTO(decrefp) json_t *root = NULL;
    json_t *list = NULL;
    TRY(load(body, &root));
    TRY(answer_list(root, &list));
    o->containers = xcalloc(json_array_size(list) + 1, sizeof(*o->containers));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY_CTX(any_container(o, json_array_get(list, i), installation,
                              &o->containers[o->containers_len++]),
                "entry %zu", i);
    return NULL;
}

struct err *observed_strangers(struct observed *o, const char *installation, struct sv body)
{
    AUTO(decrefp) json_t *root = NULL;
    json_t *list = NULL;
    TRY(load(body, &root));
    TRY(answer_list(root, &list));
    o->containers = xreallocarray(o->containers, o->containers_len + json_array_size(list) + 1,
                                  sizeof(*o->containers));
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct observed_container *c = &o->containers[o->containers_len];
        const json_t *item = json_array_get(list, i);
        if (label_is(item, LABEL_INSTALLATION, installation))
            continue;
        *c = (struct observed_container){0};
        o->containers_len++;
        TRY_CTX(any_container(o, item, installation, c), "entry %zu", i);
    }
    return NULL;
}

/* ---- networks -------------------------------------------------------------------------------- */

/* Only what takes IPv4 addresses away from us counts: a driver of somebody else's may write here
 * what it likes. */
static struct err *subnets(const json_t *item, struct observed_network *n)
{
    json_t *ipam = NULL;
    json_t *config = NULL;
    TRY(as_object(json_object_get(item, "IPAM"), "IPAM", SIZE_MAX, &ipam));
    TRY(as_list(json_object_get(ipam, "Config"), "IPAM.Config", OBSERVED_MAX_PER_OBJECT, &config));
    n->subnets = xcalloc(json_array_size(config) + 1, sizeof(*n->subnets));
    for (size_t i = 0; i < json_array_size(config); i++) {
        uint32_t addr;
        unsigned bits;
        const char *s = json_string_value(json_object_get(json_array_get(config, i), "Subnet"));
        if (s && num_parse_ipv4(sv_of(s), &addr, &bits))
            n->subnets[n->subnets_len++] = xstrdup(s);
    }
    return NULL;
}

static bool option_is(const json_t *options, const char *name, const char *value)
{
    const char *have = json_string_value(json_object_get(options, name));
    return have && strcmp(have, value) == 0;
}

static void closedness(const json_t *item, struct observed_network *n)
{
    const char *driver = json_string_value(json_object_get(item, "Driver"));
    const json_t *options = json_object_get(item, "Options");
    n->bridge = driver && strcmp(driver, "bridge") == 0;
    n->internal = json_is_true(json_object_get(item, "Internal"));
    n->ipv6 = json_is_true(json_object_get(item, "EnableIPv6"));
    n->inhibit_ipv4 = option_is(options, BRIDGE_INHIBIT_IPV4, "true");
    n->icc_off = option_is(options, BRIDGE_ICC, "false");
}

static struct err *network(const json_t *item, const char *installation, struct observed_network *n)
{
    if (!json_is_object(item))
        return err_new(ERR_INVALID, "expected an object");
    TRY(text(item, "Id", &n->id));
    TRY(text(item, "Name", &n->name));
    TRY(owner(item, &n->owner));
    TRY(subnets(item, n));
    const char *created = json_string_value(json_object_get(item, "Created"));
    n->created = created ? created_parse(created) : 0;
    enum net net = NET_AGENT;
    n->proven = n->owner.role && net_role_parse(n->owner.role, &net) &&
                owner_proven(&n->owner, installation, net_name(net)) &&
                strcmp(n->owner.self, n->name) == 0;
    n->net = net;
    closedness(item, n);
    return NULL;
}

struct err *observed_networks(struct observed *o, const char *installation, struct sv body)
{
    AUTO(decrefp) json_t *root = NULL;
    json_t *list = NULL;
    TRY(load(body, &root));
    TRY(answer_list(root, &list));
    o->networks = xcalloc(json_array_size(list) + 1, sizeof(*o->networks));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY_CTX(network(json_array_get(list, i), installation, &o->networks[o->networks_len++]),
                "entry %zu", i);
    return NULL;
}

/* ---- volumes --------------------------------------------------------------------------------- */

static struct err *volume(const json_t *item, const char *installation, struct observed_volume *v)
{
    if (!json_is_object(item))
        return err_new(ERR_INVALID, "expected an object");
    TRY(text(item, "Name", &v->name));
    TRY(owner(item, &v->owner));
    const char *retain =
        json_string_value(json_object_get(json_object_get(item, "Labels"), LABEL_RETAIN));
    v->retain = retain && strcmp(retain, "true") == 0;
    v->proven = v->owner.role && strcmp(v->owner.role, VOLUME_ROLE) == 0 &&
                owner_proven(&v->owner, installation, NULL) && strcmp(v->owner.self, v->name) == 0;
    return NULL;
}

struct err *observed_volumes(struct observed *o, const char *installation, struct sv body)
{
    AUTO(decrefp) json_t *root = NULL;
    json_t *list = NULL;
    TRY(load(body, &root));
    /* Null with no volumes, on old engines; but an object without it is another answer. */
    if (!json_object_get(root, "Volumes"))
        return err_new(ERR_INVALID, "expected an object with \"Volumes\"");
    TRY(as_list(json_object_get(root, "Volumes"), "Volumes", OBSERVED_MAX_OBJECTS, &list));
    o->volumes = xcalloc(json_array_size(list) + 1, sizeof(*o->volumes));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY_CTX(volume(json_array_get(list, i), installation, &o->volumes[o->volumes_len++]),
                "entry %zu", i);
    return NULL;
}
