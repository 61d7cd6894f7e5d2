/* SPDX-License-Identifier: Apache-2.0 */
/* The CAs that an agent trusts: two files of it, which change while it runs. */
#include "reconcile/builder.h"

#include <string.h>

static const char *const roots_paths[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
};

int build_roots(struct builder *b, struct step_init of, int after)
{
    of.kind = STEP_CTR_ROOTS;
    of.cause = "the image's own trust, if it has any";
    for (size_t i = 0; i < sizeof(roots_paths) / sizeof(*roots_paths); i++) {
        of.detail = roots_paths[i];
        int s = plan_add(b->plan, &of);
        plan_after(b->plan, s, after);
        after = s;
    }
    return after;
}

/* One of which nothing is recorded was made before CAs rotated, and trusts the one CA that there
 * was. */
static bool trusts(const struct builder *b, const struct desired_container *want,
                   const struct observed_container *c)
{
    const char *known = memory_trust(b->in->memory, c->id);
    return known ? strcmp(known, want->trust_hash) == 0 : !want->trust_many;
}

void build_trust(struct builder *b, const struct desired_container *want,
                 const struct observed_container *c)
{
    if (!want->trust_hash || trusts(b, want, c))
        return;
    struct step_init of = {.role = want->role, .object = want->name, .id = c->id};
    int roots = build_roots(b, of, STEP_NONE);
    of.kind = STEP_CTR_UPLOAD;
    of.trust_only = true;
    of.cause = "the CAs that it is to trust have changed";
    plan_after(b->plan, plan_add(b->plan, &of), roots);
}
