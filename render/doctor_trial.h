/* SPDX-License-Identifier: Apache-2.0 */
/* The program of `doctor`'s trial (sidecars/doctor/trial.py), carried in this library. */
#ifndef BOTTLER_RENDER_DOCTOR_TRIAL_H
#define BOTTLER_RENDER_DOCTOR_TRIAL_H

#include "render/names.h"
#include "spec/base/str.h"

#include <jansson.h>

#define DOCTOR_DIR "/bottler-doctor"
#define DOCTOR_ROLE "doctor" /* label of what the trial makes; nothing else of ours is on it */

struct sv doctor_trial_program(void);

/* POST /networks/create: internal, as bottler makes them, or (`sealed` false) without any care. The
 * bridge has a name of its own choice when it is sealed. */
json_t *doctor_network_body(const char *name, const char *bridge, const char *subnet, bool sealed,
                            bool isolated_gw);
/* POST /containers/create on that network; `sealed` as an agent is (with bottler's own profile of
 * system calls on an engine with a weak one), else with the engine's own settings. */
json_t *doctor_container_body(const char *image, const char *network, bool sealed,
                              bool weak_seccomp);
/* What the program is told; `trial` is part of the name that it looks up. */
json_t *doctor_trial_input(const char *nonce, const char *trial, const struct str_list *addresses,
                           uint16_t port);

#endif
