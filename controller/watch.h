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
/* What happened so far. */
struct watch_counters {
    uint64_t listings;  /* what watch_listed() was told of */
    uint64_t hints;     /* of inotify, and pokes */
    uint64_t overflows; /* of inotify's queue */
    uint64_t relists;   /* because no hint had come for a while */
    uint64_t missed;    /* of these, that found something changed */
};
const struct watch_counters *watch_counters(const struct watch *w);
/* For the callee, after it has listed: a number that is another when the listing is. */
void watch_listed(struct watch *w, uint64_t digest);

enum {
    FILES_MAX = 4096,                   /* of all sources together; one that goes beyond it */
    FILES_MAX_BYTES = 64 * 1024 * 1024, /* is unknown */
};

/* The files of the directories and their subdirectories (at most 8 deep): *.yaml, *.yml, *.json;
 * not hidden ones, not editors' leavings (*~, #*#, *.swp, 4913). Symlinks are followed when they
 * end inside the root, and never list a file twice; the root may be a symlink. Each file is read
 * whole up to MANIFEST_MAX_BYTES + 1, never blocking on a FIFO, and again when it changed
 * meanwhile. By source, then sorted by path: the root as given, "/", and the rest; bytes that are
 * no printable UTF-8 are shown as \xNN. What should be a manifest and can't be read is an entry
 * with `error`; so is a directory of which nobody knows what is in it, with `tree`: a root or a
 * subdirectory that is missing, unreadable, over the limits, or that is swapped all the time. */
struct read_file {
    char *path;
    char *bytes; /* NULL when `error` is set; NUL-terminated for convenience */
    size_t n;
    char *error;
    bool tree;
    bool directory; /* no file, though its name is a manifest's; what is below it is listed */
    unsigned source;
};
/* One of the directories that were to be listed; the first has the most priority. */
struct file_source {
    char *dir;
    char *revision; /* of a directory that is swapped as a whole (tree.h); NULL: it isn't */
    char *error;    /* why nothing of it is known; NULL: it was listed */
    bool whole;     /* its files can't be half written */
};
struct file_listing {
    struct read_file *files;
    size_t len;
    struct file_source *sources;
    size_t sources_len;
};
void files_list(const struct str_list *dirs, struct file_listing *ret);
/* A path, or a message with one, as it may be shown: bytes that are no printable UTF-8 as \xNN. The
 * caller frees it. */
char *files_text(const char *path);
/* Explicit files or directories, for `validate` and `render`: a file is taken whatever its ending,
 * through any symlink, and may be a pipe. One that can't be read is an entry with `error`. */
struct err *files_read(const struct str_list *paths, struct file_listing *ret) ERR_NODISCARD;
/* A zeroed listing is fine. */
void file_listing_done(struct file_listing *l);
/* Views for manifest_load(), one for each file; free(*ret) only. */
void file_listing_inputs(const struct file_listing *l, struct manifest_input **ret);
/* What is unknown and why, in one line; NULL: nothing. The caller frees it. */
char *file_listing_unknown(const struct file_listing *l);
/* Equal for listings that say the same. */
uint64_t file_listing_digest(const struct file_listing *l);

#endif
