/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/activity.h"

#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>

enum { EXEC_ID_HEX = 64 };

static bool is_activity(const json_t *v)
{
    const char *event = json_string_value(json_object_get(v, "event"));
    const char *since = json_string_value(json_object_get(v, "since"));
    const json_t *n = json_object_get(v, "in_flight");
    int64_t s = 0;
    uint32_t ns = 0;
    return event && strcmp(event, "activity") == 0 && since && clock_parse(since, &s, &ns) &&
           json_is_integer(n) && json_integer_value(n) >= 0 &&
           json_integer_value(n) <= ACTIVITY_IN_FLIGHT_MAX;
}

void activity_log_line(struct activity *a, struct sv line)
{
    if (line.n > ACTIVITY_LINE_MAX)
        return;
    json_t *v = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    if (is_activity(v)) {
        a->known = true;
        a->in_flight = (unsigned)json_integer_value(json_object_get(v, "in_flight"));
    }
    json_decref(v);
}

static struct err *exec_ids(const json_t *container, struct str_list *ret)
{
    const json_t *ids = json_object_get(container, "ExecIDs");
    if (json_is_null(ids))
        return NULL;
    if (!json_is_array(ids))
        return err_new(ERR_UNAVAILABLE,
                       "the engine's list of exec sessions (ExecIDs) can't be read");
    if (json_array_size(ids) > ACTIVITY_EXECS_MAX)
        return err_new(ERR_UNAVAILABLE, "%zu exec sessions, at most %d are looked at",
                       json_array_size(ids), ACTIVITY_EXECS_MAX);
    size_t i = 0;
    const json_t *id = NULL;
    json_array_foreach(ids, i, id)
    {
        const char *text = json_string_value(id);
        if (!text || strlen(text) != EXEC_ID_HEX || !str_is_hex(text, EXEC_ID_HEX))
            return err_new(ERR_UNAVAILABLE, "exec session %zu has no id of %d hexadecimal digits",
                           i, EXEC_ID_HEX);
    }
    json_array_foreach(ids, i, id) str_list_add(ret, json_string_value(id));
    return NULL;
}

struct err *activity_exec_ids(struct sv container_inspect, struct str_list *ret)
{
    json_t *v = json_loadb(container_inspect.p, container_inspect.n, 0, NULL);
    struct err *e = exec_ids(v, ret);
    json_decref(v);
    return e;
}

struct err *activity_exec(struct activity *a, struct sv exec_inspect)
{
    json_t *v = json_loadb(exec_inspect.p, exec_inspect.n, 0, NULL);
    const json_t *running = json_object_get(v, "Running");
    bool readable = json_is_boolean(running);
    if (!readable)
        a->known = false;
    else if (json_is_true(running))
        a->execs++;
    json_decref(v);
    return readable ? NULL
                    : err_new(ERR_UNAVAILABLE,
                              "the engine doesn't say whether an exec session runs (Running)");
}

bool activity_idle(const struct activity *a)
{
    return a->known && !a->execs && !a->in_flight;
}

static void add_count(struct str *out, unsigned n, const char *one, const char *many)
{
    if (n)
        str_addf(out, "%s%u %s", out->len ? ", " : "", n, n == 1 ? one : many);
}

char *activity_text(const struct activity *a)
{
    enum { TEXT_MAX = 128 };
    struct str out;
    str_init(&out, TEXT_MAX);
    add_count(&out, a->execs, "exec session", "exec sessions");
    if (!a->known)
        str_addf(&out, "%sit isn't known what is in flight", out.len ? ", " : "");
    else
        add_count(&out, a->in_flight, "request in flight", "requests in flight");
    if (!out.len)
        str_add(&out, "nothing in flight");
    return XNN(str_take(&out));
}
