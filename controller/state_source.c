/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of manifest files: a file each, named by the hash of its path, with the hash of what
 * follows as its first line, then the path, then the bytes. */
#include "controller/log.h"
#include "controller/state_internal.h"
#include "render/hash.h"
#include "spec/base/xalloc.h"
#include "spec/manifest.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define SOURCES "sources"
enum { SOURCE_MAX = HASH_HEX + 1 + PATH_MAX * 4 + 1 + MANIFEST_MAX_BYTES };

/* NOT_FOUND when nothing was ever kept. */
static struct err *open_sources(const struct state *s, int *ret_fd)
{
    struct sdir top = {s->fd, s->dir};
    if (s->fd < 0)
        return err_new(ERR_NOT_FOUND, "there is no '%s'", s->dir);
    return sdir_open(&top, SOURCES, ret_fd);
}

struct err *state_store_source(struct state *s, const char *path, struct sv bytes)
{
    AUTO_CLOSE fd = -1;
    struct sdir top = {s->fd, s->dir};
    TRY(sdir_make(&top, SOURCES, true));
    TRY(open_sources(s, &fd));
    AUTO_FREE char *where = xasprintf("%s/" SOURCES, s->dir);
    char name[HASH_HEX + 1], sum[HASH_HEX + 1];
    struct str body;
    hash_hex(sv_of(path), name);
    str_init(&body, SOURCE_MAX);
    str_addf(&body, "%s\n", path);
    str_addn(&body, bytes.p, bytes.n);
    if (str_failed(&body)) {
        str_done(&body);
        return err_new(ERR_INVALID, "'%s' is too large to be kept", path);
    }
    hash_hex((struct sv){body.p, body.len}, sum);
    struct str whole;
    str_init(&whole, SOURCE_MAX + HASH_HEX + 1);
    str_addf(&whole, "%s\n", sum);
    str_addn(&whole, body.p, body.len);
    str_done(&body);
    struct err *e =
        sdir_write_lazily(&(struct sdir){fd, where}, name, (struct sv){whole.p, whole.len});
    str_done(&whole);
    return e;
}

struct err *state_drop_source(struct state *s, const char *path)
{
    AUTO_CLOSE fd = -1;
    char name[HASH_HEX + 1];
    hash_hex(sv_of(path), name);
    struct err *e = open_sources(s, &fd);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "nothing was kept");
        return NULL;
    }
    TRY(e);
    AUTO_FREE char *where = xasprintf("%s/" SOURCES, s->dir);
    if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
        return sdir_err(&(struct sdir){fd, where}, "removing", name, errno);
    return NULL;
}

/* False: it isn't what was written. */
static bool split(char *text, size_t n, char **ret_path, struct sv *ret_bytes)
{
    char sum[HASH_HEX + 1];
    if (n <= HASH_HEX || text[HASH_HEX] != '\n')
        return false;
    char *body = text + HASH_HEX + 1;
    size_t body_n = n - HASH_HEX - 1;
    hash_hex((struct sv){body, body_n}, sum);
    char *end = memchr(body, '\n', body_n);
    if (memcmp(sum, text, HASH_HEX) != 0 || !end)
        return false;
    *end = '\0';
    *ret_path = body;
    *ret_bytes = (struct sv){end + 1, body_n - (size_t)(end + 1 - body)};
    return true;
}

struct err *state_load_sources(struct state *s, state_source_fn *each, void *ctx)
{
    AUTO_CLOSE fd = -1;
    struct err *e = open_sources(s, &fd);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err_ignore(e, "nothing was kept");
        return NULL;
    }
    TRY(e);
    AUTO_FREE char *where = xasprintf("%s/" SOURCES, s->dir);
    struct sdir d = {fd, where};
    if (!s->peek)
        TRY(sdir_sweep(&d));
    AUTO(str_list_done) struct str_list names = {0};
    TRY(sdir_names(&d, &names));
    for (size_t i = 0; i < names.len; i++) {
        AUTO_FREE char *text = NULL;
        size_t n = 0;
        char *path = NULL;
        struct sv bytes = {0};
        AUTO_ERR fault = sdir_read(&d, names.items[i], SOURCE_MAX + HASH_HEX + 1, &text, &n);
        if (!fault && split(text, n, &path, &bytes))
            each(ctx, path, bytes);
        else if (!s->peek && unlinkat(fd, names.items[i], 0) < 0)
            log_at(LOG_WARN, "'%s/%s' is damaged and can't be removed: %s, ignoring", where,
                   names.items[i], err_errno(errno));
    }
    return NULL;
}
