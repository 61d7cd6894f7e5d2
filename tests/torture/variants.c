/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/torture/variants.h"

#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#define AGENT_IMAGE "registry.example.com/agent:1.4"
#define OTHER_EGRESS "registry.example.com/egress:2"

struct words {
    const char *env, *hosts, *path, *passthrough, *more, *token, *egress;
    enum ca_of { CA_ONE, CA_BOTH, CA_TWO } ca;
};

static char *manifest(const char *bottle, const struct words *w)
{
    return xasprintf("apiVersion: bottler.dev/v1\n"
                     "kind: Bottle\n"
                     "metadata: {name: %s}\n"
                     "spec:\n"
                     "  agent:\n"
                     "    image: " AGENT_IMAGE "\n"
                     "    command: [sleep, infinity]\n"
                     "    user: \"1000:1000\"\n"
                     "%s"
                     "    env: {LEVEL: %s}\n"
                     "    files: [{path: /home/agent/NOTES.md, content: hello}]\n"
                     "  egress:\n"
                     "    allowlist: [%s]\n"
                     "    routes:\n"
                     "      - host: api.example.com\n"
                     "        path_allowlist: [%s]\n"
                     "        auth: {scheme: Bearer, token_ref: API_PAT}\n"
                     "        pipelock: {tls_passthrough: %s}\n",
                     bottle, w->more, w->env, w->hosts, w->path, w->passthrough);
}

static struct desired *render(const char *text, const struct words *w)
{
    static const uint8_t key[HASH_KEY_BYTES] = {1, 2, 3};
    struct manifest_set *set = NULL;
    const struct bottle *b = test_bottle(text, &set);
    struct render_secret secret = {.name = "API_PAT", .value = sv_of(w->token)};
    struct render_settings s = {
        .instance = "bottler", .installation = MODEL_INSTALLATION, .hash_key = key};
    s.image[ROLE_EGRESS] = w->egress;
    struct render_inputs in = {.uid = "uid-1",
                               .secrets = &secret,
                               .secrets_len = 1,
                               .egress_ca_cert = sv_of("EGRESS-CERT\n"),
                               .egress_ca_key = sv_of("EGRESS-KEY\n"),
                               .pipelock_ca_cert = sv_of("PIPELOCK-CERT\n"),
                               .pipelock_ca_key = sv_of("PIPELOCK-KEY\n")};
    if (w->ca == CA_BOTH) {
        in.egress_ca_next = sv_of("EGRESS-CERT-2\n");
        in.pipelock_ca_next = sv_of("PIPELOCK-CERT-2\n");
    } else if (w->ca == CA_TWO) {
        in.egress_ca_old = in.egress_ca_cert;
        in.pipelock_ca_old = in.pipelock_ca_cert;
        in.egress_ca_cert = sv_of("EGRESS-CERT-2\n");
        in.pipelock_ca_cert = sv_of("PIPELOCK-CERT-2\n");
        in.egress_ca_key = sv_of("EGRESS-KEY-2\n");
        in.pipelock_ca_key = sv_of("PIPELOCK-KEY-2\n");
    }
    struct desired *d = NULL;
    AUTO_ERR e = desired_render(b, &s, &in, &d);
    if (e)
        fail_msg("%s", err_message(e));
    manifest_set_free(set);
    return d;
}

static struct desired *small(const char *bottle)
{
    AUTO_FREE char *text = xasprintf("apiVersion: bottler.dev/v1\n"
                                     "kind: Bottle\n"
                                     "metadata: {name: %s}\n"
                                     "spec: {agent: {image: \"" AGENT_IMAGE "\"}}\n",
                                     bottle);
    struct words w = {.token = "t"};
    return render(text, &w);
}

void variants_init(struct variants *v, const char *bottle)
{
    static const char cache[] = "    mounts: [{volume: cache, target: /cache}]\n";
    static const struct words base = {
        "one", "files.example.com", "/repos/", "false", cache, "first", NULL, CA_ONE};
    struct words of[V_COUNT];
    for (int i = 0; i < V_COUNT; i++)
        of[i] = base;
    of[V_ROUTE].hosts = "files.example.com, more.example.com";
    of[V_PATH].path = "/other/";
    of[V_TOKEN].token = "second";
    of[V_AGENT].env = "two";
    of[V_COLD].passthrough = "true";
    of[V_SIDECAR].egress = OTHER_EGRESS;
    of[V_ALL] = (struct words){"two", "else.example.com", "/other/",    "true",
                               cache, "second",           OTHER_EGRESS, CA_ONE};
    of[V_RETAIN].more = "    mounts: [{volume: cache, target: /cache, retain: true}]\n";
    of[V_PULL].more = "    pull_policy: always\n";
    of[V_NEVER].more = "    restart: never\n";
    of[V_CA].ca = CA_BOTH;
    of[V_CA_NEXT].ca = CA_TWO;
    of[V_LIMITS].more = "    mounts: [{volume: cache, target: /cache}]\n"
                        "    resources: {memory: 1Gi, cpus: 0.5, pids: 99}\n";
    *v = (struct variants){0};
    v->of[V_SMALL] = small(bottle);
    for (int i = V_BASE; i < V_COUNT; i++) {
        AUTO_FREE char *text = manifest(bottle, &of[i]);
        v->of[i] = render(text, &of[i]);
    }
}

void variants_done(struct variants *v)
{
    for (int i = 0; i < V_COUNT; i++)
        v->of[i] = desired_free(v->of[i]);
}

static json_t *labels_of(const char *installation, const char *self, const char *role)
{
    return XNN(json_pack("{s:s, s:s, s:s, s:s, s:s}", LABEL_INSTALLATION, installation,
                         LABEL_BOTTLE, "demo", LABEL_ROLE, role, LABEL_SELF, self, LABEL_UID,
                         "uid-2"));
}

/* Another installation's bottle of the same name, and things that nobody labelled. */
static void add_strangers(struct model *m)
{
    struct model_network *n = model_make_net(m, "other.demo.agent", "10.213.0.16/28",
                                             labels_of("inst-2", "other.demo.agent", "net-agent"));
    struct model_network *plain = model_make_net(m, "bridge", "172.17.0.0/16", XNN(json_object()));
    model_attach(model_make_container(m, "other.demo.agent",
                                      labels_of("inst-2", "other.demo.agent", "agent"),
                                      RUN_RUNNING),
                 n);
    model_attach(model_make_container(m, "postgres", XNN(json_object()), RUN_RUNNING), plain);
    model_make_volume(m, "other.demo.cache", labels_of("inst-2", "other.demo.cache", VOLUME_ROLE));
    model_make_net(m, "company", "10.213.0.64/26", XNN(json_object()));
}

struct model *variants_model(int api_minor)
{
    struct model *m = model_new(api_minor);
    model_add_image(m, role_info(ROLE_PIPELOCK)->image, false, true);
    model_add_image(m, role_info(ROLE_EGRESS)->image, true, false);
    model_add_image(m, OTHER_EGRESS, false, true);
    model_add_image(m, AGENT_IMAGE, true, true);
    add_strangers(m);
    return m;
}
