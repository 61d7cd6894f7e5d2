/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/pinned.h"

#include "controller/log.h"
#include "spec/base/xalloc.h"
#include "spec/defaults.h"

#include <string.h>

struct pin {
    char *bottle;
    struct defaults *defaults; /* NULL: they can't be read */
    bool complete;             /* there is no field that they don't know */
};

struct pinned {
    struct state *state;
    struct pin *pins; /* by bottle */
    size_t len;
};

struct pinned *pinned_new(struct state *s)
{
    struct pinned *p = xcalloc(1, sizeof(*p));
    p->state = s;
    return p;
}

static void pin_done(struct pin *pin)
{
    free(pin->bottle);
    defaults_free(pin->defaults);
}

struct pinned *pinned_free(struct pinned *p)
{
    for (size_t i = 0; p && i < p->len; i++)
        pin_done(&p->pins[i]);
    if (p)
        free(p->pins);
    free(p);
    return NULL;
}

/* Where it is, or would be. */
static size_t place(const struct pinned *p, const char *bottle, bool *ret_there)
{
    size_t low = 0;
    size_t high = p->len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(p->pins[mid].bottle, bottle) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_there = low < p->len && strcmp(p->pins[low].bottle, bottle) == 0;
    return low;
}

static struct pin *insert(struct pinned *p, size_t at, const char *bottle,
                          struct defaults *defaults_take)
{
    p->pins = xreallocarray(p->pins, p->len + 1, sizeof(*p->pins));
    memmove(&p->pins[at + 1], &p->pins[at], (p->len - at) * sizeof(*p->pins));
    p->len++;
    p->pins[at] = (struct pin){.bottle = xstrdup(bottle), .defaults = defaults_take};
    return &p->pins[at];
}

static struct err *load(const struct pinned *p, const char *bottle, struct defaults **ret)
{
    AUTO_FREE char *text = NULL;
    TRY(state_load_note(p->state, bottle, "defaults", DEFAULTS_MAX_BYTES, &text));
    return text ? defaults_parse(text, ret) : NULL;
}

/* NULL: nothing is pinned. */
static struct pin *obtain(struct pinned *p, const char *bottle)
{
    bool there = false;
    size_t at = place(p, bottle, &there);
    if (there && p->pins[at].defaults)
        return &p->pins[at];
    struct defaults *d = NULL;
    AUTO_ERR e = load(p, bottle, &d);
    if (e && !there)
        log_at(LOG_ERROR,
               "bottle=%s the defaults it was accepted with can't be read: %s; it isn't changed "
               "until they can",
               bottle, err_message(e));
    if (there && (e || d)) {
        p->pins[at].defaults = d;
        return &p->pins[at];
    }
    return e || d ? insert(p, at, bottle, d) : NULL;
}

const struct defaults *pinned_get(struct pinned *p, const char *bottle)
{
    const struct pin *pin = p ? obtain(p, bottle) : NULL;
    return pin ? pin->defaults : NULL;
}

static const struct defaults *defaults_of(void *ctx, const char *bottle)
{
    return pinned_get(ctx, bottle);
}

void pinned_rules(struct pinned *p, struct manifest_rules *rules)
{
    rules->defaults = defaults_of;
    rules->defaults_ctx = p;
}

static void pin_it(struct pinned *p, const char *bottle, const char *text)
{
    struct defaults *d = NULL;
    AUTO_ERR e = state_store_note(p->state, bottle, "defaults", text);
    if (!e)
        e = defaults_parse(text, &d);
    if (e) {
        log_at(LOG_ERROR, "bottle=%s keeping the defaults it was accepted with: %s, retrying",
               bottle, err_message(e));
        return;
    }
    pinned_forget(p, bottle);
    bool there = false;
    size_t at = place(p, bottle, &there);
    insert(p, at, bottle, d)->complete = true;
}

void pinned_keep(struct pinned *p, const char *bottle)
{
    struct pin *pin = obtain(p, bottle);
    if (pin && (pin->complete || !pin->defaults))
        return;
    AUTO_FREE char *text = pin ? defaults_completed(pin->defaults) : defaults_text();
    if (text)
        pin_it(p, bottle, text);
    else
        pin->complete = true;
}

void pinned_forget(struct pinned *p, const char *bottle)
{
    bool there = false;
    size_t at = p ? place(p, bottle, &there) : 0;
    if (!there)
        return;
    pin_done(&p->pins[at]);
    p->len--;
    memmove(&p->pins[at], &p->pins[at + 1], (p->len - at) * sizeof(*p->pins));
}
