/* SPDX-License-Identifier: Apache-2.0 */
/* What `run` and `plan` make of the command line. */
#ifndef BOTTLER_CONTROLLER_RUN_OPTIONS_H
#define BOTTLER_CONTROLLER_RUN_OPTIONS_H

#include "controller/cli.h"
#include "controller/controller.h"

/* Borrows from `cli`. INVALID when something is missing or too much. */
struct err *run_options(const struct cli *cli, struct controller_options *ret) ERR_NODISCARD;

#endif
