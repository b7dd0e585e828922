/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules, and files that claim to be time zones ("TZif"). */
#include <stdlib.h>
#include <string.h>

#include "plugins/standalone/shared/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cron cron;
	char why[128], *text;
	int64_t next, before = 1772000000;

	if (size >= 4 && memcmp(data, "TZif", 4) == 0) {
		struct zone *zone = zone_parse(data, size);
		if (zone == NULL)
			return 0;
		for (int64_t t = -INT64_C(5000000000); t < INT64_C(8000000000); t += 12345678)
			(void)zone_offset(zone, t);
		zone_free(zone);
		return 0;
	}
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	if (cron_parse(text, &cron, why, sizeof(why)) && cron_next(&cron, NULL, before, &next) && next <= before)
		abort();
	free(text);
	return 0;
}
