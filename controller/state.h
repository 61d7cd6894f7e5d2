/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory: one controller at a time (flock), everything 0700/0600, every write is
 * temp + fsync + rename. It holds only what can't be derived: who this installation is, its hash
 * key, and per bottle its uid, its two CAs and its last good manifest.
 *
 *   lock  installation  hash.key  roots.json  forgotten.json
 *   sources/<hash of a path>
 * bottles/<name>/{uid,defaults,egress-ca.pem,egress-ca.key,pipelock-ca.pem,…,manifest.yaml,
 *                   quarantine,applied,history,suspend,trust,held}
 *
 * While a CA rotates (reconcile/rotation.h), <role>-ca-next.pem and .key, later <role>-ca-old.pem
 * are beside it.
 *
 * A record is made under another name and renamed into place whole, and renamed away before it is
 * wiped: after any crash it is all there or not there, and what is left over is wiped by the next
 * state_open().
 *
 * Kinds, everywhere: UNAVAILABLE no space, quota, I/O error, read-only (a retry may help); DENIED
 * no permission; INVALID a damaged file, named in the message. Names of bottles are RFC 1123
 * labels, anything else is INVALID.
 */
#ifndef BOTTLER_CONTROLLER_STATE_H
#define BOTTLER_CONTROLLER_STATE_H

#include "reconcile/rotation.h"
#include "render/hash.h"
#include "render/names.h"
#include "spec/base/err.h"
#include "spec/base/str.h"

#include <stdint.h>

enum {
    STATE_CA_DAYS = 3650,
    STATE_MANIFEST_MAX = 4 * 1024 * 1024,
    STATE_QUARANTINE_MAX = 4096,
    STATE_FILE_MAX = 1024 * 1024,
};

struct state;

/* Creates the directory when missing (parents too), takes the lock, and mints what is missing.
 * DENIED when another process holds it (its pid is named), or when it belongs to someone else or
 * others may write to it; one that others may only read is closed to them. `instance` starts the
 * installation's id: "<instance>-<8 hex>", minted once. INVALID when the id or the key is gone
 * although bottles are recorded: minting others would orphan what stands on the engine. */
struct err *state_open(const char *dir, const char *instance, struct state **ret) ERR_NODISCARD;
/* The same to read only, beside a running controller: takes no lock and writes nothing. What is
 * missing, the whole directory included, is made in memory. state_store_manifest(),
 * state_store_source(), state_drop_source() and state_remove() must not be called. */
struct err *state_peek(const char *dir, const char *instance, struct state **ret) ERR_NODISCARD;
struct state *state_close(struct state *s);
const char *state_installation(const struct state *s);
const uint8_t *state_hash_key(const struct state *s);

/* How long CAs live that are minted from now on: 1 to STATE_CA_DAYS days; STATE_CA_DAYS when never
 * called. */
void state_set_ca_days(struct state *s, unsigned days);

/* What stands beside a CA while it rotates. */
struct ca_beside {
    struct ca_turn turn;
    char *next_cert; /* PEM; CA_INTRODUCED, else NULL */
    char *old_cert;  /* PEM; CA_SWITCHED, else NULL */
};
/* A bottle's identity and CAs. */
struct bottle_state {
    char *uid;                            /* RFC 4122 form */
    char *egress_ca_cert, *egress_ca_key; /* PEM, keys are wiped when freed */
    char *pipelock_ca_cert, *pipelock_ca_key;
    struct ca_beside egress_beside, pipelock_beside;
    int64_t ca_expires; /* the earlier of both that sign, Unix seconds */
};
void bottle_state_done(struct bottle_state *b);
/* Loads, or mints and stores, in one step. `uid_hint` (may be NULL): the uid to take when a new one
 * is needed (metadata.uid, or what the engine's labels say); INVALID when it is no UUID. A damaged
 * record is an err, never silently replaced. */
struct err *state_bottle(struct state *s, const char *name, const char *uid_hint,
                         struct bottle_state *ret) ERR_NODISCARD;
/* The next stage of the CA of ROLE_EGRESS or ROLE_PIPELOCK, on disk first and then in *b; each is
 * done whole or not at all, after any crash. Only from the stage before: STEADY, INTRODUCED,
 * SWITCHED. On failure *b is as it was. */
struct err *state_ca_introduce(struct state *s, const char *name, enum role role,
                               struct bottle_state *b) ERR_NODISCARD;
struct err *state_ca_switch(struct state *s, const char *name, enum role role,
                            struct bottle_state *b) ERR_NODISCARD;
struct err *state_ca_retire(struct state *s, const char *name, enum role role,
                            struct bottle_state *b) ERR_NODISCARD;
/* Last good manifest text of a bottle (a JSON text that manifest_load() accepts); NOT_FOUND when
 * none. */
struct err *state_load_manifest(struct state *s, const char *name, char **ret, size_t *ret_n)
    ERR_NODISCARD;
/* NOT_FOUND when the bottle has no record (state_bottle() first). Writes nothing when the text is
 * the stored one. */
struct err *state_store_manifest(struct state *s, const char *name, struct sv text) ERR_NODISCARD;
/* A text of its own file in the bottle's record; NULL when it is empty, or the file or the record
 * is not there. INVALID when it is larger than `max` or holds NUL bytes. A later reader sees a
 * whole text. */
struct err *state_load_note(struct state *s, const char *name, const char *note, size_t max,
                            char **ret) ERR_NODISCARD;
/* NULL: no text. NOT_FOUND when the bottle has no record (state_bottle() first). */
struct err *state_store_note(struct state *s, const char *name, const char *note, const char *text)
    ERR_NODISCARD;
/* Why the bottle's agent may not run, NULL when nothing says so. */
struct err *state_load_quarantine(struct state *s, const char *name, char **ret) ERR_NODISCARD;
/* NULL: it may run. */
struct err *state_store_quarantine(struct state *s, const char *name, const char *text)
    ERR_NODISCARD;
/* What manifest files said when they were last good. Only a guard against half-written files, so a
 * power failure may cost it: what is damaged is dropped, and no call waits for the disk. */
typedef void state_source_fn(void *ctx, const char *path, struct sv bytes);
struct err *state_load_sources(struct state *s, state_source_fn *each, void *ctx) ERR_NODISCARD;
struct err *state_store_source(struct state *s, const char *path, struct sv bytes) ERR_NODISCARD;
/* Fine when there is none. */
struct err *state_drop_source(struct state *s, const char *path) ERR_NODISCARD;
/* Names under bottles/, sorted. */
struct err *state_list(struct state *s, struct str_list *ret) ERR_NODISCARD;
/* Overwrites the keys and removes a bottle's record. Fine when there is none. */
struct err *state_remove(struct state *s, const char *name) ERR_NODISCARD;
/* Small texts of the installation as a whole. */
enum state_file {
    STATE_FILE_ROOTS,     /* which directories the manifests came from, see roots.h */
    STATE_FILE_FORGOTTEN, /* orphans that nobody wants to hear of any more */
};
/* *ret NULL: there is none. */
struct err *state_load_file(const struct state *s, enum state_file n, char **ret) ERR_NODISCARD;
/* An empty text: none from now on. */
struct err *state_store_file(const struct state *s, enum state_file n, struct sv text)
    ERR_NODISCARD;

#endif
