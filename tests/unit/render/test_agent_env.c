/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in the agent's environment: its files, its hash, its body, and what is refused. */
#include "bodies.h"

#include "render/launcher.h"

static const char *const IDS[NET_COUNT] = {"id-agent", "id-chain", "id-out"};

#define VALUE "npm-value-31415926"

/* agent.env: {NPM_TOKEN: "${NPM}"} beside the literal of the full fixture. */
static void fx_env_secret(struct fixture *f, const char *name, const char *ref)
{
    fx_env(f, name, "");
    struct env_var *v = &f->env[f->b.agent.env_len - 1];
    v->value = NULL;
    v->secret = fx_text(f, ref);
}

static void fx_secretive(struct fixture *f)
{
    fx_full(f);
    fx_env_secret(f, "NPM_TOKEN", "NPM");
    fx_secret(f, "NPM", VALUE "\n");
}

static struct err *try_render(struct fixture *f)
{
    struct desired *d = NULL;
    struct err *e = desired_render(&f->b, &f->s, &f->in, &d);
    desired_free(d);
    return e;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void the_file_has_a_record_for_each_secret(void **state)
{
    (void)state;
    static const char WANT[] = "NPM_TOKEN=" VALUE "\0ZED_KEY=line one\nline two=\xff";
    struct fixture f;
    fx_secretive(&f);
    fx_env_secret(&f, "ZED_KEY", "ZED");
    fx_secret(&f, "ZED", "line one\nline two=\xff\r\n\n");
    struct desired *d = fx_render(&f);
    const struct desired_container *agent = desired_find(d, ROLE_AGENT);
    const struct file_item *env = file_list_find(&agent->files, "/etc/bottler/env");
    assert_non_null(env);
    assert_int_equal(env->n, sizeof(WANT));
    assert_memory_equal(env->data, WANT, sizeof(WANT));
    assert_false(env->hot);
    assert_true(agent->launch);
    for (enum role r = ROLE_PIPELOCK; r <= ROLE_EGRESS; r++) {
        assert_false(desired_find(d, r)->launch);
        assert_null(file_list_find(&desired_find(d, r)->files, "/etc/bottler/env"));
        assert_null(file_list_find(&desired_find(d, r)->files, "/etc/bottler/launch"));
    }
    desired_free(d);
    fx_done(&f);
}

static void the_launcher_comes_with_it(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    struct desired *d = fx_render(&f);
    const struct file_item *launch =
        file_list_find(&desired_find(d, ROLE_AGENT)->files, "/etc/bottler/launch");
    assert_non_null(launch);
    assert_int_equal(launch->mode, 0555);
    assert_int_equal(launch->uid, 0);
    assert_int_equal(launch->gid, 0);
    assert_int_equal(launch->n, launcher_bytes().n);
    assert_true(launch->n > 4096);
    assert_memory_equal(launch->data, "\177ELF", 4);
    desired_free(d);
    fx_done(&f);
}

static void only_the_agents_user_reads_the_file_where_it_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        unsigned uid, gid;
        mode_t mode;
    } CASES[] = {
        {"1000:1001", 1000, 1001, 0400},
        {"1000", 1000, 0, 0400},
        {"1000:staff", 1000, 0, 0400},
        {"0:0", 0, 0, 0400},
        {"agent", 0, 0, 0444},
        {"agent:1000", 0, 0, 0444},
        {NULL, 0, 0, 0444},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture f;
        fx_secretive(&f);
        f.b.agent.user = CASES[i].user ? fx_text(&f, CASES[i].user) : NULL;
        struct desired *d = fx_render(&f);
        const struct file_item *env =
            file_list_find(&desired_find(d, ROLE_AGENT)->files, "/etc/bottler/env");
        assert_non_null(env);
        assert_int_equal(env->uid, CASES[i].uid);
        assert_int_equal(env->gid, CASES[i].gid);
        assert_int_equal(env->mode, CASES[i].mode);
        desired_free(d);
        fx_done(&f);
    }
}

static void without_a_secret_there_is_neither(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    struct desired *d = fx_render(&f);
    const struct desired_container *agent = desired_find(d, ROLE_AGENT);
    assert_false(agent->launch);
    assert_null(file_list_find(&agent->files, "/etc/bottler/env"));
    assert_null(file_list_find(&agent->files, "/etc/bottler/launch"));
    desired_free(d);
    fx_done(&f);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void values_that_no_variable_can_have_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    struct sv *value = &f.secrets[f.in.secrets_len - 1].value;
    *value = (struct sv){"q31\0q", 5};
    struct err *e = try_render(&f);
    assert_non_null(e);
    assert_null(strstr(err_message(e), "q31"));
    fx_refused(e, ERR_INVALID,
               "agent.env.NPM_TOKEN: secret 'NPM' can't be a variable's value: it "
               "has a NUL byte");
    *value = sv_of("\r\n\n");
    fx_refused(try_render(&f), ERR_NOT_FOUND, "secret 'NPM' is empty");
    f.in.secrets_len--;
    fx_refused(try_render(&f), ERR_NOT_FOUND, "secret 'NPM' has no value");
    fx_done(&f);
}

static void what_linux_would_not_take_is_refused(void **state)
{
    (void)state;
    enum { RECORD = 128 * 1024, MOST = RECORD - sizeof("NPM_TOKEN=") };
    struct fixture f;
    fx_secretive(&f);
    AUTO_FREE char *text = xmalloc(RECORD);
    memset(text, 'x', RECORD);
    struct sv *value = &f.secrets[f.in.secrets_len - 1].value;
    *value = (struct sv){text, MOST};
    fx_ok(try_render(&f));
    *value = (struct sv){text, MOST + 1};
    fx_refused(try_render(&f), ERR_INVALID, "it is over 128 KiB");
    fx_done(&f);
}

static void all_of_them_fit_the_launchers_buffer(void **state)
{
    (void)state;
    /* 8 names of one letter: 8 * (131072) is the limit to the byte. */
    enum { RECORD = 128 * 1024, MOST = RECORD - sizeof("A=") };
    assert_int_equal(FX_MANY * RECORD, LAUNCHER_ENV_MAX_BYTES);
    struct fixture f;
    fx_minimal(&f);
    AUTO_FREE char *text = xmalloc(RECORD);
    memset(text, 'x', RECORD);
    fx_secret(&f, "BIG", "");
    f.secrets[0].value = (struct sv){text, MOST};
    static const char *const NAMES[FX_MANY] = {"A", "B", "C", "D", "E", "F", "G", "H"};
    for (size_t i = 0; i < FX_MANY; i++)
        fx_env_secret(&f, NAMES[i], "BIG");
    fx_ok(try_render(&f));
    /* One more byte: a longer name for a shorter value of its own. */
    fx_secret(&f, "SMALL", "");
    f.secrets[1].value = (struct sv){text, MOST - 1};
    f.env[7].secret = fx_text(&f, "SMALL");
    f.env[7].name = fx_text(&f, "HH");
    fx_ok(try_render(&f));
    struct env_var more[FX_MANY + 1];
    memcpy(more, f.env, sizeof(f.env));
    more[FX_MANY] = (struct env_var){.name = fx_text(&f, "I"), .secret = fx_text(&f, "ONE")};
    fx_secret(&f, "ONE", "1");
    f.b.agent.env = more;
    f.b.agent.env_len = FX_MANY + 1;
    fx_refused(try_render(&f), ERR_INVALID, "agent.env: the secrets are over 1024 KiB");
    fx_done(&f);
}

/* ---- hash ------------------------------------------------------------------------------------ */

static char *agent_hash(struct fixture *f)
{
    struct desired *d = fx_render(f);
    char *hash = xstrdup(desired_find(d, ROLE_AGENT)->spec_hash);
    desired_free(d);
    return hash;
}

static void a_rotated_secret_replaces_the_agent_and_nothing_else(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    struct desired *before = fx_render(&f);
    f.secrets[f.in.secrets_len - 1].value = sv_of("rotated");
    struct desired *after = fx_render(&f);
    for (size_t i = 0; i < before->containers_len; i++) {
        bool same = strcmp(before->containers[i].spec_hash, after->containers[i].spec_hash) == 0;
        assert_int_equal(same, before->containers[i].role != ROLE_AGENT);
    }
    desired_free(before);
    desired_free(after);
    fx_done(&f);
}

/* Neither a line end, nor another reference to the same value. */
static void what_the_agent_would_not_see_replaces_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    AUTO_FREE char *before = agent_hash(&f);
    f.secrets[f.in.secrets_len - 1].value = sv_of(VALUE);
    AUTO_FREE char *trimmed = agent_hash(&f);
    assert_string_equal(before, trimmed);
    fx_secret(&f, "OTHER", VALUE);
    f.env[1].secret = fx_text(&f, "OTHER");
    AUTO_FREE char *renamed = agent_hash(&f);
    assert_string_equal(before, renamed);
    f.env[1].name = fx_text(&f, "NPM_TOKEN_2");
    AUTO_FREE char *other_name = agent_hash(&f);
    assert_string_not_equal(before, other_name);
    fx_done(&f);
}

/* The value below is that of any version whose launcher has other bytes: see test_spec_hash.c. */
static void the_launchers_bytes_are_not_in_the_hash(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    struct desired *d = fx_render(&f);
    assert_true(
        desired_is_spec(desired_find(d, ROLE_AGENT),
                        "v1:bbfbe647b10ff91b81337beb48a8d23709de34e48ed4ff9ac6a29184d87c77dc"));
    desired_free(d);
    AUTO_FREE char *hash = agent_hash(&f);
    f.key[0] ^= 1;
    AUTO_FREE char *keyed = agent_hash(&f);
    assert_string_not_equal(hash, keyed);
    fx_done(&f);
}

/* ---- body ------------------------------------------------------------------------------------ */

static struct image_info an_image(struct fixture *f)
{
    return (struct image_info){.ref = fx_text(f, "ref"),
                               .id = fx_text(f, "sha256:1234"),
                               .user = fx_text(f, "nobody"),
                               .arch = fx_text(f, launcher_arch())};
}

static struct err *try_body(struct fixture *f, const struct image_info *image, const char *arch,
                            char **ret)
{
    struct desired *d = fx_render(f);
    const struct engine_caps caps = {.api_minor = 41, .arch = arch};
    struct err *e = docker_container_body(desired_find(d, ROLE_AGENT), image, IDS, &caps, ret);
    desired_free(d);
    return e;
}

static json_t *agent_body(struct fixture *f, const struct image_info *image)
{
    char *text = NULL;
    fx_ok(try_body(f, image, launcher_arch(), &text));
    assert_non_null(strstr(text, "LOG_LEVEL=debug"));
    assert_null(strstr(text, VALUE));
    assert_null(strstr(text, "NPM"));
    return parsed(text);
}

static void the_launcher_is_before_what_the_image_or_the_manifest_says(void **state)
{
    (void)state;
    static const struct {
        const char *entrypoint, *cmd, *command;
        const char *want_entrypoint, *want_cmd; /* NULL: absent */
    } CASES[] = {
        {"/x", NULL, NULL, "[\"/etc/bottler/launch\",\"/x\"]", NULL},
        {"/x", "a", NULL, "[\"/etc/bottler/launch\",\"/x\"]", "[\"a\"]"},
        {"/x", "a", "b", "[\"/etc/bottler/launch\",\"/x\"]", "[\"b\"]"},
        {NULL, "a", NULL, "[\"/etc/bottler/launch\"]", "[\"a\"]"},
        {NULL, "a", "b", "[\"/etc/bottler/launch\"]", "[\"b\"]"},
        {NULL, NULL, "b", "[\"/etc/bottler/launch\"]", "[\"b\"]"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture f;
        fx_secretive(&f);
        struct image_info image = an_image(&f);
        if (CASES[i].entrypoint)
            str_list_add(&image.entrypoint, CASES[i].entrypoint);
        if (CASES[i].cmd)
            str_list_add(&image.cmd, CASES[i].cmd);
        image.has_command = CASES[i].entrypoint || CASES[i].cmd;
        str_list_done(&f.b.agent.command);
        f.b.agent.has_command = CASES[i].command != NULL;
        if (CASES[i].command)
            str_list_add(&f.b.agent.command, CASES[i].command);
        json_t *j = agent_body(&f, &image);
        at(j, "Entrypoint", CASES[i].want_entrypoint);
        if (CASES[i].want_cmd)
            at(j, "Cmd", CASES[i].want_cmd);
        else
            absent(j, NULL, "Cmd");
        json_decref(j);
        str_list_done(&image.entrypoint);
        str_list_done(&image.cmd);
        fx_done(&f);
    }
}

static void sidecars_start_as_ever(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    struct image_info image = an_image(&f);
    image.has_command = true;
    struct desired *d = fx_render(&f);
    struct desired_container *egress = &d->containers[1];
    assert_int_equal(egress->role, ROLE_EGRESS);
    char *text = NULL;
    fx_ok(docker_container_body(egress, &image, IDS, &OLD, &text));
    json_t *j = parsed(text);
    absent(j, NULL, "Entrypoint");
    json_decref(j);
    desired_free(d);
    fx_done(&f);
}

static void with_nothing_to_run_it_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    struct image_info image = an_image(&f);
    str_list_done(&f.b.agent.command);
    f.b.agent.has_command = false;
    char *text = NULL;
    fx_refused(try_body(&f, &image, launcher_arch(), &text), ERR_INVALID, "has no command");
    assert_null(text);
    fx_done(&f);
}

static void on_another_architecture_it_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fx_secretive(&f);
    struct image_info image = an_image(&f);
    char *text = NULL;
    image.arch = fx_text(&f, "vax");
    fx_refused(try_body(&f, &image, "vax", &text), ERR_INVALID,
               "agent.env: secrets there need bottler's launcher, which is for ");
    /* An engine that doesn't say: then the image decides, and where nobody says, it is tried. */
    fx_refused(try_body(&f, &image, NULL, &text), ERR_INVALID, "and the engine runs vax");
    fx_refused(try_body(&f, &image, "", &text), ERR_INVALID, "and the engine runs vax");
    assert_null(text);
    image.arch = fx_text(&f, "");
    fx_ok(try_body(&f, &image, NULL, &text));
    free(text);
    /* Without a secret it doesn't matter. */
    f.b.agent.env_len = 1;
    image.arch = fx_text(&f, "vax");
    fx_ok(try_body(&f, &image, "vax", &text));
    json_t *j = parsed(text);
    absent(j, NULL, "Entrypoint");
    json_decref(j);
    fx_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_has_a_record_for_each_secret),
        cmocka_unit_test(the_launcher_comes_with_it),
        cmocka_unit_test(only_the_agents_user_reads_the_file_where_it_is_known),
        cmocka_unit_test(without_a_secret_there_is_neither),
        cmocka_unit_test(values_that_no_variable_can_have_are_refused),
        cmocka_unit_test(what_linux_would_not_take_is_refused),
        cmocka_unit_test(all_of_them_fit_the_launchers_buffer),
        cmocka_unit_test(a_rotated_secret_replaces_the_agent_and_nothing_else),
        cmocka_unit_test(what_the_agent_would_not_see_replaces_nothing),
        cmocka_unit_test(the_launchers_bytes_are_not_in_the_hash),
        cmocka_unit_test(the_launcher_is_before_what_the_image_or_the_manifest_says),
        cmocka_unit_test(sidecars_start_as_ever),
        cmocka_unit_test(with_nothing_to_run_it_is_refused),
        cmocka_unit_test(on_another_architecture_it_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
