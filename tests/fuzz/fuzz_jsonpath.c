/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON path, followed in an object: what it finds lies in the object, and what is no path finds nothing. */
#include <stdlib.h>

#include "core/base/mem.h"
#include "plugins/standalone/apiserver/jsonpath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char raw[] = "{\"a\":[{\"b\":1,\"c\":\"x\"},{\"b\":2.5,\"c\":\"y\",\"a\":{\"b\":[true,null,\"a.b/c\"]}}],"
		"\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]},\"spec\":{\"a\":[[1,2,3],{\"x.y\":{}}]}}";
	char *path = am_xstrndup((const char *)data, size);
	struct am_slice found;

	if (am_jsonpath_find(am_slice(raw, sizeof(raw) - 1), path, &found))
		am_assert(found.p >= raw && found.n > 0 && found.p + found.n <= raw + sizeof(raw) - 1);
	(void)am_jsonpath_ok(path);
	free(path);
	return 0;
}
