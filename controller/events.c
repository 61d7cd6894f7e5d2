/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's event stream: a hint that something of a bottle moved. Lists are the truth. */
#include "controller/controller.h"
#include "controller/log.h"
#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <string.h>

static const char filters[] = "{\"type\":[\"container\",\"network\",\"volume\"],\"event\":["
                              "\"create\",\"start\",\"die\",\"destroy\",\"rename\","
                              "\"pause\",\"unpause\",\"connect\",\"disconnect\"]}";

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
 * `die` at 52 ms, listed as running until 152 ms). So a look at once is followed by two more. */
#define ECHO_FIRST_US (300 * UINT64_C(1000))
#define ECHO_SECOND_US (1200 * UINT64_C(1000))
enum { ECHOES = 2 };

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
    bool more = false;
    (void)s;
    (void)usec;
    for (size_t i = 0; i < c->workers_len; i++) {
        struct worker *w = c->workers[i];
        if (!w->echoes)
            continue;
        w->echoes--;
        more = more || w->echoes;
        look_at(w);
    }
    if (more)
        arm_echo(c, ECHO_SECOND_US);
    controller_dispatch(c);
    return 0;
}

static bool on_line(void *ctx, int stream, struct sv line)
{
    struct controller *c = ctx;
    (void)stream;
    json_t *v = json_loadb(line.p, line.n, 0, NULL);
    const json_t *attributes = json_object_get(json_object_get(v, "Actor"), "Attributes");
    const char *name = json_string_value(json_object_get(attributes, "name"));
    struct worker *w = name ? worker_of(c, name) : NULL;
    if (!w)
        w = worker_by_container(c, json_string_value(json_object_get(attributes, "container")));
    const char *id = json_string_value(json_object_get(json_object_get(v, "Actor"), "ID"));
    const char *action = json_string_value(json_object_get(v, "Action"));
    /* Started by somebody else: what it runs now is read from its log again. */
    if (w && !w->exec && id && action && strcmp(action, "start") == 0)
        memory_forget_policy(&c->memory, id);
    json_decref(v);
    if (w) {
        look_at(w);
        w->echoes = ECHOES;
        arm_echo(c, ECHO_FIRST_US);
        controller_dispatch(c);
    }
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
