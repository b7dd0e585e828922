/* SPDX-License-Identifier: Apache-2.0 */
/* Text in the making: templates in the source look like the JSON that they make. */
#include "plugins/shared/text.h"

#include <inttypes.h>
#include <stdlib.h>

void
text_put(struct text *t, const char *p, size_t n)
{
	if (t->failed)
		return;
	if (t->cap - t->len <= n) {
		size_t cap = (t->cap + n + 1) * 2;
		char *bigger = realloc(t->p, cap);

		if (bigger == NULL) {
			t->failed = 1;
			return;
		}
		t->p = bigger;
		t->cap = cap;
	}
	if (n > 0)
		memcpy(t->p + t->len, p, n);
	t->len += n;
	t->p[t->len] = '\0';
}

void
text_puts(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void
text_jsonn(struct text *t, const char *s, size_t n)
{
	char esc[8];

	text_put(t, "\"", 1);
	while (n > 0) {
		size_t plain = 0;

		while (plain < n && (unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
			plain++;
		text_put(t, s, plain);
		s += plain;
		n -= plain;
		if (n == 0)
			break;
		if (*s == '"' || *s == '\\')
			(void)snprintf(esc, sizeof(esc), "\\%c", *s);
		else
			(void)snprintf(esc, sizeof(esc), "\\u%04x", (unsigned char)*s);
		text_puts(t, esc);
		s++;
		n--;
	}
	text_put(t, "\"", 1);
}

void
text_json(struct text *t, const char *s)
{
	text_jsonn(t, s, strlen(s));
}

void
text_add(struct text *t, const char *fmt, ...)
{
	char number[32];
	const char *raw;
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt != '\0'; fmt++) {
		if (*fmt != '%') {
			n = strcspn(fmt, "%");
			text_put(t, fmt, n);
			fmt += n - 1;
			continue;
		}
		switch (*++fmt) {
		case 's':
			raw = va_arg(ap, const char *);
			if (raw != NULL)
				text_json(t, raw);
			else
				text_puts(t, "null");
			break;
		case 'j':
			raw = va_arg(ap, const char *);
			text_puts(t, raw);
			break;
		case 'o':
			raw = ambient_json(va_arg(ap, const struct ambient_object *), "", &n);
			if (raw != NULL)
				text_put(t, raw, n);
			else
				t->failed = 1;
			break;
		case 'd':
			n = (size_t)snprintf(number, sizeof(number), "%" PRId64, va_arg(ap, int64_t));
			text_put(t, number, n);
			break;
		case 'b':
			raw = va_arg(ap, int) ? "true" : "false";
			text_puts(t, raw);
			break;
		default:
			text_put(t, fmt, 1);
		}
	}
	va_end(ap);
}

void
text_fini(struct text *t)
{
	if (t->p != NULL)
		explicit_bzero(t->p, t->cap); /* secrets pass through here */
	free(t->p);
	memset(t, 0, sizeof(*t));
}

int
text_object(struct text *t, struct ambient_call *call, const struct ambient_object **ret, struct ambient_error *err)
{
	int rc = t->failed || t->p == NULL ? ambient_err(err, AMBIENT_E_NOMEM, "out of memory")
					   : ambient_parse(call, t->p, t->len, ret, err);

	text_fini(t);
	return rc;
}
