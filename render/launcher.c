/* SPDX-License-Identifier: Apache-2.0 */
#include "render/launcher.h"

#include <stdint.h>

/* The Makefile names the file; programs that only read this source don't. */
#ifdef BOTTLER_LAUNCH
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl bottler_launch, bottler_launch_size\n"
        ".hidden bottler_launch, bottler_launch_size\n"
        "bottler_launch_size: .quad 1f - bottler_launch\n"
        "bottler_launch: .incbin \"" BOTTLER_LAUNCH "\"\n"
        "1:\n"
        ".popsection\n");
#endif

extern const uint64_t bottler_launch_size;
extern const char bottler_launch[];

struct sv launcher_bytes(void)
{
    return (struct sv){bottler_launch, (size_t)bottler_launch_size};
}

const char *launcher_arch(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    return "amd64";
#elif defined(__i386__)
    return "386";
#elif defined(__aarch64__) && defined(__LP64__) && !defined(__AARCH64EB__)
    return "arm64";
#elif defined(__arm__) && defined(__ARMEL__)
    return "arm";
#elif defined(__riscv) && __riscv_xlen == 64
    return "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
    return "ppc64le";
#elif defined(__s390x__)
    return "s390x";
#elif defined(__loongarch_lp64)
    return "loong64";
#else
    return "";
#endif
}
