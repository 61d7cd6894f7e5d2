/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "render/summary.h"

static void expect(const struct bottle *b, const char *want)
{
    AUTO_FREE char *text = summary_hosts(b);
    assert_string_equal(text, want);
}

static void hosts_are_counted_and_the_first_named(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    expect(&f.b, "no hosts allowed (sealed)");
    str_list_add(&f.b.egress.allowlist, "z.example.com");
    expect(&f.b, "1 host allowed (z.example.com)");
    fx_route(&f, "m.example.com");
    str_list_add(&f.b.egress.allowlist, "M.example.com");
    expect(&f.b, "2 hosts allowed (m.example.com, z.example.com)");
    str_list_add(&f.b.egress.allowlist, "c.example.com");
    str_list_add(&f.b.egress.allowlist, "b.example.com");
    str_list_add(&f.b.egress.allowlist, "a.example.com");
    expect(&f.b, "5 hosts allowed (m.example.com, z.example.com, c.example.com, b.example.com, "
                 "a.example.com)");
    str_list_add(&f.b.egress.allowlist, "y.example.com");
    expect(&f.b, "6 hosts allowed (m.example.com, z.example.com, c.example.com, +3 more)");
    str_list_add(&f.b.egress.presets, "claude-code");
    expect(&f.b, "13 hosts allowed (m.example.com, api.anthropic.com, statsig.anthropic.com, "
                 "+10 more)");
    fx_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_counted_and_the_first_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
