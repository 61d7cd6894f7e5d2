/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an object of our installation lacks to be proven ours to touch. Such an object is an orphan:
 * it is reported, and never changed or removed.
 */
#ifndef BOTTLER_RENDER_PROOF_H
#define BOTTLER_RENDER_PROOF_H

#include "render/observed.h"

enum object_kind { OBJECT_CONTAINER, OBJECT_NETWORK, OBJECT_VOLUME };
const char *object_kind_name(enum object_kind k); /* "container", … */

struct object_ref { /* borrowed from the observation */
    enum object_kind kind;
    const char *id; /* of a volume: its name */
    const char *name;
    const struct observed_owner *owner;
    bool retained; /* a volume that outlives its bottle */
    bool proven;   /* also of what helps a bottle: probes, guards */
};
/* Everything that carries this installation's label, containers first; the caller frees the list.
 * What is just being removed isn't in it. */
size_t observed_objects(const struct observed *o, const char *installation,
                        struct object_ref **ret);

/* Why it isn't proven, in words; NULL: nothing is wrong but perhaps its name. The caller frees. */
char *proof_lacks(const struct object_ref *ref, const char *installation);
/* The same with its name: never NULL for an orphan. */
char *proof_text(const struct object_ref *ref, const char *installation);

#endif
