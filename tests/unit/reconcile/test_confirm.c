/* SPDX-License-Identifier: Apache-2.0 */
/* The proxies' logs: verbatim lines of both (docs/engine-notes.md), and lies. */
#include "reconcile/confirm.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#define HASH_A "cd16fdca51ffd32fa4262139723541b0fb7bc766dd2b80b317d97629213a5b29"
#define HASH_B "52f26ce877af5f0c6203b7f1b60e7f08a7c1d1df6ff7632fb092cd146d64a746"
#define STARTUP                                                                                    \
    "{\"level\":\"info\",\"component\":\"pipelock\",\"event\":\"startup\",\"listen\":"             \
    "\"0.0.0.0:8888\",\"mode\":\"strict\",\"version\":\"0.1.0-dev\",\"config_hash\":\"" HASH_A     \
    "\",\"time\":\"2026-11-22T06:51:39Z\",\"message\":\"pipelock started\"}"
#define RELOADED                                                                                   \
    "{\"level\":\"info\",\"component\":\"pipelock\",\"event\":\"config_reload\",\"status\":"       \
    "\"success\",\"detail\":\"mode=strict\",\"config_hash\":\"" HASH_B                             \
    "\",\"time\":\"2026-11-22T06:52:12Z\",\"message\":\"configuration reloaded\"}"
#define REJECTED                                                                                   \
    "{\"level\":\"error\",\"component\":\"pipelock\",\"event\":\"error\",\"method\":"              \
    "\"CONFIG_RELOAD\",\"resource\":\"/etc/bottler/pipelock.yaml\",\"error\":\"rejected: "         \
    "security "                                                                                    \
    "downgrade from strict mode\",\"time\":\"2026-11-22T06:52:19Z\",\"message\":\"request "        \
    "error\"}"
#define ANOMALY                                                                                    \
    "{\"level\":\"warn\",\"component\":\"pipelock\",\"event\":\"anomaly\",\"method\":\"STARTUP\"," \
    "\"resource\":\"0.0.0.0:8888\",\"reason\":\"listen address is not loopback\",\"score\":0.5,"   \
    "\"time\":\"2026-11-22T06:51:39Z\",\"message\":\"anomaly detected\"}"
#define LOADED(hash, generation)                                                                   \
    "{\"event\":\"routes_loaded\",\"routes_sha256\":\"" hash "\",\"generation\":\"" generation     \
    "\",\"routes\":2}"
#define CANARY(generation)                                                                         \
    "{\"event\":\"canary\",\"verdict\":\"denied\",\"generation\":\"" generation "\"}"

static bool say(struct confirm *c, const char *line)
{
    return confirm_line(c, sv_of(line));
}

static void test_pipelock(void **state)
{
    (void)state;
    struct confirm c;
    confirm_init(&c, ROLE_PIPELOCK);
    assert_false(confirm_complete(&c));
    assert_false(say(&c, "WARNING: listening on all interfaces"));
    assert_false(say(&c, ANOMALY));
    assert_false(confirm_complete(&c));
    assert_true(say(&c, STARTUP));
    assert_true(confirm_complete(&c));
    assert_string_equal(c.config_hash, HASH_A);
    assert_false(say(&c, REJECTED));
    assert_string_equal(c.config_hash, HASH_A);
    assert_non_null(strstr(c.last_bad, "rejected: security downgrade"));
    assert_true(say(&c, RELOADED));
    assert_string_equal(c.config_hash, HASH_B);
    assert_null(c.generation);
    confirm_done(&c);
}

static void test_pipelock_lies(void **state)
{
    (void)state;
    static const char *const lies[] = {
        /* A failed reload names the file it refused. */
        "{\"event\":\"config_reload\",\"status\":\"failed\",\"config_hash\":\"" HASH_B "\"}",
        "{\"event\":\"config_reload\",\"config_hash\":\"" HASH_B "\"}",
        /* A request can bring any text, but only inside a string. */
        "{\"event\":\"request\",\"url\":\"{\\\"event\\\":\\\"startup\\\",\\\"config_hash\\\":"
        "\\\"" HASH_B "\\\"}\",\"config_hash\":\"" HASH_B "\"}",
        "GET / {\"event\":\"startup\",\"config_hash\":\"" HASH_B "\"}",
        "{\"event\":\"startup\",\"config_hash\":\"" HASH_B "\"} trailing",
        "[{\"event\":\"startup\",\"config_hash\":\"" HASH_B "\"}]",
        "\"startup\"",
        /* Cut or malformed. */
        "{\"event\":\"startup\",\"config_hash\":\"" HASH_B,
        "{\"event\":\"startup\",\"config_hash\":\"52f26ce8\"}",
        "{\"event\":\"startup\",\"config_hash\":\"zz" HASH_B "\"}",
        "{\"event\":\"startup\",\"config_hash\":null}",
        "{\"event\":\"startup\",\"config_hash\":[\"" HASH_B "\"]}",
        "{\"event\":[\"startup\"],\"config_hash\":\"" HASH_B "\"}",
        "",
        /* The other proxy's words. */
        LOADED(HASH_B, HASH_B),
    };
    struct confirm c;
    confirm_init(&c, ROLE_PIPELOCK);
    assert_true(say(&c, STARTUP));
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        if (say(&c, lies[i]))
            fail_msg("believed: %s", lies[i]);
        assert_string_equal(c.config_hash, HASH_A);
    }
    confirm_done(&c);
}

static void test_egress(void **state)
{
    (void)state;
    struct confirm c;
    confirm_init(&c, ROLE_EGRESS);
    assert_false(say(&c, CANARY(HASH_A))); /* of nothing yet */
    assert_true(say(&c, LOADED(HASH_A, HASH_B)));
    assert_false(confirm_complete(&c));
    assert_false(say(&c, CANARY(HASH_A))); /* of another generation */
    assert_false(confirm_complete(&c));
    assert_true(say(&c, CANARY(HASH_B)));
    assert_true(confirm_complete(&c));
    /* A new table must prove itself anew. */
    assert_true(say(&c, LOADED(HASH_B, HASH_A)));
    assert_false(confirm_complete(&c));
    assert_false(say(&c, CANARY(HASH_B)));
    assert_false(confirm_complete(&c));
    assert_true(say(&c, CANARY(HASH_A)));
    assert_true(confirm_complete(&c));
    assert_string_equal(c.config_hash, HASH_B);
    assert_string_equal(c.generation, HASH_A);
    confirm_done(&c);
}

static void test_egress_lies(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "{\"event\":\"canary\",\"verdict\":\"allowed\",\"generation\":\"" HASH_A "\"}",
        "{\"event\":\"canary\",\"generation\":\"" HASH_A "\"}",
        "{\"event\":\"canary\",\"verdict\":\"denied\"}",
        "{\"event\":\"canary\",\"verdict\":\"denied\",\"generation\":\"\"}",
        "{\"event\":\"decision\",\"verdict\":\"denied\",\"generation\":\"" HASH_A "\"}",
        "{\"event\":\"routes_loaded\",\"routes_sha256\":\"" HASH_B "\"}",
        "{\"event\":\"routes_loaded\",\"routes_sha256\":\"" HASH_B "\",\"generation\":\"1\"}",
        "{\"event\":\"routes_loaded\",\"routes_sha256\":\"\",\"generation\":\"" HASH_B "\"}",
        "{\"event\":\"routes_rejected\",\"routes_sha256\":\"" HASH_B "\",\"error\":\"bad\"}",
        CANARY("a"),
        STARTUP,
    };
    struct confirm c;
    confirm_init(&c, ROLE_EGRESS);
    assert_true(say(&c, LOADED(HASH_A, HASH_A)));
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        if (say(&c, lies[i]) || confirm_complete(&c))
            fail_msg("believed: %s", lies[i]);
        assert_string_equal(c.config_hash, HASH_A);
    }
    assert_non_null(strstr(c.last_bad, "routes_rejected"));
    confirm_done(&c);
}

/* Whatever a log holds, what is kept for messages is one short printable line. */
static void test_last_words(void **state)
{
    (void)state;
    struct confirm c;
    confirm_init(&c, ROLE_PIPELOCK);
    say(&c, "pipelock: config reload failed: \x1b[31m\tyaml\xff");
    assert_string_equal(c.last_bad, "pipelock: config reload failed: ?[31m?yaml?");
    struct str s;
    str_init(&s, 5000);
    for (int i = 0; i < 4096; i++)
        str_addc(&s, 'a');
    say(&c, s.p);
    assert_int_equal(strlen(c.last_bad), 300);
    say(&c, STARTUP); /* good news is no bad line */
    assert_int_equal(strlen(c.last_bad), 300);
    str_done(&s);
    struct sv nul = {"a\0b", 3};
    confirm_line(&c, nul);
    assert_string_equal(c.last_bad, "a");
    confirm_done(&c);
}

static void test_other_roles(void **state)
{
    (void)state;
    struct confirm c;
    confirm_init(&c, ROLE_AGENT);
    assert_false(say(&c, STARTUP));
    assert_false(say(&c, LOADED(HASH_A, HASH_A)));
    assert_false(confirm_complete(&c));
    confirm_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelock),   cmocka_unit_test(test_pipelock_lies),
        cmocka_unit_test(test_egress),     cmocka_unit_test(test_egress_lies),
        cmocka_unit_test(test_last_words), cmocka_unit_test(test_other_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
