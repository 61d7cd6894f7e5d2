/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        (void)fputs("bottler: libcurl can't be initialised\n", stderr);
        return EXIT_USAGE;
    }
    int code = cli_main(argc, argv);
    curl_global_cleanup();
    return code;
}
