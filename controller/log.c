/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/log.h"

#include "reconcile/clock.h"
#include "spec/base/xalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void log_at(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *line = xvasprintf(fmt, ap);
    va_end(ap);
    for (char *p = line; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
    if (getenv("JOURNAL_STREAM")) {
        (void)fprintf(stderr, "<%d>%s\n", (int)level, line);
        return;
    }
    char now[CLOCK_TEXT];
    clock_format((int64_t)time(NULL), now);
    (void)fprintf(stderr, "%s %s\n", now, line);
}
