/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has suspended a bottle: its manifest (spec.suspend), or somebody by hand. Either is enough;
 * an end that is past ends it. Suspended means left alone, not left open.
 */
#ifndef BOTTLER_RECONCILE_SUSPENSION_H
#define BOTTLER_RECONCILE_SUSPENSION_H

#include "reconcile/plan.h"
#include "spec/base/err.h"
#include "spec/bottle.h"

#include <jansson.h>

enum { SUSPENSION_REASON_MAX = 1024, SUSPENSION_BYTES_MAX = 16 * 1024 };

/* By hand. */
struct suspension {
    char *who;    /* a user of the host; NULL: nobody has */
    char *reason; /* may be NULL */
    int64_t since_s;
    int64_t until_s; /* 0: until it is resumed */
};
void suspension_done(struct suspension *s);
bool suspension_holds(const struct suspension *s, int64_t now_s);
/* {"who", "reason", "since", "until"} */
json_t *suspension_json(const struct suspension *s);
/* One line of that; the caller frees. "" when nobody has. */
char *suspension_format(const struct suspension *s);
/* INVALID says what is wrong with it; "" is nobody. */
struct err *suspension_parse(struct sv text, struct suspension *ret) ERR_NODISCARD;

/* What spec.suspend says now; false for a NULL bottle. */
bool manifest_suspends(const struct bottle *b, int64_t now_s);
/* The next end of what suspends it now; 0: there is none. */
int64_t suspension_ends(const struct bottle *b, const struct suspension *s, int64_t now_s);
/* For the condition: who, why, until when, and how many steps `p` (may be NULL) would take. The
 * caller frees. *ret_reason: "Manifest" or "ByHand"; the manifest comes first. NULL when nothing
 * suspends it. */
char *suspension_text(const struct bottle *b, const struct suspension *s, const struct plan *p,
                      int64_t now_s, const char **ret_reason);
/* What `p` would change, [{"kind", "object", "cause"}]; NULL: nothing. */
json_t *drift_json(const struct plan *p);

#endif
