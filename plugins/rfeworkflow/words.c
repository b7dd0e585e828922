/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of texts that a workflow is made of, cut where the API server would take no more, and names. */
#include "plugins/rfeworkflow/rfeworkflow.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "plugins/kind-shared/hash.h"

void
rfe_putf(struct text *b, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_puts(b, text);
}

bool
rfe_put_cut(struct text *b, const char *s, size_t max)
{
	size_t all = strlen(s), n = all;

	if (n > max)
		for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
			;
	text_put(b, s, n);
	if (n < all)
		rfe_putf(b, "\n[cut here: %zu of %zu bytes]", n, all);
	return n < all;
}

/* Of one character, or one byte of several. */
static size_t
stored_byte(unsigned char c)
{
	if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f')
		return 2;
	return c < 0x20 || c == '<' || c == '>' || c == '&' ? 6 : 1;
}

size_t
rfe_stored_prefix(const char *s, size_t max)
{
	size_t n = 0, all = 0;

	while (s[n] != '\0' && all + stored_byte((unsigned char)s[n]) <= max)
		all += stored_byte((unsigned char)s[n++]);
	while (s[n] != '\0' && n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}

size_t
rfe_stored(const char *s)
{
	size_t all = 0;

	for (; *s != '\0'; s++)
		all += stored_byte((unsigned char)*s);
	return all;
}

char *
rfe_take(struct text *b, struct ambient_call *call)
{
	char *out = b->failed ? NULL : call->host->mem->scratch(call, b->len + 1);

	if (out != NULL && b->len > 0)
		memcpy(out, b->p, b->len);
	if (out != NULL)
		out[b->len] = '\0';
	free(b->p);
	memset(b, 0, sizeof(*b));
	return out;
}

void
rfe_slug(char out[RFE_NAME_MAX], const char *text)
{
	size_t n = 0;

	for (const char *p = text; *p != '\0' && n < RFE_NAME_MAX - 1; p++) {
		if (isalnum((unsigned char)*p))
			out[n++] = (char)tolower((unsigned char)*p);
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = '\0';
}

void
rfe_name(char out[RFE_NAME_MAX], const char *prefix, const char *suffix)
{
	size_t n = strlen(prefix), tail = strlen(suffix);
	uint64_t hash;

	if (n + tail < RFE_NAME_MAX) {
		memcpy(out, prefix, n);
		memcpy(out + n, suffix, tail + 1);
		return;
	}
	hash = kh_adds(kh_adds(KH_FIRST, prefix), suffix);
	if (tail > 30)
		tail = 30;
	suffix += strlen(suffix) - tail;
	if (n > RFE_NAME_MAX - 1 - 11 - tail)
		n = RFE_NAME_MAX - 1 - 11 - tail;
	while (n > 0 && !isalnum((unsigned char)prefix[n - 1]))
		n--;
	(void)snprintf(out, RFE_NAME_MAX, "%.*s-%010" PRIx64 "%s", (int)n, prefix, hash & UINT64_C(0xffffffffff), suffix);
}
