/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A git repository as the source of manifests. The `git` program looks at the remote every interval
 * and fetches what is new, shallow, into a repository of ours; what a commit says is then a
 * directory (git_tree.h), whole or not there, and becomes the current one in one step. Nothing of a
 * repository is executed: no hook, no filter, no attribute, no configuration, no submodule; only
 * the protocols of git_url.h.
 *
 * Whatever goes wrong, the revision stays as it is and problem() says why. Failures are tried again
 * after a second, doubling to the interval; what was refused, at the interval.
 */
#ifndef BOTTLER_CONTROLLER_GIT_SOURCE_H
#define BOTTLER_CONTROLLER_GIT_SOURCE_H

#include "controller/journal.h"
#include "spec/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum {
    GIT_INTERVAL_S = 60,
    GIT_INTERVAL_MAX_S = 24 * 3600,
};

/* Borrowed for the call of git_source_new(). */
struct git_source_options {
    const char *dir; /* where it may keep what it fetches; made when missing */
    const char *url;
    const char *ref;             /* NULL: HEAD of the remote */
    const char *path;            /* NULL: the whole repository */
    const char *allowed_signers; /* NULL: commits needn't be signed */
    unsigned interval_s;
    bool once; /* one look, then none unless asked for */
};

struct git_source_hooks {
    /* After each look, from the loop; `news`: the revision is another than before. */
    void (*looked)(void *ctx, bool news);
    /* SourceUpdated, SourceReachable, SourceUnreachable, SourceRefused; once for each change. */
    void (*event)(void *ctx, enum journal_type type, const char *reason, char *message_take);
    void *ctx;
};

struct git_source;
/* Starts with the tree of the last run, if that was of the same place, and with a first look as
 * soon as the loop turns. INVALID for an option that can't be right. */
struct err *git_source_new(sd_event *loop, const struct git_source_options *opt,
                           const struct git_source_hooks *hooks, struct git_source **ret)
    ERR_NODISCARD;
struct git_source *git_source_free(struct git_source *g);

/* Looks now; one that is under way is followed by another, since it may have asked the remote
 * before the caller's push. The answer is the number that git_source_looks() has when that is done.
 */
uint64_t git_source_poll(struct git_source *g);
/* Looks that have ended, well or not. */
uint64_t git_source_looks(const struct git_source *g);

/* All borrowed, valid until the loop turns. */
const char *git_source_url(const struct git_source *g);      /* as it may be shown */
const char *git_source_revision(const struct git_source *g); /* full commit id; NULL: none yet */
/* The directory of manifests of that revision, which never changes; NULL: none yet. */
const char *git_source_root(const struct git_source *g);
/* Why the last look gave nothing; NULL: it did. */
const char *git_source_problem(const struct git_source *g);
/* A path below git_source_root() as users know it, "git:<path in the repository>"; NULL for any
 * other path. The caller frees. */
char *git_source_shown(const struct git_source *g, const char *path);
/* {"url", "ref", "path", "revision", "fetchedAt", "problem", "nextFetchAt", "looks"}; null where
 * there is none. */
json_t *git_source_json(const struct git_source *g);

#endif
