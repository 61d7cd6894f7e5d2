/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller keeps in mind. */
#include "reconcile/memory.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#define S UINT64_C(1000000000)

static void put_image(struct memory *m, const char *ref, const char *id, uint64_t now_ns)
{
    struct image_info info = {.ref = xstrdup(ref), .id = xstrdup_null(id)};
    memory_put_image(m, &info, now_ns);
    assert_null(info.ref); /* taken */
}

static void test_images(void **state)
{
    (void)state;
    struct memory m = {0};
    assert_null(memory_image(&m, "a", S));
    put_image(&m, "a", "sha256:1", S);
    put_image(&m, "b", NULL, S);
    assert_string_equal(memory_image(&m, "a", S + MEMORY_IMAGE_NS)->info.id, "sha256:1");
    assert_null(memory_image(&m, "a", S + MEMORY_IMAGE_NS + 1));
    assert_string_equal(memory_image_any(&m, "a")->info.id, "sha256:1");
    assert_null(memory_image(&m, "b", S)->info.id); /* known to be absent */
    put_image(&m, "a", "sha256:2", 100 * S);
    assert_string_equal(memory_image(&m, "a", 100 * S)->info.id, "sha256:2");
    assert_int_equal(m.images_len, 2);
    memory_forget_image(&m, "a");
    memory_forget_image(&m, "never");
    assert_null(memory_image_any(&m, "a"));
    assert_non_null(memory_image_any(&m, "b"));
    memory_forget_image(&m, "b");
    assert_null(memory_image_any(&m, "b"));
    memory_done(&m);
}

static void test_policies(void **state)
{
    (void)state;
    struct memory m = {0};
    assert_null(memory_policy(&m, "c1"));
    memory_put_policy(&m, "c1", "h1", "g1");
    memory_put_policy(&m, "c2", NULL, NULL);
    assert_string_equal(memory_policy(&m, "c1")->config_hash, "h1");
    assert_null(memory_policy(&m, "c2")->config_hash);
    memory_policy_failed(&m, "c1");
    memory_policy_failed(&m, "c1");
    memory_policy_failed(&m, "c3");
    assert_int_equal(memory_policy(&m, "c1")->failed, 2);
    assert_int_equal(memory_policy(&m, "c3")->failed, 1);
    assert_null(memory_policy(&m, "c3")->config_hash);
    /* Other files: unknown again, but it has failed before. */
    memory_void_policy(&m, "c1");
    assert_null(memory_policy(&m, "c1")->config_hash);
    assert_null(memory_policy(&m, "c1")->generation);
    assert_int_equal(memory_policy(&m, "c1")->failed, 2);
    memory_put_policy(&m, "c1", "h2", NULL);
    assert_int_equal(memory_policy(&m, "c1")->failed, 0);
    memory_forget_policy(&m, "c1");
    memory_forget_policy(&m, "c1");
    assert_null(memory_policy(&m, "c1"));
    assert_non_null(memory_policy(&m, "c2"));
    memory_done(&m);
}

static void test_keep(void **state)
{
    (void)state;
    struct memory m = {0};
    struct str_list ids = {0};
    memory_put_policy(&m, "a", "1", "1");
    memory_put_policy(&m, "b", "2", "2");
    memory_put_policy(&m, "c", "3", "3");
    str_list_add(&ids, "c");
    str_list_add(&ids, "a");
    str_list_add(&ids, "x");
    memory_keep_policies(&m, &ids);
    assert_string_equal(memory_policy(&m, "a")->config_hash, "1");
    assert_null(memory_policy(&m, "b"));
    assert_string_equal(memory_policy(&m, "c")->config_hash, "3");
    str_list_done(&ids);
    memory_keep_policies(&m, &ids);
    assert_int_equal(m.policies_len, 0);
    memory_done(&m);
}

static void test_busy(void **state)
{
    (void)state;
    struct memory m = {0};
    memory_put_busy(&m, "n1", NULL);
    assert_false(memory_busy(&m, "n1")->looked);
    struct str_list attached = {0};
    str_list_add(&attached, "c1");
    memory_put_busy(&m, "n1", &attached);
    assert_int_equal(attached.len, 0); /* taken */
    assert_true(memory_busy(&m, "n1")->looked);
    assert_string_equal(memory_busy(&m, "n1")->attached.items[0], "c1");
    memory_put_busy(&m, "n1", NULL);
    assert_false(memory_busy(&m, "n1")->looked);
    assert_int_equal(memory_busy(&m, "n1")->attached.len, 0);
    memory_put_busy(&m, "n2", NULL);
    memory_forget_busy(&m, "n1");
    memory_forget_busy(&m, "n1");
    assert_null(memory_busy(&m, "n1"));
    assert_non_null(memory_busy(&m, "n2"));
    memory_done(&m);
}

static void test_unstartable(void **state)
{
    (void)state;
    struct memory m = {0};
    assert_false(memory_unstartable(&m, "a"));
    memory_put_unstartable(&m, "a");
    memory_put_unstartable(&m, "b");
    memory_put_unstartable(&m, "a");
    assert_int_equal(m.unstartable.len, 2);
    memory_forget_unstartable(&m, "a");
    memory_forget_unstartable(&m, "a");
    assert_false(memory_unstartable(&m, "a"));
    assert_true(memory_unstartable(&m, "b"));
    memory_done(&m);
}

static void put_seal(struct memory *m, const char *id, enum seal_state state)
{
    struct seal seal = {.state = state, .why = state == SEAL_SOUND ? NULL : xstrdup("why")};
    memory_put_seal(m, id, "{}", &seal);
    assert_null(seal.why);
}

/* Limits that the engine can't set are tried once, until somebody changes them. */
static void test_seals(void **state)
{
    (void)state;
    struct memory m = {0};
    put_seal(&m, "a", SEAL_LIMITS);
    put_seal(&m, "b", SEAL_BROKEN);
    memory_tried_limits(&m, "a");
    memory_tried_limits(&m, "unknown");
    assert_null(memory_seal(&m, "a"));
    put_seal(&m, "a", SEAL_LIMITS);
    assert_int_equal(memory_seal(&m, "a")->state, SEAL_SOUND);
    put_seal(&m, "a", SEAL_BROKEN);
    assert_int_equal(memory_seal(&m, "a")->state, SEAL_BROKEN);
    memory_forget_seal(&m, "a");
    put_seal(&m, "a", SEAL_LIMITS);
    assert_int_equal(memory_seal(&m, "a")->state, SEAL_LIMITS);
    assert_true(memory_seal_is_of(&m, "a", "{}"));
    assert_false(memory_seal_is_of(&m, "a", "{\"Memory\":1}"));
    assert_false(memory_seal_is_of(&m, "unknown", "{}"));
    memory_note_sight(&m, "a", 7);
    memory_note_sight(&m, "a", 9);
    assert_int_equal(memory_first_sight(&m, "a"), 7);
    struct str_list keep = {0};
    str_list_add(&keep, "b");
    memory_keep_containers(&m, &keep);
    assert_null(memory_seal(&m, "a"));
    assert_non_null(memory_seal(&m, "b"));
    assert_int_equal(memory_first_sight(&m, "a"), 0);
    str_list_done(&keep);
    memory_done(&m);
}

/* One container of each name, by its id. */
static void test_trusts(void **state)
{
    (void)state;
    struct memory m = {0};
    assert_null(memory_trust(&m, "id-1"));
    memory_forget_trust(&m, "a.agent");
    memory_put_trust(&m, "a.agent", "id-1", "first");
    memory_put_trust(&m, "b.agent", "id-2", "other");
    assert_string_equal(memory_trust(&m, "id-1"), "first");
    memory_put_trust(&m, "a.agent", "id-1", "second");
    assert_string_equal(memory_trust(&m, "id-1"), "second");
    memory_put_trust(&m, "a.agent", "id-3", "third");
    assert_null(memory_trust(&m, "id-1"));
    assert_string_equal(memory_trust(&m, "id-3"), "third");
    /* Neither the engine's absence nor its containers' makes it be forgotten. */
    memory_keep_containers(&m, &(const struct str_list){0});
    memory_forget_trust(&m, "a.agent");
    assert_null(memory_trust(&m, "id-3"));
    assert_string_equal(memory_trust(&m, "id-2"), "other");
    memory_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images),      cmocka_unit_test(test_policies),
        cmocka_unit_test(test_keep),        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_unstartable), cmocka_unit_test(test_seals),
        cmocka_unit_test(test_trusts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
