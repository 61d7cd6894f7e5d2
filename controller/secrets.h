/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret references: --secrets DIR first (a file per name), then $CREDENTIALS_DIRECTORY, then the
 * controller's environment. The first place that has the name decides, even when what it has can't
 * be used: an emptied file is a revoked secret, not a reason to look further.
 *
 * Files must be regular, at most 64 KiB, owned by root or by us, and closed to others: mode & 077
 * is 0, or the directory's is (nobody else can come near the file), as with projected volumes. In
 * $CREDENTIALS_DIRECTORY the group may read, because the service manager grants itself access by an
 * ACL, which shows there. Nobody but the owner may ever write. Symlinks are followed when they stay
 * inside the directory (`NAME -> ..data/NAME`). One trailing newline is dropped; NUL, other line
 * ends and empty values are refused.
 */
#ifndef BOTTLER_CONTROLLER_SECRETS_H
#define BOTTLER_CONTROLLER_SECRETS_H

#include "render/desired.h"
#include "spec/base/err.h"

#include <stdbool.h>

enum { SECRET_MAX_BYTES = 64 * 1024, SECRET_NAME_MAX = 128 };

/* Owns names and values; wiped when done. In the order of the references. */
struct secret_set {
    struct render_secret *items;
    size_t len;
    char **owned; /* two an item: name, value */
};
/* Every name of `refs`; `dir` may be NULL. All or nothing: the err names every reference that
 * couldn't be had, and why, never a value. NOT_FOUND when all that is wrong is missing or empty,
 * UNAVAILABLE when a directory or a file can't be read, else INVALID. */
struct err *secrets_resolve(const char *dir, const struct str_list *refs, struct secret_set *ret)
    ERR_NODISCARD;
void secret_set_done(struct secret_set *s);

/* [A-Za-z_][A-Za-z0-9_]*, at most SECRET_NAME_MAX. */
bool secret_name_ok(const char *name);

#endif
