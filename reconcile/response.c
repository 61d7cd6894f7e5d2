/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/response.h"

#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>

enum { MESSAGE_MAX = 2048 };

static struct sv trim(struct sv s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct sv){s.p + 1, s.n - 1};
    while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

/* What isn't UTF-8 stands in no JSON. */
static void make_utf8(char *line)
{
    json_t *utf8 = json_string(line);
    for (char *p = line; !utf8 && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    json_decref(utf8);
}

/* One line, bounded, nothing that a terminal would obey. */
static char *clean(struct sv text)
{
    text = trim(text);
    size_t n = text.n > MESSAGE_MAX ? str_char_start(text.p, MESSAGE_MAX) : text.n;
    char *line = xmemdup0(text.p, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7F)
            line[i] = ' ';
    make_utf8(line);
    return line;
}

char *response_message(const struct response *r)
{
    if (r->body.n == 0)
        return xstrdup("");
    json_t *root = json_loadb(r->body.p, r->body.n, JSON_DISABLE_EOF_CHECK, NULL);
    const char *message = json_string_value(json_object_get(root, "message"));
    char *words = clean(message ? sv_of(message) : r->body);
    json_decref(root);
    return words;
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
    case 401:
        return ERR_DENIED;
    case 403:
    case 409:
        return ERR_CONFLICT;
    case 404:
        return ERR_NOT_FOUND;
    default:
        break;
    }
    if (status >= 500 || status == 408 || status == 429)
        return ERR_UNAVAILABLE;
    return status >= 400 ? ERR_INVALID : ERR_INTERNAL;
}

struct err *response_check(const struct response *r, const char *what)
{
    if (r->error)
        return err_new_at(err_kind(r->error), err_where(r->error), "%s: %s", what,
                          err_message(r->error));
    if ((r->status >= 200 && r->status <= 299) || r->status == 304)
        return NULL;
    AUTO_FREE char *words = response_message(r);
    return err_new(kind_of(r->status), "%s: the engine answered %d%s%s", what, r->status,
                   words[0] ? ": " : "", words);
}
