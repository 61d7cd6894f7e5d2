/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one life time: allocated in pieces, freed at once. What it holds is limited by its
 * users (the manifest limits), never by the arena.
 */
#ifndef BOTTLER_SPEC_ARENA_H
#define BOTTLER_SPEC_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena { /* zeroed = empty */
    struct arena_chunk *head;
};

/* Zeroed, aligned for any type; never NULL. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
/* n objects of `size`, overflow-checked. */
void *arena_calloc(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull));
/* Copies n bytes and adds a NUL. */
char *arena_memdup0(struct arena *a, const void *p, size_t n) __attribute__((returns_nonnull));
void arena_done(struct arena *a);

#endif
