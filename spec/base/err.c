/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/base/err.h"

#include "spec/base/xalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err {
    enum err_kind kind;
    const char *where;
    char *msg; /* the whole chain's text */
};

__attribute__((format(printf, 3, 0))) static struct err *make(enum err_kind kind, const char *where,
                                                              const char *fmt, va_list ap)
{
    struct err *e = xcalloc(1, sizeof(*e));
    e->kind = kind;
    e->where = where;
    e->msg = xvasprintf(fmt, ap);
    return e;
}

struct err *err_new_at(enum err_kind kind, const char *where, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct err *e = make(kind, where, fmt, ap);
    va_end(ap);
    return e;
}

struct err *err_wrap_at(struct err *cause_take, const char *where, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct err *e = make(cause_take->kind, cause_take->where ? cause_take->where : where, fmt, ap);
    va_end(ap);
    char *joined = xasprintf("%s: %s", e->msg, cause_take->msg);
    free(e->msg);
    e->msg = joined;
    err_free(cause_take);
    return e;
}

enum err_kind err_kind(const struct err *e)
{
    return e->kind;
}

const char *err_kind_name(enum err_kind kind)
{
    switch (kind) {
    case ERR_INVALID:
        return "invalid";
    case ERR_NOT_FOUND:
        return "not-found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_DENIED:
        return "denied";
    case ERR_INTERNAL:
        return "internal";
    }
    return "internal";
}

const char *err_message(const struct err *e)
{
    return e->msg;
}

const char *err_where(const struct err *e)
{
    return e->where;
}

struct err *err_free(struct err *e)
{
    if (e) {
        free(e->msg);
        free(e);
    }
    return NULL;
}

void err_ignore(struct err *e, const char *why)
{
    (void)why;
    err_free(e);
}

const char *err_errno(int errnum)
{
    const char *text = strerrordesc_np(errnum);
    return text ? text : "unknown error";
}
