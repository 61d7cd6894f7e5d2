/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/planning.h"

#include "controller/cli.h"
#include "reconcile/clock.h"
#include "render/summary.h"
#include "spec/base/xalloc.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is there --------------------------------------------------------------------------- */

static bool is_of(const struct observed_owner *o, bool proven, const char *bottle)
{
    return proven && o->bottle && strcmp(o->bottle, bottle) == 0;
}

static json_t *container_json(const struct observed_container *c)
{
    struct str_list nets = {0};
    for (size_t i = 0; i < c->net_ids_len; i++)
        str_list_add(&nets, c->net_ids[i]);
    str_list_sort_unique(&nets);
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < nets.len; i++)
        json_array_append_new(list, XNN(json_string(nets.items[i])));
    str_list_done(&nets);
    return XNN(json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o}", "kind", "container", "name", c->name,
                         "id", c->id, "state", run_state_name(c->state), "specHash",
                         c->owner.spec_hash, "networks", list));
}

/* Everything of the bottle, by kind and name. */
static json_t *world_json(const struct worker *w)
{
    const struct observed *o = w->c->observed;
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < o->containers_len; i++) {
        if (is_of(&o->containers[i].owner, o->containers[i].proven, w->name))
            json_array_append_new(list, container_json(&o->containers[i]));
    }
    for (size_t i = 0; i < o->networks_len; i++) {
        if (is_of(&o->networks[i].owner, o->networks[i].proven, w->name))
            json_array_append_new(list,
                                  XNN(json_pack("{s:s, s:s, s:s}", "kind", "network", "name",
                                                o->networks[i].name, "id", o->networks[i].id)));
    }
    for (size_t i = 0; i < o->volumes_len; i++) {
        if (is_of(&o->volumes[i].owner, o->volumes[i].proven, w->name))
            json_array_append_new(
                list, XNN(json_pack("{s:s, s:s}", "kind", "volume", "name", o->volumes[i].name)));
    }
    return list;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static json_t *hashes_json(const struct kv_list *l)
{
    json_t *o = XNN(json_object());
    for (size_t i = 0; i < l->len; i++)
        json_object_set_new(o, l->items[i].key, XNN(json_string(l->items[i].value)));
    return o;
}

static const char *problem_of(const struct worker *w)
{
    const struct catalog_entry *e = catalog_find(&w->c->catalog, w->name);
    if (e && e->message)
        return e->message;
    return w->secrets_problem ? w->secrets_problem : w->unsupported ? w->unsupported : w->problem;
}

/* NULL: no manifest wants it. */
static const struct bottle *wanted_bottle(const struct worker *w)
{
    return w->desired ? rollout_bottle(w) : NULL;
}

static json_t *bottle_json(const struct worker *w)
{
    const struct bottle *b = wanted_bottle(w);
    json_t *o = plan_json(w->plan);
    AUTO_FREE char *summary = b ? summary_hosts(b) : NULL;
    json_t *more = XNN(
        json_pack("{s:s?, s:s?, s:o, s:o, s:s?, s:b, s:b, s:o, s:o}", "summary", summary, "problem",
                  problem_of(w), "changes", changes_json(&w->rollout.changes), "effects",
                  fates_json(w->plan), "manifest", b ? b->text : NULL, "suspended",
                  (int)worker_is_suspended(w), "leftAlone", (int)worker_leaves_alone(w, w->plan),
                  "secrets", hashes_json(&w->secret_hashes), "world", world_json(w)));
    if (json_object_update(o, more) != 0)
        xoom();
    json_decref(more);
    const struct grave *g = deletion_of(w);
    json_object_set_new(o, "deletion", deletion_plan_json(w));
    if (g && g->verdict == GRAVE_HELD)
        json_object_set_new(o, "held", json_string(g->message));
    return o;
}

static void print_bottle(const struct worker *w, struct str *text)
{
    const struct bottle *b = wanted_bottle(w);
    AUTO_FREE char *summary = b ? summary_hosts(b) : NULL;
    str_addf(text, "%s: %s\n", w->name, summary ? summary : "no manifest wants it");
    const char *problem = problem_of(w);
    if (problem)
        str_addf(text, "  ! %s\n", problem);
    if (plan_mutates(w->plan) && worker_leaves_alone(w, w->plan))
        str_add(text, "  ! suspended: what follows is done once it is resumed\n");
    costs_print(w->plan, &w->rollout.changes, text);
    if (w->plan->steps_len || w->plan->why || w->plan->waits)
        plan_print(w->plan, text);
    else
        str_add(text, "  no change\n");
    deletion_plan_text(w, text);
}

static json_t *document(const struct controller *c, struct str *text)
{
    char now[CLOCK_TEXT];
    clock_format((int64_t)time(NULL), now);
    json_t *list = XNN(json_array());
    for (size_t i = 0; i < c->workers_len; i++) {
        if (!c->workers[i]->plan)
            continue;
        if (text)
            print_bottle(c->workers[i], text);
        json_array_append_new(list, bottle_json(c->workers[i]));
    }
    return XNN(json_pack("{s:s, s:s, s:s, s:o, s:o}", "format_version", PLAN_FORMAT, "kind", "Plan",
                         "createdAt", now, "options", options_json(&c->opt), "bottles", list));
}

static struct err *looked(const struct controller *c, int code)
{
    if (code == EXIT_USAGE || !c->observed)
        return err_new(ERR_UNAVAILABLE, "the engine could not be asked");
    if (c->manifests_error)
        return err_new(ERR_UNAVAILABLE, "%s", c->manifests_error);
    if (sources_problem(c))
        return err_new(ERR_UNAVAILABLE, "%s", sources_problem(c));
    return NULL;
}

struct err *controller_plan(const struct controller_options *opt, struct str *text,
                            json_t **ret_document)
{
    struct controller c;
    int code = 0;
    controller_init(&c, opt);
    c.opt.mode = MODE_PLAN;
    struct err *e = controller_run_whole(&c, &code);
    if (!e)
        e = looked(&c, code);
    if (!e)
        *ret_document = document(&c, text);
    controller_close(&c);
    return e;
}

/* ---- a document's options -------------------------------------------------------------------- */

/* No text that isn't UTF-8 stands in a document: `apply` then says that the plan isn't whole. */
static json_t *text_json(const char *text)
{
    json_t *v = text ? json_string(text) : NULL;
    return v ? v : json_null();
}

static json_t *absolute(const char *path)
{
    AUTO_FREE char *real = path ? realpath(path, NULL) : NULL;
    return text_json(real ? real : path);
}

json_t *options_json(const struct controller_options *opt)
{
    json_t *dirs = XNN(json_array());
    json_t *images = XNN(json_object());
    for (size_t i = 0; opt->manifests && i < opt->manifests->len; i++)
        json_array_append_new(dirs, absolute(opt->manifests->items[i]));
    for (int r = 0; r < ROLE_COUNT; r++) {
        if (opt->image[r])
            json_object_set_new(images, role_info((enum role)r)->name,
                                XNN(json_string(opt->image[r])));
    }
    json_t *deletion = XNN(json_pack(
        "{s:I, s:I, s:I}", "graceSeconds", (json_int_t)(opt->deletion.grace_ns / NS_PER_S), "max",
        (json_int_t)opt->deletion.max, "maxPercent", (json_int_t)opt->deletion.max_percent));
    return XNN(json_pack("{s:o, s:o, s:o, s:o, s:s?, s:o, s:s?, s:s?, s:o, s:o, s:o}", "deletion",
                         deletion, "manifests", dirs, "git", from_git_json(opt), "state",
                         absolute(opt->state_dir), "engine", opt->engine, "secrets",
                         absolute(opt->secrets_dir), "instance", opt->instance, "addressPool",
                         opt->address_pool, "upstreamCa", absolute(opt->upstream_ca_file), "policy",
                         absolute(opt->policy_file), "images", images));
}

struct err *options_of_document(const json_t *doc, struct str_list *dirs,
                                struct controller_options *ret)
{
    const char *format = json_string_value(json_object_get(doc, "format_version"));
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    const json_t *o = json_object_get(doc, "options");
    if (!kind || strcmp(kind, "Plan") != 0 || !json_is_object(o) ||
        !json_is_array(json_object_get(doc, "bottles")))
        return err_new(ERR_INVALID,
                       "it is no plan: expected what `bottler plan --out` has written");
    if (!format || strcmp(format, PLAN_FORMAT) != 0)
        return err_new(ERR_INVALID, "its format_version is %s, this version reads %s: plan again",
                       format ? format : "missing", PLAN_FORMAT);
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(json_object_get(o, "manifests"), i, v)
    {
        if (json_is_string(v))
            str_list_add(dirs, json_string_value(v));
    }
    *ret = (struct controller_options){
        .manifests = dirs,
        .state_dir = json_string_value(json_object_get(o, "state")),
        .engine = json_string_value(json_object_get(o, "engine")),
        .secrets_dir = json_string_value(json_object_get(o, "secrets")),
        .instance = json_string_value(json_object_get(o, "instance")),
        .address_pool = json_string_value(json_object_get(o, "addressPool")),
        .upstream_ca_file = json_string_value(json_object_get(o, "upstreamCa")),
        .policy_file = json_string_value(json_object_get(o, "policy"))};
    const json_t *deletion = json_object_get(o, "deletion");
    ret->deletion = (struct graves_limits){
        .grace_ns =
            (uint64_t)json_integer_value(json_object_get(deletion, "graceSeconds")) * NS_PER_S,
        .max = (unsigned)json_integer_value(json_object_get(deletion, "max")),
        .max_percent = (unsigned)json_integer_value(json_object_get(deletion, "maxPercent"))};
    for (int r = 0; r < ROLE_COUNT; r++)
        ret->image[r] = json_string_value(
            json_object_get(json_object_get(o, "images"), role_info((enum role)r)->name));
    TRY(from_git_options(json_object_get(o, "git"), ret));
    if ((!dirs->len && !ret->git_url) || !ret->state_dir || !ret->instance || !ret->address_pool)
        return err_new(ERR_INVALID, "its options are not whole: plan again");
    return NULL;
}

/* ---- what has moved -------------------------------------------------------------------------- */

static const json_t *named(const json_t *list, const char *key, const char *name)
{
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(list, i, v)
    {
        const char *text = json_string_value(json_object_get(v, key));
        if (text && strcmp(text, name) == 0)
            return v;
    }
    return NULL;
}

static const char *text_of(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));
    return text ? text : "none";
}

/* A container and a network of a bottle may have one name. */
static const json_t *same_object(const json_t *list, const json_t *as)
{
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(list, i, v)
    {
        if (strcmp(text_of(v, "kind"), text_of(as, "kind")) == 0 &&
            strcmp(text_of(v, "name"), text_of(as, "name")) == 0)
            return v;
    }
    return NULL;
}

static void moved_object(const char *bottle, const json_t *was, const json_t *is, struct str *text)
{
    const char *name = text_of(is ? is : was, "name");
    const char *kind = text_of(is ? is : was, "kind");
    if (!was)
        str_addf(text, "%s: %s '%s' has appeared\n", bottle, kind, name);
    else if (!is)
        str_addf(text, "%s: %s '%s' is gone\n", bottle, kind, name);
    else if (strcmp(text_of(was, "id"), text_of(is, "id")) != 0)
        str_addf(text, "%s: %s '%s' is another one\n", bottle, kind, name);
    else if (strcmp(text_of(was, "state"), text_of(is, "state")) != 0)
        str_addf(text, "%s: '%s' was %s and is %s\n", bottle, name, text_of(was, "state"),
                 text_of(is, "state"));
    else
        str_addf(text, "%s: '%s' is on other networks\n", bottle, name);
}

static void moved_world(const char *bottle, const json_t *was, const json_t *is, struct str *text)
{
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(was, i, v)
    {
        const json_t *now = same_object(is, v);
        if (!now || !json_equal(v, now))
            moved_object(bottle, v, now, text);
    }
    json_array_foreach(is, i, v)
    {
        if (!same_object(was, v))
            moved_object(bottle, NULL, v, text);
    }
}

/* Canonical texts; NULL: nobody wants it. */
static void moved_manifest(const char *bottle, const char *was, const char *is, struct str *text)
{
    if (!was || !is) {
        if (was || is)
            str_addf(text, "%s: its manifest has %s\n", bottle, is ? "appeared" : "gone");
        return;
    }
    struct change_list l = {0};
    if (strcmp(was, is) != 0)
        changes_find(was, is, &l);
    for (size_t i = 0; i < l.len; i++)
        str_addf(text, "%s: %s was %s and is %s\n", bottle, l.items[i].field,
                 l.items[i].old_text ? l.items[i].old_text : "not there",
                 l.items[i].new_text ? l.items[i].new_text : "not there");
    if (!l.len && strcmp(was, is) != 0)
        str_addf(text, "%s: its manifest is written otherwise\n", bottle);
    change_list_done(&l);
}

/* A bottle of which nothing stands has no old values: its hashes may be of another key. */
static void moved_secrets(const char *bottle, const json_t *was, const json_t *is, struct str *text)
{
    if (!json_array_size(json_object_get(is, "world")))
        return;
    const char *key = NULL;
    json_t *v = NULL;
    json_object_foreach(json_object_get(is, "secrets"), key, v)
    {
        const json_t *old = json_object_get(json_object_get(was, "secrets"), key);
        if (old && !json_equal(old, v))
            str_addf(text, "%s: secret '%s' has another value\n", bottle, key);
    }
}

static void moved_bottle(const char *bottle, const json_t *was, const json_t *is, struct str *text)
{
    size_t before = text->len;
    moved_manifest(bottle, json_string_value(json_object_get(was, "manifest")),
                   json_string_value(json_object_get(is, "manifest")), text);
    moved_world(bottle, json_object_get(was, "world"), json_object_get(is, "world"), text);
    moved_secrets(bottle, was, is, text);
    if (text->len == before &&
        !json_equal(json_object_get(was, "steps"), json_object_get(is, "steps")))
        str_addf(text, "%s: other steps are needed now\n", bottle);
    if (text->len == before && strcmp(text_of(was, "problem"), text_of(is, "problem")) != 0)
        str_addf(text, "%s: %s\n", bottle, text_of(is, "problem"));
}

static void moved(const json_t *was, const json_t *is, struct str *text)
{
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(json_object_get(was, "bottles"), i, v)
    {
        const char *name = text_of(v, "bottle");
        const json_t *now = named(json_object_get(is, "bottles"), "bottle", name);
        if (now)
            moved_bottle(name, v, now, text);
        else
            str_addf(text, "%s: neither wanted nor there any more\n", name);
    }
    json_array_foreach(json_object_get(is, "bottles"), i, v)
    {
        const char *name = text_of(v, "bottle");
        if (!named(json_object_get(was, "bottles"), "bottle", name))
            str_addf(text, "%s: not in the plan\n", name);
    }
}

/* ---- carrying out ---------------------------------------------------------------------------- */

struct planning {
    const json_t *document;
    struct str *text;
    bool begun;
};

static int left_to_do(const struct controller *c, struct str *text)
{
    int code = EXIT_OK;
    for (size_t i = 0; i < c->workers_len; i++) {
        const struct worker *w = c->workers[i];
        const char *why = w->problem ? w->problem : w->plan ? w->plan->why : NULL;
        if (!why && (!w->plan || !plan_mutates(w->plan) || worker_leaves_alone(w, w->plan)))
            continue;
        code = EXIT_DIFFERS;
        str_addf(text, "%s: %s\n", w->name, why ? why : "something is left to do: plan again");
    }
    return code;
}

void planning_settled(struct controller *c)
{
    struct planning *p = c->planning;
    if (p->begun) {
        controller_stop(c, left_to_do(c, p->text));
        return;
    }
    p->begun = true;
    AUTO_ERR blind = looked(c, 0);
    if (blind) {
        str_addf(p->text, "%s\n", err_message(blind));
        controller_stop(c, EXIT_REFUSED);
        return;
    }
    json_t *now = document(c, NULL);
    moved(p->document, now, p->text);
    json_decref(now);
    if (p->text->len) {
        controller_stop(c, EXIT_REFUSED);
        return;
    }
    for (size_t i = 0; i < c->workers_len; i++)
        worker_carry_out(c->workers[i]);
    controller_dispatch(c);
}

struct err *controller_apply(const struct controller_options *opt, const json_t *doc,
                             struct str *text, int *ret_exit)
{
    struct controller c;
    struct planning p = {.document = doc, .text = text};
    controller_init(&c, opt);
    c.opt.mode = MODE_APPLY;
    c.planning = &p;
    struct err *e = controller_run_whole(&c, ret_exit);
    controller_close(&c);
    return e;
}
