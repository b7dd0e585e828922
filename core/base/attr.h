/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler attributes and the few idioms that every file uses; the one place for compiler differences. */
#ifndef AM_BASE_ATTR_H
#define AM_BASE_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define am_printf_(a, b) __attribute__((format(printf, a, b)))
#define am_nodiscard_    __attribute__((warn_unused_result))
#define am_unused_       __attribute__((unused))
#define am_noreturn_     __attribute__((noreturn))
#define am_noinline_     __attribute__((noinline))
#define am_cold_         __attribute__((cold))
/* Symbols of libambient-core are visible to the programs that link it; everything else is hidden. */
#define am_export_       __attribute__((visibility("default")))

/* am_auto(am_buf_fini) struct am_buf b = ...; runs am_buf_fini(&b) at the end of the scope. */
#define am_auto(fn) __attribute__((cleanup(fn)))

#define AM_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))
#define AM_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define AM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define AM_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Always compiled in: a broken invariant ends the process with file, line and text. */
#define am_assert(cond) ((cond) ? (void)0 : am_assert_failed(#cond, __FILE__, __LINE__, __func__))
void am_assert_failed(const char *cond, const char *file, int line, const char *func) am_noreturn_ am_cold_;

#endif
