/* SPDX-License-Identifier: Apache-2.0 */
#include "render/files.h"

#include "spec/base/xalloc.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

/* Sizes of the format, for a buffer that never has to grow (growing would leave copies of secrets
 * in freed memory). */
enum {
    TAR_BLOCK = 512,
    TAR_ENTRY = 5 * TAR_BLOCK, /* header; extended header, its records, and slack */
    TAR_END = 2 * TAR_BLOCK,   /* two zero blocks end an archive */
    TAR_READ_CHUNK = 65536,
};

static size_t round_up(size_t n)
{
    return (n + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

/* An upper bound of the archive's size. */
static size_t bound(const struct file_list *files)
{
    size_t total = TAR_END;
    for (size_t i = 0; i < files->len; i++) {
        const struct file_item *f = &files->items[i];
        total += TAR_ENTRY + 3 * round_up(strlen(f->path)) + round_up(f->n);
    }
    return total;
}

/* Paths are bytes to us and to the engine. Saying so costs a record in every entry, and keeps the
 * writer from recoding the names by a locale; only lists that need it pay. */
static bool all_ascii(const struct file_list *files)
{
    for (size_t i = 0; i < files->len; i++) {
        for (const char *p = files->items[i].path; *p; p++) {
            if ((unsigned char)*p >= 0x80)
                return false;
        }
    }
    return true;
}

static void writer_done(struct archive **a)
{
    archive_write_free(*a);
}

static void reader_done(struct archive **a)
{
    archive_read_free(*a);
}

static void entry_done(struct archive_entry **e)
{
    archive_entry_free(*e);
}

static struct err *failed(struct archive *a, enum err_kind kind, const char *what)
{
    const char *why = archive_error_string(a);
    return err_new(kind, "%s: %s", what, why ? why : "unknown error");
}

static struct err *write_item(struct archive *a, const struct file_item *f)
{
    AUTO(entry_done) struct archive_entry *e = XNN(archive_entry_new());
    /* Relative to "/"; the writer adds the slash at the end of a directory's name. */
    archive_entry_set_pathname(e, f->path + 1);
    archive_entry_set_filetype(e, f->dir ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(e, f->mode);
    archive_entry_set_uid(e, f->uid);
    archive_entry_set_gid(e, f->gid);
    archive_entry_set_mtime(e, 0, 0);
    archive_entry_set_size(e, f->dir ? 0 : (int64_t)f->n);
    if (archive_write_header(a, e) != ARCHIVE_OK)
        return failed(a, ERR_INTERNAL, "writing an archive");
    if (f->n && archive_write_data(a, f->data, f->n) != (la_ssize_t)f->n)
        return failed(a, ERR_INTERNAL, "writing an archive");
    return NULL;
}

static struct err *write_all(const struct file_list *files, bool hot_only, char *buf, size_t cap,
                             size_t *ret_n)
{
    AUTO(writer_done) struct archive *a = XNN(archive_write_new());
    /* No blocking: the bytes go straight to `buf`, no other copy of them stays in memory. */
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
        archive_write_add_filter_none(a) != ARCHIVE_OK ||
        (!all_ascii(files) &&
         archive_write_set_options(a, "pax:hdrcharset=BINARY") != ARCHIVE_OK) ||
        archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
        archive_write_open_memory(a, buf, cap, ret_n) != ARCHIVE_OK)
        return failed(a, ERR_INTERNAL, "writing an archive");
    for (size_t i = 0; i < files->len; i++) {
        if (!hot_only || files->items[i].hot)
            TRY(write_item(a, &files->items[i]));
    }
    if (archive_write_close(a) != ARCHIVE_OK)
        return failed(a, ERR_INTERNAL, "writing an archive");
    return NULL;
}

struct err *tar_write(const struct file_list *files, bool hot_only, char **ret, size_t *ret_n)
{
    size_t cap = bound(files);
    char *buf = xmalloc(cap + 1);
    size_t n = 0;
    struct err *e = write_all(files, hot_only, buf, cap, &n);
    if (e) {
        secret_wipe(buf, cap);
        free(buf);
        return e;
    }
    buf[n] = '\0';
    *ret = buf;
    *ret_n = n;
    return NULL;
}

static struct err *read_data(struct archive *a, size_t max, struct str *out)
{
    AUTO_FREE char *chunk = xmalloc(TAR_READ_CHUNK);
    for (;;) {
        la_ssize_t n = archive_read_data(a, chunk, TAR_READ_CHUNK);
        if (n < 0)
            return failed(a, ERR_INVALID, "reading an archive");
        if (n == 0)
            return NULL;
        str_addn(out, chunk, (size_t)n);
        if (str_failed(out))
            return err_new(ERR_INVALID, "the file in the archive is over %zu bytes", max);
    }
}

static void str_freep(struct str *s)
{
    str_done(s);
}

struct err *tar_read_first(struct sv archive, size_t max, char **ret, size_t *ret_n)
{
    AUTO(reader_done) struct archive *a = XNN(archive_read_new());
    if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_support_filter_none(a) != ARCHIVE_OK)
        return failed(a, ERR_INTERNAL, "reading an archive");
    if (archive_read_open_memory(a, archive.p, archive.n) != ARCHIVE_OK)
        return failed(a, ERR_INVALID, "reading an archive");
    for (;;) {
        struct archive_entry *e = NULL;
        int rc = archive_read_next_header(a, &e);
        if (rc == ARCHIVE_EOF)
            return err_new(ERR_NOT_FOUND, "the archive holds no file");
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return failed(a, ERR_INVALID, "reading an archive");
        if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
            continue;
        AUTO(str_freep) struct str out;
        str_init(&out, max);
        TRY(read_data(a, max, &out));
        *ret_n = out.len;
        *ret = str_take(&out);
        return NULL;
    }
}
