/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be deleted, and when: grace, breaker, and what holds one bottle. */
#include "reconcile/graves.h"
#include "spec/base/xalloc.h"
#include "tests/unit/support.h"

#include <stdio.h>

#define S UINT64_C(1000000000)
enum { NAMES = 12, START_S = 1795341600 };

/* A little world: a..l, who is wanted of them, and what is said of those that aren't. */
struct town {
    struct graves g;
    bool there[NAMES];  /* it has objects */
    bool wanted[NAMES]; /* a manifest has it */
    struct grave_facts facts[NAMES];
    uint64_t now;
};

static const char *const names[NAMES] = {"a", "b", "c", "d", "e", "f",
                                         "g", "h", "i", "j", "k", "l"};

static void found(struct town *t, size_t n, uint64_t grace_s, const char *limits)
{
    *t = (struct town){.now = 1000 * S};
    t->g.limits.grace_ns = grace_s * S;
    assert_true(graves_limits_parse(limits, &t->g.limits));
    for (size_t i = 0; i < n; i++) {
        t->there[i] = true;
        t->wanted[i] = true;
    }
}

static void update(struct town *t, struct str_list *back)
{
    struct grave_facts gone[NAMES];
    struct graves_now now = {.gone = gone, .now_ns = t->now};
    now.now_s = START_S + (int64_t)(t->now / S);
    for (size_t i = 0; i < NAMES; i++) {
        now.known += t->there[i];
        if (!t->there[i] || t->wanted[i])
            continue;
        gone[now.gone_len] = t->facts[i];
        gone[now.gone_len++].name = names[i];
    }
    graves_update(&t->g, &now, back);
}

static void at(struct town *t, uint64_t s)
{
    t->now = (1000 + s) * S;
    update(t, NULL);
}

/* What is due is deleted; how many. */
static unsigned carry_out(struct town *t)
{
    unsigned n = 0;
    for (size_t i = 0; i < NAMES; i++) {
        const struct grave *g = graves_find(&t->g, names[i]);
        if (!g || g->verdict != GRAVE_DUE)
            continue;
        assert_false(t->wanted[i]);
        graves_executed(&t->g, names[i], t->now);
        t->there[i] = false;
        t->facts[i] = (struct grave_facts){0};
        n++;
    }
    return n;
}

static void is(const struct town *t, const char *name, enum grave_verdict v, enum grave_reason r)
{
    const struct grave *g = graves_find(&t->g, name);
    if (!g)
        fail_msg("'%s' has no tombstone", name);
    else if (g->verdict != v || g->reason != r)
        fail_msg("'%s' is %s/%s '%s', expected %s/%s", name, grave_verdict_name(g->verdict),
                 grave_reason_name(g->reason), g->message, grave_verdict_name(v),
                 grave_reason_name(r));
}

static void says(const struct town *t, const char *name, const char *part)
{
    const struct grave *g = graves_find(&t->g, name);
    assert_non_null(g);
    if (!strstr(g->message, part))
        fail_msg("'%s' isn't in '%s'", part, g->message);
}

static void go(struct town *t, const char *which)
{
    for (; *which; which++)
        t->wanted[*which - 'a'] = false;
}

/* ---- */

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned max, percent;
    } good[] = {{"5,50%", 5, 50},
                {"0", 0, 100},
                {"7", 7, 100},
                {"25%", GRAVES_UNLIMITED, 25},
                {"1000000,100%", 1000000, 100},
                {GRAVES_DEFAULT, GRAVES_MAX, GRAVES_MAX_PERCENT}};
    static const char *const bad[] = {"",        "%",  "5,",     ",50%",  "5,50", "-1", "5,101%",
                                      "1000001", "5 ", "5,50%,", "50%,5", "x",    "05"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        struct graves_limits l = {.grace_ns = 7};
        assert_true(graves_limits_parse(good[i].text, &l));
        assert_int_equal(l.max, good[i].max);
        assert_int_equal(l.max_percent, good[i].percent);
        assert_int_equal(l.grace_ns, 7);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct graves_limits l = {.max = 3};
        if (graves_limits_parse(bad[i], &l))
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(l.max, 3);
    }
}

static void test_grace(void **state)
{
    (void)state;
    struct town t;
    found(&t, 4, 30, "5,50%");
    at(&t, 0);
    assert_int_equal(t.g.len, 0);
    assert_int_equal(graves_next(&t.g), 0);
    go(&t, "b");
    at(&t, 10);
    is(&t, "b", GRAVE_WAITS, GRAVE_NO_REASON);
    says(&t, "b", "2026-11-22T"); /* a time of day */
    assert_int_equal(graves_next(&t.g), (1000 + 40) * S);
    at(&t, 39);
    is(&t, "b", GRAVE_WAITS, GRAVE_NO_REASON);
    /* It comes back, and goes again: a new grace. */
    t.wanted[1] = true;
    struct str_list back;
    update(&t, &back);
    assert_int_equal(back.len, 1);
    assert_string_equal(back.items[0], "b");
    str_list_done(&back);
    go(&t, "b");
    at(&t, 50);
    at(&t, 79);
    is(&t, "b", GRAVE_WAITS, GRAVE_NO_REASON);
    at(&t, 80);
    is(&t, "b", GRAVE_DUE, GRAVE_NO_REASON);
    at(&t, 500);
    is(&t, "b", GRAVE_DUE, GRAVE_NO_REASON);
    assert_int_equal(carry_out(&t), 1);
    assert_null(graves_find(&t.g, "b"));
    graves_done(&t.g);
}

static void test_last(void **state)
{
    (void)state;
    struct town t;
    found(&t, 1, 30, "5,50%");
    go(&t, "a");
    at(&t, 0);
    at(&t, 30);
    is(&t, "a", GRAVE_DUE, GRAVE_NO_REASON);
    assert_int_equal(carry_out(&t), 1);
    graves_done(&t.g);
    /* With no grace it is due at once; with a limit of none it never is by itself. */
    found(&t, 1, 0, "5,50%");
    go(&t, "a");
    at(&t, 0);
    is(&t, "a", GRAVE_DUE, GRAVE_NO_REASON);
    graves_done(&t.g);
    found(&t, 1, 0, "0");
    go(&t, "a");
    at(&t, 0);
    is(&t, "a", GRAVE_HELD, GRAVE_TOO_MANY);
    graves_done(&t.g);
}

static void test_breaker(void **state)
{
    (void)state;
    struct town t;
    found(&t, 4, 30, "5,50%");
    go(&t, "abc");
    at(&t, 0);
    is(&t, "a", GRAVE_WAITS, GRAVE_NO_REASON);
    at(&t, 30);
    is(&t, "a", GRAVE_HELD, GRAVE_TOO_MANY);
    is(&t, "b", GRAVE_HELD, GRAVE_TOO_MANY);
    is(&t, "c", GRAVE_HELD, GRAVE_TOO_MANY);
    says(&t, "a", "3 of 4 bottles have gone together, and --max-deletes lets 5 and 50 % go");
    says(&t, "a", "`bottler prune --approve`");
    assert_int_equal(graves_next(&t.g), 0);
    /* That others come back releases nobody. */
    t.wanted[0] = true;
    t.wanted[1] = true;
    at(&t, 1000);
    assert_null(graves_find(&t.g, "a"));
    is(&t, "c", GRAVE_HELD, GRAVE_TOO_MANY);
    /* Nor is a later one held up for it: two of four are no more than half. */
    go(&t, "d");
    at(&t, 2000);
    at(&t, 2030);
    is(&t, "d", GRAVE_DUE, GRAVE_NO_REASON);
    is(&t, "c", GRAVE_HELD, GRAVE_TOO_MANY);
    assert_int_equal(carry_out(&t), 1);
    assert_true(graves_approve(&t.g, "c", false));
    assert_false(graves_approve(&t.g, "a", false));
    update(&t, NULL);
    is(&t, "c", GRAVE_DUE, GRAVE_NO_REASON);
    says(&t, "c", "as approved");
    graves_done(&t.g);
}

static void test_breaker_takes_those_in_grace(void **state)
{
    (void)state;
    struct town t;
    found(&t, 10, 30, "5,50%");
    for (unsigned i = 0; i < 6; i++) { /* a slow rm -rf */
        t.wanted[i] = false;
        at(&t, (uint64_t)i * 4);
    }
    at(&t, 30);
    for (unsigned i = 0; i < 6; i++)
        is(&t, names[i], GRAVE_HELD, GRAVE_TOO_MANY);
    says(&t, "a", "6 of 10");
    graves_done(&t.g);
}

/* What was deleted lately counts with what goes now: it doesn't drip through. */
static void test_no_dripping(void **state)
{
    (void)state;
    struct town t;
    found(&t, 10, 30, "3,50%");
    unsigned deleted = 0;
    for (unsigned i = 0; i < 10; i++) {
        t.wanted[i] = false;
        for (uint64_t s = 0; s < 9; s++) { /* one every nine seconds */
            at(&t, (uint64_t)i * 9 + s);
            deleted += carry_out(&t);
        }
    }
    at(&t, 1000);
    assert_int_equal(deleted + carry_out(&t), 0); /* four stood when the first was due */
    graves_done(&t.g);
    found(&t, 10, 0, "3,50%");
    deleted = 0;
    for (unsigned i = 0; i < 10; i++) {
        t.wanted[i] = false;
        at(&t, (uint64_t)i * 2);
        deleted += carry_out(&t);
    }
    assert_int_equal(deleted, 3);
    is(&t, "d", GRAVE_HELD, GRAVE_TOO_MANY);
    says(&t, "j", "7 of 7");
    graves_done(&t.g);
    /* Far enough apart, each is one. */
    found(&t, 10, 30, "1,50%");
    deleted = 0;
    for (unsigned i = 0; i < 10; i++) {
        t.wanted[i] = false;
        at(&t, (uint64_t)i * 100);
        at(&t, (uint64_t)i * 100 + 30);
        deleted += carry_out(&t);
    }
    assert_int_equal(deleted, 10);
    graves_done(&t.g);
}

/* What was approved doesn't count against what goes next. */
static void test_approved_count_not(void **state)
{
    (void)state;
    struct town t;
    found(&t, 6, 30, "2,100%");
    go(&t, "abcd");
    at(&t, 0);
    assert_true(graves_approve(&t.g, "a", true));
    assert_true(graves_approve(&t.g, "b", false));
    at(&t, 1);
    is(&t, "a", GRAVE_DUE, GRAVE_NO_REASON); /* an approval ends the grace, too */
    is(&t, "b", GRAVE_DUE, GRAVE_NO_REASON);
    assert_int_equal(carry_out(&t), 2);
    at(&t, 30);
    is(&t, "c", GRAVE_DUE, GRAVE_NO_REASON);
    is(&t, "d", GRAVE_DUE, GRAVE_NO_REASON);
    graves_done(&t.g);
}

static void test_held_alone(void **state)
{
    (void)state;
    struct town t;
    found(&t, 8, 30, "5,50%");
    t.facts[0].suspended = true;
    t.facts[1].moved_to = "z";
    t.facts[2].source = "'/data/m' was replaced";
    go(&t, "abc");
    at(&t, 0);
    is(&t, "a", GRAVE_HELD, GRAVE_SUSPENDED);
    is(&t, "b", GRAVE_HELD, GRAVE_MOVED);
    is(&t, "c", GRAVE_HELD, GRAVE_SOURCE);
    says(&t, "b", "looks like a rename to 'z'");
    says(&t, "b", "`bottler prune --approve b`");
    says(&t, "c", "'/data/m' was replaced: bring the manifests back");
    at(&t, 3000);
    is(&t, "a", GRAVE_HELD, GRAVE_SUSPENDED);
    /* A reason that ends by itself is followed by a whole grace. */
    t.facts[0].suspended = false;
    at(&t, 3001);
    is(&t, "a", GRAVE_WAITS, GRAVE_NO_REASON);
    assert_int_equal(graves_next(&t.g), (1000 + 3031) * S);
    /* Those that have been held for long don't count. */
    at(&t, 3031);
    is(&t, "a", GRAVE_DUE, GRAVE_NO_REASON);
    /* What has begun isn't stopped half way. */
    t.facts[0].moved_to = "z";
    at(&t, 3032);
    is(&t, "a", GRAVE_DUE, GRAVE_NO_REASON);
    assert_true(graves_approve(&t.g, "b", true));
    assert_true(graves_approve(&t.g, "c", false));
    at(&t, 3033);
    is(&t, "b", GRAVE_DUE, GRAVE_NO_REASON);
    is(&t, "c", GRAVE_HELD, GRAVE_SOURCE); /* only by name, or when the source is believed */
    graves_done(&t.g);
    /* They count while they are fresh: all of it has gone at once. */
    found(&t, 8, 30, "5,50%");
    for (size_t i = 0; i < 5; i++)
        t.facts[i].suspended = true;
    go(&t, "abcdef");
    at(&t, 0);
    at(&t, 30);
    is(&t, "f", GRAVE_HELD, GRAVE_TOO_MANY);
    graves_done(&t.g);
}

static void test_preserve(void **state)
{
    (void)state;
    struct town t;
    found(&t, 8, 30, "5,50%");
    t.facts[0].preserve = true;
    go(&t, "a");
    at(&t, 0);
    is(&t, "a", GRAVE_WAITS, GRAVE_NO_REASON); /* not stopped before its grace is over */
    at(&t, 30);
    is(&t, "a", GRAVE_HELD, GRAVE_PRESERVED);
    at(&t, 9000);
    is(&t, "a", GRAVE_HELD, GRAVE_PRESERVED);
    assert_true(graves_approve(&t.g, "a", false));
    update(&t, NULL);
    is(&t, "a", GRAVE_HELD, GRAVE_PRESERVED); /* only by its name */
    assert_true(graves_approve(&t.g, "a", true));
    update(&t, NULL);
    is(&t, "a", GRAVE_DUE, GRAVE_NO_REASON);
    graves_done(&t.g);
    /* A breaker holds the stopping, too; approved with the others it is stopped and kept. */
    found(&t, 4, 30, "5,50%");
    t.facts[0].preserve = true;
    go(&t, "abc");
    at(&t, 0);
    at(&t, 30);
    is(&t, "a", GRAVE_HELD, GRAVE_TOO_MANY);
    assert_true(graves_approve(&t.g, "a", false));
    update(&t, NULL);
    is(&t, "a", GRAVE_HELD, GRAVE_PRESERVED);
    is(&t, "b", GRAVE_HELD, GRAVE_TOO_MANY);
    graves_done(&t.g);
    /* Found stopped after a restart it isn't started for another grace period. */
    found(&t, 4, 30, "5,50%");
    t.facts[0].preserve = true;
    t.facts[0].stopped = true;
    go(&t, "a");
    at(&t, 0);
    is(&t, "a", GRAVE_HELD, GRAVE_PRESERVED);
    graves_done(&t.g);
}

static void test_same_but_name(void **state)
{
    (void)state;
    static const char a[] =
        "{\"metadata\":{\"labels\":{\"name\":\"x\"},\"name\":\"a\"},\"spec\":1}";
    static const char b[] =
        "{\"metadata\":{\"labels\":{\"name\":\"x\"},\"name\":\"b\"},\"spec\":1}";
    static const char c[] =
        "{\"metadata\":{\"labels\":{\"name\":\"y\"},\"name\":\"a\"},\"spec\":1}";
    static const char d[] =
        "{\"metadata\":{\"labels\":{\"name\":\"x\"},\"name\":\"a\"},\"spec\":2}";
    assert_true(graves_same_but_name(a, b));
    assert_false(graves_same_but_name(a, c));
    assert_false(graves_same_but_name(a, d));
    assert_false(graves_same_but_name("", ""));
}

/* ---- any sequence ---- */

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

struct record {
    uint64_t gone_ns[NAMES]; /* when its manifest went; 0: it is wanted */
    bool approved[NAMES];
    uint64_t deleted_ns[4096]; /* without approval */
    unsigned deleted;
};

/* Never more than the limits within a window, and nobody before its grace. */
static void check_deletions(struct town *t, struct record *r)
{
    uint64_t grace = t->g.limits.grace_ns;
    uint64_t window = grace > GRAVES_WINDOW_NS ? grace : GRAVES_WINDOW_NS;
    unsigned known = 0;
    unsigned before = 0;
    unsigned by_itself = 0;
    for (size_t i = 0; i < NAMES; i++)
        known += t->there[i];
    for (unsigned i = 0; i < r->deleted; i++)
        before += t->now - r->deleted_ns[i] <= window;
    for (size_t i = 0; i < NAMES; i++) {
        const struct grave *g = graves_find(&t->g, names[i]);
        if (!g || g->verdict != GRAVE_DUE)
            continue;
        assert_true(t->there[i] && !t->wanted[i]);
        if (r->approved[i])
            continue;
        assert_true(t->now - r->gone_ns[i] >= grace);
        assert_false(t->facts[i].suspended || t->facts[i].preserve || t->facts[i].moved_to);
        by_itself++;
        r->deleted_ns[r->deleted++] = t->now;
    }
    unsigned total = before + by_itself;
    if (by_itself &&
        (total > t->g.limits.max || (total >= GRAVES_PERCENT_FROM &&
                                     total * 100 > t->g.limits.max_percent * (known + before))))
        fail_msg("%u deleted by themselves, of %u", total, known + before);
    (void)carry_out(t);
}

static void step(struct town *t, struct record *r, uint64_t *seed)
{
    size_t i = draw(seed, NAMES);
    switch (draw(seed, 6)) {
    case 0:
    case 1:
        t->wanted[i] = false;
        if (t->there[i] && !r->gone_ns[i]) {
            r->gone_ns[i] = t->now;
            t->facts[i].preserve = draw(seed, 6) == 0;
            t->facts[i].moved_to = draw(seed, 6) == 0 ? "z" : NULL;
        }
        break;
    case 2:
        t->there[i] = true;
        t->wanted[i] = true;
        t->facts[i] = (struct grave_facts){0};
        r->gone_ns[i] = 0;
        r->approved[i] = false;
        break;
    case 3:
        if (graves_find(&t->g, names[i]) && draw(seed, 2)) {
            assert_true(graves_approve(&t->g, names[i], true));
            r->approved[i] = true;
        }
        break;
    case 4:
        if (!r->approved[i] && graves_find(&t->g, names[i]) == NULL)
            t->facts[i].suspended = draw(seed, 2);
        break;
    default:
        t->now += draw(seed, 20) * S;
    }
    update(t, NULL);
    check_deletions(t, r);
    for (size_t k = 0; k < NAMES; k++) {
        if (!t->there[k]) {
            r->gone_ns[k] = 0;
            r->approved[k] = false;
        }
    }
}

static void test_any_sequence(void **state)
{
    (void)state;
    static const char *const limits[] = {"5,50%", "1", "30%", "2,100%", "0", "3,25%"};
    for (uint64_t run = 0; run < 300; run++) {
        struct town t;
        struct record *r = xcalloc(1, sizeof(*r));
        uint64_t seed = run;
        found(&t, NAMES, run % 3 * 15, limits[run % 6]);
        for (unsigned n = 0; n < 400; n++)
            step(&t, r, &seed);
        graves_done(&t.g);
        free(r);
    }
}

/* A new start doesn't release what an earlier run held, however many have come back since. */
static void test_held_before(void **state)
{
    (void)state;
    struct town t;
    found(&t, 6, 30, "5,50%");
    go(&t, "b");
    t.facts[1].too_many = true;
    at(&t, 0);
    is(&t, "b", GRAVE_HELD, GRAVE_TOO_MANY);
    says(&t, "b", "it had gone together with more than --max-deletes lets go");
    t.facts[1].too_many = false;
    at(&t, 100);
    is(&t, "b", GRAVE_HELD, GRAVE_TOO_MANY);
    assert_true(graves_approve(&t.g, "b", false));
    at(&t, 101);
    is(&t, "b", GRAVE_DUE, GRAVE_NO_REASON);
    graves_done(&t.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_last),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_breaker_takes_those_in_grace),
        cmocka_unit_test(test_no_dripping),
        cmocka_unit_test(test_approved_count_not),
        cmocka_unit_test(test_held_alone),
        cmocka_unit_test(test_preserve),
        cmocka_unit_test(test_same_but_name),
        cmocka_unit_test(test_any_sequence),
        cmocka_unit_test(test_held_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
