/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/retired.h"

#include <stdlib.h>
#include <string.h>

#define ROUTE "spec.egress.routes[]"
#define REPO "spec.git-gate.repos.*"
#define AS_ROUTES                                                                                  \
    "write each upstream as an entry of spec.egress.routes with auth: {scheme, token_ref}"
#define AS_REPOS                                                                                   \
    "write each upstream as an entry of spec.git-gate.repos with url, host_key, identity"
#define IN_SPEC "a manifest is now apiVersion, kind, metadata and spec; "

/* clang-format off */
const struct retired_key retired_keys[] = {
    {"", "agent_provider", IN_SPEC "write spec.agent (image, command, env) and spec.egress.presets"},
    {"", "agents", IN_SPEC "write a document of kind Bottle for each agent"},
    {"", "bottle", IN_SPEC "write the bottle's name as spec.extends"},
    {"", "bottles", IN_SPEC "write a document of kind Bottle for each"},
    {"", "egress", IN_SPEC "write spec.egress"},
    {"", "env", IN_SPEC "write spec.agent.env"},
    {"", "extends", IN_SPEC "write spec.extends"},
    {"", "git-gate", IN_SPEC "write spec.git-gate"},
    {"", "name", IN_SPEC "write metadata.name"},
    {"", "supervise", IN_SPEC "write spec.supervise"},
    {"spec", "agent_provider", "write spec.agent (image, command, env) and spec.egress.presets"},
    {"spec", "allowlist", "write spec.egress.allowlist"},
    {"spec", "bottle", "write the bottle's name as spec.extends"},
    {"spec", "cred_proxy", AS_ROUTES},
    {"spec", "dlp_action", "write spec.egress.dlp_action"},
    {"spec", "egress-proxy", "write spec.egress"},
    {"spec", "egress_proxy", "write spec.egress"},
    {"spec", "env", "write spec.agent.env"},
    {"spec", "git", "write spec.git-gate"},
    {"spec", "git_user", "write spec.git-gate.user"},
    {"spec", "model", "pass it in spec.agent.command or spec.agent.env"},
    {"spec", "prompt", "write it as an entry of spec.agent.files"},
    {"spec", "role", "credentials are spec.egress.routes[].auth, default hosts spec.egress.presets"},
    {"spec", "runtime", "write spec.agent.runtime"},
    {"spec", "skills", "write each as an entry of spec.agent.files, or put it in the image"},
    {"spec", "ssh", AS_REPOS},
    {"spec", "tokens", AS_ROUTES},
    {"spec.agent", "agent_provider", "write image, command and env here, and spec.egress.presets"},
    {"spec.agent", "auth_token", AS_ROUTES},
    {"spec.agent", "dockerfile", "build the image beforehand and write spec.agent.image"},
    {"spec.agent", "forward_host_credentials", AS_ROUTES},
    {"spec.agent", "prompt", "write it as an entry of spec.agent.files"},
    {"spec.agent", "provider", "write spec.agent.image and spec.egress.presets"},
    {"spec.agent", "skills", "write each as an entry of spec.agent.files, or put it in the image"},
    {"spec.agent", "template", "write spec.agent.image and spec.egress.presets"},
    {"spec.egress", "cred_proxy", AS_ROUTES},
    {"spec.egress", "dlp", "write spec.egress.dlp_action: block or warn"},
    {ROUTE, "auth_scheme", "write auth: {scheme, token_ref}"},
    {ROUTE, "dlp", "write spec.egress.dlp_action, for the whole bottle"},
    {ROUTE, "git", "git goes through spec.git-gate.repos, never over HTTPS"},
    {ROUTE, "path_prefixes", "write path_allowlist"},
    {ROUTE, "role", "a credential is auth: {scheme, token_ref}, default hosts are presets"},
    {ROUTE, "token_env", "write auth: {scheme, token_ref}"},
    {ROUTE, "token_ref", "write auth: {scheme, token_ref}"},
    {ROUTE ".auth", "token_env", "write token_ref"},
    {ROUTE ".matches[].paths[]", "regex", "write type: exact or prefix, and value"},
    {"spec.git-gate", "fetch", "fetches are always mirrored through the gate; leave it out"},
    {"spec.git-gate", "remotes", "write repos, with a name for each"},
    {REPO, "ExtraHosts", "use a host name that resolves on the machine"},
    {REPO, "IdentityFile", "write identity: the name of a secret"},
    {REPO, "KnownHostKey", "write host_key"},
    {REPO, "Name", "the key in repos is the name"},
    {REPO, "Upstream", "write url"},
    {REPO, "extra_hosts", "use a host name that resolves on the machine"},
    {REPO, "key", "write identity: the name of a secret"},
    {REPO, "provisioned_key", "write identity: the name of a secret"},
};
/* clang-format on */
const size_t retired_keys_len = sizeof(retired_keys) / sizeof(retired_keys[0]);

static int by_place(const void *key, const void *item)
{
    const struct retired_key *a = key;
    const struct retired_key *b = item;
    int c = strcmp(a->parent, b->parent);
    return c ? c : strcmp(a->key, b->key);
}

const char *retired_hint(const char *parent, const char *key)
{
    struct retired_key wanted = {.parent = parent, .key = key};
    const struct retired_key *r =
        bsearch(&wanted, retired_keys, retired_keys_len, sizeof(wanted), by_place);
    return r ? r->instead : NULL;
}
