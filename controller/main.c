/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Secrets and keys are in this memory: it goes into no core file, and no process of the same user
 * may look into it. (The leak checker of a sanitizer build has to.) */
static void keep_private(void)
{
    (void)setrlimit(RLIMIT_CORE, &(const struct rlimit){0});
#ifndef __SANITIZE_ADDRESS__
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

int main(int argc, char **argv)
{
    keep_private();
    (void)signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        (void)fputs("bottler: libcurl can't be initialised\n", stderr);
        return EXIT_USAGE;
    }
    int code = cli_main(argc, argv);
    curl_global_cleanup();
    return code;
}
