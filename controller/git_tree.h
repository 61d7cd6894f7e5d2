/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits as directories of manifests:
 *
 *   <dir>/repo            the bare repository, only git's
 *   <dir>/trees/<commit>  what a commit says, whole or not there
 *   <dir>/current         relative symlink to the one that counts
 *
 * Only what a walk of manifests looks at is ever written (regular files with a manifest's name, and
 * symlinks; nothing hidden), by ourselves, byte for byte as it is in the repository: no attribute,
 * no filter, no submodule, no program has a say. A symlink is only ever followed by
 * controller/tree.c, which stays inside.
 */
#ifndef BOTTLER_CONTROLLER_GIT_TREE_H
#define BOTTLER_CONTROLLER_GIT_TREE_H

#include "controller/git_url.h"
#include "controller/statefs.h"

enum {
    GIT_TREES_KEPT = 2,         /* besides the current one */
    GIT_LISTING_MAX = 32 << 20, /* bytes of `git ls-tree -r -l -z` */
    GIT_BLOB_HEAD = 128, /* most that `git cat-file --batch` prints before and after a blob */
};

/* ---- what a commit holds -------------------------------------------------------------------- */

struct git_entry {
    char *path;
    char oid[GIT_COMMIT_HEX + 1];
    size_t size;
    bool symlink;
};
struct git_listing {
    struct git_entry *items;
    size_t len;
    size_t bytes; /* of all together */
};
/* From `git ls-tree -r -l -z`. INVALID over FILES_MAX files or FILES_MAX_BYTES, or for a name that
 * can't be one of a file. */
struct err *git_listing_read(struct sv printed, struct git_listing *ret) ERR_NODISCARD;
void git_listing_done(struct git_listing *l);
/* What `git cat-file --batch` has to read; the caller closes it. */
struct err *git_listing_requests(const struct git_listing *l, int *ret_fd) ERR_NODISCARD;

/* ---- directories ---------------------------------------------------------------------------- */

struct git_dirs {
    struct sdir top;   /* <dir> */
    struct sdir trees; /* <dir>/trees */
    char *top_path, *trees_path;
};
/* Makes what is missing, and removes what a crash has left half done. */
struct err *git_dirs_open(const char *dir, struct git_dirs *ret) ERR_NODISCARD;
void git_dirs_done(struct git_dirs *d);
bool git_dirs_have(const struct git_dirs *d, const char *commit);
/* The commit that `current` names, if it is there whole; else NULL. The caller frees. */
char *git_dirs_current(const struct git_dirs *d);
/* Writes the listing from what `git cat-file --batch` has printed for it, below the directory
 * `prefix` ("": the top) of a new tree, whose temporary name the caller frees. Not on disk yet. */
struct err *git_dirs_write(const struct git_dirs *d, const char *prefix,
                           const struct git_listing *l, struct sv blobs, char **ret_temp)
    ERR_NODISCARD;
/* Gives the new tree its name. */
struct err *git_dirs_settle(const struct git_dirs *d, const char *temp, const char *commit)
    ERR_NODISCARD;
/* Points `current` at the commit, in one step, and removes trees that are older than the last
 * GIT_TREES_KEPT others. */
struct err *git_dirs_publish(const struct git_dirs *d, const char *commit) ERR_NODISCARD;

/* Removes a file, or a directory with all that is in it; never follows a symlink. Fine when there
 * is none. */
struct err *git_remove(const struct sdir *d, const char *name) ERR_NODISCARD;

#endif
