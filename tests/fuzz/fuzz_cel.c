/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An expression, a line break, {"schema":...,"self":...,"old":...} (each may be missing): what compiles has an estimate
 * and ends within its limit, the same each time, and nothing of it depends on what was evaluated before.
 */
#include "plugins/standalone/apiserver/cel.h"
#include "plugins/standalone/apiserver/engine.h"

#define LIMIT 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char usual[] = "{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\",\"maxLength\":20},\"n\":{\"type\":\"integer\"},"
	"\"l\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"m\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}},"
	"\"d\":{\"type\":\"string\",\"format\":\"duration\"},\"t\":{\"type\":\"string\",\"format\":\"date-time\"},"
	"\"y\":{\"type\":\"string\",\"format\":\"byte\"},\"any\":{\"x-kubernetes-int-or-string\":true},\"o\":{\"type\":\"array\","
	"\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{\"type\":\"object\",\"required\":[\"k\"],"
	"\"properties\":{\"k\":{\"type\":\"string\"},\"b\":{\"type\":\"boolean\"}}}}}}";
static const char usual_self[] = "{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"name\":\"n\"},\"s\":\"abc\",\"n\":5,\"l\":[\"b\",\"a\"],"
	"\"m\":{\"k\":1.5},\"d\":\"1h\",\"t\":\"2024-02-29T10:11:12Z\",\"y\":\"YWJj\",\"any\":\"5%\",\"o\":[{\"k\":\"p\",\"b\":true}]}";

static const struct am_node *
part(struct am_arena *arena, const struct am_node *root, const char *key, const char *otherwise)
{
	const struct am_node *ret = root != NULL && root->type == AMBIENT_T_OBJECT ? am_node_get(root, key) : NULL;

	return ret != NULL || otherwise == NULL ? ret : am_node_parse(arena, otherwise, strlen(otherwise), NULL);
}

static void
evaluate(struct cel_run *run, const struct cel_program *program, const struct am_node *self, const struct am_node *old,
	 struct cel_outcome *outcome, struct am_buf *out)
{
	cel_run_eval(run, program, self, old, LIMIT, outcome);
	am_assert(outcome->exceeded || outcome->cost <= LIMIT);
	am_assert(!outcome->exceeded || outcome->kind == CEL_ERROR);
	cel_run_print(run, out);
}

static void
use(const struct cel_program *program, const struct am_node *self, const struct am_node *old)
{
	struct cel_run *run = cel_run_new();
	struct cel_outcome once, twice;
	struct am_buf a = { .max = 1 << 20 }, b = { .max = 1 << 20 };

	(void)cel_program_estimate(program);
	evaluate(run, program, self, old, &once, &a);
	evaluate(run, program, self, old, &twice, &b);
	am_assert(once.kind == twice.kind && once.cost == twice.cost && once.exceeded == twice.exceeded);
	am_assert(a.len == b.len && memcmp(am_buf_str(&a), am_buf_str(&b), a.len) == 0);
	am_buf_fini(&a);
	am_buf_fini(&b);
	cel_run_free(run);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = size > 0 ? memchr(text, '\n', size) : NULL;
	size_t n = end != NULL ? (size_t)(end - text) : size;
	struct am_arena *arena = am_arena_new();
	struct am_schema_set *set = am_schema_set_new();
	struct am_failure failure = { 0 };
	const struct am_node *root = end != NULL ? am_node_parse(arena, end + 1, size - n - 1, NULL) : NULL;
	struct cel_compile with = { .arena = arena, .set = set, .root = true, .stored = true };

	with.self = am_schema_compile(arena, set, part(arena, root, "schema", usual), "s", NULL, &failure);
	with.optional_old = n > 0 && text[0] == ' ';
	if (with.self != NULL) {
		const struct am_node *self = part(arena, root, "self", usual_self);
		struct am_buf problem = { .max = 65536 };
		const struct cel_program *program = cel_compile(&with, am_slice(text, n), &problem);

		am_assert((program == NULL) == (problem.len > 0));
		/* Rules see only what the schema lets pass. */
		am_schema_validate(with.self, self, NULL, &failure);
		if (program != NULL && failure.n_causes == 0)
			use(program, self, part(arena, root, "old", NULL));
		am_buf_fini(&problem);
	}
	am_failure_fini(&failure);
	am_schema_set_free(set);
	am_arena_free(arena);
	return 0;
}
