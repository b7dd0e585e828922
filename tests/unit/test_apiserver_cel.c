/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expression language by a table, tests/unit/cel_rows.txt: an expression a line with what it comes to.  The cluster
 * tier evaluates the same rows with the environment of a real kube-apiserver.  A row with "## reason" behind it is
 * answered otherwise there.  Beside the table: limits, and expressions made at random.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/str.h"
#include "plugins/standalone/apiserver/cel.h"
#include "plugins/standalone/apiserver/engine.h"
#include "tests/lib/unit.h"

static struct am_arena *arena;
static struct am_schema_set *set;
static struct cel_run *run;
static const struct am_schema *schema;
static const struct am_node *self, *old;
static bool as_new;

static void
setup(void)
{
	arena = am_arena_new();
	set = am_schema_set_new();
	run = cel_run_new();
	schema = NULL;
	self = old = NULL;
	as_new = false;
}

static void
done(void)
{
	cel_run_free(run);
	am_schema_set_free(set);
	am_arena_free(arena);
}

static struct am_node *
node(const char *text)
{
	struct am_node *n = am_node_parse(arena, text, strlen(text), NULL);

	ck_assert_msg(n != NULL, "%s", text);
	return n;
}

static void
set_schema(const char *text)
{
	struct am_failure failure = { 0 };

	schema = am_schema_compile(arena, set, node(text), "s", NULL, &failure);
	ck_assert_msg(schema != NULL, "%s", failure.n_causes > 0 ? failure.causes[0].message : "?");
	am_failure_fini(&failure);
}

static const struct cel_program *
compile(const char *expression, struct am_buf *problem)
{
	struct cel_compile with = { .arena = arena, .set = set, .self = schema, .root = true, .stored = !as_new };

	return cel_compile(&with, am_slice_of(expression), problem);
}

/* As the rows write it. */
static void
evaluate(const char *expression, struct am_buf *out)
{
	struct am_buf problem = { .max = 65536 };
	const struct cel_program *program = compile(expression, &problem);
	struct cel_outcome outcome;

	if (program == NULL) {
		am_buf_addf(out, "refused: %s", am_buf_str(&problem));
	} else {
		cel_run_eval(run, program, self, old, CEL_CALL_COST, &outcome);
		cel_run_print(run, out);
	}
	am_buf_fini(&problem);
}

static bool
agrees(const char *got, const char *want)
{
	if (am_starts(want, "refused"))
		return am_starts(got, "refused");
	return am_starts(want, "error: ") ? am_starts(got, want) : strcmp(got, want) == 0;
}

/* What a rule costs at most. */
static void
estimate(const char *expression, struct am_buf *out)
{
	struct am_buf problem = { .max = 65536 };
	const struct cel_program *program = compile(expression, &problem);

	if (program == NULL)
		am_buf_addf(out, "refused: %s", am_buf_str(&problem));
	else
		am_buf_addf(out, "%llu", (unsigned long long)cel_program_estimate(program));
	am_buf_fini(&problem);
}

/* One line of the table; 1 when it is a row that we answer otherwise. */
static int
one_row(char *line, void (*answer)(const char *expression, struct am_buf *out))
{
	struct am_buf got = { .max = 65536 };
	char *arrow = strstr(line, " ==> "), *reason;

	if (am_starts(line, "%schema ")) {
		set_schema(line + 8);
		return 0;
	}
	if (am_starts(line, "%self ") || am_starts(line, "%old ")) {
		*(line[1] == 's' ? &self : &old) = node(strchr(line, ' ') + 1);
		return 0;
	}
	if (strcmp(line, "%new") == 0) {
		as_new = true;
		return 0;
	}
	if (*line == '\0' || *line == '#' || strcmp(line, "%costs") == 0)
		return 0;
	ck_assert_msg(arrow != NULL, "a row without an arrow: %s", line);
	*arrow = '\0';
	if ((reason = strstr(arrow + 1, " ## ")) != NULL)
		*reason = '\0';
	answer(line, &got);
	bool ok = agrees(am_buf_str(&got), arrow + 5);
	if (!ok)
		printf("# %s\n#   row:  %s\n#   ours: %s\n", line, arrow + 5, am_buf_str(&got));
	am_buf_fini(&got);
	return !ok;
}

static void
file_of_rows(const char *name, int at_least, void (*answer)(const char *expression, struct am_buf *out))
{
	char path[4096], *line = NULL;
	size_t cap = 0;
	int bad = 0, n = 0;

	const char *top = getenv("top_srcdir");
	snprintf(path, sizeof(path), "%s/tests/unit/%s", top != NULL ? top : ".", name);
	FILE *file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s", path);
	while (getline(&line, &cap, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		bad += one_row(line, answer);
		n++;
	}
	free(line);
	fclose(file);
	ck_assert_int_gt(n, at_least);
	ck_assert_int_eq(bad, 0);
}

START_TEST(rows)
{
	file_of_rows("cel_rows.txt", 700, evaluate);
}
END_TEST

START_TEST(costs_are_estimated_as_kubernetes_does)
{
	file_of_rows("cel_costs.txt", 200, estimate);
}
END_TEST

static void
simple_fixture(void)
{
	set_schema("{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\"},"
		   "\"l\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}}");
	self = node("{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"name\":\"n\"},\"s\":\"abc\",\"l\":[1,2,3,4,5,6,7,8,9,10]}");
}

static const char *
repeat(const char *before, const char *what, size_t n, const char *after)
{
	struct am_buf text = { 0 };

	am_buf_adds(&text, before);
	for (size_t i = 0; i < n; i++)
		am_buf_adds(&text, what);
	am_buf_adds(&text, after);
	const char *ret = am_arena_printf(arena, "%s", am_buf_str(&text));
	am_buf_fini(&text);
	return ret;
}

START_TEST(sizes_and_depths_are_bounded)
{
	simple_fixture();
	const char *const texts[] = {
		repeat("", "(", 5000, "1"), repeat("", "[", 5000, "1"),
		repeat("1", " + 1", 5000, ""), repeat("self.s", ".trim()", 5000, ""),
		repeat("true", " ? true : true", 5000, ""), repeat("[1]", "[0", 5000, "]"), repeat("", "a", 70000, ""),
		repeat("", "[1].map(x, ", 300, "x"), repeat("'", "a", 70000, "'"), repeat("1", " in [1]", 5000, ""),
		repeat("", "{1:", 5000, "1"), repeat("self", ".s", 5000, ""), repeat("", "has(", 5000, ""),
		repeat("[1", ", 1", 30000, "]"),
	};
	for (size_t i = 0; i < AM_COUNTOF(texts); i++) {
		struct am_buf problem = { .max = 1 << 20 };

		ck_assert_msg(compile(texts[i], &problem) == NULL, "%.40s", texts[i]);
		ck_assert_uint_gt(problem.len, 0);
		am_buf_fini(&problem);
	}
}
END_TEST

START_TEST(the_budget_is_honoured)
{
	static const char *const texts[] = {
		"self.l.all(a, self.l.all(b, self.l.all(c, self.l.all(d, self.l.all(e, self.l.all(f, a + b + c + d + e + f > 0))))))",
		"lists.range(1000000).map(x, lists.range(1000000)).size() > 0",
		"self.l.map(a, self.l.map(b, self.l.map(c, self.l.map(d, self.l.map(e, self.l.map(f, 'xxxxxxxxxxxxxxxxxxxxxx')))))).size() > 0",
	};

	simple_fixture();
	for (size_t i = 0; i < AM_COUNTOF(texts); i++) {
		struct am_buf problem = { 0 };
		struct cel_outcome outcome;
		const struct cel_program *program = compile(texts[i], &problem);

		ck_assert_msg(program != NULL, "%s", am_buf_str(&problem));
		cel_run_eval(run, program, self, NULL, CEL_CALL_COST, &outcome);
		ck_assert(outcome.kind == CEL_ERROR && outcome.exceeded);
		am_buf_fini(&problem);
	}
	/* And a run is good for the next. */
	struct am_buf out = { 0 };
	evaluate("self.l.size() == 10", &out);
	ck_assert_str_eq(am_buf_str(&out), "true");
	am_buf_fini(&out);
}
END_TEST

static unsigned
below(uint64_t *random, unsigned n)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*random >> 33) % n;
}

/* Words at random: most are refused, some run, none crashes or runs for long. */
START_TEST(random_words)
{
	static const char *const words[] = { "self", ".", "s", "l", "(", ")", "[", "]", "{", "}", ",", "1", "0", "'a'", "\"b\"",
					     "+", "-", "*", "/", "%", "==", "!=", "<", "&&", "||", "!", "?", ":", "in", "true",
					     "null", "size(", "self.l.all(x,", "self.l.map(x,", "x", "self.s", "self.l", "1.5",
					     "1u", ".matches(", ".split(", "optional.of(", ".?", "dyn(", "string(", "has(",
					     ".format(", "timestamp(", "duration(", "'%s'", ".size()", "[?" };
	uint64_t random = 7;
	int ran = 0;

	simple_fixture();
	for (int i = 0; i < 20000; i++) {
		struct am_buf text = { 0 }, problem = { .max = 65536 };
		struct cel_outcome outcome;

		for (unsigned n = 1 + below(&random, 12); n > 0; n--) {
			am_buf_adds(&text, words[below(&random, AM_COUNTOF(words))]);
			am_buf_adds(&text, below(&random, 4) == 0 ? " " : "");
		}
		const struct cel_program *program = compile(am_buf_str(&text), &problem);
		if (program != NULL) {
			cel_run_eval(run, program, self, NULL, 10000, &outcome);
			ck_assert(outcome.exceeded || outcome.cost <= 10000);
			ran++;
		} else {
			ck_assert_uint_gt(problem.len, 0);
		}
		am_buf_fini(&text);
		am_buf_fini(&problem);
	}
	ck_assert_int_gt(ran, 100);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, done);
	tcase_add_test(tc, rows);
	tcase_add_test(tc, costs_are_estimated_as_kubernetes_does);
	tcase_add_test(tc, sizes_and_depths_are_bounded);
	tcase_add_test(tc, the_budget_is_honoured);
	tcase_add_test(tc, random_words);
}

UNIT_MAIN("apiserver_cel", cases)
