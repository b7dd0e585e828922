/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: each document is JSON that the gate takes, or the text is refused with a sentence; printed as YAML it is read again. */
#include "core/base/str.h"
#include "core/data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct again {
	struct am_arena *arena;
	const struct am_node *want;
	int documents;
};

static int
compare(void *arg, const char *json, size_t n, struct ambient_error *err)
{
	struct again *again = arg;
	const struct am_node *node = am_node_parse(again->arena, json, n, err);

	am_assert(node != NULL && am_node_equal(node, again->want));
	again->documents++;
	return 0;
}

static int
document(void *arg, const char *json, size_t n, struct ambient_error *err)
{
	struct again again = { .arena = arg };
	struct am_buf text = { 0 };

	am_assert(am_json_check(json, n, err) == 0);
	again.want = am_node_parse(again.arena, json, n, err);
	am_assert(again.want != NULL);
	am_yaml_from_node(again.want, &text);
	int rc = am_yaml_to_json(am_buf_str(&text), text.len, compare, &again, err);
	am_assert(rc == 0 && again.documents == 1);
	am_buf_fini(&text);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_arena *arena = am_arena_new();
	int rc = am_yaml_to_json((const char *)data, size, document, arena, &err);

	am_assert((rc < 0) == (err.message[0] != '\0'));
	am_arena_free(arena);
	return 0;
}
