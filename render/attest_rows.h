/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a report, shared by the files that fill, judge and print it. Inside render/ only. */
#ifndef BOTTLER_RENDER_ATTEST_ROWS_H
#define BOTTLER_RENDER_ATTEST_ROWS_H

#include "render/attest_report.h"

struct attest_result { /* owned, cleaned */
    char *id, *row, *class, *title, *evidence, *control;
    enum attest_verdict verdict;
    enum attest_as as;
};
struct attest_control { /* owned, cleaned */
    char *id, *title, *evidence;
    bool ok;
    enum attest_as as;
};
/* What a probe has said so far. */
struct attest_probe_said {
    bool unreadable; /* a line of it could not be read */
    bool ended;
    size_t results; /* lines of type "result" */
};
struct attest_report {
    char *bottle, *started_at, *engine_version, *user;
    int api_minor;
    struct str_list only;
    bool full; /* ATTEST_MAX_ROWS met */
    struct attest_result *results;
    size_t results_len, results_cap;
    struct attest_control *controls;
    size_t controls_len, controls_cap;
    json_t *index; /* "<as>/<id>" to the place of a result */
    struct attest_probe_said said[ATTEST_PROBES];
};

const char *attest_verdict_name(enum attest_verdict v);
bool attest_verdict_parse(const char *name, enum attest_verdict *ret);
const char *attest_as_name(enum attest_as as);
/* NULL when there is none. */
const struct attest_control *attest_control_find(const struct attest_report *r, enum attest_as as,
                                                 const char *id);

#endif
