/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thread that writes.  Whoever wants to change something prepares the whole new text on its own thread,
 * against the object that it saw, and queues that.  The writer takes what is queued, checks that each
 * operation's object is still the one it saw, writes them in one transaction, commits, publishes the events in
 * the order of their revisions, and only then answers: a success is durable.  An operation whose object has changed
 * meanwhile is answered with RETRY and prepared again.  An operation may carry others: all are stored, or none.
 */
#include <stdlib.h>

#include "core/base/log.h"
#include "plugins/standalone/apiserver/engine_priv.h"

#define BATCH     64 /* an operation that carries more than that is a batch of its own */
#define PACK_IDLE 16 /* events of a resource to gather before they are packed */
#define PACK_BUSY 256

struct am_writer {
	struct am_engine *engine;
	struct am_lock lock;
	struct am_cond wake;
	struct am_op *first, **last;
	struct am_thread *thread;
	struct am_op **batch; /* the thread's: what is being written */
	size_t cap;
	bool stop;
	struct ambient_error health; /* code 0: the last commit went well */
};

/* ---- one operation inside the transaction ---- */

/* The engine's memory is only changed by this thread, so it may be read without the lock here. */
static enum am_op_result
check(struct am_engine *engine, const struct am_op *op, struct am_op *const *batch, size_t before)
{
	for (size_t i = 0; i < before; i++) {
		const struct am_op *other = batch[i];
		if (other->result != AM_OP_DONE)
			continue;
		if (other->store == op->store && am_key_cmp(other->ns, other->name, op->ns, op->name) == 0)
			return AM_OP_RETRY;
		if (op->kind == AM_OP_CREATE && op->store->namespaced && other->store == engine->namespaces &&
		    am_streq(other->name, op->ns))
			return AM_OP_RETRY;
	}
	const struct am_object *now = am_store_peek(op->store, op->ns, op->name);
	if (now == NULL || op->old == NULL ? now != op->old : now->stamp != op->old->stamp)
		return op->old == NULL ? AM_OP_EXISTS : AM_OP_RETRY;
	if (op->kind != AM_OP_CREATE)
		return AM_OP_DONE;
	if (op->store->refusing)
		return AM_OP_REFUSED;
	if (op->store->namespaced) {
		const struct am_object *ns = am_store_peek(engine->namespaces, "", op->ns);
		if (ns == NULL)
			return AM_OP_NO_NAMESPACE;
		if (ns->flags & AM_OBJ_DELETING)
			return AM_OP_NAMESPACE_ENDS;
	}
	return AM_OP_DONE;
}

static bool
same_labels(const struct am_object *a, const struct am_object *b)
{
	if (a->n_labels != b->n_labels)
		return false;
	for (uint32_t i = 0; i < 2 * a->n_labels; i++)
		if (strcmp(a->labels[i], b->labels[i]) != 0)
			return false;
	return true;
}

/* Whether selectors may see the two differently; then history needs the old text too. */
static bool
selectors_differ(const struct am_store *store, const struct am_object *a, const struct am_object *b)
{
	if (!same_labels(a, b))
		return true;
	for (size_t v = 0; v < store->n_versions; v++)
		if (store->versions[v]->selectable != NULL)
			return true;
	return false;
}

static const enum am_event_type event_of[] = {
	[AM_OP_CREATE] = AM_EVENT_ADDED, [AM_OP_UPDATE] = AM_EVENT_MODIFIED, [AM_OP_DELETE] = AM_EVENT_DELETED,
};

static int
store_op(struct am_engine *engine, struct am_op *op, uint64_t rv)
{
	struct am_buf prev = { 0 };
	struct am_db_row row = {
		.id = op->old != NULL ? op->old->id : 0, .res = op->store->id, .ns = op->ns, .name = op->name, .rv = rv,
		.mtime = op->mtime, .body = op->raw, .len = op->len, .op = (int)event_of[op->kind],
	};
	int rc = 0;

	switch (op->kind) {
	case AM_OP_CREATE:
		rc = am_db_insert(engine->db, &row, &op->err);
		break;
	case AM_OP_UPDATE:
		rc = am_db_update(engine->db, &row, &op->err);
		break;
	default:
		rc = am_db_delete(engine->db, row.id, &op->err);
		break;
	}
	op->object = rc == 0 ? am_object_new(op->raw, op->len, rv, row.id, op->mtime) : NULL;
	if (rc == 0 && op->object == NULL)
		rc = ambient_err(&op->err, AMBIENT_E_NOMEM, "no memory for an object of %zu bytes", op->len);
	if (rc == 0 && op->old != NULL && selectors_differ(op->store, op->old, op->object)) {
		am_object_raw(op->old, &prev);
		row.prev = prev.data;
		row.prev_len = prev.len;
	}
	if (rc == 0)
		rc = am_db_log(engine->db, &row, &op->err);
	am_buf_fini(&prev);
	return rc;
}

/* ---- a batch ---- */

/* Makes the committed operations visible, in order.  The engine's lock is held. */
static void
publish(struct am_engine *engine, struct am_op *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct am_op *op = batch[i];
		if (op->result != AM_OP_DONE)
			continue;
		struct am_store *store = op->store;
		/* What is in the table may be a packed copy of what the operation was prepared against. */
		am_ring_push(&store->ring, op->object->rv, event_of[op->kind], op->object, am_store_peek(store, op->ns, op->name));
		am_store_put(store, op->ns, op->name, op->kind == AM_OP_DELETE ? NULL : am_object_ref(op->object));
		store->rv = op->object->rv;
		engine->rv = op->object->rv;
		engine->writes++;
		am_janitor_note(engine, store, op->old, op->kind == AM_OP_DELETE ? NULL : op->object);
	}
	engine->commits++;
	for (size_t i = 0; i < n; i++) {
		struct am_store *store = batch[i]->store;

		if (batch[i]->result != AM_OP_DONE)
			continue;
		am_watch_wake_all(store);
		if (store->ring.bytes > store->ring.fit_at)
			am_ring_fit(&store->ring, am_watch_needed(store));
	}
	am_cond_broadcast(&engine->changed);
}

static void
fail_batch(struct am_engine *engine, struct am_op *const *batch, size_t n, const struct ambient_error *err)
{
	am_db_rollback(engine->db);
	for (size_t i = 0; i < n; i++) {
		am_object_unref(batch[i]->object);
		batch[i]->object = NULL;
		if (batch[i]->result == AM_OP_DONE) {
			batch[i]->result = AM_OP_FAILED;
			batch[i]->err = *err;
		}
	}
}

/* An operation and what goes with it, which stands behind it: all, or none. */
static void
join_groups(struct am_op *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool all = true;
		size_t end = i;

		for (; batch[end]->with != NULL; end++)
			all &= batch[end]->result == AM_OP_DONE;
		all &= batch[end]->result == AM_OP_DONE;
		for (size_t k = i; !all && k <= end; k++)
			if (batch[k]->result == AM_OP_DONE)
				batch[k]->result = AM_OP_RETRY;
		i = end;
	}
}

static int
write_batch(struct am_engine *engine, struct am_op *const *batch, size_t n, struct ambient_error *err)
{
	uint64_t rv = engine->rv;
	size_t done = 0;
	int64_t now = am_clock_wall(engine->clock);

	for (size_t i = 0; i < n; i++) {
		batch[i]->result = check(engine, batch[i], batch, i);
		batch[i]->mtime = now;
	}
	am_space_prepare(engine, batch, n);
	join_groups(batch, n);
	for (size_t i = 0; i < n; i++)
		done += batch[i]->result == AM_OP_DONE;
	if (done == 0)
		return 0;
	int rc = am_db_begin(engine->db, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (batch[i]->result != AM_OP_DONE)
			continue;
		rc = store_op(engine, batch[i], ++rv);
		if (rc < 0)
			ambient_err_copy(err, &batch[i]->err);
	}
	if (rc == 0)
		rc = am_db_commit(engine->db, rv, err);
	if (rc < 0) {
		fail_batch(engine, batch, n, err);
		return am_space_failed(engine, err) ? write_batch(engine, batch, n, err) : rc;
	}
	am_lock(&engine->lock);
	publish(engine, batch, n);
	am_unlock(&engine->lock);
	return 0;
}

/* ---- the queue ---- */

/* Takes up to BATCH operations, at least the first with all that it carries; a call is a batch of its own. */
static size_t
take(struct am_writer *writer)
{
	size_t n = 0;

	while (writer->first != NULL && !(n > 0 && writer->first->kind == AM_OP_CALL)) {
		size_t group = 0;
		for (struct am_op *op = writer->first; op != NULL; op = op->with)
			group++;
		if (n > 0 && n + group > BATCH)
			break;
		if (n + group > writer->cap) {
			writer->cap = AM_MAX(n + group, (size_t)BATCH);
			writer->batch = am_xrealloc(writer->batch, writer->cap, sizeof(*writer->batch));
		}
		bool call = writer->first->kind == AM_OP_CALL;
		for (struct am_op *op = writer->first; op != NULL; op = op->with)
			writer->batch[n++] = op;
		writer->first = writer->first->next;
		if (call)
			break;
	}
	if (writer->first == NULL)
		writer->last = &writer->first;
	return n;
}

static void
note_health(struct am_writer *writer, int rc, const struct ambient_error *err)
{
	if (rc < 0 && writer->health.code == 0)
		am_log_error("apiserver", "writes fail: %s", err->message);
	else if (rc == 0 && writer->health.code != 0)
		am_log_info("apiserver", "writes work again");
	if (rc < 0)
		writer->health = *err;
	else
		writer->health.code = 0;
}

/* Between two batches, when nobody waits for it, or much has gathered. */
static void
tidy(struct am_engine *engine, bool idle)
{
	am_db_breathe(engine->db);
	for (struct am_store *store = engine->stores; store != NULL; store = store->next)
		if (store->packer != NULL && store->ring.head - store->ring.packed >= (idle ? PACK_IDLE : PACK_BUSY))
			am_store_pack(store);
}

static void
writer_main(void *arg)
{
	struct am_writer *writer = arg;

	am_lock(&writer->lock);
	while (writer->first != NULL || !writer->stop) {
		if (writer->first == NULL) {
			am_cond_wait(&writer->wake, &writer->lock, AM_FOREVER);
			continue;
		}
		struct ambient_error err = AMBIENT_ERROR_INIT;
		size_t n = take(writer);
		struct am_op *const *batch = writer->batch;
		am_unlock(&writer->lock);
		bool call = batch[0]->kind == AM_OP_CALL;
		int rc = call ? batch[0]->call(batch[0]->arg, &batch[0]->err) : write_batch(writer->engine, batch, n, &err);
		am_lock(&writer->lock);
		if (call)
			batch[0]->result = rc < 0 ? AM_OP_FAILED : AM_OP_DONE;
		else
			note_health(writer, rc, &err);
		for (size_t i = 0; i < n; i++) {
			batch[i]->done = true;
			am_cond_signal(&batch[i]->cond);
		}
		if (!call) {
			bool idle = writer->first == NULL;
			am_unlock(&writer->lock);
			tidy(writer->engine, idle);
			am_lock(&writer->lock);
		}
	}
	am_unlock(&writer->lock);
}

void
am_writer_run(struct am_writer *writer, struct am_op *op)
{
	for (struct am_op *o = op; o != NULL; o = o->with) {
		o->err = (struct ambient_error)AMBIENT_ERROR_INIT;
		o->object = NULL;
		o->next = NULL;
		o->done = false;
		am_cond_init(&o->cond, am_clock_real());
	}
	am_lock(&writer->lock);
	*writer->last = op;
	writer->last = &op->next;
	am_cond_signal(&writer->wake);
	while (!op->done)
		am_cond_wait(&op->cond, &writer->lock, AM_FOREVER);
	am_unlock(&writer->lock);
	for (struct am_op *o = op; o != NULL; o = o->with)
		am_cond_fini(&o->cond);
}

int
am_writer_call(struct am_writer *writer, int (*call)(void *arg, struct ambient_error *err), void *arg,
	       struct ambient_error *err)
{
	struct am_op op = { .kind = AM_OP_CALL, .call = call, .arg = arg };

	am_writer_run(writer, &op);
	if (op.result == AM_OP_DONE)
		return 0;
	ambient_err_copy(err, &op.err);
	return -AM_MAX(op.err.code, 1);
}

int
am_writer_healthy(struct am_writer *writer, struct ambient_error *err)
{
	am_lock(&writer->lock);
	int code = writer->health.code;
	if (code != 0 && err != NULL)
		ambient_err_copy(err, &writer->health);
	am_unlock(&writer->lock);
	return code != 0 ? -code : am_space_healthy(writer->engine, err);
}

struct am_writer *
am_writer_new(struct am_engine *engine)
{
	struct am_writer *writer = am_xcalloc(1, sizeof(*writer));

	writer->engine = engine;
	writer->last = &writer->first;
	am_lock_init(&writer->lock, "apiserver-writer");
	am_cond_init(&writer->wake, am_clock_real());
	writer->thread = am_thread_new("api-writer", 0, writer_main, writer);
	if (writer->thread == NULL) {
		am_writer_free(writer);
		return NULL;
	}
	return writer;
}

void
am_writer_free(struct am_writer *writer)
{
	if (writer == NULL)
		return;
	am_lock(&writer->lock);
	writer->stop = true;
	am_cond_broadcast(&writer->wake);
	am_unlock(&writer->lock);
	am_thread_join(writer->thread);
	am_cond_fini(&writer->wake);
	am_lock_fini(&writer->lock);
	free(writer->batch);
	free(writer);
}
