/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a manifest. Besides not crashing: a bottle is there exactly when nothing was found
 * about it, and an unusable file says why.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address,undefined and this file with spec/.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "spec/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct manifest_set *set)
{
    struct str line;
    struct diag_list all;
    for (size_t i = 0; i < set->bottles_len; i++) {
        const struct manifest_bottle *b = &set->bottles[i];
        if (!b->bottle != (b->diags.len > 0))
            abort();
    }
    if (!set->files[0].usable && !set->files[0].diags.len)
        abort();
    manifest_set_diags(set, &all);
    str_init(&line, 64 * 1024);
    for (size_t i = 0; i < all.len; i++) {
        str_clear(&line);
        diag_format(&all.items[i], &line);
        if (str_failed(&line) || !line.len)
            abort();
        for (size_t c = 0; c < line.len; c++) {
            if ((unsigned char)line.p[c] < 0x20)
                abort();
        }
    }
    str_done(&line);
    free(all.items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest_input in = {.path = "fuzz.yaml", .bytes = {(const char *)data, size}};
    struct manifest_set *set = manifest_load(&in, 1);
    check(set);
    manifest_set_free(set);
    return 0;
}
