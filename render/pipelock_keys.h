/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an edit of each key of pipelock.yaml costs. pipelock 2.3.0 reads a changed file while it
 * runs, but a success in its log doesn't always mean that the change is in force: one table says
 * for every key that bottler writes what pipelock does with a new value, and what bottler does
 * therefore. tests/e2e/pipelock_policy.bats holds it against the real program.
 */
#ifndef BOTTLER_RENDER_PIPELOCK_KEYS_H
#define BOTTLER_RENDER_PIPELOCK_KEYS_H

#include <stddef.h>

enum pipelock_answer {
    PIPELOCK_APPLIES, /* in force for tunnels begun afterwards; an open one keeps what it began with
                       */
    PIPELOCK_IGNORES, /* logged as a success, but what was read at the start stays in force */
    PIPELOCK_REFUSES, /* in one direction at least the whole reload is refused */
};
enum pipelock_change {
    PIPELOCK_RELOAD,  /* a signal: the container stays, and so do open tunnels */
    PIPELOCK_REPLACE, /* the container is replaced, which ends every tunnel */
};
struct pipelock_key {
    const char *path; /* "section.key" */
    enum pipelock_answer answer;
    enum pipelock_change change;
    /* RELOAD only: what stands in the cold text in place of the value, so that no value replaces
     * anything. A list has blanks between its items; "" is an empty one. Never changes: containers
     * carry hashes made with it. */
    const char *frozen;
    const char *why;
};

/* Every key that bottler writes, in the order of the file. */
const struct pipelock_key *pipelock_keys(size_t *ret_len);
/* NULL for a key that isn't in the table; such a key replaces. */
const struct pipelock_key *pipelock_key_find(const char *path);

#endif
