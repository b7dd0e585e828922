/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work queue.  One lock guards everything.  Invariants:
 *  - a name has at most one item; an item is in at most one of the two heaps;
 *  - a processing item is not in the ready heap, so that handing out never scans past busy names;
 *  - an item that nothing keeps rests, in the order in which it came to rest, for as long as it is among the last
 * 4,096: its causes can still be asked for, and a name that comes again finds its memory;
 *  - whoever takes an item and leaves others behind wakes the next waiter, so that one signal per add is enough and
 *    some waiter always sleeps no longer than until the earliest delayed item.
 * In what order ready items are handed out is decided in fair.c.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/queue/queue_priv.h"

static bool
delayed_before(const struct item *a, const struct item *b)
{
	return a->ready_at != b->ready_at ? a->ready_at < b->ready_at : a->seq < b->seq;
}

/* ---- items */

/* The key of a name, in buf when it fits there; *len without the NUL at its end. */
static char *
key_make(char *buf, size_t size, const char *ns, const char *name, size_t *len)
{
	size_t a = ns != NULL ? strlen(ns) : 0, b = strlen(name);
	char *key = a + b + 2 <= size ? buf : am_xcalloc(1, a + b + 2);

	if (a != 0)
		memcpy(key, ns, a);
	key[a] = '\0';
	memcpy(key + a + 1, name, b + 1);
	*len = a + 1 + b;
	return key;
}

static void
key_done(char *key, const char *buf)
{
	if (key != buf)
		free(key);
}

struct item *
am_queue_item_of(const struct am_queue *queue, const char *ns, const char *name)
{
	char buf[512];
	size_t len;
	char *key = key_make(buf, sizeof(buf), ns, name, &len);
	struct item *item = am_map_getn(queue->items, key, len);

	key_done(key, buf);
	return item;
}

static void
rest_end(struct am_queue *queue, struct item *item)
{
	if (!item->resting)
		return;
	*(item->rest_prev != NULL ? &item->rest_prev->rest_next : &queue->rest_first) = item->rest_next;
	*(item->rest_next != NULL ? &item->rest_next->rest_prev : &queue->rest_last) = item->rest_prev;
	item->resting = false;
	queue->resting--;
}

/* The item of a name, made when there is none.  Whoever calls this wants it: it rests no longer. */
static struct item *
item_make(struct am_queue *queue, const char *ns, const char *name)
{
	char buf[512];
	size_t len;
	char *key = key_make(buf, sizeof(buf), ns, name, &len);
	struct item *item = am_map_getn(queue->items, key, len);

	if (item != NULL) {
		rest_end(queue, item);
	} else {
		item = am_slab_alloc(queue->slab, sizeof(*item) + len + 1);
		item->key_len = len;
		memcpy(item->key, key, len + 1);
		item->pub.ns = item->key;
		item->pub.name = item->key + strlen(item->key) + 1;
		item->ready_pos = item->delayed_pos = AM_HEAP_NOWHERE;
		am_map_putn(queue->items, item->key, len, item);
		am_queue_tenant_enter(queue, item);
	}
	key_done(key, buf);
	return item;
}

static void
item_free(struct am_queue *queue, struct item *item)
{
	am_queue_causes_free(queue, item);
	free(item->error);
	am_slab_drop(queue->slab, item, sizeof(*item) + item->key_len + 1);
}

static void
item_drop(struct am_queue *queue, struct item *item)
{
	rest_end(queue, item);
	am_queue_tenant_leave(queue, item);
	(void)am_map_deln(queue->items, item->key, item->key_len);
	item_free(queue, item);
}

/* Lets an item rest that nothing keeps, and lets go of the one that has rested for longest. */
static void
item_settle(struct am_queue *queue, struct item *item)
{
	if (item_is_ready(item) || item_is_delayed(item) || item->processing || item->resting)
		return;
	if (item->failures != 0 && !queue->draining)
		return;
	if (queue->draining) {
		item_drop(queue, item);
		return;
	}
	item->rest_prev = queue->rest_last;
	item->rest_next = NULL;
	*(queue->rest_last != NULL ? &queue->rest_last->rest_next : &queue->rest_first) = item;
	queue->rest_last = item;
	item->resting = true;
	if (++queue->resting > QUEUE_RESTING)
		item_drop(queue, queue->rest_first);
}

static void
ready_push(struct am_queue *queue, struct item *item)
{
	am_queue_turn_take(queue, item);
	am_queue_heap_push(&queue->ready, item);
	am_queue_meter_depth_add(queue, item, 1);
	am_cond_signal(&queue->ready_cond);
}

static void
ready_remove(struct am_queue *queue, struct item *item)
{
	am_queue_heap_remove(&queue->ready, item);
	am_queue_meter_depth_add(queue, item, -1);
}

static struct item *
ready_pop(struct am_queue *queue)
{
	struct item *item = queue->ready.len != 0 ? queue->ready.items[0] : NULL;

	if (item != NULL) {
		ready_remove(queue, item);
		am_queue_turn_end(queue, item);
	}
	return item;
}

/* The item is wanted now, with at least this priority. */
static void
want(struct am_queue *queue, struct item *item, int priority, int64_t now)
{
	if (item_is_ready(item) || item->again) { /* once is enough; a raised priority goes behind its new equals */
		if (priority <= item->priority)
			return;
		if (item->again) {
			item->priority = priority;
		} else {
			ready_remove(queue, item);
			item->priority = priority;
			ready_push(queue, item);
		}
		return;
	}
	if (item_is_delayed(item)) {
		am_queue_heap_remove(&queue->delayed, item);
		item->priority = AM_MAX(priority, item->priority);
	} else {
		item->priority = priority;
	}
	item->added_at = now;
	am_queue_meter_count(queue, queue->meter.adds);
	if (item->processing)
		item->again = true;
	else
		ready_push(queue, item);
}

/* Not before `at`; whatever is earlier wins. */
static void
want_at(struct am_queue *queue, struct item *item, int priority, int64_t at)
{
	if (item_is_ready(item) || item->again) {
		if (priority > item->priority)
			want(queue, item, priority, at);
		return;
	}
	if (item_is_delayed(item)) {
		priority = AM_MAX(priority, item->priority);
		at = AM_MIN(at, item->ready_at);
		am_queue_heap_remove(&queue->delayed, item);
	}
	item->priority = priority;
	item->ready_at = at;
	item->seq = ++queue->seq;
	am_queue_heap_push(&queue->delayed, item);
	if (queue->delayed.items[0] == item) /* somebody must sleep shorter now */
		am_cond_signal(&queue->ready_cond);
}

void
am_queue_mature(struct am_queue *queue)
{
	int64_t now;

	if (queue->delayed.len == 0)
		return;
	now = am_clock_boot(queue->clock);
	while (queue->delayed.len != 0 && queue->delayed.items[0]->ready_at <= now)
		want(queue, queue->delayed.items[0], queue->delayed.items[0]->priority, now);
}

/* ---- life */

struct am_queue *
am_queue_new(const char *name, struct am_clock *clock)
{
	struct am_queue *queue = am_xcalloc(1, sizeof(*queue));

	am_lock_init(&queue->lock, "queue");
	queue->clock = clock;
	am_cond_init(&queue->ready_cond, clock);
	am_cond_init(&queue->idle_cond, clock);
	queue->slab = am_slab_new();
	queue->items = am_map_new_borrowing();
	queue->tenants = am_map_new_owning(am_queue_tenant_free);
	queue->ready.before = am_queue_ready_before;
	queue->ready.pos_offset = offsetof(struct item, ready_pos);
	queue->delayed.before = delayed_before;
	queue->delayed.pos_offset = offsetof(struct item, delayed_pos);
	queue->limits = (struct am_queue_limits){.base_ns = AM_QUEUE_BACKOFF_BASE, .max_ns = AM_QUEUE_BACKOFF_MAX};
	queue->name = am_xstrdup(name);
	if (name != NULL)
		am_queue_meter_init(queue);
	am_queue_classes_init(queue);
	return queue;
}

void
am_queue_set_limits(struct am_queue *queue, const struct am_queue_limits *limits)
{
	am_lock(&queue->lock);
	queue->limits = *limits;
	am_unlock(&queue->lock);
}

void
am_queue_free(struct am_queue *queue)
{
	void *value;

	if (queue == NULL)
		return;
	am_assert(queue->getters == 0);
	for (size_t it = 0; am_map_next(queue->items, &it, NULL, &value);)
		item_free(queue, value);
	am_map_free(queue->items);
	am_slab_free(queue->slab);
	am_map_free(queue->tenants);
	am_queue_heap_fini(&queue->ready);
	am_queue_heap_fini(&queue->delayed);
	am_queue_kinds_free(queue);
	am_cond_fini(&queue->ready_cond);
	am_cond_fini(&queue->idle_cond);
	am_lock_fini(&queue->lock);
	free(queue->name);
	free(queue);
}

/* ---- adding */

static void
add_for(struct am_queue *queue, const char *ns, const char *name, int priority, int64_t delay,
	const struct am_cause *cause, bool retry)
{
	int64_t now = am_clock_boot(queue->clock);
	struct item *item;

	am_lock(&queue->lock);
	if (!queue->draining) {
		item = item_make(queue, ns, name);
		am_queue_cause_note(queue, item, cause, now, AM_MAX(delay, 0));
		if (retry)
			am_queue_meter_count(queue, queue->meter.retries);
		if (delay <= 0)
			want(queue, item, priority, now);
		else
			want_at(queue, item, priority, delay < AM_FOREVER - now ? now + delay : AM_FOREVER);
	}
	am_unlock(&queue->lock);
}

void
am_queue_add(struct am_queue *queue, const char *ns, const char *name, int priority)
{
	add_for(queue, ns, name, priority, 0, &(struct am_cause){.type = AM_CAUSE_REQUEST}, false);
}

void
am_queue_add_for(struct am_queue *queue, const char *ns, const char *name, int priority, int64_t delay_ns,
		 const struct am_cause *cause)
{
	add_for(queue, ns, name, priority, delay_ns, cause, delay_ns > 0);
}

void
am_queue_add_after(struct am_queue *queue, const char *ns, const char *name, int priority, int64_t delay_ns)
{
	add_for(queue, ns, name, priority, delay_ns, &(struct am_cause){.type = AM_CAUSE_AFTER}, true);
}

static int64_t
exponential(const struct am_queue_limits *limits, unsigned failures)
{
	int64_t delay = limits->base_ns;

	for (unsigned i = 0; i < failures && delay > 0; i++) {
		if (delay >= limits->max_ns / 2 + 1)
			return limits->max_ns;
		delay *= 2;
	}
	return AM_MIN(delay, limits->max_ns);
}

static int64_t
backoff(const struct am_queue *queue, unsigned failures)
{
	const struct am_queue_limits *limits = &queue->limits;
	int64_t delay = exponential(limits, failures);

	if (limits->fast > 0)
		delay = AM_MAX(delay, failures < limits->fast ? limits->fast_ns : limits->slow_ns);
	return limits->max_wait_ns > 0 ? AM_MIN(delay, limits->max_wait_ns) : delay;
}

static int64_t
add_backoff(struct am_queue *queue, const char *ns, const char *name, int priority, enum am_cause_type type)
{
	int64_t now = am_clock_boot(queue->clock), delay = 0;
	struct item *item;

	am_lock(&queue->lock);
	if (!queue->draining) {
		item = item_make(queue, ns, name);
		if (item->failures == 0 || now >= item->backoff_until) {
			item->backoff_until = now + backoff(queue, item->failures);
			if (item->failures < UINT32_MAX)
				item->failures++;
		}
		delay = item->backoff_until - now;
		am_queue_cause_note(queue, item, &(struct am_cause){.type = type}, now, delay);
		am_queue_meter_count(queue, queue->meter.retries);
		want_at(queue, item, priority, item->backoff_until);
	}
	am_unlock(&queue->lock);
	return delay;
}

int64_t
am_queue_add_backoff(struct am_queue *queue, const char *ns, const char *name, int priority)
{
	return add_backoff(queue, ns, name, priority, AM_CAUSE_BACKOFF);
}

int64_t
am_queue_add_requeue(struct am_queue *queue, const char *ns, const char *name, int priority)
{
	return add_backoff(queue, ns, name, priority, AM_CAUSE_REQUEUE);
}

static struct item *
item_handed_out(const struct am_queue_item *pub)
{
	return (struct item *)((uintptr_t)pub - offsetof(struct item, pub)); /* ours; const to workers */
}

void
am_queue_note_error(struct am_queue *queue, const struct am_queue_item *pub, const char *message)
{
	struct item *item = item_handed_out(pub);
	char *error = am_xstrndup(message, strnlen(message, 400));

	am_lock(&queue->lock);
	free(item->error);
	item->error = error;
	am_unlock(&queue->lock);
}

void
am_queue_forget(struct am_queue *queue, const char *ns, const char *name)
{
	struct item *item;

	am_lock(&queue->lock);
	item = am_queue_item_of(queue, ns, name);
	if (item != NULL) {
		item->failures = 0;
		item->backoff_until = 0;
		am_freep(&item->error);
		item->error = NULL;
		item_settle(queue, item);
	}
	am_unlock(&queue->lock);
}

unsigned
am_queue_failures(struct am_queue *queue, const char *ns, const char *name)
{
	struct item *item;
	unsigned failures;

	am_lock(&queue->lock);
	item = am_queue_item_of(queue, ns, name);
	failures = item != NULL ? item->failures : 0;
	am_unlock(&queue->lock);
	return failures;
}

/* ---- handing out */

static void
hand_out(struct am_queue *queue, struct item *item)
{
	int64_t now = am_clock_boot(queue->clock);

	item->processing = true;
	item->runs++;
	queue->processing++;
	item->started_at = now;
	item->pub.priority = item->priority;
	item->pub.failures = item->failures;
	item->pub.queued_ns = now - item->added_at;
	am_queue_meter_seconds(queue, queue->meter.latency, item->pub.queued_ns);
	if (queue->ready.len != 0 || queue->delayed.len != 0)
		am_cond_signal(&queue->ready_cond);
}

/* While draining, a getter has to wait as long as something in work may come back. */
static bool
exhausted(const struct am_queue *queue)
{
	return queue->shut || (queue->draining && queue->ready.len == 0 && queue->processing == 0);
}

const struct am_queue_item *
am_queue_get_until(struct am_queue *queue, int64_t deadline)
{
	struct item *item = NULL;

	am_lock(&queue->lock);
	queue->getters++;
	for (;;) {
		int64_t until = deadline;

		if (exhausted(queue))
			break;
		am_queue_mature(queue);
		item = ready_pop(queue);
		if (item != NULL)
			break;
		if (am_clock_boot(queue->clock) >= deadline)
			break;
		if (queue->delayed.len != 0)
			until = AM_MIN(until, queue->delayed.items[0]->ready_at);
		(void)am_cond_wait(&queue->ready_cond, &queue->lock, until);
	}
	queue->getters--;
	if (item != NULL)
		hand_out(queue, item);
	else if (queue->ready.len != 0 || queue->delayed.len != 0)
		am_cond_signal(&queue->ready_cond); /* this one may have taken a signal on its way out */
	am_unlock(&queue->lock);
	return item != NULL ? &item->pub : NULL;
}

const struct am_queue_item *
am_queue_get(struct am_queue *queue)
{
	return am_queue_get_until(queue, AM_FOREVER);
}

void
am_queue_done(struct am_queue *queue, const struct am_queue_item *pub)
{
	struct item *item = item_handed_out(pub);
	int64_t now = am_clock_boot(queue->clock);

	am_lock(&queue->lock);
	am_assert(item->processing);
	item->processing = false;
	queue->processing--;
	item->worked_ns = now - item->started_at;
	am_queue_meter_seconds(queue, queue->meter.work, item->worked_ns);
	if (item->again) {
		item->again = false;
		ready_push(queue, item);
	} else {
		item_settle(queue, item);
	}
	if (queue->draining && queue->processing == 0 && queue->ready.len == 0) {
		am_cond_broadcast(&queue->ready_cond);
		am_cond_broadcast(&queue->idle_cond);
	}
	am_unlock(&queue->lock);
}

/* ---- the end */

static void
drop_resting(struct am_queue *queue)
{
	while (queue->rest_first != NULL)
		item_drop(queue, queue->rest_first);
}

static void
drop(struct am_queue *queue, struct heap *heap, bool counted)
{
	while (heap->len != 0) {
		struct item *item = heap->items[heap->len - 1];

		am_queue_heap_remove(heap, item);
		if (counted)
			am_queue_meter_depth_add(queue, item, -1);
		item->failures = 0;
		item_settle(queue, item);
	}
}

void
am_queue_shutdown(struct am_queue *queue)
{
	const char *key;
	void *value;

	am_lock(&queue->lock);
	queue->draining = queue->shut = true;
	drop(queue, &queue->delayed, false);
	drop(queue, &queue->ready, true);
	drop_resting(queue);
	for (size_t it = 0; am_map_next(queue->items, &it, &key, &value);)
		((struct item *)value)->again = false;
	am_cond_broadcast(&queue->ready_cond);
	am_cond_broadcast(&queue->idle_cond);
	am_unlock(&queue->lock);
}

bool
am_queue_drain(struct am_queue *queue, int64_t deadline)
{
	bool empty;

	am_lock(&queue->lock);
	queue->draining = true;
	drop(queue, &queue->delayed, false);
	drop_resting(queue);
	am_cond_broadcast(&queue->ready_cond);
	while (!queue->shut && (queue->processing != 0 || queue->ready.len != 0) &&
	       am_clock_boot(queue->clock) < deadline)
		(void)am_cond_wait(&queue->idle_cond, &queue->lock, deadline);
	empty = queue->processing == 0 && queue->ready.len == 0;
	am_unlock(&queue->lock);
	return empty;
}

bool
am_queue_is_shut(struct am_queue *queue)
{
	bool shut;

	am_lock(&queue->lock);
	shut = queue->draining;
	am_unlock(&queue->lock);
	return shut;
}
