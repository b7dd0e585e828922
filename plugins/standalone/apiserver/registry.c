/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is served: the builtin table and, while their definitions are established, custom resources.  A resource is
 * counted, so that a request keeps what it looked up while a definition goes away under it.
 */
#include <ctype.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/resources.h"

const struct am_resource *
am_resource_ref(const struct am_resource *res)
{
	if (res != NULL)
		atomic_fetch_add_explicit(&res->priv->refs, 1, memory_order_relaxed);
	return res;
}

void
am_resource_unref(const struct am_resource *res)
{
	if (res == NULL || atomic_fetch_sub_explicit(&res->priv->refs, 1, memory_order_acq_rel) != 1)
		return;
	am_schema_set_free(res->priv->set);
	am_arena_free(res->priv->arena); /* res itself lives in it */
}

static char *
key_of(char *buf, size_t size, const char *group, const char *version, const char *name)
{
	snprintf(buf, size, "%s/%s/%s", group, version, name);
	return buf;
}

struct am_store *
am_store_find(struct am_engine *engine, const char *group, const char *plural)
{
	char key[640];

	return am_map_get(engine->store_map, key_of(key, sizeof(key), group, "", plural));
}

/* What the engine itself reads again and again, and mostly under its lock; there are few of these. */
static bool
is_read_often(const char *group, const char *plural)
{
	static const char *const names[][2] = {
		{ "", "namespaces" }, { "", "limitranges" }, { "", "resourcequotas" },
		{ "rbac.authorization.k8s.io", "clusterroles" }, { "apiextensions.k8s.io", "customresourcedefinitions" },
	};

	for (size_t i = 0; i < AM_COUNTOF(names); i++)
		if (strcmp(names[i][0], group) == 0 && strcmp(names[i][1], plural) == 0)
			return true;
	return false;
}

struct am_store *
am_store_add(struct am_engine *engine, const char *group, const char *plural, int64_t id)
{
	char key[640];
	struct am_store *store = am_xcalloc(1, sizeof(*store));

	store->objects = am_sorted_new();
	store->engine = engine;
	store->group = am_xstrdup(group);
	store->plural = am_xstrdup(plural);
	store->id = id;
	store->rv = engine->floor; /* what happened before is not known */
	store->packer = is_read_often(group, plural) ? NULL : am_packer_new(engine->options.pack_from);
	store->rest = store->packer != NULL ? 0 : SIZE_MAX;
	atomic_store(&engine->unpacked, true);
	am_ring_init(&store->ring, engine->options.ring, engine->floor);
	store->next = engine->stores;
	engine->stores = store;
	am_map_put(engine->store_map, key_of(key, sizeof(key), group, "", plural), store);
	return store;
}

/* ---- what is served ---- */

static void
unref_resource(void *value)
{
	am_resource_unref(value);
}

static void
serve(struct am_engine *engine, const struct am_resource *res, bool on)
{
	char key[640];

	key_of(key, sizeof(key), res->group, res->version, res->plural);
	if (on)
		am_map_put(engine->resources, key, (void *)(uintptr_t)am_resource_ref(res));
	else
		am_map_del(engine->resources, key);
}

void
am_registry_set(struct am_store *store, const struct am_resource **versions, size_t n,
		const struct am_resource *storage)
{
	struct am_engine *engine = store->engine;

	for (size_t i = 0; i < store->n_versions; i++) {
		serve(engine, store->versions[i], false);
		am_resource_unref(store->versions[i]);
	}
	free(store->versions);
	am_resource_unref(store->storage);
	store->versions = versions;
	store->n_versions = n;
	store->storage = storage;
	if (storage != NULL)
		store->namespaced = (storage->flags & AM_RES_NAMESPACED) != 0;
	for (size_t i = 0; i < n; i++)
		serve(engine, versions[i], true);
	engine->generation++;
}

static const struct am_resource *
make_builtin(struct am_engine *engine, const struct am_builtin *row)
{
	struct am_arena *arena = am_arena_new();
	struct am_resource *res = am_arena_zalloc(arena, sizeof(*res));
	struct am_resource_priv *priv = am_arena_zalloc(arena, sizeof(*priv));
	char *singular = am_arena_strdup(arena, row->singular != NULL ? row->singular : row->kind);
	const char *store_group = row->store_group != NULL ? row->store_group : row->group;

	am_assert(res != NULL && priv != NULL && singular != NULL);
	for (char *p = singular; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	*priv = (struct am_resource_priv){
		.refs = 1, .arena = arena, .kind = row->rules, .view = row->view, .field_paths = row->paths,
		.generation = row->traits & AM_GENERATION, .unconditional = row->traits & AM_UNCONDITIONAL,
		.create_on_update = row->traits & AM_CREATE_ON_UPDATE, .create_status = row->traits & AM_CREATE_STATUS,
	};
	*res = (struct am_resource){
		.group = row->group, .version = row->version, .plural = row->plural, .singular = singular, .kind = row->kind,
		.list_kind = am_arena_printf(arena, "%sList", row->kind), .short_names = row->short_names,
		.categories = row->categories, .selectable = row->fields,
		.flags = row->flags | AM_RES_PREFERRED | (row->view == NULL ? AM_RES_STORAGE : 0),
		.store = am_store_find(engine, store_group, row->plural), .priv = priv,
	};
	return res;
}

int
am_registry_init(struct am_engine *engine, struct ambient_error *err)
{
	int rc = am_db_begin(engine->db, err);
	int64_t id;

	for (size_t i = 0; rc == 0 && i < am_builtin_count; i++) {
		const struct am_builtin *row = &am_builtins[i];
		if (row->store_group != NULL || am_store_find(engine, row->group, row->plural) != NULL)
			continue;
		rc = am_db_res(engine->db, row->group, row->plural, &id, err);
		if (rc == 0)
			am_store_add(engine, row->group, row->plural, id);
	}
	if (rc == 0)
		rc = am_db_commit(engine->db, am_db_rv(engine->db), err);
	if (rc < 0) {
		am_db_rollback(engine->db);
		return rc;
	}
	for (size_t i = 0; i < am_builtin_count; i++) {
		const struct am_resource *res = make_builtin(engine, &am_builtins[i]);
		struct am_store *store = res->store;
		store->versions = am_xrealloc(store->versions, store->n_versions + 1, sizeof(*store->versions));
		store->versions[store->n_versions++] = res;
		if (res->flags & AM_RES_STORAGE) {
			store->storage = am_resource_ref(res);
			store->namespaced = (res->flags & AM_RES_NAMESPACED) != 0;
		}
		serve(engine, res, true);
	}
	engine->namespaces = am_store_find(engine, "", "namespaces");
	engine->cluster_roles = am_store_find(engine, "rbac.authorization.k8s.io", "clusterroles");
	engine->crds = am_store_find(engine, "apiextensions.k8s.io", "customresourcedefinitions");
	engine->events = am_store_find(engine, "", "events");
	engine->quotas = am_store_find(engine, "", "resourcequotas");
	return 0;
}

void
am_registry_maps(struct am_engine *engine)
{
	engine->store_map = am_map_new();
	engine->resources = am_map_new_owning(unref_resource);
}

void
am_registry_fini(struct am_engine *engine)
{
	for (struct am_store *store = engine->stores, *next; store != NULL; store = next) {
		next = store->next;
		am_ring_fini(&store->ring);
		am_sorted_unref(store->objects);
		am_packer_free(store->packer);
		for (size_t i = 0; i < store->n_versions; i++)
			am_resource_unref(store->versions[i]);
		free(store->versions);
		am_resource_unref(store->storage);
		free(store->group);
		free(store->plural);
		free(store);
	}
	am_map_free(engine->resources);
	am_map_free(engine->store_map);
}

/* ---- looking up ---- */

const struct am_resource *
am_store_storage(struct am_store *store)
{
	am_lock(&store->engine->lock);
	const struct am_resource *res = am_resource_ref(store->storage);
	am_unlock(&store->engine->lock);
	return res;
}

const struct am_resource *
am_engine_resource(struct am_engine *engine, const char *group, const char *version, const char *plural)
{
	char key[640];

	am_lock(&engine->lock);
	const struct am_resource *res = am_map_get(engine->resources, key_of(key, sizeof(key), group, version, plural));
	am_resource_ref(res);
	am_unlock(&engine->lock);
	return res;
}

const struct am_resource *
am_engine_resource_of_kind(struct am_engine *engine, const char *group, const char *version, const char *kind)
{
	const char *key;
	void *value;
	const struct am_resource *found = NULL;

	am_lock(&engine->lock);
	for (size_t it = 0; found == NULL && am_map_next(engine->resources, &it, &key, &value);) {
		const struct am_resource *res = value;
		if (strcmp(res->kind, kind) == 0 && strcmp(res->group, group) == 0 && strcmp(res->version, version) == 0)
			found = am_resource_ref(res);
	}
	am_unlock(&engine->lock);
	return found;
}

/* v2 before v1 before v1beta2 before v1beta1 before v1alpha1, anything else by name behind. */
struct version_rank {
	int stability; /* 0: no Kubernetes version */
	int64_t major, minor;
};

static struct version_rank
rank(const char *version)
{
	struct version_rank r = { 0, 0, 0 };
	char *end;

	if (version[0] != 'v' || !isdigit((unsigned char)version[1]))
		return r;
	r.major = strtol(version + 1, &end, 10);
	if (*end == '\0')
		r.stability = 3;
	else if (am_starts(end, "beta") && isdigit((unsigned char)end[4]))
		r.stability = 2;
	else if (am_starts(end, "alpha") && isdigit((unsigned char)end[5]))
		r.stability = 1;
	if (r.stability == 1 || r.stability == 2)
		r.minor = strtol(end + (r.stability == 2 ? 4 : 5), &end, 10);
	if (*end != '\0')
		r.stability = 0;
	return r;
}

int
am_version_cmp(const char *a, const char *b)
{
	struct version_rank ra = rank(a), rb = rank(b);

	if (ra.stability != rb.stability)
		return rb.stability - ra.stability;
	if (ra.stability == 0)
		return strcmp(a, b);
	if (ra.major != rb.major)
		return ra.major < rb.major ? 1 : -1;
	return ra.minor == rb.minor ? 0 : ra.minor < rb.minor ? 1 : -1;
}

static int
resource_cmp(const void *pa, const void *pb)
{
	const struct am_resource *a = *(const struct am_resource *const *)pa, *b = *(const struct am_resource *const *)pb;
	int c = strcmp(a->group, b->group);

	if (c == 0)
		c = am_version_cmp(a->version, b->version);
	return c != 0 ? c : strcmp(a->plural, b->plural);
}

const struct am_resource **
am_engine_resources(struct am_engine *engine, size_t *ret_n, uint64_t *ret_generation)
{
	const char *key;
	void *value;
	size_t n = 0;

	am_lock(&engine->lock);
	const struct am_resource **list = am_xcalloc(am_map_len(engine->resources) + 1, sizeof(*list));
	for (size_t it = 0; am_map_next(engine->resources, &it, &key, &value);)
		list[n++] = am_resource_ref(value);
	if (ret_generation != NULL)
		*ret_generation = engine->generation;
	am_unlock(&engine->lock);
	qsort(list, n, sizeof(*list), resource_cmp);
	*ret_n = n;
	return list;
}

void
am_resources_free(const struct am_resource **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		am_resource_unref(list[i]);
	free(list);
}

uint64_t
am_engine_resources_generation(struct am_engine *engine)
{
	am_lock(&engine->lock);
	uint64_t generation = engine->generation;
	am_unlock(&engine->lock);
	return generation;
}
