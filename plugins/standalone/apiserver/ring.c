/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last events of one resource, in the order of their revisions.  Watches hold sequence numbers into it; a
 * sequence that was overwritten tells its watch that it fell behind.  Needs engine->lock.
 *
 * How many there are is bounded by a number, by their age, and, once every watch has read them, by their size: objects that are
 * large and change often would otherwise be kept many times over.  Who asks for what has gone is told by the log on disk.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

void
am_ring_init(struct am_ring *ring, size_t cap, uint64_t floor)
{
	*ring = (struct am_ring){ .cap = cap, .floor = floor, .fit_at = AM_RING_BYTES };
}

static struct am_ring_event *
slot(const struct am_ring *ring, uint64_t sequence)
{
	return &ring->events[sequence % ring->room];
}

static void
drop_oldest(struct am_ring *ring)
{
	struct am_ring_event *event = slot(ring, ring->tail++);

	ring->floor = event->rv;
	ring->bytes -= event->object->len;
	am_object_unref(event->object);
	am_object_unref(event->old);
}

void
am_ring_fini(struct am_ring *ring)
{
	while (ring->tail < ring->head)
		drop_oldest(ring);
	free(ring->events);
	ring->events = NULL;
}

/* Most resources never see an event, and few fill the ring. */
static void
grow(struct am_ring *ring)
{
	size_t room = ring->room == 0 ? AM_MIN(ring->cap, (size_t)16) : AM_MIN(ring->cap, 2 * ring->room);
	struct am_ring_event *events = am_xcalloc(room, sizeof(*events));

	for (uint64_t i = ring->tail; i < ring->head; i++)
		events[i % room] = *slot(ring, i);
	free(ring->events);
	ring->events = events;
	ring->room = room;
}

void
am_ring_push(struct am_ring *ring, uint64_t rv, enum am_event_type type, struct am_object *object,
	     struct am_object *old)
{
	if (ring->head - ring->tail == ring->cap)
		drop_oldest(ring);
	if (ring->head - ring->tail == ring->room)
		grow(ring);
	ring->bytes += object->len;
	*slot(ring, ring->head++) = (struct am_ring_event){ rv, (uint8_t)type, am_object_ref(object), am_object_ref(old) };
}

struct am_object *
am_log_old(const struct am_db_row *row)
{
	return row->prev != NULL && am_json_check(row->prev, row->prev_len, NULL) == 0 ?
		am_object_new(row->prev, row->prev_len, row->rv, 0, row->mtime) : NULL;
}

struct am_object *
am_log_object(const struct am_db_row *row)
{
	return am_json_check(row->body, row->len, NULL) == 0 ? am_object_new(row->body, row->len, row->rv, 0, row->mtime) : NULL;
}

bool
am_ring_seek(const struct am_ring *ring, uint64_t rv, uint64_t *ret)
{
	uint64_t low = ring->tail, high = ring->head;

	if (rv < ring->floor)
		return false;
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		if (slot(ring, mid)->rv <= rv)
			low = mid + 1;
		else
			high = mid;
	}
	*ret = low;
	return true;
}

void
am_ring_forget(struct am_ring *ring, uint64_t upto)
{
	while (ring->tail < ring->head && slot(ring, ring->tail)->rv <= upto)
		drop_oldest(ring);
	ring->floor = AM_MAX(ring->floor, upto);
}

void
am_ring_fit(struct am_ring *ring, uint64_t needed)
{
	while (ring->bytes > AM_RING_BYTES * 3 / 4 && ring->tail < needed && ring->head - ring->tail > AM_RING_KEEP)
		drop_oldest(ring);
	/* Not again with each write, whether there was something to drop or not. */
	ring->fit_at = AM_MAX(ring->bytes + AM_RING_BYTES / 8, (size_t)AM_RING_BYTES);
}

size_t
am_ring_expire(struct am_ring *ring, int64_t before, uint64_t keep)
{
	uint64_t tail = ring->tail;

	while (ring->head - ring->tail > keep && slot(ring, ring->tail)->object->mtime < before)
		drop_oldest(ring);
	return ring->tail - tail;
}

struct am_ring_event *
am_ring_at(const struct am_ring *ring, uint64_t sequence)
{
	return slot(ring, sequence);
}
