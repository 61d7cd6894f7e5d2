/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's log: one line an event on stderr, key=value, with the <N> prefix that systemd's
 * journal reads when it is our reader, a plain time otherwise. Values of strangers go through %s in
 * quotes and are escaped.
 */
#ifndef BOTTLER_CONTROLLER_LOG_H
#define BOTTLER_CONTROLLER_LOG_H

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

/* Control characters in the finished line are shown as '?'. */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
