/* SPDX-License-Identifier: Apache-2.0 */
/* The only file of the smallest test images: waits until it is told to end. No shell beside it. */
#include <signal.h>
#include <unistd.h>

static void end(int number)
{
    (void)number;
    _exit(0);
}

int main(void)
{
    if (signal(SIGTERM, end) == SIG_ERR || signal(SIGINT, end) == SIG_ERR)
        return 1;
    for (;;)
        pause();
}
