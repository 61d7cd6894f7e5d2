/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CAs of a bottle's record, and how one gives way to the next. What files there are says how
 * far that is:
 *
 *   ca                        steady
 *   ca, next                  introduced
 *   ca, next, old             a switch that a crash has cut short: it is carried through
 *   ca, old                   switched
 *
 * A certificate is written after its key and renamed after it, so what counts is always whole.
 */
#include "controller/ca.h"
#include "controller/state_internal.h"
#include "spec/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 32 };

/* The names of a role's files. */
struct names {
    char cert[NAME_MAX_BYTES], key[NAME_MAX_BYTES];
    char next_cert[NAME_MAX_BYTES], next_key[NAME_MAX_BYTES];
    char old_cert[NAME_MAX_BYTES];
};

static struct names names_of(enum role role)
{
    const char *r = role_info(role)->name;
    struct names n;
    (void)snprintf(n.cert, sizeof(n.cert), "%s-ca.pem", r);
    (void)snprintf(n.key, sizeof(n.key), "%s-ca.key", r);
    (void)snprintf(n.next_cert, sizeof(n.next_cert), "%s-ca-next.pem", r);
    (void)snprintf(n.next_key, sizeof(n.next_key), "%s-ca-next.key", r);
    (void)snprintf(n.old_cert, sizeof(n.old_cert), "%s-ca-old.pem", r);
    return n;
}

static void secret_freep(char **p)
{
    secret_free(*p);
}

void ca_beside_done(struct ca_beside *b)
{
    free(b->next_cert);
    free(b->old_cert);
    *b = (struct ca_beside){0};
}

/* ---- loading -------------------------------------------------------------------------------- */

static struct err *load_pem(const struct sdir *d, const char *name, char **ret)
{
    size_t n = 0;
    AUTO(secret_freep) char *pem = NULL;
    struct err *e = sdir_read(d, name, PEM_MAX, &pem, &n);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "said in our words");
        return state_damaged(d, name, "the file is missing");
    }
    TRY(e);
    if (n == 0 || strlen(pem) != n)
        return state_damaged(d, name, n ? "it holds NUL bytes" : "the file is empty");
    *ret = TAKE_PTR(pem);
    return NULL;
}

/* Both files of a CA, belonging together. */
static struct err *load_pair(const struct sdir *d, const char *cert_name, const char *key_name,
                             char **ret_cert, char **ret_key, struct ca_life *ret_life)
{
    AUTO_FREE char *cert = NULL;
    AUTO(secret_freep) char *key = NULL;
    TRY(load_pem(d, cert_name, &cert));
    TRY(load_pem(d, key_name, &key));
    struct err *e = ca_check(sv_of(cert), sv_of(key), ret_life);
    if (e)
        return err_wrap(e, "'%s/%s' and '%s' are damaged", d->where, cert_name, key_name);
    *ret_cert = TAKE_PTR(cert);
    *ret_key = TAKE_PTR(key);
    return NULL;
}

static bool switch_is_under_way(const struct sdir *d, const struct names *n)
{
    return sdir_has(d, n->old_cert) && sdir_has(d, n->next_cert);
}

static struct err *finish_switch(const struct sdir *d, const struct names *n)
{
    if (sdir_has(d, n->next_key))
        TRY(sdir_replace(d, n->next_key, n->key));
    return sdir_replace(d, n->next_cert, n->cert);
}

static struct err *load_beside(const struct sdir *d, const struct names *n, bool switching,
                               struct ca_beside *b)
{
    if (sdir_has(d, n->old_cert)) {
        TRY(load_pem(d, n->old_cert, &b->old_cert));
        struct err *e = ca_check_cert(sv_of(b->old_cert), &b->turn.old);
        if (e)
            return err_wrap(e, "'%s/%s' is damaged", d->where, n->old_cert);
        b->turn.stage = CA_SWITCHED;
    } else if (!switching && sdir_has(d, n->next_cert)) {
        AUTO(secret_freep) char *key = NULL;
        struct ca_life life;
        TRY(load_pair(d, n->next_cert, n->next_key, &b->next_cert, &key, &life));
        b->turn.stage = CA_INTRODUCED;
    }
    return NULL;
}

struct err *state_load_ca(const struct sdir *d, bool peek, enum role role, struct bottle_state *ret)
{
    const struct names n = names_of(role);
    bool egress = role == ROLE_EGRESS;
    struct ca_beside *b = egress ? &ret->egress_beside : &ret->pipelock_beside;
    bool switching = switch_is_under_way(d, &n);
    if (switching && !peek) {
        TRY(finish_switch(d, &n));
        switching = false;
    }
    TRY(load_pair(d, switching ? n.next_cert : n.cert,
                  switching && sdir_has(d, n.next_key) ? n.next_key : n.key,
                  egress ? &ret->egress_ca_cert : &ret->pipelock_ca_cert,
                  egress ? &ret->egress_ca_key : &ret->pipelock_ca_key, &b->turn.life));
    return load_beside(d, &n, switching, b);
}

/* ---- stages --------------------------------------------------------------------------------- */

static struct err *mint(const struct sdir *d, enum role role, const char *bottle, unsigned days,
                        const char *cert_name, const char *key_name)
{
    /* A common name has 64 bytes; names of bottles have 40. */
    AUTO_FREE char *common_name = xasprintf("%s CA of %.40s", role_info(role)->name, bottle);
    AUTO_FREE char *cert = NULL;
    AUTO(secret_freep) char *key = NULL;
    TRY(ca_mint(common_name, days, &cert, &key));
    TRY(sdir_write(d, key_name, sv_of(key)));
    return sdir_write(d, cert_name, sv_of(cert));
}

struct err *state_mint_ca(const struct sdir *d, enum role role, const char *bottle, unsigned days)
{
    const struct names n = names_of(role);
    return mint(d, role, bottle, days, n.cert, n.key);
}

/* What is on disk now. */
static struct err *reload(const struct sdir *d, struct bottle_state *b)
{
    struct bottle_state fresh = {0};
    TRY(state_load_record(d, false, &fresh));
    bottle_state_done(b);
    *b = fresh;
    return NULL;
}

/* At least half as long as the present one: the next one has to live until that has ended, and must
 * not be due to give way itself before. */
static unsigned days_of_next(const struct state *s, const struct ca_life *present)
{
    enum { DAY_S = 24 * 60 * 60 };
    int64_t days = ((present->until - present->from) / 2 + DAY_S - 1) / DAY_S;
    return days > s->ca_days && days <= STATE_CA_DAYS ? (unsigned)days : s->ca_days;
}

struct err *state_ca_introduce(struct state *s, const char *name, enum role role,
                               struct bottle_state *b)
{
    const struct names n = names_of(role);
    const struct ca_beside *beside = role == ROLE_EGRESS ? &b->egress_beside : &b->pipelock_beside;
    unsigned days = days_of_next(s, &beside->turn.life);
    AUTO(record_close) struct record r = RECORD_CLOSED;
    TRY(state_open_record(s, name, &r));
    /* The same name as the present one's: the egress proxy knows pipelock's certificates by it. */
    TRY(mint(&r.dir, role, name, days, n.next_cert, n.next_key));
    return reload(&r.dir, b);
}

struct err *state_ca_switch(struct state *s, const char *name, enum role role,
                            struct bottle_state *b)
{
    const struct names n = names_of(role);
    AUTO(record_close) struct record r = RECORD_CLOSED;
    TRY(state_open_record(s, name, &r));
    const char *cert = role == ROLE_EGRESS ? b->egress_ca_cert : b->pipelock_ca_cert;
    TRY(sdir_write(&r.dir, n.old_cert, sv_of(cert)));
    return reload(&r.dir, b); /* which carries it through */
}

struct err *state_ca_retire(struct state *s, const char *name, enum role role,
                            struct bottle_state *b)
{
    const struct names n = names_of(role);
    AUTO(record_close) struct record r = RECORD_CLOSED;
    TRY(state_open_record(s, name, &r));
    TRY(sdir_remove(&r.dir, n.old_cert));
    return reload(&r.dir, b);
}
