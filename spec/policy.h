/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of an installation: what no manifest may go beyond, whoever wrote it. Only ever
 * narrows. Pure, like manifest.h: the caller reads the file.
 */
#ifndef BOTTLER_SPEC_POLICY_H
#define BOTTLER_SPEC_POLICY_H

#include "spec/manifest.h"

/* Each `at` is where the rule is written: line 0 where it isn't. */
struct policy {
    char *file;
    char *name; /* metadata.name, NULL when not given */
    bool roots_given;
    struct str_list roots; /* host directories must be in one of these; none when empty */
    struct src_pos roots_at;
    struct str_list images; /* "registry" or "registry/path", normal form; empty: any */
    struct src_pos images_at;
    bool require_digest;
    struct src_pos digest_at;
    struct str_list runtimes; /* empty: any */
    struct src_pos runtimes_at;
    int64_t memory_bytes; /* greatest; 0: any */
    int64_t nano_cpus;
    int64_t pids;
    struct src_pos memory_at, cpus_at, pids_at;
    struct str_list deny_hosts; /* exact names and "*.suffix", lower case */
    struct src_pos deny_at;
};

/* NULL when there is any finding: a policy is taken whole or not at all. An empty file is one. */
struct policy *policy_load(const char *path, struct sv bytes, struct diag_list *ret);
struct policy *policy_free(struct policy *p);

/* Called for each rule that is broken, with the field that breaks it
 * ("spec.agent.mounts[1].source") and what the rule says and where it is written. */
typedef void policy_report_fn(void *ctx, const char *field, char *message_take);
/* Takes a bottle with errors too (members may be unset). A runtime that is `auto` is a question to
 * the engine: policy_check_runtime(). */
void policy_check(const struct policy *p, const struct bottle *b, policy_report_fn *report,
                  void *ctx);
void policy_check_grant(const struct policy *p, const struct grant *g, policy_report_fn *report,
                        void *ctx);
/* What `auto` came to be. NULL: allowed; else why not, owned by the caller. */
char *policy_check_runtime(const struct policy *p, const char *runtime);
/* The first finding as "field: message", NULL when there is none; owned by the caller. */
char *policy_refusal(const struct policy *p, const struct bottle *b);

#endif
