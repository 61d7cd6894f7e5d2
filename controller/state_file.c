/* SPDX-License-Identifier: Apache-2.0 */
/* Small texts that concern the installation as a whole. */
#include "controller/state_internal.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <unistd.h>

static const char *file_of(enum state_file n)
{
    static const char *const names[] = {
        [STATE_FILE_ROOTS] = "roots.json", [STATE_FILE_FORGOTTEN] = "forgotten.json"};
    return names[n];
}

struct err *state_load_file(const struct state *s, enum state_file n, char **ret)
{
    struct sdir d = {s->fd, s->dir};
    size_t len = 0;
    *ret = NULL;
    if (s->fd < 0)
        return NULL;
    AUTO_ERR e = sdir_read(&d, file_of(n), STATE_FILE_MAX, ret, &len);
    return e && err_kind(e) != ERR_NOT_FOUND ? TAKE_PTR(e) : NULL;
}

struct err *state_store_file(const struct state *s, enum state_file n, struct sv text)
{
    struct sdir d = {s->fd, s->dir};
    if (text.n)
        return sdir_write(&d, file_of(n), text);
    if (unlinkat(s->fd, file_of(n), 0) < 0 && errno != ENOENT)
        return sdir_err(&d, "removing", file_of(n), errno);
    return NULL;
}
