/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that need neither an engine nor a controller: validate, render, explain, schema. */
#include "controller/cli.h"
#include "controller/rules.h"
#include "controller/watch.h"
#include "render/routeset.h"
#include "spec/base/err.h"
#include "spec/base/xalloc.h"
#include "spec/fields.h"
#include "spec/manifest.h"

#include <jansson.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

static struct err *load_policy(const char *path, struct policy **ret)
{
    struct str findings;
    str_init(&findings, TEXT_MAX);
    struct err *e = path ? policy_read(path, true, &findings, NULL, ret) : NULL;
    (void)fputs(findings.p, stderr);
    str_done(&findings);
    return e;
}

/* Under the policy, when there is one. Its own findings go to stderr: they aren't the manifests'.
 */
static struct err *load(const struct cli *cli, const struct str_list *paths,
                        struct manifest_set **ret)
{
    struct file_listing files = {0};
    struct policy *policy = NULL;
    TRY(load_policy(cli->policy, &policy));
    struct err *e = files_read(paths, &files);
    if (e) {
        policy_free(policy);
        return e;
    }
    struct manifest_input *inputs = NULL;
    file_listing_inputs(&files, &inputs);
    *ret = manifest_load_under(inputs, files.len, &(struct manifest_rules){.policy = policy});
    policy_free(policy);
    free(inputs);
    file_listing_done(&files);
    return NULL;
}

static void add_json(const struct diag *d, json_t *list)
{
    json_array_append_new(list, XNN(json_pack("{s:s, s:i, s:i, s:s?, s:s}", "file", d->file, "line",
                                              (int)d->pos.line, "column", (int)d->pos.column,
                                              "field", d->field, "message", d->message)));
}

int verb_validate(const struct cli *cli)
{
    if (!cli->args.len)
        return cli_fail(err_new(ERR_INVALID, "validate what? give files or directories"),
                        EXIT_USAGE);
    struct manifest_set *set = NULL;
    struct err *e = load(cli, &cli->args, &set);
    if (e)
        return cli_fail(e, EXIT_USAGE);
    struct diag_list all = {0};
    manifest_set_diags(set, &all);
    struct str out;
    str_init(&out, TEXT_MAX);
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < all.len; i++) {
        add_json(&all.items[i], list);
        diag_format(&all.items[i], &out);
        str_addc(&out, '\n');
    }
    if (cli->output == OUTPUT_JSON) {
        AUTO_FREE char *json = XNN(json_dumps(list, JSON_INDENT(2)));
        str_clear(&out);
        str_addf(&out, "%s\n", json);
    }
    enum exit_code code = all.len ? EXIT_DIFFERS : EXIT_OK;
    if (!all.len)
        (void)fprintf(stderr, "%zu bottles and %zu grants in %zu files are valid\n",
                      set->bottles_len, set->grants_len, set->files_len);
    int ret = cli_print(out.p, code);
    json_decref(list);
    free(all.items);
    str_done(&out);
    manifest_set_free(set);
    return ret;
}

static struct err *pick(const struct manifest_set *set, const char *name, const struct bottle **ret)
{
    const struct bottle *found = NULL;
    for (size_t i = 0; i < set->bottles_len; i++) {
        const struct manifest_bottle *m = &set->bottles[i];
        if (!m->bottle || (name ? strcmp(m->name, name) != 0 : m->bottle->abstract))
            continue;
        if (found)
            return err_new(ERR_INVALID,
                           "the file holds several bottles; say which: --bottle %s, --bottle %s, …",
                           found->name, m->name);
        found = m->bottle;
    }
    if (!found)
        return err_new(ERR_NOT_FOUND, "the file holds no bottle%s%s", name ? " named " : "",
                       name ? name : "");
    *ret = found;
    return NULL;
}

static struct err *render_text(const char *what, const struct bottle *b, struct str *out)
{
    bool all = strcmp(what, "all") == 0;
    bool pipelock = all || strcmp(what, "pipelock") == 0;
    bool routes = all || strcmp(what, "routes") == 0;
    if (strcmp(what, "git-gate") == 0)
        return err_new(ERR_INVALID,
                       "this version has no git-gate, so there is nothing to render for it");
    if (!pipelock && !routes)
        return err_new(ERR_INVALID, "render '%s': expected pipelock, routes or all", what);
    struct routeset r;
    routeset_resolve(b, &r);
    if (pipelock) {
        AUTO_FREE char *text = render_pipelock(b, &r);
        str_addf(out, "%s%s", all ? "# pipelock.yaml\n" : "", text);
    }
    if (routes) {
        AUTO_FREE char *text = render_routes(b, &r);
        str_addf(out, "%s%s", all ? "---\n# routes.yaml\n" : "", text);
    }
    routeset_done(&r);
    return NULL;
}

/* Findings go to stderr: stdout is for the file. */
static bool findings(const struct manifest_set *set)
{
    struct diag_list all = {0};
    manifest_set_diags(set, &all);
    for (size_t i = 0; i < all.len; i++) {
        struct str line;
        str_init(&line, TEXT_MAX);
        diag_format(&all.items[i], &line);
        (void)fprintf(stderr, "%s\n", line.p);
        str_done(&line);
    }
    bool any = all.len > 0;
    free(all.items);
    return any;
}

int verb_render(const struct cli *cli)
{
    if (cli->args.len != 2)
        return cli_fail(err_new(ERR_INVALID, "expected: render pipelock|routes|all FILE"),
                        EXIT_USAGE);
    struct str_list file = {0};
    str_list_add(&file, cli->args.items[1]);
    struct manifest_set *set = NULL;
    struct err *e = load(cli, &file, &set);
    str_list_done(&file);
    if (e)
        return cli_fail(e, EXIT_USAGE);
    struct str out;
    str_init(&out, TEXT_MAX);
    const struct bottle *b = NULL;
    int code = EXIT_DIFFERS;
    if (!findings(set)) {
        e = pick(set, cli->bottle, &b);
        if (!e)
            e = render_text(cli->args.items[0], b, &out);
        code = e ? cli_fail(e, EXIT_USAGE) : cli_print(out.p, EXIT_OK);
    }
    str_done(&out);
    manifest_set_free(set);
    return code;
}

static int print_json(json_t *v_take)
{
    AUTO_FREE char *text = XNN(json_dumps(v_take, JSON_INDENT(2)));
    AUTO_FREE char *line = xasprintf("%s\n", text);
    json_decref(v_take);
    return cli_print(line, EXIT_OK);
}

int verb_explain(const struct cli *cli)
{
    bool json = cli->output == OUTPUT_JSON;
    if (cli->args.len > (json ? 0 : 1))
        return cli_fail(err_new(ERR_INVALID, json ? "-o json lists every field, expected none"
                                                  : "one field at a time"),
                        EXIT_USAGE);
    if (json)
        return print_json(fields_json(&fields_bottle));
    struct str out;
    str_init(&out, TEXT_MAX);
    struct err *e = fields_explain(cli->args.len ? cli->args.items[0] : "", &out);
    int code = e ? cli_fail(e, EXIT_USAGE) : cli_print(out.p, EXIT_OK);
    str_done(&out);
    return code;
}

int verb_schema(const struct cli *cli)
{
    if (cli->args.len)
        return cli_fail(err_new(ERR_INVALID, "schema takes no argument"), EXIT_USAGE);
    return print_json(fields_schema());
}
