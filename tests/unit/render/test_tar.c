/* SPDX-License-Identifier: Apache-2.0 */
/* The archives, read back by libarchive and by tar(1). */
#include "fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/wait.h>

static const char LONG_PATH[] =
    "/home/agent/a-directory-with-a-rather-long-name/another-directory-with-a-rather-long-name/"
    "a-third-directory-with-a-rather-long-name/a-file-whose-whole-path-is-over-one-hundred-and-"
    "fifty-five-and-one-hundred-bytes-so-that-no-old-header-can-hold-it/"
    "and-then-some-more-so-that-it-is-beyond-every-limit-of-the-old-format.txt";

static void make_ascii_list(struct file_list *l)
{
    *l = (struct file_list){0};
    file_list_add_dir(l, "/etc/bottler", 0, 0, 0755);
    file_list_add_hot(l, "/etc/bottler/routes.yaml", 0, 10001, 0440, sv_of("routes: []\n"));
    file_list_add_dir(l, "/etc/bottler/tokens", 10001, 10001, 0500);
    file_list_add_hot(l, "/etc/bottler/tokens/EGRESS_TOKEN_0", 10001, 10001, 0400, sv_of("secret"));
    file_list_add(l, "/etc/bottler/binary", 1, 4294967294u, 04755, (struct sv){"a\0b\n", 4});
    file_list_add(l, "/empty", 65534, 65534, 0, (struct sv){NULL, 0});
    file_list_add(l, LONG_PATH, 1000, 1000, 0644, sv_of("long"));
}

static void make_list(struct file_list *l)
{
    make_ascii_list(l);
    file_list_add(l, "/home/agent/na\xc3\xafve.txt", 1000, 1000, 0600, sv_of("utf-8"));
}

static void check_entry(struct archive *a, struct archive_entry *e, const struct file_item *f)
{
    char *want = xasprintf("%s%s", f->path + 1, f->dir ? "/" : "");
    assert_string_equal(archive_entry_pathname(e), want);
    free(want);
    assert_int_equal(archive_entry_filetype(e), f->dir ? AE_IFDIR : AE_IFREG);
    assert_int_equal(archive_entry_perm(e), f->mode);
    assert_int_equal(archive_entry_uid(e), f->uid);
    assert_int_equal(archive_entry_gid(e), f->gid);
    assert_int_equal(archive_entry_mtime(e), 0);
    const char *uname = archive_entry_uname(e);
    const char *gname = archive_entry_gname(e);
    assert_true(!uname || !uname[0]);
    assert_true(!gname || !gname[0]);
    char buf[64];
    assert_int_equal(archive_read_data(a, buf, sizeof(buf)), f->n);
    assert_memory_equal(buf, f->n ? f->data : "", f->n);
}

static void round_trip(bool hot_only)
{
    struct file_list l;
    make_list(&l);
    char *tar = NULL;
    size_t n = 0;
    fx_ok(tar_write(&l, hot_only, &tar, &n));
    assert_int_equal(n % 512, 0);
    struct archive *a = archive_read_new();
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, tar, n), ARCHIVE_OK);
    size_t seen = 0;
    for (size_t i = 0; i < l.len; i++) {
        if (hot_only && !l.items[i].hot)
            continue;
        struct archive_entry *e = NULL;
        assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
        check_entry(a, e, &l.items[i]);
        seen++;
    }
    struct archive_entry *e = NULL;
    assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_EOF);
    assert_int_equal(seen, hot_only ? 2 : 8);
    archive_read_free(a);
    free(tar);
    file_list_done(&l);
}

static void everything_comes_back(void **state)
{
    (void)state;
    round_trip(false);
}

static void hot_only_leaves_out_what_is_cold(void **state)
{
    (void)state;
    round_trip(true);
}

static void the_same_list_gives_the_same_bytes(void **state)
{
    (void)state;
    struct file_list l;
    make_list(&l);
    char *one = NULL;
    char *two = NULL;
    size_t n1 = 0;
    size_t n2 = 0;
    fx_ok(tar_write(&l, false, &one, &n1));
    fx_ok(tar_write(&l, false, &two, &n2));
    assert_int_equal(n1, n2);
    assert_memory_equal(one, two, n1);
    free(one);
    free(two);
    file_list_done(&l);
}

static void an_empty_list_is_an_empty_archive(void **state)
{
    (void)state;
    struct file_list l = {0};
    char *tar = NULL;
    size_t n = 0;
    fx_ok(tar_write(&l, false, &tar, &n));
    assert_int_equal(n, 1024);
    char *data = NULL;
    size_t data_n = 0;
    fx_refused(tar_read_first((struct sv){tar, n}, 10, &data, &data_n), ERR_NOT_FOUND,
               "holds no file");
    free(tar);
}

/* Runs tar(1) over the archive and returns what it prints. */
static char *tar_list(const char *tar, size_t n)
{
    int in[2];
    int out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        setenv("TZ", "UTC", 1);
        setenv("LC_ALL", "C", 1);
        execlp("tar", "tar", "--numeric-owner", "-tvf", "-", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    /* A pipe holds 64 KiB, these archives are smaller. */
    assert_int_equal(write(in[1], tar, n), n);
    close(in[1]);
    struct str text;
    str_init(&text, 65536);
    char buf[4096];
    for (ssize_t got; (got = read(out[0], buf, sizeof(buf))) > 0;)
        str_addn(&text, buf, (size_t)got);
    close(out[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return str_take(&text);
}

static void tar_reads_it(void **state)
{
    (void)state;
    struct file_list l;
    make_ascii_list(&l);
    char *tar = NULL;
    size_t n = 0;
    fx_ok(tar_write(&l, false, &tar, &n));
    char *text = tar_list(tar, n);
    /* The widths of columns are tar's: compare words. */
    static const char *const WANT[] = {
        "drwxr-xr-x 0/0 ",           " 1970-01-01 00:00 etc/bottler/\n",
        "-r--r----- 0/10001 ",       " etc/bottler/routes.yaml\n",
        "dr-x------ 10001/10001 ",   "-r-------- 10001/10001 ",
        "-rwsr-xr-x 1/4294967294 ",  "---------- 65534/65534 ",
        " 1970-01-01 00:00 empty\n",
    };
    for (size_t i = 0; i < sizeof(WANT) / sizeof(WANT[0]); i++) {
        if (!strstr(text, WANT[i]))
            print_error("'%s' isn't in:\n%s", WANT[i], text);
        assert_non_null(strstr(text, WANT[i]));
    }
    assert_non_null(strstr(text, LONG_PATH + 1));
    free(text);
    free(tar);
    file_list_done(&l);
}

static void the_first_file_is_found_behind_directories(void **state)
{
    (void)state;
    struct file_list l;
    make_list(&l);
    char *tar = NULL;
    size_t n = 0;
    fx_ok(tar_write(&l, false, &tar, &n));
    char *data = NULL;
    size_t data_n = 0;
    fx_ok(tar_read_first((struct sv){tar, n}, 11, &data, &data_n));
    assert_int_equal(data_n, 11);
    assert_string_equal(data, "routes: []\n");
    free(data);
    data = NULL;
    fx_refused(tar_read_first((struct sv){tar, n}, 10, &data, &data_n), ERR_INVALID,
               "over 10 bytes");
    assert_null(data);
    free(tar);
    file_list_done(&l);
}

static void broken_archives_are_refused(void **state)
{
    (void)state;
    struct file_list l = {0};
    file_list_add(&l, "/x", 0, 0, 0644, sv_of("some bytes of a file"));
    char *tar = NULL;
    size_t n = 0;
    fx_ok(tar_write(&l, false, &tar, &n));
    char *data = NULL;
    size_t data_n = 0;
    /* Cut in the header, and in the data. */
    fx_refused(tar_read_first((struct sv){tar, 100}, 1000, &data, &data_n), ERR_INVALID,
               "reading an archive");
    fx_refused(tar_read_first((struct sv){tar, 520}, 1000, &data, &data_n), ERR_INVALID,
               "reading an archive");
    fx_refused(tar_read_first(sv_of("<html>not an archive</html>"), 1000, &data, &data_n),
               ERR_INVALID, "reading an archive");
    assert_null(data);
    free(tar);
    file_list_done(&l);
}

static void lists_find_by_path(void **state)
{
    (void)state;
    struct file_list l;
    make_list(&l);
    const struct file_item *f = file_list_find(&l, "/etc/bottler/binary");
    assert_non_null(f);
    assert_int_equal(f->n, 4);
    assert_memory_equal(f->data, "a\0b\n", 4);
    assert_null(file_list_find(&l, "/etc/bottler/"));
    file_list_done(&l);
    assert_int_equal(l.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(hot_only_leaves_out_what_is_cold),
        cmocka_unit_test(the_same_list_gives_the_same_bytes),
        cmocka_unit_test(an_empty_list_is_an_empty_archive),
        cmocka_unit_test(tar_reads_it),
        cmocka_unit_test(the_first_file_is_found_behind_directories),
        cmocka_unit_test(broken_archives_are_refused),
        cmocka_unit_test(lists_find_by_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
