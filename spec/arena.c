/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/arena.h"

#include "spec/base/xalloc.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ARENA_CHUNK = 32 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t cap;
    max_align_t data[];
};

void *arena_alloc(struct arena *a, size_t n)
{
    size_t align = _Alignof(max_align_t);
    if (n > SIZE_MAX - sizeof(struct arena_chunk) - align)
        xoom();
    n = (n + align - 1) / align * align;
    struct arena_chunk *c = a->head;
    if (!c || c->cap - c->used < n) {
        size_t cap = n > ARENA_CHUNK ? n : ARENA_CHUNK;
        c = xcalloc(1, sizeof(*c) + cap);
        c->cap = cap;
        c->next = a->head;
        a->head = c;
    }
    char *p = (char *)c->data + c->used;
    c->used += n;
    return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes))
        xoom();
    return arena_alloc(a, bytes);
}

char *arena_memdup0(struct arena *a, const void *p, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

void arena_done(struct arena *a)
{
    while (a->head) {
        struct arena_chunk *next = a->head->next;
        free(a->head);
        a->head = next;
    }
}
