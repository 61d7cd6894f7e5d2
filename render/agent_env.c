/* SPDX-License-Identifier: Apache-2.0 */
#include "render/agent_env.h"

#include "render/launcher.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

/* What Linux takes as one variable: NAME=VALUE and a NUL. */
enum { RECORD_MAX_BYTES = 128 * 1024 };

bool agent_env_has_secrets(const struct agent_spec *a)
{
    for (size_t i = 0; i < a->env_len; i++) {
        if (a->env[i].secret)
            return true;
    }
    return false;
}

static size_t record_size(const struct env_var *v, struct sv value)
{
    return strlen(v->name) + strlen("=") + value.n + 1;
}

/* Without the line ends that an editor leaves behind a secret. */
static struct err *env_value(const struct part *p, const struct env_var *v, struct sv *ret)
{
    struct sv value = {0};
    TRY(part_secret(p, v->secret, &value));
    while (value.n && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
        value.n--;
    if (!value.n)
        return err_new(ERR_NOT_FOUND, "secret '%s' is empty", v->secret);
    if (sv_has_nul(value))
        return err_new(ERR_INVALID,
                       "agent.env.%s: secret '%s' can't be a variable's value: it has a NUL byte",
                       v->name, v->secret);
    if (record_size(v, value) > RECORD_MAX_BYTES)
        return err_new(ERR_INVALID,
                       "agent.env.%s: secret '%s' can't be a variable's value: it is over %d KiB",
                       v->name, v->secret, RECORD_MAX_BYTES / 1024);
    *ret = value;
    return NULL;
}

static struct err *env_size(const struct part *p, size_t *ret)
{
    const struct agent_spec *a = &p->b->agent;
    size_t total = 0;
    for (size_t i = 0; i < a->env_len; i++) {
        struct sv value = {0};
        if (!a->env[i].secret)
            continue;
        TRY(env_value(p, &a->env[i], &value));
        total += record_size(&a->env[i], value);
    }
    if (total > LAUNCHER_ENV_MAX_BYTES)
        return err_new(ERR_INVALID, "agent.env: the secrets are over %d KiB",
                       LAUNCHER_ENV_MAX_BYTES / 1024);
    *ret = total;
    return NULL;
}

/* `buf` has the room that env_size() told. */
static struct err *env_fill(const struct part *p, char *buf)
{
    const struct agent_spec *a = &p->b->agent;
    for (size_t i = 0; i < a->env_len; i++) {
        const struct env_var *v = &a->env[i];
        struct sv value = {0};
        if (!v->secret)
            continue;
        TRY(env_value(p, v, &value));
        assert(value.p); /* one that has no value is an error */
        size_t name_n = strlen(v->name);
        memcpy(buf, v->name, name_n);
        buf[name_n] = '=';
        memcpy(buf + name_n + 1, value.p, value.n);
        buf[name_n + 1 + value.n] = '\0';
        buf += record_size(v, value);
    }
    return NULL;
}

struct err *agent_env_files(const struct part *p, struct agent_owner owner, struct file_list *files)
{
    size_t n = 0;
    TRY(env_size(p, &n));
    /* Of its final size from the start: a growing buffer leaves copies behind. */
    AUTO_FREE char *buf = xmalloc(n + 1);
    struct err *e = env_fill(p, buf);
    /* Where the user's number isn't known, everybody in the container may read it: nobody but the
     * agent is there. */
    if (!e)
        file_list_add(files, AGENT_ENV_PATH, owner.uid, owner.gid, owner.known ? 0400 : 0444,
                      (struct sv){buf, n});
    secret_wipe(buf, n);
    if (!e)
        file_list_add_unhashed(files, AGENT_LAUNCH_PATH, 0, 0, 0555, launcher_bytes());
    return e;
}
