/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a CA of a bottle gives way to the next one before it expires. At two thirds of its life the
 * next one is made and trusted beside it; at five sixths, when everybody trusts both, the next one
 * begins to sign; when the old one has expired it is trusted no more. No side ever sees a
 * certificate that it doesn't trust.
 */
#ifndef BOTTLER_RECONCILE_ROTATION_H
#define BOTTLER_RECONCILE_ROTATION_H

#include "reconcile/diff.h"

#include <stdbool.h>
#include <stdint.h>

/* Unix seconds. */
struct ca_life {
    int64_t from, until;
};

enum ca_stage {
    CA_STEADY,     /* one CA signs and is trusted */
    CA_INTRODUCED, /* the next one is trusted too */
    CA_SWITCHED,   /* the next one signs, the old one is still trusted */
    CA_STAGE_COUNT
};
enum ca_move { CA_STAY, CA_INTRODUCE, CA_SWITCH, CA_RETIRE };

struct ca_turn {
    enum ca_stage stage;
    struct ca_life life; /* of the one that signs */
    struct ca_life old;  /* of the one that has signed before it; with CA_SWITCHED only */
};

/* The move that is due now. `everywhere`: all that shall trust the next one do. Moves that were
 * missed are made up for one by one, in order; a CA that isn't valid yet (the clock was ahead when
 * it was made) gives way at once. */
enum ca_move ca_due(const struct ca_turn *t, bool everywhere, int64_t now_s);
/* When the next move is due by the certificates' ends, if nothing keeps it from being made. */
int64_t ca_due_at(const struct ca_turn *t);
const char *ca_stage_name(enum ca_stage s);

/* Does every part that runs trust what `d` wants it to? `d` NULL: nobody knows. A part that doesn't
 * run is given all its files before it does. */
bool ca_is_everywhere(const struct desired *d, const struct bottle_view *v, const struct memory *m);

#endif
