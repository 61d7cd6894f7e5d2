/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer means for its step, and what of it is remembered. */
#include "reconcile/clock.h"
#include "reconcile/exec_internal.h"
#include "render/files.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { ROOTS_MAX = 8 * 1024 * 1024 };

static struct err *take_id(const struct response *r, const char *key, const char *what, char **slot)
{
    json_t *v = json_loadb(r->body.p ? r->body.p : "", r->body.n, 0, NULL);
    const char *id = json_string_value(json_object_get(v, key));
    struct err *e = NULL;
    if (id && *id) {
        free(*slot);
        *slot = xstrdup(id);
    } else {
        e = err_new(ERR_UNAVAILABLE, "%s: the engine's answer has no %s", what, key);
    }
    json_decref(v);
    return e;
}

static struct err *image_answer(struct exec *x, const struct step *s, const struct response *r,
                                const char *what, uint64_t now_ns)
{
    struct image_info info = {0};
    if (!r->error && r->status == 404) {
        info.ref = xstrdup(s->object);
        memory_put_image(x->memory, &info, now_ns);
        return s->deps_len ? response_check(r, what) : NULL; /* a bare lookup may find nothing */
    }
    TRY(response_check(r, what));
    AUTO_ERR unreadable = image_info_parse(s->object, r->body, &info);
    if (unreadable)
        return err_new(ERR_UNAVAILABLE, "%s: %s", what, err_message(unreadable));
    memory_put_image(x->memory, &info, now_ns);
    return NULL;
}

static struct err *pull_answer(const struct exec *x, int step, const struct response *r,
                               const char *what)
{
    TRY(response_check(r, what));
    if (x->problems[step])
        return err_new(ERR_UNAVAILABLE, "%s: %s", what, x->problems[step]);
    return NULL;
}

static struct err *net_create_answer(struct exec *x, const struct step *s, const struct response *r,
                                     const char *what)
{
    struct cidr c;
    if (!r->error && r->status == 403 && response_says(r, "overlap") && cidr_parse(s->detail, &c))
        cidr_set_add(&x->memory->refused,
                     c); /* overlaps what no list shows: the next plan takes another */
    TRY(response_check(r, what));
    return take_id(r, "Id", what, &x->net_id[s->net]);
}

static struct err *net_inspect_answer(struct exec *x, const struct step *s,
                                      const struct response *r, const char *what)
{
    if (!r->error && r->status == 404) {
        memory_forget_busy(x->memory, s->id);
        return NULL;
    }
    TRY(response_check(r, what));
    json_t *v = json_loadb(r->body.p, r->body.n, 0, NULL);
    json_t *members = json_object_get(v, "Containers");
    struct str_list attached = {0};
    const char *id = NULL;
    json_t *member = NULL;
    json_object_foreach(members, id, member)
    {
        /* "ep-…" is an endpoint that lost its container; the engine detaches it by name only. */
        const char *name = json_string_value(json_object_get(member, "Name"));
        if (str_is_hex(id, strlen(id)))
            str_list_add(&attached, id);
        else if (name && *name)
            str_list_add(&attached, name);
    }
    json_decref(v);
    memory_put_busy(x->memory, s->id, &attached);
    str_list_done(&attached);
    return NULL;
}

static struct err *net_remove_answer(struct exec *x, const struct step *s, const struct response *r,
                                     const char *what)
{
    memory_forget_busy(x->memory, s->id);
    if (!r->error && r->status == 404)
        return NULL;
    if (!r->error && r->status == 403)
        memory_put_busy(x->memory, s->id, NULL);
    return response_check(r, what);
}

/* Creating a volume that is there already succeeds, whoever made it. */
static struct err *volume_answer(const struct exec *x, const struct step *s,
                                 const struct response *r, const char *what)
{
    TRY(response_check(r, what));
    json_t *v = json_loadb(r->body.p, r->body.n, 0, NULL);
    json_t *labels = json_object_get(v, "Labels");
    const char *self = json_string_value(json_object_get(labels, LABEL_SELF));
    const char *installation = json_string_value(json_object_get(labels, LABEL_INSTALLATION));
    bool ours = self && s->object && strcmp(self, s->object) == 0 && installation &&
                strcmp(installation, x->desired->installation) == 0;
    bool known = json_object_get(v, "Name") != NULL;
    json_decref(v);
    if (!known)
        return err_new(ERR_UNAVAILABLE, "%s: the engine's answer has no Name", what);
    if (!ours)
        return err_new(ERR_CONFLICT,
                       "%s: a volume of that name exists that this installation did not make: "
                       "remove it, or use another --instance",
                       what);
    return NULL;
}

static struct err *create_answer(struct exec *x, const struct step *s, const struct response *r,
                                 const char *what)
{
    if (!r->error && r->status == 404) {
        memory_forget_image(x->memory, s->detail);
    } else if (!r->error && r->status == 409) {
        return err_new(
            ERR_CONFLICT,
            "%s: a container of that name exists that this installation did not make, or was not "
            "listed yet: remove or rename it, or use another --instance",
            what);
    }
    TRY(response_check(r, what));
    return take_id(r, "Id", what, &x->ctr_id[s->role]);
}

static struct err *start_answer(struct exec *x, const struct step *s, const struct response *r,
                                const char *what)
{
    if (!r->error && r->status == 404)
        memory_put_unstartable(x->memory, exec_container_id(x, s));
    return response_check(r, what);
}

static struct err *remove_answer(struct exec *x, const struct step *s, const struct response *r,
                                 const char *what)
{
    bool gone = !r->error && r->status == 404;
    struct err *e = gone ? NULL : response_check(r, what);
    if (!e)
        memory_forget_unstartable(x->memory, s->id);
    return e;
}

/* An agent trusts from now on what it was given. */
static struct err *upload_answer(struct exec *x, const struct step *s, const struct response *r,
                                 const char *what)
{
    TRY(response_check(r, what));
    const struct desired_container *want = x->desired ? desired_find(x->desired, s->role) : NULL;
    if (want && want->trust_hash)
        memory_put_trust(x->memory, s->object, exec_container_id(x, s), want->trust_hash);
    return NULL;
}

static struct err *roots_answer(struct exec *x, const struct response *r, const char *what)
{
    if (!r->error && r->status == 404)
        return NULL; /* an image without that trust store */
    TRY(response_check(r, what));
    AUTO_ERR e = tar_read_first(r->body, ROOTS_MAX, &x->roots, &x->roots_n);
    if (e && err_kind(e) != ERR_NOT_FOUND)
        return err_new(ERR_UNAVAILABLE, "%s: %s", what, err_message(e));
    return NULL;
}

static struct err *clock_answer(struct exec *x, const struct step *s, const struct response *r,
                                const char *what)
{
    TRY(response_check(r, what));
    json_t *v = json_loadb(r->body.p, r->body.n, 0, NULL);
    const char *now = json_string_value(json_object_get(v, "SystemTime"));
    char *since = now ? clock_since(now) : NULL;
    json_decref(v);
    if (!since)
        return err_new(ERR_UNAVAILABLE, "%s: the engine's SystemTime can't be read", what);
    free(x->since[s->role]);
    x->since[s->role] = since;
    return NULL;
}

/* Is it sealed as asked? Remembered either way. `other`: what is wanted now says only of some of it
 * how it was asked for. */
static struct err *seal_answer(struct exec *x, const struct step *s, const struct response *r,
                               const char *what, bool other, bool must)
{
    const struct desired_container *want = x->desired ? desired_find(x->desired, s->role) : NULL;
    if (!want)
        return NULL;
    struct seal seal = {0};
    TRY_CTX((other ? seal_check_other : seal_check)(want, x->caps->cpus, r->body, &seal), "%s",
            what);
    struct err *e = NULL;
    if (must && seal.state == SEAL_BROKEN)
        e = err_new(ERR_INVALID,
                    "%s: the engine did not make it as asked, so it is not started: %s", what,
                    seal.why);
    memory_put_seal(x->memory, exec_container_id(x, s), want->limits, &seal);
    return e;
}

static struct err *verify_answer(struct exec *x, const struct step *s, const struct response *r,
                                 const char *what)
{
    TRY(response_check(r, what));
    return seal_answer(x, s, r, what, false, true);
}

static struct err *update_answer(struct exec *x, const struct step *s, const struct response *r,
                                 const char *what)
{
    TRY(response_check(r, what));
    memory_tried_limits(x->memory, exec_container_id(x, s));
    return NULL;
}

/* Made for another generation of the bottle. */
static bool is_of_another(const struct exec *x, const struct step *s, const json_t *inspect)
{
    const struct desired_container *want = x->desired ? desired_find(x->desired, s->role) : NULL;
    const json_t *labels = json_object_get(json_object_get(inspect, "Config"), "Labels");
    const char *spec = json_string_value(json_object_get(labels, LABEL_SPEC_HASH));
    return want && spec && !desired_is_spec(want, spec);
}

/* The last run's end; an engine says year 1 when there was none. */
static struct err *inspect_answer(struct exec *x, const struct step *s, const struct response *r,
                                  const char *what)
{
    if (!r->error && r->status == 404)
        return NULL; /* gone: the next look sees it */
    TRY(response_check(r, what));
    json_t *v = json_loadb(r->body.p, r->body.n, 0, NULL);
    const char *at = json_string_value(json_object_get(json_object_get(v, "State"), "FinishedAt"));
    char *since = at ? clock_since(at) : NULL;
    bool other = is_of_another(x, s, v);
    json_decref(v);
    if (!since)
        return err_new(ERR_UNAVAILABLE, "%s: the engine's FinishedAt can't be read", what);
    free(x->since[s->role]);
    x->since[s->role] = since;
    if (*since == '-') {
        free(since);
        x->since[s->role] = NULL;
    }
    return seal_answer(x, s, r, what, other, false);
}

static struct err *confirm_answer(struct exec *x, int step, const struct response *r,
                                  const char *what)
{
    const struct step *s = &x->plan->steps[step];
    const struct confirm *c = &x->confirms[step];
    const struct desired_container *want = desired_find(x->desired, s->role);
    const char *id = exec_container_id(x, s);
    bool same = confirm_complete(c) && strcmp(c->config_hash, want->config_hash) == 0 &&
                (!want->generation || strcmp(c->generation, want->generation) == 0);
    if (same) {
        memory_put_policy(x->memory, id, c->config_hash, c->generation);
        return NULL;
    }
    AUTO_ERR transport = response_check(r, what);
    /* A log that couldn't be followed says nothing against the proxy: it is read again. */
    if (transport && err_kind(transport) != ERR_TIMEOUT)
        memory_forget_policy(x->memory, id);
    else
        memory_policy_failed(x->memory, id);
    const char *end = !transport                           ? "it ended"
                      : err_kind(transport) == ERR_TIMEOUT ? "no confirmation came in time"
                                                           : err_message(transport);
    return err_new(ERR_UNAVAILABLE, "%s did not confirm its policy %.12s: %s%s%s", s->object,
                   want->config_hash, end, c->last_bad ? "; its log says: " : "",
                   c->last_bad ? c->last_bad : "");
}

static struct err *scan_answer(struct exec *x, int step, const struct response *r, const char *what)
{
    const struct step *s = &x->plan->steps[step];
    const struct confirm *c = &x->confirms[step];
    if (!r->error && r->status == 404)
        return NULL;
    TRY(response_check(r, what));
    bool complete = confirm_complete(c);
    memory_put_policy(x->memory, s->id, complete ? c->config_hash : NULL,
                      complete ? c->generation : NULL);
    return NULL;
}

/* Nothing is said of what didn't end well: the container stays until the next pass, for its log. */
static struct err *guard_answer(struct exec *x, const struct step *s, const struct response *r,
                                const char *what)
{
    TRY(response_check(r, what));
    json_t *v = json_loadb(r->body.p ? r->body.p : "", r->body.n, 0, NULL);
    const json_t *code = json_object_get(v, "StatusCode");
    bool well = json_is_integer(code) && json_integer_value(code) == 0;
    json_decref(v);
    if (!well)
        return err_new(ERR_UNAVAILABLE,
                       "the engine's host still takes packets from the bottle's internal networks: "
                       "`docker logs %s` says why; the agent is not started",
                       s->object);
    for (int n = 0; n < NET_COUNT; n++) {
        if (x->desired->networks[n].internal && x->net_id[n])
            memory_put_guarded(x->memory, x->net_id[n]);
    }
    return NULL;
}

/* Answers which say that what was asked for is so already. */
static bool already_so(const struct step *s, const struct response *r)
{
    if (r->error)
        return false;
    switch ((int)s->kind) {
    case STEP_NET_CONNECT:
        return r->status == 403 && response_says(r, "already exists in network");
    case STEP_NET_DISCONNECT:
        return r->status == 404 || response_says(r, "is not connected to");
    case STEP_VOL_REMOVE:
    case STEP_CTR_STOP:
    case STEP_GUARD_REMOVE:
        return r->status == 404;
    case STEP_CTR_PAUSE: /* one that has ended does nothing any more either */
        return r->status == 404 || response_says(r, "already paused") ||
               response_says(r, "is not running");
    case STEP_CTR_UNPAUSE:
        return response_says(r, "is not paused");
    default:
        return false;
    }
}

struct err *exec_answer(struct exec *x, int step, const struct response *r, uint64_t now_ns)
{
    const struct step *s = &x->plan->steps[step];
    AUTO_FREE char *what = xasprintf("%s %s%s", step_kind_name(s->kind), s->object ? s->object : "",
                                     s->next ? NEXT_SUFFIX : "");
    if (already_so(s, r))
        return NULL;
    switch ((int)s->kind) {
    case STEP_IMAGE_INSPECT:
        return image_answer(x, s, r, what, now_ns);
    case STEP_IMAGE_PULL:
        return pull_answer(x, step, r, what);
    case STEP_NET_CREATE:
        return net_create_answer(x, s, r, what);
    case STEP_NET_INSPECT:
        return net_inspect_answer(x, s, r, what);
    case STEP_NET_REMOVE:
        return net_remove_answer(x, s, r, what);
    case STEP_VOL_CREATE:
        return volume_answer(x, s, r, what);
    case STEP_CTR_CREATE:
        return create_answer(x, s, r, what);
    case STEP_GUARD_CREATE:
        TRY(response_check(r, what));
        return take_id(r, "Id", what, &x->guard_id);
    case STEP_GUARD_WAIT:
        return guard_answer(x, s, r, what);
    case STEP_CTR_START:
        return start_answer(x, s, r, what);
    case STEP_CTR_REMOVE:
        return remove_answer(x, s, r, what);
    case STEP_CTR_UPLOAD:
        return upload_answer(x, s, r, what);
    case STEP_CTR_ROOTS:
        return roots_answer(x, r, what);
    case STEP_CLOCK:
        return clock_answer(x, s, r, what);
    case STEP_CTR_INSPECT:
        return inspect_answer(x, s, r, what);
    case STEP_CTR_VERIFY:
        return verify_answer(x, s, r, what);
    case STEP_CTR_UPDATE:
        return update_answer(x, s, r, what);
    case STEP_CTR_CONFIRM:
        return confirm_answer(x, step, r, what);
    case STEP_CTR_SCAN:
        return scan_answer(x, step, r, what);
    default:
        return response_check(r, what);
    }
}
