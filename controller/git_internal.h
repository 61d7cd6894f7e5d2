/* SPDX-License-Identifier: Apache-2.0 */
/* Private to controller/git_source.c (life, ends of a look) and git_look.c (its steps). */
#ifndef BOTTLER_CONTROLLER_GIT_INTERNAL_H
#define BOTTLER_CONTROLLER_GIT_INTERNAL_H

#include "controller/child.h"
#include "controller/git_source.h"
#include "controller/git_tree.h"

#define GIT_REPO "repo"
#define GIT_FETCHING "fetching" /* git may be writing into the repository */

/* What one look has found out so far. */
struct git_look {
    char *full_ref;                  /* that is to be fetched */
    char target[GIT_COMMIT_HEX + 1]; /* what the remote has there; "": not asked */
    char commit[GIT_COMMIT_HEX + 1];
    struct git_listing listing;
    char *temp; /* the new tree */
};

struct git_source;
typedef void git_step_fn(struct git_source *g, const struct child_end *end);

struct git_source {
    sd_event *loop;
    struct git_source_hooks hooks;
    char *url, *ref, *path, *signers;
    char *shown_url;
    unsigned interval_s;
    bool once;
    struct git_dirs dirs;
    char *repo;
    struct child *child; /* what runs for the look */
    git_step_fn *then;   /* what follows on it */
    sd_event_source *timer;
    struct git_look look;
    bool looking, again;
    bool asked;                        /* this look was asked for */
    char too_much[GIT_COMMIT_HEX + 1]; /* the id of the remote whose fetch was refused; "": none */
    uint64_t looks;
    char *revision, *root;
    char *problem;
    unsigned failures;
    int64_t fetched_s, next_s; /* Unix; 0: never */
    uint64_t prng;
};

/* The first step; git_look.c. */
void git_look_begin(struct git_source *g);
void git_look_done(struct git_look *l);
/* The repository holds nothing that can't be fetched again. */
struct err *git_drop_repo(struct git_source *g) ERR_NODISCARD;

/* Ends of a look, the last thing that a step does: the hooks may free the source. INVALID and
 * DENIED are refusals of what the remote has, anything else is trouble in getting it. */
void git_look_failed(struct git_source *g, struct err *e_take);
/* The commit may count, and its tree is there. */
void git_look_found(struct git_source *g, const char *commit);
/* Nothing is other than at the last look, the problem included. */
void git_look_same(struct git_source *g);

#endif
