/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets in an agent's environment. Inside render/ only. */
#ifndef BOTTLER_RENDER_AGENT_ENV_H
#define BOTTLER_RENDER_AGENT_ENV_H

#include "render/parts.h"

#include <stdbool.h>

/* Whose files an agent's are. Not known: the manifest names no user, or by name; then root's. */
struct agent_owner {
    unsigned uid, gid;
    bool known;
};

bool agent_env_has_secrets(const struct agent_spec *a);
/* Adds the launcher and the file that it reads. NOT_FOUND as part_secret(); INVALID when a value
 * can't be that of a variable, or all of them are too long. No message holds a value. */
struct err *agent_env_files(const struct part *p, struct agent_owner owner, struct file_list *files)
    ERR_NODISCARD;

#endif
