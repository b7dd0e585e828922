/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the queue: its items, and the heap that orders them. */
#ifndef AM_QUEUE_QUEUE_PRIV_H
#define AM_QUEUE_QUEUE_PRIV_H

#include "core/queue/queue.h"

#define AM_HEAP_NOWHERE SIZE_MAX

/* An item exists while it is ready, delayed, processing, or has failures.  Ready and delayed exclude each other; an item
 * that is processing is never in the ready heap: `again` says that it goes there when it is done. */
struct item {
	struct am_queue_item pub;  /* ns and name live in key */
	char *key, *ns;            /* "ns/name", as in the map; its tail is pub.name */
	int priority;              /* of the next time it is handed out */
	uint64_t seq;              /* first come, first served */
	int64_t ready_at;          /* while delayed */
	int64_t added_at;          /* when it became wanted */
	int64_t started_at;        /* while processing */
	int64_t backoff_until;     /* with failures > 0: the deadline of the last counted failure */
	unsigned failures;
	bool processing, again;
	size_t ready_pos, delayed_pos;
};

/* A binary heap of items that know their place in it, so that any of them can be removed in O(log n). */
struct heap {
	struct item **items;
	size_t len, cap;
	bool (*before)(const struct item *a, const struct item *b);
	size_t pos_offset;         /* of the size_t in struct item that holds its place */
};

void am_queue_heap_push(struct heap *heap, struct item *item);
void am_queue_heap_remove(struct heap *heap, struct item *item);
void am_queue_heap_fini(struct heap *heap);

#endif
