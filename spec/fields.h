/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of what a manifest may say. It drives parsing, validation, the merge of `extends`,
 * the search for unknown keys, `bottler explain`, `bottler schema` and the manual: a field is
 * described once, here.
 */
#ifndef BOTTLER_SPEC_FIELDS_H
#define BOTTLER_SPEC_FIELDS_H

#include "spec/base/err.h"
#include "spec/bottle.h"

#include <jansson.h>

enum field_kind {
    /* Structures. */
    FIELD_OBJECT, /* the fields whose parent it is */
    FIELD_SWITCH, /* true, false, or an object (which means true) */
    FIELD_LIST,   /* of what "[]" below it describes */
    FIELD_DICT,   /* free keys, each with what "*" below it describes */
    /* Scalars that aren't text. */
    FIELD_BOOL,
    FIELD_INT,
    FIELD_ENUM,
    FIELD_MEMORY,
    FIELD_CPUS,
    FIELD_MODE,
    FIELD_TIME,
    FIELD_DURATION,
    FIELD_WINDOW, /* two ints in a row: minutes of the day from, to */
    FIELD_ENV_VALUE,
    /* Text, each with its own check. */
    FIELD_NAME,
    FIELD_UID,
    FIELD_LABEL_KEY,
    FIELD_LABEL_VALUE,
    FIELD_TEXT,
    FIELD_CONTENT,
    FIELD_ARGUMENT,
    FIELD_IMAGE,
    FIELD_USER,
    FIELD_RUNTIME,
    FIELD_VOLUME,
    FIELD_ENV_NAME,
    FIELD_SECRET,
    FIELD_PRESET,
    FIELD_PERSON,
    FIELD_EMAIL,
    FIELD_REPO_NAME,
    FIELD_PATH,
    FIELD_MOUNT_SOURCE,
    FIELD_MOUNT_TARGET,
    FIELD_FILE_PATH,
    FIELD_HOST,
    FIELD_URL_PATH,
    FIELD_METHOD,
    FIELD_HEADER_NAME,
    FIELD_HEADER_VALUE,
    FIELD_CIDR,
    FIELD_SSH_URL,
    FIELD_HOST_KEY,
    FIELD_IMAGE_PREFIX,
    FIELD_HOST_PATTERN,
    FIELD_KIND_COUNT,
};

/* What a change of the field costs the running bottle. The order is the order of cost. */
enum change_class {
    CHANGE_UNSET,  /* nobody said: fields_check.c fails the build, planners take it for the worst */
    CHANGE_NONE,   /* nothing on the engine */
    CHANGE_LIVE,   /* updated in place, nothing restarts */
    CHANGE_RELOAD, /* both proxies reread their files, nothing restarts */
    CHANGE_SIDECAR, /* a sidecar is replaced, the agent goes on */
    CHANGE_AGENT,   /* the agent is replaced */
};

enum field_flags {
    FIELD_REQUIRED = 1 << 0,
    FIELD_REQUIRED_WHOLE = 1 << 1, /* after `extends`; not in an abstract bottle */
    FIELD_UNIQUE = 1 << 2,         /* list: no item twice */
    FIELD_OWN = 1 << 3,            /* never inherited through `extends` */
    FIELD_MERGE = 1 << 4, /* `extends`: merged key by key; without it the child's replaces */
    /* list: rendered in its order, so that another order costs what another item costs. (A list of
     * what has no identity is compared place by place and needs no such flag.) */
    FIELD_ORDERED = 1 << 5,
};

struct field {
    const char *parent; /* path of the object it is in: "spec.egress.routes[]"; "" at the top */
    const char *name;   /* key; "[]" the items of a list, "*" the values of a dict */
    enum field_kind kind;
    unsigned flags;
    enum change_class change;
    const char *def;          /* default as it would be written; NULL: none */
    const char *const *words; /* FIELD_ENUM, NULL-terminated, in the order of the enum's values */
    int64_t min;              /* FIELD_INT: least value; FIELD_ENUM: value of the first word */
    int64_t max;              /* FIELD_INT: greatest value; FIELD_LIST, FIELD_DICT: most items */
    enum field_kind key_kind; /* FIELD_DICT */
    size_t offset;            /* in the struct of the object it is in */
    size_t size;              /* of the member (scalars), of an item (lists and dicts of structs) */
    size_t len_offset;        /* lists and dicts of structs: of the number of items */
    const char *identity;     /* FIELD_LIST of objects: the field that tells its items apart */
    const char *example;
    const char *help;
    const char *reason; /* why that class; NULL: as for every field of the class */
    const char *loses;  /* what is gone after a change; NULL: as for every field of the class */
};

struct field_table {
    const char *kind; /* "Bottle" */
    const struct field *fields;
    size_t len;
};
extern const struct field_table fields_bottle;
extern const struct field_table fields_grant;
extern const struct field_table fields_policy; /* policy_fields.c */

/* The field `name` of the object at path `parent`; NULL when there is none. */
const struct field *field_find(const struct field_table *t, const char *parent, const char *name);
/* The next field of the object at `parent` after `prev` (NULL: the first); NULL at the end. */
const struct field *field_next(const struct field_table *t, const char *parent,
                               const struct field *prev);
/* "spec.egress.routes[].host": the path of a field, which is the `parent` of those in it. */
void field_path(const struct field *f, struct str *out);
/* The known field nearest to a misspelt key: beside it, or (with its whole path) elsewhere.
 * NULL when nothing is near. Owned by the caller. */
char *field_did_you_mean(const struct field_table *t, const char *parent, const char *key);

const char *field_kind_name(enum field_kind kind);
const char *change_class_name(enum change_class c);
/* Why changing the field costs what it costs: "only a new container can have it". */
const char *field_reason(const struct field *f) __attribute__((returns_nonnull));
/* What a change of the field destroys; NULL: nothing. */
const char *field_loses(const struct field *f);
/* Appends the path of every field without a class, one a line; false when there is any. */
bool fields_classified(const struct field_table *t, struct str *out);
/* "none" … "agent" for a concrete or table path of a Bottle ("spec.egress.routes[2].host",
 * "spec.agent.env.PATH"): the class of the nearest field. ERR_NOT_FOUND for what isn't one. */
struct err *field_change_class(const char *path, enum change_class *ret) ERR_NODISCARD;

/* The manual page of a field: "spec.agent.env", "agent.env", "Grant.spec.host"; NULL or "" the
 * whole. ERR_NOT_FOUND with a "did you mean" when there is none. */
struct err *fields_explain(const char *path, struct str *out) ERR_NODISCARD;
/* All fields of manifests as a Markdown table, for the manual; and those of a policy. */
void fields_markdown(struct str *out);
void fields_policy_markdown(struct str *out);
/* The JSON Schema of a manifest document. The caller owns it. */
json_t *fields_schema(void) __attribute__((returns_nonnull));
/* Every field in the order of the table: path, kind, class, reason, loses, default. The caller owns
 * it. */
json_t *fields_json(const struct field_table *t) __attribute__((returns_nonnull));

#endif
