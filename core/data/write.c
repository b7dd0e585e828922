/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON text: strings, shortest doubles, small documents by a format. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/scan.h"

/* The length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t
sequence(const char *p, size_t left)
{
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

	return n <= left && am_utf8_valid(p, n) ? n : 0;
}

void
am_json_add_strn(struct am_buf *out, const char *s, size_t n)
{
	static const char named[] = "\b\f\n\r\t", letters[] = "bfnrt";

	am_buf_addc(out, '"');
	for (size_t i = 0; i < n;) {
		size_t plain = i;
		while (plain < n && (unsigned char)s[plain] >= 0x20 && (unsigned char)s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\')
			plain++;
		am_buf_add(out, s + i, plain - i);
		i = plain;
		if (i == n)
			break;
		unsigned char c = (unsigned char)s[i];
		const char *name = c != 0 ? strchr(named, s[i]) : NULL;
		if (c == '"' || c == '\\')
			am_buf_addf(out, "\\%c", c);
		else if (name != NULL)
			am_buf_addf(out, "\\%c", letters[name - named]);
		else if (c < 0x20)
			am_buf_addf(out, "\\u%04x", c);
		else {
			size_t len = sequence(s + i, n - i);
			am_buf_add(out, len != 0 ? s + i : "\xef\xbf\xbd", len != 0 ? len : 3);
			i += len != 0 ? len : 1;
			continue;
		}
		i++;
	}
	am_buf_addc(out, '"');
}

void
am_json_add_str(struct am_buf *out, const char *s)
{
	am_json_add_strn(out, s, strlen(s));
}

void
am_json_add_double(struct am_buf *out, double d)
{
	char text[32];

	if (!isfinite(d)) {
		am_buf_adds(out, "null");
		return;
	}
	for (int digits = 1; digits <= 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	am_buf_adds(out, text);
}

void
am_json_addf(struct am_buf *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt != '\0'; fmt++) {
		if (*fmt != '%') {
			am_buf_addc(out, *fmt);
			continue;
		}
		const char *s;
		switch (*++fmt) {
		case 's':
			s = va_arg(ap, const char *);
			if (s != NULL)
				am_json_add_str(out, s);
			else
				am_buf_adds(out, "null");
			break;
		case 'j':
			s = va_arg(ap, const char *);
			am_buf_adds(out, s != NULL ? s : "null");
			break;
		case 'd':
			am_buf_addf(out, "%d", va_arg(ap, int));
			break;
		case 'l':
			am_buf_addf(out, "%lld", (long long)va_arg(ap, int64_t));
			break;
		case 'b':
			am_buf_adds(out, va_arg(ap, int) != 0 ? "true" : "false");
			break;
		default:
			am_buf_addc(out, *fmt);
		}
	}
	va_end(ap);
}
