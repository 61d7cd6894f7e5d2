/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/diag.h"

#include "spec/base/xalloc.h"

#include <string.h>

enum { QUOTE_MAX = 80 };

static void list_push(struct diag_list *l, struct diag d)
{
    l->items = xreallocarray(l->items, l->len + 1, sizeof(*l->items));
    l->items[l->len++] = d;
}

void diag_add(struct diag_sink *s, const char *file, struct src_pos pos, const char *field,
              char *message_take)
{
    bool first_here = !s->failed || s->list->len == 0;
    s->failed = true;
    if (*s->used > MANIFEST_MAX_ERRORS && !first_here) {
        free(message_take);
        return;
    }
    if (*s->used >= MANIFEST_MAX_ERRORS) {
        free(message_take);
        field = NULL;
        message_take = xasprintf("more errors, not shown: the first %d of this file are listed",
                                 MANIFEST_MAX_ERRORS);
    }
    (*s->used)++;
    list_push(s->list, (struct diag){.file = xstrdup(file),
                                     .pos = pos,
                                     .field = xstrdup_null(field),
                                     .message = message_take});
}

void diag_list_done(struct diag_list *l)
{
    for (size_t i = 0; i < l->len; i++) {
        free(l->items[i].file);
        free(l->items[i].field);
        free(l->items[i].message);
    }
    free(l->items);
    *l = (struct diag_list){0};
}

void diag_list_move(struct diag_list *to, struct diag_list *from)
{
    for (size_t i = 0; i < from->len; i++)
        list_push(to, from->items[i]);
    free(from->items);
    *from = (struct diag_list){0};
}

static void add_escaped(struct str *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        /* C1 controls are two bytes in UTF-8: 0xC2 0x80..0x9F. */
        if (*c == 0xC2 && c[1] >= 0x80 && c[1] <= 0x9F) {
            str_addf(out, "\\x%02x", c[1]);
            c++;
        } else if (*c == '\n') {
            str_add(out, "\\n");
        } else if (*c == '\t') {
            str_add(out, "\\t");
        } else if (*c < 0x20 || *c == 0x7F) {
            str_addf(out, "\\x%02x", *c);
        } else {
            str_addc(out, (char)*c);
        }
    }
}

void diag_format(const struct diag *d, struct str *out)
{
    add_escaped(out, d->file);
    if (d->pos.line)
        str_addf(out, ":%u:%u", d->pos.line, d->pos.column);
    str_add(out, ": ");
    if (d->field) {
        add_escaped(out, d->field);
        str_add(out, ": ");
    }
    add_escaped(out, d->message);
}

struct ranked {
    struct diag d;
    size_t at;
};

static int by_place(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    int c = strcmp(x->d.file, y->d.file);
    if (c)
        return c;
    if (x->d.pos.line != y->d.pos.line)
        return x->d.pos.line < y->d.pos.line ? -1 : 1;
    if (x->d.pos.column != y->d.pos.column)
        return x->d.pos.column < y->d.pos.column ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

void diag_list_sort(struct diag_list *l)
{
    if (l->len < 2)
        return;
    AUTO_FREE struct ranked *r = xcalloc(l->len, sizeof(*r));
    for (size_t i = 0; i < l->len; i++)
        r[i] = (struct ranked){.d = l->items[i], .at = i};
    qsort(r, l->len, sizeof(*r), by_place);
    for (size_t i = 0; i < l->len; i++)
        l->items[i] = r[i].d;
}

static bool is_plain_key(const char *key)
{
    return *key && strlen(key) <= QUOTE_MAX &&
           key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789_-")] == '\0';
}

void field_path_add_key(struct str *path, const char *key)
{
    if (!is_plain_key(key)) {
        AUTO_FREE char *q = diag_quote(key);
        str_addf(path, "[%s]", q);
        return;
    }
    if (path->len)
        str_addc(path, '.');
    str_add(path, key);
}

void field_path_add_index(struct str *path, size_t index)
{
    str_addf(path, "[%zu]", index);
}

void field_path_cut(struct str *path, size_t len)
{
    if (len < path->len) {
        path->len = len;
        path->p[len] = '\0';
    }
}

char *diag_quote(const char *text)
{
    size_t n = strlen(text);
    if (n <= QUOTE_MAX)
        return xasprintf("'%s'", text);
    size_t cut = str_char_start(text, QUOTE_MAX - 3);
    return xasprintf("'%.*s...'", (int)cut, text);
}
