/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/confirm.h"

#include "render/hash.h"
#include "spec/base/xalloc.h"

#include <jansson.h>
#include <string.h>

enum { BAD_LINE_MAX = 300 };

void confirm_init(struct confirm *c, enum role role)
{
    *c = (struct confirm){.role = role};
}

void confirm_done(struct confirm *c)
{
    free(c->config_hash);
    free(c->generation);
    free(c->last_bad);
    *c = (struct confirm){0};
}

static const char *text(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s ? s : "";
}

static bool is_hash(const char *s)
{
    return strlen(s) == HASH_HEX && str_is_hex(s, HASH_HEX);
}

static void set(char **slot, const char *value)
{
    free(*slot);
    *slot = xstrdup(value);
}

static void note_bad(struct confirm *c, struct sv line)
{
    free(c->last_bad);
    c->last_bad = xmemdup0(line.p, line.n < BAD_LINE_MAX ? line.n : BAD_LINE_MAX);
    for (char *p = c->last_bad; *p; p++) {
        if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
            *p = '?';
    }
}

static bool pipelock_line(struct confirm *c, const json_t *v)
{
    const char *event = text(v, "event");
    const char *hash = text(v, "config_hash");
    bool reload = strcmp(event, "config_reload") == 0 && strcmp(text(v, "status"), "success") == 0;
    if (!(reload || strcmp(event, "startup") == 0) || !is_hash(hash))
        return false;
    set(&c->config_hash, hash);
    return true;
}

static bool egress_line(struct confirm *c, const json_t *v)
{
    const char *event = text(v, "event");
    const char *generation = text(v, "generation");
    if (strcmp(event, "routes_loaded") == 0 && is_hash(text(v, "routes_sha256")) &&
        is_hash(generation)) {
        set(&c->config_hash, text(v, "routes_sha256"));
        set(&c->generation, generation);
        c->canary = false;
        return true;
    }
    if (strcmp(event, "canary") == 0 && strcmp(text(v, "verdict"), "denied") == 0 &&
        c->generation && strcmp(generation, c->generation) == 0) {
        c->canary = true;
        return true;
    }
    return false;
}

static bool speaks_of_error(const json_t *v, struct sv line)
{
    if (!v) /* not JSON: the program's own last words */
        return line.n > 0;
    const char *event = text(v, "event");
    return strcmp(event, "error") == 0 || strcmp(event, "routes_rejected") == 0 ||
           strcmp(text(v, "level"), "error") == 0;
}

bool confirm_line(struct confirm *c, struct sv line)
{
    json_t *v = json_loadb(line.p, line.n, 0, NULL);
    bool changed = false;
    if (json_is_object(v) && c->role == ROLE_PIPELOCK)
        changed = pipelock_line(c, v);
    else if (json_is_object(v) && c->role == ROLE_EGRESS)
        changed = egress_line(c, v);
    if (speaks_of_error(v, line))
        note_bad(c, line);
    json_decref(v);
    return changed;
}

bool confirm_complete(const struct confirm *c)
{
    return c->config_hash && (c->role != ROLE_EGRESS || (c->generation && c->canary));
}
