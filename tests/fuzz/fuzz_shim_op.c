/* SPDX-License-Identifier: Apache-2.0 */
/* A line on ambient-shim's socket: an operation with all that it needs, or refused with a sentence. */
#include "core/ambient-shim/shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_arena *arena = am_arena_new();
	struct shim_op op;
	int rc = shim_op_parse(arena, (const char *)data, size, &op, &err);

	am_assert((rc < 0) == (err.message[0] != '\0'));
	if (rc == 0)
		am_assert(op.kind != SHIM_OP_NONE && (op.kind != SHIM_OP_EXEC || (op.container != NULL && op.argv[0] != NULL)));
	am_arena_free(arena);
	return 0;
}
