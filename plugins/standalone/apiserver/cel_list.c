/* SPDX-License-Identifier: Apache-2.0 */
/* Functions on lists and sets. */
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

#define RANGE_MAX 1000000

FN(is_sorted)
{
	const struct cel_list *l = a[0].list;

	if (!cel_charge(run, l->n))
		return cel_exceeded(run);
	for (size_t i = 1; i < l->n; i++) {
		int o = cel_compare(&l->items[i - 1], &l->items[i]);

		if (o == -2)
			return cel_no_overload();
		if (o > 0)
			return cel_bool(false);
	}
	return cel_bool(true);
}

FN(sum)
{
	const struct cel_list *l = a[0].list;
	const struct cel_type *of = e->args[0]->type->kind == CEL_LIST ? e->args[0]->type->a : &cel_simple[CEL_DYN];
	struct cel_value total = cel_int(0);
	enum cel_kind kind = l->n > 0 ? l->items[0].kind : of->kind;

	total.kind = kind == CEL_UINT || kind == CEL_DOUBLE || kind == CEL_DURATION ? kind : CEL_INT;
	if (!cel_charge(run, l->n))
		return cel_exceeded(run);
	for (size_t i = 0; i < l->n; i++) {
		const struct cel_value *v = &l->items[i];
		bool over = false;

		if (v->kind != total.kind)
			return cel_no_overload();
		if (v->kind == CEL_DOUBLE)
			total.d += v->d;
		else if (v->kind == CEL_UINT)
			over = __builtin_add_overflow(total.u, v->u, &total.u);
		else
			over = __builtin_add_overflow(total.i, v->i, &total.i);
		if (over)
			return cel_error(run, "%s overflow", v->kind == CEL_UINT ? "unsigned integer" :
					 v->kind == CEL_DURATION ? "duration" : "integer");
	}
	return total;
}

static struct cel_value
extreme(struct cel_run *run, const struct cel_list *l, int sign, const char *name)
{
	if (l->n == 0)
		return cel_error(run, "%s called on empty list", name);
	if (!cel_charge(run, l->n))
		return cel_exceeded(run);
	struct cel_value best = l->items[0];
	for (size_t i = 1; i < l->n; i++) {
		int o = cel_compare(&l->items[i], &best);

		if (o == -2)
			return cel_no_overload();
		if (o != 2 && o * sign > 0)
			best = l->items[i];
	}
	return best;
}

FN(min)
{
	return extreme(run, a[0].list, -1, "min");
}

FN(max)
{
	return extreme(run, a[0].list, 1, "max");
}

FN(index_of)
{
	const struct cel_list *l = a[0].list;

	if (!cel_charge(run, l->n))
		return cel_exceeded(run);
	for (size_t i = 0; i < l->n; i++) {
		int same = cel_equal(run, &l->items[i], &a[1]);

		if (same != 0)
			return same < 0 ? cel_exceeded(run) : cel_int((int64_t)i);
	}
	return cel_int(-1);
}

FN(last_index_of)
{
	const struct cel_list *l = a[0].list;

	if (!cel_charge(run, l->n))
		return cel_exceeded(run);
	for (size_t i = l->n; i > 0; i--) {
		int same = cel_equal(run, &l->items[i - 1], &a[1]);

		if (same != 0)
			return same < 0 ? cel_exceeded(run) : cel_int((int64_t)i - 1);
	}
	return cel_int(-1);
}

FN(slice)
{
	const struct cel_list *l = a[0].list;
	int64_t from = a[1].i, to = a[2].i;

	if (from < 0 || to < 0)
		return cel_error(run, "cannot slice(%lld, %lld), negative indexes not supported", (long long)from, (long long)to);
	if (from > to)
		return cel_error(run, "cannot slice(%lld, %lld), start index must be less than or equal to end index",
				 (long long)from, (long long)to);
	if ((uint64_t)to > l->n)
		return cel_error(run, "cannot slice(%lld, %lld), list is length %zu", (long long)from, (long long)to, l->n);
	if (!cel_charge(run, (uint64_t)(to - from)))
		return cel_exceeded(run);
	return cel_list_of(run, l->items + from, (size_t)(to - from));
}

static size_t
flat_size(const struct cel_list *l, int64_t depth)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->items[i].kind == CEL_LIST && depth > 0 ? flat_size(l->items[i].list, depth - 1) : 1;
	return n;
}

static void
flatten_into(struct cel_value *items, size_t *n, const struct cel_list *l, int64_t depth)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->items[i].kind == CEL_LIST && depth > 0)
			flatten_into(items, n, l->items[i].list, depth - 1);
		else
			items[(*n)++] = l->items[i];
	}
}

FN(flatten)
{
	/* Lists in lists are as deep as the expression or the schema that made them: both are bounded. */
	int64_t depth = e->n == 2 ? a[1].i : 1;
	size_t n = 0;

	if (depth < 0)
		return cel_error(run, "level must be non-negative");
	size_t size = flat_size(a[0].list, depth);
	struct cel_value *items = cel_items(run, size);
	if (items == NULL || !cel_charge(run, size + a[0].list->n))
		return cel_exceeded(run);
	flatten_into(items, &n, a[0].list, depth);
	return cel_list_of(run, items, n);
}

static int
by_value(const void *pa, const void *pb)
{
	int o = cel_compare(pa, pb);

	return o == 2 || o == -2 ? 0 : o;
}

static bool
can_be_sorted(const struct cel_list *l)
{
	return l->n == 0 || (cel_same_elements(l) && cel_compare(&l->items[0], &l->items[0]) != -2);
}

FN(sort)
{
	const struct cel_list *l = a[0].list;
	struct cel_value *items = cel_items(run, l->n);

	if (!can_be_sorted(l))
		return cel_error(run, "list elements must be comparable");
	if (items == NULL || !cel_charge(run, l->n * 2))
		return cel_exceeded(run);
	if (l->n > 0)
		memcpy(items, l->items, l->n * sizeof(*items));
	qsort(items, l->n, sizeof(*items), by_value);
	return cel_list_of(run, items, l->n);
}

struct keyed {
	struct cel_value key, item;
	size_t at; /* equal ones stay in their order */
};

static int
by_key(const void *pa, const void *pb)
{
	const struct keyed *a = pa, *b = pb;
	int o = by_value(&a->key, &b->key);

	return o != 0 ? o : a->at < b->at ? -1 : 1;
}

struct cel_value
cel_sort_by(struct cel_run *run, const struct cel_list *list, const struct cel_value *keys)
{
	const struct cel_list all = { .n = list->n, .items = keys };
	struct keyed *pairs = am_arena_alloc(run->arena, (list->n + 1) * sizeof(*pairs));
	struct cel_value *items = cel_items(run, list->n);

	if (list->n > 0 && cel_compare(&keys[0], &keys[0]) == -2)
		return cel_error(run, "list elements must be comparable");
	if (list->n > 0 && !cel_same_elements(&all))
		return cel_error(run, "list elements must have the same type");
	if (pairs == NULL || items == NULL || !cel_charge(run, list->n * 2))
		return cel_exceeded(run);
	for (size_t i = 0; i < list->n; i++)
		pairs[i] = (struct keyed){ keys[i], list->items[i], i };
	qsort(pairs, list->n, sizeof(*pairs), by_key);
	for (size_t i = 0; i < list->n; i++)
		items[i] = pairs[i].item;
	return cel_list_of(run, items, list->n);
}

FN(first_or_last)
{
	const struct cel_list *l = a[0].list;

	if (l->n == 0)
		return cel_none();
	return cel_some(run, l->items[strcmp(e->name, "first") == 0 ? 0 : l->n - 1]);
}

FN(unwrap)
{
	const struct cel_list *l = a[0].list;
	struct cel_value *items = cel_items(run, l->n);
	size_t n = 0;

	if (items == NULL || !cel_charge(run, l->n))
		return cel_exceeded(run);
	for (size_t i = 0; i < l->n; i++) {
		if (l->items[i].kind != CEL_OPTIONAL)
			return cel_no_overload();
		if (l->items[i].optional != NULL)
			items[n++] = *l->items[i].optional;
	}
	return cel_list_of(run, items, n);
}

FN(reverse)
{
	const struct cel_list *l = a[0].list;
	struct cel_value *items = cel_items(run, l->n);

	if (items == NULL || !cel_charge(run, l->n))
		return cel_exceeded(run);
	for (size_t i = 0; i < l->n; i++)
		items[i] = l->items[l->n - 1 - i];
	return cel_list_of(run, items, l->n);
}

/* 1, 0, -1 as cel_equal. */
static int
holds(struct cel_run *run, const struct cel_value *items, size_t n, const struct cel_value *v)
{
	for (size_t i = 0; i < n; i++) {
		if (!cel_charge(run, i % 2))
			return -1;
		int same = cel_equal(run, &items[i], v);
		if (same != 0)
			return same;
	}
	return 0;
}

FN(distinct)
{
	const struct cel_list *l = a[0].list;
	struct cel_value *items = cel_items(run, l->n);
	size_t n = 0;

	if (items == NULL || !cel_charge(run, l->n))
		return cel_exceeded(run);
	for (size_t i = 0; i < l->n; i++) {
		int there = holds(run, items, n, &l->items[i]);

		if (there < 0)
			return cel_exceeded(run);
		if (there == 0)
			items[n++] = l->items[i];
	}
	return cel_list_of(run, items, n);
}

FN(range)
{
	if (a[0].i > RANGE_MAX || !cel_charge(run, (uint64_t)AM_MAX(a[0].i, INT64_C(0))))
		return cel_exceeded(run);
	struct cel_value *items = cel_items(run, (size_t)AM_MAX(a[0].i, INT64_C(0)));
	if (items == NULL)
		return cel_exceeded(run);
	for (int64_t i = 0; i < a[0].i; i++)
		items[i] = cel_int(i);
	return cel_list_of(run, items, (size_t)AM_MAX(a[0].i, INT64_C(0)));
}

static int
contains_all(struct cel_run *run, const struct cel_list *l, const struct cel_list *other)
{
	int there = 1;

	for (size_t i = 0; i < other->n && there == 1; i++)
		there = holds(run, l->items, l->n, &other->items[i]);
	return there;
}

FN(set_contains)
{
	int there = contains_all(run, a[0].list, a[1].list);

	return there < 0 ? cel_exceeded(run) : cel_bool(there == 1);
}

FN(set_equivalent)
{
	int there = contains_all(run, a[0].list, a[1].list);

	if (there == 1)
		there = contains_all(run, a[1].list, a[0].list);
	return there < 0 ? cel_exceeded(run) : cel_bool(there == 1);
}

FN(set_intersects)
{
	int there = 0;

	for (size_t i = 0; i < a[1].list->n && there == 0; i++)
		there = holds(run, a[0].list->items, a[0].list->n, &a[1].list->items[i]);
	return there < 0 ? cel_exceeded(run) : cel_bool(there == 1);
}

#define ORDERED(name, sign, fn)                                                                                    \
	{ name, "[i.>" sign("i"), fn }, { name, "[u.>" sign("u"), fn }, { name, "[d.>" sign("d"), fn },             \
	{ name, "[b.>" sign("b"), fn }, { name, "[s.>" sign("s"), fn }, { name, "[y.>" sign("y"), fn },             \
	{ name, "[t.>" sign("t"), fn }, { name, "[D.>" sign("D"), fn }
#define TO_BOOL(t) "b"
#define TO_SAME(t) t
#define TO_LIST(t) "[" t

const struct cel_fn cel_list_fns[] = {
	ORDERED("isSorted", TO_BOOL, is_sorted), ORDERED("min", TO_SAME, min), ORDERED("max", TO_SAME, max),
	ORDERED("sort", TO_LIST, sort),
	{ "sum", "[i.>i", sum }, { "sum", "[u.>u", sum }, { "sum", "[d.>d", sum }, { "sum", "[D.>D", sum },
	{ "indexOf", "[A.A>i", index_of }, { "lastIndexOf", "[A.A>i", last_index_of },
	{ "slice", "[A.ii>[A", slice }, { "flatten", "[[A.>[A", flatten }, { "flatten", "[*.i>[*", flatten },
	{ "reverse", "[A.>[A", reverse }, { "distinct", "[A.>[A", distinct }, { "lists.range", "i>[i", range },
	{ "first", "[A.>?A", first_or_last }, { "last", "[A.>?A", first_or_last }, { "optional.unwrap", "[?A>[A", unwrap },
	{ "unwrapOpt", "[?A.>[A", unwrap }, { "sets.contains", "[A[A>b", set_contains }, { "sets.equivalent", "[A[A>b", set_equivalent },
	{ "sets.intersects", "[A[A>b", set_intersects },
	{ NULL, NULL, NULL },
};
