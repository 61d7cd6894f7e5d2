/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `attest` found out about one bottle: controls (things that must work, else a dead network
 * would prove anything) and results (things that must be refused). Rows come from the probe inside
 * the bottle, whose words are hostile input, and from attest itself. Pure.
 *
 * Every text is cleaned when it is taken in: control characters, invisible ones and those that
 * change the direction of writing become escapes, so that a report can be shown anywhere.
 */
#ifndef BOTTLER_RENDER_ATTEST_REPORT_H
#define BOTTLER_RENDER_ATTEST_REPORT_H

#include "spec/base/err.h"
#include "spec/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum attest_verdict {
    ATTEST_DENIED,  /* refused, and there is evidence of the refusal */
    ATTEST_OPEN,    /* it went through: the bottle isn't sealed */
    ATTEST_SKIPPED, /* not attempted, for the reason that is given */
    ATTEST_ERROR,   /* attempted, and nothing can be said */
    ATTEST_VERDICT_COUNT
};
/* Who attempted it. */
enum attest_as { ATTEST_AS_USER, ATTEST_AS_ROOT, ATTEST_AS_HOST, ATTEST_AS_COUNT };
enum { ATTEST_PROBES = ATTEST_AS_ROOT + 1 };

enum attest_conclusion {
    ATTEST_SEALED,   /* everything was refused, and every control worked */
    ATTEST_IS_OPEN,  /* something went through */
    ATTEST_UNPROVEN, /* neither */
};

/* Limits on what a probe may say. */
enum {
    ATTEST_MAX_ROWS = 8192,  /* controls and results of one report */
    ATTEST_MAX_LINE = 16384, /* bytes of one line */
    ATTEST_MAX_ID = 160,     /* of ids and of the names of controls */
    ATTEST_MAX_WORD = 16,    /* of row and class */
    ATTEST_MAX_TITLE = 240,  /* all in bytes, before escaping; longer ones are cut */
    ATTEST_MAX_EVIDENCE = 600,
};

/* Borrowed texts of one row; NULL is an empty text. */
struct attest_row {
    const char *id, *row, *class, *title, *evidence;
    const char *control; /* id of the control that it depends on; NULL: none */
    enum attest_verdict verdict;
};

struct attest_report;
/* `only` holds globs on ids, none: everything. With some, a class of attempts may be absent, and
 * rows as ATTEST_AS_HOST that none of them matches are dropped (a probe gets the globs itself). All
 * texts are copied; `only` may be NULL. */
struct attest_report *attest_report_new(const char *bottle, const char *started_at,
                                        const struct str_list *only);
/* NULL is fine; returns NULL. */
struct attest_report *attest_report_free(struct attest_report *r);
void attest_report_engine(struct attest_report *r, const char *version, int api_minor);
/* "1000:1000", as whom the agent runs. */
void attest_report_user(struct attest_report *r, const char *user);

void attest_report_add(struct attest_report *r, enum attest_as as, const struct attest_row *row);
void attest_report_control(struct attest_report *r, enum attest_as as, const char *id,
                           const char *title, bool ok, const char *evidence);
/* An ERROR of attest's own, class "attest". */
void attest_report_problem(struct attest_report *r, enum attest_as as, const char *id,
                           const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* One line of a probe's output. What can't be read is a problem in the report (once a probe). */
void attest_report_line(struct attest_report *r, enum attest_as as, struct sv line);
/* A probe has ended: says so in the report when it hasn't said all, or has proven nothing. */
void attest_report_probe_end(struct attest_report *r, enum attest_as as);
/* After the last row: results whose control did not work become errors. */
void attest_report_finish(struct attest_report *r);

size_t attest_report_count(const struct attest_report *r, enum attest_verdict v);
enum attest_conclusion attest_report_conclusion(const struct attest_report *r);
const char *attest_conclusion_name(enum attest_conclusion c); /* "sealed", "open", "unproven" */
const char *attest_report_bottle(const struct attest_report *r);
/* {"kind":"AttestReport", …}; after finish, rows are in an order that stays from run to run. */
json_t *attest_report_json(const struct attest_report *r);
/* A table: everything that isn't "denied" (`wide`: everything), then counts by class, then the
 * verdict. */
void attest_report_print(const struct attest_report *r, bool wide, struct str *out);
/* One line: "sealed: 212 denied, 0 open, 3 skipped, 0 errors". */
void attest_report_summary(const struct attest_report *r, struct str *out);

#endif
