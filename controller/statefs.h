/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the state directory: whole or not there, on disk when the call returns. All calls are
 * relative to a held directory; `where` is that directory's path, for messages.
 */
#ifndef BOTTLER_CONTROLLER_STATEFS_H
#define BOTTLER_CONTROLLER_STATEFS_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* The open directory. Doesn't own `where`. */
struct sdir {
    int fd;
    const char *where;
};

/* "what '<where>/<name>': reason"; UNAVAILABLE, DENIED, NOT_FOUND or INTERNAL by the errno. */
struct err *sdir_err(const struct sdir *d, const char *what, const char *name, int errnum)
    ERR_NODISCARD;

/* Makes missing directories of `path`: parents 0755, the last one 0700. */
struct err *sdir_make_path(const char *path) ERR_NODISCARD;
/* Makes directory `name`, mode 0700; one that exists is fine when `or_existing`. */
struct err *sdir_make(const struct sdir *d, const char *name, bool or_existing) ERR_NODISCARD;
/* Opens a directory of ours for reading. NOT_FOUND when there is none; a symlink is DENIED. */
struct err *sdir_open(const struct sdir *d, const char *name, int *ret_fd) ERR_NODISCARD;

/* temp + fsync + rename + fsync of the directory; mode 0600. Nothing is left behind on failure. */
struct err *sdir_write(const struct sdir *d, const char *name, struct sv bytes) ERR_NODISCARD;
/* temp + rename: whole or not there for every reader, but a power failure may still cost it. */
struct err *sdir_write_lazily(const struct sdir *d, const char *name, struct sv bytes)
    ERR_NODISCARD;
/* The whole file, at most `max` bytes (more is INVALID), NUL-terminated. The caller wipes what is
 * secret. Never follows a symlink. */
struct err *sdir_read(const struct sdir *d, const char *name, size_t max, char **ret, size_t *ret_n)
    ERR_NODISCARD;
/* Renames within the directory, and makes it last. */
struct err *sdir_rename(const struct sdir *d, const char *from, const char *to) ERR_NODISCARD;
/* Overwrites every file of the directory `name` (keys outlive an unlink otherwise) and removes it.
 */
struct err *sdir_wipe(const struct sdir *d, const char *name) ERR_NODISCARD;
/* Renames over a file that is there, which is overwritten first. */
struct err *sdir_replace(const struct sdir *d, const char *from, const char *to) ERR_NODISCARD;
/* Overwrites and removes a file; fine when there is none. */
struct err *sdir_remove(const struct sdir *d, const char *name) ERR_NODISCARD;
/* Is there anything of that name? */
bool sdir_has(const struct sdir *d, const char *name);
/* Entries in strcmp order, without "." and "..". */
struct err *sdir_names(const struct sdir *d, struct str_list *ret) ERR_NODISCARD;
/* Removes temporary files that a crash left behind. */
struct err *sdir_sweep(const struct sdir *d) ERR_NODISCARD;

#endif
