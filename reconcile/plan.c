/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/plan.h"

#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

struct kind_info {
    const char *name;
    char symbol;
    bool mutates;
};

static const struct kind_info *kind_info(enum step_kind k)
{
    static const struct kind_info table[STEP_KIND_COUNT] = {
        [STEP_IMAGE_INSPECT] = {"image.inspect", '?', false},
        [STEP_IMAGE_PULL] = {"image.pull", '+', true},
        [STEP_NET_CREATE] = {"network.create", '+', true},
        [STEP_NET_CONNECT] = {"network.connect", '~', true},
        [STEP_NET_DISCONNECT] = {"network.disconnect", '~', true},
        [STEP_NET_INSPECT] = {"network.inspect", '?', false},
        [STEP_NET_REMOVE] = {"network.remove", '-', true},
        [STEP_VOL_CREATE] = {"volume.create", '+', true},
        [STEP_VOL_REMOVE] = {"volume.remove", '-', true},
        [STEP_CTR_CREATE] = {"container.create", '+', true},
        [STEP_CTR_ROOTS] = {"container.roots", '?', false},
        [STEP_CTR_UPLOAD] = {"container.upload", '~', true},
        [STEP_CLOCK] = {"engine.clock", '?', false},
        [STEP_CTR_START] = {"container.start", '~', true},
        [STEP_CTR_SIGNAL] = {"container.reload", '~', true},
        [STEP_CTR_CONFIRM] = {"container.confirm", '?', false},
        [STEP_CTR_INSPECT] = {"container.inspect", '?', false},
        [STEP_CTR_SCAN] = {"container.scan", '?', false},
        [STEP_CTR_VERIFY] = {"container.verify", '?', false},
        [STEP_CTR_UPDATE] = {"container.update", '~', true},
        [STEP_CTR_PAUSE] = {"container.pause", '~', true},
        [STEP_CTR_UNPAUSE] = {"container.unpause", '~', true},
        [STEP_CTR_STOP] = {"container.stop", '~', true},
        [STEP_CTR_REMOVE] = {"container.remove", '-', true},
        [STEP_CTR_RENAME] = {"container.rename", '~', true},
        [STEP_GUARD_CREATE] = {"guard.create", '+', true},
        [STEP_GUARD_UPLOAD] = {"guard.upload", '~', true},
        [STEP_GUARD_START] = {"guard.start", '~', true},
        [STEP_GUARD_WAIT] = {"guard.wait", '?', false},
        [STEP_GUARD_REMOVE] = {"guard.remove", '-', true},
    };
    return &table[k];
}

const char *step_kind_name(enum step_kind k)
{
    return kind_info(k)->name;
}

bool step_mutates(enum step_kind k)
{
    return kind_info(k)->mutates;
}

struct plan *plan_new(const char *bottle)
{
    struct plan *p = xcalloc(1, sizeof(*p));
    p->bottle = xstrdup(bottle);
    return p;
}

void plan_drop_steps(struct plan *p)
{
    for (size_t i = 0; i < p->steps_len; i++) {
        free(p->steps[i].object);
        free(p->steps[i].id);
        free(p->steps[i].detail);
    }
    free(p->steps);
    p->steps = NULL;
    p->steps_len = 0;
}

struct plan *plan_free(struct plan *p)
{
    if (p) {
        plan_drop_steps(p);
        free(p->bottle);
        free(p->why);
        free(p->waits);
        free(p);
    }
    return NULL;
}

int plan_add(struct plan *p, const struct step_init *values)
{
    p->steps = xreallocarray(p->steps, p->steps_len + 1, sizeof(*p->steps));
    p->steps[p->steps_len] = (struct step){
        .kind = values->kind,
        .role = values->role,
        .net = values->net,
        .next = values->next,
        .hot_only = values->hot_only,
        .trust_only = values->trust_only,
        .again = values->again,
        .object = xstrdup_null(values->object),
        .id = xstrdup_null(values->id),
        .detail = xstrdup_null(values->detail),
        .cause = values->cause,
    };
    return (int)p->steps_len++;
}

void plan_after(struct plan *p, int step, int dep)
{
    if (dep == STEP_NONE || step == STEP_NONE || dep == step)
        return;
    struct step *s = &p->steps[step];
    for (unsigned i = 0; i < s->deps_len; i++) {
        if (s->deps[i] == dep)
            return;
    }
    assert(s->deps_len < STEP_MAX_DEPS);
    s->deps[s->deps_len++] = dep;
}

void plan_set_hold(struct plan *p, enum plan_hold hold, char *why_take)
{
    if (p->hold) {
        free(why_take);
        return;
    }
    p->hold = hold;
    p->why = why_take;
}

bool plan_mutates(const struct plan *p)
{
    for (size_t i = 0; i < p->steps_len; i++) {
        if (step_mutates(p->steps[i].kind))
            return true;
    }
    return false;
}

void plan_print(const struct plan *p, struct str *out)
{
    for (size_t i = 0; i < p->steps_len; i++) {
        const struct step *s = &p->steps[i];
        const struct kind_info *k = kind_info(s->kind);
        str_addf(out, "  %c %-18s %s%s", k->symbol, k->name, s->object ? s->object : "",
                 s->next ? NEXT_SUFFIX : "");
        if (s->detail)
            str_addf(out, " (%s)", s->detail);
        str_addf(out, ": %s\n", s->cause ? s->cause : "");
    }
    if (p->why)
        str_addf(out, "  ! held: %s\n", p->why);
    if (p->waits)
        str_addf(out, "  ! the agent is not replaced yet: %s\n", p->waits);
}

json_t *plan_json(const struct plan *p)
{
    json_t *steps = XNN(json_array());
    for (size_t i = 0; i < p->steps_len; i++) {
        const struct step *s = &p->steps[i];
        json_t *deps = XNN(json_array());
        for (unsigned d = 0; d < s->deps_len; d++)
            json_array_append_new(deps, json_integer(s->deps[d]));
        json_array_append_new(
            steps, XNN(json_pack("{s:I, s:s, s:s?, s:s?, s:s?, s:b, s:b, s:o}", "step",
                                 (json_int_t)i, "kind", step_kind_name(s->kind), "object",
                                 s->object, "detail", s->detail, "cause", s->cause, "next", s->next,
                                 "mutates", step_mutates(s->kind), "after", deps)));
    }
    return XNN(json_pack("{s:s, s:o, s:s?, s:s?, s:b}", "bottle", p->bottle, "steps", steps, "held",
                         p->why, "waits", p->waits, "mutates", plan_mutates(p)));
}
