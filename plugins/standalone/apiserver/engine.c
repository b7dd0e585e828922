/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's life: open, load, what must exist, close; and the questions that need no file of their own. */
#include <malloc.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/seal.h"

#define TRIM_BATCH 500

/* ---- loading ---- */

struct loader {
	struct am_engine *engine;
	struct am_store **by_id;
	size_t n;
	int64_t oldest; /* wall time; what was written before it is not taken into a ring */
};

static int
load_res(void *arg, int64_t id, const char *group, const char *plural)
{
	struct loader *l = arg;

	if (id <= 0 || id > 1000000)
		return -1;
	if ((size_t)id >= l->n) {
		l->by_id = am_xrealloc(l->by_id, (size_t)id + 1, sizeof(struct am_store *));
		memset(l->by_id + l->n, 0, ((size_t)id + 1 - l->n) * sizeof(struct am_store *));
		l->n = (size_t)id + 1;
	}
	l->by_id[id] = am_store_add(l->engine, group, plural, id);
	return 0;
}

static struct am_store *
store_of(const struct loader *l, const struct am_db_row *row)
{
	return row->res > 0 && (size_t)row->res < l->n ? l->by_id[row->res] : NULL;
}

static int
load_object(void *arg, const struct am_db_row *row, struct ambient_error *err)
{
	struct loader *l = arg;
	struct am_store *store = store_of(l, row);
	struct am_object *object = am_json_check(row->body, row->len, NULL) < 0 ? NULL :
		am_object_new(row->body, row->len, row->rv, row->id, row->mtime);

	if (store == NULL || object == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "state.db is damaged: row %lld (\"%s/%s\") is no object; restore a copy",
				   (long long)row->id, row->ns, row->name);
	am_store_put(store, row->ns, row->name, object);
	store->rv = AM_MAX(store->rv, row->rv);
	return 0;
}

static int
load_log(void *arg, const struct am_db_row *row, struct ambient_error *err)
{
	struct loader *l = arg;
	struct am_store *store = store_of(l, row);
	struct am_object *now = store != NULL ? am_store_peek(store, row->ns, row->name) : NULL;
	struct am_object *object, *old;

	if (store == NULL)
		return 0;
	if (row->mtime < l->oldest) {
		store->ring.floor = AM_MAX(store->ring.floor, row->rv);
		store->rv = AM_MAX(store->rv, row->rv);
		return 0;
	}
	if (now != NULL && now->rv == row->rv && row->op != AM_EVENT_DELETED)
		object = am_object_ref(now);
	else
		object = am_log_object(row);
	old = am_log_old(row);
	if (object != NULL) {
		am_ring_push(&store->ring, row->rv, (enum am_event_type)row->op, object, old);
		store->rv = AM_MAX(store->rv, row->rv);
	}
	am_object_unref(object);
	am_object_unref(old);
	return 0;
}

/* Definitions that were established before are served from the first moment. */
static void
load_definitions(struct am_engine *engine)
{
	struct am_list list;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_engine_all(engine, "apiextensions.k8s.io", "customresourcedefinitions", NULL, &list);
	for (size_t i = 0; i < list.n; i++)
		if (am_crd_established(list.items[i]) && am_crd_register(engine, list.items[i], NULL, false, &err) < 0)
			am_log_error("apiserver", "definition \"%s\": %s", list.items[i]->name, err.message);
	am_list_fini(&list);
}

/* What the rings can hold; who wants to see more of the log reads it from there. */
static int
load_history(struct loader *l, struct ambient_error *err)
{
	struct am_engine *engine = l->engine;
	struct am_db_range range = { .upto = INT64_MAX };
	int rc = am_db_log_start(engine->db, 2 * engine->options.ring, &range.after, err);

	for (struct am_store *store = engine->stores; rc == 0 && store != NULL; store = store->next) {
		store->ring.floor = AM_MAX(store->ring.floor, range.after);
		store->rv = AM_MAX(store->rv, range.after);
	}
	return rc == 0 ? am_db_each_log(engine->db, &range, load_log, l, err) : rc;
}

static int
load(struct am_engine *engine, struct ambient_error *err)
{
	static const char *const secrets[] = { "secrets", NULL };
	size_t n = 0;
	struct loader l = { .engine = engine, .oldest = am_clock_wall(engine->clock) - AM_RING_AGE };
	bool full = !engine->options.survive_process_only;
	int rc = engine->options.key_file != NULL ? am_seal_open(engine->options.key_file, &engine->seal, err) : 0;

	if (rc == 0)
		rc = am_db_open(engine->dir, full, am_clock_wall(engine->clock), &engine->db, err);
	if (rc < 0)
		return rc;
	am_db_set_seal(engine->db, engine->seal, engine->options.encrypted != NULL ? engine->options.encrypted : secrets);
	engine->rv = am_db_rv(engine->db);
	engine->floor = am_db_compacted(engine->db);
	rc = am_db_each_res(engine->db, load_res, &l, err);
	if (rc == 0)
		rc = am_registry_init(engine, err);
	if (rc == 0)
		rc = am_db_each_object(engine->db, load_object, &l, err);
	if (rc == 0)
		rc = load_history(&l, err);
	free(l.by_id);
	if (rc == 0)
		rc = am_db_reseal(engine->db, &n, err);
	if (n > 0)
		am_log_info("apiserver", "%zu stored rows are encrypted anew with the first key of %s", n,
			    engine->options.key_file);
	if (rc == 0)
		load_definitions(engine);
	return rc;
}

/* ---- what must exist ---- */

static int
ensure_namespaces(struct am_engine *engine, struct ambient_error *err)
{
	static const char *const names[] = { "default", "kube-system", "kube-public", "kube-node-lease" };
	const struct am_resource *res = am_engine_resource(engine, "", "v1", "namespaces");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < AM_COUNTOF(names); i++) {
		struct am_buf body = { 0 };
		struct am_failure failure = { 0 };
		struct am_written written = { 0 };

		am_json_addf(&body, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":%s}}", names[i]);
		struct am_write write = { .verb = AM_VERB_CREATE, .res = res, .body = am_slice(body.data, body.len) };
		struct am_object *there = am_engine_peek(engine, "", "namespaces", NULL, names[i]);
		if (there == NULL && am_engine_write(engine, &write, &written, &failure) < 0)
			rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot create namespace \"%s\": %s", names[i], failure.message);
		am_object_unref(there);
		am_written_fini(&written);
		am_failure_fini(&failure);
		am_buf_fini(&body);
	}
	am_resource_unref(res);
	return rc;
}

static void
free_dependents(void *value)
{
	struct am_dependents *d = value;

	free(d->items);
	free(d);
}

static struct am_engine *
engine_new(const struct am_engine_options *options)
{
	struct am_engine *engine = am_xcalloc(1, sizeof(*engine));

	engine->options = *options;
	engine->dir = am_xstrdup(options->dir);
	engine->node_name = am_xstrdup(options->node_name != NULL ? options->node_name : "standalone");
	engine->clock = options->clock != NULL ? options->clock : am_clock_real();
	if (engine->options.ring == 0)
		engine->options.ring = 4096;
	if (engine->options.pack_from == 0)
		engine->options.pack_from = 96;
	if (engine->options.log_rows == 0)
		engine->options.log_rows = 10000;
	if (engine->options.wait_ns == 0)
		engine->options.wait_ns = 3 * AM_NS_PER_S;
	if (engine->options.event_ttl_ns == 0)
		engine->options.event_ttl_ns = 3600 * AM_NS_PER_S;
	am_lock_init(&engine->lock, "apiserver");
	am_cond_init(&engine->changed, am_clock_real());
	am_registry_maps(engine);
	engine->uids = am_map_new_owning(free);
	engine->owners = am_map_new_owning(free_dependents);
	return engine;
}

int
am_engine_open(const struct am_engine_options *options, struct am_engine **ret, struct ambient_error *err)
{
	struct am_engine *engine = engine_new(options);
	int rc = 0;

	engine->janitor = am_janitor_new(engine);
	rc = load(engine, err);
	if (rc == 0) {
		engine->writer = am_writer_new(engine);
		if (engine->writer == NULL)
			rc = ambient_err(err, AMBIENT_E_NOMEM, "cannot start the writer's thread");
	}
	if (rc == 0)
		rc = ensure_namespaces(engine, err);
	if (rc == 0)
		rc = am_janitor_start(engine->janitor, err);
	if (rc < 0) {
		am_engine_close(engine);
		return rc;
	}
	*ret = engine;
	return 0;
}

void
am_engine_close(struct am_engine *engine)
{
	if (engine == NULL)
		return;
	am_janitor_stop(engine->janitor);
	am_writer_free(engine->writer);
	if (engine->db != NULL)
		am_db_checkpoint(engine->db, true);
	am_db_close(engine->db);
	am_seal_free(engine->seal);
	am_registry_fini(engine);
	am_janitor_free(engine->janitor);
	am_map_free(engine->uids);
	am_map_free(engine->owners);
	am_cond_fini(&engine->changed);
	am_lock_fini(&engine->lock);
	free(engine->dir);
	free(engine->node_name);
	free(engine);
}

int
am_engine_healthy(struct am_engine *engine, struct ambient_error *err)
{
	return am_writer_healthy(engine->writer, err);
}

/* ---- small questions ---- */

uint64_t
am_engine_rv(struct am_engine *engine)
{
	am_lock(&engine->lock);
	uint64_t rv = engine->rv;
	am_unlock(&engine->lock);
	return rv;
}

uint64_t
am_engine_store_rv(struct am_engine *engine, const char *group, const char *plural)
{
	am_lock(&engine->lock);
	const struct am_store *store = am_store_find(engine, group, plural);
	uint64_t rv = store != NULL ? store->rv : 0;
	am_unlock(&engine->lock);
	return rv;
}

struct am_object *
am_engine_peek(struct am_engine *engine, const char *group, const char *plural, const char *ns, const char *name)
{
	am_lock(&engine->lock);
	const struct am_store *store = am_store_find(engine, group, plural);
	struct am_object *object = store != NULL ? am_object_ref(am_store_peek(store, ns, name)) : NULL;
	am_unlock(&engine->lock);
	return am_object_opened(object);
}

struct am_object *
am_engine_by_uid(struct am_engine *engine, const char *uid)
{
	am_lock(&engine->lock);
	const struct am_store_entry *entry = am_store_by_uid(engine, uid);
	struct am_object *object = entry != NULL ? am_object_ref(entry->object) : NULL;
	am_unlock(&engine->lock);
	return am_object_opened(object);
}

void
am_engine_stats(struct am_engine *engine, struct am_engine_stats *stats)
{
	am_lock(&engine->lock);
	*stats = (struct am_engine_stats){
		.objects = engine->objects, .watches = engine->watches, .commits = engine->commits,
		.writes = engine->writes, .events_dropped = engine->dropped, .rv = engine->rv, .compacted = engine->floor,
	};
	am_unlock(&engine->lock);
}

/* ---- history ---- */

struct trim {
	struct am_engine *engine;
	int64_t keep, age;
	bool left;
};

static int
trim_batch(void *arg, struct ambient_error *err)
{
	struct trim *t = arg;
	struct am_engine *engine = t->engine;
	int rc = am_db_trim(engine->db, t->keep, am_clock_wall(engine->clock) - t->age, TRIM_BATCH, &t->left, err);

	am_lock(&engine->lock);
	engine->floor = am_db_compacted(engine->db);
	am_unlock(&engine->lock);
	return rc;
}

int
am_engine_trim(struct am_engine *engine, int64_t keep, int64_t age_ns, struct ambient_error *err)
{
	struct trim t = { engine, keep, age_ns, true };
	int rc = 0;

	/* A batch per turn, so that writes are not held up. */
	for (int turn = 0; rc == 0 && t.left && turn < 100000; turn++)
		rc = am_writer_call(engine->writer, trim_batch, &t, err);
	return rc;
}

void
am_engine_forget(struct am_engine *engine)
{
	int64_t before = am_clock_wall(engine->clock) - AM_RING_AGE;
	size_t n = 0;

	am_lock(&engine->lock);
	for (struct am_store *store = engine->stores; store != NULL; store = store->next)
		n += am_ring_expire(&store->ring, before, AM_RING_KEEP);
	am_unlock(&engine->lock);
	/* They lay between objects that stay; without this the pages would be kept for the next storm. */
	if (n >= AM_RING_KEEP)
		(void)malloc_trim(0);
}

int
am_engine_compact(struct am_engine *engine, int64_t keep_rows, struct ambient_error *err)
{
	int rc = am_engine_trim(engine, keep_rows, 0, err);

	am_lock(&engine->lock);
	for (struct am_store *store = engine->stores; rc == 0 && store != NULL; store = store->next)
		am_ring_forget(&store->ring, engine->floor);
	am_unlock(&engine->lock);
	return rc;
}

static int
look(void *arg, struct ambient_error *err)
{
	(void)err;
	am_space_look(arg);
	return 0;
}

void
am_engine_look(struct am_engine *engine)
{
	(void)am_writer_call(engine->writer, look, engine, NULL);
}

struct checkpoint {
	struct am_engine *engine;
	bool truncate;
};

static int
checkpoint(void *arg, struct ambient_error *err)
{
	struct checkpoint *c = arg;

	am_db_checkpoint(c->engine->db, c->truncate);
	if (atomic_load(&c->engine->space) == AM_SPACE_ENOUGH)
		am_db_vacuum(c->engine->db);
	if (c->engine->options.quota > 0)
		am_space_look(c->engine);
	return 0;
}

void
am_engine_checkpoint(struct am_engine *engine, bool truncate)
{
	struct checkpoint c = { engine, truncate };

	(void)am_writer_call(engine->writer, checkpoint, &c, NULL);
}
