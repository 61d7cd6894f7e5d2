/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between fields. Those of one field are in its check (check.h). */
#include "spec/base/xalloc.h"
#include "spec/check.h"
#include "spec/parse.h"

#include <string.h>

enum { FILES_TOTAL_MAX = 256 * 1024 };

typedef void validate_fn(struct parse_ctx *c, const struct yaml_node *node, void *base);

static void one_of_two(struct parse_ctx *c, const struct yaml_node *node, const char *a,
                       const char *b)
{
    const struct yaml_node *second = yaml_get(node, b);
    if (yaml_get(node, a) && second)
        parse_error_in(c, second, b, "either %s or %s, not both", a, b);
    else if (!yaml_get(node, a) && !second)
        parse_error(c, node, "%s or %s is required", a, b);
}

static void validate_mount(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    const struct mount *m = base;
    one_of_two(c, node, "source", "volume");
    const struct yaml_node *retain = yaml_get(node, "retain");
    if (m->source && retain)
        parse_error_in(c, retain, "retain", "only a volume can be retained");
}

static void validate_file(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    (void)base;
    one_of_two(c, node, "content", "secret");
}

/* The node of list[i], or of its field `key`; falls back to what is there. */
static const struct yaml_node *item_node(const struct yaml_node *node, const char *list, size_t i,
                                         const char *key)
{
    const struct yaml_node *l = yaml_get(node, list);
    if (!l || l->kind != YAML_SEQ || i >= l->len)
        return node;
    const struct yaml_node *value = yaml_get(l->pairs[i].value, key);
    return value ? value : l->pairs[i].value;
}

/* An engine resolves a source each time it starts the container. One that lies inside what the
 * agent can write could be a link to anywhere by then. */
static void validate_source_place(struct parse_ctx *c, const struct yaml_node *node,
                                  const struct agent_spec *a, size_t i)
{
    const char *source = a->mounts[i].source;
    for (size_t j = 0; source && j < a->mounts_len; j++) {
        const struct mount *m = &a->mounts[j];
        bool inside =
            m->source && strcmp(m->source, source) != 0 && path_is_within(source, m->source);
        if (inside && !m->read_only)
            parse_error_item(c, item_node(node, "mounts", i, "source"),
                             (struct parse_item){"mounts", i, "source"},
                             "it lies inside '%s', which the agent can write through mounts[%zu]: "
                             "the agent could put a link to anywhere in its place",
                             m->source, j);
    }
}

static void validate_mounts(struct parse_ctx *c, const struct yaml_node *node,
                            const struct agent_spec *a)
{
    for (size_t i = 0; i < a->mounts_len; i++) {
        const struct mount *m = &a->mounts[i];
        for (size_t j = 0; j < i; j++) {
            const struct mount *other = &a->mounts[j];
            if (m->target && other->target && strcmp(m->target, other->target) == 0)
                parse_error_item(c, item_node(node, "mounts", i, "target"),
                                 (struct parse_item){"mounts", i, "target"},
                                 "the target '%s' is used twice, first by mounts[%zu]", m->target,
                                 j);
            if (m->volume && other->volume && strcmp(m->volume, other->volume) == 0 &&
                m->retain != other->retain)
                parse_error_item(c, item_node(node, "mounts", i, "volume"),
                                 (struct parse_item){"mounts", i, "volume"},
                                 "the volume '%s' is retained here and not in mounts[%zu], or the "
                                 "other way round",
                                 m->volume, j);
        }
        validate_source_place(c, node, a, i);
    }
}

static void validate_file_place(struct parse_ctx *c, const struct yaml_node *node,
                                const struct agent_spec *a, size_t i)
{
    const char *path = a->files[i].path;
    const struct yaml_node *at = item_node(node, "files", i, "path");
    struct parse_item item = {"files", i, "path"};
    for (size_t j = 0; j < i; j++) {
        const char *other = a->files[j].path;
        if (!other)
            continue;
        if (strcmp(path, other) == 0)
            parse_error_item(c, at, item, "the path '%s' is used twice, first by files[%zu]", path,
                             j);
        else if (path_is_within(path, other) || path_is_within(other, path))
            parse_error_item(c, at, item, "one of '%s' and '%s' can't be a file", path, other);
    }
    for (size_t j = 0; j < a->mounts_len; j++) {
        const struct mount *m = &a->mounts[j];
        if (!m->target)
            continue;
        if (path_is_within(m->target, path))
            parse_error_item(c, at, item, "'%s' is a directory: mounts[%zu] is there", path, j);
        else if (m->source && path_is_within(path, m->target))
            parse_error_item(c, at, item,
                             "it would be written into '%s' of the host: mounts[%zu] is there",
                             m->source, j);
    }
}

static void validate_agent(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    struct agent_spec *a = base;
    size_t total = 0;
    a->has_command = a->command.len > 0;
    const struct yaml_node *command = yaml_get(node, "command");
    if (a->has_command && !a->command.items[0][0])
        parse_error_item(c, command && command->len ? command->pairs[0].value : node,
                         (struct parse_item){"command", 0, NULL},
                         "the program's name can't be empty");
    validate_mounts(c, node, a);
    for (size_t i = 0; i < a->files_len; i++) {
        total += a->files[i].content ? strlen(a->files[i].content) : 0;
        if (a->files[i].path)
            validate_file_place(c, node, a, i);
    }
    const struct yaml_node *files = yaml_get(node, "files");
    if (files && total > FILES_TOTAL_MAX)
        parse_error_in(c, files, "files", "expected at most %d KiB together, got %zu bytes",
                       FILES_TOTAL_MAX / 1024, total);
}

static void validate_update(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    const struct update_spec *u = base;
    static const char *const words[] = {"now", "idle", "window"};
    const struct yaml_node *when = yaml_get(node, "when");
    const struct yaml_node *window = yaml_get(node, "window");
    const struct yaml_node *deadline = yaml_get(node, "deadline");
    /* A wrong word has been reported, and nobody knows what it should have been. */
    if (when && (when->kind != YAML_STRING || strcmp(when->text, words[u->when]) != 0))
        return;
    if (u->when == UPDATE_WINDOW && !window)
        parse_error_in(c, when, "window",
                       "required with when: window, but not given: a time of day in UTC such as "
                       "22:00-06:00");
    if (u->when != UPDATE_WINDOW && window)
        parse_error_in(c, window, "window", "only with when: window, and when is %s%s",
                       words[u->when], when ? "" : " by default");
    if (u->when == UPDATE_NOW && deadline)
        parse_error_in(c, deadline, "deadline",
                       "only with when: idle or when: window, and when is now%s: nothing waits",
                       when ? "" : " by default");
}

struct host_at {
    const char *host;
    size_t at;
};

static int by_host(const void *a, const void *b)
{
    const struct host_at *x = a;
    const struct host_at *y = b;
    int c = strcmp(x->host, y->host);
    if (c)
        return c;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void validate_egress(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    const struct egress_spec *e = base;
    AUTO_FREE struct host_at *hosts = xcalloc(e->routes_len, sizeof(*hosts));
    size_t n = 0;
    for (size_t i = 0; i < e->routes_len; i++) {
        if (e->routes[i].host)
            hosts[n++] = (struct host_at){e->routes[i].host, i};
    }
    qsort(hosts, n, sizeof(*hosts), by_host);
    size_t first = 0;
    for (size_t i = 1; i < n; i++) {
        if (strcmp(hosts[i].host, hosts[first].host) != 0) {
            first = i;
            continue;
        }
        parse_error_item(c, item_node(node, "routes", hosts[i].at, "host"),
                         (struct parse_item){"routes", hosts[i].at, "host"},
                         "'%s' has a route already, routes[%zu]; write one route for each host",
                         hosts[i].host, hosts[first].at);
    }
}

static void validate_route(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    static const char *const others[] = {"path_allowlist", "methods"};
    struct route *r = base;
    r->pos = node->pos;
    for (size_t i = 0; r->matches_len && i < sizeof(others) / sizeof(others[0]); i++) {
        const struct yaml_node *other = yaml_get(node, others[i]);
        if (other && other->len)
            parse_error_in(c, other, others[i],
                           "not together with matches: write it into each "
                           "entry there");
    }
}

static void validate_match(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    (void)base;
    static const char *const parts[] = {"paths", "methods", "headers"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const struct yaml_node *part = yaml_get(node, parts[i]);
        if (part && (part->len || part->kind == YAML_BAD))
            return;
    }
    parse_error(c, node,
                "an entry needs paths, methods or headers; without matches, every request "
                "to the host is allowed");
}

static void validate_git_user(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    (void)base;
    if (node->len == 0 && !c->extends)
        parse_error(c, node, "name or email is required");
}

static const struct {
    const char *at;
    validate_fn *fn;
} bottle_rules[] = {
    {"spec.agent", validate_agent},
    {"spec.agent.files[]", validate_file},
    {"spec.agent.mounts[]", validate_mount},
    {"spec.agent.update", validate_update},
    {"spec.egress", validate_egress},
    {"spec.egress.routes[]", validate_route},
    {"spec.egress.routes[].matches[]", validate_match},
    {"spec.git-gate.user", validate_git_user},
};

void validate_object(struct parse_ctx *c, const struct yaml_node *node, void *base)
{
    if (c->table == &fields_policy)
        policy_validate(c, node, base);
    if (c->table != &fields_bottle)
        return;
    for (size_t i = 0; i < sizeof(bottle_rules) / sizeof(bottle_rules[0]); i++) {
        if (strcmp(bottle_rules[i].at, c->at.p) == 0)
            bottle_rules[i].fn(c, node, base);
    }
}
