/* SPDX-License-Identifier: Apache-2.0 */
/* From the watched directories to the catalogue, and its last good generations to disk. */
#include "controller/controller.h"
#include "controller/log.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <inttypes.h>
#include <string.h>

enum { FINDINGS_MAX = 16 << 20 };

static void note_unreadable(struct controller *c, const struct err *e)
{
    if (c->manifests_error && strcmp(c->manifests_error, err_message(e)) == 0)
        return;
    free(c->manifests_error);
    c->manifests_error = xstrdup(err_message(e));
    journal_add(c->journal, NULL, JOURNAL_WARNING, "ManifestsUnreadable",
                xasprintf("%s; what they say is unknown, nothing is changed or removed for it, "
                          "looking again",
                          err_message(e)));
}

/* Findings that belong to no bottle: nobody knows which one the file holds. */
static void tell_files(struct controller *c, const struct manifest_set *set)
{
    for (size_t i = 0; i < set->files_len; i++) {
        const struct diag_list *l = &set->files[i].diags;
        if (!l->len)
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

void manifests_load(struct controller *c)
{
    struct file_listing files = {0};
    AUTO_ERR e = files_list(c->opt.manifests, &files);
    if (e) {
        note_unreadable(c, e);
        file_listing_done(&files);
        report_changed(c);
        return;
    }
    if (c->manifests_error)
        journal_add(c->journal, NULL, JOURNAL_NORMAL, "ManifestsReadable",
                    xstrdup("the manifests can be read again"));
    free(c->manifests_error);
    c->manifests_error = NULL;
    struct manifest_input *inputs = NULL;
    file_listing_inputs(&files, &inputs);
    struct manifest_rules rules = rules_of_manifests(c->rules);
    struct manifest_set *set = manifest_load_under(inputs, files.len, &rules);
    note_findings(c, set);
    catalog_update(&c->catalog, set);
    c->doubtful_files = false;
    for (size_t i = 0; i < set->files_len; i++)
        c->doubtful_files = c->doubtful_files || !set->files[i].usable;
    manifest_set_free(set);
    free(inputs);
    file_listing_done(&files);
    c->manifests_known = true;
    for (size_t i = 0; i < c->catalog.len; i++) {
        const struct catalog_entry *entry = c->catalog.entries[i];
        struct worker *w = worker_obtain(c, entry->name);
        if (entry->generation != w->generation)
            w->not_before_ns = 0; /* an edit ends a wait */
        worker_poke(w);
    }
    controller_dispatch(c);
}

void manifests_keep(struct controller *c, struct catalog_entry *e)
{
    if (!e->changed || c->opt.mode == MODE_PLAN)
        return;
    AUTO_FREE char *record =
        xasprintf("generation %" PRId64 "\nfile %s\n%s", e->generation, e->file, e->text);
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
    struct manifest_set *set = manifest_load(&in, 1);
    bool good =
        set->bottles_len == 1 && set->bottles[0].bottle && strcmp(set->bottles[0].name, name) == 0;
    if (good)
        catalog_seed(&c->catalog, TAKE_PTR(set->bottles[0].bottle), text, generation);
    else
        log_at(LOG_WARN, "bottle=%s its last good manifest is not one for this version, ignoring",
               name);
    manifest_set_free(set);
}

struct err *manifests_seed(struct controller *c)
{
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
