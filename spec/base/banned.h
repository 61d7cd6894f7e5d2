/* SPDX-License-Identifier: Apache-2.0 */
/* Force-included in every C file: functions with no bound, no error or hidden state don't compile.
 */
#ifndef BOTTLER_SPEC_BASE_BANNED_H
#define BOTTLER_SPEC_BASE_BANNED_H

/* The headers that declare them come first, so that only our own calls are refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BANNED(name) banned_function_##name##_see_spec_base_banned_h

#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strncpy
#undef strncat
#undef strtok
#undef atoi
#undef atol
#undef strtol
#undef strtoul
#undef sscanf
#undef gets
#undef system
#undef popen
#undef localtime
#undef gmtime
#undef strerror
#undef rand
#undef sleep
#undef usleep

#define strcpy(d, s) BANNED(strcpy)
#define strcat(d, s) BANNED(strcat)
#define sprintf(...) BANNED(sprintf)
#define vsprintf(...) BANNED(vsprintf)
#define strncpy(d, s, n) BANNED(strncpy)
#define strncat(d, s, n) BANNED(strncat)
#define strtok(s, d) BANNED(strtok)
#define atoi(s) BANNED(atoi)
#define atol(s) BANNED(atol)
#define strtol(s, e, b) BANNED(strtol)
#define strtoul(s, e, b) BANNED(strtoul)
#define sscanf(...) BANNED(sscanf)
#define gets(s) BANNED(gets)
#define system(s) BANNED(system)
#define popen(c, m) BANNED(popen)
#define localtime(t) BANNED(localtime)
#define gmtime(t) BANNED(gmtime)
#define strerror(e) BANNED(strerror)
#define rand() BANNED(rand)
#define sleep(s) BANNED(sleep)
#define usleep(s) BANNED(usleep)

#endif
