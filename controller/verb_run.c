/* SPDX-License-Identifier: Apache-2.0 */
/* run: the controller. */
#include "controller/cli.h"
#include "controller/controller.h"
#include "controller/run_options.h"
#include "spec/base/xalloc.h"

#include <string.h>

struct err *run_options(const struct cli *cli, struct controller_options *ret)
{
    if (!cli->manifests.len && !cli->git_url)
        return err_new(ERR_INVALID,
                       "--manifests DIR (or --git URL) is missing: where are the manifests?");
    if (!cli->git_url && (cli->git_ref || cli->git_path || cli->git_signers || cli->git_interval_s))
        return err_new(ERR_INVALID, "--ref, --path, --interval and --verify are of --git URL");
    if (!cli->state)
        return err_new(ERR_INVALID,
                       "--state DIR is missing: where may the installation's keys be kept?");
    if (cli->args.len)
        return err_new(ERR_INVALID, "'%s' is one argument too many", cli->args.items[0]);
    *ret = (struct controller_options){.manifests = &cli->manifests,
                                       .state_dir = cli->state,
                                       .engine = cli->engine,
                                       .secrets_dir = cli->secrets,
                                       .instance = cli->instance,
                                       .socket = cli->socket ? cli->socket : cli->socket_default,
                                       .address_pool = cli->pool,
                                       .upstream_ca_file = cli->upstream_ca,
                                       .policy_file = cli->policy,
                                       .deletion = cli->deletion,
                                       .ca_days = cli->ca_days,
                                       .git_url = cli->git_url,
                                       .git_ref = cli->git_ref,
                                       .git_path = cli->git_path,
                                       .git_signers = cli->git_signers,
                                       .git_interval_s = cli->git_interval_s};
    for (int r = 0; r < ROLE_COUNT; r++)
        ret->image[r] = cli->image[r];
    return NULL;
}

int verb_run(const struct cli *cli)
{
    struct controller_options opt;
    struct err *e = run_options(cli, &opt);
    if (e)
        return cli_fail(e, EXIT_USAGE);
    if (cli->once && cli->attest_s)
        return cli_fail(err_new(ERR_INVALID, "--attest needs a controller that goes on: expected "
                                             "no --once; see also `bottler attest`"),
                        EXIT_USAGE);
    opt.mode = cli->once ? MODE_ONCE : MODE_RUN;
    opt.attest_s = cli->attest_s;
    int code = EXIT_USAGE;
    e = controller_run(&opt, &code);
    return e ? cli_fail(e, EXIT_USAGE) : code;
}
