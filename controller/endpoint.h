/* SPDX-License-Identifier: Apache-2.0 */
/* Where the engine is: found as the docker command line finds it. */
#ifndef BOTTLER_CONTROLLER_ENDPOINT_H
#define BOTTLER_CONTROLLER_ENDPOINT_H

#include "spec/base/err.h"

#include <stdbool.h>

struct endpoint {
    char *socket_path; /* unix:// */
    char *host;        /* tcp://: "name:port" */
    bool tls;
    bool tls_verify;
    char *ca_file, *cert_file, *key_file; /* may be NULL */
    char *display;                        /* "unix:///var/run/docker.sock", for messages */
    char *origin;                         /* "--engine", "DOCKER_HOST", "context 'x'", "default" */
};
/* Order: `flag` (may be NULL), DOCKER_HOST (+ DOCKER_TLS_VERIFY, DOCKER_CERT_PATH), DOCKER_CONTEXT
 * or currentContext of the docker configuration, $XDG_RUNTIME_DIR/docker.sock when the default
 * doesn't exist, /var/run/docker.sock. INVALID for a form that can't be used (ssh://, npipe://)
 * with what to do instead. */
struct err *endpoint_resolve(const char *flag, struct endpoint *ret) ERR_NODISCARD;
void endpoint_done(struct endpoint *e);

#endif
