/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/secrets.h"

#include "controller/tree.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PROBLEMS_MAX_BYTES = 64 * 1024 };

/* What a lookup of one name came to, from good to bad. */
enum outcome {
    FOUND,
    ABSENT,     /* not in this place */
    EMPTY,      /* there, without a value */
    UNUSABLE,   /* there, and refused */
    UNREADABLE, /* nobody knows */
};

/* A directory of secrets. */
struct place {
    const char *dir;
    const char *what; /* for messages */
    int fd;           /* -1: could not be opened */
    int errnum;
    mode_t dir_mode;
    bool group_reads; /* see the header */
};

struct lookup {
    char *value; /* FOUND */
    size_t n;
    char *why; /* EMPTY, UNUSABLE, UNREADABLE */
};

bool secret_name_ok(const char *name)
{
    size_t n = strnlen(name, SECRET_NAME_MAX + 1);
    if (n < 1 || n > SECRET_NAME_MAX || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

static void lookup_done(struct lookup *l)
{
    secret_wipe(l->value, l->n);
    free(l->value);
    free(l->why);
    *l = (struct lookup){0};
}

static void place_done(struct place *p)
{
    if (p->fd >= 0)
        (void)close(p->fd);
}

static void place_open(struct place *p)
{
    struct stat st;
    p->fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->fd < 0 || fstat(p->fd, &st) < 0)
        p->errnum = errno;
    else
        p->dir_mode = st.st_mode;
}

/* ---- values --------------------------------------------------------------------------------- */

/* Checks `n` bytes, which the lookup owns from here on. */
static enum outcome take_value(struct lookup *l, char *bytes_take, size_t n, const char *from)
{
    l->value = bytes_take;
    l->n = n;
    /* The byte after the last one is ours: see read_value() and from_env(). */
    if (n && bytes_take[n - 1] == '\n')
        n--;
    bytes_take[n] = '\0';
    if (n == 0) {
        l->why = xasprintf("is empty in %s", from);
        return EMPTY;
    }
    if (memchr(bytes_take, '\0', n)) {
        l->why = xasprintf("holds a NUL byte in %s", from);
        return UNUSABLE;
    }
    if (memchr(bytes_take, '\n', n) || memchr(bytes_take, '\r', n)) {
        l->why = xasprintf("holds more than one line, or a carriage return, in %s", from);
        return UNUSABLE;
    }
    l->n = n;
    return FOUND;
}

static enum outcome read_value(int fd, const char *from, struct lookup *l)
{
    size_t cap = SECRET_MAX_BYTES + 1, n = 0;
    char *buf = xmalloc(cap + 1);
    int errnum = 0;
    while (n < cap) {
        ssize_t got = read(fd, buf + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            errnum = errno;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    char *exact = !errnum && n < cap ? xmemdup0(buf, n) : NULL;
    secret_wipe(buf, n);
    free(buf);
    if (exact)
        return take_value(l, exact, n, from);
    l->why = errnum ? xasprintf("can't be read in %s: %s", from, err_errno(errnum))
                    : xasprintf("is larger than %d KiB in %s", SECRET_MAX_BYTES / 1024, from);
    return errnum ? UNREADABLE : UNUSABLE;
}

/* ---- places --------------------------------------------------------------------------------- */

/* NULL when nobody else can read or write the file. */
static const char *file_problem(const struct place *p, const struct stat *st)
{
    mode_t closed = p->group_reads ? 027 : 077;
    if (!S_ISREG(st->st_mode))
        return "is not a regular file";
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return "belongs to another user";
    if ((st->st_mode & closed) == 0)
        return NULL;
    if ((p->dir_mode & closed) == 0 && (st->st_mode & 022) == 0)
        return NULL;
    return "can be read or written by others (expected mode 0600 or 0400)";
}

static enum outcome from_place(const struct place *p, const char *name, struct lookup *l)
{
    AUTO_FREE char *from = xasprintf("%s '%s'", p->what, p->dir);
    if (p->errnum) {
        l->why = xasprintf("can't be looked up: %s: %s", from, err_errno(p->errnum));
        return UNREADABLE;
    }
    AUTO_CLOSE path = tree_open_inside(p->fd, name);
    if (path < 0 && errno == ENOENT)
        return ABSENT;
    if (path < 0) {
        bool outside = errno == EXDEV;
        l->why = xasprintf("can't be read in %s: %s", from,
                           outside ? "a symlink that leaves the directory" : err_errno(errno));
        return outside ? UNUSABLE : UNREADABLE;
    }
    struct stat st = {0};
    const char *why = fstat(path, &st) < 0 ? err_errno(errno) : file_problem(p, &st);
    if (why) {
        l->why = xasprintf("%s in %s", why, from);
        return UNUSABLE;
    }
    AUTO_CLOSE fd = tree_reopen(path);
    if (fd < 0) {
        l->why = xasprintf("can't be read in %s: %s", from, err_errno(errno));
        return UNREADABLE;
    }
    return read_value(fd, from, l);
}

static enum outcome from_env(const char *name, struct lookup *l)
{
    const char *value = getenv(name);
    if (!value)
        return ABSENT;
    size_t n = strnlen(value, SECRET_MAX_BYTES + 1);
    if (n > SECRET_MAX_BYTES) {
        l->why = xasprintf("is larger than %d KiB in the environment", SECRET_MAX_BYTES / 1024);
        return UNUSABLE;
    }
    return take_value(l, xmemdup0(value, n), n, "the environment");
}

static char *absent_from(const struct place *places, size_t n)
{
    struct str s;
    str_init(&s, PROBLEMS_MAX_BYTES);
    str_add(&s, n ? "is neither in " : "is not in ");
    for (size_t i = 0; i < n; i++)
        str_addf(&s, "%s '%s' nor in ", places[i].what, places[i].dir);
    str_add(&s, "the environment");
    return XNN(str_take(&s));
}

static enum outcome look_up(const struct place *places, size_t n, const char *name,
                            struct lookup *l)
{
    if (!secret_name_ok(name)) {
        l->why = xstrdup("is not a name: expected letters, digits and '_'");
        return UNUSABLE;
    }
    for (size_t i = 0; i < n; i++) {
        enum outcome o = from_place(&places[i], name, l);
        if (o != ABSENT)
            return o;
    }
    enum outcome o = from_env(name, l);
    if (o == ABSENT)
        l->why = absent_from(places, n);
    return o;
}

/* ---- the set -------------------------------------------------------------------------------- */

void secret_set_done(struct secret_set *s)
{
    for (size_t i = 0; i < s->len; i++) {
        free(s->owned[2 * i]);
        secret_wipe(s->owned[2 * i + 1], s->items[i].value.n);
        free(s->owned[2 * i + 1]);
    }
    free(s->owned);
    free(s->items);
    *s = (struct secret_set){0};
}

static void add_secret(struct secret_set *s, const char *name, struct lookup *l_take)
{
    char *own_name = xstrdup(name);
    s->owned[2 * s->len] = own_name;
    s->owned[2 * s->len + 1] = l_take->value;
    s->items[s->len++] =
        (struct render_secret){.name = own_name, .value = {l_take->value, l_take->n}};
    l_take->value = NULL;
    l_take->n = 0;
}

static enum err_kind kind_of(enum outcome worst)
{
    switch (worst) {
    case UNREADABLE:
        return ERR_UNAVAILABLE;
    case UNUSABLE:
        return ERR_INVALID;
    case FOUND:
    case ABSENT:
    case EMPTY:
        break;
    }
    return ERR_NOT_FOUND;
}

static struct err *resolve(const struct place *places, size_t n, const struct str_list *refs,
                           struct secret_set *s)
{
    AUTO(str_done) struct str problems;
    str_init(&problems, PROBLEMS_MAX_BYTES);
    enum outcome worst = FOUND;
    s->items = xcalloc(refs->len, sizeof(*s->items));
    s->owned = xcalloc(refs->len * 2, sizeof(*s->owned));
    for (size_t i = 0; i < refs->len; i++) {
        AUTO(lookup_done) struct lookup l = {0};
        enum outcome o = look_up(places, n, refs->items[i], &l);
        if (o == FOUND) {
            add_secret(s, refs->items[i], &l);
            continue;
        }
        if (o > worst)
            worst = o;
        str_addf(&problems, "%s'%s' %s", problems.len ? "; " : "", refs->items[i], l.why);
    }
    if (worst == FOUND)
        return NULL;
    return err_new(kind_of(worst), "secrets: %s", problems.p);
}

struct err *secrets_resolve(const char *dir, const struct str_list *refs, struct secret_set *ret)
{
    AUTO(secret_set_done) struct secret_set s = {0};
    AUTO(place_done) struct place first = {.fd = -1};
    AUTO(place_done) struct place second = {.fd = -1};
    struct place places[2]; /* borrowed copies */
    size_t n = 0;
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (dir) {
        first = (struct place){.dir = dir, .what = "the secrets directory", .fd = -1};
        place_open(&first);
        places[n++] = first;
    }
    if (credentials && *credentials) {
        second = (struct place){
            .dir = credentials, .what = "$CREDENTIALS_DIRECTORY", .fd = -1, .group_reads = true};
        place_open(&second);
        places[n++] = second;
    }
    TRY(resolve(places, n, refs, &s));
    *ret = s;
    s = (struct secret_set){0};
    return NULL;
}
