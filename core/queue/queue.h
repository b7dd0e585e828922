/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work queue: which objects want to be reconciled, and why.  Items are names (namespace, name), never objects; a
 * name is in the queue at most once and with at most one worker at a time; what is added while a worker has it comes
 * back when the worker is done.  Higher priorities first; within one, namespaces take turns, and each namespace's names
 * are served in the order in which they came.  Delays and per-item exponential backoff are part of it.  Every function
 * may be called on any thread; only get and drain block.
 */
#ifndef AM_QUEUE_QUEUE_H
#define AM_QUEUE_QUEUE_H

#include "core/base/clock.h"

#define AM_QUEUE_NORMAL 0
#define AM_QUEUE_LOW    (-100) /* objects of the initial list, and changes that change nothing */

#define AM_QUEUE_BACKOFF_BASE (5 * AM_NS_PER_MS)
#define AM_QUEUE_BACKOFF_MAX  (1000 * AM_NS_PER_S)

/* Causes that are kept for each name: those of the names in the queue, and of the last 4,096 that have left it. */
#define AM_QUEUE_CAUSES 8

struct am_queue;

/* Why a name is wanted. */
enum am_cause_type {
	AM_CAUSE_REQUEST, /* somebody asked for it by name */
	AM_CAUSE_LISTED,  /* an object is part of the first list */
	AM_CAUSE_ADDED,
	AM_CAUSE_CHANGED,
	AM_CAUSE_DELETED,
	AM_CAUSE_RESYNC,      /* an object was told again, unchanged */
	AM_CAUSE_AFTER,       /* its last run asked to come back later */
	AM_CAUSE_REQUEUE,     /* its last run asked to come back */
	AM_CAUSE_BACKOFF,     /* its last run failed */
	AM_CAUSE_RETRY_AFTER, /* its last run was told by the API server when to come back */
	AM_CAUSE_PUT_BACK,    /* it was handed out, but could not be run, or not to its end */
};
const char *am_cause_word(enum am_cause_type type); /* "changed", "requeue after" */

/* All but the type may be NULL. */
struct am_cause {
	enum am_cause_type type;
	const char *kind;            /* of the object that changed: "v1/pods" */
	const char *ns, *name;       /* of that object; name NULL: the name that is wanted itself */
	const char *old_rv, *new_rv; /* its resource versions; what is no number below 2^64 is not kept */
};

/* Borrowed from the queue between get and done. */
struct am_queue_item {
	const char *ns; /* "" for cluster-scoped kinds */
	const char *name;
	int priority;
	unsigned failures; /* as of get */
	int64_t queued_ns; /* how long it was ready before it was handed out */
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
/* The same after a delay (<= 0: now), and with its cause. */
void am_queue_add_for(struct am_queue *queue, const char *ns, const char *name, int priority, int64_t delay_ns,
		      const struct am_cause *cause);
/* delay <= 0 is now. */
void am_queue_add_after(struct am_queue *queue, const char *ns, const char *name, int priority, int64_t delay_ns);
/* The item failed: comes back after base * 2^failures.  A failure before the previous backoff has elapsed (somebody
 * else woke the item early) does not count and keeps that deadline.  Returns the delay. */
int64_t am_queue_add_backoff(struct am_queue *queue, const char *ns, const char *name, int priority);
/* The same for one that did not fail but wants to come back at the same growing distances. */
int64_t am_queue_add_requeue(struct am_queue *queue, const char *ns, const char *name, int priority);
/* What went wrong in the run of an item that is handed out; kept until forget. */
void am_queue_note_error(struct am_queue *queue, const struct am_queue_item *item, const char *message);
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

size_t am_queue_len(struct am_queue *queue); /* ready now */
size_t am_queue_delayed(struct am_queue *queue);
size_t am_queue_processing(struct am_queue *queue);
size_t am_queue_known(struct am_queue *queue); /* names with any state, failures included */
/* Brings the metrics that depend on the time (unfinished work) up to date; before a metrics page is made. */
void am_queue_refresh_metrics(struct am_queue *queue);

/* For people: what the queue knows of a name. */
struct am_cause_view {
	enum am_cause_type type;
	const char *kind;        /* "" when there is none */
	const char *object;      /* "namespace/name" of what changed; NULL: the name itself */
	uint64_t old_rv, new_rv; /* of `count` like causes: before the first, after the last; 0: none */
	uint32_t count;
	uint32_t run;             /* the run that it asked for, see runs */
	int64_t age_ns, delay_ns; /* since the last of them; how long that was to wait */
};
struct am_queue_view {
	const char *ns, *name;
	const char *state; /* "ready", "delayed", "processing", "processing, again" or "idle" */
	int priority;
	unsigned failures;
	uint32_t runs;      /* times that it was handed out, the one under way included */
	int64_t in_ns;      /* delayed: until it is ready; else how long it is in that state */
	int64_t backoff_ns; /* what is left of the last counted failure's delay */
	int64_t started_ns; /* since the last run began; how long it took, or takes */
	int64_t worked_ns;
	const char *error;                            /* of the last run; NULL: none */
	struct am_cause_view causes[AM_QUEUE_CAUSES]; /* the newest first */
	size_t cause_count;
};
/* Calls fn for at most max items that are not idle, under the queue's lock: fn must not call the queue. */
void am_queue_each(struct am_queue *queue, size_t max, void (*fn)(void *arg, const struct am_queue_view *view),
		   void *arg);
/* The same for one name; false when nothing is known of it. */
bool am_queue_look(struct am_queue *queue, const char *ns, const char *name,
		   void (*fn)(void *arg, const struct am_queue_view *view), void *arg);

#endif
