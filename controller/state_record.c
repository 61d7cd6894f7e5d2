/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of one bottle: uid, CAs, last good manifest. */
#include "controller/ca.h"
#include "controller/state_internal.h"
#include "spec/base/xalloc.h"
#include "spec/defaults.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a bottle's record ---------------------------------------------------------------------- */

void bottle_state_done(struct bottle_state *b)
{
    free(b->uid);
    free(b->egress_ca_cert);
    secret_free(b->egress_ca_key);
    free(b->pipelock_ca_cert);
    secret_free(b->pipelock_ca_key);
    ca_beside_done(&b->egress_beside);
    ca_beside_done(&b->pipelock_beside);
    *b = (struct bottle_state){0};
}

static struct err *load_uid(const struct sdir *d, char **ret)
{
    AUTO_FREE char *uid = NULL;
    size_t n = 0;
    struct err *e = sdir_read(d, "uid", SMALL_MAX, &uid, &n);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "said in our words");
        return state_damaged(d, "uid", "the file is missing");
    }
    TRY(e);
    state_chomp(uid, n);
    if (!state_is_uuid(uid))
        return state_damaged(d, "uid", "expected a UUID");
    *ret = TAKE_PTR(uid);
    return NULL;
}

/* Records of the first versions have none. */
static struct err *check_defaults(const struct sdir *d)
{
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    struct err *e = sdir_read(d, "defaults", DEFAULTS_MAX_BYTES, &text, &n);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "written with the next pass");
        return NULL;
    }
    TRY(e);
    struct defaults *parsed = NULL;
    if (strlen(text) != n)
        return state_damaged(d, "defaults", "it holds NUL bytes");
    AUTO_ERR wrong = defaults_parse(text, &parsed);
    defaults_free(parsed);
    return wrong ? state_damaged(d, "defaults", err_message(wrong)) : NULL;
}

void record_close(struct record *r)
{
    if (r->dir.fd >= 0)
        (void)close(r->dir.fd);
    free(r->where);
    *r = RECORD_CLOSED;
}

struct err *state_open_record(const struct state *s, const char *name, struct record *ret)
{
    struct sdir b = state_records(s);
    *ret = RECORD_CLOSED;
    TRY(state_check_label("bottle", name));
    TRY(sdir_open(&b, name, &ret->dir.fd));
    ret->where = xasprintf("%s/%s", s->bottles_dir, name);
    ret->dir.where = ret->where;
    return NULL;
}

struct err *state_load_record(const struct sdir *d, bool peek, struct bottle_state *ret)
{
    AUTO(bottle_state_done) struct bottle_state b = {0};
    TRY(load_uid(d, &b.uid));
    TRY(check_defaults(d));
    TRY(state_load_ca(d, peek, ROLE_EGRESS, &b));
    TRY(state_load_ca(d, peek, ROLE_PIPELOCK, &b));
    int64_t egress = b.egress_beside.turn.life.until, pipelock = b.pipelock_beside.turn.life.until;
    b.ca_expires = egress < pipelock ? egress : pipelock;
    *ret = b;
    b = (struct bottle_state){0};
    return NULL;
}

static struct err *write_record(const struct sdir *d, const char *bottle, const char *uid,
                                unsigned days)
{
    AUTO_FREE char *line = xasprintf("%s\n", uid);
    AUTO_FREE char *defaults = defaults_text();
    TRY(sdir_write(d, "uid", sv_of(line)));
    TRY(state_mint_ca(d, ROLE_EGRESS, bottle, days));
    TRY(state_mint_ca(d, ROLE_PIPELOCK, bottle, days));
    return sdir_write(d, "defaults", sv_of(defaults));
}

static void wipe_quietly(const struct sdir *b, const char *name)
{
    struct err *e = sdir_wipe(b, name);
    err_ignore(e, "not there, or wiped by the next start");
}

/* Made whole under another name, then renamed: a record is never half there. */
static struct err *mint_record(const struct state *s, const char *name, const char *uid_hint)
{
    struct sdir b = state_records(s);
    AUTO_FREE char *uid = NULL;
    AUTO_FREE char *temp = xasprintf(NEW_PREFIX "%s", name);
    AUTO_FREE char *where = xasprintf("%s/%s", b.where, temp);
    if (uid_hint && !state_is_uuid(uid_hint))
        return err_new(ERR_INVALID, "uid '%s' is not a lower-case UUID", uid_hint);
    if (uid_hint)
        uid = xstrdup(uid_hint);
    else
        TRY(state_new_uid(&uid));

    wipe_quietly(&b, temp);
    TRY(sdir_make(&b, temp, false));
    AUTO_CLOSE fd = -1;
    TRY(sdir_open(&b, temp, &fd));
    struct sdir d = {fd, where};
    struct err *e = write_record(&d, name, uid, s->ca_days);
    if (!e)
        e = sdir_rename(&b, temp, name);
    if (e)
        wipe_quietly(&b, temp); /* gives the space back */
    return e;
}

/* For a plan: as good as the record that `run` would make, and gone with it. */
static struct err *imagine_record(const char *uid_hint, struct bottle_state *ret)
{
    *ret = (struct bottle_state){0};
    struct err *e = ca_mint("plan", STATE_CA_DAYS, &ret->egress_ca_cert, &ret->egress_ca_key);
    if (!e)
        e = ca_mint("plan", STATE_CA_DAYS, &ret->pipelock_ca_cert, &ret->pipelock_ca_key);
    if (!e && !uid_hint)
        e = state_new_uid(&ret->uid);
    else if (!e)
        ret->uid = xstrdup(uid_hint);
    if (e)
        bottle_state_done(ret);
    return e;
}

struct err *state_bottle(struct state *s, const char *name, const char *uid_hint,
                         struct bottle_state *ret)
{
    AUTO(record_close) struct record r = RECORD_CLOSED;
    if (s->peek && s->bottles_fd < 0)
        return imagine_record(uid_hint, ret);
    struct err *e = state_open_record(s, name, &r);
    if (e && s->peek && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "a plan needs no record");
        return imagine_record(uid_hint, ret);
    }
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "made now");
        TRY_CTX(mint_record(s, name, uid_hint), "recording bottle '%s'", name);
        e = state_open_record(s, name, &r);
    }
    TRY(e);
    return state_load_record(&r.dir, s->peek, ret);
}

/* ---- last good manifest --------------------------------------------------------------------- */

struct err *state_load_manifest(struct state *s, const char *name, char **ret, size_t *ret_n)
{
    AUTO(record_close) struct record r = RECORD_CLOSED;
    TRY(state_open_record(s, name, &r));
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    TRY(sdir_read(&r.dir, "manifest.yaml", STATE_MANIFEST_MAX, &text, &n));
    if (n == 0)
        return state_damaged(&r.dir, "manifest.yaml", "the file is empty");
    *ret = TAKE_PTR(text);
    *ret_n = n;
    return NULL;
}

static bool is_stored(const struct sdir *d, struct sv text)
{
    AUTO_FREE char *old = NULL;
    size_t n = 0;
    AUTO_ERR e = sdir_read(d, "manifest.yaml", STATE_MANIFEST_MAX, &old, &n);
    return !e && n == text.n && memcmp(old, text.p, n) == 0;
}

struct err *state_store_manifest(struct state *s, const char *name, struct sv text)
{
    AUTO(record_close) struct record r = RECORD_CLOSED;
    TRY(state_open_record(s, name, &r));
    if (text.n == 0 || text.n > STATE_MANIFEST_MAX)
        return err_new(ERR_INVALID, "a manifest of %zu bytes can't be kept: expected 1 to %d",
                       text.n, STATE_MANIFEST_MAX);
    return is_stored(&r.dir, text) ? NULL : sdir_write(&r.dir, "manifest.yaml", text);
}

/* ---- notes ---------------------------------------------------------------------------------- */

struct err *state_load_note(struct state *s, const char *name, const char *note, size_t max,
                            char **ret)
{
    *ret = NULL;
    if (s->peek && s->bottles_fd < 0)
        return NULL;
    AUTO(record_close) struct record r = RECORD_CLOSED;
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    struct err *e = state_open_record(s, name, &r);
    if (!e)
        e = sdir_read(&r.dir, note, max, &text, &n);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "nothing was ever said");
        return NULL;
    }
    TRY(e);
    if (strlen(text) != n)
        return state_damaged(&r.dir, note, "it holds NUL bytes");
    if (n)
        *ret = TAKE_PTR(text);
    return NULL;
}

/* An empty file says nothing: no note has to be removed for good in one step. */
struct err *state_store_note(struct state *s, const char *name, const char *note, const char *text)
{
    AUTO(record_close) struct record r = RECORD_CLOSED;
    TRY(state_open_record(s, name, &r));
    return sdir_write(&r.dir, note, sv_of(text ? text : ""));
}

struct err *state_load_quarantine(struct state *s, const char *name, char **ret)
{
    return state_load_note(s, name, "quarantine", STATE_QUARANTINE_MAX, ret);
}

struct err *state_store_quarantine(struct state *s, const char *name, const char *text)
{
    AUTO_FREE char *cut = text ? xmemdup0(text, strnlen(text, STATE_QUARANTINE_MAX)) : NULL;
    return state_store_note(s, name, "quarantine", cut);
}

/* ---- all records ---------------------------------------------------------------------------- */

struct err *state_list(struct state *s, struct str_list *ret)
{
    if (s->bottles_fd < 0) {
        *ret = (struct str_list){0};
        return NULL;
    }
    struct sdir b = state_records(s);
    AUTO(str_list_done) struct str_list names = {0}, kept = {0};
    TRY(sdir_names(&b, &names));
    for (size_t i = 0; i < names.len; i++)
        if (state_is_label(names.items[i]))
            str_list_add(&kept, names.items[i]);
    *ret = kept;
    kept = (struct str_list){0};
    return NULL;
}

struct err *state_remove(struct state *s, const char *name)
{
    struct sdir b = state_records(s);
    TRY(state_check_label("bottle", name));
    AUTO_FREE char *old = xasprintf(OLD_PREFIX "%s", name);
    wipe_quietly(&b, old);
    struct err *e = sdir_rename(&b, name, old);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "there is none");
        return NULL;
    }
    TRY(e);
    return sdir_wipe(&b, old);
}
