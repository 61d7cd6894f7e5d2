/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the `git` program on a repository of ours. What talks to a remote reads the user's
 * configuration (credential helpers, proxies) and has the user's ssh; everything else sees no
 * configuration but what is given here. No hook, no prompt, no maintenance, no replaced objects;
 * what comes in is checked by git's fsck.
 */
#ifndef BOTTLER_CONTROLLER_GIT_RUN_H
#define BOTTLER_CONTROLLER_GIT_RUN_H

#include "controller/child.h"

enum {
    GIT_ARGS_MAX = 20,
    GIT_TIMEOUT_S = 60,
    GIT_FETCH_TIMEOUT_S = 600,
    GIT_PACK_MAX_MIB = 1024, /* of any one file that a fetch writes */
};

/* All of it borrowed for the call. */
struct git_job {
    const char *program; /* another than git, without git's options; NULL: git */
    const char *args[GIT_ARGS_MAX + 1];
    bool network;   /* it asks the remote */
    bool has_stdin; /* else it is /dev/null */
    int stdin_fd;
    size_t out_max;     /* bytes that it may print */
    unsigned timeout_s; /* 0: GIT_TIMEOUT_S */
};

/* As child_run(), but a program that can't be run is UNAVAILABLE here: it may be installed. */
struct err *git_job_start(sd_event *loop, const char *repo, const struct git_job *job,
                          child_ended_fn *ended, void *ctx, struct child **ret) ERR_NODISCARD;

#endif
