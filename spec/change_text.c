/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/change_text.h"

#include "spec/base/xalloc.h"
#include "spec/manifest.h"
#include "spec/parse.h"

#include <inttypes.h>
#include <string.h>

/* A value is at most a manifest, and a byte of it four of a list's or map's text. */
enum { WHOLE_MAX = 4 * MANIFEST_MAX_BYTES, LINE_MAX_BYTES = 60, NAMED = 3 };

static char *normal_of(const struct field *f, const struct yaml_node *n)
{
    check_text_fn *text = field_text_check(f->kind);
    check_number_fn *number = field_number_check(f->kind);
    int64_t value = 0;
    struct str why;
    char *normal = NULL;
    str_init(&why, CHECK_WHY_MAX);
    if (n->kind == YAML_BOOL)
        normal = xstrdup(n->boolean ? "true" : "false");
    else if (f->kind == FIELD_INT && n->kind == YAML_INT)
        normal = xasprintf("%" PRId64, n->integer);
    else if (number && n->text && number(n->text, &why, &value))
        normal = xasprintf("%" PRId64, value);
    else if (!text || !n->text || !text(n->text, &why, &normal))
        normal = xstrdup(n->text ? n->text : yaml_kind_name(n->kind));
    str_done(&why);
    return normal;
}

char *field_normal(const struct field *f, const struct yaml_node *n, const char *def)
{
    if (n)
        return normal_of(f, n);
    if (!def)
        return NULL;
    struct yaml_node filled = {.file = "", .text = def};
    yaml_resolve_plain(&filled);
    return normal_of(f, &filled);
}

/* ---- one line -------------------------------------------------------------------------------- */

/* Control characters and what follows `max` bytes don't get on a line; no character is halved. */
static void add_line(struct str *out, const char *text, size_t n, size_t max)
{
    size_t cut = n > max ? str_char_start(text, max) : n;
    for (size_t i = 0; i < cut; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == 0x7f)
            str_addf(out, "\\x%02x", c);
        else
            str_addc(out, text[i]);
    }
    if (cut < n)
        str_add(out, "...");
}

static char *one_line(struct str *whole)
{
    struct str out;
    str_init(&out, 8 * CHANGE_TEXT_MAX);
    add_line(&out, whole->p, whole->len, CHANGE_TEXT_MAX);
    str_done(whole);
    return XNN(str_take(&out));
}

/* Both on one line each; where what differs would be cut off, from shortly before it on. */
static void two_lines(struct str *a, struct str *b, char **ret_a, char **ret_b)
{
    enum { BEFORE = 20 };
    size_t same = 0;
    while (same < a->len && same < b->len && a->p[same] == b->p[same])
        same++;
    size_t from = same > CHANGE_TEXT_MAX - BEFORE ? str_char_start(a->p, same - BEFORE) : 0;
    struct str *const sides[] = {a, b};
    char **const ret[] = {ret_a, ret_b};
    for (size_t i = 0; i < 2; i++) {
        struct str out;
        str_init(&out, 8 * CHANGE_TEXT_MAX);
        str_add(&out, from ? "..." : "");
        add_line(&out, sides[i]->p + from, sides[i]->len - from, CHANGE_TEXT_MAX - BEFORE);
        str_done(sides[i]);
        *ret[i] = XNN(str_take(&out));
    }
}

static void add_content(struct str *out, const char *text, const char *line, unsigned number)
{
    size_t n = strcspn(line, "\n");
    str_addf(out, "%zu bytes", strlen(text));
    if (number > 1)
        str_addf(out, ", line %u", number);
    if (n) {
        str_add(out, ": ");
        add_line(out, line, n, LINE_MAX_BYTES);
    }
}

static void add_node(struct str *out, const struct field *f, const char *at,
                     const struct yaml_node *n);

static const struct field *field_of(const char *at, const char *key)
{
    const struct field *f = field_find(&fields_bottle, at, key);
    return f ? f : field_find(&fields_bottle, at, "*");
}

/* Recursion is bounded by MANIFEST_MAX_DEPTH. */
static void add_map(struct str *out, const char *at, const struct yaml_node *n)
{
    str_addc(out, '{');
    for (size_t i = 0; i < n->len; i++) {
        const struct field *f = field_of(at, n->pairs[i].key);
        struct str path;
        str_init(&path, FIELD_PATH_MAX);
        str_addf(&path, "%s.%s", at, f ? f->name : n->pairs[i].key);
        str_addf(out, "%s%s: ", i ? ", " : "", n->pairs[i].key);
        add_node(out, f, path.p, n->pairs[i].value);
        str_done(&path);
    }
    str_addc(out, '}');
}

static void add_list(struct str *out, const char *at, const struct yaml_node *n)
{
    AUTO_FREE char *item_at = xasprintf("%s[]", at);
    const struct field *item = field_find(&fields_bottle, at, "[]");
    str_addc(out, '[');
    for (size_t i = 0; i < n->len; i++) {
        str_add(out, i ? ", " : "");
        add_node(out, item, item_at, n->pairs[i].value);
    }
    str_addc(out, ']');
}

static void add_node(struct str *out, const struct field *f, const char *at,
                     const struct yaml_node *n)
{
    if (n->kind == YAML_MAP)
        add_map(out, at, n);
    else if (n->kind == YAML_SEQ)
        add_list(out, at, n);
    else if (n->kind == YAML_BOOL)
        str_add(out, n->boolean ? "true" : "false");
    else if (!n->text)
        str_add(out, "null");
    else if (f && f->kind == FIELD_CONTENT)
        add_content(out, n->text, n->text, 1);
    else
        str_add(out, *n->text ? n->text : "\"\"");
}

char *change_text(const struct field *f, const char *at, const struct yaml_node *n)
{
    if (!n || (n->kind == YAML_SEQ && n->len == 0))
        return NULL;
    struct str whole;
    str_init(&whole, WHOLE_MAX);
    add_node(&whole, f, at, n);
    return one_line(&whole);
}

/* ---- both sides ------------------------------------------------------------------------------ */

static bool has_word(const struct yaml_node *list, const char *word)
{
    for (size_t i = 0; list && i < list->len; i++) {
        const char *text = list->pairs[i].value->text;
        if (text && strcmp(text, word) == 0)
            return true;
    }
    return false;
}

/* "1000 items, among them a, b, +1 more": those that `other` doesn't have. */
static void words_of_long(struct str *out, const struct yaml_node *list,
                          const struct yaml_node *other, size_t at)
{
    size_t more = 0;
    str_addf(out, "%zu items", list->len);
    for (size_t i = 0; i < list->len; i++) {
        const char *word = list->pairs[i].value->text;
        if (!word || has_word(other, word))
            continue;
        if (more++ < NAMED)
            str_addf(out, "%s%s", more == 1 ? ", among them " : ", ", word);
    }
    if (more > NAMED)
        str_addf(out, ", +%zu more", more - NAMED);
    if (!more && at < list->len && list->pairs[at].value->text)
        str_addf(out, ", place %zu: %s", at + 1, list->pairs[at].value->text);
}

static bool is_long(const struct yaml_node *list)
{
    size_t n = 0;
    for (size_t i = 0; list && i < list->len; i++)
        n += list->pairs[i].value->text ? strlen(list->pairs[i].value->text) + 2 : 0;
    return n > CHANGE_TEXT_MAX - 2;
}

/* How many places at the start of both lists hold the same word. */
static size_t same_places(const struct yaml_node *a, const struct yaml_node *b)
{
    size_t i = 0;
    while (i < a->len && i < b->len && a->pairs[i].value->text && b->pairs[i].value->text &&
           strcmp(a->pairs[i].value->text, b->pairs[i].value->text) == 0)
        i++;
    return i;
}

static void words_pair(const struct field *f, const struct yaml_node *a, const struct yaml_node *b,
                       struct str *old, struct str *new)
{
    struct str at;
    str_init(&at, FIELD_PATH_MAX);
    field_path(f, &at);
    if (is_long(a) || is_long(b)) {
        size_t place = same_places(a, b);
        words_of_long(old, a, b, place);
        words_of_long(new, b, a, place);
    } else {
        add_node(old, f, at.p, a);
        add_node(new, f, at.p, b);
    }
    str_done(&at);
}

static void content_pair(const char *a, const char *b, struct str *old, struct str *new)
{
    size_t from = 0;
    size_t at = 0;
    unsigned line = 1;
    for (; a[at] && a[at] == b[at]; at++) {
        if (a[at] != '\n')
            continue;
        from = at + 1;
        line++;
    }
    /* A long line: not from its start. */
    enum { BEFORE = 20 };
    if (at - from > LINE_MAX_BYTES - BEFORE)
        from = str_char_start(a, at - BEFORE);
    add_content(old, a, a + from, line);
    add_content(new, b, b + from, line);
}

void change_text_pair(const struct field *f, const struct yaml_node *a, const struct yaml_node *b,
                      char **ret_old, char **ret_new)
{
    struct str old;
    struct str new;
    str_init(&old, WHOLE_MAX);
    str_init(&new, WHOLE_MAX);
    if (f->kind == FIELD_LIST)
        words_pair(f, a, b, &old, &new);
    else if (f->kind == FIELD_CONTENT && a->text && b->text)
        content_pair(a->text, b->text, &old, &new);
    else {
        add_node(&old, f, "", a);
        add_node(&new, f, "", b);
    }
    two_lines(&old, &new, ret_old, ret_new);
}
