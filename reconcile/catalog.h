/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What should exist: the last good generation of every bottle that the manifests name or named.
 * Updated from each listing as a whole. A manifest that is broken, half-written, duplicated, or in
 * a file that can't be read leaves its bottle at its last good generation; only one that is really
 * gone from a readable source is GONE.
 */
#ifndef BOTTLER_RECONCILE_CATALOG_H
#define BOTTLER_RECONCILE_CATALOG_H

#include "spec/manifest.h"

enum entry_state {
    ENTRY_ACCEPTED, /* the manifest is valid, and `bottle` is what it says */
    ENTRY_REJECTED, /* it is there but not usable; `bottle` (if any) is the last good one */
    ENTRY_HELD,     /* what it says can't be told now: its file, or one that may hold it, can't be
                       read, is broken or half written. No deletion, and no edit */
    ENTRY_GONE,     /* it isn't there */
};

struct catalog_entry {
    char *name;
    enum entry_state state;
    struct bottle *bottle; /* NULL: there never was a good one */
    char *text;            /* canonical manifest of `bottle`; to compare and to keep */
    int64_t generation;    /* of `bottle`: counts accepted changes from 1 */
    bool forbidden;        /* REJECTED: it is valid, but the installation's rules forbid it */
    bool seeded;           /* known from an earlier run */
    bool changed;          /* set by catalog_update() when the text or its file is another one,
                              cleared by whoever keeps them */
    char *message; /* why not accepted: the first finding, with its place, and how many more */
    char *file;    /* where it is, or was last, defined; `bottle` may still be from elsewhere, when
                      that file says the same and the other one can't be judged */
    struct src_pos pos;
    char *revision;          /* of the source that `file` is from; NULL: it has none */
    char *also;              /* where sources of less priority define it too; NULL: nowhere */
    struct str_list others;  /* those files, and those that can't be judged now and were some */
    const char *held_reason; /* HELD: CamelCase, static */
    char *held_by;           /* HELD: the file that may hold it; NULL: not known */
};

/* A file of the last listing that may have held documents whose names nobody could tell. */
struct doubt {
    char *path;
    char *bytes;
    size_t n;
};

struct catalog {
    struct catalog_entry **entries; /* by name */
    size_t len;
    struct doubt *doubts;
    size_t doubts_len;
};

/* Takes the bottles out of `set`. Abstract ones are not entries. The bytes of the files that `set`
 * is from must still be there. */
void catalog_update(struct catalog *c, struct manifest_set *set);
/* A last good manifest from an earlier run: used until a listing says something else. Takes the
 * bottle. */
void catalog_seed(struct catalog *c, struct bottle *bottle_take, const char *text,
                  int64_t generation);
struct catalog_entry *catalog_find(const struct catalog *c, const char *name);
/* Forgets an entry (once it is gone from the engine too). */
void catalog_drop(struct catalog *c, const char *name);
/* Nothing is wrong with the file: what it holds is known, and all of it is usable. */
bool catalog_file_good(const struct manifest_file *f);
void catalog_done(struct catalog *c);

#endif
