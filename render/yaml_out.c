/* SPDX-License-Identifier: Apache-2.0 */
#include "render/yaml_out.h"

#include "spec/base/xalloc.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <yaml.h>

/* Over any file that a manifest within its limits can give. */
enum { YAML_OUT_MAX = 64 * 1024 * 1024 };

struct yaml_out {
    yaml_emitter_t emitter;
    struct str text;
};

static int write_bytes(void *data, unsigned char *bytes, size_t n)
{
    struct yaml_out *y = data;
    str_addn(&y->text, bytes, n);
    return !str_failed(&y->text);
}

/* libyaml fails for want of memory, or for an order of events that is a bug of ours. */
static void emit(struct yaml_out *y, yaml_event_t *event, int made)
{
    if (!made)
        xoom();
    int ok = yaml_emitter_emit(&y->emitter, event);
    assert(y->emitter.error != YAML_EMITTER_ERROR);
    if (!ok)
        xoom();
}

/* The library's functions take unsigned text, and not const: it copies what it is given. */
static void scalar(struct yaml_out *y, const char *text, yaml_scalar_style_t style)
{
    size_t n = strlen(text);
    AUTO_FREE unsigned char *copy = xmalloc(n + 1);
    memcpy(copy, text, n + 1);
    bool plain = style == YAML_PLAIN_SCALAR_STYLE;
    yaml_event_t e;
    emit(y, &e, yaml_scalar_event_initialize(&e, NULL, NULL, copy, (int)n, plain, !plain, style));
}

struct yaml_out *yaml_out_new(void)
{
    struct yaml_out *y = xcalloc(1, sizeof(*y));
    str_init(&y->text, YAML_OUT_MAX);
    if (!yaml_emitter_initialize(&y->emitter))
        xoom();
    yaml_emitter_set_output(&y->emitter, write_bytes, y);
    yaml_emitter_set_encoding(&y->emitter, YAML_UTF8_ENCODING);
    yaml_emitter_set_unicode(&y->emitter, 0);
    yaml_emitter_set_width(&y->emitter, -1);
    yaml_emitter_set_indent(&y->emitter, 2);
    yaml_event_t e;
    emit(y, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING));
    emit(y, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1));
    return y;
}

char *yaml_out_end(struct yaml_out *y_take)
{
    yaml_event_t e;
    emit(y_take, &e, yaml_document_end_event_initialize(&e, 1));
    emit(y_take, &e, yaml_stream_end_event_initialize(&e));
    yaml_emitter_delete(&y_take->emitter);
    char *text = XNN(str_take(&y_take->text));
    free(y_take);
    return text;
}

void yaml_out_map(struct yaml_out *y)
{
    yaml_event_t e;
    emit(y, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
}

void yaml_out_map_end(struct yaml_out *y)
{
    yaml_event_t e;
    emit(y, &e, yaml_mapping_end_event_initialize(&e));
}

void yaml_out_list(struct yaml_out *y)
{
    yaml_event_t e;
    emit(y, &e, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
}

void yaml_out_list_end(struct yaml_out *y)
{
    yaml_event_t e;
    emit(y, &e, yaml_sequence_end_event_initialize(&e));
}

void yaml_out_word(struct yaml_out *y, const char *word)
{
    scalar(y, word, YAML_PLAIN_SCALAR_STYLE);
}

void yaml_out_text(struct yaml_out *y, const char *text)
{
    scalar(y, text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

void yaml_out_key_word(struct yaml_out *y, const char *key, const char *word)
{
    yaml_out_word(y, key);
    yaml_out_word(y, word);
}

void yaml_out_key_text(struct yaml_out *y, const char *key, const char *text)
{
    yaml_out_word(y, key);
    yaml_out_text(y, text);
}

void yaml_out_key_int(struct yaml_out *y, const char *key, int64_t value)
{
    AUTO_FREE char *text = xasprintf("%" PRId64, value);
    yaml_out_key_word(y, key, text);
}

void yaml_out_key_bool(struct yaml_out *y, const char *key, bool value)
{
    yaml_out_key_word(y, key, value ? "true" : "false");
}

void yaml_out_key_texts(struct yaml_out *y, const char *key, const struct str_list *texts)
{
    yaml_out_key_list(y, key);
    for (size_t i = 0; i < texts->len; i++)
        yaml_out_text(y, texts->items[i]);
    yaml_out_list_end(y);
}

void yaml_out_key_map(struct yaml_out *y, const char *key)
{
    yaml_out_word(y, key);
    yaml_out_map(y);
}

void yaml_out_key_list(struct yaml_out *y, const char *key)
{
    yaml_out_word(y, key);
    yaml_out_list(y);
}
