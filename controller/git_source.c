/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/git_source.h"

#include "controller/git_internal.h"
#include "reconcile/backoff.h"
#include "reconcile/clock.h"
#include "render/hash.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define US_PER_S UINT64_C(1000000)
#define ORIGIN "origin" /* of what is kept: a hash of the place */

enum {
    BACKOFF_FROM = 2, /* failures that count before the first: the first wait is about a second */
};

/* ---- ends of a look ------------------------------------------------------------------------- */

static void schedule(struct git_source *g, uint64_t us)
{
    g->next_s = (int64_t)time(NULL) + (int64_t)(us / US_PER_S);
    (void)sd_event_source_set_time_relative(g->timer, us);
    (void)sd_event_source_set_enabled(g->timer, SD_EVENT_ONESHOT);
}

static void schedule_next(struct git_source *g, bool soon)
{
    uint64_t us = g->interval_s * US_PER_S;
    if (soon) {
        uint64_t wait = backoff_delay_ns(g->failures + BACKOFF_FROM, &g->prng) / 1000;
        us = wait < us ? wait : us;
    }
    g->next_s = 0;
    g->asked = g->again;
    g->again = false;
    if (g->asked)
        schedule(g, 0);
    else if (!g->once)
        schedule(g, us);
}

static void tell(struct git_source *g, enum journal_type type, const char *reason,
                 char *message_take)
{
    g->hooks.event(g->hooks.ctx, type, reason, message_take);
}

/* The last thing a step does: the hook may free the source. */
static void end_look(struct git_source *g, bool news, bool soon)
{
    if (g->look.temp)
        err_ignore(git_remove(&g->dirs.trees, g->look.temp), "the next start removes it");
    git_look_done(&g->look);
    g->looking = false;
    g->looks++;
    schedule_next(g, soon);
    g->hooks.looked(g->hooks.ctx, news);
}

void git_look_same(struct git_source *g)
{
    end_look(g, false, false);
}

static const char *stays(const struct git_source *g)
{
    return g->revision ? g->revision : "nothing yet";
}

void git_look_failed(struct git_source *g, struct err *e_take)
{
    AUTO_ERR e = e_take;
    bool refused = err_kind(e) == ERR_INVALID || err_kind(e) == ERR_DENIED;
    AUTO_FREE char *text = git_words(err_message(e), g->url);
    if (!g->problem || strcmp(g->problem, text) != 0) {
        free(g->problem);
        g->problem = xstrdup(text);
        tell(g, JOURNAL_WARNING, refused ? "SourceRefused" : "SourceUnreachable",
             xasprintf("git '%s': %s; the revision stays %s, looking again", g->shown_url, text,
                       stays(g)));
    }
    g->failures = refused ? 0 : g->failures + 1;
    end_look(g, false, !refused);
}

static void set_revision(struct git_source *g, const char *commit)
{
    free(g->revision);
    free(g->root);
    g->revision = xstrdup(commit);
    g->root = xasprintf("%s/%s%s%s", g->dirs.trees_path, commit, *g->path ? "/" : "", g->path);
}

/* The commit's tree is there. */
void git_look_found(struct git_source *g, const char *commit)
{
    bool news = !g->revision || strcmp(g->revision, commit) != 0;
    bool had_problem = g->problem != NULL;
    if (news) {
        struct err *e = git_dirs_publish(&g->dirs, commit);
        if (e) {
            git_look_failed(g, e);
            return;
        }
        tell(g, JOURNAL_NORMAL, "SourceUpdated",
             xasprintf("git '%s': revision %s, before it %s", g->shown_url, commit, stays(g)));
        set_revision(g, commit);
    } else if (had_problem) {
        tell(g, JOURNAL_NORMAL, "SourceReachable",
             xasprintf("git '%s': revision %s as before", g->shown_url, commit));
    }
    free(g->problem);
    g->problem = NULL;
    g->failures = 0;
    g->too_much[0] = '\0';
    g->fetched_s = (int64_t)time(NULL);
    end_look(g, news, false);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct git_source *g = ctx;
    if (g->looking)
        return 0;
    g->looking = true;
    g->next_s = 0;
    git_look_begin(g);
    return 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

/* What is kept of another place, or of commits that needn't be signed, says nothing about this one.
 */
static struct err *check_origin(struct git_source *g)
{
    AUTO_FREE char *place =
        xasprintf("%s\n%s\n%s\n%s\n", g->url, g->ref, g->path, g->signers ? "signed" : "as it is");
    char hash[HASH_HEX + 1];
    hash_hex(sv_of(place), hash);
    char *known = NULL;
    size_t n = 0;
    struct err *e = sdir_read(&g->dirs.top, ORIGIN, HASH_HEX, &known, &n);
    bool same = !e && strcmp(known, hash) == 0;
    free(known);
    if (e)
        err_ignore(e, "then it is not the same");
    if (same)
        return NULL;
    AUTO_FREE char *dir = xstrdup(g->dirs.top_path);
    TRY(git_remove(&g->dirs.top, "current"));
    TRY(git_remove(&g->dirs.top, "trees"));
    TRY(git_drop_repo(g));
    git_dirs_done(&g->dirs);
    TRY(git_dirs_open(dir, &g->dirs));
    return sdir_write(&g->dirs.top, ORIGIN, sv_of(hash));
}

static struct err *check_options(const struct git_source_options *o)
{
    TRY(git_url_check(o->url));
    TRY(git_ref_check(o->ref ? o->ref : "HEAD"));
    TRY(git_path_check(o->path ? o->path : ""));
    if (o->allowed_signers && access(o->allowed_signers, R_OK) < 0)
        return err_new(ERR_INVALID, "allowed signers '%s': %s; expected a file as in ssh-keygen(1)",
                       o->allowed_signers, err_errno(errno));
    return NULL;
}

static void git_source_freep(struct git_source **g)
{
    *g = git_source_free(*g);
}

struct err *git_source_new(sd_event *loop, const struct git_source_options *o,
                           const struct git_source_hooks *hooks, struct git_source **ret)
{
    TRY(check_options(o));
    AUTO(git_source_freep) struct git_source *g = xcalloc(1, sizeof(*g));
    g->loop = sd_event_ref(loop);
    g->hooks = *hooks;
    g->url = xstrdup(o->url);
    g->shown_url = git_url_shown(o->url);
    g->ref = xstrdup(o->ref ? o->ref : "HEAD");
    g->path = xstrdup(o->path ? o->path : "");
    g->signers = xstrdup_null(o->allowed_signers);
    g->interval_s = o->interval_s ? o->interval_s : GIT_INTERVAL_S;
    g->once = o->once;
    g->repo = xasprintf("%s/" GIT_REPO, o->dir);
    g->dirs = (struct git_dirs){.top.fd = -1, .trees.fd = -1};
    if (getrandom(&g->prng, sizeof(g->prng), GRND_NONBLOCK) < 0)
        g->prng = (uint64_t)getpid();
    TRY(git_dirs_open(o->dir, &g->dirs));
    TRY(check_origin(g));
    AUTO_FREE char *last = git_dirs_current(&g->dirs);
    if (last)
        set_revision(g, last);
    int r = sd_event_add_time_relative(loop, &g->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, g);
    if (r < 0)
        return err_new(ERR_INTERNAL, "timer: %s", err_errno(-r));
    g->next_s = (int64_t)time(NULL);
    *ret = TAKE_PTR(g);
    return NULL;
}

struct git_source *git_source_free(struct git_source *g)
{
    if (!g)
        return NULL;
    child_free(g->child);
    git_look_done(&g->look);
    sd_event_source_disable_unref(g->timer);
    sd_event_unref(g->loop);
    git_dirs_done(&g->dirs);
    free(g->repo);
    free(g->url);
    free(g->shown_url);
    free(g->ref);
    free(g->path);
    free(g->signers);
    free(g->revision);
    free(g->root);
    free(g->problem);
    free(g);
    return NULL;
}

uint64_t git_source_poll(struct git_source *g)
{
    if (g->looking) {
        g->again = true;
        return g->looks + 2;
    }
    g->asked = true;
    schedule(g, 0);
    return g->looks + 1;
}

uint64_t git_source_looks(const struct git_source *g)
{
    return g->looks;
}

const char *git_source_url(const struct git_source *g)
{
    return g->shown_url;
}

const char *git_source_revision(const struct git_source *g)
{
    return g->revision;
}

const char *git_source_root(const struct git_source *g)
{
    return g->root;
}

const char *git_source_problem(const struct git_source *g)
{
    return g->problem;
}

char *git_source_shown(const struct git_source *g, const char *path)
{
    size_t n = g->root ? strlen(g->root) : 0;
    if (!n || strncmp(path, g->root, n) != 0 || path[n] != '/')
        return NULL;
    return xasprintf("git:%s%s%s", g->path, *g->path ? "/" : "", path + n + 1);
}

static json_t *time_json(int64_t unix_s)
{
    char text[CLOCK_TEXT];
    if (!unix_s)
        return json_null();
    clock_format(unix_s, text);
    return XNN(json_string(text));
}

json_t *git_source_json(const struct git_source *g)
{
    return XNN(json_pack("{s:s, s:s, s:s, s:s?, s:o, s:s?, s:o, s:I}", "url", g->shown_url, "ref",
                         g->ref, "path", g->path, "revision", g->revision, "fetchedAt",
                         time_json(g->fetched_s), "problem", g->problem, "nextFetchAt",
                         time_json(g->next_s), "looks", (json_int_t)g->looks));
}
