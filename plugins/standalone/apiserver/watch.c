/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: cursors into a resource's ring.  A watch has no queue of its own, so that a slow one costs nothing and
 * holds nobody up; when the ring has gone over its cursor, it is told that it fell behind.  Registering takes the
 * snapshot and the cursor under one lock: nothing is missed, nothing comes twice.  Who comes with an older revision
 * than the ring knows gets what lies between from the log on disk first.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

/* What a watch may read from the log; who is further behind lists again. */
#define PAST_EVENTS 20000
#define PAST_BYTES  ((size_t)16 * 1024 * 1024)

struct am_watch {
	struct am_engine *engine;
	const struct am_resource *res;
	struct am_store *store;
	char *ns;
	struct am_selector *selector;
	void (*wake)(void *arg);
	void *arg;
	struct am_sorted *initial;   /* the objects that were there at the start; NULL: all were told */
	struct am_cursor at;
	struct am_ring_event *past;  /* what the ring had no more, read from the log */
	size_t n_past, at_past, past_bytes;
	bool end_marker;             /* INITIAL_END is still to be said */
	struct am_object *current;   /* what the last am_watch_next handed out */
	uint64_t skip;               /* events up to this revision are not for us */
	/* engine->lock */
	uint64_t sequence, rv;
	bool idle, lost, ended;
	struct am_watch *next, *prev;
};

void
am_watch_wake_all(struct am_store *store)
{
	const struct am_engine_options *options = &store->engine->options;
	bool woken = false;

	for (struct am_watch *w = store->watches; w != NULL; w = w->next) {
		if (!w->idle)
			continue;
		w->idle = false;
		if (w->wake == NULL)
			continue;
		w->wake(w->arg);
		woken = true;
	}
	if (woken && options->woken != NULL)
		options->woken(options->woken_arg);
}

uint64_t
am_watch_needed(const struct am_store *store)
{
	uint64_t needed = store->ring.head;

	for (const struct am_watch *w = store->watches; w != NULL; w = w->next)
		needed = AM_MIN(needed, w->lost ? needed : w->sequence);
	return needed;
}

void
am_watch_end_all(struct am_store *store)
{
	for (struct am_watch *w = store->watches; w != NULL; w = w->next)
		w->ended = true;
	am_watch_wake_all(store);
	am_cond_broadcast(&store->engine->changed);
}

/* ---- opening ---- */

/* Snapshot and cursor; the lock is held. */
static void
attach(struct am_watch *w, uint64_t rv, bool from_rv, bool initial)
{
	struct am_store *store = w->store;

	w->rv = store->engine->rv;
	w->sequence = store->ring.head;
	if (from_rv && !initial) {
		w->skip = rv;
		w->rv = rv;
		w->lost = !am_ring_seek(&store->ring, rv, &w->sequence);
	}
	if (initial) {
		w->initial = am_sorted_ref(store->objects);
		w->at = am_sorted_seek(w->initial, w->ns != NULL ? w->ns : "", "", false);
	}
	w->next = store->watches;
	if (w->next != NULL)
		w->next->prev = w;
	store->watches = w;
	store->engine->watches++;
}

/* ---- the past: from the log on disk, on the writer's thread, so that nothing is written meanwhile ---- */

struct past {
	struct am_watch *watch;
	uint64_t after;
};

static int
add_past(void *arg, const struct am_db_row *row, struct ambient_error *err)
{
	struct am_watch *w = arg;
	struct am_ring_event e = { .rv = row->rv, .type = (uint8_t)row->op };

	w->past_bytes += row->len + row->prev_len;
	if (w->n_past == PAST_EVENTS || w->past_bytes > PAST_BYTES)
		return ambient_err(err, AMBIENT_E_GONE, "too much has happened since");
	e.object = am_log_object(row);
	e.old = am_log_old(row);
	if (w->n_past % 64 == 0)
		w->past = am_xrealloc(w->past, w->n_past + 64, sizeof(*w->past));
	w->past[w->n_past++] = e;
	return e.object != NULL ? 0 : ambient_err(err, AMBIENT_E_INTERNAL, "revision %llu cannot be read",
						  (unsigned long long)row->rv);
}

static int
read_past(void *arg, struct ambient_error *err)
{
	struct past *p = arg;
	struct am_watch *w = p->watch;
	struct am_engine *engine = w->engine;
	struct am_db_range range = { .after = p->after, .res = w->store->id };
	int rc = 0;

	am_lock(&engine->lock);
	/* The janitor may let the ring forget more while we read. */
	for (w->lost = range.after < engine->floor; rc == 0 && !w->lost;) {
		if (am_ring_seek(&w->store->ring, range.after, &w->sequence))
			break;
		range.upto = w->store->ring.floor;
		am_unlock(&engine->lock);
		rc = am_db_each_log(engine->db, &range, add_past, w, err);
		am_lock(&engine->lock);
		range.after = range.upto;
	}
	w->lost = w->lost || rc < 0;
	am_unlock(&engine->lock);
	return rc;
}

int
am_engine_watch(struct am_engine *engine, const struct am_resource *res, const char *ns,
		const struct am_list_query *query, void (*wake)(void *arg), void *arg, struct am_watch **ret,
		struct am_failure *failure)
{
	uint64_t rv;
	struct am_selector *selector = NULL;
	bool send = query->send_initial_events > 0;
	int rc = am_query_check(query, true, failure);

	if (rc == 0)
		rc = am_parse_rv(query->resource_version, &rv, failure);
	if (rc == 0 && send && rv > 0)
		rc = am_wait_rv(engine, rv, failure);
	if (rc == 0)
		rc = am_selector_parse(res, query->label_selector, query->field_selector, &selector, failure);
	if (rc < 0)
		return rc;
	struct am_watch *w = am_xcalloc(1, sizeof(*w));
	w->engine = engine;
	w->res = am_resource_ref(res);
	w->store = res->store;
	w->ns = am_xstrdup(ns);
	w->selector = selector;
	w->wake = wake;
	w->arg = arg;
	w->end_marker = send;
	am_lock(&engine->lock);
	attach(w, rv, rv != 0, send || (query->send_initial_events < 0 && rv == 0));
	bool lost = w->lost && rv >= engine->floor;
	am_unlock(&engine->lock);
	struct past past = { w, rv };
	if (lost)
		(void)am_writer_call(engine->writer, read_past, &past, NULL);
	*ret = w;
	return 0;
}

static void
forget_past(struct am_watch *w)
{
	for (size_t i = 0; i < w->n_past; i++) {
		am_object_unref(w->past[i].object);
		am_object_unref(w->past[i].old);
	}
	free(w->past);
	w->past = NULL;
	w->n_past = w->at_past = 0;
}

void
am_watch_close(struct am_watch *w)
{
	if (w == NULL)
		return;
	am_lock(&w->engine->lock);
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		w->store->watches = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	w->engine->watches--;
	am_unlock(&w->engine->lock);
	am_object_unref(w->current);
	forget_past(w);
	am_sorted_unref(w->initial);
	am_selector_free(w->selector);
	am_resource_unref(w->res);
	free(w->ns);
	free(w);
}

/* ---- pulling ---- */

static bool
next_initial(struct am_watch *w, struct am_event *event)
{
	struct am_object *object;

	while (w->initial != NULL && (object = am_sorted_next(w->initial, &w->at)) != NULL &&
	       (w->ns == NULL || strcmp(object->ns, w->ns) == 0)) {
		if (!am_selector_match(w->selector, object))
			continue;
		*event = (struct am_event){ AM_EVENT_ADDED, object->rv, object };
		return true;
	}
	am_sorted_unref(w->initial);
	w->initial = NULL;
	if (!w->end_marker)
		return false;
	w->end_marker = false;
	*event = (struct am_event){ AM_EVENT_INITIAL_END, w->rv, NULL };
	return true;
}

/* What this watch sees of an event: its type, or -1.  *object is a new reference. */
static int
translate(const struct am_watch *w, const struct am_ring_event *e, struct am_object **object)
{
	if (e->rv <= w->skip || (w->ns != NULL && strcmp(e->object->ns, w->ns) != 0))
		return -1;
	bool now = e->type != AM_EVENT_DELETED && am_selector_match(w->selector, e->object);
	bool before = e->type != AM_EVENT_ADDED && am_selector_match(w->selector, e->old != NULL ? e->old : e->object);

	if (now) {
		*object = am_object_ref(e->object);
		return before ? AM_EVENT_MODIFIED : AM_EVENT_ADDED;
	}
	if (!before)
		return -1;
	if (e->type == AM_EVENT_DELETED && am_selector_match(w->selector, e->object))
		*object = am_object_ref(e->object);
	else
		*object = am_object_with_rv(e->old != NULL ? e->old : e->object, e->rv);
	return *object != NULL ? AM_EVENT_DELETED : -1;
}

static bool
next_past(struct am_watch *w, struct am_event *event)
{
	while (w->at_past < w->n_past) {
		const struct am_ring_event *e = &w->past[w->at_past++];
		int type = translate(w, e, &w->current);

		if (type < 0)
			continue;
		*event = (struct am_event){ (enum am_event_type)type, e->rv, w->current };
		return true;
	}
	if (w->past != NULL)
		forget_past(w);
	return false;
}

/* The lock is held.  1, 0, or -GONE. */
static int
next_live(struct am_watch *w, struct am_event *event)
{
	const struct am_ring *ring = &w->store->ring;

	if (w->lost || w->sequence < ring->tail)
		return -AMBIENT_E_GONE;
	while (w->sequence < ring->head) {
		const struct am_ring_event *e = am_ring_at(ring, w->sequence++);
		struct am_object *object = NULL;
		int type = translate(w, e, &object);
		w->rv = AM_MAX(w->rv, e->rv);
		if (type < 0)
			continue;
		w->current = object;
		*event = (struct am_event){ (enum am_event_type)type, e->rv, object };
		return 1;
	}
	if (w->ended)
		return -AMBIENT_E_GONE;
	w->rv = AM_MAX(w->rv, w->engine->rv);
	w->idle = true;
	return 0;
}

int
am_watch_next(struct am_watch *w, struct am_event *event, struct am_failure *failure)
{
	am_object_unref(w->current);
	w->current = NULL;
	if (w->initial != NULL || w->end_marker) {
		/* An object of the initial list stays referenced by the table until the next call. */
		if (next_initial(w, event)) {
			w->current = am_object_ref(event->object);
			return 1;
		}
	}
	if (next_past(w, event)) {
		am_lock(&w->engine->lock);
		w->rv = AM_MAX(w->rv, event->rv);
		am_unlock(&w->engine->lock);
		return 1;
	}
	am_lock(&w->engine->lock);
	int rc = next_live(w, event);
	uint64_t since = w->rv, floor = w->store->ring.floor;
	if (rc < 0)
		w->engine->dropped += !w->ended;
	am_unlock(&w->engine->lock);
	if (rc < 0)
		am_fail(failure, 410, "Expired", "too old resource version: %llu (%llu)", (unsigned long long)since,
			(unsigned long long)floor);
	return rc;
}

uint64_t
am_watch_rv(struct am_watch *w)
{
	am_lock(&w->engine->lock);
	uint64_t rv = w->rv;
	am_unlock(&w->engine->lock);
	return rv;
}

bool
am_watch_wait(struct am_watch *w, int64_t deadline)
{
	bool in_time = true;

	am_lock(&w->engine->lock);
	while (!w->ended && !w->lost && w->sequence == w->store->ring.head && in_time)
		in_time = am_cond_wait(&w->engine->changed, &w->engine->lock, deadline);
	am_unlock(&w->engine->lock);
	return in_time;
}
