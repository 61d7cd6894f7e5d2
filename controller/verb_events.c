/* SPDX-License-Identifier: Apache-2.0 */
/* events: what the controller did and met lately; with -w, as it comes. */
#include "controller/ask.h"
#include "spec/base/err.h"
#include "spec/base/xalloc.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

struct shown {
    const struct cli *cli;
    const char *socket;
    json_int_t last; /* number of the newest that was printed */
    bool headed;
    int code;
};

static bool asked_for(const struct cli *cli, const json_t *event)
{
    return !cli->args.len || str_list_has(&cli->args, ask_text(event, "bottle"));
}

static void row(const json_t *event, struct str *out)
{
    const char *bottle = ask_text(event, "bottle");
    str_addf(out, "%-20s  %-8s %-24s %-20s %5lld  %s\n", ask_text(event, "lastTime"),
             ask_text(event, "type"), *bottle ? bottle : "-", ask_text(event, "reason"),
             (long long)json_integer_value(json_object_get(event, "count")),
             ask_text(event, "message"));
}

static void add_event(struct shown *s, json_t *event, json_t *kept, struct str *out)
{
    if (s->cli->output != OUTPUT_JSON) {
        row(event, out);
    } else if (s->cli->watch) {
        AUTO_FREE char *line = XNN(json_dumps(event, JSON_COMPACT));
        str_addf(out, "%s\n", line);
    } else {
        json_array_append(kept, event);
    }
}

/* Prints what is newer than what was printed. */
static int print_new(struct shown *s, json_t *list)
{
    struct str out;
    size_t i = 0;
    json_t *event = NULL;
    json_t *kept = XNN(json_array());
    json_int_t newest = s->last;
    str_init(&out, TEXT_MAX);
    if (!s->headed && !s->cli->no_headers && s->cli->output == OUTPUT_TABLE)
        str_addf(&out, "%-20s  %-8s %-24s %-20s %5s  %s\n", "LAST", "TYPE", "BOTTLE", "REASON",
                 "COUNT", "MESSAGE");
    json_array_foreach(json_object_get(list, "items"), i, event)
    {
        json_int_t seq = json_integer_value(json_object_get(event, "seq"));
        newest = seq > newest ? seq : newest;
        if (seq > s->last && asked_for(s->cli, event))
            add_event(s, event, kept, &out);
    }
    if (s->cli->output == OUTPUT_JSON && !s->cli->watch) {
        json_object_set(list, "items", kept);
        AUTO_FREE char *json = XNN(json_dumps(list, JSON_INDENT(2)));
        str_addf(&out, "%s\n", json);
    }
    s->headed = true;
    s->last = newest;
    json_decref(kept);
    int code = out.len ? cli_print(out.p, EXIT_OK) : EXIT_OK;
    str_done(&out);
    return code;
}

static int fetch(struct shown *s)
{
    int status = 0;
    json_t *list = NULL;
    struct err *e = api_call(s->socket, "GET", "/v1/events", NULL, &status, &list);
    if (e)
        return cli_fail(e, EXIT_DIFFERS);
    int code = EXIT_DIFFERS;
    if (status == 200)
        code = print_new(s, list);
    else
        (void)fprintf(stderr, "bottler: the controller answered %d: %s\n", status,
                      ask_text(list, "error"));
    json_decref(list);
    return code;
}

/* A line of the watch only says how far the events have come. */
static bool on_line(void *ctx, const json_t *value)
{
    struct shown *s = ctx;
    const json_t *last = json_object_get(json_object_get(value, "controller"), "lastEvent");
    if (!s->headed || json_integer_value(last) > s->last)
        s->code = fetch(s);
    return s->code == EXIT_OK;
}

int verb_events(const struct cli *cli)
{
    struct shown s = {.cli = cli, .socket = cli->socket ? cli->socket : cli->socket_default};
    if (cli->output == OUTPUT_WIDE || cli->output == OUTPUT_NAME)
        return cli_fail(err_new(ERR_INVALID, "-o: events are a table or json"), EXIT_USAGE);
    if (!cli->watch)
        return fetch(&s);
    struct err *e = api_watch(s.socket, on_line, &s);
    return e ? cli_fail(e, EXIT_DIFFERS) : s.code;
}
