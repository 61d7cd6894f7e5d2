/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/graves.h"

#include "reconcile/clock.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>

/* ---- words ----------------------------------------------------------------------------------- */

const char *grave_verdict_name(enum grave_verdict v)
{
    static const char *const names[] = {"waits", "held", "due"};
    return names[v];
}

const char *grave_reason_name(enum grave_reason r)
{
    static const char *const names[] = {"None",           "TooMany",     "Suspended",
                                        "SourceReplaced", "MoveOffered", "Preserved"};
    return names[r];
}

bool graves_limits_parse(const char *text, struct graves_limits *ret)
{
    const char *comma = strchr(text, ',');
    const char *share = comma ? comma + 1 : text;
    size_t n = strlen(share);
    bool percent = n && share[n - 1] == '%';
    struct sv count = {text, comma ? (size_t)(comma - text) : n};
    int64_t max = GRAVES_UNLIMITED;
    int64_t of_hundred = 100;
    if ((comma || !percent) && !num_parse(count, 0, GRAVES_UNLIMITED, &max))
        return false;
    if ((comma || percent) &&
        (!percent || !num_parse((struct sv){share, n - 1}, 0, 100, &of_hundred)))
        return false;
    ret->max = (unsigned)max;
    ret->max_percent = (unsigned)of_hundred;
    return true;
}

/* ---- the set --------------------------------------------------------------------------------- */

static void grave_free(struct grave *g)
{
    free(g->name);
    free(g->message);
    free(g);
}

void graves_done(struct graves *g)
{
    for (size_t i = 0; i < g->len; i++)
        grave_free(g->items[i]);
    free(g->items);
    free(g->executed);
    *g = (struct graves){.limits = g->limits};
}

/* Where it is, or belongs. */
static size_t place(const struct graves *g, const char *name, bool *ret_there)
{
    size_t low = 0;
    size_t high = g->len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(g->items[mid]->name, name);
        if (c == 0) {
            *ret_there = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_there = false;
    return low;
}

static struct grave *find(const struct graves *g, const char *name)
{
    bool there = false;
    size_t at = place(g, name, &there);
    return there ? g->items[at] : NULL;
}

const struct grave *graves_find(const struct graves *g, const char *name)
{
    return find(g, name);
}

static void take_out(struct graves *g, size_t at)
{
    grave_free(g->items[at]);
    g->len--;
    memmove(&g->items[at], &g->items[at + 1], (g->len - at) * sizeof(*g->items));
}

static struct grave *dig(struct graves *g, const char *name)
{
    bool there = false;
    size_t at = place(g, name, &there);
    g->items = xreallocarray(g->items, g->len + 1, sizeof(*g->items));
    memmove(&g->items[at + 1], &g->items[at], (g->len - at) * sizeof(*g->items));
    g->len++;
    g->items[at] = xcalloc(1, sizeof(**g->items));
    g->items[at]->name = xstrdup(name);
    return g->items[at];
}

static void drop_wanted(struct graves *g, const struct graves_now *now, struct str_list *ret_back)
{
    size_t k = now->gone_len;
    for (size_t i = g->len; i-- > 0;) {
        while (k > 0 && strcmp(now->gone[k - 1].name, g->items[i]->name) > 0)
            k--;
        if (k > 0 && strcmp(now->gone[k - 1].name, g->items[i]->name) == 0)
            continue;
        if (ret_back)
            str_list_add(ret_back, g->items[i]->name);
        take_out(g, i);
    }
    if (ret_back)
        str_list_sort_unique(ret_back);
}

/* ---- one tombstone --------------------------------------------------------------------------- */

static void say(struct grave *g, char *message_take)
{
    free(g->message);
    g->message = message_take;
}

static void wait_from(struct graves *all, struct grave *g, const struct graves_now *now)
{
    enum { NS_PER_SECOND = 1000000000 };
    char at[CLOCK_TEXT];
    g->verdict = GRAVE_WAITS;
    g->reason = GRAVE_NO_REASON;
    g->since_ns = now->now_ns;
    g->until_ns = now->now_ns + all->limits.grace_ns;
    g->until_s = now->now_s + (int64_t)(all->limits.grace_ns / NS_PER_SECOND);
    clock_format(g->until_s, at);
    say(g, xasprintf("it is deleted at %s unless the manifest comes back", at));
}

static void be_due(struct grave *g)
{
    g->verdict = GRAVE_DUE;
    g->reason = GRAVE_NO_REASON;
    say(g, xstrdup(g->approved || g->released ? "it is being deleted, as approved"
                                              : "it is being deleted"));
}

static void hold(struct grave *g, enum grave_reason reason, char *message_take)
{
    g->verdict = GRAVE_HELD;
    g->reason = reason;
    say(g, message_take);
}

static void hold_preserved(struct grave *g)
{
    hold(
        g, GRAVE_PRESERVED,
        xasprintf("spec.preserve: it is stopped and kept, and starts again when the manifest comes "
                  "back; `bottler prune --approve %s` deletes it",
                  g->name));
}

/* What concerns this bottle alone; false: nothing. */
static bool hold_alone(struct grave *g, const struct grave_facts *f)
{
    if (f->suspended)
        hold(g, GRAVE_SUSPENDED,
             xasprintf("it is suspended, which its manifest's going doesn't end: put the manifest "
                       "back, resume it, or `bottler prune --approve %s`",
                       g->name));
    else if (f->source)
        hold(g, GRAVE_SOURCE,
             xasprintf("%s: bring the manifests back, or `bottler prune --approve`", f->source));
    else if (f->moved_to)
        hold(
            g, GRAVE_MOVED,
            xasprintf("looks like a rename to '%s': the rest is equal, but '%s' is another bottle; "
                      "put the manifest back, or `bottler prune --approve %s`",
                      f->moved_to, f->moved_to, g->name));
    else
        return false;
    return true;
}

static bool held_alone(const struct grave *g)
{
    return g->verdict == GRAVE_HELD &&
           (g->reason == GRAVE_SUSPENDED || g->reason == GRAVE_SOURCE || g->reason == GRAVE_MOVED);
}

/* Everything but the breaker; whether its time has come. */
static bool judge(struct graves *all, struct grave *g, const struct grave_facts *f, bool is_new,
                  const struct graves_now *now)
{
    g->preserve = f->preserve;
    if (g->verdict == GRAVE_DUE)
        return false; /* it has begun */
    if (g->approved) {
        be_due(g);
        return false;
    }
    if (g->reason == GRAVE_PRESERVED || (f->preserve && f->stopped && is_new)) {
        hold_preserved(g);
        return false;
    }
    bool was_held = held_alone(g);
    if (hold_alone(g, f))
        return false;
    if (is_new && f->too_many) {
        hold(g, GRAVE_TOO_MANY,
             xstrdup("it had gone together with more than --max-deletes lets go: put the manifest "
                     "back, or `bottler prune --approve`"));
        return false;
    }
    if (was_held)
        wait_from(all, g, now);
    if (g->released && f->preserve)
        hold_preserved(g);
    else if (g->released)
        be_due(g);
    return g->verdict == GRAVE_WAITS && now->now_ns >= g->until_ns;
}

/* ---- the breaker ----------------------------------------------------------------------------- */

static uint64_t window(const struct graves *g)
{
    return g->limits.grace_ns > GRAVES_WINDOW_NS ? g->limits.grace_ns : GRAVES_WINDOW_NS;
}

static void forget_executed(struct graves *g, uint64_t now_ns)
{
    size_t n = 0;
    for (size_t i = 0; i < g->executed_len; i++) {
        if (now_ns - g->executed[i] <= window(g))
            g->executed[n++] = g->executed[i];
    }
    g->executed_len = n;
}

/* What is held for a reason of its own went together with the others, but doesn't stand in the way
 * of later ones for ever. */
static bool counts(const struct graves *all, const struct grave *g, uint64_t now_ns)
{
    if (g->approved || g->released || g->reason == GRAVE_PRESERVED)
        return false;
    return !held_alone(g) || now_ns - g->since_ns <= all->limits.grace_ns + window(all);
}

static void trip(struct graves *g, unsigned standing, unsigned known)
{
    if (standing > g->peak) {
        g->peak = standing;
        g->peak_of = known;
    }
    for (size_t i = 0; i < g->len; i++) {
        struct grave *one = g->items[i];
        if (one->verdict != GRAVE_WAITS && one->reason != GRAVE_TOO_MANY)
            continue;
        hold(one, GRAVE_TOO_MANY,
             xasprintf(
                 "%u of %u bottles have gone together, and --max-deletes lets %u and %u %% go: "
                 "put the manifests back, or `bottler prune --approve`",
                 g->peak, g->peak_of, g->limits.max, g->limits.max_percent));
    }
}

static void let_go(struct graves *g, const struct graves_now *now)
{
    for (size_t i = 0; i < g->len; i++) {
        struct grave *one = g->items[i];
        if (one->verdict != GRAVE_WAITS || now->now_ns < one->until_ns)
            continue;
        if (one->preserve)
            hold_preserved(one);
        else
            be_due(one);
    }
}

static void decide(struct graves *g, const struct graves_now *now, bool due)
{
    unsigned standing = (unsigned)g->executed_len;
    unsigned known = (unsigned)(now->known + g->executed_len);
    bool tripped = false;
    for (size_t i = 0; i < g->len; i++) {
        standing += counts(g, g->items[i], now->now_ns);
        tripped = tripped || g->items[i]->reason == GRAVE_TOO_MANY;
    }
    if (!tripped)
        g->peak = 0;
    bool over = standing > g->limits.max ||
                (standing >= GRAVES_PERCENT_FROM &&
                 (uint64_t)standing * 100 > (uint64_t)g->limits.max_percent * known);
    if (due && over)
        trip(g, standing, known);
    else if (due)
        let_go(g, now);
}

void graves_update(struct graves *g, const struct graves_now *now, struct str_list *ret_back)
{
    bool due = false;
    if (ret_back)
        *ret_back = (struct str_list){0};
    drop_wanted(g, now, ret_back);
    forget_executed(g, now->now_ns);
    for (size_t i = 0; i < now->gone_len; i++) {
        const struct grave_facts *f = &now->gone[i];
        struct grave *one = find(g, f->name);
        bool is_new = !one;
        if (is_new) {
            one = dig(g, f->name);
            wait_from(g, one, now);
        }
        due = judge(g, one, f, is_new, now) || due;
    }
    decide(g, now, due);
}

uint64_t graves_next(const struct graves *g)
{
    uint64_t next = 0;
    for (size_t i = 0; i < g->len; i++) {
        const struct grave *one = g->items[i];
        if (one->verdict == GRAVE_WAITS && (!next || one->until_ns < next))
            next = one->until_ns;
    }
    return next;
}

bool graves_approve(struct graves *g, const char *name, bool named)
{
    struct grave *one = find(g, name);
    if (!one)
        return false;
    if (named)
        one->approved = true;
    else
        one->released = true;
    return true;
}

void graves_executed(struct graves *g, const char *name, uint64_t now_ns)
{
    bool there = false;
    size_t at = place(g, name, &there);
    if (!there)
        return;
    const struct grave *one = g->items[at];
    if (!one->approved && !one->released) {
        g->executed = xreallocarray(g->executed, g->executed_len + 1, sizeof(*g->executed));
        g->executed[g->executed_len++] = now_ns;
    }
    take_out(g, at);
}

/* ---- moves ----------------------------------------------------------------------------------- */

static json_t *nameless(const char *text)
{
    json_t *v = json_loads(text, 0, NULL);
    json_object_del(json_object_get(v, "metadata"), "name");
    return v;
}

bool graves_same_but_name(const char *a, const char *b)
{
    json_t *x = nameless(a);
    json_t *y = nameless(b);
    bool same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}
