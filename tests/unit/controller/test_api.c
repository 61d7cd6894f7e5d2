/* SPDX-License-Identifier: Apache-2.0 */
#include "api_fixture.h"

#include "controller/api_socket.h"

/* ---- requests ------------------------------------------------------------------------------- */

static void test_get(void **state)
{
    struct world *w = *state;
    w->version = 7;
    run_child(w->loop, child_get, w);
    assert_int_equal(w->asked, 1);
    assert_string_equal(w->method, "GET");
    assert_string_equal(w->url, "/v1/bottles/a-b");
    assert_null(w->body);
    assert_int_equal(w->uid, geteuid());
}

static char *child_post(void *ctx)
{
    struct world *w = ctx;
    int status = 0;
    json_t *value = NULL, *body = json_pack("{s:[i,i], s:s}", "n", 1, 2, "text", "ä\n");
    struct err *e = api_call(w->path, "POST", "/v1/do", body, &status, &value);
    if (e)
        return xstrdup(err_message(e));
    CHILD_CHECK(status == 200);
    return NULL;
}

static void test_post_body(void **state)
{
    struct world *w = *state;
    run_child(w->loop, child_post, w);
    assert_string_equal(w->method, "POST");
    assert_string_equal(w->body, "{\"n\":[1,2],\"text\":\"ä\\n\"}");
}

static void test_post_without_body(void **state)
{
    struct world *w = *state;
    run_child(w->loop, child_post_empty, w);
    assert_int_equal(w->asked, 1);
    assert_null(w->body);
}

static char *child_statuses(void *ctx)
{
    struct world *w = ctx;
    int status = 0;
    json_t *value = NULL;
    struct err *e = api_call(w->path, "GET", "/v1/missing", NULL, &status, &value);
    CHILD_CHECK(!e && status == 404);
    CHILD_CHECK(strcmp(json_string_value(json_object_get(value, "error")), "no such thing") == 0);
    e = api_call(w->path, "GET", "/v1/nothing", NULL, &status, &value);
    CHILD_CHECK(!e && status == 500);
    CHILD_CHECK(json_object_get(value, "error"));
    return NULL;
}

static void test_handler_statuses(void **state)
{
    struct world *w = *state;
    run_child(w->loop, child_statuses, w);
    assert_int_equal(w->asked, 2);
}

/* What the server refuses without asking the handler. */
static const struct refusal {
    const char *request, *status, *part;
} refusals[] = {
    {"PUT /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "405",
     "expected GET, HEAD or POST"},
    {"DELETE /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405",
     "Allow: GET, HEAD, POST"},
    {"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "415",
     "application/json"},
    {"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/jsonx\r\nContent-Length: 2\r\n"
     "Connection: close\r\n\r\n{}",
     "415", "application/json"},
    {"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
     "Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
     "415", "application/json"},
    {"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
     "1048577\r\n"
     "Connection: close\r\n\r\n",
     "413", "larger than 1 MiB"},
    {"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
     "Connection: close\r\n\r\n{\"a\":\n 1,",
     "400", "line 2"},
    {"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
     "Connection: close\r\n\r\n{\"a\":1,\"a\":2}",
     "400", "duplicate"},
    {"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1\r\n"
     "Connection: close\r\n\r\n3",
     "400", "isn't JSON"},
};

static char *child_refusal(void *ctx)
{
    struct world *w = ctx;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *r = &refusals[i];
        AUTO_FREE char *answer = exchange(w->path, r->request);
        if (!has_status(answer, r->status) || !strstr(answer, r->part))
            return xasprintf("%zu: expected %s %s, got: %s", i, r->status, r->part, answer);
        CHILD_CHECK(strstr(answer, "Content-Type: application/json"));
        CHILD_CHECK(strstr(answer, "{\"error\":\""));
    }
    return NULL;
}

static void test_refusals(void **state)
{
    struct world *w = *state;
    run_child(w->loop, child_refusal, w);
    assert_int_equal(w->asked, 0);
}

static char *child_accepted(void *ctx)
{
    struct world *w = ctx;
    AUTO_FREE char *typed = exchange(
        w->path,
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: Application/JSON; charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n");
    CHILD_CHECK(has_status(typed, "200"));
    AUTO_FREE char *head = exchange(w->path, "HEAD /v1/watch HTTP/1.1\r\nHost: a\r\n"
                                             "Connection: close\r\n\r\n");
    CHILD_CHECK(has_status(head, "200"));
    CHILD_CHECK(strstr(head, "\r\n\r\n") && strlen(strstr(head, "\r\n\r\n")) == 4);
    return NULL;
}

static void test_chunked_and_head(void **state)
{
    struct world *w = *state;
    run_child(w->loop, child_accepted, w);
    assert_int_equal(w->asked, 2);
    assert_string_equal(w->method, "GET");
    assert_string_equal(w->url, "/v1/watch");
}

/* 1 MiB exactly is taken whole; a chunked upload that goes on is cut. */
static char *child_large(void *ctx)
{
    struct world *w = ctx;
    AUTO_FREE char *text = xcalloc(API_MAX_BODY, 1);
    memset(text, 'y', API_MAX_BODY - 1);
    text[API_MAX_BODY - 4] = '\0'; /* with ["…"] 1 MiB */
    int status = 0;
    json_t *value = NULL, *body = json_pack("[s]", text);
    CHILD_CHECK(!api_call(w->path, "POST", "/v1/large", body, &status, &value));
    CHILD_CHECK(status == 200);

    AUTO_CLOSE fd = dial(w->path);
    static const char head[] =
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    CHILD_CHECK(fd >= 0 && say(fd, head, sizeof(head) - 1));
    bool open = true;
    for (int i = 0; i < 64 && open; i++)
        open = say(fd, "10000\r\n", 7) && say(fd, text, 65536) && say(fd, "\r\n", 2);
    CHILD_CHECK(!open);
    return NULL;
}

static void test_large_bodies(void **state)
{
    struct world *w = *state;
    run_child(w->loop, child_large, w);
    assert_int_equal(w->asked, 1);
    assert_int_equal(strlen(w->body), API_MAX_BODY);
}

/* ---- who may ask ---------------------------------------------------------------------------- */

struct caller {
    struct world *w;
    gid_t group, extra;
    int expect; /* 0: can't even connect */
};

static char *child_caller(void *ctx)
{
    struct caller *c = ctx;
    int status = 0;
    json_t *value = NULL;
    CHILD_CHECK(become_nobody(c->group, c->extra));
    struct err *e = api_call(c->w->path, "GET", "/v1/bottles", NULL, &status, &value);
    if (c->expect == 0) {
        CHILD_CHECK(e && err_kind(e) == ERR_DENIED);
        CHILD_CHECK(strstr(err_message(e), c->w->path));
        return NULL;
    }
    if (e)
        return xstrdup(err_message(e));
    return status == c->expect ? NULL : xasprintf("status %d, not %d", status, c->expect);
}

static void test_peers(void **state)
{
    need_root();
    struct world *w = *state;
    enum { OURS = 40001, OTHER = 40002 };
    assert_int_equal(chown(w->path, 0, OURS), 0);

    /* By the mode of the file. */
    run_child(w->loop, child_caller, &(struct caller){w, OTHER, OTHER, 0});
    run_child(w->loop, child_caller, &(struct caller){w, OURS, OTHER, 200});
    assert_int_equal(w->asked, 1);
    /* By the credentials, when the mode lets everybody in. */
    assert_int_equal(chmod(w->path, 0666), 0);
    run_child(w->loop, child_caller, &(struct caller){w, OTHER, OTHER, 403});
    assert_int_equal(w->asked, 1);
    run_child(w->loop, child_caller, &(struct caller){w, OURS, OTHER, 200});
    run_child(w->loop, child_caller, &(struct caller){w, OTHER, OURS, 200});
    assert_int_equal(w->asked, 3);
}

/* ---- the socket file ------------------------------------------------------------------------ */

static void test_socket_file(void **state)
{
    struct world *w = *state;
    struct stat st;
    assert_int_equal(lstat(w->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0660);
    struct api_server *second = NULL;
    assert_err(api_server_new(w->loop, w->path, handle, w, &second), ERR_CONFLICT,
               "another controller answers at");
    assert_int_equal(lstat(w->path, &st), 0);
    w->server = api_server_free(w->server);
    assert_int_equal(lstat(w->path, &st), -1);
}

static void test_stale_socket(void **state)
{
    struct world *w = *state;
    w->server = api_server_free(w->server);
    /* A crash leaves the file of a socket that is closed. */
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", w->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
    (void)close(fd);
    assert_ok(api_server_new(w->loop, w->path, handle, w, &w->server));
    w->version = 7;
    run_child(w->loop, child_get, w);
}

static void test_foreign_file(void **state)
{
    struct world *w = *state;
    struct api_server *server = NULL;
    w->server = api_server_free(w->server);
    put(&w->scratch, "run/api.sock", "precious");
    assert_err(api_server_new(w->loop, w->path, handle, w, &server), ERR_CONFLICT,
               "is not a socket");
    struct stat st;
    assert_int_equal(lstat(w->path, &st), 0);
    assert_int_equal(st.st_size, 8);

    char path[256];
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_err(api_server_new(w->loop, path, handle, w, &server), ERR_INVALID, "expected 1 to 107");
}

static void test_replaced_socket_is_left(void **state)
{
    struct world *w = *state;
    assert_int_equal(unlink(w->path), 0);
    struct api_server *second = NULL;
    assert_ok(api_server_new(w->loop, w->path, handle, w, &second));
    w->server = api_server_free(w->server);
    struct stat st;
    assert_int_equal(lstat(w->path, &st), 0);
    w->server = second;
}

/* ---- the client alone ----------------------------------------------------------------------- */

static void test_nobody_there(void **state)
{
    struct world *w = *state;
    int status = 0;
    json_t *value = NULL;
    w->server = api_server_free(w->server);
    assert_err(api_call(w->path, "GET", "/v1/bottles", NULL, &status, &value), ERR_UNAVAILABLE,
               "start one with `bottler run --manifests DIR --socket");
    put(&w->scratch, "run/api.sock", "");
    assert_err(api_call(w->path, "GET", "/v1/bottles", NULL, &status, &value), ERR_UNAVAILABLE,
               "no controller answers at");
    assert_null(value);
}

static char *child_babbler(void *ctx)
{
    int listener = *(int *)ctx;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for (int i = 0; i < 2; i++) {
        AUTO_CLOSE fd = accept(listener, NULL, NULL);
        char buf[1024];
        CHILD_CHECK(fd >= 0 && recv(fd, buf, sizeof(buf), 0) > 0);
        CHILD_CHECK(say(fd, i ? "what?\r\n\r\n" : answer, i ? 9 : sizeof(answer) - 1));
    }
    return NULL;
}

static void test_somebody_else_there(void **state)
{
    struct world *w = *state;
    int status = 0;
    json_t *value = NULL;
    w->server = api_server_free(w->server);
    int listener = -1, out = -1, result = 0;
    assert_ok(api_socket_listen(w->path, &listener));
    assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
    pid_t pid = child_start(child_babbler, &listener, &out);
    assert_err(api_call(w->path, "GET", "/", NULL, &status, &value), ERR_INTERNAL,
               "doesn't speak JSON");
    assert_err(api_call(w->path, "GET", "/", NULL, &status, &value), ERR_INTERNAL,
               "doesn't speak JSON");
    assert_int_equal(waitpid(pid, &result, 0), pid);
    child_result(out, result);
    (void)close(listener);
    assert_null(value);
}

/* ---- many clients --------------------------------------------------------------------------- */

static char *child_crowd(void *ctx)
{
    struct world *w = ctx;
    enum { CROWD = API_MAX_CLIENTS + 20 };
    int fds[CROWD];
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dial(w->path);
        CHILD_CHECK(fds[i] >= 0);
    }
    /* Room is made by those who leave, in any order; the last in the queue is served too. */
    static const char request[] = "GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    CHILD_CHECK(say(fds[CROWD - 1], request, sizeof(request) - 1));
    for (int i = 0; i < CROWD - 1; i++)
        (void)close(fds[i]);
    AUTO_FREE char *answer = hear(fds[CROWD - 1]);
    CHILD_CHECK(has_status(answer, "200"));
    return NULL;
}

static void test_crowd(void **state)
{
    struct world *w = *state;
    run_child(w->loop, child_crowd, w);
    assert_int_equal(w->asked, 1);
}

/* Requests cut at every byte, then dropped: the server stays as it is. */
static char *child_quitters(void *ctx)
{
    struct world *w = ctx;
    static const char request[] =
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}";
    for (size_t n = 0; n < sizeof(request) - 1; n += 3) {
        AUTO_CLOSE fd = dial(w->path);
        CHILD_CHECK(fd >= 0 && say(fd, request, n));
    }
    return child_get(w);
}

static void test_quitters(void **state)
{
    struct world *w = *state;
    w->version = 7;
    run_child(w->loop, child_quitters, w);
    assert_int_equal(w->asked, 1);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_post_body),
        TEST(test_post_without_body),
        TEST(test_handler_statuses),
        TEST(test_refusals),
        TEST(test_chunked_and_head),
        TEST(test_large_bodies),
        TEST(test_peers),
        TEST(test_socket_file),
        TEST(test_stale_socket),
        TEST(test_foreign_file),
        TEST(test_replaced_socket_is_left),
        TEST(test_nobody_there),
        TEST(test_somebody_else_there),
        TEST(test_crowd),
        TEST(test_quitters),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
