/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what this engine can and can't isolate. */
#include "controller/cli.h"
#include "controller/doctor.h"
#include "spec/base/xalloc.h"

#include <signal.h>
#include <string.h>

struct verb_doctor {
    const struct cli *cli;
    sd_event *loop;
    struct endpoint at;
    struct engine *engine;
    struct doctor *doctor;
    struct pool pool;
    struct str text;
    bool sealed;
    bool interrupted;
    struct err *error;
};

static void on_progress(void *ctx, const char *text)
{
    (void)ctx;
    (void)fprintf(stderr, "doctor: %s\n", text);
}

static void on_done(void *ctx, const struct err *error, const struct doctor_facts *facts)
{
    struct verb_doctor *v = ctx;
    v->doctor = NULL;
    (void)sd_event_exit(v->loop, 0);
    if (error) {
        if (!v->error)
            v->error = err_new(err_kind(error), "%s", err_message(error));
        return;
    }
    struct doctor_rows rows;
    doctor_judge(facts, &rows);
    v->sealed = doctor_count(&rows, DOCTOR_FAIL) == 0;
    if (v->cli->output == OUTPUT_JSON) {
        json_t *json = doctor_json(facts, &rows);
        AUTO_FREE char *text = XNN(json_dumps(json, JSON_INDENT(2)));
        json_decref(json);
        str_addf(&v->text, "%s\n", text);
    } else {
        doctor_print(facts, &rows, &v->text);
    }
    doctor_rows_done(&rows);
}

static void on_connected(void *ctx, const struct err *error, const struct engine_info *info)
{
    struct verb_doctor *v = ctx;
    (void)info;
    if (error) {
        v->error = err_new(err_kind(error), "%s", err_message(error));
        (void)sd_event_exit(v->loop, 0);
        return;
    }
    const struct doctor_options opt = {.endpoint = &v->at,
                                       .pool = &v->pool,
                                       .image = v->cli->image[ROLE_EGRESS],
                                       .progress = on_progress};
    v->doctor = doctor_start(v->engine, v->loop, &opt, on_done, v);
}

/* The first clears up and ends, the second ends at once. */
static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *ctx)
{
    (void)s;
    struct verb_doctor *v = ctx;
    if (!v->error)
        v->error = err_new(ERR_DENIED, "interrupted");
    if (v->interrupted || !v->doctor) {
        (void)sd_event_exit(v->loop, 0);
        return 0;
    }
    (void)fprintf(stderr, "doctor: signal %u: removing what the trial made\n", si->ssi_signo);
    v->interrupted = true;
    doctor_cancel(v->doctor);
    return 0;
}

static struct err *open_all(struct verb_doctor *v)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    if (v->cli->output == OUTPUT_NAME)
        return err_new(ERR_INVALID, "-o name: expected table or json");
    if (v->cli->args.len)
        return err_new(ERR_INVALID, "'%s' is one argument too many", v->cli->args.items[0]);
    TRY(pool_parse(v->cli->pool, &v->pool));
    TRY(endpoint_resolve(v->cli->engine, &v->at));
    if (sd_event_new(&v->loop) < 0 ||
        sd_event_add_signal(v->loop, NULL, SIGTERM, on_signal, v) < 0 ||
        sd_event_add_signal(v->loop, NULL, SIGINT, on_signal, v) < 0)
        return err_new(ERR_INTERNAL, "no event loop");
    return engine_new(v->loop, &v->at, &v->engine);
}

int verb_doctor(const struct cli *cli)
{
    enum { OUTPUT_MAX = 1 << 20 };
    struct verb_doctor v = {.cli = cli};
    str_init(&v.text, OUTPUT_MAX);
    int code = EXIT_USAGE;
    struct err *e = open_all(&v);
    if (e) {
        code = cli_fail(e, EXIT_USAGE);
    } else {
        engine_connect(v.engine, on_connected, &v);
        (void)sd_event_loop(v.loop);
        code = v.error ? cli_fail(v.error, EXIT_DIFFERS)
                       : cli_print(v.text.p, v.sealed ? EXIT_OK : EXIT_DIFFERS);
    }
    doctor_free(v.doctor);
    engine_free(v.engine);
    sd_event_unref(v.loop);
    endpoint_done(&v.at);
    str_done(&v.text);
    return code;
}
