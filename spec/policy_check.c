/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/base/xalloc.h"
#include "spec/check.h"
#include "spec/diag.h"
#include "spec/policy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { SHOWN = 5, LIST_MAX = 4096 };
#define NANO INT64_C(1000000000)

struct check {
    const struct policy *p;
    policy_report_fn *report;
    void *ctx;
};

/* "<text> (policy.yaml:7: spec.images.allow)" */
__attribute__((format(printf, 4, 0))) static char *
vsaid(const struct policy *p, struct src_pos at, const char *rule, const char *fmt, va_list ap)
{
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    return xasprintf("%s (%s:%u: %s)", text, p->file, at.line, rule);
}

struct rule {
    struct src_pos at;
    const char *name;
};

__attribute__((format(printf, 4, 5))) static void broken(const struct check *k, struct rule rule,
                                                         const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    k->report(k->ctx, field, vsaid(k->p, rule.at, rule.name, fmt, ap));
    va_end(ap);
}

/* "a, b, c, …" */
static char *some_of(const struct str_list *l)
{
    struct str s;
    str_init(&s, LIST_MAX);
    for (size_t i = 0; i < l->len && i < SHOWN; i++)
        str_addf(&s, "%s%s", i ? ", " : "", l->items[i]);
    if (l->len > SHOWN)
        str_add(&s, ", ...");
    char *text = str_take(&s);
    return text ? text : xstrdup("...");
}

/* ---- mounts ---- */

static void check_mounts(const struct check *k, const struct agent_spec *a)
{
    struct rule rule = {k->p->roots_at, "spec.mounts.roots"};
    for (size_t i = 0; k->p->roots_given && i < a->mounts_len; i++) {
        const char *source = a->mounts[i].source;
        bool inside = false;
        for (size_t r = 0; source && !inside && r < k->p->roots.len; r++)
            inside = path_is_within(source, k->p->roots.items[r]);
        if (!source || inside)
            continue;
        AUTO_FREE char *field = xasprintf("spec.agent.mounts[%zu].source", i);
        AUTO_FREE char *roots = some_of(&k->p->roots);
        AUTO_FREE char *q = diag_quote(source);
        if (k->p->roots.len)
            broken(k, rule, field, "the policy allows only directories in %s, got %s", roots, q);
        else
            broken(k, rule, field, "the policy allows no directory of the host, got %s", q);
    }
}

/* ---- images ---- */

/* "registry/path" without tag and digest, as engines read it: 'x' is docker.io/library/x. */
static char *repository(const char *image)
{
    size_t n = strcspn(image, "@");
    const char *last = memrchr(image, '/', n);
    const char *base = last ? last + 1 : image;
    const char *tag = memchr(base, ':', n - (size_t)(base - image));
    AUTO_FREE char *name = xmemdup0(image, tag ? (size_t)(tag - image) : n);
    char *slash = strchr(name, '/');
    size_t first = slash ? (size_t)(slash - name) : 0;
    bool registry = slash && (memchr(name, '.', first) || memchr(name, ':', first) ||
                              strncmp(name, "localhost/", 10) == 0);
    AUTO_FREE char *host = registry ? xmemdup0(name, first) : xstrdup("docker.io");
    const char *path = registry ? slash + 1 : name;
    str_lower(host);
    bool hub = strcmp(host, "docker.io") == 0 || strcmp(host, "index.docker.io") == 0;
    bool official = hub && !strchr(path, '/');
    return xasprintf("%s/%s%s", hub ? "docker.io" : host, official ? "library/" : "", path);
}

static void check_images(const struct check *k, const struct agent_spec *a)
{
    if (!a->image)
        return;
    AUTO_FREE char *name = repository(a->image);
    AUTO_FREE char *q = diag_quote(a->image);
    bool allowed = !k->p->images.len;
    for (size_t i = 0; !allowed && i < k->p->images.len; i++)
        allowed = path_is_within(name, k->p->images.items[i]);
    if (!allowed) {
        AUTO_FREE char *list = some_of(&k->p->images);
        broken(k, (struct rule){k->p->images_at, "spec.images.allow"}, "spec.agent.image",
               "the policy allows only images of %s, got %s", list, q);
    }
    if (k->p->require_digest && !strchr(a->image, '@'))
        broken(k, (struct rule){k->p->digest_at, "spec.images.require_digest"}, "spec.agent.image",
               "the policy asks for a digest, name@sha256:<64 hex>, got %s", q);
}

/* ---- runtimes ---- */

__attribute__((format(printf, 2, 3))) static char *runtime_refusal(const struct policy *p,
                                                                   const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = vsaid(p, p->runtimes_at, "spec.runtimes", fmt, ap);
    va_end(ap);
    return text;
}

char *policy_check_runtime(const struct policy *p, const char *runtime)
{
    if (!p->runtimes.len || str_list_has(&p->runtimes, runtime))
        return NULL;
    AUTO_FREE char *list = some_of(&p->runtimes);
    return runtime_refusal(p, "the policy allows only the runtime %s, got '%s'", list, runtime);
}

static void check_runtimes(const struct check *k, const struct agent_spec *a)
{
    if (!a->runtime || strcmp(a->runtime, "auto") == 0)
        return;
    char *refusal = policy_check_runtime(k->p, a->runtime);
    if (refusal)
        k->report(k->ctx, "spec.agent.runtime", refusal);
}

/* ---- resources ---- */

/* "8Gi": the largest unit that leaves no rest. */
static char *memory_text(int64_t bytes)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti"};
    size_t unit = 0;
    while (bytes && bytes % 1024 == 0 && unit + 1 < sizeof(units) / sizeof(*units)) {
        bytes /= 1024;
        unit++;
    }
    return xasprintf("%" PRId64 "%s", bytes, units[unit]);
}

/* "1.5" */
static char *cpus_text(int64_t nano)
{
    char *text = xasprintf("%" PRId64 ".%09" PRId64, nano / NANO, nano % NANO);
    size_t n = strlen(text);
    while (text[n - 1] == '0')
        text[--n] = '\0';
    if (text[n - 1] == '.')
        text[n - 1] = '\0';
    return text;
}

static void check_resources(const struct check *k, const struct resources *r)
{
    const struct policy *p = k->p;
    if (p->memory_bytes && r->memory_bytes > p->memory_bytes) {
        AUTO_FREE char *most = memory_text(p->memory_bytes);
        AUTO_FREE char *got = memory_text(r->memory_bytes);
        broken(k, (struct rule){p->memory_at, "spec.resources.memory"},
               "spec.agent.resources.memory", "the policy allows at most %s, got %s%s", most, got,
               r->memory_bytes == RESOURCES_MEMORY ? ", which is the default" : "");
    }
    if (p->nano_cpus && (!r->nano_cpus || r->nano_cpus > p->nano_cpus)) {
        AUTO_FREE char *most = cpus_text(p->nano_cpus);
        AUTO_FREE char *got = cpus_text(r->nano_cpus);
        broken(k, (struct rule){p->cpus_at, "spec.resources.cpus"}, "spec.agent.resources.cpus",
               "the policy allows at most %s, got %s", most,
               r->nano_cpus ? got : "no limit: say how many it needs");
    }
    if (p->pids && r->pids > p->pids)
        broken(k, (struct rule){p->pids_at, "spec.resources.pids"}, "spec.agent.resources.pids",
               "the policy allows at most %" PRId64 ", got %" PRId64 "%s", p->pids, r->pids,
               r->pids == RESOURCES_PIDS ? ", which is the default" : "");
}

/* ---- hosts ---- */

static bool host_matches(const char *host, const char *pattern)
{
    if (strncmp(pattern, "*.", 2) != 0)
        return strcmp(host, pattern) == 0;
    const char *suffix = pattern + 1; /* with its dot */
    size_t h = strlen(host);
    size_t s = strlen(suffix);
    return h > s && strcmp(host + h - s, suffix) == 0;
}

static void check_one_host(const struct check *k, const char *field, const char *host)
{
    const struct str_list *denied = &k->p->deny_hosts;
    for (size_t i = 0; host && i < denied->len; i++) {
        if (!host_matches(host, denied->items[i]))
            continue;
        broken(k, (struct rule){k->p->deny_at, "spec.egress.deny_hosts"}, field,
               "the policy never allows '%s', got '%s'", denied->items[i], host);
        return;
    }
}

static void check_hosts(const struct check *k, const struct egress_spec *e)
{
    for (size_t i = 0; i < e->presets.len; i++) {
        AUTO_FREE char *field = xasprintf("spec.egress.presets[%zu]", i);
        const char *const *hosts = preset_hosts(e->presets.items[i]);
        for (; hosts && *hosts; hosts++)
            check_one_host(k, field, *hosts);
    }
    for (size_t i = 0; i < e->allowlist.len; i++) {
        AUTO_FREE char *field = xasprintf("spec.egress.allowlist[%zu]", i);
        check_one_host(k, field, e->allowlist.items[i]);
    }
    for (size_t i = 0; i < e->routes_len; i++) {
        AUTO_FREE char *field = xasprintf("spec.egress.routes[%zu].host", i);
        check_one_host(k, field, e->routes[i].host);
    }
}

/* ---- all ---- */

void policy_check(const struct policy *p, const struct bottle *b, policy_report_fn *report,
                  void *ctx)
{
    const struct check k = {p, report, ctx};
    check_images(&k, &b->agent);
    check_mounts(&k, &b->agent);
    check_runtimes(&k, &b->agent);
    check_resources(&k, &b->agent.resources);
    check_hosts(&k, &b->egress);
}

void policy_check_grant(const struct policy *p, const struct grant *g, policy_report_fn *report,
                        void *ctx)
{
    const struct check k = {p, report, ctx};
    check_one_host(&k, "spec.host", g->host);
}

static void keep_first(void *ctx, const char *field, char *message_take)
{
    char **first = ctx;
    AUTO_FREE char *message = message_take;
    if (!*first)
        *first = xasprintf("%s: %s", field, message);
}

char *policy_refusal(const struct policy *p, const struct bottle *b)
{
    char *first = NULL;
    policy_check(p, b, keep_first, &first);
    return first;
}
