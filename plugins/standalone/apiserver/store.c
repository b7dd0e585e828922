/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in memory: per resource a table sorted by (namespace, name), which is also the order of pages, plus two
 * indexes over all resources: by uid, and from an owner's uid to its dependents.  Everything here needs
 * engine->lock; objects are immutable, so a reader takes references and lets the lock go.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

struct am_object *
am_store_peek(const struct am_store *store, const char *ns, const char *name)
{
	return am_sorted_peek(store->objects, ns != NULL ? ns : "", name);
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

static void
index_swap(struct am_engine *engine, const struct am_object *object, struct am_object *copy)
{
	struct am_store_entry *entry = am_map_get(engine->uids, object->uid);

	if (entry != NULL && entry->object == object)
		entry->object = copy;
	for (uint32_t i = 0; i < object->n_owners; i++) {
		struct am_dependents *d = am_map_get(engine->owners, object->owners[i].uid);

		for (size_t k = 0; d != NULL && k < d->n; k++)
			if (d->items[k].object == object)
				d->items[k].object = copy;
	}
}

void
am_store_swap(struct am_store *store, const struct am_object *object, struct am_object *copy)
{
	index_swap(store->engine, object, copy);
	am_object_unref(am_sorted_put(&store->objects, copy->ns, copy->name, am_object_ref(copy)));
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
	struct am_object *old = am_sorted_put(&store->objects, ns, name, object);

	if (old != NULL)
		index_remove(store, old);
	if (object != NULL)
		index_add(store, object);
	am_object_unref(old);
}
