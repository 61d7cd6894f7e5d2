/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli.h"

#include "controller/attestor.h"
#include "controller/duration.h"
#include "controller/state.h"
#include "reconcile/backoff.h"
#include "reconcile/pool.h"
#include "spec/base/err.h"
#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const struct verb cli_verbs[] = {
    {"run", "--manifests DIR [--manifests DIR…] [--git URL] --state DIR",
     "keep the engine as the manifests say", "mgrpnVseSiuaUPIoRC1GM", verb_run},
    {"validate", "FILE|DIR…", "check manifests offline; every error of every file", "oP",
     verb_validate},
    {"render", "pipelock|routes|all FILE [--bottle NAME]",
     "print what the proxies would read, offline", "bP", verb_render},
    {"explain", "[FIELD]", "what a field of the manifest means", "o", verb_explain},
    {"schema", "", "JSON Schema of the manifest, for editors", "", verb_schema},
    {"plan", "--manifests DIR [--git URL] --state DIR", "what `run` would change now, and why",
     "mgrpVseSiaUPIoFDGM", verb_plan},
    {"apply", "FILE", "do exactly what `plan --out FILE` said, or nothing", "", verb_apply},
    {"get", "[NAME…]", "bottles and their state, from the controller", "iuowH", verb_get},
    {"events", "[NAME…]", "what happened lately, from the controller", "iuowH", verb_events},
    {"history", "NAME", "a bottle's generations: when, from where, what changed, how each ended",
     "iuoH", verb_history},
    {"reconcile", "NAME…|--all", "have bottles looked at now, and wait until they are ready",
     "iuAXT", verb_reconcile},
    {"suspend", "NAME…|--all", "leave bottles as they are: no change, no repair", "iuAEN",
     verb_suspend},
    {"resume", "NAME…|--all", "keep bottles as their manifests say again", "iuA", verb_resume},
    {"prune", "[--dry-run|--approve] [NAME…]",
     "what stands to be deleted, and why it is held; or let it go", "iuoHdy", verb_prune},
    {"adopt", "NAME|ID", "give a container that was renamed by hand its name back", "iu",
     verb_adopt},
    {"forget", "NAME|ID", "say no more of an object that isn't provably bottler's", "iu",
     verb_forget},
    {"doctor", "", "what this engine can and can't isolate, and what bottler does about it", "eaIo",
     verb_doctor},
    {"attest", "NAME…|--all", "prove that bottles are sealed, by attempts from inside them",
     "eiAOtWTIo", verb_attest},
    {"images", "build", "build the images of the sidecars on the engine", "ecIB", verb_images},
    {0},
};

enum { KEY_LONG = 0x100 };

/* One option of the program; `letter` is how verbs name it. */
struct option_row {
    char letter;
    int key;
    const char *name;
    const char *arg;
    const char *doc;
};
static const struct option_row option_rows[] = {
    {'m', 'm', "manifests", "DIR", "directory of manifests; may be given several times"},
    {'g', KEY_LONG + 'g', "git", "URL",
     "git repository of manifests, instead of or beside --manifests, see docs/git.md"},
    {'r', KEY_LONG + 'r', "ref", "REF",
     "its branch, tag or full commit id; default: what its HEAD is"},
    {'p', KEY_LONG + 'p', "path", "PATH",
     "its directory that holds the manifests; default: all of it"},
    {'n', KEY_LONG + 'n', "interval", "INTERVAL",
     "how often it is looked at (10s, 5m, 1h); default 1m"},
    {'V', KEY_LONG + 'V', "verify", "FILE",
     "only commits that one of these allowed signers has signed with ssh count"},
    {'s', KEY_LONG + 's', "state", "DIR",
     "where the installation's identity and keys are kept (0700)"},
    {'e', 'e', "engine", "URL",
     "the Docker Engine: unix://…, tcp://…; default: as the docker command finds it"},
    {'S', KEY_LONG + 'S', "secrets", "DIR",
     "directory with a file for each secret reference, owner-only"},
    {'i', KEY_LONG + 'i', "instance", "NAME",
     "prefix of every name on the engine; default bottler"},
    {'u', KEY_LONG + 'u', "socket", "PATH", "the status API's Unix socket"},
    {'a', KEY_LONG + 'a', "address-pool", "CIDR",
     "where bottles' networks take their /28 from; default " POOL_DEFAULT},
    {'U', KEY_LONG + 'U', "upstream-ca", "FILE",
     "further roots that both proxies trust for upstreams (PEM)"},
    {'P', KEY_LONG + 'P', "policy", "FILE", "what no manifest may go beyond, see docs/policy.md"},
    {'I', KEY_LONG + 'I', "image", "ROLE=REF", "another image for a sidecar: pipelock, egress"},
    {'o', 'o', "output", "FORM", "table, wide, json or name"},
    {'1', KEY_LONG + '1', "once", NULL, "converge, then end: 0 when every bottle is Ready, else 1"},
    {'R', KEY_LONG + 'R', "attest", "INTERVAL",
     "attest every bottle that often (90s, 10m, 1h); what gets out is quarantined"},
    {'C', KEY_LONG + 'C', "ca-days", "N",
     "life of the CAs that are made, 1 to 3650 days; they rotate before it ends; default 3650"},
    {'G', KEY_LONG + 'G', "delete-grace", "DURATION",
     "how long a bottle whose manifest is gone is kept (0s, 30s, 5m, 1h); default 30s"},
    {'M', KEY_LONG + 'M', "max-deletes", "N,P%",
     "more that are gone at once, or a larger share of all bottles, are held until `prune "
     "--approve`; default " GRAVES_DEFAULT},
    {'d', KEY_LONG + 'd', "dry-run", NULL, "only list, the default"},
    {'y', KEY_LONG + 'y', "approve", NULL,
     "delete what is listed now, or the named ones whatever holds them"},
    {'b', 'b', "bottle", "NAME", "which bottle of the file"},
    {'w', 'w', "watch", NULL, "print again whenever something changes"},
    {'H', KEY_LONG + 'H', "no-headers", NULL, "without the first line of the table"},
    {'B', KEY_LONG + 'B', "base", "REF",
     "image to build on instead of the one that the Dockerfile names"},
    {'A', KEY_LONG + 'A', "all", NULL, "every bottle of the instance"},
    {'O', KEY_LONG + 'O', "only", "GLOB",
     "only attempts whose id matches; may be given several times"},
    {'t', KEY_LONG + 't', "target", "ADDR[:PORT][/udp]",
     "a further address that must not be reached; may be given several times"},
    {'W', KEY_LONG + 'W', "no-wide", NULL,
     "attempt no addresses of the world (metadata services, public resolvers)"},
    {'F', KEY_LONG + 'F', "out", "FILE", "keep the plan there, for `apply`"},
    {'D', KEY_LONG + 'D', "detailed-exitcode", NULL, "0 no change, 2 changes, 1 failed"},
    {'T', KEY_LONG + 'T', "timeout", "TIME",
     "such as 90s or 10m; default 5m; of attest: for each bottle"},
    {'E', KEY_LONG + 'E', "reason", "TEXT", "why, for those who ask"},
    {'N', KEY_LONG + 'N', "until", "TIME",
     "when it ends by itself: 2026-12-01T00:00:00Z, or how long from now: 30m, 2h, 3d"},
    {'X', KEY_LONG + 'X', "with-source", NULL, "look at the manifests again first"},
    {'c', KEY_LONG + 'c', "context", "DIR", "directory that holds the sidecars' build contexts"},
};
enum { OPTION_ROWS = sizeof(option_rows) / sizeof(*option_rows) };

int cli_fail(struct err *e_take, enum exit_code code)
{
    (void)fprintf(stderr, "bottler: %s\n", err_message(e_take));
    err_free(e_take);
    return (int)code;
}

int cli_print(const char *text, enum exit_code code)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
        (void)fprintf(stderr, "bottler: writing the output failed\n");
        return EXIT_USAGE;
    }
    return (int)code;
}

static void set_image(struct cli *cli, const char *arg, struct argp_state *state)
{
    const char *eq = strchr(arg, '=');
    enum role role = ROLE_AGENT;
    AUTO_FREE char *name = xmemdup0(arg, eq ? (size_t)(eq - arg) : 0);
    if (!eq || !eq[1] || !role_parse(name, &role) || role == ROLE_AGENT) {
        argp_error(state, "--image '%s': expected ROLE=REF, where ROLE is pipelock or egress", arg);
        return;
    }
    free(cli->image[role]);
    cli->image[role] = xstrdup(eq + 1);
}

static void set_output(struct cli *cli, const char *arg, struct argp_state *state)
{
    static const char *const names[] = {"table", "wide", "json", "name"};
    for (int i = OUTPUT_TABLE; i <= OUTPUT_NAME; i++) {
        if (strcmp(arg, names[i]) == 0) {
            cli->output = (enum output)i;
            return;
        }
    }
    argp_error(state, "-o '%s': expected table, wide, json or name", arg);
}

/* An instance is the first label of every name: as strict as a bottle's own. */
static bool instance_ok(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && n <= 20 && !s[n] && s[0] != '-' && s[n - 1] != '-';
}

static bool parse_interval(const char *text, int64_t min_s, unsigned *ret_s)
{
    enum { DAY_S = 24 * 3600 };
    int64_t s = 0;
    if (!duration_parse(text, min_s, DAY_S, &s))
        return false;
    *ret_s = (unsigned)s;
    return true;
}

static bool parse_days(const char *text, unsigned *ret)
{
    int64_t days = 0;
    bool ok = num_parse(sv_of(text), 1, STATE_CA_DAYS, &days);
    *ret = (unsigned)days;
    return ok;
}

static void set_grace(struct cli *cli, const char *arg, struct argp_state *state)
{
    unsigned grace_s = 0;
    if (!parse_interval(arg, 0, &grace_s))
        argp_error(state,
                   "--delete-grace '%s': expected seconds, minutes or hours such as 0s, 30s or 1h, "
                   "at most 24h",
                   arg);
    cli->deletion.grace_ns = grace_s * NS_PER_S;
}

static void set_max_deletes(struct cli *cli, const char *arg, struct argp_state *state)
{
    if (!graves_limits_parse(arg, &cli->deletion))
        argp_error(state,
                   "--max-deletes '%s': expected a number, a share, or both, such as 5, 50%% or "
                   "5,50%%",
                   arg);
}

/* Options that are kept as they are written, each in its own member. */
struct plain_option {
    int key;
    size_t offset;
};
static const struct plain_option text_options[] = {
    {KEY_LONG + 's', offsetof(struct cli, state)},
    {'e', offsetof(struct cli, engine)},
    {KEY_LONG + 'S', offsetof(struct cli, secrets)},
    {KEY_LONG + 'u', offsetof(struct cli, socket)},
    {KEY_LONG + 'a', offsetof(struct cli, pool)},
    {KEY_LONG + 'U', offsetof(struct cli, upstream_ca)},
    {KEY_LONG + 'P', offsetof(struct cli, policy)},
    {'b', offsetof(struct cli, bottle)},
    {KEY_LONG + 'F', offsetof(struct cli, out)},
    {KEY_LONG + 'c', offsetof(struct cli, context)},
    {KEY_LONG + 'B', offsetof(struct cli, base)},
    {KEY_LONG + 'T', offsetof(struct cli, timeout)},
    {KEY_LONG + 'E', offsetof(struct cli, reason)},
    {KEY_LONG + 'N', offsetof(struct cli, until)},
    {KEY_LONG + 'g', offsetof(struct cli, git_url)},
    {KEY_LONG + 'r', offsetof(struct cli, git_ref)},
    {KEY_LONG + 'p', offsetof(struct cli, git_path)},
    {KEY_LONG + 'V', offsetof(struct cli, git_signers)},
};
static const struct plain_option flag_options[] = {
    {KEY_LONG + '1', offsetof(struct cli, once)},
    {KEY_LONG + 'd', offsetof(struct cli, dry_run)},
    {KEY_LONG + 'y', offsetof(struct cli, approve)},
    {'w', offsetof(struct cli, watch)},
    {KEY_LONG + 'H', offsetof(struct cli, no_headers)},
    {KEY_LONG + 'D', offsetof(struct cli, detailed)},
    {KEY_LONG + 'A', offsetof(struct cli, all)},
    {KEY_LONG + 'W', offsetof(struct cli, no_wide)},
    {KEY_LONG + 'X', offsetof(struct cli, with_source)},
};
static const struct plain_option list_options[] = {
    {'m', offsetof(struct cli, manifests)},
    {KEY_LONG + 'O', offsetof(struct cli, only)},
    {KEY_LONG + 't', offsetof(struct cli, targets)},
};

/* The option's member; NULL: it isn't in the table. */
static void *member_of(struct cli *cli, const struct plain_option *table, size_t n, int key)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].key == key)
            return (char *)cli + table[i].offset;
    }
    return NULL;
}
#define MEMBER_OF(cli, table, key) member_of(cli, table, sizeof(table) / sizeof(*(table)), key)

static error_t parse_plain_option(int key, const char *arg, struct cli *cli)
{
    const char **text = MEMBER_OF(cli, text_options, key);
    bool *flag = MEMBER_OF(cli, flag_options, key);
    struct str_list *list = MEMBER_OF(cli, list_options, key);
    if (text)
        *text = arg;
    else if (flag)
        *flag = true;
    else if (list)
        str_list_add(list, arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *cli = state->input;
    switch (key) {
    case KEY_LONG + 'i':
        if (!instance_ok(arg))
            argp_error(state,
                       "--instance '%s': expected lower-case letters, digits and '-', at most 20",
                       arg);
        cli->instance = arg;
        return 0;
    case KEY_LONG + 'I':
        set_image(cli, arg, state);
        return 0;
    case 'o':
        set_output(cli, arg, state);
        return 0;
    case KEY_LONG + 'R':
        if (!parse_interval(arg, ATTEST_INTERVAL_MIN_S, &cli->attest_s))
            argp_error(state,
                       "--attest '%s': expected seconds, minutes or hours such as 90s, 10m or 1h, "
                       "from %ds to 24h",
                       arg, ATTEST_INTERVAL_MIN_S);
        return 0;
    case KEY_LONG + 'C':
        if (!parse_days(arg, &cli->ca_days))
            argp_error(state, "--ca-days '%s': expected 1 to %d days", arg, STATE_CA_DAYS);
        return 0;
    case KEY_LONG + 'G':
        set_grace(cli, arg, state);
        return 0;
    case KEY_LONG + 'M':
        set_max_deletes(cli, arg, state);
        return 0;
    case KEY_LONG + 'n':
        if (!parse_interval(arg, 1, &cli->git_interval_s))
            argp_error(state,
                       "--interval '%s': expected seconds, minutes or hours such as 10s, 5m or 1h, "
                       "from 1s to 24h",
                       arg);
        return 0;
    case ARGP_KEY_ARG:
        str_list_add(&cli->args, arg);
        return 0;
    default:
        return parse_plain_option(key, arg, cli);
    }
}

static void print_help(FILE *to)
{
    (void)fprintf(to, "Usage: bottler VERB [OPTION…] [ARGUMENT…]\n\n"
                      "Keeps sealed containers for coding agents on a Docker Engine exactly as "
                      "manifests say.\n\n");
    for (const struct verb *v = cli_verbs; v->name; v++)
        (void)fprintf(to, "  %-9s %s\n", v->name, v->help);
    (void)fprintf(to, "\n`bottler VERB --help` tells more. Exit codes: 0 ok, 1 differs or failed, "
                      "2 usage or internal\n"
                      "error, 3 timed out, 4 refused or suspended.\n");
}

/* ---- the manual page, from the same tables ---- */

static void man_text(struct str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '-')
            str_addc(out, '\\');
        str_addc(out, *text);
    }
}

static void man_verb(struct str *out, const struct verb *v)
{
    str_add(out, ".SS \"");
    man_text(out, v->name);
    str_addc(out, ' ');
    man_text(out, v->args);
    str_add(out, "\"\n");
    man_text(out, v->help);
    str_add(out, ".\n");
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const struct option_row *row = &option_rows[i];
        if (!strchr(v->options, row->letter))
            continue;
        str_add(out, ".TP\n.B ");
        if (row->key < KEY_LONG) {
            str_addf(out, "\\-%c, ", row->key);
        }
        str_add(out, "\\-\\-");
        man_text(out, row->name);
        if (row->arg)
            str_addf(out, " \\fI%s\\fR", row->arg);
        str_addc(out, '\n');
        man_text(out, row->doc);
        str_add(out, ".\n");
    }
}

static int print_man(void)
{
    enum { MAN_MAX = 1 << 20 };
    struct str out;
    str_init(&out, MAN_MAX);
    str_add(&out, ".TH BOTTLER 1 \"\" \"bottler " BOTTLER_VERSION
                  "\"\n.SH NAME\nbottler \\- keep sealed containers for "
                  "coding agents as manifests say\n.SH SYNOPSIS\n.B bottler\n.I VERB\n[OPTION...] "
                  "[ARGUMENT...]\n"
                  ".SH VERBS\n");
    for (const struct verb *v = cli_verbs; v->name; v++)
        man_verb(&out, v);
    str_add(&out, ".SH EXIT STATUS\n0 ok, 1 differs or failed, 2 usage or internal error, 3 timed "
                  "out, 4 refused or suspended.\n"
                  ".SH SEE ALSO\n.BR bottler\\-manifest (5)\n");
    int code = cli_print(out.p, EXIT_OK);
    str_done(&out);
    return code;
}

/* $XDG_RUNTIME_DIR is per user; root's services live in /run. */
static char *default_socket(const char *instance)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    return xasprintf("%s/bottler/%s.sock", geteuid() != 0 && dir && *dir ? dir : "/run", instance);
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
    struct argp_option options[OPTION_ROWS + 1] = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const struct option_row *row = &option_rows[i];
        if (strchr(v->options, row->letter))
            options[n++] = (struct argp_option){
                .name = row->name, .key = row->key, .arg = row->arg, .doc = row->doc};
    }
    struct cli cli = {.instance = "bottler",
                      .pool = POOL_DEFAULT,
                      .deletion = {.grace_ns = GRAVES_GRACE_S * NS_PER_S,
                                   .max = GRAVES_MAX,
                                   .max_percent = GRAVES_MAX_PERCENT}};
    AUTO_FREE char *usage = xasprintf("%s %s", v->name, v->args);
    struct argp argp = {
        .options = options, .parser = parse_option, .args_doc = usage, .doc = v->help};
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = program_invocation_short_name;
    int code = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &cli) == 0) {
        cli.socket_default = default_socket(cli.instance);
        code = v->run(&cli);
    }
    str_list_done(&cli.args);
    str_list_done(&cli.manifests);
    str_list_done(&cli.only);
    str_list_done(&cli.targets);
    for (int r = 0; r < ROLE_COUNT; r++)
        free(cli.image[r]);
    free(cli.socket_default);
    return code;
}

int cli_main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (strcmp(word, "--man") == 0)
        return print_man();
    if (strcmp(word, "--version") == 0)
        return cli_print("bottler " BOTTLER_VERSION "\n", EXIT_OK);
    for (const struct verb *v = cli_verbs; v->name; v++) {
        if (strcmp(v->name, word) == 0)
            return run_verb(v, argc - 1, argv + 1);
    }
    (void)fprintf(stderr,
                  "bottler: there is no verb '%s' in this version; `bottler --help` lists them\n",
                  word);
    return EXIT_USAGE;
}
