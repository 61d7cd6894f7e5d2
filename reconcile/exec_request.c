/* SPDX-License-Identifier: Apache-2.0 */
/* A step's engine request. */
#include "reconcile/exec_internal.h"
#include "render/files.h"
#include "render/guard.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

enum {
    STOP_GRACE_S = 10, /* the planner's texts name it */
    STOP_MS = (STOP_GRACE_S + 30) * 1000,
    START_CONFIRM_MS = 60000,
    RELOAD_CONFIRM_MS = 8000,
    /* pipelock says nothing of a file that it took within the last two seconds: told again after
     * them, it does. */
    PIPELOCK_RELOAD_MS = 3000,
    SCAN_MS = 30000,
    GUARD_WAIT_MS = 60000,
    PATH_MAX_BYTES = 4096,
};

const char *exec_container_id(const struct exec *x, const struct step *s)
{
    return s->id ? s->id : x->ctr_id[s->role];
}

static const struct desired_container *want_of(const struct exec *x, const struct step *s)
{
    const struct desired_container *want = x->desired ? desired_find(x->desired, s->role) : NULL;
    assert(want); /* the planner makes such steps for wanted roles only */
    return want;
}

static void add_escaped(struct str *out, const char *text)
{
    str_add_url(out, sv_of(text), "/:@");
}

/* "/containers/<id><rest>" */
static void container_path(const struct exec *x, const struct step *s, struct str *path,
                           const char *rest)
{
    str_add(path, "/containers/");
    add_escaped(path, exec_container_id(x, s));
    str_add(path, rest);
}

static void pull_path(const struct step *s, struct str *path)
{
    AUTO_FREE char *repo = xstrdup(s->object);
    const char *tag = "latest";
    char *at = strchr(repo, '@');
    char *slash = strrchr(repo, '/');
    char *colon = strchr(slash ? slash : repo, ':');
    if (at) {
        *at = '\0';
        tag = at + 1;
        if (colon && colon < at)
            *colon = '\0';
    } else if (colon) {
        *colon = '\0';
        tag = colon + 1;
    }
    str_add(path, "/images/create?fromImage=");
    add_escaped(path, repo);
    str_add(path, "&tag=");
    add_escaped(path, tag);
}

static struct err *create_body(struct exec *x, const struct step *s, struct exec_request *q)
{
    const struct desired_container *want = want_of(x, s);
    const struct known_image *image = memory_image_any(x->memory, want->image_ref);
    if (!image || !image->info.id)
        return err_new(ERR_NOT_FOUND, "image '%s' is not on the engine", want->image_ref);
    for (int n = 0; n < NET_COUNT; n++) {
        if (role_info(s->role)->nets & 1U << n && !x->net_id[n])
            return err_new(ERR_CONFLICT, "network '%s' is gone", x->desired->networks[n].name);
    }
    const char *nets[NET_COUNT];
    memcpy(nets, x->net_id, sizeof(nets));
    /* Where names are unique, the network mode is a name, which outlives the network: newer engines
     * connect and start nothing whose mode is the id of a network that is gone. */
    enum net primary = role_info(s->role)->primary;
    if (x->caps->multi_endpoint)
        nets[primary] = x->desired->networks[primary].name;
    TRY(docker_container_body(want, &image->info, nets, x->caps, &q->body));
    q->body_n = strlen(q->body);
    return NULL;
}

/* The image's own roots, then the bottle's CAs. */
static void add_bundle(const struct exec *x, const struct desired_container *want,
                       struct file_list *l)
{
    const struct file_item *ca = file_list_find(&want->files, AGENT_CA_PATH);
    if (!ca)
        return;
    AUTO_FREE char *bundle = xmalloc(x->roots_n + ca->n + 1);
    size_t n = 0;
    if (x->roots_n) {
        memcpy(bundle, x->roots, x->roots_n);
        n = x->roots_n;
        bundle[n++] = '\n';
    }
    memcpy(bundle + n, ca->data, ca->n);
    n += ca->n;
    file_list_add(l, AGENT_BUNDLE_PATH, 0, 0, 0644, (struct sv){bundle, n});
}

static struct err *upload_body(struct exec *x, const struct step *s, struct exec_request *q)
{
    const struct desired_container *want = want_of(x, s);
    q->content_type = "application/x-tar";
    if (!want->want_roots)
        return tar_write(&want->files, s->hot_only, &q->body, &q->body_n);
    struct file_list all = {0};
    for (size_t i = 0; i < want->files.len; i++) {
        const struct file_item *f = &want->files.items[i];
        if (s->trust_only && strcmp(f->path, AGENT_CA_PATH) != 0)
            continue;
        if (f->dir)
            file_list_add_dir(&all, f->path, f->uid, f->gid, f->mode);
        else
            file_list_add(&all, f->path, f->uid, f->gid, f->mode, (struct sv){f->data, f->n});
    }
    add_bundle(x, want, &all);
    struct err *e = tar_write(&all, false, &q->body, &q->body_n);
    file_list_done(&all);
    return e;
}

static void take_text(struct exec_request *q, char *text)
{
    q->body = text;
    q->body_n = strlen(text);
}

static const struct desired_volume *volume_of(const struct exec *x, const char *name)
{
    for (size_t i = 0; i < x->desired->volumes_len; i++) {
        if (strcmp(x->desired->volumes[i].name, name) == 0)
            return &x->desired->volumes[i];
    }
    return NULL;
}

static void build_network(struct exec *x, const struct step *s, struct exec_request *q,
                          struct str *path)
{
    switch ((int)s->kind) {
    case STEP_NET_CREATE:
        q->method = "POST";
        str_add(path, "/networks/create");
        take_text(
            q, docker_network_body(x->desired, &x->desired->networks[s->net], s->detail, x->caps));
        return;
    case STEP_NET_CONNECT:
        q->method = "POST";
        str_addf(path, "/networks/%s/connect", x->net_id[s->net]);
        take_text(q, docker_connect_body(s->role, exec_container_id(x, s)));
        return;
    case STEP_NET_DISCONNECT:
        q->method = "POST";
        str_addf(path, "/networks/%s/disconnect", s->detail);
        take_text(q, docker_disconnect_body(s->id));
        return;
    case STEP_NET_INSPECT:
        q->method = "GET";
        str_addf(path, "/networks/%s", s->id);
        return;
    default:
        q->method = "DELETE";
        str_addf(path, "/networks/%s", s->id);
        return;
    }
}

static void build_log(struct exec *x, const struct step *s, struct exec_request *q,
                      struct str *path)
{
    q->method = "GET";
    q->answer = ANSWER_LOG;
    const char *since = x->since[s->role];
    container_path(x, s, path, "/logs?stdout=1&stderr=1");
    str_addf(path, "&since=%s", since ? since : "0");
    if (s->kind == STEP_CTR_SCAN) {
        q->timeout_ms = SCAN_MS;
        return;
    }
    str_add(path, "&follow=1");
    bool reload = false;
    for (unsigned d = 0; d < s->deps_len; d++)
        reload = reload || x->plan->steps[s->deps[d]].kind == STEP_CTR_SIGNAL;
    q->timeout_ms = !reload                    ? START_CONFIRM_MS
                    : s->role == ROLE_PIPELOCK ? PIPELOCK_RELOAD_MS
                                               : RELOAD_CONFIRM_MS;
}

static struct err *build_container(struct exec *x, const struct step *s, struct exec_request *q,
                                   struct str *path)
{
    q->method = "POST";
    switch ((int)s->kind) {
    case STEP_CTR_CREATE:
        str_add(path, "/containers/create?name=");
        add_escaped(path, s->object);
        str_add(path, s->next ? NEXT_SUFFIX : "");
        return create_body(x, s, q);
    case STEP_CTR_ROOTS:
        q->method = "GET";
        container_path(x, s, path, "/archive?path=");
        add_escaped(path, s->detail);
        return NULL;
    case STEP_CTR_UPLOAD:
        q->method = "PUT";
        container_path(x, s, path, "/archive?path=/");
        return upload_body(x, s, q);
    case STEP_CTR_INSPECT:
    case STEP_CTR_VERIFY:
        q->method = "GET";
        container_path(x, s, path, "/json");
        return NULL;
    case STEP_CTR_UPDATE:
        container_path(x, s, path, "/update");
        take_text(q, seal_update_body(want_of(x, s)->limits, x->caps->cpus));
        return NULL;
    case STEP_CTR_PAUSE:
        container_path(x, s, path, "/pause");
        return NULL;
    case STEP_CTR_START:
        container_path(x, s, path, "/start");
        return NULL;
    case STEP_CTR_SIGNAL:
        container_path(x, s, path, "/kill?signal=HUP");
        return NULL;
    case STEP_CTR_UNPAUSE:
        container_path(x, s, path, "/unpause");
        return NULL;
    case STEP_CTR_STOP:
        container_path(x, s, path, "/stop");
        str_addf(path, "?t=%d", STOP_GRACE_S);
        q->timeout_ms = STOP_MS;
        return NULL;
    case STEP_CTR_RENAME:
        container_path(x, s, path, "/rename?name=");
        add_escaped(path, s->object);
        return NULL;
    default:
        q->method = "DELETE";
        container_path(x, s, path, "?force=1&v=1");
        return NULL;
    }
}

static struct err *guard_create(const struct exec *x, const struct step *s, struct exec_request *q)
{
    const struct desired_container *egress = desired_find(x->desired, ROLE_EGRESS);
    const struct known_image *image =
        egress ? memory_image_any(x->memory, egress->image_ref) : NULL;
    const char *id = s->detail ? s->detail : image ? image->info.id : NULL;
    if (!id)
        return err_new(ERR_NOT_FOUND, "the egress proxy's image is not on the engine");
    take_text(q, guard_body(x->desired, id));
    return NULL;
}

static struct err *build_guard(const struct exec *x, const struct step *s, struct exec_request *q,
                               struct str *path)
{
    q->method = "POST";
    if (s->kind == STEP_GUARD_CREATE) {
        str_add(path, "/containers/create?name=");
        add_escaped(path, s->object);
        return guard_create(x, s, q);
    }
    str_add(path, "/containers/");
    add_escaped(path, s->id ? s->id : x->guard_id);
    switch ((int)s->kind) {
    case STEP_GUARD_UPLOAD:
        q->method = "PUT";
        q->content_type = "application/x-tar";
        str_add(path, "/archive?path=/");
        return guard_archive(&q->body, &q->body_n);
    case STEP_GUARD_START:
        str_add(path, "/start");
        return NULL;
    case STEP_GUARD_WAIT:
        str_add(path, "/wait");
        q->timeout_ms = GUARD_WAIT_MS;
        return NULL;
    default:
        q->method = "DELETE";
        str_add(path, "?force=1&v=1");
        return NULL;
    }
}

static struct err *build(struct exec *x, const struct step *s, struct exec_request *q,
                         struct str *path)
{
    switch (s->kind) {
    case STEP_IMAGE_INSPECT:
        q->method = "GET";
        str_add(path, "/images/");
        add_escaped(path, s->object);
        str_add(path, "/json");
        return NULL;
    case STEP_IMAGE_PULL:
        q->method = "POST";
        q->answer = ANSWER_LINES;
        pull_path(s, path);
        return NULL;
    case STEP_NET_CREATE:
    case STEP_NET_CONNECT:
    case STEP_NET_DISCONNECT:
    case STEP_NET_INSPECT:
    case STEP_NET_REMOVE:
        build_network(x, s, q, path);
        return NULL;
    case STEP_VOL_CREATE:
        q->method = "POST";
        str_add(path, "/volumes/create");
        take_text(q, docker_volume_body(x->desired, volume_of(x, s->object)));
        return NULL;
    case STEP_VOL_REMOVE:
        q->method = "DELETE";
        str_add(path, "/volumes/");
        add_escaped(path, s->object);
        return NULL;
    case STEP_CLOCK:
        q->method = "GET";
        str_add(path, "/info");
        return NULL;
    case STEP_CTR_CONFIRM:
    case STEP_CTR_SCAN:
        build_log(x, s, q, path);
        return NULL;
    case STEP_CTR_CREATE:
    case STEP_CTR_INSPECT:
    case STEP_CTR_ROOTS:
    case STEP_CTR_UPLOAD:
    case STEP_CTR_START:
    case STEP_CTR_SIGNAL:
    case STEP_CTR_VERIFY:
    case STEP_CTR_UPDATE:
    case STEP_CTR_PAUSE:
    case STEP_CTR_UNPAUSE:
    case STEP_CTR_STOP:
    case STEP_CTR_REMOVE:
    case STEP_CTR_RENAME:
        return build_container(x, s, q, path);
    case STEP_GUARD_CREATE:
    case STEP_GUARD_UPLOAD:
    case STEP_GUARD_START:
    case STEP_GUARD_WAIT:
    case STEP_GUARD_REMOVE:
        return build_guard(x, s, q, path);
    case STEP_KIND_COUNT:
        break;
    }
    return err_new(ERR_INTERNAL, "a plan holds an unknown step");
}

struct err *exec_build(struct exec *x, int step, struct exec_request *ret)
{
    struct str path;
    str_init(&path, PATH_MAX_BYTES);
    struct err *e = build(x, &x->plan->steps[step], ret, &path);
    ret->path = str_take(&path);
    if (!e && !ret->path)
        e = err_new(ERR_INTERNAL, "a request's path is too long");
    return e;
}
