/* SPDX-License-Identifier: Apache-2.0 */
/* One look at the engine: four lists, however many bottles there are. */
#include "controller/controller.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum look_part { LOOK_CONTAINERS, LOOK_NETWORKS, LOOK_VOLUMES, LOOK_RUNNING, LOOK_PARTS };

struct look {
    struct controller *c;
    struct look_slot {
        struct look *look;
        uint64_t id;
        char *body;
        size_t n;
        bool done;
    } slots[LOOK_PARTS];
    struct err *error;
    unsigned pending;
};

static struct look *look_free(struct look *l)
{
    for (int i = 0; i < LOOK_PARTS; i++)
        free(l->slots[i].body);
    err_free(l->error);
    free(l);
    return NULL;
}

void observe_abort(struct controller *c)
{
    if (!c->look)
        return;
    for (int i = 0; i < LOOK_PARTS; i++)
        engine_cancel(c->engine, c->look->slots[i].id);
    c->look = look_free(c->look);
}

static bool anything_under_way(const struct controller *c)
{
    for (size_t i = 0; i < c->workers_len; i++) {
        if (c->workers[i]->exec)
            return true;
    }
    return false;
}

static void forget_what_is_gone(struct controller *c)
{
    /* What a plan in progress has just learned may be newer than this look. */
    if (anything_under_way(c))
        return;
    struct str_list running = {0};
    struct str_list all = {0};
    for (size_t i = 0; i < c->observed->containers_len; i++) {
        const struct observed_container *k = &c->observed->containers[i];
        if (k->proven && (k->state == RUN_RUNNING || k->state == RUN_PAUSED))
            str_list_add(&running, k->id);
        if (k->proven || k->probe)
            str_list_add(&all, k->id);
    }
    memory_keep_policies(&c->memory, &running);
    memory_keep_containers(&c->memory, &all);
    str_list_done(&running);
    str_list_done(&all);
}

static void note_probes(struct controller *c)
{
    for (size_t i = 0; i < c->observed->containers_len; i++) {
        const struct observed_container *k = &c->observed->containers[i];
        if (k->probe)
            memory_note_sight(&c->memory, k->id, now_ns(c));
    }
}

static struct err *take(struct controller *c, const struct look *l)
{
    struct observed *o = NULL;
    const struct look_slot *s = l->slots;
    TRY_CTX(observed_parse(state_installation(c->state), (struct sv){s[0].body, s[0].n},
                           (struct sv){s[1].body, s[1].n}, (struct sv){s[2].body, s[2].n}, &o),
            "its lists can't be read");
    struct err *e = observed_add_strangers(o, state_installation(c->state),
                                           (struct sv){s[LOOK_RUNNING].body, s[LOOK_RUNNING].n});
    if (e) {
        observed_free(o);
        return err_wrap(e, "its lists can't be read");
    }
    observed_free(c->observed);
    c->observed = o;
    forget_what_is_gone(c);
    note_probes(c);
    orphans_look(c);
    return NULL;
}

/* Only a look that has succeeded counts: no pass may decide on an older one than its own last
 * change. */
static void finish(struct look *l)
{
    struct controller *c = l->c;
    bool again = c->look_again;
    c->look = NULL;
    c->look_again = false;
    if (!l->error)
        l->error = take(c, l);
    if (l->error) {
        engine_lost(c, l->error); /* connecting again ends in a new look */
        look_free(l);
        return;
    }
    look_free(l);
    c->looks_done = c->looks_started;
    c->connect_failures = 0;
    for (size_t i = 0; i < c->workers_len; i++)
        worker_guard(c->workers[i]);
    controller_dispatch(c);
    if (again)
        observe(c);
}

static void part_done(void *ctx, const struct engine_response *r)
{
    struct look_slot *slot = ctx;
    struct look *l = slot->look;
    struct err *e = engine_check(r, "listing");
    if (e && !l->error) {
        l->error = e;
    } else if (e) {
        err_ignore(e, "the first failure is told");
    } else {
        slot->body = xmemdup0(r->body.p, r->body.n);
        slot->n = r->body.n;
    }
    slot->id = 0;
    if (--l->pending == 0)
        finish(l);
}

static char *path_of(const struct controller *c, enum look_part part)
{
    if (part == LOOK_NETWORKS)
        return xstrdup("/networks"); /* all of them: strangers' subnets count */
    if (part == LOOK_RUNNING)
        return xstrdup("/containers/json"); /* a stranger may be where it doesn't belong */
    struct str filter;
    str_init(&filter, 1024);
    str_addf(&filter, "{\"label\":[\"%s=%s\"]}", LABEL_INSTALLATION, state_installation(c->state));
    struct str path;
    str_init(&path, 4096);
    str_add(&path,
            part == LOOK_CONTAINERS ? "/containers/json?all=1&filters=" : "/volumes?filters=");
    str_add_url(&path, (struct sv){filter.p, filter.len}, "");
    str_done(&filter);
    return XNN(str_take(&path));
}

void observe(struct controller *c)
{
    if (!c->connected)
        return;
    if (c->look) {
        c->look_again = true;
        return;
    }
    struct look *l = xcalloc(1, sizeof(*l));
    l->c = c;
    l->pending = LOOK_PARTS;
    c->look = l;
    c->looks_started++;
    for (int i = 0; i < LOOK_PARTS; i++) {
        AUTO_FREE char *path = path_of(c, (enum look_part)i);
        struct engine_request q = {.method = "GET", .path = path, .lane = LANE_READ};
        l->slots[i].look = l;
        l->slots[i].id = engine_send(c->engine, &q, part_done, &l->slots[i]);
    }
}
