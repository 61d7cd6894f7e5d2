/* SPDX-License-Identifier: Apache-2.0 */
/* Private to model_*.c: a request taken apart. */
#ifndef BOTTLER_TESTS_TORTURE_MODEL_INTERNAL_H
#define BOTTLER_TESTS_TORTURE_MODEL_INTERNAL_H

#include "tests/torture/model.h"

enum { QUERY_MAX = 8, MULTI_ENDPOINT_API = 44 };
#define MODEL_ROOTS "ROOTS-OF-THE-IMAGE\n"
#define MODEL_MS UINT64_C(1000000)
#define MODEL_S UINT64_C(1000000000)

struct call {
    struct model *m;
    const char *method;
    char *path; /* without the query, decoded */
    struct {
        char *key, *value;
    } query[QUERY_MAX];
    size_t query_len;
    struct sv raw;
    json_t *body;
    struct model_answer *a;
};
void call_parse(struct call *c, const char *path);
void call_done(struct call *c);
/* "" when there is none. */
const char *call_query(const struct call *c, const char *key);
const char *call_text(const struct call *c, const char *key);
void call_refuse(const struct call *c, int status, const char *message, const char *name);
void call_ok(const struct call *c);

struct model_image *model_image(const struct model *m, const char *ref_or_id);
bool model_runs(const struct model_container *k);
bool model_is_on(const struct model_container *k, const char *net_id);

/* model_open.c: while a bottle whose agent runs is open, it is made safe, and nothing else is done
 * to it. */
void model_check_open(const struct call *c);

/* "create", or "<id>" and what follows. */
void call_container(struct call *c, char *rest);

#endif
