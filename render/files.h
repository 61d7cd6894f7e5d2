/* SPDX-License-Identifier: Apache-2.0 */
/* A set of files for a container, and its tar form for the engine's archive API. */
#ifndef BOTTLER_RENDER_FILES_H
#define BOTTLER_RENDER_FILES_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdbool.h>
#include <sys/types.h>

struct file_item {
    char *path; /* absolute, clean */
    unsigned uid, gid;
    mode_t mode; /* permission bits */
    bool dir;
    bool hot; /* may change under a running container (routes, tokens, pipelock.yaml): not in the
                 spec hash */
    bool unhashed; /* not in it either, but as fixed as the others: a program of bottler's own */
    char *data;    /* owned, wiped when freed; n bytes, may hold NUL */
    size_t n;
};
struct file_list {
    struct file_item *items;
    size_t len;
};

/* The bytes are copied. */
void file_list_add(struct file_list *l, const char *path, unsigned uid, unsigned gid, mode_t mode,
                   struct sv bytes);
/* The same for a file that may change under a running container. */
void file_list_add_hot(struct file_list *l, const char *path, unsigned uid, unsigned gid,
                       mode_t mode, struct sv bytes);
/* The same for a file whose bytes may differ from one version of bottler to the next. */
void file_list_add_unhashed(struct file_list *l, const char *path, unsigned uid, unsigned gid,
                            mode_t mode, struct sv bytes);
void file_list_add_dir(struct file_list *l, const char *path, unsigned uid, unsigned gid,
                       mode_t mode);
void file_list_done(struct file_list *l);
const struct file_item *file_list_find(const struct file_list *l, const char *path);

/* A ustar/pax archive, to be extracted at "/": entries in order, mtime 0, numeric owners only.
 * hot_only leaves out what isn't hot. The caller owns *ret (wipe it: it may hold secrets). */
struct err *tar_write(const struct file_list *files, bool hot_only, char **ret, size_t *ret_n)
    ERR_NODISCARD;
/* The first regular file of an archive that the engine sent; at most max bytes, more is INVALID.
 * NOT_FOUND when it holds none. */
struct err *tar_read_first(struct sv archive, size_t max, char **ret, size_t *ret_n) ERR_NODISCARD;

#endif
