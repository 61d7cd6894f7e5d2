/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches manifest directories and reads them. inotify is a hint: whatever happens leads to one
 * thing, a settled "look again" (50 ms of quiet, 1 s at most), and without any hint every 20 s.
 * Overflow, a vanished, replaced, unreadable or symlinked directory are handled by watching again:
 * every directory on the way to the root is watched for the one name that leads there, so a missing
 * directory costs no polling and a swapped symlink is noticed at once.
 */
#ifndef BOTTLER_CONTROLLER_WATCH_H
#define BOTTLER_CONTROLLER_WATCH_H

#include "spec/base/err.h"
#include "spec/base/str.h"
#include "spec/manifest.h"

#include <systemd/sd-event.h>

#include <stdint.h>

enum {
    WATCH_SETTLE_MS = 50,
    WATCH_SETTLE_MAX_MS = 1000,
    WATCH_RELIST_MS = 20000,
};
/* 0 means the constant above; tests shorten or lengthen them. */
struct watch_times {
    unsigned settle_ms;
    unsigned settle_max_ms;
    unsigned relist_ms;
};

struct watch;
/* Called when it is time to list: once from the loop right after watch_new(), and then after each
 * settled hint and each relist. The watches stand before it is called, so nothing can slip between
 * list and watch. May free the watch. */
typedef void watch_fn(void *ctx);
/* Works as well for directories that hold other things than manifests (secrets): names are not
 * looked at. A missing directory is no error. `times` may be NULL. INVALID for an empty list or
 * name, UNAVAILABLE when inotify can't be had. */
struct err *watch_new(sd_event *loop, const struct str_list *dirs, const struct watch_times *times,
                      watch_fn *changed, void *ctx, struct watch **ret) ERR_NODISCARD;
struct watch *watch_free(struct watch *w);
/* Looks again soon, as if something had changed. */
void watch_poke(struct watch *w);
/* Why some change might only be seen by the relist (a missing directory, no inotify watches left);
 * NULL when all is watched. Borrowed until the next call of watch_fn. */
const char *watch_problem(const struct watch *w);
/* Hints that inotify gave so far, for tests and metrics. */
uint64_t watch_hints(const struct watch *w);

enum {
    FILES_MAX = 4096,
    FILES_MAX_BYTES = 64 * 1024 * 1024, /* of all files together */
};

/* The files of the directories and their subdirectories (at most 8 deep): *.yaml, *.yml, *.json;
 * not hidden ones, not editors' leavings (*~, #*#, *.swp, 4913). Symlinks are followed when they
 * end inside the root, and never list a file twice; the root may be a symlink. Each file is read
 * whole up to MANIFEST_MAX_BYTES + 1, never blocking on a FIFO, and again when it changed
 * meanwhile. Sorted by path: the root as given, "/", and the rest; bytes that are no printable
 * UTF-8 are shown as \xNN. What should be a manifest and can't be read is an entry with `error`.
 * UNAVAILABLE when a directory is missing or unreadable, INVALID over the limits: the whole listing
 * is then *unknown*, nothing is listed. */
struct read_file {
    char *path;
    char *bytes; /* NULL when `error` is set; NUL-terminated for convenience */
    size_t n;
    char *error;
};
struct file_listing {
    struct read_file *files;
    size_t len;
};
struct err *files_list(const struct str_list *dirs, struct file_listing *ret) ERR_NODISCARD;
/* Explicit files or directories, for `validate` and `render`: a file is taken whatever its ending,
 * through any symlink, and may be a pipe. One that can't be read is an entry with `error`. */
struct err *files_read(const struct str_list *paths, struct file_listing *ret) ERR_NODISCARD;
/* A zeroed listing is fine. */
void file_listing_done(struct file_listing *l);
/* Views for manifest_load(); free(*ret) only. */
void file_listing_inputs(const struct file_listing *l, struct manifest_input **ret);

#endif
