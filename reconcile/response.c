/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/response.h"

#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>

enum { MESSAGE_MAX = 1024 };

static char *one_line(const char *p, size_t n)
{
    char *text = xmemdup0(p, n < MESSAGE_MAX ? n : MESSAGE_MAX);
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    }
    size_t len = strlen(text);
    while (len && text[len - 1] == ' ')
        text[--len] = '\0';
    return text;
}

char *response_message(const struct response *r)
{
    json_t *v = json_loadb(r->body.p ? r->body.p : "", r->body.n, 0, NULL);
    const char *message = json_string_value(json_object_get(v, "message"));
    char *text = message ? one_line(message, strlen(message)) : one_line(r->body.p, r->body.n);
    json_decref(v);
    return text;
}

bool response_says(const struct response *r, const char *words)
{
    if (r->error)
        return false;
    AUTO_FREE char *text = response_message(r);
    return strstr(text, words) != NULL;
}

static enum err_kind kind_of(int status)
{
    switch (status) {
    case 400:
        return ERR_INVALID;
    case 401:
        return ERR_DENIED;
    case 403:
    case 409:
        return ERR_CONFLICT;
    case 404:
        return ERR_NOT_FOUND;
    default:
        return ERR_UNAVAILABLE;
    }
}

struct err *response_check(const struct response *r, const char *what)
{
    if (r->error)
        return err_new(err_kind(r->error), "%s: %s", what, err_message(r->error));
    if ((r->status >= 200 && r->status < 300) || r->status == 304)
        return NULL;
    AUTO_FREE char *text = response_message(r);
    return err_new(kind_of(r->status), "%s: the engine answered %d: %s", what, r->status,
                   *text ? text : "(nothing)");
}
