/* SPDX-License-Identifier: Apache-2.0 */
/* suspend and resume: bottles that are left alone for a while. */
#include "controller/ask.h"
#include "controller/duration.h"
#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <stdio.h>
#include <time.h>

enum { TEXT_MAX = 1 << 20 };
#define YEARS_S (INT64_C(100) * 365 * 86400)

/* A time, or how long from now. */
static struct err *read_until(const char *text, char ret[CLOCK_TEXT])
{
    int64_t s = 0;
    int64_t now = (int64_t)time(NULL);
    uint32_t ns = 0;
    if (duration_parse(text, 1, YEARS_S, &s))
        s += now;
    else if (!clock_parse(text, &s, &ns))
        return err_new(ERR_INVALID,
                       "--until '%s': expected a time such as 2026-12-01T00:00:00Z, or how long "
                       "from now: 30m, 2h, 3d",
                       text);
    if (s <= now)
        return err_new(ERR_INVALID, "--until '%s': expected a time to come", text);
    clock_format(s, ret);
    return NULL;
}

static struct err *body_of(const struct cli *cli, json_t *body)
{
    char until[CLOCK_TEXT];
    TRY(ask_about(cli, body));
    if (cli->reason && json_object_set_new(body, "reason", json_string(cli->reason)) != 0)
        return err_new(ERR_INVALID, "--reason: expected UTF-8");
    if (cli->until) {
        TRY(read_until(cli->until, until));
        json_object_set_new(body, "until", json_string(until));
    }
    return NULL;
}

static void add_item(const json_t *item, struct str *out)
{
    const json_t *s = json_object_get(item, "suspended");
    const char *until = ask_text(s, "until");
    str_addf(out, "bottle/%s %s", ask_text(item, "name"),
             json_is_object(s) ? "suspended" : "resumed");
    if (*until)
        str_addf(out, " until %s", until);
    str_addc(out, '\n');
}

static int show(const json_t *answer)
{
    size_t i = 0;
    json_t *v = NULL;
    struct str out;
    str_init(&out, TEXT_MAX);
    json_array_foreach(json_object_get(answer, "items"), i, v) add_item(v, &out);
    int code = cli_print(out.p, EXIT_OK);
    str_done(&out);
    json_array_foreach(json_object_get(answer, "refused"), i, v)
    {
        (void)fprintf(stderr, "bottler: %s\n", ask_text(v, "why"));
        code = EXIT_REFUSED;
    }
    return code;
}

static int run(const struct cli *cli, const char *path)
{
    json_t *body = XNN(json_object());
    json_t *answer = NULL;
    struct err *e = body_of(cli, body);
    int code = e ? cli_fail(e, EXIT_USAGE) : ask(cli, "POST", path, body, &answer);
    json_decref(body);
    if (!answer)
        return code;
    code = show(answer);
    json_decref(answer);
    return code;
}

int verb_suspend(const struct cli *cli)
{
    return run(cli, "/v1/suspend");
}

int verb_resume(const struct cli *cli)
{
    return run(cli, "/v1/resume");
}
