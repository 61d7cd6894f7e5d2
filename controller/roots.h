/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which directories the manifests came from. One that was unmounted, or removed and made again, is
 * empty and can be read: that its manifests have gone isn't believed. It is told by what the root
 * was when it last held a manifest: its device, its inode, its birth, its mount. A root whose path
 * now leads elsewhere (a symlink swapped on purpose) may be another directory, but not on another
 * device.
 */
#ifndef BOTTLER_CONTROLLER_ROOTS_H
#define BOTTLER_CONTROLLER_ROOTS_H

#include "controller/watch.h"
#include "spec/base/str.h"

#include <stdbool.h>

struct roots;
struct roots *roots_new(const struct str_list *dirs);
struct roots *roots_free(struct roots *r);

/* What is to be listed: all but those that are missing and believed to be (roots_believe()).
 * Valid until the next call. */
const struct str_list *roots_look(struct roots *r);
/* After that listing. Whether something is doubted that wasn't before; of a root that couldn't be
 * listed nothing is said anew. */
bool roots_listed(struct roots *r, const struct file_listing *files);
/* Why nobody should believe that what `file` held has gone: borrowed; NULL: it is believed. A file
 * below none of the roots, or NULL: of any root. */
const char *roots_doubt(const struct roots *r, const char *file);
/* Is `file` below a root that isn't there now? NULL, or below none: is any? */
bool roots_missing(const struct roots *r, const char *file);
/* What is doubted, or was missing in the last listing and still is, is empty on purpose, until it
 * is there again. */
void roots_believe(struct roots *r);

/* What a later run has to know, as JSON; the caller frees. */
char *roots_text(const struct roots *r);
/* A text that isn't one of these is left out. */
void roots_restore(struct roots *r, const char *text);

#endif
