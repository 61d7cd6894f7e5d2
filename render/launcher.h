/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that puts secrets into the agent's environment (sidecars/agent/launch.c), carried in
 * this library as the bytes of its executable.
 */
#ifndef BOTTLER_RENDER_LAUNCHER_H
#define BOTTLER_RENDER_LAUNCHER_H

#include "spec/base/str.h"

/* What the launcher reads at most. */
enum { LAUNCHER_ENV_MAX_BYTES = 1 << 20 };

struct sv launcher_bytes(void);
/* What it was built for, in the engine's words: "amd64", "arm64", …; "" when there is no word. */
const char *launcher_arch(void);

#endif
