/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that never returns NULL: running out of memory prints one line and aborts. bottler is
 * crash-only (its truth is the manifests and the engine), so nothing has an out-of-memory path;
 * in exchange everything sized by input has a limit that is checked before the allocation.
 */
#ifndef BOTTLER_SPEC_BASE_XALLOC_H
#define BOTTLER_SPEC_BASE_XALLOC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* Grows to n * size bytes, overflow-checked. */
void *xreallocarray(void *p, size_t n, size_t size)
    __attribute__((returns_nonnull, warn_unused_result));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* NULL stays NULL. */
char *xstrdup_null(const char *s) __attribute__((malloc, warn_unused_result));
/* Copies n bytes and adds a NUL. */
char *xmemdup0(const void *p, size_t n)
    __attribute__((malloc, returns_nonnull, warn_unused_result));
char *xasprintf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull, warn_unused_result));
char *xvasprintf(const char *fmt, va_list ap)
    __attribute__((format(printf, 1, 0), malloc, returns_nonnull, warn_unused_result));
/* Ends the program: a library answered NULL because memory ran out. */
void xoom(void) __attribute__((noreturn, cold));
/* Passes a library's allocation through, or xoom(). */
#define XNN(p)                                                                                     \
    __extension__({                                                                                \
        __typeof__(p) xnn_ = (p);                                                                  \
        if (!xnn_)                                                                                 \
            xoom();                                                                                \
        xnn_;                                                                                      \
    })

/* Overwrites and frees a secret string; NULL is fine. */
void secret_free(char *s);
/* Overwrites n bytes, not optimised away. */
void secret_wipe(void *p, size_t n);

static inline void freep_(void *p)
{
    free(*(void **)p);
}
static inline void closep_(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

#define AUTO_FREE __attribute__((cleanup(freep_)))
#define AUTO_CLOSE __attribute__((cleanup(closep_))) int
#define AUTO(fn) __attribute__((cleanup(fn)))

/* Hands an owned pointer on: its value, and the variable becomes NULL. */
#define TAKE_PTR(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int take_ = (fd);                                                                          \
        (fd) = -1;                                                                                 \
        take_;                                                                                     \
    })

#endif
