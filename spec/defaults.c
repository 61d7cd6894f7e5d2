/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/defaults.h"

#include "spec/base/xalloc.h"
#include "spec/diag.h"

#include <string.h>

struct defaults {
    json_t *of; /* path -> string or null */
};

static bool holds_value(const struct field *f)
{
    return f->kind != FIELD_OBJECT && f->kind != FIELD_LIST && f->kind != FIELD_DICT;
}

static char *path_of(const struct field *f)
{
    struct str path;
    str_init(&path, FIELD_PATH_MAX);
    field_path(f, &path);
    return XNN(str_take(&path));
}

/* Adds today's of what isn't there; how many those were. */
static size_t complete(json_t *of)
{
    size_t added = 0;
    for (size_t i = 0; i < fields_bottle.len; i++) {
        const struct field *f = &fields_bottle.fields[i];
        AUTO_FREE char *path = path_of(f);
        if (!holds_value(f) || json_object_get(of, path))
            continue;
        if (json_object_set_new(of, path, XNN(f->def ? json_string(f->def) : json_null())) != 0)
            xoom();
        added++;
    }
    return added;
}

static char *text_of(const json_t *of)
{
    return XNN(json_dumps(of, JSON_SORT_KEYS));
}

char *defaults_text(void)
{
    json_t *of = XNN(json_object());
    complete(of);
    char *text = text_of(of);
    json_decref(of);
    return text;
}

struct err *defaults_parse(const char *text, struct defaults **ret)
{
    json_t *of = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    bool good = json_is_object(of);
    const char *path = NULL;
    json_t *v = NULL;
    json_object_foreach(of, path, v) good = good && (json_is_string(v) || json_is_null(v));
    if (!good) {
        json_decref(of);
        return err_new(ERR_INVALID, "expected a JSON object from fields to their defaults");
    }
    *ret = xcalloc(1, sizeof(**ret));
    (*ret)->of = of;
    return NULL;
}

struct defaults *defaults_free(struct defaults *d)
{
    if (d)
        json_decref(d->of);
    free(d);
    return NULL;
}

const char *defaults_get(const struct defaults *d, const struct field *f)
{
    if (!d)
        return f->def;
    AUTO_FREE char *path = path_of(f);
    const json_t *pinned = json_object_get(d->of, path);
    return pinned ? json_string_value(pinned) : f->def;
}

char *defaults_completed(const struct defaults *d)
{
    json_t *of = XNN(json_copy(d->of));
    char *text = complete(of) ? text_of(of) : NULL;
    json_decref(of);
    return text;
}
