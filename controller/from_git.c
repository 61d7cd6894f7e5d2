/* SPDX-License-Identifier: Apache-2.0 */
/* A repository's commits as one more directory of manifests. */
#include "controller/controller.h"
#include "controller/git_tree.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SHOWN_PREFIX "git:"
#define SCRATCH "bottler-plan.XXXXXX"

bool sources_ready(const struct controller *c)
{
    return !c->git || c->opt.mode == MODE_RUN || git_source_looks(c->git) > 0;
}

const char *sources_problem(const struct controller *c)
{
    return c->git ? git_source_problem(c->git) : NULL;
}

/* No poll waits for more than the next look but one. */
bool sources_poll(struct controller *c, uint64_t poll)
{
    if (!c->git)
        return false;
    c->git_asked[git_source_poll(c->git) % 2] = poll;
    return true;
}

static void tell_polled(struct controller *c)
{
    uint64_t *asked = &c->git_asked[git_source_looks(c->git) % 2];
    if (*asked)
        controller_polled(c, *asked);
    *asked = 0;
}

/* ---- listing -------------------------------------------------------------------------------- */

static char *not_yet(const struct controller *c)
{
    const char *problem = git_source_problem(c->git);
    return xasprintf("nothing has been fetched from git '%s' yet%s%s", git_source_url(c->git),
                     problem ? ": " : "", problem ? problem : "");
}

static void rename_to(char **slot, char *text_take)
{
    free(*slot);
    *slot = text_take;
}

/* As users know it: where in the repository, of which commit, and why nothing is known of it. */
static void name_source(const struct controller *c, const char *root, struct file_listing *l)
{
    const char *path = c->opt.git_path ? c->opt.git_path : "";
    unsigned at = (unsigned)l->sources_len - 1;
    struct file_source *s = &l->sources[at];
    bool fetched = git_source_root(c->git);
    rename_to(&s->dir, xasprintf(SHOWN_PREFIX "%s", path));
    rename_to(&s->revision, xstrdup_null(git_source_revision(c->git)));
    s->whole = true;
    if (s->error && !fetched)
        rename_to(&s->error, not_yet(c));
    for (size_t i = 0; i < l->len; i++) {
        struct read_file *f = &l->files[i];
        if (f->source != at)
            continue;
        char *shown = git_source_shown(c->git, f->path);
        if (shown) {
            rename_to(&f->path, shown);
        } else if (strcmp(f->path, root) == 0) { /* all of it is unknown */
            rename_to(&f->path, xasprintf(SHOWN_PREFIX "%s", path));
            rename_to(&f->error, xstrdup_null(s->error));
        }
    }
}

void sources_list(struct controller *c, struct file_listing *ret)
{
    const struct str_list *dirs = deletion_sources(c);
    if (!c->git) {
        files_list(dirs, ret);
        return;
    }
    AUTO(str_list_done) struct str_list all = {0};
    for (size_t i = 0; i < dirs->len; i++)
        str_list_add(&all, dirs->items[i]);
    /* The tree of one commit, not `current`: what is listed is of one revision. Before the first
     * there is nothing at `current`. */
    const char *root = git_source_root(c->git);
    str_list_add_take(&all, root ? xstrdup(root) : xasprintf("%s/current", c->git_dir));
    files_list(&all, ret);
    name_source(c, all.items[all.len - 1], ret);
}

/* ---- of a plan ------------------------------------------------------------------------------ */

json_t *from_git_json(const struct controller_options *opt)
{
    if (!opt->git_url)
        return json_null();
    AUTO_FREE char *url = git_url_shown(opt->git_url);
    AUTO_FREE char *signers = opt->git_signers ? realpath(opt->git_signers, NULL) : NULL;
    return XNN(json_pack("{s:s, s:s?, s:s?, s:s?}", "url", url, "ref", opt->git_ref, "path",
                         opt->git_path, "verify", signers ? signers : opt->git_signers));
}

struct err *from_git_options(const json_t *git, struct controller_options *ret)
{
    const char *url = json_string_value(json_object_get(git, "url"));
    if (url && strstr(url, "://" GIT_URL_MASK "@"))
        return err_new(ERR_INVALID,
                       "the URL of its repository held a user or a password, which no plan keeps: "
                       "expected '%s' with a credential helper instead",
                       url);
    ret->git_url = url;
    ret->git_ref = json_string_value(json_object_get(git, "ref"));
    ret->git_path = json_string_value(json_object_get(git, "path"));
    ret->git_signers = json_string_value(json_object_get(git, "verify"));
    return NULL;
}

/* ---- the repository ------------------------------------------------------------------------- */

static void on_looked(void *ctx, bool news)
{
    struct controller *c = ctx;
    if (news || !c->manifests_known || c->manifests_error)
        manifests_load(c); /* what couldn't be listed last time may be by now */
    tell_polled(c);
    controller_dispatch(c);
}

static void on_event(void *ctx, enum journal_type type, const char *reason, char *message_take)
{
    const struct controller *c = ctx;
    journal_add(c->journal, NULL, type, reason, message_take);
}

static int on_start(sd_event_source *s, void *ctx)
{
    (void)s;
    manifests_load(ctx);
    return 0;
}

/* A plan is made beside a running controller, so it keeps out of the state directory. */
static struct err *scratch_dir(struct controller *c)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = xasprintf("%s/" SCRATCH, tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        int errnum = errno;
        struct err *e = err_new(ERR_UNAVAILABLE, "making a directory '%s' to fetch into: %s", dir,
                                err_errno(errnum));
        free(dir);
        return e;
    }
    c->git_scratch = dir;
    return NULL;
}

struct err *from_git_open(struct controller *c)
{
    if (!c->opt.git_url)
        return NULL;
    if (c->opt.mode == MODE_PLAN)
        TRY(scratch_dir(c));
    c->git_dir = xasprintf("%s/source", c->git_scratch ? c->git_scratch : c->opt.state_dir);
    struct git_source_options o = {.dir = c->git_dir,
                                   .url = c->opt.git_url,
                                   .ref = c->opt.git_ref,
                                   .path = c->opt.git_path,
                                   .allowed_signers = c->opt.git_signers,
                                   .interval_s = c->opt.git_interval_s,
                                   .once = c->opt.mode != MODE_RUN};
    struct git_source_hooks hooks = {.looked = on_looked, .event = on_event, .ctx = c};
    TRY(git_source_new(c->loop, &o, &hooks, &c->git));
    if (c->opt.mode != MODE_RUN)
        return NULL;
    if (c->opt.manifests->len)
        return NULL; /* their watch begins with a listing */
    int r = sd_event_add_defer(c->loop, NULL, on_start, c);
    return r < 0 ? err_new(ERR_INTERNAL, "event loop: %s", err_errno(-r)) : NULL;
}

void from_git_close(struct controller *c)
{
    c->git = git_source_free(c->git);
    free(c->git_dir);
    if (!c->git_scratch)
        return;
    struct sdir all = {AT_FDCWD, "the directory of the plan"};
    err_ignore(git_remove(&all, c->git_scratch), "it is of no use, and in nobody's way");
    free(c->git_scratch);
    c->git_scratch = NULL;
}
