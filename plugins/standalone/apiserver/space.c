/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written when there is no more space.  As long as the disk gives room, everything; when it does not, or the
 * database has reached its quota, only what ends things: deletions, updates that change no specification (status,
 * finalizers, leases), and some events.  The rest is refused with a sentence, before anything of it was written.  For
 * that the database's reserve is opened; it is made again, and everything is written again, once there is space.
 */
#include "core/base/log.h"
#include "plugins/standalone/apiserver/engine_priv.h"

#define EVENTS_MAX  100          /* written on the reserve */
#define GROWTH_MAX  (64 * 1024)  /* by which an update may make its object longer */
#define OVERHEAD    (16 * 1024)  /* pages that a write touches beside those of its texts */

static const char *const sentences[] = {
	[AM_SPACE_QUOTA] = "the database has reached its quota; delete objects or raise the option \"quota\"",
	[AM_SPACE_DISK] = "the disk that holds state.db is full; free some space",
};

static void
enter(struct am_engine *engine, enum am_space space)
{
	enum am_space before = (enum am_space)atomic_exchange(&engine->space, (int)space);

	if (space == before)
		return;
	engine->emergency_events = 0;
	if (space == AM_SPACE_ENOUGH)
		am_log_info("apiserver", "there is space again: everything is written");
	else
		am_log_error("apiserver", "database space exceeded: %s; until then only deletions, status and leases are written",
			     sentences[space]);
	if (engine->janitor != NULL)
		am_janitor_wake(engine->janitor);
	if (engine->options.space_changed != NULL)
		engine->options.space_changed(engine->options.space_arg, space != AM_SPACE_ENOUGH);
}

/* ---- what ends things ---- */

static int64_t
generation(const char *text, size_t len)
{
	return am_json_int(am_slice(text, len), "/metadata/generation", 0);
}

bool
am_space_admits(struct am_engine *engine, const struct am_op *op)
{
	const struct am_store *store = op->store;

	if (atomic_load(&engine->space) == AM_SPACE_ENOUGH || op->kind == AM_OP_DELETE)
		return true;
	if (store == engine->events)
		return engine->emergency_events++ < EVENTS_MAX;
	if (strcmp(store->group, "coordination.k8s.io") == 0)
		return true;
	if (op->kind != AM_OP_UPDATE)
		return false;
	return am_json_find(am_slice(op->raw, op->len), "/metadata/deletionTimestamp", NULL) ||
	       (op->len <= op->old->len + GROWTH_MAX && generation(op->raw, op->len) == generation(op->old->body, op->old->len));
}

/* ---- before and after a transaction ---- */

/* Closes the tap: what is in the log is carried over, and the reserve's pages take what comes. */
static void
disk_is_full(struct am_engine *engine)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	enter(engine, AM_SPACE_DISK);
	if (am_db_reserve_open(engine->db, &err) < 0)
		am_log_error("apiserver", "%s", err.message);
}

void
am_space_prepare(struct am_engine *engine, struct am_op *const *batch, size_t n)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	size_t bytes = 0;

	/* The new text twice, for the table and for the history, and the old one where selectors need it. */
	for (size_t i = 0; i < n; i++)
		if (batch[i]->result == AM_OP_DONE)
			bytes += 2 * batch[i]->len + (batch[i]->old != NULL ? batch[i]->old->len : 0) + OVERHEAD;
	if (atomic_load(&engine->space) != AM_SPACE_DISK && am_db_room(engine->db, bytes, &err) < 0)
		disk_is_full(engine);
	for (size_t i = 0; i < n; i++)
		if (batch[i]->result == AM_OP_DONE && !am_space_admits(engine, batch[i]))
			batch[i]->result = AM_OP_NO_SPACE;
}

bool
am_space_failed(struct am_engine *engine, const struct ambient_error *err)
{
	if (!am_db_full(engine->db) || atomic_load(&engine->space) == AM_SPACE_DISK)
		return false;
	am_log_warn("apiserver", "%s", err->message);
	disk_is_full(engine);
	return true;
}

void
am_space_look(struct am_engine *engine)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t quota = engine->options.quota;

	if (am_db_reserve_make(engine->db, &err) < 0) {
		if (am_db_full(engine->db) && atomic_load(&engine->space) != AM_SPACE_DISK)
			disk_is_full(engine);
		return;
	}
	enter(engine, quota > 0 && am_db_used(engine->db) > quota ? AM_SPACE_QUOTA : AM_SPACE_ENOUGH);
}

int
am_space_healthy(struct am_engine *engine, struct ambient_error *err)
{
	int space = atomic_load(&engine->space);

	return space == AM_SPACE_ENOUGH ? 0 :
		ambient_err(err, AMBIENT_E_NOMEM, "database space exceeded: %s", sentences[space]);
}

int
am_fail_space(struct am_engine *engine, struct am_failure *failure)
{
	int space = atomic_load(&engine->space);

	/* The quota's answer is the one that clients know from etcd; a full disk is nothing that they could mistake. */
	if (space == AM_SPACE_QUOTA)
		return am_fail(failure, 500, "InternalError", "Internal error occurred: etcdserver: mvcc: database space exceeded: %s",
			       sentences[space]);
	return am_fail(failure, 507, "InsufficientStorage", "database space exceeded: %s", sentences[AM_SPACE_DISK]);
}
