/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/ledger.h"

#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <string.h>

static const char *const outcome_names[OUTCOME_COUNT] = {
    [OUTCOME_PENDING] = "Pending",   [OUTCOME_CONVERGED] = "Converged",
    [OUTCOME_FAILED] = "Failed",     [OUTCOME_SUPERSEDED] = "Superseded",
    [OUTCOME_REVERTED] = "Reverted", [OUTCOME_REMOVED] = "Removed",
};

const char *outcome_name(enum outcome o)
{
    return outcome_names[o];
}

static void entry_done(struct ledger_entry *e)
{
    free(e->revision);
    free(e->file);
    free(e->message);
    for (size_t i = 0; i < e->changes_len; i++) {
        free(e->changes[i].field);
        free(e->changes[i].change);
    }
    free(e->changes);
    *e = (struct ledger_entry){0};
}

void ledger_done(struct ledger *l)
{
    for (size_t i = 0; i < l->len; i++)
        entry_done(&l->items[i]);
    free(l->items);
    *l = (struct ledger){0};
}

/* At most LEDGER_TEXT_MAX bytes, never half of a character. NULL stays NULL. */
static char *cut(const char *text)
{
    size_t n = text ? strnlen(text, LEDGER_TEXT_MAX + 1) : 0;
    if (n > LEDGER_TEXT_MAX)
        n = str_char_start(text, LEDGER_TEXT_MAX);
    return text ? xmemdup0(text, n) : NULL;
}

/* Makes room for one more. */
static struct ledger_entry *append(struct ledger *l)
{
    if (l->items && l->len == LEDGER_MAX) {
        entry_done(&l->items[0]);
        l->len--;
        memmove(&l->items[0], &l->items[1], l->len * sizeof(*l->items));
    } else {
        l->items = xreallocarray(l->items, l->len + 1, sizeof(*l->items));
    }
    struct ledger_entry *e = &l->items[l->len++];
    *e = (struct ledger_entry){0};
    return e;
}

static struct ledger_entry *find(const struct ledger *l, int64_t generation)
{
    for (size_t i = l->len; i > 0; i--) {
        if (l->items[i - 1].generation == generation)
            return &l->items[i - 1];
    }
    return NULL;
}

const struct ledger_entry *ledger_find(const struct ledger *l, int64_t generation)
{
    return find(l, generation);
}

bool ledger_accept(struct ledger *l, const struct ledger_entry *init)
{
    struct ledger_entry *last = l->len ? &l->items[l->len - 1] : NULL;
    if (last && last->generation == init->generation && last->outcome != OUTCOME_REMOVED)
        return false;
    if (last && last->outcome == OUTCOME_PENDING) {
        last->outcome = OUTCOME_SUPERSEDED;
        last->ended_s = init->accepted_s;
    }
    *append(l) = (struct ledger_entry){.generation = init->generation,
                                       .revision = cut(init->revision),
                                       .file = cut(init->file),
                                       .accepted_s = init->accepted_s};
    return true;
}

static void add_change(struct ledger_entry *e, const char *field, const char *change)
{
    e->changes = xreallocarray(e->changes, e->changes_len + 1, sizeof(*e->changes));
    e->changes[e->changes_len++] =
        (struct ledger_change){.field = cut(field), .change = cut(change)};
}

void ledger_add_change(struct ledger *l, const char *field, const char *change)
{
    struct ledger_entry *e = l->len ? &l->items[l->len - 1] : NULL;
    if (!e || e->changes_len > LEDGER_CHANGES_MAX)
        return;
    if (e->changes_len < LEDGER_CHANGES_MAX)
        add_change(e, field, change);
    else
        add_change(e, "…", "and more");
}

static bool can_become(const struct ledger_entry *e, enum outcome how, const char *message)
{
    bool open = e->outcome == OUTCOME_PENDING || e->outcome == OUTCOME_FAILED;
    switch (how) {
    case OUTCOME_CONVERGED:
        return open;
    case OUTCOME_FAILED:
        return open && (e->outcome == OUTCOME_PENDING || !e->message || !message ||
                        strncmp(e->message, message, LEDGER_TEXT_MAX - 4) != 0);
    case OUTCOME_REVERTED:
    case OUTCOME_REMOVED:
        return open || e->outcome == OUTCOME_CONVERGED;
    case OUTCOME_PENDING:
    case OUTCOME_SUPERSEDED:
    case OUTCOME_COUNT:
        break;
    }
    return false;
}

bool ledger_end(struct ledger *l, int64_t generation, enum outcome how, const char *message,
                int64_t now_s)
{
    struct ledger_entry *e = find(l, generation);
    if (!e || !can_become(e, how, message))
        return false;
    e->outcome = how;
    e->ended_s = now_s;
    free(e->message);
    e->message = cut(message);
    return true;
}

/* ---- as JSON -------------------------------------------------------------------------------- */

static json_t *time_json(int64_t s)
{
    char text[CLOCK_TEXT];
    if (!s)
        return XNN(json_null());
    clock_format(s, text);
    return XNN(json_string(text));
}

static json_t *entry_json(const struct ledger_entry *e)
{
    json_t *changes = XNN(json_array());
    for (size_t i = 0; i < e->changes_len; i++)
        json_array_append_new(changes, XNN(json_pack("{s:s, s:s}", "field", e->changes[i].field,
                                                     "change", e->changes[i].change)));
    return XNN(json_pack("{s:I, s:s?, s:s?, s:o, s:o, s:s, s:o, s:s?}", "generation",
                         (json_int_t)e->generation, "revision", e->revision, "file", e->file,
                         "acceptedAt", time_json(e->accepted_s), "changes", changes, "outcome",
                         outcome_name(e->outcome), "endedAt", time_json(e->ended_s), "message",
                         e->message));
}

json_t *ledger_json(const struct ledger *l)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < l->len; i++)
        json_array_append_new(list, entry_json(&l->items[i]));
    return list;
}

char *ledger_format(const struct ledger *l)
{
    char *lines[LEDGER_MAX];
    size_t first = l->len;
    size_t bytes = 0;
    struct str out;
    while (first) {
        json_t *o = entry_json(&l->items[first - 1]);
        char *line = XNN(json_dumps(o, JSON_COMPACT));
        json_decref(o);
        bytes += strlen(line) + 1;
        lines[--first] = line;
        if (bytes > LEDGER_BYTES_MAX)
            break;
    }
    str_init(&out, LEDGER_BYTES_MAX);
    for (size_t i = first; i < l->len; i++) {
        if (bytes <= LEDGER_BYTES_MAX || i > first)
            str_addf(&out, "%s\n", lines[i]);
        free(lines[i]);
    }
    return XNN(str_take(&out));
}

static bool parse_time(const json_t *o, const char *key, int64_t *ret)
{
    const json_t *v = json_object_get(o, key);
    uint32_t ns = 0;
    *ret = 0;
    return json_is_null(v) || (json_is_string(v) && clock_parse(json_string_value(v), ret, &ns));
}

static bool parse_outcome(const json_t *o, enum outcome *ret)
{
    const char *name = json_string_value(json_object_get(o, "outcome"));
    for (int i = 0; name && i < OUTCOME_COUNT; i++) {
        if (strcmp(outcome_names[i], name) == 0) {
            *ret = (enum outcome)i;
            return true;
        }
    }
    return false;
}

static bool parse_changes(const json_t *o, struct ledger_entry *e)
{
    const json_t *list = json_object_get(o, "changes");
    size_t i = 0;
    json_t *v = NULL;
    if (!json_is_array(list) || json_array_size(list) > LEDGER_CHANGES_MAX + 1)
        return false;
    json_array_foreach(list, i, v)
    {
        const char *field = json_string_value(json_object_get(v, "field"));
        const char *change = json_string_value(json_object_get(v, "change"));
        if (!field || !change)
            return false;
        add_change(e, field, change);
    }
    return true;
}

static bool parse_entry(const json_t *o, struct ledger_entry *e)
{
    e->generation = json_integer_value(json_object_get(o, "generation"));
    e->revision = cut(json_string_value(json_object_get(o, "revision")));
    e->file = cut(json_string_value(json_object_get(o, "file")));
    e->message = cut(json_string_value(json_object_get(o, "message")));
    return e->generation > 0 && parse_time(o, "acceptedAt", &e->accepted_s) &&
           parse_time(o, "endedAt", &e->ended_s) && parse_outcome(o, &e->outcome) &&
           parse_changes(o, e);
}

static bool parse_line(struct sv line, struct ledger *l)
{
    struct ledger_entry e = {0};
    json_t *o = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    bool good = parse_entry(o, &e);
    json_decref(o);
    if (good)
        *append(l) = e;
    else
        entry_done(&e);
    return good;
}

size_t ledger_parse(struct sv text, struct ledger *l)
{
    size_t bad = 0;
    size_t number = 0;
    *l = (struct ledger){0};
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        struct sv line = {text.p, end ? (size_t)(end - text.p) : text.n};
        number++;
        if (!parse_line(line, l) && !bad)
            bad = number;
        size_t used = line.n + (end != NULL);
        text = (struct sv){text.p + used, text.n - used};
    }
    return bad;
}
