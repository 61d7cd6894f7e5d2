/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a policy. Besides not crashing: there is a policy exactly when nothing was found
 * wrong, and one that was taken judges a bottle, and itself, without a fault.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address,undefined and this file with spec/.
 */
#include <stdint.h>
#include <stdlib.h>

#include "spec/base/xalloc.h"
#include "spec/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char manifest[] =
    "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: one}\n"
    "spec:\n"
    "  agent:\n"
    "    image: ghcr.io/acme/agent:1\n"
    "    mounts: [{source: /srv/agents/one, target: /a}, {volume: v, target: /b}]\n"
    "    resources: {cpus: 1.5}\n"
    "  egress:\n"
    "    presets: [claude-code]\n"
    "    allowlist: [files.example.com]\n"
    "    routes: [{host: api.example.com}]\n";

static void check_lines(const struct diag_list *l)
{
    struct str line;
    str_init(&line, 64 * 1024);
    for (size_t i = 0; i < l->len; i++) {
        str_clear(&line);
        diag_format(&l->items[i], &line);
        if (str_failed(&line) || !line.len)
            abort();
        for (size_t c = 0; c < line.len; c++) {
            if ((unsigned char)line.p[c] < 0x20)
                abort();
        }
    }
    str_done(&line);
}

/* A bottle is there exactly when neither a fault nor the policy stands against it. */
static void judge(const struct policy *p)
{
    struct manifest_input in = {.path = "m.yaml", .bytes = sv_of(manifest)};
    struct manifest_set *set = manifest_load_under(&in, 1, &(struct manifest_rules){.policy = p});
    struct manifest_set *all = manifest_load(&in, 1);
    const struct manifest_bottle *b = &set->bottles[0];
    AUTO_FREE char *refusal = policy_refusal(p, all->bottles[0].bottle);
    if (!b->bottle != (b->diags.len > 0) || b->forbidden != !b->bottle || !refusal != !!b->bottle)
        abort();
    check_lines(&b->diags);
    manifest_set_free(set);
    manifest_set_free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag_list found;
    struct policy *p = policy_load("fuzz.yaml", (struct sv){(const char *)data, size}, &found);
    if (!p != (found.len > 0))
        abort();
    check_lines(&found);
    if (p)
        judge(p);
    diag_list_done(&found);
    policy_free(p);
    return 0;
}
