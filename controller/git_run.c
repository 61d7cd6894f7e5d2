/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/git_run.h"

#include "spec/base/xalloc.h"

#include <stdlib.h>

enum { MS_PER_S = 1000, ERR_MAX = 64 * 1024 };

/* Of our own environment, for every job. */
static const char *const kept[] = {"PATH", "TMPDIR"};
/* For what asks the remote: where the user's configuration and keys are, and the way out. */
static const char *const kept_for_network[] = {
    "HOME",
    "USER",
    "LOGNAME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_SSH",
    "GIT_SSH_VARIANT",
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CREDENTIALS_DIRECTORY",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
};

static const char *const set[] = {
    "LC_ALL=C",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_ATTR_NOSYSTEM=1",
    "GIT_NO_REPLACE_OBJECTS=1",
    "GIT_NO_LAZY_FETCH=1",
    "GIT_OPTIONAL_LOCKS=0",
    "GIT_ALLOW_PROTOCOL=https:ssh:git:file", /* those of git_url.h */
};
static const char *const set_for_local[] = {
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_CONFIG_GLOBAL=/dev/null",
};
/* Without a terminal ssh can't ask anyway; so it says why at once, and never hangs. */
#define SSH_COMMAND                                                                                \
    "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15"

/* On the command line they outrank every file. */
static const char *const settings[] = {
    "core.hooksPath=/dev/null",      "core.fsmonitor=false",      "gc.auto=0",
    "maintenance.auto=false",        "transfer.fsckObjects=true", "fetch.fsckObjects=true",
    "transfer.unpackLimit=1",        "fetch.unpackLimit=1",       "transfer.bundleURI=false",
    "fetch.recurseSubmodules=false", "submodule.recurse=false",   "fetch.writeCommitGraph=false",
    "credential.interactive=false",  "http.lowSpeedLimit=100",    "http.lowSpeedTime=60",
};

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void keep(struct str_list *env, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *value = getenv(names[i]);
        if (value)
            str_list_add_take(env, xasprintf("%s=%s", names[i], value));
    }
}

static void add_all(struct str_list *list, const char *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        str_list_add(list, items[i]);
}

static void build_env(const struct git_job *job, struct str_list *env)
{
    keep(env, kept, LENGTH(kept));
    add_all(env, set, LENGTH(set));
    if (!job->network) {
        add_all(env, set_for_local, LENGTH(set_for_local));
        return;
    }
    keep(env, kept_for_network, LENGTH(kept_for_network));
    if (!getenv("GIT_SSH_COMMAND") && !getenv("GIT_SSH"))
        str_list_add(env, SSH_COMMAND);
}

static void build_argv(const struct git_job *job, const char *repo, struct str_list *argv)
{
    str_list_add(argv, job->program ? job->program : "git");
    if (!job->program) {
        str_list_add(argv, "--git-dir");
        str_list_add(argv, repo);
        for (size_t i = 0; i < LENGTH(settings); i++) {
            str_list_add(argv, "-c");
            str_list_add(argv, settings[i]);
        }
    }
    for (size_t i = 0; i < GIT_ARGS_MAX && job->args[i]; i++)
        str_list_add(argv, job->args[i]);
}

/* A NULL-terminated view. */
static char **vector(const struct str_list *l)
{
    char **v = xcalloc(l->len + 1, sizeof(*v));
    for (size_t i = 0; i < l->len; i++)
        v[i] = l->items[i];
    return v;
}

struct err *git_job_start(sd_event *loop, const char *repo, const struct git_job *job,
                          child_ended_fn *ended, void *ctx, struct child **ret)
{
    AUTO(str_list_done) struct str_list env = {0};
    AUTO(str_list_done) struct str_list argv = {0};
    build_env(job, &env);
    build_argv(job, repo, &argv);
    AUTO_FREE char **env_v = vector(&env);
    AUTO_FREE char **argv_v = vector(&argv);
    struct child_spec spec = {
        .argv = argv_v,
        .env = env_v,
        .stdin_fd = job->has_stdin ? job->stdin_fd : -1,
        .out_max = job->out_max ? job->out_max : 1,
        .err_max = ERR_MAX,
        .timeout_ms = (job->timeout_s ? job->timeout_s : GIT_TIMEOUT_S) * MS_PER_S,
        .file_max = job->network ? (uint64_t)GIT_PACK_MAX_MIB << 20 : 0,
    };
    AUTO_ERR e = child_run(loop, &spec, ended, ctx, ret);
    return e ? err_new(ERR_UNAVAILABLE, "%s", err_message(e)) : NULL;
}
