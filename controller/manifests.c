/* SPDX-License-Identifier: Apache-2.0 */
/* From the watched directories to the catalogue, and its last good generations to disk. */
#include "controller/controller.h"
#include "controller/log.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <string.h>

enum { FINDINGS_MAX = 16 << 20 };

/* What can't be read, told once until it changes. */
static void note_unknown(struct controller *c, char *unknown_take)
{
    AUTO_FREE char *before = c->manifests_error;
    c->manifests_error = unknown_take;
    if (unknown_take && (!before || strcmp(before, unknown_take) != 0))
        journal_add(c->journal, NULL, JOURNAL_WARNING, "ManifestsUnreadable",
                    xasprintf("%s; what that says is unknown, nothing is changed or removed for "
                              "it, looking again",
                              unknown_take));
    else if (before && !unknown_take)
        journal_add(c->journal, NULL, JOURNAL_NORMAL, "ManifestsReadable",
                    xstrdup("the manifests can be read again"));
}

/* No bottle is taken to be gone before each source has been there once. */
static void note_sources(struct controller *c, const struct file_listing *files)
{
    c->manifests_known = true;
    for (size_t i = 0; i < files->sources_len; i++) {
        const struct file_source *s = &files->sources[i];
        if (!s->error && !str_list_has(&c->sources_seen, s->dir))
            str_list_add(&c->sources_seen, s->dir);
        c->manifests_known = c->manifests_known && str_list_has(&c->sources_seen, s->dir);
    }
}

/* Findings that belong to no bottle: nobody knows which one the file holds. */
static void tell_files(struct controller *c, const struct manifest_set *set)
{
    for (size_t i = 0; i < set->files_len; i++) {
        const struct diag_list *l = &set->files[i].diags;
        if (!l->len || set->files[i].tree)
            continue;
        struct str text;
        str_init(&text, FINDINGS_MAX);
        diag_format(&l->items[0], &text);
        if (l->len > 1)
            str_addf(&text, " (and %zu more)", l->len - 1);
        journal_add(c->journal, NULL, JOURNAL_WARNING, "ManifestRejected",
                    str_failed(&text) ? xstrdup(set->files[i].path) : xstrdup(text.p));
        str_done(&text);
    }
}

/* Told once, until they change. */
static void note_findings(struct controller *c, const struct manifest_set *set)
{
    struct diag_list all = {0};
    struct str text;
    manifest_set_diags(set, &all);
    str_init(&text, FINDINGS_MAX);
    for (size_t i = 0; i < all.len; i++) {
        diag_format(&all.items[i], &text);
        str_addc(&text, '\n');
    }
    bool any = all.len > 0;
    free(all.items);
    char *now = str_take(&text);
    if (!now)
        now = xstrdup("more findings than can be told\n");
    if (any && (!c->findings || strcmp(now, c->findings) != 0)) {
        char *rest = now;
        for (char *end = strchr(rest, '\n'); end; rest = end + 1, end = strchr(rest, '\n'))
            log_at(LOG_WARN, "manifest %.*s", (int)(end - rest), rest);
        tell_files(c, set);
    }
    free(c->findings);
    c->findings = any ? TAKE_PTR(now) : NULL;
    free(now);
}

static void keep_sources(struct controller *c, const struct manifest_set *set)
{
    struct lastgood *g = &c->lastgood;
    AUTO(str_list_done) struct str_list dropped = {0};
    for (size_t i = 0; i < g->taken.len; i++)
        journal_add(c->journal, NULL, JOURNAL_NORMAL, "CutFileTaken",
                    xasprintf("%s has stayed a beginning of what it said before: taken as an edit",
                              g->taken.items[i]));
    lastgood_prune(g, &c->catalog, set, &dropped);
    if (c->opt.mode == MODE_PLAN)
        return;
    for (size_t i = 0; i < dropped.len; i++) {
        struct err *e = state_drop_source(c->state, dropped.items[i]);
        err_ignore(e, "it is only a guard, and is dropped by the next start");
    }
    for (size_t i = 0; i < g->len; i++) {
        struct lastgood_file *f = &g->files[i];
        AUTO_ERR e =
            f->stored ? NULL : state_store_source(c->state, f->path, (struct sv){f->bytes, f->n});
        f->stored = !e;
        if (e)
            log_at(LOG_WARN, "keeping what '%s' says: %s, trying again", f->path, err_message(e));
    }
}

/* What else has the name of a bottle, told once until it changes. */
static void tell_also(struct controller *c, const struct manifest_set *set)
{
    for (size_t i = 0; i < set->bottles_len; i++) {
        const struct manifest_bottle *m = &set->bottles[i];
        const struct catalog_entry *e = catalog_find(&c->catalog, m->name);
        if (m->also && (!e || !e->also || strcmp(e->also, m->also) != 0))
            journal_add(c->journal, m->name, JOURNAL_NORMAL, "AlsoDefined",
                        xasprintf("%s:%u has priority; what %s says about it isn't used", m->file,
                                  m->pos.line, m->also));
    }
}

static void wake_workers(struct controller *c)
{
    for (size_t i = 0; i < c->catalog.len; i++) {
        const struct catalog_entry *entry = c->catalog.entries[i];
        struct worker *w = worker_obtain(c, entry->name);
        if (entry->generation != w->generation)
            w->not_before_ns = 0; /* an edit ends a wait */
        worker_poke(w);
    }
    deletion_listed(c);
    controller_dispatch(c);
}

void manifests_load(struct controller *c)
{
    struct file_listing files = {0};
    if (!sources_ready(c))
        return;
    sources_list(c, &files);
    if (c->watch)
        watch_listed(c->watch, file_listing_digest(&files));
    note_unknown(c, file_listing_unknown(&files));
    note_sources(c, &files);
    deletion_read(c, &files);
    struct manifest_input *inputs = NULL;
    file_listing_inputs(&files, &inputs);
    struct manifest_rules rules = rules_of_manifests(c->rules);
    pinned_rules(c->pinned, &rules);
    struct manifest_set *set = lastgood_load(&c->lastgood, inputs, files.len, &rules, now_ns(c));
    note_findings(c, set);
    tell_also(c, set);
    catalog_update(&c->catalog, set);
    keep_sources(c, set);
    c->doubtful_files = false;
    for (size_t i = 0; i < set->files_len; i++)
        c->doubtful_files = c->doubtful_files || !set->files[i].usable;
    manifest_set_free(set);
    free(inputs);
    file_listing_done(&files);
    wake_workers(c);
    report_changed(c);
}

void manifests_keep(struct controller *c, struct catalog_entry *e)
{
    if (c->opt.mode == MODE_PLAN)
        return;
    const struct worker *w = worker_find(c, e->name);
    if (w && w->have_identity)
        pinned_keep(c->pinned, e->name);
    if (!e->changed)
        return;
    AUTO_FREE char *record =
        xasprintf("generation %" PRId64 "\nfile %s\n%s", e->generation, e->bottle->file, e->text);
    AUTO_ERR fault = state_store_manifest(c->state, e->name, sv_of(record));
    if (fault)
        log_at(LOG_ERROR, "bottle=%s keeping its last good manifest: %s, retrying", e->name,
               err_message(fault));
    else
        e->changed = false;
}

/* "generation N\nfile PATH\nTEXT" */
static bool split_record(char *record, int64_t *ret_generation, char **ret_file, char **ret_text)
{
    static const char generation[] = "generation ";
    static const char file[] = "file ";
    char *second = strchr(record, '\n');
    char *third = second ? strchr(second + 1, '\n') : NULL;
    if (!third || strncmp(record, generation, strlen(generation)) != 0 ||
        strncmp(second + 1, file, strlen(file)) != 0)
        return false;
    *second = '\0';
    *third = '\0';
    *ret_file = second + 1 + strlen(file);
    *ret_text = third + 1;
    return num_parse(sv_of(record + strlen(generation)), 1, INT64_MAX, ret_generation);
}

char *manifests_kept(struct controller *c, const char *name)
{
    AUTO_FREE char *record = NULL;
    size_t n = 0;
    int64_t generation = 0;
    char *file = NULL;
    char *text = NULL;
    AUTO_ERR e = state_load_manifest(c->state, name, &record, &n);
    return !e && split_record(record, &generation, &file, &text) ? xstrdup(text) : NULL;
}

static void seed_one(struct controller *c, const char *name, char *record)
{
    int64_t generation = 0;
    char *file = NULL;
    char *text = NULL;
    if (!split_record(record, &generation, &file, &text)) {
        log_at(LOG_WARN,
               "bottle=%s its last good manifest in the state directory is damaged, ignoring",
               name);
        return;
    }
    struct manifest_input in = {.path = file, .bytes = sv_of(text)};
    struct manifest_rules rules = {0};
    pinned_rules(c->pinned, &rules);
    struct manifest_set *set = manifest_load_under(&in, 1, &rules);
    bool good =
        set->bottles_len == 1 && set->bottles[0].bottle && strcmp(set->bottles[0].name, name) == 0;
    if (good)
        catalog_seed(&c->catalog, TAKE_PTR(set->bottles[0].bottle), text, generation);
    else
        log_at(LOG_WARN, "bottle=%s its last good manifest is not one for this version, ignoring",
               name);
    manifest_set_free(set);
}

static void seed_source(void *ctx, const char *path, struct sv bytes)
{
    struct controller *c = ctx;
    lastgood_seed(&c->lastgood, path, bytes);
}

struct err *manifests_seed(struct controller *c)
{
    TRY(state_load_sources(c->state, seed_source, c));
    struct str_list names = {0};
    struct err *e = state_list(c->state, &names);
    for (size_t i = 0; !e && i < names.len; i++) {
        char *record = NULL;
        size_t n = 0;
        AUTO_ERR missing = state_load_manifest(c->state, names.items[i], &record, &n);
        if (!missing)
            seed_one(c, names.items[i], record);
        free(record);
    }
    str_list_done(&names);
    return e;
}
