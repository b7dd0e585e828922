/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of a parsed expression: names become variables, each call gets the overloads that its arguments allow, and
 * what cannot be is complained about at its place.  Literal patterns, timestamps and durations are tried here, so that a
 * mistake in them is found when the rule is written.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define MAX_OVERLOADS 48

struct variable {
	const char *name;
	const struct cel_type *type;
};

struct checker {
	const struct cel_compile *with;
	struct am_slice text;
	struct am_buf *problem;
	struct variable variables[CEL_MAX_SLOTS];
	uint32_t n_variables;
	bool uses_old;
	bool mixed; /* the list literal that comes next may hold several types */
	int complaints;
};

static const struct cel_fn *const tables[] = { cel_core_fns, cel_convert_fns, cel_text_fns, cel_list_fns, cel_time_fns,
					       cel_net_fns, cel_quantity_fns, cel_format_fns, cel_printf_fns,
					       cel_semver_fns };

#define DYN (&cel_simple[CEL_DYN])

static const struct cel_type *check(struct checker *c, struct cel_expr *e);

static const struct cel_type *
complain(struct checker *c, size_t at, const char *text)
{
	if (c->complaints++ < 10)
		cel_complain(c->problem, c->text, at, "%s", text);
	return &cel_simple[CEL_ERROR];
}

static const struct cel_type *
complain_of(struct checker *c, size_t at, const char *before, const struct cel_type *type, const char *after)
{
	struct am_buf text = { .max = 4096 };

	am_buf_adds(&text, before);
	cel_type_print(type, &text);
	am_buf_adds(&text, after);
	const struct cel_type *ret = complain(c, at, am_buf_str(&text));
	am_buf_fini(&text);
	return ret;
}

static bool
is_error(const struct cel_type *type)
{
	return type->kind == CEL_ERROR;
}

static bool
fits(const struct cel_type *to, const struct cel_type *from)
{
	const struct cel_type *bound[2] = { NULL, NULL };

	return cel_assign(to, from, bound);
}

/* ---- names ---- */

static const struct cel_type *
become_variable(struct cel_expr *e, uint32_t slot, const struct cel_type *type)
{
	e->op = CEL_VAR;
	e->slot = slot;
	return type;
}

static const struct cel_type *
become_type(struct checker *c, struct cel_expr *e, const struct cel_type *type)
{
	e->op = CEL_CONST;
	e->value = (struct cel_value){ .kind = CEL_TYPE, .type = type };
	return cel_type_new(c->with->arena, CEL_TYPE, type, NULL);
}

static const struct cel_type *
check_ident(struct checker *c, struct cel_expr *e)
{
	const struct cel_type *type;

	for (uint32_t i = c->n_variables; i > 0; i--)
		if (strcmp(c->variables[i - 1].name, e->name) == 0) {
			c->uses_old |= i - 1 == 1;
			return become_variable(e, i - 1, c->variables[i - 1].type);
		}
	if ((type = cel_type_named(e->name)) != NULL)
		return become_type(c, e, type);
	return complain(c, e->at, am_arena_printf(c->with->arena, "undeclared reference to '%s' (in container '')", e->name));
}

/* a.b.c when it is nothing but names and a is no variable; NULL otherwise. */
static const char *
dotted(struct checker *c, const struct cel_expr *e)
{
	if (e->op == CEL_IDENT) {
		for (uint32_t i = 0; i < c->n_variables; i++)
			if (strcmp(c->variables[i].name, e->name) == 0)
				return NULL;
		return e->name;
	}
	if (e->op != CEL_SELECT || e->optional)
		return NULL;
	const char *before = dotted(c, e->args[0]);
	return before != NULL ? am_arena_printf(c->with->arena, "%s.%s", before, e->name) : NULL;
}

/* ---- members ---- */

static const struct cel_type *
optional_of(struct checker *c, const struct cel_type *type)
{
	return type->kind == CEL_OPTIONAL ? type : cel_type_new(c->with->arena, CEL_OPTIONAL, type, NULL);
}

static const struct cel_type *
check_select(struct checker *c, struct cel_expr *e)
{
	const char *name = e->op == CEL_SELECT ? dotted(c, e) : NULL;
	const struct cel_type *type = name != NULL ? cel_type_named(name) : NULL, *of, *ret;

	if (type != NULL)
		return become_type(c, e, type);
	of = check(c, e->args[0]);
	bool optional = of->kind == CEL_OPTIONAL || e->optional;
	if (of->kind == CEL_OPTIONAL)
		of = of->a;
	if (is_error(of))
		return of;
	if (of->kind == CEL_DYN) {
		ret = DYN;
	} else if (of->kind == CEL_MAP) {
		ret = of->b;
	} else if (of->kind == CEL_OBJECT) {
		const struct am_schema *field = cel_field(of->schema, of->root, e->name, &e->field);

		ret = field != NULL ? cel_type_of_schema(c->with->arena, field, field->embedded) : NULL;
		if (ret == NULL)
			return complain(c, e->at, am_arena_printf(c->with->arena, "undefined field '%s'", e->name));
	} else {
		return complain_of(c, e->at, "type '", of, "' does not support field selection");
	}
	if (e->op == CEL_HAS)
		return &cel_simple[CEL_BOOL];
	return optional ? optional_of(c, ret) : ret;
}

static const struct cel_type *
bad_call(struct checker *c, const struct cel_expr *e, const char *name)
{
	struct am_buf text = { .max = 4096 };

	am_buf_addf(&text, "found no matching overload for '%s' applied to '", name);
	if (e->method) {
		cel_type_print(e->args[0]->type, &text);
		am_buf_addc(&text, '.');
	}
	am_buf_addc(&text, '(');
	for (size_t i = e->method; i < e->n; i++) {
		am_buf_adds(&text, i > (size_t)e->method ? ", " : "");
		cel_type_print(e->args[i]->type, &text);
	}
	am_buf_adds(&text, ")'");
	const struct cel_type *ret = complain(c, e->at, am_buf_str(&text));
	am_buf_fini(&text);
	return ret;
}

static const struct cel_type *
check_index(struct checker *c, struct cel_expr *e)
{
	const struct cel_type *of = check(c, e->args[0]), *key = check(c, e->args[1]), *ret;

	if (is_error(of) || is_error(key))
		return is_error(of) ? of : key;
	bool optional = of->kind == CEL_OPTIONAL || e->optional;
	if (of->kind == CEL_OPTIONAL)
		of = of->a;
	if (of->kind == CEL_DYN)
		ret = DYN;
	else if (of->kind == CEL_LIST && (fits(&cel_simple[CEL_INT], key)))
		ret = of->a;
	else if (of->kind == CEL_MAP && fits(of->a, key))
		ret = of->b;
	else
		return bad_call(c, e, e->optional ? "_[?_]" : "_[_]");
	return optional ? optional_of(c, ret) : ret;
}

/* ---- calls ---- */

static bool
matches_overload(struct checker *c, const struct cel_expr *e, const char *sig, const struct cel_type **ret)
{
	const struct cel_type *bound[2] = { NULL, NULL };

	for (size_t i = 0; *sig != '>'; i++) {
		if (*sig == '.')
			sig++;
		if (*sig == '>')
			break;
		if (!cel_assign(cel_sig_type(c->with->arena, &sig), e->args[i]->type, bound))
			return false;
	}
	sig++;
	*ret = cel_substitute(c->with->arena, cel_sig_type(c->with->arena, &sig), bound);
	return true;
}

static bool
is_namespaced(const char *name, const struct cel_expr *e, const char *call)
{
	size_t n = strlen(name);

	return strncmp(call, name, n) == 0 && call[n] == '.' && strcmp(call + n + 1, e->name) == 0;
}

/* optional.of(x): a function whose name has a dot, written like a method. */
static void
resolve_namespace(struct checker *c, struct cel_expr *e)
{
	const char *name = e->method ? dotted(c, e->args[0]) : NULL;

	for (size_t t = 0; name != NULL && t < AM_COUNTOF(tables); t++)
		for (const struct cel_fn *fn = tables[t]; fn->name != NULL; fn++)
			if (is_namespaced(name, e, fn->name)) {
				e->name = fn->name;
				e->method = false;
				e->args++;
				e->n--;
				return;
			}
}

static bool
literal(const struct cel_expr *e, enum cel_kind kind)
{
	return e->op == CEL_CONST && e->value.kind == kind;
}

static const struct cel_type *
check_format(struct checker *c, const struct cel_expr *e, const struct cel_type *type)
{
	struct am_buf text = { .max = 1024 };

	if (!cel_printf_check(e->args[0], e->args[1], &text))
		type = complain(c, e->args[1]->at, am_buf_str(&text));
	am_buf_fini(&text);
	return type;
}

static bool
is_conversion(const char *name)
{
	for (const struct cel_fn *fn = cel_convert_fns; fn->name != NULL; fn++)
		if (strcmp(fn->name, name) == 0)
			return true;
	return false;
}

/* A literal that cannot be converted. */
static const struct cel_type *
check_conversion(struct checker *c, struct cel_expr *e, const struct cel_type *type)
{
	struct cel_run *run = cel_run_new();

	run->limit = CEL_CALL_COST;
	struct cel_value v = cel_eval(run, e);
	if (cel_failed(v))
		type = complain(c, e->at, am_arena_printf(c->with->arena, "%.*s", (int)v.s.n, v.s.p));
	cel_run_free(run);
	return type;
}

/* What can be said of literal arguments already. */
static const struct cel_type *
check_literals(struct checker *c, struct cel_expr *e, const struct cel_type *type)
{
	const struct cel_expr *last = e->n > 0 ? e->args[e->n - 1] : NULL;

	if (e->n == 2 && strcmp(e->name, "format") == 0 && literal(e->args[0], CEL_STRING) && last->op == CEL_LIST_LITERAL &&
	    last->optionals == NULL)
		return check_format(c, e, type);
	if (last == NULL || last->op != CEL_CONST)
		return type;
	if (e->n == 1 && is_conversion(e->name))
		return check_conversion(c, e, type);
	/* x.matches(p), matches(x, p), x.find(p), x.findAll(p) */
	if (e->n == 2 && literal(last, CEL_STRING) && (strcmp(e->name, "matches") == 0 || am_starts(e->name, "find"))) {
		const char *problem = NULL;

		e->code = am_schema_pattern(c->with->set, last->value.s.p, last->value.s.n, &problem);
		if (e->code == NULL)
			return complain(c, last->at, am_arena_printf(c->with->arena, "invalid %s argument: %s", e->name, problem));
	}
	return type;
}

/* Kubernetes takes in new rules only what the release before it evaluates too, so that a server may be set back. */
static bool
is_too_new(const struct checker *c, const char *name)
{
	static const char *const names[] = { "slice", "flatten", "sort", "reverse", "distinct", "lists.range" };

	for (size_t i = 0; !c->with->stored && i < AM_COUNTOF(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static const struct cel_type *
complain_too_new(struct checker *c, const struct cel_expr *e, const char *name)
{
	return complain(c, e->at, am_arena_printf(c->with->arena, "undeclared reference to '%s' (in container ''): rules may use it "
						  "from Kubernetes 1.35 on", name));
}

static const struct cel_type *
check_call(struct checker *c, struct cel_expr *e)
{
	const struct cel_fn *found[MAX_OVERLOADS + 1];
	const struct cel_type *type = NULL, *one;
	size_t n = 0;
	bool known = false, method, failed = false;

	resolve_namespace(c, e);
	for (size_t i = 0; i < e->n; i++) {
		c->mixed = e->args[i]->op == CEL_LIST_LITERAL && strcmp(e->name, "format") == 0;
		failed |= is_error(check(c, e->args[i]));
	}
	for (size_t t = 0; t < AM_COUNTOF(tables); t++)
		for (const struct cel_fn *fn = tables[t]; fn->name != NULL; fn++) {
			if (strcmp(fn->name, e->name) != 0)
				continue;
			known = true;
			if (failed || e->n > CEL_MAX_ARGS || cel_sig_args(fn->sig, &method) != e->n || method != e->method ||
			    !matches_overload(c, e, fn->sig, &one))
				continue;
			am_assert(n < MAX_OVERLOADS);
			found[n++] = fn;
			type = type == NULL || cel_type_equal(type, one) ? one : DYN;
		}
	if (!known)
		return complain(c, e->at, am_arena_printf(c->with->arena, "undeclared reference to '%s' (in container '')",
							  e->name));
	if (is_too_new(c, e->name))
		return complain_too_new(c, e, e->name);
	if (failed)
		return &cel_simple[CEL_ERROR];
	if (n == 0)
		return bad_call(c, e, e->name);
	found[n] = NULL;
	const struct cel_fn **kept = am_arena_alloc(c->with->arena, (n + 1) * sizeof(*kept));
	am_assert(kept != NULL);
	memcpy((void *)kept, (const void *)found, (n + 1) * sizeof(*kept));
	e->fns = kept;
	return check_literals(c, e, type);
}

/* ---- literals and structure ---- */

/* The one type of several; they must agree. */
static const struct cel_type *
join(struct checker *c, const struct cel_expr *e, const struct cel_type *now, const struct cel_type *type)
{
	if (type == NULL || now == NULL)
		return type != NULL ? type : now;
	if (is_error(type))
		return type;
	if (is_error(now) || cel_type_equal(now, type))
		return now;
	/* [] and {} take the type of their neighbours. */
	if (now->kind == type->kind && now->kind != CEL_OBJECT && fits(now, type))
		return now;
	struct am_buf text = { .max = 4096 };
	am_buf_adds(&text, "expected type '");
	cel_type_print(now, &text);
	am_buf_adds(&text, "' but found '");
	cel_type_print(type, &text);
	am_buf_addc(&text, '\'');
	const struct cel_type *ret = complain(c, e->at, am_buf_str(&text));
	am_buf_fini(&text);
	return ret;
}

static const struct cel_type *
element_type(struct checker *c, struct cel_expr *e, bool optional)
{
	const struct cel_type *type = check(c, e);

	if (!optional || is_error(type) || type->kind == CEL_DYN)
		return type;
	if (type->kind != CEL_OPTIONAL)
		return complain_of(c, e->at, "expected type 'optional_type(dyn)' but found '", type, "'");
	/* optional.none() goes with everything. */
	return e->op == CEL_CALL && strcmp(e->name, "optional.none") == 0 ? NULL : type->a;
}

static const struct cel_type *
check_list(struct checker *c, struct cel_expr *e)
{
	const struct cel_type *type = NULL;
	bool mixed = c->mixed;

	c->mixed = false;
	for (size_t i = 0; i < e->n; i++)
		if (mixed)
			type = is_error(check(c, e->args[i])) ? e->args[i]->type : type != NULL ? type : DYN;
		else
			type = join(c, e->args[i], type, element_type(c, e->args[i], e->optionals != NULL && e->optionals[i]));
	if (type != NULL && is_error(type))
		return type;
	return cel_type_new(c->with->arena, CEL_LIST, type != NULL ? type : DYN, NULL);
}

static const struct cel_type *
check_map(struct checker *c, struct cel_expr *e)
{
	const struct cel_type *key = NULL, *value = NULL;

	for (size_t i = 0; i < e->n; i += 2) {
		key = join(c, e->args[i], key, check(c, e->args[i]));
		value = join(c, e->args[i + 1], value,
			     element_type(c, e->args[i + 1], e->optionals != NULL && e->optionals[i]));
	}
	if (key != NULL && (is_error(key) || (value != NULL && is_error(value))))
		return &cel_simple[CEL_ERROR];
	return cel_type_new(c->with->arena, CEL_MAP, key != NULL ? key : DYN, value != NULL ? value : DYN);
}

static const struct cel_type *
check_bools(struct checker *c, struct cel_expr *e)
{
	bool failed = false, bad = false;

	for (size_t i = 0; i < e->n; i++) {
		failed |= is_error(check(c, e->args[i]));
		bad |= !is_error(e->args[i]->type) && !fits(&cel_simple[CEL_BOOL], e->args[i]->type);
	}
	if (bad)
		return bad_call(c, e, e->op == CEL_OR ? "_||_" : "_&&_");
	return failed ? &cel_simple[CEL_ERROR] : &cel_simple[CEL_BOOL];
}

static const struct cel_type *
check_condition(struct checker *c, struct cel_expr *e)
{
	const struct cel_type *bound[2] = { NULL, NULL };
	static const struct cel_type param = { .kind = CEL_PARAM };
	bool failed = false;

	for (size_t i = 0; i < 3; i++)
		failed |= is_error(check(c, e->args[i]));
	if (failed)
		return &cel_simple[CEL_ERROR];
	if (!fits(&cel_simple[CEL_BOOL], e->args[0]->type) || !cel_assign(&param, e->args[1]->type, bound) ||
	    !cel_assign(&param, e->args[2]->type, bound))
		return bad_call(c, e, "_?_:_");
	return bound[0];
}

/* ---- loops ---- */

static void
declare(struct checker *c, const struct cel_expr *e, const char *name, const struct cel_type *type)
{
	if (c->n_variables == CEL_MAX_SLOTS)
		complain(c, e->at, "there are too many variables");
	else
		c->variables[c->n_variables++] = (struct variable){ name, type };
}

static bool
needs_optional(enum cel_loop loop)
{
	return loop == CEL_OPT_MAP || loop == CEL_OPT_FLAT_MAP;
}

static const struct cel_type *
want_bool(struct checker *c, const struct cel_expr *e)
{
	if (is_error(e->type) || fits(&cel_simple[CEL_BOOL], e->type))
		return is_error(e->type) ? e->type : &cel_simple[CEL_BOOL];
	return complain_of(c, e->at, "expected type 'bool' but found '", e->type, "'");
}

static bool
can_be_sorted(const struct cel_type *type)
{
	switch (type->kind) {
	case CEL_DYN:
	case CEL_NULL:
	case CEL_BOOL:
	case CEL_INT:
	case CEL_UINT:
	case CEL_DOUBLE:
	case CEL_STRING:
	case CEL_BYTES:
	case CEL_TIMESTAMP:
	case CEL_DURATION:
		return true;
	default:
		return false;
	}
}

static const struct cel_type *
loop_type(struct checker *c, struct cel_expr *e, const struct cel_type *range, const struct cel_type *element)
{
	const struct cel_expr *body = e->args[e->n - 1];
	const struct cel_type *type = body->type;

	if (e->n == 3 && is_error(want_bool(c, e->args[1])))
		return &cel_simple[CEL_ERROR];
	if (is_error(type))
		return type;
	switch (e->loop) {
	case CEL_MAP_EACH:
	case CEL_TRANSFORM_LIST:
		return cel_type_new(c->with->arena, CEL_LIST, type, NULL);
	case CEL_SORT_BY:
		if (range->kind != CEL_DYN && (range->kind != CEL_LIST || !can_be_sorted(type)))
			return complain_of(c, body->at, "cannot sort by type '", type, "'");
		return range;
	case CEL_TRANSFORM_MAP:
		return cel_type_new(c->with->arena, CEL_MAP,
				    range->kind == CEL_MAP ? range->a : range->kind == CEL_LIST ? &cel_simple[CEL_INT] : DYN, type);
	case CEL_OPT_MAP:
		return cel_type_new(c->with->arena, CEL_OPTIONAL, type, NULL);
	case CEL_OPT_FLAT_MAP:
		if (type->kind == CEL_OPTIONAL || type->kind == CEL_DYN)
			return type;
		return complain_of(c, body->at, "expected type 'optional_type(dyn)' but found '", type, "'");
	case CEL_FILTER:
		type = want_bool(c, body);
		return is_error(type) ? type : cel_type_new(c->with->arena, CEL_LIST, element, NULL);
	default:
		return want_bool(c, body);
	}
}

static const struct cel_type *
check_loop(struct checker *c, struct cel_expr *e)
{
	const struct cel_type *range = check(c, e->args[0]), *first = DYN, *second = DYN;
	uint32_t outer = c->n_variables;

	if (e->loop == CEL_SORT_BY && !c->with->stored)
		return complain_too_new(c, e, "sortBy");
	if (is_error(range))
		return range;
	if (needs_optional(e->loop)) {
		if (range->kind != CEL_OPTIONAL && range->kind != CEL_DYN)
			return complain_of(c, e->args[0]->at, "expected type 'optional_type(dyn)' but found '", range, "'");
		first = range->kind == CEL_OPTIONAL ? range->a : DYN;
	} else if (range->kind == CEL_LIST) {
		first = e->name2 != NULL ? &cel_simple[CEL_INT] : range->a;
		second = range->a;
	} else if (range->kind == CEL_MAP) {
		first = range->a;
		second = range->b;
	} else if (range->kind != CEL_DYN) {
		return complain_of(c, e->args[0]->at, "expression of type '", range,
				   "' cannot be range of a comprehension (must be list, map, or dynamic)");
	}
	e->slot = outer;
	declare(c, e, e->name, first);
	if (e->name2 != NULL)
		declare(c, e, e->name2, second);
	for (size_t i = 1; i < e->n; i++)
		check(c, e->args[i]);
	c->n_variables = outer;
	return loop_type(c, e, range, first);
}

static const struct cel_type *
type_of_constant(struct checker *c, const struct cel_expr *e)
{
	if (e->value.kind == CEL_TYPE)
		return cel_type_new(c->with->arena, CEL_TYPE, e->value.type, NULL);
	return &cel_simple[e->value.kind];
}

static const struct cel_type *
check(struct checker *c, struct cel_expr *e)
{
	typedef const struct cel_type *check_f(struct checker *c, struct cel_expr *e);
	static check_f *const checks[] = {
		[CEL_IDENT] = check_ident, [CEL_SELECT] = check_select, [CEL_HAS] = check_select, [CEL_CALL] = check_call,
		[CEL_INDEX] = check_index, [CEL_LIST_LITERAL] = check_list, [CEL_MAP_LITERAL] = check_map,
		[CEL_COND] = check_condition, [CEL_AND] = check_bools, [CEL_OR] = check_bools, [CEL_LOOP] = check_loop,
	};

	e->type = e->op == CEL_CONST ? type_of_constant(c, e) : checks[e->op](c, e);
	return e->type;
}

bool
cel_check(const struct cel_compile *with, struct am_slice text, struct cel_expr *root, bool *uses_old,
	  struct am_buf *problem)
{
	struct checker c = { .with = with, .text = text, .problem = problem };
	const struct cel_type *self = cel_type_of_schema(with->arena, with->self, with->root);

	c.variables[c.n_variables++] = (struct variable){ "self", self };
	c.variables[c.n_variables++] = (struct variable){
		"oldSelf", with->optional_old ? cel_type_new(with->arena, CEL_OPTIONAL, self, NULL) : self
	};
	check(&c, root);
	*uses_old = c.uses_old;
	return c.complaints == 0;
}
