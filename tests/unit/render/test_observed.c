/* SPDX-License-Identifier: Apache-2.0 */
/* What list answers become: recorded ones of a real engine, and hostile ones. */
#include "fixture.h"
#include "render/observed.h"
#include "render/observed_json.h"

static const struct sv NO_LIST = {"[]", 2};
static const struct sv NO_VOLUMES = {"{\"Volumes\":null}", 16};

static struct observed *parsed(const char *containers, const char *networks, const char *volumes)
{
    struct observed *o = NULL;
    fx_ok(observed_parse("inst-1", containers ? sv_of(containers) : NO_LIST,
                         networks ? sv_of(networks) : NO_LIST,
                         volumes ? sv_of(volumes) : NO_VOLUMES, &o));
    assert_non_null(o);
    return o;
}

/* ---- a real engine's answers ------------------------------------------------------------------
 */

static char *answer(const char *name)
{
    char *path = xasprintf("tests/golden/render/engine-20.10/%s", name);
    struct test_bytes b = test_read_file(path);
    free(path);
    return b.p;
}

static struct observed *recorded(const char *containers)
{
    char *c = answer(containers);
    char *n = answer("networks.json");
    char *v = answer("volumes.json");
    struct observed *o = parsed(c, n, v);
    free(c);
    free(n);
    free(v);
    return o;
}

static const struct observed_network *net_named(const struct observed *o, const char *name)
{
    for (size_t i = 0; i < o->networks_len; i++) {
        if (strcmp(o->networks[i].name, name) == 0)
            return &o->networks[i];
    }
    fail_msg("no network '%s'", name);
    return NULL;
}

static bool is_on(const struct observed_container *c, const char *id)
{
    size_t seen = 0;
    for (size_t i = 0; i < c->net_ids_len; i++)
        seen += strcmp(c->net_ids[i], id) == 0;
    return seen == 1;
}

static void containers_of_docker_20_10(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum role role;
        enum run_state state;
        int exit_code;
        size_t nets;
    } WANT[] = {
        {"bottler.demo.agent", ROLE_AGENT, RUN_PAUSED, -1, 1},
        {"bottler.demo.egress", ROLE_EGRESS, RUN_EXITED, 137, 1},
        {"bottler.demo.pipelock", ROLE_PIPELOCK, RUN_RUNNING, -1, 2},
    };
    struct observed *o = recorded("containers.json");
    assert_int_equal(o->containers_len, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct observed_container *c = &o->containers[i];
        assert_string_equal(c->name, WANT[i].name);
        assert_true(c->proven);
        assert_false(c->next);
        assert_int_equal(c->role, WANT[i].role);
        assert_int_equal(c->state, WANT[i].state);
        assert_int_equal(c->exit_code, WANT[i].exit_code);
        assert_int_equal(c->net_ids_len, WANT[i].nets);
        assert_int_equal(strlen(c->id), 64);
        assert_memory_equal(c->image_id, "sha256:", 7);
        assert_string_equal(c->owner.bottle, "demo");
        assert_string_equal(c->owner.uid, "uid-1");
        assert_memory_equal(c->owner.spec_hash, "v1:", 3);
    }
    assert_true(is_on(&o->containers[0], net_named(o, "bottler.demo.agent")->id));
    assert_true(is_on(&o->containers[2], net_named(o, "bottler.demo.chain")->id));
    assert_true(is_on(&o->containers[2], net_named(o, "bottler.demo.out")->id));
    observed_free(o);
}

/* Before the first start this engine gives no NetworkID, and names as keys. */
static void attachments_of_containers_that_never_ran(void **state)
{
    (void)state;
    struct observed *o = recorded("containers-created.json");
    assert_int_equal(o->containers_len, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(o->containers[i].state, RUN_CREATED);
    assert_true(is_on(&o->containers[0], net_named(o, "bottler.demo.agent")->id));
    assert_true(is_on(&o->containers[1], net_named(o, "bottler.demo.agent")->id));
    assert_true(is_on(&o->containers[2], net_named(o, "bottler.demo.chain")->id));
    assert_true(is_on(&o->containers[2], net_named(o, "bottler.demo.out")->id));
    observed_free(o);
}

static void networks_and_volumes_of_docker_20_10(void **state)
{
    (void)state;
    struct observed *o = recorded("containers.json");
    assert_int_equal(o->networks_len, 6);
    const struct observed_network *bridge = net_named(o, "bridge");
    assert_false(bridge->proven);
    assert_int_equal(bridge->subnets_len, 1);
    assert_string_equal(bridge->subnets[0], "172.17.0.0/16");
    assert_int_equal(net_named(o, "host")->subnets_len, 0);
    const struct observed_network *chain = net_named(o, "bottler.demo.chain");
    assert_true(chain->proven);
    assert_int_equal(chain->net, NET_CHAIN);
    assert_string_equal(chain->subnets[0], "10.213.250.16/28");
    assert_int_equal(chain->created, 1795331082);
    assert_int_equal(o->volumes_len, 1);
    assert_string_equal(o->volumes[0].name, "bottler.demo.cache");
    assert_true(o->volumes[0].proven);
    assert_false(o->volumes[0].retain);
    observed_free(o);
}

static void an_image_of_docker_20_10(void **state)
{
    (void)state;
    char *text = answer("image.json");
    struct image_info i = {0};
    fx_ok(image_info_parse("acme/pause:1", sv_of(text), &i));
    assert_memory_equal(i.id, "sha256:", 7);
    assert_string_equal(i.user, "nobody");
    assert_string_equal(i.arch, "amd64");
    assert_true(i.has_command);
    image_info_done(&i);
    free(text);
}

/* What we ask for is what we recognise. */
static void our_own_bodies_are_proven(void **state)
{
    (void)state;
    struct fixture f;
    fx_full(&f);
    f.s.instance = "my.instance";
    struct desired *d = fx_render(&f);
    json_t *containers = json_array();
    json_t *networks = json_array();
    for (size_t i = 0; i < d->containers_len; i++)
        json_array_append_new(
            containers, json_pack("{s:s, s:[s+], s:s, s:s, s:O}", "Id", "x", "Names", "/",
                                  d->containers[i].name, "ImageID", "i", "State", "running",
                                  "Labels", json_object_get(d->containers[i].body, "Labels")));
    const struct engine_caps caps = {.api_minor = 41};
    for (enum net n = 0; n < NET_COUNT; n++) {
        char *body = docker_network_body(d, &d->networks[n], "10.213.0.0/28", &caps);
        json_t *j = json_loads(body, 0, NULL);
        json_object_set_new(j, "Id", json_string("n"));
        json_array_append_new(networks, j);
        free(body);
    }
    char *volume = docker_volume_body(d, &d->volumes[0]);
    char *v = xasprintf("{\"Volumes\":[%s]}", volume);
    char *c = json_dumps(containers, 0);
    char *n = json_dumps(networks, 0);
    struct observed *o = parsed(c, n, v);
    assert_int_equal(o->containers_len, 3);
    for (size_t i = 0; i < o->containers_len; i++)
        assert_true(o->containers[i].proven);
    assert_int_equal(o->networks_len, NET_COUNT);
    for (size_t i = 0; i < o->networks_len; i++)
        assert_true(o->networks[i].proven);
    assert_int_equal(o->volumes_len, 1);
    assert_true(o->volumes[0].proven);
    assert_true(o->volumes[0].retain);
    observed_free(o);
    free(volume);
    free(v);
    free(c);
    free(n);
    json_decref(containers);
    json_decref(networks);
    desired_free(d);
    fx_done(&f);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

struct claim {
    const char *installation, *bottle, *role, *uid, *self, *name;
    bool proven, next;
};

static void claim_label(struct str *s, const char *key, const char *value)
{
    if (value)
        str_addf(s, "%s\"dev.bottler.%s\":\"%s\"", s->p[s->len - 1] == '{' ? "" : ",", key, value);
}

static void claim_labels(struct str *s, const struct claim *c)
{
    str_add(s, "\"Labels\":{");
    claim_label(s, "installation", c->installation);
    claim_label(s, "bottle", c->bottle);
    claim_label(s, "role", c->role);
    claim_label(s, "uid", c->uid);
    claim_label(s, "self", c->self);
    str_add(s, "}");
}

static const struct claim CONTAINER_CLAIMS[] = {
    {"inst-1", "demo", "agent", "u", "b.demo.agent", "b.demo.agent", true, false},
    {"inst-1", "demo", "agent", "u", "b.demo.agent", "b.demo.agent.next", true, true},
    {"inst-1", "demo", "git-gate", "u", "x.y.demo.git-gate", "x.y.demo.git-gate", true, false},
    /* another installation, or a label missing */
    {"inst-2", "demo", "agent", "u", "b.demo.agent", "b.demo.agent", false, false},
    {"inst-12", "demo", "agent", "u", "b.demo.agent", "b.demo.agent", false, false},
    {NULL, "demo", "agent", "u", "b.demo.agent", "b.demo.agent", false, false},
    {"inst-1", NULL, "agent", "u", "b.demo.agent", "b.demo.agent", false, false},
    {"inst-1", "demo", NULL, "u", "b.demo.agent", "b.demo.agent", false, false},
    {"inst-1", "demo", "agent", NULL, "b.demo.agent", "b.demo.agent", false, false},
    {"inst-1", "demo", "agent", "", "b.demo.agent", "b.demo.agent", false, false},
    {"inst-1", "demo", "agent", "u", NULL, "b.demo.agent", false, false},
    /* a role that isn't one, or another's */
    {"inst-1", "demo", "worker", "u", "b.demo.worker", "b.demo.worker", false, false},
    {"inst-1", "demo", "net-agent", "u", "b.demo.agent", "b.demo.agent", false, false},
    {"inst-1", "demo", "egress", "u", "b.demo.agent", "b.demo.agent", false, false},
    /* names that don't agree */
    {"inst-1", "demo", "agent", "u", "b.demo.agent", "mine", false, false},
    {"inst-1", "demo", "agent", "u", "b.demo.agent", "b.demo.agent.nex", false, false},
    {"inst-1", "demo", "agent", "u", "b.demo.agent", "b.demo.agent.next.next", false, false},
    {"inst-1", "demo", "agent", "u", "b.demo.agent", "b.demo.agen", false, false},
    {"inst-1", "demo", "agent", "u", "b.demo.agent", "", false, false},
    {"inst-1", "demo", "agent", "u", "b.demo.agent.next", "b.demo.agent.next", false, false},
    /* self-references that don't agree with the labels */
    {"inst-1", "demo", "agent", "u", "b.other.agent", "b.other.agent", false, false},
    {"inst-1", "demo", "agent", "u", "b.xdemo.agent", "b.xdemo.agent", false, false},
    {"inst-1", "demo", "agent", "u", "demo.agent", "demo.agent", false, false},
    {"inst-1", "demo", "agent", "u", ".demo.agent", ".demo.agent", false, false},
    {"inst-1", "demo", "agent", "u", "agent", "agent", false, false},
    {"inst-1", "demo", "agent", "u", "", "", false, false},
    {"inst-1", "", "agent", "u", "b..agent", "b..agent", false, false},
    {"inst-1", "a.demo", "agent", "u", "b.a.demo.agent", "b.a.demo.agent", false, false},
};

static void containers_are_ours_only_when_everything_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(CONTAINER_CLAIMS) / sizeof(CONTAINER_CLAIMS[0]); i++) {
        const struct claim *c = &CONTAINER_CLAIMS[i];
        struct str s;
        str_init(&s, 4096);
        str_addf(&s, "[{\"Id\":\"1\",\"Names\":[\"/%s\"],\"ImageID\":\"i\",\"State\":\"running\",",
                 c->name);
        claim_labels(&s, c);
        str_add(&s, "}]");
        struct observed *o = parsed(s.p, NULL, NULL);
        if (o->containers[0].proven != c->proven)
            print_error("claim %zu: self '%s', name '%s'\n", i, c->self ? c->self : "(none)",
                        c->name);
        assert_int_equal(o->containers[0].proven, c->proven);
        assert_int_equal(o->containers[0].next, c->next);
        assert_string_equal(o->containers[0].name, c->name);
        observed_free(o);
        str_done(&s);
    }
}

static void networks_are_ours_only_when_everything_agrees(void **state)
{
    (void)state;
    static const struct claim CLAIMS[] = {
        {"inst-1", "demo", "net-agent", "u", "b.demo.agent", "b.demo.agent", true, false},
        {"inst-1", "demo", "net-out", "u", "b.demo.out", "b.demo.out", true, false},
        {"inst-1", "demo", "agent", "u", "b.demo.agent", "b.demo.agent", false, false},
        {"inst-1", "demo", "net-out", "u", "b.demo.agent", "b.demo.agent", false, false},
        {"inst-1", "demo", "net-agent", "u", "b.demo.net-agent", "b.demo.net-agent", false, false},
        {"inst-1", "demo", "net-agent", "u", "b.demo.agent", "b.demo.agent.next", false, false},
        {"inst-2", "demo", "net-agent", "u", "b.demo.agent", "b.demo.agent", false, false},
        {NULL, NULL, NULL, NULL, NULL, "b.demo.agent", false, false},
    };
    for (size_t i = 0; i < sizeof(CLAIMS) / sizeof(CLAIMS[0]); i++) {
        struct str s;
        str_init(&s, 4096);
        str_addf(&s, "[{\"Id\":\"1\",\"Name\":\"%s\",", CLAIMS[i].name);
        claim_labels(&s, &CLAIMS[i]);
        str_add(&s, "}]");
        struct observed *o = parsed(NULL, s.p, NULL);
        assert_int_equal(o->networks[0].proven, CLAIMS[i].proven);
        observed_free(o);
        str_done(&s);
    }
}

static void volumes_are_ours_only_when_everything_agrees(void **state)
{
    (void)state;
    static const struct claim CLAIMS[] = {
        {"inst-1", "demo", "volume", "u", "b.demo.cache", "b.demo.cache", true, false},
        {"inst-1", "demo", "volume", "u", "b.demo.cache", "b.demo.other", false, false},
        {"inst-1", "demo", "volume", "u", "b.other.cache", "b.other.cache", false, false},
        {"inst-1", "demo", "agent", "u", "b.demo.agent", "b.demo.agent", false, false},
        {"inst-1", "demo", "volume", "u", "b.demo.", "b.demo.", false, false},
        {"inst-1", "demo", "volume", NULL, "b.demo.cache", "b.demo.cache", false, false},
    };
    for (size_t i = 0; i < sizeof(CLAIMS) / sizeof(CLAIMS[0]); i++) {
        struct str s;
        str_init(&s, 4096);
        str_addf(&s, "{\"Volumes\":[{\"Name\":\"%s\",", CLAIMS[i].name);
        claim_labels(&s, &CLAIMS[i]);
        str_add(&s, "}]}");
        struct observed *o = parsed(NULL, NULL, s.p);
        assert_int_equal(o->volumes[0].proven, CLAIMS[i].proven);
        observed_free(o);
        str_done(&s);
    }
}

/* ---- shapes ---------------------------------------------------------------------------------- */

#define C(rest)                                                                                    \
    "[{\"Id\":\"1\",\"Names\":[\"/n\"],\"ImageID\":\"i\",\"State\":\"running\"" rest "}]"

static void odd_but_right_answers_are_read(void **state)
{
    (void)state;
    struct observed *o =
        parsed("[{\"Id\":\"1\",\"Names\":null,\"ImageID\":\"\",\"State\":\"removing\",\"Labels\":"
               "null,\"NetworkSettings\":null,\"Status\":\"Removal In Progress\",\"New\":{}},"
               "{\"Id\":\"2\",\"Names\":[\"/other/alias\",\"/zed\"],\"ImageID\":\"\",\"State\":"
               "\"dead\",\"NetworkSettings\":{\"Networks\":null}}]",
               "[{\"Id\":\"3\",\"Name\":\"n\",\"IPAM\":null},"
               "{\"Id\":\"1\",\"Name\":\"n\",\"IPAM\":{\"Config\":null},\"Created\":\"never\"},"
               "{\"Id\":\"2\",\"Name\":\"m\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fd00::/64\"},{},"
               "{\"Subnet\":\"10.0.0.0/8\"},{\"Subnet\":\"nonsense\"},{\"Subnet\":null}]}}]",
               "{\"Volumes\":[{\"Name\":\"v\",\"Labels\":null}],\"Warnings\":null}");
    assert_int_equal(o->containers_len, 2);
    assert_string_equal(o->containers[0].name, "");
    assert_int_equal(o->containers[0].state, RUN_REMOVING);
    assert_int_equal(o->containers[0].net_ids_len, 0);
    assert_false(o->containers[0].proven);
    assert_string_equal(o->containers[1].name, "zed");
    assert_int_equal(o->containers[1].state, RUN_DEAD);
    assert_int_equal(o->networks_len, 3);
    assert_string_equal(o->networks[0].name, "m");
    assert_int_equal(o->networks[0].subnets_len, 1);
    assert_string_equal(o->networks[0].subnets[0], "10.0.0.0/8");
    assert_string_equal(o->networks[1].id, "1");
    assert_int_equal(o->networks[1].created, 0);
    assert_string_equal(o->networks[2].id, "3");
    assert_int_equal(o->volumes_len, 1);
    assert_null(o->volumes[0].owner.role);
    observed_free(o);
}

#define OURS "\"Labels\":{\"dev.bottler.installation\":\"inst-1\"}"
static void wrong_shapes_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *containers, *networks, *volumes, *message;
    } CASES[] = {
        {"", NULL, NULL, "list of containers: not JSON at byte"},
        {"[", NULL, NULL, "list of containers: not JSON at byte"},
        {"null", NULL, NULL, "list of containers: not JSON"},
        {"{\"message\":\"no\"}", NULL, NULL, "list of containers: expected a list"},
        {"[1]", NULL, NULL, "list of containers: entry 0: expected an object"},
        {"[{" OURS "}]", NULL, NULL, "entry 0: Id: expected a text"},
        {C("") " x", NULL, NULL, "not JSON"},
        {C("," OURS ",\"State\":7"), NULL, NULL, "entry 0: State: expected a text"},
        {C("," OURS ",\"State\":\"melted\""), NULL, NULL, "container 'n': unknown state 'melted'"},
        {C("," OURS ",\"Names\":{}"), NULL, NULL, "entry 0: Names: expected a list"},
        {C("," OURS ",\"Names\":[3]"), NULL, NULL, "entry 0: Names: expected texts"},
        {C(",\"Labels\":[]"), NULL, NULL, "entry 0: Labels: expected an object"},
        {C("," OURS ",\"NetworkSettings\":[]"), NULL, NULL, "NetworkSettings: expected an object"},
        {C("," OURS ",\"NetworkSettings\":{\"Networks\":[]}"), NULL, NULL,
         "Networks: expected an object"},
        {C("," OURS ",\"NetworkSettings\":{\"Networks\":{\"a\":{\"NetworkID\":1}}}"), NULL, NULL,
         "NetworkID: expected a text"},
        {NULL, "{}", NULL, "list of networks: expected a list"},
        {NULL, "[{\"Id\":\"1\"}]", NULL, "list of networks: entry 0: Name: expected a text"},
        {NULL, "[{\"Id\":\"1\",\"Name\":\"n\",\"IPAM\":[]}]", NULL, "IPAM: expected an object"},
        {NULL, "[{\"Id\":\"1\",\"Name\":\"n\",\"IPAM\":{\"Config\":{}}}]", NULL,
         "IPAM.Config: expected a list"},
        {NULL, NULL, "[]", "list of volumes: expected an object with \"Volumes\""},
        {NULL, NULL, "{\"message\":\"page not found\"}", "expected an object with \"Volumes\""},
        {NULL, NULL, "{\"Volumes\":{}}", "list of volumes: Volumes: expected a list"},
        {NULL, NULL, "{\"Volumes\":[{}]}", "list of volumes: entry 0: Name: expected a text"},
        {"[\"\\u0000\"]", NULL, NULL, "not JSON"},
        {"[\"\xff\"]", NULL, NULL, "not JSON"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct observed *o = NULL;
        fx_refused(observed_parse("inst-1",
                                  CASES[i].containers ? sv_of(CASES[i].containers) : NO_LIST,
                                  CASES[i].networks ? sv_of(CASES[i].networks) : NO_LIST,
                                  CASES[i].volumes ? sv_of(CASES[i].volumes) : NO_VOLUMES, &o),
                   ERR_INVALID, CASES[i].message);
        assert_null(o);
    }
}

static void oversized_answers_are_refused(void **state)
{
    (void)state;
    char *big = xmalloc(OBSERVED_MAX_BYTES + 2);
    memset(big, ' ', OBSERVED_MAX_BYTES + 1);
    big[OBSERVED_MAX_BYTES + 1] = '\0';
    struct observed *o = NULL;
    fx_refused(
        observed_parse("inst-1", (struct sv){big, OBSERVED_MAX_BYTES + 1}, NO_LIST, NO_VOLUMES, &o),
        ERR_INVALID, "over the limit");
    /* Just within: read, and wrong for another reason. */
    fx_refused(
        observed_parse("inst-1", (struct sv){big, OBSERVED_MAX_BYTES}, NO_LIST, NO_VOLUMES, &o),
        ERR_INVALID, "not JSON");
    free(big);
    struct str deep;
    str_init(&deep, 1 << 20);
    for (int i = 0; i < 100000; i++)
        str_addc(&deep, '[');
    fx_refused(observed_parse("inst-1", (struct sv){deep.p, deep.len}, NO_LIST, NO_VOLUMES, &o),
               ERR_INVALID, "not JSON");
    str_done(&deep);
    struct str many;
    str_init(&many, 1 << 20);
    str_add(&many, "[{}");
    for (int i = 0; i < OBSERVED_MAX_OBJECTS; i++)
        str_add(&many, ",{}");
    str_add(&many, "]");
    fx_refused(observed_parse("inst-1", (struct sv){many.p, many.len}, NO_LIST, NO_VOLUMES, &o),
               ERR_INVALID, "65537 entries are over the limit of 65536");
    str_done(&many);
}

/* Every cut of a real answer is refused, and none is half-read. */
static void a_cut_answer_is_never_half_read(void **state)
{
    (void)state;
    char *text = answer("containers.json");
    size_t n = strlen(text);
    while (n && text[n - 1] != ']')
        n--;
    assert_true(n > 1000);
    for (size_t i = 0; i < n; i += 7) {
        struct observed *o = NULL;
        fx_refused(observed_parse("inst-1", (struct sv){text, i}, NO_LIST, NO_VOLUMES, &o),
                   ERR_INVALID, "not JSON");
        assert_null(o);
    }
    free(text);
}

/* ---- small texts ----------------------------------------------------------------------------- */

static void exit_codes(void **state)
{
    (void)state;
    assert_int_equal(exit_code_parse("Exited (0) 2 seconds ago"), 0);
    assert_int_equal(exit_code_parse("Exited (137) About an hour ago"), 137);
    assert_int_equal(exit_code_parse("Exited (3221225786) 1 second ago"), -1);
    assert_int_equal(exit_code_parse("Exited (-1) 1 second ago"), -1);
    assert_int_equal(exit_code_parse("Exited (1"), -1);
    assert_int_equal(exit_code_parse("Exited ()"), -1);
    assert_int_equal(exit_code_parse("Up 3 minutes (Exited (1))"), -1);
    assert_int_equal(exit_code_parse(""), -1);
}

static void creation_times(void **state)
{
    (void)state;
    assert_int_equal(created_parse("1970-01-02T00:00:00Z"), 86400);
    assert_int_equal(created_parse("2000-02-29T12:34:56.789012345Z"), 951827696);
    assert_int_equal(created_parse("2000-03-01T00:00:00Z"), 951868800);
    assert_int_equal(created_parse("2026-11-22T08:04:42+01:00"), 1795331082);
    assert_int_equal(created_parse("2026-11-22T01:34:42.1-05:30"), 1795331082);
    static const char *const BAD[] = {
        "",
        "Z",
        "2026-11-22",
        "2026-11-22T07:04:42",
        "2026-11-22 07:04:42Z",
        "2026-13-22T07:04:42Z",
        "2026-11-00T07:04:42Z",
        "2026-11-22T24:04:42Z",
        "2026-11-22T07:04:42+0100",
        "2026-11-22T07:04:42Zx",
        "0001-01-01T00:00:00Z",
        "2026-11-22T07:04:42+aa:00",
        "20x6-11-22T07:04:42Z",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_equal(created_parse(BAD[i]), 0);
}

static void states_have_their_words_both_ways(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"created",  "running", "paused", "restarting",
                                        "removing", "exited",  "dead"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        enum run_state s = RUN_DEAD;
        assert_true(run_state_parse(NAMES[i], &s));
        assert_int_equal(s, i);
        assert_string_equal(run_state_name(s), NAMES[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_of_docker_20_10),
        cmocka_unit_test(attachments_of_containers_that_never_ran),
        cmocka_unit_test(networks_and_volumes_of_docker_20_10),
        cmocka_unit_test(an_image_of_docker_20_10),
        cmocka_unit_test(our_own_bodies_are_proven),
        cmocka_unit_test(containers_are_ours_only_when_everything_agrees),
        cmocka_unit_test(networks_are_ours_only_when_everything_agrees),
        cmocka_unit_test(volumes_are_ours_only_when_everything_agrees),
        cmocka_unit_test(odd_but_right_answers_are_read),
        cmocka_unit_test(wrong_shapes_are_refused_with_their_place),
        cmocka_unit_test(oversized_answers_are_refused),
        cmocka_unit_test(a_cut_answer_is_never_half_read),
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(creation_times),
        cmocka_unit_test(states_have_their_words_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
