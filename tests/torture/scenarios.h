/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a bottle: from one manifest to another, with something broken in between. */
#ifndef BOTTLER_TESTS_TORTURE_SCENARIOS_H
#define BOTTLER_TESTS_TORTURE_SCENARIOS_H

#include "tests/torture/driver.h"
#include "tests/torture/variants.h"

struct scenario {
    const char *name;
    enum variant from, to;
    void (*wreck)(struct model *m, const struct scenario *s);
    enum role role;
    enum net net;
    unsigned victims; /* bits by role: may be replaced or restarted though their spec is the same */
};
extern const struct scenario scenarios[];
extern const size_t scenarios_len;

#endif
