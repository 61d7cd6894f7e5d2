/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support.h"

#include <string.h>

#include "spec/base/xalloc.h"
#include "spec/diag.h"
#include "spec/yaml.h"

#define FULL "tests/fuzz/corpus/manifest/full.yaml"
#define HEAD(name) "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: " name "}\n"

enum { DUMP_MAX = 256 * 1024, SHUFFLES = 60 };

static void dump_text(struct str *out, const char *key, const char *text)
{
    str_addf(out, "%s=%s\n", key, text ? text : "(none)");
}

static void dump_list(struct str *out, const char *key, const struct str_list *l)
{
    str_addf(out, "%s=%zu", key, l->len);
    for (size_t i = 0; i < l->len; i++)
        str_addf(out, " '%s'", l->items[i]);
    str_addc(out, '\n');
}

static void dump_agent(struct str *out, const struct agent_spec *a)
{
    dump_text(out, "image", a->image);
    str_addf(out, "pull=%u restart=%u tty=%d has_command=%d\n", a->pull_policy, a->restart, a->tty,
             a->has_command);
    dump_list(out, "command", &a->command);
    dump_text(out, "user", a->user);
    dump_text(out, "working_dir", a->working_dir);
    dump_text(out, "runtime", a->runtime);
    for (size_t i = 0; i < a->env_len; i++) {
        dump_text(out, "env", a->env[i].name);
        dump_text(out, "  value", a->env[i].value);
        dump_text(out, "  secret", a->env[i].secret);
    }
    for (size_t i = 0; i < a->mounts_len; i++) {
        const struct mount *m = &a->mounts[i];
        str_addf(out, "mount ro=%d retain=%d\n", m->read_only, m->retain);
        dump_text(out, "  source", m->source);
        dump_text(out, "  volume", m->volume);
        dump_text(out, "  target", m->target);
    }
    for (size_t i = 0; i < a->files_len; i++) {
        str_addf(out, "file mode=%04o\n", a->files[i].mode);
        dump_text(out, "  path", a->files[i].path);
        dump_text(out, "  content", a->files[i].content);
        dump_text(out, "  secret", a->files[i].secret);
    }
    str_addf(out, "memory=%lld cpus=%lld pids=%lld\n", (long long)a->resources.memory_bytes,
             (long long)a->resources.nano_cpus, (long long)a->resources.pids);
    str_addf(out, "update=%u from=%d to=%d deadline=%lld\n", a->update.when, a->update.from_min,
             a->update.to_min, (long long)a->update.deadline_s);
}

static void dump_match(struct str *out, const struct match_rule *m)
{
    str_add(out, "  match\n");
    for (size_t i = 0; i < m->paths_len; i++)
        str_addf(out, "    path %u '%s'\n", m->paths[i].type, m->paths[i].value);
    dump_list(out, "    methods", &m->methods);
    for (size_t i = 0; i < m->headers_len; i++)
        str_addf(out, "    header '%s: %s'\n", m->headers[i].name, m->headers[i].value);
}

static void dump_egress(struct str *out, const struct egress_spec *e)
{
    dump_list(out, "presets", &e->presets);
    dump_list(out, "allowlist", &e->allowlist);
    for (size_t i = 0; i < e->routes_len; i++) {
        const struct route *r = &e->routes[i];
        dump_text(out, "route", r->host);
        dump_list(out, "  paths", &r->path_allowlist);
        dump_list(out, "  methods", &r->methods);
        for (size_t j = 0; j < r->matches_len; j++)
            dump_match(out, &r->matches[j]);
        str_addf(out, "  auth=%u passthrough=%d\n", r->auth_scheme, r->tls_passthrough);
        dump_text(out, "  token_ref", r->token_ref);
        dump_list(out, "  ssrf", &r->ssrf_ip_allowlist);
    }
    str_addf(out, "dlp=%u log=%d\n", e->dlp_action, e->log);
}

/* All that a bottle says, but for where it was written. */
static char *dump(const struct bottle *b)
{
    struct str out;
    str_init(&out, DUMP_MAX);
    dump_text(&out, "name", b->name);
    dump_text(&out, "uid", b->uid);
    for (size_t i = 0; i < b->labels.len; i++)
        str_addf(&out, "label %s=%s\n", b->labels.items[i].key, b->labels.items[i].value);
    dump_text(&out, "extends", b->extends);
    str_addf(&out, "abstract=%d suspended=%d until=%lld\n", b->abstract, b->suspended,
             (long long)b->suspend_until);
    dump_text(&out, "reason", b->suspend_reason);
    str_addf(&out, "preserve=%d\n", b->preserve);
    dump_agent(&out, &b->agent);
    dump_egress(&out, &b->egress);
    dump_text(&out, "git user", b->git_gate.user_name);
    dump_text(&out, "git email", b->git_gate.user_email);
    for (size_t i = 0; i < b->git_gate.repos_len; i++) {
        const struct git_repo *r = &b->git_gate.repos[i];
        str_addf(&out, "repo '%s' '%s' '%s' '%s'\n", r->name, r->url, r->host_key, r->identity);
    }
    str_addf(&out, "supervise=%d\n", b->supervise);
    return XNN(str_take(&out));
}

static struct manifest_set *load_full(void)
{
    struct test_bytes b = test_read_file(FULL);
    struct manifest_input in = {.path = "full.yaml", .bytes = {b.p, b.n}};
    struct manifest_set *set = manifest_load(&in, 1);
    free(b.p);
    return set;
}

static const struct bottle *find(const struct manifest_set *set, const char *name)
{
    for (size_t i = 0; i < set->bottles_len; i++) {
        if (strcmp(set->bottles[i].name, name) == 0)
            return set->bottles[i].bottle;
    }
    return NULL;
}

static void test_everything(void **state)
{
    (void)state;
    struct manifest_set *set = load_full();
    test_expect_diags(set, "");
    assert_true(set->files[0].usable);
    const struct bottle *b = find(set, "gitea-dev");
    assert_non_null(b);
    AUTO_FREE char *found = dump(b);
    struct test_bytes expected = test_read_file("tests/unit/spec/full.txt");
    if (getenv("BOTTLER_REGOLD"))
        test_write_file("tests/unit/spec/full.txt", found, strlen(found));
    else
        assert_string_equal(found, expected.p);
    assert_string_equal(b->file, "full.yaml");
    assert_int_equal(b->pos.line, 1);
    assert_true(b->egress.routes[0].pos.line > 20);
    free(expected.p);
    manifest_set_free(set);
}

static void test_defaults(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = test_bottle(HEAD("least") "spec: {agent: {image: i}}\n", &set);
    AUTO_FREE char *found = dump(b);
    assert_string_equal(found,
                        "name=least\nuid=(none)\nextends=(none)\n"
                        "abstract=0 suspended=0 until=0\nreason=(none)\npreserve=0\nimage=i\n"
                        "pull=0 restart=0 tty=0 has_command=0\ncommand=0\nuser=(none)\n"
                        "working_dir=(none)\nruntime=auto\n"
                        "memory=2147483648 cpus=0 pids=512\n"
                        "update=0 from=0 to=0 deadline=0\npresets=0\nallowlist=0\n"
                        "dlp=0 log=1\ngit user=(none)\ngit email=(none)\nsupervise=0\n");
    manifest_set_free(set);
}

static void test_normal_forms(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = test_bottle(
        HEAD("n") "spec:\n"
                  "  agent: {image: i, env: {B: x, A: y, _: \"${S}\"}, resources: {cpus: \"0.5\", "
                  "memory: 1024Mi}}\n"
                  "  egress:\n"
                  "    allowlist: [B.Example.com, A.example.COM]\n"
                  "    routes:\n"
                  "    - {host: Z.Example.com, methods: [get, Post], pipelock: {ssrf_ip_allowlist: "
                  "[10.0.0.1, \"2001:DB8::/32\"]}}\n"
                  "    - {host: y.example.com, matches: [{headers: [{name: X-A, value: B}]}]}\n"
                  "  supervise: True\n",
        &set);
    AUTO_FREE char *found = dump(b);
    static const char *const parts[] = {
        "env=A\n  value=y\n  secret=(none)\nenv=B\n",
        "env=_\n  value=(none)\n  secret=S\n",
        "memory=1073741824 cpus=500000000 pids=512\n",
        "allowlist=2 'b.example.com' 'a.example.com'\n",
        "route=z.example.com\n  paths=0\n  methods=2 'GET' 'POST'\n",
        "ssrf=2 '10.0.0.1/32' '2001:db8::/32'\n",
        "header 'x-a: B'\n",
        "supervise=1\n",
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!strstr(found, parts[i]))
            fail_msg("without '%s': %s", parts[i], found);
    }
    manifest_set_free(set);
}

/* --- the order of keys doesn't matter --- */

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void emit_string(struct str *out, const char *text, bool upper)
{
    str_addc(out, '"');
    for (const char *c = text; *c; c++) {
        char shown = *c;
        if (upper && *c >= 'a' && *c <= 'z')
            shown = (char)(*c - 'a' + 'A');
        if (*c == '"' || *c == '\\')
            str_addf(out, "\\%c", *c);
        else if (*c == '\n')
            str_add(out, "\\n");
        else
            str_addc(out, shown);
    }
    str_addc(out, '"');
}

/* The tree as JSON, with the keys of every map in another order, and host names in another letter
 * case. */
static void emit(struct str *out, const struct yaml_node *n, const char *key, uint64_t *seed)
{
    if (n->kind == YAML_SEQ) {
        str_addc(out, '[');
        for (size_t i = 0; i < n->len; i++) {
            str_add(out, i ? ", " : "");
            emit(out, n->pairs[i].value, key, seed);
        }
        str_addc(out, ']');
    } else if (n->kind == YAML_MAP) {
        AUTO_FREE size_t *order = xcalloc(n->len, sizeof(*order));
        for (size_t i = 0; i < n->len; i++) {
            size_t j = next_random(seed) % (i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        str_addc(out, '{');
        for (size_t i = 0; i < n->len; i++) {
            const struct yaml_pair *p = &n->pairs[order[i]];
            str_add(out, i ? ", " : "");
            emit_string(out, p->key, false);
            str_add(out, ": ");
            emit(out, p->value, p->key, seed);
        }
        str_addc(out, '}');
    } else if (n->kind == YAML_STRING) {
        bool host = strcmp(key, "host") == 0 || strcmp(key, "allowlist") == 0;
        emit_string(out, n->text, host && next_random(seed) % 2);
    } else {
        str_add(out, n->text);
    }
}

static void test_key_order(void **state)
{
    (void)state;
    struct test_bytes bytes = test_read_file(FULL);
    struct yaml_file tree;
    yaml_file_parse(&tree, "full.yaml", (struct sv){bytes.p, bytes.n});
    struct manifest_set *set = load_full();
    AUTO_FREE char *expected = dump(find(set, "gitea-dev"));
    size_t distinct = 0;
    AUTO_FREE char *last = xstrdup("");
    for (uint64_t seed = 1; seed <= SHUFFLES; seed++) {
        struct str text;
        uint64_t random = seed;
        str_init(&text, DUMP_MAX);
        for (size_t i = 0; i < tree.len; i++) {
            str_add(&text, "--- ");
            emit(&text, tree.docs[i].root, "", &random);
            str_addc(&text, '\n');
        }
        struct manifest_set *shuffled = test_load("full.yaml", text.p, NULL);
        test_expect_diags(shuffled, "");
        AUTO_FREE char *found = dump(find(shuffled, "gitea-dev"));
        assert_string_equal(found, expected);
        manifest_set_free(shuffled);
        distinct += strcmp(text.p, last) != 0;
        free(last);
        last = str_take(&text);
    }
    assert_int_equal(distinct, SHUFFLES);
    manifest_set_free(set);
    yaml_file_done(&tree);
    free(bytes.p);
}

/* --- half-written files --- */

static void test_every_prefix(void **state)
{
    (void)state;
    struct test_bytes bytes = test_read_file(FULL);
    size_t with_bottle = 0;
    size_t unusable = 0;
    for (size_t n = 0; n <= bytes.n; n++) {
        AUTO_FREE char *exact = xmalloc(n);
        memcpy(exact, bytes.p, n);
        struct manifest_input in = {.path = "p.yaml", .bytes = {exact, n}};
        struct manifest_set *set = manifest_load(&in, 1);
        for (size_t i = 0; i < set->bottles_len; i++) {
            const struct manifest_bottle *b = &set->bottles[i];
            assert_int_equal(b->bottle == NULL, b->diags.len > 0);
            with_bottle += b->bottle != NULL;
        }
        if (!set->files[0].usable) {
            assert_true(set->files[0].diags.len > 0);
            unusable++;
        }
        manifest_set_free(set);
    }
    assert_true(bytes.n > 2000);
    assert_true(with_bottle > 10);
    assert_true(unusable > 100);
    free(bytes.p);
}

/* --- what is known about a file that isn't right --- */

static void test_unreadable_file(void **state)
{
    (void)state;
    struct manifest_input in[] = {
        {.path = "b.yaml", .bytes = sv_of(HEAD("b") "spec: {agent: {image: i}}\n")},
        {.path = "a.yaml", .read_error = "permission denied"},
    };
    struct manifest_set *set = manifest_load(in, 2);
    test_expect_diags(set, "a.yaml: can't be read: permission denied\n");
    assert_int_equal(set->files_len, 2);
    assert_string_equal(set->files[0].path, "a.yaml");
    assert_false(set->files[0].usable);
    assert_true(set->files[1].usable);
    assert_non_null(find(set, "b"));
    manifest_set_free(set);
}

static void test_usable(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool usable;
        size_t bottles;
    } cases[] = {
        {HEAD("a") "spec: {agent: {image: i}}\n", true, 1},
        /* Known by name, and wrong. */
        {HEAD("a") "spec: {agent: {image: I}}\n", true, 1},
        {HEAD("a") "spec: {agent: &x {image: i}}\n", true, 1},
        {"apiVersion: other/v9\nkind: Bottle\nmetadata: {name: a}\nspec: {agent: {image: i}}\n",
         true, 1},
        /* Nobody knows which bottle this is. */
        {HEAD("A_B") "spec: {agent: {image: i}}\n", false, 0},
        {"apiVersion: bottler.dev/v1\nkind: Bottle\nspec: {agent: {image: i}}\n", false, 0},
        {"apiVersion: bottler.dev/v1\nkind: Botle\nmetadata: {name: a}\n", false, 0},
        {"a: b\n", false, 0},
        {"", false, 0},
        /* The whole file: what stands before the break could be half of it. */
        {HEAD("a") "spec: {agent: {image: i}}\n---\n{", false, 0},
        /* The good one counts, the other is unknown. */
        {HEAD("a") "spec: {agent: {image: i}}\n---\nx: y\n", false, 1},
        /* Nothing, on purpose. */
        {"# nothing here\n", true, 0},
        {"---\n...\n---\n", true, 0},
        /* A wrong grant says nothing about bottles. */
        {"apiVersion: bottler.dev/v1\nkind: Grant\nmetadata: {}\nspec: {}\n", true, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct manifest_set *set = test_load("m.yaml", cases[i].text, NULL);
        if (set->files[0].usable != cases[i].usable || set->bottles_len != cases[i].bottles)
            fail_msg("case %zu: usable %d, %zu bottles", i, set->files[0].usable, set->bottles_len);
        manifest_set_free(set);
    }
}

static void test_null_document_keeps_its_findings(void **state)
{
    (void)state;
    struct manifest_set *set = test_load("m.yaml", "--- &a\n", NULL);
    AUTO_FREE char *found = test_diags(set);
    assert_non_null(strstr(found, "anchors ('a') aren't allowed"));
    manifest_set_free(set);
}

static void test_grant(void **state)
{
    (void)state;
    static const char m[] =
        "apiVersion: bottler.dev/v1\nkind: Grant\nmetadata: {name: g}\n"
        "spec: {bottle: dev, host: PyPI.example.com, path_allowlist: [/simple/],"
        " methods: [get], reason: one build, expires: 2026-12-01T00:00:00Z}\n";
    struct manifest_set *set = test_load("m.yaml", m, NULL);
    test_expect_diags(set, "");
    assert_int_equal(set->grants_len, 1);
    const struct grant *g = set->grants[0];
    assert_string_equal(g->name, "g");
    assert_string_equal(g->bottle, "dev");
    assert_string_equal(g->host, "pypi.example.com");
    assert_string_equal(g->path_allowlist.items[0], "/simple/");
    assert_string_equal(g->methods.items[0], "GET");
    assert_string_equal(g->reason, "one build");
    assert_int_equal(g->expires, 1796083200);
    assert_string_equal(g->file, "m.yaml");
    manifest_set_free(set);
}

static void test_suspend_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool suspended;
    } cases[] = {
        {"false", false}, {"true", true}, {"{}", true}, {"~", false}, {"{reason: x}", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct manifest_set *set = NULL;
        AUTO_FREE char *text =
            xasprintf(HEAD("s") "spec: {agent: {image: i}, suspend: %s}\n", cases[i].text);
        const struct bottle *b = test_bottle(text, &set);
        assert_int_equal(b->suspended, cases[i].suspended);
        manifest_set_free(set);
    }
}

static void test_abstract_needs_no_image(void **state)
{
    (void)state;
    struct manifest_set *set = NULL;
    const struct bottle *b = test_bottle(HEAD("a") "spec: {abstract: true}\n", &set);
    assert_true(b->abstract);
    assert_null(b->agent.image);
    manifest_set_free(set);
}

/* --- limits --- */

static void test_error_cap(void **state)
{
    (void)state;
    struct str text;
    str_init(&text, 1024 * 1024);
    str_add(&text, HEAD("many") "spec:\n  agent: {image: i}\n");
    for (int i = 0; i < 1000; i++)
        str_addf(&text, "  key%d: x\n", i);
    for (int i = 0; i < 3; i++)
        str_addf(&text, "---\n" HEAD("more%d") "spec: {agent: {image: I, tty: 1}}\n", i);
    struct manifest_set *set = test_load("m.yaml", text.p, NULL);
    assert_int_equal(set->bottles_len, 4);
    size_t shown = 0;
    for (size_t i = 0; i < set->bottles_len; i++) {
        const struct diag_list *l = &set->bottles[i].diags;
        assert_null(set->bottles[i].bottle);
        assert_true(l->len > 0);
        shown += l->len;
    }
    assert_true(shown <= MANIFEST_MAX_ERRORS + 4);
    AUTO_FREE char *found = test_diags(set);
    assert_non_null(strstr(found, "more errors, not shown: the first 200 of this file are listed"));
    manifest_set_free(set);
    str_done(&text);
}

/* Many entries of a list: refused by number, none is read. */
static void expect_too_many(const char *before, const char *item, int n, const char *expected)
{
    struct str text;
    str_init(&text, 1024 * 1024);
    str_addf(&text, HEAD("many") "spec:\n%s", before);
    for (int i = 0; i < n; i++)
        str_addf(&text, "      %s%d\n", item, i);
    struct manifest_set *set = test_load("m.yaml", text.p, NULL);
    AUTO_FREE char *found = test_diags(set);
    assert_string_equal(found, expected);
    manifest_set_free(set);
    str_done(&text);
}

static void test_list_limits(void **state)
{
    (void)state;
    expect_too_many("  agent:\n    image: i\n    command:\n", "- x", 257,
                    "m.yaml:8:7: spec.agent.command: expected at most 256 entries, got 257\n");
    expect_too_many("  agent: {image: i}\n  egress:\n    routes:\n", "- host: a", 501,
                    "m.yaml:8:7: spec.egress.routes: expected at most 500 entries, got 501\n");
}

static void test_file_sizes(void **state)
{
    (void)state;
    struct str text;
    AUTO_FREE char *content = xmalloc(128 * 1024 + 2);
    memset(content, 'x', 128 * 1024 + 1);
    content[128 * 1024 + 1] = '\0';
    str_init(&text, 1024 * 1024);
    str_addf(&text,
             HEAD("f") "spec:\n  agent:\n    image: i\n    files:\n"
                       "    - {path: /a, content: \"%s\"}\n",
             content);
    struct manifest_set *set = test_load("m.yaml", text.p, NULL);
    test_expect_diags(set, "m.yaml:8:27: spec.agent.files[0].content: expected at most 128 KiB of "
                           "text, got 131073 bytes\n");
    manifest_set_free(set);
    content[128 * 1024] = '\0';
    str_clear(&text);
    str_add(&text, HEAD("f") "spec:\n  agent:\n    image: i\n    files:\n");
    for (int i = 0; i < 3; i++)
        str_addf(&text, "    - {path: /a%d, content: \"%s\"}\n", i, content);
    set = test_load("m.yaml", text.p, NULL);
    test_expect_diags(set, "m.yaml:8:5: spec.agent.files: expected at most 256 KiB together, got "
                           "393216 bytes\n");
    manifest_set_free(set);
    str_done(&text);
}

static void test_presets(void **state)
{
    (void)state;
    const char *const *hosts = preset_hosts("claude-code");
    size_t n = 0;
    assert_non_null(hosts);
    while (hosts[n])
        n++;
    assert_int_equal(n, 7);
    assert_string_equal(hosts[0], "api.anthropic.com");
    assert_null(preset_hosts("claude"));
    assert_null(preset_hosts(""));
}

static void test_nothing(void **state)
{
    (void)state;
    struct manifest_set *set = manifest_load(NULL, 0);
    assert_int_equal(set->files_len, 0);
    assert_int_equal(set->bottles_len, 0);
    test_expect_diags(set, "");
    manifest_set_free(set);
    assert_null(manifest_set_free(NULL));
    assert_null(bottle_free(NULL));
    assert_null(grant_free(NULL));
}

int main(void)
{
    /* Nothing here takes seconds: a hang ends the program. */
    (void)alarm(120);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_normal_forms),
        cmocka_unit_test(test_key_order),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_unreadable_file),
        cmocka_unit_test(test_usable),
        cmocka_unit_test(test_null_document_keeps_its_findings),
        cmocka_unit_test(test_grant),
        cmocka_unit_test(test_suspend_forms),
        cmocka_unit_test(test_abstract_needs_no_image),
        cmocka_unit_test(test_error_cap),
        cmocka_unit_test(test_list_limits),
        cmocka_unit_test(test_file_sizes),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
