/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/parse.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "spec/check.h"
#include "spec/retired.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

/* Lengths to cut both paths back to. */
struct place {
    size_t at;
    size_t shown;
};

static struct place enter(struct parse_ctx *c, const char *name, const char *shown)
{
    struct place p = {c->at.len, c->shown.len};
    if (c->at.len && strcmp(name, "[]") != 0)
        str_addc(&c->at, '.');
    str_add(&c->at, name);
    if (shown)
        field_path_add_key(&c->shown, shown);
    return p;
}

static void leave(struct parse_ctx *c, struct place p)
{
    field_path_cut(&c->at, p.at);
    field_path_cut(&c->shown, p.shown);
}

void parse_ctx_init(struct parse_ctx *c, const struct field_table *t, struct diag_sink sink)
{
    *c = (struct parse_ctx){.table = t, .sink = sink};
    str_init(&c->at, FIELD_PATH_MAX);
    str_init(&c->shown, FIELD_PATH_MAX);
}

void parse_ctx_done(struct parse_ctx *c)
{
    str_done(&c->at);
    str_done(&c->shown);
}

static void report(struct parse_ctx *c, const char *file, struct src_pos pos, char *message_take)
{
    diag_add(&c->sink, file, pos, c->shown.len ? c->shown.p : NULL, message_take);
}

void parse_error(struct parse_ctx *c, const struct yaml_node *node, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report(c, node->file, node->pos, xvasprintf(fmt, ap));
    va_end(ap);
}

void parse_error_in(struct parse_ctx *c, const struct yaml_node *node, const char *key,
                    const char *fmt, ...)
{
    size_t shown = c->shown.len;
    va_list ap;
    va_start(ap, fmt);
    field_path_add_key(&c->shown, key);
    report(c, node->file, node->pos, xvasprintf(fmt, ap));
    field_path_cut(&c->shown, shown);
    va_end(ap);
}

void parse_error_item(struct parse_ctx *c, const struct yaml_node *node, struct parse_item item,
                      const char *fmt, ...)
{
    size_t shown = c->shown.len;
    va_list ap;
    va_start(ap, fmt);
    field_path_add_key(&c->shown, item.list);
    field_path_add_index(&c->shown, item.index);
    if (item.key)
        field_path_add_key(&c->shown, item.key);
    report(c, node->file, node->pos, xvasprintf(fmt, ap));
    field_path_cut(&c->shown, shown);
    va_end(ap);
}

check_text_fn *field_text_check(enum field_kind kind)
{
    static check_text_fn *const checks[FIELD_KIND_COUNT] = {
        [FIELD_NAME] = check_name,
        [FIELD_UID] = check_uid,
        [FIELD_LABEL_KEY] = check_label_key,
        [FIELD_LABEL_VALUE] = check_label_value,
        [FIELD_TEXT] = check_text,
        [FIELD_CONTENT] = check_content,
        [FIELD_ARGUMENT] = check_argument,
        [FIELD_IMAGE] = check_image,
        [FIELD_USER] = check_user,
        [FIELD_RUNTIME] = check_runtime,
        [FIELD_VOLUME] = check_volume,
        [FIELD_ENV_NAME] = check_env_name,
        [FIELD_SECRET] = check_secret_name,
        [FIELD_PRESET] = check_preset,
        [FIELD_PERSON] = check_person,
        [FIELD_EMAIL] = check_email,
        [FIELD_REPO_NAME] = check_repo_name,
        [FIELD_PATH] = check_path,
        [FIELD_MOUNT_SOURCE] = check_mount_source,
        [FIELD_MOUNT_TARGET] = check_mount_target,
        [FIELD_FILE_PATH] = check_file_path,
        [FIELD_HOST] = check_host,
        [FIELD_URL_PATH] = check_url_path,
        [FIELD_METHOD] = check_method,
        [FIELD_HEADER_NAME] = check_header_name,
        [FIELD_HEADER_VALUE] = check_header_value,
        [FIELD_CIDR] = check_cidr,
        [FIELD_SSH_URL] = check_ssh_url,
        [FIELD_HOST_KEY] = check_host_key,
        [FIELD_IMAGE_PREFIX] = check_image_prefix,
        [FIELD_HOST_PATTERN] = check_host_pattern,
    };
    return kind < FIELD_KIND_COUNT ? checks[kind] : NULL;
}

check_number_fn *field_number_check(enum field_kind kind)
{
    static check_number_fn *const checks[FIELD_KIND_COUNT] = {
        [FIELD_MEMORY] = check_memory, [FIELD_CPUS] = check_cpus,         [FIELD_MODE] = check_mode,
        [FIELD_TIME] = check_time,     [FIELD_DURATION] = check_duration,
    };
    return kind < FIELD_KIND_COUNT ? checks[kind] : NULL;
}

/* What may be a secret isn't repeated: messages go to logs. */
static bool is_quiet(enum field_kind kind)
{
    return kind == FIELD_ENV_VALUE || kind == FIELD_SECRET || kind == FIELD_CONTENT;
}

static void wrong_type(struct parse_ctx *c, enum field_kind kind, const struct yaml_node *n,
                       const char *expected)
{
    if (n->kind == YAML_BAD)
        return;
    AUTO_FREE char *got = is_quiet(kind) ? xstrdup(yaml_kind_name(n->kind)) : yaml_describe(n);
    bool quotable = n->kind == YAML_BOOL || n->kind == YAML_INT || n->kind == YAML_FLOAT;
    bool text = strcmp(expected, "a string") == 0;
    parse_error(c, n, "expected %s, got %s%s", expected, got,
                text && quotable ? "; put it in quotes" : "");
}

/* The text check of `kind` on a node: its normal form, or NULL after an error. */
static char *checked_text(struct parse_ctx *c, enum field_kind kind, const struct yaml_node *n)
{
    if (n->kind != YAML_STRING) {
        wrong_type(c, kind, n, "a string");
        return NULL;
    }
    struct str why;
    char *value = NULL;
    str_init(&why, CHECK_WHY_MAX);
    if (!field_text_check(kind)(n->text, &why, &value))
        parse_error(c, n, "%s", why.p);
    str_done(&why);
    return value;
}

static void store_number(const struct field *f, char *base, int64_t v)
{
    if (f->size == sizeof(int64_t)) {
        memcpy(base + f->offset, &v, sizeof(v));
    } else {
        int32_t narrow = (int32_t)v;
        assert(f->size == sizeof(narrow) && narrow == v);
        memcpy(base + f->offset, &narrow, sizeof(narrow));
    }
}

static void read_number(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                        char *base)
{
    bool fits = n->kind == YAML_STRING || (n->kind == YAML_INT && f->kind != FIELD_TIME) ||
                (n->kind == YAML_FLOAT && f->kind == FIELD_CPUS);
    if (!fits) {
        wrong_type(c, f->kind, n,
                   f->kind == FIELD_TIME       ? "a time in UTC such as 2026-12-01T00:00:00Z"
                   : f->kind == FIELD_DURATION ? "a duration such as 30m, 4h or 2d"
                                               : "a number or string");
        return;
    }
    struct str why;
    int64_t value = 0;
    str_init(&why, CHECK_WHY_MAX);
    if (field_number_check(f->kind)(n->text, &why, &value))
        store_number(f, base, value);
    else
        parse_error(c, n, "%s", why.p);
    str_done(&why);
}

static void read_int(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                     char *base)
{
    if (n->kind != YAML_INT) {
        wrong_type(c, f->kind, n, "an integer");
    } else if (n->integer < f->min || n->integer > f->max) {
        AUTO_FREE char *q = diag_quote(n->text);
        parse_error(c, n, "expected a number from %lld to %lld, got %s", (long long)f->min,
                    (long long)f->max, q);
    } else {
        store_number(f, base, n->integer);
    }
}

static void read_bool(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                      char *base)
{
    if (n->kind != YAML_BOOL)
        wrong_type(c, f->kind, n, "true or false");
    else
        memcpy(base + f->offset, &n->boolean, sizeof(n->boolean));
}

static void read_enum(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                      char *base)
{
    for (unsigned i = 0; n->kind == YAML_STRING && f->words[i]; i++) {
        if (strcmp(f->words[i], n->text) == 0) {
            store_number(f, base, f->min + i);
            return;
        }
    }
    struct str words;
    str_init(&words, CHECK_WHY_MAX);
    for (const char *const *w = f->words; *w; w++)
        str_addf(&words, "%s%s", w == f->words ? "" : w[1] ? ", " : " or ", *w);
    wrong_type(c, f->kind, n, words.p);
    str_done(&words);
}

static void read_env_value(struct parse_ctx *c, const struct yaml_node *n, char *base)
{
    if (n->kind != YAML_STRING) {
        wrong_type(c, FIELD_ENV_VALUE, n, "a string");
        return;
    }
    struct str why;
    char *value = NULL;
    char *secret = NULL;
    str_init(&why, CHECK_WHY_MAX);
    if (!check_env_value(n->text, &why, &value, &secret))
        parse_error(c, n, "%s", why.p);
    str_done(&why);
    memcpy(base + offsetof(struct env_var, value), &value, sizeof(value));
    memcpy(base + offsetof(struct env_var, secret), &secret, sizeof(secret));
}

static void read_window(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                        char *base)
{
    if (n->kind != YAML_STRING) {
        wrong_type(c, f->kind, n, "a time of day from-to in UTC such as 22:00-06:00");
        return;
    }
    struct str why;
    int minutes[2] = {0};
    str_init(&why, CHECK_WHY_MAX);
    if (!check_window(n->text, &why, &minutes[0], &minutes[1]))
        parse_error(c, n, "%s", why.p);
    str_done(&why);
    memcpy(base + f->offset, minutes, sizeof(minutes));
}

static void read_scalar(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                        char *base)
{
    if (f->kind == FIELD_BOOL) {
        read_bool(c, f, n, base);
    } else if (f->kind == FIELD_INT) {
        read_int(c, f, n, base);
    } else if (f->kind == FIELD_ENUM) {
        read_enum(c, f, n, base);
    } else if (f->kind == FIELD_ENV_VALUE) {
        read_env_value(c, n, base);
    } else if (f->kind == FIELD_WINDOW) {
        read_window(c, f, n, base);
    } else if (field_number_check(f->kind)) {
        read_number(c, f, n, base);
    } else {
        char *value = checked_text(c, f->kind, n);
        memcpy(base + f->offset, &value, sizeof(value));
    }
}

static void read_object(struct parse_ctx *c, const struct yaml_node *n, char *base);

static bool too_many(struct parse_ctx *c, const struct field *f, const struct yaml_node *n)
{
    if (!f->max || n->len <= (size_t)f->max)
        return false;
    parse_error(c, n, "expected at most %lld entries, got %zu", (long long)f->max, n->len);
    return true;
}

static void read_item(struct parse_ctx *c, const struct field *item, const struct yaml_node *n,
                      char *base)
{
    if (item->kind != FIELD_OBJECT)
        read_scalar(c, item, n, base);
    else if (n->kind == YAML_MAP)
        read_object(c, n, base);
    else
        wrong_type(c, item->kind, n, "a map");
}

static void read_string_item(struct parse_ctx *c, const struct field *list,
                             const struct field *item, const struct yaml_node *n,
                             struct str_list *out)
{
    AUTO_FREE char *value = checked_text(c, item->kind, n);
    if (!value)
        return;
    if ((list->flags & FIELD_UNIQUE) && str_list_has(out, value)) {
        AUTO_FREE char *q = diag_quote(value);
        parse_error(c, n, "%s is in the list twice", q);
        return;
    }
    str_list_add_take(out, TAKE_PTR(value));
}

static void read_list(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                      char *base)
{
    if (n->kind != YAML_SEQ) {
        wrong_type(c, f->kind, n, "a list");
        return;
    }
    if (too_many(c, f, n) || n->len == 0)
        return;
    const struct field *item = field_next(c->table, c->at.p, NULL);
    struct place p = enter(c, "[]", NULL);
    struct str_list strings = {0};
    char *items = f->size ? xcalloc(n->len, f->size) : NULL;
    if (items) {
        memcpy(base + f->offset, &items, sizeof(items));
        memcpy(base + f->len_offset, &n->len, sizeof(n->len));
    }
    for (size_t i = 0; i < n->len; i++) {
        size_t shown = c->shown.len;
        field_path_add_index(&c->shown, i);
        if (items)
            read_item(c, item, n->pairs[i].value, items + i * f->size);
        else
            read_string_item(c, f, item, n->pairs[i].value, &strings);
        field_path_cut(&c->shown, shown);
    }
    if (!items)
        memcpy(base + f->offset, &strings, sizeof(strings));
    leave(c, p);
}

/* Every struct kept in a dict has its key as first member. */
static int by_first_member(const void *a, const void *b)
{
    const char *x = NULL;
    const char *y = NULL;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return strcmp(x, y);
}

static void check_key(struct parse_ctx *c, const struct field *f, const struct yaml_node *map,
                      const struct yaml_pair *pair)
{
    struct str why;
    AUTO_FREE char *normal = NULL;
    str_init(&why, CHECK_WHY_MAX);
    if (!field_text_check(f->key_kind)(pair->key, &why, &normal))
        report(c, map->file, pair->key_pos, xstrdup(why.p));
    str_done(&why);
}

static void read_dict(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                      char *base)
{
    if (n->kind != YAML_MAP) {
        wrong_type(c, f->kind, n, "a map");
        return;
    }
    if (too_many(c, f, n) || n->len == 0)
        return;
    const struct field *item = field_next(c->table, c->at.p, NULL);
    struct place p = enter(c, "*", NULL);
    char *items = xcalloc(n->len, f->size);
    memcpy(base + f->offset, &items, sizeof(items));
    memcpy(base + f->len_offset, &n->len, sizeof(n->len));
    for (size_t i = 0; i < n->len; i++) {
        char *at = items + i * f->size;
        char *key = xstrdup(n->pairs[i].key);
        memcpy(at, &key, sizeof(key));
        size_t shown = c->shown.len;
        field_path_add_key(&c->shown, key);
        check_key(c, f, n, &n->pairs[i]);
        read_item(c, item, n->pairs[i].value, at);
        field_path_cut(&c->shown, shown);
    }
    qsort(items, n->len, f->size, by_first_member);
    leave(c, p);
}

static void read_switch(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                        char *base)
{
    bool on = true;
    if (n->kind == YAML_BOOL) {
        on = n->boolean;
    } else if (n->kind == YAML_MAP) {
        read_object(c, n, base);
    } else {
        wrong_type(c, f->kind, n, "true, false or a map");
        return;
    }
    memcpy(base + f->offset, &on, sizeof(on));
}

/* `in`: the object that doesn't say it, which is where a finding points; may be NULL. */
static void read_default(struct parse_ctx *c, const struct field *f, const char *def,
                         const struct yaml_node *in, char *base)
{
    struct yaml_node n = {.file = in ? in->file : "", .text = def};
    n.pos = in ? in->pos : n.pos;
    yaml_resolve_plain(&n);
    if (f->kind == FIELD_SWITCH)
        read_switch(c, f, &n, base);
    else
        read_scalar(c, f, &n, base);
}

static bool is_structure(enum field_kind kind)
{
    return kind == FIELD_OBJECT || kind == FIELD_SWITCH || kind == FIELD_LIST || kind == FIELD_DICT;
}

static void read_present(struct parse_ctx *c, const struct field *f, const struct yaml_node *n,
                         char *base)
{
    if (f->kind == FIELD_OBJECT && n->kind == YAML_MAP)
        read_object(c, n, base + f->offset);
    else if (f->kind == FIELD_OBJECT)
        wrong_type(c, f->kind, n, "a map");
    else if (f->kind == FIELD_SWITCH)
        read_switch(c, f, n, base);
    else if (f->kind == FIELD_LIST)
        read_list(c, f, n, base);
    else if (f->kind == FIELD_DICT)
        read_dict(c, f, n, base);
    else
        read_scalar(c, f, n, base);
}

/* An absent field: required, or its default. `in` is the object it isn't in, NULL when that is
 * absent too. */
static void read_absent(struct parse_ctx *c, const struct field *f, const struct yaml_node *in,
                        char *base)
{
    bool required =
        (f->flags & FIELD_REQUIRED) || ((f->flags & FIELD_REQUIRED_WHOLE) && !c->partial);
    if (required && in)
        parse_error(c, in, "required, but not given");
    /* Those of a manifest are pinned; a policy has its table's. */
    const char *def = c->table == &fields_bottle ? defaults_get(c->defaults, f) : f->def;
    if (def)
        read_default(c, f, def, in, base);
    else if (f->kind == FIELD_OBJECT)
        read_object(c, NULL, base + f->offset);
}

static void unknown_key(struct parse_ctx *c, const struct yaml_node *map,
                        const struct yaml_pair *pair)
{
    size_t shown = c->shown.len;
    field_path_add_key(&c->shown, pair->key);
    /* Past the limit nothing more is shown: don't search for what it could have meant. */
    bool counts = *c->sink.used < MANIFEST_MAX_ERRORS;
    bool manifest = c->table != &fields_policy;
    const char *instead = counts && manifest ? retired_hint(c->at.p, pair->key) : NULL;
    AUTO_FREE char *near =
        counts && !instead ? field_did_you_mean(c->table, c->at.p, pair->key) : NULL;
    char *message = instead ? xasprintf("no longer a field: %s", instead)
                    : near  ? xasprintf("unknown field; did you mean '%s'?", near)
                            : xstrdup("unknown field");
    report(c, map->file, pair->key_pos, message);
    field_path_cut(&c->shown, shown);
}

void parse_keys(struct parse_ctx *c, const struct yaml_node *n)
{
    for (size_t i = 0; n && i < n->len; i++) {
        if (!field_find(c->table, c->at.p, n->pairs[i].key))
            unknown_key(c, n, &n->pairs[i]);
    }
}

/* Reads the object whose path is c->at; NULL: only its defaults. */
static void read_object(struct parse_ctx *c, const struct yaml_node *n, char *base)
{
    parse_keys(c, n);
    for (const struct field *f = field_next(c->table, c->at.p, NULL); f;
         f = field_next(c->table, c->at.p, f)) {
        const struct yaml_node *value = yaml_get(n, f->name);
        bool absent = !value || (value->kind == YAML_NULL && is_structure(f->kind));
        bool header = c->at.len == 0 && !is_structure(f->kind); /* apiVersion, kind */
        if (header)
            continue;
        struct place p = enter(c, f->name, f->name);
        if (absent)
            read_absent(c, f, n, base);
        else
            read_present(c, f, value, base);
        leave(c, p);
    }
    if (n)
        validate_object(c, n, base);
}

void parse_document(struct parse_ctx *c, const struct yaml_node *root, void *base)
{
    read_object(c, root, base);
}
