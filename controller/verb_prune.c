/* SPDX-License-Identifier: Apache-2.0 */
/* prune, adopt and forget: what is to be deleted, and what isn't provably ours. */
#include "controller/ask.h"
#include "spec/base/err.h"
#include "spec/base/xalloc.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20, ID_SHOWN = 12 };

/* ---- prune ----------------------------------------------------------------------------------- */

static void print_objects(const json_t *bottle, struct str *out)
{
    size_t i = 0;
    const json_t *o = NULL;
    json_array_foreach(json_object_get(bottle, "objects"), i, o)
    {
        const json_t *proof = json_object_get(o, "proof");
        str_addf(out, "  %-9s %-40s %.*s  %s, role %s, uid %s%s\n", ask_text(o, "kind"),
                 ask_text(o, "name"), ID_SHOWN, ask_text(o, "id"), ask_text(proof, "installation"),
                 ask_text(proof, "role"), ask_text(proof, "uid"),
                 json_is_true(json_object_get(o, "retained")) ? " (retained: it stays)" : "");
    }
}

static void print_list(const struct cli *cli, const json_t *list, struct str *out)
{
    const json_t *items = json_object_get(list, "items");
    const json_t *orphans = json_object_get(list, "orphans");
    size_t i = 0;
    const json_t *v = NULL;
    if (json_array_size(items) && !cli->no_headers)
        str_addf(out, "%-24s %-6s %-14s %s\n", "NAME", "STATE", "REASON", "WHAT HAPPENS");
    json_array_foreach(items, i, v)
    {
        str_addf(out, "%-24s %-6s %-14s %s\n", ask_text(v, "name"), ask_text(v, "verdict"),
                 ask_text(v, "reason"), ask_text(v, "message"));
        print_objects(v, out);
    }
    if (json_array_size(orphans) && !cli->no_headers)
        str_add(out, "ORPHANS\n");
    json_array_foreach(orphans, i, v)
        str_addf(out, "  %-9s %-40s %.*s  %s\n", ask_text(v, "kind"), ask_text(v, "name"), ID_SHOWN,
                 ask_text(v, "id"), ask_text(v, "why"));
}

/* Only the bottles that were asked for; the first missing one is named. */
static const char *keep_named(const struct str_list *names, json_t *list)
{
    const char *missing = NULL;
    json_t *kept = XNN(json_array());
    for (size_t n = 0; n < names->len; n++) {
        size_t before = json_array_size(kept);
        size_t i = 0;
        json_t *v = NULL;
        json_array_foreach(json_object_get(list, "items"), i, v)
        {
            if (strcmp(ask_text(v, "name"), names->items[n]) == 0)
                json_array_append(kept, v);
        }
        if (json_array_size(kept) == before && !missing)
            missing = names->items[n];
    }
    json_object_set_new(list, "items", kept);
    return missing;
}

static int print_json(const json_t *v, enum exit_code code)
{
    AUTO_FREE char *json = XNN(json_dumps(v, JSON_INDENT(2)));
    AUTO_FREE char *line = xasprintf("%s\n", json);
    return cli_print(line, code);
}

static int show_list(const struct cli *cli, json_t *list)
{
    const char *missing = cli->args.len ? keep_named(&cli->args, list) : NULL;
    bool any = json_array_size(json_object_get(list, "items")) > 0;
    struct str out;
    int code = EXIT_OK;
    if (cli->output == OUTPUT_JSON) {
        code = print_json(list, any ? EXIT_DIFFERS : EXIT_OK);
    } else {
        str_init(&out, TEXT_MAX);
        print_list(cli, list, &out);
        code = cli_print(out.p, any ? EXIT_DIFFERS : EXIT_OK);
        str_done(&out);
        if (!any)
            (void)fprintf(stderr, "nothing is to be deleted\n");
        if (*ask_text(list, "problem"))
            (void)fprintf(stderr, "bottler: %s\n", ask_text(list, "problem"));
    }
    if (missing)
        return cli_fail(err_new(ERR_NOT_FOUND, "'%s' is not to be deleted", missing), EXIT_DIFFERS);
    return code;
}

static int show_approval(const struct cli *cli, const json_t *answer)
{
    const json_t *done = json_object_get(answer, "approved");
    const json_t *not_done = json_object_get(answer, "notApproved");
    size_t i = 0;
    const json_t *v = NULL;
    enum exit_code code = EXIT_OK;
    if (json_array_size(not_done))
        code = cli->args.len ? EXIT_DIFFERS : EXIT_REFUSED;
    if (cli->output == OUTPUT_JSON)
        return print_json(answer, code);
    struct str out;
    str_init(&out, TEXT_MAX);
    json_array_foreach(done, i, v) str_addf(&out, "bottle/%s approved\n", json_string_value(v));
    json_array_foreach(not_done, i, v)(void) fprintf(stderr, "bottler: '%s' is not approved: %s\n",
                                                     ask_text(v, "name"), ask_text(v, "message"));
    if (!json_array_size(done) && !json_array_size(not_done))
        (void)fprintf(stderr, "nothing is to be deleted\n");
    int ret = cli_print(out.p, code);
    str_done(&out);
    return ret;
}

static json_t *prune_body(const struct cli *cli)
{
    json_t *names = XNN(json_array());
    for (size_t i = 0; i < cli->args.len; i++)
        json_array_append_new(names, json_string(cli->args.items[i]));
    return XNN(json_pack("{s:b, s:o}", "approve", cli->approve, "names", names));
}

/* The controller's answer; else the exit code, and what it said is told. */
static json_t *post(const struct cli *cli, const char *path, json_t *body_take, int *ret_code)
{
    json_t *answer = NULL;
    *ret_code = ask(cli, "POST", path, body_take, &answer);
    json_decref(body_take);
    return answer;
}

int verb_prune(const struct cli *cli)
{
    int code = EXIT_USAGE;
    if (cli->approve && cli->dry_run)
        return cli_fail(err_new(ERR_INVALID, "expected either --approve or --dry-run"), EXIT_USAGE);
    json_t *answer = post(cli, "/v1/prune", prune_body(cli), &code);
    if (!answer)
        return code;
    code = cli->approve ? show_approval(cli, answer) : show_list(cli, answer);
    json_decref(answer);
    return code;
}

/* ---- adopt, forget --------------------------------------------------------------------------- */

static json_t *settle(const struct cli *cli, const char *path, int *ret_code)
{
    if (cli->args.len != 1) {
        *ret_code = cli_fail(err_new(ERR_INVALID,
                                     "expected one NAME or ID, got %zu; `bottler prune "
                                     "--dry-run` lists the orphans",
                                     cli->args.len),
                             EXIT_USAGE);
        return NULL;
    }
    return post(cli, path, XNN(json_pack("{s:s}", "object", cli->args.items[0])), ret_code);
}

struct adoption {
    const char *id;
    char *problem; /* why it failed */
};

/* Until it is no orphan any more, or has a problem. */
static bool on_line(void *ctx, const json_t *value)
{
    struct adoption *a = ctx;
    size_t i = 0;
    const json_t *o = NULL;
    json_array_foreach(json_object_get(json_object_get(value, "controller"), "orphans"), i, o)
    {
        if (strcmp(ask_text(o, "id"), a->id) != 0)
            continue;
        a->problem = *ask_text(o, "problem") ? xstrdup(ask_text(o, "problem")) : NULL;
        return a->problem == NULL;
    }
    return false;
}

int verb_adopt(const struct cli *cli)
{
    int code = EXIT_USAGE;
    json_t *answer = settle(cli, "/v1/adopt", &code);
    if (!answer)
        return code;
    struct adoption a = {.id = ask_text(answer, "id")};
    struct err *e = api_watch(ask_socket(cli), on_line, &a);
    if (e)
        code = cli_fail(e, EXIT_DIFFERS);
    else if (a.problem)
        code = cli_fail(err_new(ERR_CONFLICT, "%s", a.problem), EXIT_DIFFERS);
    else
        code = cli_print("adopted\n", EXIT_OK);
    free(a.problem);
    json_decref(answer);
    return code;
}

int verb_forget(const struct cli *cli)
{
    int code = EXIT_USAGE;
    json_t *answer = settle(cli, "/v1/forget", &code);
    if (!answer)
        return code;
    json_decref(answer);
    return cli_print("forgotten\n", EXIT_OK);
}
