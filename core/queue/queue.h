/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work queue: which objects want to be reconciled.  Items are names (namespace, name), never objects; a name is
 * in the queue at most once and with at most one worker at a time; what is added while a worker has it comes back
 * when the worker is done.  Higher priorities first, first come first served within one.  Delays and per-item
 * exponential backoff are part of it.  Every function may be called on any thread; only get and drain block.
 */
#ifndef AM_QUEUE_QUEUE_H
#define AM_QUEUE_QUEUE_H

#include "core/base/clock.h"

#define AM_QUEUE_NORMAL 0
#define AM_QUEUE_LOW    (-100) /* objects of the initial list, and changes that change nothing */

#define AM_QUEUE_BACKOFF_BASE (5 * AM_NS_PER_MS)
#define AM_QUEUE_BACKOFF_MAX  (1000 * AM_NS_PER_S)

struct am_queue;

/* Borrowed from the queue between get and done. */
struct am_queue_item {
	const char *ns;      /* "" for cluster-scoped kinds */
	const char *name;
	int priority;
	unsigned failures;   /* as of get */
	int64_t queued_ns;   /* how long it was ready before it was handed out */
};

/* name: the controller's, for the workqueue_* metrics; NULL: no metrics. */
struct am_queue *am_queue_new(const char *name, struct am_clock *clock) am_nodiscard_;
/* How long a failed item waits: base * 2^failures up to max; or, when `fast` tries are given, fast_ns for so many and
 * slow_ns afterwards; the largest of those that are given, and never more than max_wait.  0 leaves a part out. */
struct am_queue_limits {
	int64_t base_ns, max_ns;
	int64_t fast_ns, slow_ns;
	unsigned fast;
	int64_t max_wait_ns;
};
/* Others than 5 ms to 1000 s; only before the first add. */
void am_queue_set_limits(struct am_queue *queue, const struct am_queue_limits *limits);
/* No thread may use it any more.  NULL is fine. */
void am_queue_free(struct am_queue *queue);

/* A name that is already there keeps the higher priority and the earlier time.  ns may be NULL. */
void am_queue_add(struct am_queue *queue, const char *ns, const char *name, int priority);
/* delay <= 0 is now. */
void am_queue_add_after(struct am_queue *queue, const char *ns, const char *name, int priority, int64_t delay_ns);
/* The item failed: comes back after base * 2^failures.  A failure before the previous backoff has elapsed (somebody
 * else woke the item early) does not count and keeps that deadline.  Returns the delay. */
int64_t am_queue_add_backoff(struct am_queue *queue, const char *ns, const char *name, int priority);
/* The item succeeded: its failures are forgotten. */
void am_queue_forget(struct am_queue *queue, const char *ns, const char *name);
unsigned am_queue_failures(struct am_queue *queue, const char *ns, const char *name);

/* Blocks for the next item; NULL when the queue is shut down. */
const struct am_queue_item *am_queue_get(struct am_queue *queue);
/* The same until deadline (boot time); NULL also then. */
const struct am_queue_item *am_queue_get_until(struct am_queue *queue, int64_t deadline);
/* Every item got must be given back, by whichever thread. */
void am_queue_done(struct am_queue *queue, const struct am_queue_item *item);

/* Drops what is queued or delayed, ignores later adds, ends every get. */
void am_queue_shutdown(struct am_queue *queue);
/* Ignores later adds and drops what is delayed, but hands out what is ready, and waits until everything handed out
 * is done, or deadline (boot time), or am_queue_shutdown.  True when everything was done. */
bool am_queue_drain(struct am_queue *queue, int64_t deadline);
bool am_queue_is_shut(struct am_queue *queue);

size_t am_queue_len(struct am_queue *queue);        /* ready now */
size_t am_queue_delayed(struct am_queue *queue);
size_t am_queue_processing(struct am_queue *queue);
size_t am_queue_known(struct am_queue *queue);      /* names with any state, failures included */
/* Brings the metrics that depend on the time (unfinished work) up to date; before a metrics page is made. */
void am_queue_refresh_metrics(struct am_queue *queue);

/* For people: what the queue holds.  state is "ready", "delayed", "processing" or "processing, again". */
struct am_queue_view {
	const char *ns, *name, *state;
	int priority;
	unsigned failures;
	int64_t in_ns;       /* delayed: until it is ready; processing: since when */
};
/* Calls fn for at most max items, under the queue's lock: fn must not call the queue. */
void am_queue_each(struct am_queue *queue, size_t max, void (*fn)(void *arg, const struct am_queue_view *view), void *arg);

#endif
