/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: one channel. A fallible function returns `struct err *`, NULL for success, so a code and
 * a message can't disagree. The caller owns what is returned: it handles it, frees it, or passes it
 * on (TRY, TRY_CTX); never two of these. Bugs are assert(), never an err.
 *
 * Messages are one line, lower case, without a period, quote the user's text, and say what was
 * expected. An err is printed once, in controller/.
 */
#ifndef BOTTLER_SPEC_BASE_ERR_H
#define BOTTLER_SPEC_BASE_ERR_H

#include <stddef.h>

/* What a caller branches on. */
enum err_kind {
    ERR_INVALID,     /* the input is wrong; a retry can't help until it is edited */
    ERR_NOT_FOUND,   /* the thing asked for isn't there */
    ERR_CONFLICT,    /* somebody else holds the name, or the world moved: look again */
    ERR_UNAVAILABLE, /* the other side can't be reached now; retry */
    ERR_TIMEOUT,     /* no answer in time; retry */
    ERR_DENIED,      /* refused on purpose, or for want of permission */
    ERR_INTERNAL,    /* anything else that isn't the user's doing */
};

struct err;

#define ERR_NODISCARD __attribute__((warn_unused_result))

struct err *err_new_at(enum err_kind kind, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), returns_nonnull)) ERR_NODISCARD;

/* Puts a context before `cause_take` (owned from here on); the kind stays the cause's. */
struct err *err_wrap_at(struct err *cause_take, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), returns_nonnull)) ERR_NODISCARD;

#define ERR_STR_(x) #x
#define ERR_STR(x) ERR_STR_(x)
#define err_new(kind, ...) err_new_at((kind), __FILE__ ":" ERR_STR(__LINE__), __VA_ARGS__)
#define err_wrap(cause, ...) err_wrap_at((cause), __FILE__ ":" ERR_STR(__LINE__), __VA_ARGS__)

enum err_kind err_kind(const struct err *e);
/* "invalid", "not-found", …: stable words for logs and JSON. */
const char *err_kind_name(enum err_kind kind);
/* The whole chain, outermost context first: "reading 'x': permission denied". Borrowed, valid for
 * the life of `e`. */
const char *err_message(const struct err *e);
/* Where in the source the innermost error was made, "file:line"; for logs. */
const char *err_where(const struct err *e);
/* Frees the chain; NULL is fine. Returns NULL. */
struct err *err_free(struct err *e);
/* Drops an error on purpose; `why` is for the reader. */
void err_ignore(struct err *e, const char *why);
/* The text of an errno value, thread-safe; borrowed, static. */
const char *err_errno(int errnum);

static inline void err_freep_(struct err **e)
{
    *e = err_free(*e);
}
#define AUTO_ERR __attribute__((cleanup(err_freep_))) struct err *

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        struct err *try_err_ = (expr);                                                             \
        if (try_err_)                                                                              \
            return try_err_;                                                                       \
    } while (0)

#define TRY_CTX(expr, ...)                                                                         \
    do {                                                                                           \
        struct err *try_err_ = (expr);                                                             \
        if (try_err_)                                                                              \
            return err_wrap(try_err_, __VA_ARGS__);                                                \
    } while (0)

#endif
