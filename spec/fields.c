/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/fields.h"

#include "spec/base/xalloc.h"
#include "spec/diag.h"

#include <string.h>
#include <strings.h>

enum { FIELD_TEXT_MAX = 256 * 1024, NEAR_MAX = 4, TABLES = 3 };

static const struct field_table *const tables[TABLES] = {&fields_bottle, &fields_grant,
                                                         &fields_policy};

static void path_join(struct str *out, const char *name)
{
    if (out->len && strcmp(name, "[]") != 0)
        str_addc(out, '.');
    str_add(out, name);
}

void field_path(const struct field *f, struct str *out)
{
    str_add(out, f->parent);
    if (f->parent[0] && f->name[0] != '[')
        str_addc(out, '.');
    str_add(out, f->name);
}

const struct field *field_next(const struct field_table *t, const char *parent,
                               const struct field *prev)
{
    for (const struct field *f = prev ? prev + 1 : t->fields; f < t->fields + t->len; f++) {
        if (strcmp(f->parent, parent) == 0)
            return f;
    }
    return NULL;
}

const struct field *field_find(const struct field_table *t, const char *parent, const char *name)
{
    for (const struct field *f = field_next(t, parent, NULL); f; f = field_next(t, parent, f)) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

/* Letter case, '-' and '_' are no difference: gitGate, git_gate and git-gate are near. */
static char *folded(const char *text)
{
    char *out = xstrdup(text);
    char *to = out;
    for (const char *c = text; *c; c++) {
        if (*c != '-' && *c != '_')
            *to++ = *c;
    }
    *to = '\0';
    str_lower(out);
    return out;
}

static unsigned nearness(const char *a, const char *b)
{
    AUTO_FREE char *x = folded(a);
    AUTO_FREE char *y = folded(b);
    size_t n = strlen(x) > strlen(y) ? strlen(x) : strlen(y);
    unsigned allowed = n <= 3 ? 1 : n <= 6 ? 2 : 3;
    unsigned d = str_distance(x, y, NEAR_MAX);
    return d <= allowed ? d : NEAR_MAX;
}

static bool is_named(const struct field *f)
{
    return f->name[0] != '[' && f->name[0] != '*';
}

char *field_did_you_mean(const struct field_table *t, const char *parent, const char *key)
{
    const struct field *best = NULL;
    unsigned best_distance = NEAR_MAX;
    for (const struct field *f = field_next(t, parent, NULL); f; f = field_next(t, parent, f)) {
        unsigned d = is_named(f) ? nearness(key, f->name) : NEAR_MAX;
        if (d < best_distance) {
            best = f;
            best_distance = d;
        }
    }
    if (best)
        return xstrdup(best->name);
    for (const struct field *f = t->fields; f < t->fields + t->len; f++) {
        if (is_named(f) && strcasecmp(f->name, key) == 0) {
            struct str path;
            str_init(&path, FIELD_PATH_MAX);
            field_path(f, &path);
            return str_take(&path);
        }
    }
    return NULL;
}

const char *field_kind_name(enum field_kind kind)
{
    static const char *const names[FIELD_KIND_COUNT] = {
        [FIELD_OBJECT] = "object",
        [FIELD_SWITCH] = "true, false or object",
        [FIELD_LIST] = "list",
        [FIELD_DICT] = "map",
        [FIELD_BOOL] = "boolean",
        [FIELD_INT] = "integer",
        [FIELD_ENUM] = "word",
        [FIELD_MEMORY] = "amount of memory",
        [FIELD_CPUS] = "number of CPUs",
        [FIELD_MODE] = "file mode",
        [FIELD_TIME] = "time",
        [FIELD_DURATION] = "duration",
        [FIELD_WINDOW] = "time of day from-to",
        [FIELD_ENV_VALUE] = "string or ${SECRET}",
        [FIELD_NAME] = "name",
        [FIELD_UID] = "id",
        [FIELD_LABEL_KEY] = "label key",
        [FIELD_LABEL_VALUE] = "label value",
        [FIELD_TEXT] = "string",
        [FIELD_CONTENT] = "text",
        [FIELD_ARGUMENT] = "string",
        [FIELD_IMAGE] = "image reference",
        [FIELD_USER] = "user",
        [FIELD_RUNTIME] = "runtime name",
        [FIELD_VOLUME] = "volume name",
        [FIELD_ENV_NAME] = "variable name",
        [FIELD_SECRET] = "secret name",
        [FIELD_PRESET] = "preset name",
        [FIELD_PERSON] = "string",
        [FIELD_EMAIL] = "mail address",
        [FIELD_REPO_NAME] = "repository name",
        [FIELD_PATH] = "absolute path",
        [FIELD_MOUNT_SOURCE] = "absolute path",
        [FIELD_MOUNT_TARGET] = "absolute path",
        [FIELD_FILE_PATH] = "absolute path",
        [FIELD_HOST] = "host name",
        [FIELD_URL_PATH] = "URL path",
        [FIELD_METHOD] = "HTTP method",
        [FIELD_HEADER_NAME] = "header name",
        [FIELD_HEADER_VALUE] = "header value",
        [FIELD_CIDR] = "address or network",
        [FIELD_SSH_URL] = "ssh:// URL",
        [FIELD_HOST_KEY] = "SSH public key",
        [FIELD_IMAGE_PREFIX] = "registry or path in one",
        [FIELD_HOST_PATTERN] = "host name or *.domain",
    };
    return kind < FIELD_KIND_COUNT ? names[kind] : "value";
}

const char *change_class_name(enum change_class c)
{
    switch (c) {
    case CHANGE_UNSET:
        return "unset";
    case CHANGE_NONE:
        return "none";
    case CHANGE_LIVE:
        return "live";
    case CHANGE_RELOAD:
        return "reload";
    case CHANGE_SIDECAR:
        return "sidecar";
    case CHANGE_AGENT:
        return "agent";
    }
    return "unset";
}

static const char *class_reason(enum change_class c)
{
    switch (c) {
    case CHANGE_NONE:
        return "nothing on the engine depends on it";
    case CHANGE_LIVE:
        return "limits are set in place";
    case CHANGE_RELOAD:
        return "both proxies reread their files";
    case CHANGE_SIDECAR:
        return "pipelock can't reload it";
    case CHANGE_AGENT:
        return "only a new container can have it";
    case CHANGE_UNSET:
        break;
    }
    return "this version of bottler doesn't know what it costs";
}

const char *field_reason(const struct field *f)
{
    return f->reason ? f->reason : class_reason(f->change);
}

const char *field_loses(const struct field *f)
{
    if (f->loses)
        return f->loses;
    return f->change == CHANGE_AGENT ? "what the agent has written outside its mounts" : NULL;
}

bool fields_classified(const struct field_table *t, struct str *out)
{
    bool all = true;
    for (const struct field *f = t->fields; f < t->fields + t->len; f++) {
        if (f->change != CHANGE_UNSET)
            continue;
        str_addf(out, "%s: ", t->kind);
        field_path(f, out);
        str_addc(out, '\n');
        all = false;
    }
    return all;
}

/* The next part of a path ("routes", "[2]", "['a.b']"), moved past. False at the end. */
static bool next_part(const char **path, struct sv *ret)
{
    const char *p = *path;
    if (*p == '.')
        p++;
    if (!*p)
        return false;
    const char *end = p + strcspn(p, p[0] == '[' ? "]" : ".[");
    if (p[0] == '[' && *end)
        end++;
    *ret = (struct sv){p, (size_t)(end - p)};
    *path = end;
    return ret->n > 0;
}

/* Follows a path written with or without indexes and keys; the last field on the way. */
static const struct field *walk(const struct field_table *t, const char *path)
{
    struct str at;
    struct sv part;
    const struct field *f = NULL;
    str_init(&at, FIELD_PATH_MAX);
    while (next_part(&path, &part)) {
        AUTO_FREE char *name = xmemdup0(part.p, part.n);
        const struct field *child = field_find(t, at.p, name);
        if (!child && f && (f->kind == FIELD_DICT || f->kind == FIELD_LIST))
            child = field_next(t, at.p, NULL);
        if (child && f && f->kind == FIELD_LIST && name[0] != '[') {
            /* routes.host for routes[].host */
            path_join(&at, child->name);
            child = field_find(t, at.p, name);
        }
        f = child;
        if (!f)
            break;
        path_join(&at, f->name);
    }
    str_done(&at);
    return f;
}

struct err *field_change_class(const char *path, enum change_class *ret)
{
    const struct field *f = walk(&fields_bottle, path);
    if (!f)
        return err_new(ERR_NOT_FOUND, "there is no field '%s'", path);
    *ret = f->change;
    return NULL;
}

static void add_wrapped(struct str *out, const char *text, const char *indent)
{
    size_t column = 0;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column && column + 1 + n > 76) {
            str_addc(out, '\n');
            column = 0;
        }
        str_add(out, column ? " " : indent);
        str_addn(out, text, n);
        column += n + 1;
        text += n;
        text += strspn(text, " ");
    }
    str_addc(out, '\n');
}

static void add_words(struct str *out, const struct field *f, const char *between)
{
    for (const char *const *w = f->words; w && *w; w++)
        str_addf(out, "%s%s", w == f->words ? "" : between, *w);
}

static const char *required_text(const struct field *f)
{
    if (f->flags & FIELD_REQUIRED)
        return "yes";
    return f->flags & FIELD_REQUIRED_WHOLE ? "yes (may come through extends)" : NULL;
}

static void add_type(struct str *out, const struct field_table *t, const struct field *f)
{
    struct str path;
    str_init(&path, FIELD_PATH_MAX);
    field_path(f, &path);
    const struct field *item = field_next(t, path.p, NULL);
    bool holds = f->kind == FIELD_LIST || f->kind == FIELD_DICT;
    if (f->kind == FIELD_ENUM)
        add_words(out, f, " | ");
    else
        str_add(out, field_kind_name(f->kind));
    if (f->kind == FIELD_DICT)
        str_addf(out, " of %s to", field_kind_name(f->key_kind));
    if (holds && item)
        str_addf(out, "%s%s", f->kind == FIELD_DICT ? " " : " of ", field_kind_name(item->kind));
    if (f->kind == FIELD_INT)
        str_addf(out, ", %lld to %lld", (long long)f->min, (long long)f->max);
    if (holds && f->max)
        str_addf(out, ", at most %lld", (long long)f->max);
    str_done(&path);
}

static void add_children(struct str *out, const struct field_table *t, const char *parent)
{
    bool first = true;
    for (const struct field *f = field_next(t, parent, NULL); f; f = field_next(t, parent, f)) {
        struct str path;
        if (is_named(f)) {
            str_addf(out, "%s  %-18s ", first ? "\nFIELDS\n" : "", f->name);
            add_type(out, t, f);
            str_addf(out, "%s\n", f->flags & FIELD_REQUIRED ? ", required" : "");
            first = false;
            continue;
        }
        str_init(&path, FIELD_PATH_MAX);
        field_path(f, &path);
        add_children(out, t, path.p);
        str_done(&path);
    }
}

static void explain_field(struct str *out, const struct field_table *t, const struct field *f)
{
    struct str path;
    str_init(&path, FIELD_PATH_MAX);
    field_path(f, &path);
    str_addf(out, "KIND     %s\nFIELD    %s\nTYPE     ", t->kind, path.p);
    add_type(out, t, f);
    str_addc(out, '\n');
    if (required_text(f))
        str_addf(out, "REQUIRED %s\n", required_text(f));
    if (f->def)
        str_addf(out, "DEFAULT  %s\n", f->def);
    if (f->example)
        str_addf(out, "EXAMPLE  %s\n", f->example);
    if (t != &fields_policy)
        str_addf(out, "CHANGING %s: %s\n", change_class_name(f->change), field_reason(f));
    if (t != &fields_policy && field_loses(f))
        str_addf(out, "LOSES    %s\n", field_loses(f));
    str_addc(out, '\n');
    add_wrapped(out, f->help, "  ");
    add_children(out, t, path.p);
    str_done(&path);
}

/* "Grant.spec.host" names its table; "agent.env" may leave out "spec". */
static const struct field *locate(const char *path, const struct field_table **ret_table)
{
    for (size_t i = 0; i < TABLES; i++) {
        size_t n = strlen(tables[i]->kind);
        if (strncasecmp(path, tables[i]->kind, n) == 0 && path[n] == '.') {
            *ret_table = tables[i];
            path += n + 1;
            break;
        }
    }
    const struct field *f = walk(*ret_table, path);
    if (f)
        return f;
    AUTO_FREE char *in_spec = xasprintf("spec.%s", path);
    return walk(*ret_table, in_spec);
}

static char *near_path(const char *path)
{
    const char *last = strrchr(path, '.');
    last = last ? last + 1 : path;
    const struct field *best = NULL;
    unsigned best_distance = NEAR_MAX;
    const struct field_table *t = &fields_bottle;
    for (const struct field *f = t->fields; f < t->fields + t->len; f++) {
        unsigned d = is_named(f) ? nearness(last, f->name) : NEAR_MAX;
        if (d < best_distance) {
            best = f;
            best_distance = d;
        }
    }
    if (!best)
        return NULL;
    struct str out;
    str_init(&out, FIELD_PATH_MAX);
    field_path(best, &out);
    return str_take(&out);
}

struct err *fields_explain(const char *path, struct str *out)
{
    const struct field_table *t = tables[0];
    for (size_t i = 0; i < TABLES; i++) {
        bool whole = path && strcasecmp(path, tables[i]->kind) == 0;
        if (whole || (i == 0 && (!path || !*path))) {
            str_addf(out, "KIND     %s\n", tables[i]->kind);
            add_children(out, tables[i], "");
            return NULL;
        }
    }
    const struct field *f = locate(path, &t);
    if (!f) {
        AUTO_FREE char *q = diag_quote(path);
        AUTO_FREE char *near = near_path(path);
        return err_new(ERR_NOT_FOUND, "there is no field %s%s%s%s", q,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    explain_field(out, t, f);
    return NULL;
}

static void add_row(struct str *out, const struct field_table *t, const struct field *f)
{
    str_add(out, "| `");
    field_path(f, out);
    str_add(out, "` | ");
    struct str type;
    str_init(&type, FIELD_TEXT_MAX);
    add_type(&type, t, f);
    for (const char *c = type.p; *c; c++)
        str_addf(out, "%s%c", *c == '|' ? "\\" : "", *c);
    str_done(&type);
    str_addf(out, " | %s%s%s | ", f->def ? "`" : "",
             f->def             ? f->def
             : required_text(f) ? "required"
                                : "",
             f->def ? "`" : "");
    if (t != &fields_policy)
        str_addf(out, "%s | ", change_class_name(f->change));
    str_addf(out, "%s |\n", f->help);
}

static void add_rows(struct str *out, const struct field_table *t)
{
    for (const struct field *f = t->fields; f < t->fields + t->len; f++) {
        if (is_named(f))
            add_row(out, t, f);
    }
    str_addc(out, '\n');
}

void fields_markdown(struct str *out)
{
    static const struct field_table *const manifests[] = {&fields_bottle, &fields_grant};
    for (size_t i = 0; i < sizeof(manifests) / sizeof(*manifests); i++) {
        str_addf(out,
                 "### kind: %s\n\n| field | type | default | changing it costs | |\n"
                 "|---|---|---|---|---|\n",
                 manifests[i]->kind);
        add_rows(out, manifests[i]);
    }
}

void fields_policy_markdown(struct str *out)
{
    str_add(out, "| field | type | default | |\n|---|---|---|---|\n");
    add_rows(out, &fields_policy);
}
