/* SPDX-License-Identifier: Apache-2.0 */
/* The record of the last generation that converged: its form. */
#include "controller/history.h"

#include "spec/base/xalloc.h"

#include <stdio.h>
#include <string.h>

void kv_list_clear(struct kv_list *l)
{
    for (size_t i = 0; i < l->len; i++) {
        free(l->items[i].key);
        free(l->items[i].value);
    }
    free(l->items);
    *l = (struct kv_list){0};
}

static void add(struct kv_list *l, const char *key, const char *value)
{
    l->items = xreallocarray(l->items, l->len + 1, sizeof(*l->items));
    l->items[l->len++] = (struct kv){.key = xstrdup(key), .value = xstrdup(value)};
}

static int by_key(const void *a, const void *b)
{
    const struct kv *x = a;
    const struct kv *y = b;
    return strcmp(x->key, y->key);
}

static void sort(struct kv_list *l)
{
    if (l->len)
        qsort(l->items, l->len, sizeof(*l->items), by_key);
}

static bool kv_list_same(const struct kv_list *a, const struct kv_list *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++) {
        if (strcmp(a->items[i].key, b->items[i].key) != 0 ||
            strcmp(a->items[i].value, b->items[i].value) != 0)
            return false;
    }
    return true;
}

void secret_hashes(const struct secret_set *s, const uint8_t key[HASH_KEY_BYTES],
                   struct kv_list *ret)
{
    static const char domain[] = "bottler secret reference";
    struct kv_list l = {0};
    for (size_t i = 0; i < s->len; i++) {
        const struct render_secret *x = &s->items[i];
        size_t name_n = strlen(x->name) + 1;
        size_t n = sizeof(domain) + name_n + x->value.n;
        char hex[HASH_HEX + 1];
        char *buf = xmalloc(n);
        memcpy(buf, domain, sizeof(domain));
        memcpy(buf + sizeof(domain), x->name, name_n);
        if (x->value.n)
            memcpy(buf + sizeof(domain) + name_n, x->value.p, x->value.n);
        hash_keyed_hex(key, (struct sv){buf, n}, hex);
        secret_wipe(buf, n);
        free(buf);
        add(&l, x->name, hex);
    }
    sort(&l);
    kv_list_clear(ret);
    *ret = l;
}

/* ---- the record ----------------------------------------------------------------------------- */

void applied_done(struct applied *a)
{
    free(a->text);
    free(a->revision);
    free(a->file);
    kv_list_clear(&a->secrets);
    *a = (struct applied){0};
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool applied_same(const struct applied *a, const struct applied *b)
{
    return a->generation == b->generation && same(a->text, b->text) &&
           same(a->revision, b->revision) && same(a->file, b->file) &&
           kv_list_same(&a->secrets, &b->secrets);
}

char *applied_format(const struct applied *a)
{
    json_t *secrets = XNN(json_object());
    for (size_t i = 0; i < a->secrets.len; i++)
        json_object_set_new(secrets, a->secrets.items[i].key,
                            json_string(a->secrets.items[i].value));
    json_t *o = XNN(json_pack("{s:I, s:s?, s:s?, s:I, s:o, s:s}", "generation",
                              (json_int_t)a->generation, "revision", a->revision, "file", a->file,
                              "at", (json_int_t)a->at_ms, "secrets", secrets, "text", a->text));
    AUTO_FREE char *line = XNN(json_dumps(o, JSON_COMPACT));
    json_decref(o);
    return xasprintf("%s\n", line);
}

static bool read_secrets(json_t *o, struct kv_list *ret)
{
    const char *key = NULL;
    json_t *v = NULL;
    if (!json_is_object(o))
        return false;
    json_object_foreach(o, key, v)
    {
        const char *hex = json_string_value(v);
        if (!hex || strlen(hex) != HASH_HEX || !str_is_hex(hex, HASH_HEX))
            return false;
        add(ret, key, hex);
    }
    sort(ret);
    return true;
}

static const char *read_fields(const json_t *o, struct applied *a)
{
    a->generation = json_integer_value(json_object_get(o, "generation"));
    a->at_ms = json_integer_value(json_object_get(o, "at"));
    a->text = xstrdup_null(json_string_value(json_object_get(o, "text")));
    a->revision = xstrdup_null(json_string_value(json_object_get(o, "revision")));
    a->file = xstrdup_null(json_string_value(json_object_get(o, "file")));
    if (a->generation < 1)
        return "expected a generation from 1";
    if (!a->text || !*a->text)
        return "expected the text of a manifest";
    if (!read_secrets(json_object_get(o, "secrets"), &a->secrets))
        return "expected secrets as references and their keyed hashes";
    return NULL;
}

struct err *applied_parse(struct sv text, struct applied *ret)
{
    struct applied a = {0};
    json_t *o = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    const char *wrong = o ? read_fields(o, &a) : "expected JSON";
    json_decref(o);
    if (wrong) {
        applied_done(&a);
        return err_new(ERR_INVALID, "%s", wrong);
    }
    *ret = a;
    return NULL;
}
