/* SPDX-License-Identifier: Apache-2.0 */
/* The operators, size and optionals.  Arithmetic that does not fit is an error, never a wrapped number. */
#include <math.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

/* ---- arithmetic ---- */

static struct cel_value
overflow(struct cel_run *run, enum cel_kind kind)
{
	return cel_error(run, "%s overflow", kind == CEL_UINT ? "unsigned integer" :
			 kind == CEL_DURATION ? "duration" : kind == CEL_TIMESTAMP ? "timestamp" : "integer");
}

static struct cel_value
concat(struct cel_run *run, const struct cel_value *a, const struct cel_value *b)
{
	size_t n = a->s.n + b->s.n;

	if (!cel_charge(run, cel_scan_cost(n)))
		return cel_exceeded(run);
	char *p = am_arena_alloc(run->arena, n + 1);
	if (p == NULL)
		return cel_exceeded(run);
	memcpy(p, a->s.p, a->s.n);
	memcpy(p + a->s.n, b->s.p, b->s.n);
	p[n] = '\0';
	return (struct cel_value){ .kind = a->kind, .s = am_slice(p, n) };
}

/* Into a list of type set goes what is not there yet; into one of type map, by keys, the right side's elements. */
static const struct cel_value *
replacement(const struct cel_list *b, const struct cel_value *item, const struct am_schema *schema)
{
	for (size_t i = 0; i < b->n; i++) {
		bool same = item->kind == CEL_OBJECT && b->items[i].kind == CEL_OBJECT;

		if (schema->list_type == AM_LIST_SET)
			same = cel_compare(item, &b->items[i]) == 0;
		for (size_t k = 0; same && schema->list_type == AM_LIST_MAP && k < schema->n_map_keys; k++) {
			const struct am_node *x = am_node_get(item->object->node, schema->map_keys[k]);
			const struct am_node *y = am_node_get(b->items[i].object->node, schema->map_keys[k]);

			same = x != NULL && y != NULL ? am_node_equal(x, y) : x == y;
		}
		if (same)
			return &b->items[i];
	}
	return NULL;
}

static struct cel_value
add_lists(struct cel_run *run, const struct cel_list *a, const struct cel_list *b)
{
	struct cel_value *items = cel_items(run, a->n + b->n);
	const struct am_schema *schema = a->schema;
	bool merged = schema != NULL && schema->list_type != AM_LIST_ATOMIC;
	size_t n = 0;

	if (items == NULL || !cel_charge(run, merged ? a->n * b->n / 64 : (a->n + b->n) / 64))
		return cel_exceeded(run);
	for (size_t i = 0; i < a->n; i++) {
		const struct cel_value *other = merged ? replacement(b, &a->items[i], schema) : NULL;

		items[n++] = other != NULL ? *other : a->items[i];
	}
	for (size_t i = 0; i < b->n; i++)
		if (!merged || replacement(a, &b->items[i], schema) == NULL)
			items[n++] = b->items[i];
	struct cel_list *list = am_arena_alloc(run->arena, sizeof(*list));
	if (list == NULL)
		return cel_exceeded(run);
	*list = (struct cel_list){ n, items, schema };
	return (struct cel_value){ .kind = CEL_LIST, .list = list };
}

static struct cel_value
moved(struct cel_run *run, struct cel_value t, int64_t ns)
{
	int64_t nsec = t.nsec + ns % AM_NS_PER_S;

	t.i += ns / AM_NS_PER_S;
	if (nsec < 0) {
		nsec += AM_NS_PER_S;
		t.i--;
	} else if (nsec >= AM_NS_PER_S) {
		nsec -= AM_NS_PER_S;
		t.i++;
	}
	t.nsec = (int32_t)nsec;
	return t.i < CEL_TIME_MIN || t.i > CEL_TIME_MAX ? overflow(run, CEL_TIMESTAMP) : t;
}

FN(add)
{
	struct cel_value r = a[0];

	switch (a[0].kind) {
	case CEL_INT:
		return __builtin_add_overflow(a[0].i, a[1].i, &r.i) ? overflow(run, r.kind) : r;
	case CEL_UINT:
		return __builtin_add_overflow(a[0].u, a[1].u, &r.u) ? overflow(run, r.kind) : r;
	case CEL_DOUBLE:
		return cel_double(a[0].d + a[1].d);
	case CEL_LIST:
		return add_lists(run, a[0].list, a[1].list);
	case CEL_DURATION:
		if (a[1].kind == CEL_TIMESTAMP)
			return moved(run, a[1], a[0].i);
		return __builtin_add_overflow(a[0].i, a[1].i, &r.i) ? overflow(run, r.kind) : r;
	case CEL_TIMESTAMP:
		return moved(run, a[0], a[1].i);
	default:
		return concat(run, &a[0], &a[1]);
	}
}

static struct cel_value
time_between(struct cel_run *run, const struct cel_value *a, const struct cel_value *b)
{
	int64_t s, ns;

	if (__builtin_sub_overflow(a->i, b->i, &s) || __builtin_mul_overflow(s, AM_NS_PER_S, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)a->nsec - b->nsec, &ns))
		return overflow(run, CEL_DURATION);
	return (struct cel_value){ .kind = CEL_DURATION, .i = ns };
}

FN(subtract)
{
	struct cel_value r = a[0];

	switch (a[0].kind) {
	case CEL_UINT:
		return __builtin_sub_overflow(a[0].u, a[1].u, &r.u) ? overflow(run, r.kind) : r;
	case CEL_DOUBLE:
		return cel_double(a[0].d - a[1].d);
	case CEL_TIMESTAMP:
		if (a[1].kind == CEL_TIMESTAMP)
			return time_between(run, &a[0], &a[1]);
		return a[1].i == INT64_MIN ? overflow(run, CEL_DURATION) : moved(run, a[0], -a[1].i);
	default:
		return __builtin_sub_overflow(a[0].i, a[1].i, &r.i) ? overflow(run, r.kind) : r;
	}
}

FN(multiply)
{
	struct cel_value r = a[0];

	if (a[0].kind == CEL_DOUBLE)
		return cel_double(a[0].d * a[1].d);
	if (a[0].kind == CEL_UINT)
		return __builtin_mul_overflow(a[0].u, a[1].u, &r.u) ? overflow(run, r.kind) : r;
	return __builtin_mul_overflow(a[0].i, a[1].i, &r.i) ? overflow(run, r.kind) : r;
}

FN(divide)
{
	if (a[0].kind == CEL_DOUBLE)
		return cel_double(a[0].d / a[1].d);
	if (a[1].u == 0)
		return cel_error(run, "division by zero");
	if (a[0].kind == CEL_UINT)
		return cel_uint(a[0].u / a[1].u);
	return a[0].i == INT64_MIN && a[1].i == -1 ? overflow(run, CEL_INT) : cel_int(a[0].i / a[1].i);
}

FN(modulo)
{
	if (a[1].u == 0)
		return cel_error(run, "modulus by zero");
	if (a[0].kind == CEL_UINT)
		return cel_uint(a[0].u % a[1].u);
	return a[0].i == INT64_MIN && a[1].i == -1 ? overflow(run, CEL_INT) : cel_int(a[0].i % a[1].i);
}

FN(negate)
{
	if (a[0].kind == CEL_DOUBLE)
		return cel_double(-a[0].d);
	return a[0].i == INT64_MIN ? overflow(run, CEL_INT) : cel_int(-a[0].i);
}

FN(not)
{
	return cel_bool(!a[0].b);
}

/* ---- comparison ---- */

/* What comparing looks at: the shorter of two texts or lists. */
static uint64_t
comparing_cost(const struct cel_value *a, const struct cel_value *b)
{
	if ((a->kind == CEL_STRING || a->kind == CEL_BYTES) && a->kind == b->kind)
		return cel_scan_cost(AM_MIN(a->s.n, b->s.n));
	if (a->kind == CEL_LIST && b->kind == CEL_LIST)
		return cel_scan_cost(AM_MIN(a->list->n, b->list->n));
	return 0;
}

FN(equal)
{
	if (!cel_charge(run, comparing_cost(&a[0], &a[1])))
		return cel_exceeded(run);
	int same = cel_equal(run, &a[0], &a[1]);
	return same < 0 ? cel_exceeded(run) : cel_bool(same == 1);
}

FN(unequal)
{
	struct cel_value v = equal(run, e, a);

	return cel_failed(v) ? v : cel_bool(!v.b);
}

static struct cel_value
ordered(struct cel_run *run, const struct cel_value *a, int *order)
{
	if (!cel_charge(run, comparing_cost(&a[0], &a[1])))
		return cel_exceeded(run);
	*order = cel_compare(&a[0], &a[1]);
	if (*order == 2)
		return cel_error(run, "NaN values cannot be ordered");
	return *order == -2 ? cel_no_overload() : cel_bool(true);
}

#define ORDER(name, condition)                                  \
	FN(name)                                                \
	{                                                       \
		int o = 0;                                      \
		struct cel_value v = ordered(run, a, &o);       \
		return cel_failed(v) ? v : cel_bool(condition); \
	}
ORDER(less, o < 0)
ORDER(less_or_equal, o <= 0)
ORDER(greater, o > 0)
ORDER(greater_or_equal, o >= 0)

FN(in_list)
{
	const struct cel_list *list = a[1].list;

	for (size_t i = 0; i < list->n; i++) {
		if (!cel_charge(run, i % 10 == 0))
			return cel_exceeded(run);
		int same = cel_equal(run, &a[0], &list->items[i]);
		if (same != 0)
			return same < 0 ? cel_exceeded(run) : cel_bool(true);
	}
	return cel_bool(false);
}

FN(in_map)
{
	if (a[1].kind == CEL_OBJECT)
		return cel_bool(a[0].kind == CEL_STRING && am_node_get(a[1].object->node, a[0].s.p) != NULL);
	return cel_bool(cel_map_find(a[1].map, &a[0]) != NULL);
}

/* ---- size, types ---- */

FN(size)
{
	switch (a[0].kind) {
	case CEL_STRING:
		return cel_charge(run, cel_scan_cost(a[0].s.n)) ? cel_int((int64_t)cel_runes(a[0].s)) : cel_exceeded(run);
	case CEL_BYTES:
		return cel_int((int64_t)a[0].s.n);
	case CEL_LIST:
		return cel_int((int64_t)a[0].list->n);
	case CEL_OBJECT:
		return cel_int((int64_t)a[0].object->node->count);
	default:
		return cel_int((int64_t)a[0].map->n);
	}
}

FN(type_of)
{
	enum cel_kind kind = a[0].kind == CEL_OBJECT ? CEL_MAP : a[0].kind;

	return (struct cel_value){ .kind = CEL_TYPE, .type = &cel_simple[kind] };
}

FN(itself)
{
	return a[0];
}

/* ---- optionals ---- */

FN(optional_of)
{
	return cel_some(run, a[0]);
}

static bool
is_zero(const struct cel_value *v)
{
	switch (v->kind) {
	case CEL_NULL:
		return true;
	case CEL_BOOL:
		return !v->b;
	case CEL_INT:
	case CEL_UINT:
	case CEL_DURATION:
		return v->u == 0;
	case CEL_DOUBLE:
		return v->d == 0;
	case CEL_STRING:
	case CEL_BYTES:
		return v->s.n == 0;
	case CEL_LIST:
		return v->list->n == 0;
	case CEL_MAP:
		return v->map->n == 0;
	case CEL_OBJECT:
		return v->object->node->count == 0;
	default:
		return false;
	}
}

FN(optional_of_non_zero)
{
	return is_zero(&a[0]) ? cel_none() : cel_some(run, a[0]);
}

FN(optional_none)
{
	return cel_none();
}

FN(has_value)
{
	return cel_bool(a[0].optional != NULL);
}

FN(value_of)
{
	return a[0].optional != NULL ? *a[0].optional : cel_error(run, "optional.none() dereference");
}

FN(or_value)
{
	return a[0].optional != NULL ? *a[0].optional : a[1];
}

FN(or)
{
	return a[0].optional != NULL ? a[0] : a[1];
}

#define COMPARE(name, fn)                                                                                        \
	{ name, "ii>b", fn }, { name, "iu>b", fn }, { name, "id>b", fn }, { name, "ui>b", fn }, { name, "uu>b", fn }, \
	{ name, "ud>b", fn }, { name, "di>b", fn }, { name, "du>b", fn }, { name, "dd>b", fn }, { name, "ss>b", fn }, \
	{ name, "yy>b", fn }, { name, "bb>b", fn }, { name, "tt>b", fn }, { name, "DD>b", fn }

const struct cel_fn cel_core_fns[] = {
	{ "_+_", "ii>i", add }, { "_+_", "uu>u", add }, { "_+_", "dd>d", add }, { "_+_", "ss>s", add },
	{ "_+_", "yy>y", add }, { "_+_", "[A[A>[A", add }, { "_+_", "tD>t", add }, { "_+_", "Dt>t", add },
	{ "_+_", "DD>D", add },
	{ "_-_", "ii>i", subtract }, { "_-_", "uu>u", subtract }, { "_-_", "dd>d", subtract },
	{ "_-_", "tt>D", subtract }, { "_-_", "tD>t", subtract }, { "_-_", "DD>D", subtract },
	{ "_*_", "ii>i", multiply }, { "_*_", "uu>u", multiply }, { "_*_", "dd>d", multiply },
	{ "_/_", "ii>i", divide }, { "_/_", "uu>u", divide }, { "_/_", "dd>d", divide },
	{ "_%_", "ii>i", modulo }, { "_%_", "uu>u", modulo },
	{ "-_", "i>i", negate }, { "-_", "d>d", negate }, { "!_", "b>b", not },
	{ "_==_", "AA>b", equal }, { "_!=_", "AA>b", unequal },
	COMPARE("_<_", less), COMPARE("_<=_", less_or_equal), COMPARE("_>_", greater), COMPARE("_>=_", greater_or_equal),
	{ "@in", "A[A>b", in_list }, { "@in", "A{AB>b", in_map },
	{ "size", "s>i", size }, { "size", "y>i", size }, { "size", "[A>i", size }, { "size", "{AB>i", size },
	{ "size", "s.>i", size }, { "size", "y.>i", size }, { "size", "[A.>i", size }, { "size", "{AB.>i", size },
	{ "type", "A>TA", type_of }, { "dyn", "A>*", itself },
	{ "optional.of", "A>?A", optional_of }, { "optional.ofNonZeroValue", "A>?A", optional_of_non_zero },
	{ "optional.none", ">?A", optional_none }, { "hasValue", "?A.>b", has_value }, { "value", "?A.>A", value_of },
	{ "orValue", "?A.A>A", or_value }, { "or", "?A.?A>?A", or },
	{ NULL, NULL, NULL },
};
