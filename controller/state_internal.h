/* SPDX-License-Identifier: Apache-2.0 */
/* Private to controller/state*.c. */
#ifndef BOTTLER_CONTROLLER_STATE_INTERNAL_H
#define BOTTLER_CONTROLLER_STATE_INTERNAL_H

#include "controller/state.h"
#include "controller/statefs.h"

#include <stdbool.h>

#define NEW_PREFIX ".new-" /* a record that is being made */
#define OLD_PREFIX ".old-" /* a record that is being wiped */

enum {
    LABEL_MAX = 63,
    UID_LEN = 36,
    UID_BYTES = 16,
    ID_RANDOM = 4,
    SMALL_MAX = 256,
    PEM_MAX = 16 * 1024,
};

struct state {
    char *dir;
    char *bottles_dir;
    int fd;
    int bottles_fd;
    int lock_fd;
    unsigned ca_days;
    bool peek; /* nothing is written; what is missing is made in memory only */
    char *installation;
    uint8_t hash_key[HASH_KEY_BYTES];
};

struct sdir state_records(const struct state *s);
bool state_is_label(const char *s);
struct err *state_check_label(const char *what, const char *name);
bool state_is_uuid(const char *s);
struct err *state_new_uid(char **ret);
void state_chomp(char *s, size_t n);

/* A bottle's record, open for its files. */
struct record {
    struct sdir dir;
    char *where; /* its path, for messages */
};
#define RECORD_CLOSED ((struct record){.dir = {.fd = -1}})
void record_close(struct record *r);
/* state_record.c: NOT_FOUND when there is no record; then *ret is closed. */
struct err *state_open_record(const struct state *s, const char *name, struct record *ret)
    ERR_NODISCARD;
struct err *state_load_record(const struct sdir *d, bool peek, struct bottle_state *ret)
    ERR_NODISCARD;
/* state_ca.c: a role's CA into its place in a zeroed *ret, with what stands beside it. What a crash
 * has left of a switch is carried through, with `peek` in memory only. */
struct err *state_load_ca(const struct sdir *d, bool peek, enum role role, struct bottle_state *ret)
    ERR_NODISCARD;
struct err *state_mint_ca(const struct sdir *d, enum role role, const char *bottle, unsigned days)
    ERR_NODISCARD;
void ca_beside_done(struct ca_beside *b);
struct err *state_damaged(const struct sdir *d, const char *name, const char *why);

#endif
