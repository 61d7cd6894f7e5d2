/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's container. */
#include "render/agent_env.h"
#include "render/parts.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <string.h>

#define EGRESS_URL "http://egress:9099"
#define NO_PROXY_HOSTS "localhost,127.0.0.1,::1,supervise,git-gate"

/* The way out and the trust, for the tools that agents use. */
static const struct {
    const char *name;
    const char *value;
} OUR_ENV[] = {
    {"HTTP_PROXY", EGRESS_URL},
    {"HTTPS_PROXY", EGRESS_URL},
    {"ALL_PROXY", EGRESS_URL},
    {"NO_PROXY", NO_PROXY_HOSTS},
    {"http_proxy", EGRESS_URL},
    {"https_proxy", EGRESS_URL},
    {"all_proxy", EGRESS_URL},
    {"no_proxy", NO_PROXY_HOSTS},
    {"NODE_USE_ENV_PROXY", "1"},
    {"NODE_EXTRA_CA_CERTS", AGENT_CA_PATH},
    {"SSL_CERT_FILE", AGENT_BUNDLE_PATH},
    {"REQUESTS_CA_BUNDLE", AGENT_BUNDLE_PATH},
    {"CURL_CA_BUNDLE", AGENT_BUNDLE_PATH},
    {"GIT_SSL_CAINFO", AGENT_BUNDLE_PATH},
    {"AWS_CA_BUNDLE", AGENT_BUNDLE_PATH},
    {"PIP_CERT", AGENT_BUNDLE_PATH},
    {"CARGO_HTTP_CAINFO", AGENT_BUNDLE_PATH},
    {"DENO_CERT", AGENT_BUNDLE_PATH},
    {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", AGENT_BUNDLE_PATH},
    {"NIX_SSL_CERT_FILE", AGENT_BUNDLE_PATH},
};

/* ---- files ----------------------------------------------------------------------------------- */

/* The ids of "1000:1000" or "1000"; a name's are known in the image only: root's then. */
static struct agent_owner numeric_owner(const char *user)
{
    struct agent_owner owner = {0};
    if (!user)
        return owner;
    const char *colon = strchr(user, ':');
    int64_t id = 0;
    struct sv name = {user, colon ? (size_t)(colon - user) : strlen(user)};
    if (!num_parse(name, 0, UINT32_MAX, &id))
        return owner;
    owner.uid = (unsigned)id;
    owner.known = true;
    if (colon && num_parse(sv_of(colon + 1), 0, UINT32_MAX, &id))
        owner.gid = (unsigned)id;
    return owner;
}

/* All but the CAs that it trusts. */
static struct err *agent_files(const struct part *p, struct file_list *files)
{
    const struct agent_spec *a = &p->b->agent;
    const struct agent_owner owner = numeric_owner(a->user);
    file_list_add_dir(files, BOTTLER_DIR, 0, 0, 0755);
    for (size_t i = 0; i < a->files_len; i++) {
        const struct agent_file *f = &a->files[i];
        if (strncmp(f->path, BOTTLER_DIR "/", strlen(BOTTLER_DIR "/")) == 0 ||
            strcmp(f->path, BOTTLER_DIR) == 0)
            return err_new(ERR_INVALID,
                           "agent.files[%zu].path: '%s' is below " BOTTLER_DIR
                           ", which is bottler's own",
                           i, f->path);
        struct sv data = {0};
        if (f->secret)
            TRY(part_secret(p, f->secret, &data));
        else
            data = sv_of(f->content);
        file_list_add(files, f->path, owner.uid, owner.gid, f->mode, data);
    }
    return agent_env_has_secrets(a) ? agent_env_files(p, owner, files) : NULL;
}

/* ---- hash ------------------------------------------------------------------------------------ */

static int target_cmp(const void *a, const void *b)
{
    const struct mount *const *x = a;
    const struct mount *const *y = b;
    return strcmp((*x)->target, (*y)->target);
}

static json_t *hash_mount(const struct mount *m)
{
    json_t *o = XNN(json_object());
    if (m->source)
        json_put_text(o, "source", m->source);
    if (m->volume)
        json_put_text(o, "volume", m->volume);
    json_put_text(o, "target", m->target);
    if (m->read_only)
        json_put(o, "read_only", json_true());
    return o;
}

static json_t *hash_mounts(const struct agent_spec *a)
{
    AUTO_FREE const struct mount **sorted = xcalloc(a->mounts_len, sizeof(struct mount *));
    for (size_t i = 0; i < a->mounts_len; i++)
        sorted[i] = &a->mounts[i];
    qsort(sorted, a->mounts_len, sizeof(struct mount *), target_cmp);
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < a->mounts_len; i++) {
        if (json_array_append_new(list, hash_mount(sorted[i])) != 0)
            xoom();
    }
    return list;
}

/* Secrets are there through the file that holds them: a hash of it under the installation's key. */
static json_t *hash_env(const struct agent_spec *a)
{
    json_t *o = XNN(json_object());
    for (size_t i = 0; i < a->env_len; i++) {
        if (!a->env[i].secret)
            json_put_text(o, a->env[i].name, a->env[i].value);
    }
    return o;
}

/* As the first versions did; never to be changed. */
#define EARLIER_MEMORY (INT64_C(2) << 30)
enum { EARLIER_PIDS = 512 };

static json_t *hash_resources(const struct resources *r)
{
    json_t *o = XNN(json_object());
    if (r->memory_bytes != EARLIER_MEMORY)
        json_put(o, "memory", json_integer(r->memory_bytes));
    if (r->nano_cpus)
        json_put(o, "nano_cpus", json_integer(r->nano_cpus));
    if (r->pids != EARLIER_PIDS)
        json_put(o, "pids", json_integer(r->pids));
    return o;
}

static void json_put_filled(json_t *object, const char *key, json_t *value_take)
{
    if (json_object_size(value_take))
        json_put(object, key, value_take);
    else
        json_decref(value_take);
}

/* Only what differs from its default: a field that a later version adds changes no hash. */
static json_t *semantic(const struct part *p, const struct desired_container *c)
{
    const struct agent_spec *a = &p->b->agent;
    json_t *o = part_hash_base(p, c);
    if (a->has_command)
        json_put(o, "command", json_texts(&a->command));
    if (a->user)
        json_put_text(o, "user", a->user);
    if (a->working_dir)
        json_put_text(o, "working_dir", a->working_dir);
    json_put_filled(o, "env", hash_env(a));
    if (a->mounts_len)
        json_put(o, "mounts", hash_mounts(a));
    if (a->tty)
        json_put(o, "tty", json_true());
    if (strcmp(a->runtime, "auto") != 0)
        json_put_text(o, "runtime", a->runtime);
    return o;
}

/* What earlier versions called the same container: their one CA was a file like any other, and
 * limits that differ from 2Gi and 512 needed another container. */
static struct err *add_earlier(const struct part *p, struct desired_container *c)
{
    const struct render_inputs *in = p->in;
    struct desired_container then = {.role = c->role, .image_ref = c->image_ref};
    file_list_add(&then.files, AGENT_CA_PATH, 0, 0, 0644,
                  in->egress_ca_old.n ? in->egress_ca_old : in->egress_ca_cert);
    struct err *e = agent_files(p, &then.files);
    if (!e) {
        json_t *o = semantic(p, &then);
        json_put_filled(o, "resources", hash_resources(&p->b->agent.resources));
        str_list_add_take(&c->earlier, hash_spec(o));
        json_decref(o);
    }
    file_list_done(&then.files);
    return e;
}

/* ---- trust ----------------------------------------------------------------------------------- */

/* What it trusts is no part of its hash: it is given other CAs while it runs. */
static void add_trust(const struct part *p, struct desired_container *c)
{
    const struct render_inputs *in = p->in;
    AUTO(str_done) struct str trust;
    char hex[HASH_HEX + 1];
    part_trust(in->egress_ca_old, in->egress_ca_cert, in->egress_ca_next, &trust);
    const struct sv bytes = {trust.p, trust.len};
    file_list_add_unhashed(&c->files, AGENT_CA_PATH, 0, 0, 0644, bytes);
    hash_hex(bytes, hex);
    c->trust_hash = xstrdup(hex);
    c->trust_many = in->egress_ca_old.n || in->egress_ca_next.n;
}

/* ---- body ------------------------------------------------------------------------------------ */

static bool manifest_sets(const struct agent_spec *a, const char *name)
{
    for (size_t i = 0; i < a->env_len; i++) {
        if (strcmp(a->env[i].name, name) == 0)
            return true;
    }
    return false;
}

static void env_add(json_t *env, const char *name, const char *value)
{
    AUTO_FREE char *text = xasprintf("%s=%s", name, value);
    if (json_array_append_new(env, XNN(json_string(text))) != 0)
        xoom();
}

/* Ours, then the manifest's, each name once: the manifest's word is the last. A secret is never
 * here, where whoever may inspect the container would read it: the launcher adds it. */
static json_t *body_env(const struct agent_spec *a)
{
    json_t *env = XNN(json_array());
    for (size_t i = 0; i < sizeof(OUR_ENV) / sizeof(OUR_ENV[0]); i++) {
        if (!manifest_sets(a, OUR_ENV[i].name))
            env_add(env, OUR_ENV[i].name, OUR_ENV[i].value);
    }
    for (size_t i = 0; i < a->env_len; i++) {
        if (!a->env[i].secret)
            env_add(env, a->env[i].name, a->env[i].value);
    }
    return env;
}

static json_t *body_mounts(const struct part *p)
{
    const struct agent_spec *a = &p->b->agent;
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < a->mounts_len; i++) {
        const struct mount *m = &a->mounts[i];
        AUTO_FREE char *volume =
            m->volume ? object_name(p->s->instance, p->b->name, m->volume) : NULL;
        json_t *o = XNN(json_pack("{s:s, s:s, s:s, s:b}", "Type", volume ? "volume" : "bind",
                                  "Source", volume ? volume : m->source, "Target", m->target,
                                  "ReadOnly", (int)m->read_only));
        if (json_array_append_new(list, o) != 0)
            xoom();
    }
    return list;
}

static void body_host(const struct part *p, json_t *host)
{
    const struct agent_spec *a = &p->b->agent;
    json_put(host, "Dns", json_pack("[s]", "127.0.0.1"));
    json_put(host, "PidsLimit", json_integer(a->resources.pids));
    json_put(host, "Memory", json_integer(a->resources.memory_bytes));
    json_put(host, "MemorySwap", json_integer(a->resources.memory_bytes));
    if (a->resources.nano_cpus)
        json_put(host, "NanoCpus", json_integer(a->resources.nano_cpus));
    if (a->mounts_len)
        json_put(host, "Mounts", body_mounts(p));
    /* "auto" is decided when the engine is known: docker_container_body(). */
    const char *runtime = strcmp(a->runtime, "auto") == 0 ? p->s->auto_runtime : a->runtime;
    if (runtime)
        json_put_text(host, "Runtime", runtime);
}

static void body(const struct part *p, struct desired_container *c)
{
    const struct agent_spec *a = &p->b->agent;
    json_put(c->body, "Env", body_env(a));
    if (a->user)
        json_put_text(c->body, "User", a->user);
    if (a->working_dir)
        json_put_text(c->body, "WorkingDir", a->working_dir);
    if (a->has_command)
        json_put(c->body, "Cmd", json_texts(&a->command));
    if (a->tty) {
        json_put(c->body, "Tty", json_true());
        json_put(c->body, "OpenStdin", json_true());
    }
    body_host(p, json_object_get(c->body, "HostConfig"));
}

struct err *part_agent(const struct part *p, struct desired_container *c)
{
    const struct agent_spec *a = &p->b->agent;
    part_begin(p, ROLE_AGENT, c);
    c->pull_policy = a->pull_policy;
    c->restart = a->restart;
    c->want_roots = true;
    c->launch = agent_env_has_secrets(a);
    TRY(agent_files(p, &c->files));
    add_trust(p, c);
    TRY(add_earlier(p, c));
    part_finish(p, c, semantic(p, c));
    body(p, c);
    return NULL;
}
