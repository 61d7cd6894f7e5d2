/* SPDX-License-Identifier: Apache-2.0 */
/* images build: the sidecars' images, from their build contexts, on the engine. */
#include "controller/cli.h"
#include "controller/engine.h"
#include "spec/base/xalloc.h"

#include <archive.h>
#include <archive_entry.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

struct build {
    sd_event *loop;
    struct engine *engine;
    const char *context;
    const char *tag;
    const char *base; /* NULL: the Dockerfile's own */
    char *problem;
    struct err *error;
};

/* One regular file of the context, under its path in it; links and special files have no business
 * there. */
static struct err *pack_entry(struct archive *in, struct archive *out, struct archive_entry *entry,
                              size_t skip)
{
    const char *path = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || strlen(path) <= skip)
        return NULL;
    AUTO_FREE char *inside = xstrdup(path + skip);
    archive_entry_copy_pathname(entry, inside);
    archive_entry_set_mtime(entry, 0, 0);
    int r = archive_write_header(out, entry);
    char chunk[16384];
    la_ssize_t n = 0;
    while (r == ARCHIVE_OK && (n = archive_read_data(in, chunk, sizeof(chunk))) > 0)
        r = archive_write_data(out, chunk, (size_t)n) == n ? ARCHIVE_OK : ARCHIVE_FATAL;
    if (n < 0)
        return err_new(ERR_UNAVAILABLE, "'%s': %s", inside, archive_error_string(in));
    return r == ARCHIVE_OK ? NULL
                           : err_new(ERR_INVALID, "'%s': the context is larger than 8 MiB", inside);
}

static struct err *pack_all(struct archive *in, struct archive *out, const char *dir)
{
    if (archive_read_disk_open(in, dir) != ARCHIVE_OK)
        return err_new(ERR_NOT_FOUND, "%s", archive_error_string(in));
    struct archive_entry *entry = XNN(archive_entry_new());
    struct err *e = NULL;
    int r = ARCHIVE_OK;
    while (!e && (r = archive_read_next_header2(in, entry)) == ARCHIVE_OK) {
        archive_read_disk_descend(in);
        e = pack_entry(in, out, entry, strlen(dir) + 1);
    }
    archive_entry_free(entry);
    if (!e && r != ARCHIVE_EOF)
        e = err_new(ERR_UNAVAILABLE, "%s", archive_error_string(in));
    return e;
}

static struct err *pack(const char *dir, char **ret, size_t *ret_n)
{
    enum { CONTEXT_MAX = 8 * 1024 * 1024 };
    AUTO_FREE char *dockerfile = xasprintf("%s/Dockerfile", dir);
    if (access(dockerfile, R_OK) != 0)
        return err_new(
            ERR_NOT_FOUND,
            "there is no '%s': --context DIR says where the sidecars' build contexts are",
            dockerfile);
    AUTO_FREE char *bytes = xmalloc(CONTEXT_MAX);
    size_t used = 0;
    struct archive *in = XNN(archive_read_disk_new());
    struct archive *out = XNN(archive_write_new());
    archive_write_set_format_ustar(out);
    archive_write_set_bytes_per_block(out, 0);
    struct err *e = NULL;
    if (archive_write_open_memory(out, bytes, CONTEXT_MAX, &used) != ARCHIVE_OK)
        e = err_new(ERR_INTERNAL, "%s", archive_error_string(out));
    if (!e)
        e = pack_all(in, out, dir);
    if (archive_write_close(out) != ARCHIVE_OK && !e)
        e = err_new(ERR_INVALID, "the context is larger than 8 MiB");
    archive_read_free(in);
    archive_write_free(out);
    if (e)
        return err_wrap(e, "build context '%s'", dir);
    *ret = TAKE_PTR(bytes);
    *ret_n = used;
    return NULL;
}

static bool on_line(void *ctx, int stream, struct sv line)
{
    struct build *b = ctx;
    (void)stream;
    json_t *v = json_loadb(line.p, line.n, 0, NULL);
    const char *text = json_string_value(json_object_get(v, "stream"));
    const char *error =
        json_string_value(json_object_get(json_object_get(v, "errorDetail"), "message"));
    if (text)
        (void)fputs(text, stderr);
    if (error) {
        free(b->problem);
        b->problem = xstrdup(error);
    }
    json_decref(v);
    return true;
}

static void on_built(void *ctx, const struct engine_response *r)
{
    struct build *b = ctx;
    b->error = engine_check(r, "building");
    if (!b->error && b->problem)
        b->error = err_new(ERR_UNAVAILABLE, "building: %s", b->problem);
    (void)sd_event_exit(b->loop, 0);
}

static void on_connected(void *ctx, const struct err *error, const struct engine_info *info)
{
    struct build *b = ctx;
    (void)info;
    char *tar = NULL;
    size_t n = 0;
    b->error =
        error ? err_new(err_kind(error), "%s", err_message(error)) : pack(b->context, &tar, &n);
    if (b->error) {
        (void)sd_event_exit(b->loop, 0);
        return;
    }
    struct str path;
    str_init(&path, 4096);
    str_add(&path, "/build?version=1&rm=1&forcerm=1&t=");
    str_add_url(&path, sv_of(b->tag), "");
    if (b->base) {
        str_add(&path, "&buildargs=");
        AUTO_FREE char *args = xasprintf("{\"BASE\":\"%s\"}", b->base);
        str_add_url(&path, sv_of(args), "");
    }
    struct engine_request q = {.method = "POST",
                               .path = path.p,
                               .body = {tar, n},
                               .content_type = "application/x-tar",
                               .lane = LANE_PULL};
    engine_stream(b->engine, &q, on_line, on_built, b);
    str_done(&path);
    free(tar);
}

/* Where `make install` puts them: PREFIX/bin/bottler belongs to PREFIX/share/bottler. */
static char *installed_contexts(void)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(exe, '/');
        if (slash)
            *slash = '\0';
    }
    return xasprintf("%s/share/bottler/sidecars", exe);
}

static struct err *build(const struct cli *cli, enum role role)
{
    struct build b = {.tag = cli->image[role] ? cli->image[role] : role_info(role)->image,
                      .base = cli->base};
    AUTO_FREE char *contexts = cli->context ? xstrdup(cli->context) : installed_contexts();
    AUTO_FREE char *context = xasprintf("%s/%s", contexts, role_info(role)->name);
    b.context = context;
    struct endpoint at = {0};
    TRY(endpoint_resolve(cli->engine, &at));
    struct err *e = NULL;
    if (sd_event_new(&b.loop) < 0)
        e = err_new(ERR_INTERNAL, "no event loop");
    if (!e)
        e = engine_new(b.loop, &at, &b.engine);
    endpoint_done(&at);
    if (!e) {
        engine_connect(b.engine, on_connected, &b);
        (void)sd_event_loop(b.loop);
        e = b.error;
    }
    engine_free(b.engine);
    sd_event_unref(b.loop);
    free(b.problem);
    if (!e)
        (void)fprintf(stderr, "built %s\n", b.tag);
    return e;
}

int verb_images(const struct cli *cli)
{
    if (cli->args.len != 1 || strcmp(cli->args.items[0], "build") != 0)
        return cli_fail(err_new(ERR_INVALID, "expected: images build"), EXIT_USAGE);
    struct err *e = build(cli, ROLE_EGRESS);
    return e ? cli_fail(e, EXIT_DIFFERS) : EXIT_OK;
}
