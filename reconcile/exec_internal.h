/* SPDX-License-Identifier: Apache-2.0 */
/* Private to reconcile/exec*.c. */
#ifndef BOTTLER_RECONCILE_EXEC_INTERNAL_H
#define BOTTLER_RECONCILE_EXEC_INTERNAL_H

#include "reconcile/confirm.h"
#include "reconcile/exec.h"

enum step_state { STEP_WAITING, STEP_SENT, STEP_DONE, STEP_FAILED };

struct exec {
    const struct plan *plan;
    const struct desired *desired;
    struct memory *memory;
    const struct engine_caps *caps;
    enum step_state *state;
    struct confirm *confirms; /* per step */
    char **problems;          /* per step: what a stream of progress lines said went wrong */
    char *net_id[NET_COUNT];
    char *ctr_id[ROLE_COUNT]; /* made by this plan */
    char *guard_id;           /* the same */
    char *roots;              /* the agent image's own trust store */
    size_t roots_n;
    char *since[ROLE_COUNT]; /* the engine's clock before it was started or told, "s.ns" */
    struct err *error;
    int error_step;
};

/* reconcile/exec_request.c */
struct err *exec_build(struct exec *x, int step, struct exec_request *ret) ERR_NODISCARD;
const char *exec_container_id(const struct exec *x, const struct step *s);

/* reconcile/exec_answer.c */
/* What the answer means for the step, and what is to be remembered. */
struct err *exec_answer(struct exec *x, int step, const struct response *r, uint64_t now_ns)
    ERR_NODISCARD;

#endif
