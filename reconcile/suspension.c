/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/suspension.h"

#include "reconcile/clock.h"
#include "spec/base/xalloc.h"
#include "spec/check.h"

#include <string.h>

/* Both reasons, and what is said around them. */
enum { TEXT_MAX = 2 * SUSPENSION_REASON_MAX + CHECK_TEXT_MAX };

void suspension_done(struct suspension *s)
{
    free(s->who);
    free(s->reason);
    *s = (struct suspension){0};
}

static bool is_ahead(int64_t until_s, int64_t now_s)
{
    return !until_s || until_s > now_s;
}

bool suspension_holds(const struct suspension *s, int64_t now_s)
{
    return s->who && is_ahead(s->until_s, now_s);
}

bool manifest_suspends(const struct bottle *b, int64_t now_s)
{
    return b && b->suspended && is_ahead(b->suspend_until, now_s);
}

int64_t suspension_ends(const struct bottle *b, const struct suspension *s, int64_t now_s)
{
    int64_t manifest = manifest_suspends(b, now_s) ? b->suspend_until : 0;
    int64_t hand = suspension_holds(s, now_s) ? s->until_s : 0;
    return manifest && (!hand || manifest < hand) ? manifest : hand;
}

/* ---- as text -------------------------------------------------------------------------------- */

static void add_time(struct str *out, const char *word, int64_t s)
{
    char text[CLOCK_TEXT];
    if (!s)
        return;
    clock_format(s, text);
    str_addf(out, " %s %s", word, text);
}

static void add_reason(struct str *out, const char *reason)
{
    if (reason)
        str_addf(out, ": %s", reason);
}

static void add_hand(struct str *out, const struct suspension *s)
{
    str_addf(out, "by hand of %s", s->who);
    add_time(out, "since", s->since_s);
    add_time(out, "until", s->until_s);
    add_reason(out, s->reason);
}

static unsigned count_changes(const struct plan *p)
{
    unsigned n = 0;
    for (size_t i = 0; p && i < p->steps_len; i++)
        n += step_mutates(p->steps[i].kind);
    return n;
}

char *suspension_text(const struct bottle *b, const struct suspension *s, const struct plan *p,
                      int64_t now_s, const char **ret_reason)
{
    bool manifest = manifest_suspends(b, now_s);
    bool hand = suspension_holds(s, now_s);
    struct str out;
    if (!manifest && !hand)
        return NULL;
    str_init(&out, TEXT_MAX);
    if (manifest) {
        str_add(&out, "by spec.suspend of its manifest");
        add_time(&out, "until", b->suspend_until);
        add_reason(&out, b->suspend_reason);
    }
    if (manifest && hand)
        str_add(&out, "; and ");
    if (hand)
        add_hand(&out, s);
    unsigned n = count_changes(p);
    if (n)
        str_addf(&out, "; %u %s would be taken to make it as desired", n,
                 n == 1 ? "step" : "steps");
    *ret_reason = manifest ? "Manifest" : "ByHand";
    char *text = str_take(&out);
    return text ? text : xstrdup("its reason is too long to be told");
}

json_t *drift_json(const struct plan *p)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; p && i < p->steps_len; i++) {
        const struct step *s = &p->steps[i];
        if (step_mutates(s->kind))
            json_array_append_new(
                list, XNN(json_pack("{s:s, s:s?, s:s?}", "kind", step_kind_name(s->kind), "object",
                                    s->object, "cause", s->cause)));
    }
    return list;
}

/* ---- the record ----------------------------------------------------------------------------- */

static json_t *time_json(int64_t s)
{
    char text[CLOCK_TEXT];
    if (!s)
        return XNN(json_null());
    clock_format(s, text);
    return XNN(json_string(text));
}

json_t *suspension_json(const struct suspension *s)
{
    return XNN(json_pack("{s:s, s:s?, s:o, s:o}", "who", s->who, "reason", s->reason, "since",
                         time_json(s->since_s), "until", time_json(s->until_s)));
}

char *suspension_format(const struct suspension *s)
{
    if (!s->who)
        return xstrdup("");
    json_t *o = suspension_json(s);
    AUTO_FREE char *line = XNN(json_dumps(o, JSON_COMPACT));
    json_decref(o);
    return xasprintf("%s\n", line);
}

static bool read_time(const json_t *o, const char *key, int64_t *ret_s)
{
    const json_t *v = json_object_get(o, key);
    uint32_t ns = 0;
    return json_is_null(v) || (json_is_string(v) && clock_parse(json_string_value(v), ret_s, &ns));
}

static bool read_record(const json_t *o, struct suspension *s)
{
    s->who = xstrdup_null(json_string_value(json_object_get(o, "who")));
    s->reason = xstrdup_null(json_string_value(json_object_get(o, "reason")));
    return s->who && *s->who && read_time(o, "since", &s->since_s) &&
           read_time(o, "until", &s->until_s);
}

struct err *suspension_parse(struct sv text, struct suspension *ret)
{
    struct suspension s = {0};
    if (!text.n) {
        *ret = s;
        return NULL;
    }
    json_t *o = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    bool good = read_record(o, &s);
    json_decref(o);
    if (!good) {
        suspension_done(&s);
        return err_new(ERR_INVALID,
                       "expected JSON with who suspended it, and times in since and until");
    }
    *ret = s;
    return NULL;
}
