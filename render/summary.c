/* SPDX-License-Identifier: Apache-2.0 */
#include "render/summary.h"

#include "render/routeset.h"
#include "spec/base/xalloc.h"

enum { SHOWN_ALL = 5, SHOWN_OF_MORE = 3, TEXT_MAX = 4096 };

char *summary_hosts(const struct bottle *b)
{
    struct routeset r;
    struct str out;
    routeset_resolve(b, &r);
    str_init(&out, TEXT_MAX);
    size_t shown = r.len <= SHOWN_ALL ? r.len : SHOWN_OF_MORE;
    if (!r.len)
        str_add(&out, "no hosts allowed (sealed)");
    else
        str_addf(&out, "%zu host%s allowed (", r.len, r.len == 1 ? "" : "s");
    for (size_t i = 0; i < shown; i++)
        str_addf(&out, "%s%s", i ? ", " : "", r.routes[i].host);
    if (r.len > shown)
        str_addf(&out, ", +%zu more", r.len - shown);
    if (r.len)
        str_addc(&out, ')');
    routeset_done(&r);
    return XNN(str_take(&out));
}
