/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's execution, driven one request and one answer at a time. */
#ifndef BOTTLER_TESTS_UNIT_RECONCILE_EXEC_FIXTURE_H
#define BOTTLER_TESTS_UNIT_RECONCILE_EXEC_FIXTURE_H

#include "reconcile/backoff.h"
#include "reconcile/exec.h"
#include "spec/base/xalloc.h"
#include "tests/torture/variants.h"
#include "tests/unit/support.h"

/* NOLINTBEGIN(bugprone-suspicious-include): the parts of one test program. */
#include "tests/torture/model.c"
#include "tests/torture/model_api.c"
#include "tests/torture/model_container.c"
#include "tests/torture/model_open.c"
#include "tests/torture/model_proxy.c"
#include "tests/torture/variants.c"
/* NOLINTEND(bugprone-suspicious-include) */

struct rig {
    struct variants v;
    struct memory memory;
    struct engine_caps caps;
    struct plan *plan;
    struct exec *exec;
    struct exec_request q;
};

static inline void set_up(struct rig *r)
{
    *r = (struct rig){.caps = {.api_minor = 47, .multi_endpoint = true}, .plan = plan_new("demo")};
    variants_init(&r->v, "demo");
}

static inline int step(struct rig *r, struct step_init s)
{
    return plan_add(r->plan, &s);
}

static inline void begin(struct rig *r)
{
    char agent_id[] = "n-agent";
    char chain_id[] = "n-chain";
    const struct observed_network agent = {.id = agent_id};
    const struct observed_network chain = {.id = chain_id};
    const struct observed_network *nets[NET_COUNT] = {[NET_AGENT] = &agent, [NET_CHAIN] = &chain};
    r->exec = exec_new(r->plan, r->v.of[V_BASE], nets, &r->memory, &r->caps);
}

static inline void tear_down(struct rig *r)
{
    exec_request_done(&r->q);
    exec_free(r->exec);
    plan_free(r->plan);
    memory_done(&r->memory);
    variants_done(&r->v);
}

static inline void next(struct rig *r)
{
    exec_request_done(&r->q);
    assert_true(exec_next(r->exec, NS_PER_S, &r->q));
}

static inline void feed(struct rig *r, int status, const char *body)
{
    struct response a = {.status = status, .body = sv_of(body)};
    exec_feed(r->exec, r->q.step, &a, NS_PER_S);
}

static inline void failed(const struct rig *r, enum err_kind kind, const char *part)
{
    const struct err *e = exec_error(r->exec);
    assert_non_null(e);
    if (err_kind(e) != kind || !strstr(err_message(e), part))
        fail_msg("%s: %s", err_kind_name(err_kind(e)), err_message(e));
    assert_true(exec_finished(r->exec));
}

#endif
