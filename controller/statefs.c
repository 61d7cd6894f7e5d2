/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/statefs.h"

#include "spec/base/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define TEMP_PREFIX ".tmp-"

enum { TEMP_RANDOM = 8, TEMP_NAME_MAX = 32 };

static enum err_kind kind_of(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EIO:
    case EROFS:
    case EMFILE:
    case ENFILE:
        return ERR_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case ELOOP:
        return ERR_DENIED;
    case ENOENT:
        return ERR_NOT_FOUND;
    case ENOTDIR:
    case ENAMETOOLONG:
        return ERR_INVALID;
    default:
        return ERR_INTERNAL;
    }
}

struct err *sdir_err(const struct sdir *d, const char *what, const char *name, int errnum)
{
    const char *why =
        errnum == ELOOP ? "a symlink, which is never followed here" : err_errno(errnum);
    if (!name)
        return err_new(kind_of(errnum), "%s '%s': %s", what, d->where, why);
    return err_new(kind_of(errnum), "%s '%s/%s': %s", what, d->where, name, why);
}

/* ---- directories ---------------------------------------------------------------------------- */

struct err *sdir_make_path(const char *path)
{
    AUTO_FREE char *copy = xstrdup(path);
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = '\0';
    for (char *p = copy + 1; n && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return err_new(kind_of(errno), "making directory '%s': %s", copy, err_errno(errno));
        *p = '/';
    }
    if (mkdir(copy, 0700) < 0 && errno != EEXIST)
        return err_new(kind_of(errno), "making directory '%s': %s", copy, err_errno(errno));
    return NULL;
}

struct err *sdir_make(const struct sdir *d, const char *name, bool or_existing)
{
    if (mkdirat(d->fd, name, 0700) < 0 && !(or_existing && errno == EEXIST))
        return sdir_err(d, "making directory", name, errno);
    return NULL;
}

struct err *sdir_open(const struct sdir *d, const char *name, int *ret_fd)
{
    int fd = openat(d->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return sdir_err(d, "opening directory", name, errno == ENOTDIR ? EACCES : errno);
    *ret_fd = fd;
    return NULL;
}

static void dir_freep(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct err *sdir_names(const struct sdir *d, struct str_list *ret)
{
    AUTO(str_list_done) struct str_list names = {0};
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sdir_err(d, "reading directory", NULL, errno);
    AUTO(dir_freep) DIR *dir = XNN(fdopendir(fd));
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e && errno)
            return sdir_err(d, "reading directory", NULL, errno);
        if (!e)
            break;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            str_list_add(&names, e->d_name);
    }
    if (names.len)
        qsort(names.items, names.len, sizeof(*names.items), by_name);
    *ret = names;
    names = (struct str_list){0};
    return NULL;
}

static struct err *sync_dir(const struct sdir *d)
{
    if (fsync(d->fd) < 0)
        return sdir_err(d, "saving directory", NULL, errno);
    return NULL;
}

/* ---- writing -------------------------------------------------------------------------------- */

static int write_all(int fd, struct sv bytes)
{
    for (size_t at = 0; at < bytes.n;) {
        ssize_t n = write(fd, bytes.p + at, bytes.n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        at += (size_t)n;
    }
    return 0;
}

static int temp_name(char ret[TEMP_NAME_MAX])
{
    uint8_t random[TEMP_RANDOM];
    char hex[TEMP_RANDOM * 2 + 1];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return errno ? errno : EIO;
    str_hex(random, sizeof(random), hex);
    (void)snprintf(ret, TEMP_NAME_MAX, TEMP_PREFIX "%s", hex);
    return 0;
}

static int write_temp(const struct sdir *d, const char *temp, struct sv bytes, bool sync)
{
    AUTO_CLOSE fd = openat(d->fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int errnum = write_all(fd, bytes);
    if (!errnum && sync && fsync(fd) < 0)
        errnum = errno;
    /* Some file systems only tell here that there was no space. */
    if (close(TAKE_FD(fd)) < 0 && !errnum && errno != EINTR)
        errnum = errno;
    return errnum;
}

static struct err *write_over(const struct sdir *d, const char *name, struct sv bytes, bool sync)
{
    char temp[TEMP_NAME_MAX];
    int errnum = temp_name(temp);
    if (errnum)
        return sdir_err(d, "writing", name, errnum);
    errnum = write_temp(d, temp, bytes, sync);
    if (!errnum && renameat(d->fd, temp, d->fd, name) < 0)
        errnum = errno;
    if (errnum) {
        (void)unlinkat(d->fd, temp, 0);
        return sdir_err(d, "writing", name, errnum);
    }
    return sync ? sync_dir(d) : NULL;
}

struct err *sdir_write(const struct sdir *d, const char *name, struct sv bytes)
{
    return write_over(d, name, bytes, true);
}

struct err *sdir_write_lazily(const struct sdir *d, const char *name, struct sv bytes)
{
    return write_over(d, name, bytes, false);
}

struct err *sdir_rename(const struct sdir *d, const char *from, const char *to)
{
    if (renameat(d->fd, from, d->fd, to) < 0)
        return sdir_err(d, "renaming", from, errno);
    return sync_dir(d);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int read_all(int fd, char *buf, size_t cap, size_t *ret_n)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read(fd, buf + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret_n = len;
    return 0;
}

struct err *sdir_read(const struct sdir *d, const char *name, size_t max, char **ret, size_t *ret_n)
{
    AUTO_CLOSE fd = openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return sdir_err(d, "reading", name, errno);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return sdir_err(d, "reading", name, errno);
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size > max)
        return err_new(ERR_INVALID, "'%s/%s' is damaged: expected a file of at most %zu bytes",
                       d->where, name, max);
    size_t cap = (size_t)st.st_size + 1, n = 0;
    AUTO_FREE char *buf = xmalloc(cap);
    int errnum = read_all(fd, buf, cap, &n);
    if (errnum || n == cap) {
        secret_wipe(buf, cap);
        return errnum ? sdir_err(d, "reading", name, errnum)
                      : err_new(ERR_CONFLICT, "'%s/%s' changed while it was read", d->where, name);
    }
    buf[n] = '\0';
    *ret = TAKE_PTR(buf);
    *ret_n = n;
    return NULL;
}

/* ---- removing ------------------------------------------------------------------------------- */

/* Best effort: a copying or journalling file system may keep old blocks whatever is done here. */
static void overwrite(int dirfd, const char *name)
{
    AUTO_CLOSE fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    static const char zeros[4096];
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = write(fd, zeros, left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros));
        if (n <= 0)
            return;
        left -= n;
    }
    (void)fsync(fd);
}

struct err *sdir_replace(const struct sdir *d, const char *from, const char *to)
{
    overwrite(d->fd, to);
    return sdir_rename(d, from, to);
}

struct err *sdir_remove(const struct sdir *d, const char *name)
{
    overwrite(d->fd, name);
    if (unlinkat(d->fd, name, 0) < 0 && errno != ENOENT)
        return sdir_err(d, "removing", name, errno);
    return sync_dir(d);
}

bool sdir_has(const struct sdir *d, const char *name)
{
    return faccessat(d->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

struct err *sdir_wipe(const struct sdir *d, const char *name)
{
    AUTO_CLOSE fd = -1;
    TRY(sdir_open(d, name, &fd));
    AUTO_FREE char *where = xasprintf("%s/%s", d->where, name);
    struct sdir sub = {fd, where};
    AUTO(str_list_done) struct str_list names = {0};
    TRY(sdir_names(&sub, &names));
    for (size_t i = 0; i < names.len; i++) {
        overwrite(fd, names.items[i]);
        if (unlinkat(fd, names.items[i], 0) < 0 && errno != ENOENT)
            return sdir_err(&sub, "removing", names.items[i], errno);
    }
    if (unlinkat(d->fd, name, AT_REMOVEDIR) < 0)
        return sdir_err(d, "removing", name, errno);
    return sync_dir(d);
}

struct err *sdir_sweep(const struct sdir *d)
{
    AUTO(str_list_done) struct str_list names = {0};
    TRY(sdir_names(d, &names));
    for (size_t i = 0; i < names.len; i++) {
        const char *name = names.items[i];
        if (strncmp(name, TEMP_PREFIX, sizeof(TEMP_PREFIX) - 1) != 0)
            continue;
        overwrite(d->fd, name);
        if (unlinkat(d->fd, name, 0) < 0 && errno != ENOENT)
            return sdir_err(d, "removing", name, errno);
    }
    return NULL;
}
