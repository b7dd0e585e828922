/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of the queue.  The first of heap->items is the least; each item's place is kept in the item itself. */
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/queue/queue_priv.h"

static void
place(struct heap *heap, size_t i, struct item *item)
{
	heap->items[i] = item;
	*(size_t *)(void *)((char *)item + heap->pos_offset) = i;
}

static void
up(struct heap *heap, size_t i)
{
	struct item *item = heap->items[i];

	while (i > 0 && heap->before(item, heap->items[(i - 1) / 2])) {
		place(heap, i, heap->items[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(heap, i, item);
}

static void
down(struct heap *heap, size_t i)
{
	struct item *item = heap->items[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= heap->len)
			break;
		if (child + 1 < heap->len && heap->before(heap->items[child + 1], heap->items[child]))
			child++;
		if (!heap->before(heap->items[child], item))
			break;
		place(heap, i, heap->items[child]);
		i = child;
	}
	place(heap, i, item);
}

void
am_queue_heap_push(struct heap *heap, struct item *item)
{
	if (heap->len == heap->cap) {
		heap->cap = heap->cap != 0 ? 2 * heap->cap : 64;
		heap->items = am_xrealloc(heap->items, heap->cap, sizeof(*heap->items));
	}
	place(heap, heap->len++, item);
	up(heap, heap->len - 1);
}

void
am_queue_heap_remove(struct heap *heap, struct item *item)
{
	size_t *pos = (size_t *)(void *)((char *)item + heap->pos_offset), i = *pos;
	struct item *last = heap->items[--heap->len];

	*pos = AM_HEAP_NOWHERE;
	heap->items[heap->len] = NULL;
	if (last == item)
		return;
	place(heap, i, last);
	up(heap, i);
	down(heap, *(size_t *)(void *)((char *)last + heap->pos_offset));
}

void
am_queue_heap_fini(struct heap *heap)
{
	free(heap->items);
	heap->items = NULL;
	heap->len = heap->cap = 0;
}
