/* SPDX-License-Identifier: Apache-2.0 */
/* What a create request calls its networks, by engine. */
#include "reconcile/exec.h"
#include "spec/base/xalloc.h"
#include "tests/torture/variants.h"
#include "tests/unit/support.h"

#include <jansson.h>

/* NOLINTBEGIN(bugprone-suspicious-include): the parts of one test program. */
#include "tests/torture/model.c"
#include "tests/torture/model_api.c"
#include "tests/torture/model_container.c"
#include "tests/torture/model_open.c"
#include "tests/torture/model_proxy.c"
#include "tests/torture/variants.c"
/* NOLINTEND(bugprone-suspicious-include) */

/* The body of the request that makes the role's container; every network is there already. */
static json_t *create_body_of(const struct desired *d, enum role role,
                              const struct engine_caps *caps)
{
    const struct desired_container *want = desired_find(d, role);
    assert_non_null(want);
    struct memory memory = {0};
    struct image_info image = {
        .ref = xstrdup(want->image_ref),
        .id = xstrdup("sha256:1"),
        .user = xstrdup("1000"),
        .arch = xstrdup(""),
        .has_command = true,
    };
    memory_put_image(&memory, &image, 1);
    const struct observed_network there[NET_COUNT] = {
        {.id = (char[]){"n-agent"}}, {.id = (char[]){"n-chain"}}, {.id = (char[]){"n-out"}}};
    const struct observed_network *nets[NET_COUNT] = {&there[0], &there[1], &there[2]};
    struct plan *plan = plan_new("demo");
    (void)plan_add(plan, &(struct step_init){.kind = STEP_CTR_CREATE,
                                             .role = role,
                                             .object = want->name,
                                             .detail = want->image_ref});
    struct exec *x = exec_new(plan, d, nets, &memory, caps);
    struct exec_request q;
    assert_true(exec_next(x, 1, &q));
    json_t *body = json_loads(q.body, 0, NULL);
    assert_non_null(body);
    exec_request_done(&q);
    exec_free(x);
    plan_free(plan);
    memory_done(&memory);
    return body;
}

static const char *mode(const json_t *body)
{
    return json_string_value(json_object_get(json_object_get(body, "HostConfig"), "NetworkMode"));
}

static const json_t *endpoints_of(const json_t *body)
{
    return json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig");
}

/* Engine 28 answers 404 to a connect or start of a container whose network mode is the id of a
 * network that is gone, though its successor has the same name: the container could not be mended.
 */
static void test_new_engines_get_the_primary_by_name(void **state)
{
    (void)state;
    const struct engine_caps caps = {.api_minor = 44, .multi_endpoint = true};
    struct variants v;
    variants_init(&v, "demo");
    const struct desired *d = v.of[V_BASE];
    json_t *body = create_body_of(d, ROLE_PIPELOCK, &caps);
    assert_string_equal(mode(body), d->networks[NET_OUT].name);
    assert_int_equal(json_object_size(endpoints_of(body)), 2);
    assert_non_null(json_object_get(endpoints_of(body), d->networks[NET_OUT].name));
    assert_non_null(json_object_get(endpoints_of(body), "n-chain"));
    json_decref(body);
    body = create_body_of(d, ROLE_AGENT, &caps);
    assert_string_equal(mode(body), d->networks[NET_AGENT].name);
    assert_int_equal(json_object_size(endpoints_of(body)), 1);
    assert_non_null(json_object_get(endpoints_of(body), d->networks[NET_AGENT].name));
    json_decref(body);
    variants_done(&v);
}

/* Below API 1.44 two networks may have one name. */
static void test_old_engines_get_ids(void **state)
{
    (void)state;
    const struct engine_caps caps = {.api_minor = 43};
    struct variants v;
    variants_init(&v, "demo");
    json_t *body = create_body_of(v.of[V_BASE], ROLE_PIPELOCK, &caps);
    assert_string_equal(mode(body), "n-out");
    assert_int_equal(json_object_size(endpoints_of(body)), 1);
    assert_non_null(json_object_get(endpoints_of(body), "n-out"));
    json_decref(body);
    variants_done(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_engines_get_the_primary_by_name),
        cmocka_unit_test(test_old_engines_get_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
