/* SPDX-License-Identifier: Apache-2.0 */
#include "io_support.h"

#include "controller/ca.h"
#include "controller/state.h"

#include <signal.h>
#include <sys/file.h>
#include <time.h>

static struct state *open_state(void *const *state, const char *name)
{
    struct state *s = NULL;
    AUTO_FREE char *dir = at(state, name);
    assert_ok(state_open(dir, "bottler", &s));
    return s;
}

static void assert_open_fails(void *const *state, enum err_kind kind, const char *part)
{
    struct state *s = NULL;
    AUTO_FREE char *dir = at(state, "st");
    assert_err(state_open(dir, "bottler", &s), kind, part);
    assert_null(s);
}

static char *slurp(void *const *state, const char *name)
{
    AUTO_FREE char *path = at(state, name);
    AUTO_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char buf[65536];
    ssize_t n = read(fd, buf, sizeof(buf));
    assert_true(n >= 0);
    return xmemdup0(buf, (size_t)n);
}

static void assert_mode(void *const *state, const char *name, mode_t mode)
{
    AUTO_FREE char *path = at(state, name);
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void remove_file(void *const *state, const char *name)
{
    AUTO_FREE char *path = at(state, name);
    assert_int_equal(unlink(path), 0);
}

/* ---- installation --------------------------------------------------------------------------- */

static void test_first_start(void **state)
{
    struct state *s = open_state(state, "a/b/st/");
    const char *id = state_installation(s);
    assert_memory_equal(id, "bottler-", 8);
    assert_int_equal(strlen(id), 16);
    assert_true(str_is_hex(id + 8, 8));
    static const uint8_t zeros[HASH_KEY_BYTES];
    assert_memory_not_equal(state_hash_key(s), zeros, HASH_KEY_BYTES);
    assert_mode(state, "a", 0755);
    assert_mode(state, "a/b/st", 0700);
    assert_mode(state, "a/b/st/bottles", 0700);
    assert_mode(state, "a/b/st/lock", 0600);
    assert_mode(state, "a/b/st/installation", 0600);
    assert_mode(state, "a/b/st/hash.key", 0600);
    AUTO_FREE char *lock = slurp(state, "a/b/st/lock");
    AUTO_FREE char *pid = xasprintf("%ld\n", (long)getpid());
    assert_string_equal(lock, pid);

    AUTO_FREE char *first_id = xstrdup(id);
    uint8_t key[HASH_KEY_BYTES];
    memcpy(key, state_hash_key(s), sizeof(key));
    state_close(s);
    /* It stays what it is, also under another instance name. */
    AUTO_FREE char *dir = at(state, "a/b/st");
    assert_ok(state_open(dir, "other", &s));
    assert_string_equal(state_installation(s), first_id);
    assert_memory_equal(state_hash_key(s), key, sizeof(key));
    state_close(s);
}

static void test_installations_differ(void **state)
{
    struct state *a = open_state(state, "a"), *b = open_state(state, "b");
    assert_string_not_equal(state_installation(a), state_installation(b));
    assert_memory_not_equal(state_hash_key(a), state_hash_key(b), HASH_KEY_BYTES);
    state_close(a);
    state_close(b);
}

static void test_lock(void **state)
{
    struct state *s = open_state(state, "st");
    AUTO_FREE char *part = xasprintf("another bottler (pid %ld) uses", (long)getpid());
    assert_open_fails(state, ERR_DENIED, part);
    state_close(s);
    s = open_state(state, "st");
    state_close(s);
    /* What is in the file says nothing: the lock does. */
    put(state, "st/lock", "1\n");
    s = open_state(state, "st");
    state_close(s);
    /* Nor is a lock without a pid a riddle. */
    AUTO_FREE char *path = at(state, "st/lock");
    AUTO_CLOSE fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_open_fails(state, ERR_DENIED, "another bottler uses state directory");
}

static char *child_dies(void *ctx)
{
    void **state = ctx;
    struct state *s = open_state(state, "st");
    CHILD_CHECK(s);
    (void)raise(SIGKILL);
    return NULL;
}

static void test_lock_of_the_dead(void **state)
{
    int out = -1, status = 0;
    pid_t pid = child_start(child_dies, state, &out);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    (void)close(out);
    state_close(open_state(state, "st"));
}

static void test_trust(void **state)
{
    make_dir(state, "st");
    AUTO_FREE char *dir = at(state, "st");
    assert_int_equal(chmod(dir, 0777), 0);
    assert_open_fails(state, ERR_DENIED, "can be written by others (mode 0777)");
    assert_int_equal(chmod(dir, 0720), 0);
    assert_open_fails(state, ERR_DENIED, "mode 0720");
    assert_int_equal(chmod(dir, 0755), 0);
    state_close(open_state(state, "st"));
    assert_mode(state, "st", 0700);
}

static void test_foreign_owner(void **state)
{
    need_root();
    make_dir(state, "st");
    AUTO_FREE char *dir = at(state, "st");
    assert_int_equal(chown(dir, IO_NOBODY, IO_NOBODY), 0);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_open_fails(state, ERR_DENIED, "belongs to user 65534, expected 0");
    assert_false(exists(state, "st/lock"));
}

static void test_bad_arguments(void **state)
{
    struct state *s = NULL;
    AUTO_FREE char *dir = at(state, "st");
    assert_err(state_open("", "bottler", &s), ERR_INVALID, "expected a state directory");
    assert_err(state_open(dir, "Bot tler", &s), ERR_INVALID, "instance 'Bot tler'");
    assert_err(state_open(dir, "", &s), ERR_INVALID, "instance ''");
    assert_false(exists(state, "st"));
    put(state, "st", "a file");
    assert_err(state_open(dir, "bottler", &s), ERR_INVALID, "st': Not a directory");
    assert_null(s);
}

static void test_damaged_installation(void **state)
{
    state_close(open_state(state, "st"));
    static const char *const bad[] = {"",
                                      "\n",
                                      "bottler",
                                      "bottler-1234567",
                                      "bottler-1234567g",
                                      "bottler-123456789",
                                      "-12345678",
                                      "a/b-12345678",
                                      "bottler-12345678\nx"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put(state, "st/installation", bad[i]);
        assert_open_fails(state, ERR_INVALID, "st/installation' is damaged");
    }
    put(state, "st/installation", "bottler-12345678\n");
    put(state, "st/hash.key", "short");
    assert_open_fails(state, ERR_INVALID, "st/hash.key' is damaged: expected 32 bytes");
    put(state, "st/hash.key", "0123456789012345678901234567890123456789");
    assert_open_fails(state, ERR_INVALID, "st/hash.key' is damaged");
    put(state, "st/hash.key", "01234567890123456789012345678901");
    struct state *s = open_state(state, "st");
    assert_string_equal(state_installation(s), "bottler-12345678");
    assert_memory_equal(state_hash_key(s), "01234567890123456789012345678901", HASH_KEY_BYTES);
    state_close(s);
}

/* A lost id or key with bottles recorded must not become a new one: that would orphan what is on
 * the engine. */
static void test_lost_installation(void **state)
{
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    assert_ok(state_bottle(s, "a", NULL, &b));
    bottle_state_done(&b);
    state_close(s);
    move(state, "st/installation", "saved");
    assert_open_fails(state, ERR_INVALID, "although bottles are recorded");
    assert_false(exists(state, "st/installation"));
    move(state, "saved", "st/installation");
    move(state, "st/hash.key", "saved");
    assert_open_fails(state, ERR_INVALID, "hash.key");
    assert_false(exists(state, "st/hash.key"));
    move(state, "saved", "st/hash.key");
    state_close(open_state(state, "st"));
}

static void test_symlinks_are_refused(void **state)
{
    state_close(open_state(state, "st"));
    move(state, "st/hash.key", "elsewhere");
    link_to(state, "../elsewhere", "st/hash.key");
    assert_open_fails(state, ERR_DENIED, "st/hash.key': a symlink, which is never followed here");
    remove_file(state, "st/hash.key");
    move(state, "elsewhere", "st/hash.key");
    remove_file(state, "st/lock");
    link_to(state, "../victim", "st/lock");
    assert_open_fails(state, ERR_DENIED, "st/lock'");
    assert_false(exists(state, "victim"));
}

/* ---- bottles -------------------------------------------------------------------------------- */

static void test_bottle_is_minted_once(void **state)
{
    struct bottle_state a = {0}, again = {0}, other = {0};
    struct state *s = open_state(state, "st");
    assert_ok(state_bottle(s, "gitea-dev", NULL, &a));
    assert_int_equal(strlen(a.uid), 36);
    assert_int_equal(a.uid[14], '4');
    assert_non_null(strchr("89ab", a.uid[19]));
    struct ca_life life = {0};
    int64_t now = time(NULL);
    assert_ok(ca_check(sv_of(a.egress_ca_cert), sv_of(a.egress_ca_key), &life));
    assert_ok(ca_check(sv_of(a.pipelock_ca_cert), sv_of(a.pipelock_ca_key), &life));
    assert_string_not_equal(a.egress_ca_key, a.pipelock_ca_key);
    assert_in_range(a.ca_expires, now + (STATE_CA_DAYS - 1) * INT64_C(86400),
                    now + (STATE_CA_DAYS + 1) * INT64_C(86400));
    static const char *const files[] = {"uid", "egress-ca.pem", "egress-ca.key", "pipelock-ca.pem",
                                        "pipelock-ca.key"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        AUTO_FREE char *name = xasprintf("st/bottles/gitea-dev/%s", files[i]);
        assert_mode(state, name, 0600);
    }
    assert_mode(state, "st/bottles/gitea-dev", 0700);

    state_close(s);
    s = open_state(state, "st");
    /* A recorded identity is stronger than a hint. */
    assert_ok(state_bottle(s, "gitea-dev", "11111111-2222-4333-8444-555555555555", &again));
    assert_string_equal(again.uid, a.uid);
    assert_string_equal(again.egress_ca_cert, a.egress_ca_cert);
    assert_string_equal(again.egress_ca_key, a.egress_ca_key);
    assert_string_equal(again.pipelock_ca_cert, a.pipelock_ca_cert);
    assert_string_equal(again.pipelock_ca_key, a.pipelock_ca_key);
    assert_ok(state_bottle(s, "other", "11111111-2222-4333-8444-555555555555", &other));
    assert_string_equal(other.uid, "11111111-2222-4333-8444-555555555555");
    bottle_state_done(&a);
    bottle_state_done(&again);
    bottle_state_done(&other);
    state_close(s);
}

static void test_bad_hints(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "11111111-2222-4333-8444-55555555555",
                                      "11111111-2222-4333-8444-5555555555555",
                                      "11111111x2222-4333-8444-555555555555",
                                      "1111111g-2222-4333-8444-555555555555",
                                      "AAAAAAAA-2222-4333-8444-555555555555"};
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_err(state_bottle(s, "a", bad[i], &b), ERR_INVALID, "is not a lower-case UUID");
    assert_false(exists(state, "st/bottles/a"));
    state_close(s);
}

static void test_names_never_become_paths(void **state)
{
    static const char *const bad[] = {
        "",     ".",   "..",
        "../x", "a/b", "/etc",
        "A",    "a_b", "a.b",
        "-a",   "a-",  ".new-a",
        "a\n",  "ä",   "0123456789012345678901234567890123456789012345678901234567890123"};
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    char *text = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_err(state_bottle(s, bad[i], NULL, &b), ERR_INVALID, "is not a name");
        assert_err(state_remove(s, bad[i]), ERR_INVALID, "is not a name");
        assert_err(state_load_manifest(s, bad[i], &text, &n), ERR_INVALID, "is not a name");
        assert_err(state_store_manifest(s, bad[i], sv_of("x")), ERR_INVALID, "is not a name");
    }
    struct str_list names = {0};
    assert_ok(state_list(s, &names));
    assert_int_equal(names.len, 0);
    state_close(s);
}

static void assert_damaged(void *const *state, struct state *s, const char *part)
{
    struct bottle_state b = {0};
    assert_err(state_bottle(s, "a", NULL, &b), ERR_INVALID, part);
    assert_null(b.uid);
    assert_true(exists(state, "st/bottles/a"));
}

static void test_damaged_records(void **state)
{
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    assert_ok(state_bottle(s, "a", NULL, &b));
    put(state, "st/bottles/a/uid", "not a uuid\n");
    assert_damaged(state, s, "bottles/a/uid' is damaged: expected a UUID");
    put(state, "st/bottles/a/uid", "");
    assert_damaged(state, s, "bottles/a/uid' is damaged");
    remove_file(state, "st/bottles/a/uid");
    assert_damaged(state, s, "bottles/a/uid' is damaged: the file is missing");
    put(state, "st/bottles/a/uid", b.uid);

    static const struct {
        const char *file;
        size_t which;
    } pems[] = {
        {"egress-ca.pem", 0}, {"egress-ca.key", 1}, {"pipelock-ca.pem", 2}, {"pipelock-ca.key", 3}};
    const char *whole[] = {b.egress_ca_cert, b.egress_ca_key, b.pipelock_ca_cert,
                           b.pipelock_ca_key};
    for (size_t i = 0; i < 4; i++) {
        AUTO_FREE char *name = xasprintf("st/bottles/a/%s", pems[i].file);
        AUTO_FREE char *half = xmemdup0(whole[i], strlen(whole[i]) / 2);
        put(state, name, half);
        assert_damaged(state, s, pems[i].file);
        put(state, name, "");
        assert_damaged(state, s, "the file is empty");
        remove_file(state, name);
        assert_damaged(state, s, "the file is missing");
        put(state, name, whole[(i + 2) % 4]); /* the other CA's */
        assert_damaged(state, s, "the key isn't the certificate's");
        put(state, name, whole[i]);
    }
    struct bottle_state again = {0};
    assert_ok(state_bottle(s, "a", NULL, &again));
    assert_string_equal(again.uid, b.uid);
    bottle_state_done(&again);
    bottle_state_done(&b);
    state_close(s);
}

/* Messages about keys must not show them. */
static void test_damage_shows_no_key(void **state)
{
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    assert_ok(state_bottle(s, "a", NULL, &b));
    AUTO_FREE char *half = xmemdup0(b.egress_ca_key, 120);
    put(state, "st/bottles/a/egress-ca.key", half);
    struct bottle_state again = {0};
    AUTO_ERR e = state_bottle(s, "a", NULL, &again);
    assert_non_null(e);
    AUTO_FREE char *part = xmemdup0(b.egress_ca_key + 40, 8);
    assert_null(strstr(err_message(e), part));
    bottle_state_done(&b);
    state_close(s);
}

/* ---- manifests ------------------------------------------------------------------------------ */

static void test_manifest(void **state)
{
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    char *text = NULL;
    size_t n = 0;
    assert_err(state_store_manifest(s, "a", sv_of("{}")), ERR_NOT_FOUND, "bottles/a'");
    assert_err(state_load_manifest(s, "a", &text, &n), ERR_NOT_FOUND, "bottles/a'");
    assert_ok(state_bottle(s, "a", NULL, &b));
    bottle_state_done(&b);
    assert_err(state_load_manifest(s, "a", &text, &n), ERR_NOT_FOUND, "bottles/a/manifest.yaml'");
    assert_ok(state_store_manifest(s, "a", sv_of("{\"kind\":1}")));
    assert_ok(state_load_manifest(s, "a", &text, &n));
    assert_string_equal(text, "{\"kind\":1}");
    assert_int_equal(n, 10);
    free(text);
    assert_mode(state, "st/bottles/a/manifest.yaml", 0600);

    /* The same text is not written again; another is, whole. */
    struct stat before, after;
    AUTO_FREE char *path = at(state, "st/bottles/a/manifest.yaml");
    assert_int_equal(stat(path, &before), 0);
    assert_ok(state_store_manifest(s, "a", sv_of("{\"kind\":1}")));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_ok(state_store_manifest(s, "a", sv_of("{}")));
    assert_ok(state_load_manifest(s, "a", &text, &n));
    assert_string_equal(text, "{}");
    free(text);

    assert_err(state_store_manifest(s, "a", (struct sv){"", 0}), ERR_INVALID, "0 bytes");
    AUTO_FREE char *large = xcalloc(STATE_MANIFEST_MAX + 1, 1);
    assert_err(state_store_manifest(s, "a", (struct sv){large, STATE_MANIFEST_MAX + 1}),
               ERR_INVALID, "can't be kept");
    put(state, "st/bottles/a/manifest.yaml", "");
    assert_err(state_load_manifest(s, "a", &text, &n), ERR_INVALID, "manifest.yaml' is damaged");
    state_close(s);
}

static void test_notes(void **state)
{
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    char *text = NULL;
    assert_ok(state_load_note(s, "a", "applied", 8, &text));
    assert_null(text);
    assert_err(state_store_note(s, "a", "applied", "x"), ERR_NOT_FOUND, "bottles/a'");
    assert_ok(state_bottle(s, "a", NULL, &b));
    bottle_state_done(&b);
    assert_ok(state_load_note(s, "a", "applied", 8, &text));
    assert_null(text);
    assert_ok(state_store_note(s, "a", "applied", "12345678"));
    assert_mode(state, "st/bottles/a/applied", 0600);
    assert_ok(state_load_note(s, "a", "applied", 8, &text));
    assert_string_equal(text, "12345678");
    free(text);
    text = NULL;
    assert_err(state_load_note(s, "a", "applied", 7, &text), ERR_INVALID, "bottles/a/applied'");
    assert_null(text);
    assert_ok(state_store_note(s, "a", "applied", NULL));
    assert_ok(state_load_note(s, "a", "applied", 8, &text));
    assert_null(text);
    assert_err(state_load_note(s, "../a", "applied", 8, &text), ERR_INVALID, "is not a name");
    state_close(s);
}

/* ---- lists and removal ---------------------------------------------------------------------- */

static void test_list_and_remove(void **state)
{
    struct bottle_state b = {0};
    struct str_list names = {0};
    struct state *s = open_state(state, "st");
    assert_ok(state_remove(s, "never-was"));
    static const char *const made[] = {"c", "a-1", "b"};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(state_bottle(s, made[i], NULL, &b));
        bottle_state_done(&b);
    }
    make_dir(state, "st/bottles/Not_Ours");
    assert_ok(state_list(s, &names));
    assert_int_equal(names.len, 3);
    assert_string_equal(names.items[0], "a-1");
    assert_string_equal(names.items[1], "b");
    assert_string_equal(names.items[2], "c");
    str_list_done(&names);
    assert_ok(state_remove(s, "b"));
    assert_ok(state_remove(s, "b"));
    assert_false(exists(state, "st/bottles/b"));
    assert_false(exists(state, "st/bottles/.old-b"));
    assert_ok(state_list(s, &names));
    assert_int_equal(names.len, 2);
    str_list_done(&names);
    state_close(s);
}

/* A link to the key's inode shows what is left of it on the disk. */
static void test_remove_overwrites_keys(void **state)
{
    struct bottle_state b = {0};
    struct state *s = open_state(state, "st");
    assert_ok(state_bottle(s, "a", NULL, &b));
    AUTO_FREE char *key = at(state, "st/bottles/a/egress-ca.key"), *kept = at(state, "kept");
    assert_int_equal(link(key, kept), 0);
    assert_ok(state_remove(s, "a"));
    AUTO_CLOSE fd = open(kept, O_RDONLY | O_CLOEXEC);
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof(buf));
    assert_int_equal(n, strlen(b.egress_ca_key));
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal(buf[i], 0);
    bottle_state_done(&b);
    state_close(s);
}

/* What a crash leaves in the middle of making, writing and removing. */
static void test_leftovers_are_wiped(void **state)
{
    struct bottle_state b = {0}, again = {0};
    struct state *s = open_state(state, "st");
    assert_ok(state_bottle(s, "a", NULL, &b));
    state_close(s);
    make_dir(state, "st/bottles/.new-half");
    put(state, "st/bottles/.new-half/uid", "x");
    make_dir(state, "st/bottles/.old-gone");
    put(state, "st/bottles/.old-gone/egress-ca.key", "x");
    put(state, "st/bottles/a/.tmp-0011223344556677", "x");
    put(state, "st/.tmp-0011223344556677", "x");
    s = open_state(state, "st");
    assert_false(exists(state, "st/bottles/.new-half"));
    assert_false(exists(state, "st/bottles/.old-gone"));
    assert_false(exists(state, "st/bottles/a/.tmp-0011223344556677"));
    assert_false(exists(state, "st/.tmp-0011223344556677"));
    assert_ok(state_bottle(s, "a", NULL, &again));
    assert_string_equal(again.uid, b.uid);
    bottle_state_done(&b);
    bottle_state_done(&again);
    state_close(s);
}

/* ---- peeking --------------------------------------------------------------------------------
 */

static void test_peek_writes_nothing(void **state)
{
    AUTO_FREE char *dir = at(state, "st");
    struct state *s = NULL;
    struct bottle_state b = {0};
    struct str_list names = {0};
    assert_ok(state_peek(dir, "bottler", &s));
    assert_ok(state_bottle(s, "web", NULL, &b));
    assert_non_null(strstr(b.egress_ca_cert, "BEGIN CERTIFICATE"));
    assert_ok(state_list(s, &names));
    assert_int_equal(names.len, 0);
    bottle_state_done(&b);
    state_close(s);
    assert_int_equal(access(dir, F_OK), -1);
}

static void test_peek_beside_a_controller(void **state)
{
    struct state *owner = open_state(state, "st");
    struct bottle_state mine = {0};
    struct bottle_state seen = {0};
    struct bottle_state other = {0};
    assert_ok(state_bottle(owner, "web", NULL, &mine));
    AUTO_FREE char *dir = at(state, "st");
    struct state *s = NULL;
    assert_ok(state_peek(dir, "bottler", &s));
    assert_string_equal(state_installation(s), state_installation(owner));
    assert_memory_equal(state_hash_key(s), state_hash_key(owner), HASH_KEY_BYTES);
    assert_ok(state_bottle(s, "web", NULL, &seen));
    assert_string_equal(seen.uid, mine.uid);
    assert_string_equal(seen.egress_ca_cert, mine.egress_ca_cert);
    assert_ok(state_bottle(s, "new", NULL, &other));
    state_close(s);
    struct str_list names = {0};
    assert_ok(state_list(owner, &names));
    assert_int_equal(names.len, 1);
    str_list_done(&names);
    bottle_state_done(&mine);
    bottle_state_done(&seen);
    bottle_state_done(&other);
    state_close(owner);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_first_start),
        TEST(test_installations_differ),
        TEST(test_lock),
        TEST(test_lock_of_the_dead),
        TEST(test_trust),
        TEST(test_foreign_owner),
        TEST(test_bad_arguments),
        TEST(test_damaged_installation),
        TEST(test_lost_installation),
        TEST(test_symlinks_are_refused),
        TEST(test_bottle_is_minted_once),
        TEST(test_bad_hints),
        TEST(test_names_never_become_paths),
        TEST(test_damaged_records),
        TEST(test_damage_shows_no_key),
        TEST(test_manifest),
        TEST(test_notes),
        TEST(test_list_and_remove),
        TEST(test_remove_overwrites_keys),
        TEST(test_leftovers_are_wiped),
        TEST(test_peek_writes_nothing),
        TEST(test_peek_beside_a_controller),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
