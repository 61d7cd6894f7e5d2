/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's event stream: a hint that something of a bottle moved. Lists are the truth. */
#include "controller/controller.h"
#include "controller/log.h"
#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <string.h>

static const char filters[] = "{\"type\":[\"container\",\"network\",\"volume\"],\"event\":["
                              "\"create\",\"start\",\"die\",\"destroy\",\"rename\","
                              "\"pause\",\"unpause\",\"connect\",\"disconnect\",\"update\","
                              "\"kill\",\"exec_start\",\"extract-to-dir\"]}";

/* "<instance>.<bottle>.<what>" */
static struct worker *worker_of(struct controller *c, const char *name)
{
    size_t n = strlen(c->opt.instance);
    if (strncmp(name, c->opt.instance, n) != 0 || name[n] != '.')
        return NULL;
    const char *bottle = name + n + 1;
    const char *dot = strchr(bottle, '.');
    if (!dot)
        return NULL;
    AUTO_FREE char *text = xmemdup0(bottle, (size_t)(dot - bottle));
    return worker_find(c, text);
}

/* A connect or disconnect names the network and, by id, the container. */
static struct worker *worker_by_container(struct controller *c, const char *id)
{
    for (size_t i = 0; id && c->observed && i < c->observed->containers_len; i++) {
        const struct observed_container *k = &c->observed->containers[i];
        if (k->proven && strcmp(k->id, id) == 0)
            return worker_find(c, k->owner.bottle);
    }
    return NULL;
}

/* Engines 20.10 publish an event up to 150 ms before their lists show what it tells (measured:
 * `die` at 52 ms, listed as running until 152 ms). So a look at once is followed by three more. */
static const uint64_t ECHO_AFTER_US[] = {150000, 300000, 900000};
enum { ECHOES = sizeof(ECHO_AFTER_US) / sizeof(ECHO_AFTER_US[0]) };

static void look_at(struct worker *w)
{
    w->needs_look = w->c->looks_started + 1;
    worker_poke(w);
}

static void arm_echo(struct controller *c, uint64_t us)
{
    int enabled = SD_EVENT_OFF;
    (void)sd_event_source_get_enabled(c->echo, &enabled);
    if (enabled != SD_EVENT_OFF)
        return;
    (void)sd_event_source_set_time_relative(c->echo, us);
    (void)sd_event_source_set_enabled(c->echo, SD_EVENT_ONESHOT);
}

int events_echo(sd_event_source *s, uint64_t usec, void *ctx)
{
    struct controller *c = ctx;
    unsigned left = 0;
    (void)s;
    (void)usec;
    if (c->guard_echoes) { /* also while what may be open is worked on, which looks at nothing */
        left = --c->guard_echoes;
        observe(c);
    }
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        if (!w->echoes)
            continue;
        w->echoes--;
        left = w->echoes > left ? w->echoes : left;
        look_at(w);
    }
    if (left)
        arm_echo(c, ECHO_AFTER_US[ECHOES - left]);
    controller_dispatch(c);
    return 0;
}

struct engine_event {
    const char *action; /* "exec_start: cmd" is "exec_start" */
    const char *name;   /* of the container or the network; may be NULL */
    const char *id;
    const char *container; /* of a connect or disconnect: its id; may be NULL */
    int64_t time;          /* the engine's, Unix seconds */
};

static bool is(const struct engine_event *e, const char *action)
{
    size_t n = strlen(action);
    return strncmp(e->action, action, n) == 0 && (!e->action[n] || e->action[n] == ':');
}

/* Events come a little later than the answers to what caused them. */
#define OWN_ECHO_NS NS_PER_S

static bool may_be_ours(const struct worker *w)
{
    return w->exec || (w->ended_ns && now_ns(w->c) < w->ended_ns + OWN_ECHO_NS);
}

/* The role of a container of ours; ROLE_COUNT: it is none. */
static enum role role_of(const struct controller *c, const char *id)
{
    for (size_t i = 0; c->observed && i < c->observed->containers_len; i++) {
        const struct observed_container *k = &c->observed->containers[i];
        if (k->proven && strcmp(k->id, id) == 0)
            return k->role;
    }
    return ROLE_COUNT;
}

static bool is_proxy(enum role role)
{
    return role != ROLE_COUNT && role_info(role)->hot_file;
}

/* Whether one of our own deeds is what this event tells of: each counts once. */
static bool is_own_deed(struct worker *w, const struct engine_event *e, enum role role)
{
    if (!may_be_ours(w))
        w->deeds = (struct own_deeds){0}; /* what didn't come by now never will */
    unsigned *left = is(e, "extract-to-dir") ? &w->deeds.uploads[role]
                     : is(e, "kill")         ? &w->deeds.signals[role]
                     : is(e, "update")       ? &w->deeds.updates[role]
                                             : NULL;
    if (!left || !*left)
        return false;
    --*left;
    return true;
}

static const char *container_name(const struct controller *c, const char *id)
{
    for (size_t i = 0; c->observed && i < c->observed->containers_len; i++) {
        if (strcmp(c->observed->containers[i].id, id) == 0)
            return c->observed->containers[i].name;
    }
    return id;
}

/* Whoever it was, the engine doesn't say. */
static void tell(struct worker *w, const struct engine_event *e)
{
    static const char *const told[] = {"connect", "disconnect", "update", "pause",
                                       "unpause", "rename",     "destroy"};
    const char *role = e->name ? strrchr(e->name, '.') : NULL;
    bool tells = false;
    if (role && strncmp(role + 1, PROBE_ROLE "-", strlen(PROBE_ROLE "-")) == 0)
        return; /* of `attest` */
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        tells = tells || is(e, told[i]);
    if (!tells)
        return;
    journal_add(w->c->journal, w->name, JOURNAL_WARNING, "ChangedByOthers",
                e->container
                    ? xasprintf("%s of network '%s' and container '%s', not by this controller",
                                e->action, e->name ? e->name : e->id,
                                container_name(w->c, e->container))
                    : xasprintf("%s of '%s', not by this controller", e->action,
                                e->name ? e->name : e->id));
}

/* Whoever did it: what was known of the bottle's parts may be so no more. */
static void doubt(struct worker *w, const struct engine_event *e)
{
    struct memory *m = &w->c->memory;
    if (is(e, "start") && !w->exec)
        memory_forget_policy(m, e->id); /* what it runs now is read from its log again */
    enum role role = role_of(w->c, e->id);
    if (role == ROLE_COUNT || is_own_deed(w, e, role))
        return;
    if (is(e, "update"))
        memory_forget_seal(m, e->id);
    bool touches = is(e, "exec_start") || is(e, "extract-to-dir") || is(e, "kill");
    if (!touches || !is_proxy(role))
        return;
    memory_disturb_policy(m, e->id);
    journal_add(w->c->journal, w->name, JOURNAL_WARNING, "ProxyTouched",
                xasprintf("%s of %s, not by this controller: it gets its files again and has to "
                          "confirm them",
                          e->action, e->name));
}

static bool any_open(const struct controller *c)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        if (c->workers[i]->open_reason)
            return true;
    }
    return false;
}

static void on_event(struct controller *c, const struct engine_event *e)
{
    struct worker *w = e->name ? worker_of(c, e->name) : NULL;
    if (!w)
        w = worker_by_container(c, e->container);
    /* Also while a bottle is worked on, and of strangers: one may be where it doesn't belong, or be
     * there no longer. */
    bool may_open = is(e, "connect") || (!w && is(e, "start"));
    bool may_close = !w && is(e, "die") && any_open(c);
    if (may_open || may_close) {
        observe(c);
        c->guard_echoes = ECHOES;
        arm_echo(c, ECHO_AFTER_US[0]);
    }
    if (!w)
        return;
    /* Agents are exec'd into all day. */
    bool of_interest = !is(e, "exec_start") || is_proxy(role_of(c, e->id));
    if (!of_interest)
        return;
    const struct engine_info *info = engine_get_info(c->engine);
    bool replayed = info && e->time <= info->time; /* of what the lists show by now */
    if (!replayed)
        doubt(w, e);
    if (!replayed && !may_be_ours(w))
        tell(w, e);
    look_at(w);
    w->echoes = ECHOES;
    arm_echo(c, ECHO_AFTER_US[0]);
    controller_dispatch(c);
}

static bool on_line(void *ctx, int stream, struct sv line)
{
    (void)stream;
    json_t *v = json_loadb(line.p, line.n, 0, NULL);
    const json_t *actor = json_object_get(v, "Actor");
    const json_t *attributes = json_object_get(actor, "Attributes");
    struct engine_event e = {
        .action = json_string_value(json_object_get(v, "Action")),
        .id = json_string_value(json_object_get(actor, "ID")),
        .name = json_string_value(json_object_get(attributes, "name")),
        .container = json_string_value(json_object_get(attributes, "container")),
        .time = json_integer_value(json_object_get(v, "time")),
    };
    if (e.action && e.id)
        on_event(ctx, &e);
    json_decref(v);
    return true;
}

static void on_end(void *ctx, const struct engine_response *r)
{
    struct controller *c = ctx;
    c->events_id = 0;
    AUTO_ERR e = engine_check(r, "the engine's events");
    AUTO_ERR ended = e ? NULL : err_new(ERR_UNAVAILABLE, "the engine's event stream ended");
    engine_lost(c, e ? e : ended);
}

void events_open(struct controller *c)
{
    struct str path;
    str_init(&path, 4096);
    const struct engine_info *info = engine_get_info(c->engine);
    int64_t since = info && info->time > 2 ? info->time - 2 : 0;
    str_addf(&path, "/events?since=%" PRId64 "&filters=", since);
    str_add_url(&path, sv_of(filters), "");
    struct engine_request q = {.method = "GET", .path = path.p, .lane = LANE_CONTROL};
    c->events_id = engine_stream(c->engine, &q, on_line, on_end, c);
    str_done(&path);
}
