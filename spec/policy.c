/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/policy.h"

#include "spec/base/xalloc.h"
#include "spec/parse.h"

#include <string.h>

#define API_VERSION "bottler.dev/v1"

static void policy_freep(struct policy **p)
{
    *p = policy_free(*p);
}

struct policy *policy_free(struct policy *p)
{
    if (!p)
        return NULL;
    free(p->file);
    free(p->name);
    str_list_done(&p->roots);
    str_list_done(&p->images);
    str_list_done(&p->runtimes);
    str_list_done(&p->deny_hosts);
    free(p);
    return NULL;
}

/* ---- rules between fields, and where each is written ---- */

static struct src_pos pos_of(const struct yaml_node *node, const char *key)
{
    const struct yaml_pair *pair = yaml_get_pair(node, key);
    return pair ? pair->key_pos : (struct src_pos){0};
}

/* An empty list would forbid everything, which nobody writes on purpose. */
static void not_empty(struct parse_ctx *c, const struct yaml_node *node, const char *key)
{
    const struct yaml_node *list = yaml_get(node, key);
    if (list && list->kind == YAML_SEQ && !list->len)
        parse_error_in(c, list, key, "nothing would be allowed; leave the field out to allow all");
}

static void validate_spec(struct parse_ctx *c, const struct yaml_node *node, struct policy *p)
{
    p->runtimes_at = pos_of(node, "runtimes");
    not_empty(c, node, "runtimes");
    const struct yaml_node *list = yaml_get(node, "runtimes");
    for (size_t i = 0; list && list->kind == YAML_SEQ && i < list->len; i++) {
        const struct yaml_node *item = list->pairs[i].value;
        if (item->kind == YAML_STRING && strcmp(item->text, "auto") == 0)
            parse_error_item(c, item, (struct parse_item){"runtimes", i, NULL},
                             "expected the name of a runtime; auto is judged by what it means on "
                             "the engine");
    }
}

static void validate_images(struct parse_ctx *c, const struct yaml_node *node, struct policy *p)
{
    p->images_at = pos_of(node, "allow");
    p->digest_at = pos_of(node, "require_digest");
    not_empty(c, node, "allow");
}

/* What is written and left empty (`roots:`) is not the same as what isn't written: it must not come
 * to allow everything. */
static void no_nulls(struct parse_ctx *c, const struct yaml_node *node)
{
    for (size_t i = 0; i < node->len; i++) {
        const struct field *f = field_find(c->table, c->at.p, node->pairs[i].key);
        bool structure = f && (f->kind == FIELD_LIST || f->kind == FIELD_OBJECT);
        bool required = f && (f->flags & FIELD_REQUIRED); /* reported already */
        if (structure && !required && node->pairs[i].value->kind == YAML_NULL)
            parse_error_in(c, node->pairs[i].value, f->name,
                           "expected a %s, got nothing; leave the field out for no limit",
                           f->kind == FIELD_LIST ? "list" : "map");
    }
}

void policy_validate(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    struct policy *p = base;
    no_nulls(c, node);
    if (strcmp(c->at.p, "spec") == 0) {
        validate_spec(c, node, p);
    } else if (strcmp(c->at.p, "spec.mounts") == 0) {
        p->roots_given = yaml_get(node, "roots") != NULL;
        p->roots_at = pos_of(node, "roots");
    } else if (strcmp(c->at.p, "spec.images") == 0) {
        validate_images(c, node, p);
    } else if (strcmp(c->at.p, "spec.resources") == 0) {
        p->memory_at = pos_of(node, "memory");
        p->cpus_at = pos_of(node, "cpus");
        p->pids_at = pos_of(node, "pids");
    } else if (strcmp(c->at.p, "spec.egress") == 0) {
        p->deny_at = pos_of(node, "deny_hosts");
    }
}

/* ---- the file ---- */

static void header(struct parse_ctx *c, const struct yaml_node *root, const char *key,
                   const char *expected)
{
    const struct yaml_node *n = yaml_get(root, key);
    if (!n) {
        parse_error_in(c, root, key, "required, but not given: '%s'", expected);
        return;
    }
    if (n->kind == YAML_BAD || (n->kind == YAML_STRING && strcmp(n->text, expected) == 0))
        return;
    AUTO_FREE char *got = yaml_describe(n);
    parse_error_in(c, n, key, "expected '%s', got %s", expected, got);
}

static struct policy *read_document(struct yaml_file *y, struct yaml_doc *d, struct diag_list *ret)
{
    AUTO(policy_freep) struct policy *p = xcalloc(1, sizeof(*p));
    struct diag_sink sink = {.list = &d->diags, .used = &y->used, .failed = d->failed};
    struct parse_ctx c;
    p->file = xstrdup(y->path);
    parse_ctx_init(&c, &fields_policy, sink);
    if (d->root->kind == YAML_MAP) {
        header(&c, d->root, "apiVersion", API_VERSION);
        header(&c, d->root, "kind", "Policy");
        parse_document(&c, d->root, p);
    } else if (d->root->kind != YAML_BAD) {
        AUTO_FREE char *got = yaml_describe(d->root);
        parse_error(&c, d->root, "expected a map with apiVersion, kind and spec, got %s", got);
    }
    bool failed = c.sink.failed;
    parse_ctx_done(&c);
    diag_list_move(ret, &d->diags);
    return failed ? NULL : TAKE_PTR(p);
}

static void file_finding(struct yaml_file *y, struct src_pos pos, struct diag_list *ret,
                         const char *message)
{
    struct diag_sink sink = {.list = ret, .used = &y->used};
    diag_add(&sink, y->path, pos, NULL, xstrdup(message));
}

struct policy *policy_load(const char *path, struct sv bytes, struct diag_list *ret)
{
    AUTO(policy_freep) struct policy *p = NULL;
    struct yaml_file y;
    bool any = false;
    *ret = (struct diag_list){0};
    yaml_file_parse(&y, path, bytes.n ? bytes : sv_of("# empty\n"));
    diag_list_move(ret, &y.diags);
    for (size_t i = 0; i < y.len; i++) {
        struct yaml_doc *d = &y.docs[i];
        bool empty = !d->root || d->root->kind == YAML_NULL;
        if (empty)
            diag_list_move(ret, &d->diags);
        else if (any)
            file_finding(&y, d->root->pos, ret, "expected one policy in the file, got another");
        else
            p = read_document(&y, d, ret);
        any = any || !empty;
    }
    if (y.ok && !any)
        file_finding(&y, (struct src_pos){1, 1}, ret,
                     "there is no policy in the file; expected a map with apiVersion, kind and "
                     "spec");
    yaml_file_done(&y);
    diag_list_sort(ret);
    return ret->len ? NULL : TAKE_PTR(p);
}
