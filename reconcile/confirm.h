/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which policy a proxy runs, from its own log. pipelock 2.3.0 logs JSON lines "startup" and
 * "config_reload" (status success) with config_hash = SHA-256 of the file's bytes; the egress proxy
 * logs "routes_loaded" with routes_sha256 and generation, then "canary" once it has refused itself
 * a URL that no table allows.
 */
#ifndef BOTTLER_RECONCILE_CONFIRM_H
#define BOTTLER_RECONCILE_CONFIRM_H

#include "render/names.h"
#include "spec/base/str.h"

#include <stdbool.h>

struct confirm {
    enum role role;
    char *config_hash; /* the last that was named */
    char *generation;
    bool canary;    /* denied, for that generation */
    char *last_bad; /* the last line that spoke of an error, one line, for messages */
};
void confirm_init(struct confirm *c, enum role role);
void confirm_done(struct confirm *c);
/* One log line. True when it changed what is known. */
bool confirm_line(struct confirm *c, struct sv line);
/* Complete: a hash, and for egress the canary of its generation too. */
bool confirm_complete(const struct confirm *c);

#endif
