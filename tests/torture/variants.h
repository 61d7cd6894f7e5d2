/* SPDX-License-Identifier: Apache-2.0 */
/* The manifests that the scenarios go from and to, rendered once. */
#ifndef BOTTLER_TESTS_TORTURE_VARIANTS_H
#define BOTTLER_TESTS_TORTURE_VARIANTS_H

#include "render/desired.h"
#include "tests/torture/model.h"

enum variant {
    V_NONE,    /* no manifest */
    V_SMALL,   /* nothing but an image */
    V_BASE,    /* routes, tokens, files, volumes */
    V_ROUTE,   /* one host more: both proxies reload */
    V_PATH,    /* another path: egress reloads */
    V_TOKEN,   /* another value of a secret: egress reloads */
    V_AGENT,   /* another variable: the agent is replaced */
    V_COLD,    /* what pipelock doesn't reload: it is replaced */
    V_SIDECAR, /* another egress image: it is replaced */
    V_ALL,     /* all of it at once */
    V_RETAIN,  /* volumes stay */
    V_PULL,    /* pull_policy: always */
    V_NEVER,   /* restart: never */
    V_CA,      /* both CAs rotate: the next ones are trusted too */
    V_CA_NEXT, /* ... and sign */
    V_LIMITS,  /* other limits: set in place */
    V_COUNT
};

struct variants {
    struct desired *of[V_COUNT];
};
void variants_init(struct variants *v, const char *bottle);
void variants_done(struct variants *v);
/* An engine that has what the variants need, and a stranger or two. */
struct model *variants_model(int api_minor);

#endif
