/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of metadata.managedFields.  A manager is its name, what it does (Apply or Update) and through which
 * subresource; two versions are two managers for Update, one for Apply.  Entries are kept sorted, so that the same
 * owners give the same text.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"

static bool
is_apply(const struct am_manager *m)
{
	return strcmp(m->operation, "Apply") == 0;
}

static bool
same_manager(const struct am_manager *a, const struct am_manager *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->operation, b->operation) == 0 &&
	       strcmp(a->subresource, b->subresource) == 0 &&
	       (is_apply(a) || strcmp(a->api_version, b->api_version) == 0);
}

struct am_manager *
am_managers_find(struct am_managers *managers, const struct am_manager *who)
{
	for (size_t i = 0; i < managers->n; i++)
		if (same_manager(&managers->entries[i], who))
			return &managers->entries[i];
	return NULL;
}

void
am_managers_put(struct am_arena *arena, struct am_managers *managers, const struct am_manager *entry)
{
	struct am_manager *there = am_managers_find(managers, entry);

	if (entry->set == NULL) {
		if (there != NULL)
			*there = managers->entries[--managers->n];
		return;
	}
	if (there != NULL) {
		*there = *entry;
		return;
	}
	if (managers->n == managers->cap) {
		size_t cap = managers->cap * 2 + 8;
		struct am_manager *more = am_arena_alloc(arena, cap * sizeof(*more));
		if (more == NULL)
			return;
		if (managers->n > 0)
			memcpy(more, managers->entries, managers->n * sizeof(*more));
		managers->entries = more;
		managers->cap = cap;
	}
	managers->entries[managers->n++] = *entry;
}

/* ---- text */

bool
am_managers_parse(struct am_arena *arena, const struct am_node *list, struct am_managers *ret)
{
	*ret = (struct am_managers){ 0 };
	if (list == NULL || list->type != AMBIENT_T_ARRAY)
		return false;
	for (const struct am_node *e = list->first; e != NULL; e = e->next) {
		const struct am_node *fields = am_node_get(e, "fieldsV1");
		struct am_manager m = {
			am_node_get_str(e, "manager", ""), am_node_get_str(e, "operation", ""),
			am_node_get_str(e, "apiVersion", ""), am_node_get_str(e, "subresource", ""),
			am_node_get_str(e, "time", ""), NULL,
		};
		if (!is_apply(&m) && strcmp(m.operation, "Update") != 0)
			return false;
		if (strcmp(am_node_get_str(e, "fieldsType", ""), "FieldsV1") != 0)
			return false;
		if (fields != NULL && !am_paths_parse(arena, fields, &m.set))
			return false;
		am_managers_put(arena, ret, &m);
	}
	return true;
}

static int
manager_cmp(const void *a, const void *b)
{
	const struct am_manager *x = a, *y = b;
	const char *const left[] = { x->operation, x->time, x->name, x->api_version, x->subresource };
	const char *const right[] = { y->operation, y->time, y->name, y->api_version, y->subresource };
	int c = 0;

	for (size_t i = 0; c == 0 && i < AM_COUNTOF(left); i++)
		c = strcmp(left[i], right[i]);
	return c;
}

static void
add_text(struct am_arena *arena, struct am_node *object, const char *key, const char *value)
{
	if (value[0] != '\0')
		am_node_set(arena, object, key, am_node_str(arena, value));
}

struct am_node *
am_managers_print(struct am_arena *arena, struct am_managers *managers)
{
	struct am_node *list = am_node_array(arena);

	if (managers->n == 0)
		return NULL;
	qsort(managers->entries, managers->n, sizeof(managers->entries[0]), manager_cmp);
	for (size_t i = 0; i < managers->n; i++) {
		const struct am_manager *m = &managers->entries[i];
		struct am_node *entry = am_node_object(arena);
		add_text(arena, entry, "manager", m->name);
		add_text(arena, entry, "operation", m->operation);
		add_text(arena, entry, "apiVersion", m->api_version);
		add_text(arena, entry, "time", m->time);
		add_text(arena, entry, "fieldsType", "FieldsV1");
		am_node_set(arena, entry, "fieldsV1", am_paths_print(arena, m->set));
		add_text(arena, entry, "subresource", m->subresource);
		am_node_append(list, entry);
	}
	return list;
}

/* ---- bounds */

static int
age_cmp(const void *a, const void *b)
{
	const struct am_manager *x = a, *y = b;
	int c = strcmp(x->time, y->time);

	return c != 0 ? c : manager_cmp(a, b);
}

void
am_managers_cap(struct am_arena *arena, struct am_managers *managers)
{
	size_t updates = 0;

	for (size_t i = 0; i < managers->n; i++)
		updates += !is_apply(&managers->entries[i]);
	if (updates <= AM_MANAGED_UPDATES)
		return;
	qsort(managers->entries, managers->n, sizeof(managers->entries[0]), age_cmp);
	for (size_t i = 0; i < managers->n && updates > AM_MANAGED_UPDATES;) {
		struct am_manager old = managers->entries[i];
		struct am_manager bucket = { "ancient-changes", "Update", old.api_version, "", old.time, old.set };
		/* The first of its version only becomes the bucket when a second one goes into it. */
		struct am_manager *there = am_managers_find(managers, &bucket), *into = there;
		for (size_t k = 0; into == NULL && k < i; k++)
			if (!is_apply(&managers->entries[k]) && strcmp(managers->entries[k].api_version, old.api_version) == 0)
				into = &managers->entries[k];
		if (is_apply(&old) || into == NULL || into == &managers->entries[i]) {
			i++;
			continue;
		}
		bucket.set = am_paths_union(arena, into->set, old.set);
		*into = bucket;
		memmove(managers->entries + i, managers->entries + i + 1, (managers->n - i - 1) * sizeof(managers->entries[0]));
		managers->n--;
		updates--;
	}
}

static bool
same_entry(const struct am_node *a, const struct am_node *b)
{
	static const char *const keys[] = { "manager", "operation", "apiVersion", "fieldsType", "subresource", "fieldsV1" };

	for (size_t i = 0; i < AM_COUNTOF(keys); i++)
		if (!am_node_equal(am_node_get(a, keys[i]), am_node_get(b, keys[i])))
			return false;
	return true;
}

bool
am_managed_same(const struct am_node *a, const struct am_node *b)
{
	if (a == NULL || b == NULL || a->count != b->count)
		return a == b;
	for (const struct am_node *e = a->first; e != NULL; e = e->next) {
		const struct am_node *other = b->first;
		while (other != NULL && !same_entry(e, other))
			other = other->next;
		if (other == NULL)
			return false;
	}
	return true;
}
