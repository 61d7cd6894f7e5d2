/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as JSON and as text. */
#include "reconcile/doctor.h"
#include "spec/base/xalloc.h"

#include <string.h>

json_t *doctor_json(const struct doctor_facts *f, const struct doctor_rows *r)
{
    json_t *rows = XNN(json_array());
    for (size_t i = 0; i < r->len; i++) {
        const struct doctor_row *row = &r->rows[i];
        json_t *o = XNN(json_pack("{s:s, s:s, s:s, s:s}", "id", row->id, "state",
                                  doctor_state_name(row->state), "engine", row->engine, "bottler",
                                  row->bottler));
        if (json_array_append_new(rows, o) != 0)
            xoom();
    }
    json_t *summary = XNN(json_object());
    for (enum doctor_state s = 0; s < DOCTOR_STATE_COUNT; s++) {
        if (json_object_set_new(summary, doctor_state_name(s),
                                XNN(json_integer((json_int_t)doctor_count(r, s)))) != 0)
            xoom();
    }
    return XNN(json_pack("{s:s, s:{s:s, s:s, s:s}, s:b, s:o, s:o, s:s}", "kind", "DoctorReport",
                         "engine", "endpoint", f->endpoint, "version", f->version, "api", f->api,
                         "tried", (int)f->seen[DOCTOR_SEALED].ran, "rows", rows, "summary", summary,
                         "verdict", doctor_count(r, DOCTOR_FAIL) ? "refused" : "sealed"));
}

static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Words until the column is full; gives what is left. */
static const char *add_line(struct str *out, const char *text, size_t columns)
{
    size_t used = 0;
    while (*text) {
        size_t n = strcspn(text, " ");
        AUTO_FREE char *word = xmemdup0(text, n);
        if (used && used + 1 + width(word) > columns)
            break;
        str_addf(out, "%s%s", used ? " " : "", word);
        used += width(word) + (used ? 1 : 0);
        text += n + strspn(text + n, " ");
    }
    str_addf(out, "%*s", (int)(used < columns ? columns - used : 0), "");
    return text;
}

enum { ID_COLUMNS = 24, STATE_COLUMNS = 11, TEXT_COLUMNS = 62 };

/* Both texts side by side, in as many lines as the longer needs. */
static void print_row(struct str *out, const char *id, const char *state, const char *engine,
                      const char *bottler)
{
    bool first = true;
    while (*engine || *bottler) {
        struct str line;
        str_init(&line, 4096);
        str_addf(&line, "%-*s%-*s", ID_COLUMNS, first ? id : "", STATE_COLUMNS, first ? state : "");
        engine = add_line(&line, engine, TEXT_COLUMNS);
        str_add(&line, "  ");
        bottler = add_line(&line, bottler, TEXT_COLUMNS);
        while (line.len && line.p[line.len - 1] == ' ')
            line.len--;
        str_addn(out, line.p, line.len);
        str_addc(out, '\n');
        str_done(&line);
        first = false;
    }
}

void doctor_print(const struct doctor_facts *f, const struct doctor_rows *r, struct str *out)
{
    print_row(out, "ROW", "STATE", "WHAT THE ENGINE DOES", "WHAT BOTTLER DOES");
    for (size_t i = 0; i < r->len; i++) {
        const struct doctor_row *row = &r->rows[i];
        print_row(out, row->id, row->state == DOCTOR_FAIL ? "FAIL" : doctor_state_name(row->state),
                  row->engine, row->bottler);
    }
    str_addc(out, '\n');
    if (f->not_measured)
        str_addf(out, "not tried: %s\n", f->not_measured);
    size_t failed = doctor_count(r, DOCTOR_FAIL);
    str_addf(out, "%zu ok, %zu mitigated, %zu warnings, %zu failed: %s\n",
             doctor_count(r, DOCTOR_OK), doctor_count(r, DOCTOR_MITIGATED),
             doctor_count(r, DOCTOR_WARN), failed,
             failed ? "bottler refuses to run on this engine" : "bottles are sealed here");
}
