/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch of builtin kinds: lists whose elements have a key are merged by it, some lists of strings are
 * sets, everything else is replaced; which list is which, proto_lists.c knows.  Directives: $patch (delete, replace,
 * merge), $deleteFromPrimitiveList, $setElementOrder, $retainKeys.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"

#define DEPTH       64
#define COMPARISONS 4000000
#define ORDER       "$setElementOrder/"
#define DELETE_FROM "$deleteFromPrimitiveList/"

struct merge {
	struct am_arena *arena;
	struct am_failure *failure;
};

static struct am_node *merge_object(struct merge *m, const struct am_type *type, struct am_node *target,
				    const struct am_node *patch, int depth);

static bool
is_directive(const char *key)
{
	return key[0] == '$';
}

/* A copy of a patch's value without its directives. */
static struct am_node *
plain(struct merge *m, const struct am_node *value, int depth)
{
	const struct am_type any = { .how = AM_HOW_DEDUCED };
	struct am_node *copy;

	if (depth > DEPTH)
		return am_node_null(m->arena);
	if (value->type == AMBIENT_T_OBJECT)
		return merge_object(m, &any, am_node_object(m->arena), value, depth + 1);
	if (value->type != AMBIENT_T_ARRAY)
		return am_node_clone(m->arena, value);
	copy = am_node_array(m->arena);
	for (const struct am_node *e = value->first; e != NULL; e = e->next)
		if (am_node_get(e, "$patch") == NULL)
			am_node_append(copy, plain(m, e, depth + 1));
	return copy;
}

static struct am_node *
find_by_key(struct am_node *list, const char *key, const struct am_node *value)
{
	for (struct am_node *e = list->first; e != NULL; e = e->next) {
		const struct am_node *have = am_node_get(e, key);
		if (have != NULL && am_node_equal(have, value))
			return e;
	}
	return NULL;
}

static struct am_node *
find_equal(struct am_node *list, const struct am_node *value)
{
	for (struct am_node *e = list->first; e != NULL; e = e->next)
		if (am_node_equal(e, value))
			return e;
	return NULL;
}

/* Elements are looked for one by one. */
static bool
too_long(struct merge *m, const struct am_node *target, const struct am_node *patch)
{
	if ((uint64_t)target->count * patch->count <= COMPARISONS)
		return false;
	am_fail(m->failure, 413, "RequestEntityTooLarge", "the lists of the patch are too long to be merged");
	return true;
}

static void
merge_keyed(struct merge *m, const struct am_type *type, struct am_node *target, const struct am_node *patch, int depth)
{
	struct am_type below = am_type_element(type);

	if (too_long(m, target, patch))
		return;
	for (const struct am_node *e = patch->first; e != NULL; e = e->next) {
		const struct am_node *value = am_node_get(e, type->merge_key);
		const char *directive = am_node_get_str(e, "$patch", "merge");
		struct am_node *have;
		if (strcmp(directive, "replace") == 0)
			continue; /* handled for the whole list */
		if (value == NULL) {
			am_fail(m->failure, 400, "BadRequest", "map: does not contain declared merge key: %s", type->merge_key);
			return;
		}
		if (strcmp(directive, "delete") == 0) {
			while ((have = find_by_key(target, type->merge_key, value)) != NULL)
				am_node_remove(target, have);
		} else if ((have = find_by_key(target, type->merge_key, value)) != NULL) {
			(void)merge_object(m, &below, have, e, depth + 1);
		} else {
			am_node_append(target, plain(m, e, depth + 1));
		}
	}
}

static bool
replaces_list(const struct am_node *patch)
{
	for (const struct am_node *e = patch->first; e != NULL; e = e->next)
		if (strcmp(am_node_get_str(e, "$patch", ""), "replace") == 0)
			return true;
	return false;
}

static void
merge_member(struct merge *m, const struct am_type *type, struct am_node *target, const struct am_node *value, int depth)
{
	struct am_node *have = am_node_get(target, value->key);
	struct am_type below = { .how = AM_HOW_DEDUCED };

	(void)am_type_member(type, value, &below);
	if (value->type == AMBIENT_T_NULL) {
		am_node_del(target, value->key);
	} else if (value->type == AMBIENT_T_OBJECT && have != NULL && have->type == AMBIENT_T_OBJECT) {
		(void)merge_object(m, &below, have, value, depth + 1);
	} else if (value->type == AMBIENT_T_ARRAY && have != NULL && have->type == AMBIENT_T_ARRAY &&
		   !replaces_list(value) && below.merge_key != NULL) {
		if (below.merge_key[0] != '\0') {
			merge_keyed(m, &below, have, value, depth);
			return;
		}
		for (const struct am_node *e = value->first; e != NULL && !too_long(m, have, value); e = e->next)
			if (find_equal(have, e) == NULL)
				am_node_append(have, am_node_clone(m->arena, e));
	} else {
		am_node_set(m->arena, target, value->key, plain(m, value, depth));
	}
}

/* ---- order */

struct element {
	struct am_node *node;
	size_t wanted, before;  /* place in the list that was asked for, in the list as it was; NOWHERE: not in it */
};

#define NOWHERE SIZE_MAX

static size_t
place(const struct am_node *list, const char *key, const struct am_node *element)
{
	size_t at = 0;

	for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next, at++) {
		bool same = key[0] == '\0' ? am_node_equal(e, element)
					    : am_node_get(e, key) != NULL && am_node_equal(am_node_get(e, key), am_node_get(element, key));
		if (same)
			return at;
	}
	return NOWHERE;
}

static int
wanted_cmp(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	return (x->wanted > y->wanted) - (x->wanted < y->wanted);
}

/* The elements that order names come in its order; those that only the server has come before an element only where they
 * stood before it already. */
static void
order_list(struct merge *m, struct am_node *list, const struct am_node *before, const struct am_node *order, const char *key)
{
	struct element *named = am_arena_alloc(m->arena, sizeof(*named) * (list->count + (size_t)1));
	struct element *others = am_arena_alloc(m->arena, sizeof(*others) * (list->count + (size_t)1));
	size_t n = 0, rest = 0, i = 0, k = 0;

	if (named == NULL || others == NULL)
		return;
	for (struct am_node *e = list->first; e != NULL; e = e->next) {
		struct element x = { e, place(order, key, e), place(before, key, e) };
		if (x.wanted == NOWHERE)
			others[rest++] = x;
		else
			named[n++] = x;
	}
	qsort(named, n, sizeof(*named), wanted_cmp);
	list->first = list->last = NULL;
	list->count = 0;
	while (i < n || k < rest) {
		bool first = k == rest || (i < n && (named[i].before == NOWHERE || named[i].before < others[k].before));
		am_node_append(list, first ? named[i++].node : others[k++].node);
	}
}

/* ---- directives */

/* order: of $setElementOrder, or else the patch's own list. */
static void
order_member(struct merge *m, const struct am_type *type, struct am_node *target, const struct am_node *before,
	     const char *name, const struct am_node *order)
{
	const struct am_node member = { .key = name, .key_len = strlen(name) };
	struct am_node *list = am_node_get(target, name);
	struct am_type below = { .how = AM_HOW_DEDUCED };

	(void)am_type_member(type, &member, &below);
	if (order->type != AMBIENT_T_ARRAY)
		am_fail(m->failure, 400, "BadRequest", "invalid patch format of setElementOrder list");
	else if (list != NULL && list->type == AMBIENT_T_ARRAY && below.merge_key != NULL && !too_long(m, list, order))
		order_list(m, list, before, order, below.merge_key);
}

/* The name of the list that this member of a patch puts in order; NULL: none. */
static const char *
ordered_by(const struct am_node *patch, const struct am_node *member)
{
	char directive[300];

	if (am_starts(member->key, ORDER))
		return member->key + strlen(ORDER);
	if (member->type != AMBIENT_T_ARRAY || is_directive(member->key) || member->key_len > 256)
		return NULL;
	(void)snprintf(directive, sizeof(directive), ORDER "%s", member->key);
	return am_node_get(patch, directive) == NULL ? member->key : NULL;
}

static void
delete_from_list(struct merge *m, struct am_node *target, const struct am_node *directive)
{
	struct am_node *list = am_node_get(target, directive->key + strlen(DELETE_FROM)), *have;

	if (list == NULL || too_long(m, list, directive))
		return;
	for (const struct am_node *e = directive->first; e != NULL; e = e->next)
		while ((have = find_equal(list, e)) != NULL)
			am_node_remove(list, have);
}

static bool
has_text(const struct am_node *list, const char *text)
{
	for (const struct am_node *e = list->first; e != NULL; e = e->next)
		if (am_streq(am_node_text(e, NULL), text))
			return true;
	return false;
}

static void
retain_keys(struct merge *m, struct am_node *target, const struct am_node *patch, const struct am_node *keys)
{
	for (const struct am_node *p = patch->first; p != NULL; p = p->next)
		if (keys->type != AMBIENT_T_ARRAY || (!is_directive(p->key) && !has_text(keys, p->key))) {
			am_fail(m->failure, 400, "BadRequest", "invalid patch format of retainKeys");
			return;
		}
	for (struct am_node *t = target->first, *next; t != NULL; t = next) {
		next = t->next;
		if (!has_text(keys, t->key))
			am_node_remove(target, t);
	}
}

/* How the lists that get an order stood before the patch. */
static struct am_node *
lists_before(struct merge *m, const struct am_node *target, const struct am_node *patch)
{
	struct am_node *before = NULL;

	for (const struct am_node *p = patch->first; p != NULL; p = p->next) {
		const char *name = ordered_by(patch, p);
		const struct am_node *list = name != NULL ? am_node_get(target, name) : NULL;
		if (list == NULL)
			continue;
		if (before == NULL)
			before = am_node_object(m->arena);
		am_node_set(m->arena, before, name, am_node_clone(m->arena, list));
	}
	return before;
}

static struct am_node *
merge_object(struct merge *m, const struct am_type *type, struct am_node *target, const struct am_node *patch, int depth)
{
	const char *directive = am_node_get_str(patch, "$patch", "merge");

	if (depth > DEPTH) {
		am_fail(m->failure, 400, "BadRequest", "the patch is nested too deep");
		return target;
	}
	if (strcmp(directive, "replace") == 0 || strcmp(directive, "delete") == 0)
		while (target->first != NULL)
			am_node_remove(target, target->first);
	else if (strcmp(directive, "merge") != 0)
		am_fail(m->failure, 400, "BadRequest", "unknown patch type: %.60s", directive);
	if (strcmp(directive, "delete") == 0)
		return target;
	const struct am_node *before = lists_before(m, target, patch);
	for (const struct am_node *p = patch->first; p != NULL; p = p->next) {
		if (am_starts(p->key, DELETE_FROM))
			delete_from_list(m, target, p);
		else if (strcmp(p->key, "$retainKeys") == 0)
			retain_keys(m, target, patch, p);
	}
	for (const struct am_node *p = patch->first; p != NULL; p = p->next)
		if (!is_directive(p->key))
			merge_member(m, type, target, p, depth);
	for (const struct am_node *p = patch->first; p != NULL && before != NULL; p = p->next) {
		const char *name = ordered_by(patch, p);
		const struct am_node *list = name != NULL ? am_node_get(before, name) : NULL;
		if (list != NULL)
			order_member(m, type, target, list, name, p);
	}
	return target;
}

struct am_node *
am_patch_strategic(struct am_arena *arena, struct am_node *target, const struct am_node *patch, const struct am_type *type,
		   struct am_failure *failure)
{
	struct merge m = { arena, failure };

	if (patch->type != AMBIENT_T_OBJECT) {
		am_fail(failure, 400, "BadRequest", "a strategic merge patch must be a JSON object");
		return NULL;
	}
	target = merge_object(&m, type, target, patch, 0);
	return failure->code != 0 ? NULL : target;
}
