/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"fields":FieldsV1,"managed":[...],"live":{...},"config":{...}}: what is read can be printed and read again; sets keep
 * their laws; to merge what was merged changes nothing; comparing with itself finds nothing.
 */
#include "plugins/standalone/apiserver/ownership.h"
#include "plugins/standalone/apiserver/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_fields(struct am_arena *arena, const struct am_node *fields)
{
	const struct am_paths *paths, *again;

	if (fields == NULL || !am_paths_parse(arena, fields, &paths))
		return;
	am_assert(am_paths_parse(arena, am_paths_print(arena, paths), &again) && am_paths_equal(paths, again));
	am_assert(am_paths_equal(am_paths_union(arena, paths, again), paths));
	am_assert(am_paths_minus(arena, paths, again) == NULL);
	am_assert(am_paths_equal(am_paths_common(arena, paths, again), paths));
}

static void
nothing(void *arg, const char *path)
{
	*(size_t *)arg += strlen(path);
}

static void
check_merge(struct am_arena *arena, const struct am_type *type, const struct am_node *live, const struct am_node *config)
{
	struct am_buf problems = { 0 }, text = { 0 };
	size_t n = 0;

	am_typed_check(arena, type, config, &problems);
	const struct am_paths *set = am_typed_set(arena, type, config);
	am_paths_each(set, nothing, &n);
	const struct am_paths *differs = am_typed_compare(arena, type, live, config);
	am_paths_each(differs, nothing, &n);
	am_assert(am_typed_compare(arena, type, config, config) == NULL);
	if (problems.len == 0) {
		struct am_node *merged = am_typed_merge(arena, type, live, config);
		am_assert(am_node_equal(am_typed_merge(arena, type, merged, config), merged));
		/* What config says is in it. */
		const struct am_paths *lost = am_paths_only(arena, am_typed_compare(arena, type, config, merged),
							    AM_PATH_MODIFIED | AM_PATH_REMOVED);
		am_assert(am_paths_common(arena, lost, set) == NULL);
		am_typed_remove(arena, type, merged, am_typed_close(arena, type, set));
		am_node_print(merged, &text);
		am_assert(am_json_check(am_buf_str(&text), text.len, NULL) == 0);
	}
	am_buf_fini(&problems);
	am_buf_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct am_arena *arena = am_arena_new();
	struct am_node *root = am_node_parse(arena, (const char *)data, size, NULL);
	const struct am_node *live = am_node_get(root, "live"), *config = am_node_get(root, "config");
	const struct am_type types[] = {
		{ .how = AM_HOW_DEDUCED },
		{ .how = AM_HOW_OBJECT, .message = rest_proto_of_kind("v1", "Pod"), .root = true },
		{ .how = AM_HOW_OBJECT, .message = rest_proto_of_kind("v1", "Service"), .root = true },
	};
	struct am_managers managers;

	check_fields(arena, am_node_get(root, "fields"));
	if (am_managers_parse(arena, am_node_get(root, "managed"), &managers)) {
		am_managers_cap(arena, &managers);
		struct am_node *printed = am_managers_print(arena, &managers);
		am_assert(printed == NULL || (am_managers_parse(arena, printed, &managers) && managers.n == printed->count));
	}
	for (size_t i = 0; i < AM_COUNTOF(types); i++)
		if (live != NULL && config != NULL && live->type == AMBIENT_T_OBJECT && config->type == AMBIENT_T_OBJECT)
			check_merge(arena, &types[i], live, config);
	am_arena_free(arena);
	return 0;
}
