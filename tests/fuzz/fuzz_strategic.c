/* SPDX-License-Identifier: Apache-2.0 */
/* {"target":...,"patch":...}: a strategic merge gives an object or a refusal; its text can be read back. */
#include "plugins/standalone/apiserver/ownership.h"
#include "plugins/standalone/apiserver/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct am_arena *arena = am_arena_new();
	struct am_failure failure = { 0 };
	const struct am_type type = { .how = AM_HOW_OBJECT, .message = rest_proto_of_kind("v1", "Pod"), .root = true };
	struct am_node *root = am_node_parse(arena, (const char *)data, size, NULL);
	struct am_node *target = am_node_get(root, "target"), *patch = am_node_get(root, "patch");

	if (target != NULL && patch != NULL && target->type == AMBIENT_T_OBJECT) {
		struct am_node *result = am_patch_strategic(arena, target, patch, &type, &failure);
		am_assert((result == NULL) == (failure.code != 0));
		if (result != NULL) {
			struct am_buf text = { 0 };
			am_node_print(result, &text);
			am_assert(am_json_check(am_buf_str(&text), text.len, NULL) == 0);
			am_buf_fini(&text);
		}
	}
	am_failure_fini(&failure);
	am_arena_free(arena);
	return 0;
}
