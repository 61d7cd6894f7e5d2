/* SPDX-License-Identifier: Apache-2.0 */
/* What a probe says and what it adds up to: good output, and hostile output. */
#include "render/attest_report.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

#define CONTROL                                                                                    \
    "{\"type\":\"control\",\"id\":\"C1\",\"title\":\"works\",\"ok\":true,"                         \
    "\"evidence\":\"seen\"}"
#define RESULT(id, class, verdict)                                                                 \
    "{\"type\":\"result\",\"id\":\"" id                                                            \
    "\",\"row\":\"N2\",\"class\":\"" class "\",\"title\":\"t\",\"verdict\":\"" verdict             \
                                           "\",\"evidence\":\"e\",\"control\":\"C1\"}"

static struct attest_report *opened(void)
{
    return attest_report_new("one", "2026-11-22T10:00:00Z", NULL);
}

static void says(struct attest_report *r, enum attest_as as, const char *line)
{
    attest_report_line(r, as, sv_of(line));
}

/* A whole and good probe of four attempts. */
static void good_probe(struct attest_report *r, enum attest_as as)
{
    says(r, as, CONTROL);
    says(r, as, RESULT("N2.a", "network", "denied"));
    says(r, as, RESULT("N4.a", "dns", "denied"));
    says(r, as, RESULT("P1.a", "proxy", "denied"));
    says(r, as, RESULT("H2.a", "container", "denied"));
    says(r, as, "{\"type\":\"end\",\"attempts\":4}");
    attest_report_probe_end(r, as);
}

static struct attest_report *good(void)
{
    struct attest_report *r = opened();
    good_probe(r, ATTEST_AS_USER);
    good_probe(r, ATTEST_AS_ROOT);
    return r;
}

static void expect(struct attest_report *r, enum attest_conclusion want)
{
    attest_report_finish(r);
    if (attest_report_conclusion(r) != want) {
        struct str s;
        str_init(&s, 1 << 20);
        attest_report_print(r, true, &s);
        print_error("%s\n", s.p);
        str_done(&s);
    }
    assert_string_equal(attest_conclusion_name(attest_report_conclusion(r)),
                        attest_conclusion_name(want));
}

/* The row with this id (of the first that has it), as JSON; NULL: none. */
static json_t *row_of(const struct attest_report *r, const char *id)
{
    json_t *json = attest_report_json(r);
    json_t *found = NULL;
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(json_object_get(json, "results"), i, v)
    {
        if (!found && strcmp(json_string_value(json_object_get(v, "id")), id) == 0)
            found = json_incref(v);
    }
    json_decref(json);
    return found;
}

static void expect_row(const struct attest_report *r, const char *id, const char *verdict,
                       const char *evidence)
{
    json_t *v = row_of(r, id);
    if (!v)
        fail_msg("no row %s", id);
    assert_string_equal(json_string_value(json_object_get(v, "verdict")), verdict);
    if (!strstr(json_string_value(json_object_get(v, "evidence")), evidence))
        fail_msg("%s: %s", id, json_string_value(json_object_get(v, "evidence")));
    json_decref(v);
}

static void everything_refused_is_sealed(void **state)
{
    (void)state;
    struct attest_report *r = good();
    expect(r, ATTEST_SEALED);
    assert_int_equal(attest_report_count(r, ATTEST_DENIED), 8);
    attest_report_free(r);
}

static void one_open_row_is_open(void **state)
{
    (void)state;
    struct attest_report *r = good();
    const struct attest_row row = {.id = "I.x",
                                   .row = "H1",
                                   .class = "inspect",
                                   .title = "t",
                                   .evidence = "seen",
                                   .verdict = ATTEST_OPEN};
    attest_report_add(r, ATTEST_AS_HOST, &row);
    attest_report_problem(r, ATTEST_AS_HOST, "A.x", "also an error");
    expect(r, ATTEST_IS_OPEN);
    attest_report_free(r);
}

static void nothing_is_unproven(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    expect(r, ATTEST_UNPROVEN);
    attest_report_free(r);
}

static void a_dead_network_refuses_everything(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    says(r, ATTEST_AS_USER,
         "{\"type\":\"control\",\"id\":\"C1\",\"title\":\"x\",\"ok\":false,\"evidence\":\"no\"}");
    says(r, ATTEST_AS_USER, RESULT("N2.a", "network", "denied"));
    says(r, ATTEST_AS_USER, RESULT("N2.b", "network", "open"));
    says(r, ATTEST_AS_USER, RESULT("N2.c", "network", "skipped"));
    attest_report_finish(r);
    expect_row(r, "N2.a", "error", "control C1 did not work; seen: e");
    expect_row(r, "N2.b", "open", "e");
    expect_row(r, "N2.c", "skipped", "e");
    attest_report_free(r);
}

static void a_control_of_another_probe_does_not_count(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    good_probe(r, ATTEST_AS_USER);
    says(r, ATTEST_AS_ROOT, RESULT("N2.a", "network", "denied"));
    attest_report_finish(r);
    json_t *json = attest_report_json(r);
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(json_object_get(json, "results"), i, v)
    {
        bool root = strcmp(json_string_value(json_object_get(v, "as")), "root") == 0;
        assert_string_equal(json_string_value(json_object_get(v, "verdict")),
                            root ? "error" : "denied");
    }
    json_decref(json);
    attest_report_free(r);
}

static void a_failed_control_alone_is_unproven(void **state)
{
    (void)state;
    struct attest_report *r = good();
    attest_report_control(r, ATTEST_AS_HOST, "C.host.tcp", "hears", false, "");
    expect(r, ATTEST_UNPROVEN);
    attest_report_free(r);
}

/* ---- probes that don't say all ---- */

static void without_an_end_it_died(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    good_probe(r, ATTEST_AS_USER);
    says(r, ATTEST_AS_ROOT, CONTROL);
    says(r, ATTEST_AS_ROOT, RESULT("N2.a", "network", "denied"));
    attest_report_probe_end(r, ATTEST_AS_ROOT);
    expect(r, ATTEST_UNPROVEN);
    expect_row(r, "A.probe.end", "error", "ended before it had said everything");
    attest_report_free(r);
}

static void each_class_of_attempts_must_be_there(void **state)
{
    (void)state;
    static const char *const lines[] = {
        RESULT("N2.a", "network", "denied"), RESULT("N4.a", "dns", "denied"),
        RESULT("P1.a", "proxy", "denied"), RESULT("H2.a", "container", "denied")};
    static const char *const ids[] = {"A.probe.none.network", "A.probe.none.dns",
                                      "A.probe.none.proxy", "A.probe.none.container"};
    for (size_t without = 0; without < 4; without++) {
        struct attest_report *r = opened();
        good_probe(r, ATTEST_AS_ROOT);
        says(r, ATTEST_AS_USER, CONTROL);
        for (size_t i = 0; i < 4; i++) {
            if (i != without)
                says(r, ATTEST_AS_USER, lines[i]);
        }
        says(r, ATTEST_AS_USER, "{\"type\":\"end\",\"attempts\":3}");
        attest_report_probe_end(r, ATTEST_AS_USER);
        expect(r, ATTEST_UNPROVEN);
        expect_row(r, ids[without], "error", "nothing of class");
        assert_int_equal(attest_report_count(r, ATTEST_ERROR), 1);
        attest_report_free(r);
    }
}

static void with_only_a_part_may_be_absent(void **state)
{
    (void)state;
    struct str_list only = {0};
    str_list_add(&only, "N2.*");
    str_list_add(&only, "I.agent.*");
    struct attest_report *r = attest_report_new("one", "", &only);
    static const char *const ids[] = {"I.agent.pid", "I.egress.pid"};
    for (size_t i = 0; i < 2; i++) {
        const struct attest_row row = {.id = ids[i],
                                       .row = "H2",
                                       .class = "inspect",
                                       .title = "t",
                                       .evidence = "e",
                                       .verdict = ATTEST_DENIED};
        attest_report_add(r, ATTEST_AS_HOST, &row);
    }
    for (enum attest_as as = 0; as <= ATTEST_AS_ROOT; as++) {
        says(r, as, CONTROL);
        says(r, as, RESULT("N2.a", "network", "denied"));
        says(r, as, "{\"type\":\"end\",\"attempts\":1}");
        attest_report_probe_end(r, as);
    }
    expect(r, ATTEST_SEALED);
    assert_int_equal(attest_report_count(r, ATTEST_DENIED), 3);
    attest_report_free(r);

    r = attest_report_new("one", "", &only);
    attest_report_problem(r, ATTEST_AS_HOST, "A.agent", "is never dropped");
    attest_report_finish(r);
    assert_int_equal(attest_report_count(r, ATTEST_ERROR), 1);
    attest_report_free(r);
    str_list_done(&only);
}

static void the_count_must_agree(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    good_probe(r, ATTEST_AS_USER);
    says(r, ATTEST_AS_ROOT, RESULT("N2.a", "network", "denied"));
    says(r, ATTEST_AS_ROOT, "{\"type\":\"end\",\"attempts\":212}");
    expect(r, ATTEST_UNPROVEN);
    expect_row(r, "A.probe.count", "error", "the probe made 212 attempts and told of 1");
    attest_report_free(r);
}

/* ---- hostile output ---- */

static void lines_that_are_none(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Traceback (most recent call last):",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"other\"}",
        "{\"type\":\"result\"}",
        "{\"type\":\"result\",\"id\":\"\",\"row\":\"N2\",\"class\":\"dns\",\"title\":\"t\","
        "\"verdict\":\"denied\",\"evidence\":\"e\"}",
        "{\"type\":\"result\",\"id\":\"x\",\"row\":\"N2\",\"class\":\"dns\",\"title\":\"t\","
        "\"verdict\":\"fine\",\"evidence\":\"e\"}",
        "{\"type\":\"result\",\"id\":\"x\",\"row\":\"N2\",\"class\":\"dns\",\"title\":\"t\","
        "\"verdict\":\"denied\",\"evidence\":\"\"}",
        "{\"type\":\"result\",\"id\":\"x\",\"row\":\"N2\",\"class\":\"dns\",\"title\":\"t\","
        "\"verdict\":\"denied\"}",
        "{\"type\":\"result\",\"id\":[\"x\"],\"row\":\"N2\",\"class\":\"dns\",\"title\":\"t\","
        "\"verdict\":\"denied\",\"evidence\":\"e\"}",
        "{\"type\":\"control\",\"id\":\"C1\",\"ok\":\"true\"}",
        "{\"type\":\"control\",\"ok\":true}",
        "{\"type\":\"end\"}",
        "{\"type\":\"end\",\"attempts\":\"4\"}",
        "{\"type\":\"result\",\"type\":\"end\",\"attempts\":0}",
        "{\"type\":\"end\",\"attempts\":0} trailing",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct attest_report *r = opened();
        says(r, ATTEST_AS_USER, lines[i]);
        says(r, ATTEST_AS_USER, lines[i]);
        attest_report_finish(r);
        if (attest_report_count(r, ATTEST_ERROR) != 1)
            fail_msg("%s", lines[i]);
        expect_row(r, "A.probe.line", "error", "can't be read");
        assert_int_equal(attest_report_count(r, ATTEST_DENIED), 0);
        attest_report_free(r);
    }
}

static void nothing_counts_after_the_end(void **state)
{
    (void)state;
    struct attest_report *r = good();
    says(r, ATTEST_AS_USER, RESULT("N2.z", "network", "denied"));
    expect(r, ATTEST_UNPROVEN);
    expect_row(r, "A.probe.line", "error", "a line after the end");
    attest_report_free(r);
}

static void a_line_that_is_too_long(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    char *line = xmalloc(ATTEST_MAX_LINE + 2);
    memset(line, ' ', ATTEST_MAX_LINE + 1);
    line[0] = '{';
    attest_report_line(r, ATTEST_AS_USER, (struct sv){line, ATTEST_MAX_LINE + 1});
    attest_report_finish(r);
    expect_row(r, "A.probe.line", "error", "it is too long");
    free(line);
    attest_report_free(r);
}

static void deep_and_binary_lines(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    char *deep = xmalloc(ATTEST_MAX_LINE);
    memset(deep, '[', ATTEST_MAX_LINE);
    attest_report_line(r, ATTEST_AS_USER, (struct sv){deep, ATTEST_MAX_LINE});
    attest_report_line(r, ATTEST_AS_ROOT, (struct sv){"\0\xff\xfe{", 4});
    attest_report_finish(r);
    expect_row(r, "A.probe.line", "error", "can't be read");
    assert_int_equal(attest_report_count(r, ATTEST_ERROR), 2);
    free(deep);
    attest_report_free(r);
}

/* Whatever a row says twice, the graver word stays. */
static void rows_can_not_be_made_better(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    says(r, ATTEST_AS_USER, CONTROL);
    says(r, ATTEST_AS_USER, RESULT("a", "network", "open"));
    says(r, ATTEST_AS_USER, RESULT("a", "network", "denied"));
    says(r, ATTEST_AS_USER, RESULT("b", "network", "denied"));
    says(r, ATTEST_AS_USER, RESULT("b", "network", "error"));
    says(r, ATTEST_AS_USER, "{\"type\":\"control\",\"id\":\"C2\",\"ok\":false}");
    says(r, ATTEST_AS_USER, "{\"type\":\"control\",\"id\":\"C2\",\"ok\":true}");
    attest_report_finish(r);
    expect_row(r, "a", "open", "e");
    expect_row(r, "b", "error", "e");
    json_t *json = attest_report_json(r);
    json_t *control = json_array_get(json_object_get(json, "controls"), 1);
    assert_true(json_is_false(json_object_get(control, "ok")));
    assert_int_equal(json_array_size(json_object_get(json, "results")), 2);
    json_decref(json);
    attest_report_free(r);
}

static void a_flood_is_cut_but_what_is_open_stays(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    says(r, ATTEST_AS_USER, CONTROL);
    for (int i = 0; i < ATTEST_MAX_ROWS + 500; i++) {
        char *line = xasprintf("{\"type\":\"result\",\"id\":\"x%d\",\"row\":\"N2\",\"class\":"
                               "\"network\",\"title\":\"t\",\"verdict\":\"denied\",\"evidence\":"
                               "\"e\",\"control\":\"C1\"}",
                               i);
        says(r, ATTEST_AS_USER, line);
        free(line);
    }
    says(r, ATTEST_AS_USER, RESULT("late", "network", "open"));
    expect(r, ATTEST_IS_OPEN);
    assert_int_equal(attest_report_count(r, ATTEST_DENIED), ATTEST_MAX_ROWS - 1);
    expect_row(r, "A.limit", "error", "more than 8192 rows");
    attest_report_free(r);
}

/* Long texts are cut before they are kept. */
static void long_texts_are_cut(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    char *long_text = xmalloc(5001);
    memset(long_text, 'a', 5000);
    long_text[5000] = '\0';
    char *line =
        xasprintf("{\"type\":\"result\",\"id\":\"%s\",\"row\":\"%s\",\"class\":\"%s\","
                  "\"title\":\"%.4000s\",\"verdict\":\"open\",\"evidence\":\"%.1000s\"}",
                  "x", "rowrowrowrowrowrowrow", "classclassclassclass", long_text, long_text);
    says(r, ATTEST_AS_USER, line);
    attest_report_finish(r);
    json_t *v = row_of(r, "x");
    assert_non_null(v);
    assert_in_range(json_string_length(json_object_get(v, "title")), ATTEST_MAX_TITLE,
                    ATTEST_MAX_TITLE + 3);
    assert_in_range(json_string_length(json_object_get(v, "evidence")), ATTEST_MAX_EVIDENCE,
                    ATTEST_MAX_EVIDENCE + 3);
    assert_in_range(json_string_length(json_object_get(v, "row")), ATTEST_MAX_WORD,
                    ATTEST_MAX_WORD + 3);
    json_decref(v);
    free(line);
    free(long_text);
    attest_report_free(r);
}

/* Nothing that a terminal or a reader would obey comes out, in no form of the report. */
static void nothing_reaches_a_terminal_raw(void **state)
{
    (void)state;
    static const char line[] =
        "{\"type\":\"result\",\"id\":\"a\\u001b[2J\",\"row\":\"N\\u0007\",\"class\":\"network\","
        "\"title\":\"\\u202eevil\\u2066 \\u200b\\ufeff\\u009b31m\",\"verdict\":\"open\","
        "\"evidence\":\"one\\ntwo\\r\\tthree\\u007f \\u0085 \\u2028 \\ud83d\\ude00 "
        "\\udb40\\udc41\"}";
    struct attest_report *r = attest_report_new("one", "2026-11-22T10:00:00Z", NULL);
    says(r, ATTEST_AS_USER, line);
    says(r, ATTEST_AS_USER, "\x1b]0;owned\x07");
    says(r, ATTEST_AS_ROOT,
         "{\"type\":\"control\",\"id\":\"C\\u001b\",\"ok\":false,\"title\":\"\\u001b\"}");
    attest_report_finish(r);
    json_t *json = attest_report_json(r);
    char *as_json = json_dumps(json, JSON_INDENT(2));
    struct str table;
    str_init(&table, 1 << 20);
    attest_report_print(r, true, &table);
    const char *const forms[] = {as_json, table.p};
    static const char *const never[] = {"\x1b",
                                        "\x07",
                                        "\r",
                                        "\t",
                                        "\x7f",
                                        "\xc2\x9b",
                                        "\xe2\x80\xae",
                                        "\xe2\x81\xa6",
                                        "\xe2\x80\x8b",
                                        "\xef\xbb\xbf",
                                        "\xc2\x85",
                                        "\xe2\x80\xa8",
                                        "\xf3\xa0\x81\x81"};
    for (size_t f = 0; f < 2; f++) {
        for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
            if (strstr(forms[f], never[i]))
                fail_msg("form %zu holds forbidden text %zu", f, i);
        }
    }
    assert_non_null(strstr(table.p, "\\x1b[2J"));
    assert_non_null(strstr(table.p, "\\u{202e}evil"));
    assert_non_null(strstr(table.p, "one\\x0atwo"));
    assert_non_null(strstr(table.p, "\xf0\x9f\x98\x80"));
    str_done(&table);
    free(as_json);
    json_decref(json);
    attest_report_free(r);
}

/* A byte that ends C's texts hides nothing of what follows it. */
static void nul_bytes(void **state)
{
    (void)state;
    struct attest_report *r = opened();
    says(r, ATTEST_AS_USER, CONTROL);
    says(r, ATTEST_AS_USER, RESULT("a\\u0000b", "proxy", "denied"));
    says(r, ATTEST_AS_USER, RESULT("a\\u0000c", "proxy", "open"));
    attest_report_finish(r);
    expect_row(r, "a\\x00b", "denied", "e");
    expect_row(r, "a\\x00c", "open", "e");
    assert_int_equal(attest_report_count(r, ATTEST_ERROR), 0);
    attest_report_free(r);
}

/* ---- forms ---- */

static void json_has_the_promised_shape(void **state)
{
    (void)state;
    struct attest_report *r = good();
    attest_report_engine(r, "20.10.24", 41);
    attest_report_user(r, "1000:1000");
    attest_report_finish(r);
    json_t *json = attest_report_json(r);
    json_t *results = json_object_get(json, "results");
    json_t *controls = json_object_get(json, "controls");
    static const char head[] = "{\"bottle\":\"one\",\"engine\":{\"api\":\"1.41\",\"version\":"
                               "\"20.10.24\"},\"kind\":\"AttestReport\",\"startedAt\":"
                               "\"2026-11-22T10:00:00Z\",\"summary\":{\"denied\":8,\"error\":0,"
                               "\"open\":0,\"skipped\":0},\"user\":\"1000:1000\",\"verdict\":"
                               "\"sealed\"}";
    char *row = json_dumps(json_array_get(results, 0), JSON_COMPACT | JSON_SORT_KEYS);
    char *control = json_dumps(json_array_get(controls, 0), JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(row, "{\"as\":\"user\",\"class\":\"network\",\"control\":\"C1\","
                             "\"evidence\":\"e\",\"id\":\"N2.a\",\"row\":\"N2\",\"title\":\"t\","
                             "\"verdict\":\"denied\"}");
    assert_string_equal(control, "{\"as\":\"user\",\"evidence\":\"seen\",\"id\":\"C1\",\"ok\":true,"
                                 "\"title\":\"works\"}");
    assert_int_equal(json_array_size(results), 8);
    (void)json_object_del(json, "results");
    (void)json_object_del(json, "controls");
    char *rest = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(rest, head);
    free(rest);
    free(row);
    free(control);
    json_decref(json);
    attest_report_free(r);
}

/* A probe works in parallel: the order of its rows must not be the report's. */
static void the_order_is_stable(void **state)
{
    (void)state;
    static const char *const lines[] = {
        RESULT("N2.10", "network", "denied"), RESULT("P1.a", "proxy", "denied"),
        RESULT("N2.9", "network", "denied"), RESULT("zz", "novel", "denied"),
        RESULT("N4.a", "dns", "denied")};
    static const char *const want[] = {"N2.9", "N2.10", "N4.a", "P1.a", "zz"};
    for (size_t from = 0; from < 5; from++) {
        struct attest_report *r = opened();
        says(r, ATTEST_AS_ROOT, CONTROL);
        for (size_t i = 0; i < 5; i++)
            says(r, ATTEST_AS_ROOT, lines[(from + i) % 5]);
        attest_report_finish(r);
        json_t *json = attest_report_json(r);
        for (size_t i = 0; i < 5; i++) {
            json_t *v = json_array_get(json_object_get(json, "results"), i);
            assert_string_equal(json_string_value(json_object_get(v, "id")), want[i]);
        }
        json_decref(json);
        attest_report_free(r);
    }
}

static void the_table_shows_what_is_not_denied(void **state)
{
    (void)state;
    struct attest_report *r = good();
    const struct attest_row row = {.id = "I.agent.mounts",
                                   .row = "H1",
                                   .class = "inspect",
                                   .title = "mounts nothing",
                                   .evidence = "/etc",
                                   .verdict = ATTEST_OPEN};
    attest_report_add(r, ATTEST_AS_HOST, &row);
    attest_report_finish(r);
    struct str narrow;
    struct str wide;
    str_init(&narrow, 1 << 20);
    str_init(&wide, 1 << 20);
    attest_report_print(r, false, &narrow);
    attest_report_print(r, true, &wide);
    assert_string_equal(narrow.p,
                        "VERDICT  AS    CLASS    ID              WHAT            EVIDENCE\n"
                        "OPEN     host  inspect  I.agent.mounts  mounts nothing  /etc\n"
                        "\n"
                        "CLASS         DENIED    OPEN SKIPPED   ERROR\n"
                        "network            2       0       0       0\n"
                        "dns                2       0       0       0\n"
                        "proxy              2       0       0       0\n"
                        "container          2       0       0       0\n"
                        "inspect            0       1       0       0\n"
                        "\n"
                        "one: open: 8 denied, 1 open, 0 skipped, 0 errors\n");
    assert_null(strstr(narrow.p, "N2.a"));
    assert_non_null(strstr(wide.p, "denied   user  network    N2.a"));
    assert_non_null(strstr(wide.p, "works    user  control    C1"));
    str_done(&narrow);
    str_done(&wide);
    attest_report_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_refused_is_sealed),
        cmocka_unit_test(one_open_row_is_open),
        cmocka_unit_test(nothing_is_unproven),
        cmocka_unit_test(a_dead_network_refuses_everything),
        cmocka_unit_test(a_control_of_another_probe_does_not_count),
        cmocka_unit_test(a_failed_control_alone_is_unproven),
        cmocka_unit_test(without_an_end_it_died),
        cmocka_unit_test(each_class_of_attempts_must_be_there),
        cmocka_unit_test(with_only_a_part_may_be_absent),
        cmocka_unit_test(the_count_must_agree),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(nothing_counts_after_the_end),
        cmocka_unit_test(a_line_that_is_too_long),
        cmocka_unit_test(deep_and_binary_lines),
        cmocka_unit_test(rows_can_not_be_made_better),
        cmocka_unit_test(a_flood_is_cut_but_what_is_open_stays),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(nothing_reaches_a_terminal_raw),
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(json_has_the_promised_shape),
        cmocka_unit_test(the_order_is_stable),
        cmocka_unit_test(the_table_shows_what_is_not_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
