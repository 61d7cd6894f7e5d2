/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of a report add up to. */
#include "render/attest_rows.h"
#include "spec/base/xalloc.h"

#include <string.h>

/* The kinds of attempts that a whole probe makes; the order is that of reports. */
static const char *const PROBE_CLASSES[] = {"network", "dns", "proxy", "container"};
static const char *const OTHER_CLASSES[] = {"inspect", "host", "attest"};
enum {
    PROBE_CLASSES_LEN = sizeof(PROBE_CLASSES) / sizeof(PROBE_CLASSES[0]),
    OTHER_CLASSES_LEN = sizeof(OTHER_CLASSES) / sizeof(OTHER_CLASSES[0]),
};

static bool refused_any(const struct attest_report *r, enum attest_as as, const char *class)
{
    for (size_t i = 0; i < r->results_len; i++) {
        const struct attest_result *x = &r->results[i];
        if (x->as == as && x->verdict == ATTEST_DENIED && strcmp(x->class, class) == 0)
            return true;
    }
    return false;
}

static bool any_control(const struct attest_report *r, enum attest_as as)
{
    for (size_t i = 0; i < r->controls_len; i++) {
        if (r->controls[i].as == as && r->controls[i].ok)
            return true;
    }
    return false;
}

void attest_report_probe_end(struct attest_report *r, enum attest_as as)
{
    if (!r->said[as].ended)
        attest_report_problem(r, as, "A.probe.end",
                              "the probe ended before it had said everything");
    if (r->only.len)
        return;
    if (!any_control(r, as))
        attest_report_problem(r, as, "A.probe.control", "no control of the probe has worked");
    for (size_t i = 0; i < PROBE_CLASSES_LEN; i++) {
        if (refused_any(r, as, PROBE_CLASSES[i]))
            continue;
        AUTO_FREE char *id = xasprintf("A.probe.none.%s", PROBE_CLASSES[i]);
        attest_report_problem(r, as, id, "nothing of class '%s' was seen refused",
                              PROBE_CLASSES[i]);
    }
}

/* A refusal counts only while what must work does work. */
static void doubt(const struct attest_report *r, struct attest_result *x)
{
    if (x->verdict != ATTEST_DENIED || !*x->control)
        return;
    const struct attest_control *c = attest_control_find(r, x->as, x->control);
    if (c && c->ok)
        return;
    x->verdict = ATTEST_ERROR;
    AUTO_FREE char *was = TAKE_PTR(x->evidence);
    x->evidence =
        xasprintf("control %s %s; seen: %s", x->control, c ? "did not work" : "is missing", was);
}

static size_t class_rank(const char *class)
{
    for (size_t i = 0; i < PROBE_CLASSES_LEN; i++) {
        if (strcmp(PROBE_CLASSES[i], class) == 0)
            return i;
    }
    for (size_t i = 0; i < OTHER_CLASSES_LEN; i++) {
        if (strcmp(OTHER_CLASSES[i], class) == 0)
            return PROBE_CLASSES_LEN + i;
    }
    return PROBE_CLASSES_LEN + OTHER_CLASSES_LEN;
}

static int result_cmp(const void *a, const void *b)
{
    const struct attest_result *x = a;
    const struct attest_result *y = b;
    if (x->as != y->as)
        return x->as < y->as ? -1 : 1;
    size_t rx = class_rank(x->class);
    size_t ry = class_rank(y->class);
    if (rx != ry)
        return rx < ry ? -1 : 1;
    return strverscmp(x->id, y->id);
}

static int control_cmp(const void *a, const void *b)
{
    const struct attest_control *x = a;
    const struct attest_control *y = b;
    if (x->as != y->as)
        return x->as < y->as ? -1 : 1;
    return strverscmp(x->id, y->id);
}

void attest_report_finish(struct attest_report *r)
{
    for (size_t i = 0; i < r->results_len; i++)
        doubt(r, &r->results[i]);
    if (r->results_len)
        qsort(r->results, r->results_len, sizeof(*r->results), result_cmp);
    if (r->controls_len)
        qsort(r->controls, r->controls_len, sizeof(*r->controls), control_cmp);
    /* Places have changed; nothing is added any more. */
    json_object_clear(r->index);
}

size_t attest_report_count(const struct attest_report *r, enum attest_verdict v)
{
    size_t n = 0;
    for (size_t i = 0; i < r->results_len; i++)
        n += r->results[i].verdict == v;
    return n;
}

enum attest_conclusion attest_report_conclusion(const struct attest_report *r)
{
    if (attest_report_count(r, ATTEST_OPEN))
        return ATTEST_IS_OPEN;
    for (size_t i = 0; i < r->controls_len; i++) {
        if (!r->controls[i].ok)
            return ATTEST_UNPROVEN;
    }
    return attest_report_count(r, ATTEST_ERROR) == 0 && attest_report_count(r, ATTEST_DENIED) > 0
               ? ATTEST_SEALED
               : ATTEST_UNPROVEN;
}
