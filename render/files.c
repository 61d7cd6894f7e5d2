/* SPDX-License-Identifier: Apache-2.0 */
#include "render/files.h"

#include "spec/base/xalloc.h"

#include <assert.h>
#include <string.h>

static struct file_item *add(struct file_list *l, const char *path, mode_t mode)
{
    assert(path[0] == '/' && path[1]);
    l->items = xreallocarray(l->items, l->len + 1, sizeof(*l->items));
    struct file_item *f = &l->items[l->len++];
    *f = (struct file_item){.path = xstrdup(path), .mode = mode & 07777};
    return f;
}

void file_list_add(struct file_list *l, const char *path, unsigned uid, unsigned gid, mode_t mode,
                   struct sv bytes)
{
    struct file_item *f = add(l, path, mode);
    f->uid = uid;
    f->gid = gid;
    f->data = xmemdup0(bytes.n ? bytes.p : "", bytes.n);
    f->n = bytes.n;
}

void file_list_add_hot(struct file_list *l, const char *path, unsigned uid, unsigned gid,
                       mode_t mode, struct sv bytes)
{
    file_list_add(l, path, uid, gid, mode, bytes);
    l->items[l->len - 1].hot = true;
}

void file_list_add_unhashed(struct file_list *l, const char *path, unsigned uid, unsigned gid,
                            mode_t mode, struct sv bytes)
{
    file_list_add(l, path, uid, gid, mode, bytes);
    l->items[l->len - 1].unhashed = true;
}

void file_list_add_dir(struct file_list *l, const char *path, unsigned uid, unsigned gid,
                       mode_t mode)
{
    struct file_item *f = add(l, path, mode);
    f->uid = uid;
    f->gid = gid;
    f->dir = true;
}

void file_list_done(struct file_list *l)
{
    for (size_t i = 0; i < l->len; i++) {
        secret_wipe(l->items[i].data, l->items[i].n);
        free(l->items[i].data);
        free(l->items[i].path);
    }
    free(l->items);
    *l = (struct file_list){0};
}

const struct file_item *file_list_find(const struct file_list *l, const char *path)
{
    for (size_t i = 0; i < l->len; i++) {
        if (strcmp(l->items[i].path, path) == 0)
            return &l->items[i];
    }
    return NULL;
}
