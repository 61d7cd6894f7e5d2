/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one scalar of a manifest may be. A check accepts `text` and gives its normal form, or says
 * in `why` (appended; one line) what was expected and returns false, *ret untouched.
 */
#ifndef BOTTLER_SPEC_CHECK_H
#define BOTTLER_SPEC_CHECK_H

#include "spec/base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CHECK_NAME_MAX = 40,
    CHECK_HOST_MAX = 253,
    CHECK_HOST_LABEL_MAX = 63,
    CHECK_PATH_MAX = 1024,
    CHECK_TEXT_MAX = 1024,
    CHECK_ENV_VALUE_MAX = 32 * 1024,
    CHECK_CONTENT_MAX = 128 * 1024,
    CHECK_WHY_MAX = 2048,
};

typedef bool check_text_fn(const char *text, struct str *why, char **ret);
typedef bool check_number_fn(const char *text, struct str *why, int64_t *ret);

/* check_text.c */
check_text_fn check_name;      /* RFC 1123 label, at most CHECK_NAME_MAX */
check_text_fn check_uid;       /* metadata.uid */
check_text_fn check_label_key; /* [prefix/]name; not one of ours or the engine's */
check_text_fn check_label_value;
check_text_fn check_text;         /* a line of text, not empty */
check_text_fn check_content;      /* any text, may be empty */
check_text_fn check_argument;     /* a word of a command line; may be empty */
check_text_fn check_image;        /* image reference */
check_text_fn check_image_prefix; /* registry[/path], for a policy; without a '/' at the end */
check_text_fn check_user;         /* uid[:gid] or names */
check_text_fn check_runtime;
check_text_fn check_volume;      /* name of a volume, without the bottle's part */
check_text_fn check_env_name;    /* not one that bottler sets itself */
check_text_fn check_secret_name; /* a bare reference NAME */
check_text_fn check_preset;
check_text_fn check_person; /* git user.name */
check_text_fn check_email;
check_text_fn check_repo_name;
/* True when bottler sets this variable of the agent itself, in either letter case. */
bool env_name_is_reserved(const char *name);
/* The value of an environment variable: a literal, or a secret for a whole-value ${NAME}. Exactly
 * one of the two is set on success. */
bool check_env_value(const char *text, struct str *why, char **ret_value, char **ret_secret);

/* check_path.c: paths of file systems */
check_text_fn check_path;         /* absolute, clean, not "/" */
check_text_fn check_mount_source; /* and doesn't break the seal */
check_text_fn check_mount_target; /* and isn't one of bottler's or the kernel's */
check_text_fn check_file_path;
/* True when `path` is `dir` or lies below it. Both are clean. */
bool path_is_within(const char *path, const char *dir);

/* check_net.c */
check_text_fn check_host;         /* exact, lower-cased; what both proxies can express */
check_text_fn check_host_pattern; /* the same, or "*." and a domain, for a policy */
check_text_fn check_url_path;     /* of a request: one strict grammar, no encoded tricks */
check_text_fn check_method;       /* upper-cased token, not CONNECT or TRACE */
check_text_fn check_header_name;  /* lower-cased token */
check_text_fn check_header_value;
check_text_fn check_cidr; /* canonical IPv4 or IPv6 network; an address becomes /32, /128 */

/* check_git.c */
check_text_fn check_ssh_url;  /* ssh://[user@]host[:port]/path */
check_text_fn check_host_key; /* "ssh-ed25519 AAAA…": type and key, the comment dropped */

/* check_number.c */
check_number_fn check_memory;   /* bytes: 2Gi, 512M, 1073741824 */
check_number_fn check_cpus;     /* nano CPUs: 1.5 */
check_number_fn check_mode;     /* permission bits: 0644 */
check_number_fn check_time;     /* Unix seconds: 2026-12-01T00:00:00Z */
check_number_fn check_duration; /* seconds, 1m to 30d: 90m, 4h, 2d */
/* A part of each day, in minutes from midnight UTC: 22:00-06:00. Never empty; may wrap midnight. */
bool check_window(const char *text, struct str *why, int *ret_from_min, int *ret_to_min);

/* Appends "expected <what>, got 'text'"; false, for `return`. */
bool check_refuse(struct str *why, const char *text, const char *what);
/* The same with ": <detail>" at the end. */
bool check_refuse_detail(struct str *why, const char *text, const char *what, const char *detail);

#endif
