/* SPDX-License-Identifier: Apache-2.0 */
/* A protobuf body as clients send it: whatever it is, it is refused or becomes text that starts and ends as an object. */
#include "plugins/standalone/apiserver/rest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf out = { .max = (size_t)4 << 20 };
	int rc = rest_proto_to_json((const char *)data, size, &out, &err);

	am_assert(rc <= 0 && rc > -AMBIENT_E__COUNT);
	if (rc == 0)
		am_assert(out.len >= 2 && out.data[0] == '{' && out.data[out.len - 1] == '}' &&
			  am_utf8_valid(out.data, out.len));
	am_buf_fini(&out);
	return 0;
}
