/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work queue.  One lock guards everything.  Invariants:
 *  - a name has at most one item; an item is in at most one of the two heaps;
 *  - a processing item is not in the ready heap, so that handing out never scans past busy names;
 *  - whoever takes an item and leaves others behind wakes the next waiter, so that one signal per add is enough and
 *    some waiter always sleeps no longer than until the earliest delayed item.
 * What order ready items are handed out in is decided by ready_before and the three ready_* functions only.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/base/lock.h"
#include "core/base/map.h"
#include "core/base/mem.h"
#include "core/queue/queue_priv.h"

struct metrics {
	struct am_metric *adds, *retries, *latency, *work, *unfinished, *longest;
	struct am_metric *depth[2]; /* of AM_QUEUE_NORMAL and above, of what is below */
};

struct am_queue {
	struct am_lock lock;
	struct am_clock *clock;
	struct am_cond ready_cond, idle_cond;
	/* all below: lock */
	struct am_map *items;
	struct heap ready, delayed;
	size_t processing;
	uint64_t seq;
	struct am_queue_limits limits;
	int getters;               /* threads inside get */
	bool draining, shut;
	bool metered;
	struct metrics metrics;
	char *name;
};

static bool
ready_before(const struct item *a, const struct item *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->seq < b->seq;
}

static bool
delayed_before(const struct item *a, const struct item *b)
{
	return a->ready_at != b->ready_at ? a->ready_at < b->ready_at : a->seq < b->seq;
}

/* ---- metrics */

static const double duration_buckets[] = { 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000, 0 };

static struct am_metric *
metric(const struct am_queue *queue, enum am_metric_type type, const char *name, const char *help, const char *priority)
{
	const char *labels[] = { "name", queue->name, "controller", queue->name, priority != NULL ? "priority" : NULL,
				 priority, NULL };

	return am_metric(type, name, help, labels, type == AM_HISTOGRAM ? duration_buckets : NULL);
}

static void
metrics_init(struct am_queue *queue)
{
	struct metrics *m = &queue->metrics;

	m->depth[0] = metric(queue, AM_GAUGE, "workqueue_depth", "Items that are ready", "0");
	m->depth[1] = metric(queue, AM_GAUGE, "workqueue_depth", "Items that are ready", "-100");
	m->adds = metric(queue, AM_COUNTER, "workqueue_adds_total", "Items added", NULL);
	m->retries = metric(queue, AM_COUNTER, "workqueue_retries_total", "Items added with a delay", NULL);
	m->latency = metric(queue, AM_HISTOGRAM, "workqueue_queue_duration_seconds", "Time from being added to being handed out",
			    NULL);
	m->work = metric(queue, AM_HISTOGRAM, "workqueue_work_duration_seconds", "Time that processing took", NULL);
	m->unfinished = metric(queue, AM_GAUGE, "workqueue_unfinished_work_seconds", "Time spent on items in work", NULL);
	m->longest = metric(queue, AM_GAUGE, "workqueue_longest_running_processor_seconds", "Age of the oldest item in work",
			    NULL);
	queue->metered = true;
}

static double
seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static void
count(const struct am_queue *queue, struct am_metric *m, double by)
{
	if (queue->metered && !queue->shut)
		am_metric_add(m, by);
}

static void
depth(const struct am_queue *queue, const struct item *item, double by)
{
	if (queue->metered)
		am_metric_add(queue->metrics.depth[item->priority < AM_QUEUE_NORMAL], by);
}

/* ---- items */

static char *
key_new(const char *ns, const char *name)
{
	return am_xasprintf("%s/%s", ns != NULL ? ns : "", name);
}

static struct item *
item_get(struct am_queue *queue, const char *ns, const char *name)
{
	char *key = key_new(ns, name);
	struct item *item = am_map_get(queue->items, key);

	free(key);
	return item;
}

static struct item *
item_make(struct am_queue *queue, const char *ns, const char *name)
{
	char *key = key_new(ns, name);
	struct item *item = am_map_get(queue->items, key);

	if (item != NULL) {
		free(key);
		return item;
	}
	item = am_xcalloc(1, sizeof(*item));
	item->key = key;
	item->ns = am_xstrdup(ns != NULL ? ns : "");
	item->pub.ns = item->ns;
	item->pub.name = key + strlen(item->ns) + 1;
	item->ready_pos = item->delayed_pos = AM_HEAP_NOWHERE;
	am_map_put(queue->items, item->key, item);
	return item;
}

static void
item_free(struct item *item)
{
	free(item->key);
	free(item->ns);
	free(item);
}

static void
item_free_any(void *item)
{
	item_free(item);
}

static bool
is_ready(const struct item *item)
{
	return item->ready_pos != AM_HEAP_NOWHERE;
}

static bool
is_delayed(const struct item *item)
{
	return item->delayed_pos != AM_HEAP_NOWHERE;
}

/* Lets go of an item that nothing keeps. */
static void
item_settle(struct am_queue *queue, struct item *item)
{
	if (!is_ready(item) && !is_delayed(item) && !item->processing && item->failures == 0)
		am_map_del(queue->items, item->key);
}

static void
ready_push(struct am_queue *queue, struct item *item)
{
	item->seq = ++queue->seq;
	am_queue_heap_push(&queue->ready, item);
	depth(queue, item, 1);
	am_cond_signal(&queue->ready_cond);
}

static void
ready_remove(struct am_queue *queue, struct item *item)
{
	am_queue_heap_remove(&queue->ready, item);
	depth(queue, item, -1);
}

static struct item *
ready_pop(struct am_queue *queue)
{
	struct item *item = queue->ready.len != 0 ? queue->ready.items[0] : NULL;

	if (item != NULL)
		ready_remove(queue, item);
	return item;
}

/* The item is wanted now, with at least this priority. */
static void
want(struct am_queue *queue, struct item *item, int priority, bool counted)
{
	if (is_ready(item) || item->again) { /* once is enough; a raised priority goes behind its new equals */
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
	if (is_delayed(item)) {
		am_queue_heap_remove(&queue->delayed, item);
		item->priority = AM_MAX(priority, item->priority);
	} else {
		item->priority = priority;
	}
	item->added_at = am_clock_boot(queue->clock);
	if (counted)
		count(queue, queue->metrics.adds, 1);
	if (item->processing)
		item->again = true;
	else
		ready_push(queue, item);
}

/* Not before `at`; whatever is earlier wins. */
static void
want_at(struct am_queue *queue, struct item *item, int priority, int64_t at)
{
	if (is_ready(item) || item->again) {
		if (priority > item->priority)
			want(queue, item, priority, false);
		return;
	}
	if (is_delayed(item)) {
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

/* Moves what is due from delayed to ready. */
static void
mature(struct am_queue *queue)
{
	int64_t now;

	if (queue->delayed.len == 0)
		return;
	now = am_clock_boot(queue->clock);
	while (queue->delayed.len != 0 && queue->delayed.items[0]->ready_at <= now)
		want(queue, queue->delayed.items[0], queue->delayed.items[0]->priority, true);
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
	queue->items = am_map_new_owning(item_free_any);
	queue->ready.before = ready_before;
	queue->ready.pos_offset = offsetof(struct item, ready_pos);
	queue->delayed.before = delayed_before;
	queue->delayed.pos_offset = offsetof(struct item, delayed_pos);
	queue->limits = (struct am_queue_limits){ .base_ns = AM_QUEUE_BACKOFF_BASE, .max_ns = AM_QUEUE_BACKOFF_MAX };
	queue->name = am_xstrdup(name);
	if (name != NULL)
		metrics_init(queue);
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
	if (queue == NULL)
		return;
	am_assert(queue->getters == 0);
	am_map_free(queue->items);
	am_queue_heap_fini(&queue->ready);
	am_queue_heap_fini(&queue->delayed);
	am_cond_fini(&queue->ready_cond);
	am_cond_fini(&queue->idle_cond);
	am_lock_fini(&queue->lock);
	free(queue->name);
	free(queue);
}

/* ---- adding */

void
am_queue_add(struct am_queue *queue, const char *ns, const char *name, int priority)
{
	am_lock(&queue->lock);
	if (!queue->draining)
		want(queue, item_make(queue, ns, name), priority, true);
	am_unlock(&queue->lock);
}

void
am_queue_add_after(struct am_queue *queue, const char *ns, const char *name, int priority, int64_t delay_ns)
{
	int64_t now = am_clock_boot(queue->clock);

	am_lock(&queue->lock);
	if (!queue->draining) {
		count(queue, queue->metrics.retries, 1);
		if (delay_ns <= 0)
			want(queue, item_make(queue, ns, name), priority, true);
		else
			want_at(queue, item_make(queue, ns, name), priority,
				delay_ns < AM_FOREVER - now ? now + delay_ns : AM_FOREVER);
	}
	am_unlock(&queue->lock);
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

int64_t
am_queue_add_backoff(struct am_queue *queue, const char *ns, const char *name, int priority)
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
		count(queue, queue->metrics.retries, 1);
		want_at(queue, item, priority, item->backoff_until);
	}
	am_unlock(&queue->lock);
	return delay;
}

void
am_queue_forget(struct am_queue *queue, const char *ns, const char *name)
{
	struct item *item;

	am_lock(&queue->lock);
	item = item_get(queue, ns, name);
	if (item != NULL) {
		item->failures = 0;
		item->backoff_until = 0;
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
	item = item_get(queue, ns, name);
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
	queue->processing++;
	item->started_at = now;
	item->pub.priority = item->priority;
	item->pub.failures = item->failures;
	item->pub.queued_ns = now - item->added_at;
	if (queue->metered && !queue->shut)
		am_metric_observe(queue->metrics.latency, seconds(item->pub.queued_ns));
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
		mature(queue);
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
	struct item *item = (struct item *)((uintptr_t)pub - offsetof(struct item, pub)); /* ours; const to workers */

	am_lock(&queue->lock);
	am_assert(item->processing);
	item->processing = false;
	queue->processing--;
	if (queue->metered && !queue->shut)
		am_metric_observe(queue->metrics.work, seconds(am_clock_boot(queue->clock) - item->started_at));
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
drop(struct am_queue *queue, struct heap *heap, bool counted)
{
	while (heap->len != 0) {
		struct item *item = heap->items[heap->len - 1];

		am_queue_heap_remove(heap, item);
		if (counted)
			depth(queue, item, -1);
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
	am_cond_broadcast(&queue->ready_cond);
	while (!queue->shut && (queue->processing != 0 || queue->ready.len != 0) && am_clock_boot(queue->clock) < deadline)
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

/* ---- looking */

size_t
am_queue_len(struct am_queue *queue)
{
	size_t n;

	am_lock(&queue->lock);
	mature(queue);
	n = queue->ready.len;
	am_unlock(&queue->lock);
	return n;
}

size_t
am_queue_delayed(struct am_queue *queue)
{
	size_t n;

	am_lock(&queue->lock);
	mature(queue);
	n = queue->delayed.len;
	am_unlock(&queue->lock);
	return n;
}

size_t
am_queue_processing(struct am_queue *queue)
{
	size_t n;

	am_lock(&queue->lock);
	n = queue->processing;
	am_unlock(&queue->lock);
	return n;
}

size_t
am_queue_known(struct am_queue *queue)
{
	size_t n;

	am_lock(&queue->lock);
	n = am_map_len(queue->items);
	am_unlock(&queue->lock);
	return n;
}

void
am_queue_refresh_metrics(struct am_queue *queue)
{
	int64_t now = am_clock_boot(queue->clock), sum = 0, longest = 0;
	const char *key;
	void *value;

	am_lock(&queue->lock);
	for (size_t it = 0; queue->processing != 0 && am_map_next(queue->items, &it, &key, &value);) {
		const struct item *item = value;

		if (item->processing) {
			sum += now - item->started_at;
			longest = AM_MAX(longest, now - item->started_at);
		}
	}
	if (queue->metered && !queue->shut) {
		am_metric_set(queue->metrics.unfinished, seconds(sum));
		am_metric_set(queue->metrics.longest, seconds(longest));
	}
	am_unlock(&queue->lock);
}

void
am_queue_each(struct am_queue *queue, size_t max, void (*fn)(void *arg, const struct am_queue_view *view), void *arg)
{
	int64_t now = am_clock_boot(queue->clock);
	const char *key;
	void *value;

	am_lock(&queue->lock);
	for (size_t it = 0; max != 0 && am_map_next(queue->items, &it, &key, &value);) {
		const struct item *item = value;
		struct am_queue_view view = { .ns = item->pub.ns, .name = item->pub.name, .priority = item->priority,
					      .failures = item->failures };

		if (item->processing) {
			view.state = item->again ? "processing, again" : "processing";
			view.in_ns = now - item->started_at;
		} else if (is_ready(item)) {
			view.state = "ready";
		} else if (is_delayed(item)) {
			view.state = "delayed";
			view.in_ns = item->ready_at - now;
		} else {
			continue;
		}
		fn(arg, &view);
		max--;
	}
	am_unlock(&queue->lock);
}
