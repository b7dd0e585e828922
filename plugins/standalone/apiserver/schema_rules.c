/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x-kubernetes-validations: rules are compiled with the schema that they stand in.  A rule that does not compile, or
 * that could never run, refuses the schema; none is left out.  They are compiled after the schema, since a rule sees the types
 * below it.
 */
#include <stdlib.h>

#include "core/base/map.h"
#include "plugins/standalone/apiserver/cel.h"
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema_priv.h"

#define MAX_RULES 500 /* of one schema */

struct compiler {
	struct am_arena *arena;
	struct am_schema_set *set;
	struct am_failure *failure;
	struct am_buf path;
	size_t n_rules;
	const char *uncorrelatable; /* the path of the list whose elements have no old value; NULL: none */
	bool stored;
	struct am_map *known; /* the texts of rules that are stored already */
	struct am_rule_costs costs;
	bool bounded;     /* by the lists and maps around: */
	uint64_t repeats; /* how often the present node can be there */
};

static const char *const reasons[AM_RULE_REASONS] = {
	[AM_RULE_INVALID] = "FieldValueInvalid",     [AM_RULE_FORBIDDEN] = "FieldValueForbidden",
	[AM_RULE_REQUIRED] = "FieldValueRequired",   [AM_RULE_DUPLICATE] = "FieldValueDuplicate",
};

const char *
am_rule_reason_name(enum am_rule_reason reason)
{
	return reasons[reason];
}

static void am_printf_(4, 5)
report(struct compiler *c, const char *key, const char *reason, const char *fmt, ...)
{
	struct am_buf text = { .max = 8192 };
	size_t mark = c->path.len;
	va_list ap;

	va_start(ap, fmt);
	am_buf_addv(&text, fmt, ap);
	va_end(ap);
	am_buf_addf(&c->path, ".%s", key);
	am_failure_cause(c->failure, reason, am_buf_str(&c->path), "%s", am_buf_str(&text));
	am_buf_fini(&text);
	am_buf_cut(&c->path, mark);
}

/* ---- fieldPath ---- */

/* One step, ".name" or "['name']", off *p; NULL when it is neither. */
static char *
path_step(struct compiler *c, const char **p)
{
	const char *from = *p + 1, *end;

	if (**p == '.') {
		end = from + strcspn(from, ".[");
		*p = end;
		return end > from ? am_arena_strndup(c->arena, from, (size_t)(end - from)) : NULL;
	}
	if (**p != '[' || *from != '\'' || (end = strstr(from + 1, "']")) == NULL)
		return NULL;
	*p = end + 2;
	return am_arena_strndup(c->arena, from + 1, (size_t)(end - from) - 1);
}

/* How causes write the field that a rule points at. */
static const char *
field_path(struct compiler *c, const struct am_schema *s, const char *path)
{
	struct am_buf out = { 0 };

	for (const char *p = path; *p != '\0';) {
		const char *name = path_step(c, &p);
		const struct am_schema *property = name != NULL ? am_schema_property_of(s, name) : NULL;

		if (property != NULL) {
			am_buf_addf(&out, ".%s", name);
		} else if (name != NULL && s->additional != NULL && !s->additional->anything) {
			property = s->additional;
			am_buf_addf(&out, "[%s]", name);
		} else {
			report(c, "fieldPath", "FieldValueInvalid", "Invalid value: \"%.200s\": must be a valid path: %s", path,
			       name == NULL ? "it is made of .name and ['name']" : "does not refer to a valid field");
			am_buf_fini(&out);
			return NULL;
		}
		s = property;
	}
	const char *ret = am_arena_printf(c->arena, "%s", am_buf_str(&out));
	am_buf_fini(&out);
	return ret;
}

/* ---- one rule ---- */

/* Collects what rules below node say. */
static void
collect(struct am_map *texts, const struct am_node *node)
{
	static const char *const keys[] = { "rule", "messageExpression" };
	const struct am_node *rules = node->type == AMBIENT_T_OBJECT ? am_node_get(node, "x-kubernetes-validations") : NULL;

	if (rules != NULL && rules->type == AMBIENT_T_ARRAY)
		for (const struct am_node *r = rules->first; r != NULL; r = r->next)
			for (size_t k = 0; r->type == AMBIENT_T_OBJECT && k < AM_COUNTOF(keys); k++)
				am_map_put(texts, am_node_get_str(r, keys[k], ""), texts);
	if (node->type == AMBIENT_T_OBJECT || node->type == AMBIENT_T_ARRAY)
		for (const struct am_node *m = node->first; m != NULL; m = m->next)
			collect(texts, m);
}

static bool
is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

static bool
breaks_inside(const char *text)
{
	text += strspn(text, " \t\r\n");
	text += strcspn(text, "\r\n");
	return !is_blank(text);
}

static const struct cel_program *
program(struct compiler *c, const struct am_schema *s, bool root, const struct am_rule *rule, const char *key, const char *text,
	enum cel_kind wanted)
{
	struct cel_compile with = { c->arena, c->set, s, root, rule->optional_old, c->stored || am_map_has(c->known, text) };
	struct am_buf problem = { .max = 4096 };
	const struct cel_program *ret = NULL;
	bool is_rule = wanted == CEL_BOOL;

	if (!cel_schema_visible(s, root))
		am_buf_adds(&problem, "nothing is known about the type of self here");
	else
		ret = cel_compile(&with, am_slice_of(text), &problem);
	if (ret == NULL) {
		report(c, key, "FieldValueInvalid", "Invalid value: \"%.500s\": %s: %s", text,
		       is_rule ? "compilation failed" : "messageExpression compilation failed", am_buf_str(&problem));
	} else if (cel_program_kind(ret) != wanted) {
		report(c, key, "FieldValueInvalid", "Invalid value: \"%.500s\": %s", text, is_rule ?
		       "cel expression must evaluate to a bool" : "messageExpression must evaluate to a string");
		ret = NULL;
	}
	am_buf_fini(&problem);
	return ret;
}

static void
check_message(struct compiler *c, const struct am_node *node, const char *text)
{
	const char *message = am_node_get_str(node, "message", "");

	if (*message != '\0' && is_blank(message))
		report(c, "message", "FieldValueInvalid", "Invalid value: \"\": must be non-empty if specified");
	else if (strpbrk(message, "\r\n") != NULL)
		report(c, "message", "FieldValueInvalid", "Invalid value: \"%.200s\": must not contain line breaks", message);
	else if (*message == '\0' && breaks_inside(text))
		report(c, "message", "FieldValueRequired", "Required value: message must be specified if rule contains line breaks");
}

static void
compile_reason(struct compiler *c, const struct am_node *node, struct am_rule *rule)
{
	const char *name = am_node_get_str(node, "reason", reasons[AM_RULE_INVALID]);

	for (int i = 0; i < AM_RULE_REASONS; i++)
		if (strcmp(reasons[i], name) == 0) {
			rule->reason = (enum am_rule_reason)i;
			return;
		}
	report(c, "reason", "FieldValueNotSupported",
	       "Unsupported value: \"%.100s\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", "
	       "\"FieldValueInvalid\", \"FieldValueRequired\"", name);
}

static void
compile_rule(struct compiler *c, const struct am_schema *s, bool root, const struct am_node *node, struct am_rule *rule)
{
	const char *expression = am_node_get_str(node, "messageExpression", "");
	const struct am_node *optional = am_node_get(node, "optionalOldSelf");

	*rule = (struct am_rule){ .text = am_node_get_str(node, "rule", ""), .message = am_node_get_str(node, "message", "") };
	if (is_blank(rule->text)) {
		report(c, "rule", "FieldValueRequired", "Required value: rule is not specified");
		return;
	}
	rule->optional_old = optional != NULL && optional->type == AMBIENT_T_BOOL && optional->boolean;
	check_message(c, node, rule->text);
	compile_reason(c, node, rule);
	rule->field = field_path(c, s, am_node_get_str(node, "fieldPath", ""));
	rule->program = program(c, s, root, rule, "rule", rule->text, CEL_BOOL);
	if (*expression != '\0')
		rule->message_program = program(c, s, root, rule, "messageExpression", expression, CEL_STRING);
	if (!c->stored)
		am_rule_costs_add(&c->costs, c->arena, rule, c->bounded ? c->repeats : cel_schema_cardinality(s),
				  am_buf_str(&c->path), c->failure);
	if (rule->program == NULL)
		return;
	rule->transition = cel_program_uses_old(rule->program);
	if (rule->transition && c->uncorrelatable != NULL)
		report(c, "rule", "FieldValueInvalid",
		       "Invalid value: \"%.500s\": oldSelf cannot be used on the uncorrelatable portion of the schema within %s",
		       rule->text, c->uncorrelatable);
	if (!rule->transition && optional != NULL)
		report(c, "optionalOldSelf", "FieldValueInvalid",
		       "Invalid value: %s: may not be set if oldSelf is not used in rule", rule->optional_old ? "true" : "false");
}

static void
compile_rules(struct compiler *c, struct am_schema *s, bool root)
{
	const struct am_node *nodes = s->rule_nodes;

	if (nodes == NULL)
		return;
	if (nodes->type != AMBIENT_T_ARRAY || (c->n_rules += nodes->count) > MAX_RULES) {
		report(c, "x-kubernetes-validations", "FieldValueInvalid", "Invalid value: must be an array, and a schema has at most "
		       "%d rules", MAX_RULES);
		return;
	}
	struct am_rule *rules = am_arena_zalloc(c->arena, AM_MAX(nodes->count, 1u) * sizeof(*rules));
	am_assert(rules != NULL);
	for (const struct am_node *n = nodes->first; n != NULL; n = n->next) {
		size_t mark = c->path.len;

		am_buf_addf(&c->path, ".x-kubernetes-validations[%zu]", s->n_rules);
		compile_rule(c, s, root, n, &rules[s->n_rules++]);
		am_buf_cut(&c->path, mark);
	}
	s->rules = rules;
}

/* ---- the tree ---- */

static bool compile_tree(struct compiler *c, struct am_schema *s, bool root);

/* What is in s can be there as often as s has elements. */
static void
enter(struct compiler *c, const struct am_schema *s)
{
	bool list = s->type == AM_SCHEMA_ARRAY, map = s->type == AM_SCHEMA_OBJECT && s->additional != NULL;
	int64_t max = list ? s->max_items : s->max_properties;

	if (!list && !map)
		return;
	c->bounded = c->bounded && max >= 0;
	if (c->bounded && __builtin_mul_overflow(c->repeats, (uint64_t)max, &c->repeats))
		c->repeats = UINT64_MAX;
}

/* Whether there are rules in a part of s. */
static bool
compile_part(struct compiler *c, const struct am_schema *part, const char *step, const char *name, bool correlatable)
{
	const char *outer = c->uncorrelatable;
	size_t mark = c->path.len;

	if (part == NULL || part->anything)
		return false;
	if (!correlatable && outer == NULL)
		c->uncorrelatable = am_arena_printf(c->arena, "%s", am_buf_str(&c->path));
	am_buf_addf(&c->path, name != NULL ? "%s[%s]" : "%s", step, name);
	/* The schema is still being made, by the caller of am_schema_rules_compile(). */
	bool ret = compile_tree(c, (struct am_schema *)(uintptr_t)part, part->embedded);
	am_buf_cut(&c->path, mark);
	c->uncorrelatable = outer;
	return ret;
}

/* A default that the rules refuse would refuse every object that needs it. */
static void
check_default(struct compiler *c, const struct am_schema *s)
{
	struct am_failure inner = { 0 };

	am_schema_rules_check(s, s->fallback, NULL, &inner);
	if (inner.n_causes > 0)
		report(c, "default", "FieldValueInvalid", "%s", inner.causes[0].message);
	am_failure_fini(&inner);
}

static bool
compile_tree(struct compiler *c, struct am_schema *s, bool root)
{
	uint64_t repeats = c->repeats;
	bool bounded = c->bounded;

	compile_rules(c, s, root);
	s->has_rules = s->n_rules > 0;
	enter(c, s);
	for (size_t i = 0; i < s->n_properties; i++)
		s->has_rules |= compile_part(c, s->properties[i].schema, ".properties", s->properties[i].name, true);
	s->has_rules |= compile_part(c, s->additional, ".additionalProperties", NULL, true);
	s->has_rules |= compile_part(c, s->items, ".items", NULL, s->list_type == AM_LIST_MAP);
	c->repeats = repeats;
	c->bounded = bounded;
	if (s->has_rules && s->fallback != NULL)
		check_default(c, s);
	return s->has_rules;
}

static void
measure(struct am_arena *arena, struct am_schema *s, bool root)
{
	const struct am_schema *const parts[] = { s->additional, s->items };

	for (size_t i = 0; i < s->n_properties; i++)
		measure(arena, (struct am_schema *)(uintptr_t)s->properties[i].schema, s->properties[i].schema->embedded);
	for (size_t i = 0; i < AM_COUNTOF(parts); i++)
		if (parts[i] != NULL && !parts[i]->anything)
			measure(arena, (struct am_schema *)(uintptr_t)parts[i], parts[i]->embedded);
	cel_schema_measure(arena, s, root);
}

void
am_schema_rules_compile(struct am_arena *arena, struct am_schema_set *set, struct am_schema *schema, const char *path,
			bool stored, const struct am_schema_past *past, struct am_failure *failure)
{
	struct compiler c = { .arena = arena, .set = set, .failure = failure, .stored = stored, .known = am_map_new(), .bounded = true,
			      .repeats = 1, .costs.unchanged = past != NULL && past->unchanged };

	if (past != NULL && past->versions != NULL)
		collect(c.known, past->versions);
	am_buf_adds(&c.path, path);
	measure(arena, schema, true);
	compile_tree(&c, schema, true);
	am_rule_costs_judge(&c.costs, path, failure);
	am_map_free(c.known);
	am_buf_fini(&c.path);
}
