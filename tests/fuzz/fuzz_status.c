/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a failed request: the first two bytes are the status.  What comes out can be printed on a terminal. */
#include "core/kube/kube_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_shown(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	am_assert(n < size && am_utf8_valid(text, n));
	for (size_t i = 0; i < n; i++)
		am_assert((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (size < 2)
		return 0;
	int status = 300 + (data[0] | data[1] << 8) % 300;
	int rc = am_kube_error(&err, status, (const char *)data + 2, size - 2);
	am_assert(rc < 0 && rc > -AMBIENT_E__COUNT && err.code == -rc && err.http_status == status);
	am_assert(err.retry_after_ms >= 0);
	check_shown(err.message, sizeof(err.message));
	check_shown(err.reason, sizeof(err.reason));
	check_shown(err.where, sizeof(err.where));
	return 0;
}
