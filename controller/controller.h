/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller: the one thing with a clock and descriptors. It feeds the pure layers with what is
 * (listings of manifests and of the engine) and sends what they decide.
 *
 *   manifests.c  files -> catalogue          observe.c  engine lists -> struct observed
 *   events.c     the engine's stream, a hint  worker.c   one bottle: look, plan, carry out, look
 * again wire.c       a plan's requests on the engine client     report.c   status as JSON
 *   from_git.c   a repository's commits as one more directory of manifests
 */
#ifndef BOTTLER_CONTROLLER_CONTROLLER_H
#define BOTTLER_CONTROLLER_CONTROLLER_H

#include "controller/api.h"
#include "controller/attestor.h"
#include "controller/deletion.h"
#include "controller/engine.h"
#include "controller/git_source.h"
#include "controller/history.h"
#include "controller/journal.h"
#include "controller/orphans.h"
#include "controller/pinned.h"
#include "controller/rollout.h"
#include "controller/rules.h"
#include "controller/secrets.h"
#include "controller/state.h"
#include "controller/suspend.h"
#include "controller/watch.h"
#include "reconcile/backoff.h"
#include "reconcile/catalog.h"
#include "reconcile/diff.h"
#include "reconcile/exec.h"
#include "reconcile/lastgood.h"
#include "reconcile/status.h"

#include <systemd/sd-event.h>

enum controller_mode {
    MODE_RUN,   /* until told to stop */
    MODE_ONCE,  /* until everything has settled */
    MODE_PLAN,  /* looks, never changes anything */
    MODE_APPLY, /* looks, then carries out a plan that was made before, once; planning.h */
};

/* Borrowed strings; NULL where not given. */
struct controller_options {
    enum controller_mode mode;
    const struct str_list *manifests;
    const char *state_dir;
    const char *engine;
    const char *secrets_dir;
    const char *instance;
    const char *socket;
    const char *address_pool;
    const char *upstream_ca_file;
    const char *policy_file;
    const char *git_url; /* NULL: no repository */
    const char *git_ref, *git_path, *git_signers;
    unsigned git_interval_s; /* 0: the default */
    const char *image[ROLE_COUNT];
    struct graves_limits deletion;
    unsigned ca_days;  /* the life of CAs that are made; 0: STATE_CA_DAYS */
    unsigned attest_s; /* between two attestations of a bottle; 0: none without need */
};

/* How often we have ourselves written into a container, signalled it, or set its limits. */
struct own_deeds {
    unsigned uploads[ROLE_COUNT];
    unsigned signals[ROLE_COUNT];
    unsigned updates[ROLE_COUNT];
};

/* A pass that was asked for by hand. */
struct asked {
    uint64_t token;   /* 0: never */
    uint64_t poll;    /* of the sources, that it is to come after; 0: any */
    uint64_t handled; /* the last one that has ended */
    bool begun;       /* a pass that came after the request, and that poll */
};

struct worker {
    struct controller *c;
    char *name;
    struct bottle_state identity; /* once loaded */
    bool have_identity;
    struct desired *desired; /* what the last look wanted; for status */
    struct plan *plan;       /* of the last look; for status */
    struct exec *exec;       /* what is being carried out; NULL: nothing */
    struct flight *flights;  /* its requests under way */
    bool dirty;              /* a look is due */
    unsigned echoes;         /* looks to take a little later too, see events.c */
    uint64_t needs_look;     /* number of the first observation that is new enough */
    int64_t generation;      /* that the failures below belong to */
    unsigned failures;
    bool terminal;
    uint64_t not_before_ns;
    char *problem;
    char *secrets_problem;
    char *unsupported;
    char *trust;             /* as recorded, see rotation.c; NULL: nothing is */
    char *forbidden;         /* why the installation's rules don't let it run; NULL: they do */
    char *quarantine;        /* why the agent may not run; NULL: it may */
    const char *open_reason; /* what opens the bottle, of the last look; NULL: nothing */
    char *open_text;
    bool interrupted;       /* what is under way gives way to what is more urgent */
    uint64_t ended_ns;      /* when its last requests had ended */
    struct own_deeds deeds; /* whose events are still to come */
    struct attested attested;
    struct kv_list secret_hashes; /* of the last render that had its secrets */
    struct applied applied;       /* the last generation that converged */
    struct history history;
    struct rollout rollout;
    struct suspension by_hand;
    struct asked asked;
    struct parting parting;
    struct conditions conditions;
};

struct controller {
    struct controller_options opt;
    sd_event *loop;
    struct state *state;
    struct pinned *pinned; /* the defaults that bottles were accepted with */
    struct engine *engine;
    struct watch *watch;
    struct watch *secrets_watch;
    struct git_source *git; /* NULL: no repository */
    char *git_dir;          /* what it keeps is there */
    char *git_scratch;      /* of MODE_PLAN: where it is fetched to */
    uint64_t git_asked[2];  /* polls that end with an even look, and with an odd one; 0: none */
    struct api_server *api;
    struct attestor *attestor;
    struct journal *journal; /* what has happened, for `events` */
    struct deletion *deletion;
    struct orphans *orphans;
    struct rules *rules;     /* what the installation forbids */
    sd_event_source *wake;   /* for the nearest not_before_ns */
    sd_event_source *resync; /* everything, every RESYNC */
    sd_event_source *retry;  /* of the connection */
    sd_event_source *echo;   /* looks after events */
    unsigned guard_echoes;   /* of them, after what may have opened a bottle, see events.c */
    sd_event_source *suspension_end;
    int64_t suspension_armed_s; /* when that is; 0: never */

    struct planning *planning; /* of MODE_APPLY */

    struct pool pool;
    char *upstream_ca;
    size_t upstream_ca_n;
    struct engine_caps caps;
    bool connected;
    bool connecting;
    unsigned connect_failures;
    uint64_t events_id;

    struct catalog catalog;
    uint64_t source_polls; /* begun by hand */
    uint64_t source_polls_done;
    uint64_t last_token;
    struct lastgood lastgood;
    struct str_list sources_seen; /* directories of manifests that were listed at least once */
    bool manifests_known;         /* all of them were */
    char *manifests_error;        /* what of the last listing is unknown, and why; NULL: nothing */
    char *findings;               /* of the last one, a line each; NULL: none */
    bool doubtful_files;          /* it held a file of which nobody knows what bottles are in it */

    struct memory memory;
    struct observed *observed; /* the last; NULL before the first */
    uint64_t looks_started;
    uint64_t looks_done;
    struct look *look; /* under way */
    bool look_again;

    struct worker **workers; /* by name */
    size_t workers_len;
    uint64_t prng;
    bool stopping;
    int exit_code;
};

/* Runs until it ends by itself or by a signal; the answer is the exit code. */
struct err *controller_run(const struct controller_options *opt, int *ret_exit) ERR_NODISCARD;

/* ---- between the files of the controller ---- */

uint64_t now_ns(const struct controller *c); /* monotonic */
/* Ends the loop once nothing that changes the engine is under way. */
void controller_stop(struct controller *c, int exit_code);
/* After anything that may allow a pass to begin or the end to come. */
void controller_dispatch(struct controller *c);

/* manifests.c */
void manifests_load(struct controller *c);
struct err *manifests_seed(struct controller *c) ERR_NODISCARD;
void manifests_keep(struct controller *c, struct catalog_entry *e);
/* The text that was kept last; NULL: none can be had. The caller frees. */
char *manifests_kept(struct controller *c, const char *name);

/* api_reconcile.c */
/* Lists the manifests again; the answer is the number of the poll that has begun for this, at most
 * c->source_polls_done when it is over already. */
uint64_t controller_poll_source(struct controller *c);
/* Poll `poll` is over, well or not. */
void controller_polled(struct controller *c, uint64_t poll);
/* A pass begins; w->conditions were judged. */
void reconcile_begun(struct worker *w);
void reconcile_follow(struct worker *w);

/* from_git.c */
struct err *from_git_open(struct controller *c) ERR_NODISCARD;
void from_git_close(struct controller *c);
/* files_list() of the directories and, last, the repository: it is the source "git:<path>", whose
 * revision is the commit; unknown while nothing has been fetched yet. */
void sources_list(struct controller *c, struct file_listing *ret);
/* False: a listing has to wait for the first look at the repository. */
bool sources_ready(const struct controller *c);
/* Why what is listed may not be the newest; NULL: it is. */
const char *sources_problem(const struct controller *c);
/* Looks at the repository now, for a poll that controller_polled() is told of when that is done.
 * False: there is none to look at. */
bool sources_poll(struct controller *c, uint64_t poll);
/* The repository of a plan's options, as {"url", "ref", "path", "verify"} or null, and back (then
 * borrowed). What a URL holds besides the address is in no plan: INVALID for such a one. */
json_t *from_git_json(const struct controller_options *opt);
struct err *from_git_options(const json_t *git, struct controller_options *ret) ERR_NODISCARD;

/* observe.c */
void observe(struct controller *c);
void observe_abort(struct controller *c);
void engine_lost(struct controller *c, const struct err *why);
void engine_open(struct controller *c);

/* events.c */
void events_open(struct controller *c);
/* The timer of the later looks; sd_event_add_time()'s handler. */
int events_echo(sd_event_source *s, uint64_t usec, void *ctx);

/* worker.c */
struct worker *worker_find(const struct controller *c, const char *name);
struct worker *worker_obtain(struct controller *c, const char *name);
void worker_free(struct worker *w);
void worker_poke(struct worker *w);
/* The same, with what failed forgotten, and not before another look at the engine. */
void worker_retry(struct worker *w);
/* Looks and acts, when it is due. */
void worker_pass(struct worker *w);
/* Carries out the plan of the last pass, whatever the mode. */
void worker_carry_out(struct worker *w);
/* It is suspended, and this plan is nothing that is done nevertheless. */
bool worker_leaves_alone(const struct worker *w, const struct plan *p);
void worker_status(struct worker *w);
/* After a look: a bottle that something has opened is seen to at once. */
void worker_guard(struct worker *w);
bool worker_settled(const struct worker *w);
void worker_input(const struct worker *w, struct status_input *ret);

/* wire.c */
void worker_pump(struct worker *w);
void worker_ended(struct worker *w); /* worker.c: its exec has finished */
/* Drops its requests: those that change nothing; also those that only wait for what the engine
 * carries to its end anyway; or all. The rest end by themselves. */
enum flights { FLIGHTS_READS, FLIGHTS_WAITS, FLIGHTS_ALL };
void flights_cancel(struct worker *w, enum flights which);

/* report.c */
json_t *report_bottles(const struct controller *c);
json_t *report_bottle(const struct worker *w);
/* api_handler: what is asked of the socket, by the table of routes (routes.h). */
json_t *report_handle(void *ctx, const struct api_request *q, int *ret_status);
void report_changed(struct controller *c);
/* journal_hooks.added: to the log and to who watches. */
void report_event(void *ctx, const struct journal_entry *e);

#endif
