/* SPDX-License-Identifier: Apache-2.0 */
/* {"schema":...,"value":...}: what compiles must prune, default and validate anything, and pruning is done at once. */
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use(struct am_arena *arena, const struct am_schema *schema, struct am_node *value)
{
	struct am_failure failure = { 0 };
	struct am_buf once = { 0 }, twice = { 0 };

	am_schema_validate(schema, value, NULL, &failure);
	am_schema_prune(schema, value, NULL, NULL);
	am_schema_default(arena, schema, value);
	am_node_print(value, &once);
	am_schema_prune(schema, value, NULL, NULL);
	am_schema_default(arena, schema, value);
	am_node_print(value, &twice);
	am_assert(once.len == twice.len && memcmp(am_buf_str(&once), am_buf_str(&twice), once.len) == 0);
	am_failure_fini(&failure);
	am_buf_fini(&once);
	am_buf_fini(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct am_arena *arena = am_arena_new();
	struct am_schema_set *set = am_schema_set_new();
	struct am_failure failure = { 0 };
	struct am_node *root = am_node_parse(arena, (const char *)data, size, NULL);
	struct am_node *openapi = am_node_get(root, "schema"), *value = am_node_get(root, "value");

	if (openapi != NULL) {
		const struct am_schema *schema = am_schema_compile(arena, set, openapi, "s", NULL, &failure);
		am_assert((schema == NULL) == (failure.n_causes > 0));
		if (schema != NULL && value != NULL)
			use(arena, schema, value);
	}
	am_failure_fini(&failure);
	am_schema_set_free(set);
	am_arena_free(arena);
	return 0;
}
