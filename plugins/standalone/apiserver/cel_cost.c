/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rule costs at most, estimated from the schema alone when a definition is written.  The arithmetic is that of
 * Kubernetes, so that both refuse the same rules: each part of an expression has a cost and, when something is known of
 * it, a size; a loop costs what its body costs times the size of what it goes over.  The size of a value comes from
 * maxLength, maxItems and maxProperties at its place in the schema, else from how much fits into a request.  What
 * nothing bounds is UINT64_MAX, and sums stay there.
 *
 * Where Kubernetes' estimate has quirks they are kept, since a rule that is refused there has to be refused here: what
 * a literal list holds counts as large as self, a value without a type but dyn as unbounded, a number as size 0 at a
 * place of the schema and 1 elsewhere.
 */
#include <math.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define TRAVERSAL   0.1     /* of a text or list, per element */
#define REGEX       0.25    /* of a pattern, per character */
#define NO_LIMIT    UINT64_MAX

struct size {
	uint64_t min, max;
};

/* Where in the schema a value stands.  What has no place (NOWHERE) is taken for self as soon as something of it is
 * looked at; what is LOST is known not to be in the schema. */
struct place {
	enum { NOWHERE, AT_SCHEMA, AT_KEY, LOST } kind;
	const struct am_schema *schema;
	bool root;
};

struct estimate {
	uint64_t cost;
	bool sized;
	struct size size;
	/* Of a container that the expression made: its kind (LIST, MAP, or ERROR: not known) and the sizes inside. */
	enum cel_kind entries;
	struct size key, value;
	struct place place;
};

struct coster {
	const struct cel_program *program;
	struct estimate slots[CEL_MAX_SLOTS];
};

static const struct size unknown = {0, NO_LIMIT}, one = {1, 1};

static struct estimate estimate(struct coster *c, const struct cel_expr *e);

/* ---- saturating arithmetic ---- */

static uint64_t
plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? NO_LIMIT : sum;
}

static uint64_t
times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? NO_LIMIT : product;
}

static uint64_t
scaled(uint64_t n, double factor)
{
	double product = ceil((double)n * factor);

	return product >= 0x1p64 ? NO_LIMIT : (uint64_t)product;
}

static uint64_t
divided(uint64_t n, uint64_t by)
{
	double quotient = ceil((double)n / (double)by);

	return quotient >= 0x1p64 ? NO_LIMIT : (uint64_t)quotient;
}

static struct size
sum_of(struct size a, struct size b)
{
	return (struct size){plus(a.min, b.min), plus(a.max, b.max)};
}

static struct size
either(struct size a, struct size b)
{
	return (struct size){AM_MIN(a.min, b.min), AM_MAX(a.max, b.max)};
}

/* ---- sizes of what the schema describes ---- */

static const struct am_schema *
items_of(const struct am_schema *s)
{
	if (s->type == AM_SCHEMA_ARRAY)
		return s->items;
	return s->type == AM_SCHEMA_OBJECT && s->additional != NULL && !s->additional->anything ? s->additional : NULL;
}

static bool
is_type(const struct am_schema *s, const char *name, enum am_schema_type type)
{
	const struct am_schema *property = s != NULL ? am_schema_property_of(s, name) : NULL;

	return property != NULL && property->type == type;
}

/* Whether a resource describes all that every resource has; else that is put in place of what it says. */
static bool
is_complete(const struct am_schema *s)
{
	const struct am_schema *meta = am_schema_property_of(s, "metadata");

	return is_type(s, "kind", AM_SCHEMA_STRING) && is_type(s, "apiVersion", AM_SCHEMA_STRING) &&
	       is_type(s, "metadata", AM_SCHEMA_OBJECT) && is_type(meta, "name", AM_SCHEMA_STRING) &&
	       is_type(meta, "generateName", AM_SCHEMA_STRING);
}

static const struct am_schema *
field_of(const struct am_schema *s, bool root, const char *name)
{
	const char *field;

	return cel_field(s, root && !is_complete(s), name, &field);
}

static uint64_t
format_of(const struct am_schema *s, uint64_t bytes, uint64_t duration, uint64_t date, uint64_t date_time,
	  uint64_t text)
{
	const char *format = s->format != NULL ? s->format : "";

	return strcmp(format, "byte") == 0        ? bytes
	       : strcmp(format, "duration") == 0  ? duration
	       : strcmp(format, "date") == 0      ? date
	       : strcmp(format, "date-time") == 0 ? date_time
						  : text;
}

static uint64_t
longest_enum(const struct am_schema *s)
{
	size_t max = 0;

	for (const struct am_node *e = s->enums->first; e != NULL; e = e->next)
		max = e->type == AMBIENT_T_STRING ? AM_MAX(max, e->len) : max;
	return max;
}

static uint64_t
most_characters(const struct am_schema *s)
{
	uint64_t most = CEL_REQUEST_MAX - 2, bytes = most;

	if (s->max_length >= 0) {
		bytes = (uint64_t)s->max_length;
		most = bytes * 4;
	} else if (s->enums != NULL && s->enums->count > 0) {
		most = longest_enum(s);
	}
	return format_of(s, bytes, 32, 12, 32, most);
}

/* Of an object: what it has to have and what is not filled in. */
static uint64_t
fewest_bytes(const struct am_schema *s, bool root)
{
	uint64_t n = 2;

	for (size_t i = 0; i < s->n_required; i++) {
		const struct am_schema *property = root && !is_complete(s) && cel_of_resource(s->required[i]) != NULL ?
			cel_of_resource(s->required[i]) : am_schema_property_of(s, s->required[i]);

		if (property != NULL && property->fallback == NULL && cel_schema_visible(property, property->embedded))
			n += strlen(s->required[i]) + property->fewest + 4;
	}
	return n;
}

static void
measure_container(struct am_schema *s, bool list)
{
	const struct am_schema *items = items_of(s);
	int64_t given = list ? s->max_items : s->max_properties;

	s->fewest = 2;
	if (items != NULL)
		s->most = given >= 0 ? (uint64_t)given : (CEL_REQUEST_MAX - 2) / (items->fewest + (list ? 1 : 6));
}

void
cel_schema_measure(struct am_arena *arena, struct am_schema *s, bool root)
{
	cel_index(arena, s);
	if (s->int_or_string) {
		s->fewest = 1;
		s->most = s->max_length >= 0 ? (uint64_t)s->max_length * 4 : CEL_REQUEST_MAX - 2;
	} else if (root || (s->type == AM_SCHEMA_OBJECT && items_of(s) == NULL)) {
		s->fewest = fewest_bytes(s, root);
	} else if (s->type == AM_SCHEMA_OBJECT || s->type == AM_SCHEMA_ARRAY) {
		measure_container(s, s->type == AM_SCHEMA_ARRAY);
	} else if (s->type == AM_SCHEMA_STRING) {
		s->fewest = format_of(s, 2, 3, 12, 21, 2);
		s->most = most_characters(s);
	} else {
		s->fewest = s->type == AM_SCHEMA_BOOLEAN ? 4 : s->type == AM_SCHEMA_ANY ? 2 : 1;
	}
}

uint64_t
cel_schema_cardinality(const struct am_schema *schema)
{
	return CEL_REQUEST_MAX / (schema->fewest + 1);
}

/* ---- places ---- */

enum step { A_FIELD, AN_ELEMENT, A_KEY, AN_INDEX };

static struct place
at_schema(const struct am_schema *s, bool root)
{
	if (s == NULL || !cel_schema_visible(s, root))
		return (struct place){.kind = LOST};
	return (struct place){AT_SCHEMA, s, root};
}

static struct place
below(const struct coster *c, struct place p, enum step step, const struct cel_expr *e)
{
	const struct am_schema *s = p.schema, *items;

	if (p.kind == NOWHERE)
		return at_schema(c->program->self, c->program->self_root);
	if (p.kind != AT_SCHEMA || s->int_or_string || step == AN_INDEX)
		return (struct place){.kind = LOST};
	items = p.root ? NULL : items_of(s);
	if (step == A_KEY)
		return (struct place){.kind = items != NULL && s->type == AM_SCHEMA_OBJECT ? AT_KEY : LOST};
	if (step == AN_ELEMENT)
		return at_schema(items, items != NULL && items->embedded);
	/* A word of the language is known by its escaped name only. */
	if (s->type != AM_SCHEMA_OBJECT || items != NULL || cel_reserved(e->name))
		return (struct place){.kind = LOST};
	items = field_of(s, p.root, e->name);
	return at_schema(items, items != NULL && items->embedded);
}

/* ---- sizes of expressions ---- */

static bool
is_scalar(const struct cel_type *type)
{
	switch (type->kind) {
	case CEL_BOOL:
	case CEL_INT:
	case CEL_UINT:
	case CEL_DOUBLE:
	case CEL_DURATION:
	case CEL_TIMESTAMP:
		return true;
	case CEL_OPTIONAL:
		return is_scalar(type->a);
	default:
		return false;
	}
}

/* By its place, else by its type. */
static void
set_size(struct estimate *r, const struct cel_type *type)
{
	if (r->place.kind == AT_SCHEMA || r->place.kind == AT_KEY) {
		r->sized = true;
		r->size = (struct size){0, r->place.kind == AT_KEY ? 0 : r->place.schema->most};
	} else if (is_scalar(type)) {
		r->sized = true;
		r->size = one;
	}
}

static struct size
size_of(const struct estimate *r)
{
	return r->sized ? r->size : unknown;
}

static void
join_entries(struct estimate *r, const struct estimate *a, const struct estimate *b)
{
	if (a->entries == CEL_ERROR || b->entries == CEL_ERROR)
		return;
	r->entries = a->entries;
	r->key = either(a->key, b->key);
	r->value = either(a->value, b->value);
}

static struct estimate
of_constant(struct coster *c, const struct cel_expr *e)
{
	struct estimate r = {.sized = true, .size = one};

	if (e->value.kind == CEL_TYPE) { /* a name that is no variable */
		r = (struct estimate){.cost = 1, .place = at_schema(c->program->self, c->program->self_root)};
		set_size(&r, e->type);
	} else if (e->value.kind == CEL_STRING) {
		r.size.min = r.size.max = cel_runes(e->value.s);
	} else if (e->value.kind == CEL_BYTES) {
		r.size.min = r.size.max = e->value.s.n;
	}
	return r;
}

static struct estimate
of_variable(struct coster *c, const struct cel_expr *e)
{
	struct estimate r = c->slots[e->slot], known = {.place = r.place};

	r.cost = 1;
	set_size(&known, e->type);
	if (known.sized) {
		r.sized = true;
		r.size = known.size;
	}
	return r;
}

static struct estimate
of_select(struct coster *c, const struct cel_expr *e)
{
	struct estimate of = estimate(c, e->args[0]), r = {.cost = of.cost};
	enum cel_kind kind = e->args[0]->type->kind;

	if (e->op == CEL_SELECT && e->optional) {
		r.cost = plus(r.cost, 1);
	} else if (e->op == CEL_SELECT) {
		r.cost = plus(r.cost, kind == CEL_MAP || kind == CEL_OBJECT);
		r.place = below(c, of.place, A_FIELD, e);
	}
	set_size(&r, e->type);
	return r;
}

static struct estimate
of_index(struct coster *c, const struct cel_expr *e)
{
	struct estimate of = estimate(c, e->args[0]), key = estimate(c, e->args[1]);
	struct estimate r = {.cost = plus(plus(of.cost, key.cost), 1)};
	enum cel_kind kind = e->args[0]->type->kind;

	if (!e->optional && (kind == CEL_LIST || kind == CEL_MAP || kind == CEL_DYN))
		r.place = below(c, of.place, AN_ELEMENT, e);
	if (r.place.kind != NOWHERE && of.entries != CEL_ERROR) {
		r.sized = true;
		r.size = of.value;
	} else {
		set_size(&r, e->type);
	}
	return r;
}

static struct estimate
of_literal(struct coster *c, const struct cel_expr *e)
{
	bool map = e->op == CEL_MAP_LITERAL;
	struct estimate r = {.cost = map ? 30 : 10, .sized = true, .entries = map ? CEL_MAP : CEL_LIST, .key = one};
	struct size none = {e->n > 0 ? NO_LIMIT : 0, 0};

	r.size.min = r.size.max = map ? e->n / 2 : e->n;
	r.key = map ? none : one;
	r.value = none;
	for (size_t i = 0; i < e->n; i++) {
		struct estimate part = estimate(c, e->args[i]);
		struct size *size = map && i % 2 == 0 ? &r.key : &r.value;

		r.cost = plus(r.cost, part.cost);
		*size = either(*size, size_of(&part));
	}
	return r;
}

static struct estimate
of_junction(struct coster *c, const struct cel_expr *e)
{
	struct estimate r = {.sized = true, .size = one};

	for (size_t i = 0; i < e->n; i++)
		r.cost = plus(r.cost, estimate(c, e->args[i]).cost);
	return r;
}

static struct estimate
of_condition(struct coster *c, const struct cel_expr *e)
{
	struct estimate condition = estimate(c, e->args[0]), a = estimate(c, e->args[1]), b = estimate(c, e->args[2]);
	struct estimate r = {.cost = plus(condition.cost, AM_MAX(a.cost, b.cost)), .sized = true};

	r.size = either(size_of(&a), size_of(&b));
	join_entries(&r, &a, &b);
	return r;
}

/* ---- loops ---- */

/* What the variable of a loop over range is. */
static struct estimate
element_of(struct coster *c, const struct cel_expr *range_expr, const struct estimate *range, bool key)
{
	enum cel_kind kind = range->entries != CEL_ERROR ? range->entries : range_expr->type->kind;
	enum step step = !key ? AN_ELEMENT : kind == CEL_LIST ? AN_INDEX : A_KEY;
	struct estimate r = {.place = below(c, range->place, step, range_expr)};

	if (range->entries != CEL_ERROR) {
		r.sized = true;
		r.size = key ? range->key : range->value;
	}
	return r;
}

/* x.optMap(v, f) is x.hasValue() ? optional.of(f where v is x.value()) : optional.none(). */
static struct estimate
of_opt_map(struct coster *c, const struct cel_expr *e)
{
	struct estimate target = estimate(c, e->args[0]), bound = {.cost = 0}, body,
			r = {.sized = true, .size = unknown};
	const struct cel_type *inner =
		e->args[0]->type->kind == CEL_OPTIONAL ? e->args[0]->type->a : &cel_simple[CEL_DYN];

	set_size(&bound, inner);
	c->slots[e->slot] = bound;
	body = estimate(c, e->args[1]);
	r.cost = plus(plus(target.cost, target.cost), plus(body.cost, e->loop == CEL_OPT_MAP ? 13 : 12));
	if (is_scalar(e->type))
		r.size = one;
	return r;
}

/* The cost of one round, of which body is a part, and what is spent before and after all rounds. */
static uint64_t
round_cost(const struct cel_expr *e, uint64_t condition, uint64_t body, uint64_t *around)
{
	bool filtered = e->n == 3;

	*around = 1;
	switch (e->loop) {
	case CEL_ALL:
		return plus(body, 3);
	case CEL_EXISTS:
		return plus(body, 4);
	case CEL_EXISTS_ONE:
	case CEL_EXISTS_ONE2:
		*around = 2;
		return plus(body, 2);
	case CEL_FILTER:
		*around = 11;
		return plus(body, 13);
	case CEL_TRANSFORM_MAP:
		*around = 31;
		return plus(plus(body, 3), filtered ? condition : 0);
	default:
		*around = 11;
		return plus(plus(body, 12), filtered ? condition : 0);
	}
}

static struct estimate
of_loop(struct coster *c, const struct cel_expr *e)
{
	if (e->loop == CEL_OPT_MAP || e->loop == CEL_OPT_FLAT_MAP)
		return of_opt_map(c, e);
	struct estimate range = estimate(c, e->args[0]), first, condition = {.cost = 0}, body, r = {.cost = 0};
	enum cel_kind kind = range.entries != CEL_ERROR ? range.entries : e->args[0]->type->kind;
	uint64_t around;

	first = element_of(c, e->args[0], &range, e->name2 != NULL || kind != CEL_LIST);
	c->slots[e->slot] = first;
	if (e->name2 != NULL)
		c->slots[e->slot + 1] = element_of(c, e->args[0], &range, false);
	if (e->n == 3)
		condition = estimate(c, e->args[1]);
	body = estimate(c, e->args[e->n - 1]);
	uint64_t round = round_cost(e, condition.cost, body.cost, &around);
	r.cost = plus(plus(range.cost, around), times(size_of(&range).max, round));
	r.sized = true;
	r.size = one;
	if (e->loop < CEL_MAP_EACH)
		return r;
	r.size = size_of(&range);
	if (e->loop == CEL_SORT_BY) { /* the list of keys is made, then compared with itself */
		enum cel_kind by = e->args[1]->type->kind;
		uint64_t square = times(r.size.max, r.size.max);

		r.cost = plus(plus(r.cost, 23),
			      scaled(square, by == CEL_STRING || by == CEL_BYTES || by == CEL_DYN ? 2 + TRAVERSAL : 2));
		r.size = (struct size){times(r.size.min, r.size.min), square};
		return r;
	}
	if (e->loop == CEL_TRANSFORM_MAP)
		return r;
	if (e->loop == CEL_FILTER) {
		const struct cel_expr element = {.op = CEL_VAR,
						 .slot = e->slot,
						 .type = e->type->kind == CEL_LIST ? e->type->a : &cel_simple[CEL_DYN]};
		body = of_variable(c, &element);
	}
	r.entries = CEL_LIST;
	r.key = one;
	r.value = (struct size){0, size_of(&body).max};
	return r;
}

/* ---- calls ---- */

enum how {
	NOMINAL,
	FIRST,
	FIRST_TWICE,
	FIRST_SAME,
	SPLIT,
	REPLACE,
	JOIN,
	PATTERN,
	PATTERN_FOUND,
	PRODUCT,
	WITHIN,
	COMPARISON,
	EQUALITY,
	CONCAT,
	CONCAT_LIST,
	EACH,
	ADDRESS,
	ADDRESS_TEXT,
	NETWORK,
	NETWORK_TEXT,
	VALIDATE,
	TO_TEXT,
	TO_BYTES,
	QUOTE,
	SETS,
	SETS_TWICE,
	LIST_ONCE,
	LIST_SQUARE,
	SLICE,
	RANGE,
	FLATTEN
};

/* By name and, where it matters, the beginning of the signature.  FIRST is what stands before the dot of a method. */
static const struct {
	const char *name, *sig;
	enum how how;
} functions[] = {
	{"startsWith", "", WITHIN},
	{"endsWith", "", WITHIN},
	{"contains", "", PRODUCT},
	{"matches", "s.", PATTERN},
	{"find", "", PATTERN_FOUND},
	{"findAll", "", PATTERN_FOUND},
	{"format", "", FIRST},
	{"lowerAscii", "", FIRST_SAME},
	{"upperAscii", "", FIRST_SAME},
	{"substring", "", FIRST_SAME},
	{"trim", "", FIRST_SAME},
	{"url", "", FIRST_SAME},
	{"replace", "", REPLACE},
	{"split", "", SPLIT},
	{"join", "", JOIN},
	{"strings.quote", "", QUOTE},
	{"isSorted", "", EACH},
	{"sum", "", EACH},
	{"max", "", EACH},
	{"min", "", EACH},
	{"indexOf", "", EACH},
	{"lastIndexOf", "", EACH},
	{"string", "y>", TO_TEXT},
	{"bytes", "s>", TO_BYTES},
	{"_==_", "", EQUALITY},
	{"_!=_", "", COMPARISON},
	{"_<_", "s", COMPARISON},
	{"_<_", "y", COMPARISON},
	{"_<=_", "s", COMPARISON},
	{"_<=_", "y", COMPARISON},
	{"_>_", "s", COMPARISON},
	{"_>_", "y", COMPARISON},
	{"_>=_", "s", COMPARISON},
	{"_>=_", "y", COMPARISON},
	{"_+_", "s", CONCAT},
	{"_+_", "y", CONCAT},
	{"_+_", "[", CONCAT_LIST},
	{"@in", "A[", LIST_ONCE},
	{"ip", "s", FIRST},
	{"isIP", "", FIRST},
	{"cidr", "", FIRST},
	{"isCIDR", "", FIRST},
	{"ip.isCanonical", "", FIRST_TWICE},
	{"containsIP", "C.P", ADDRESS},
	{"containsIP", "C.s", ADDRESS_TEXT},
	{"containsCIDR", "C.C", NETWORK},
	{"containsCIDR", "C.s", NETWORK_TEXT},
	{"quantity", "", FIRST},
	{"isQuantity", "", FIRST},
	{"semver", "", FIRST},
	{"isSemver", "", FIRST},
	{"validate", "", VALIDATE},
	{"sets.contains", "", SETS},
	{"sets.intersects", "", SETS},
	{"sets.equivalent", "", SETS_TWICE},
	{"sort", "", LIST_SQUARE},
	{"distinct", "", LIST_SQUARE},
	{"reverse", "", FLATTEN},
	{"flatten", "", FLATTEN},
	{"slice", "", SLICE},
	{"lists.range", "", RANGE},
};

static enum how
how_of(const struct cel_fn *fn)
{
	for (size_t i = 0; i < AM_COUNTOF(functions); i++)
		if (strcmp(functions[i].name, fn->name) == 0 && am_starts(fn->sig, functions[i].sig))
			return functions[i].how;
	return NOMINAL;
}

/* A call: its arguments, and what is found for one overload. */
struct invocation {
	struct coster *c;
	const struct cel_expr *e;
	struct estimate args[CEL_MAX_ARGS];
	uint64_t cost;
	bool sized;
	struct size size;
	struct estimate *result; /* for its entries */
};

static struct size
arg(const struct invocation *in, size_t i)
{
	return i < in->e->n ? size_of(&in->args[i]) : unknown;
}

static void
gives(struct invocation *in, uint64_t cost, struct size size)
{
	in->cost = cost;
	in->sized = true;
	in->size = size;
}

/* The elements of the list that is argument i. */
static bool
elements(const struct invocation *in, size_t i, struct estimate *ret)
{
	const struct cel_type *type = in->e->args[i]->type;

	*ret = (struct estimate){.place = in->args[i].place};
	if (type->kind != CEL_LIST && type->kind != CEL_MAP && type->kind != CEL_OPTIONAL)
		return false;
	if (ret->place.kind != NOWHERE)
		ret->place = below(in->c, ret->place, AN_ELEMENT, in->e);
	if (ret->place.kind == AT_SCHEMA) {
		ret->sized = true;
		ret->size = (struct size){0, ret->place.schema->most};
	}
	return true;
}

static void
cost_of_each(struct invocation *in)
{
	const struct cel_type *type = in->e->args[0]->type;
	struct estimate element;
	uint64_t each = 1;

	if (!elements(in, 0, &element)) {
		in->cost = scaled(arg(in, 0).max, TRAVERSAL);
		return;
	}
	if (type->kind == CEL_LIST && (type->a->kind == CEL_STRING || type->a->kind == CEL_BYTES))
		each = plus(each, scaled(size_of(&element).max, TRAVERSAL));
	in->cost = times(arg(in, 0).max, each);
}

static void
cost_of_replace(struct invocation *in)
{
	struct size text = arg(in, 0), from = arg(in, 1), to = arg(in, 2), count = {0, 0}, kept = {0, 0};

	/* The longest result: nothing replaced between all characters, or the shortest texts by the longest. */
	if (from.min == 0) {
		count.max = plus(text.max, 1);
		kept.max = text.max;
	} else if (to.max <= from.min) {
		kept.max = text.max;
	} else {
		count.max = divided(text.max, from.min);
	}
	if (from.max == 0) {
		count.min = plus(text.min, 1);
		kept.min = text.min;
	} else if (from.max <= to.min) {
		kept.min = text.min;
	} else {
		count.min = divided(text.min, from.max);
	}
	gives(in, scaled(text.max, 2 * TRAVERSAL),
	      (struct size){plus(times(count.min, to.min), kept.min), plus(times(count.max, to.max), kept.max)});
}

static void
cost_of_join(struct invocation *in)
{
	struct size list = arg(in, 0), between = arg(in, 1), all = {0, 0};
	struct estimate element;

	if (elements(in, 0, &element)) {
		all.min = times(list.min, size_of(&element).min);
		all.max = times(list.max, size_of(&element).max);
	}
	if (in->e->n > 1) {
		all.min = plus(all.min, times(between.min, list.min > 0 ? list.min - 1 : 0));
		all.max = plus(all.max, times(between.max, list.max > 0 ? list.max - 1 : 0));
	}
	gives(in, scaled(all.max, TRAVERSAL), all);
}

static void
cost_of_split(struct invocation *in)
{
	const struct cel_expr *e = in->e, *limit = e->n > 2 ? e->args[2] : NULL;
	struct size text = arg(in, 0);
	uint64_t max = text.max;

	if (limit != NULL && limit->op == CEL_CONST && limit->value.kind == CEL_INT)
		max = (uint64_t)limit->value.i;
	gives(in, scaled(text.max, 2 * TRAVERSAL), (struct size){0, max});
}

static void
cost_of_equality(struct invocation *in)
{
	const struct cel_type *a = in->e->args[0]->type, *b = in->e->args[1]->type;

	in->cost = scaled(AM_MIN(arg(in, 0).max, arg(in, 1).max), TRAVERSAL);
	if (strcmp(in->e->name, "_==_") != 0 || !cel_type_equal(a, b))
		return;
	switch (a->kind) {
	case CEL_IP:
	case CEL_CIDR:
	case CEL_QUANTITY:
	case CEL_SEMVER:
		in->cost = 1;
		break;
	case CEL_FORMAT:
		in->cost = scaled(64, TRAVERSAL);
		break;
	case CEL_URL:
		in->cost = scaled(in->args[1].sized ? in->args[1].size.max : 1, TRAVERSAL);
		break;
	default:
		break;
	}
}

static uint64_t
literal_int(const struct invocation *in, size_t i, uint64_t otherwise)
{
	const struct cel_expr *e = i < in->e->n ? in->e->args[i] : NULL;

	if (e == NULL || e->op != CEL_CONST || e->value.kind != CEL_INT)
		return otherwise;
	return e->value.i < 0 ? 0 : (uint64_t)e->value.i;
}

static void
makes_list(struct invocation *in, double factor, struct size size)
{
	gives(in, plus(scaled(size.max, factor), 11), size);
}

static void
cost_of_lists(struct invocation *in, enum how how)
{
	struct size list = arg(in, 0), square = {times(list.min, list.min), times(list.max, list.max)};
	const struct cel_type *type = in->e->args[0]->type;
	bool texts = type->kind == CEL_LIST && (type->a->kind == CEL_STRING || type->a->kind == CEL_BYTES);
	uint64_t n;

	switch (how) {
	case LIST_SQUARE:
		makes_list(in, texts && strcmp(in->e->name, "sort") == 0 ? 2 + TRAVERSAL : 2, square);
		break;
	case SLICE:
		n = literal_int(in, 2, list.max) - literal_int(in, 1, 0);
		makes_list(in, 1, (struct size){n, n});
		break;
	case RANGE:
		n = literal_int(in, 0, NO_LIMIT);
		makes_list(in, 1, (struct size){n, n});
		break;
	default:
		makes_list(in, in->e->n > 1 ? (double)literal_int(in, 1, NO_LIMIT) : 1, list);
		break;
	}
}

static void
cost_of_call(struct invocation *in, enum how how)
{
	struct size a = arg(in, 0), b = arg(in, 1), both;
	uint64_t pattern;

	in->sized = false;
	in->cost = 1;
	switch (how) {
	case NOMINAL:
		break;
	case FIRST:
		in->cost = scaled(a.max, TRAVERSAL);
		break;
	case FIRST_TWICE:
		in->cost = scaled(a.max, 2 * TRAVERSAL);
		break;
	case FIRST_SAME:
		gives(in, scaled(a.max, TRAVERSAL), a);
		break;
	case SPLIT:
		cost_of_split(in);
		break;
	case REPLACE:
		cost_of_replace(in);
		break;
	case JOIN:
		cost_of_join(in);
		break;
	case PATTERN:
	case PATTERN_FOUND:
		pattern = times(scaled(plus(a.max, 1), TRAVERSAL), scaled(b.max, REGEX));
		if (how == PATTERN)
			in->cost = pattern;
		else
			gives(in, pattern, (struct size){0, a.max});
		break;
	case PRODUCT:
		in->cost = times(scaled(a.max, TRAVERSAL), scaled(b.max, TRAVERSAL));
		break;
	case WITHIN:
		in->cost = scaled(b.max, TRAVERSAL);
		break;
	case COMPARISON:
	case EQUALITY:
		cost_of_equality(in);
		break;
	case CONCAT:
	case CONCAT_LIST:
		both = sum_of(a, b);
		join_entries(in->result, &in->args[0], &in->args[1]);
		gives(in, how == CONCAT_LIST ? 1 : scaled(both.max, TRAVERSAL), both);
		break;
	case EACH:
		cost_of_each(in);
		break;
	case LIST_ONCE:
		in->cost = scaled(b.max, 1);
		break;
	case ADDRESS:
	case ADDRESS_TEXT: /* two addresses of 16 bytes, and the text */
		in->cost = plus(scaled(32, TRAVERSAL), how == ADDRESS_TEXT ? scaled(b.max, TRAVERSAL) : 0);
		break;
	case NETWORK:
	case NETWORK_TEXT:
		in->cost = plus(scaled(32, TRAVERSAL) + scaled(16, TRAVERSAL) + 1,
				how == NETWORK_TEXT ? scaled(b.max, TRAVERSAL) : 0);
		break;
	case VALIDATE: /* by a pattern of at most 128 characters */
		in->cost = scaled(scaled(b.max, TRAVERSAL), 128 * REGEX);
		break;
	case TO_TEXT:
		gives(in, scaled(a.max, TRAVERSAL), (struct size){a.min / 4, a.max});
		break;
	case TO_BYTES:
		gives(in, scaled(a.max, TRAVERSAL), (struct size){a.min, a.max * 4});
		break;
	case QUOTE:
		gives(in, scaled(a.max, TRAVERSAL), (struct size){a.min + 2, a.max * 2 + 2});
		break;
	case SETS:
	case SETS_TWICE:
		in->cost = plus(scaled(times(a.max, b.max), how == SETS ? 1 : 2), 1);
		break;
	default:
		cost_of_lists(in, how);
		break;
	}
}

static struct estimate
of_call(struct coster *c, const struct cel_expr *e)
{
	struct estimate r = {.cost = 0};
	struct invocation in = {.c = c, .e = e, .result = &r};
	uint64_t worst = 0, around = 0;

	for (size_t i = 0; i < e->n; i++) {
		in.args[i] = estimate(c, e->args[i]);
		around = plus(around, in.args[i].cost);
	}
	if (strcmp(e->name, "dyn") == 0) { /* changes nothing but the type */
		r = in.args[0];
		r.place = (struct place){.kind = NOWHERE};
		r.cost = plus(around, 1);
		return r;
	}
	for (size_t i = 0; e->fns[i] != NULL; i++) {
		cost_of_call(&in, how_of(e->fns[i]));
		worst = AM_MAX(worst, in.cost);
		if (in.sized) {
			r.size = r.sized ? either(r.size, in.size) : in.size;
			r.sized = true;
		}
		if (!r.sized)
			set_size(&r, e->type);
	}
	r.cost = plus(around, worst);
	return r;
}

static struct estimate
estimate(struct coster *c, const struct cel_expr *e)
{
	typedef struct estimate estimate_f(struct coster * c, const struct cel_expr *e);
	static estimate_f *const fns[] = {
		[CEL_CONST] = of_constant,       [CEL_VAR] = of_variable,        [CEL_SELECT] = of_select,
		[CEL_HAS] = of_select,           [CEL_CALL] = of_call,           [CEL_INDEX] = of_index,
		[CEL_LIST_LITERAL] = of_literal, [CEL_MAP_LITERAL] = of_literal, [CEL_COND] = of_condition,
		[CEL_AND] = of_junction,         [CEL_OR] = of_junction,         [CEL_LOOP] = of_loop,
	};

	return fns[e->op](c, e);
}

uint64_t
cel_program_estimate(const struct cel_program *program)
{
	struct coster *c = am_xcalloc(1, sizeof(*c));

	c->program = program;
	c->slots[0].place = c->slots[1].place = at_schema(program->self, program->self_root);
	uint64_t ret = estimate(c, program->root).cost;
	free(c);
	return ret;
}
