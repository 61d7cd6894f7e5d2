/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the facts, a row each. */
#include "reconcile/doctor.h"
#include "render/seccomp.h"
#include "render/text_clean.h"
#include "spec/base/xalloc.h"

#include <string.h>

static const char *const STATES[DOCTOR_STATE_COUNT] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_MITIGATED] = "mitigated",
    [DOCTOR_WARN] = "warn",
    [DOCTOR_FAIL] = "fail",
};

const char *doctor_state_name(enum doctor_state s)
{
    return STATES[s];
}

void doctor_rows_done(struct doctor_rows *r)
{
    for (size_t i = 0; i < r->len; i++) {
        free(r->rows[i].engine);
        free(r->rows[i].bottler);
    }
    *r = (struct doctor_rows){0};
}

static void says(struct doctor_row *r, enum doctor_state state, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void says(struct doctor_row *r, enum doctor_state state, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->engine = xvasprintf(fmt, ap);
    va_end(ap);
    r->state = state;
}

static void does(struct doctor_row *r, const char *text)
{
    r->bottler = xstrdup(text);
}

/* "a, b, c" of the first few. */
static char *joined(const struct str_list *l)
{
    enum { SHOWN = 6, LONGEST = 4096 };
    struct str s;
    str_init(&s, LONGEST);
    for (size_t i = 0; i < l->len && i < SHOWN; i++)
        str_addf(&s, "%s%.200s", i ? ", " : "", l->items[i]);
    if (l->len > SHOWN)
        str_addf(&s, " and %zu more", l->len - SHOWN);
    return XNN(str_take(&s));
}

/* At least major.minor.patch; an engine without a version that can be read is not. */
static bool is_at_least(const struct doctor_facts *f, int major, int minor, int patch)
{
    if (f->major != major)
        return f->major > major;
    if (f->minor != minor)
        return f->minor > minor;
    return f->patch >= patch;
}

/* ---- the engine ------------------------------------------------------------------------------ */

static void row_version(const struct doctor_facts *f, struct doctor_row *r)
{
    enum { OLDEST_API = 41 };
    bool old = f->api_minor < OLDEST_API;
    says(r, old ? DOCTOR_FAIL : DOCTOR_OK, "Docker Engine %s, API %s (oldest %s), %s, Linux %s",
         f->version, f->api, f->api_min, f->arch, f->kernel);
    does(r, old ? "refuses: API 1.41 (engine 20.10) is the oldest that it speaks"
                : "negotiates the API, and asks for what this one can");
}

static void row_os(const struct doctor_facts *f, struct doctor_row *r)
{
    bool is_linux = strcmp(f->os_type, "linux") == 0;
    says(r, is_linux ? DOCTOR_OK : DOCTOR_FAIL, "runs '%s' containers", f->os_type);
    does(r, is_linux ? "needs these" : "refuses: it seals linux containers only");
}

static void row_access(const struct doctor_facts *f, struct doctor_row *r)
{
    if (f->local || f->encrypted) {
        says(r, DOCTOR_OK, "%s: %s", f->endpoint,
             f->local ? "a local socket" : "encrypted, with certificates");
        does(r, "gives no container a way to it: whoever has it is root on the engine's host");
        return;
    }
    says(r, DOCTOR_WARN, "%s: neither encrypted nor authenticated: whoever reaches it is root",
         f->endpoint);
    does(r, "uses it as it is; run `attest` to see that no bottle reaches it, and use TLS or a "
            "socket");
}

static void row_place(const struct doctor_facts *f, struct doctor_row *r)
{
    says(r, f->local ? DOCTOR_OK : DOCTOR_WARN, f->local ? "on this host" : "on another host");
    does(r, f->local ? "compares its address pool with this host's routes"
                     : "can't see that host: choose an --address-pool that is free there, and run "
                       "`attest` there to have its own addresses tried");
}

static void row_authorization(const struct doctor_facts *f, struct doctor_row *r)
{
    AUTO_FREE char *names = joined(&f->authorization);
    says(r, DOCTOR_OK, f->authorization.len ? "authorization plugins: %s" : "%s",
         f->authorization.len ? names : "no authorization plugin: whoever may connect may do all");
    does(r, f->authorization.len ? "needs to be let through by them"
                                 : "is the only one that needs "
                                   "access");
}

static void row_clock(const struct doctor_facts *f, struct doctor_row *r)
{
    enum { SKEW_S = 30 };
    int64_t off = f->time && f->now ? f->time - f->now : 0;
    bool skewed = off > SKEW_S || off < -SKEW_S;
    says(r, skewed ? DOCTOR_WARN : DOCTOR_OK,
         skewed ? "its clock is %lld s off ours" : "its clock agrees with ours (%lld s)",
         (long long)off);
    does(r, "asks for events and logs by the engine's own time");
}

/* bridge-nf-call-iptables has a row of its own. */
static void row_warnings(const struct doctor_facts *f, struct doctor_row *r)
{
    struct str_list other = {0};
    for (size_t i = 0; i < f->warnings.len; i++) {
        if (!strstr(f->warnings.items[i], "bridge-nf-call"))
            str_list_add(&other, f->warnings.items[i]);
    }
    AUTO_FREE char *texts = joined(&other);
    says(r, other.len ? DOCTOR_WARN : DOCTOR_OK, "%s", other.len ? texts : "warns of nothing");
    does(r, other.len ? "tells them on; the rows here say which of them concern bottles" : "-");
    str_list_done(&other);
}

/* ---- networks -------------------------------------------------------------------------------- */

/* CVE-2024-29018: mended in 23.0.11, 25.0.5 and 26.0.0; never in 20.10 and 24.0. */
static bool dns_is_mended(const struct doctor_facts *f)
{
    if (f->major == 23)
        return is_at_least(f, 23, 0, 11);
    if (f->major == 24)
        return false;
    return is_at_least(f, 25, 0, 5);
}

static void row_dns(const struct doctor_facts *f, struct doctor_row *r)
{
    const struct doctor_seen *ours = &f->seen[DOCTOR_SEALED];
    const struct doctor_seen *plain = &f->seen[DOCTOR_PLAIN];
    AUTO_FREE char *seen = ours->ran && plain->ran
                               ? xasprintf("; tried: a plain internal network %s, bottler's %s",
                                           plain->dns_evidence, ours->dns_evidence)
                               : xstrdup("");
    if (ours->dns == DOCTOR_YES) {
        says(r, DOCTOR_FAIL, "looks names of internal networks up outside, whatever is asked%s",
             seen);
        does(r, "refuses to call this sealed: a name carries data out");
    } else if (plain->dns == DOCTOR_YES || !dns_is_mended(f)) {
        says(r, DOCTOR_MITIGATED,
             "hands names of internal networks to the host's resolver%s (CVE-2024-29018)%s",
             plain->dns == DOCTOR_YES ? "" : " when that is on loopback", seen);
        does(r, "gives containers without a way out `Dns: [127.0.0.1]`: nothing is handed on");
    } else {
        says(r, DOCTOR_OK, "looks up no names of internal networks outside%s", seen);
        does(r, "gives them `Dns: [127.0.0.1]` all the same");
    }
}

static void row_gateway(const struct doctor_facts *f, struct doctor_row *r)
{
    enum { ISOLATED_API = 48 };
    if (f->api_minor >= ISOLATED_API) {
        says(r, DOCTOR_OK, "has gateway_mode_ipv4=isolated: bridges without an address");
        does(r, "asks for it on internal networks, and for inhibit_ipv4 as well");
        return;
    }
    says(r, DOCTOR_MITIGATED,
         "puts an address of the host on every bridge, internal ones included");
    does(r, "asks for inhibit_ipv4: the address is reserved, and nobody's");
}

static void row_host(const struct doctor_facts *f, struct doctor_row *r)
{
    const struct doctor_seen *ours = &f->seen[DOCTOR_SEALED];
    const struct doctor_seen *plain = &f->seen[DOCTOR_PLAIN];
    if (!ours->ran || ours->host == DOCTOR_UNKNOWN) {
        says(r, DOCTOR_WARN, "whether a container reaches its host was not tried: %s",
             f->not_measured ? f->not_measured : "the trial didn't run");
        does(r, "builds its networks so that it isn't reached; `attest` tries it for each bottle");
    } else if (ours->host == DOCTOR_YES) {
        says(r, DOCTOR_FAIL, "its host answers containers on an internal network: %s",
             ours->host_evidence);
        does(r, "can't keep agents from the host here");
    } else if (plain->host == DOCTOR_YES) {
        says(r, DOCTOR_MITIGATED, "its host answers containers on a plain internal network: %s",
             plain->host_evidence);
        does(r, "networks of bottler's: tried, nothing of the host answers");
    } else {
        says(r, DOCTOR_OK, "its host answers no container on an internal network%s%s",
             plain->ran ? ", plain or bottler's" : "", plain->ran ? "" : " of bottler's");
        does(r, "tried");
    }
}

static void row_route(const struct doctor_facts *f, struct doctor_row *r)
{
    const struct doctor_seen *ours = &f->seen[DOCTOR_SEALED];
    bool has = ours->ran ? ours->route == DOCTOR_YES : !is_at_least(f, 25, 0, 0);
    says(r, has ? DOCTOR_MITIGATED : DOCTOR_OK,
         has ? "gives containers on internal networks a default route%s"
             : "gives containers on internal networks no default route%s",
         ours->ran ? " (tried)" : "");
    does(r, has ? "it leads to an address that is nobody's" : "-");
}

static void row_ipv6(const struct doctor_facts *f, struct doctor_row *r)
{
    const struct doctor_seen *ours = &f->seen[DOCTOR_SEALED];
    bool has = ours->ran && ours->ipv6.len > 0;
    AUTO_FREE char *seen =
        has ? joined(&ours->ipv6)
            : xstrdup(ours->ran ? "no container of a trial had an address (tried)"
                                : "by option of each network");
    says(r, has ? DOCTOR_WARN : DOCTOR_OK, "IPv6: %s", seen);
    does(r, has ? "asks for none, and was given some: `attest` tries what they reach"
                : "asks for none on any network");
}

static void row_icc(const struct doctor_facts *f, struct doctor_row *r)
{
    if (f->bridge_netfilter == DOCTOR_NO) {
        says(r, DOCTOR_MITIGATED,
             "can't keep containers of one bridge apart: the host's "
             "br_netfilter is off");
        does(r, "has networks for each bottle, and nobody else is on them");
        return;
    }
    says(r, DOCTOR_OK,
         f->bridge_netfilter == DOCTOR_YES
             ? "keeps containers of one bridge apart where asked (br_netfilter)"
             : "doesn't say whether it keeps containers of one bridge apart");
    does(r, "asks for it on each bottle's `out` network, and needs it nowhere: nobody else is on "
            "a bottle's networks");
}

static void row_firewall(const struct doctor_facts *f, struct doctor_row *r)
{
    bool forwards = f->ip_forward != DOCTOR_NO;
    says(r, forwards ? DOCTOR_OK : DOCTOR_WARN, "firewall: %s; packets are %sforwarded",
         *f->firewall ? f->firewall : "not told (iptables before 28)", forwards ? "" : "NOT ");
    does(r, forwards ? "makes no rules of its own: networks are apart by the engine's"
                     : "nothing leaves any bottle, pipelock's `out` network included");
}

static void row_pool(const struct doctor_facts *f, struct doctor_row *r)
{
    AUTO_FREE char *names = joined(f->overlaps.len ? &f->overlaps : &f->routes);
    const char *pool = *f->pool ? f->pool : "-";
    if (!f->networks_known) {
        says(r, DOCTOR_OK, "address pool %s: not looked at", pool);
        does(r, "takes free slices, by what the engine lists");
    } else if (f->pool_free == 0) {
        says(r, DOCTOR_FAIL, "address pool %s: every slice is taken: %s", pool, names);
        does(r, "can't make networks: choose another --address-pool");
    } else if (f->routes.len) {
        says(r, DOCTOR_WARN, "address pool %s: this host has routes there: %s", pool, names);
        does(r, "doesn't know which of them matter: choose a pool that is free");
    } else if (f->overlaps.len) {
        says(r, DOCTOR_MITIGATED, "address pool %s: other networks are there: %s", pool, names);
        does(r, "takes slices that overlap none of them");
    } else {
        says(r, DOCTOR_OK, "address pool %s: nobody else's networks are there", pool);
        does(r, "takes a /28 for each network");
    }
}

/* ---- containers ------------------------------------------------------------------------------ */

static void row_seccomp(const struct doctor_facts *f, struct doctor_row *r)
{
    const struct doctor_seen *ours = &f->seen[DOCTOR_SEALED];
    const char *p = f->seccomp;
    bool builtin = p && (!*p || strcmp(p, "default") == 0 || strcmp(p, "builtin") == 0);
    if (!p || strcmp(p, "unconfined") == 0 || (ours->ran && ours->seccomp != 2)) {
        says(r, DOCTOR_FAIL, "system calls aren't filtered: %s",
             !p                             ? "the engine has no seccomp"
             : strcmp(p, "unconfined") == 0 ? "its profile is 'unconfined'"
                                            : "a container of a trial had no filter");
        does(r, "refuses: the kernel would be open to every agent");
        return;
    }
    bool weak = seccomp_is_weak(f->arch, p);
    says(r,
         weak      ? DOCTOR_MITIGATED
         : builtin ? DOCTOR_OK
                   : DOCTOR_WARN,
         "filters system calls: profile '%s'%s", p, ours->ran ? " (tried: a filter is there)" : "");
    does(r, weak      ? "gives containers a profile of its own, without io_uring and vsock"
            : builtin ? "keeps it"
                      : "keeps it, and doesn't know what it lets through");
}

static void row_syscalls(const struct doctor_facts *f, struct doctor_row *r)
{
    const struct doctor_seen *ours = &f->seen[DOCTOR_SEALED];
    const struct doctor_seen *plain = &f->seen[DOCTOR_PLAIN];
    AUTO_FREE char *names = joined(ours->calls.len ? &ours->calls : &plain->calls);
    if (!ours->ran) {
        says(r, DOCTOR_OK, "what its filter of system calls lets through was not tried");
        does(r, "`attest` tries it for each bottle");
    } else if (ours->calls.len) {
        says(r, DOCTOR_WARN, "its filter of system calls lets through: %s (tried)", names);
        does(r, "agents can use these; an engine of a newer version, or a seccomp profile of its "
                "own, refuses them");
    } else if (plain->calls.len) {
        says(r, DOCTOR_MITIGATED, "its filter of system calls lets through: %s (tried)", names);
        does(r, "refuses them to agents");
    } else {
        says(r, DOCTOR_OK, "its filter refuses io_uring and vsock (tried)");
        does(r, "-");
    }
}

static void row_lsm(const struct doctor_facts *f, struct doctor_row *r)
{
    bool any = f->apparmor || f->selinux;
    says(r, any ? DOCTOR_OK : DOCTOR_WARN, "%s",
         f->apparmor  ? "AppArmor confines containers"
         : f->selinux ? "SELinux confines containers"
                      : "neither AppArmor nor SELinux confines containers");
    does(r, any ? "keeps its profile" : "relies on seccomp, no capabilities, no-new-privileges");
}

static void row_capabilities(const struct doctor_facts *f, struct doctor_row *r)
{
    const struct doctor_seen *ours = &f->seen[DOCTOR_SEALED];
    bool bad =
        ours->ran && (ours->capabilities != DOCTOR_NO || ours->no_new_privileges != DOCTOR_YES);
    says(r, bad ? DOCTOR_FAIL : DOCTOR_OK, "%s",
         bad         ? "gave a container capabilities, or a way to new privileges, unasked"
         : ours->ran ? "drops every capability, and new privileges, when asked (tried)"
                     : "drops every capability, and new privileges, when asked");
    does(r, "asks for `CapDrop: [ALL]` and `no-new-privileges`, always");
}

static void row_runtime(const struct doctor_facts *f, struct doctor_row *r)
{
    AUTO_FREE char *names = joined(&f->runtimes);
    bool runsc = str_list_has(&f->runtimes, "runsc");
    says(r, runsc ? DOCTOR_OK : DOCTOR_MITIGATED, "runtimes: %s; default '%s'", names,
         f->default_runtime);
    does(r, runsc ? "runs agents under runsc: they don't touch the host's kernel"
                  : "agents share the host's kernel, behind seccomp and without capabilities; "
                    "install runsc to change that");
}

static void row_rootless(const struct doctor_facts *f, struct doctor_row *r)
{
    says(r, f->rootless ? DOCTOR_WARN : DOCTOR_OK, "%s",
         f->rootless ? "runs rootless: its bridges are in a network namespace of its own, and "
                       "limits need control groups delegated to its user"
                     : "runs as root");
    does(r, f->rootless ? "works; what `attest` tries of the host is RootlessKit's namespace"
                        : "mounts nothing of the engine's anywhere");
}

static void row_userns(const struct doctor_facts *f, struct doctor_row *r)
{
    bool mapped = f->userns || f->rootless;
    says(r, mapped ? DOCTOR_OK : DOCTOR_MITIGATED, "%s",
         mapped ? "root in a container is nobody on the host (user namespace)"
                : "root in a container is root on the host (no userns-remap)");
    does(r, mapped ? "never asks to be left out of it"
                   : "runs no sidecar as root, no agent unless its manifest says so, and none with "
                     "a capability");
}

static void row_cgroups(const struct doctor_facts *f, struct doctor_row *r)
{
    bool limits = f->memory_limit != DOCTOR_NO && f->pids_limit != DOCTOR_NO;
    says(r,
         !limits                      ? DOCTOR_FAIL
         : f->swap_limit == DOCTOR_NO ? DOCTOR_WARN
                                      : DOCTOR_OK,
         "control groups version %s (%s); memory %s, swap %s, processes %s", f->cgroup_version,
         f->cgroup_driver, f->memory_limit == DOCTOR_NO ? "NOT limited" : "limited",
         f->swap_limit == DOCTOR_NO ? "not limited" : "limited",
         f->pids_limit == DOCTOR_NO ? "NOT limited" : "limited");
    does(r, limits ? "limits memory and processes of every container"
                   : "refuses: one agent could take the host down, its proxies with it");
}

static void row_storage(const struct doctor_facts *f, struct doctor_row *r)
{
    bool copies = strcmp(f->driver, "vfs") == 0;
    says(r, copies ? DOCTOR_WARN : DOCTOR_OK, "images are stored by '%s'%s", f->driver,
         f->containerd_store ? " (containerd's store)" : "");
    does(r, copies ? "works, slowly: each container is a whole copy of its image"
                   : "makes containers by the image's id, so that no tag can move under them");
}

static void row_live_restore(const struct doctor_facts *f, struct doctor_row *r)
{
    says(r, DOCTOR_OK, "%s",
         f->live_restore ? "containers run on while the engine restarts (live-restore)"
                         : "containers end with the engine");
    does(r, f->live_restore ? "looks at everything when it is back; a proxy that ended meanwhile "
                              "means no way out, not an open one"
                            : "starts them again, proxies first");
}

static void row_swarm(const struct doctor_facts *f, struct doctor_row *r)
{
    bool active = *f->swarm && strcmp(f->swarm, "inactive") != 0;
    says(r, active ? DOCTOR_WARN : DOCTOR_OK, "swarm: %s", *f->swarm ? f->swarm : "inactive");
    does(r, active ? "uses local bridges only; services of the swarm are on this host as well"
                   : "doesn't use it");
}

/* ---- all of them ----------------------------------------------------------------------------- */

static const struct {
    const char *id;
    void (*fill)(const struct doctor_facts *f, struct doctor_row *r);
} ROWS[] = {
    {"engine.version", row_version},
    {"engine.os", row_os},
    {"engine.access", row_access},
    {"engine.place", row_place},
    {"engine.authorization", row_authorization},
    {"engine.clock", row_clock},
    {"engine.warnings", row_warnings},
    {"network.dns", row_dns},
    {"network.gateway", row_gateway},
    {"network.host", row_host},
    {"network.route", row_route},
    {"network.ipv6", row_ipv6},
    {"network.icc", row_icc},
    {"network.firewall", row_firewall},
    {"network.pool", row_pool},
    {"container.seccomp", row_seccomp},
    {"container.syscalls", row_syscalls},
    {"container.lsm", row_lsm},
    {"container.capabilities", row_capabilities},
    {"container.runtime", row_runtime},
    {"container.rootless", row_rootless},
    {"container.userns", row_userns},
    {"container.cgroups", row_cgroups},
    {"engine.storage", row_storage},
    {"engine.live-restore", row_live_restore},
    {"engine.swarm", row_swarm},
};
_Static_assert(sizeof(ROWS) / sizeof(ROWS[0]) <= DOCTOR_ROWS_MAX, "room for every row");

static void clean(char **text)
{
    enum { LONGEST = 600 };
    char *out = text_clean(sv_of(*text), LONGEST);
    free(*text);
    *text = out;
}

void doctor_judge(const struct doctor_facts *f, struct doctor_rows *ret)
{
    *ret = (struct doctor_rows){0};
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct doctor_row *r = &ret->rows[ret->len++];
        r->id = ROWS[i].id;
        ROWS[i].fill(f, r);
        clean(&r->engine);
        clean(&r->bottler);
    }
}

size_t doctor_count(const struct doctor_rows *r, enum doctor_state s)
{
    size_t n = 0;
    for (size_t i = 0; i < r->len; i++)
        n += r->rows[i].state == s;
    return n;
}

struct err *doctor_refusal(const struct doctor_facts *f)
{
    enum { LONGEST = 4096 };
    struct doctor_rows rows;
    struct str why;
    doctor_judge(f, &rows);
    str_init(&why, LONGEST);
    for (size_t i = 0; i < rows.len; i++) {
        if (rows.rows[i].state == DOCTOR_FAIL)
            str_addf(&why, "%s%s: %s", why.len ? "; " : "", rows.rows[i].id, rows.rows[i].engine);
    }
    struct err *e =
        why.len ? err_new(ERR_DENIED, "this engine can't seal bottles: %s", why.p) : NULL;
    str_done(&why);
    doctor_rows_done(&rows);
    return e;
}
