/* SPDX-License-Identifier: Apache-2.0 */
/* A report as JSON and as text. */
#include "render/attest_rows.h"
#include "render/parts.h"
#include "spec/base/xalloc.h"

#include <string.h>

static void push(json_t *list, json_t *item_take)
{
    if (json_array_append_new(list, item_take) != 0)
        xoom();
}

static json_t *controls_json(const struct attest_report *r)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < r->controls_len; i++) {
        const struct attest_control *c = &r->controls[i];
        push(list,
             XNN(json_pack("{s:s, s:s, s:b, s:s, s:s}", "id", c->id, "title", c->title, "ok",
                           (int)c->ok, "evidence", c->evidence, "as", attest_as_name(c->as))));
    }
    return list;
}

static json_t *results_json(const struct attest_report *r)
{
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < r->results_len; i++) {
        const struct attest_result *x = &r->results[i];
        json_t *o = XNN(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", x->id, "row", x->row,
                                  "class", x->class, "title", x->title, "verdict",
                                  attest_verdict_name(x->verdict), "evidence", x->evidence));
        if (*x->control)
            json_put_text(o, "control", x->control);
        json_put_text(o, "as", attest_as_name(x->as));
        push(list, o);
    }
    return list;
}

json_t *attest_report_json(const struct attest_report *r)
{
    AUTO_FREE char *api = xasprintf("1.%d", r->api_minor);
    json_t *summary = XNN(json_object());
    for (enum attest_verdict v = 0; v < ATTEST_VERDICT_COUNT; v++)
        json_put(summary, attest_verdict_name(v),
                 json_integer((json_int_t)attest_report_count(r, v)));
    return XNN(json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:o, s:o, s:o, s:s}", "kind",
                         "AttestReport", "bottle", r->bottle, "startedAt", r->started_at, "engine",
                         "version", r->engine_version, "api", api, "user", r->user, "controls",
                         controls_json(r), "results", results_json(r), "summary", summary,
                         "verdict", attest_conclusion_name(attest_report_conclusion(r))));
}

/* ---- text ------------------------------------------------------------------------------------ */

enum { COLUMNS = 6, LAST = COLUMNS - 1, WIDEST = 64 };

static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void measure(size_t widths[COLUMNS], const char *const cells[COLUMNS])
{
    for (size_t i = 0; i < LAST; i++) {
        size_t w = width(cells[i]);
        if (w <= WIDEST && w > widths[i])
            widths[i] = w;
    }
}

static void print(struct str *out, const size_t widths[COLUMNS], const char *const cells[COLUMNS])
{
    for (size_t i = 0; i < LAST; i++) {
        size_t w = width(cells[i]);
        str_add(out, cells[i]);
        str_addf(out, "%*s", (int)(w < widths[i] ? widths[i] - w + 2 : 2), "");
    }
    str_addf(out, "%s\n", cells[LAST]);
}

/* One row of the table; calls back for each, so that measuring and printing see the same. */
typedef void cells_fn(void *ctx, const char *const cells[COLUMNS]);

static void each_row(const struct attest_report *r, bool wide, cells_fn *fn, void *ctx)
{
    for (size_t i = 0; i < r->controls_len; i++) {
        const struct attest_control *c = &r->controls[i];
        const char *cells[COLUMNS] = {c->ok ? "works" : "FAILED",
                                      attest_as_name(c->as),
                                      "control",
                                      c->id,
                                      c->title,
                                      c->evidence};
        if (wide || !c->ok)
            fn(ctx, cells);
    }
    for (size_t i = 0; i < r->results_len; i++) {
        const struct attest_result *x = &r->results[i];
        const char *cells[COLUMNS] = {x->verdict == ATTEST_OPEN ? "OPEN"
                                                                : attest_verdict_name(x->verdict),
                                      attest_as_name(x->as),
                                      x->class,
                                      x->id,
                                      x->title,
                                      x->evidence};
        if (wide || x->verdict != ATTEST_DENIED)
            fn(ctx, cells);
    }
}

struct table {
    size_t widths[COLUMNS];
    struct str *out;
    size_t rows;
};

static void count_row(void *ctx, const char *const cells[COLUMNS])
{
    struct table *t = ctx;
    t->rows++;
    measure(t->widths, cells);
}

static void print_row(void *ctx, const char *const cells[COLUMNS])
{
    const struct table *t = ctx;
    print(t->out, t->widths, cells);
}

static bool class_seen(const struct attest_report *r, size_t before)
{
    for (size_t i = 0; i < before; i++) {
        if (strcmp(r->results[i].class, r->results[before].class) == 0)
            return true;
    }
    return false;
}

static void print_classes(const struct attest_report *r, struct str *out)
{
    str_addf(out, "%-12s%8s%8s%8s%8s\n", "CLASS", "DENIED", "OPEN", "SKIPPED", "ERROR");
    for (size_t i = 0; i < r->results_len; i++) {
        if (class_seen(r, i))
            continue;
        size_t n[ATTEST_VERDICT_COUNT] = {0};
        for (size_t k = i; k < r->results_len; k++) {
            if (strcmp(r->results[k].class, r->results[i].class) == 0)
                n[r->results[k].verdict]++;
        }
        str_addf(out, "%-12s%8zu%8zu%8zu%8zu\n", r->results[i].class, n[ATTEST_DENIED],
                 n[ATTEST_OPEN], n[ATTEST_SKIPPED], n[ATTEST_ERROR]);
    }
}

void attest_report_summary(const struct attest_report *r, struct str *out)
{
    str_addf(out, "%s: %zu denied, %zu open, %zu skipped, %zu errors",
             attest_conclusion_name(attest_report_conclusion(r)),
             attest_report_count(r, ATTEST_DENIED), attest_report_count(r, ATTEST_OPEN),
             attest_report_count(r, ATTEST_SKIPPED), attest_report_count(r, ATTEST_ERROR));
}

void attest_report_print(const struct attest_report *r, bool wide, struct str *out)
{
    static const char *const head[COLUMNS] = {"VERDICT", "AS", "CLASS", "ID", "WHAT", "EVIDENCE"};
    struct table t = {.out = out};
    measure(t.widths, head);
    each_row(r, wide, count_row, &t);
    if (t.rows) {
        print(out, t.widths, head);
        each_row(r, wide, print_row, &t);
        str_addc(out, '\n');
    }
    print_classes(r, out);
    str_addf(out, "\n%s: ", r->bottle);
    attest_report_summary(r, out);
    str_addc(out, '\n');
}
