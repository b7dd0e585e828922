/* SPDX-License-Identifier: Apache-2.0 */
/* A label selector, a line feed, a field selector: parsed, or refused with 400; what is parsed matches or not. */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fields[] = { "spec.mode", "status.phase", NULL };
	static struct am_resource_priv priv;
	static const struct am_resource res = { .group = "", .plural = "pods", .selectable = fields, .priv = &priv };
	static const char raw[] = "{\"metadata\":{\"name\":\"n\",\"namespace\":\"ns\",\"labels\":{\"a\":\"b\",\"c\":\"7\"}},"
				  "\"spec\":{\"mode\":\"x\"},\"status\":{\"phase\":7}}";
	struct am_failure failure = { 0 };
	struct am_selector *selector = NULL;
	char *labels = am_xstrndup((const char *)data, size), *text = strchr(labels, '\n');

	if (text != NULL)
		*text++ = '\0';
	int rc = am_selector_parse(&res, labels, text, &selector, &failure);
	am_assert((rc < 0) == (failure.code == 400));
	if (rc == 0) {
		struct am_object *object = am_object_new(raw, sizeof(raw) - 1, 5, 0, 0);
		(void)am_selector_match(selector, object);
		am_object_unref(object);
	}
	am_selector_free(selector);
	am_failure_fini(&failure);
	free(labels);
	return 0;
}
