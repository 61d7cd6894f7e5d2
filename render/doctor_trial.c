/* SPDX-License-Identifier: Apache-2.0 */
#include "render/doctor_trial.h"

#include "render/parts.h"
#include "render/seccomp.h"
#include "spec/base/xalloc.h"

#include <stdint.h>

/* The Makefile names the file; programs that only read this source don't. */
#ifdef BOTTLER_TRIAL
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl bottler_trial, bottler_trial_size\n"
        ".hidden bottler_trial, bottler_trial_size\n"
        "bottler_trial_size: .quad 1f - bottler_trial\n"
        "bottler_trial: .incbin \"" BOTTLER_TRIAL "\"\n"
        "1:\n"
        ".popsection\n");
#endif

extern const uint64_t bottler_trial_size;
extern const char bottler_trial[];

struct sv doctor_trial_program(void)
{
    return (struct sv){bottler_trial, (size_t)bottler_trial_size};
}

json_t *doctor_network_body(const char *name, const char *bridge, const char *subnet, bool sealed,
                            bool isolated_gw)
{
    json_t *options = XNN(json_object());
    if (sealed) {
        json_put_text(options, BRIDGE_NAME, bridge);
        json_put_text(options, BRIDGE_INHIBIT_IPV4, "true");
        if (isolated_gw)
            json_put_text(options, BRIDGE_GATEWAY_MODE_IPV4, "isolated");
    }
    return XNN(json_pack("{s:s, s:s, s:b, s:b, s:b, s:{s:s, s:[{s:s}]}, s:o, s:{s:s}}", "Name",
                         name, "Driver", "bridge", "CheckDuplicate", 1, "EnableIPv6", 0, "Internal",
                         1, "IPAM", "Driver", "default", "Config", "Subnet", subnet, "Options",
                         options, "Labels", LABEL_ROLE, DOCTOR_ROLE));
}

json_t *doctor_container_body(const char *image, const char *network, bool sealed,
                              bool weak_seccomp)
{
    enum { MEMORY = 256 << 20, PIDS = 128 };
    json_t *host = XNN(json_pack("{s:s, s:[s], s:[s], s:b, s:i, s:i, s:i, s:{s:s}}", "NetworkMode",
                                 network, "CapDrop", "ALL", "SecurityOpt", "no-new-privileges",
                                 "Init", 1, "PidsLimit", PIDS, "Memory", MEMORY, "MemorySwap",
                                 MEMORY, "LogConfig", "Type", "json-file"));
    if (sealed)
        json_put(host, "Dns", json_pack("[s]", "127.0.0.1"));
    if (sealed && weak_seccomp)
        seccomp_put(host);
    return XNN(json_pack("{s:s, s:s, s:s, s:[s,s,s,s], s:[], s:{s:[s]}, s:{s:s}, s:o}", "Image",
                         image, "User", "65534:65534", "WorkingDir", "/", "Entrypoint", "python3",
                         "-B", "-I", DOCTOR_DIR "/trial.py", "Cmd", "Healthcheck", "Test", "NONE",
                         "Labels", LABEL_ROLE, DOCTOR_ROLE, "HostConfig", host));
}

json_t *doctor_trial_input(const char *nonce, const char *trial, const struct str_list *addresses,
                           uint16_t port)
{
    /* A closed port answers as well as an open one where nothing is in between. */
    enum { CLOSED_PORT = 1, SSH_PORT = 22 };
    AUTO_FREE char *name = xasprintf("%s-%s.bottler-doctor.invalid", nonce, trial);
    json_t *ports = XNN(json_pack("[i, i]", CLOSED_PORT, SSH_PORT));
    if (port && json_array_append_new(ports, XNN(json_integer(port))) != 0)
        xoom();
    return XNN(json_pack("{s:s, s:o, s:o, s:s}", "nonce", nonce, "addresses", json_texts(addresses),
                         "ports", ports, "name", name));
}
