/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/state.h"

#include "controller/ca.h"
#include "controller/statefs.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

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
    char *installation;
    uint8_t hash_key[HASH_KEY_BYTES];
};

static struct sdir top(const struct state *s)
{
    return (struct sdir){s->fd, s->dir};
}

static struct sdir bottles(const struct state *s)
{
    return (struct sdir){s->bottles_fd, s->bottles_dir};
}

/* ---- forms ---------------------------------------------------------------------------------- */

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(const char *s)
{
    size_t n = strnlen(s, LABEL_MAX + 1);
    if (n < 1 || n > LABEL_MAX || !is_lower_alnum(s[0]) || !is_lower_alnum(s[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_lower_alnum(s[i]) && s[i] != '-')
            return false;
    return true;
}

static struct err *check_label(const char *what, const char *name)
{
    if (is_label(name))
        return NULL;
    return err_new(ERR_INVALID,
                   "%s '%s' is not a name: expected lower-case letters, digits and '-'", what,
                   name);
}

static bool is_uuid(const char *s)
{
    if (strnlen(s, UID_LEN + 1) != UID_LEN)
        return false;
    return s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' && str_is_hex(s, 8) &&
           str_is_hex(s + 9, 4) && str_is_hex(s + 14, 4) && str_is_hex(s + 19, 4) &&
           str_is_hex(s + 24, 12);
}

static struct err *random_bytes(uint8_t *buf, size_t n)
{
    if (getrandom(buf, n, 0) != (ssize_t)n)
        return err_new(ERR_INTERNAL, "drawing random bytes: %s", err_errno(errno));
    return NULL;
}

/* RFC 4122, version 4. */
static struct err *new_uid(char **ret)
{
    uint8_t b[UID_BYTES];
    TRY(random_bytes(b, sizeof(b)));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char h[UID_BYTES * 2 + 1];
    str_hex(b, sizeof(b), h);
    *ret = xasprintf("%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
    return NULL;
}

static void chomp(char *s, size_t n)
{
    if (n && s[n - 1] == '\n')
        s[n - 1] = '\0';
}

static struct err *damaged(const struct sdir *d, const char *name, const char *why)
{
    return err_new(ERR_INVALID, "'%s/%s' is damaged: %s", d->where, name, why);
}

/* ---- opening -------------------------------------------------------------------------------- */

static struct err *check_trust(const struct state *s)
{
    struct stat st;
    struct sdir d = top(s);
    if (fstat(s->fd, &st) < 0)
        return sdir_err(&d, "opening directory", NULL, errno);
    if (st.st_uid != geteuid())
        return err_new(ERR_DENIED, "state directory '%s' belongs to user %u, expected %u", s->dir,
                       st.st_uid, geteuid());
    if (st.st_mode & 022)
        return err_new(ERR_DENIED,
                       "state directory '%s' can be written by others (mode %04o), so it can't be "
                       "trusted; expected 0700",
                       s->dir, (unsigned)(st.st_mode & 07777));
    if ((st.st_mode & 077) && fchmod(s->fd, 0700) < 0)
        return sdir_err(&d, "closing to others", NULL, errno);
    return NULL;
}

static struct err *lock_held(const struct state *s)
{
    char pid[32] = "";
    ssize_t n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    int64_t number = 0;
    if (num_parse(sv_of(pid), 1, INT_MAX, &number))
        return err_new(ERR_DENIED, "another bottler (pid %d) uses state directory '%s'",
                       (int)number, s->dir);
    return err_new(ERR_DENIED, "another bottler uses state directory '%s'", s->dir);
}

static struct err *take_lock(struct state *s)
{
    struct sdir d = top(s);
    s->lock_fd = openat(s->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return sdir_err(&d, "opening", "lock", errno);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? lock_held(s) : sdir_err(&d, "locking", "lock", errno);
    /* The pid is only for the message above: on a full disk it stays away. */
    char pid[32];
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(s->lock_fd, 0) == 0) {
        ssize_t written = pwrite(s->lock_fd, pid, (size_t)n, 0);
        (void)written;
    }
    return NULL;
}

/* Wipes what a crash left half made or half removed. */
static struct err *sweep(const struct state *s)
{
    struct sdir t = top(s), b = bottles(s);
    TRY(sdir_sweep(&t));
    AUTO(str_list_done) struct str_list names = {0};
    TRY(sdir_names(&b, &names));
    for (size_t i = 0; i < names.len; i++) {
        const char *name = names.items[i];
        if (strncmp(name, NEW_PREFIX, sizeof(NEW_PREFIX) - 1) == 0 ||
            strncmp(name, OLD_PREFIX, sizeof(OLD_PREFIX) - 1) == 0) {
            TRY(sdir_wipe(&b, name));
            continue;
        }
        AUTO_CLOSE fd = is_label(name)
                            ? openat(b.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                            : -1;
        AUTO_FREE char *where = xasprintf("%s/%s", b.where, name);
        struct sdir sub = {fd, where};
        if (fd >= 0)
            TRY(sdir_sweep(&sub));
    }
    return NULL;
}

/* NOT_FOUND becomes INVALID when bottles are recorded: the file was lost, this is not the first
 * start. */
static struct err *missing(const struct state *s, struct err *e_take)
{
    AUTO_ERR e = e_take;
    if (err_kind(e) != ERR_NOT_FOUND)
        return TAKE_PTR(e);
    AUTO(str_list_done) struct str_list names = {0};
    struct sdir b = bottles(s);
    TRY(sdir_names(&b, &names));
    if (names.len == 0)
        return NULL;
    return err_new(
        ERR_INVALID,
        "%s, although bottles are recorded below it: restore the file, or remove the whole "
        "directory to start anew",
        err_message(e));
}

static bool is_installation(const char *id)
{
    const char *dash = strrchr(id, '-');
    return dash && is_label(id) && strlen(dash + 1) == (size_t)ID_RANDOM * 2 &&
           str_is_hex(dash + 1, (size_t)ID_RANDOM * 2);
}

static struct err *load_installation(struct state *s, const char *instance)
{
    struct sdir d = top(s);
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    struct err *e = sdir_read(&d, "installation", SMALL_MAX, &text, &n);
    if (e)
        TRY(missing(s, e));
    if (text) {
        chomp(text, n);
        if (!is_installation(text))
            return damaged(&d, "installation", "expected a name, '-' and 8 hexadecimal digits");
        s->installation = TAKE_PTR(text);
        return NULL;
    }
    uint8_t random[ID_RANDOM];
    char hex[ID_RANDOM * 2 + 1];
    TRY(random_bytes(random, sizeof(random)));
    str_hex(random, sizeof(random), hex);
    AUTO_FREE char *id = xasprintf("%s-%s", instance, hex);
    AUTO_FREE char *line = xasprintf("%s\n", id);
    if (!is_installation(id))
        return err_new(ERR_INVALID, "instance '%s' is too long", instance);
    TRY(sdir_write(&d, "installation", sv_of(line)));
    s->installation = TAKE_PTR(id);
    return NULL;
}

static struct err *load_hash_key(struct state *s)
{
    struct sdir d = top(s);
    char *bytes = NULL;
    size_t n = 0;
    struct err *e = sdir_read(&d, "hash.key", HASH_KEY_BYTES, &bytes, &n);
    if (e)
        TRY(missing(s, e));
    if (bytes) {
        bool whole = n == HASH_KEY_BYTES;
        if (whole)
            memcpy(s->hash_key, bytes, HASH_KEY_BYTES);
        secret_wipe(bytes, n);
        free(bytes);
        return whole ? NULL : damaged(&d, "hash.key", "expected 32 bytes");
    }
    TRY(random_bytes(s->hash_key, sizeof(s->hash_key)));
    return sdir_write(&d, "hash.key", (struct sv){(const char *)s->hash_key, HASH_KEY_BYTES});
}

static void state_freep(struct state **s)
{
    *s = state_close(*s);
}

struct err *state_open(const char *dir, const char *instance, struct state **ret)
{
    AUTO(state_freep) struct state *s = xcalloc(1, sizeof(*s));
    s->fd = s->bottles_fd = s->lock_fd = -1;
    if (!*dir)
        return err_new(ERR_INVALID, "expected a state directory, got ''");
    TRY(check_label("instance", instance));
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    s->dir = xmemdup0(dir, n);
    s->bottles_dir = xasprintf("%s/bottles", s->dir);
    struct sdir d = top(s);
    TRY(sdir_make_path(s->dir));
    s->fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0)
        return sdir_err(&d, "opening directory", NULL, errno);
    d.fd = s->fd;
    TRY(check_trust(s));
    TRY(take_lock(s));
    TRY(sdir_make(&d, "bottles", true));
    TRY(sdir_open(&d, "bottles", &s->bottles_fd));
    TRY(sweep(s));
    TRY(load_installation(s, instance));
    TRY(load_hash_key(s));
    *ret = TAKE_PTR(s);
    return NULL;
}

struct state *state_close(struct state *s)
{
    if (!s)
        return NULL;
    if (s->bottles_fd >= 0)
        (void)close(s->bottles_fd);
    if (s->lock_fd >= 0) /* releases the lock */
        (void)close(s->lock_fd);
    if (s->fd >= 0)
        (void)close(s->fd);
    secret_wipe(s->hash_key, sizeof(s->hash_key));
    free(s->installation);
    free(s->bottles_dir);
    free(s->dir);
    free(s);
    return NULL;
}

const char *state_installation(const struct state *s)
{
    return s->installation;
}

const uint8_t *state_hash_key(const struct state *s)
{
    return s->hash_key;
}

static void secret_freep(char **p)
{
    secret_free(*p);
}

/* ---- a bottle's record ---------------------------------------------------------------------- */

void bottle_state_done(struct bottle_state *b)
{
    free(b->uid);
    free(b->egress_ca_cert);
    secret_free(b->egress_ca_key);
    free(b->pipelock_ca_cert);
    secret_free(b->pipelock_ca_key);
    *b = (struct bottle_state){0};
}

static struct err *load_pem(const struct sdir *d, const char *name, char **ret)
{
    size_t n = 0;
    AUTO(secret_freep) char *pem = NULL;
    struct err *e = sdir_read(d, name, PEM_MAX, &pem, &n);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "said in our words");
        return damaged(d, name, "the file is missing");
    }
    TRY(e);
    if (n == 0 || strlen(pem) != n)
        return damaged(d, name, n ? "it holds NUL bytes" : "the file is empty");
    *ret = TAKE_PTR(pem);
    return NULL;
}

static struct err *load_uid(const struct sdir *d, char **ret)
{
    AUTO_FREE char *uid = NULL;
    size_t n = 0;
    struct err *e = sdir_read(d, "uid", SMALL_MAX, &uid, &n);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "said in our words");
        return damaged(d, "uid", "the file is missing");
    }
    TRY(e);
    chomp(uid, n);
    if (!is_uuid(uid))
        return damaged(d, "uid", "expected a UUID");
    *ret = TAKE_PTR(uid);
    return NULL;
}

/* Both files of a CA, belonging together. */
static struct err *load_ca(const struct sdir *d, const char *role, char **ret_cert, char **ret_key,
                           int64_t *expires)
{
    AUTO_FREE char *cert_name = xasprintf("%s-ca.pem", role);
    AUTO_FREE char *key_name = xasprintf("%s-ca.key", role);
    AUTO_FREE char *cert = NULL;
    AUTO(secret_freep) char *key = NULL;
    TRY(load_pem(d, cert_name, &cert));
    TRY(load_pem(d, key_name, &key));
    int64_t end = 0;
    struct err *e = ca_check(sv_of(cert), sv_of(key), &end);
    if (e)
        return err_wrap(e, "'%s/%s' and '%s' are damaged", d->where, cert_name, key_name);
    if (end < *expires)
        *expires = end;
    *ret_cert = TAKE_PTR(cert);
    *ret_key = TAKE_PTR(key);
    return NULL;
}

/* NOT_FOUND when there is no record. */
static struct err *open_record(const struct state *s, const char *name, int *ret_fd)
{
    struct sdir b = bottles(s);
    TRY(check_label("bottle", name));
    return sdir_open(&b, name, ret_fd);
}

static struct err *load_record(const struct sdir *d, struct bottle_state *ret)
{
    struct bottle_state b = {.ca_expires = INT64_MAX};
    struct err *e = load_uid(d, &b.uid);
    if (!e)
        e = load_ca(d, "egress", &b.egress_ca_cert, &b.egress_ca_key, &b.ca_expires);
    if (!e)
        e = load_ca(d, "pipelock", &b.pipelock_ca_cert, &b.pipelock_ca_key, &b.ca_expires);
    if (e)
        bottle_state_done(&b);
    else
        *ret = b;
    return e;
}

static struct err *write_ca(const struct sdir *d, const char *role, const char *bottle)
{
    AUTO_FREE char *cert_name = xasprintf("%s-ca.pem", role);
    AUTO_FREE char *key_name = xasprintf("%s-ca.key", role);
    /* A common name has 64 bytes; names of bottles have 40. */
    AUTO_FREE char *common_name = xasprintf("%s CA of %.40s", role, bottle);
    AUTO_FREE char *cert = NULL;
    AUTO(secret_freep) char *key = NULL;
    TRY(ca_mint(common_name, STATE_CA_DAYS, &cert, &key));
    TRY(sdir_write(d, cert_name, sv_of(cert)));
    return sdir_write(d, key_name, sv_of(key));
}

static struct err *write_record(const struct sdir *d, const char *bottle, const char *uid)
{
    AUTO_FREE char *line = xasprintf("%s\n", uid);
    TRY(sdir_write(d, "uid", sv_of(line)));
    TRY(write_ca(d, "egress", bottle));
    return write_ca(d, "pipelock", bottle);
}

static void wipe_quietly(const struct sdir *b, const char *name)
{
    struct err *e = sdir_wipe(b, name);
    err_ignore(e, "not there, or wiped by the next start");
}

/* Made whole under another name, then renamed: a record is never half there. */
static struct err *mint_record(const struct state *s, const char *name, const char *uid_hint)
{
    struct sdir b = bottles(s);
    AUTO_FREE char *uid = NULL;
    AUTO_FREE char *temp = xasprintf(NEW_PREFIX "%s", name);
    AUTO_FREE char *where = xasprintf("%s/%s", b.where, temp);
    if (uid_hint && !is_uuid(uid_hint))
        return err_new(ERR_INVALID, "uid '%s' is not a lower-case UUID", uid_hint);
    if (uid_hint)
        uid = xstrdup(uid_hint);
    else
        TRY(new_uid(&uid));

    wipe_quietly(&b, temp);
    TRY(sdir_make(&b, temp, false));
    AUTO_CLOSE fd = -1;
    TRY(sdir_open(&b, temp, &fd));
    struct sdir d = {fd, where};
    struct err *e = write_record(&d, name, uid);
    if (!e)
        e = sdir_rename(&b, temp, name);
    if (e)
        wipe_quietly(&b, temp); /* gives the space back */
    return e;
}

struct err *state_bottle(struct state *s, const char *name, const char *uid_hint,
                         struct bottle_state *ret)
{
    AUTO_CLOSE fd = -1;
    struct err *e = open_record(s, name, &fd);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "made now");
        TRY_CTX(mint_record(s, name, uid_hint), "recording bottle '%s'", name);
        e = open_record(s, name, &fd);
    }
    TRY(e);
    AUTO_FREE char *where = xasprintf("%s/%s", s->bottles_dir, name);
    return load_record(&(struct sdir){fd, where}, ret);
}

/* ---- last good manifest --------------------------------------------------------------------- */

struct err *state_load_manifest(struct state *s, const char *name, char **ret, size_t *ret_n)
{
    AUTO_CLOSE fd = -1;
    TRY(open_record(s, name, &fd));
    AUTO_FREE char *where = xasprintf("%s/%s", s->bottles_dir, name);
    struct sdir d = {fd, where};
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    TRY(sdir_read(&d, "manifest.yaml", STATE_MANIFEST_MAX, &text, &n));
    if (n == 0)
        return damaged(&d, "manifest.yaml", "the file is empty");
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
    AUTO_CLOSE fd = -1;
    TRY(open_record(s, name, &fd));
    AUTO_FREE char *where = xasprintf("%s/%s", s->bottles_dir, name);
    struct sdir d = {fd, where};
    if (text.n == 0 || text.n > STATE_MANIFEST_MAX)
        return err_new(ERR_INVALID, "a manifest of %zu bytes can't be kept: expected 1 to %d",
                       text.n, STATE_MANIFEST_MAX);
    return is_stored(&d, text) ? NULL : sdir_write(&d, "manifest.yaml", text);
}

/* ---- all records ---------------------------------------------------------------------------- */

struct err *state_list(struct state *s, struct str_list *ret)
{
    struct sdir b = bottles(s);
    AUTO(str_list_done) struct str_list names = {0}, kept = {0};
    TRY(sdir_names(&b, &names));
    for (size_t i = 0; i < names.len; i++)
        if (is_label(names.items[i]))
            str_list_add(&kept, names.items[i]);
    *ret = kept;
    kept = (struct str_list){0};
    return NULL;
}

struct err *state_remove(struct state *s, const char *name)
{
    struct sdir b = bottles(s);
    TRY(check_label("bottle", name));
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
