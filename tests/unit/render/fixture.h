/* SPDX-License-Identifier: Apache-2.0 */
/* A bottle with something in every field that is rendered, built by hand, for the tests to change.
 */
#ifndef BOTTLER_TESTS_RENDER_FIXTURE_H
#define BOTTLER_TESTS_RENDER_FIXTURE_H

#include "render/desired.h"
#include "render/docker.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

enum { FX_MANY = 8 };

struct fixture {
    struct str_list owned; /* every text made by fx_text() */
    struct bottle b;
    struct route routes[FX_MANY];
    struct env_var env[FX_MANY];
    struct mount mounts[FX_MANY];
    struct agent_file files[FX_MANY];
    struct match_rule matches[FX_MANY];
    struct path_rule paths[FX_MANY];
    struct header_rule headers[FX_MANY];
    struct git_repo repos[FX_MANY];
    struct kv label;
    struct render_secret secrets[FX_MANY];
    struct render_settings s;
    struct render_inputs in;
    uint8_t key[HASH_KEY_BYTES];
};

static inline char *fx_text(struct fixture *f, const char *text)
{
    str_list_add(&f->owned, text);
    return f->owned.items[f->owned.len - 1];
}

static inline struct route *fx_route(struct fixture *f, const char *host)
{
    assert_in_range(f->b.egress.routes_len, 0, FX_MANY - 1);
    struct route *r = &f->routes[f->b.egress.routes_len++];
    *r = (struct route){.host = fx_text(f, host)};
    f->b.egress.routes = f->routes;
    return r;
}

static inline struct route *fx_auth(struct fixture *f, struct route *r, enum auth_scheme scheme,
                                    const char *ref)
{
    r->auth_scheme = scheme;
    r->token_ref = fx_text(f, ref);
    return r;
}

static inline void fx_env(struct fixture *f, const char *name, const char *value)
{
    assert_in_range(f->b.agent.env_len, 0, FX_MANY - 1);
    f->env[f->b.agent.env_len++] =
        (struct env_var){.name = fx_text(f, name), .value = fx_text(f, value)};
    f->b.agent.env = f->env;
}

static inline struct mount *fx_mount(struct fixture *f, const char *target)
{
    assert_in_range(f->b.agent.mounts_len, 0, FX_MANY - 1);
    struct mount *m = &f->mounts[f->b.agent.mounts_len++];
    *m = (struct mount){.target = fx_text(f, target)};
    f->b.agent.mounts = f->mounts;
    return m;
}

static inline struct agent_file *fx_file(struct fixture *f, const char *path)
{
    assert_in_range(f->b.agent.files_len, 0, FX_MANY - 1);
    struct agent_file *file = &f->files[f->b.agent.files_len++];
    *file = (struct agent_file){.path = fx_text(f, path), .mode = 0644};
    f->b.agent.files = f->files;
    return file;
}

static inline void fx_secret(struct fixture *f, const char *name, const char *value)
{
    assert_in_range(f->in.secrets_len, 0, FX_MANY - 1);
    f->secrets[f->in.secrets_len++] = (struct render_secret){.name = name, .value = sv_of(value)};
    f->in.secrets = f->secrets;
}

/* A sealed bottle with nothing but what must be there. */
static inline void fx_minimal(struct fixture *f)
{
    *f = (struct fixture){0};
    for (size_t i = 0; i < sizeof(f->key); i++)
        f->key[i] = (uint8_t)(i + 1);
    f->b = (struct bottle){
        .name = fx_text(f, "demo"),
        .agent = {.image = fx_text(f, "registry.example.com/agent:1.4"),
                  .runtime = fx_text(f, "auto"),
                  .resources = {.memory_bytes = RESOURCES_MEMORY, .pids = RESOURCES_PIDS}},
        .egress = {.log = 1},
    };
    f->s = (struct render_settings){
        .instance = "bottler", .installation = "inst-1", .hash_key = f->key};
    f->in = (struct render_inputs){
        .uid = "uid-1",
        .egress_ca_cert = sv_of("EGRESS-CERT\n"),
        .egress_ca_key = sv_of("EGRESS-KEY\n"),
        .pipelock_ca_cert = sv_of("PIPELOCK-CERT\n"),
        .pipelock_ca_key = sv_of("PIPELOCK-KEY\n"),
    };
}

/* The same with everything set that this version runs. */
static inline void fx_full(struct fixture *f)
{
    fx_minimal(f);
    struct agent_spec *a = &f->b.agent;
    a->user = fx_text(f, "1000:1000");
    a->working_dir = fx_text(f, "/work");
    a->has_command = true;
    str_list_add(&a->command, "sleep");
    str_list_add(&a->command, "infinity");
    fx_env(f, "LOG_LEVEL", "debug");
    fx_mount(f, "/work")->source = fx_text(f, "/srv/agents/demo");
    struct mount *cache = fx_mount(f, "/home/agent/.cache");
    cache->volume = fx_text(f, "cache");
    cache->retain = true;
    fx_file(f, "/home/agent/CLAUDE.md")->content = fx_text(f, "Be careful.");
    struct agent_file *key = fx_file(f, "/home/agent/.netrc");
    key->secret = fx_text(f, "NETRC");
    key->mode = 0600;
    struct route *api = fx_auth(f, fx_route(f, "api.example.com"), AUTH_BEARER, "API_PAT");
    str_list_add(&api->path_allowlist, "/repos/acme/");
    str_list_add(&api->methods, "GET");
    fx_auth(f, fx_route(f, "git.example.com"), AUTH_TOKEN, "GIT_PAT");
    fx_route(f, "pinned.example.com")->tls_passthrough = true;
    str_list_add(&fx_route(f, "intern.example.com")->ssrf_ip_allowlist, "10.20.0.0/16");
    str_list_add(&f->b.egress.allowlist, "files.example.com");
    fx_secret(f, "NETRC", "machine example.com\n");
    fx_secret(f, "API_PAT", "api-token");
    fx_secret(f, "GIT_PAT", "git-token\n");
}

static inline void fx_done(struct fixture *f)
{
    for (size_t i = 0; i < FX_MANY; i++) {
        str_list_done(&f->routes[i].path_allowlist);
        str_list_done(&f->routes[i].methods);
        str_list_done(&f->routes[i].ssrf_ip_allowlist);
        str_list_done(&f->matches[i].methods);
    }
    str_list_done(&f->b.agent.command);
    str_list_done(&f->b.egress.presets);
    str_list_done(&f->b.egress.allowlist);
    str_list_done(&f->owned);
}

/* Fails the test with the error's own words. */
static inline void fx_ok(struct err *e)
{
    if (e) {
        print_error("%s (%s)\n", err_message(e), err_where(e));
        err_free(e);
        fail_msg("an error where none was expected");
    }
}

/* The error has the kind, and its message the part. */
static inline void fx_refused(struct err *e, enum err_kind kind, const char *part)
{
    assert_non_null(e);
    assert_string_equal(err_kind_name(err_kind(e)), err_kind_name(kind));
    if (!strstr(err_message(e), part))
        print_error("message: %s\nexpected: %s\n", err_message(e), part);
    assert_non_null(strstr(err_message(e), part));
    err_free(e);
}

static inline struct desired *fx_render(struct fixture *f)
{
    struct desired *d = NULL;
    fx_ok(desired_render(&f->b, &f->s, &f->in, &d));
    assert_non_null(d);
    return d;
}

#endif
