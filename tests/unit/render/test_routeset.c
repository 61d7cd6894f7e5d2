/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of routes, and what of pipelock.yaml may change while pipelock runs. */
#include "fixture.h"
#include "render/routeset.h"

static void check_hosts(const struct bottle *b, const char *const *want, size_t n)
{
    struct routeset r;
    routeset_resolve(b, &r);
    assert_int_equal(r.len, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(r.routes[i].host, want[i]);
    routeset_done(&r);
}

static void a_sealed_bottle_has_no_routes(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    check_hosts(&f.b, NULL, 0);
    fx_done(&f);
}

static void routes_then_presets_then_allowlist(void **state)
{
    (void)state;
    static const char *const WANT[] = {
        "z.example.com",         "a.example.com",       "api.anthropic.com",
        "statsig.anthropic.com", "sentry.io",           "claude.ai",
        "platform.claude.com",   "downloads.claude.ai", "raw.githubusercontent.com",
        "m.example.com",         "b.example.com",
    };
    struct fixture f;
    fx_minimal(&f);
    fx_route(&f, "z.example.com");
    fx_route(&f, "a.example.com");
    str_list_add(&f.b.egress.presets, "claude-code");
    str_list_add(&f.b.egress.allowlist, "m.example.com");
    str_list_add(&f.b.egress.allowlist, "b.example.com");
    check_hosts(&f.b, WANT, sizeof(WANT) / sizeof(WANT[0]));
    fx_done(&f);
}

/* The first mention counts, whoever wrote it in which case; its rules are the ones in force. */
static void the_first_mention_wins_in_any_letter_case(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    str_list_add(&fx_route(&f, "Sentry.IO")->methods, "GET");
    fx_route(&f, "api.example.com");
    str_list_add(&f.b.egress.presets, "claude-code");
    str_list_add(&f.b.egress.allowlist, "SENTRY.io");
    str_list_add(&f.b.egress.allowlist, "API.example.com");
    str_list_add(&f.b.egress.allowlist, "new.example.com");
    str_list_add(&f.b.egress.allowlist, "NEW.example.com");
    struct routeset r;
    routeset_resolve(&f.b, &r);
    assert_int_equal(r.len, 9);
    assert_string_equal(r.routes[0].host, "Sentry.IO");
    assert_ptr_equal(r.routes[0].route, &f.routes[0]);
    assert_string_equal(r.routes[8].host, "new.example.com");
    assert_null(r.routes[8].route);
    AUTO_FREE char *routes = render_routes(&f.b, &r);
    assert_string_equal(strstr(routes, "- host: \"sentry.io\"\n  methods:\n  - \"GET\"\n- host: "),
                        strstr(routes, "- host: "));
    assert_null(strstr(strstr(routes, "sentry.io") + 1, "sentry.io"));
    AUTO_FREE char *pipelock = render_pipelock(&f.b, &r);
    assert_non_null(strstr(pipelock, "- \"sentry.io\"\n"));
    assert_null(strstr(strstr(pipelock, "sentry.io") + 1, "sentry.io"));
    assert_null(strstr(pipelock, "Sentry"));
    routeset_done(&r);
    fx_done(&f);
}

static void slots_are_per_reference_in_order_of_use(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    fx_auth(&f, fx_route(&f, "a.example.com"), AUTH_BEARER, "Z");
    fx_route(&f, "b.example.com");
    fx_auth(&f, fx_route(&f, "c.example.com"), AUTH_TOKEN, "A");
    fx_auth(&f, fx_route(&f, "d.example.com"), AUTH_BEARER, "Z");
    static const int WANT[] = {0, -1, 1, 0};
    struct routeset r;
    routeset_resolve(&f.b, &r);
    assert_int_equal(r.len, 4);
    for (size_t i = 0; i < r.len; i++)
        assert_int_equal(r.routes[i].slot, WANT[i]);
    assert_int_equal(r.slots_len, 2);
    assert_string_equal(r.slots[0], "Z");
    assert_string_equal(r.slots[1], "A");
    routeset_done(&r);
    fx_done(&f);
}

/* Quadratic work would show here: as many hosts as a manifest can name. */
static void thousands_of_hosts_are_no_matter(void **state)
{
    (void)state;
    enum { HOSTS = 20000 };
    struct fixture f;
    fx_minimal(&f);
    for (int i = 0; i < HOSTS; i++) {
        AUTO_FREE char *host = xasprintf("h%d.example.com", i % (HOSTS / 2));
        str_list_add(&f.b.egress.allowlist, host);
    }
    struct routeset r;
    routeset_resolve(&f.b, &r);
    assert_int_equal(r.len, HOSTS / 2);
    assert_string_equal(r.routes[HOSTS / 2 - 1].host, "h9999.example.com");
    AUTO_FREE char *pipelock = render_pipelock(&f.b, &r);
    assert_non_null(strstr(pipelock, "- \"h9999.example.com\"\n"));
    routeset_done(&r);
    fx_done(&f);
}

/* ---- hot and cold ---------------------------------------------------------------------------- */

static char *text_of(const struct bottle *b,
                     char *(*render)(const struct bottle *, const struct routeset *))
{
    struct routeset r;
    routeset_resolve(b, &r);
    char *text = render(b, &r);
    routeset_done(&r);
    return text;
}

/* Each with what the other has in its place: test_pipelock_keys.c. */
static char *without(const char *text, const char *from, const char *to)
{
    const char *begin = strstr(text, from);
    assert_non_null(begin);
    const char *end = strstr(begin, to);
    assert_non_null(end);
    return xasprintf("%.*s%s", (int)(begin - text), text, end);
}

static void cold_is_the_file_but_for_what_reloads(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    AUTO_FREE char *full = text_of(&f.b, render_pipelock);
    AUTO_FREE char *cold = text_of(&f.b, render_pipelock_cold);
    assert_non_null(strstr(cold, "api_allowlist: []\n"));
    AUTO_FREE char *a = without(full, "api_allowlist:", "seed_phrase_detection:");
    AUTO_FREE char *b = without(cold, "api_allowlist:", "seed_phrase_detection:");
    AUTO_FREE char *have = without(a, "  ignore_headers:", "tls_interception:");
    AUTO_FREE char *want = without(b, "  ignore_headers:", "tls_interception:");
    assert_string_equal(have, want);
    fx_done(&f);
}

static void a_host_changes_the_file_and_not_the_cold_part(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    AUTO_FREE char *full = text_of(&f.b, render_pipelock);
    AUTO_FREE char *cold = text_of(&f.b, render_pipelock_cold);
    str_list_add(&f.b.egress.allowlist, "more.example.com");
    AUTO_FREE char *full2 = text_of(&f.b, render_pipelock);
    AUTO_FREE char *cold2 = text_of(&f.b, render_pipelock_cold);
    assert_string_not_equal(full, full2);
    assert_string_equal(cold, cold2);
    f.b.egress.dlp_action = DLP_WARN;
    AUTO_FREE char *cold3 = text_of(&f.b, render_pipelock_cold);
    assert_string_not_equal(cold, cold3);
    fx_done(&f);
}

/* The order of everything that pipelock reads as a set is the file's own. */
static void sets_are_sorted_and_unique(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    fx_route(&f, "b.example.com")->tls_passthrough = true;
    fx_route(&f, "a.example.com")->tls_passthrough = true;
    str_list_add(&f.routes[0].ssrf_ip_allowlist, "10.2.0.0/16");
    str_list_add(&f.routes[0].ssrf_ip_allowlist, "10.1.0.0/16");
    str_list_add(&f.routes[1].ssrf_ip_allowlist, "10.2.0.0/16");
    f.b.supervise = true;
    AUTO_FREE char *text = text_of(&f.b, render_pipelock);
    assert_non_null(strstr(text, "api_allowlist:\n- \"a.example.com\"\n- \"b.example.com\"\n"
                                 "- \"supervise\"\nseed"));
    assert_non_null(strstr(text, "  passthrough_domains:\n  - \"a.example.com\"\n"
                                 "  - \"b.example.com\"\nssrf:\n  ip_allowlist:\n"
                                 "  - \"10.1.0.0/16\"\n  - \"10.2.0.0/16\"\nresponse"));
    fx_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_bottle_has_no_routes),
        cmocka_unit_test(routes_then_presets_then_allowlist),
        cmocka_unit_test(the_first_mention_wins_in_any_letter_case),
        cmocka_unit_test(slots_are_per_reference_in_order_of_use),
        cmocka_unit_test(thousands_of_hosts_are_no_matter),
        cmocka_unit_test(cold_is_the_file_but_for_what_reloads),
        cmocka_unit_test(a_host_changes_the_file_and_not_the_cold_part),
        cmocka_unit_test(sets_are_sorted_and_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
