/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation of the rules of a schema on an object, outside in.  A part finds its old value by the name of its field or
 * key, or by the keys of a list of type map; elements of other lists have none.  What a rule says against a part that did
 * not change is not held against the object, but for transition rules.  All rules of an object share one budget.
 */
#include "core/base/map.h"
#include "plugins/standalone/apiserver/cel.h"
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema_priv.h"

#define MAX_EXPRESSION_MESSAGE 5120

struct checker {
	struct am_failure *failure;
	struct am_buf path;
	struct cel_run *run;
	uint64_t budget;
	bool ended; /* the budget is used up */
};

static void check(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old,
		  bool unchanged);

static struct am_slice
trimmed(struct am_slice text)
{
	while (text.n > 0 && strchr(" \t\r\n", text.p[0]) != NULL && text.p[0] != '\0')
		text = am_slice(text.p + 1, text.n - 1);
	while (text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) != NULL && text.p[text.n - 1] != '\0')
		text.n--;
	return text;
}

/* How messages name a rule. */
static struct am_slice
name_of(const struct am_rule *rule)
{
	return trimmed(am_slice_of(*rule->message != '\0' ? rule->message : rule->text));
}

/* ---- what is said ---- */

static void
add_cause(struct checker *c, const struct am_schema *s, const struct am_rule *rule, const char *text)
{
	static const char *const starts[AM_RULE_REASONS] = {
		[AM_RULE_FORBIDDEN] = "Forbidden", [AM_RULE_REQUIRED] = "Required value",
	};
	const char *reason = am_rule_reason_name(rule->reason);

	if (starts[rule->reason] != NULL)
		am_failure_cause(c->failure, reason, am_schema_path(&c->path), "%s: %s", starts[rule->reason], text);
	else
		am_failure_cause(c->failure, reason, am_schema_path(&c->path), "%s value: \"%s\": %s",
				 rule->reason == AM_RULE_DUPLICATE ? "Duplicate" : "Invalid", am_schema_type_names[s->type], text);
}

/* The rule's own words, from its expression if that says something that can be shown. */
static void
message_of(struct checker *c, const struct am_rule *rule, const struct am_node *node, const struct am_node *old,
	   struct am_buf *out)
{
	struct cel_outcome outcome;
	struct am_slice text;

	if (rule->message_program != NULL && !c->ended) {
		cel_run_eval(c->run, rule->message_program, node, old, AM_MIN(c->budget, CEL_CALL_COST), &outcome);
		c->budget -= AM_MIN(outcome.cost, c->budget);
		text = outcome.kind == CEL_STRING ? trimmed(outcome.text) : am_slice("", 0);
		if (text.n > 0 && text.n <= MAX_EXPRESSION_MESSAGE && memchr(text.p, '\n', text.n) == NULL) {
			am_buf_add(out, text.p, text.n);
			return;
		}
	}
	text = name_of(rule);
	am_buf_addf(out, "%s%.*s", *rule->message != '\0' ? "" : "failed rule: ", (int)text.n, text.p);
}

static void
out_of_budget(struct checker *c, const char *text)
{
	c->ended = true;
	am_failure_cause(c->failure, "FieldValueInvalid", am_schema_path(&c->path), "Invalid value: %s", text);
}

/* ---- one rule ---- */

static void
failed(struct checker *c, const struct am_schema *s, const struct am_rule *rule, const struct cel_outcome *outcome)
{
	struct am_slice name = name_of(rule);
	struct am_buf text = { .max = 8192 };

	am_buf_adds(&text, outcome->exceeded ? "'" : "");
	if (am_starts(outcome->text.p, "no such overload"))
		am_buf_addf(&text, "'%s': call arguments did not match a supported operator, function or macro signature for rule: ",
			    outcome->text.p);
	else if (outcome->exceeded)
		am_buf_addf(&text, "%s': no further validation rules will be run due to call cost exceeds limit for rule: ",
			    outcome->text.p);
	else
		am_buf_addf(&text, "%.*s evaluating rule: ", (int)outcome->text.n, outcome->text.p);
	am_buf_add(&text, name.p, name.n);
	if (outcome->exceeded)
		out_of_budget(c, am_buf_str(&text));
	else
		add_cause(c, s, rule, am_buf_str(&text));
	am_buf_fini(&text);
}

static void
run_rule(struct checker *c, const struct am_schema *s, const struct am_rule *rule, const struct am_node *node,
	 const struct am_node *old, bool unchanged)
{
	bool tolerated = unchanged && !rule->transition;
	struct cel_outcome outcome;

	if (rule->transition && old == NULL && !rule->optional_old)
		return;
	cel_run_eval(c->run, rule->program, node, old, AM_MIN(c->budget, CEL_CALL_COST), &outcome);
	if (outcome.exceeded && c->budget < CEL_CALL_COST) {
		out_of_budget(c, "validation failed due to running out of cost budget, no further validation rules will be run");
		return;
	}
	c->budget -= AM_MIN(outcome.cost, c->budget);
	if (outcome.kind == CEL_ERROR && (!tolerated || outcome.exceeded)) {
		failed(c, s, rule, &outcome);
	} else if (outcome.kind == CEL_BOOL && !outcome.truth && !tolerated) {
		struct am_buf text = { .max = 8192 };
		size_t mark = c->path.len;

		message_of(c, rule, node, old, &text);
		am_buf_adds(&c->path, *rule->field == '[' ? "." : ""); /* Kubernetes takes it for the name of a field */
		am_buf_adds(&c->path, rule->field + (mark == 0 && *rule->field == '.'));
		add_cause(c, s, rule, am_buf_str(&text));
		am_buf_cut(&c->path, mark);
		am_buf_fini(&text);
	}
}

/* ---- the tree ---- */

static void
check_object(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old, bool unchanged)
{
	size_t mark = c->path.len;

	for (const struct am_node *m = node->first; m != NULL && !c->ended; m = m->next) {
		const struct am_schema *property = am_schema_property_of(s, m->key);
		bool named = property != NULL;

		property = named ? property : s->additional;
		if (property == NULL || !property->has_rules)
			continue;
		if (named)
			am_buf_addf(&c->path, "%s%s", mark > 0 ? "." : "", m->key);
		else
			am_buf_addf(&c->path, "[%s]", m->key);
		check(c, property, m, am_node_get(old, m->key), unchanged);
		am_buf_cut(&c->path, mark);
	}
}

static void
print_keys(const struct am_schema *s, const struct am_node *element, struct am_buf *out)
{
	am_buf_reset(out);
	for (size_t k = 0; k < s->n_map_keys; k++) {
		const struct am_node *value = am_node_get(element, s->map_keys[k]);

		if (value != NULL)
			am_node_print(value, out);
		am_buf_addc(out, '\n');
	}
}

static void
check_array(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old, bool unchanged)
{
	struct am_map *before = NULL;
	struct am_buf keys = { 0 };
	size_t mark = c->path.len, i = 0;

	if (s->items == NULL || !s->items->has_rules)
		return;
	if (s->list_type == AM_LIST_MAP && old != NULL && old->type == AMBIENT_T_ARRAY) {
		before = am_map_new();
		for (struct am_node *e = old->first; e != NULL; e = e->next) {
			print_keys(s, e, &keys);
			am_map_putn(before, am_buf_str(&keys), keys.len, e);
		}
	}
	for (const struct am_node *e = node->first; e != NULL && !c->ended; e = e->next, i++) {
		const struct am_node *same = NULL;

		if (before != NULL) {
			print_keys(s, e, &keys);
			same = am_map_getn(before, am_buf_str(&keys), keys.len);
		}
		am_buf_addf(&c->path, "[%zu]", i);
		check(c, s->items, e, same, unchanged);
		am_buf_cut(&c->path, mark);
	}
	am_buf_fini(&keys);
	if (before != NULL)
		am_map_free(before);
}

/* unchanged: something around node is as it was.  A null is judged by the rules around it alone. */
static void
check(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old, bool unchanged)
{
	if (node->type == AMBIENT_T_NULL)
		return;
	if (old != NULL && old->type == AMBIENT_T_NULL)
		old = NULL;
	unchanged = unchanged || (old != NULL && am_node_equal(old, node));
	for (size_t i = 0; i < s->n_rules && !c->ended; i++)
		run_rule(c, s, &s->rules[i], node, old, unchanged);
	if (node->type == AMBIENT_T_OBJECT)
		check_object(c, s, node, old, unchanged);
	else if (node->type == AMBIENT_T_ARRAY)
		check_array(c, s, node, old, unchanged);
}

/* What makes the values that rules see unsafe to look at. */
static bool
is_blocking(const char *reason)
{
	static const char *const blocking[] = { "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany",
						"FieldValueTypeInvalid", "FieldValueNotSupported" };

	for (size_t i = 0; i < AM_COUNTOF(blocking); i++)
		if (strcmp(blocking[i], reason) == 0)
			return true;
	return false;
}

void
am_schema_rules_check(const struct am_schema *schema, const struct am_node *root, const struct am_node *old,
		      struct am_failure *failure)
{
	struct checker c = { .failure = failure, .budget = CEL_OBJECT_COST };

	if (!schema->has_rules)
		return;
	for (size_t i = 0; i < failure->n_causes; i++)
		if (is_blocking(failure->causes[i].reason)) {
			am_failure_cause(failure, "FieldValueInvalid", "<nil>", "Invalid value: null: some validation rules were not "
					 "checked because the object was invalid; correct the existing errors to complete validation");
			return;
		}
	c.run = cel_run_new();
	check(&c, schema, root, old, false);
	cel_run_free(c.run);
	am_buf_fini(&c.path);
}
