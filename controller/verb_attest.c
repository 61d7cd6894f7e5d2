/* SPDX-License-Identifier: Apache-2.0 */
/* attest: proof that bottles are sealed. */
#include "controller/attest.h"
#include "controller/cli.h"
#include "controller/duration.h"
#include "controller/gather.h"
#include "spec/base/xalloc.h"

#include <signal.h>
#include <string.h>

enum { TARGETS_MAX = 64, ONLY_MAX = 64, OUTPUT_MAX = 64 << 20, LONGEST_S = 86400 };

struct verb_attest {
    const struct cli *cli;
    sd_event *loop;
    struct engine *engine;
    struct attest *attest; /* of the bottle that is under way */
    struct gather *gather;
    json_t *containers;
    struct str_list bottles;
    size_t next;
    struct attest_options opt;
    struct attest_target targets[TARGETS_MAX];
    json_t *reports;
    struct str text;
    bool all_sealed;
    bool interrupted;
    struct err *error; /* the first */
    enum exit_code code;
};

static void next(struct verb_attest *v);

static void end(struct verb_attest *v)
{
    (void)sd_event_exit(v->loop, 0);
}

static void fail(struct verb_attest *v, struct err *e_take, enum exit_code code)
{
    if (v->error) {
        err_ignore(e_take, "the first failure is told");
        return;
    }
    v->error = e_take;
    v->code = code;
}

static void fail_copy(struct verb_attest *v, const struct err *e)
{
    fail(v, err_new(err_kind(e), "%s", err_message(e)),
         err_kind(e) == ERR_TIMEOUT ? EXIT_TIMEOUT : EXIT_DIFFERS);
}

/* ---- one bottle after the other -------------------------------------------------------------- */

static void on_progress(void *ctx, const char *text)
{
    (void)ctx;
    (void)fprintf(stderr, "attest: %s\n", text);
}

static void keep_report(struct verb_attest *v, const struct attest_report *r)
{
    struct str line;
    str_init(&line, 4096);
    attest_report_summary(r, &line);
    (void)fprintf(stderr, "attest: %s: %s\n", attest_report_bottle(r), line.p);
    str_done(&line);
    if (attest_report_conclusion(r) != ATTEST_SEALED)
        v->all_sealed = false;
    if (v->text.len)
        str_addc(&v->text, '\n');
    attest_report_print(r, v->cli->output == OUTPUT_WIDE, &v->text);
    if (json_array_append_new(v->reports, attest_report_json(r)) != 0)
        xoom();
}

static void on_attested(void *ctx, const struct err *error, const struct attest_report *report)
{
    struct verb_attest *v = ctx;
    v->attest = NULL;
    if (report)
        keep_report(v, report);
    if (error)
        fail_copy(v, error);
    if (v->interrupted)
        end(v);
    else
        next(v);
}

static void next(struct verb_attest *v)
{
    if (v->next == v->bottles.len) {
        end(v);
        return;
    }
    v->opt.bottle = v->bottles.items[v->next++];
    v->attest = attest_start(v->engine, v->loop, &v->opt, on_attested, v);
}

/* Those that are named must be there. */
static struct err *choose(struct verb_attest *v)
{
    struct str_list found = {0};
    struct err *e = NULL;
    attest_bottles(v->containers, v->cli->instance, &found);
    for (size_t i = 0; !e && i < v->cli->args.len; i++) {
        const char *name = v->cli->args.items[i];
        if (str_list_has(&found, name))
            str_list_add(&v->bottles, name);
        else
            e = err_new(ERR_NOT_FOUND, "instance '%s' has no bottle '%s' on this engine",
                        v->cli->instance, name);
    }
    for (size_t i = 0; !e && v->cli->all && i < found.len; i++)
        str_list_add(&v->bottles, found.items[i]);
    if (!e && !v->bottles.len)
        e = err_new(ERR_NOT_FOUND, "instance '%s' has no bottles on this engine", v->cli->instance);
    str_list_done(&found);
    return e;
}

static void on_listed(void *ctx, const struct err *error)
{
    struct verb_attest *v = ctx;
    v->gather = NULL;
    struct err *e = error ? err_new(err_kind(error), "%s", err_message(error)) : choose(v);
    if (e) {
        fail(v, e, EXIT_DIFFERS);
        end(v);
        return;
    }
    next(v);
}

static void on_connected(void *ctx, const struct err *error, const struct engine_info *info)
{
    struct verb_attest *v = ctx;
    (void)info;
    if (error) {
        fail_copy(v, error);
        end(v);
        return;
    }
    v->gather = gather_new(v->engine, on_listed, v);
    gather_add(v->gather, "/containers/json?all=1", false, &v->containers);
    gather_start(v->gather, v->loop);
}

/* The first removes the probe and ends, the second ends at once. */
static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *ctx)
{
    (void)s;
    struct verb_attest *v = ctx;
    fail(v, err_new(ERR_DENIED, "interrupted: nothing is proven"), EXIT_DIFFERS);
    if (v->interrupted || !v->attest) {
        end(v);
        return 0;
    }
    (void)fprintf(stderr, "attest: signal %u: removing the probe\n", si->ssi_signo);
    v->interrupted = true;
    attest_cancel(v->attest);
    return 0;
}

/* ---- the command line ------------------------------------------------------------------------ */

static bool is_plain(const char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            return false;
    }
    return true;
}

static struct err *read_targets(struct verb_attest *v)
{
    const struct str_list *l = &v->cli->targets;
    if (l->len > TARGETS_MAX)
        return err_new(ERR_INVALID, "--target: expected %d at most", TARGETS_MAX);
    for (size_t i = 0; i < l->len; i++) {
        if (!attest_target_parse(l->items[i], &v->targets[i]))
            return err_new(ERR_INVALID,
                           "--target '%s': expected ADDRESS, ADDRESS:PORT or ADDRESS:PORT/udp, "
                           "with a numeric address (IPv6 with a port: [ADDRESS]:PORT)",
                           l->items[i]);
        v->opt.targets_len++;
    }
    return NULL;
}

static struct err *read_options(struct verb_attest *v)
{
    const struct cli *cli = v->cli;
    int64_t seconds = 0;
    if (cli->output == OUTPUT_NAME)
        return err_new(ERR_INVALID, "-o name: expected table, wide or json");
    if (cli->all && cli->args.len)
        return err_new(ERR_INVALID, "'%s' and --all: expected one of the two", cli->args.items[0]);
    if (!cli->all && !cli->args.len)
        return err_new(ERR_INVALID, "which bottle? expected NAME… or --all");
    if (cli->timeout && !timeout_parse(cli->timeout, 1, LONGEST_S, &seconds))
        return err_new(ERR_INVALID, "--timeout '%s': expected a time such as 90s or 5m, 1s to 24h",
                       cli->timeout);
    for (size_t i = 0; i < cli->only.len; i++) {
        if (!is_plain(cli->only.items[i]) || i >= ONLY_MAX)
            return err_new(ERR_INVALID, "--only: expected at most %d patterns of plain characters",
                           ONLY_MAX);
    }
    v->opt = (struct attest_options){.instance = cli->instance,
                                     .only = &cli->only,
                                     .targets = v->targets,
                                     .wide = !cli->no_wide,
                                     .timeout_s = (unsigned)seconds,
                                     .image = cli->image[ROLE_EGRESS],
                                     .progress = on_progress};
    return read_targets(v);
}

static struct err *open_loop(struct verb_attest *v)
{
    struct endpoint at = {0};
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    if (sd_event_new(&v->loop) < 0 ||
        sd_event_add_signal(v->loop, NULL, SIGTERM, on_signal, v) < 0 ||
        sd_event_add_signal(v->loop, NULL, SIGINT, on_signal, v) < 0)
        return err_new(ERR_INTERNAL, "no event loop");
    TRY(endpoint_resolve(v->cli->engine, &at));
    struct err *e = engine_new(v->loop, &at, &v->engine);
    endpoint_done(&at);
    return e;
}

static int print(struct verb_attest *v)
{
    enum exit_code code = v->error ? v->code : v->all_sealed ? EXIT_OK : EXIT_DIFFERS;
    if (v->cli->output == OUTPUT_JSON && json_array_size(v->reports)) {
        bool one = !v->cli->all && v->cli->args.len == 1;
        json_t *json = one ? json_incref(json_array_get(v->reports, 0))
                           : XNN(json_pack("{s:s, s:O}", "kind", "List", "items", v->reports));
        AUTO_FREE char *text = XNN(json_dumps(json, JSON_INDENT(2)));
        json_decref(json);
        str_clear(&v->text);
        str_addf(&v->text, "%s\n", text);
    }
    int ret = v->text.len ? cli_print(v->text.p, code) : (int)code;
    if (v->error)
        (void)fprintf(stderr, "bottler: %s\n", err_message(v->error));
    return ret;
}

static void done(struct verb_attest *v)
{
    gather_free(v->gather);
    attest_free(v->attest);
    engine_free(v->engine);
    sd_event_unref(v->loop);
    json_decref(v->containers);
    json_decref(v->reports);
    for (size_t i = 0; i < v->opt.targets_len; i++)
        free(v->targets[i].address);
    str_list_done(&v->bottles);
    str_done(&v->text);
    err_free(v->error);
}

int verb_attest(const struct cli *cli)
{
    struct verb_attest v = {.cli = cli, .all_sealed = true, .reports = XNN(json_array())};
    str_init(&v.text, OUTPUT_MAX);
    struct err *e = read_options(&v);
    if (!e)
        e = open_loop(&v);
    int code = EXIT_USAGE;
    if (e) {
        code = cli_fail(e, EXIT_USAGE);
    } else {
        engine_connect(v.engine, on_connected, &v);
        (void)sd_event_loop(v.loop);
        code = print(&v);
    }
    done(&v);
    return code;
}
