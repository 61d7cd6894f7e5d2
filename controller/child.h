/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program beside the event loop. It gets a session of its own, so there is no terminal
 * to ask on and one signal reaches all that it starts; the environment that is given and no other;
 * no descriptor but the three; no signal blocked or ignored; and it dies with us. What it prints is
 * kept up to a bound. Nothing here blocks the loop.
 */
#ifndef BOTTLER_CONTROLLER_CHILD_H
#define BOTTLER_CONTROLLER_CHILD_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <systemd/sd-event.h>

#include <stdint.h>

enum {
    CHILD_TERM_MS = 2000, /* from SIGTERM to SIGKILL */
};

/* All of it borrowed for the call of child_run(). */
struct child_spec {
    char *const *argv; /* NULL-terminated; argv[0] without a '/' is looked for in our PATH */
    char *const *env;  /* NULL-terminated "NAME=value" */
    int stdin_fd;      /* -1: /dev/null */
    size_t out_max;    /* more on stdout ends the program */
    size_t err_max;    /* more on stderr is dropped */
    unsigned timeout_ms;
    uint64_t file_max; /* bytes of any one file that it writes; 0: as many as we may */
};

enum child_how {
    CHILD_EXITED,    /* `code` is its exit code */
    CHILD_SIGNALLED, /* by somebody else or itself; `code` is the signal */
    CHILD_TIMED_OUT, /* it was ended */
    CHILD_FLOODED,   /* it was ended: more than out_max on stdout */
};

struct child_end {
    enum child_how how;
    int code;
    struct sv out, err; /* valid for the call; NUL-terminated */
};

struct child;
/* Called once, from the loop, when the program has ended; what it left of its process group is
 * gone. Has to free the child, then or later. */
typedef void child_ended_fn(void *ctx, const struct child_end *end);

/* INVALID when the program can't be run (not there, not executable), UNAVAILABLE when no process or
 * descriptor can be had. */
struct err *child_run(sd_event *loop, const struct child_spec *spec, child_ended_fn *ended,
                      void *ctx, struct child **ret) ERR_NODISCARD;
/* Kills the group if the program still runs, and waits for the kernel to have ended it; `ended` is
 * not called any more. NULL is fine. Returns NULL. */
struct child *child_free(struct child *c);

#endif
