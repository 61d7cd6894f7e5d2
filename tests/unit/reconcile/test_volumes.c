/* SPDX-License-Identifier: Apache-2.0 */
/* A bottle's volumes when it goes: labels can't be changed, so a later `retain` is known from the
 * manifest alone. */
#include "../support.h"

#include "reconcile/diff.h"
#include "spec/manifest.h"

static const char volumes[] =
    "{\"Volumes\": [{\"Name\": \"bottler.web.cache\", \"Labels\": {\"dev.bottler.installation\": "
    "\"i-00000000\","
    "\"dev.bottler.bottle\": \"web\", \"dev.bottler.role\": \"volume\", \"dev.bottler.uid\": \"u\","
    "\"dev.bottler.self\": \"bottler.web.cache\"}}]}";

static struct observed *observe_volume(void)
{
    struct observed *o = NULL;
    struct err *e = observed_parse("i-00000000", sv_of("[]"), sv_of("[]"), sv_of(volumes), &o);
    assert_null(e);
    return o;
}

static size_t removals(const struct observed *o, const struct bottle *last)
{
    struct memory memory = {0};
    struct cidr_set reserved = {0};
    struct engine_caps caps = {.api_minor = 41};
    struct pool pool;
    assert_null(pool_parse(POOL_DEFAULT, &pool));
    struct diff_input in = {.instance = "bottler",
                            .bottle = "web",
                            .last_good = last,
                            .observed = o,
                            .memory = &memory,
                            .pool = &pool,
                            .reserved = &reserved,
                            .caps = &caps};
    struct plan *p = diff(&in);
    size_t n = 0;
    for (size_t i = 0; i < p->steps_len; i++)
        n += p->steps[i].kind == STEP_VOL_REMOVE;
    plan_free(p);
    return n;
}

static void test_removed_by_default(void **state)
{
    (void)state;
    struct observed *o = observe_volume();
    assert_int_equal(removals(o, NULL), 1);
    observed_free(o);
}

static void test_kept_by_the_last_manifest(void **state)
{
    (void)state;
    static const char text[] =
        "{apiVersion: bottler.dev/v1, kind: Bottle, metadata: {name: web}, spec: {agent: {image: "
        "example.com/a:1, mounts: [{volume: cache, target: /c, retain: true}]}}}";
    struct manifest_input in = {.path = "m.yaml", .bytes = sv_of(text)};
    struct manifest_set *set = manifest_load(&in, 1);
    assert_non_null(set->bottles[0].bottle);
    struct observed *o = observe_volume();
    assert_int_equal(removals(o, set->bottles[0].bottle), 0);
    observed_free(o);
    manifest_set_free(set);
}

static void test_volumes_alone_are_no_orphan(void **state)
{
    (void)state;
    struct observed *o = observe_volume();
    struct str_list names;
    observed_bottles(o, &names);
    assert_int_equal(names.len, 0);
    str_list_done(&names);
    observed_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_removed_by_default),
        cmocka_unit_test(test_kept_by_the_last_manifest),
        cmocka_unit_test(test_volumes_alone_are_no_orphan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
