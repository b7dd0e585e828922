/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in memory: per resource an array sorted by (namespace, name), which is also the order of pages, plus two
 * indexes over all resources: by uid, and from an owner's uid to its dependents.  Everything here needs
 * engine->lock; objects are immutable, so a reader takes references and lets the lock go.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

size_t
am_store_lower(const struct am_store *store, const char *ns, const char *name, bool *found)
{
	size_t low = 0, high = store->n;

	/* Objects often come in order: look at the end first. */
	if (high > 0 && am_key_cmp(store->items[high - 1]->ns, store->items[high - 1]->name, ns, name) < 0)
		low = high;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (am_key_cmp(store->items[mid]->ns, store->items[mid]->name, ns, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (found != NULL)
		*found = low < store->n && am_key_cmp(store->items[low]->ns, store->items[low]->name, ns, name) == 0;
	return low;
}

struct am_object *
am_store_peek(const struct am_store *store, const char *ns, const char *name)
{
	bool found;
	size_t at = am_store_lower(store, ns != NULL ? ns : "", name, &found);

	return found ? store->items[at] : NULL;
}

void
am_store_range(const struct am_store *store, const char *ns, size_t *first, size_t *end)
{
	*first = 0;
	*end = store->n;
	if (ns == NULL)
		return;
	*first = am_store_lower(store, ns, "", NULL);
	size_t low = *first, high = store->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcmp(store->items[mid]->ns, ns) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	*end = low;
}

/* ---- indexes ---- */

static void
dependent_add(struct am_engine *engine, struct am_store *store, struct am_object *object, const char *owner)
{
	struct am_dependents *d = am_map_get(engine->owners, owner);

	if (d == NULL) {
		d = am_xcalloc(1, sizeof(*d));
		am_map_put(engine->owners, owner, d);
	}
	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].object == object)
			return;
	if (d->n == d->cap) {
		d->cap = d->cap == 0 ? 4 : 2 * d->cap;
		d->items = am_xrealloc(d->items, d->cap, sizeof(*d->items));
	}
	d->items[d->n++] = (struct am_dependent){ store, object };
}

static void
dependent_remove(struct am_engine *engine, const struct am_object *object, const char *owner)
{
	struct am_dependents *d = am_map_get(engine->owners, owner);

	for (size_t i = 0; d != NULL && i < d->n; i++) {
		if (d->items[i].object != object)
			continue;
		d->items[i] = d->items[--d->n];
		break;
	}
	if (d != NULL && d->n == 0)
		am_map_del(engine->owners, owner);
}

static void
index_add(struct am_store *store, struct am_object *object)
{
	struct am_engine *engine = store->engine;
	struct am_store_entry *entry = am_xcalloc(1, sizeof(*entry));

	*entry = (struct am_store_entry){ store, object };
	am_map_put(engine->uids, object->uid, entry);
	for (uint32_t i = 0; i < object->n_owners; i++)
		dependent_add(engine, store, object, object->owners[i].uid);
	engine->objects++;
}

static void
index_remove(struct am_store *store, const struct am_object *object)
{
	struct am_engine *engine = store->engine;
	struct am_store_entry *entry = am_map_get(engine->uids, object->uid);

	if (entry != NULL && entry->object == object)
		am_map_del(engine->uids, object->uid);
	for (uint32_t i = 0; i < object->n_owners; i++)
		dependent_remove(engine, object, object->owners[i].uid);
	engine->objects--;
}

const struct am_dependents *
am_store_dependents(struct am_engine *engine, const char *owner_uid)
{
	return am_map_get(engine->owners, owner_uid);
}

const struct am_store_entry *
am_store_by_uid(struct am_engine *engine, const char *uid)
{
	return am_map_get(engine->uids, uid);
}

void
am_store_put(struct am_store *store, const char *ns, const char *name, struct am_object *object)
{
	bool found;
	size_t at = am_store_lower(store, ns, name, &found);
	struct am_object *old = found ? store->items[at] : NULL;

	if (old != NULL)
		index_remove(store, old);
	if (object == NULL) {
		if (found)
			memmove(store->items + at, store->items + at + 1, (--store->n - at) * sizeof(struct am_object *));
	} else if (found) {
		store->items[at] = object;
	} else {
		if (store->n == store->cap) {
			store->cap = store->cap == 0 ? 16 : 2 * store->cap;
			store->items = am_xrealloc(store->items, store->cap, sizeof(struct am_object *));
		}
		memmove(store->items + at + 1, store->items + at, (store->n++ - at) * sizeof(struct am_object *));
		store->items[at] = object;
	}
	if (object != NULL)
		index_add(store, object);
	am_object_unref(old);
}
