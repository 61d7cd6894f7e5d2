/* SPDX-License-Identifier: Apache-2.0 */
/* What the builders of the containers share. Inside render/ only. */
#ifndef BOTTLER_RENDER_PARTS_H
#define BOTTLER_RENDER_PARTS_H

#include "render/desired.h"

/* Where everything of ours lives in a container. */
#define BOTTLER_DIR "/etc/bottler"

/* The arguments of desired_render(), and the value under construction. Borrowed. */
struct part {
    const struct bottle *b;
    const struct render_settings *s;
    const struct render_inputs *in;
    const struct desired *d;
};

/* Each fills a zeroed container; on failure the caller frees what is there. */
struct err *part_pipelock(const struct part *p, struct desired_container *c) ERR_NODISCARD;
struct err *part_egress(const struct part *p, struct desired_container *c) ERR_NODISCARD;
struct err *part_agent(const struct part *p, struct desired_container *c) ERR_NODISCARD;

/* NOT_FOUND naming the reference when it isn't there or is empty. */
struct err *part_secret(const struct part *p, const char *name, struct sv *ret) ERR_NODISCARD;

/* The certificates that are trusted while a CA rotates, oldest first; just `cert` otherwise. An
 * empty one is none. The caller frees *ret. */
void part_trust(struct sv old, struct sv cert, struct sv next, struct str *ret);

/* Role, name, image reference, policies. */
void part_begin(const struct part *p, enum role role, struct desired_container *c);
/* The start of a container's semantic JSON: role, image, and files that aren't hot or unhashed. */
json_t *part_hash_base(const struct part *p, const struct desired_container *c);
/* Sets the hash of `semantic_take`, and the body common to all roles, with the labels. */
void part_finish(const struct part *p, struct desired_container *c, json_t *semantic_take);
/* What every sidecar has on top: user, limits, no routing. Null `dns`: the engine's resolver. */
void part_sidecar(struct desired_container *c, int64_t memory_bytes, const char *dns);

/* Sets an owned value; jansson only fails for want of memory, or for text that isn't UTF-8, which
 * the types rule out. */
void json_put(json_t *object, const char *key, json_t *value_take);
void json_put_text(json_t *object, const char *key, const char *text);
json_t *json_texts(const struct str_list *l);

#endif
