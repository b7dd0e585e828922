/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CustomResourceDefinitions: their validation, what they make the registry serve, and their end.  The janitor brings
 * names and conditions up to date after each write of a definition; from the moment that Established is true its
 * resources are served.  Objects of a definition whose schema changed are shown as the new schema prunes and
 * defaults them, without being written.
 */
#include <ctype.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/base/util.h"
#include "plugins/standalone/apiserver/janitor.h"

#define GROUP     "apiextensions.k8s.io"
#define FINALIZER "customresourcecleanup.apiextensions.k8s.io"

/* ---- one version becomes a resource ---- */

struct definition {
	struct am_arena *arena;
	const struct am_node *root, *spec, *names;
};

static void *
zalloc(struct am_arena *arena, size_t n)
{
	void *p = am_arena_zalloc(arena, n);

	am_assert(p != NULL);
	return p;
}

static const char *const *
string_list(struct am_arena *arena, const struct am_node *list)
{
	size_t n = 0;

	if (list == NULL || list->count == 0)
		return NULL;
	const char **ret = zalloc(arena, (list->count + 1) * sizeof(*ret));
	for (const struct am_node *e = list->first; e != NULL; e = e->next)
		if (e->type == AMBIENT_T_STRING)
			ret[n++] = e->text;
	return ret;
}

static void
add_columns(struct am_arena *arena, struct am_resource *res, const struct am_node *list)
{
	if (list == NULL || list->count == 0)
		return;
	struct am_column *columns = zalloc(arena, list->count * sizeof(*columns));
	for (const struct am_node *e = list->first; e != NULL; e = e->next) {
		int64_t priority = 0;
		am_node_get_int(e, "priority", &priority);
		columns[res->n_columns++] = (struct am_column){
			am_node_get_str(e, "name", ""), am_node_get_str(e, "type", "string"), am_node_get_str(e, "format", ""),
			am_node_get_str(e, "description", ""), am_node_get_str(e, "jsonPath", ""), (int)priority,
		};
	}
	res->columns = columns;
}

static const char *const *
selectable(struct am_arena *arena, const struct am_node *list)
{
	size_t n = 0;

	if (list == NULL || list->count == 0)
		return NULL;
	const char **ret = zalloc(arena, (list->count + 1) * sizeof(*ret));
	for (const struct am_node *e = list->first; e != NULL; e = e->next) {
		const char *path = am_node_get_str(e, "jsonPath", "");
		ret[n++] = *path == '.' ? path + 1 : path;
	}
	return ret;
}

static const char *
print_node(struct am_arena *arena, const struct am_node *node)
{
	struct am_buf text = { 0 };

	am_node_print(node, &text);
	const char *ret = am_arena_strndup(arena, am_buf_str(&text), text.len);
	am_buf_fini(&text);
	return ret;
}

static void
add_subresources(struct am_resource *res, const struct am_node *subresources)
{
	const struct am_node *scale = am_node_get(subresources, "scale");

	if (am_node_get(subresources, "status") != NULL)
		res->flags |= AM_RES_STATUS;
	if (scale == NULL)
		return;
	res->flags |= AM_RES_SCALE;
	res->scale_spec = am_node_get_str(scale, "specReplicasPath", ".spec.replicas");
	res->scale_status = am_node_get_str(scale, "statusReplicasPath", ".status.replicas");
	res->scale_selector = am_node_get_str(scale, "labelSelectorPath", NULL);
}

static const char *
lower(struct am_arena *arena, const char *text)
{
	char *ret = am_arena_strdup(arena, text);

	for (char *p = ret; p != NULL && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return ret;
}

static bool
flag(const struct am_node *node, const char *key)
{
	const struct am_node *member = am_node_get(node, key);

	return member != NULL && member->type == AMBIENT_T_BOOL && member->boolean;
}

/* What clients of a deprecated version are told: to use the best one that is not, when that is better. */
static const char *
deprecation(struct am_arena *arena, const struct am_node *versions, const struct am_node *version, const struct am_resource *res)
{
	const char *best = res->version;

	for (const struct am_node *v = versions->first; v != NULL; v = v->next) {
		const char *name = am_node_get_str(v, "name", "");
		if (flag(v, "served") && !flag(v, "deprecated") && am_version_cmp(name, best) < 0)
			best = name;
	}
	const char *text = best == res->version ?
		am_arena_printf(arena, "%s/%s %s is deprecated", res->group, res->version, res->kind) :
		am_arena_printf(arena, "%s/%s %s is deprecated; use %s/%s %s", res->group, res->version, res->kind, res->group, best,
				res->kind);
	return am_node_get_str(version, "deprecationWarning", text);
}

/* Takes the arena. */
static struct am_resource *
make_version(struct am_arena *arena, const struct am_node *root, const struct am_node *version, const char *accepted,
	     struct ambient_error *err)
{
	const struct am_node *spec = am_node_get(root, "spec");
	const struct am_node *names = am_node_parse(arena, accepted, strlen(accepted), err);
	const struct am_node *openapi = am_node_path(version, "schema", "openAPIV3Schema", NULL);
	struct am_resource *res = zalloc(arena, sizeof(*res));
	struct am_resource_priv *priv = zalloc(arena, sizeof(*priv));
	struct am_failure failure = { 0 };
	const char *kind = am_node_get_str(names, "kind", "");

	*priv = (struct am_resource_priv){ .refs = 1, .arena = arena, .set = am_schema_set_new(), .generation = true };
	*res = (struct am_resource){
		.group = am_node_get_str(spec, "group", ""), .version = am_node_get_str(version, "name", ""),
		.plural = am_node_get_str(names, "plural", ""), .kind = kind,
		.singular = am_node_get_str(names, "singular", lower(arena, kind)),
		.list_kind = am_node_get_str(names, "listKind", am_arena_printf(arena, "%sList", kind)),
		.short_names = string_list(arena, am_node_get(names, "shortNames")),
		.categories = string_list(arena, am_node_get(names, "categories")),
		.selectable = selectable(arena, am_node_get(version, "selectableFields")),
		.flags = AM_RES_CUSTOM, .schema = print_node(arena, openapi), .priv = priv,
	};
	if (strcmp(am_node_get_str(spec, "scope", ""), "Namespaced") == 0)
		res->flags |= AM_RES_NAMESPACED;
	if (flag(version, "storage"))
		res->flags |= AM_RES_STORAGE;
	if (am_node_path(root, "metadata", "deletionTimestamp", NULL) != NULL)
		res->flags |= AM_RES_READ_DELETE;
	if (flag(version, "deprecated"))
		res->deprecation = deprecation(arena, am_node_get(spec, "versions"), version, res);
	add_columns(arena, res, am_node_get(version, "additionalPrinterColumns"));
	add_subresources(res, am_node_get(version, "subresources"));
	priv->spec = print_node(arena, spec);
	priv->names = am_arena_strdup(arena, accepted);
	priv->schema = openapi == NULL ? NULL : am_schema_compile_stored(arena, priv->set, openapi, &failure);
	if (priv->schema == NULL) {
		ambient_err(err, AMBIENT_E_INVALID, "the schema of version \"%s\" cannot be used: %s", res->version,
			    failure.n_causes > 0 ? failure.causes[0].message : "it is missing");
		am_failure_fini(&failure);
		am_resource_unref(res);
		return NULL;
	}
	return res;
}

/* ---- registering, on the writer thread ---- */

struct registration {
	struct am_engine *engine;
	const char *group, *plural;
	const struct am_resource **served;
	size_t n;
	const struct am_resource *storage;
	char *names; /* what it is served under, as JSON */
	bool refusing;
};

/* The object as the schema shows it, when that differs from how it is kept in memory. */
static struct am_object *
reshape(const struct am_resource *storage, const struct am_object *object)
{
	const struct am_schema *schema = storage->priv->schema;
	struct am_arena *arena = am_arena_new();
	struct am_buf raw = { 0 }, out = { 0 };
	struct am_object *ret = NULL;

	am_object_raw(object, &raw);
	struct am_node *node = am_node_parse(arena, raw.data, raw.len, NULL);
	if (node != NULL) {
		am_schema_prune(schema, node, NULL, NULL);
		am_schema_default(arena, schema, node);
		am_node_set(arena, node, "apiVersion",
			    am_node_str(arena, am_arena_printf(arena, "%s/%s", storage->group, storage->version)));
		am_node_print(node, &out);
	}
	if (!out.failed && out.len > 0 && (out.len != raw.len || memcmp(out.data, raw.data, raw.len) != 0))
		ret = am_object_new(out.data, out.len, object->rv, object->id, object->mtime);
	am_buf_fini(&raw);
	am_buf_fini(&out);
	am_arena_free(arena);
	return ret;
}

/* What was admitted before a new shape was known and is written after it: nobody prepares a write for that long. */
#define IN_FLIGHT 1000
/* A release that prunes or defaults otherwise changes this. */
#define SHAPE_RULES "3"

static uint64_t
shape_of(const struct am_resource *storage)
{
	unsigned char hash[32];
	char *text = am_xasprintf("%s\n%s\n%s", SHAPE_RULES, storage->version, storage->schema);
	uint64_t shape = 0;

	am_sha256(text, strlen(text), hash);
	free(text);
	for (int i = 0; i < 8; i++)
		shape = shape << 8 | hash[i];
	return shape >> 1;
}

/* The revision up to which stored bodies may have another shape than this one; from now on they have this. */
static uint64_t
note_shape(struct am_engine *engine, const struct am_store *store, const struct am_resource *storage)
{
	uint64_t shape = storage != NULL ? shape_of(storage) : 0;
	uint64_t upto = am_db_marked(engine->db, store->id, shape);

	if (upto == UINT64_MAX)
		(void)am_db_mark(engine->db, store->id, shape, am_db_rv(engine->db) + IN_FLIGHT, NULL);
	return upto;
}

struct shapes {
	struct am_object **items;
	size_t n, cap;
};

/* What was written up to that revision, as it is shown from now on.  Without the lock: this is the only thread that
 * writes, and readers need not wait for it. */
static void
reshape_all(struct am_engine *engine, const struct am_store *store, const struct am_resource *storage, uint64_t upto,
	    struct shapes *ret)
{
	struct am_cursor c = { 0, 0 };

	am_lock(&engine->lock);
	struct am_sorted *before = am_sorted_ref(store->objects);
	am_unlock(&engine->lock);
	for (struct am_object *now; storage != NULL && (now = am_sorted_next(before, &c)) != NULL;) {
		struct am_object *shown = now->rv <= upto ? reshape(storage, now) : NULL;
		if (shown == NULL)
			continue;
		if (ret->n == ret->cap) {
			ret->cap = ret->cap > 0 ? 2 * ret->cap : 256;
			ret->items = am_xrealloc(ret->items, ret->cap, sizeof(*ret->items));
		}
		ret->items[ret->n++] = shown;
	}
	am_sorted_unref(before);
}

static bool
same_schema(const struct am_resource *a, const struct am_resource *b)
{
	return a != NULL && b != NULL && am_streq(a->schema, b->schema) && am_streq(a->version, b->version);
}

static int
apply(void *arg, struct ambient_error *err)
{
	struct registration *r = arg;
	struct am_engine *engine = r->engine;
	int64_t id = 0;

	am_lock(&engine->lock);
	struct am_store *store = am_store_find(engine, r->group, r->plural);
	am_unlock(&engine->lock);
	if (store == NULL) {
		int rc = am_db_begin(engine->db, err);
		if (rc == 0)
			rc = am_db_res(engine->db, r->group, r->plural, &id, err);
		if (rc == 0)
			rc = am_db_commit(engine->db, am_db_rv(engine->db), err);
		if (rc < 0) {
			am_db_rollback(engine->db);
			return rc;
		}
	}
	am_lock(&engine->lock);
	if (store == NULL)
		store = am_store_add(engine, r->group, r->plural, id);
	bool same = same_schema(store->storage, r->storage);
	am_unlock(&engine->lock);
	struct shapes shapes = { 0 };
	if (!same)
		reshape_all(engine, store, r->storage, note_shape(engine, store, r->storage), &shapes);
	am_lock(&engine->lock);
	for (size_t i = 0; i < r->n; i++)
		((struct am_resource *)(uintptr_t)r->served[i])->store = store;
	if (r->storage != NULL)
		((struct am_resource *)(uintptr_t)r->storage)->store = store;
	am_registry_set(store, r->served, r->n, r->storage);
	store->refusing = r->refusing;
	for (size_t i = 0; i < shapes.n; i++)
		am_store_put(store, shapes.items[i]->ns, shapes.items[i]->name, shapes.items[i]);
	if (r->n == 0)
		am_watch_end_all(store);
	am_unlock(&engine->lock);
	free(shapes.items);
	r->served = NULL;
	r->storage = NULL;
	return 0;
}

static void
registration_fini(struct registration *r)
{
	for (size_t i = 0; r->served != NULL && i < r->n; i++)
		am_resource_unref(r->served[i]);
	free(r->served);
	free(r->names);
	am_resource_unref(r->storage);
}

static int
version_order(const void *pa, const void *pb)
{
	const struct am_resource *a = *(const struct am_resource *const *)pa, *b = *(const struct am_resource *const *)pb;

	return am_version_cmp(a->version, b->version);
}

/* Compiles every version.  Each owns an arena with a tree of the whole definition: they are few and rare. */
static int
build(struct registration *r, const struct am_object *crd, struct ambient_error *err)
{
	size_t n_versions = 1;

	for (size_t i = 0; i < n_versions; i++) {
		struct am_arena *arena = am_arena_new();
		struct am_node *root = am_node_parse(arena, crd->body, crd->len, err);
		const struct am_node *versions = am_node_path(root, "spec", "versions", NULL);
		const struct am_node *version = versions != NULL ? versions->first : NULL;
		if (version == NULL) {
			am_arena_free(arena);
			return ambient_err(err, AMBIENT_E_INVALID, "it has no versions");
		}
		n_versions = versions->count;
		for (size_t k = 0; k < i && version->next != NULL; k++)
			version = version->next;
		if (r->served == NULL)
			r->served = am_xcalloc(n_versions, sizeof(*r->served));
		bool served = flag(version, "served"), storage = flag(version, "storage");
		struct am_resource *res = make_version(arena, root, version, r->names, err);
		if (res == NULL)
			return -AMBIENT_E_INVALID;
		if (storage && r->storage == NULL)
			r->storage = am_resource_ref(res);
		if (served)
			r->served[r->n++] = res;
		else
			am_resource_unref(res);
	}
	for (size_t i = 0; r->storage != NULL && i < r->n; i++)
		r->served[i]->priv->narrows = !am_streq(r->served[i]->schema, r->storage->schema);
	qsort(r->served, r->n, sizeof(*r->served), version_order);
	if (r->n > 0)
		((struct am_resource *)(uintptr_t)r->served[0])->flags |= AM_RES_PREFERRED;
	return r->storage != NULL ? 0 : ambient_err(err, AMBIENT_E_INVALID, "it has no storage version");
}

/* Whether that is what is served already: status changes of a definition are none of the registry's business. */
static bool
is_current(struct am_engine *engine, const struct registration *r, const struct am_object *crd)
{
	struct am_slice spec;
	bool same = false;

	am_lock(&engine->lock);
	const struct am_store *store = am_store_find(engine, r->group, r->plural);
	if (store != NULL && store->storage != NULL && store->refusing == r->refusing &&
	    am_json_find(am_object_text(crd), "/spec", &spec))
		same = am_slice_eq(spec, store->storage->priv->spec) && am_streq(r->names, store->storage->priv->names);
	am_unlock(&engine->lock);
	return same;
}

/* What is of a builtin kind is no definition's to serve, to empty or to end. */
static bool
is_builtin(struct am_engine *engine, const char *group, const char *plural)
{
	am_lock(&engine->lock);
	struct am_store *store = am_store_find(engine, group, plural);
	bool ret = store != NULL && store->storage != NULL && !(store->storage->flags & AM_RES_CUSTOM);
	am_unlock(&engine->lock);
	return ret;
}

/* The accepted names, else those that it asks for. */
static char *
names_of(struct am_slice crd, const struct am_node *accepted)
{
	struct am_buf text = { 0 };
	struct am_slice names;

	if (accepted != NULL)
		am_node_print(accepted, &text);
	else if ((am_json_find(crd, "/status/acceptedNames", &names) && am_json_type(names) == AMBIENT_T_OBJECT) ||
		 am_json_find(crd, "/spec/names", &names))
		am_buf_add(&text, names.p, names.n);
	return am_buf_steal(&text, NULL);
}

int
am_crd_register(struct am_engine *engine, const struct am_object *crd, const struct am_node *names, bool threads,
		struct ambient_error *err)
{
	struct am_slice text = am_object_text(crd);
	char *group = am_json_dup(text, "/spec/group"), *plural = am_json_dup(text, "/spec/names/plural");
	struct registration r = { .engine = engine, .group = group, .plural = plural,
				  .names = names_of(text, names), .refusing = (crd->flags & AM_OBJ_DELETING) != 0 };
	int rc = group == NULL || plural == NULL || r.names == NULL ? ambient_err(err, AMBIENT_E_INVALID, "it has no names") : 0;
	if (rc == 0 && is_builtin(engine, group, plural))
		rc = ambient_err(err, AMBIENT_E_INVALID, "its resource is a builtin one");
	bool current = rc == 0 && is_current(engine, &r, crd);

	if (rc == 0 && !current)
		rc = build(&r, crd, err);
	if (rc == 0 && !current)
		rc = threads ? am_writer_call(engine->writer, apply, &r, err) : apply(&r, err);
	registration_fini(&r);
	free(group);
	free(plural);
	return rc;
}

int
am_crd_unregister(struct am_engine *engine, const char *group, const char *plural, struct ambient_error *err)
{
	struct registration r = { .engine = engine, .group = group, .plural = plural };

	if (is_builtin(engine, group, plural))
		return 0;
	return am_writer_call(engine->writer, apply, &r, err);
}

bool
am_crd_condition(const struct am_object *crd, const char *name, const char *wanted)
{
	struct am_slice list, element, type, status;

	if (!am_json_find(am_object_text(crd), "/status/conditions", &list) || am_json_type(list) != AMBIENT_T_ARRAY)
		return false;
	for (size_t it = 0; am_json_element(list, &it, &element);)
		if (am_json_find(element, "/type", &type) && am_json_str_eq(type, name) &&
		    am_json_find(element, "/status", &status) && am_json_str_eq(status, wanted))
			return true;
	return false;
}

bool
am_crd_established(const struct am_object *crd)
{
	return am_crd_condition(crd, "Established", "True");
}

/* ---- names, conditions, and what they lead to, on the janitor ---- */

static size_t
establish(struct am_engine *engine, const struct am_object *crd)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_crd_verdict *v = am_crd_judge(engine, crd);
	struct am_commit commit = { am_crd_edit_status, v };
	size_t steps = 0;

	if (v != NULL && v->served && am_crd_register(engine, crd, v->accepted, true, &err) < 0)
		am_log_error("apiserver", "definition \"%s\" is not served: %s", crd->name, err.message);
	else if (v != NULL)
		steps = am_change_edit(engine, engine->crds, "", crd->name, crd->uid, &commit, NULL) == 0;
	am_crd_verdict_free(v);
	return steps;
}

/* Those of a group whose names were taken may have them now. */
static size_t
establish_waiting(struct am_engine *engine, const char *group, const char *but)
{
	struct am_cursor c = { 0, 0 };
	size_t steps = 0;

	am_lock(&engine->lock);
	struct am_sorted *list = am_sorted_ref(engine->crds->objects);
	am_unlock(&engine->lock);
	for (struct am_object *crd; (crd = am_sorted_next(list, &c)) != NULL;) {
		struct am_slice its;

		if (am_json_find(am_object_text(crd), "/spec/group", &its) && am_json_str_eq(its, group) &&
		    strcmp(crd->name, but) != 0 && !(crd->flags & AM_OBJ_DELETING) && am_crd_condition(crd, "NamesAccepted", "False"))
			steps += establish(engine, crd);
	}
	am_sorted_unref(list);
	return steps;
}

/* ---- the end ---- */

static int
drop_cleanup(void *arg, struct am_arena *arena, struct am_node *object)
{
	struct am_engine *engine = arg;

	am_janitor_set_condition(arena, object, "Terminating", "False", "InstanceDeletionCompleted", "removed all instances",
				 am_clock_wall(engine->clock));
	return am_meta_remove_finalizer(object, FINALIZER) ? 0 : -AMBIENT_E_EXISTS;
}

static int
note_progress(void *arg, struct am_arena *arena, struct am_node *object)
{
	struct am_engine *engine = arg;

	return am_janitor_set_condition(arena, object, "Terminating", "True", "InstanceDeletionInProgress",
					"CustomResource deletion is in progress", am_clock_wall(engine->clock)) ? 0 : -AMBIENT_E_EXISTS;
}

static size_t
terminate(struct am_engine *engine, const struct am_object *crd)
{
	struct am_slice text = am_object_text(crd);
	char *group = am_json_dup(text, "/spec/group"), *plural = am_json_dup(text, "/spec/names/plural");
	struct am_commit commit = { drop_cleanup, engine }, progress = { note_progress, engine };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	size_t steps = 0, left = 0, held;

	if (am_crd_established(crd))
		(void)am_crd_register(engine, crd, NULL, true, &err);
	am_lock(&engine->lock);
	struct am_store *store = am_store_find(engine, group, plural);
	am_unlock(&engine->lock);
	if (store != NULL && !is_builtin(engine, group, plural))
		steps += am_janitor_empty(engine, store, NULL, &left, &held);
	steps += am_change_edit(engine, engine->crds, "", crd->name, crd->uid, left == 0 ? &commit : &progress, NULL) == 0;
	free(group);
	free(plural);
	return steps;
}

size_t
am_janitor_definition(struct am_engine *engine, const char *name)
{
	struct am_object *crd = am_engine_peek(engine, GROUP, "customresourcedefinitions", NULL, name);
	const char *dot = strchr(name, '.');
	size_t steps = 0;

	if (crd == NULL && dot != NULL) {
		char *plural = am_xstrndup(name, (size_t)(dot - name));
		steps = am_crd_unregister(engine, dot + 1, plural, NULL) == 0;
		free(plural);
		steps += establish_waiting(engine, dot + 1, name);
	} else if (crd != NULL && (crd->flags & AM_OBJ_DELETING)) {
		steps = terminate(engine, crd);
	} else if (crd != NULL && dot != NULL) {
		steps = establish(engine, crd);
		if (steps > 0)
			steps += establish_waiting(engine, dot + 1, name);
	}
	am_object_unref(crd);
	return steps;
}
