/* SPDX-License-Identifier: Apache-2.0 */
/* Is the model engine exactly as the bottles are wanted? */
#include "spec/base/xalloc.h"
#include "tests/torture/driver.h"

static bool on_net(const struct model_container *k, const struct model_network *n)
{
    for (size_t i = 0; i < k->ends_len; i++) {
        if (strcmp(k->ends[i].net_id, n->id) == 0)
            return true;
    }
    return false;
}

static void check_ends(struct model *m, const struct model_container *k, const struct desired *d,
                       enum role role)
{
    size_t want = 0;
    for (int n = 0; n < NET_COUNT; n++) {
        if (!(role_info(role)->nets & 1U << n))
            continue;
        want++;
        const struct model_network *net = model_find_net(m, d->networks[n].name);
        if (!net || !on_net(k, net))
            model_violate(m, "%s is not on %s", k->name, d->networks[n].name);
        if (net && (net->internal != d->networks[n].internal || net->ipv6 ||
                    !json_object_size(net->options)))
            model_violate(m, "%s isn't closed", net->name);
    }
    if (k->ends_len != want)
        model_violate(m, "%s is on %zu networks", k->name, k->ends_len);
}

static void check_files(struct model *m, const struct model_container *k,
                        const struct desired_container *want)
{
    for (size_t i = 0; i < want->files.len; i++) {
        const struct file_item *f = &want->files.items[i];
        const struct model_file *have = f->dir ? NULL : model_file(k, f->path + 1);
        if (!f->dir && (!have || have->n != f->n || memcmp(have->data, f->data, f->n) != 0))
            model_violate(m, "%s has another %s than wanted", k->name, f->path);
    }
}

/* What its tools trust: the image's own roots, and what it is to trust now at the end. */
static void check_bundle(struct model *m, const struct model_container *k,
                         const struct desired_container *want)
{
    if (!want->trust_hash)
        return;
    const struct file_item *trust = file_list_find(&want->files, AGENT_CA_PATH);
    const struct model_file *bundle = model_file(k, &AGENT_BUNDLE_PATH[1]);
    if (!bundle || bundle->n < trust->n ||
        memcmp(bundle->data + bundle->n - trust->n, trust->data, trust->n) != 0)
        model_violate(m, "%s has a bundle without the CAs that it is to trust", k->name);
}

/* As many as there are is no limit. */
static bool same_cpus(const json_t *want, const json_t *have)
{
    return want ? json_equal(want, have)
                : !json_integer_value(have) || json_integer_value(have) == 2000000000;
}

static void check_container(struct model *m, const struct desired *d,
                            const struct desired_container *want)
{
    const struct model_container *k = model_find(m, want->name);
    if (!k) {
        model_violate(m, "%s is missing", want->name);
        return;
    }
    bool rests = want->restart == RESTART_NEVER ||
                 (want->restart == RESTART_ON_FAILURE && k->exit_code == 0);
    if (k->state != RUN_RUNNING && !(k->state == RUN_EXITED && rests))
        model_violate(m, "%s is %s", want->name, run_state_name(k->state));
    if (strcmp(model_label(k->labels, LABEL_SPEC_HASH), want->spec_hash) != 0)
        model_violate(m, "%s is of another generation", want->name);
    if (want->config_hash && (strcmp(k->hash, want->config_hash) != 0 ||
                              strcmp(k->generation, want->generation ? want->generation : "") != 0))
        model_violate(m, "%s runs another policy than wanted", want->name);
    if (want->config_hash && !k->told)
        model_violate(m, "%s has not told its policy", want->name);
    if (k->state != RUN_RUNNING)
        return; /* it rests: whatever was done to it meanwhile is looked at when it runs again */
    check_ends(m, k, d, want->role);
    check_files(m, k, want);
    check_bundle(m, k, want);
    const json_t *asked = json_object_get(want->body, "HostConfig");
    if (!json_equal(json_object_get(asked, "Memory"), json_object_get(k->host, "Memory")) ||
        !json_equal(json_object_get(asked, "RestartPolicy"),
                    json_object_get(k->host, "RestartPolicy")) ||
        !same_cpus(json_object_get(asked, "NanoCpus"), json_object_get(k->host, "NanoCpus")) ||
        json_is_true(json_object_get(k->host, "Privileged")))
        model_violate(m, "%s isn't made as asked", k->name);
}

static void check_bottle(struct model *m, const struct world_bottle *b)
{
    AUTO_FREE char *prefix = xasprintf("bottler.%s.", b->name);
    size_t want = 0;
    for (size_t i = 0; b->want && i < b->want->volumes_len; i++) {
        const struct model_volume *v = model_find_vol(m, b->want->volumes[i].name);
        if (!v || !model_ours(v->labels))
            model_violate(m, "volume %s is missing", b->want->volumes[i].name);
    }
    /* A volume that a mount no longer names goes with the bottle; a retained one never. */
    for (size_t i = 0; i < m->vols_len; i++) {
        const struct model_volume *v = &m->vols[i];
        if (strncmp(v->name, prefix, strlen(prefix)) == 0 &&
            !(model_ours(v->labels) && (b->want || *model_label(v->labels, LABEL_RETAIN))))
            model_violate(m, "volume %s is left", v->name);
    }
    if (b->want) {
        want += NET_COUNT + b->want->containers_len;
        for (size_t i = 0; i < b->want->containers_len; i++)
            check_container(m, b->want, &b->want->containers[i]);
    }
    size_t have = 0;
    for (size_t i = 0; i < m->ctrs_len; i++)
        have += strcmp(model_label(m->ctrs[i]->labels, LABEL_BOTTLE), b->name) == 0 &&
                model_ours(m->ctrs[i]->labels);
    for (size_t i = 0; i < m->nets_len; i++)
        have += strcmp(model_label(m->nets[i]->labels, LABEL_BOTTLE), b->name) == 0 &&
                model_ours(m->nets[i]->labels);
    if (have != want)
        model_violate(m, "%s has %zu objects, wanted are %zu", b->name, have, want);
}

static void check_subnets(struct model *m)
{
    for (size_t i = 0; i < m->nets_len; i++) {
        for (size_t k = i + 1; k < m->nets_len; k++) {
            struct cidr a = {0};
            struct cidr b = {0};
            if (cidr_parse(m->nets[i]->subnet, &a) && cidr_parse(m->nets[k]->subnet, &b) &&
                cidr_overlap(a, b))
                model_violate(m, "networks %s and %s overlap", m->nets[i]->name, m->nets[k]->name);
        }
    }
}

void world_check(struct world *w)
{
    for (size_t i = 0; i < w->bottles_len; i++) {
        if (!w->bottles[i].held)
            check_bottle(w->m, &w->bottles[i]);
    }
    check_subnets(w->m);
}
