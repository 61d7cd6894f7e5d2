/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a stream to lines: the same lines wherever the pieces end. */
#include "controller/engine_lines.h"
#include "spec/base/xalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TEST_MAX_LINE = 16 };

/* Lines as "stream:text|", so that a whole run is one string. */
struct seen {
    struct str text;
    size_t calls;
    size_t stop_at;
};

static bool on_line(void *ctx, int stream, struct sv line)
{
    struct seen *s = ctx;
    str_addf(&s->text, "%d:", stream);
    str_addn(&s->text, line.p, line.n);
    str_addc(&s->text, '|');
    return ++s->calls != s->stop_at;
}

struct lines_case {
    const char *name;
    bool framed;
    const char *bytes;
    size_t n;
    const char *want;
    enum lines_state end;
};
#define B(text) (text), sizeof(text) - 1
#define F(stream, len) stream "\0\0\0\0\0\0" len
static const struct lines_case CASES[] = {
    {"nothing", false, B(""), "", LINES_MORE},
    {"lines", false, B("a\nbc\n\nd\n"), "0:a|0:bc|0:|0:d|", LINES_MORE},
    {"crlf", false, B("a\r\n\r\nb\r\r\nc\rd\n"), "0:a|0:|0:b\r|0:c\rd|", LINES_MORE},
    {"last line without an end", false, B("a\nb"), "0:a|0:b|", LINES_MORE},
    {"exactly the limit", false, B("0123456789abcdef\nx\n"), "0:0123456789abcdef|0:x|", LINES_MORE},
    {"exactly the limit and crlf", false, B("0123456789abcdef\r\nx\n"), "0:0123456789abcdef|0:x|",
     LINES_MORE},
    {"over the limit", false, B("0123456789abcdefgh\nx\n"), "0:0123456789abcdef|0:x|", LINES_MORE},
    {"over the limit at the end", false, B("0123456789abcdefghijklmnopqrstuvwxyz"),
     "0:0123456789abcdef|", LINES_MORE},
    {"one frame", true, B(F("\1", "\2") "a\n"), "1:a|", LINES_MORE},
    {"stderr, stdin and engine", true,
     B(F("\2", "\2") "e\n" F("\0", "\2") "i\n" F("\3", "\2") "s\n"), "2:e|1:i|2:s|", LINES_MORE},
    {"several lines in a frame", true, B(F("\1", "\4") "a\nb\n"), "1:a|1:b|", LINES_MORE},
    {"a line over several frames", true, B(F("\1", "\1") "a" F("\1", "\0") F("\1", "\2") "b\n"),
     "1:ab|", LINES_MORE},
    {"two lines under way at once", true,
     B(F("\1", "\2") "oo" F("\2", "\2") "ee" F("\1", "\2") "O\n" F("\2", "\2") "E\n"),
     "1:ooO|2:eeE|", LINES_MORE},
    {"ends of both without a newline", true, B(F("\2", "\1") "e" F("\1", "\1") "o"), "1:o|2:e|",
     LINES_MORE},
    {"a frame that looks like a header", true, B(F("\1", "\11") "\1\0\0\0\0\0\0\2\n"), NULL,
     LINES_MORE},
    {"not framed at all", true, B("hello world\n"), "", LINES_BROKEN},
    {"unknown stream", true, B(F("\1", "\2") "a\n" F("\4", "\2") "b\n"), "1:a|", LINES_BROKEN},
    {"padding that isn't zero", true, B("\1\0\1\0\0\0\0\1a"), "", LINES_BROKEN},
    {"ends inside a header", true, B(F("\1", "\2") "a\n\1\0\0"), "1:a|", LINES_BROKEN},
    {"ends inside a frame", true, B(F("\1", "\5") "ab"), "1:ab|", LINES_BROKEN},
};
enum { CASES_LEN = sizeof(CASES) / sizeof(CASES[0]) };

/* Feeds in pieces of at most `piece` bytes, the first one of `first`. */
static enum lines_state feed(struct engine_lines *l, struct sv bytes, size_t first, size_t piece)
{
    enum lines_state state = LINES_MORE;
    size_t n = first;
    while (bytes.n > 0 && state == LINES_MORE) {
        if (n > bytes.n)
            n = bytes.n;
        /* A copy of the exact size, so that a look past the end is seen. */
        char *copy = xmalloc(n > 0 ? n : 1);
        memcpy(copy, bytes.p, n);
        state = engine_lines_feed(l, (struct sv){copy, n});
        free(copy);
        bytes = (struct sv){bytes.p + n, bytes.n - n};
        n = piece;
    }
    return state;
}

static void check_case(const struct lines_case *c, size_t first, size_t piece)
{
    struct seen s = {0};
    str_init(&s.text, 4096);
    struct engine_lines *l = engine_lines_new(c->framed, TEST_MAX_LINE, on_line, &s);
    enum lines_state state = feed(l, (struct sv){c->bytes, c->n}, first, piece);
    if (state == LINES_MORE)
        state = engine_lines_end(l);
    static const char look_alike[] = "1:\1\0\0\0\0\0\0\2|";
    struct sv want = c->want ? sv_of(c->want) : (struct sv){look_alike, sizeof(look_alike) - 1};
    bool same = state == c->end && s.text.len == want.n && memcmp(s.text.p, want.p, want.n) == 0;
    if (!same)
        fail_msg("%s, pieces of %zu then %zu: state %d, lines \"%s\"", c->name, first, piece,
                 (int)state, s.text.p);
    engine_lines_free(l);
    str_done(&s.text);
}

static void every_split_gives_the_same_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES_LEN; i++) {
        for (size_t piece = 1; piece <= CASES[i].n; piece++)
            check_case(&CASES[i], piece, piece);
        for (size_t first = 0; first <= CASES[i].n; first++)
            check_case(&CASES[i], first, CASES[i].n + 1);
    }
}

static void stop_ends_at_that_line(void **state)
{
    (void)state;
    static const char framed[] = F("\1", "\4") "a\nb\n" F("\2", "\2") "c\n";
    for (size_t piece = 1; piece < sizeof(framed); piece++) {
        struct seen s = {.stop_at = 2};
        str_init(&s.text, 4096);
        struct engine_lines *l = engine_lines_new(true, TEST_MAX_LINE, on_line, &s);
        assert_int_equal(feed(l, (struct sv){framed, sizeof(framed) - 1}, piece, piece),
                         LINES_STOPPED);
        assert_string_equal(s.text.p, "1:a|1:b|");
        engine_lines_free(l);
        str_done(&s.text);
    }
}

/* The length field alone must cost nothing. */
static void huge_frame_allocates_nothing(void **state)
{
    (void)state;
    struct seen s = {0};
    str_init(&s.text, 4096);
    struct engine_lines *l = engine_lines_new(true, TEST_MAX_LINE, on_line, &s);
    assert_int_equal(engine_lines_feed(l, (struct sv){"\1\0\0\0\xFF\xFF\xFF\xFF"
                                                      "a\nb",
                                                      11}),
                     LINES_MORE);
    assert_string_equal(s.text.p, "1:a|");
    assert_int_equal(engine_lines_end(l), LINES_BROKEN);
    engine_lines_free(l);
    str_done(&s.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_gives_the_same_lines),
        cmocka_unit_test(stop_ends_at_that_line),
        cmocka_unit_test(huge_frame_allocates_nothing),
    };
    return cmocka_run_group_tests_name("engine lines", tests, NULL, NULL);
}
