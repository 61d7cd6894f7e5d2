/* SPDX-License-Identifier: Apache-2.0 */
/* One look at the remote: refs, fetch, commit, signature, listing, files, disk. Each step is a run
 * of a program, and what its end leads to. */
#include "controller/git_internal.h"
#include "controller/git_run.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define FETCHED_REF "refs/bottler/fetched"

enum {
    PACKS_MAX = 64, /* then the repository is made anew */
    REFS_MAX = 1 << 20,
};

void git_look_done(struct git_look *l)
{
    free(l->full_ref);
    git_listing_done(&l->listing);
    free(l->temp);
    *l = (struct git_look){0};
}

/* The step may free the source. */
static void on_end(void *ctx, const struct child_end *end)
{
    struct git_source *g = ctx;
    struct child *ended = TAKE_PTR(g->child);
    g->then(g, end);
    child_free(ended);
}

/* The last thing that a step does. */
static void run(struct git_source *g, const struct git_job *job, git_step_fn *then)
{
    g->then = then;
    struct err *e = git_job_start(g->loop, g->repo, job, on_end, g, &g->child);
    if (e)
        git_look_failed(g, e);
}

static bool went_well(const struct child_end *end)
{
    return end->how == CHILD_EXITED && end->code == 0;
}

/* What the program has said against it. */
static struct err *complaint(const struct git_source *g, enum err_kind kind, const char *doing,
                             const struct child_end *end)
{
    AUTO_FREE char *words = git_words(end->err.p, g->url);
    if (end->how == CHILD_TIMED_OUT)
        return err_new(ERR_TIMEOUT, "%s took too long%s%s", doing, *words ? ": " : "", words);
    if (end->how == CHILD_FLOODED)
        return err_new(ERR_INVALID, "%s gave more than can be taken", doing);
    if (end->how == CHILD_SIGNALLED && end->code == SIGXFSZ)
        return err_new(ERR_INVALID, "%s: more than %d MiB, which is too much", doing,
                       GIT_PACK_MAX_MIB);
    if (end->how == CHILD_SIGNALLED)
        return err_new(ERR_UNAVAILABLE, "%s was ended by signal %d", doing, end->code);
    return err_new(kind, "%s: %s", doing, *words ? words : "git failed without a word");
}

static void sync_done(struct git_source *g, const struct child_end *end)
{
    if (!went_well(end)) {
        git_look_failed(g, complaint(g, ERR_UNAVAILABLE, "writing the commit to disk", end));
        return;
    }
    char commit[GIT_COMMIT_HEX + 1];
    memcpy(commit, g->look.commit, sizeof(commit));
    struct err *e = git_dirs_settle(&g->dirs, g->look.temp, commit);
    if (e) {
        git_look_failed(g, e);
        return;
    }
    free(g->look.temp);
    g->look.temp = NULL;
    git_look_found(g, commit);
}

static void blobs_done(struct git_source *g, const struct child_end *end)
{
    if (!went_well(end)) {
        git_look_failed(g, complaint(g, ERR_UNAVAILABLE, "reading the commit", end));
        return;
    }
    struct err *e = git_dirs_write(&g->dirs, g->path, &g->look.listing, end->out, &g->look.temp);
    if (e) {
        git_look_failed(g, e);
        return;
    }
    /* By another process: waiting for the disk would hold up everything else. */
    AUTO_FREE char *tree = xasprintf("%s/%s", g->dirs.trees_path, g->look.temp);
    struct git_job job = {.program = "sync", .args = {"-f", tree}};
    run(g, &job, sync_done);
}

static void listing_done(struct git_source *g, const struct child_end *end)
{
    if (!went_well(end)) {
        struct err *e = complaint(g, ERR_INVALID, "listing the commit", end);
        if (*g->path && end->how == CHILD_EXITED) {
            err_ignore(e, "git's words for it are about object names");
            e = err_new(ERR_INVALID, "commit %s has no directory '%s'", g->look.commit, g->path);
        }
        git_look_failed(g, e);
        return;
    }
    AUTO_CLOSE requests = -1;
    struct err *e = git_listing_read(end->out, &g->look.listing);
    if (!e)
        e = git_listing_requests(&g->look.listing, &requests);
    if (e) {
        git_look_failed(g, err_wrap(e, "commit %s", g->look.commit));
        return;
    }
    const struct git_listing *l = &g->look.listing;
    struct git_job job = {.args = {"cat-file", "--batch", "--buffer"},
                          .stdin_fd = requests,
                          .has_stdin = true,
                          .out_max = l->bytes + l->len * GIT_BLOB_HEAD};
    run(g, &job, blobs_done);
}

/* The commit may count. */
static void take_commit(struct git_source *g)
{
    if (git_dirs_have(&g->dirs, g->look.commit)) {
        char commit[GIT_COMMIT_HEX + 1];
        memcpy(commit, g->look.commit, sizeof(commit));
        git_look_found(g, commit);
        return;
    }
    AUTO_FREE char *tree = xasprintf("%s:%s", g->look.commit, g->path);
    struct git_job job = {.args = {"ls-tree", "-r", "-l", "-z", "--full-tree", tree},
                          .out_max = GIT_LISTING_MAX};
    run(g, &job, listing_done);
}

static void verify_done(struct git_source *g, const struct child_end *end)
{
    if (went_well(end)) {
        take_commit(g);
        return;
    }
    AUTO_FREE char *words = git_words(end->err.p, g->url);
    if (end->how != CHILD_EXITED)
        git_look_failed(g, complaint(g, ERR_UNAVAILABLE, "verifying the commit", end));
    else
        git_look_failed(g, err_new(ERR_DENIED, "commit %s is not signed by one of '%s'%s%s",
                                   g->look.commit, g->signers, *words ? ": " : "", words));
}

static void commit_done(struct git_source *g, const struct child_end *end)
{
    AUTO_FREE char *text = xmemdup0(end->out.p, end->out.n);
    text[strcspn(text, "\n")] = '\0';
    if (!went_well(end) || !git_is_commit(text)) {
        git_look_failed(g, err_new(ERR_INVALID, "what '%s' names is no commit", g->look.full_ref));
        return;
    }
    memcpy(g->look.commit, text, sizeof(g->look.commit));
    if (!g->signers) {
        take_commit(g);
        return;
    }
    /* gpg and gpgsm would ask their own key rings, which nobody has named here. */
    AUTO_FREE char *signers = xasprintf("gpg.ssh.allowedSignersFile=%s", g->signers);
    struct git_job job = {.args = {"-c", "gpg.format=ssh", "-c", signers, "-c",
                                   "gpg.openpgp.program=false", "-c", "gpg.program=false", "-c",
                                   "gpg.x509.program=false", "-c", "gpg.minTrustLevel=fully",
                                   "verify-commit", text}};
    run(g, &job, verify_done);
}

static void resolve(struct git_source *g)
{
    struct git_job job = {.args = {"rev-parse", "--verify", "--quiet", FETCHED_REF "^{commit}"},
                          .out_max = 256};
    run(g, &job, commit_done);
}

struct err *git_drop_repo(struct git_source *g)
{
    TRY(git_remove(&g->dirs.top, GIT_REPO));
    return git_remove(&g->dirs.top, GIT_FETCHING);
}

static void fetch_done(struct git_source *g, const struct child_end *end)
{
    if (went_well(end)) {
        struct err *e = git_remove(&g->dirs.top, GIT_FETCHING);
        if (e)
            git_look_failed(g, e);
        else
            resolve(g);
        return;
    }
    bool bad = strstr(end->err.p, "fsck error") || strstr(end->err.p, "bad object");
    struct err *e = complaint(g, bad ? ERR_INVALID : ERR_UNAVAILABLE, "fetching", end);
    if (err_kind(e) == ERR_INVALID)
        memcpy(g->too_much, g->look.target, sizeof(g->too_much));
    /* It may be the repository that is at fault. */
    err_ignore(git_drop_repo(g), "the next look tries it again");
    git_look_failed(g, e);
}

static void fetch(struct git_source *g)
{
    AUTO_FREE char *spec = xasprintf("+%s:" FETCHED_REF, g->look.full_ref);
    struct git_job job = {.args = {"fetch", "--quiet", "--depth=1", "--no-tags", "--force",
                                   "--no-recurse-submodules", "--no-write-fetch-head",
                                   "--no-auto-maintenance", "--", g->url, spec},
                          .network = true,
                          .timeout_s = GIT_FETCH_TIMEOUT_S};
    struct err *e = sdir_write(&g->dirs.top, GIT_FETCHING, sv_of(""));
    if (e)
        git_look_failed(g, e);
    else
        run(g, &job, fetch_done);
}

/* The id that the remote has under this full name; false: none. */
static bool find_ref(const char *printed, const char *name, char ret[GIT_COMMIT_HEX + 1])
{
    for (const char *line = printed; *line;) {
        size_t n = strcspn(line, "\n");
        bool fits = n == GIT_COMMIT_HEX + 1 + strlen(name) && line[GIT_COMMIT_HEX] == '\t' &&
                    memcmp(line + GIT_COMMIT_HEX + 1, name, strlen(name)) == 0;
        if (fits) {
            memcpy(ret, line, GIT_COMMIT_HEX);
            ret[GIT_COMMIT_HEX] = '\0';
            return git_is_commit(ret);
        }
        line += n + (line[n] == '\n');
    }
    return false;
}

static struct err *pick_ref(struct git_source *g, const char *printed, char ret[GIT_COMMIT_HEX + 1])
{
    AUTO_FREE char *branch = xasprintf("refs/heads/%s", g->ref);
    AUTO_FREE char *tag = xasprintf("refs/tags/%s", g->ref);
    const char *name = NULL;
    bool whole = strcmp(g->ref, "HEAD") == 0 || strncmp(g->ref, "refs/", 5) == 0;
    bool is_branch = !whole && find_ref(printed, branch, ret);
    bool is_tag = !whole && find_ref(printed, tag, ret);
    if (is_branch && is_tag)
        return err_new(ERR_INVALID,
                       "'%s' is a branch and a tag; expected --ref refs/heads/%s or refs/tags/%s",
                       g->ref, g->ref, g->ref);
    if (whole && find_ref(printed, g->ref, ret))
        name = g->ref;
    else if (is_branch || is_tag)
        name = is_branch ? branch : tag;
    if (!name)
        return err_new(ERR_INVALID, "the remote has no %s '%s'", whole ? "ref" : "branch or tag",
                       g->ref);
    AUTO_FREE char *peeled = xasprintf("%s^{}", name);
    if (!find_ref(printed, peeled, ret))
        (void)find_ref(printed, name, ret); /* no annotated tag */
    g->look.full_ref = xstrdup(name);
    return NULL;
}

static void refs_done(struct git_source *g, const struct child_end *end)
{
    char commit[GIT_COMMIT_HEX + 1];
    struct err *e = NULL;
    if (!went_well(end))
        e = complaint(g, ERR_UNAVAILABLE, "asking for refs", end);
    else
        e = pick_ref(g, end->out.p, commit);
    if (!e)
        memcpy(g->look.target, commit, sizeof(g->look.target));
    if (e)
        git_look_failed(g, e);
    else if (g->revision && strcmp(commit, g->revision) == 0 && git_dirs_have(&g->dirs, commit))
        git_look_found(g, commit);
    else if (!g->asked && strcmp(commit, g->too_much) == 0)
        git_look_same(g);
    else
        fetch(g);
}

static void ask(struct git_source *g)
{
    if (git_is_commit(g->ref)) {
        g->look.full_ref = xstrdup(g->ref);
        if (g->revision && strcmp(g->ref, g->revision) == 0 && git_dirs_have(&g->dirs, g->ref))
            git_look_found(g, g->ref);
        else
            fetch(g);
        return;
    }
    /* A pattern also fits the end of longer names; pick_ref() looks at them whole. */
    AUTO_FREE char *branch = xasprintf("refs/heads/%s", g->ref);
    AUTO_FREE char *tag = xasprintf("refs/tags/%s", g->ref);
    AUTO_FREE char *peeled = xasprintf("%s^{}", tag);
    AUTO_FREE char *whole_peeled = xasprintf("%s^{}", g->ref);
    struct git_job job = {
        .args = {"ls-remote", "--quiet", "--", g->url, branch, tag, peeled, g->ref, whole_peeled},
        .network = true,
        .out_max = REFS_MAX};
    run(g, &job, refs_done);
}

static void init_done(struct git_source *g, const struct child_end *end)
{
    struct err *e = went_well(end) ? git_remove(&g->dirs.top, GIT_FETCHING)
                                   : complaint(g, ERR_UNAVAILABLE, "making a repository", end);
    if (e)
        git_look_failed(g, e);
    else
        ask(g);
}

static size_t packs_of(const struct git_source *g)
{
    AUTO_FREE char *where = xasprintf("%s/objects/pack", g->repo);
    AUTO_CLOSE fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct sdir d = {fd, where};
    AUTO(str_list_done) struct str_list names = {0};
    struct err *e = fd >= 0 ? sdir_names(&d, &names) : NULL;
    if (e)
        err_ignore(e, "then git will say what is wrong");
    return names.len / 2; /* each has an index */
}

static bool is_there(const struct git_source *g, const char *name)
{
    return faccessat(g->dirs.top.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void git_look_begin(struct git_source *g)
{
    struct err *e = NULL;
    if (is_there(g, GIT_FETCHING) || packs_of(g) > PACKS_MAX)
        e = git_drop_repo(g);
    bool made = is_there(g, GIT_REPO);
    if (!e && !made)
        e = sdir_write(&g->dirs.top, GIT_FETCHING, sv_of(""));
    if (e) {
        git_look_failed(g, e);
        return;
    }
    if (made) {
        ask(g);
        return;
    }
    struct git_job job = {
        .args = {"init", "--quiet", "--bare", "--template=", "--object-format=sha1", g->repo}};
    run(g, &job, init_done);
}
