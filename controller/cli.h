/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one table of verbs, one of options; help and the manual come from the same two.
 */
#ifndef BOTTLER_CONTROLLER_CLI_H
#define BOTTLER_CONTROLLER_CLI_H

#include "reconcile/graves.h"
#include "render/names.h"
#include "spec/base/str.h"

#include <stdbool.h>

/* One table for all verbs. */
enum exit_code {
    EXIT_OK = 0,      /* done; no difference */
    EXIT_DIFFERS = 1, /* differs, or failed */
    EXIT_USAGE = 2,   /* wrong usage, or an internal error */
    EXIT_TIMEOUT = 3,
    EXIT_REFUSED = 4, /* refused, or suspended */
};

enum output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_NAME };

/* Every option of every verb, parsed; borrowed from argv but for the lists. */
struct cli {
    struct str_list args; /* after the options */
    struct str_list manifests;
    struct str_list only, targets; /* of attest */
    const char *state, *engine, *secrets, *instance, *socket, *pool, *upstream_ca, *policy, *bottle,
        *base, *context, *timeout, *out, *reason, *until;
    const char *git_url, *git_ref, *git_path, *git_signers;
    unsigned git_interval_s; /* 0: not given */
    char *image[ROLE_COUNT]; /* owned */
    struct graves_limits deletion;
    unsigned ca_days;     /* 0: not asked for */
    unsigned attest_s;    /* 0: not asked for */
    char *socket_default; /* owned */
    enum output output;
    bool once, watch, no_headers, all, no_wide, detailed, with_source, approve, dry_run;
};

struct verb {
    const char *name;
    const char *args;    /* of the usage line */
    const char *help;    /* one line */
    const char *options; /* letters of its options, see cli.c */
    int (*run)(const struct cli *cli);
};
/* In the order of --help; ends with a NULL name. */
extern const struct verb cli_verbs[];

/* Runs the program; the answer is its exit code. */
int cli_main(int argc, char **argv);

/* For verbs: prints "bottler: …" to stderr and gives `code` back. Frees the error. */
struct err;
int cli_fail(struct err *e_take, enum exit_code code);
/* Writes all of stdout; an error there is a failure too. */
int cli_print(const char *text, enum exit_code code);

int verb_run(const struct cli *cli);
int verb_validate(const struct cli *cli);
int verb_render(const struct cli *cli);
int verb_explain(const struct cli *cli);
int verb_schema(const struct cli *cli);
int verb_plan(const struct cli *cli);
int verb_apply(const struct cli *cli);
int verb_get(const struct cli *cli);
int verb_events(const struct cli *cli);
int verb_prune(const struct cli *cli);
int verb_adopt(const struct cli *cli);
int verb_forget(const struct cli *cli);
int verb_images(const struct cli *cli);
int verb_attest(const struct cli *cli);
int verb_doctor(const struct cli *cli);
int verb_history(const struct cli *cli);
int verb_reconcile(const struct cli *cli);
int verb_suspend(const struct cli *cli);
int verb_resume(const struct cli *cli);

#endif
