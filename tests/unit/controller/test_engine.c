/* SPDX-License-Identifier: Apache-2.0 */
/* engine_send(): requests as they go out, answers as they come back, and the ways both fail. */
#include "tests/unit/controller/engine_fixture.c"

#include <sys/stat.h>

#define GET(p)                                                                                     \
    (struct engine_request)                                                                        \
    {                                                                                              \
        .method = "GET", .path = (p), .lane = LANE_READ                                            \
    }

static void echo(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    fake_answer(c, "200 OK", "application/octet-stream", (struct sv){q->body, q->body_len});
}

/* ---- what goes out --------------------------------------------------------------------------- */

static void get_has_version_and_no_body(void **state)
{
    struct fixture *f = *state;
    f->handle = echo;
    fixture_connect(f);
    struct outcome o = {0};
    struct engine_request q = GET("/containers/json?all=1");
    ask(f, &q, &o);
    assert_false(o.failed);
    assert_int_equal(o.status, 200);
    const struct fake_request *got = fake_last(f->fake);
    assert_string_equal(got->method, "GET");
    assert_string_equal(got->path, "/v1.41/containers/json?all=1");
    assert_null(fake_header(got, "Content-Type"));
    assert_null(fake_header(got, "Content-Length"));
    AUTO_FREE char *host = fake_header(got, "Host");
    assert_string_equal(host, "docker");
    AUTO_FREE char *agent = fake_header(got, "User-Agent");
    assert_string_equal(agent, "bottler/" BOTTLER_VERSION);
    outcome_done(&o);
}

static void post_without_body_says_length_0(void **state)
{
    struct fixture *f = *state;
    f->handle = echo;
    fixture_connect(f);
    struct outcome o = {0};
    struct engine_request q = {.method = "POST", .path = "/containers/x/start", .lane = LANE_WORK};
    ask(f, &q, &o);
    const struct fake_request *got = fake_last(f->fake);
    assert_string_equal(got->method, "POST");
    AUTO_FREE char *length = fake_header(got, "Content-Length");
    assert_string_equal(length, "0");
    assert_null(fake_header(got, "Content-Type"));
    assert_null(fake_header(got, "Expect"));
    outcome_done(&o);
}

static void bodies_arrive_as_they_are(void **state)
{
    struct fixture *f = *state;
    f->handle = echo;
    fixture_connect(f);
    /* Over curl's limit of 1 MiB for a body without "Expect: 100-continue", with NULs. */
    size_t n = 3U << 20;
    char *big = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 7);
    struct outcome o = {0};
    struct engine_request q = {.method = "PUT",
                               .path = "/containers/x/archive?path=%2F",
                               .lane = LANE_WORK,
                               .content_type = "application/x-tar",
                               .body = {big, n}};
    ask(f, &q, &o);
    const struct fake_request *got = fake_last(f->fake);
    assert_string_equal(got->method, "PUT");
    assert_string_equal(got->path, "/v1.41/containers/x/archive?path=%2F");
    assert_int_equal(got->body_len, n);
    assert_memory_equal(got->body, big, n);
    assert_int_equal(o.body_len, n);
    assert_memory_equal(o.body, big, n);
    AUTO_FREE char *type = fake_header(got, "Content-Type");
    assert_string_equal(type, "application/x-tar");
    assert_null(fake_header(got, "Expect"));
    outcome_done(&o);
    free(big);

    q = (struct engine_request){.method = "POST",
                                .path = "/networks/create",
                                .lane = LANE_NETWORK,
                                .registry_auth = "eyJ4IjoxfQ==",
                                .body = sv_of("{}")};
    ask(f, &q, &o);
    got = fake_last(f->fake);
    AUTO_FREE char *json_type = fake_header(got, "Content-Type");
    assert_string_equal(json_type, "application/json");
    AUTO_FREE char *auth = fake_header(got, "X-Registry-Auth");
    assert_string_equal(auth, "eyJ4IjoxfQ==");
    assert_string_equal(got->body, "{}");
    outcome_done(&o);
}

static void file_is_sent_as_body(void **state)
{
    struct fixture *f = *state;
    f->handle = echo;
    fixture_connect(f);
    AUTO_FREE char *path = xasprintf("%s/image.tar", f->fake->dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (int i = 0; i < 100000; i++)
        assert_true(fprintf(file, "%d\n", i) > 0);
    long size = ftell(file);
    assert_int_equal(fclose(file), 0);
    struct outcome o = {0};
    struct engine_request q = {.method = "POST",
                               .path = "/images/load",
                               .lane = LANE_PULL,
                               .content_type = "application/x-tar",
                               .body_file = path};
    ask(f, &q, &o);
    const struct fake_request *got = fake_last(f->fake);
    assert_string_equal(got->method, "POST");
    assert_int_equal(got->body_len, size);
    assert_memory_equal(got->body, "0\n1\n2\n", 6);
    assert_memory_equal(got->body + size - 7, "\n99999\n", 7);
    outcome_done(&o);

    assert_int_equal(unlink(path), 0);
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_NOT_FOUND);
    assert_non_null(strstr(o.message, "image.tar"));
    outcome_done(&o);
    q.body_file = f->fake->dir;
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_INVALID);
    assert_non_null(strstr(o.message, "not a regular file"));
    outcome_done(&o);
    assert_int_equal(fake_count(f->fake, "POST", NULL), 1);
}

static void delete_and_head(void **state)
{
    struct fixture *f = *state;
    f->handle = echo;
    fixture_connect(f);
    struct outcome o = {0};
    struct engine_request q = {.method = "DELETE", .path = "/networks/x", .lane = LANE_NETWORK};
    ask(f, &q, &o);
    assert_int_equal(o.status, 200);
    assert_int_equal(fake_count(f->fake, "DELETE", "/v1.41/networks/x"), 1);
    outcome_done(&o);
    /* A HEAD's Content-Length announces a body that never comes. */
    q = (struct engine_request){.method = "HEAD", .path = "/_ping", .lane = LANE_READ};
    q.unversioned = true;
    o.want_header = "api-VERSION";
    ask(f, &q, &o);
    assert_int_equal(o.status, 200);
    assert_int_equal(o.body_len, 0);
    assert_string_equal(o.header, "1.41");
    outcome_done(&o);
}

static void url_add_encodes(void **state)
{
    (void)state;
    struct str s;
    str_init(&s, 1000);
    str_add_url(&s, sv_of("{\"label\":[\"a=b c\"]}~-._/\xC3\xA9"), "");
    assert_string_equal(s.p, "%7B%22label%22%3A%5B%22a%3Db%20c%22%5D%7D~-._%2F%C3%A9");
    str_done(&s);
}

/* ---- what comes back ------------------------------------------------------------------------- */

struct canned {
    const char *status;
    const char *type;
    const char *body;
    bool length_only; /* 304 and 204 have no body */
};

static void give_canned(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)q;
    const struct fixture *f = ctx;
    const struct canned *answer = f->ctx;
    if (!answer->length_only) {
        fake_answer(c, answer->status, answer->type, sv_of(answer->body));
        return;
    }
    AUTO_FREE char *head = xasprintf("HTTP/1.1 %s\r\n\r\n", answer->status);
    fake_send(c, sv_of(head));
}

struct check_case {
    struct canned answer;
    bool ok;
    enum err_kind kind;
    const char *message;
};
static const struct check_case CHECKS[] = {
    {{"200 OK", "application/json", "{}", false}, true, ERR_INTERNAL, NULL},
    {{"201 Created", "application/json", "{}", false}, true, ERR_INTERNAL, NULL},
    {{"204 No Content", NULL, NULL, true}, true, ERR_INTERNAL, NULL},
    {{"304 Not Modified", NULL, NULL, true}, true, ERR_INTERNAL, NULL},
    {{"400 Bad Request", "application/json", "{\"message\":\"bad parameter\"}\n", false},
     false,
     ERR_INVALID,
     "doing it: the engine answered 400: bad parameter"},
    {{"400 Bad Request", "text/plain; charset=utf-8",
      "client version 1.12 is too old. Minimum supported API version is 1.24\n", false},
     false,
     ERR_INVALID,
     "doing it: the engine answered 400: client version 1.12 is too old. Minimum supported API "
     "version is 1.24"},
    {{"401 Unauthorized", "application/json", "{\"message\":\"no\"}", false},
     false,
     ERR_DENIED,
     "doing it: the engine answered 401: no"},
    {{"403 Forbidden", "application/json", "{\"message\":\"network n1 has active endpoints\"}",
      false},
     false,
     ERR_CONFLICT,
     "doing it: the engine answered 403: network n1 has active endpoints"},
    {{"404 Not Found", "text/plain", "page not found\n", false},
     false,
     ERR_NOT_FOUND,
     "doing it: the engine answered 404: page not found"},
    {{"409 Conflict", "application/json", "{\"message\":\"name\\nin\\tuse \\u001b[31m\"}", false},
     false,
     ERR_CONFLICT,
     "doing it: the engine answered 409: name in use  [31m"},
    {{"418 Teapot", "application/json", "{\"message\":12}", false},
     false,
     ERR_INVALID,
     "doing it: the engine answered 418: {\"message\":12}"},
    {{"500 Internal Server Error", "application/json", "{\"message\":\"boom\"", false},
     false,
     ERR_UNAVAILABLE,
     "doing it: the engine answered 500: {\"message\":\"boom\""},
    {{"503 Service Unavailable", "text/plain", "", false},
     false,
     ERR_UNAVAILABLE,
     "doing it: the engine answered 503"},
    {{"302 Found", "text/plain", "elsewhere", false},
     false,
     ERR_INTERNAL,
     "doing it: the engine answered 302: elsewhere"},
};

struct checked {
    int calls;
    struct err *error;
};

static void on_checked(void *ctx, const struct engine_response *r)
{
    struct checked *c = ctx;
    c->calls++;
    c->error = engine_check(r, "doing it");
}

static void statuses_become_kinds(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = give_canned;
    for (size_t i = 0; i < sizeof(CHECKS) / sizeof(CHECKS[0]); i++) {
        struct canned answer = CHECKS[i].answer;
        f->ctx = &answer;
        struct checked c = {0};
        struct engine_request q = {.method = "POST", .path = "/x", .lane = LANE_WORK};
        (void)engine_send(f->engine, &q, on_checked, &c);
        run_until(f, &c.calls, 1);
        if (CHECKS[i].ok) {
            assert_null(c.error);
            continue;
        }
        assert_non_null(c.error);
        assert_string_equal(err_message(c.error), CHECKS[i].message);
        assert_int_equal(err_kind(c.error), CHECKS[i].kind);
        err_free(c.error);
    }
}

static void check_cuts_long_messages(void **state)
{
    (void)state;
    /* Two-byte characters at odd offsets: the cut falls into one. */
    char *text = xmalloc(9001);
    text[0] = 'x';
    for (size_t i = 1; i + 1 < 9001; i += 2) {
        text[i] = (char)0xC3;
        text[i + 1] = (char)0xA9;
    }
    struct engine_response r = {.status = 500, .body = {text, 9001}};
    AUTO_ERR error = engine_check(&r, "x");
    const char *m = err_message(error);
    size_t n = strlen(m);
    assert_in_range(n, 2000, 2100);
    assert_int_equal((unsigned char)m[n - 1], 0xA9);
    assert_int_equal((unsigned char)m[n - 2], 0xC3);
    free(text);
}

static void split_anyhow(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)q;
    const struct fixture *f = ctx;
    c->piece = *(const size_t *)f->ctx;
    fake_chunked(c, "200 OK", "application/json");
    fake_chunk(c, sv_of("[1,"));
    fake_chunk(c, sv_of("2,3]"));
    fake_chunk_end(c);
}

static void split_reads_join(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = split_anyhow;
    for (size_t piece = 1; piece < 9; piece++) {
        f->ctx = &piece;
        struct outcome o = {0};
        struct engine_request q = GET("/x");
        ask(f, &q, &o);
        assert_false(o.failed);
        assert_string_equal(o.body, "[1,2,3]");
        outcome_done(&o);
    }
}

static void big_by_chunks(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    fake_chunked(c, "200 OK", "application/json");
    for (int i = 0; i < 20; i++)
        fake_chunk(c, sv_of("0123456789"));
    fake_chunk_end(c);
}

static void big_by_length(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    /* Announced, never sent: the refusal must not wait for it. */
    fake_send(c, sv_of("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"));
}

static void huge_answers_are_refused(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = big_by_chunks;
    struct engine_request q = GET("/big");
    q.max_body = 200;
    struct outcome o = {0};
    ask(f, &q, &o);
    assert_false(o.failed);
    assert_int_equal(o.body_len, 200);
    outcome_done(&o);
    q.max_body = 199;
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_INTERNAL);
    assert_string_equal(o.message, "the engine's answer to GET /big is larger than 199 bytes");
    assert_int_equal(o.body_len, 0);
    assert_int_equal(o.status, 0);
    outcome_done(&o);
    f->handle = big_by_length;
    q.max_body = 0;
    ask(f, &q, &o);
    assert_true(o.failed);
    assert_int_equal(o.kind, ERR_INTERNAL);
    assert_non_null(strstr(o.message, "larger than 16777216 bytes"));
    outcome_done(&o);
}

static void headers_of_the_last_answer(void *ctx, struct fake_conn *c, const struct fake_request *q)
{
    (void)ctx;
    (void)q;
    fake_send(c,
              sv_of("HTTP/1.1 100 Continue\r\nX-Stat: early\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nX-Stat:  first \r\nX-Status: other\r\nx-stat:\tlast\t\r\n"
                    "X-Empty:\r\nContent-Length: 2\r\n\r\nok"));
}

static void headers_are_found(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    f->handle = headers_of_the_last_answer;
    static const char *const want[][2] = {
        {"X-Stat", "last"}, {"X-Status", "other"}, {"X-Empty", ""}, {"X-Sta", ""}, {"2", ""}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct outcome o = {.want_header = want[i][0]};
        struct engine_request q = GET("/x");
        ask(f, &q, &o);
        assert_string_equal(o.header, want[i][1]);
        outcome_done(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        T(get_has_version_and_no_body),
        T(post_without_body_says_length_0),
        T(bodies_arrive_as_they_are),
        T(file_is_sent_as_body),
        T(delete_and_head),
        cmocka_unit_test(url_add_encodes),
        T(statuses_become_kinds),
        cmocka_unit_test(check_cuts_long_messages),
        T(split_reads_join),
        T(huge_answers_are_refused),
        T(headers_are_found),
#undef T
    };
    return cmocka_run_group_tests_name("engine", tests, group_setup, group_teardown);
}
