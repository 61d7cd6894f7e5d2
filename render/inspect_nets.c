/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: those of containers, and what they are. */
#include "render/inspect_checks.h"
#include "spec/base/xalloc.h"

#include <string.h>

static json_t *attachments(const struct inspect_check *c)
{
    return json_object_get(json_object_get(c->container, "NetworkSettings"), "Networks");
}

/* ---- of containers --------------------------------------------------------------------------- */

/* Compared by id: keys are names, and names can be anybody's. */
static bool is_meant(const struct inspect_check *c, const char *id)
{
    for (enum net n = 0; n < NET_COUNT; n++) {
        const char *own = attest_id(attest_network(c->w, n));
        if ((role_info(c->role)->nets & (1U << n)) && own && strcmp(own, id) == 0)
            return true;
    }
    return false;
}

enum attest_verdict inspect_networks(struct inspect_check *c)
{
    enum attest_verdict verdict = ATTEST_DENIED;
    const char *name = NULL;
    json_t *n = NULL;
    size_t i = 0;
    json_object_foreach(attachments(c), name, n)
    {
        bool meant = is_meant(c, inspect_text(n, "NetworkID"));
        str_addf(c->evidence, "%s%s%s", i++ ? ", " : "", meant ? "" : "NOT ITS OWN: ", name);
        verdict = meant ? verdict : ATTEST_OPEN;
    }
    if (i == 0)
        str_add(c->evidence, "on no network");
    return verdict;
}

/* Two containers of one name on a network share its traffic. */
static bool is_role_name(const char *alias)
{
    enum role role = ROLE_AGENT;
    return role_parse(alias, &role);
}

enum attest_verdict inspect_aliases(struct inspect_check *c)
{
    static const char *const keys[] = {"Aliases", "DNSNames"};
    enum attest_verdict verdict = ATTEST_DENIED;
    const char *name = NULL;
    json_t *n = NULL;
    json_object_foreach(attachments(c), name, n)
    {
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            size_t i = 0;
            const json_t *v = NULL;
            json_array_foreach(json_object_get(n, keys[k]), i, v)
            {
                const char *alias = json_string_value(v);
                if (!alias || !is_role_name(alias) || strcmp(alias, role_info(c->role)->name) == 0)
                    continue;
                str_addf(c->evidence, "'%s' on %s; ", alias, name);
                verdict = ATTEST_OPEN;
            }
        }
    }
    if (verdict == ATTEST_DENIED)
        str_addf(c->evidence, "no other role's name than '%s'", role_info(c->role)->name);
    return verdict;
}

/* ---- of the bottle --------------------------------------------------------------------------- */

static enum attest_verdict says(struct inspect_check *c, const char *key, bool sealed)
{
    return inspect_says(c, key, json_object_get(c->network, key), sealed);
}

enum attest_verdict inspect_net_internal(struct inspect_check *c)
{
    return says(c, "Internal", json_is_true(json_object_get(c->network, "Internal")));
}

enum attest_verdict inspect_net_gateway(struct inspect_check *c)
{
    const json_t *options = json_object_get(c->network, "Options");
    const char *inhibit = inspect_text(options, BRIDGE_INHIBIT_IPV4);
    const char *mode = inspect_text(options, BRIDGE_GATEWAY_MODE_IPV4);
    str_addf(c->evidence, "inhibit_ipv4 '%s', gateway_mode_ipv4 '%s'", inhibit, mode);
    return strcmp(inhibit, "true") == 0 || strcmp(mode, "isolated") == 0 ? ATTEST_DENIED
                                                                         : ATTEST_OPEN;
}

enum attest_verdict inspect_net_ipv6(struct inspect_check *c)
{
    return says(c, "EnableIPv6", !json_is_true(json_object_get(c->network, "EnableIPv6")));
}

enum attest_verdict inspect_net_driver(struct inspect_check *c)
{
    const char *driver = inspect_text(c->network, "Driver");
    const char *scope = inspect_text(c->network, "Scope");
    str_addf(c->evidence, "driver '%s', scope '%s'", driver, scope);
    return strcmp(driver, "bridge") == 0 && strcmp(scope, "local") == 0 ? ATTEST_DENIED
                                                                        : ATTEST_OPEN;
}

/* By id; a replacement that waits for its turn has the bottle's labels. */
static bool is_member(const struct inspect_check *c, const char *id)
{
    const json_t *agent = attest_listed(c->w, ROLE_AGENT);
    const json_t *owner = json_object_get(agent, "Labels");
    size_t i = 0;
    const json_t *k = NULL;
    json_array_foreach(c->w->containers, i, k)
    {
        const json_t *labels = json_object_get(k, "Labels");
        enum role role = ROLE_AGENT;
        if (strcmp(inspect_text(k, "Id"), id) == 0 &&
            strcmp(inspect_text(labels, LABEL_BOTTLE), c->w->bottle) == 0 &&
            strcmp(inspect_text(labels, LABEL_INSTALLATION),
                   inspect_text(owner, LABEL_INSTALLATION)) == 0 &&
            role_parse(inspect_text(labels, LABEL_ROLE), &role))
            return role_info(role)->nets & (1U << c->net);
    }
    return false;
}

enum attest_verdict inspect_net_members(struct inspect_check *c)
{
    enum attest_verdict verdict = ATTEST_DENIED;
    const char *id = NULL;
    json_t *m = NULL;
    size_t i = 0;
    json_object_foreach(json_object_get(c->network, "Containers"), id, m)
    {
        bool ours = is_member(c, id);
        str_addf(c->evidence, "%s%s%s", i++ ? ", " : "",
                 ours ? "" : "A STRANGER: ", inspect_text(m, "Name"));
        verdict = ours ? verdict : ATTEST_OPEN;
    }
    if (i == 0)
        str_add(c->evidence, "nobody is on it");
    return verdict;
}

/* A second line only: nobody but this bottle's own is on it. Not every engine can. */
enum attest_verdict inspect_net_icc(struct inspect_check *c)
{
    const char *icc = inspect_text(json_object_get(c->network, "Options"), BRIDGE_ICC);
    if (strcmp(icc, "false") == 0) {
        str_add(c->evidence, "enable_icc 'false'");
        return ATTEST_DENIED;
    }
    str_addf(c->evidence, "enable_icc '%s': this engine has no br_netfilter, or it was not asked",
             icc);
    return ATTEST_SKIPPED;
}
