/* SPDX-License-Identifier: Apache-2.0 */
/* Two bottles on a real engine, as it told of them (tests/golden/attest), for tests to change. */
#ifndef BOTTLER_TESTS_RENDER_WORLD_H
#define BOTTLER_TESTS_RENDER_WORLD_H

#include "render/attest_world.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <string.h>

struct recorded {
    json_t *root;
    struct attest_world w; /* borrows from root */
};

static inline json_t *world_json(const char *path)
{
    struct test_bytes b = test_read_file(path);
    json_t *root = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    free(b.p);
    assert_non_null(root);
    return root;
}

/* Reads the parts again: what a test has removed or replaced. */
static inline void world_parts(struct recorded *r)
{
    struct attest_world *w = &r->w;
    w->containers = json_object_get(r->root, "containers");
    w->networks = json_object_get(r->root, "networks");
    w->volumes = json_object_get(r->root, "volumes");
    w->info = json_object_get(r->root, "info");
    for (enum role role = 0; role < ROLE_COUNT; role++)
        w->inspect[role] =
            json_object_get(json_object_get(r->root, "inspect"), role_info(role)->name);
    for (enum net n = 0; n < NET_COUNT; n++)
        w->members[n] = json_object_get(json_object_get(r->root, "members"), net_name(n));
}

static inline void world_open_of(struct recorded *r, const char *engine)
{
    char *path = xasprintf("tests/golden/attest/world-%s.json", engine);
    r->root = world_json(path);
    free(path);
    r->w = (struct attest_world){.instance = "e2e", .bottle = "one"};
    world_parts(r);
}

static inline void world_open(struct recorded *r)
{
    world_open_of(r, "20.10");
}

static inline void world_close(struct recorded *r)
{
    json_decref(r->root);
}

static inline json_t *world_step(json_t *v, const char *key)
{
    return json_is_array(v) ? json_array_get(v, (size_t)(key[0] - '0')) : json_object_get(v, key);
}

/* Sets what is at "a/b/0/c" to this JSON; "" removes it. The way there must exist. */
static inline void world_set(struct recorded *r, const char *path, const char *json)
{
    char *copy = xstrdup(path);
    char *last = strrchr(copy, '/');
    json_t *v = r->root;
    assert_non_null(last);
    *last++ = '\0';
    char *rest = copy;
    for (char *key; v && (key = strsep(&rest, "/")) != NULL;)
        v = world_step(v, key);
    if (!v)
        fail_msg("nothing at %s", path);
    if (!*json) {
        assert_int_equal(json_object_del(v, last), 0);
    } else {
        json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        assert_int_equal(json_is_array(v) ? json_array_set_new(v, (size_t)(last[0] - '0'), value)
                                          : json_object_set_new(v, last, value),
                         0);
    }
    free(copy);
    world_parts(r);
}

static inline json_t *world_at(json_t *v, const char *path)
{
    char *copy = xstrdup(path);
    char *rest = copy;
    for (char *key; v && (key = strsep(&rest, "/")) != NULL;)
        v = world_step(v, key);
    free(copy);
    return v;
}

#endif
