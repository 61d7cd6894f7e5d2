/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/api_socket.h"

#include "spec/base/xalloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { BACKLOG = 64, GROUPS_MAX = 65536 };

static struct err *address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(ret->sun_path))
        return err_new(ERR_INVALID, "socket path '%s' has %zu bytes, expected 1 to %zu", path, n,
                       sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, n + 1);
    return NULL;
}

static struct err *socket_err(const char *what, const char *path, int errnum)
{
    enum err_kind kind = errnum == EACCES || errnum == EPERM || errnum == EROFS ? ERR_DENIED
                         : errnum == ENOSPC                                     ? ERR_UNAVAILABLE
                         : errnum == EADDRINUSE                                 ? ERR_CONFLICT
                                                                                : ERR_INTERNAL;
    return err_new(kind, "%s '%s': %s", what, path, err_errno(errnum));
}

static struct err *make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return NULL;
    AUTO_FREE char *dir = xmemdup0(path, (size_t)(slash - path));
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return socket_err("making directory", dir, errno);
    return NULL;
}

/* Only a socket that nobody listens on is taken away. */
static struct err *clear_stale(const char *path, const struct sockaddr_un *sa)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? NULL : socket_err("looking at socket", path, errno);
    if (!S_ISSOCK(st.st_mode))
        return err_new(ERR_CONFLICT, "'%s' exists and is not a socket", path);
    AUTO_CLOSE fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_err("asking at socket", path, errno);
    /* A full backlog (EAGAIN) is somebody, too. */
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
        return err_new(ERR_CONFLICT, "another controller answers at '%s'", path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return socket_err("asking at socket", path, errno);
    if (unlink(path) < 0 && errno != ENOENT)
        return socket_err("removing stale socket", path, errno);
    return NULL;
}

struct err *api_socket_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un sa;
    TRY(address(path, &sa));
    TRY(make_parent(path));
    TRY(clear_stale(path, &sa));
    AUTO_CLOSE fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_err("making socket", path, errno);
    /* The mode is right from the first moment on; the process has one thread. */
    mode_t mask = umask(0117);
    int r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
    int errnum = errno;
    (void)umask(mask);
    if (r < 0)
        return socket_err("binding socket", path, errnum);
    if (listen(fd, BACKLOG) < 0)
        return socket_err("listening at", path, errno);
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

void api_socket_remove(const char *path, dev_t dev, ino_t ino)
{
    struct stat st;
    if (lstat(path, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
        (void)unlink(path);
}

static bool in_groups(int fd, gid_t gid)
{
    gid_t small[64];
    AUTO_FREE gid_t *large = NULL;
    const gid_t *groups = small;
    socklen_t size = sizeof(small);
    int r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, small, &size);
    if (r < 0 && errno == ERANGE && size <= GROUPS_MAX * sizeof(gid_t)) {
        large = xmalloc(size);
        groups = large;
        r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, large, &size);
    }
    if (r < 0)
        return false;
    for (size_t i = 0; i < size / sizeof(gid_t); i++)
        if (groups[i] == gid)
            return true;
    return false;
}

bool api_socket_peer_ok(int fd, const char *path, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    struct stat st;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    *ret_uid = peer.uid;
    if (peer.uid == 0 || peer.uid == geteuid())
        return true;
    /* The file may be gone or somebody else's by now: then there is no group. */
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return false;
    return peer.gid == st.st_gid || in_groups(fd, st.st_gid);
}
