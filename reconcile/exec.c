/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/exec.h"

#include "reconcile/exec_internal.h"
#include "render/text_clean.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

enum { PROBLEM_MAX = 2048 };

struct exec *exec_new(const struct plan *plan, const struct desired *desired,
                      const struct observed_network *const nets[NET_COUNT], struct memory *memory,
                      const struct engine_caps *caps)
{
    struct exec *x = xcalloc(1, sizeof(*x));
    size_t n = plan->steps_len;
    *x = (struct exec){.plan = plan,
                       .desired = desired,
                       .memory = memory,
                       .caps = caps,
                       .state = xcalloc(n, sizeof(*x->state)),
                       .confirms = xcalloc(n, sizeof(*x->confirms)),
                       .problems = xcalloc(n, sizeof(*x->problems)),
                       .error_step = STEP_NONE};
    for (int i = 0; i < NET_COUNT; i++)
        x->net_id[i] = nets[i] ? xstrdup(nets[i]->id) : NULL;
    for (size_t i = 0; i < n; i++)
        confirm_init(&x->confirms[i], plan->steps[i].role);
    return x;
}

struct exec *exec_free(struct exec *x)
{
    if (!x)
        return NULL;
    for (size_t i = 0; i < x->plan->steps_len; i++) {
        confirm_done(&x->confirms[i]);
        free(x->problems[i]);
    }
    free(x->confirms);
    free(x->problems);
    free(x->state);
    for (int i = 0; i < NET_COUNT; i++)
        free(x->net_id[i]);
    for (int i = 0; i < ROLE_COUNT; i++) {
        free(x->ctr_id[i]);
        free(x->since[i]);
    }
    free(x->guard_id);
    free(x->roots);
    err_free(x->error);
    free(x);
    return NULL;
}

void exec_request_done(struct exec_request *q)
{
    free(q->path);
    secret_wipe(q->body, q->body_n);
    free(q->body);
    *q = (struct exec_request){0};
}

static bool ready(const struct exec *x, size_t i)
{
    const struct step *s = &x->plan->steps[i];
    if (x->state[i] != STEP_WAITING)
        return false;
    for (unsigned d = 0; d < s->deps_len; d++) {
        if (x->state[s->deps[d]] != STEP_DONE)
            return false;
    }
    return true;
}

static void fail(struct exec *x, int step, struct err *e_take)
{
    x->state[step] = STEP_FAILED;
    if (x->error) {
        err_ignore(e_take, "the first failure is the one that is told");
        return;
    }
    x->error = e_take;
    x->error_step = step;
}

/* Roots that were found already, or a volume of files that is empty: nothing to send. */
static bool needless(const struct exec *x, const struct step *s)
{
    return s->kind == STEP_CTR_ROOTS && x->roots;
}

/* From here on it may have happened, whatever is answered. */
static void note_sent(struct exec *x, const struct step *s, uint64_t now_ns)
{
    bool another = s->kind == STEP_CTR_START || s->kind == STEP_CTR_RENAME;
    if (s->kind == STEP_CTR_START && s->again)
        memory_note_restart(x->memory, s->object, now_ns);
    else if (another && s->role == ROLE_AGENT)
        memory_forget_restart(x->memory, s->object); /* how the one before it ended isn't its */
    if (s->kind == STEP_CTR_START)
        memory_forget_policy(x->memory, exec_container_id(x, s));
    else if (s->kind == STEP_CTR_UPLOAD && s->hot_only)
        memory_void_policy(x->memory, exec_container_id(x, s));
}

bool exec_next(struct exec *x, uint64_t now_ns, struct exec_request *ret)
{
    for (size_t i = 0; i < x->plan->steps_len; i++) {
        const struct step *s = &x->plan->steps[i];
        if (!ready(x, i))
            continue;
        if (needless(x, s)) {
            x->state[i] = STEP_DONE;
            continue;
        }
        *ret = (struct exec_request){.step = (int)i, .of = s};
        struct err *e = exec_build(x, (int)i, ret);
        if (e) {
            exec_request_done(ret);
            fail(x, (int)i, e);
            continue;
        }
        note_sent(x, s, now_ns);
        x->state[i] = STEP_SENT;
        return true;
    }
    return false;
}

static bool log_line(struct exec *x, int step, struct sv line)
{
    const struct step *s = &x->plan->steps[step];
    struct confirm *c = &x->confirms[step];
    confirm_line(c, line);
    if (s->kind == STEP_CTR_SCAN || !x->desired)
        return true;
    const struct desired_container *want = desired_find(x->desired, s->role);
    if (!want || !confirm_complete(c) || strcmp(c->config_hash, want->config_hash) != 0)
        return true;
    return want->generation && strcmp(c->generation, want->generation) != 0;
}

static void progress_line(struct exec *x, int step, struct sv line)
{
    json_t *v = json_loadb(line.p, line.n, 0, NULL);
    const char *text =
        json_string_value(json_object_get(json_object_get(v, "errorDetail"), "message"));
    if (!text)
        text = json_string_value(json_object_get(v, "error"));
    if (text) {
        free(x->problems[step]);
        x->problems[step] = text_clean(sv_of(text), PROBLEM_MAX);
    }
    json_decref(v);
}

bool exec_line(struct exec *x, int step, struct sv line)
{
    enum step_kind k = x->plan->steps[step].kind;
    if (k == STEP_CTR_CONFIRM || k == STEP_CTR_SCAN)
        return log_line(x, step, line);
    progress_line(x, step, line);
    return true;
}

void exec_feed(struct exec *x, int step, const struct response *r, uint64_t now_ns)
{
    assert(x->state[step] == STEP_SENT);
    struct err *e = exec_answer(x, step, r, now_ns);
    if (e)
        fail(x, step, e);
    else
        x->state[step] = STEP_DONE;
}

bool exec_finished(const struct exec *x)
{
    for (size_t i = 0; i < x->plan->steps_len; i++) {
        if (x->state[i] == STEP_SENT || ready(x, i))
            return false;
    }
    return true;
}

const struct err *exec_error(const struct exec *x)
{
    return x->error;
}

const struct step *exec_current(const struct exec *x)
{
    if (x->error_step != STEP_NONE)
        return &x->plan->steps[x->error_step];
    for (size_t i = 0; i < x->plan->steps_len; i++) {
        if (x->state[i] == STEP_SENT)
            return &x->plan->steps[i];
    }
    return NULL;
}

const struct plan *exec_plan(const struct exec *x)
{
    return x->plan;
}
