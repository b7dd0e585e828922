/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Characters of UTF-8 and the columns that they take.  Widths are those of the C library; what it does not know, such
 * as a picture that is newer than it, counts as one column.
 */
#include "core/ambientctl/edit.h"

#include <locale.h>
#include <wchar.h>

#define REPLACEMENT 0xfffd
#define TAB_COLUMNS 4

void
ctl_width_init(void)
{
	/* The texts are UTF-8 whatever the person's locale is. */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		(void)setlocale(LC_CTYPE, "");
}

size_t
ctl_utf8(const char *p, size_t n, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)p;
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t c = len == 1 ? s[0] : len == 2 ? s[0] & 0x1fU : len == 3 ? s[0] & 0x0fU : s[0] & 0x07U;

	*ret = REPLACEMENT;
	if (len == 0 || len > n)
		return 1;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (s[i] & 0x3fU);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 1;
	*ret = c;
	return len;
}

unsigned
ctl_width(uint32_t c)
{
	int width = c == '\t' ? TAB_COLUMNS : c < 0x20 ? 0 : c < 0x7f ? 1 : wcwidth((wchar_t)c);

	return width < 0 ? 1 : (unsigned)width;
}

size_t
ctl_char_next(const char *text, size_t n, size_t at)
{
	uint32_t c;

	if (at >= n)
		return n;
	at += ctl_utf8(text + at, n - at, &c);
	while (c != '\n' && at < n) {
		size_t len = ctl_utf8(text + at, n - at, &c);

		if (c < 0x80 || ctl_width(c) > 0)
			break;
		at += len;
	}
	return at;
}

size_t
ctl_char_before(const char *text, size_t n, size_t at)
{
	uint32_t c = 0;

	while (at > 0 && c < 0x80) {
		do
			at--;
		while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80);
		(void)ctl_utf8(text + at, n - at, &c);
		if (c < 0x80 || ctl_width(c) > 0)
			break;
		c = 0;
	}
	return at;
}

size_t
ctl_row(const char *text, size_t n, size_t from, unsigned columns, size_t *to, unsigned *width)
{
	size_t at = from;

	*width = 0;
	while (at < n && text[at] != '\n') {
		uint32_t c;
		size_t len = ctl_utf8(text + at, n - at, &c);

		/* A row takes one character even where it has no room: else there were no end of rows. */
		if (*width + ctl_width(c) > columns && at > from)
			break;
		*width += ctl_width(c);
		at += len;
	}
	*to = at;
	return at < n && text[at] == '\n' ? at + 1 : at;
}
