/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/manifest_internal.h"

#include "spec/base/xalloc.h"
#include "spec/canonical.h"
#include "spec/check.h"
#include "spec/extends.h"
#include "spec/parse.h"
#include "spec/policy.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define API_VERSION "bottler.dev/v1"

enum { KNOWN_NAMES_SHOWN = 8 };

struct loader {
    struct source *sources;
    size_t n;
    struct item_list bottles;
    struct item_list grants;
    struct arena arena; /* nodes made by `extends` */
    const struct manifest_rules *rules;
    bool all_readable;
};

static struct diag_sink sink_of(struct source *s, struct diag_list *list, bool failed)
{
    return (struct diag_sink){.list = list, .used = &s->yaml.used, .failed = failed};
}

void manifest_doc_error(struct source *s, struct yaml_doc *d, struct src_pos pos, const char *field,
                        const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct diag_sink sink = sink_of(s, &d->diags, d->failed);
    diag_add(&sink, s->yaml.path, pos, field, xvasprintf(fmt, ap));
    d->failed = true;
    va_end(ap);
}

static int by_path(const void *a, const void *b)
{
    const struct manifest_input *const *x = a;
    const struct manifest_input *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static void read_source(struct source *s, const struct manifest_input *in)
{
    if (in->directory) {
        s->yaml = (struct yaml_file){.path = in->path, .ok = true};
    } else if (!in->read_error) {
        yaml_file_parse(&s->yaml, in->path, in->bytes);
    } else {
        s->yaml = (struct yaml_file){.path = in->path};
        struct diag_sink sink = sink_of(s, &s->yaml.diags, false);
        diag_add(&sink, in->path, (struct src_pos){0}, NULL,
                 xasprintf("can't be read: %s", in->read_error));
    }
    s->in = in;
    s->out->path = xstrdup(in->path);
    s->out->usable = s->yaml.ok;
    s->out->source = in->source;
    s->out->tree = in->tree;
    s->out->directory = in->directory;
    s->out->held = xstrdup_null(in->held);
    s->out->bytes = in->bytes;
}

/* A header field: its text, or NULL after an error. */
static const char *header(struct source *s, struct yaml_doc *d, const char *key,
                          const char *expected)
{
    const struct yaml_node *n = yaml_get(d->root, key);
    if (n && n->kind == YAML_STRING)
        return n->text;
    if (!n) {
        manifest_doc_error(s, d, d->root->pos, key, "required, but not given: %s", expected);
    } else if (n->kind != YAML_BAD) {
        AUTO_FREE char *got = yaml_describe(n);
        manifest_doc_error(s, d, n->pos, key, "expected %s, got %s", expected, got);
    }
    return NULL;
}

/* Keys of the original's files, when the document has none of ours. */
static bool report_foreign(struct source *s, struct yaml_doc *d)
{
    if (d->root->kind != YAML_MAP) {
        AUTO_FREE char *got = yaml_describe(d->root);
        if (d->root->kind != YAML_BAD)
            manifest_doc_error(s, d, d->root->pos, NULL,
                               "expected a map with apiVersion, kind, metadata and spec, got %s",
                               got);
        return true;
    }
    if (yaml_get(d->root, "apiVersion") || yaml_get(d->root, "kind"))
        return false;
    struct parse_ctx c;
    parse_ctx_init(&c, &fields_bottle, sink_of(s, &d->diags, d->failed));
    parse_keys(&c, d->root);
    d->failed = d->failed || c.sink.failed;
    parse_ctx_done(&c);
    return false;
}

enum doc_kind { DOC_UNKNOWN, DOC_BOTTLE, DOC_GRANT };

static enum doc_kind kind_of(struct source *s, struct yaml_doc *d)
{
    if (report_foreign(s, d))
        return DOC_UNKNOWN;
    const char *version = header(s, d, "apiVersion", "'" API_VERSION "'");
    if (version && strcmp(version, API_VERSION) != 0) {
        AUTO_FREE char *q = diag_quote(version);
        manifest_doc_error(s, d, yaml_get(d->root, "apiVersion")->pos, "apiVersion",
                           "expected '" API_VERSION "', got %s", q);
    }
    const char *kind = header(s, d, "kind", "Bottle or Grant");
    if (!kind)
        return DOC_UNKNOWN;
    if (strcmp(kind, "Bottle") == 0)
        return DOC_BOTTLE;
    if (strcmp(kind, "Grant") == 0)
        return DOC_GRANT;
    AUTO_FREE char *q = diag_quote(kind);
    bool policy = strcmp(kind, "Policy") == 0;
    bool bottle = str_distance(kind, "Bottle", 4) < 4 || strcmp(kind, "bottle") == 0;
    bool grant = str_distance(kind, "Grant", 3) < 3 || strcmp(kind, "grant") == 0;
    manifest_doc_error(s, d, yaml_get(d->root, "kind")->pos, "kind",
                       "expected Bottle or Grant, got %s%s", q,
                       policy   ? "; a policy is given with --policy"
                       : bottle ? "; did you mean Bottle?"
                       : grant  ? "; did you mean Grant?"
                                : "");
    return DOC_UNKNOWN;
}

static bool is_name(const char *text)
{
    struct str why;
    AUTO_FREE char *normal = NULL;
    str_init(&why, CHECK_WHY_MAX);
    bool ok = check_name(text, &why, &normal);
    str_done(&why);
    return ok;
}

/* metadata.name when there is exactly one and it is one; silent, the parser reports. */
static char *usable_name(const struct yaml_doc *d, const struct yaml_node **ret_node)
{
    const struct yaml_node *metadata = yaml_get(d->root, "metadata");
    const struct yaml_node *name = yaml_get(metadata, "name");
    if (!name || name->kind != YAML_STRING || d->root->duplicates || metadata->duplicates)
        return NULL;
    if (!is_name(name->text))
        return NULL;
    *ret_node = name;
    return xstrdup(name->text);
}

/* ---- the installation's rules ---- */

struct judging {
    struct item *item;
    struct diag_sink sink;
    size_t wrong_len; /* findings before the rules' */
};

/* The finding is placed where the field is written, in a parent's file too. A field that is wrong
 * has no value to be judged. */
static void on_forbidden(void *ctx, const char *field, char *message_take)
{
    struct judging *j = ctx;
    const struct diag_list *wrong = &j->item->doc->diags;
    for (size_t i = 0; i < j->wrong_len && i < wrong->len; i++) {
        if (wrong->items[i].field && strcmp(wrong->items[i].field, field) == 0) {
            free(message_take);
            return;
        }
    }
    const struct yaml_node *at = yaml_nearest(j->item->tree, field);
    AUTO_FREE char *text = message_take;
    bool own = j->item->tree == j->item->doc->root;
    diag_add(&j->sink, at->file, at->pos, field,
             own ? TAKE_PTR(text) : xasprintf("%s; in bottle '%s'", text, j->item->name));
}

static void judge_mounts(struct judging *j, const struct manifest_rules *rules,
                         const struct agent_spec *a)
{
    for (size_t i = 0; rules->mount_refusal && i < a->mounts_len; i++) {
        const char *source = a->mounts[i].source;
        char *why = source ? rules->mount_refusal(rules->ctx, source) : NULL;
        if (!why)
            continue;
        AUTO_FREE char *field = xasprintf("spec.agent.mounts[%zu].source", i);
        on_forbidden(j, field, why);
    }
}

static void judge(struct item *it, const struct manifest_rules *rules)
{
    bool abstract = it->bottle && it->bottle->abstract;
    struct yaml_doc *d = it->doc;
    struct judging j = {
        .item = it, .sink = sink_of(it->source, &d->diags, d->failed), .wrong_len = d->diags.len};
    if (!rules || abstract)
        return;
    if (rules->policy && it->bottle)
        policy_check(rules->policy, it->bottle, on_forbidden, &j);
    if (rules->policy && it->grant)
        policy_check_grant(rules->policy, it->grant, on_forbidden, &j);
    if (it->bottle)
        judge_mounts(&j, rules, &it->bottle->agent);
    it->forbidden = !d->failed && j.sink.failed;
    d->failed = j.sink.failed;
}

static void parse_tree(const struct loader *l, struct item *it, enum doc_kind kind, bool partial)
{
    struct yaml_doc *d = it->doc;
    const struct yaml_node *root = d->root;
    struct parse_ctx c;
    bool grant = kind == DOC_GRANT;
    parse_ctx_init(&c, grant ? &fields_grant : &fields_bottle,
                   sink_of(it->source, &d->diags, d->failed));
    const struct yaml_node *abstract = yaml_get(yaml_get(root, "spec"), "abstract");
    c.partial = partial || (abstract && abstract->kind == YAML_BOOL && abstract->boolean);
    c.extends = yaml_get(yaml_get(root, "spec"), "extends") != NULL;
    if (l->rules && l->rules->defaults && it->name && !grant)
        c.defaults = l->rules->defaults(l->rules->defaults_ctx, it->name);
    it->bottle = grant ? NULL : xcalloc(1, sizeof(*it->bottle));
    it->grant = grant ? xcalloc(1, sizeof(*it->grant)) : NULL;
    parse_document(&c, it->tree, grant ? (void *)it->grant : (void *)it->bottle);
    d->failed = c.sink.failed;
    parse_ctx_done(&c);
    if (!partial)
        judge(it, l->rules);
    if (d->failed) {
        it->bottle = bottle_free(it->bottle);
        it->grant = grant_free(it->grant);
    } else if (grant) {
        it->grant->file = xstrdup(it->source->yaml.path);
        it->grant->pos = root->pos;
    } else {
        it->bottle->file = xstrdup(it->source->yaml.path);
        it->bottle->pos = root->pos;
        it->bottle->text = canonical_text(it->tree);
        it->bottle->revision = xstrdup_null(it->source->in->revision);
    }
}

static void add_item(struct item_list *l, struct item it)
{
    l->items = xreallocarray(l->items, l->len + 1, sizeof(*l->items));
    l->items[l->len++] = it;
}

static void sort_document(struct loader *l, struct source *s, struct yaml_doc *d)
{
    if (!d->root || d->root->kind == YAML_NULL) {
        diag_list_move(&s->out->diags, &d->diags);
        return;
    }
    enum doc_kind kind = kind_of(s, d);
    struct item it = {.source = s, .doc = d, .tree = d->root};
    if (kind != DOC_UNKNOWN)
        it.name = usable_name(d, &it.name_node);
    if (it.name) {
        add_item(kind == DOC_GRANT ? &l->grants : &l->bottles, it);
        return;
    }
    /* Nobody knows which bottle this is about, so nobody may conclude that one is gone. */
    if (kind != DOC_GRANT)
        s->out->usable = false;
    if (kind != DOC_UNKNOWN)
        parse_tree(l, &it, kind, true);
    bottle_free(it.bottle);
    grant_free(it.grant);
    assert(d->failed);
    diag_list_move(&s->out->diags, &d->diags);
}

static void known_names(const struct loader *l, const char *self, struct str *out)
{
    unsigned shown = 0;
    const char *last = self;
    for (size_t i = 0; i < l->bottles.len; i++) {
        const char *name = l->bottles.items[i].name;
        if (strcmp(name, self) == 0 || strcmp(name, last) == 0)
            continue;
        last = name;
        if (shown == KNOWN_NAMES_SHOWN) {
            str_add(out, ", ...");
            return;
        }
        str_addf(out, "%s%s", shown++ ? ", " : "; known: ", name);
    }
    if (!shown)
        str_add(out, "; there is no other bottle");
}

/* Says why `extends` doesn't work, if so. */
static bool check_extends(struct loader *l, const struct extends_entry *entries, size_t i)
{
    static const char field[] = "spec.extends";
    const struct extends_entry *e = &entries[i];
    struct item *it = &l->bottles.items[i];
    if (!e->wanted)
        return true;
    AUTO_FREE char *q = diag_quote(e->wanted);
    struct str text;
    str_init(&text, FIELD_PATH_MAX);
    bool ok = false;
    if (e->state == EXTENDS_MISSING && !is_name(e->wanted)) {
        /* The parser says what a name is. */
    } else if (e->state == EXTENDS_MISSING) {
        known_names(l, it->name, &text);
        manifest_doc_error(it->source, it->doc, e->at->pos, field, "there is no bottle %s%s%s", q,
                           text.p, l->all_readable ? "" : " (some files can't be used)");
    } else if (e->state == EXTENDS_AMBIGUOUS) {
        manifest_doc_error(it->source, it->doc, e->at->pos, field,
                           "bottle %s is defined more than once", q);
    } else if (e->state == EXTENDS_CIRCLE && strcmp(e->wanted, it->name) == 0) {
        manifest_doc_error(it->source, it->doc, e->at->pos, field, "a bottle can't extend itself");
    } else if (e->state == EXTENDS_CIRCLE) {
        extends_chain(entries, i, &text);
        manifest_doc_error(it->source, it->doc, e->at->pos, field, "goes in a circle: %s", text.p);
    } else if (e->state == EXTENDS_OK && !l->bottles.items[e->parent].bottle &&
               !l->bottles.items[e->parent].forbidden) {
        manifest_doc_error(it->source, it->doc, e->at->pos, field, "bottle %s has errors itself",
                           q);
    } else if (e->depth > EXTENDS_MAX_DEPTH) {
        manifest_doc_error(it->source, it->doc, e->at->pos, field,
                           "more than %d bottles extend each other in a row", EXTENDS_MAX_DEPTH);
    } else {
        ok = true;
    }
    str_done(&text);
    return ok;
}

struct by_depth {
    unsigned depth;
    size_t at;
};

static int compare_depth(const void *a, const void *b)
{
    const struct by_depth *x = a;
    const struct by_depth *y = b;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void note_ancestors(const struct loader *l, const struct extends_entry *entries, size_t i)
{
    struct bottle *b = l->bottles.items[i].bottle;
    for (size_t up = i; b && entries[up].state == EXTENDS_OK;) {
        up = entries[up].parent;
        str_list_add(&b->ancestors, entries[up].name);
        str_list_add(&b->ancestor_files, l->bottles.items[up].source->yaml.path);
    }
}

/* Ancestors first, so that a parent's tree and verdict are there when its children need them. */
static void parse_bottles(struct loader *l)
{
    size_t n = l->bottles.len;
    struct item *items = l->bottles.items;
    AUTO_FREE struct extends_entry *entries = xcalloc(n, sizeof(*entries));
    AUTO_FREE struct by_depth *order = xcalloc(n, sizeof(*order));
    for (size_t i = 0; i < n; i++)
        entries[i] = (struct extends_entry){
            .name = items[i].name, .root = items[i].doc->root, .ambiguous = items[i].duplicate};
    extends_resolve(entries, n);
    for (size_t i = 0; i < n; i++)
        order[i] = (struct by_depth){entries[i].depth, i};
    qsort(order, n, sizeof(*order), compare_depth);
    for (size_t k = 0; k < n; k++) {
        size_t i = order[k].at;
        bool ok = check_extends(l, entries, i);
        if (ok && entries[i].state == EXTENDS_OK)
            items[i].tree =
                extends_merge(&l->arena, items[entries[i].parent].tree, items[i].doc->root);
        parse_tree(l, &items[i], DOC_BOTTLE, !ok);
        note_ancestors(l, entries, i);
    }
}

static void finish_bottles(struct loader *l, struct manifest_set *set)
{
    set->bottles = xcalloc(l->bottles.len, sizeof(*set->bottles));
    set->bottles_len = l->bottles.len;
    for (size_t i = 0; i < l->bottles.len; i++) {
        struct item *it = &l->bottles.items[i];
        struct manifest_bottle *b = &set->bottles[i];
        b->name = TAKE_PTR(it->name);
        b->file = xstrdup(it->source->yaml.path);
        b->pos = it->doc->root->pos;
        b->bottle = TAKE_PTR(it->bottle);
        b->forbidden = it->forbidden;
        b->source = it->source->in->source;
        b->held = it->source->in->held != NULL;
        b->also = TAKE_PTR(it->also);
        b->also_files = it->also_files;
        it->also_files = (struct str_list){0};
        b->revision = xstrdup_null(it->source->in->revision);
        b->diags = it->doc->diags;
        it->doc->diags = (struct diag_list){0};
        diag_list_sort(&b->diags);
        it->source->out->rejects = it->source->out->rejects || !b->bottle;
        assert(!b->bottle == (b->diags.len > 0));
    }
    free(l->bottles.items);
}

static void finish_grants(struct loader *l, struct manifest_set *set)
{
    set->grants = xcalloc(l->grants.len, sizeof(struct grant *));
    for (size_t i = 0; i < l->grants.len; i++) {
        struct item *it = &l->grants.items[i];
        if (it->grant)
            set->grants[set->grants_len++] = TAKE_PTR(it->grant);
        diag_list_move(&it->source->out->diags, &it->doc->diags);
        free(it->name);
        free(it->also);
        str_list_done(&it->also_files);
    }
    free(l->grants.items);
}

static void finish_files(struct loader *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct source *s = &l->sources[i];
        diag_list_move(&s->out->diags, &s->yaml.diags);
        diag_list_sort(&s->out->diags);
        yaml_file_done(&s->yaml);
    }
    free(l->sources);
    arena_done(&l->arena);
}

struct manifest_set *manifest_load(const struct manifest_input *inputs, size_t n)
{
    return manifest_load_under(inputs, n, NULL);
}

struct manifest_set *manifest_load_under(const struct manifest_input *inputs, size_t n,
                                         const struct manifest_rules *rules)
{
    struct manifest_set *set = xcalloc(1, sizeof(*set));
    struct loader l = {.n = n, .all_readable = true, .rules = rules};
    AUTO_FREE const struct manifest_input **sorted = xcalloc(n, sizeof(*sorted));
    for (size_t i = 0; i < n; i++)
        sorted[i] = &inputs[i];
    if (n)
        qsort(sorted, n, sizeof(*sorted), by_path);
    l.sources = xcalloc(n, sizeof(*l.sources));
    set->files = xcalloc(n, sizeof(*set->files));
    set->files_len = n;
    for (size_t i = 0; i < n; i++) {
        l.sources[i].out = &set->files[i];
        read_source(&l.sources[i], sorted[i]);
        for (size_t d = 0; d < l.sources[i].yaml.len; d++)
            sort_document(&l, &l.sources[i], &l.sources[i].yaml.docs[d]);
        l.all_readable = l.all_readable && set->files[i].usable;
    }
    manifest_settle_names(&l.bottles, "bottle");
    manifest_settle_names(&l.grants, "grant");
    parse_bottles(&l);
    for (size_t i = 0; i < l.grants.len; i++)
        parse_tree(&l, &l.grants.items[i], DOC_GRANT, false);
    finish_bottles(&l, set);
    finish_grants(&l, set);
    finish_files(&l);
    return set;
}

struct manifest_set *manifest_set_free(struct manifest_set *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->bottles_len; i++) {
        free(s->bottles[i].name);
        free(s->bottles[i].file);
        free(s->bottles[i].also);
        str_list_done(&s->bottles[i].also_files);
        free(s->bottles[i].revision);
        bottle_free(s->bottles[i].bottle);
        diag_list_done(&s->bottles[i].diags);
    }
    for (size_t i = 0; i < s->grants_len; i++)
        grant_free(s->grants[i]);
    for (size_t i = 0; i < s->files_len; i++) {
        free(s->files[i].path);
        free(s->files[i].held);
        diag_list_done(&s->files[i].diags);
    }
    free(s->bottles);
    free(s->grants);
    free(s->files);
    free(s);
    return NULL;
}

static void borrow_all(struct diag_list *to, const struct diag_list *from)
{
    if (!from->len)
        return;
    to->items = xreallocarray(to->items, to->len + from->len, sizeof(*to->items));
    memcpy(to->items + to->len, from->items, from->len * sizeof(*from->items));
    to->len += from->len;
}

void manifest_set_diags(const struct manifest_set *s, struct diag_list *ret)
{
    *ret = (struct diag_list){0};
    for (size_t i = 0; i < s->files_len; i++)
        borrow_all(ret, &s->files[i].diags);
    for (size_t i = 0; i < s->bottles_len; i++)
        borrow_all(ret, &s->bottles[i].diags);
    diag_list_sort(ret);
}
