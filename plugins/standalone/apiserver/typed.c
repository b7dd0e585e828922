/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over values by their type.  A container is first listed with the names of its steps; sorted, two of them are
 * compared or combined in one pass.  What cannot be listed, because an element lacks its key or the value is not of the
 * type that the schema says, counts as one value.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"
#include "plugins/standalone/apiserver/schema_priv.h"

struct item {
	struct am_slice name;
	const struct am_node *node;
	uint32_t at;     /* place in the container */
	uint32_t mark;
};

struct items {
	struct item *v;
	size_t n;
};

static int
slice_cmp(struct am_slice a, struct am_slice b)
{
	int c = memcmp(a.p, b.p, AM_MIN(a.n, b.n));

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static int
item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = slice_cmp(x->name, y->name);

	return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static void
sort_items(struct items *items)
{
	if (items->n > 1)
		qsort(items->v, items->n, sizeof(items->v[0]), item_cmp);
}

/* The first of that name; items are sorted. */
static struct item *
find_item(const struct items *items, struct am_slice name)
{
	size_t low = 0, high = items->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (slice_cmp(items->v[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < items->n && slice_cmp(items->v[low].name, name) == 0 ? &items->v[low] : NULL;
}

/* ---- listing */

static bool
is_object(const struct am_node *node)
{
	return node != NULL && node->type == AMBIENT_T_OBJECT;
}

static bool
is_null(const struct am_node *node)
{
	return node != NULL && node->type == AMBIENT_T_NULL;
}

static bool
by_member(const struct am_type *type, const struct am_node *node)
{
	return is_object(node) && (type->how == AM_HOW_OBJECT || type->how == AM_HOW_DEDUCED);
}

static bool
by_element(const struct am_type *type, const struct am_node *node)
{
	return node != NULL && node->type == AMBIENT_T_ARRAY && (type->how == AM_HOW_SET || type->how == AM_HOW_KEYED);
}

/* The values of the keys of an element, as an object; NULL when it has none of them. */
static const struct am_node *
keys_of(struct am_arena *arena, const struct am_type *type, const char *const *keys, const struct am_node *element)
{
	struct am_node *object = am_node_object(arena);
	bool own = false;

	for (size_t i = 0; keys != NULL && keys[i] != NULL; i++) {
		const struct am_node *value = am_node_get(element, keys[i]);
		own |= value != NULL;
		if (value == NULL)
			value = am_type_key_default(arena, type, keys[i]);
		if (value != NULL)
			am_node_set(arena, object, keys[i], am_node_clone(arena, value));
	}
	return object->count > 0 && (own || is_object(element)) ? object : NULL;
}

static struct am_slice
name_of_element(struct am_arena *arena, const struct am_type *type, const char *const *keys, const struct am_node *element)
{
	if (type->how == AM_HOW_SET)
		return element->type == AMBIENT_T_NULL ? AM_SLICE("") : am_path_of_scalar(arena, element);
	if (!is_object(element))
		return AM_SLICE("");
	const struct am_node *values = keys_of(arena, type, keys, element);
	return values != NULL ? am_path_of_keys(arena, values) : AM_SLICE("");
}

/* false: it has to be taken as one value. */
static bool
list_items(struct am_arena *arena, const struct am_type *type, const struct am_node *node, struct items *items)
{
	bool members = by_member(type, node);

	*items = (struct items){ 0 };
	if (node == NULL)
		return true;
	if (!members && !by_element(type, node))
		return false;
	const char *const *keys = type->how == AM_HOW_KEYED ? am_type_keys(arena, type) : NULL;
	items->v = am_arena_alloc(arena, sizeof(items->v[0]) * (node->count + (size_t)1));
	if (items->v == NULL)
		return false;
	for (const struct am_node *e = node->first; e != NULL; e = e->next) {
		struct am_slice name = members ? am_path_of_field(arena, e) : name_of_element(arena, type, keys, e);
		if (name.n == 0)
			return false;
		items->v[items->n] = (struct item){ .name = name, .node = e, .at = (uint32_t)items->n };
		items->n++;
	}
	return true;
}

static struct am_type
type_below(const struct am_type *type, const struct am_node *node)
{
	struct am_type below = { .how = AM_HOW_DEDUCED };

	if (node->key != NULL)
		(void)am_type_member(type, node, &below);
	else
		below = am_type_element(type);
	return below;
}

/* ---- the set of a value */

/* named: the step itself is in the set beside what is below it. */
static const struct am_paths *
set_of(struct am_arena *arena, const struct am_type *type, struct am_slice name, const struct am_node *value, bool named)
{
	struct items items;
	size_t n = 0;

	if (!list_items(arena, type, value, &items))
		return am_paths_make(arena, name, AM_PATH_IN, NULL, 0);
	sort_items(&items);
	const struct am_paths **kids = am_arena_alloc(arena, sizeof(*kids) * (items.n + 1));
	for (size_t i = 0; kids != NULL && i < items.n; i++) {
		const struct am_node *e = items.v[i].node;
		struct am_type below = { .how = AM_HOW_DEDUCED };
		bool in = true;
		if (i > 0 && slice_cmp(items.v[i - 1].name, items.v[i].name) == 0)
			continue;
		if (e->key != NULL)
			in = !am_type_member(type, e, &below) || e->type == AMBIENT_T_NULL || (is_object(e) && e->count == 0);
		else
			below = am_type_element(type);
		kids[n] = set_of(arena, &below, items.v[i].name, e, in);
		n += kids[n] != NULL;
	}
	return am_paths_make(arena, name, named ? AM_PATH_IN : 0, kids, n);
}

const struct am_paths *
am_typed_set(struct am_arena *arena, const struct am_type *type, const struct am_node *value)
{
	return set_of(arena, type, AM_SLICE(""), value, false);
}

/* ---- comparing */

static const struct am_paths *compare(struct am_arena *arena, const struct am_type *type, struct am_slice name,
				      const struct am_node *old, const struct am_node *value);

static size_t
run_of(const struct items *items, size_t at, struct am_slice name)
{
	size_t n = 0;

	while (at + n < items->n && slice_cmp(items->v[at + n].name, name) == 0)
		n++;
	return n;
}

static bool
same_runs(const struct item *a, size_t n_a, const struct item *b, size_t n_b)
{
	for (size_t i = 0; n_a == n_b && i < n_a; i++)
		if (!am_node_equal(a[i].node, b[i].node))
			return false;
	return n_a == n_b;
}

static const struct am_paths *
with_bits(struct am_arena *arena, struct am_slice name, const struct am_paths *paths, uint32_t bits)
{
	return am_paths_union(arena, am_paths_make(arena, name, bits, NULL, 0), paths);
}

/* Elements of the same name: one on each side is what is usual, more are compared as a whole. */
static const struct am_paths *
compare_runs(struct am_arena *arena, const struct am_type *type, struct am_slice name, const struct item *a, size_t n_a,
	     const struct item *b, size_t n_b)
{
	const struct am_node *old = n_a > 0 ? a->node : NULL, *value = n_b > 0 ? b->node : NULL;
	struct am_type below = type_below(type, old != NULL ? old : value);

	if (n_a <= 1 && n_b <= 1)
		return compare(arena, &below, name, old, value);
	if (n_a > 1 && n_b > 1)
		return am_paths_make(arena, name, same_runs(a, n_a, b, n_b) ? 0 : AM_PATH_MODIFIED, NULL, 0);
	if (n_a > 1)
		return with_bits(arena, name, value != NULL ? compare(arena, &below, name, NULL, value) : NULL, AM_PATH_REMOVED);
	return with_bits(arena, name, old != NULL ? compare(arena, &below, name, old, NULL) : NULL, AM_PATH_ADDED);
}

static uint32_t
bits_of(const struct am_node *old, const struct am_node *value)
{
	if (old == NULL)
		return AM_PATH_ADDED;
	if (value == NULL)
		return AM_PATH_REMOVED;
	return am_node_equal(old, value) ? 0 : AM_PATH_MODIFIED;
}

static const struct am_paths *
compare(struct am_arena *arena, const struct am_type *type, struct am_slice name, const struct am_node *old,
	const struct am_node *value)
{
	struct items a, b;
	bool open_a = list_items(arena, type, old, &a), open_b = list_items(arena, type, value, &b);
	size_t i = 0, k = 0, n = 0;

	/* Beside a container null is an empty one. */
	open_a |= open_b && value != NULL && is_null(old);
	open_b |= open_a && old != NULL && is_null(value);
	/* An object became a list, or the like: all of one went, all of the other came. */
	if (open_a != open_b && old != NULL && value != NULL && type->how == AM_HOW_DEDUCED)
		return am_paths_union(arena, compare(arena, type, name, old, NULL), compare(arena, type, name, NULL, value));
	if (!open_a || !open_b || a.n + b.n == 0)
		return am_paths_make(arena, name, bits_of(old, value), NULL, 0);
	sort_items(&a);
	sort_items(&b);
	const struct am_paths **kids = am_arena_alloc(arena, sizeof(*kids) * (a.n + b.n));
	while (kids != NULL && (i < a.n || k < b.n)) {
		int c = i == a.n ? 1 : k == b.n ? -1 : slice_cmp(a.v[i].name, b.v[k].name);
		struct am_slice step = c <= 0 ? a.v[i].name : b.v[k].name;
		size_t n_a = run_of(&a, i, step), n_b = run_of(&b, k, step);
		kids[n] = compare_runs(arena, type, step, n_a > 0 ? a.v + i : NULL, n_a, n_b > 0 ? b.v + k : NULL, n_b);
		n += kids[n] != NULL;
		i += n_a;
		k += n_b;
	}
	return am_paths_make(arena, name, old == NULL ? AM_PATH_ADDED : value == NULL ? AM_PATH_REMOVED : 0, kids, n);
}

const struct am_paths *
am_typed_compare(struct am_arena *arena, const struct am_type *type, const struct am_node *old, const struct am_node *value)
{
	return old == NULL && value == NULL ? NULL : compare(arena, type, AM_SLICE(""), old, value);
}

/* ---- merging */

static void
append_as(struct am_arena *arena, struct am_node *container, const struct am_node *like, struct am_node *value)
{
	value->key = like->key;
	value->key_len = like->key_len;
	am_node_append(container, value);
}

static struct am_node *
merge_item(struct am_arena *arena, const struct am_type *type, const struct am_node *live, const struct am_node *config)
{
	struct am_type below = type_below(type, config);

	return am_typed_merge(arena, &below, live, config);
}

/* Config's elements from *next on, up to and with that one. */
static void
emit_config(struct am_arena *arena, const struct am_type *type, struct am_node *out, const struct items *live,
	    struct items *config, const uint32_t *sorted_at, size_t *next, size_t end)
{
	for (; *next < end; ++*next) {
		struct item *c = &config->v[sorted_at[*next]];
		const struct item *l = find_item(live, c->name);
		append_as(arena, out, c->node, merge_item(arena, type, l != NULL ? l->node : NULL, c->node));
	}
}

/*
 * Order: config's own order for what it names; what only live has stays where it is among those.  An element of live
 * that config names, but not next among the common ones, waits for its turn.
 */
static struct am_node *
merge_list(struct am_arena *arena, const struct am_type *type, const struct am_node *live, struct items *live_items,
	   struct items *config)
{
	struct am_node *out = am_node_array(arena);
	struct items by_place = { am_arena_alloc(arena, sizeof(struct item) * (live_items->n + 1)), live_items->n };
	uint32_t *sorted_at = am_arena_alloc(arena, sizeof(uint32_t) * (config->n + 1));
	size_t next = 0, common = 0;

	if (by_place.v == NULL || sorted_at == NULL)
		return out;
	memcpy(by_place.v, live_items->v, sizeof(struct item) * live_items->n);
	sort_items(live_items);
	sort_items(config);
	for (size_t i = 0; i < config->n; i++) {
		sorted_at[config->v[i].at] = (uint32_t)i;
		config->v[i].mark = find_item(live_items, config->v[i].name) != NULL;
	}
	for (size_t i = 0; i < by_place.n; i++) {
		const struct item *c = find_item(config, by_place.v[i].name);
		while (common < config->n && (common < next || config->v[sorted_at[common]].mark == 0))
			common++;
		if (c == NULL)
			am_node_append(out, am_node_clone(arena, by_place.v[i].node));
		else if (c->at == common)
			emit_config(arena, type, out, live_items, config, sorted_at, &next, common + 1);
	}
	emit_config(arena, type, out, live_items, config, sorted_at, &next, config->n);
	return out;
}

static struct am_node *
merge_object(struct am_arena *arena, const struct am_type *type, const struct items *live, struct items *config)
{
	struct am_node *out = am_node_object(arena);
	struct items by_place = { am_arena_alloc(arena, sizeof(struct item) * (config->n + 1)), config->n };

	if (by_place.v == NULL)
		return out;
	memcpy(by_place.v, config->v, sizeof(struct item) * config->n);
	sort_items(config);
	for (size_t i = 0; i < live->n; i++) {
		struct item *c = find_item(config, live->v[i].name);
		const struct am_node *l = live->v[i].node;
		append_as(arena, out, l, c != NULL ? merge_item(arena, type, l, c->node) : am_node_clone(arena, l));
		if (c != NULL)
			by_place.v[c->at].mark = 1;
	}
	for (size_t i = 0; i < by_place.n; i++)
		if (by_place.v[i].mark == 0)
			append_as(arena, out, by_place.v[i].node, am_node_clone(arena, by_place.v[i].node));
	return out;
}

struct am_node *
am_typed_merge(struct am_arena *arena, const struct am_type *type, const struct am_node *live, const struct am_node *config)
{
	struct items a, b;

	if (config == NULL)
		return live != NULL ? am_node_clone(arena, live) : NULL;
	/* null names no member of a container, so none changes. */
	if (config->type == AMBIENT_T_NULL && live != NULL && live->count > 0 && (by_member(type, live) || by_element(type, live)))
		return am_node_clone(arena, live);
	if (live == NULL || live->type != config->type || !list_items(arena, type, live, &a) ||
	    !list_items(arena, type, config, &b))
		return am_node_clone(arena, config);
	if (config->type == AMBIENT_T_ARRAY)
		return merge_list(arena, type, live, &a, &b);
	return merge_object(arena, type, &a, &b);
}

/* ---- removing */

void
am_typed_remove(struct am_arena *arena, const struct am_type *type, struct am_node *value, const struct am_paths *paths)
{
	struct items items;
	struct am_node *kept = NULL, **tail = &kept, *last = NULL;
	size_t i = 0;

	if (paths == NULL || value == NULL || !list_items(arena, type, value, &items))
		return;
	value->count = 0;
	for (struct am_node *e = value->first, *next; e != NULL; e = next, i++) {
		const struct am_paths *kid = am_paths_kid(paths, items.v[i].name);
		next = e->next;
		if (kid != NULL && kid->in != 0)
			continue;
		if (kid != NULL) {
			struct am_type below = type_below(type, e);
			am_typed_remove(arena, &below, e, kid);
		}
		*tail = last = e;
		e->next = NULL;
		tail = &e->next;
		value->count++;
	}
	value->first = kept;
	value->last = last;
}

/* ---- closing */

/* What the step to kid leads to; *declared: the type knows it by name. */
static struct am_type
type_of_step(const struct am_type *type, const struct am_paths *kid, bool *declared)
{
	struct am_type below = { .how = AM_HOW_DEDUCED };

	*declared = false;
	if (kid->name.p[0] != 'f')
		return am_type_element(type);
	const struct am_node member = { .key = kid->name.p + 2, .key_len = kid->name.n - 2 };
	if (type->how == AM_HOW_OBJECT)
		*declared = am_type_member(type, &member, &below);
	return below;
}

static const struct am_paths *
close_below(struct am_arena *arena, const struct am_type *type, const struct am_paths *paths, bool named)
{
	size_t n = 0;

	if (paths->n == 0)
		return paths;
	const struct am_paths **kids = am_arena_alloc(arena, sizeof(*kids) * paths->n);
	for (; kids != NULL && n < paths->n; n++) {
		bool declared;
		struct am_type below = type_of_step(type, paths->kids[n], &declared);

		kids[n] = close_below(arena, &below, paths->kids[n], declared);
		if (kids[n] == NULL)
			return NULL;
	}
	return am_paths_make(arena, paths->name, paths->in | (named ? AM_PATH_IN : 0), kids, n);
}

const struct am_paths *
am_typed_close(struct am_arena *arena, const struct am_type *type, const struct am_paths *paths)
{
	return paths != NULL ? close_below(arena, type, paths, false) : NULL;
}

/* ---- a type that changed */

static bool
is_container(const struct am_type *type)
{
	return type->schema != NULL && (type->schema->type == AM_SCHEMA_OBJECT || type->schema->type == AM_SCHEMA_ARRAY);
}

const struct am_paths *
am_typed_reconcile(struct am_arena *arena, const struct am_type *type, const struct am_paths *paths)
{
	size_t n = 0;
	bool declared;

	if (paths == NULL || paths->n == 0 || type->how == AM_HOW_DEDUCED)
		return paths;
	if (type->how == AM_HOW_LEAF)
		return is_container(type) ? am_paths_make(arena, paths->name, AM_PATH_IN, NULL, 0) : paths;
	const struct am_paths **kids = am_arena_alloc(arena, sizeof(*kids) * paths->n);
	for (; kids != NULL && n < paths->n; n++) {
		struct am_type below = type_of_step(type, paths->kids[n], &declared);

		if ((kids[n] = am_typed_reconcile(arena, &below, paths->kids[n])) == NULL)
			return paths;
	}
	return kids != NULL ? am_paths_make(arena, paths->name, paths->in, kids, n) : paths;
}

/* ---- checking */

struct check {
	struct am_arena *arena;
	struct am_buf *problems, path;
};

static void check(struct check *c, const struct am_type *type, const struct am_node *value);

static void
check_members(struct check *c, const struct am_type *type, const struct am_node *value)
{
	for (const struct am_node *m = value->first; m != NULL; m = m->next) {
		struct am_type below = { .how = AM_HOW_DEDUCED };
		size_t mark = c->path.len;
		bool declared = am_type_member(type, m, &below);
		am_buf_addf(&c->path, ".%.200s", m->key);
		if (!declared && !am_type_open(type))
			am_buf_addf(c->problems, "%s: field not declared in schema\n", am_buf_str(&c->path));
		else
			check(c, &below, m);
		am_buf_cut(&c->path, mark);
	}
}

static const char *
element_problem(struct check *c, const struct am_type *type, const struct am_node *e)
{
	if (e->type == AMBIENT_T_NULL)
		return type->how == AM_HOW_SET ? "associative list without keys has an element that's an explicit null"
					       : "associative list with keys may not have a null element";
	if (type->how == AM_HOW_SET)
		return e->type == AMBIENT_T_OBJECT ? "associative list without keys has an element that's a map type"
						   : "not supported: associative list with lists as elements";
	if (!is_object(e))
		return "associative list with keys may not have non-map elements";
	return NULL;
}

static void
add_keys_problem(struct check *c, const struct am_type *type, size_t at)
{
	const char *const *keys = am_type_keys(c->arena, type);

	am_buf_addf(c->problems, "%s: element %zu: associative list with keys has an element that omits all key fields [",
		    am_buf_str(&c->path), at);
	for (size_t i = 0; keys != NULL && keys[i] != NULL; i++)
		am_buf_addf(c->problems, "%s\"%s\"", i > 0 ? " " : "", keys[i]);
	am_buf_adds(c->problems, "] (and doesn't have default values for any key fields)\n");
}

static void
add_duplicate(void *arg, const char *path)
{
	struct check *c = arg;

	am_buf_addf(c->problems, "%s: duplicate entries for key %s\n", am_buf_str(&c->path), path);
}

static void
check_elements(struct check *c, const struct am_type *type, const struct am_node *value)
{
	const char *const *keys = type->how == AM_HOW_KEYED ? am_type_keys(c->arena, type) : NULL;
	struct am_type below = am_type_element(type);
	struct items items = { am_arena_alloc(c->arena, sizeof(struct item) * (value->count + (size_t)1)), 0 };
	size_t at = 0;

	for (const struct am_node *e = value->first; items.v != NULL && e != NULL; e = e->next, at++) {
		struct am_slice name = name_of_element(c->arena, type, keys, e);
		const char *problem = name.n == 0 ? element_problem(c, type, e) : NULL;
		if (problem != NULL) {
			am_buf_addf(c->problems, "%s: element %zu: %s\n", am_buf_str(&c->path), at, problem);
		} else if (name.n == 0) {
			add_keys_problem(c, type, at);
		} else {
			items.v[items.n++] = (struct item){ .name = name, .node = e, .at = (uint32_t)at };
			check(c, &below, e);
		}
	}
	sort_items(&items);
	for (size_t i = 1; i < items.n; i++)
		if (slice_cmp(items.v[i - 1].name, items.v[i].name) == 0 &&
		    (i == 1 || slice_cmp(items.v[i - 2].name, items.v[i].name) != 0)) {
			const struct am_paths *kid = am_paths_make(c->arena, items.v[i].name, AM_PATH_IN, NULL, 0);
			am_paths_each(am_paths_make(c->arena, AM_SLICE(""), 0, &kid, kid != NULL), add_duplicate, c);
		}
}

static void
check(struct check *c, const struct am_type *type, const struct am_node *value)
{
	if (c->problems->len > 16384)
		return;
	if (type->how == AM_HOW_OBJECT && is_object(value))
		check_members(c, type, value);
	else if (by_element(type, value))
		check_elements(c, type, value);
}

void
am_typed_check(struct am_arena *arena, const struct am_type *type, const struct am_node *value, struct am_buf *problems)
{
	struct check c = { .arena = arena, .problems = problems };

	check(&c, type, value);
	am_buf_fini(&c.path);
}
