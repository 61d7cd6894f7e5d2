/* SPDX-License-Identifier: Apache-2.0 */
/* history: what became of a bottle's generations. */
#include "controller/ask.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { TEXT_MAX = 64 << 20, SHOWN_CHANGES = 3 };

/* The first few; the rest is in -o json, and all of it with -o wide. */
static void add_changes(const json_t *entry, bool wide, struct str *out)
{
    const json_t *changes = json_object_get(entry, "changes");
    size_t n = json_array_size(changes);
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(changes, i, v)
    {
        if (!wide && i == SHOWN_CHANGES) {
            str_addf(out, "; and %zu more", n - i);
            break;
        }
        str_addf(out, "%s%s: %s", i ? "; " : "", ask_text(v, "field"), ask_text(v, "change"));
    }
}

static const char *or_dash(const char *text)
{
    return *text ? text : "-";
}

static void row(const json_t *entry, bool wide, struct str *out)
{
    const char *message = ask_text(entry, "message");
    str_addf(out, "%4lld  %-20s  %-12.12s  %-10s  %-20s  ",
             (long long)json_integer_value(json_object_get(entry, "generation")),
             ask_text(entry, "acceptedAt"), or_dash(ask_text(entry, "revision")),
             ask_text(entry, "outcome"), or_dash(ask_text(entry, "endedAt")));
    if (wide)
        str_addf(out, "%s  ", or_dash(ask_text(entry, "file")));
    add_changes(entry, wide, out);
    if (*message)
        str_addf(out, "%s(%s)", json_array_size(json_object_get(entry, "changes")) ? " " : "",
                 message);
    str_addc(out, '\n');
}

static void table(const struct cli *cli, const json_t *list, struct str *out)
{
    bool wide = cli->output == OUTPUT_WIDE;
    size_t i = 0;
    json_t *v = NULL;
    if (!cli->no_headers)
        str_addf(out, "%4s  %-20s  %-12s  %-10s  %-20s  %s%s\n", "GEN", "ACCEPTED", "REVISION",
                 "OUTCOME", "ENDED", wide ? "SOURCE  " : "", "CHANGES");
    json_array_foreach(json_object_get(list, "items"), i, v) row(v, wide, out);
}

static int show(const struct cli *cli, const json_t *list)
{
    struct str out;
    str_init(&out, TEXT_MAX);
    if (cli->output == OUTPUT_JSON) {
        AUTO_FREE char *json = XNN(json_dumps(list, JSON_INDENT(2)));
        str_addf(&out, "%s\n", json);
    } else {
        table(cli, list, &out);
    }
    int code = out.len ? cli_print(out.p, EXIT_OK) : EXIT_OK;
    str_done(&out);
    return code;
}

int verb_history(const struct cli *cli)
{
    if (cli->args.len != 1)
        return cli_fail(err_new(ERR_INVALID, "expected the name of one bottle"), EXIT_USAGE);
    if (cli->output == OUTPUT_NAME)
        return cli_fail(err_new(ERR_INVALID, "-o name: expected table, wide or json"), EXIT_USAGE);
    struct str path;
    str_init(&path, 4096);
    str_add(&path, "/v1/bottles/");
    str_add_url(&path, sv_of(cli->args.items[0]), "");
    str_add(&path, "/history");
    json_t *list = NULL;
    int code = str_failed(&path)
                   ? cli_fail(err_new(ERR_INVALID, "expected the name of a bottle"), EXIT_USAGE)
                   : ask(cli, "GET", path.p, NULL, &list);
    str_done(&path);
    if (!list)
        return code;
    code = show(cli, list);
    json_decref(list);
    return code;
}
