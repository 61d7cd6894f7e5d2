/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/routes.h"

#include "spec/base/xalloc.h"

#include <pwd.h>
#include <string.h>

json_t *route_refuse(int status, int *ret_status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *why = xvasprintf(fmt, ap);
    va_end(ap);
    *ret_status = status;
    return XNN(json_pack("{s:s}", "error", why));
}

void named_done(struct named *n)
{
    free(n->items);
    *n = (struct named){0};
}

static void add(struct named *n, struct worker *w)
{
    n->items = xreallocarray(n->items, n->len + 1, sizeof(struct worker *));
    n->items[n->len++] = w;
}

static json_t *add_named(const struct route_call *call, const json_t *names, struct named *ret,
                         int *ret_status)
{
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(names, i, v)
    {
        const char *name = json_string_value(v);
        struct worker *w = name ? worker_find(call->c, name) : NULL;
        if (!name)
            return route_refuse(400, ret_status, "names: expected names of bottles");
        if (!w)
            return route_refuse(404, ret_status, "there is no bottle '%s'", name);
        add(ret, w);
    }
    return NULL;
}

json_t *route_named(const struct route_call *call, struct named *ret, int *ret_status)
{
    const json_t *names = json_object_get(call->q->body, "names");
    *ret = (struct named){.all = json_is_true(json_object_get(call->q->body, "all"))};
    if (ret->all == (json_array_size(names) > 0))
        return route_refuse(400, ret_status,
                            "expected either names, a list with at least one, or all: true");
    for (size_t i = 0; ret->all && i < call->c->workers_len; i++)
        add(ret, call->c->workers[i]);
    json_t *refusal = add_named(call, names, ret, ret_status);
    if (refusal)
        named_done(ret);
    return refusal;
}

static bool is_one_line(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

json_t *route_text(const struct route_call *call, const char *key, size_t max, const char **ret,
                   int *ret_status)
{
    const json_t *v = json_object_get(call->q->body, key);
    *ret = json_string_value(v);
    if (!v || json_is_null(v))
        return NULL;
    if (!*ret || strlen(*ret) > max || !is_one_line(*ret))
        return route_refuse(400, ret_status, "%s: expected one line of text, at most %zu bytes",
                            key, max);
    return NULL;
}

char *route_user(const struct route_call *call)
{
    enum { ENTRY_MAX = 16 * 1024 };
    AUTO_FREE char *buf = xmalloc(ENTRY_MAX);
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwuid_r(call->q->uid, &entry, buf, ENTRY_MAX, &found) == 0 && found)
        return xstrdup(found->pw_name);
    return xasprintf("uid %u", call->q->uid);
}
