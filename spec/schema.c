/* SPDX-License-Identifier: Apache-2.0 */
/* The field table as JSON Schema. It can be looser than the parser where a pattern can't say all,
 * never stricter about a manifest without nulls and with quoted file modes. */
#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "spec/fields.h"
#include "spec/yaml.h"

#include <string.h>

enum { SCHEMA_PATH_MAX = 4096 };

#define NAME_PATTERN "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
#define PATH_PATTERN "^(/[^/]+)+$"
#define VARIABLE_PATTERN "^[A-Za-z_][A-Za-z0-9_]*$"
#define URL_PATH_PATTERN "^/[-A-Za-z0-9._~!$&'()*+,=:@%/]*$"

static const char *pattern_of(enum field_kind kind)
{
    static const char *const patterns[FIELD_KIND_COUNT] = {
        [FIELD_MEMORY] = "^[0-9]+(k|M|G|T|Ki|Mi|Gi|Ti)?$",
        [FIELD_CPUS] = "^[0-9]+(\\.[0-9]{1,9})?$",
        [FIELD_MODE] = "^0[0-7]{3}$",
        [FIELD_TIME] = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        [FIELD_DURATION] = "^[0-9]+[mhd]$",
        [FIELD_WINDOW] = "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        [FIELD_NAME] = NAME_PATTERN,
        [FIELD_UID] = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        [FIELD_LABEL_KEY] = "^([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        [FIELD_LABEL_VALUE] = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$",
        [FIELD_TEXT] = "^[^\\n]+$",
        [FIELD_IMAGE] = "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        [FIELD_USER] = "^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$",
        [FIELD_RUNTIME] = "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
        [FIELD_VOLUME] = "^[a-z0-9]([a-z0-9_.-]{0,38}[a-z0-9])?$",
        [FIELD_ENV_NAME] = VARIABLE_PATTERN,
        [FIELD_SECRET] = VARIABLE_PATTERN,
        [FIELD_PERSON] = "^[^<>\\n]+$",
        [FIELD_EMAIL] = "^[^@ ]+@[^@ ]+$",
        [FIELD_REPO_NAME] = "^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$",
        [FIELD_PATH] = PATH_PATTERN,
        [FIELD_MOUNT_SOURCE] = PATH_PATTERN,
        [FIELD_MOUNT_TARGET] = PATH_PATTERN,
        [FIELD_FILE_PATH] = PATH_PATTERN,
        [FIELD_HOST] = "^[A-Za-z0-9_]([A-Za-z0-9_-]*)(\\.[A-Za-z0-9_-]+)+$",
        [FIELD_URL_PATH] = URL_PATH_PATTERN,
        [FIELD_METHOD] = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        [FIELD_HEADER_NAME] = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        [FIELD_HEADER_VALUE] = "^[!-~]([ -~]*[!-~])?$",
        [FIELD_CIDR] = "^[0-9a-fA-F.:]+(/[0-9]+)?$",
        [FIELD_SSH_URL] = "^ssh://.+/.+$",
        [FIELD_HOST_KEY] = "^(ssh|ecdsa)-[a-z0-9-]+ +[A-Za-z0-9+/=]+( .*)?$",
        [FIELD_IMAGE_PREFIX] = "^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        [FIELD_HOST_PATTERN] = "^(\\*\\.)?[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*$",
    };
    return kind < FIELD_KIND_COUNT ? patterns[kind] : NULL;
}

static void set(json_t *o, const char *key, json_t *value_take)
{
    if (!value_take || json_object_set_new(o, key, value_take) != 0)
        xoom();
}

static void push(json_t *a, json_t *value_take)
{
    if (!value_take || json_array_append_new(a, value_take) != 0)
        xoom();
}

static json_t *object_schema(const struct field_table *t, const char *at);

static json_t *words_of(const struct field *f)
{
    json_t *words = XNN(json_array());
    for (const char *const *w = f->words; *w; w++)
        push(words, json_string(*w));
    return words;
}

static json_t *default_of(const struct field *f)
{
    struct yaml_node n = {.text = f->def};
    yaml_resolve_plain(&n);
    if (n.kind == YAML_BOOL)
        return json_boolean(n.boolean);
    if (n.kind == YAML_INT && f->kind == FIELD_INT)
        return json_integer(n.integer);
    return json_string(f->def);
}

static json_t *types(const char *a, const char *b)
{
    json_t *list = XNN(json_array());
    push(list, json_string(a));
    push(list, json_string(b));
    return list;
}

static void scalar_schema(json_t *s, const struct field *f)
{
    if (f->kind == FIELD_BOOL) {
        set(s, "type", json_string("boolean"));
    } else if (f->kind == FIELD_INT) {
        set(s, "type", json_string("integer"));
        set(s, "minimum", json_integer(f->min));
        set(s, "maximum", json_integer(f->max));
    } else if (f->kind == FIELD_ENUM) {
        set(s, "enum", words_of(f));
    } else if (f->kind == FIELD_MEMORY || f->kind == FIELD_CPUS) {
        set(s, "type", types("string", f->kind == FIELD_CPUS ? "number" : "integer"));
    } else {
        set(s, "type", json_string("string"));
    }
    if (pattern_of(f->kind))
        set(s, "pattern", json_string(pattern_of(f->kind)));
}

static json_t *field_schema(const struct field_table *t, const struct field *f);

static void container_schema(json_t *s, const struct field_table *t, const struct field *f,
                             const char *path)
{
    const struct field *item = field_next(t, path, NULL);
    bool list = f->kind == FIELD_LIST;
    set(s, "type", json_string(list ? "array" : "object"));
    set(s, list ? "items" : "additionalProperties", field_schema(t, item));
    if (f->max)
        set(s, list ? "maxItems" : "maxProperties", json_integer(f->max));
    if (f->flags & FIELD_UNIQUE)
        set(s, "uniqueItems", json_true());
    if (!list) {
        json_t *names = XNN(json_object());
        set(names, "pattern", json_string(pattern_of(f->key_kind)));
        set(s, "propertyNames", names);
    }
}

static json_t *field_schema(const struct field_table *t, const struct field *f)
{
    struct str path;
    str_init(&path, SCHEMA_PATH_MAX);
    field_path(f, &path);
    json_t *s = NULL;
    if (f->kind == FIELD_OBJECT) {
        s = object_schema(t, path.p);
    } else if (f->kind == FIELD_SWITCH) {
        s = XNN(json_object());
        json_t *either = XNN(json_array());
        json_t *boolean = XNN(json_object());
        set(boolean, "type", json_string("boolean"));
        push(either, boolean);
        push(either, object_schema(t, path.p));
        set(s, "oneOf", either);
    } else if (f->kind == FIELD_LIST || f->kind == FIELD_DICT) {
        s = XNN(json_object());
        container_schema(s, t, f, path.p);
    } else {
        s = XNN(json_object());
        scalar_schema(s, f);
    }
    set(s, "description", json_string(f->help));
    if (f->def)
        set(s, "default", default_of(f));
    str_done(&path);
    return s;
}

static json_t *object_schema(const struct field_table *t, const char *at)
{
    json_t *s = XNN(json_object());
    json_t *properties = XNN(json_object());
    json_t *required = XNN(json_array());
    for (const struct field *f = field_next(t, at, NULL); f; f = field_next(t, at, f)) {
        json_t *field = field_schema(t, f);
        /* What a document is: fixed words, and how an editor tells the two kinds apart. */
        if (!*at && strcmp(f->name, "kind") == 0)
            set(field, "const", json_string(t->kind));
        if (!*at && strcmp(f->name, "apiVersion") == 0)
            set(field, "const", json_string(f->example));
        set(properties, f->name, field);
        if (f->flags & FIELD_REQUIRED)
            push(required, json_string(f->name));
    }
    set(s, "type", json_string("object"));
    set(s, "properties", properties);
    set(s, "additionalProperties", json_false());
    if (json_array_size(required))
        set(s, "required", required);
    else
        json_decref(required);
    return s;
}

json_t *fields_schema(void)
{
    json_t *s = XNN(json_object());
    json_t *kinds = XNN(json_array());
    set(s, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    set(s, "title", json_string("A manifest of bottler"));
    push(kinds, object_schema(&fields_bottle, ""));
    push(kinds, object_schema(&fields_grant, ""));
    set(s, "oneOf", kinds);
    return s;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

json_t *fields_json(const struct field_table *t)
{
    json_t *list = XNN(json_array());
    for (const struct field *f = t->fields; f < t->fields + t->len; f++) {
        json_t *o = XNN(json_object());
        struct str path;
        str_init(&path, FIELD_PATH_MAX);
        field_path(f, &path);
        set(o, "path", json_string(path.p));
        str_done(&path);
        set(o, "kind", json_string(field_kind_name(f->kind)));
        set(o, "class", json_string(change_class_name(f->change)));
        set(o, "reason", json_string(field_reason(f)));
        set(o, "loses", text_or_null(field_loses(f)));
        set(o, "default", text_or_null(f->def));
        push(list, o);
    }
    return list;
}
