/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/golden/plan/CASE/: what is wanted, what is there, what is known, and the plan.
 *
 *   manifest.yaml  the bottle; tests/golden/plan/manifest.yaml when there is none; empty: nothing
 *                  wants it any more
 *   observed.json  {"containers", "networks", "volumes"}: the engine's answers, with "ours ROLE"
 * for the labels of an object as this version makes it, "ours ROLE old" for one of an older
 * generation, "theirs ROLE" for another installation's memory.json    what differs from: every
 * image was looked up and is there, every running proxy has told that it runs what is wanted
 *   plan.txt       the steps, each with those that it waits for
 *
 * BOTTLER_REGOLD=1 writes plan.txt anew: look at the difference before it is committed.
 */
#include "reconcile/backoff.h"
#include "reconcile/diff.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <unistd.h>

#define GOLDEN "tests/golden/plan"
enum { CASES_MIN = 30, TEXT_MAX = 1 << 20, OLD_API = 41, NEW_API = 47 };
#define NOW (1000 * NS_PER_S)

struct golden {
    const char *name;
    struct desired *desired; /* what the manifest says, also when it isn't wanted any more */
    bool wanted;
    struct observed *observed;
    struct memory memory;
    struct engine_caps caps;
    struct cidr_set reserved;
    struct pool pool;
    json_t *known; /* memory.json */
};

static char *path_of(const char *name, const char *file)
{
    return *name ? xasprintf(GOLDEN "/%s/%s", name, file) : xasprintf(GOLDEN "/%s", file);
}

static bool have(const char *name, const char *file)
{
    AUTO_FREE char *path = path_of(name, file);
    return access(path, R_OK) == 0;
}

static json_t *load_json(const char *name, const char *file)
{
    AUTO_FREE char *path = path_of(name, file);
    json_error_t e;
    json_t *v = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    if (!v)
        fail_msg("%s:%d: %s", path, e.line, e.text);
    return v;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static struct desired *render(const char *text)
{
    static const uint8_t key[HASH_KEY_BYTES] = {7};
    static const struct render_secret secrets[] = {{"API_PAT", {"token", 5}}};
    struct manifest_set *set = NULL;
    const struct bottle *b = test_bottle(text, &set);
    struct render_settings s = {.instance = "bottler", .installation = "inst-1", .hash_key = key};
    struct render_inputs in = {.uid = "uid-1",
                               .secrets = secrets,
                               .secrets_len = sizeof(secrets) / sizeof(*secrets),
                               .egress_ca_cert = sv_of("A\n"),
                               .egress_ca_key = sv_of("B\n"),
                               .pipelock_ca_cert = sv_of("C\n"),
                               .pipelock_ca_key = sv_of("D\n")};
    struct desired *d = NULL;
    AUTO_ERR e = desired_render(b, &s, &in, &d);
    if (e)
        fail_msg("%s", err_message(e));
    manifest_set_free(set);
    return d;
}

static void load_desired(struct golden *g)
{
    AUTO_FREE char *own = path_of(g->name, "manifest.yaml");
    struct test_bytes common = test_read_file(GOLDEN "/manifest.yaml");
    g->wanted = true;
    if (have(g->name, "manifest.yaml")) {
        struct test_bytes b = test_read_file(own);
        g->wanted = b.n > 0;
        if (g->wanted)
            g->desired = render(b.p);
        free(b.p);
    }
    if (!g->desired)
        g->desired = render(common.p);
    free(common.p);
}

/* ---- what is there --------------------------------------------------------------------------- */

static const char *hash_of(const struct golden *g, const char *role)
{
    enum role r = ROLE_COUNT;
    enum net n = NET_COUNT;
    if (role_parse(role, &r)) {
        const struct desired_container *c = desired_find(g->desired, r);
        return c ? c->spec_hash : "v1:none";
    }
    return net_role_parse(role, &n) ? g->desired->networks[n].spec_hash : "v1:volume";
}

/* "ours agent old" as labels. `name` is the object's own. */
static json_t *labels_of(const struct golden *g, const char *text, const char *name)
{
    AUTO_FREE char *words = xstrdup(text);
    char *rest = words;
    const char *whose = strsep(&rest, " ");
    const char *role = strsep(&rest, " ");
    const char *how = rest ? rest : "";
    assert_non_null(role);
    size_t n = strlen(name);
    size_t suffix = strlen(NEXT_SUFFIX);
    AUTO_FREE char *self = xmemdup0(name, test_ends_with(name, NEXT_SUFFIX) ? n - suffix : n);
    json_t *o =
        XNN(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", LABEL_INSTALLATION,
                      strcmp(whose, "ours") == 0 ? "inst-1" : "inst-2", LABEL_BOTTLE, "demo",
                      LABEL_ROLE, role, LABEL_UID, "uid-1", LABEL_SPEC_HASH,
                      strcmp(how, "old") == 0 ? "v1:old" : hash_of(g, role), LABEL_SELF, self));
    if (strcmp(how, "retain") == 0)
        json_object_set_new(o, LABEL_RETAIN, json_string("true"));
    return o;
}

/* What isn't said of a bottle's network is as bottler makes it. */
static void close_network(json_t *item, const char *text)
{
    if (!strstr(text, " net-"))
        return;
    bool out = strstr(text, " net-out") != NULL;
    json_t *closed =
        XNN(json_pack("{s:s, s:b, s:{s:s}}", "Driver", "bridge", "Internal", !out, "Options",
                      out ? BRIDGE_ICC : BRIDGE_INHIBIT_IPV4, out ? "false" : "true"));
    assert_int_equal(json_object_update_missing_new(item, closed), 0);
}

static void expand_labels(const struct golden *g, json_t *list)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "Name"));
        const char *text = json_string_value(json_object_get(item, "Labels"));
        if (!name)
            name = json_string_value(json_array_get(json_object_get(item, "Names"), 0));
        assert_non_null(name);
        if (!text)
            continue;
        close_network(item, text);
        json_object_set_new(item, "Labels", labels_of(g, text, *name == '/' ? name + 1 : name));
    }
}

static char *answer(const struct golden *g, json_t *all, const char *key, bool wrapped)
{
    json_t *list = json_object_get(all, key);
    assert_true(json_is_array(list));
    expand_labels(g, list);
    json_t *v = wrapped ? XNN(json_pack("{s:O}", "Volumes", list)) : json_incref(list);
    char *text = XNN(json_dumps(v, JSON_COMPACT));
    json_decref(v);
    return text;
}

static void load_observed(struct golden *g)
{
    json_t *all = load_json(g->name, "observed.json");
    AUTO_FREE char *c = answer(g, all, "containers", false);
    AUTO_FREE char *n = answer(g, all, "networks", false);
    AUTO_FREE char *v = answer(g, all, "volumes", true);
    AUTO_ERR e = observed_parse("inst-1", sv_of(c), sv_of(n), sv_of(v), &g->observed);
    if (e)
        fail_msg("%s: %s", g->name, err_message(e));
    json_decref(all);
}

/* ---- what is known --------------------------------------------------------------------------- */

static void know_images(struct golden *g)
{
    for (size_t i = 0; i < g->desired->containers_len; i++) {
        const char *ref = g->desired->containers[i].image_ref;
        const char *how =
            json_string_value(json_object_get(json_object_get(g->known, "images"), ref));
        if (how && strcmp(how, "unknown") == 0)
            continue;
        bool absent = how && strcmp(how, "absent") == 0;
        struct image_info info = {.ref = xstrdup(ref),
                                  .id = absent ? NULL : xstrdup("sha256:1"),
                                  .user = xstrdup("1000"),
                                  .arch = xstrdup("amd64"),
                                  .has_command = true};
        memory_put_image(&g->memory, &info, NOW);
    }
}

static void know_policies(struct golden *g)
{
    for (size_t i = 0; i < g->observed->containers_len; i++) {
        const struct observed_container *c = &g->observed->containers[i];
        const struct desired_container *want = c->proven ? desired_find(g->desired, c->role) : NULL;
        const char *how =
            json_string_value(json_object_get(json_object_get(g->known, "policies"), c->id));
        bool runs = c->state == RUN_RUNNING || c->state == RUN_PAUSED;
        if (!want || !want->config_hash || !runs || (how && strcmp(how, "unknown") == 0))
            continue;
        if (how && strcmp(how, "none") == 0)
            memory_put_policy(&g->memory, c->id, NULL, NULL);
        else if (how)
            memory_put_policy(&g->memory, c->id, how, how);
        else
            memory_put_policy(&g->memory, c->id, want->config_hash, want->generation);
    }
}

/* Each was inspected and found sound, unless "seals" says otherwise: "unknown", "limits: …", or why
 * it isn't. */
static void know_seals(struct golden *g)
{
    for (size_t i = 0; i < g->observed->containers_len; i++) {
        const struct observed_container *c = &g->observed->containers[i];
        const char *how =
            json_string_value(json_object_get(json_object_get(g->known, "seals"), c->id));
        if (!c->proven || (how && strcmp(how, "unknown") == 0))
            continue;
        bool limits = how && strncmp(how, "limits", strlen("limits")) == 0;
        struct seal seal = {.state = !how     ? SEAL_SOUND
                                     : limits ? SEAL_LIMITS
                                              : SEAL_BROKEN,
                            .why = xstrdup_null(how)};
        const struct desired_container *want = desired_find(g->desired, c->role);
        memory_put_seal(&g->memory, c->id, want ? want->limits : "{}", &seal);
    }
}

/* The host is closed to every network that is there, unless "unguarded" says otherwise. */
static void know_guards(struct golden *g)
{
    for (size_t i = 0; i < g->observed->networks_len; i++) {
        if (!json_is_true(json_object_get(g->known, "unguarded")))
            memory_put_guarded(&g->memory, g->observed->networks[i].id);
    }
}

static void know_the_rest(struct golden *g)
{
    const char *key = NULL;
    json_t *v = NULL;
    json_object_foreach(json_object_get(g->known, "sights"), key, v)
        memory_note_sight(&g->memory, key, NOW - (uint64_t)json_integer_value(v) * NS_PER_S);
    json_object_foreach(json_object_get(g->known, "failed"), key, v)
    {
        for (json_int_t i = 0; i < json_integer_value(v); i++)
            memory_policy_failed(&g->memory, key);
    }
    json_object_foreach(json_object_get(g->known, "restarts"), key, v)
    {
        for (json_int_t i = 0; i < json_integer_value(v); i++)
            memory_note_restart(&g->memory, key, NOW);
    }
    /* Started that often, the last time long enough ago to be started again. */
    json_object_foreach(json_object_get(g->known, "restarted"), key, v)
    {
        for (json_int_t i = 0; i < json_integer_value(v); i++)
            memory_note_restart(&g->memory, key, NOW - 50 * NS_PER_S);
    }
    json_object_foreach(json_object_get(g->known, "busy"), key, v)
    {
        struct str_list attached = {0};
        size_t i = 0;
        const json_t *id = NULL;
        json_array_foreach(v, i, id) str_list_add(&attached, json_string_value(id));
        memory_put_busy(&g->memory, key, json_is_array(v) ? &attached : NULL);
    }
    size_t i = 0;
    json_array_foreach(json_object_get(g->known, "disturbed"), i, v)
        memory_disturb_policy(&g->memory, json_string_value(v));
    json_array_foreach(json_object_get(g->known, "unstartable"), i, v)
        memory_put_unstartable(&g->memory, json_string_value(v));
    json_array_foreach(json_object_get(g->known, "refused"), i, v)
    {
        struct cidr c;
        assert_true(cidr_parse(json_string_value(v), &c));
        cidr_set_add(&g->memory.refused, c);
    }
    json_array_foreach(json_object_get(g->known, "reserved"), i, v)
    {
        struct cidr c;
        assert_true(cidr_parse(json_string_value(v), &c));
        cidr_set_add(&g->reserved, c);
    }
}

static void load_known(struct golden *g)
{
    g->known =
        have(g->name, "memory.json") ? load_json(g->name, "memory.json") : XNN(json_object());
    const char *pool = json_string_value(json_object_get(g->known, "pool"));
    AUTO_ERR e = pool_parse(pool ? pool : "10.213.0.0/16", &g->pool);
    assert_null(e);
    bool old = json_is_true(json_object_get(g->known, "old_engine"));
    g->caps = (struct engine_caps){
        .api_minor = old ? OLD_API : NEW_API, .multi_endpoint = !old, .icc_off_works = true};
    know_images(g);
    know_policies(g);
    know_seals(g);
    know_guards(g);
    know_the_rest(g);
}

/* ---- the plan -------------------------------------------------------------------------------- */

static struct plan *plan_of(const struct golden *g)
{
    struct diff_input in = {
        .instance = "bottler",
        .bottle = "demo",
        .desired = g->wanted && !json_object_get(g->known, "isolate_only") ? g->desired : NULL,
        .observed = g->observed,
        .memory = &g->memory,
        .pool = &g->pool,
        .reserved = &g->reserved,
        .caps = &g->caps,
        .quarantine = json_string_value(json_object_get(g->known, "quarantine")),
        .isolate_only = json_is_true(json_object_get(g->known, "isolate_only")),
        .preserve = json_is_true(json_object_get(g->known, "preserve")),
        .now_ns = NOW};
    return diff(&in);
}

/* Hashes change with every renderer; what is meant doesn't. */
static char *without_hashes(const struct golden *g, char *text_take)
{
    for (size_t i = 0; i < g->desired->containers_len; i++) {
        const struct desired_container *c = &g->desired->containers[i];
        struct str s;
        str_init(&s, TEXT_MAX);
        char *from = text_take;
        for (char *at; c->config_hash && (at = strstr(from, c->config_hash)) != NULL;
             from = at + HASH_HEX) {
            str_addn(&s, from, (size_t)(at - from));
            str_addf(&s, "%s's policy", role_info(c->role)->name);
        }
        str_add(&s, from);
        free(text_take);
        text_take = XNN(str_take(&s));
    }
    return text_take;
}

static char *print(const struct golden *g, const struct plan *p)
{
    struct str lines;
    struct str out;
    str_init(&lines, TEXT_MAX);
    str_init(&out, TEXT_MAX);
    plan_print(p, &lines);
    char *rest = lines.p;
    for (size_t i = 0; i < p->steps_len; i++) {
        str_addf(&out, "%2zu%s", i, strsep(&rest, "\n"));
        for (unsigned d = 0; d < p->steps[i].deps_len; d++)
            str_addf(&out, "%s%d", d ? ", " : " [after ", p->steps[i].deps[d]);
        str_add(&out, p->steps[i].deps_len ? "]\n" : "\n");
    }
    str_add(&out, rest);
    str_done(&lines);
    if (p->finished)
        str_add(&out, "finished\n");
    if (p->not_before_ns)
        str_addf(&out, "not before %llu ms from now\n",
                 (unsigned long long)((p->not_before_ns - NOW) / NS_PER_MS));
    if (!out.len)
        str_add(&out, "nothing to do\n");
    return without_hashes(g, XNN(str_take(&out)));
}

static void check_shape(const struct golden *g, const struct plan *p)
{
    for (size_t i = 0; i < p->steps_len; i++) {
        assert_non_null(p->steps[i].cause);
        assert_non_null(p->steps[i].object);
        for (unsigned d = 0; d < p->steps[i].deps_len; d++)
            assert_in_range(p->steps[i].deps[d], 0, (int)p->steps_len - 1);
        for (unsigned d = 0; d < p->steps[i].deps_len; d++)
            assert_int_not_equal(p->steps[i].deps[d], (int)i);
    }
    /* The same input gives the same plan. */
    struct plan *again = plan_of(g);
    AUTO_FREE char *a = print(g, p);
    AUTO_FREE char *b = print(g, again);
    assert_string_equal(a, b);
    plan_free(again);
}

static bool run_case(const char *name)
{
    struct golden g = {.name = name};
    load_desired(&g);
    load_observed(&g);
    load_known(&g);
    struct plan *p = plan_of(&g);
    check_shape(&g, p);
    AUTO_FREE char *found = print(&g, p);
    AUTO_FREE char *path = path_of(name, "plan.txt");
    bool same = true;
    if (getenv("BOTTLER_REGOLD")) {
        test_write_file(path, found, strlen(found));
    } else {
        struct test_bytes want = test_read_file(path);
        same = strcmp(want.p, found) == 0;
        if (!same)
            print_error("%s: expected\n%sfound\n%s", path, want.p, found);
        free(want.p);
    }
    plan_free(p);
    json_decref(g.known);
    memory_done(&g.memory);
    cidr_set_done(&g.reserved);
    observed_free(g.observed);
    desired_free(g.desired);
    return same;
}

static void test_golden(void **state)
{
    (void)state;
    struct str_list names;
    size_t cases = 0;
    size_t failed = 0;
    test_list_dir(GOLDEN, &names);
    for (size_t i = 0; i < names.len; i++) {
        if (!have(names.items[i], "observed.json"))
            continue;
        cases++;
        failed += !run_case(names.items[i]);
    }
    str_list_done(&names);
    assert_true(cases >= CASES_MIN);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
