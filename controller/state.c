/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/state.h"

#include "controller/state_internal.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

static struct sdir top(const struct state *s)
{
    return (struct sdir){s->fd, s->dir};
}

struct sdir state_records(const struct state *s)
{
    return (struct sdir){s->bottles_fd, s->bottles_dir};
}

/* ---- forms ---------------------------------------------------------------------------------- */

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool state_is_label(const char *s)
{
    size_t n = strnlen(s, LABEL_MAX + 1);
    if (n < 1 || n > LABEL_MAX || !is_lower_alnum(s[0]) || !is_lower_alnum(s[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_lower_alnum(s[i]) && s[i] != '-')
            return false;
    return true;
}

struct err *state_check_label(const char *what, const char *name)
{
    if (state_is_label(name))
        return NULL;
    return err_new(ERR_INVALID,
                   "%s '%s' is not a name: expected lower-case letters, digits and '-'", what,
                   name);
}

bool state_is_uuid(const char *s)
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
struct err *state_new_uid(char **ret)
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

void state_chomp(char *s, size_t n)
{
    if (n && s[n - 1] == '\n')
        s[n - 1] = '\0';
}

struct err *state_damaged(const struct sdir *d, const char *name, const char *why)
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
    struct sdir t = top(s), b = state_records(s);
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
        AUTO_CLOSE fd = state_is_label(name)
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
    struct sdir b = state_records(s);
    if (s->bottles_fd >= 0)
        TRY(sdir_names(&b, &names));
    if (names.len == 0)
        return NULL;
    return err_new(
        ERR_INVALID,
        "%s, although bottles are recorded below it: restore the file, or remove the whole "
        "directory to start anew",
        err_message(e));
}

/* A file of the directory; NOT_FOUND too when there is no directory to peek into. */
static struct err *read_top(const struct state *s, const char *name, size_t max, char **ret,
                            size_t *ret_n)
{
    struct sdir d = top(s);
    if (s->fd < 0)
        return err_new(ERR_NOT_FOUND, "there is no '%s'", s->dir);
    return sdir_read(&d, name, max, ret, ret_n);
}

static struct err *write_top(const struct state *s, const char *name, struct sv bytes)
{
    struct sdir d = top(s);
    return s->peek ? NULL : sdir_write(&d, name, bytes);
}

static bool is_installation(const char *id)
{
    const char *dash = strrchr(id, '-');
    return dash && state_is_label(id) && strlen(dash + 1) == (size_t)ID_RANDOM * 2 &&
           str_is_hex(dash + 1, (size_t)ID_RANDOM * 2);
}

static struct err *load_installation(struct state *s, const char *instance)
{
    struct sdir d = top(s);
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    struct err *e = read_top(s, "installation", SMALL_MAX, &text, &n);
    if (e)
        TRY(missing(s, e));
    if (text) {
        state_chomp(text, n);
        if (!is_installation(text))
            return state_damaged(&d, "installation",
                                 "expected a name, '-' and 8 hexadecimal digits");
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
    TRY(write_top(s, "installation", sv_of(line)));
    s->installation = TAKE_PTR(id);
    return NULL;
}

static struct err *load_hash_key(struct state *s)
{
    struct sdir d = top(s);
    char *bytes = NULL;
    size_t n = 0;
    struct err *e = read_top(s, "hash.key", HASH_KEY_BYTES, &bytes, &n);
    if (e)
        TRY(missing(s, e));
    if (bytes) {
        bool whole = n == HASH_KEY_BYTES;
        if (whole)
            memcpy(s->hash_key, bytes, HASH_KEY_BYTES);
        secret_wipe(bytes, n);
        free(bytes);
        return whole ? NULL : state_damaged(&d, "hash.key", "expected 32 bytes");
    }
    TRY(random_bytes(s->hash_key, sizeof(s->hash_key)));
    return write_top(s, "hash.key", (struct sv){(const char *)s->hash_key, HASH_KEY_BYTES});
}

static void state_freep(struct state **s)
{
    *s = state_close(*s);
}

static struct err *new_state(const char *dir, const char *instance, struct state **ret)
{
    if (!*dir)
        return err_new(ERR_INVALID, "expected a state directory, got ''");
    TRY(state_check_label("instance", instance));
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    struct state *s = xcalloc(1, sizeof(*s));
    s->fd = s->bottles_fd = s->lock_fd = -1;
    s->ca_days = STATE_CA_DAYS;
    s->dir = xmemdup0(dir, n);
    s->bottles_dir = xasprintf("%s/bottles", s->dir);
    *ret = s;
    return NULL;
}

struct err *state_peek(const char *dir, const char *instance, struct state **ret)
{
    AUTO(state_freep) struct state *s = NULL;
    TRY(new_state(dir, instance, &s));
    assert(s);
    s->peek = true;
    s->fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct sdir d = top(s);
    if (s->fd < 0 && errno != ENOENT)
        return sdir_err(&d, "opening directory", NULL, errno);
    if (s->fd >= 0) {
        TRY(check_trust(s));
        struct err *none = sdir_open(&d, "bottles", &s->bottles_fd);
        err_ignore(none, "nothing is recorded yet");
    }
    TRY(load_installation(s, instance));
    TRY(load_hash_key(s));
    *ret = TAKE_PTR(s);
    return NULL;
}

struct err *state_open(const char *dir, const char *instance, struct state **ret)
{
    AUTO(state_freep) struct state *s = NULL;
    TRY(new_state(dir, instance, &s));
    assert(s);
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

void state_set_ca_days(struct state *s, unsigned days)
{
    s->ca_days = days;
}

const char *state_installation(const struct state *s)
{
    return s->installation;
}

const uint8_t *state_hash_key(const struct state *s)
{
    return s->hash_key;
}
