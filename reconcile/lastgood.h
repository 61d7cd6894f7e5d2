/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each manifest file said when all of it was good. A file that has become a beginning of that
 * looks like one that is being written, or whose writer has died: its bottles stay at what it said
 * before. A person who deletes the end of a file leaves the same: so a text that ends where a line
 * ended is taken as an edit once it has stayed for LASTGOOD_CUT_NS. One that ends within a line is
 * not, however long it stays. Any other change is taken at once, and so is a file of a commit.
 */
#ifndef BOTTLER_RECONCILE_LASTGOOD_H
#define BOTTLER_RECONCILE_LASTGOOD_H

#include "reconcile/catalog.h"

#define LASTGOOD_CUT_NS (60 * UINT64_C(1000000000))

struct lastgood_file {
    char *path;
    char *bytes;
    size_t n;
    size_t cut_n;          /* how much of it was there when it was last looked at; n: all */
    uint64_t cut_since_ns; /* since when that much */
    bool stored;           /* cleared when `bytes` change, set by whoever keeps them */
};
struct lastgood {
    struct lastgood_file *files; /* by path */
    size_t len;
    struct str_list taken; /* files that the last load took as an edit after all; to be told */
};

void lastgood_done(struct lastgood *g);
/* manifest_load_under(), with what a file last said in place of what looks half-written. That is
 * only done where it changes something: a cut text that is broken is reported as such, one that
 * makes the same bottles is taken. Remembers what is good. The inputs' bytes and *g must outlive
 * the use of the set's bytes. */
struct manifest_set *lastgood_load(struct lastgood *g, const struct manifest_input *inputs,
                                   size_t n, const struct manifest_rules *rules, uint64_t now_ns);
/* What an earlier run has kept. */
void lastgood_seed(struct lastgood *g, const char *path, struct sv bytes);
/* Forgets files that are neither in `set` nor where a bottle of `c` was defined; their paths are
 * added to *ret. */
void lastgood_prune(struct lastgood *g, const struct catalog *c, const struct manifest_set *set,
                    struct str_list *ret);

#endif
