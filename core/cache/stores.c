/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several stores read as one.  A kind that is watched in a set of namespaces has a store for each, because each has a
 * list, a watch and a resource version of its own; whoever reads the kind wants to see one collection.
 *
 * The items are written once, before they are shown, so that readers need no lock.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/cache/cache_priv.h"

struct filled {
	size_t count;
	struct am_stores_item items[];
};

struct am_stores {
	_Atomic(struct filled *) filled; /* NULL: empty */
};

struct am_stores *
am_stores_new(void)
{
	return am_xcalloc(1, sizeof(struct am_stores));
}

static struct filled *
filled_of(const struct am_stores *stores)
{
	return atomic_load(&((struct am_stores *)(uintptr_t)stores)->filled);
}

void
am_stores_free(struct am_stores *stores)
{
	struct filled *filled = stores != NULL ? filled_of(stores) : NULL;

	for (size_t i = 0; filled != NULL && i < filled->count; i++)
		free((void *)(uintptr_t)filled->items[i].ns);
	free(filled);
	free(stores);
}

void
am_stores_fill(struct am_stores *stores, const struct am_stores_item *items, size_t count)
{
	struct filled *filled = am_xcalloc(1, sizeof(*filled) + count * sizeof(filled->items[0]));

	am_assert(filled_of(stores) == NULL);
	filled->count = count;
	for (size_t i = 0; i < count; i++)
		filled->items[i] = (struct am_stores_item){ am_xstrdup(items[i].ns), items[i].store };
	atomic_store(&stores->filled, filled);
}

struct am_store *
am_stores_of(const struct am_stores *stores, const char *ns)
{
	const struct filled *filled = filled_of(stores);

	for (size_t i = 0; filled != NULL && i < filled->count; i++) {
		if (filled->items[i].ns == NULL || strcmp(filled->items[i].ns, ns) == 0)
			return filled->items[i].store;
	}
	return NULL;
}

struct am_object *
am_stores_get(const struct am_stores *stores, const char *ns, const char *name)
{
	struct am_store *store = am_stores_of(stores, ns);

	return store != NULL ? am_store_get(store, ns, name) : NULL;
}

static void
append(struct am_objects *to, struct am_objects *from)
{
	if (to->count == 0) {
		am_objects_fini(to);
		*to = *from;
		return;
	}
	if (from->count > 0) {
		to->items = am_xrealloc(to->items, to->count + from->count, sizeof(to->items[0]));
		memcpy(to->items + to->count, from->items, from->count * sizeof(to->items[0]));
		to->count += from->count;
	}
	/* The references have moved. */
	from->count = 0;
	am_objects_fini(from);
}

int
am_stores_list(const struct am_stores *stores, const struct am_store_query *query, struct am_objects *ret,
	       struct ambient_error *err)
{
	const struct filled *filled = filled_of(stores);
	struct am_objects all = { 0 }, some;

	*ret = all;
	for (size_t i = 0; filled != NULL && i < filled->count; i++) {
		const struct am_stores_item *item = &filled->items[i];

		if (item->ns != NULL && !am_empty(query->ns) && strcmp(item->ns, query->ns) != 0)
			continue;
		int rc = am_store_list(item->store, query, &some, err);
		if (rc < 0) {
			am_objects_fini(&all);
			return rc;
		}
		append(&all, &some);
	}
	*ret = all;
	return 0;
}

static size_t
sum(const struct am_stores *stores, size_t (*of)(struct am_store *store))
{
	const struct filled *filled = filled_of(stores);
	size_t total = 0;

	for (size_t i = 0; filled != NULL && i < filled->count; i++)
		total += of(filled->items[i].store);
	return total;
}

size_t
am_stores_count(const struct am_stores *stores)
{
	return sum(stores, am_store_count);
}

size_t
am_stores_bytes(const struct am_stores *stores)
{
	return sum(stores, am_store_bytes);
}
