/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/rotation.h"

#include "reconcile/clock.h"
#include "reconcile/rotation.h"
#include "spec/base/xalloc.h"

#include <string.h>
#include <time.h>

static const enum role roles[] = {ROLE_EGRESS, ROLE_PIPELOCK};
enum { ROLES = sizeof(roles) / sizeof(roles[0]), TRUST_MAX = 256 };

static const struct ca_turn *turn_of(const struct worker *w, enum role role)
{
    return role == ROLE_EGRESS ? &w->identity.egress_beside.turn
                               : &w->identity.pipelock_beside.turn;
}

static char *agent_name(const struct worker *w)
{
    return object_name(w->c->opt.instance, w->name, role_info(ROLE_AGENT)->name);
}

struct err *rotation_load(struct worker *w)
{
    AUTO_FREE char *text = NULL;
    TRY(state_load_note(w->c->state, w->name, "trust", TRUST_MAX, &text));
    char *blank = text ? strchr(text, ' ') : NULL;
    if (!blank)
        return NULL;
    *blank = '\0';
    AUTO_FREE char *name = agent_name(w);
    memory_put_trust(&w->c->memory, name, text, blank + 1);
    *blank = ' ';
    free(w->trust);
    w->trust = TAKE_PTR(text);
    return NULL;
}

static void tell_failure(const struct worker *w, const struct err *e)
{
    journal_add(w->c->journal, w->name, JOURNAL_WARNING, "CaRotationFailed",
                xasprintf("%s, retrying; the CAs stay as they are", err_message(e)));
}

static char *time_text(int64_t s)
{
    char text[CLOCK_TEXT];
    clock_format(s, text);
    return xstrdup(text);
}

static void tell(const struct worker *w, enum role role, enum ca_move move)
{
    const char *name = role_info(role)->name;
    const struct ca_turn *t = turn_of(w, role);
    AUTO_FREE char *end = time_text(t->life.until);
    AUTO_FREE char *next = time_text(ca_due_at(t));
    if (move == CA_INTRODUCE)
        journal_add(w->c->journal, w->name, JOURNAL_NORMAL, "CaIntroduced",
                    xasprintf("the CA of %s ends %s: the next one is trusted too, and signs from "
                              "%s on",
                              name, end, next));
    else if (move == CA_SWITCH)
        journal_add(w->c->journal, w->name, JOURNAL_NORMAL, "CaSwitched",
                    xasprintf("the new CA of %s signs, until %s; the old one is trusted until %s",
                              name, end, next));
    else
        journal_add(
            w->c->journal, w->name, JOURNAL_NORMAL, "CaRetired",
            xasprintf("the old CA of %s is trusted no more; the new one ends %s", name, end));
}

static bool take(struct worker *w, enum role role, enum ca_move move)
{
    struct state *s = w->c->state;
    AUTO_ERR e = move == CA_INTRODUCE ? state_ca_introduce(s, w->name, role, &w->identity)
                 : move == CA_SWITCH  ? state_ca_switch(s, w->name, role, &w->identity)
                                      : state_ca_retire(s, w->name, role, &w->identity);
    if (e)
        tell_failure(w, e);
    else
        tell(w, role, move);
    return !e;
}

/* Else a restart would give the agent once more what it has. */
bool rotation_save(struct worker *w)
{
    struct controller *c = w->c;
    struct bottle_view v;
    bottle_view(c->observed, &c->memory, w->name, &v);
    const struct observed_container *agent = v.roles[ROLE_AGENT].container;
    const char *hash = agent ? memory_trust(&c->memory, agent->id) : NULL;
    if (!hash)
        return true;
    AUTO_FREE char *text = xasprintf("%s %s", agent->id, hash);
    if (w->trust && strcmp(w->trust, text) == 0)
        return true;
    AUTO_ERR e = state_store_note(c->state, w->name, "trust", text);
    if (e) {
        tell_failure(w, e);
        return false;
    }
    free(w->trust);
    w->trust = TAKE_PTR(text);
    return true;
}

void rotation_begin(struct worker *w)
{
    for (size_t i = 0; i < ROLES; i++) {
        enum ca_move move = ca_due(turn_of(w, roles[i]), false, (int64_t)time(NULL));
        if (move != CA_STAY)
            (void)take(w, roles[i], move);
    }
}

bool rotation_switch(struct worker *w, const struct desired *d)
{
    struct controller *c = w->c;
    struct bottle_view v;
    bottle_view(c->observed, &c->memory, w->name, &v);
    bool any = false;
    bool everywhere = ca_is_everywhere(d, &v, &c->memory);
    for (size_t i = 0; i < ROLES; i++) {
        if (ca_due(turn_of(w, roles[i]), everywhere, (int64_t)time(NULL)) == CA_SWITCH)
            any = take(w, roles[i], CA_SWITCH) || any;
    }
    return any;
}

json_t *rotation_json(const struct worker *w)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < ROLES && w->have_identity; i++) {
        const struct ca_turn *t = turn_of(w, roles[i]);
        AUTO_FREE char *end = time_text(t->life.until);
        AUTO_FREE char *next = time_text(ca_due_at(t));
        json_array_append_new(
            list,
            XNN(json_pack("{s:s, s:s, s:s, s:s}", "role", role_info(roles[i])->name, "expires", end,
                          "stage", ca_stage_name(t->stage), "nextStageAt", next)));
    }
    return list;
}
