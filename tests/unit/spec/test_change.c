/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/base/xalloc.h"
#include "spec/change.h"
#include "spec/diag.h"

#define HOST "api.example.com"
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

/* ---- every leaf of the table ----------------------------------------------------------------- */

/* Two values that differ, for each kind of scalar. A kind that isn't here fails the test. */
static const struct {
    enum field_kind kind;
    const char *one, *two; /* as JSON */
} VALUES[] = {
    {FIELD_BOOL, "false", "true"},
    {FIELD_MEMORY, "\"1Gi\"", "\"3Gi\""},
    {FIELD_CPUS, "1", "1.5"},
    {FIELD_MODE, "\"0600\"", "\"0640\""},
    {FIELD_TIME, "\"2026-12-01T00:00:00Z\"", "\"2026-12-02T00:00:00Z\""},
    {FIELD_DURATION, "\"4h\"", "\"5h\""},
    {FIELD_WINDOW, "\"22:00-06:00\"", "\"22:00-07:00\""},
    {FIELD_ENV_VALUE, "\"a\"", "\"${A}\""},
    {FIELD_NAME, "\"one\"", "\"two\""},
    {FIELD_UID, "\"u-1\"", "\"u-2\""},
    {FIELD_LABEL_VALUE, "\"one\"", "\"two\""},
    {FIELD_TEXT, "\"one\"", "\"two\""},
    {FIELD_CONTENT, "\"one\"", "\"two\""},
    {FIELD_ARGUMENT, "\"one\"", "\"two\""},
    {FIELD_IMAGE, "\"i:1\"", "\"i:2\""},
    {FIELD_USER, "\"1000\"", "\"1001\""},
    {FIELD_RUNTIME, "\"runc\"", "\"runsc\""},
    {FIELD_VOLUME, "\"one\"", "\"two\""},
    {FIELD_SECRET, "\"ONE\"", "\"TWO\""},
    {FIELD_PRESET, "\"claude-code\"", "\"other\""},
    {FIELD_PERSON, "\"Ada\"", "\"Bea\""},
    {FIELD_EMAIL, "\"a@example.com\"", "\"b@example.com\""},
    {FIELD_PATH, "\"/one\"", "\"/two\""},
    {FIELD_MOUNT_SOURCE, "\"/srv/one\"", "\"/srv/two\""},
    {FIELD_MOUNT_TARGET, "\"/one\"", "\"/two\""},
    {FIELD_FILE_PATH, "\"/one\"", "\"/two\""},
    {FIELD_HOST, "\"a.example.com\"", "\"b.example.com\""},
    {FIELD_URL_PATH, "\"/one\"", "\"/two\""},
    {FIELD_METHOD, "\"GET\"", "\"POST\""},
    {FIELD_HEADER_NAME, "\"x-one\"", "\"x-two\""},
    {FIELD_HEADER_VALUE, "\"one\"", "\"two\""},
    {FIELD_CIDR, "\"10.0.0.1\"", "\"10.0.0.2\""},
    {FIELD_SSH_URL, "\"ssh://git.example.com/a.git\"", "\"ssh://git.example.com/b.git\""},
    {FIELD_HOST_KEY, "\"" KEY "\"", "\"ssh-rsa AAAA\""},
};

static bool is_structure(const struct field *f)
{
    return f->kind == FIELD_OBJECT || f->kind == FIELD_SWITCH || f->kind == FIELD_LIST ||
           f->kind == FIELD_DICT;
}

/* The value as JSON; owned by the caller. */
static char *value_of(const struct field *f, int which)
{
    if (f->kind == FIELD_ENUM)
        return xasprintf("\"%s\"", f->words[which]);
    if (f->kind == FIELD_INT)
        return xasprintf("%lld", (long long)(f->min + which));
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        if (VALUES[i].kind == f->kind)
            return xstrdup(which ? VALUES[i].two : VALUES[i].one);
    }
    fail_msg("this test has no values for a %s: %s.%s", field_kind_name(f->kind), f->parent,
             f->name);
    return NULL;
}

/* Wraps `text`, the JSON of what is at the table path `path`, in what is around it. `ret_shown`:
 * where that is, in words of the list of changes. */
static char *wrapped(const char *path, const char *text, struct str *ret_shown)
{
    struct str before;
    struct str after;
    str_init(&before, 64 * 1024);
    str_init(&after, 64 * 1024);
    str_clear(ret_shown);
    AUTO_FREE char *parts = xstrdup(path);
    struct str at;
    str_init(&at, FIELD_PATH_MAX);
    const struct field *f = NULL;
    for (char *p = parts; *p;) {
        bool item = *p == '[';
        size_t n = item ? 2 : strcspn(p, ".[");
        AUTO_FREE char *name = xmemdup0(p, n);
        p += n;
        p += *p == '.';
        const struct field *list = f;
        f = field_find(&fields_bottle, at.p, name);
        if (!f)
            fail_msg("'%s' isn't a path of the table", path);
        str_addf(&at, "%s%s", at.len && !item ? "." : "", name);
        AUTO_FREE char *rest = xasprintf("%s", item ? "]" : "}");
        AUTO_FREE char *so_far = xstrdup(after.p);
        str_clear(&after);
        str_addf(&after, "%s%s", rest, so_far);
        if (!item) {
            const char *key = strcmp(name, "*") == 0 ? "some_key" : name;
            str_addf(&before, "{\"%s\": ", key);
            field_path_add_key(ret_shown, key);
            continue;
        }
        str_add(&before, "[");
        if (f->kind == FIELD_OBJECT && list->identity && *p) {
            /* The other member of the item: its object is open already. */
            str_addf(&before, "{\"%s\": \"" HOST "\", ", list->identity);
            str_addf(ret_shown, "[" HOST "]");
            n = strcspn(p, ".[");
            AUTO_FREE char *member = xmemdup0(p, n);
            p += n;
            p += *p == '.';
            f = field_find(&fields_bottle, at.p, member);
            str_addf(&at, ".%s", member);
            str_addf(&before, "\"%s\": ", member);
            field_path_add_key(ret_shown, member);
            AUTO_FREE char *closing = xasprintf("}%s", after.p);
            str_clear(&after);
            str_add(&after, closing);
        } else if (f->kind == FIELD_OBJECT) {
            field_path_add_index(ret_shown, 0);
        }
    }
    char *out = xasprintf("%s%s%s", before.p, text, after.p);
    str_done(&before);
    str_done(&after);
    str_done(&at);
    return out;
}

static const struct field *list_above(const struct field *f)
{
    size_t n = strlen(f->parent);
    if (n < 2 || strcmp(f->parent + n - 2, "[]") != 0)
        return NULL;
    for (size_t i = 0; i < fields_bottle.len; i++) {
        struct str path;
        str_init(&path, FIELD_PATH_MAX);
        field_path(&fields_bottle.fields[i], &path);
        bool same = strlen(path.p) == n - 2 && strncmp(path.p, f->parent, n - 2) == 0;
        str_done(&path);
        if (same)
            return &fields_bottle.fields[i];
    }
    return NULL;
}

static bool is_identity(const struct field *f)
{
    const struct field *list = list_above(f);
    return list && list->identity && strcmp(list->identity, f->name) == 0;
}

static void fail_changes(const char *what, const struct change_list *l)
{
    struct str text;
    str_init(&text, 64 * 1024);
    for (size_t i = 0; i < l->len; i++)
        str_addf(&text, "\n  %s: %s -> %s (%s)", l->items[i].field,
                 l->items[i].old_text ? l->items[i].old_text : "(none)",
                 l->items[i].new_text ? l->items[i].new_text : "(none)",
                 change_class_name(l->items[i].change));
    fail_msg("%s: %zu changes%s", what, l->len, text.p);
}

static void check_one(const struct field *f, const char *path, const char *a, const char *b,
                      const char *shown)
{
    struct change_list l;
    changes_find(a, b, &l);
    if (l.len != 1)
        fail_changes(path, &l);
    const struct change *c = &l.items[0];
    if (c->change != f->change || strcmp(c->field, shown) != 0)
        fail_changes(path, &l);
    assert_int_equal(changes_worst(&l), f->change);
    assert_string_equal(c->reason, field_reason(f));
    assert_int_equal(c->loses_state, field_loses(f) != NULL);
    assert_string_not_equal(c->old_text ? c->old_text : "", c->new_text ? c->new_text : "");
    /* What it is called leads back to the table. */
    enum change_class of_path = CHANGE_UNSET;
    AUTO_ERR e = field_change_class(c->field, &of_path);
    assert_null(e);
    assert_int_equal(of_path, f->change);
    change_list_done(&l);
}

static void check_leaf(const struct field *f)
{
    struct str path;
    struct str shown;
    str_init(&path, FIELD_PATH_MAX);
    str_init(&shown, FIELD_PATH_MAX);
    field_path(f, &path);
    AUTO_FREE char *one = value_of(f, 0);
    AUTO_FREE char *two = value_of(f, 1);
    if (is_identity(f)) {
        /* Another item: one goes, one comes. */
        AUTO_FREE char *x = xasprintf("{\"%s\": %s}", f->name, one);
        AUTO_FREE char *y = xasprintf("{\"%s\": %s}", f->name, two);
        AUTO_FREE char *a = wrapped(f->parent, x, &shown);
        AUTO_FREE char *b = wrapped(f->parent, y, &shown);
        struct change_list l;
        changes_find(a, b, &l);
        if (l.len != 2 || l.items[0].change != f->change || l.items[1].change != f->change ||
            l.items[0].new_text || l.items[1].old_text)
            fail_changes(path.p, &l);
        change_list_done(&l);
    } else {
        AUTO_FREE char *a = wrapped(path.p, one, &shown);
        AUTO_FREE char *b = wrapped(path.p, two, &shown);
        check_one(f, path.p, a, b, shown.p);
        check_one(f, path.p, b, a, shown.p);
        struct change_list same;
        changes_find(a, a, &same);
        assert_int_equal(same.len, 0);
        change_list_done(&same);
    }
    str_done(&path);
    str_done(&shown);
}

static void every_leaf_is_one_change_of_its_class(void **state)
{
    (void)state;
    size_t leaves = 0;
    for (size_t i = 0; i < fields_bottle.len; i++) {
        if (is_structure(&fields_bottle.fields[i]))
            continue;
        check_leaf(&fields_bottle.fields[i]);
        leaves++;
    }
    assert_true(leaves > 50);
}

static void a_default_written_out_is_no_change(void **state)
{
    (void)state;
    size_t defaults = 0;
    for (size_t i = 0; i < fields_bottle.len; i++) {
        const struct field *f = &fields_bottle.fields[i];
        if (!f->def)
            continue;
        struct str path;
        struct str shown;
        str_init(&path, FIELD_PATH_MAX);
        str_init(&shown, FIELD_PATH_MAX);
        field_path(f, &path);
        /* In its object, which is there in both. */
        bool plain = f->kind == FIELD_BOOL || f->kind == FIELD_INT || f->kind == FIELD_SWITCH;
        AUTO_FREE char *def = xasprintf(plain ? "%s" : "\"%s\"", f->def);
        AUTO_FREE char *said = wrapped(path.p, def, &shown);
        AUTO_FREE char *unsaid = xstrdup(said);
        AUTO_FREE char *member = xasprintf("\"%s\": %s", f->name, def);
        char *at = strstr(unsaid, member);
        assert_non_null(at);
        memset(at, ' ', strlen(member));
        if (at[-2] == ',')
            at[-2] = ' ';
        struct change_list l;
        changes_find(unsaid, said, &l);
        if (l.len)
            fail_changes(path.p, &l);
        change_list_done(&l);
        str_done(&path);
        str_done(&shown);
        defaults++;
    }
    assert_true(defaults > 12);
}

/* ---- what people write ----------------------------------------------------------------------- */

/* "field: old -> new (class)" lines of the change between two manifests. */
static char *told(const char *a, const char *b)
{
    struct manifest_set *x = NULL;
    struct manifest_set *y = NULL;
    AUTO_FREE char *old =
        xasprintf("apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: d}\n"
                  "spec:\n  agent: {image: i}\n%s",
                  a);
    AUTO_FREE char *new =
        xasprintf("apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: d}\n"
                  "spec:\n  agent: {image: i}\n%s",
                  b);
    struct change_list l;
    changes_find(test_bottle(old, &x)->text, test_bottle(new, &y)->text, &l);
    struct str out;
    str_init(&out, 64 * 1024);
    for (size_t i = 0; i < l.len; i++)
        str_addf(&out, "%s: %s -> %s (%s)\n", l.items[i].field,
                 l.items[i].old_text ? l.items[i].old_text : "-",
                 l.items[i].new_text ? l.items[i].new_text : "-",
                 change_class_name(l.items[i].change));
    change_list_done(&l);
    manifest_set_free(x);
    manifest_set_free(y);
    return XNN(str_take(&out));
}

#define EGRESS(text) "  egress:\n" text

static void edits_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *expected;
    } cases[] = {
        {"", "", ""},
        {"", "  egress: {}\n  git-gate: {}\n  supervise: false\n", ""},
        /* other spellings */
        {EGRESS("    routes: [{host: A.example.com, methods: [get, POST]}]\n"),
         EGRESS("    routes: [{host: a.example.com, methods: [GET, post]}]\n"), ""},
        {EGRESS("    routes: [{host: a.example.com, pipelock: {ssrf_ip_allowlist: [10.0.0.1]}}]\n"),
         EGRESS("    routes: [{host: a.example.com, pipelock: {ssrf_ip_allowlist: [10.0.0.1/32],"
                " tls_passthrough: false}}]\n"),
         ""},
        /* routes by host */
        {"", EGRESS("    routes: [{host: a.example.com}]\n"),
         "spec.egress.routes[a.example.com]: - -> {host: a.example.com} (reload)\n"},
        {EGRESS("    routes: [{host: a.example.com, pipelock: {tls_passthrough: true}}]\n"), "",
         "spec.egress.routes[a.example.com]: {host: a.example.com, pipelock: {tls_passthrough: "
         "true}} -> - (sidecar)\n"},
        {EGRESS("    routes: [{host: a.example.com}, {host: b.example.com, methods: [GET]}]\n"),
         EGRESS("    routes: [{host: new.example.com}, {host: b.example.com, methods: [GET, POST]},"
                " {host: a.example.com}]\n"),
         "spec.egress.routes: in the order a.example.com, b.example.com -> in the order "
         "new.example.com, b.example.com, a.example.com (reload)\n"
         "spec.egress.routes[b.example.com].methods: [GET] -> [GET, POST] (reload)\n"
         "spec.egress.routes[new.example.com]: - -> {host: new.example.com} (reload)\n"},
        {EGRESS("    routes: [{host: a.example.com}]\n"),
         EGRESS("    routes: [{host: a.example.com, auth: {scheme: Bearer, token_ref: PAT}}]\n"),
         "spec.egress.routes[a.example.com].auth.scheme: - -> Bearer (reload)\n"
         "spec.egress.routes[a.example.com].auth.token_ref: - -> PAT (reload)\n"},
        {EGRESS("    routes: [{host: a.example.com, matches: [{methods: [GET]}]}]\n"),
         EGRESS(
             "    routes: [{host: a.example.com, matches: [{methods: [PUT], paths: [{type: exact, "
             "value: /x}]}, {methods: [GET]}]}]\n"),
         "spec.egress.routes[a.example.com].matches[0].methods: [GET] -> [PUT] (reload)\n"
         "spec.egress.routes[a.example.com].matches[0].paths[0]: - -> {type: exact, value: /x} "
         "(reload)\n"
         "spec.egress.routes[a.example.com].matches[1]: - -> {methods: [GET]} (reload)\n"},
        /* words: their order counts where it is written into a file */
        {EGRESS("    allowlist: [a.example.com, b.example.com]\n"),
         EGRESS("    allowlist: [b.example.com, a.example.com]\n"),
         "spec.egress.allowlist: [a.example.com, b.example.com] -> [b.example.com, a.example.com] "
         "(reload)\n"},
        {EGRESS("    routes: [{host: a.example.com, pipelock: {ssrf_ip_allowlist: [10.0.0.1, "
                "10.0.0.2]}}]\n"),
         EGRESS("    routes: [{host: a.example.com, pipelock: {ssrf_ip_allowlist: [10.0.0.2, "
                "10.0.0.1]}}]\n"),
         ""},
        {EGRESS("    presets: [claude-code]\n"), "",
         "spec.egress.presets: [claude-code] -> - (reload)\n"},
        /* maps */
        {"  git-gate: {user: {name: Ada}}\n", "  git-gate: {user: {name: Bea}}\n",
         "spec.git-gate.user.name: Ada -> Bea (sidecar)\n"},
        {"",
         "  git-gate: {repos: {site: {url: \"ssh://git.example.com/a.git\", host_key: \"" KEY
         "\", identity: SITE_KEY}}}\n",
         "spec.git-gate.repos.site: - -> {host_key: " KEY ", identity: SITE_KEY, url: "
         "ssh://git.example.com/a.git} (sidecar)\n"},
        /* switches */
        {"", "  suspend: {}\n", "spec.suspend: false -> true (none)\n"},
        {"  suspend: true\n", "  suspend: {reason: audit}\n",
         "spec.suspend.reason: - -> audit (none)\n"},
        {"  suspend: {reason: audit}\n", "",
         "spec.suspend: true -> false (none)\nspec.suspend.reason: audit -> - (none)\n"},
        /* the dearest first */
        {EGRESS("    dlp_action: warn\n    log: 2\n") "  supervise: true\n", "",
         "spec.supervise: true -> false (agent)\n"
         "spec.egress.dlp_action: warn -> block (sidecar)\n"
         "spec.egress.log: 2 -> 1 (reload)\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_FREE char *text = told(cases[i].a, cases[i].b);
        assert_string_equal(text, cases[i].expected);
    }
}

/* What the agent has, in an object of its own. */
static char *agent_told(const char *a, const char *b)
{
    AUTO_FREE char *old = xasprintf("{\"spec\": {\"agent\": {%s}}}", a);
    AUTO_FREE char *new = xasprintf("{\"spec\": {\"agent\": {%s}}}", b);
    struct change_list l;
    changes_find(old, new, &l);
    struct str out;
    str_init(&out, 64 * 1024);
    for (size_t i = 0; i < l.len; i++)
        str_addf(&out, "%s: %s -> %s (%s)\n", l.items[i].field,
                 l.items[i].old_text ? l.items[i].old_text : "-",
                 l.items[i].new_text ? l.items[i].new_text : "-",
                 change_class_name(l.items[i].change));
    change_list_done(&l);
    return XNN(str_take(&out));
}

static void edits_of_the_agent_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *expected;
    } cases[] = {
        {"\"env\": {\"LOG_LEVEL\": \"info\"}",
         "\"env\": {\"LOG_LEVEL\": \"${LEVEL}\", \"EMPTY\": \"\"}",
         "spec.agent.env.EMPTY: - -> \"\" (agent)\n"
         "spec.agent.env.LOG_LEVEL: info -> ${LEVEL} (agent)\n"},
        {"\"command\": [\"sleep\", \"1\"]", "\"command\": [\"1\", \"sleep\"]",
         "spec.agent.command: [sleep, 1] -> [1, sleep] (agent)\n"},
        {"\"command\": []", "\"image\": \"x\"", "spec.agent.image: - -> x (agent)\n"},
        {"\"mounts\": [{\"source\": \"/srv/a\", \"target\": \"/work\"}]",
         "\"mounts\": [{\"volume\": \"c\", \"target\": \"/cache\"}, {\"source\": \"/srv/a\", "
         "\"target\": \"/work\", \"read_only\": true}]",
         "spec.agent.mounts[/cache]: - -> {volume: c, target: /cache} (agent)\n"
         "spec.agent.mounts[/work].read_only: false -> true (agent)\n"},
        {"\"mounts\": [{\"volume\": \"c\", \"target\": \"/a\"}, {\"volume\": \"d\", \"target\": "
         "\"/b\"}]",
         "\"mounts\": [{\"volume\": \"d\", \"target\": \"/b\"}, {\"volume\": \"c\", \"target\": "
         "\"/a\", "
         "\"retain\": true}]",
         "spec.agent.mounts[/a].retain: false -> true (none)\n"},
        {"\"resources\": {\"memory\": \"2Gi\"}",
         "\"resources\": {\"memory\": \"2048Mi\", \"cpus\": 2.0}",
         "spec.agent.resources.cpus: - -> 2.0 (live)\n"},
        {"\"resources\": {\"cpus\": \"2\"}", "\"resources\": {\"cpus\": 2.0, \"memory\": \"4Gi\"}",
         "spec.agent.resources.memory: 2Gi -> 4Gi (live)\n"},
        {"\"files\": [{\"path\": \"/a\", \"content\": \"one\\ntwo\\nthree\"}]",
         "\"files\": [{\"path\": \"/a\", \"content\": \"one\\ntwo\\nfour\"}]",
         "spec.agent.files[/a].content: 13 bytes, line 3: three -> 12 bytes, line 3: four "
         "(agent)\n"},
        {"\"files\": [{\"path\": \"/a\", \"content\": \"one\\ntwo\"}]", "\"files\": []",
         "spec.agent.files[/a]: {path: /a, content: 7 bytes: one} -> - (agent)\n"},
        {"\"files\": [{\"path\": \"/a\", \"content\": \"x\"}]",
         "\"files\": [{\"path\": \"/a\", \"secret\": \"S\"}]",
         "spec.agent.files[/a].content: 1 bytes: x -> - (agent)\n"
         "spec.agent.files[/a].secret: - -> S (agent)\n"},
        {"\"update\": {\"when\": \"idle\"}",
         "\"update\": {\"when\": \"window\", \"window\": \"22:00-06:00\"}",
         "spec.agent.update.when: idle -> window (none)\n"
         "spec.agent.update.window: - -> 22:00-06:00 (none)\n"},
        /* What this version doesn't know. */
        {"\"colour\": {\"red\": 1}", "\"colour\": {\"red\": 2}",
         "spec.agent.colour: {red: 1} -> {red: 2} (agent)\n"},
        {"\"colour\": [1, 2]", "\"colour\": [1, 2]", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_FREE char *text = agent_told(cases[i].a, cases[i].b);
        assert_string_equal(text, cases[i].expected);
    }
}

/* However long a value is, its change is short and is seen. */
static void long_values_are_cut_where_they_differ(void **state)
{
    (void)state;
    AUTO_FREE char *filler = xmalloc(3001);
    memset(filler, 'x', 3000);
    filler[3000] = '\0';
    static const char *const forms[] = {
        "\"env\": {\"A\": \"%s-%d-%s\"}",
        "\"command\": [\"%s-%d\", \"%s\"]",
        "\"files\": [{\"path\": \"/a\", \"content\": \"%s-%d-%s\"}]",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct str side[2];
        for (int j = 0; j < 2; j++) {
            str_init(&side[j], 64 * 1024);
            AUTO_FREE char *number = xasprintf("-%d", j);
            const char *mark = strstr(forms[i], "%d");
            str_addn(&side[j], forms[i], (size_t)(strstr(forms[i], "%s") - forms[i]));
            str_addf(&side[j], "%s%s%s", filler, number, mark + 2);
            char *tail = strstr(side[j].p, "%s");
            if (tail)
                memcpy(tail, "zz", 2);
        }
        AUTO_FREE char *text = agent_told(side[0].p, side[1].p);
        assert_true(strlen(text) < 600);
        assert_non_null(strstr(text, "-0"));
        assert_non_null(strstr(text, "-1"));
        str_done(&side[0]);
        str_done(&side[1]);
    }
    struct str many;
    str_init(&many, 1024 * 1024);
    str_add(&many, EGRESS("    allowlist: ["));
    for (int i = 0; i < 900; i++)
        str_addf(&many, "%sh%d.example.com", i ? ", " : "", i);
    AUTO_FREE char *a = xasprintf("%s]\n", many.p);
    AUTO_FREE char *b = xasprintf("%s, a.example.net, b.example.net]\n", many.p);
    AUTO_FREE char *text = told(a, b);
    assert_string_equal(text, "spec.egress.allowlist: 900 items -> 902 items, among them "
                              "a.example.net, b.example.net (reload)\n");
    str_done(&many);
}

static char *around(const char *before, const struct str *filler, int which, const char *after)
{
    return xasprintf("%s%s<%d>%s%s", before, filler->p, which, filler->p, after);
}

static void assert_told(const char *before, const struct str *filler, const char *after)
{
    AUTO_FREE char *a = around(before, filler, 0, after);
    AUTO_FREE char *b = around(before, filler, 1, after);
    AUTO_FREE char *text = agent_told(a, b);
    json_t *utf8 = json_string(text); /* NULL where a character is halved */
    assert_non_null(utf8);
    json_decref(utf8);
    assert_non_null(strstr(text, "<0>"));
    assert_non_null(strstr(text, "<1>"));
}

/* What is told is told as JSON too, wherever it was cut. */
static void no_character_is_halved(void **state)
{
    (void)state;
    static const int lengths[] = {30, 300, 30000};
    for (size_t i = 0; i < 3 * sizeof(lengths) / sizeof(*lengths); i++) {
        struct str filler;
        str_init(&filler, 128 * 1024);
        str_add(&filler, &"xx"[i % 3]);
        for (int k = 0; k < lengths[i / 3]; k++)
            str_add(&filler, "€");
        assert_told("\"env\": {\"A\": \"", &filler, "\"}");
        assert_told("\"files\": [{\"path\": \"/a\", \"content\": \"", &filler, "\"}]");
        str_done(&filler);
    }
}

static void what_cannot_be_read_is_the_worst(void **state)
{
    (void)state;
    struct change_list l;
    changes_find("{", "{\"spec\": {}}", &l);
    assert_int_equal(l.len, 1);
    assert_string_equal(l.items[0].field, "spec");
    assert_int_equal(l.items[0].change, CHANGE_AGENT);
    assert_true(l.items[0].loses_state);
    assert_string_equal(l.items[0].reason, "this version of bottler doesn't know what it costs");
    change_list_done(&l);
    changes_find("{", "{", &l);
    assert_int_equal(l.len, 0);
    assert_int_equal(changes_worst(&l), CHANGE_NONE);
    change_list_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_leaf_is_one_change_of_its_class),
        cmocka_unit_test(a_default_written_out_is_no_change),
        cmocka_unit_test(edits_are_told),
        cmocka_unit_test(edits_of_the_agent_are_told),
        cmocka_unit_test(long_values_are_cut_where_they_differ),
        cmocka_unit_test(no_character_is_halved),
        cmocka_unit_test(what_cannot_be_read_is_the_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
