/* SPDX-License-Identifier: Apache-2.0 */
/* What a container mounts, and what must never be. */
#include "render/inspect_checks.h"
#include "render/inspect_judge.h"
#include "spec/base/xalloc.h"
#include "spec/check.h"

#include <string.h>

/* The controller's own place, where nothing else says where it is. */
#define STATE_DIR "/var/lib/bottler"

/* One is the other, or holds it. */
static bool overlap(const char *a, const char *b)
{
    return path_is_within(a, b) || path_is_within(b, a);
}

/* What no manifest may ask for. */
bool inspect_source_is_forbidden(const char *source)
{
    struct str why;
    AUTO_FREE char *clean = NULL;
    str_init(&why, CHECK_WHY_MAX);
    bool fine = check_mount_source(source, &why, &clean);
    str_done(&why);
    return !fine || overlap(source, STATE_DIR);
}

/* A volume of the local driver can be a directory of the host in disguise. */
static const char *device_of(const struct inspect_check *c, const char *volume)
{
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(json_object_get(c->w->volumes, "Volumes"), i, v)
    {
        if (strcmp(inspect_text(v, "Name"), volume) == 0)
            return inspect_text(json_object_get(v, "Options"), "device");
    }
    return "";
}

static bool is_open(const struct inspect_check *c, const char *source)
{
    const char *data = inspect_text(c->w->info, "DockerRootDir");
    return (*data && overlap(source, data)) || inspect_source_is_forbidden(source);
}

/* What of the host a mount shows; "" for nothing. */
static const char *source_of(const struct inspect_check *c, const json_t *m)
{
    const char *type = inspect_text(m, "Type");
    if (strcmp(type, "tmpfs") == 0 || strcmp(type, "image") == 0)
        return "";
    return strcmp(type, "volume") == 0 ? device_of(c, inspect_text(m, "Name"))
                                       : inspect_text(m, "Source");
}

enum attest_verdict inspect_mounts(struct inspect_check *c)
{
    const json_t *mounts = json_object_get(c->container, "Mounts");
    enum attest_verdict verdict = ATTEST_DENIED;
    size_t i = 0;
    const json_t *m = NULL;
    json_array_foreach(mounts, i, m)
    {
        const char *source = source_of(c, m);
        const char *propagation = inspect_text(m, "Propagation");
        bool spreads = strcmp(propagation, "shared") == 0 || strcmp(propagation, "rshared") == 0;
        bool plain = !*source && strcmp(inspect_text(m, "Type"), "bind") != 0;
        /* Only the agent has a reason to see a directory of the host. */
        bool bad = !plain && (c->role != ROLE_AGENT || is_open(c, source) || spreads);
        str_addf(c->evidence, "%s%s%s -> %s%s%s", i ? ", " : "", bad ? "FORBIDDEN " : "",
                 plain ? inspect_text(m, "Type") : source, inspect_text(m, "Destination"),
                 json_is_true(json_object_get(m, "RW")) ? "" : " (ro)", spreads ? " (shared)" : "");
        verdict = bad ? ATTEST_OPEN : verdict;
    }
    if (json_array_size(mounts) == 0)
        str_add(c->evidence, "nothing is mounted");
    return verdict;
}
