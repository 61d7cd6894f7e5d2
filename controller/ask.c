/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ask.h"

#include "spec/base/xalloc.h"

#include <stdio.h>
#include <string.h>

const char *ask_socket(const struct cli *cli)
{
    return cli->socket ? cli->socket : cli->socket_default;
}

const char *ask_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static enum exit_code code_of(int status)
{
    return status == 409 ? EXIT_REFUSED : status == 400 ? EXIT_USAGE : EXIT_DIFFERS;
}

int ask(const struct cli *cli, const char *method, const char *path, const json_t *body,
        json_t **ret)
{
    int status = 0;
    *ret = NULL;
    json_t *answer = NULL;
    struct err *e = api_call(ask_socket(cli), method, path, body, &status, &answer);
    if (e)
        return cli_fail(e, err_kind(e) == ERR_TIMEOUT ? EXIT_TIMEOUT : EXIT_DIFFERS);
    if (status / 100 == 2) {
        *ret = answer;
        return EXIT_OK;
    }
    const char *why = ask_text(answer, "error");
    e = *why ? err_new(ERR_DENIED, "%s", why)
             : err_new(ERR_INTERNAL, "the controller answered %d", status);
    json_decref(answer);
    return cli_fail(e, code_of(status));
}

struct err *ask_about(const struct cli *cli, json_t *body)
{
    if (cli->all && cli->args.len)
        return err_new(ERR_INVALID, "'%s' and --all: expected one of the two", cli->args.items[0]);
    if (!cli->all && !cli->args.len)
        return err_new(ERR_INVALID, "which bottle? expected NAME… or --all");
    if (cli->all) {
        json_object_set_new(body, "all", json_true());
        return NULL;
    }
    json_t *names = XNN(json_array());
    for (size_t i = 0; i < cli->args.len; i++) {
        json_t *name = json_string(cli->args.items[i]);
        if (!name) {
            json_decref(names);
            return err_new(ERR_INVALID, "a name that is no UTF-8");
        }
        json_array_append_new(names, name);
    }
    json_object_set_new(body, "names", names);
    return NULL;
}

const json_t *ask_condition(const json_t *bottle, const char *type)
{
    size_t i = 0;
    json_t *c = NULL;
    json_array_foreach(json_object_get(json_object_get(bottle, "status"), "conditions"), i, c)
    {
        if (strcmp(ask_text(c, "type"), type) == 0)
            return c;
    }
    return NULL;
}

const char *ask_name(const json_t *bottle)
{
    return ask_text(json_object_get(bottle, "metadata"), "name");
}

const json_t *ask_bottle(const json_t *list, const char *name)
{
    size_t i = 0;
    json_t *b = NULL;
    json_array_foreach(json_object_get(list, "items"), i, b)
    {
        if (strcmp(ask_name(b), name) == 0)
            return b;
    }
    return NULL;
}
