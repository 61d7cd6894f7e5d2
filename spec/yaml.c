/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/yaml.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

/* An open collection. */
struct frame {
    struct yaml_node *node;
    size_t first;       /* its first entry in `pending` */
    bool has_key;       /* map: the key of the next value is in `key` */
    bool stands_as_key; /* the collection itself is (wrongly) a key */
    const char *key;    /* NULL: refused, the value is dropped */
    struct src_pos key_pos;
};

struct builder {
    yaml_parser_t parser;
    struct yaml_file *f;
    struct yaml_doc *doc; /* open document */
    struct frame frames[MANIFEST_MAX_DEPTH];
    size_t depth;
    struct yaml_pair *pending; /* entries of all open collections, as a stack */
    size_t n_pending;
    size_t cap_pending;
    size_t nodes;
    struct sv bytes;
};

static struct src_pos pos_of(yaml_mark_t m)
{
    return (struct src_pos){.line = (unsigned)m.line + 1, .column = (unsigned)m.column + 1};
}

/* Counts characters and line ends up to a byte offset: libyaml's reader knows only that. */
static struct src_pos pos_at(struct sv bytes, size_t offset)
{
    struct src_pos pos = {.line = 1, .column = 1};
    for (size_t i = 0; i < bytes.n && i < offset; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        bool crlf = c == '\r' && i + 1 < bytes.n && bytes.p[i + 1] == '\n';
        if (c == '\n' || (c == '\r' && !crlf)) {
            pos.line++;
            pos.column = 1;
        } else if ((c & 0xC0) != 0x80) {
            pos.column++;
        }
    }
    return pos;
}

__attribute__((format(printf, 3, 4))) static void
file_error(struct yaml_file *f, struct src_pos pos, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct diag_sink sink = {.list = &f->diags, .used = &f->used};
    diag_add(&sink, f->path, pos, NULL, xvasprintf(fmt, ap));
    va_end(ap);
    f->ok = false;
}

static char *current_path(const struct builder *b)
{
    struct str path;
    str_init(&path, FIELD_PATH_MAX);
    for (size_t i = 0; i < b->depth; i++) {
        const struct frame *fr = &b->frames[i];
        if (fr->stands_as_key)
            break;
        size_t end = i + 1 < b->depth ? b->frames[i + 1].first : b->n_pending;
        if (fr->node->kind == YAML_SEQ)
            field_path_add_index(&path, end - fr->first);
        else if (fr->has_key && fr->key)
            field_path_add_key(&path, fr->key);
    }
    if (path.len == 0 || path.failed) {
        str_done(&path);
        return NULL;
    }
    return str_take(&path);
}

__attribute__((format(printf, 3, 4))) static void doc_error(struct builder *b, struct src_pos pos,
                                                            const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *path = current_path(b);
    struct diag_sink sink = {.list = &b->doc->diags, .used = &b->f->used, .failed = b->doc->failed};
    diag_add(&sink, b->f->path, pos, path, xvasprintf(fmt, ap));
    va_end(ap);
    b->doc->failed = true;
}

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, struct src_pos pos)
{
    struct yaml_node *n = arena_alloc(&b->f->arena, sizeof(*n));
    n->kind = kind;
    n->file = b->f->path;
    n->pos = pos;
    return n;
}

static void push_pending(struct builder *b, struct yaml_pair p)
{
    if (b->n_pending == b->cap_pending) {
        b->cap_pending = b->cap_pending ? 2 * b->cap_pending : 64;
        b->pending = xreallocarray(b->pending, b->cap_pending, sizeof(*b->pending));
    }
    b->pending[b->n_pending++] = p;
}

static bool expects_key(const struct builder *b)
{
    return b->depth && b->frames[b->depth - 1].node->kind == YAML_MAP &&
           !b->frames[b->depth - 1].has_key;
}

static void take_key(struct builder *b, const struct yaml_node *n)
{
    struct frame *fr = &b->frames[b->depth - 1];
    fr->has_key = true;
    fr->key = NULL;
    fr->key_pos = n->pos;
    if (n->kind == YAML_BAD)
        return;
    if (n->kind != YAML_STRING) {
        AUTO_FREE char *what = yaml_describe(n);
        bool scalar = n->kind != YAML_SEQ && n->kind != YAML_MAP;
        doc_error(b, n->pos, "a key must be a string, this is %s%s", what,
                  scalar ? "; put it in quotes" : "");
        return;
    }
    fr->key = n->text;
}

/* A complete node finds its place: document, map key, map value or list item. */
static void place(struct builder *b, struct yaml_node *n)
{
    if (b->depth == 0) {
        b->doc->root = n;
        return;
    }
    if (expects_key(b)) {
        take_key(b, n);
        return;
    }
    struct frame *fr = &b->frames[b->depth - 1];
    if (fr->node->kind == YAML_SEQ) {
        push_pending(b, (struct yaml_pair){.value = n});
        return;
    }
    if (fr->key)
        push_pending(b, (struct yaml_pair){fr->key, fr->key_pos, n});
    fr->has_key = false;
}

static void refuse_anchor(struct builder *b, const yaml_char_t *anchor, struct src_pos pos)
{
    if (!anchor)
        return;
    AUTO_FREE char *q = diag_quote((const char *)anchor);
    doc_error(b, pos, "anchors (%s) aren't allowed: write the value out, or use extends", q);
}

/* NULL, or the last part of a core tag ("str"); anything else is an error and gives "". */
static const char *core_tag(struct builder *b, const yaml_char_t *tag, struct src_pos pos)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const known[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    if (!tag)
        return NULL;
    const char *t = (const char *)tag;
    if (strncmp(t, prefix, sizeof(prefix) - 1) == 0) {
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (strcmp(t + sizeof(prefix) - 1, known[i]) == 0)
                return known[i];
        }
    }
    AUTO_FREE char *q = diag_quote(t);
    doc_error(b, pos, "the tag %s isn't allowed: only those of the core schema are", q);
    return "";
}

static bool tag_fits(const char *tag, enum yaml_kind kind)
{
    switch (kind) {
    case YAML_NULL:
        return strcmp(tag, "null") == 0;
    case YAML_BOOL:
        return strcmp(tag, "bool") == 0;
    case YAML_INT:
        return strcmp(tag, "int") == 0 || strcmp(tag, "float") == 0;
    case YAML_FLOAT:
        return strcmp(tag, "float") == 0;
    case YAML_SEQ:
        return strcmp(tag, "seq") == 0;
    case YAML_MAP:
        return strcmp(tag, "map") == 0;
    case YAML_STRING:
    case YAML_BAD:
        break;
    }
    return false;
}

static void check_tag(struct builder *b, struct yaml_node *n, const yaml_char_t *text)
{
    const char *tag = core_tag(b, text, n->pos);
    if (!tag)
        return;
    bool scalar = n->kind != YAML_SEQ && n->kind != YAML_MAP;
    if (scalar && strcmp(tag, "str") == 0) {
        n->kind = YAML_STRING;
    } else if (*tag && !tag_fits(tag, n->kind)) {
        AUTO_FREE char *what = yaml_describe(n);
        doc_error(b, n->pos, "the tag '!!%s' doesn't fit %s", tag, what);
        if (scalar)
            n->kind = YAML_BAD;
    }
}

static void on_scalar(struct builder *b, const yaml_event_t *ev)
{
    struct src_pos pos = pos_of(ev->start_mark);
    const char *value = (const char *)ev->data.scalar.value;
    size_t n = ev->data.scalar.length;
    struct yaml_node *node = new_node(b, YAML_STRING, pos);
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    refuse_anchor(b, ev->data.scalar.anchor, pos);
    if (memchr(value, '\0', n)) {
        doc_error(b, pos, "a NUL character isn't allowed in a value or key");
        node->kind = YAML_BAD;
        place(b, node);
        return;
    }
    node->text = arena_memdup0(&b->f->arena, value, n);
    if (plain)
        yaml_resolve_plain(node);
    check_tag(b, node, ev->data.scalar.tag);
    if (plain && expects_key(b) && strcmp(node->text, "<<") == 0) {
        doc_error(b, pos, "merge keys ('<<') aren't allowed: use extends");
        node->kind = YAML_BAD;
    }
    place(b, node);
}

static void on_alias(struct builder *b, const yaml_event_t *ev)
{
    struct src_pos pos = pos_of(ev->start_mark);
    AUTO_FREE char *q = diag_quote((const char *)ev->data.alias.anchor);
    doc_error(b, pos, "aliases (%s) aren't allowed: write the value out, or use extends", q);
    place(b, new_node(b, YAML_BAD, pos));
}

static void on_open(struct builder *b, enum yaml_kind kind, const yaml_event_t *ev)
{
    struct src_pos pos = pos_of(ev->start_mark);
    if (b->depth == MANIFEST_MAX_DEPTH) {
        file_error(b->f, pos, "nested deeper than %d levels", MANIFEST_MAX_DEPTH);
        return;
    }
    bool seq = kind == YAML_SEQ;
    struct yaml_node *node = new_node(b, kind, pos);
    refuse_anchor(b, seq ? ev->data.sequence_start.anchor : ev->data.mapping_start.anchor, pos);
    check_tag(b, node, seq ? ev->data.sequence_start.tag : ev->data.mapping_start.tag);
    bool as_key = expects_key(b);
    if (as_key)
        take_key(b, node);
    b->frames[b->depth++] =
        (struct frame){.node = node, .first = b->n_pending, .stands_as_key = as_key};
}

static int by_key(const void *a, const void *b)
{
    const struct yaml_pair *const *x = a;
    const struct yaml_pair *const *y = b;
    int c = strcmp((*x)->key, (*y)->key);
    if (c)
        return c;
    return *x < *y ? -1 : *x > *y;
}

static void find_duplicates(struct builder *b, struct yaml_node *map)
{
    AUTO_FREE const struct yaml_pair **sorted = xcalloc(map->len, sizeof(*sorted));
    for (size_t i = 0; i < map->len; i++)
        sorted[i] = &map->pairs[i];
    qsort(sorted, map->len, sizeof(*sorted), by_key);
    const struct yaml_pair *first = NULL;
    for (size_t i = 0; i < map->len; i++) {
        if (!first || strcmp(first->key, sorted[i]->key) != 0) {
            first = sorted[i];
            continue;
        }
        AUTO_FREE char *q = diag_quote(first->key);
        doc_error(b, sorted[i]->key_pos, "the key %s is here twice, first at line %u", q,
                  first->key_pos.line);
        map->duplicates = true;
    }
}

static void on_close(struct builder *b)
{
    struct frame fr = b->frames[b->depth - 1];
    size_t n = b->n_pending - fr.first;
    fr.node->pairs = arena_calloc(&b->f->arena, n, sizeof(*fr.node->pairs));
    if (n)
        memcpy(fr.node->pairs, b->pending + fr.first, n * sizeof(*fr.node->pairs));
    fr.node->len = n;
    b->n_pending = fr.first;
    b->depth--;
    if (fr.node->kind == YAML_MAP)
        find_duplicates(b, fr.node);
    if (!fr.stands_as_key)
        place(b, fr.node);
}

static void on_document(struct builder *b, const yaml_event_t *ev)
{
    struct yaml_file *f = b->f;
    struct src_pos pos = pos_of(ev->start_mark);
    if (f->len == MANIFEST_MAX_DOCUMENTS) {
        file_error(f, pos, "more than %d documents in a file", MANIFEST_MAX_DOCUMENTS);
        return;
    }
    f->docs = xreallocarray(f->docs, f->len + 1, sizeof(*f->docs));
    b->doc = &f->docs[f->len++];
    *b->doc = (struct yaml_doc){.pos = pos};
}

static bool is_node(yaml_event_type_t type)
{
    return type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT ||
           type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
}

/* False at the end of the stream. */
static bool on_event(struct builder *b, const yaml_event_t *ev)
{
    if (is_node(ev->type) && ++b->nodes > MANIFEST_MAX_NODES) {
        file_error(b->f, pos_of(ev->start_mark), "more than %d values and keys in a file",
                   MANIFEST_MAX_NODES);
        return false;
    }
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        on_document(b, ev);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(b, ev);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, ev);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(b, YAML_SEQ, ev);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(b, YAML_MAP, ev);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(b);
        break;
    case YAML_STREAM_END_EVENT:
        return false;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return b->f->ok;
}

static void syntax_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR)
        xoom();
    const char *problem = p->problem ? p->problem : "can't be read";
    if (p->error == YAML_READER_ERROR) {
        file_error(b->f, pos_at(b->bytes, p->problem_offset), "not text in UTF-8: %s", problem);
    } else if (p->context && p->context_mark.line != p->problem_mark.line) {
        file_error(b->f, pos_of(p->problem_mark), "not valid YAML: %s, %s from line %zu on",
                   problem, p->context, p->context_mark.line + 1);
    } else {
        file_error(b->f, pos_of(p->problem_mark), "not valid YAML: %s%s%s", problem,
                   p->context ? ", " : "", p->context ? p->context : "");
    }
}

static void run(struct builder *b)
{
    if (!yaml_parser_initialize(&b->parser))
        xoom();
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b->parser, (const unsigned char *)b->bytes.p, b->bytes.n);
    for (bool more = true; more;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&b->parser, &ev)) {
            syntax_error(b);
            break;
        }
        more = on_event(b, &ev);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&b->parser);
    free(b->pending);
}

static bool starts_with(struct sv s, const char *prefix, size_t n)
{
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

/* What has to be refused before libyaml sees it. */
static bool precheck(struct yaml_file *f, struct sv bytes)
{
    if (bytes.n > MANIFEST_MAX_BYTES) {
        file_error(f, (struct src_pos){1, 1}, "larger than %d KiB", MANIFEST_MAX_BYTES / 1024);
        return false;
    }
    if (starts_with(bytes, "\xFF\xFE", 2) || starts_with(bytes, "\xFE\xFF", 2)) {
        file_error(f, (struct src_pos){1, 1}, "this is UTF-16; a manifest is UTF-8");
        return false;
    }
    size_t i = 0;
    while (i < bytes.n && (bytes.p[i] == ' ' || (bytes.p[i] >= '\t' && bytes.p[i] <= '\r')))
        i++;
    if (i == bytes.n) {
        file_error(f, (struct src_pos){1, 1},
                   "the file is empty; to remove a bottle, remove the file");
        return false;
    }
    /* libyaml searches all earlier ones for each %TAG line: quadratic, and of no use here. */
    for (const char *line = bytes.p; line;) {
        size_t at = (size_t)(line - bytes.p);
        if (starts_with((struct sv){line, bytes.n - at}, "%TAG", 4)) {
            file_error(f, pos_at(bytes, at), "%%TAG directives aren't allowed");
            return false;
        }
        line = memchr(line, '\n', bytes.n - at);
        if (line && ++line == bytes.p + bytes.n)
            break;
    }
    return true;
}

void yaml_file_parse(struct yaml_file *f, const char *path, struct sv bytes)
{
    *f = (struct yaml_file){.path = path, .ok = true};
    if (bytes.n >= 3 && memcmp(bytes.p, "\xEF\xBB\xBF", 3) == 0)
        bytes = (struct sv){bytes.p + 3, bytes.n - 3};
    if (!precheck(f, bytes))
        return;
    struct builder *b = xcalloc(1, sizeof(*b));
    b->f = f;
    b->bytes = bytes;
    run(b);
    free(b);
    if (f->ok)
        return;
    for (size_t i = 0; i < f->len; i++)
        diag_list_move(&f->diags, &f->docs[i].diags);
    f->len = 0;
}

void yaml_file_done(struct yaml_file *f)
{
    for (size_t i = 0; i < f->len; i++)
        diag_list_done(&f->docs[i].diags);
    free(f->docs);
    diag_list_done(&f->diags);
    arena_done(&f->arena);
    *f = (struct yaml_file){0};
}

const struct yaml_pair *yaml_get_pair(const struct yaml_node *map, const char *key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->len; i++) {
        if (strcmp(map->pairs[i].key, key) == 0)
            return &map->pairs[i];
    }
    return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    const struct yaml_pair *p = yaml_get_pair(map, key);
    return p ? p->value : NULL;
}

const struct yaml_node *yaml_nearest(const struct yaml_node *root, const char *path)
{
    const struct yaml_node *at = root;
    while (*path) {
        path += *path == '.' || *path == '[';
        size_t n = strcspn(path, ".[]");
        AUTO_FREE char *key = xmemdup0(path, n);
        int64_t index = 0;
        const struct yaml_node *next = NULL;
        if (at->kind == YAML_MAP)
            next = yaml_get(at, key);
        else if (at->kind == YAML_SEQ && num_parse(sv_of(key), 0, (int64_t)at->len - 1, &index))
            next = at->pairs[index].value;
        if (!next)
            break;
        at = next;
        path += n;
        path += *path == ']';
    }
    return at;
}
