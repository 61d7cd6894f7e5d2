/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over files: every file named in argv, and every file in a directory named
 * there. So corpora are tests, without a fuzzer. Fails when there was nothing to run.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "spec/base/err.h"
#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <errno.h>

enum { DRIVER_FILE_MAX = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool run_file(const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        (void)fprintf(stderr, "%s: %s\n", path, err_errno(errno));
        return false;
    }
    uint8_t *bytes = xmalloc(DRIVER_FILE_MAX);
    size_t n = fread(bytes, 1, DRIVER_FILE_MAX, f);
    bool ok = !ferror(f);
    (void)fclose(f);
    /* An allocation of the exact size: a sanitizer sees a read past the end. */
    uint8_t *exact = xreallocarray(bytes, n, 1);
    if (ok)
        (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return ok;
}

static bool run_dir(const char *path, size_t *ran)
{
    DIR *d = opendir(path);
    if (!d) {
        (void)fprintf(stderr, "%s: %s\n", path, err_errno(errno));
        return false;
    }
    struct str_list names = {0};
    bool ok = true;
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] != '.')
            str_list_add(&names, e->d_name);
    }
    (void)closedir(d);
    str_list_sort_unique(&names);
    for (size_t i = 0; i < names.len; i++) {
        AUTO_FREE char *file = xasprintf("%s/%s", path, names.items[i]);
        ok = run_file(file) && ok;
        (*ran)++;
    }
    str_list_done(&names);
    return ok;
}

int main(int argc, char **argv)
{
    size_t ran = 0;
    bool ok = true;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            ok = run_dir(argv[i], &ran) && ok;
        } else {
            ok = run_file(argv[i]) && ok;
            ran++;
        }
    }
    (void)printf("%zu inputs ran\n", ran);
    if (!ran)
        (void)fprintf(stderr, "usage: %s FILE|DIR...\n", argv[0]);
    return ok && ran ? 0 : 1;
}
