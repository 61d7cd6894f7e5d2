/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entrypoint of an agent with secrets in its environment: puts those of /etc/bottler/env there
 * and becomes the program that its arguments name. So the engine's own record of the container,
 * which others may inspect, holds none of them. Linked statically: it runs in an image without a
 * shell or a C library.
 *
 * The file holds records NAME=VALUE, each ended by a NUL. Exit status as a shell's: 127 there is no
 * such program, 126 it can't be run; and 125 for a failure of the launcher's own. No message holds
 * a byte of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_FILE "/etc/bottler/env"
#define SAYS "bottler launch: "

enum {
    ENV_MAX_BYTES = 1 << 20,
    STATUS_OWN_FAILURE = 125,
    STATUS_NOT_RUNNABLE = 126,
    STATUS_NOT_FOUND = 127,
};

/* At most cap bytes into buf; a failure is said. */
static int read_all(int fd, char *buf, size_t cap, size_t *ret_n)
{
    size_t n = 0;
    while (n < cap) {
        ssize_t got = read(fd, buf + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            dprintf(STDERR_FILENO, SAYS "%s: %s\n", ENV_FILE, strerrordesc_np(errno));
            return -1;
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return 0;
}

/* The file's bytes go into buf, of one byte more than they may be. */
static int read_file(char *buf, size_t *ret_n)
{
    int fd = open(ENV_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        dprintf(STDERR_FILENO, SAYS "%s: %s\n", ENV_FILE, strerrordesc_np(errno));
        return -1;
    }
    int rc = read_all(fd, buf, ENV_MAX_BYTES + 1, ret_n);
    (void)close(fd);
    if (rc == 0 && *ret_n > ENV_MAX_BYTES) {
        dprintf(STDERR_FILENO, SAYS "%s: over %d bytes\n", ENV_FILE, ENV_MAX_BYTES);
        return -1;
    }
    return rc;
}

/* The environment then points into buf: no second copy of a secret is made. */
static int set_environment(char *buf, size_t n)
{
    size_t record = 1;
    for (char *at = buf; at < buf + n; record++) {
        char *end = memchr(at, '\0', (size_t)(buf + n - at));
        const char *equals = end ? strchr(at, '=') : NULL;
        if (!equals || equals == at) {
            dprintf(STDERR_FILENO, SAYS "%s: record %zu isn't NAME=VALUE and a NUL\n", ENV_FILE,
                    record);
            return -1;
        }
        if (putenv(at) != 0) {
            dprintf(STDERR_FILENO, SAYS "the environment: %s\n", strerrordesc_np(errno));
            return -1;
        }
        at = end + 1;
    }
    return 0;
}

/* Only comes back when it failed; then the exit status. */
static int become(char *const *command)
{
    (void)execvp(command[0], command);
    int why = errno;
    int status = why == ENOENT || why == ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE;
    dprintf(STDERR_FILENO, SAYS "'%s': %s\n", command[0], strerrordesc_np(why));
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        dprintf(STDERR_FILENO, SAYS "expected a command to run\n");
        return STATUS_OWN_FAILURE;
    }
    /* Not freed: the environment points into it until the program is another one. */
    char *buf = calloc(1, ENV_MAX_BYTES + 1);
    if (!buf) {
        dprintf(STDERR_FILENO, SAYS "%s\n", strerrordesc_np(errno));
        return STATUS_OWN_FAILURE;
    }
    int status = STATUS_OWN_FAILURE;
    size_t n = 0;
    if (read_file(buf, &n) == 0 && set_environment(buf, n) == 0)
        status = become(argv + 1);
    explicit_bzero(buf, ENV_MAX_BYTES + 1);
    return status;
}
