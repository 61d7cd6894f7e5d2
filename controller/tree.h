/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a directory of manifests without ever leaving it. Used by the reader (files.c), the watcher
 * and the secrets directory, so that what is read, what is watched and what is refused can't drift
 * apart.
 *
 * The root may be a symlink. Below it, symlinks count when what they end at is inside the root, and
 * never make the same file or directory appear twice: what is reached without a symlink comes
 * first. Names that begin with a dot are not looked at, but may be where a symlink ends (`..data`
 * of a projected volume).
 */
#ifndef BOTTLER_CONTROLLER_TREE_H
#define BOTTLER_CONTROLLER_TREE_H

#include "spec/base/err.h"

#include <stdbool.h>
#include <sys/stat.h>

enum {
    TREE_MAX_DEPTH = 8, /* of subdirectories below the root */
    TREE_MAX_DIRS = 4096,
    TREE_MAX_ENTRIES = 65536, /* names looked at, in all directories of a walk */
};

/* A regular file with a manifest's name. Borrowed for the call. */
struct tree_file {
    int dirfd; /* where `name` is, and the root for symlinks */
    const char *name;
    const char *path; /* root as given, "/", and the rest */
    bool symlink;   /* `name` is relative to the root and must be opened with tree_open_inside() */
    struct stat st; /* of the file itself */
};
/* Any of them may be NULL. An err ends the walk and is its result. */
struct tree_ops {
    /* Before the directory is read. */
    struct err *(*dir)(void *ctx, int fd, const char *path);
    struct err *(*file)(void *ctx, const struct tree_file *f);
    /* What should have been read and can't be: a manifest's name that is not a file, a symlink that
     * leaves the root or ends nowhere. */
    struct err *(*refused)(void *ctx, const char *path, const char *why);
    /* A directory below the root that can't be read or is too deep, or a symlink that may have led
     * to one and ends nowhere: what is in it is unknown, the rest is walked. */
    struct err *(*unknown)(void *ctx, const char *path, const char *why);
    /* At the end, what the root says that its version is, when it is swapped as a whole: the last
     * name of what the root, as a symlink, or `..data` in it, points to. Else NULL. */
    struct err *(*revision)(void *ctx, const char *revision);
};

/* UNAVAILABLE when the root is missing or can't be read, or when it or its `..data` was replaced
 * during the walk: what it holds is then unknown. CONFLICT when directories changed
 * during the walk, so that what was seen may be a mixture: walk again (with a `..data` that is
 * UNAVAILABLE too). INVALID over the limits. */
struct err *tree_walk(const char *root, const struct tree_ops *ops, void *ctx) ERR_NODISCARD;

/* Opens `rel` below the directory `rootfd`, following symlinks, as an O_PATH descriptor. -1 with
 * errno, EXDEV when it is not inside the root. Nothing is opened for reading before that is known.
 */
int tree_open_inside(int rootfd, const char *rel);
/* Opens what an O_PATH descriptor stands for, for reading, without blocking. -1 with errno. */
int tree_reopen(int pathfd);

/* *.yaml, *.yml, *.json; not hidden, not what editors leave behind. */
bool tree_manifest_name(const char *name);
/* One of its names, but for "." and "..", begins with a dot. */
bool tree_is_hidden(const char *path);

#endif
