/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of keys and the letter case of hosts, methods and header names change no byte of what
 * is rendered, and no hash. Many random spellings of one manifest, the same ones in every run.
 */
#include "fixture.h"
#include "render/routeset.h"

enum { SPELLINGS = 300, KEYS_MAX = 64 };

static const char MANIFEST[] =
    "{\"apiVersion\": \"bottler.dev/v1\", \"kind\": \"Bottle\","
    " \"metadata\": {\"name\": \"demo\", \"labels\": {\"team\": \"platform\", \"a\": \"b\"}},"
    " \"spec\": {"
    "  \"agent\": {\"image\": \"registry.example.com/agent:1.4\", \"user\": \"1000:1000\","
    "   \"command\": [\"sleep\", \"infinity\"], \"working_dir\": \"/work\", \"tty\": true,"
    "   \"env\": {\"B\": \"2\", \"A\": \"1\", \"C\": \"3\"},"
    "   \"mounts\": [{\"source\": \"/srv/demo\", \"target\": \"/work\", \"read_only\": true},"
    "    {\"volume\": \"cache\", \"target\": \"/cache\", \"retain\": true}],"
    "   \"files\": [{\"path\": \"/home/agent/x\", \"content\": \"X\", \"mode\": \"0600\"}],"
    "   \"resources\": {\"memory\": \"1Gi\", \"cpus\": 1.5, \"pids\": 99}},"
    "  \"egress\": {\"presets\": [\"claude-code\"], \"dlp_action\": \"warn\", \"log\": 2,"
    "   \"allowlist\": [\"zeta.example.com\", \"alpha.example.com\", \"api.example.com\"],"
    "   \"routes\": ["
    "    {\"host\": \"api.example.com\", \"path_allowlist\": [\"/Repos/Acme/\", \"/b\"],"
    "     \"methods\": [\"GET\", \"POST\"], \"auth\": {\"scheme\": \"Bearer\", \"token_ref\": "
    "\"T\"},"
    "     \"pipelock\": {\"tls_passthrough\": true, \"ssrf_ip_allowlist\": [\"10.1.0.0/16\"]}},"
    "    {\"host\": \"claude.ai\", \"matches\": [{\"methods\": [\"PUT\"],"
    "     \"paths\": [{\"type\": \"exact\", \"value\": \"/V1\"}],"
    "     \"headers\": [{\"name\": \"x-team\", \"value\": \"Platform\"}]}]}]}}}";

static uint64_t rng_next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* ---- another spelling ------------------------------------------------------------------------ */

static bool case_is_free(const char *key)
{
    static const char *const FREE[] = {"host", "allowlist", "methods", "name"};
    for (size_t i = 0; i < sizeof(FREE) / sizeof(FREE[0]); i++) {
        if (strcmp(FREE[i], key) == 0)
            return true;
    }
    return false;
}

static void spell_text(struct str *out, const char *text, bool free_case, uint64_t *rng)
{
    AUTO_FREE char *copy = xstrdup(text);
    for (char *c = copy; free_case && *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (letter && rng_next(rng) % 2)
            *c = (char)(*c ^ 0x20);
    }
    str_addf(out, "\"%s\"", copy);
}

static void spell(struct str *out, json_t *v, const char *key, uint64_t *rng);

static void spell_object(struct str *out, json_t *v, uint64_t *rng)
{
    const char *keys[KEYS_MAX];
    size_t n = 0;
    const char *k;
    json_t *item;
    json_object_foreach(v, k, item)
    {
        assert_true(n < KEYS_MAX);
        keys[n++] = k;
    }
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(rng_next(rng) % i);
        const char *swap = keys[i - 1];
        keys[i - 1] = keys[j];
        keys[j] = swap;
    }
    str_add(out, "{");
    for (size_t i = 0; i < n; i++) {
        /* metadata.name is no header's name. */
        item = json_object_get(v, keys[i]);
        bool other = strcmp(keys[i], "name") == 0 && json_object_get(v, "labels");
        str_addf(out, "%s\"%s\": ", i ? ", " : "", keys[i]);
        spell(out, item, other ? "" : keys[i], rng);
    }
    str_add(out, "}");
}

static void spell(struct str *out, json_t *v, const char *key, uint64_t *rng)
{
    if (json_is_object(v)) {
        spell_object(out, v, rng);
    } else if (json_is_array(v)) {
        str_add(out, "[");
        for (size_t i = 0; i < json_array_size(v); i++) {
            str_add(out, i ? ", " : "");
            spell(out, json_array_get(v, i), key, rng);
        }
        str_add(out, "]");
    } else if (json_is_string(v)) {
        spell_text(out, json_string_value(v), case_is_free(key), rng);
    } else {
        AUTO_FREE char *text = json_dumps(v, JSON_ENCODE_ANY);
        str_add(out, text);
    }
}

/* ---- everything that is rendered, as one text ------------------------------------------------ */

static char *rendered(const char *manifest)
{
    struct fixture f;
    fx_minimal(&f);
    fx_secret(&f, "T", "token");
    struct manifest_set *set = NULL;
    const struct bottle *b = test_bottle(manifest, &set);
    struct desired *d = NULL;
    fx_ok(desired_render(b, &f.s, &f.in, &d));
    struct str out;
    str_init(&out, 1 << 20);
    for (size_t i = 0; i < d->containers_len; i++) {
        const struct desired_container *c = &d->containers[i];
        AUTO_FREE char *body = json_dumps(c->body, JSON_SORT_KEYS | JSON_COMPACT);
        str_addf(&out, "%s\n%s\n%s\n", c->spec_hash, c->generation ? c->generation : "", body);
        for (size_t j = 0; j < c->files.len; j++)
            str_addf(&out, "%s %o\n%.*s\n", c->files.items[j].path, c->files.items[j].mode,
                     (int)c->files.items[j].n,
                     c->files.items[j].data ? c->files.items[j].data : "");
    }
    desired_free(d);
    manifest_set_free(set);
    fx_done(&f);
    char *text = str_take(&out);
    assert_non_null(text);
    return text;
}

static void spelling_changes_nothing(void **state)
{
    (void)state;
    uint64_t rng = UINT64_C(0x9e3779b97f4a7c15);
    json_t *model = json_loads(MANIFEST, 0, NULL);
    assert_non_null(model);
    AUTO_FREE char *want = rendered(MANIFEST);
    /* Not nothing, and of this manifest. */
    assert_non_null(strstr(want, "- host: \"claude.ai\"\n  matches:\n"));
    assert_non_null(strstr(want, "/Repos/Acme/"));
    size_t different = 0;
    for (int i = 0; i < SPELLINGS; i++) {
        struct str text;
        str_init(&text, 1 << 20);
        spell(&text, model, "", &rng);
        AUTO_FREE char *have = rendered(text.p);
        if (strcmp(want, have) != 0)
            print_error("another result for:\n%s\n", text.p);
        assert_string_equal(want, have);
        different += strcmp(text.p, MANIFEST) != 0;
        str_done(&text);
    }
    assert_int_equal(different, SPELLINGS);
    json_decref(model);
}

/* What does differ in meaning differs in the result: the property above isn't empty. */
static void meaning_changes_something(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } CHANGES[] = {
        {"/Repos/Acme/", "/repos/Acme/"},
        {"\"GET\", \"POST\"", "\"POST\", \"GET\""},
        {"zeta.example.com\", \"alpha.example.com", "alpha.example.com\", \"zeta.example.com"},
        {"\"B\": \"2\"", "\"b\": \"2\""},
        {"\"log\": 2", "\"log\": 1"},
        {"\"value\": \"Platform\"", "\"value\": \"platform\""},
    };
    AUTO_FREE char *want = rendered(MANIFEST);
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        const char *at = strstr(MANIFEST, CHANGES[i].from);
        assert_non_null(at);
        AUTO_FREE char *text = xasprintf("%.*s%s%s", (int)(at - MANIFEST), MANIFEST, CHANGES[i].to,
                                         at + strlen(CHANGES[i].from));
        AUTO_FREE char *have = rendered(text);
        assert_string_not_equal(want, have);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling_changes_nothing),
        cmocka_unit_test(meaning_changes_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
