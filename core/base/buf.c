/* SPDX-License-Identifier: Apache-2.0 */
/* The growing byte buffer.  Invariant: data is NULL, or cap > len and data[len] is NUL. */
#include "core/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
am_buf_fini(struct am_buf *buf)
{
	free(buf->data);
	*buf = (struct am_buf){ .max = buf->max };
}

void
am_buf_reset(struct am_buf *buf)
{
	buf->len = 0;
	buf->failed = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

bool
am_buf_reserve(struct am_buf *buf, size_t n)
{
	size_t need, cap;

	if (buf->failed)
		return false;
	if (__builtin_add_overflow(buf->len, n, &need) || __builtin_add_overflow(need, 1, &need) ||
	    (buf->max != 0 && need - 1 > buf->max)) {
		buf->failed = true;
		return false;
	}
	if (need <= buf->cap)
		return true;
	cap = buf->cap < 64 ? 64 : buf->cap + buf->cap / 2;
	if (cap < need)
		cap = need;
	char *data = realloc(buf->data, cap);
	if (data == NULL) {
		buf->failed = true;
		return false;
	}
	if (buf->data == NULL)
		data[0] = '\0';
	buf->data = data;
	buf->cap = cap;
	return true;
}

void
am_buf_add(struct am_buf *buf, const void *p, size_t n)
{
	if (!am_buf_reserve(buf, n))
		return;
	if (n != 0)
		memcpy(buf->data + buf->len, p, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
}

void
am_buf_adds(struct am_buf *buf, const char *s)
{
	am_buf_add(buf, s, strlen(s));
}

void
am_buf_addc(struct am_buf *buf, char c)
{
	am_buf_add(buf, &c, 1);
}

void
am_buf_addv(struct am_buf *buf, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0 && am_buf_reserve(buf, (size_t)n)) {
		(void)vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, again);
		buf->len += (size_t)n;
	}
	va_end(again);
}

void
am_buf_addf(struct am_buf *buf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	am_buf_addv(buf, fmt, ap);
	va_end(ap);
}

void
am_buf_consume(struct am_buf *buf, size_t n)
{
	if (n >= buf->len) {
		buf->len = 0;
	} else {
		memmove(buf->data, buf->data + n, buf->len - n);
		buf->len -= n;
	}
	if (buf->data != NULL)
		buf->data[buf->len] = '\0';
}

void
am_buf_cut(struct am_buf *buf, size_t len)
{
	if (len < buf->len) {
		buf->len = len;
		buf->data[len] = '\0';
	}
}

const char *
am_buf_str(const struct am_buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

char *
am_buf_steal(struct am_buf *buf, size_t *len)
{
	if (!am_buf_reserve(buf, 0))
		return NULL;
	char *data = buf->data;
	if (len != NULL)
		*len = buf->len;
	*buf = (struct am_buf){ .max = buf->max };
	return data;
}
