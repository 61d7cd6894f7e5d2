/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a streamed answer, in whatever pieces they come, to lines. Pure. */
#ifndef BOTTLER_CONTROLLER_ENGINE_LINES_H
#define BOTTLER_CONTROLLER_ENGINE_LINES_H

#include "spec/base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct engine_lines;

/* As engine_line_fn: false ends it. */
typedef bool engine_lines_fn(void *ctx, int stream, struct sv line);

enum lines_state {
    LINES_MORE,    /* goes on */
    LINES_STOPPED, /* the callback answered false; feed no more */
    LINES_BROKEN,  /* framed, but this is no frame; feed no more */
};

/* `framed`: the engine's log format, 8 bytes of header [stream 0 0 0 length:32 BE] before each
 * piece. Each of its two streams has its own line under way. Lines over `max_line` bytes are cut
 * there, the rest is dropped. */
struct engine_lines *engine_lines_new(bool framed, size_t max_line, engine_lines_fn *line,
                                      void *ctx);
struct engine_lines *engine_lines_free(struct engine_lines *l);
enum lines_state engine_lines_feed(struct engine_lines *l, struct sv bytes);
/* The stream ended in order: what is left without an end of line is a line. BROKEN inside a frame.
 */
enum lines_state engine_lines_end(struct engine_lines *l);

#endif
