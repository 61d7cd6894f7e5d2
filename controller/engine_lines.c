/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/engine_lines.h"

#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

enum { FRAME_HEADER = 8, CHANNELS = 3 };

struct engine_lines {
    engine_lines_fn *line;
    void *ctx;
    size_t max_line;
    bool framed;
    unsigned char header[FRAME_HEADER];
    size_t header_len; /* bytes of `header` that are there */
    size_t frame_left; /* bytes of the frame still to come */
    int frame_channel; /* of the frame under way */
    enum lines_state state;
    struct str partial[CHANNELS]; /* of each channel, the line whose end hasn't come */
};

struct engine_lines *engine_lines_new(bool framed, size_t max_line, engine_lines_fn *line,
                                      void *ctx)
{
    struct engine_lines *l = xcalloc(1, sizeof(*l));
    l->line = line;
    l->ctx = ctx;
    l->max_line = max_line;
    l->framed = framed;
    for (size_t i = 0; i < CHANNELS; i++)
        str_init(&l->partial[i], max_line);
    return l;
}

struct engine_lines *engine_lines_free(struct engine_lines *l)
{
    if (!l)
        return NULL;
    for (size_t i = 0; i < CHANNELS; i++)
        str_done(&l->partial[i]);
    free(l);
    return NULL;
}

static void emit(struct engine_lines *l, int channel, struct sv line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n > l->max_line)
        line.n = l->max_line;
    if (!l->line(l->ctx, channel, line))
        l->state = LINES_STOPPED;
}

/* Keeps what fits of a line whose end hasn't come. */
static void keep(struct engine_lines *l, struct str *partial, struct sv part)
{
    size_t room = l->max_line - partial->len;
    str_addn(partial, part.p, part.n < room ? part.n : room);
}

static void split(struct engine_lines *l, int channel, struct sv bytes)
{
    struct str *partial = &l->partial[channel];
    while (bytes.n > 0 && l->state == LINES_MORE) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        struct sv part = {bytes.p, end ? (size_t)(end - bytes.p) : bytes.n};
        size_t used = part.n + (end ? 1 : 0);
        bytes = (struct sv){bytes.p + used, bytes.n - used};
        bool joined = partial->len > 0;
        if (!end || joined)
            keep(l, partial, part);
        if (!end)
            return;
        if (joined)
            part = (struct sv){partial->p, partial->len};
        emit(l, channel, part);
        str_clear(partial);
    }
}

/* False when the eight bytes are no header. 0 is stdin's echo, 3 the engine's own complaint. */
static bool open_frame(struct engine_lines *l)
{
    const unsigned char *h = l->header;
    if (h[0] > 3 || h[1] != 0 || h[2] != 0 || h[3] != 0)
        return false;
    l->frame_channel = h[0] <= 1 ? 1 : 2;
    l->frame_left = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | (size_t)h[7];
    return true;
}

static void unframe(struct engine_lines *l, struct sv bytes)
{
    while (bytes.n > 0 && l->state == LINES_MORE) {
        if (l->frame_left == 0) {
            l->header[l->header_len++] = (unsigned char)*bytes.p;
            bytes = (struct sv){bytes.p + 1, bytes.n - 1};
            if (l->header_len < FRAME_HEADER)
                continue;
            l->header_len = 0;
            if (!open_frame(l))
                l->state = LINES_BROKEN;
            continue;
        }
        size_t n = bytes.n < l->frame_left ? bytes.n : l->frame_left;
        l->frame_left -= n;
        split(l, l->frame_channel, (struct sv){bytes.p, n});
        bytes = (struct sv){bytes.p + n, bytes.n - n};
    }
}

enum lines_state engine_lines_feed(struct engine_lines *l, struct sv bytes)
{
    assert(l->state == LINES_MORE);
    if (l->framed)
        unframe(l, bytes);
    else
        split(l, 0, bytes);
    return l->state;
}

enum lines_state engine_lines_end(struct engine_lines *l)
{
    assert(l->state == LINES_MORE);
    for (int i = 0; i < CHANNELS && l->state == LINES_MORE; i++) {
        if (l->partial[i].len > 0)
            emit(l, i, (struct sv){l->partial[i].p, l->partial[i].len});
    }
    if (l->state == LINES_MORE && (l->frame_left > 0 || l->header_len > 0))
        l->state = LINES_BROKEN;
    return l->state;
}
