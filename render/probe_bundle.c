/* SPDX-License-Identifier: Apache-2.0 */
#include "render/probe_bundle.h"

#include <stdint.h>

/* The Makefile names the file; programs that only read this source don't. */
#ifdef BOTTLER_PROBE
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl bottler_probe, bottler_probe_size\n"
        ".hidden bottler_probe, bottler_probe_size\n"
        "bottler_probe_size: .quad 1f - bottler_probe\n"
        "bottler_probe: .incbin \"" BOTTLER_PROBE "\"\n"
        "1:\n"
        ".popsection\n");
#endif

extern const uint64_t bottler_probe_size;
extern const char bottler_probe[];

struct sv probe_bundle(void)
{
    return (struct sv){bottler_probe, (size_t)bottler_probe_size};
}
