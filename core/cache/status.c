/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the Status object with which the API server refuses a request, or ends a watch inside its stream. */
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/cache/cache_priv.h"
#include "core/data/scan.h"

static void
copy(struct am_slice json, const char *pointer, char *buf, size_t size)
{
	char *s = am_json_dup(json, pointer);

	if (s != NULL)
		(void)am_strlcpy(buf, s, size);
	free(s);
}

/* Servers before 1.17 only say it in words. */
static bool
too_large(struct am_slice json, const struct status *status)
{
	struct am_slice causes, cause, reason;

	if (am_json_find(json, "/details/causes", &causes) && am_json_type(causes) == AMBIENT_T_ARRAY) {
		for (size_t it = 0; am_json_element(causes, &it, &cause);) {
			if (am_json_find(cause, "/reason", &reason) && am_json_str_eq(reason, "ResourceVersionTooLarge"))
				return true;
		}
	}
	return status->code == 504 && strstr(status->message, "Too large resource version") != NULL;
}

void
am_cache_status_parse(struct am_slice json, struct status *ret)
{
	int64_t code;

	memset(ret, 0, sizeof(*ret));
	if (json.n == 0 || am_json_check(json.p, json.n, NULL) < 0)
		return;
	code = am_json_int(json, "/code", 0);
	ret->code = code > 0 && code < 1000 ? (int)code : 0;
	copy(json, "/reason", ret->reason, sizeof(ret->reason));
	copy(json, "/message", ret->message, sizeof(ret->message));
	if (ret->code == 0 && (strcmp(ret->reason, "Expired") == 0 || strcmp(ret->reason, "Gone") == 0))
		ret->code = 410;
	ret->too_large_rv = too_large(json, ret);
}
