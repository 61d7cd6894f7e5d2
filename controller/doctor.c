/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/doctor.h"

#include "controller/attest_host.h"
#include "controller/doctor_net.h"
#include "controller/gather.h"
#include "controller/oneshot.h"
#include "render/doctor_trial.h"
#include "render/files.h"
#include "render/text_clean.h"
#include "spec/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

enum { NONCE_BYTES = 8, BRIDGE_DIGITS = 10, TRIAL_MS = 60000, ROUTES_MAX = 256 << 10 };

struct doctor {
    struct engine *e;
    sd_event *loop;
    sd_event_source *soon;
    doctor_done_fn *done;
    void *ctx;
    doctor_progress_fn *progress;
    struct pool pool;
    bool local;
    char *image; /* asked for, then found */
    bool image_asked;
    char nonce[2 * NONCE_BYTES + 1];

    struct doctor_facts facts;
    json_t *networks, *containers, *image_answer;
    struct cidr_set used;
    struct gather *gather;
    struct doctor_net *nets[DOCTOR_TRIALS];
    enum doctor_trial trial; /* under way */
    json_t *output;
    struct oneshot *run;
    struct attest_host *host;
    bool cleaning;
    size_t removed;
    struct err *error;
};

static const char *const TRIALS[DOCTOR_TRIALS] = {
    [DOCTOR_SEALED] = "sealed", [DOCTOR_PLAIN] = "plain"};

/* ---- life ------------------------------------------------------------------------------------ */

struct doctor *doctor_free(struct doctor *d)
{
    if (!d)
        return NULL;
    gather_free(d->gather);
    oneshot_free(d->run);
    attest_host_free(d->host);
    for (size_t i = 0; i < DOCTOR_TRIALS; i++)
        doctor_net_free(d->nets[i]);
    (void)sd_event_source_disable_unref(d->soon);
    doctor_facts_done(&d->facts);
    cidr_set_done(&d->used);
    json_decref(d->networks);
    json_decref(d->containers);
    json_decref(d->image_answer);
    json_decref(d->output);
    free(d->image);
    err_free(d->error);
    free(d);
    return NULL;
}

static int on_soon(sd_event_source *s, uint64_t usec, void *ctx)
{
    (void)s;
    (void)usec;
    struct doctor *d = ctx;
    d->done(d->ctx, d->error, d->error ? NULL : &d->facts);
    doctor_free(d);
    return 0;
}

static void finish_soon(struct doctor *d)
{
    if (!d->soon)
        (void)sd_event_add_time_relative(d->loop, &d->soon, CLOCK_MONOTONIC, 0, 1000, on_soon, d);
}

static void fail(struct doctor *d, struct err *e_take)
{
    if (d->error)
        err_ignore(e_take, "the first failure is told");
    else
        d->error = e_take;
}

/* The trial could not be made: the facts are told without it. */
static void not_measured(struct doctor *d, const char *why)
{
    if (!d->facts.not_measured)
        d->facts.not_measured = text_clean(sv_of(why), 400);
}

static void say(const struct doctor *d, const char *text)
{
    if (d->progress)
        d->progress(d->ctx, text);
}

/* ---- clearing up ----------------------------------------------------------------------------- */

static void clean_next(struct doctor *d);

static void on_net_removed(void *ctx, const struct err *error)
{
    struct doctor *d = ctx;
    if (error)
        fail(d, err_new(err_kind(error), "%s", err_message(error)));
    d->removed++;
    clean_next(d);
}

static void clean_next(struct doctor *d)
{
    while (d->removed < DOCTOR_TRIALS && !d->nets[d->removed])
        d->removed++;
    if (d->removed == DOCTOR_TRIALS)
        finish_soon(d);
    else
        doctor_net_remove(d->nets[d->removed], on_net_removed, d);
}

static void clean(struct doctor *d)
{
    if (d->cleaning)
        return;
    d->cleaning = true;
    clean_next(d);
}

void doctor_cancel(struct doctor *d)
{
    fail(d, err_new(ERR_DENIED, "called off"));
    d->gather = gather_free(d->gather);
    if (d->run)
        oneshot_cancel(d->run); /* its end clears the rest up */
    else
        clean(d);
}

/* ---- the trial ------------------------------------------------------------------------------- */

static void run_trial(struct doctor *d);

static void on_trial_end(void *ctx, const struct oneshot_end *end)
{
    struct doctor *d = ctx;
    d->run = NULL;
    if (d->error) {
        clean(d);
        return;
    }
    if (end->error) {
        not_measured(d, err_message(end->error));
    } else if (end->exit_code != 0 || !doctor_facts_seen(&d->facts, d->trial, d->output)) {
        AUTO_FREE char *why = xasprintf("the trial ended with %d%s%s", end->exit_code,
                                        *end->tail ? ": " : "", end->tail);
        not_measured(d, why);
    }
    json_decref(d->output);
    d->output = NULL;
    if (d->trial == DOCTOR_SEALED && !d->facts.not_measured) {
        d->trial = DOCTOR_PLAIN;
        run_trial(d);
    } else {
        clean(d);
    }
}

static bool on_trial_line(void *ctx, int stream, struct sv line)
{
    struct doctor *d = ctx;
    (void)stream;
    json_decref(d->output);
    d->output = json_loadb(line.n ? line.p : "", line.n, JSON_REJECT_DUPLICATES, NULL);
    return true;
}

static void add_number(struct str_list *l, uint32_t a)
{
    str_list_add_take(
        l, xasprintf("%u.%u.%u.%u", a >> 24, (a >> 16) & 255U, (a >> 8) & 255U, a & 255U));
}

/* Where something of the host might answer: the ends of the trial's own slice, the default bridge's
 * gateway, and the host's own addresses when it is ours. */
static void host_addresses(const struct doctor *d, struct str_list *ret)
{
    struct cidr own = doctor_net_slice(d->nets[d->trial]);
    size_t i = 0;
    const json_t *n = NULL;
    add_number(ret, own.base + 1);
    add_number(ret, own.base + (UINT32_C(1) << (32 - own.bits)) - 2);
    json_array_foreach(d->networks, i, n)
    {
        const char *name = json_string_value(json_object_get(n, "Name"));
        const json_t *config =
            json_array_get(json_object_get(json_object_get(n, "IPAM"), "Config"), 0);
        const char *subnet = json_string_value(json_object_get(config, "Subnet"));
        struct cidr c = {0};
        if (name && strcmp(name, "bridge") == 0 && subnet && cidr_parse(subnet, &c))
            add_number(ret, c.base + 1);
    }
    if (d->host)
        attest_host_addresses(ret);
    str_list_sort_unique(ret);
}

static struct err *trial_files(const struct doctor *d, char **ret, size_t *ret_n)
{
    struct str_list addresses = {0};
    host_addresses(d, &addresses);
    json_t *input = doctor_trial_input(d->nonce, TRIALS[d->trial], &addresses,
                                       d->host ? attest_host_tcp_port(d->host) : 0);
    AUTO_FREE char *text = XNN(json_dumps(input, JSON_COMPACT));
    json_decref(input);
    str_list_done(&addresses);
    struct file_list files = {0};
    file_list_add_dir(&files, DOCTOR_DIR, 0, 0, 0755);
    file_list_add(&files, DOCTOR_DIR "/trial.py", 0, 0, 0444, doctor_trial_program());
    file_list_add(&files, DOCTOR_DIR "/input.json", 0, 0, 0444, sv_of(text));
    struct err *e = tar_write(&files, false, ret, ret_n);
    file_list_done(&files);
    return e;
}

static char *trial_name(const struct doctor *d, enum doctor_trial t)
{
    return xasprintf("bottler-doctor-%.*s-%s", 2 * NONCE_BYTES, d->nonce, TRIALS[t]);
}

static void run_trial(struct doctor *d)
{
    AUTO_FREE char *name = trial_name(d, d->trial);
    AUTO_FREE char *tar = NULL;
    size_t n = 0;
    struct err *e = trial_files(d, &tar, &n);
    if (e) {
        fail(d, e);
        clean(d);
        return;
    }
    say(d, d->trial == DOCTOR_SEALED ? "trying a network of bottler's"
                                     : "trying a plain internal network");
    json_t *json = doctor_container_body(d->image, name, d->trial == DOCTOR_SEALED,
                                         engine_caps(d->e).weak_seccomp);
    AUTO_FREE char *body = XNN(json_dumps(json, JSON_COMPACT));
    json_decref(json);
    const struct oneshot_spec spec = {
        .name = name, .body = body, .tars = {{tar, n}}, .timeout_ms = TRIAL_MS};
    d->run = oneshot_start(d->e, d->loop, &spec, on_trial_line, on_trial_end, d);
}

/* Where the bridge is an interface of ours, what listens here would be reached. */
static void listen_here(struct doctor *d)
{
    static const struct str_list nobody = {0};
    if (!attest_host_has_interface(doctor_net_bridge(d->nets[DOCTOR_SEALED])))
        return;
    struct err *e = attest_host_open(d->loop, d->nonce, &nobody, &d->host);
    if (e)
        err_ignore(e, "closed ports answer as well");
}

static void make_net(struct doctor *d);

static void on_net_made(void *ctx, const struct err *error)
{
    struct doctor *d = ctx;
    if (error) {
        not_measured(d, err_message(error));
        clean(d);
        return;
    }
    if (d->trial == DOCTOR_SEALED) {
        listen_here(d);
        d->trial = DOCTOR_PLAIN;
        make_net(d);
        return;
    }
    d->trial = DOCTOR_SEALED;
    run_trial(d);
}

static void make_net(struct doctor *d)
{
    AUTO_FREE char *name = trial_name(d, d->trial);
    AUTO_FREE char *bridge = xasprintf("btd-%.*s", BRIDGE_DIGITS, d->nonce);
    const struct doctor_net_spec spec = {.name = name,
                                         .bridge = bridge,
                                         .sealed = d->trial == DOCTOR_SEALED,
                                         .pool = &d->pool,
                                         .used = &d->used};
    d->nets[d->trial] = doctor_net_new(d->e, d->loop, &spec);
    doctor_net_create(d->nets[d->trial], on_net_made, d);
}

/* ---- what it tells --------------------------------------------------------------------------- */

/* The image that was asked for, the usual one, or that of an egress proxy that stands there. */
static char *find_image(const struct doctor *d)
{
    const char *id = json_string_value(json_object_get(d->image_answer, "Id"));
    size_t i = 0;
    const json_t *c = NULL;
    if (id || d->image_asked)
        return xstrdup_null(id);
    json_array_foreach(d->containers, i, c)
    {
        const char *role =
            json_string_value(json_object_get(json_object_get(c, "Labels"), LABEL_ROLE));
        const char *image = json_string_value(json_object_get(c, "ImageID"));
        if (role && image && strcmp(role, role_info(ROLE_EGRESS)->name) == 0)
            return xstrdup(image);
    }
    return NULL;
}

static void note_used(struct doctor *d)
{
    size_t i = 0;
    const json_t *n = NULL;
    json_array_foreach(d->networks, i, n)
    {
        size_t k = 0;
        const json_t *config = NULL;
        json_array_foreach(json_object_get(json_object_get(n, "IPAM"), "Config"), k, config)
        {
            struct cidr c = {0};
            const char *subnet = json_string_value(json_object_get(config, "Subnet"));
            if (subnet && cidr_parse(subnet, &c))
                cidr_set_add(&d->used, c);
        }
    }
}

/* Only where the engine's bridges are ours, our routes are its host's. */
static void read_routes(struct doctor *d)
{
    if (!d->local || !attest_host_has_interface("docker0"))
        return;
    AUTO_CLOSE fd = open("/proc/net/route", O_RDONLY | O_CLOEXEC);
    AUTO_FREE char *text = xcalloc(1, ROUTES_MAX + 1);
    size_t n = 0;
    ssize_t got = 0;
    while (fd >= 0 && n < ROUTES_MAX && (got = read(fd, text + n, ROUTES_MAX - n)) > 0)
        n += (size_t)got;
    doctor_facts_routes(&d->facts, text, &d->pool);
}

static void on_gathered(void *ctx, const struct err *error)
{
    struct doctor *d = ctx;
    d->gather = NULL;
    if (error) {
        fail(d, err_new(err_kind(error), "%s", err_message(error)));
        finish_soon(d);
        return;
    }
    doctor_facts_networks(&d->facts, d->networks, &d->pool);
    read_routes(d);
    note_used(d);
    char *image = find_image(d);
    if (!image) {
        AUTO_FREE char *why =
            xasprintf("there is no image '%s' on the engine (`bottler images build`, or --image "
                      "egress=REF)",
                      d->image);
        not_measured(d, why);
        finish_soon(d);
        return;
    }
    free(d->image);
    d->image = image;
    d->trial = DOCTOR_SEALED;
    make_net(d);
}

struct doctor *doctor_start(struct engine *e, sd_event *loop, const struct doctor_options *opt,
                            doctor_done_fn *done, void *ctx)
{
    struct doctor *d = xcalloc(1, sizeof(*d));
    *d = (struct doctor){.e = e, .loop = loop, .done = done, .ctx = ctx};
    d->progress = opt->progress;
    d->pool = *opt->pool;
    d->local = opt->endpoint->socket_path != NULL;
    d->image = xstrdup(opt->image ? opt->image : role_info(ROLE_EGRESS)->image);
    d->image_asked = opt->image != NULL;
    const struct engine_info *info = engine_get_info(e);
    doctor_facts_init(&d->facts);
    doctor_facts_read(&d->facts, info->version_answer, info->info_answer);
    AUTO_FREE char *shown = text_clean(sv_of(opt->endpoint->display), 400);
    doctor_facts_say(&d->facts.endpoint, shown);
    d->facts.local = d->local;
    d->facts.encrypted = opt->endpoint->tls;
    d->facts.now = (int64_t)time(NULL);
    uint8_t bytes[NONCE_BYTES];
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
        fail(d, err_new(ERR_INTERNAL, "no random bytes: %s", err_errno(errno)));
        finish_soon(d);
        return d;
    }
    str_hex(bytes, sizeof(bytes), d->nonce);
    struct str path;
    str_init(&path, 4096);
    str_add(&path, "/images/");
    str_add_url(&path, sv_of(d->image), "/:@");
    str_add(&path, "/json");
    say(d, "asking the engine");
    d->gather = gather_new(e, on_gathered, d);
    gather_add(d->gather, "/networks", false, &d->networks);
    gather_add(d->gather, "/containers/json?all=1", false, &d->containers);
    gather_add(d->gather, path.p, true, &d->image_answer);
    gather_start(d->gather, loop);
    str_done(&path);
    return d;
}
