/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/torture/driver.h"

#include "reconcile/backoff.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

const char *fault_name(enum fault f)
{
    static const char *const names[FAULT_COUNT] = {
        "none", "refused",   "reset",        "404",         "409",
        "500",  "truncated", "crash before", "crash after", "edit"};
    return names[f];
}

void world_init(struct world *w, struct model *m_take)
{
    *w = (struct world){.m = m_take,
                        .caps = {.api_minor = m_take->api_minor,
                                 .cpus = 2,
                                 .multi_endpoint = m_take->api_minor >= 44,
                                 .icc_off_works = true,
                                 .arch = "amd64"},
                        .now_ns = NS_PER_S};
    struct err *e = pool_parse("10.213.0.0/16", &w->pool);
    assert_null(e);
}

void world_add(struct world *w, const char *bottle, const struct desired *want)
{
    assert_true(w->bottles_len < WORLD_BOTTLES);
    w->bottles[w->bottles_len++] =
        (struct world_bottle){.name = bottle, .want = want, .edited = want};
}

static void bottle_stop(struct world_bottle *b)
{
    b->exec = exec_free(b->exec);
    b->plan = plan_free(b->plan);
    free(b->held);
    b->held = NULL;
}

void world_done(struct world *w)
{
    for (size_t i = 0; i < w->flying_len; i++)
        exec_request_done(&w->flying[i].q);
    for (size_t i = 0; i < w->bottles_len; i++)
        bottle_stop(&w->bottles[i]);
    memory_done(&w->memory);
    w->m = model_free(w->m);
}

static struct observed *look(struct world *w)
{
    AUTO_FREE char *c = model_list_containers(w->m);
    AUTO_FREE char *n = model_list_networks(w->m);
    AUTO_FREE char *v = model_list_volumes(w->m);
    struct observed *o = NULL;
    AUTO_ERR e = observed_parse(MODEL_INSTALLATION, sv_of(c), sv_of(n), sv_of(v), &o);
    if (e)
        model_violate(w->m, "the lists can't be read: %s", err_message(e));
    return o;
}

static bool working(const struct world *w)
{
    for (size_t i = 0; i < w->bottles_len; i++) {
        if (w->bottles[i].exec)
            return true;
    }
    return false;
}

static void forget_policies(struct world *w, const struct observed *o)
{
    if (w->busy_neighbours || working(w))
        return;
    struct str_list ids = {0};
    for (size_t i = 0; i < o->containers_len; i++) {
        const struct observed_container *c = &o->containers[i];
        if (c->proven && (c->state == RUN_RUNNING || c->state == RUN_PAUSED))
            str_list_add(&ids, c->id);
    }
    memory_keep_policies(&w->memory, &ids);
    str_list_done(&ids);
}

static void expect(struct world *w, const struct world_bottle *b)
{
    const struct desired_container *p = b->want ? desired_find(b->want, ROLE_PIPELOCK) : NULL;
    const struct desired_container *e = b->want ? desired_find(b->want, ROLE_EGRESS) : NULL;
    if (p && e)
        model_expect_policy(w->m, b->name, p->config_hash, e->config_hash, e->generation);
}

static void reserved(const struct world *w, struct cidr_set *ret)
{
    for (size_t i = 0; i < w->bottles_len; i++) {
        const struct plan *p = w->bottles[i].exec ? w->bottles[i].plan : NULL;
        for (size_t k = 0; p && k < p->steps_len; k++) {
            struct cidr slice;
            if (p->steps[k].kind == STEP_NET_CREATE && cidr_parse(p->steps[k].detail, &slice))
                cidr_set_add(ret, slice);
        }
    }
}

static void print_plan(const struct world_bottle *b)
{
    struct str s;
    str_init(&s, 1 << 20);
    plan_print(b->plan, &s);
    print_message("plan of %s:\n%s", b->name, s.p);
    str_done(&s);
}

static void begin(struct world *w, struct world_bottle *b, const struct observed *o)
{
    struct bottle_view v;
    bottle_view(o, &w->memory, b->name, &v);
    b->running = b->want;
    b->exec = exec_new(b->plan, b->running, v.nets, &w->memory, &w->caps);
}

static void pass(struct world *w, struct world_bottle *b)
{
    struct observed *o = look(w);
    if (!o)
        return;
    forget_policies(w, o);
    expect(w, b);
    struct cidr_set promised = {0};
    reserved(w, &promised);
    struct diff_input in = {.instance = "bottler",
                            .bottle = b->name,
                            .desired = b->want,
                            .observed = o,
                            .memory = &w->memory,
                            .pool = &w->pool,
                            .reserved = &promised,
                            .caps = &w->caps,
                            .now_ns = w->now_ns};
    bottle_stop(b);
    b->plan = diff(&in);
    cidr_set_done(&promised);
    w->passes++;
    if (w->passes < w->trace)
        print_plan(b);
    if (b->plan->hold) {
        b->held = xstrdup(b->plan->why);
        if (b->plan->steps_len && b->plan->hold != HOLD_IMAGE)
            model_violate(w->m, "a plan that is held has steps");
    }
    b->due_ns = b->plan->not_before_ns;
    b->settled = !b->plan->steps_len && !b->plan->not_before_ns;
    if (b->settled && b->plan->hold == HOLD_IMAGE && b->held_looks++ < HELD_LOOKS) {
        b->settled = false;
        b->due_ns = w->now_ns + MEMORY_IMAGE_NS + 1;
    }
    if (b->settled)
        b->failures = 0;
    if (b->plan->steps_len)
        begin(w, b, o);
    observed_free(o);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Gives the lines of a stream; the number of those that were taken. */
static size_t give_lines(struct exec *x, const struct world_flight *f, const struct model_answer *a,
                         size_t n, bool *ret_satisfied)
{
    *ret_satisfied = false;
    for (size_t i = 0; i < n && i < a->lines.len; i++) {
        if (!exec_line(x, f->q.step, sv_of(a->lines.items[i]))) {
            *ret_satisfied = true;
            return i + 1;
        }
    }
    return n < a->lines.len ? n : a->lines.len;
}

static void feed_error(struct world *w, struct exec *x, int step, enum err_kind kind,
                       const char *text)
{
    AUTO_ERR e = err_new(kind, "%s", text);
    struct response r = {.error = e};
    exec_feed(x, step, &r, w->now_ns);
}

static void feed_answer(struct world *w, const struct world_flight *f, struct model_answer *a,
                        bool truncated)
{
    struct world_bottle *b = &w->bottles[f->bottle];
    size_t lines = truncated ? a->lines.len / 2 : a->lines.len;
    bool satisfied = false;
    if (f->q.answer != ANSWER_BODY && a->status == 200) {
        size_t told = give_lines(b->exec, f, a, lines, &satisfied);
        if (f->q.answer == ANSWER_LOG)
            model_log_told(w->m, f->q.path, a, told);
        if (truncated && !satisfied) {
            feed_error(w, b->exec, f->q.step, ERR_UNAVAILABLE, "the stream broke off");
            return;
        }
        const struct model_container *k = model_find(w->m, f->q.of->id ? f->q.of->id : "");
        bool ended = k && k->state != RUN_RUNNING;
        if (f->q.of->kind == STEP_CTR_CONFIRM && !satisfied && !ended) {
            feed_error(w, b->exec, f->q.step, ERR_TIMEOUT, "timed out");
            return;
        }
    }
    size_t n = truncated ? a->body_n / 2 : a->body_n;
    struct response r = {.status = a->status, .body = {a->body, n}};
    exec_feed(b->exec, f->q.step, &r, w->now_ns);
}

static void perform(struct world *w, const struct world_flight *f, struct model_answer *a)
{
    if (f->q.of->kind == STEP_CTR_CONFIRM)
        model_settle(w->m); /* a followed log is waited for */
    model_request(w->m, f->q.method, f->q.path, (struct sv){f->q.body, f->q.body_n}, a);
}

/* What flies when the controller dies may or may not arrive. */
void world_crash(struct world *w)
{
    for (size_t i = 0; i < w->flying_len; i++) {
        struct model_answer a;
        if (w->shuffle && prng_next(&w->rng) & 1) {
            perform(w, &w->flying[i], &a);
            model_answer_done(&a);
        }
        exec_request_done(&w->flying[i].q);
    }
    w->flying_len = 0;
    for (size_t i = 0; i < w->bottles_len; i++) {
        bottle_stop(&w->bottles[i]);
        w->bottles[i].settled = false;
        w->bottles[i].due_ns = 0;
        w->bottles[i].failures = 0;
        w->bottles[i].held_looks = 0;
    }
    /* All but this is gone: it is on disk. */
    struct known_trust *trusts = w->memory.trusts;
    size_t trusts_len = w->memory.trusts_len;
    w->memory.trusts = NULL;
    w->memory.trusts_len = 0;
    memory_done(&w->memory);
    w->memory.trusts = trusts;
    w->memory.trusts_len = trusts_len;
    model_forget_told(w->m);
    w->now_ns += NS_PER_S;
}

static void feed_refusal(struct world *w, const struct world_flight *f, enum fault fault)
{
    static const char body[] = "{\"message\":\"something else\"}";
    struct response r = {.body = {body, sizeof(body) - 1}};
    if (fault == FAULT_404 && f->q.of->kind == STEP_CTR_ROOTS)
        w->m->no_roots = true; /* that is what it says */
    r.status = fault == FAULT_404 ? 404 : fault == FAULT_409 ? 409 : 500;
    exec_feed(w->bottles[f->bottle].exec, f->q.step, &r, w->now_ns);
}

static void answer_flight(struct world *w, const struct world_flight *f, enum fault fault)
{
    struct exec *x = w->bottles[f->bottle].exec;
    struct model_answer a = {0};
    switch (fault) {
    case FAULT_REFUSED:
        feed_error(w, x, f->q.step, ERR_UNAVAILABLE, "connection refused");
        return;
    case FAULT_404:
    case FAULT_409:
    case FAULT_500:
        feed_refusal(w, f, fault);
        return;
    case FAULT_CRASH_BEFORE:
        world_crash(w);
        return;
    case FAULT_NONE:
    case FAULT_RESET:
    case FAULT_TRUNCATED:
    case FAULT_CRASH_AFTER:
    case FAULT_EDIT:
    case FAULT_COUNT:
        break;
    }
    perform(w, f, &a);
    if (fault == FAULT_RESET)
        feed_error(w, x, f->q.step, ERR_UNAVAILABLE, "connection reset");
    else if (fault == FAULT_CRASH_AFTER)
        world_crash(w);
    else
        feed_answer(w, f, &a, fault == FAULT_TRUNCATED);
    model_answer_done(&a);
}

static void edit(struct world *w)
{
    for (size_t i = 0; i < w->bottles_len; i++) {
        w->bottles[i].want = w->bottles[i].edited;
        w->bottles[i].settled = false;
        w->bottles[i].failures = 0;
    }
}

static void step_once(struct world *w)
{
    size_t pick = w->shuffle ? (size_t)(prng_next(&w->rng) % w->flying_len) : 0;
    struct world_flight f = w->flying[pick];
    w->flying_len--;
    memmove(&w->flying[pick], &w->flying[pick + 1], (w->flying_len - pick) * sizeof(f));
    bool now = w->forever ? w->requests >= w->fault_at : w->requests == w->fault_at;
    enum fault fault = now ? w->fault : FAULT_NONE;
    if (w->passes < w->trace)
        print_message("%3zu %s %s%s%s\n", w->requests, f.q.method, f.q.path, fault ? "   <-- " : "",
                      fault ? fault_name(fault) : "");
    w->requests++;
    answer_flight(w, &f, fault);
    if (fault == FAULT_EDIT)
        edit(w);
    exec_request_done(&f.q);
}

static void take_off(struct world *w)
{
    for (size_t i = 0; i < w->bottles_len; i++) {
        struct world_bottle *b = &w->bottles[i];
        struct exec_request q;
        while (b->exec && w->flying_len < WORLD_FLYING && exec_next(b->exec, w->now_ns, &q))
            w->flying[w->flying_len++] = (struct world_flight){i, q};
    }
}

static bool flies(const struct world *w, size_t bottle)
{
    for (size_t i = 0; i < w->flying_len; i++) {
        if (w->flying[i].bottle == bottle)
            return true;
    }
    return false;
}

/* Ends what has ended, as the controller's worker does. */
static void land(struct world *w)
{
    for (size_t i = 0; i < w->bottles_len; i++) {
        struct world_bottle *b = &w->bottles[i];
        if (!b->exec || flies(w, i))
            continue;
        if (!exec_finished(b->exec)) {
            model_violate(w->m, "nothing is under way, but the plan has not ended");
            return;
        }
        const struct err *e = exec_error(b->exec);
        if (e && w->passes < w->trace)
            print_message("failed: %s\n", err_message(e));
        if (e && (err_kind(e) == ERR_INVALID || err_kind(e) == ERR_DENIED))
            model_violate(w->m, "only an edit is said to help: %s", err_message(e));
        b->failures += e != NULL;
        b->due_ns = e ? w->now_ns + backoff_delay_ns(b->failures, &w->rng) : 0;
        b->exec = exec_free(b->exec);
    }
}

/* The first bottle that may look now; else the clock goes to when one may. NULL: all is done. */
static struct world_bottle *due(struct world *w)
{
    struct world_bottle *first = NULL;
    for (size_t i = 0; i < w->bottles_len; i++) {
        struct world_bottle *b = &w->bottles[i];
        if (b->exec || b->settled)
            continue;
        if (!first || b->due_ns < first->due_ns)
            first = b;
    }
    if (!first || (w->flying_len && first->due_ns > w->now_ns))
        return NULL;
    if (first->due_ns > w->now_ns)
        w->now_ns = first->due_ns;
    return first;
}

void world_run(struct world *w)
{
    for (size_t i = 0; i < w->bottles_len; i++)
        w->bottles[i].settled = false;
    w->passes = 0;
    while (!w->m->violation) {
        struct world_bottle *b = due(w);
        w->now_ns += NS_PER_MS;
        if (b) {
            if (w->passes >= WORLD_PASSES) {
                model_violate(w->m, "no end after %d passes", WORLD_PASSES);
                return;
            }
            pass(w, b);
        } else if (w->flying_len) {
            step_once(w);
        } else {
            return;
        }
        take_off(w);
        land(w);
    }
}
