/* SPDX-License-Identifier: Apache-2.0 */
#include "render/parts.h"

#include "spec/base/xalloc.h"

#include <string.h>

enum { SIDECAR_PIDS = 256 };

void json_put(json_t *object, const char *key, json_t *value_take)
{
    if (json_object_set_new(object, key, XNN(value_take)) != 0)
        xoom();
}

void json_put_text(json_t *object, const char *key, const char *text)
{
    json_put(object, key, json_string(text));
}

json_t *json_texts(const struct str_list *l)
{
    json_t *a = XNN(json_array());
    for (size_t i = 0; i < l->len; i++) {
        if (json_array_append_new(a, XNN(json_string(l->items[i]))) != 0)
            xoom();
    }
    return a;
}

struct err *part_secret(const struct part *p, const char *name, struct sv *ret)
{
    for (size_t i = 0; i < p->in->secrets_len; i++) {
        if (strcmp(p->in->secrets[i].name, name) != 0)
            continue;
        if (!p->in->secrets[i].value.n)
            return err_new(ERR_NOT_FOUND, "secret '%s' is empty", name);
        *ret = p->in->secrets[i].value;
        return NULL;
    }
    return err_new(ERR_NOT_FOUND, "secret '%s' has no value", name);
}

void part_trust(struct sv old, struct sv cert, struct sv next, struct str *ret)
{
    const struct sv all[] = {old, cert, next};
    str_init(ret, old.n + cert.n + next.n + sizeof(all) / sizeof(all[0]));
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!all[i].n)
            continue;
        if (ret->len && ret->p[ret->len - 1] != '\n')
            str_addc(ret, '\n');
        str_addn(ret, all[i].p, all[i].n);
    }
}

void part_begin(const struct part *p, enum role role, struct desired_container *c)
{
    const struct role_info *info = role_info(role);
    const char *image = role == ROLE_AGENT  ? p->b->agent.image
                        : p->s->image[role] ? p->s->image[role]
                                            : info->image;
    c->role = role;
    c->name = object_name(p->s->instance, p->b->name, info->name);
    c->image_ref = xstrdup(image);
    /* Ours are built on the spot: nobody may serve an image of that name from a registry. */
    bool ours = role != ROLE_AGENT && strncmp(image, "bottler/", strlen("bottler/")) == 0;
    c->pull_policy = ours ? PULL_NEVER : PULL_IF_NOT_PRESENT;
    c->restart = RESTART_ALWAYS;
}

static int path_cmp(const void *a, const void *b)
{
    const struct file_item *const *x = a;
    const struct file_item *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static json_t *hash_file(const struct file_item *f, const uint8_t *key)
{
    json_t *o = XNN(json_object());
    json_put_text(o, "path", f->path);
    json_put(o, "uid", json_integer(f->uid));
    json_put(o, "gid", json_integer(f->gid));
    json_put(o, "mode", json_integer(f->mode));
    if (!f->dir) {
        char hex[HASH_HEX + 1];
        hash_keyed_hex(key, (struct sv){f->data, f->n}, hex);
        json_put_text(o, "data", hex);
    }
    return o;
}

/* By path: the order in which a manifest lists its files is no difference. */
static json_t *hash_files(const struct file_list *l, const uint8_t *key)
{
    AUTO_FREE const struct file_item **sorted = xcalloc(l->len + 1, sizeof(struct file_item *));
    size_t n = 0;
    for (size_t i = 0; i < l->len; i++) {
        if (!l->items[i].hot && !l->items[i].unhashed)
            sorted[n++] = &l->items[i];
    }
    qsort(sorted, n, sizeof(struct file_item *), path_cmp);
    json_t *a = XNN(json_array());
    for (size_t i = 0; i < n; i++) {
        if (json_array_append_new(a, hash_file(sorted[i], key)) != 0)
            xoom();
    }
    return a;
}

json_t *part_hash_base(const struct part *p, const struct desired_container *c)
{
    json_t *o = XNN(json_object());
    json_put_text(o, "role", role_info(c->role)->name);
    json_put_text(o, "image", c->image_ref);
    json_put(o, "files", hash_files(&c->files, p->s->hash_key));
    return o;
}

static json_t *labels(const struct part *p, const struct desired_container *c)
{
    json_t *o = XNN(json_object());
    json_put_text(o, LABEL_INSTALLATION, p->s->installation);
    json_put_text(o, LABEL_BOTTLE, p->b->name);
    json_put_text(o, LABEL_ROLE, role_info(c->role)->name);
    json_put_text(o, LABEL_UID, p->in->uid);
    json_put_text(o, LABEL_SPEC_HASH, c->spec_hash);
    json_put_text(o, LABEL_SELF, c->name);
    json_put_text(o, LABEL_IMAGE, c->image_ref);
    return o;
}

static json_t *host_config(void)
{
    return XNN(json_pack("{s:[s], s:[s], s:b, s:{s:s, s:{s:s, s:s}}, s:{s:s}}", /* */
                         "CapDrop", "ALL", "SecurityOpt", "no-new-privileges", "Init", 1,
                         "LogConfig", "Type", "json-file", "Config", "max-size", "10m", "max-file",
                         "2", "RestartPolicy", "Name", "no"));
}

void part_finish(const struct part *p, struct desired_container *c, json_t *semantic_take)
{
    c->spec_hash = hash_spec(semantic_take);
    json_decref(semantic_take);
    c->body = XNN(json_object());
    json_put_text(c->body, "Hostname", role_info(c->role)->name);
    json_put(c->body, "Labels", labels(p, c));
    json_put(c->body, "HostConfig", host_config());
}

void part_sidecar(struct desired_container *c, int64_t memory_bytes, const char *dns)
{
    const struct role_info *info = role_info(c->role);
    AUTO_FREE char *user = xasprintf("%u:%u", info->uid, info->gid);
    json_put_text(c->body, "User", user);
    json_t *host = json_object_get(c->body, "HostConfig");
    json_put(host, "PidsLimit", json_integer(SIDECAR_PIDS));
    json_put(host, "Memory", json_integer(memory_bytes));
    json_put(host, "MemorySwap", json_integer(memory_bytes));
    json_put(host, "Sysctls", json_pack("{s:s}", "net.ipv4.ip_forward", "0"));
    if (dns)
        json_put(host, "Dns", json_pack("[s]", dns));
}
