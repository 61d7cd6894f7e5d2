/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the bytes of a set of manifest files to typed objects, in one pass that reports every error.
 * Pure: the caller reads the files.
 */
#ifndef BOTTLER_SPEC_MANIFEST_H
#define BOTTLER_SPEC_MANIFEST_H

#include "spec/bottle.h"

/* Limits, checked before anything of that size is allocated. */
enum {
    MANIFEST_MAX_BYTES = 1024 * 1024,
    MANIFEST_MAX_DOCUMENTS = 256,
    MANIFEST_MAX_DEPTH = 64,
    MANIFEST_MAX_NODES = 20000,
    MANIFEST_MAX_ERRORS = 200, /* a file; then one line says that there are more */
};

/* One finding. Printed as "file:line:column: field.path: message" (no field: without that part). */
struct diag {
    char *file;
    struct src_pos pos;
    char *field; /* "spec.egress.routes[1].host"; NULL for syntax */
    char *message;
};
struct diag_list {
    struct diag *items;
    size_t len;
};
void diag_list_done(struct diag_list *l);
/* Appends the one-line form, without a newline, to `out`. Control characters are shown escaped. */
void diag_format(const struct diag *d, struct str *out);
/* By file, line, column, then as added. */
void diag_list_sort(struct diag_list *l);

/* A file as read. The caller keeps all of it alive during manifest_load(), and the bytes as long as
 * it looks at those of the set. */
struct manifest_input {
    const char *path; /* as it is to be shown, and the identity of the file */
    struct sv bytes;
    const char *read_error; /* why it couldn't be read; then bytes is ignored */
    bool tree;              /* with read_error: a directory; what is below it is unknown */
    bool directory;         /* no file, though its name could be one's; there are no bytes */
    bool whole;             /* it can't be half written */
    unsigned source;        /* which source it is from; a lower number has priority */
    const char *revision;   /* of that source; NULL: it has none */
    const char *held;       /* why these are the bytes of an earlier reading; NULL: they aren't */
};

/* One document which said `kind: Bottle` and had a usable metadata.name. */
struct manifest_bottle {
    char *name;
    char *file;
    struct src_pos pos;
    struct bottle *bottle;  /* NULL when any of its errors makes it unusable */
    struct diag_list diags; /* its own errors, and those of its `extends` chain */
    bool forbidden; /* it is valid; nothing but the installation's rules stands against it */
    unsigned source;
    char *also; /* where sources of less priority define it, "b.yaml:3:9, …"; NULL: nowhere */
    struct str_list also_files; /* all of those files */
    char *revision;             /* of its source; NULL: none */
    bool held;                  /* from a file that is held */
};

struct manifest_file {
    char *path;
    bool usable; /* false: unreadable or not YAML, so nobody knows which bottles it holds */
    struct diag_list diags; /* errors of the file and of documents whose name is unknown */
    bool rejects;           /* a document of it, whose name is known, isn't usable */
    bool tree;              /* a directory that can't be read */
    bool directory;
    unsigned source;
    char *held;      /* as given */
    struct sv bytes; /* as given: valid as long as the caller keeps them */
};

struct manifest_set {
    struct manifest_bottle
        *bottles; /* by name, then file, line; duplicates are all here, none usable. Of a name that
                     several sources define, only what the one with priority says is here. */
    size_t bottles_len;
    struct grant **grants; /* valid ones, by name */
    size_t grants_len;
    struct manifest_file *files; /* by path */
    size_t files_len;
};

/* Parses, merges `extends`, validates. Abstract bottles are in the set with bottle->abstract.
 * The answer never depends on the order of `inputs`. */
struct manifest_set *manifest_load(const struct manifest_input *inputs, size_t n);

/* What the installation has to say, besides. Findings of it are at the places in the manifest.
 * Abstract bottles are not judged, only what extends them. */
struct policy;
struct defaults;
struct manifest_rules {
    const struct policy *policy; /* NULL: none */
    /* Why a directory of the host may not be mounted, owned by the caller; NULL: it may. The
     * function may be NULL. */
    char *(*mount_refusal)(void *ctx, const char *source);
    void *ctx;
    /* With which defaults a bottle was first accepted; NULL for one that is new. Borrowed for the
     * call. The function may be NULL. struct bottle.text stays as it was written. */
    const struct defaults *(*defaults)(void *ctx, const char *bottle);
    void *defaults_ctx;
};
struct manifest_set *manifest_load_under(const struct manifest_input *inputs, size_t n,
                                         const struct manifest_rules *rules);
struct manifest_set *manifest_set_free(struct manifest_set *s);
/* Every finding of the set, sorted; borrowed items, free only ret->items. */
void manifest_set_diags(const struct manifest_set *s, struct diag_list *ret);

/* The hosts of a preset ("claude-code"), NULL-terminated; NULL when there is no such preset. */
const char *const *preset_hosts(const char *name);

#endif
