/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The janitor: what the engine does by itself.  Each published change notes, in memory, which objects need a look
 * (am_janitor_note); the janitor's thread takes them one by one and acts by ordinary writes, so that it may be
 * killed at any point.  Looking again is always harmless.
 *
 * Collection by owner references: an object whose owners are all gone goes too; one that has a living owner only
 * loses the dangling references; foreground and orphan deletion are finalizers that are worked off here.
 */
#include <stdlib.h>

#include "core/base/log.h"
#include "plugins/standalone/apiserver/janitor.h"
#include "plugins/standalone/apiserver/quota.h"

#define TRIM_EVERY       (60 * AM_NS_PER_S)
#define EXPIRE_EVERY     (30 * AM_NS_PER_S)
#define CHECKPOINT_EVERY (1 * AM_NS_PER_S)
#define LOOK_EVERY       TRIM_EVERY
#define LOOK_EVERY_FULL  (2 * AM_NS_PER_S)
#define LOG_ROWS_FULL    200 /* history that stays while there is no space */
#define HISTORY_AGE      (600 * AM_NS_PER_S)
#define EXPIRE_BATCH     100
#define CYCLE_LIMIT      4096

enum task_kind { TASK_DEPENDENT = 'd', TASK_OWNER = 'o', TASK_NAMESPACE = 'n', TASK_DEFINITION = 'c',
		 TASK_AGGREGATE = 'a', TASK_QUOTA = 'q' };

struct task {
	enum task_kind kind;
	char key[]; /* uid or name */
};

struct am_janitor {
	struct am_engine *engine;
	struct am_cond wake;
	struct am_map *tasks; /* kind and key -> struct task; engine->lock */
	struct am_thread *thread;
	bool stop;
	int64_t next_trim, next_expire, next_checkpoint, next_look;
	uint64_t checkpointed;
};

/* ---- the queue; engine->lock held ---- */

static void
enqueue(struct am_janitor *janitor, enum task_kind kind, const char *key)
{
	char name[640];

	snprintf(name, sizeof(name), "%c%s", (char)kind, key);
	if (am_map_has(janitor->tasks, name))
		return;
	struct task *task = am_xcalloc(1, sizeof(*task) + strlen(key) + 1);
	task->kind = kind;
	memcpy(task->key, key, strlen(key) + 1);
	am_map_put(janitor->tasks, name, task);
	am_cond_signal(&janitor->wake);
}

enum owner_state { OWNER_SOLID, OWNER_WAITING, OWNER_ABSENT };

static enum owner_state
owner_state(struct am_engine *engine, const struct am_object *dependent, const struct am_owner_ref *ref)
{
	const struct am_store_entry *entry = am_store_by_uid(engine, ref->uid);

	if (entry == NULL || strcmp(entry->object->name, ref->name) != 0)
		return OWNER_ABSENT;
	/* An owner is in the same namespace or in none. */
	if (entry->object->ns[0] != '\0' && strcmp(entry->object->ns, dependent->ns) != 0)
		return OWNER_ABSENT;
	if (entry->store->storage != NULL && strcmp(entry->store->storage->kind, ref->kind) != 0)
		return OWNER_ABSENT;
	if ((entry->object->flags & AM_OBJ_DELETING) && (entry->object->flags & AM_OBJ_FOREGROUND))
		return OWNER_WAITING;
	return OWNER_SOLID;
}

static void
note_owners(struct am_janitor *janitor, const struct am_object *object)
{
	for (uint32_t i = 0; i < object->n_owners; i++) {
		enum owner_state state = owner_state(janitor->engine, object, &object->owners[i]);
		if (state == OWNER_WAITING)
			enqueue(janitor, TASK_OWNER, object->owners[i].uid);
		if (state != OWNER_SOLID)
			enqueue(janitor, TASK_DEPENDENT, object->uid);
	}
}

static void
note_gone(struct am_janitor *janitor, struct am_store *store, const struct am_object *old)
{
	struct am_engine *engine = janitor->engine;
	const struct am_dependents *d = am_store_dependents(engine, old->uid);
	char name[640];

	for (size_t i = 0; d != NULL && i < d->n; i++)
		enqueue(janitor, TASK_DEPENDENT, d->items[i].object->uid);
	for (uint32_t i = 0; i < old->n_owners; i++)
		if (owner_state(engine, old, &old->owners[i]) == OWNER_WAITING)
			enqueue(janitor, TASK_OWNER, old->owners[i].uid);
	if (store->namespaced) {
		const struct am_object *ns = am_store_peek(engine->namespaces, "", old->ns);
		if (ns != NULL && (ns->flags & AM_OBJ_DELETING))
			enqueue(janitor, TASK_NAMESPACE, old->ns);
	}
	if (store->refusing) {
		snprintf(name, sizeof(name), "%s.%s", store->plural, store->group);
		enqueue(janitor, TASK_DEFINITION, name);
	}
	if (store == engine->crds)
		enqueue(janitor, TASK_DEFINITION, old->name);
	if (store == engine->cluster_roles)
		enqueue(janitor, TASK_AGGREGATE, "");
}

void
am_janitor_note(struct am_engine *engine, struct am_store *store, const struct am_object *old,
		const struct am_object *object)
{
	struct am_janitor *janitor = engine->janitor;
	bool deleting = object != NULL && (object->flags & AM_OBJ_DELETING);
	const char *ns;

	if (am_quota_concerns(engine, store, old, object, &ns))
		enqueue(janitor, TASK_QUOTA, ns);
	if (object == NULL) {
		note_gone(janitor, store, old);
		return;
	}
	if (deleting && (object->flags & (AM_OBJ_FOREGROUND | AM_OBJ_ORPHAN)))
		enqueue(janitor, TASK_OWNER, object->uid);
	if (object->n_owners > 0)
		note_owners(janitor, object);
	if (old != NULL && old->n_owners > 0)
		note_owners(janitor, old);
	if (store == engine->namespaces && deleting)
		enqueue(janitor, TASK_NAMESPACE, object->name);
	if (store == engine->crds)
		enqueue(janitor, TASK_DEFINITION, object->name);
	if (store == engine->cluster_roles)
		enqueue(janitor, TASK_AGGREGATE, "");
}

/* ---- deleting and editing, outside the lock ---- */

static bool
remove_object(struct am_engine *engine, struct am_store *store, const struct am_object *object,
	      enum am_propagation propagation)
{
	struct am_delete_options options = { .grace = -1, .uid = object->uid, .propagation = propagation,
					     .user = "system:serviceaccount:kube-system:generic-garbage-collector" };
	struct am_failure failure = { 0 };
	struct am_written written = { 0 };

	const struct am_resource *res = am_store_storage(store);
	if (res == NULL)
		return false;
	int rc = am_engine_delete(engine, res, object->ns, object->name, &options, &written, &failure);
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND && rc != -AMBIENT_E_CONFLICT)
		am_log_warn("apiserver", "cannot delete %s \"%s/%s\": %s", store->plural, object->ns, object->name,
			    failure.message);
	am_written_fini(&written);
	am_failure_fini(&failure);
	am_resource_unref(res);
	return rc == 0;
}

size_t
am_janitor_empty(struct am_engine *engine, struct am_store *store, const char *ns, size_t *ret_left, size_t *ret_held)
{
	struct am_list list;
	size_t steps = 0;

	*ret_left = *ret_held = 0;
	am_engine_all(engine, store->group, store->plural, ns, &list);
	for (size_t i = 0; i < list.n; i++)
		if (!(list.items[i]->flags & AM_OBJ_DELETING))
			steps += remove_object(engine, store, list.items[i], AM_PROPAGATION_BACKGROUND);
	am_list_fini(&list);
	am_engine_all(engine, store->group, store->plural, ns, &list);
	*ret_left = list.n;
	for (size_t i = 0; i < list.n; i++)
		*ret_held += (list.items[i]->flags & AM_OBJ_FINALIZERS) != 0;
	am_list_fini(&list);
	return steps;
}

/* ---- dependents ---- */

struct drop_refs {
	const char *const *uids;
	size_t n;
};

static int
drop_refs(void *arg, struct am_arena *arena, struct am_node *object)
{
	const struct drop_refs *d = arg;
	struct am_node *metadata = am_node_get(object, "metadata"), *refs = am_node_get(metadata, "ownerReferences");
	bool changed = false;

	for (struct am_node *r = refs != NULL ? refs->first : NULL, *next; r != NULL; r = next) {
		next = r->next;
		for (size_t i = 0; i < d->n; i++) {
			if (!am_streq(am_node_get_str(r, "uid", NULL), d->uids[i]))
				continue;
			am_node_remove(refs, r);
			changed = true;
			break;
		}
	}
	if (changed && refs->count == 0)
		am_node_del(metadata, "ownerReferences");
	return changed ? 0 : -AMBIENT_E_EXISTS;
}

static size_t
work_dependent(struct am_engine *engine, const char *uid)
{
	struct am_store *store = NULL;
	struct am_object *object = NULL;
	size_t solid = 0, waiting = 0, n_dead = 0;
	bool blocks = false;
	const char *dead[64];

	am_lock(&engine->lock);
	const struct am_store_entry *entry = am_store_by_uid(engine, uid);
	if (entry != NULL) {
		store = entry->store;
		object = am_object_ref(entry->object);
	}
	for (uint32_t i = 0; object != NULL && i < object->n_owners; i++) {
		enum owner_state state = owner_state(engine, object, &object->owners[i]);
		solid += state == OWNER_SOLID;
		waiting += state == OWNER_WAITING;
		if (state != OWNER_SOLID && n_dead < AM_COUNTOF(dead))
			dead[n_dead++] = object->owners[i].uid;
	}
	blocks = object != NULL && am_store_dependents(engine, uid) != NULL;
	am_unlock(&engine->lock);
	size_t steps = 0;
	if (object != NULL && solid > 0 && n_dead > 0) {
		struct drop_refs d = { dead, n_dead };
		struct am_commit commit = { drop_refs, &d };
		steps = am_change_edit(engine, store, object->ns, object->name, uid, &commit, NULL) == 0;
	} else if (object != NULL && solid == 0 && n_dead > 0 && !(object->flags & AM_OBJ_DELETING)) {
		enum am_propagation how = waiting > 0 && blocks ? AM_PROPAGATION_FOREGROUND : AM_PROPAGATION_BACKGROUND;
		steps = remove_object(engine, store, object, how);
	}
	am_object_unref(object);
	return steps;
}

/* ---- owners that wait ---- */

/* Whether owner is, over any number of steps, a dependent of what has this uid.  The lock is held. */
static bool
is_cycle(struct am_engine *engine, const char *uid, const char *owner, int *budget)
{
	const struct am_dependents *d = am_store_dependents(engine, uid);

	for (size_t i = 0; d != NULL && i < d->n && --*budget > 0; i++)
		if (strcmp(d->items[i].object->uid, owner) == 0 ||
		    (d->items[i].object->flags & AM_OBJ_DELETING && is_cycle(engine, d->items[i].object->uid, owner, budget)))
			return true;
	return false;
}

static bool
blocks_owner(struct am_engine *engine, const struct am_object *dependent, const char *owner)
{
	int budget = CYCLE_LIMIT;

	for (uint32_t i = 0; i < dependent->n_owners; i++)
		if (strcmp(dependent->owners[i].uid, owner) == 0 && dependent->owners[i].block)
			return !is_cycle(engine, dependent->uid, owner, &budget);
	return false;
}

static int
drop_finalizer(void *arg, struct am_arena *arena, struct am_node *object)
{
	return am_meta_remove_finalizer(object, arg) ? 0 : -AMBIENT_E_EXISTS;
}

static size_t
finish_owner(struct am_engine *engine, struct am_store *store, const struct am_object *owner, const char *finalizer)
{
	char text[32];
	struct am_commit commit = { drop_finalizer, text };

	am_strlcpy(text, finalizer, sizeof(text));
	return am_change_edit(engine, store, owner->ns, owner->name, owner->uid, &commit, NULL) == 0;
}

struct family {
	struct am_store *store;
	struct am_object *owner, **children;
	struct am_store **child_stores;
	size_t n, blocking;
};

static void
family_get(struct am_engine *engine, const char *uid, struct family *f)
{
	*f = (struct family){ 0 };
	am_lock(&engine->lock);
	const struct am_store_entry *entry = am_store_by_uid(engine, uid);
	const struct am_dependents *d = am_store_dependents(engine, uid);
	if (entry != NULL) {
		f->store = entry->store;
		f->owner = am_object_ref(entry->object);
		f->children = am_xcalloc(d != NULL ? d->n + 1 : 1, sizeof(struct am_object *));
		f->child_stores = am_xcalloc(d != NULL ? d->n + 1 : 1, sizeof(struct am_store *));
		for (size_t i = 0; d != NULL && i < d->n; i++, f->n++) {
			f->children[i] = am_object_ref(d->items[i].object);
			f->child_stores[i] = d->items[i].store;
			f->blocking += blocks_owner(engine, d->items[i].object, uid);
		}
	}
	am_unlock(&engine->lock);
}

static void
family_fini(struct family *f)
{
	for (size_t i = 0; i < f->n; i++)
		am_object_unref(f->children[i]);
	am_object_unref(f->owner);
	free(f->children);
	free(f->child_stores);
}

static size_t
work_owner(struct am_engine *engine, const char *uid)
{
	struct family f;
	size_t steps = 0;

	family_get(engine, uid, &f);
	if (f.owner == NULL || !(f.owner->flags & AM_OBJ_DELETING)) {
		family_fini(&f);
		return 0;
	}
	if (f.owner->flags & AM_OBJ_ORPHAN) {
		struct drop_refs d = { &uid, 1 };
		struct am_commit commit = { drop_refs, &d };
		for (size_t i = 0; i < f.n; i++)
			steps += am_change_edit(engine, f.child_stores[i], f.children[i]->ns, f.children[i]->name,
						f.children[i]->uid, &commit, NULL) == 0;
		steps += finish_owner(engine, f.store, f.owner, "orphan");
	} else if (f.owner->flags & AM_OBJ_FOREGROUND) {
		for (size_t i = 0; i < f.n; i++)
			steps += work_dependent(engine, f.children[i]->uid);
		family_fini(&f);
		family_get(engine, uid, &f);
		if (f.owner != NULL && f.blocking == 0)
			steps += finish_owner(engine, f.store, f.owner, "foregroundDeletion");
	}
	family_fini(&f);
	return steps;
}

/* ---- events grow old ---- */

static size_t
expire(struct am_engine *engine)
{
	struct am_list list;
	int64_t limit = am_clock_wall(engine->clock) - engine->options.event_ttl_ns;
	size_t steps = 0;

	am_engine_all(engine, "", "events", NULL, &list);
	for (size_t i = 0; i < list.n && steps < EXPIRE_BATCH; i++)
		if (list.items[i]->mtime < limit)
			steps += remove_object(engine, engine->events, list.items[i], AM_PROPAGATION_BACKGROUND);
	am_list_fini(&list);
	return steps;
}

/* ---- the thread ---- */

static size_t
work(struct am_engine *engine, const struct task *task)
{
	switch (task->kind) {
	case TASK_DEPENDENT:
		return work_dependent(engine, task->key);
	case TASK_OWNER:
		return work_owner(engine, task->key);
	case TASK_NAMESPACE:
		return am_janitor_namespace(engine, task->key);
	case TASK_QUOTA:
		return am_quota_refresh(engine, task->key);
	case TASK_DEFINITION:
		return am_janitor_definition(engine, task->key);
	case TASK_AGGREGATE:
		return am_engine_aggregate(engine);
	}
	return 0;
}

/* The lock is held; it is let go while working.  false: nothing is due. */
static bool
work_one(struct am_janitor *janitor, size_t *steps)
{
	const char *key;
	void *value;

	for (size_t it = 0; am_map_next(janitor->tasks, &it, &key, &value);) {
		struct task *task = am_map_take(janitor->tasks, key);
		am_unlock(&janitor->engine->lock);
		*steps += work(janitor->engine, task);
		free(task);
		am_lock(&janitor->engine->lock);
		return true;
	}
	return false;
}

/* What was left undone when the last process ended: look at everything once. */
static void
note_all(struct am_engine *engine)
{
	am_lock(&engine->lock);
	for (struct am_store *store = engine->stores; store != NULL; store = store->next) {
		struct am_cursor c = { 0, 0 };
		for (struct am_object *object; (object = am_sorted_next(store->objects, &c)) != NULL;)
			am_janitor_note(engine, store, NULL, object);
	}
	am_unlock(&engine->lock);
}

static void
do_timed(struct am_janitor *janitor)
{
	struct am_engine *engine = janitor->engine;
	int64_t now = am_clock_boot(engine->clock);
	uint64_t writes = engine->writes;

	am_unlock(&engine->lock);
	am_engine_pack_rest(engine);
	if (now >= janitor->next_expire) {
		size_t n = expire(engine);
		janitor->next_expire = now + (n == EXPIRE_BATCH ? AM_NS_PER_S : EXPIRE_EVERY);
	}
	if (now >= janitor->next_trim) {
		bool enough = atomic_load(&engine->space) == AM_SPACE_ENOUGH;
		(void)am_engine_trim(engine, enough ? engine->options.log_rows : LOG_ROWS_FULL, enough ? HISTORY_AGE : 0, NULL);
		am_engine_forget(engine);
		note_all(engine); /* what failed, for example on a full disk, is tried again */
		janitor->next_trim = now + TRIM_EVERY;
	}
	if (now >= janitor->next_checkpoint) {
		if (writes != janitor->checkpointed)
			am_engine_checkpoint(engine, false);
		janitor->checkpointed = writes;
		janitor->next_checkpoint = now + CHECKPOINT_EVERY;
	}
	if (now >= janitor->next_look) {
		am_engine_look(engine);
		janitor->next_look = now + LOOK_EVERY;
	}
	/* Also when the disk has filled up since the last look. */
	if (atomic_load(&engine->space) != AM_SPACE_ENOUGH)
		janitor->next_look = AM_MIN(janitor->next_look, now + LOOK_EVERY_FULL);
	am_lock(&engine->lock);
}

static void
janitor_main(void *arg)
{
	struct am_janitor *janitor = arg;
	struct am_engine *engine = janitor->engine;
	size_t steps = 0;

	am_lock(&engine->lock);
	while (!janitor->stop) {
		if (work_one(janitor, &steps))
			continue;
		do_timed(janitor);
		int64_t until = janitor->next_checkpoint;
		if (engine->writes == janitor->checkpointed)
			until = AM_MIN(janitor->next_expire, janitor->next_trim);
		until = AM_MIN(until, janitor->next_look);
		if (!janitor->stop && am_map_len(janitor->tasks) == 0)
			am_cond_wait(&janitor->wake, &engine->lock, until);
	}
	am_unlock(&engine->lock);
}

size_t
am_engine_janitor_run(struct am_engine *engine)
{
	size_t steps = 0;

	am_lock(&engine->lock);
	for (int i = 0; i < 1000000 && work_one(engine->janitor, &steps); i++)
		;
	am_unlock(&engine->lock);
	for (size_t n = 1; n > 0;) {
		n = expire(engine);
		steps += n;
	}
	am_engine_forget(engine);
	am_engine_pack_rest(engine);
	return steps;
}

struct am_janitor *
am_janitor_new(struct am_engine *engine)
{
	struct am_janitor *janitor = am_xcalloc(1, sizeof(*janitor));

	janitor->engine = engine;
	janitor->tasks = am_map_new();
	am_cond_init(&janitor->wake, engine->clock);
	return janitor;
}

void
am_janitor_wake(struct am_janitor *janitor)
{
	am_lock(&janitor->engine->lock);
	am_cond_signal(&janitor->wake);
	am_unlock(&janitor->engine->lock);
}

int
am_janitor_start(struct am_janitor *janitor, struct ambient_error *err)
{
	note_all(janitor->engine);
	if (janitor->engine->options.no_janitor)
		return 0;
	/* The reserve is set aside when the start is over. */
	janitor->next_look = am_clock_boot(janitor->engine->clock) + AM_NS_PER_S;
	janitor->thread = am_thread_new("api-janitor", 0, janitor_main, janitor);
	return janitor->thread != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "cannot start the janitor's thread");
}

void
am_janitor_stop(struct am_janitor *janitor)
{
	am_lock(&janitor->engine->lock);
	janitor->stop = true;
	am_cond_broadcast(&janitor->wake);
	am_unlock(&janitor->engine->lock);
	am_thread_join(janitor->thread);
	janitor->thread = NULL;
}

void
am_janitor_free(struct am_janitor *janitor)
{
	const char *key;
	void *value;

	for (size_t it = 0; am_map_next(janitor->tasks, &it, &key, &value);)
		free(value);
	am_map_free(janitor->tasks);
	am_cond_fini(&janitor->wake);
	free(janitor);
}
