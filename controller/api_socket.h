/* SPDX-License-Identifier: Apache-2.0 */
/* The Unix socket of the status API: making it, and who may use it. */
#ifndef BOTTLER_CONTROLLER_API_SOCKET_H
#define BOTTLER_CONTROLLER_API_SOCKET_H

#include "spec/base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* A listening, non-blocking socket at `path`, mode 0660. A stale one is replaced. */
struct err *api_socket_listen(const char *path, int *ret_fd) ERR_NODISCARD;
/* Removes the file at `path` if it is still the socket `fd`. */
void api_socket_remove(const char *path, dev_t dev, ino_t ino);

/* Root, our own user, and members of the group of the socket file `path`. *ret_uid is whose the
 * other end is, when that may ask. */
bool api_socket_peer_ok(int fd, const char *path, uid_t *ret_uid);

#endif
