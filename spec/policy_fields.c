/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/field_rows.h"
#include "spec/fields.h"
#include "spec/policy.h"

enum {
    MAX_ROOTS = 64,
    MAX_IMAGES = 200,
    MAX_RUNTIMES = 32,
    MAX_DENIED = 1000,
    MAX_PIDS = 4194304,
};

static const struct field policy_fields[] = {
    {"", "apiVersion", FIELD_TEXT, FIELD_REQUIRED, .example = "bottler.dev/v1",
     .help = "Version of this schema; always bottler.dev/v1."},
    {"", "kind", FIELD_TEXT, FIELD_REQUIRED, .example = "Policy", .help = "Policy."},
    {"", "metadata", FIELD_OBJECT, .help = "What the policy is called."},
    {"metadata", "name", FIELD_NAME, AT(struct policy, name), .example = "team-host",
     .help = "A name, for people."},
    {"", "spec", FIELD_OBJECT, FIELD_REQUIRED, .help = "What no manifest may go beyond."},
    {"spec", "mounts", FIELD_OBJECT, .offset = 0, .help = "Directories of the host."},
    {"spec.mounts", "roots", FIELD_LIST, FIELD_UNIQUE, STRINGS(struct policy, roots),
     .max = MAX_ROOTS, .example = "[/srv/agents]",
     .help = "Host directories that a bottle mounts must be these or lie in one of them. Empty: "
             "none at all. Left out: any that doesn't break the seal."},
    {"spec.mounts.roots", "[]", FIELD_PATH, .help = "A directory of the host."},
    {"spec", "images", FIELD_OBJECT, .offset = 0, .help = "Images of agents."},
    {"spec.images", "allow", FIELD_LIST, FIELD_UNIQUE, STRINGS(struct policy, images),
     .max = MAX_IMAGES, .example = "[ghcr.io/acme/]",
     .help = "Registries and what is below a path in them, by whole parts: ghcr.io/acme/ is not "
             "ghcr.io/acmeevil. An official image is docker.io/library/NAME. Left out: any."},
    {"spec.images.allow", "[]", FIELD_IMAGE_PREFIX, .help = "A registry, or a path in one."},
    {"spec.images", "require_digest", FIELD_BOOL, 0, .def = "false",
     AT(struct policy, require_digest), .help = "Images are named by name@sha256:digest only."},
    {"spec", "runtimes", FIELD_LIST, FIELD_UNIQUE, STRINGS(struct policy, runtimes),
     .max = MAX_RUNTIMES, .example = "[runsc]",
     .help = "Runtimes that an agent may run in. A manifest's auto is judged by what it means on "
             "the engine. Left out: any."},
    {"spec.runtimes", "[]", FIELD_RUNTIME, .help = "Name of a runtime of the engine."},
    {"spec", "resources", FIELD_OBJECT, .offset = 0,
     .help = "The most that an agent may ask for. More is refused, not cut down."},
    {"spec.resources", "memory", FIELD_MEMORY, AT(struct policy, memory_bytes), .example = "8Gi",
     .help = "Memory."},
    {"spec.resources", "cpus", FIELD_CPUS, AT(struct policy, nano_cpus), .example = "4",
     .help = "CPUs. A manifest has to say then how many it wants: without cpus it would have "
             "all."},
    {"spec.resources", "pids", FIELD_INT, .min = 1, .max = MAX_PIDS, AT(struct policy, pids),
     .example = "4096", .help = "Processes and threads."},
    {"spec", "egress", FIELD_OBJECT, .offset = 0, .help = "What agents reach."},
    {"spec.egress", "deny_hosts", FIELD_LIST, FIELD_UNIQUE, STRINGS(struct policy, deny_hosts),
     .max = MAX_DENIED, .example = "[paste.example.com, \"*.example.net\"]",
     .help = "Hosts that no route, allowlist, preset or grant may name. *.example.net is every "
             "name below example.net, not example.net itself."},
    {"spec.egress.deny_hosts", "[]", FIELD_HOST_PATTERN,
     .help = "A host name, or *. and a domain."},
};

const struct field_table fields_policy = {"Policy", policy_fields,
                                          sizeof(policy_fields) / sizeof(policy_fields[0])};
