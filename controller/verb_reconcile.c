/* SPDX-License-Identifier: Apache-2.0 */
/* reconcile: a pass at once, and its end. The waiting can be given up; the pass goes on. */
#include "controller/ask.h"
#include "controller/duration.h"
#include "spec/base/xalloc.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_S = 300, LONGEST_S = 24 * 3600 };

struct waiting {
    const struct cli *cli;
    json_t *names; /* of those that aren't through yet */
    json_int_t token;
    int code;     /* the worst so far */
    json_t *last; /* the latest list */
};

/* How far one is; negative: it isn't through yet. */
enum { NOT_YET = -1 };

static int say(const char *name, const char *how, const json_t *condition, int code)
{
    (void)fprintf(stderr, "bottler: bottle '%s' %s: %s: %s\n", name, how,
                  ask_text(condition, "reason"), ask_text(condition, "message"));
    return code;
}

/* Ready=False is the end of it for these reasons, else it is on its way. */
static bool is_final(const char *reason)
{
    static const char *const reasons[] = {"Failed", "Refused",  "SecretMissing", "Invalid",
                                          "Held",   "Finished", "NotWanted"};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        if (strcmp(reasons[i], reason) == 0)
            return true;
    }
    return false;
}

static bool is(const json_t *condition, const char *status)
{
    return strcmp(ask_text(condition, "status"), status) == 0;
}

static int judge(const struct waiting *x, const char *name)
{
    const json_t *b = ask_bottle(x->last, name);
    const json_t *status = json_object_get(b, "status");
    json_int_t generation =
        json_integer_value(json_object_get(json_object_get(b, "metadata"), "generation"));
    if (!b) {
        (void)printf("bottle/%s gone\n", name);
        return EXIT_OK;
    }
    const json_t *suspended = ask_condition(b, "Suspended");
    if (suspended)
        return say(name, "is suspended", suspended, EXIT_REFUSED);
    if (json_integer_value(json_object_get(status, "lastHandledReconcile")) < x->token)
        return NOT_YET;
    const json_t *accepted = ask_condition(b, "SpecAccepted");
    const json_t *ready = ask_condition(b, "Ready");
    const json_t *stalled = ask_condition(b, "Stalled");
    if (!is(accepted, "True"))
        return say(name, "stays at its last good generation", accepted, EXIT_DIFFERS);
    if (json_integer_value(json_object_get(status, "observedGeneration")) != generation)
        return NOT_YET;
    if (is(ready, "True")) {
        (void)printf("bottle/%s generation %lld ready\n", name, (long long)generation);
        return EXIT_OK;
    }
    if (stalled)
        return say(name, "is stalled", stalled, EXIT_DIFFERS);
    return is_final(ask_text(ready, "reason")) ? say(name, "isn't ready", ready, EXIT_DIFFERS)
                                               : NOT_YET;
}

static void judge_all(struct waiting *x)
{
    for (size_t i = json_array_size(x->names); i > 0; i--) {
        int code = judge(x, json_string_value(json_array_get(x->names, i - 1)));
        if (code == NOT_YET)
            continue;
        x->code = code > x->code ? code : x->code;
        (void)json_array_remove(x->names, i - 1);
    }
}

static bool on_line(void *ctx, const json_t *value)
{
    struct waiting *x = ctx;
    json_decref(x->last);
    x->last = XNN(json_deep_copy(value));
    judge_all(x);
    return json_array_size(x->names) > 0;
}

/* What came of listing the manifests again. */
static int source_code(const struct waiting *x)
{
    const char *problem = ask_text(json_object_get(x->last, "controller"), "problem");
    if (!x->cli->with_source || !*problem)
        return EXIT_OK;
    (void)fprintf(stderr, "bottler: the manifests can't be read: %s\n", problem);
    return EXIT_DIFFERS;
}

static int time_over(const struct waiting *x)
{
    const json_t *engine =
        json_object_get(json_object_get(x->last, "controller"), "engineConnected");
    size_t i = 0;
    json_t *name = NULL;
    if (json_is_false(engine))
        (void)fprintf(stderr, "bottler: the controller has no connection to the engine\n");
    json_array_foreach(x->names, i, name)
    {
        const char *text = json_string_value(name);
        (void)say(text, "isn't ready in time", ask_condition(ask_bottle(x->last, text), "Ready"),
                  EXIT_TIMEOUT);
    }
    return EXIT_TIMEOUT;
}

static int wait_all(struct waiting *x, unsigned timeout_s)
{
    struct err *e = NULL;
    if (json_array_size(x->names) && timeout_s)
        e = api_watch_for(ask_socket(x->cli), timeout_s, on_line, x);
    int code = x->code;
    if (e && err_kind(e) == ERR_TIMEOUT && x->last) {
        err_ignore(e, "said with what was waited for");
        return time_over(x);
    }
    if (e)
        return cli_fail(e, err_kind(e) == ERR_TIMEOUT ? EXIT_TIMEOUT : EXIT_DIFFERS);
    int source = source_code(x);
    return source > code ? source : code;
}

static int run(struct waiting *x, unsigned timeout_s, const json_t *body)
{
    json_t *answer = NULL;
    int code = ask(x->cli, "POST", "/v1/reconcile", body, &answer);
    if (!answer)
        return code;
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(json_object_get(answer, "suspended"), i, v)(void) fprintf(
        stderr, "bottler: bottle '%s' is suspended and left as it is\n", json_string_value(v));
    x->token = json_integer_value(json_object_get(answer, "token"));
    x->names = json_incref(json_object_get(answer, "names"));
    code = wait_all(x, timeout_s);
    json_decref(x->names);
    json_decref(x->last);
    json_decref(answer);
    return code;
}

int verb_reconcile(const struct cli *cli)
{
    struct waiting x = {.cli = cli};
    int64_t timeout_s = DEFAULT_S;
    json_t *body = XNN(json_object());
    struct err *e = ask_about(cli, body);
    if (!e && cli->timeout && !timeout_parse(cli->timeout, 0, LONGEST_S, &timeout_s))
        e = err_new(ERR_INVALID,
                    "--timeout '%s': expected a time such as 90s or 5m, up to 24h; 0 doesn't wait",
                    cli->timeout);
    if (cli->with_source)
        json_object_set_new(body, "withSource", json_true());
    int code = e ? cli_fail(e, EXIT_USAGE) : run(&x, (unsigned)timeout_s, body);
    json_decref(body);
    return code;
}
