/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the installation forbids, whatever a manifest says: the policy of --policy, mounts of what
 * is the engine's or the controller's own, runtimes that aren't there. The policy is read again
 * when its file changes; one that can't be used leaves the last good one in force and is told.
 */
#ifndef BOTTLER_CONTROLLER_RULES_H
#define BOTTLER_CONTROLLER_RULES_H

#include "controller/endpoint.h"
#include "spec/policy.h"

/* Reads a policy file. INVALID when it has faults, which are then in `findings`, a line each (may
 * be NULL: only counted); UNAVAILABLE when it can't be read. `may_wait`: it may be a pipe.
 * `ret_text` (may be NULL) gets the bytes that were read; the caller frees. */
struct err *policy_read(const char *path, bool may_wait, struct str *findings, char **ret_text,
                        struct policy **ret) ERR_NODISCARD;

struct controller;
struct rules;

/* Reads the policy, if there is one, and notes what is to be guarded. Findings go to the log. */
struct err *rules_open(struct controller *c, const struct endpoint *at) ERR_NODISCARD;
/* From then on the policy's file is watched. */
struct err *rules_watch(struct controller *c) ERR_NODISCARD;
struct rules *rules_free(struct rules *r);
/* The engine has told where it keeps its data. */
void rules_engine(struct controller *c, const char *root_dir);

/* For manifest_load_under(). Borrows from the rules, until they change. */
struct manifest_rules rules_of_manifests(struct rules *r);
/* Why this (last good) generation may not run any more, owned by the caller; NULL: it may. */
char *rules_forbid(const struct controller *c, const struct bottle *b);
/* INVALID when it can't be made or started now, on this engine and host. */
struct err *rules_refuse(const struct controller *c, const struct bottle *b) ERR_NODISCARD;
/* For render_settings. Borrowed. */
const char *rules_auto_runtime(const struct controller *c);
/* Why the policy that is in force isn't the one in the file; NULL: it is. Borrowed. */
const char *rules_problem(const struct rules *r);

#endif
