/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all rules of a schema may cost together, by estimates, when a definition is written: none may cost more than
 * LIMIT, a rule counting as often as the lists and maps around it can repeat it, and all together no more than
 * SUM_LIMIT.  The numbers are Kubernetes', so that both refuse the same definitions.
 */
#include "plugins/standalone/apiserver/cel.h"
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema_priv.h"

#define LIMIT     UINT64_C(10000000)
#define SUM_LIMIT UINT64_C(100000000)

static const char advice[] =
	"(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, "
	"and strings are declared)";

static void
complain(struct am_failure *failure, const char *path, const char *what, uint64_t cost, uint64_t limit)
{
	double factor = (double)cost / (double)limit;
	char text[32];

	if (factor > 100)
		snprintf(text, sizeof(text), "more than 100x");
	else
		snprintf(text, sizeof(text), factor < 1.5 ? "%fx" : "%.1fx", factor);
	am_failure_cause(failure, "FieldValueForbidden", path, "Forbidden: %s exceeds budget by factor of %s %s", what,
			 text, advice);
}

/* Keeps the dearest ones, the dearest first. */
static void
note(struct am_rule_costs *costs, struct am_arena *arena, const char *path, uint64_t cost)
{
	size_t at = costs->n;

	if (cost < SUM_LIMIT / 100)
		return;
	while (at > 0 && costs->worst[at - 1].cost < cost)
		at--;
	if (at == AM_COUNTOF(costs->worst))
		return;
	costs->n = AM_MIN(costs->n + 1, AM_COUNTOF(costs->worst));
	for (size_t i = costs->n - 1; i > at; i--)
		costs->worst[i] = costs->worst[i - 1];
	costs->worst[at].path = am_arena_strdup(arena, path);
	costs->worst[at].cost = cost;
}

static uint64_t
times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

void
am_rule_costs_add(struct am_rule_costs *costs, struct am_arena *arena, const struct am_rule *rule, uint64_t repeats,
		  const char *path, struct am_failure *failure)
{
	const struct {
		const struct cel_program *program;
		const char *key, *what;
		uint64_t repeats;
	} parts[] = {
		{rule->program, "rule", "estimated rule cost", repeats},
		{rule->message_program, "messageExpression", "estimated messageExpression cost", 1},
	};

	for (size_t i = 0; i < AM_COUNTOF(parts); i++) {
		if (parts[i].program == NULL)
			continue;
		uint64_t cost = times(cel_program_estimate(parts[i].program), parts[i].repeats);
		const char *at = am_arena_printf(arena, "%s.%s", path, parts[i].key);

		if (cost > LIMIT && !costs->unchanged)
			complain(failure, at, parts[i].what, cost, LIMIT);
		if (__builtin_add_overflow(costs->sum, cost, &costs->sum))
			costs->sum = UINT64_MAX;
		note(costs, arena, at, cost);
	}
}

void
am_rule_costs_judge(const struct am_rule_costs *costs, const char *path, struct am_failure *failure)
{
	if (costs->sum <= SUM_LIMIT)
		return;
	for (size_t i = 0; i < costs->n; i++)
		am_failure_cause(failure, "FieldValueForbidden", costs->worst[i].path,
				 "Forbidden: contributed to estimated rule "
				 "cost total exceeding cost limit for entire OpenAPIv3 schema");
	complain(failure, path, "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
		 costs->sum, SUM_LIMIT);
}
