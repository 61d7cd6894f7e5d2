/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What names a place in a git repository: URL, ref, path. Pure. Only https, ssh, git and file (also
 * as user@host:path and as an absolute path) are addresses here: never a remote helper, which would
 * be a command.
 */
#ifndef BOTTLER_CONTROLLER_GIT_URL_H
#define BOTTLER_CONTROLLER_GIT_URL_H

#include "spec/base/err.h"

#include <stdbool.h>

/* Stands for what is not shown. */
#define GIT_URL_MASK "***"

enum {
    GIT_COMMIT_HEX = 40,
    GIT_URL_MAX = 2048,
    GIT_REF_MAX = 255,
    GIT_PATH_MAX = 1024,
};

/* INVALID says what was expected; a password of the URL is not in the message. */
struct err *git_url_check(const char *url) ERR_NODISCARD;
/* The directory that a URL of this host names; NULL: it names none, or `url` is NULL. Borrowed. */
const char *git_url_local(const char *url);
/* A branch, a tag, a full name (refs/…), HEAD, or a full commit id. */
struct err *git_ref_check(const char *ref) ERR_NODISCARD;
/* A directory in the repository: relative, no "." or "..", nothing hidden. "" is its top. */
struct err *git_path_check(const char *path) ERR_NODISCARD;
bool git_is_commit(const char *text);

/* The URL as it may be shown: what a user name or a password could give away is "***". ssh's user
 * name stays, it is no secret. The caller frees. */
char *git_url_shown(const char *url);
/* What a program of git has printed, as one line fit for people: advice and progress left out,
 * nothing unprintable, every userinfo of a URL, and that of `url` wherever it stands, as "***". The
 * caller frees; "" when nothing is left. */
char *git_words(const char *printed, const char *url);

#endif
