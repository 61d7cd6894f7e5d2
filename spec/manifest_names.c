/* SPDX-License-Identifier: Apache-2.0 */
/* Who a name belongs to, when more than one document has it. */
#include "spec/manifest_internal.h"

#include "spec/base/xalloc.h"
#include "spec/fields.h"

#include <string.h>

enum { PLACES_SHOWN = 3 };

static int by_name(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    int c = strcmp(x->name, y->name);
    if (!c && x->source->in->source != y->source->in->source)
        return x->source->in->source < y->source->in->source ? -1 : 1;
    if (!c)
        c = strcmp(x->source->yaml.path, y->source->yaml.path);
    if (c)
        return c;
    return x->doc->pos.line < y->doc->pos.line ? -1 : x->doc->pos.line > y->doc->pos.line;
}

static char *places_of(const struct item *items, size_t n, const struct item *but)
{
    struct str places;
    size_t shown = 0, all = 0;
    str_init(&places, FIELD_PATH_MAX);
    for (size_t j = 0; j < n; j++) {
        if (&items[j] == but || ++all > PLACES_SHOWN)
            continue;
        struct src_pos pos = items[j].name_node->pos;
        str_addf(&places, "%s%s:%u:%u", shown++ ? ", " : "", items[j].source->yaml.path, pos.line,
                 pos.column);
    }
    if (all > PLACES_SHOWN)
        str_add(&places, ", ...");
    char *text = str_take(&places);
    return text ? text : xstrdup("places that can't be told");
}

/* Rejects all of them, each naming some of the others. */
static void reject_same_name(struct item *items, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        AUTO_FREE char *places = places_of(items, n, &items[i]);
        items[i].duplicate = true;
        manifest_doc_error(items[i].source, items[i].doc, items[i].name_node->pos, "metadata.name",
                           "%s '%s' is also defined at %s; none is used", what, items[i].name,
                           places);
    }
}

static void say_also(struct item *it, const struct item *others, size_t n)
{
    it->also = places_of(others, n, NULL);
    for (size_t i = 0; i < n; i++)
        str_list_add(&it->also_files, others[i].source->yaml.path);
}

void manifest_settle_names(struct item_list *l, const char *what)
{
    size_t kept = 0;
    if (l->len)
        qsort(l->items, l->len, sizeof(*l->items), by_name);
    for (size_t i = 0; i < l->len;) {
        struct item *first = &l->items[i];
        size_t same = 1, all = 1;
        while (i + all < l->len && strcmp(first->name, first[all].name) == 0) {
            if (first[all].source->in->source == first->source->in->source)
                same++;
            all++;
        }
        if (same > 1)
            reject_same_name(first, same, what);
        for (size_t k = 0; all > same && k < same; k++)
            say_also(&first[k], first + same, all - same);
        for (size_t k = same; k < all; k++)
            free(first[k].name);
        i += all;
        memmove(&l->items[kept], first, same * sizeof(*first));
        kept += same;
    }
    l->len = kept;
}
