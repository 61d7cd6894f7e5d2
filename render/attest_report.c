/* SPDX-License-Identifier: Apache-2.0 */
#include "render/attest_rows.h"
#include "render/text_clean.h"
#include "spec/base/xalloc.h"

#include <fnmatch.h>
#include <string.h>

static const char *const VERDICTS[ATTEST_VERDICT_COUNT] = {
    [ATTEST_DENIED] = "denied",
    [ATTEST_OPEN] = "open",
    [ATTEST_SKIPPED] = "skipped",
    [ATTEST_ERROR] = "error",
};
static const char *const AS[ATTEST_AS_COUNT] = {
    [ATTEST_AS_USER] = "user", [ATTEST_AS_ROOT] = "root", [ATTEST_AS_HOST] = "host"};

/* Of several rows with one id the gravest stays. */
static const int GRAVITY[ATTEST_VERDICT_COUNT] = {
    [ATTEST_DENIED] = 0, [ATTEST_SKIPPED] = 1, [ATTEST_ERROR] = 2, [ATTEST_OPEN] = 3};

const char *attest_verdict_name(enum attest_verdict v)
{
    return VERDICTS[v];
}

bool attest_verdict_parse(const char *name, enum attest_verdict *ret)
{
    for (enum attest_verdict v = 0; v < ATTEST_VERDICT_COUNT; v++) {
        if (strcmp(VERDICTS[v], name) == 0) {
            *ret = v;
            return true;
        }
    }
    return false;
}

const char *attest_as_name(enum attest_as as)
{
    return AS[as];
}

const char *attest_conclusion_name(enum attest_conclusion c)
{
    return c == ATTEST_SEALED ? "sealed" : c == ATTEST_IS_OPEN ? "open" : "unproven";
}

struct attest_report *attest_report_new(const char *bottle, const char *started_at,
                                        const struct str_list *only)
{
    struct attest_report *r = xcalloc(1, sizeof(*r));
    r->bottle = xstrdup(bottle);
    r->started_at = xstrdup(started_at);
    r->engine_version = xstrdup("");
    r->user = xstrdup("");
    for (size_t i = 0; only && i < only->len; i++)
        str_list_add(&r->only, only->items[i]);
    r->index = XNN(json_object());
    return r;
}

struct attest_report *attest_report_free(struct attest_report *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->results_len; i++) {
        struct attest_result *x = &r->results[i];
        free(x->id);
        free(x->row);
        free(x->class);
        free(x->title);
        free(x->evidence);
        free(x->control);
    }
    for (size_t i = 0; i < r->controls_len; i++) {
        free(r->controls[i].id);
        free(r->controls[i].title);
        free(r->controls[i].evidence);
    }
    free(r->results);
    free(r->controls);
    json_decref(r->index);
    str_list_done(&r->only);
    free(r->bottle);
    free(r->started_at);
    free(r->engine_version);
    free(r->user);
    free(r);
    return NULL;
}

static char *clean(const char *text, size_t max)
{
    return text_clean(sv_of(text ? text : ""), max);
}

void attest_report_engine(struct attest_report *r, const char *version, int api_minor)
{
    free(r->engine_version);
    r->engine_version = clean(version, ATTEST_MAX_TITLE);
    r->api_minor = api_minor;
}

void attest_report_user(struct attest_report *r, const char *user)
{
    free(r->user);
    r->user = clean(user, ATTEST_MAX_TITLE);
}

const char *attest_report_bottle(const struct attest_report *r)
{
    return r->bottle;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Whether a row may be added. What is open is never lost for want of room, nor what says that rows
 * are lost; twice the limit is the end of it. */
static bool has_room(struct attest_report *r, bool grave)
{
    size_t n = r->results_len + r->controls_len;
    if (n < ATTEST_MAX_ROWS || (grave && n < 2 * ATTEST_MAX_ROWS))
        return true;
    if (!r->full) {
        r->full = true;
        attest_report_problem(r, ATTEST_AS_HOST, "A.limit", "more than %d rows; the rest is lost",
                              ATTEST_MAX_ROWS);
    }
    return false;
}

static bool is_wanted(const struct attest_report *r, enum attest_as as, const char *id,
                      const char *class)
{
    if (as != ATTEST_AS_HOST || !r->only.len || (class && strcmp(class, "attest") == 0))
        return true; /* a probe gets the globs itself */
    for (size_t i = 0; i < r->only.len; i++) {
        if (fnmatch(r->only.items[i], id, 0) == 0)
            return true;
    }
    return false;
}

static void append(struct attest_report *r, enum attest_as as, const struct attest_row *row)
{
    if (r->results_len == r->results_cap) {
        r->results_cap = r->results_cap ? r->results_cap * 2 : 64;
        r->results = xreallocarray(r->results, r->results_cap, sizeof(*r->results));
    }
    r->results[r->results_len++] = (struct attest_result){
        .id = clean(row->id, ATTEST_MAX_ID),
        .row = clean(row->row, ATTEST_MAX_WORD),
        .class = clean(row->class, ATTEST_MAX_WORD),
        .title = clean(row->title, ATTEST_MAX_TITLE),
        .evidence = clean(row->evidence, ATTEST_MAX_EVIDENCE),
        .control = clean(row->control, ATTEST_MAX_ID),
        .verdict = row->verdict,
        .as = as,
    };
}

static void worsen(struct attest_result *x, const struct attest_row *row)
{
    if (GRAVITY[row->verdict] <= GRAVITY[x->verdict])
        return;
    x->verdict = row->verdict;
    free(x->evidence);
    x->evidence = clean(row->evidence, ATTEST_MAX_EVIDENCE);
}

void attest_report_add(struct attest_report *r, enum attest_as as, const struct attest_row *row)
{
    AUTO_FREE char *id = clean(row->id, ATTEST_MAX_ID);
    AUTO_FREE char *key = xasprintf("%s/%s", AS[as], id);
    const json_t *known = json_object_get(r->index, key);
    if (known) {
        worsen(&r->results[json_integer_value(known)], row);
        return;
    }
    if (!is_wanted(r, as, id, row->class))
        return;
    if (!has_room(r, row->verdict == ATTEST_OPEN || strcmp(id, "A.limit") == 0))
        return;
    if (json_object_set_new(r->index, key, XNN(json_integer((json_int_t)r->results_len))) != 0)
        xoom();
    append(r, as, row);
}

const struct attest_control *attest_control_find(const struct attest_report *r, enum attest_as as,
                                                 const char *id)
{
    for (size_t i = 0; i < r->controls_len; i++) {
        if (r->controls[i].as == as && strcmp(r->controls[i].id, id) == 0)
            return &r->controls[i];
    }
    return NULL;
}

void attest_report_control(struct attest_report *r, enum attest_as as, const char *id,
                           const char *title, bool ok, const char *evidence)
{
    AUTO_FREE char *name = clean(id, ATTEST_MAX_ID);
    for (size_t i = 0; i < r->controls_len; i++) {
        struct attest_control *c = &r->controls[i];
        if (c->as == as && strcmp(c->id, name) == 0) {
            c->ok = c->ok && ok;
            return;
        }
    }
    if (!has_room(r, false))
        return;
    if (r->controls_len == r->controls_cap) {
        r->controls_cap = r->controls_cap ? r->controls_cap * 2 : 16;
        r->controls = xreallocarray(r->controls, r->controls_cap, sizeof(*r->controls));
    }
    r->controls[r->controls_len++] =
        (struct attest_control){.id = TAKE_PTR(name),
                                .title = clean(title, ATTEST_MAX_TITLE),
                                .evidence = clean(evidence, ATTEST_MAX_EVIDENCE),
                                .ok = ok,
                                .as = as};
}

void attest_report_problem(struct attest_report *r, enum attest_as as, const char *id,
                           const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    va_end(ap);
    const struct attest_row row = {.id = id,
                                   .row = "-",
                                   .class = "attest",
                                   .title = "the attestation itself",
                                   .evidence = text,
                                   .verdict = ATTEST_ERROR};
    attest_report_add(r, as, &row);
}

/* ---- what a probe says ----------------------------------------------------------------------- */

static void unreadable(struct attest_report *r, enum attest_as as, struct sv line, const char *why)
{
    if (r->said[as].unreadable)
        return;
    r->said[as].unreadable = true;
    AUTO_FREE char *shown = text_clean(line, 80);
    attest_report_problem(r, as, "A.probe.line", "a line of the probe can't be read, %s: '%s'", why,
                          shown);
}

/* A field as an owned text; bytes that C can't hold are escaped. NULL when it isn't a text. */
static char *field(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? text_clean((struct sv){json_string_value(v), json_string_length(v)},
                                          ATTEST_MAX_LINE)
                             : NULL;
}

/* Why a line isn't one of a probe's; NULL: taken. */
static const char *take_result(struct attest_report *r, enum attest_as as, const json_t *o)
{
    AUTO_FREE char *id = field(o, "id");
    AUTO_FREE char *row = field(o, "row");
    AUTO_FREE char *class = field(o, "class");
    AUTO_FREE char *title = field(o, "title");
    AUTO_FREE char *evidence = field(o, "evidence");
    AUTO_FREE char *control = field(o, "control");
    AUTO_FREE char *verdict = field(o, "verdict");
    struct attest_row all = {.id = id,
                             .row = row,
                             .class = class,
                             .title = title,
                             .evidence = evidence,
                             .control = control};
    if (!id || !*id || !row || !class || !title || !verdict)
        return "a result without its fields";
    if (!attest_verdict_parse(verdict, &all.verdict))
        return "a verdict that isn't one";
    if (all.verdict == ATTEST_DENIED && (!evidence || !*evidence))
        return "a refusal without evidence";
    r->said[as].results++;
    attest_report_add(r, as, &all);
    return NULL;
}

static const char *take_control(struct attest_report *r, enum attest_as as, const json_t *o)
{
    AUTO_FREE char *id = field(o, "id");
    AUTO_FREE char *title = field(o, "title");
    AUTO_FREE char *evidence = field(o, "evidence");
    const json_t *ok = json_object_get(o, "ok");
    if (!id || !*id || !json_is_boolean(ok))
        return "a control without its fields";
    attest_report_control(r, as, id, title, json_is_true(ok), evidence);
    return NULL;
}

static const char *take_end(struct attest_report *r, enum attest_as as, const json_t *o)
{
    const json_t *attempts = json_object_get(o, "attempts");
    struct attest_probe_said *said = &r->said[as];
    said->ended = true;
    if (!json_is_integer(attempts))
        return "an end without its count";
    if (json_integer_value(attempts) != (json_int_t)said->results)
        attest_report_problem(r, as, "A.probe.count",
                              "the probe made %lld attempts and told of %zu",
                              (long long)json_integer_value(attempts), said->results);
    return NULL;
}

static const char *take(struct attest_report *r, enum attest_as as, const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    if (!type)
        return "no JSON object with a type";
    if (r->said[as].ended)
        return "a line after the end";
    if (strcmp(type, "result") == 0)
        return take_result(r, as, o);
    if (strcmp(type, "control") == 0)
        return take_control(r, as, o);
    if (strcmp(type, "end") == 0)
        return take_end(r, as, o);
    return "an unknown type";
}

void attest_report_line(struct attest_report *r, enum attest_as as, struct sv line)
{
    if (line.n == 0)
        return;
    if (line.n > ATTEST_MAX_LINE) {
        unreadable(r, as, line, "it is too long");
        return;
    }
    json_t *o = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const char *why = take(r, as, o);
    if (why)
        unreadable(r, as, line, why);
    json_decref(o);
}
