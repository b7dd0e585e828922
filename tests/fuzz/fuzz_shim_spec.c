/* SPDX-License-Identifier: Apache-2.0 */
/* The specification that ambient-shim is given: taken, with paths that are clean, or refused with a sentence. */
#include <string.h>

#include "core/ambient-shim/shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct shim shim = { .arena = am_arena_new() };
	int rc = shim_spec_parse(&shim, (const char *)data, size, &err);

	am_assert((rc < 0) == (err.message[0] != '\0'));
	if (rc == 0)
		am_assert(shim.dir[0] == '/' && strstr(shim.dir, "/../") == NULL && shim.count > shim.init_count);
	am_arena_free(shim.arena);
	return 0;
}
