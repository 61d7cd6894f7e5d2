/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/canonical.h"

#include "spec/base/xalloc.h"
#include "spec/manifest.h"

#include <jansson.h>
#include <string.h>

/* A merged tree has at most the parents' nodes too, and a byte is at most six when it is escaped.
 */
enum { TEXT_MAX = 64 * MANIFEST_MAX_BYTES };

static int by_key(const void *a, const void *b)
{
    const struct yaml_pair *const *x = a;
    const struct yaml_pair *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static void add_string(struct str *out, const char *text)
{
    json_t *v = XNN(json_string(text));
    AUTO_FREE char *quoted = XNN(json_dumps(v, JSON_ENCODE_ANY));
    json_decref(v);
    str_add(out, quoted);
}

/* Recursion is bounded by MANIFEST_MAX_DEPTH. `skip`: a key to leave out of this map. */
static void add_node(struct str *out, const struct yaml_node *n, bool spec_inside);

static void add_map(struct str *out, const struct yaml_node *n, const char *skip, bool spec_inside)
{
    const struct yaml_pair **sorted = xcalloc(n->len, sizeof(const struct yaml_pair *));
    for (size_t i = 0; i < n->len; i++)
        sorted[i] = &n->pairs[i];
    qsort(sorted, n->len, sizeof(const struct yaml_pair *), by_key);
    str_addc(out, '{');
    bool first = true;
    for (size_t i = 0; i < n->len; i++) {
        if (skip && strcmp(sorted[i]->key, skip) == 0)
            continue;
        if (!first)
            str_add(out, ", ");
        first = false;
        add_string(out, sorted[i]->key);
        str_add(out, ": ");
        bool is_spec = spec_inside && strcmp(sorted[i]->key, "spec") == 0;
        if (is_spec && sorted[i]->value->kind == YAML_MAP)
            add_map(out, sorted[i]->value, "extends", false);
        else
            add_node(out, sorted[i]->value, false);
    }
    str_addc(out, '}');
    free(sorted);
}

static void add_seq(struct str *out, const struct yaml_node *n)
{
    str_addc(out, '[');
    for (size_t i = 0; i < n->len; i++) {
        if (i)
            str_add(out, ", ");
        add_node(out, n->pairs[i].value, false);
    }
    str_addc(out, ']');
}

static void add_node(struct str *out, const struct yaml_node *n, bool spec_inside)
{
    switch (n->kind) {
    case YAML_MAP:
        add_map(out, n, NULL, spec_inside);
        return;
    case YAML_SEQ:
        add_seq(out, n);
        return;
    case YAML_STRING:
        add_string(out, n->text);
        return;
    case YAML_BOOL:
        str_add(out, n->boolean ? "true" : "false");
        return;
    case YAML_INT:
    case YAML_FLOAT:
        str_add(out, n->text);
        return;
    case YAML_NULL:
    case YAML_BAD:
        str_add(out, "null");
        return;
    }
}

char *canonical_text(const struct yaml_node *root)
{
    struct str out;
    str_init(&out, TEXT_MAX);
    add_node(&out, root, true);
    char *text = str_take(&out);
    return text ? text : xstrdup("");
}
