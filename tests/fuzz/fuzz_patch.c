/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"target":...,"merge":...,"json":[...]}: JSON is taken by the gate and by the tree alike, a tree's text is the same tree
 * again, and what patches make of the target can be written and read back.
 */
#include "core/base/str.h"
#include "core/data/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
written_and_read(struct am_arena *arena, const struct am_node *node)
{
	struct am_buf text = { 0 };

	am_node_print(node, &text);
	am_assert(am_json_check(am_buf_str(&text), text.len, NULL) == 0);
	struct am_node *again = am_node_parse(arena, text.data, text.len, NULL);
	am_assert(again != NULL && am_node_equal(node, again));
	am_buf_fini(&text);
}

static void
patched(struct am_arena *arena, const struct am_node *target, const struct am_node *merge, const struct am_node *json)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (merge != NULL) {
		struct am_node *result = am_patch_merge(arena, am_node_clone(arena, target), merge);
		am_assert(result != NULL);
		written_and_read(arena, result);
		const struct am_node *diff = am_patch_diff(arena, target, result);
		if (diff != NULL)
			written_and_read(arena, am_patch_merge(arena, am_node_clone(arena, target), diff));
	}
	if (json != NULL) {
		const struct am_node *result = am_patch_json(arena, am_node_clone(arena, target), json, &err);
		am_assert((result == NULL) == (err.message[0] != '\0'));
		if (result != NULL)
			written_and_read(arena, result);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct am_arena *arena = am_arena_new();
	const struct am_node *root = am_node_parse(arena, (const char *)data, size, NULL);

	am_assert((root != NULL) == (am_json_check((const char *)data, size, NULL) == 0));
	if (root != NULL) {
		written_and_read(arena, root);
		const struct am_node *target = am_node_get(root, "target");
		if (target != NULL)
			patched(arena, target, am_node_get(root, "merge"), am_node_get(root, "json"));
	}
	am_arena_free(arena);
	return 0;
}
