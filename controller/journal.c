/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/journal.h"

#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <string.h>
#include <time.h>

struct journal {
    struct journal_hooks hooks;
    struct journal_entry *entries[JOURNAL_MAX]; /* by seq */
    size_t len;
    uint64_t last;
};

static int64_t system_ms(void *ctx)
{
    struct timespec t = {0};
    (void)ctx;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct journal *journal_new(const struct journal_hooks *hooks)
{
    struct journal *j = xcalloc(1, sizeof(*j));
    j->hooks = *hooks;
    if (!j->hooks.now_ms)
        j->hooks.now_ms = system_ms;
    return j;
}

static void entry_free(struct journal_entry *e)
{
    free(e->bottle);
    free(e->message);
    free(e);
}

struct journal *journal_free(struct journal *j)
{
    if (!j)
        return NULL;
    for (size_t i = 0; i < j->len; i++)
        entry_free(j->entries[i]);
    free(j);
    return NULL;
}

/* ---- text that came from anywhere ---- */

/* Bytes of the UTF-8 character at `p`, 0 when it is none or not printable. */
static size_t printable(const unsigned char *p)
{
    if (p[0] < 0x80)
        return p[0] >= ' ' && p[0] != 0x7F;
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    AUTO_FREE char *one = xmemdup0(p, strnlen((const char *)p, n));
    json_t *utf8 = json_string(one); /* NULL unless it is UTF-8 */
    bool ok = utf8 && !(p[0] == 0xC2 && p[1] < 0xA0);
    json_decref(utf8);
    return ok ? n : 0;
}

static char *clean(const char *text, size_t max)
{
    static const char cut[] = "...";
    struct str s;
    str_init(&s, max);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = printable(p);
        if (s.len + (n ? n : 1) + strlen(cut) > max) {
            str_add(&s, cut);
            break;
        }
        str_addn(&s, n ? (const char *)p : "?", n ? n : 1);
        p += n ? n : 1;
    }
    return str_take(&s);
}

/* ---- the ring ---- */

static bool same(const struct journal_entry *a, const struct journal_entry *b)
{
    return a->type == b->type && strcmp(a->reason, b->reason) == 0 &&
           strcmp(a->message, b->message) == 0;
}

static struct journal_entry *take_out(struct journal *j, size_t at)
{
    struct journal_entry *e = j->entries[at];
    j->len--;
    memmove(&j->entries[at], &j->entries[at + 1], (j->len - at) * sizeof(struct journal_entry *));
    return e;
}

/* The entry that `e` repeats, taken out; NULL: it is a new one. */
static struct journal_entry *repeated(struct journal *j, const struct journal_entry *e)
{
    unsigned seen = 0;
    for (size_t i = j->len; i-- > 0 && seen < JOURNAL_FOLD_SPAN;) {
        if (strcmp(j->entries[i]->bottle, e->bottle) != 0)
            continue;
        seen++;
        if (same(j->entries[i], e))
            return take_out(j, i);
    }
    return NULL;
}

/* Room for one more of this bottle: its own oldest goes before anybody else's. */
static void make_room(struct journal *j, const char *bottle)
{
    size_t own = 0;
    size_t oldest = 0;
    for (size_t i = j->len; i-- > 0;) {
        if (strcmp(j->entries[i]->bottle, bottle) == 0) {
            own++;
            oldest = i;
        }
    }
    if (own >= JOURNAL_MAX_OF_BOTTLE)
        entry_free(take_out(j, oldest));
    else if (j->len == JOURNAL_MAX)
        entry_free(take_out(j, 0));
}

void journal_add(struct journal *j, const char *bottle, enum journal_type type, const char *reason,
                 char *message_take)
{
    AUTO_FREE char *message = message_take;
    if (!j)
        return;
    struct journal_entry *e = xcalloc(1, sizeof(*e));
    *e = (struct journal_entry){.type = type,
                                .reason = reason,
                                .bottle = clean(bottle ? bottle : "", JOURNAL_BOTTLE_MAX),
                                .message = clean(message, JOURNAL_MESSAGE_MAX),
                                .count = 1};
    e->last_ms = j->hooks.now_ms(j->hooks.ctx);
    e->first_ms = e->last_ms;
    struct journal_entry *old = repeated(j, e);
    if (old) {
        e->first_ms = old->first_ms;
        e->count = old->count + 1;
        entry_free(old);
    } else {
        make_room(j, e->bottle);
    }
    e->seq = ++j->last;
    j->entries[j->len++] = e;
    if (j->hooks.added)
        j->hooks.added(j->hooks.ctx, e);
}

uint64_t journal_last(const struct journal *j)
{
    return j ? j->last : 0;
}

const char *journal_type_name(enum journal_type t)
{
    return t == JOURNAL_WARNING ? "Warning" : "Normal";
}

json_t *journal_json(const struct journal *j)
{
    json_t *items = XNN(json_array());
    for (size_t i = 0; j && i < j->len; i++) {
        const struct journal_entry *e = j->entries[i];
        char first[CLOCK_TEXT];
        char last[CLOCK_TEXT];
        clock_format(e->first_ms / 1000, first);
        clock_format(e->last_ms / 1000, last);
        json_array_append_new(
            items, XNN(json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "seq",
                                 (json_int_t)e->seq, "firstTime", first, "lastTime", last, "bottle",
                                 e->bottle, "type", journal_type_name(e->type), "reason", e->reason,
                                 "message", e->message, "count", (json_int_t)e->count)));
    }
    return XNN(json_pack("{s:s, s:s, s:o}", "apiVersion", "bottler.dev/v1", "kind", "EventList",
                         "items", items));
}

/* ---- conditions ---- */

/* What of a condition's last verdict matters for the next. */
struct before {
    bool present;
    enum truth status;
    const char *reason;
    char *message;
};

/* Reasons that are part of a bottle's ordinary life. */
static bool ordinary(const char *reason)
{
    static const char *const reasons[] = {"Progressing", "Finished",   "NotWanted",   "Suspended",
                                          "Removed",     "NoManifest", "Unconfirmed", "PruneHeld"};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        if (strcmp(reason, reasons[i]) == 0)
            return true;
    }
    return false;
}

static bool differs(const struct before *was, const struct condition *is, bool by_message)
{
    if (was->present != is->present || was->status != is->status)
        return true;
    return by_message && is->present &&
           (strcmp(was->reason, is->reason) != 0 || strcmp(was->message, is->message) != 0);
}

/* Conditions that are good when true and are told when that changes; `good` is the reason then. */
static void tell_truth(struct journal *j, const char *bottle, const struct before *was,
                       const struct condition *is, const char *good)
{
    bool first = !was->present || was->status == TRUTH_UNKNOWN;
    if (is->status == TRUTH_TRUE && was->status != TRUTH_TRUE && !first)
        journal_add(j, bottle, JOURNAL_NORMAL, good, xstrdup(is->message));
    else if (is->status == TRUTH_FALSE && was->status == TRUTH_TRUE)
        journal_add(j, bottle, ordinary(is->reason) ? JOURNAL_NORMAL : JOURNAL_WARNING, is->reason,
                    xstrdup(is->message));
}

/* Each way in which it is open is told, also of a bottle that is found so. */
static void tell_isolated(struct journal *j, const char *bottle, const struct before *was,
                          const struct condition *is)
{
    if (is->status == TRUTH_FALSE && differs(was, is, true))
        journal_add(j, bottle, ordinary(is->reason) ? JOURNAL_NORMAL : JOURNAL_WARNING, is->reason,
                    xstrdup(is->message));
    else if (is->status == TRUTH_TRUE && was->present && was->status == TRUTH_FALSE)
        journal_add(j, bottle, JOURNAL_NORMAL, "Sealed", xstrdup(is->message));
}

static void tell_spec(struct journal *j, const char *bottle, const struct before *was,
                      const struct condition *is)
{
    bool fine = is->status == TRUTH_TRUE || ordinary(is->reason);
    if (differs(was, is, true))
        journal_add(j, bottle, fine ? JOURNAL_NORMAL : JOURNAL_WARNING, is->reason,
                    xstrdup(is->message));
}

static void tell_secrets(struct journal *j, const char *bottle, const struct before *was,
                         const struct condition *is)
{
    if (is->status == TRUTH_FALSE && differs(was, is, true))
        journal_add(j, bottle, JOURNAL_WARNING, is->reason, xstrdup(is->message));
    else if (is->status == TRUTH_TRUE && was->present && was->status == TRUTH_FALSE)
        journal_add(j, bottle, JOURNAL_NORMAL, "SecretsResolved", xstrdup(is->message));
}

static void tell_ready(struct journal *j, const char *bottle, const struct before *was,
                       const struct condition *is)
{
    bool finished = strcmp(is->reason, "Finished") == 0;
    if (is->status == TRUTH_TRUE && was->status != TRUTH_TRUE)
        journal_add(j, bottle, JOURNAL_NORMAL, "Ready",
                    xasprintf("generation %lld: %s", (long long)is->generation, is->message));
    else if (finished && (!was->reason || strcmp(was->reason, is->reason) != 0))
        journal_add(j, bottle, JOURNAL_NORMAL, "Finished", xstrdup(is->message));
    else if (is->status != TRUTH_TRUE && was->present && was->status == TRUTH_TRUE)
        journal_add(j, bottle, ordinary(is->reason) ? JOURNAL_NORMAL : JOURNAL_WARNING, "NotReady",
                    xasprintf("%s: %s", is->reason, is->message));
}

static void tell_stalled(struct journal *j, const char *bottle, const struct before *was,
                         const struct condition *is)
{
    if (is->present && differs(was, is, true))
        journal_add(j, bottle, JOURNAL_WARNING, is->reason, xstrdup(is->message));
}

static void tell_suspended(struct journal *j, const char *bottle, const struct before *was,
                           const struct condition *is)
{
    if (is->present && differs(was, is, true))
        journal_add(j, bottle, JOURNAL_NORMAL, "Suspended", xstrdup(is->message));
    else if (!is->present && was->present)
        journal_add(j, bottle, JOURNAL_NORMAL, "Resumed", xstrdup("it is kept as desired again"));
}

/* Each reason has a name of its own that is told; what is kept on purpose is nothing to warn of. */
static void tell_prune_held(struct journal *j, const char *bottle, const struct before *was,
                            const struct condition *is)
{
    if (is->present && differs(was, is, true))
        journal_add(j, bottle,
                    strcmp(is->reason, "Preserved") == 0 ? JOURNAL_NORMAL : JOURNAL_WARNING,
                    strcmp(is->reason, "MoveOffered") == 0 ? "MoveOffered" : "PruneHeld",
                    xasprintf("%s: %s", is->reason, is->message));
}

void journal_conditions(struct journal *j, const char *bottle, struct conditions *c,
                        const struct status_input *in)
{
    struct before was[COND_COUNT];
    for (int t = 0; t < COND_COUNT; t++) {
        const struct condition *k = &c->of[t];
        was[t] = (struct before){k->present, k->status, k->reason, xstrdup_null(k->message)};
    }
    conditions_update(c, in);
    tell_spec(j, bottle, &was[COND_SPEC_ACCEPTED], &c->of[COND_SPEC_ACCEPTED]);
    tell_secrets(j, bottle, &was[COND_SECRETS_RESOLVED], &c->of[COND_SECRETS_RESOLVED]);
    tell_isolated(j, bottle, &was[COND_ISOLATED], &c->of[COND_ISOLATED]);
    tell_truth(j, bottle, &was[COND_POLICY_EFFECTIVE], &c->of[COND_POLICY_EFFECTIVE],
               "PolicyEffective");
    tell_ready(j, bottle, &was[COND_READY], &c->of[COND_READY]);
    tell_stalled(j, bottle, &was[COND_STALLED], &c->of[COND_STALLED]);
    tell_suspended(j, bottle, &was[COND_SUSPENDED], &c->of[COND_SUSPENDED]);
    tell_prune_held(j, bottle, &was[COND_PRUNE_HELD], &c->of[COND_PRUNE_HELD]);
    for (int t = 0; t < COND_COUNT; t++)
        free(was[t].message);
}
