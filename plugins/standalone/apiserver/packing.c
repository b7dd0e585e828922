/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that nobody is about to read are kept packed: in the table, and in the ring once every watch has gone over them.  Their
 * place is taken by a copy whose text is compressed against what its resource has in common (core/data/pack.h); who reads
 * one opens a copy for itself.
 *
 * Invariant: a packed copy has the stamp of what it replaces, so that a write that was prepared against the one is not refused for the
 * sake of the other.
 *
 * Threads: the writer thread changes tables and rings, and packs between two batches, without the lock while it compresses.
 */
#include <malloc.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

#define AT_ONCE 64
#define SOON    256 /* events */
#define TRIM_FROM 32 /* leaves of a table */

struct place {
	uint64_t sequence;
	struct am_object *event, *old;     /* as they are in the ring; NULL: nothing to pack */
	struct am_object *event_small, *old_small;
};

static struct am_object *
plain(struct am_object *object)
{
	return object != NULL && object->body != NULL ? am_object_ref(object) : NULL;
}

static struct am_object *
small_of(struct am_store *store, size_t present, const struct am_object *object)
{
	return object != NULL ? am_object_pack(store->packer, present, object) : NULL;
}

/* What was kept as it is may be worth it now. */
static void
note_learned(struct am_store *store, unsigned before)
{
	if (am_packer_learned(store->packer) == before)
		return;
	store->rest = 0;
	atomic_store(&store->engine->unpacked, true);
}

/* Puts the copy where the object still is. */
static void
swap_in(struct am_object **at, struct am_object *object, struct am_object *small)
{
	if (small == NULL || *at != object)
		return;
	*at = am_object_ref(small);
	am_object_unref(object);
}

/* What was changed soon after is also what that change replaced. */
static void
swap_old(struct am_ring *ring, const struct place *p)
{
	for (uint64_t i = p->sequence + 1; p->event_small != NULL && i < AM_MIN(ring->head, p->sequence + SOON); i++) {
		struct am_ring_event *event = am_ring_at(ring, i);

		if (event->old != p->event)
			continue;
		swap_in(&event->old, p->event, p->event_small);
		return;
	}
}

static size_t
collect(struct am_store *store, struct place *places)
{
	struct am_ring *ring = &store->ring;
	uint64_t needed = am_watch_needed(store);
	size_t n = 0;

	for (ring->packed = AM_MAX(ring->packed, ring->tail); n < AT_ONCE && ring->packed < needed; ring->packed++) {
		const struct am_ring_event *event = am_ring_at(ring, ring->packed);

		places[n++] = (struct place){ .sequence = ring->packed, .event = plain(event->object), .old = plain(event->old) };
	}
	return n;
}

void
am_store_pack(struct am_store *store)
{
	struct am_engine *engine = store->engine;
	struct place places[AT_ONCE];
	unsigned learned = am_packer_learned(store->packer);

	am_lock(&engine->lock);
	size_t n = collect(store, places), present = am_sorted_count(store->objects);
	am_unlock(&engine->lock);
	for (size_t i = 0; i < n; i++) {
		places[i].event_small = small_of(store, present, places[i].event);
		places[i].old_small = small_of(store, present, places[i].old);
	}
	am_lock(&engine->lock);
	for (size_t i = 0; i < n; i++) {
		struct place *p = &places[i];

		if (p->event_small != NULL && am_store_peek(store, p->event->ns, p->event->name) == p->event)
			am_store_swap(store, p->event, p->event_small);
		if (p->sequence < store->ring.tail)
			continue;
		struct am_ring_event *event = am_ring_at(&store->ring, p->sequence);
		swap_in(&event->object, p->event, p->event_small);
		swap_in(&event->old, p->old, p->old_small);
		swap_old(&store->ring, p);
	}
	am_unlock(&engine->lock);
	for (size_t i = 0; i < n; i++) {
		am_object_unref(places[i].event);
		am_object_unref(places[i].old);
		am_object_unref(places[i].event_small);
		am_object_unref(places[i].old_small);
	}
	note_learned(store, learned);
}

/* ---- what is there and does not change */

static void
pack_leaf(struct am_store *store)
{
	struct am_engine *engine = store->engine;
	struct am_cursor c = { store->rest, 0 };
	size_t leaf = store->rest++, present = am_sorted_count(store->objects);
	unsigned learned = am_packer_learned(store->packer);
	struct am_object *object;

	/* This thread is the only one that changes the table. */
	if (present < engine->options.pack_from)
		store->rest = SIZE_MAX;
	while (store->rest != SIZE_MAX && c.leaf == leaf && (object = am_sorted_next(store->objects, &c)) != NULL) {
		struct am_object *small = object->body != NULL ? am_object_pack(store->packer, present, object) : NULL;

		if (small == NULL)
			continue;
		am_lock(&engine->lock);
		am_store_swap(store, object, small);
		am_unlock(&engine->lock);
		am_object_unref(small);
	}
	if (c.leaf == leaf)
		store->rest = SIZE_MAX;
	note_learned(store, learned);
}

struct some {
	struct am_engine *engine;
	bool left;
};

static int
pack_some(void *arg, struct ambient_error *err)
{
	struct some *some = arg;
	struct am_store *store = some->engine->stores;

	(void)err;
	while (store != NULL && store->rest == SIZE_MAX)
		store = store->next;
	some->left = store != NULL;
	if (store != NULL)
		pack_leaf(store);
	return 0;
}

void
am_engine_pack_rest(struct am_engine *engine)
{
	struct some some = { engine, false };
	int turns = 0;

	if (!atomic_exchange(&engine->unpacked, false))
		return;
	while (am_writer_call(engine->writer, pack_some, &some, NULL) == 0 && some.left)
		turns++;
	/* What was packed lay between texts that stay. */
	if (turns >= TRIM_FROM)
		(void)malloc_trim(0);
}
