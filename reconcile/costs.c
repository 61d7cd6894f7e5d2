/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/costs.h"

#include "spec/base/xalloc.h"

#include <string.h>

/* ---- what differs ---------------------------------------------------------------------------- */

static const char *value_of(const struct kv_list *l, const char *key)
{
    for (size_t i = 0; l && i < l->len; i++) {
        if (strcmp(l->items[i].key, key) == 0)
            return l->items[i].value;
    }
    return NULL;
}

static bool is_other(const struct cost_input *in, const char *reference)
{
    const char *old = value_of(in->old_secrets, reference);
    const char *new = value_of(in->new_secrets, reference);
    return old && new &&strcmp(old, new) != 0;
}

static bool has_field(const struct change_list *l, const char *field)
{
    for (size_t i = 0; i < l->len; i++) {
        if (strcmp(l->items[i].field, field) == 0)
            return true;
    }
    return false;
}

/* A field that refers to it, unless the field itself is another one now. `row`: its path in the
 * table. */
static void add_secret(const struct cost_input *in, const char *reference, const char *row,
                       char *field_take, struct change_list *ret)
{
    enum change_class class = CHANGE_AGENT;
    if (!is_other(in, reference) || has_field(ret, field_take)) {
        free(field_take);
        return;
    }
    err_ignore(field_change_class(row, &class), "the worst, for what the table doesn't have");
    ret->items = xreallocarray(ret->items, ret->len + 1, sizeof(*ret->items));
    ret->items[ret->len++] = (struct change){.field = field_take,
                                             .old_text = xasprintf("%s *** (before)", reference),
                                             .new_text = xasprintf("%s *** (after)", reference),
                                             .change = class,
                                             .loses_state = class == CHANGE_AGENT,
                                             .reason = "the secret has another value"};
}

static void add_secrets(const struct cost_input *in, struct change_list *ret)
{
    const struct bottle *b = in->bottle;
    for (size_t i = 0; i < b->agent.env_len; i++) {
        if (b->agent.env[i].secret)
            add_secret(in, b->agent.env[i].secret, "spec.agent.env.*",
                       xasprintf("spec.agent.env.%s", b->agent.env[i].name), ret);
    }
    for (size_t i = 0; i < b->agent.files_len; i++) {
        if (b->agent.files[i].secret)
            add_secret(in, b->agent.files[i].secret, "spec.agent.files[].secret",
                       xasprintf("spec.agent.files[%s].secret", b->agent.files[i].path), ret);
    }
    for (size_t i = 0; i < b->egress.routes_len; i++) {
        if (b->egress.routes[i].token_ref)
            add_secret(in, b->egress.routes[i].token_ref, "spec.egress.routes[].auth.token_ref",
                       xasprintf("spec.egress.routes[%s].auth.token_ref", b->egress.routes[i].host),
                       ret);
    }
}

static int by_cost(const void *a, const void *b)
{
    const struct change *x = a;
    const struct change *y = b;
    if (x->change != y->change)
        return x->change > y->change ? -1 : 1;
    return strcmp(x->field, y->field);
}

void costs_find(const struct cost_input *in, struct change_list *ret)
{
    *ret = (struct change_list){0};
    if (!in->old_text)
        return;
    if (strcmp(in->old_text, in->bottle->text) != 0)
        changes_find_with(in->old_text, in->bottle->text, in->defaults, ret);
    add_secrets(in, ret);
    if (ret->len)
        qsort(ret->items, ret->len, sizeof(*ret->items), by_cost);
}

/* ---- what becomes of the containers ---------------------------------------------------------- */

const char *fate_name(enum fate f)
{
    static const char *const names[FATE_COUNT] = {
        [FATE_UNTOUCHED] = "untouched", [FATE_UPDATED] = "updated",
        [FATE_RELOADED] = "reloaded",   [FATE_INTERRUPTED] = "interrupted",
        [FATE_STARTED] = "started",     [FATE_STOPPED] = "stopped",
        [FATE_CREATED] = "created",     [FATE_REPLACED] = "replaced",
        [FATE_REMOVED] = "removed",
    };
    return names[f];
}

/* What a single step does to the container under its final name. */
static enum fate fate_of_step(const struct step *s)
{
    switch ((int)s->kind) {
    case STEP_CTR_UPDATE:
        return FATE_UPDATED;
    case STEP_CTR_SIGNAL:
        return FATE_RELOADED;
    case STEP_CTR_PAUSE:
    case STEP_CTR_UNPAUSE:
    case STEP_NET_CONNECT:
    case STEP_NET_DISCONNECT:
        return s->next ? FATE_UNTOUCHED : FATE_INTERRUPTED;
    case STEP_CTR_START:
        return s->next ? FATE_UNTOUCHED : FATE_STARTED;
    case STEP_CTR_STOP:
        return s->next ? FATE_UNTOUCHED : FATE_STOPPED;
    case STEP_CTR_CREATE:
        return s->next ? FATE_UNTOUCHED : FATE_CREATED;
    case STEP_CTR_RENAME:
        return FATE_REPLACED;
    case STEP_CTR_REMOVE:
        return s->next ? FATE_UNTOUCHED : FATE_REMOVED;
    default:
        return FATE_UNTOUCHED;
    }
}

static bool is_of_container(const struct step *s)
{
    bool net = s->kind == STEP_NET_CONNECT || s->kind == STEP_NET_DISCONNECT;
    return net || (s->kind >= STEP_CTR_CREATE && s->kind <= STEP_CTR_RENAME);
}

enum fate plan_fate(const struct plan *p, enum role role)
{
    enum fate worst = FATE_UNTOUCHED;
    bool comes = false;
    bool goes = false;
    for (size_t i = 0; i < p->steps_len; i++) {
        const struct step *s = &p->steps[i];
        if (s->role != role || !is_of_container(s))
            continue;
        enum fate f = fate_of_step(s);
        comes = comes || f == FATE_CREATED || f == FATE_REPLACED;
        goes = goes || f == FATE_REMOVED;
        worst = f > worst ? f : worst;
    }
    return comes && goes ? FATE_REPLACED : worst;
}

const char *change_effect(enum change_class c)
{
    switch (c) {
    case CHANGE_NONE:
        return "nothing on the engine changes";
    case CHANGE_LIVE:
        return "the agent goes on with other limits";
    case CHANGE_RELOAD:
        return "the agent goes on";
    case CHANGE_SIDECAR:
        return "the agent goes on; what runs through the replaced proxy ends";
    case CHANGE_AGENT:
    case CHANGE_UNSET:
        break;
    }
    return "the agent is replaced: what runs in it ends, its mounts stay";
}

/* ---- shown ----------------------------------------------------------------------------------- */

json_t *fates_json(const struct plan *p)
{
    json_t *o = XNN(json_object());
    for (int r = 0; r < ROLE_COUNT; r++)
        json_object_set_new(o, role_info((enum role)r)->name,
                            XNN(json_string(fate_name(plan_fate(p, (enum role)r)))));
    return o;
}

json_t *changes_json(const struct change_list *l)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < l->len; i++) {
        const struct change *c = &l->items[i];
        json_array_append_new(
            list, XNN(json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:s, s:b}", "field", c->field, "old",
                                c->old_text, "new", c->new_text, "class",
                                change_class_name(c->change), "reason", c->reason, "effect",
                                change_effect(c->change), "losesState", (int)c->loses_state)));
    }
    return list;
}

static const char *symbol_of(enum change_class c)
{
    switch (c) {
    case CHANGE_NONE:
        return "=";
    case CHANGE_LIVE:
    case CHANGE_RELOAD:
        return "~";
    case CHANGE_SIDECAR:
    case CHANGE_AGENT:
    case CHANGE_UNSET:
        break;
    }
    return "-/+";
}

void costs_print(const struct plan *p, const struct change_list *l, struct str *out)
{
    for (size_t i = 0; i < l->len; i++) {
        const struct change *c = &l->items[i];
        str_addf(out, "  %-3s %s: %s -> %s  # %s: %s; %s\n", symbol_of(c->change), c->field,
                 c->old_text ? c->old_text : "(none)", c->new_text ? c->new_text : "(none)",
                 change_class_name(c->change), c->reason, change_effect(c->change));
    }
    if (!p || !plan_mutates(p))
        return;
    str_addf(out, "  => agent %s", fate_name(plan_fate(p, ROLE_AGENT)));
    for (int r = 0; r < ROLE_AGENT; r++) {
        enum fate f = plan_fate(p, (enum role)r);
        if (f != FATE_UNTOUCHED)
            str_addf(out, ", %s %s", role_info((enum role)r)->name, fate_name(f));
    }
    str_addc(out, '\n');
}
