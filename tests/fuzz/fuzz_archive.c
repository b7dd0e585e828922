/* SPDX-License-Identifier: Apache-2.0 */
/* A backup's archive: whatever comes, a name is safe to be a path below a directory, and no size is believed. */
#include "core/ambientctl/archive.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *in = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "rb") : NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char name[CTL_ARCHIVE_NAME];
	int64_t n;

	while (in != NULL && ctl_archive_next(in, name, &n, &err) == 0) {
		struct am_buf out = { 0 };

		am_assert(ctl_archive_name_ok(name) && name[0] != '/' && name[0] != '.' && strstr(name, "/.") == NULL);
		am_assert(n >= 0);
		int rc = ctl_archive_take(in, n, &out, &err);
		am_assert(rc < 0 || (int64_t)out.len == n);
		am_buf_fini(&out);
		if (rc < 0)
			break;
	}
	if (in != NULL)
		(void)fclose(in);
	return 0;
}
