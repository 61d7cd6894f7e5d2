/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/bottle.h"

#include "spec/base/xalloc.h"

static void agent_done(struct agent_spec *a)
{
    free(a->image);
    str_list_done(&a->command);
    free(a->user);
    free(a->working_dir);
    for (size_t i = 0; i < a->env_len; i++) {
        free(a->env[i].name);
        free(a->env[i].value);
        free(a->env[i].secret);
    }
    free(a->env);
    for (size_t i = 0; i < a->mounts_len; i++) {
        free(a->mounts[i].source);
        free(a->mounts[i].volume);
        free(a->mounts[i].target);
    }
    free(a->mounts);
    for (size_t i = 0; i < a->files_len; i++) {
        free(a->files[i].path);
        free(a->files[i].content);
        free(a->files[i].secret);
    }
    free(a->files);
    free(a->runtime);
}

static void match_done(struct match_rule *m)
{
    for (size_t i = 0; i < m->paths_len; i++)
        free(m->paths[i].value);
    free(m->paths);
    str_list_done(&m->methods);
    for (size_t i = 0; i < m->headers_len; i++) {
        free(m->headers[i].name);
        free(m->headers[i].value);
    }
    free(m->headers);
}

static void route_done(struct route *r)
{
    free(r->host);
    str_list_done(&r->path_allowlist);
    str_list_done(&r->methods);
    for (size_t i = 0; i < r->matches_len; i++)
        match_done(&r->matches[i]);
    free(r->matches);
    free(r->token_ref);
    str_list_done(&r->ssrf_ip_allowlist);
}

static void git_gate_done(struct git_gate_spec *g)
{
    free(g->user_name);
    free(g->user_email);
    for (size_t i = 0; i < g->repos_len; i++) {
        free(g->repos[i].name);
        free(g->repos[i].url);
        free(g->repos[i].host_key);
        free(g->repos[i].identity);
    }
    free(g->repos);
}

struct bottle *bottle_free(struct bottle *b)
{
    if (!b)
        return NULL;
    free(b->name);
    free(b->uid);
    for (size_t i = 0; i < b->labels.len; i++) {
        free(b->labels.items[i].key);
        free(b->labels.items[i].value);
    }
    free(b->labels.items);
    free(b->extends);
    free(b->suspend_reason);
    agent_done(&b->agent);
    str_list_done(&b->egress.presets);
    str_list_done(&b->egress.allowlist);
    for (size_t i = 0; i < b->egress.routes_len; i++)
        route_done(&b->egress.routes[i]);
    free(b->egress.routes);
    git_gate_done(&b->git_gate);
    free(b->text);
    free(b->file);
    free(b->revision);
    str_list_done(&b->ancestors);
    str_list_done(&b->ancestor_files);
    free(b);
    return NULL;
}

struct grant *grant_free(struct grant *g)
{
    if (!g)
        return NULL;
    free(g->name);
    free(g->bottle);
    free(g->host);
    str_list_done(&g->path_allowlist);
    str_list_done(&g->methods);
    free(g->reason);
    free(g->file);
    free(g);
    return NULL;
}
