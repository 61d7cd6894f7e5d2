/* SPDX-License-Identifier: Apache-2.0 */
/* Run by the build: no field of a manifest may be without its class of change. */
#include "spec/fields.h"

#include <stdio.h>

int main(void)
{
    enum { OUT_MAX = 64 * 1024 };
    struct str out;
    str_init(&out, OUT_MAX);
    bool all = fields_classified(&fields_bottle, &out);
    all = fields_classified(&fields_grant, &out) && all;
    if (!all)
        (void)fprintf(stderr,
                      "spec/fields_table.c: these fields don't say what changing them costs "
                      "(enum change_class):\n%s",
                      out.p);
    str_done(&out);
    return all ? 0 : 1;
}
