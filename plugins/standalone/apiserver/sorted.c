/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in the order of (namespace, name), in leaves of at most LEAF below one root, both counted.  A reader takes a
 * reference of the root, which is all of the lock that it needs, and has the table as it was for as long as it likes; a
 * writer changes in place what nobody else holds and copies the rest: a root's pointers and one leaf.
 *
 * Invariants: no leaf is empty; leaves and their items ascend.  Roots are taken and changed under engine->lock.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

#define LEAF 128

struct leaf {
	_Atomic(uint32_t) refs;
	uint32_t n;
	struct am_object *items[LEAF];
};

struct am_sorted {
	_Atomic(uint32_t) refs;
	size_t total, n, cap;
	struct leaf **leaves;
};

static void
leaf_unref(struct leaf *leaf)
{
	if (atomic_fetch_sub(&leaf->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < leaf->n; i++)
		am_object_unref(leaf->items[i]);
	free(leaf);
}

struct am_sorted *
am_sorted_new(void)
{
	struct am_sorted *s = am_xcalloc(1, sizeof(*s));

	atomic_store(&s->refs, 1);
	return s;
}

struct am_sorted *
am_sorted_ref(struct am_sorted *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void
am_sorted_unref(struct am_sorted *s)
{
	if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		leaf_unref(s->leaves[i]);
	free(s->leaves);
	free(s);
}

size_t
am_sorted_count(const struct am_sorted *s)
{
	return s->total;
}

/* ---- finding ---- */

/* The first item that is not before the key; or behind it, when after is set. */
struct am_cursor
am_sorted_seek(const struct am_sorted *s, const char *ns, const char *name, bool after)
{
	size_t low = 0, high = s->n;
	int limit = after ? 0 : -1; /* items that compare at most so are before it */

	/* Objects often come in order: look at the end first. */
	if (s->n > 0) {
		const struct leaf *last = s->leaves[s->n - 1];
		if (am_key_cmp(last->items[last->n - 1]->ns, last->items[last->n - 1]->name, ns, name) <= limit)
			return (struct am_cursor){ s->n, 0 };
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct leaf *leaf = s->leaves[mid];
		const struct am_object *last = leaf->items[leaf->n - 1];
		if (am_key_cmp(last->ns, last->name, ns, name) <= limit)
			low = mid + 1;
		else
			high = mid;
	}
	struct am_cursor c = { low, 0 };
	if (low == s->n)
		return c;
	size_t from = 0, to = s->leaves[low]->n;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		const struct am_object *object = s->leaves[low]->items[mid];
		if (am_key_cmp(object->ns, object->name, ns, name) <= limit)
			from = mid + 1;
		else
			to = mid;
	}
	c.at = from;
	return c;
}

struct am_object *
am_sorted_next(const struct am_sorted *s, struct am_cursor *c)
{
	if (c->leaf >= s->n)
		return NULL;
	const struct leaf *leaf = s->leaves[c->leaf];
	struct am_object *object = leaf->items[c->at++];

	if (c->at == leaf->n)
		*c = (struct am_cursor){ c->leaf + 1, 0 };
	return object;
}

size_t
am_sorted_rank(const struct am_sorted *s, struct am_cursor c)
{
	size_t rank = c.at;

	for (size_t i = 0; i < c.leaf && i < s->n; i++)
		rank += s->leaves[i]->n;
	return rank;
}

struct am_object *
am_sorted_peek(const struct am_sorted *s, const char *ns, const char *name)
{
	struct am_cursor c = am_sorted_seek(s, ns, name, false);
	struct am_object *object = am_sorted_next(s, &c);

	return object != NULL && am_key_cmp(object->ns, object->name, ns, name) == 0 ? object : NULL;
}

/* ---- changing ---- */

static struct am_sorted *
own_root(struct am_sorted **at)
{
	struct am_sorted *s = *at;

	if (atomic_load(&s->refs) == 1)
		return s;
	struct am_sorted *copy = am_sorted_new();
	copy->total = s->total;
	copy->n = s->n;
	copy->cap = s->n + 8;
	copy->leaves = am_xcalloc(copy->cap, sizeof(struct leaf *));
	for (size_t i = 0; i < s->n; i++) {
		copy->leaves[i] = s->leaves[i];
		atomic_fetch_add(&copy->leaves[i]->refs, 1);
	}
	am_sorted_unref(s);
	*at = copy;
	return copy;
}

static struct leaf *
own_leaf(struct am_sorted *s, size_t at)
{
	struct leaf *leaf = s->leaves[at];

	if (atomic_load(&leaf->refs) == 1)
		return leaf;
	struct leaf *copy = am_xcalloc(1, sizeof(*copy));
	atomic_store(&copy->refs, 1);
	copy->n = leaf->n;
	for (uint32_t i = 0; i < leaf->n; i++)
		copy->items[i] = am_object_ref(leaf->items[i]);
	leaf_unref(leaf);
	s->leaves[at] = copy;
	return copy;
}

static void
add_leaf(struct am_sorted *s, size_t at, struct leaf *leaf)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 4 : 2 * s->cap;
		s->leaves = am_xrealloc(s->leaves, s->cap, sizeof(struct leaf *));
	}
	memmove(s->leaves + at + 1, s->leaves + at, (s->n++ - at) * sizeof(struct leaf *));
	s->leaves[at] = leaf;
}

/* A leaf with room where the item goes; the cursor is moved to it. */
static struct leaf *
make_room(struct am_sorted *s, struct am_cursor *c)
{
	/* Behind everything: into the last leaf, or a new one, so that what comes in order fills its leaves. */
	if (c->leaf == s->n && s->n > 0 && s->leaves[s->n - 1]->n < LEAF)
		*c = (struct am_cursor){ s->n - 1, s->leaves[s->n - 1]->n };
	if (c->leaf == s->n) {
		struct leaf *leaf = am_xcalloc(1, sizeof(*leaf));
		atomic_store(&leaf->refs, 1);
		add_leaf(s, s->n, leaf);
		return leaf;
	}
	struct leaf *leaf = own_leaf(s, c->leaf);
	if (leaf->n < LEAF)
		return leaf;
	struct leaf *right = am_xcalloc(1, sizeof(*right));
	atomic_store(&right->refs, 1);
	right->n = LEAF / 2;
	leaf->n = LEAF - right->n;
	memcpy(right->items, leaf->items + leaf->n, right->n * sizeof(struct am_object *));
	add_leaf(s, c->leaf + 1, right);
	if (c->at <= leaf->n)
		return leaf;
	c->at -= leaf->n;
	c->leaf++;
	return right;
}

struct am_object *
am_sorted_put(struct am_sorted **at, const char *ns, const char *name, struct am_object *object)
{
	struct am_cursor c = am_sorted_seek(*at, ns, name, false), peek = c;
	struct am_object *old = am_sorted_next(*at, &peek);

	if (old != NULL && am_key_cmp(old->ns, old->name, ns, name) != 0)
		old = NULL;
	if (old == NULL && object == NULL)
		return NULL;
	struct am_sorted *s = own_root(at);
	struct leaf *leaf = old != NULL ? own_leaf(s, c.leaf) : make_room(s, &c);
	if (old != NULL && object != NULL) {
		leaf->items[c.at] = object;
	} else if (object != NULL) {
		memmove(leaf->items + c.at + 1, leaf->items + c.at, (leaf->n++ - c.at) * sizeof(struct am_object *));
		leaf->items[c.at] = object;
		s->total++;
	} else {
		memmove(leaf->items + c.at, leaf->items + c.at + 1, (--leaf->n - c.at) * sizeof(struct am_object *));
		s->total--;
		if (leaf->n == 0) {
			memmove(s->leaves + c.leaf, s->leaves + c.leaf + 1, (--s->n - c.leaf) * sizeof(struct leaf *));
			leaf_unref(leaf);
		}
	}
	return old;
}
