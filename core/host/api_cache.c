/* SPDX-License-Identifier: Apache-2.0 */
/* The cache table: reads of what the plugin declared, from the shared stores.  Objects are borrowed, not copied. */
#include <string.h>

#include "core/host/host_priv.h"

struct ambient_list {
	size_t count;
	const struct ambient_object *items[];
};

static void
release_object(void *object)
{
	am_object_unref(object);
}

/* By what its watch declares: whether somebody else has the whole makes no difference to who reads it. */
static const struct ambient_object *
borrow(struct am_pool *pool, const struct host_watch *w, struct am_object *o)
{
	return w->projection == NULL ? am_object_borrow(pool, o->json.p, o->json.n, release_object, o)
				     : am_object_borrow_parts(pool, o->json.p, o->json.n, &w->readable, release_object, o);
}

static int
not_declared(const struct am_instance *instance, const char *kind, struct ambient_error *err)
{
	return ambient_err(err, AMBIENT_E_UNSUPPORTED, "plugin \"%s\" reads \"%s\" without declaring it with for, owns or watch",
			   instance->plugin->decl->name, kind);
}

static int
cache_get(struct ambient_call *call, const char *kind, const char *ns, const char *name, const struct ambient_object **ret,
	  struct ambient_error *err)
{
	struct am_instance *instance = instance_of(call->host);
	struct host_watch *w = host_watch_of(instance, kind);

	if (w == NULL)
		return not_declared(instance, kind, err);
	int rc = host_watch_covers(instance, w, ns, err);
	if (rc < 0)
		return rc;
	struct am_object *object = am_stores_get(w->stores, ns != NULL ? ns : "", name);
	if (object == NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "%s \"%s\" is not there", kind, name);
	*ret = borrow(call_of(call)->head.pool, w, object);
	return *ret != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "no memory to read %s \"%s\"", kind, name);
}

static int
cache_list(struct ambient_call *call, const char *kind, const struct ambient_list_options *options,
	   const struct ambient_list **ret, struct ambient_error *err)
{
	static const struct ambient_list_options everything = { sizeof(everything), NULL, NULL, NULL, NULL };
	struct am_instance *instance = instance_of(call->host);
	struct host_watch *w = host_watch_of(instance, kind);
	struct am_pool *pool = call_of(call)->head.pool;
	struct am_selector *selector = NULL;
	struct am_objects found;
	int rc;

	if (w == NULL)
		return not_declared(instance, kind, err);
	if (options == NULL)
		options = &everything;
	if (!am_empty(options->ns) && (rc = host_watch_covers(instance, w, options->ns, err)) < 0)
		return rc;
	if (options->selector != NULL && (rc = am_selector_labels(options->selector, &selector, err)) < 0)
		return rc;
	const char *index = options->index == NULL ? NULL : am_arena_printf(am_pool_arena(pool), "%s.%s", instance->name, options->index);
	const struct am_store_query query = { options->ns, selector, index, options->value };
	rc = am_stores_list(w->stores, &query, &found, err);
	am_selector_free(selector);
	if (rc < 0)
		return rc;
	struct ambient_list *list = am_arena_zalloc(am_pool_arena(pool), sizeof(*list) + found.count * sizeof(list->items[0]));
	for (size_t i = 0; list != NULL && i < found.count; i++) {
		struct am_object *o = am_object_ref(found.items[i]);
		list->items[i] = borrow(pool, w, o);
		if (list->items[i] == NULL)
			list = NULL;
		else
			list->count++;
	}
	am_objects_fini(&found);
	*ret = list;
	return list != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "no memory to list %s", kind);
}

static size_t
cache_count(const struct ambient_list *list)
{
	return list->count;
}

static const struct ambient_object *
cache_item(const struct ambient_list *list, size_t i)
{
	return i < list->count ? list->items[i] : NULL;
}

const struct ambient_cache_api host_cache_api = { sizeof(host_cache_api), cache_get, cache_list, cache_count, cache_item };
