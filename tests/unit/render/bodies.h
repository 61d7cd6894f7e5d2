/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into request bodies. */
#ifndef BOTTLER_TESTS_RENDER_BODIES_H
#define BOTTLER_TESTS_RENDER_BODIES_H

#include "fixture.h"

static const struct engine_caps OLD = {.api_minor = 41, .arch = "amd64"};
static const struct engine_caps NEW = {.api_minor = 51,
                                       .multi_endpoint = true,
                                       .isolated_gw = true,
                                       .icc_off_works = true,
                                       .arch = "amd64",
                                       .has_runsc = true};

static inline json_t *parsed(char *text_take)
{
    json_error_t e;
    json_t *j = json_loads(text_take, JSON_REJECT_DUPLICATES, &e);
    if (!j)
        print_error("%s in %s\n", e.text, text_take);
    assert_non_null(j);
    free(text_take);
    return j;
}

/* The value at "A.b.0" has this compact JSON. Labels have dots in their names: see below. */
static inline void at(json_t *j, const char *path, const char *want)
{
    char *copy = xstrdup(path);
    char *rest = copy;
    json_t *v = j;
    for (char *key; v && (key = strsep(&rest, ".")) != NULL;) {
        bool index = key[0] >= '0' && key[0] <= '9';
        v = index ? json_array_get(v, (size_t)(key[0] - '0')) : json_object_get(v, key);
    }
    char *have = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    if (!have || strcmp(have, want) != 0)
        print_error("%s: %s, expected %s\n", path, have ? have : "absent", want);
    assert_non_null(have);
    assert_string_equal(have, want);
    free(have);
    free(copy);
}

static inline void absent(json_t *j, const char *section, const char *key)
{
    json_t *v = section ? json_object_get(j, section) : j;
    assert_non_null(v);
    assert_null(json_object_get(v, key));
}

static inline void label(json_t *j, const char *key, const char *want)
{
    const char *have = json_string_value(json_object_get(json_object_get(j, "Labels"), key));
    assert_non_null(have);
    assert_string_equal(have, want);
}

#endif
