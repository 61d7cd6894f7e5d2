/* SPDX-License-Identifier: Apache-2.0 */
/* get: the controller's status, as a table or as JSON. */
#include "controller/ask.h"
#include "reconcile/clock.h"
#include "spec/base/err.h"
#include "spec/base/xalloc.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

static long long restarts(const json_t *bottle)
{
    long long sum = 0;
    size_t i = 0;
    json_t *c = NULL;
    json_array_foreach(json_object_get(json_object_get(bottle, "status"), "components"), i, c)
        sum += json_integer_value(json_object_get(c, "restarts"));
    return sum;
}

/* "pipelock:running egress:running agent:running" */
static void components(const json_t *bottle, struct str *out)
{
    size_t i = 0;
    json_t *c = NULL;
    json_array_foreach(json_object_get(json_object_get(bottle, "status"), "components"), i, c)
        str_addf(out, "%s%s:%s", i ? " " : "", ask_text(c, "role"), ask_text(c, "state"));
}

static const char *revision_of(const json_t *source)
{
    const char *revision = ask_text(source, "revision");
    return *revision ? revision : "-";
}

static void row(const json_t *bottle, bool wide, struct str *out)
{
    const json_t *meta = json_object_get(bottle, "metadata");
    const json_t *ready = ask_condition(bottle, "Ready");
    const json_t *policy = ask_condition(bottle, "PolicyEffective");
    const json_t *isolated = ask_condition(bottle, "Isolated");
    bool suspended = ask_condition(bottle, "Suspended") != NULL;
    struct str parts;
    str_init(&parts, TEXT_MAX);
    components(bottle, &parts);
    str_addf(out, "%-24s %-9s %-16s %-7s %-7s %4lld %4lld  %s", ask_text(meta, "name"),
             suspended ? "SUSPENDED" : ask_text(ready, "status"), ask_text(ready, "reason"),
             ask_text(isolated, "status"), ask_text(policy, "status"),
             json_integer_value(json_object_get(meta, "generation")), restarts(bottle), parts.p);
    if (wide) {
        const json_t *source = json_object_get(meta, "source");
        str_addf(out, "  %s  %s  %s", ask_text(source, "file"), revision_of(source),
                 ask_text(suspended ? ask_condition(bottle, "Suspended") : ready, "message"));
    }
    str_addc(out, '\n');
    str_done(&parts);
}

static void table(const struct cli *cli, const json_t *list, struct str *out)
{
    size_t i = 0;
    json_t *b = NULL;
    if (cli->output == OUTPUT_NAME) {
        json_array_foreach(json_object_get(list, "items"), i, b)
            str_addf(out, "bottle/%s\n", ask_text(json_object_get(b, "metadata"), "name"));
        return;
    }
    bool wide = cli->output == OUTPUT_WIDE;
    if (!cli->no_headers)
        str_addf(out, "%-24s %-9s %-16s %-7s %-7s %4s %4s  %s%s\n", "NAME", "READY", "REASON",
                 "SEALED", "POLICY", "GEN", "RST", "COMPONENTS",
                 wide ? "  SOURCE  REVISION  MESSAGE" : "");
    json_array_foreach(json_object_get(list, "items"), i, b) row(b, wide, out);
}

/* Only the bottles that were asked for; the first missing one is named. */
static const char *keep_named(const struct str_list *names, json_t *list)
{
    json_t *kept = XNN(json_array());
    const char *missing = NULL;
    for (size_t n = 0; n < names->len; n++) {
        bool found = false;
        size_t i = 0;
        json_t *b = NULL;
        json_array_foreach(json_object_get(list, "items"), i, b)
        {
            if (strcmp(ask_text(json_object_get(b, "metadata"), "name"), names->items[n]) == 0) {
                json_array_append(kept, b);
                found = true;
            }
        }
        if (!found && !missing)
            missing = names->items[n];
    }
    json_object_set_new(list, "items", kept);
    return missing;
}

static int show(const struct cli *cli, json_t *list, bool one_line)
{
    const char *missing = cli->args.len ? keep_named(&cli->args, list) : NULL;
    struct str out;
    str_init(&out, TEXT_MAX);
    if (cli->output == OUTPUT_JSON) {
        AUTO_FREE char *json = XNN(json_dumps(list, one_line ? JSON_COMPACT : JSON_INDENT(2)));
        str_addf(&out, "%s\n", json);
    } else {
        table(cli, list, &out);
    }
    int code = cli_print(out.p, EXIT_OK);
    str_done(&out);
    if (missing && !one_line)
        return cli_fail(err_new(ERR_NOT_FOUND, "there is no bottle '%s'", missing), EXIT_DIFFERS);
    return code;
}

static bool on_line(void *ctx, const json_t *value)
{
    const struct cli *cli = ctx;
    json_t *list = XNN(json_deep_copy(value));
    int code = show(cli, list, true);
    json_decref(list);
    return code == EXIT_OK;
}

int verb_get(const struct cli *cli)
{
    const char *socket = cli->socket ? cli->socket : cli->socket_default;
    if (cli->watch) {
        struct cli copy = *cli;
        struct err *e = api_watch(socket, on_line, &copy);
        return e ? cli_fail(e, EXIT_DIFFERS) : EXIT_OK;
    }
    int status = 0;
    json_t *list = NULL;
    struct err *e = api_call(socket, "GET", "/v1/bottles", NULL, &status, &list);
    if (e)
        return cli_fail(e, EXIT_DIFFERS);
    int code = EXIT_DIFFERS;
    if (status == 200)
        code = show(cli, list, false);
    else
        (void)fprintf(stderr, "bottler: the controller answered %d: %s\n", status,
                      ask_text(list, "error"));
    json_decref(list);
    return code;
}
