/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/status.h"

#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <string.h>

enum { MESSAGE_MAX = 2048 };

const char *condition_name(enum condition_type t)
{
    static const char *const names[COND_COUNT] = {
        [COND_SPEC_ACCEPTED] = "SpecAccepted",
        [COND_SECRETS_RESOLVED] = "SecretsResolved",
        [COND_ISOLATED] = "Isolated",
        [COND_POLICY_EFFECTIVE] = "PolicyEffective",
        [COND_READY] = "Ready",
        [COND_RECONCILING] = "Reconciling",
        [COND_STALLED] = "Stalled",
        [COND_SUSPENDED] = "Suspended",
        [COND_UPDATE_PENDING] = "UpdatePending",
        [COND_PRUNE_HELD] = "PruneHeld",
    };
    return names[t];
}

const char *truth_name(enum truth t)
{
    return t == TRUTH_TRUE ? "True" : t == TRUTH_FALSE ? "False" : "Unknown";
}

void conditions_done(struct conditions *c)
{
    for (int i = 0; i < COND_COUNT; i++)
        free(c->of[i].message);
    *c = (struct conditions){0};
}

/* A judgement: what a condition is to become. */
struct verdict {
    bool present;
    enum truth status;
    const char *reason;
    char *message;
};

static struct verdict yes(const char *reason, char *message)
{
    return (struct verdict){true, TRUTH_TRUE, reason, message};
}

static struct verdict no(const char *reason, char *message)
{
    return (struct verdict){true, TRUTH_FALSE, reason, message};
}

static struct verdict unknown(const char *reason, char *message)
{
    return (struct verdict){true, TRUTH_UNKNOWN, reason, message};
}

static struct verdict absent(void)
{
    return (struct verdict){0};
}

/* A file that can be read but not understood is a fault of it, anything else may be none. */
static struct verdict spec_held(const struct catalog_entry *e, const char *text)
{
    const char *reason = e->held_reason;
    if (strcmp(reason, "Unparsable") == 0)
        return no(reason, xasprintf("%s; the last good generation stays", text));
    return unknown(reason,
                   xasprintf("what its manifest says can't be told now, the last good generation "
                             "stays%s%s",
                             *text ? ": " : "", text));
}

static struct verdict spec_accepted(const struct status_input *in)
{
    const char *fate = in->grave ? in->grave->message : "nothing is done about it now";
    if (!in->entry)
        return no("NoManifest", xasprintf("no manifest wants this bottle; %s", fate));
    const char *text = in->entry->message ? in->entry->message : "";
    switch (in->entry->state) {
    case ENTRY_ACCEPTED:
        return yes("Accepted",
                   xasprintf("generation %lld from %s%s%s%s", (long long)in->entry->generation,
                             in->entry->file ? in->entry->file : "the manifests",
                             in->entry->also ? "; also in " : "",
                             in->entry->also ? in->entry->also : "",
                             in->entry->also ? ", which has less priority" : ""));
    case ENTRY_REJECTED:
        return no(
            in->entry->forbidden ? "PolicyViolation" : "Invalid",
            xasprintf("%s%s", text, in->entry->bottle ? "; the last good generation stays" : ""));
    case ENTRY_HELD:
        return spec_held(in->entry, text);
    case ENTRY_GONE:
        return no("Removed", xasprintf("its manifest is gone; %s", fate));
    }
    return unknown("Unknown", xstrdup(""));
}

static struct verdict secrets_resolved(const struct status_input *in)
{
    if (!in->entry || !in->entry->bottle)
        return unknown("NoSpec", xstrdup("there is no accepted manifest"));
    if (in->secrets_problem)
        return no("SecretMissing", xstrdup(in->secrets_problem));
    return yes("Resolved", xstrdup("every reference has a value"));
}

static bool runs(const struct role_view *v)
{
    return v->container && v->container->state == RUN_RUNNING;
}

static struct verdict isolated(const struct status_input *in)
{
    if (in->open_reason)
        return no(in->open_reason, xstrdup(in->open_text));
    if (!runs(&in->view.roles[ROLE_AGENT]))
        return yes("AgentNotRunning", xstrdup("nothing can leave: the agent does not run"));
    for (int r = 0; r < ROLE_COUNT; r++) {
        const struct role_view *v = &in->view.roles[r];
        if (v->container && !v->nets_ok)
            return no("WrongNetworks", xasprintf("%s is not attached to exactly its own networks",
                                                 v->container->name));
        if (v->container && !v->seal)
            return unknown("NotInspected",
                           xasprintf("%s has not been inspected yet", v->container->name));
    }
    return yes("Sealed", xstrdup("every container is made as asked, and on its own networks only"));
}

static struct verdict policy_effective(const struct status_input *in)
{
    if (!in->desired)
        return unknown("NoPolicy", xstrdup("no policy could be rendered"));
    for (size_t i = 0; i < in->desired->containers_len; i++) {
        const struct desired_container *want = &in->desired->containers[i];
        const struct role_view *v = &in->view.roles[want->role];
        if (!want->config_hash)
            continue;
        if (!runs(v))
            return no("ProxyNotRunning", xasprintf("%s does not run", want->name));
        if (!policy_matches(want, v->policy))
            return no("Unconfirmed", xasprintf("%s has not confirmed policy %.12s", want->name,
                                               want->config_hash));
    }
    return yes("Confirmed", xstrdup("both proxies have logged the hash of the policy they run"));
}

/* The first thing that is not as it should be, in the order in which it is brought up; NULL:
 * nothing. */
static char *missing_part(const struct status_input *in)
{
    for (size_t i = 0; i < in->desired->containers_len; i++) {
        const struct desired_container *want = &in->desired->containers[i];
        const struct role_view *v = &in->view.roles[want->role];
        if (!v->container)
            return xasprintf("%s does not exist yet", want->name);
        if (v->container->state != RUN_RUNNING)
            return xasprintf("%s is %s", want->name, run_state_name(v->container->state));
        if (!desired_is_spec(want, v->container->owner.spec_hash))
            return xasprintf("%s is of an older generation", want->name);
    }
    return NULL;
}

static bool is_suspended(const struct status_input *in)
{
    return manifest_suspends(in->entry ? in->entry->bottle : NULL, in->now_s) ||
           (in->by_hand && suspension_holds(in->by_hand, in->now_s));
}

static struct verdict ready(const struct status_input *in, const struct conditions *sofar)
{
    if (in->entry && !in->entry->bottle)
        return no("Invalid", xstrdup("there is no accepted manifest yet; see SpecAccepted"));
    if (is_suspended(in))
        return no("Suspended", xstrdup("suspended: it is left as it is"));
    if (in->grave)
        return no(in->grave->verdict == GRAVE_HELD ? "PruneHeld" : "Removed",
                  xasprintf("no manifest wants it; %s", in->grave->message));
    if (in->unsupported)
        return no("Refused", xstrdup(in->unsupported));
    if (in->secrets_problem)
        return no("SecretMissing", xstrdup(in->secrets_problem));
    if (in->problem)
        return no("Failed", xstrdup(in->problem));
    if (in->plan && in->plan->why)
        return no("Held", xstrdup(in->plan->why));
    if (!in->desired)
        return no("NotWanted", xstrdup("there is nothing to run"));
    if (in->plan && in->plan->waits)
        return no("UpdatePending", xstrdup(in->plan->waits));
    char *missing = missing_part(in);
    if (missing && in->plan && in->plan->finished) {
        free(missing);
        return no("Finished", xstrdup("the agent has ended, and its restart policy lets it rest"));
    }
    if (missing)
        return no("Progressing", missing);
    for (int t = COND_ISOLATED; t <= COND_POLICY_EFFECTIVE; t++) {
        if (sofar->of[t].status != TRUTH_TRUE)
            return no(sofar->of[t].reason, xstrdup(sofar->of[t].message));
    }
    if (in->reverted)
        return no("Reverted", xstrdup(in->reverted));
    return yes("AsDesired", xstrdup("every part runs, sealed and confirmed"));
}

static struct verdict reconciling(const struct status_input *in)
{
    if (!in->working)
        return absent();
    if (!in->current)
        return yes("Pending", xstrdup("a pass is due"));
    return yes("Progressing", xasprintf("%s %s: %s", step_kind_name(in->current->kind),
                                        in->current->object ? in->current->object : "",
                                        in->current->cause ? in->current->cause : ""));
}

static struct verdict stalled(const struct status_input *in)
{
    if (in->unsupported)
        return yes("Refused", xstrdup(in->unsupported));
    if (in->plan && in->plan->hold)
        return yes("Held", xstrdup(in->plan->why));
    if (in->problem && in->terminal)
        return yes("NeedsEdit", xstrdup(in->problem));
    if (in->reverted)
        return yes("Reverted", xstrdup(in->reverted));
    return absent();
}

static struct verdict suspended(const struct status_input *in)
{
    static const struct suspension nobody;
    const char *reason = NULL;
    char *text =
        suspension_text(in->entry ? in->entry->bottle : NULL, in->by_hand ? in->by_hand : &nobody,
                        in->current ? NULL : in->plan, in->now_s, &reason);
    return text ? yes(reason, text) : absent();
}

static struct verdict update_pending(const struct status_input *in)
{
    if (!in->plan || !in->plan->waits)
        return absent();
    return yes("AgentWaits", xstrdup(in->plan->waits));
}

static struct verdict prune_held(const struct status_input *in)
{
    if (!in->grave || in->grave->verdict != GRAVE_HELD)
        return absent();
    return yes(grave_reason_name(in->grave->reason), xstrdup(in->grave->message));
}

static void apply(struct conditions *c, enum condition_type t, struct verdict v,
                  const struct status_input *in)
{
    struct condition *k = &c->of[t];
    bool changed = k->present != v.present || k->status != v.status;
    free(k->message);
    k->present = v.present;
    k->status = v.status;
    k->reason = v.reason;
    k->message = v.message;
    k->generation = in->entry ? in->entry->generation : 0;
    if (changed || !k->since_s)
        k->since_s = in->now_s;
}

void conditions_update(struct conditions *c, const struct status_input *in)
{
    apply(c, COND_SPEC_ACCEPTED, spec_accepted(in), in);
    apply(c, COND_SECRETS_RESOLVED, secrets_resolved(in), in);
    apply(c, COND_ISOLATED, isolated(in), in);
    apply(c, COND_POLICY_EFFECTIVE, policy_effective(in), in);
    apply(c, COND_READY, ready(in, c), in);
    apply(c, COND_RECONCILING, reconciling(in), in);
    apply(c, COND_STALLED, stalled(in), in);
    apply(c, COND_SUSPENDED, suspended(in), in);
    apply(c, COND_UPDATE_PENDING, update_pending(in), in);
    apply(c, COND_PRUNE_HELD, prune_held(in), in);
}

json_t *conditions_json(const struct conditions *c)
{
    json_t *list = XNN(json_array());
    for (int t = 0; t < COND_COUNT; t++) {
        const struct condition *k = &c->of[t];
        if (!k->present)
            continue;
        char since[CLOCK_TEXT];
        clock_format(k->since_s, since);
        json_array_append_new(
            list,
            XNN(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "type",
                          condition_name((enum condition_type)t), "status", truth_name(k->status),
                          "reason", k->reason, "message", k->message, "lastTransitionTime", since,
                          "observedGeneration", (json_int_t)k->generation)));
    }
    return list;
}

static json_t *component(const struct status_input *in, const struct memory *m, enum role role)
{
    const struct role_view *v = &in->view.roles[role];
    const struct desired_container *want = in->desired ? desired_find(in->desired, role) : NULL;
    if (!v->container && !want)
        return NULL;
    const char *name = want ? want->name : v->container->name;
    const struct known_restart *restarts = memory_restart(m, name);
    json_t *hash = json_null();
    if (want && want->config_hash)
        hash = XNN(json_pack("{s:s, s:s?}", "desired", want->config_hash, "observed",
                             v->policy ? v->policy->config_hash : NULL));
    return XNN(json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:i, s:o}", "role", role_info(role)->name,
                         "name", name, "containerId", v->container ? v->container->id : NULL,
                         "image", want ? want->image_ref : NULL, "state",
                         v->container ? run_state_name(v->container->state) : "absent", "restarts",
                         restarts ? (int)restarts->count : 0, "configHash", hash));
}

json_t *components_json(const struct status_input *in, const struct memory *m)
{
    json_t *list = XNN(json_array());
    for (int r = 0; r < ROLE_COUNT; r++) {
        json_t *c = component(in, m, (enum role)r);
        if (c)
            json_array_append_new(list, c);
    }
    return list;
}

json_t *networks_json(const struct status_input *in)
{
    json_t *list = XNN(json_array());
    for (int n = 0; n < NET_COUNT; n++) {
        const struct observed_network *net = in->view.nets[n];
        if (!net)
            continue;
        json_array_append_new(
            list,
            XNN(json_pack("{s:s, s:s, s:s, s:s?}", "role", net_name((enum net)n), "name", net->name,
                          "id", net->id, "subnet", net->subnets_len ? net->subnets[0] : NULL)));
    }
    return list;
}
