/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/rules.h"

#include "controller/controller.h"
#include "controller/git_url.h"
#include "controller/log.h"
#include "controller/mounts.h"
#include "spec/base/xalloc.h"
#include "spec/check.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { FINDINGS_MAX = 1 << 20 };

struct rules {
    struct mount_guard *guard;
    struct policy *policy; /* in force; NULL: none was asked for */
    char *policy_text;     /* what it was read from */
    char *problem;         /* why the file's isn't in force */
    char *root_dir;
    struct watch *watch;
};

/* ---- the policy's file ---- */

static void listing_done(struct file_listing *l)
{
    file_listing_done(l);
}

static struct err *read_bytes(const char *path, bool may_wait, struct file_listing *ret)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_new(ERR_UNAVAILABLE, "policy '%s': %s", path, err_errno(errno));
    if (!S_ISREG(st.st_mode) && !(may_wait && S_ISFIFO(st.st_mode)))
        return err_new(ERR_UNAVAILABLE, "policy '%s': expected a file", path);
    struct str_list one = {0};
    str_list_add(&one, path);
    struct err *e = files_read(&one, ret);
    str_list_done(&one);
    if (!e && ret->len != 1)
        e = err_new(ERR_UNAVAILABLE, "policy '%s': expected one file", path);
    if (!e && ret->files[0].error)
        e = err_new(ERR_UNAVAILABLE, "policy '%s': %s", path, ret->files[0].error);
    return e;
}

struct err *policy_read(const char *path, bool may_wait, struct str *findings, char **ret_text,
                        struct policy **ret)
{
    AUTO(listing_done) struct file_listing file = {0};
    struct diag_list found = {0};
    TRY(read_bytes(path, may_wait, &file));
    assert(file.len == 1 && file.files);
    struct sv bytes = {file.files[0].bytes, file.files[0].n};
    struct policy *p = policy_load(path, bytes, &found);
    size_t n = found.len;
    for (size_t i = 0; findings && i < n; i++) {
        diag_format(&found.items[i], findings);
        str_addc(findings, '\n');
    }
    diag_list_done(&found);
    if (ret_text)
        *ret_text = xmemdup0(bytes.p, bytes.n);
    if (!p)
        return err_new(ERR_INVALID, "policy '%s' has %zu fault%s", path, n, n == 1 ? "" : "s");
    *ret = p;
    return NULL;
}

static void log_findings(const struct str *findings)
{
    const char *at = findings->p;
    for (const char *end = strchr(at, '\n'); end; at = end + 1, end = strchr(at, '\n'))
        log_at(LOG_ERROR, "policy %.*s", (int)(end - at), at);
}

static struct err *read_first(struct rules *r, const char *path)
{
    struct str findings;
    str_init(&findings, FINDINGS_MAX);
    struct err *e = policy_read(path, false, &findings, &r->policy_text, &r->policy);
    log_findings(&findings);
    str_done(&findings);
    return e;
}

/* Every bottle is judged anew. */
static void judge_anew(struct controller *c)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        c->workers[i]->not_before_ns = 0;
        worker_poke(c->workers[i]);
    }
    if (c->manifests_known || c->manifests_error)
        manifests_load(c);
    controller_dispatch(c);
}

static void note_problem(struct controller *c, const struct err *e, const struct str *findings)
{
    struct rules *r = c->rules;
    const char *end = strchr(findings->p, '\n');
    AUTO_FREE char *first = xmemdup0(findings->p, end ? (size_t)(end - findings->p) : 0);
    AUTO_FREE char *text = xasprintf("%s%s%s; the last good one stays in force", err_message(e),
                                     *first ? ": " : "", first);
    if (r->problem && strcmp(r->problem, text) == 0)
        return;
    free(r->problem);
    r->problem = TAKE_PTR(text);
    journal_add(c->journal, NULL, JOURNAL_WARNING, "PolicyUnusable", xstrdup(r->problem));
}

static void on_policy(void *ctx)
{
    struct controller *c = ctx;
    struct rules *r = c->rules;
    struct policy *p = NULL;
    struct str findings;
    AUTO_FREE char *text = NULL;
    str_init(&findings, FINDINGS_MAX);
    AUTO_ERR e = policy_read(c->opt.policy_file, false, &findings, &text, &p);
    bool same = text && strcmp(text, r->policy_text) == 0;
    if (e) {
        note_problem(c, e, &findings);
    } else if (same && !r->problem) {
        policy_free(p);
    } else {
        free(r->problem);
        r->problem = NULL;
        policy_free(r->policy);
        r->policy = p;
        free(r->policy_text);
        r->policy_text = TAKE_PTR(text);
        journal_add(c->journal, NULL, JOURNAL_NORMAL, "PolicyChanged",
                    xasprintf("'%s' is in force", c->opt.policy_file));
        judge_anew(c);
    }
    str_done(&findings);
}

struct err *rules_watch(struct controller *c)
{
    if (!c->opt.policy_file || c->opt.mode != MODE_RUN)
        return NULL;
    const char *slash = strrchr(c->opt.policy_file, '/');
    size_t n = slash ? (size_t)(slash - c->opt.policy_file) : 0;
    AUTO_FREE char *dir = slash ? xmemdup0(c->opt.policy_file, n ? n : 1) : xstrdup(".");
    struct str_list dirs = {0};
    str_list_add(&dirs, dir);
    struct err *e = watch_new(c->loop, &dirs, NULL, on_policy, c, &c->rules->watch);
    str_list_done(&dirs);
    return e;
}

/* ---- what is guarded ---- */

static bool is_local(const struct endpoint *at)
{
    static const char *const here[] = {"127.", "localhost:", "[::1]:"};
    for (size_t i = 0; at->host && i < sizeof(here) / sizeof(*here); i++) {
        if (strncmp(at->host, here[i], strlen(here[i])) == 0)
            return true;
    }
    return at->socket_path != NULL;
}

struct err *rules_open(struct controller *c, const struct endpoint *at)
{
    struct rules *r = xcalloc(1, sizeof(*r));
    const struct controller_options *o = &c->opt;
    c->rules = r;
    r->guard = mount_guard_new(is_local(at));
    mount_guard_add(r->guard, "the engine's socket", at->socket_path);
    mount_guard_add(r->guard, "the key to the engine", at->key_file);
    mount_guard_add(r->guard, "the state directory", o->state_dir);
    mount_guard_add(r->guard, "the directory of secrets", o->secrets_dir);
    mount_guard_add(r->guard, "the directory of secrets", getenv("CREDENTIALS_DIRECTORY"));
    mount_guard_add(r->guard, "the controller's socket", o->socket);
    mount_guard_add(r->guard, "the policy", o->policy_file);
    mount_guard_add(r->guard, "the file of further roots", o->upstream_ca_file);
    mount_guard_add(r->guard, "the repository of manifests", git_url_local(o->git_url));
    mount_guard_add(r->guard, "the allowed signers", o->git_signers);
    for (size_t i = 0; i < o->manifests->len; i++)
        mount_guard_add(r->guard, "a directory of manifests", o->manifests->items[i]);
    return o->policy_file ? read_first(r, o->policy_file) : NULL;
}

struct rules *rules_free(struct rules *r)
{
    if (!r)
        return NULL;
    watch_free(r->watch);
    mount_guard_free(r->guard);
    policy_free(r->policy);
    free(r->policy_text);
    free(r->problem);
    free(r->root_dir);
    free(r);
    return NULL;
}

void rules_engine(struct controller *c, const char *root_dir)
{
    struct rules *r = c->rules;
    if (r->root_dir && strcmp(r->root_dir, root_dir) == 0)
        return;
    free(r->root_dir);
    r->root_dir = xstrdup(root_dir);
    mount_guard_set(r->guard, "the engine's own data", root_dir);
    judge_anew(c);
}

/* ---- judging ---- */

static char *refuse_mount(void *ctx, const char *source)
{
    const struct rules *r = ctx;
    return mount_guard_refusal(r->guard, source);
}

struct manifest_rules rules_of_manifests(struct rules *r)
{
    mount_guard_refresh(r->guard);
    return (struct manifest_rules){.policy = r->policy, .mount_refusal = refuse_mount, .ctx = r};
}

/* What `auto` means on this engine, held against the policy. */
static char *forbid_auto(const struct controller *c, const struct bottle *b)
{
    const struct policy *p = c->rules->policy;
    if (!p || !p->runtimes.len || strcmp(b->agent.runtime, "auto") != 0 || !c->caps.runtimes)
        return NULL;
    const char *means = docker_runtime("auto", &c->caps);
    AUTO_FREE char *why = policy_check_runtime(p, means ? means : "unknown");
    return why ? xasprintf("agent.runtime: auto means '%s' on this engine: %s",
                           means ? means : "unknown", why)
               : NULL;
}

char *rules_forbid(const struct controller *c, const struct bottle *b)
{
    const struct rules *r = c->rules;
    char *why = r->policy ? policy_refusal(r->policy, b) : NULL;
    for (size_t i = 0; !why && i < b->agent.mounts_len; i++) {
        const char *source = b->agent.mounts[i].source;
        AUTO_FREE char *said = source ? mount_guard_refusal(r->guard, source) : NULL;
        if (said)
            why = xasprintf("agent.mounts: '%s': %s", source, said);
    }
    return why ? why : forbid_auto(c, b);
}

/* An agent that can write the directory that a source is in can put a link in its place, which the
 * engine follows when the other agent starts. */
static struct err *check_inside(const struct controller *c, const struct bottle *b,
                                const char *source)
{
    for (size_t i = 0; i < c->catalog.len; i++) {
        const struct catalog_entry *e = c->catalog.entries[i];
        if (!e->bottle || e->state == ENTRY_GONE || strcmp(e->name, b->name) == 0)
            continue;
        for (size_t k = 0; k < e->bottle->agent.mounts_len; k++) {
            const struct mount *m = &e->bottle->agent.mounts[k];
            if (m->source && !m->read_only && strcmp(m->source, source) != 0 &&
                path_is_within(source, m->source))
                return err_new(ERR_INVALID,
                               "agent.mounts: '%s' lies inside '%s', which the agent of bottle "
                               "'%s' can write: it could put a link to anywhere in its place",
                               source, m->source, e->name);
        }
    }
    return NULL;
}

struct err *rules_refuse(const struct controller *c, const struct bottle *b)
{
    TRY(docker_check_runtime(b->agent.runtime, &c->caps));
    AUTO_FREE char *forbidden = forbid_auto(c, b);
    if (forbidden)
        return err_new(ERR_INVALID, "%s", forbidden);
    for (size_t i = 0; i < b->agent.mounts_len; i++) {
        const char *source = b->agent.mounts[i].source;
        if (!source)
            continue;
        AUTO_FREE char *fault = mount_source_fault(c->rules->guard, source);
        if (fault)
            return err_new(ERR_INVALID, "agent.mounts: '%s': %s", source, fault);
        TRY(check_inside(c, b, source));
    }
    return NULL;
}

const char *rules_auto_runtime(const struct controller *c)
{
    const struct policy *p = c->rules->policy;
    const char *means = p && p->runtimes.len ? docker_runtime("auto", &c->caps) : NULL;
    return means && str_list_has(&p->runtimes, means) ? means : NULL;
}

const char *rules_problem(const struct rules *r)
{
    return r->problem;
}
