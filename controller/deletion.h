/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletion on purpose, for the controller: who is gone, by the last whole listing of both sides,
 * and what reconcile/graves.h says of them. While what the manifests say is unknown nothing is
 * decided anew, and nothing is removed.
 */
#ifndef BOTTLER_CONTROLLER_DELETION_H
#define BOTTLER_CONTROLLER_DELETION_H

#include "controller/watch.h"
#include "reconcile/graves.h"

#include <jansson.h>

struct controller;
struct worker;
struct deletion;

/* What a worker knows of its manifest's coming and going; listings are counted from 1. */
struct parting {
    uint64_t born;  /* the listing that had its first manifest; 0: an earlier run's */
    uint64_t gone;  /* the listing that hadn't it any more; 0: it is there */
    char *moved_to; /* a bottle that came in its place, equal but for the name; NULL: none */
    char *held;  /* "TooMany" or "MoveOffered NAME", as the state directory has it; NULL: neither */
    bool loaded; /* `held` has been read */
    int told;    /* the verdict that its last pass was made for */
};

struct err *deletion_open(struct controller *c, struct deletion **ret) ERR_NODISCARD;
struct deletion *deletion_free(struct deletion *d);

/* ---- manifests.c: in this order */

/* The directories to list now; valid until the next call. */
const struct str_list *deletion_sources(struct controller *c);
/* That listing has succeeded. */
void deletion_read(struct controller *c, const struct file_listing *files);
/* The catalogue is up to date, and every entry has its worker. */
void deletion_listed(struct controller *c);

/* ---- controller.c */

/* Before any pass. When it has to be called again, on the monotonic clock; 0: no need. */
uint64_t deletion_update(struct controller *c);
/* For `plan`: null for a bottle that is wanted. */
json_t *deletion_plan_json(const struct worker *w);
/* A line of text, or nothing. */
void deletion_plan_text(const struct worker *w, struct str *out);

/* ---- worker.c */

/* NULL: a manifest wants it, or nobody knows, or nothing of it stands. */
const struct grave *deletion_of(const struct worker *w);
/* Its manifest is gone, and it is still kept as it was last accepted. */
bool deletion_keeps(const struct worker *w);
/* It is to be stopped, and kept. */
bool deletion_preserves(const struct worker *w);
/* It may be removed now (or stopped, see above). */
bool deletion_allows(const struct worker *w);
/* It is only a matter of time. */
bool deletion_waits(const struct worker *w);
/* Nothing of it is left. */
void deletion_buried(struct worker *w);

/* ---- api_prune.c */

struct graves *deletion_graves(struct controller *c);
/* Is the directory of the bottle's manifest missing, so that nobody knows what it says? */
bool deletion_missing(const struct worker *w);
/* What is missing or doubted is empty on purpose. */
void deletion_believe(struct controller *c);

#endif
