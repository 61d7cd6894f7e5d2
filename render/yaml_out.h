/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small front of libyaml's emitter for the files that bottler writes: block style, two spaces,
 * ASCII only, no line folding. What a user wrote goes out in double quotes, so no reader of any
 * YAML version can take a host or a method for a number, a date or a boolean; our own constant
 * words go out plain.
 */
#ifndef BOTTLER_RENDER_YAML_OUT_H
#define BOTTLER_RENDER_YAML_OUT_H

#include "spec/base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct yaml_out;

/* Starts a document. */
struct yaml_out *yaml_out_new(void);
/* Ends the document and frees `y_take`. The text ends in a newline; the caller frees it. */
char *yaml_out_end(struct yaml_out *y_take);

void yaml_out_map(struct yaml_out *y);
void yaml_out_map_end(struct yaml_out *y);
void yaml_out_list(struct yaml_out *y);
void yaml_out_list_end(struct yaml_out *y);
/* A constant word: key, enum value. */
void yaml_out_word(struct yaml_out *y, const char *word);
/* A text from outside. UTF-8. */
void yaml_out_text(struct yaml_out *y, const char *text);

/* Key and value in one. */
void yaml_out_key_word(struct yaml_out *y, const char *key, const char *word);
void yaml_out_key_text(struct yaml_out *y, const char *key, const char *text);
void yaml_out_key_int(struct yaml_out *y, const char *key, int64_t value);
void yaml_out_key_bool(struct yaml_out *y, const char *key, bool value);
void yaml_out_key_texts(struct yaml_out *y, const char *key, const struct str_list *texts);
/* Key, then the start of a map or a list. */
void yaml_out_key_map(struct yaml_out *y, const char *key);
void yaml_out_key_list(struct yaml_out *y, const char *key);

#endif
