/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings of the API server ("v1beta1 is deprecated"): each text is said once by a client, however many requests earn it.
 * The header is `299 AGENT "text"`; other codes are for caches and say nothing to us.
 */
#include <stdlib.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/kube/kube_priv.h"

#define TEXTS_MAX 256 /* remembered; then they may be said again */

bool
am_warning_text(const char *value, size_t n, char *out, size_t size)
{
	size_t at = 4, used = 0;

	if (n < 8 || memcmp(value, "299 ", 4) != 0)
		return false;
	while (at < n && value[at] != ' ')
		at++;
	while (at < n && value[at] == ' ')
		at++;
	if (at >= n || value[at++] != '"')
		return false;
	for (; at < n && value[at] != '"'; at++) {
		if (value[at] == '\\' && at + 1 < n)
			at++;
		if (used + 1 < size)
			out[used++] = (unsigned char)value[at] < ' ' || value[at] == 0x7f ? ' ' : value[at];
	}
	/* A cut does not split a character. */
	while (used > 0 && used + 1 == size && ((unsigned char)out[used - 1] & 0x80) != 0)
		used--;
	out[used] = '\0';
	return used > 0 && am_utf8_valid(out, used);
}

void
am_warning_take(struct am_map **seen, const char *value, size_t n)
{
	char text[256];

	if (!am_warning_text(value, n, text, sizeof(text)))
		return;
	if (*seen != NULL && am_map_has(*seen, text))
		return;
	if (*seen != NULL && am_map_len(*seen) >= TEXTS_MAX) {
		am_map_free(*seen);
		*seen = NULL;
	}
	if (*seen == NULL)
		*seen = am_map_new();
	am_map_put(*seen, text, *seen);
	am_log_warn("kube", "the API server warns: %s", text);
}
