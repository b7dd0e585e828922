/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging: records of a level, a text and fields, as text (logfmt), JSON lines, or native journald
 * datagrams.  Never blocks a worker on a stuck pipe for long: records over the ring are dropped and counted.
 * The fields of the thread (plugin, key, ...) are added to each record.
 */
#ifndef AM_BASE_LOG_H
#define AM_BASE_LOG_H

#include <ambient/host.h> /* AMBIENT_LOG_* levels */

#include "core/base/attr.h"

enum am_log_format { AM_LOG_AUTO, AM_LOG_TEXT, AM_LOG_JSON, AM_LOG_JOURNALD };

void am_log_init(enum am_log_format format, int level); /* AUTO: journald when JOURNAL_STREAM is stderr's */
void am_log_fini(void);                                 /* writes out what is queued */
void am_log_set_level(int level);
int am_log_level(void);
int am_log_level_parse(const char *s);                  /* 0: unknown */
int am_log_format_parse(const char *s);                 /* -1: unknown */
bool am_log_enabled(int level);

/* area: static, the folder's name.  fields: name, value, ..., NULL; or NULL. */
void am_log_fields(int level, const char *area, const char *const *fields, const char *fmt, ...) am_printf_(4, 5);
#define am_log(level, area, ...)  am_log_fields(level, area, NULL, __VA_ARGS__)
#define am_log_error(area, ...)   am_log(AMBIENT_LOG_ERROR, area, __VA_ARGS__)
#define am_log_warn(area, ...)    am_log(AMBIENT_LOG_WARN, area, __VA_ARGS__)
#define am_log_info(area, ...)    am_log(AMBIENT_LOG_INFO, area, __VA_ARGS__)
#define am_log_debug(area, ...)   do { if (am_log_enabled(AMBIENT_LOG_DEBUG)) am_log(AMBIENT_LOG_DEBUG, area, __VA_ARGS__); } while (0)

/* Context of this thread, added to its records until popped.  name and value must outlive the push. */
void am_log_push(const char *name, const char *value);
void am_log_pop(void);

/* For tests: gets each record instead of the sink; its own fields stand behind the text, " name=value". */
void am_log_capture(void (*fn)(void *arg, int level, const char *area, const char *text), void *arg);

#endif
