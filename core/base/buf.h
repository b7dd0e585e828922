/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer, always NUL-terminated behind its bytes.  Running out of memory or over `max` sets
 * `failed`, drops what was to be added, and is checked once at the end.  Zero-initialised is empty.
 */
#ifndef AM_BASE_BUF_H
#define AM_BASE_BUF_H

#include <stdarg.h>

#include "core/base/attr.h"

struct am_buf {
	char *data;  /* NULL while nothing was added; use am_buf_str for a string that is never NULL */
	size_t len, cap;
	size_t max;  /* 0: none */
	bool failed;
};

void am_buf_fini(struct am_buf *buf);
void am_buf_reset(struct am_buf *buf);                      /* empties, keeps the memory, clears failed */
void am_buf_add(struct am_buf *buf, const void *p, size_t n);
void am_buf_adds(struct am_buf *buf, const char *s);
void am_buf_addc(struct am_buf *buf, char c);
void am_buf_addf(struct am_buf *buf, const char *fmt, ...) am_printf_(2, 3);
void am_buf_addv(struct am_buf *buf, const char *fmt, va_list ap) am_printf_(2, 0);
bool am_buf_reserve(struct am_buf *buf, size_t n);          /* room for n more; false on failure */
void am_buf_consume(struct am_buf *buf, size_t n);          /* removes n bytes at the front */
void am_buf_cut(struct am_buf *buf, size_t len);            /* keeps the first len bytes, or all when there are fewer */
const char *am_buf_str(const struct am_buf *buf);           /* "" when empty */
char *am_buf_steal(struct am_buf *buf, size_t *len);        /* the malloc'ed bytes are the caller's; buf is empty */

#endif
