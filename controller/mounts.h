/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of the host that no bottle may mount, for what only a running controller knows: where
 * the engine's socket and data are, and its own state, secrets and manifests. What the path alone
 * tells is spec/'s to refuse (check_mount_source).
 */
#ifndef BOTTLER_CONTROLLER_MOUNTS_H
#define BOTTLER_CONTROLLER_MOUNTS_H

#include "spec/bottle.h"

#include <stdbool.h>

struct mount_guard;
/* `local`: the engine's host is ours, so that paths mean the same here as there. */
struct mount_guard *mount_guard_new(bool local);
struct mount_guard *mount_guard_free(struct mount_guard *g);
/* `path` may be NULL (ignored), relative, or not there (yet). `what` is "the state directory". A
 * path that `what` had before is replaced. */
void mount_guard_set(struct mount_guard *g, const char *what, const char *path);
/* The same, beside others of this name. */
void mount_guard_add(struct mount_guard *g, const char *what, const char *path);
/* Looks again at what the guarded paths are now. To be called before a round of questions. */
void mount_guard_refresh(struct mount_guard *g);

/* Why it may not be mounted, owned by the caller; NULL: it may. A source that is, holds or lies in
 * something guarded is refused: by its name, and on the engine's own host also when it is the same
 * directory under another name (a link, a bind mount). */
char *mount_guard_refusal(const struct mount_guard *g, const char *source);

/* What an engine on this host would make of the source: NULL when it is a directory or a file
 * without a link on the way, or isn't there (then the engine says so). Else why not, owned by the
 * caller. An engine follows links at each start, and can't be told not to. */
char *mount_source_fault(const struct mount_guard *g, const char *source);

#endif
