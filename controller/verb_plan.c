/* SPDX-License-Identifier: Apache-2.0 */
/* plan and apply: what `run` would do now, and doing exactly that. */
#include "controller/cli.h"
#include "controller/planning.h"
#include "controller/run_options.h"
#include "controller/statefs.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_MAX = 64 << 20, PLAN_MAX = 64 << 20 };

static bool any_change(const json_t *document)
{
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach(json_object_get(document, "bottles"), i, p)
    {
        bool stays = json_is_true(json_object_get(p, "leftAlone"));
        if ((json_is_true(json_object_get(p, "mutates")) && !stays) ||
            json_is_string(json_object_get(p, "held")) ||
            json_is_string(json_object_get(p, "waits")))
            return true;
    }
    return false;
}

/* Whole or not at all, over a file or nothing; a plan holds manifests, so it is its owner's alone.
 */
static struct err *keep(const char *path, const json_t *document)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    AUTO_FREE char *dir = slash ? xmemdup0(path, (size_t)(name - path)) : xstrdup(".");
    AUTO_CLOSE fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return err_new(ERR_INVALID, "--out '%s': %s", path, err_errno(errno));
    if (!*name || (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)))
        return err_new(ERR_INVALID, "--out '%s': expected the name of a regular file, or of none",
                       path);
    AUTO_FREE char *json = XNN(json_dumps(document, JSON_INDENT(2)));
    AUTO_FREE char *text = xasprintf("%s\n", json);
    TRY_CTX(sdir_write(&(struct sdir){fd, dir}, name, sv_of(text)), "--out '%s'", path);
    return NULL;
}

static enum exit_code plan_exit(const struct cli *cli, const json_t *document)
{
    enum { DETAILED_CHANGES = 2 };
    if (!any_change(document))
        return EXIT_OK;
    return cli->detailed ? (enum exit_code)DETAILED_CHANGES : EXIT_DIFFERS;
}

int verb_plan(const struct cli *cli)
{
    struct controller_options opt;
    const enum exit_code failed = cli->detailed ? EXIT_DIFFERS : EXIT_USAGE;
    struct err *e = run_options(cli, &opt);
    if (e)
        return cli_fail(e, failed);
    struct str text;
    str_init(&text, TEXT_MAX);
    json_t *document = NULL;
    e = controller_plan(&opt, &text, &document);
    if (!e && cli->out)
        e = keep(cli->out, document);
    if (e) {
        json_decref(document);
        str_done(&text);
        return cli_fail(e, failed);
    }
    enum exit_code code = plan_exit(cli, document);
    if (cli->output == OUTPUT_JSON) {
        str_clear(&text);
        AUTO_FREE char *json = XNN(json_dumps(document, JSON_INDENT(2)));
        str_addf(&text, "%s\n", json);
    }
    json_decref(document);
    int ret = cli_print(text.p, code);
    str_done(&text);
    return ret;
}

static struct err *load(const char *path, json_t **ret)
{
    json_error_t why;
    AUTO_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_new(ERR_INVALID, "plan '%s': %s", path, err_errno(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > PLAN_MAX)
        return err_new(ERR_INVALID, "plan '%s': expected a file of at most %d bytes", path,
                       PLAN_MAX);
    *ret = json_loadfd(fd, JSON_REJECT_DUPLICATES, &why);
    if (!*ret)
        return err_new(ERR_INVALID, "plan '%s':%d:%d: %s", path, why.line, why.column, why.text);
    return NULL;
}

static int apply(const char *path, const json_t *document)
{
    struct controller_options opt;
    struct str_list dirs = {0};
    struct str text;
    int code = EXIT_USAGE;
    str_init(&text, TEXT_MAX);
    struct err *e = options_of_document(document, &dirs, &opt);
    if (e)
        e = err_wrap(e, "plan '%s'", path);
    else
        e = controller_apply(&opt, document, &text, &code);
    if (!e && code == EXIT_REFUSED)
        (void)fprintf(stderr, "bottler: nothing was changed: what '%s' was made for has moved\n",
                      path);
    int ret = e ? cli_fail(e, EXIT_USAGE) : cli_print(text.p, (enum exit_code)code);
    str_done(&text);
    str_list_done(&dirs);
    return ret;
}

int verb_apply(const struct cli *cli)
{
    json_t *document = NULL;
    if (cli->args.len != 1)
        return cli_fail(err_new(ERR_INVALID, "expected one file that `bottler plan --out` wrote"),
                        EXIT_USAGE);
    struct err *e = load(cli->args.items[0], &document);
    int code = e ? cli_fail(e, EXIT_USAGE) : apply(cli->args.items[0], document);
    json_decref(document);
    return code;
}
