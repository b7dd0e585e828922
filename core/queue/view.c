/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into the queue: its sizes, and what it knows of its items. */
#include <string.h>

#include "core/queue/queue_priv.h"

static size_t
ready_len(struct am_queue *queue)
{
	am_queue_mature(queue);
	return queue->ready.len;
}

static size_t
delayed_len(struct am_queue *queue)
{
	am_queue_mature(queue);
	return queue->delayed.len;
}

static size_t
processing_len(struct am_queue *queue)
{
	return queue->processing;
}

static size_t
known_len(struct am_queue *queue)
{
	return am_map_len(queue->items) - queue->resting;
}

static size_t
locked(struct am_queue *queue, size_t (*count)(struct am_queue *queue))
{
	size_t n;

	am_lock(&queue->lock);
	n = count(queue);
	am_unlock(&queue->lock);
	return n;
}

size_t
am_queue_len(struct am_queue *queue)
{
	return locked(queue, ready_len);
}

size_t
am_queue_delayed(struct am_queue *queue)
{
	return locked(queue, delayed_len);
}

size_t
am_queue_processing(struct am_queue *queue)
{
	return locked(queue, processing_len);
}

size_t
am_queue_known(struct am_queue *queue)
{
	return locked(queue, known_len);
}

/* ---- items */

static void
describe_state(const struct item *item, int64_t now, struct am_queue_view *view)
{
	if (item->processing) {
		view->state = item->again ? "processing, again" : "processing";
		view->in_ns = now - item->started_at;
	} else if (item_is_ready(item)) {
		view->state = "ready";
		view->in_ns = now - item->added_at;
	} else if (item_is_delayed(item)) {
		view->state = "delayed";
		view->in_ns = item->ready_at - now;
	} else {
		view->state = "idle";
		view->in_ns = item->runs != 0 ? now - item->started_at - item->worked_ns : 0;
	}
}

static void
describe_causes(const struct am_queue *queue, const struct item *item, int64_t now, struct am_queue_view *view)
{
	for (size_t i = item->cause_len; i-- > 0;) { /* the newest first */
		const struct cause *c = &item->causes[(item->cause_head + i) & (item->cause_cap - 1)];

		view->causes[view->cause_count++] = (struct am_cause_view){
			.type = c->type,
			.kind = c->kind != 0 ? queue->kinds[c->kind - 1] : "",
			.object = c->object,
			.old_rv = c->old_rv,
			.new_rv = c->new_rv,
			.count = c->count,
			.run = c->run,
			.age_ns = now - c->at,
			.delay_ns = c->delay,
		};
	}
}

static void
describe(const struct am_queue *queue, const struct item *item, int64_t now, struct am_queue_view *view)
{
	*view = (struct am_queue_view){.ns = item->pub.ns,
				       .name = item->pub.name,
				       .priority = item->priority,
				       .failures = item->failures,
				       .runs = item->runs,
				       .error = item->error};
	if (item->runs != 0) {
		view->started_ns = now - item->started_at;
		view->worked_ns = item->processing ? now - item->started_at : item->worked_ns;
	}
	if (item->failures != 0)
		view->backoff_ns = AM_MAX(item->backoff_until - now, 0);
	describe_state(item, now, view);
	describe_causes(queue, item, now, view);
}

void
am_queue_each(struct am_queue *queue, size_t max, void (*fn)(void *arg, const struct am_queue_view *view), void *arg)
{
	int64_t now = am_clock_boot(queue->clock);
	struct am_queue_view view;
	const char *key;
	void *value;

	am_lock(&queue->lock);
	for (size_t it = 0; max != 0 && am_map_next(queue->items, &it, &key, &value);) {
		const struct item *item = value;

		if (!item->processing && !item_is_ready(item) && !item_is_delayed(item))
			continue;
		describe(queue, item, now, &view);
		fn(arg, &view);
		max--;
	}
	am_unlock(&queue->lock);
}

bool
am_queue_look(struct am_queue *queue, const char *ns, const char *name,
	      void (*fn)(void *arg, const struct am_queue_view *view), void *arg)
{
	struct am_queue_view view;
	const struct item *item;

	am_lock(&queue->lock);
	am_queue_mature(queue);
	item = am_queue_item_of(queue, ns, name);
	if (item != NULL) {
		describe(queue, item, am_clock_boot(queue->clock), &view);
		fn(arg, &view);
	}
	am_unlock(&queue->lock);
	return item != NULL;
}
