/* SPDX-License-Identifier: Apache-2.0 */
#include "render/guard.h"

#include "render/parts.h"
#include "spec/base/xalloc.h"

#include <stdint.h>
#include <string.h>

/* The Makefile names the file; programs that only read this source don't. */
#ifdef BOTTLER_GUARD
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl bottler_guard, bottler_guard_size\n"
        ".hidden bottler_guard, bottler_guard_size\n"
        "bottler_guard_size: .quad 1f - bottler_guard\n"
        "bottler_guard: .incbin \"" BOTTLER_GUARD "\"\n"
        "1:\n"
        ".popsection\n");
#endif

extern const uint64_t bottler_guard_size;
extern const char bottler_guard[];

enum { GUARD_MEMORY = 32 << 20, GUARD_PIDS = 8 };

char *guard_name(const char *instance, const char *bottle)
{
    return object_name(instance, bottle, GUARD_ROLE);
}

static json_t *bridges(const struct desired *d)
{
    json_t *list = XNN(json_array());
    for (int n = 0; n < NET_COUNT; n++) {
        if (d->networks[n].internal &&
            json_array_append_new(list, XNN(json_string(d->networks[n].bridge))) != 0)
            xoom();
    }
    return list;
}

char *guard_body(const struct desired *d, const char *image_id)
{
    AUTO_FREE char *name = guard_name(d->instance, d->bottle);
    json_t *labels = XNN(json_pack("{s:s, s:s, s:s, s:s, s:s}", LABEL_INSTALLATION, d->installation,
                                   LABEL_BOTTLE, d->bottle, LABEL_ROLE, GUARD_ROLE, LABEL_UID,
                                   d->uid, LABEL_SELF, name));
    /* The host's user namespace as well, where the engine maps users: else the capability is for
     * nothing. */
    json_t *host =
        XNN(json_pack("{s:s, s:s, s:[s], s:[s], s:[s], s:i, s:i, s:i, s:{s:s}}", "NetworkMode",
                      "host", "UsernsMode", "host", "CapDrop", "ALL", "CapAdd", "NET_ADMIN",
                      "SecurityOpt", "no-new-privileges", "Memory", GUARD_MEMORY, "MemorySwap",
                      GUARD_MEMORY, "PidsLimit", GUARD_PIDS, "RestartPolicy", "Name", "no"));
    json_t *body =
        XNN(json_pack("{s:s, s:[s], s:o, s:s, s:{s:[s]}, s:o, s:o}", "Image", image_id,
                      "Entrypoint", GUARD_PATH, "Cmd", bridges(d), "User", "0:0", "Healthcheck",
                      "Test", "NONE", "Labels", labels, "HostConfig", host));
    char *text = XNN(json_dumps(body, JSON_COMPACT));
    json_decref(body);
    return text;
}

struct err *guard_archive(char **ret, size_t *ret_n)
{
    struct file_list files = {0};
    file_list_add(&files, GUARD_PATH, 0, 0, 0555,
                  (struct sv){bottler_guard, (size_t)bottler_guard_size});
    struct err *e = tar_write(&files, false, ret, ret_n);
    file_list_done(&files);
    return e;
}
