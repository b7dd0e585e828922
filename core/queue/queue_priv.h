/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the queue: its items, the heap that orders them, who is whose tenant, why an item is there. */
#ifndef AM_QUEUE_QUEUE_PRIV_H
#define AM_QUEUE_QUEUE_PRIV_H

#include "core/base/counter.h"
#include "core/base/lock.h"
#include "core/base/map.h"
#include "core/base/slab.h"
#include "core/queue/queue.h"

#define AM_HEAP_NOWHERE SIZE_MAX

/* Priorities with a place of their own; what comes later shares one. */
#define QUEUE_CLASSES 25
/* Kinds that causes name; what comes later is told as "". */
#define QUEUE_KINDS 200
/* Names at rest whose causes are kept. */
#define QUEUE_RESTING 4096

/* One of the last reasons of an item (cause.c). */
struct cause {
	int64_t at, delay;       /* boot time; what it was to wait */
	uint64_t old_rv, new_rv; /* 0: none, or no number */
	char *object;            /* "ns/name" of what changed; NULL: the item itself */
	uint32_t run, count;     /* the run that it asked for; how often in a row */
	uint8_t type, kind;
};

/* The names of one namespace (fair.c). */
struct tenant {
	char *ns;
	size_t items;
	uint64_t *last; /* by class: the round of its last item there */
	size_t lasts;
};

/* The items of one priority (fair.c). */
struct class
{
	int priority;
	uint64_t round; /* of the item that was handed out last */
	struct am_metric *depth;
};

/* An item is ready, delayed, processing, or has failures; else it rests, for its causes' sake.  Ready and delayed
 * exclude each other; an item that is processing is never in the ready heap: `again` says that it goes there when it is
 * done. */
struct item {
	struct am_queue_item pub;
	struct tenant *tenant;
	struct item *rest_prev, *rest_next; /* while resting; older, newer */
	char *error;                        /* of the last run; NULL: none */
	struct cause *causes;               /* a ring once it is full */
	uint8_t cause_len, cause_cap, cause_head;
	bool processing, again, resting;
	uint8_t class; /* while ready */
	int priority;  /* of the next time it is handed out */
	unsigned failures;
	uint32_t runs;         /* times handed out */
	uint64_t seq;          /* first come, first served */
	uint64_t round;        /* while ready: its turn among the tenants */
	int64_t ready_at;      /* while delayed */
	int64_t added_at;      /* when it became wanted */
	int64_t started_at;    /* of the last run */
	int64_t worked_ns;     /* how long that took */
	int64_t backoff_until; /* with failures > 0: the deadline of the last counted failure */
	size_t ready_pos, delayed_pos;
	size_t key_len;
	char key[]; /* ns, NUL, name, NUL */
};

/* A binary heap of items that know their place in it, so that any of them can be removed in O(log n). */
struct heap {
	struct item **items;
	size_t len, cap;
	bool (*before)(const struct item *a, const struct item *b);
	size_t pos_offset; /* of the size_t in struct item that holds its place */
};

struct meter {
	struct am_metric *adds, *retries, *latency, *work, *unfinished, *longest;
};

struct am_queue {
	struct am_lock lock;
	struct am_clock *clock;
	struct am_cond ready_cond, idle_cond;
	char *name;
	bool metered;
	struct meter meter;
	/* all below: lock */
	struct am_slab *slab;   /* of the items and their causes: most of a list's are gone soon, and the objects stay */
	struct am_map *items;   /* by key, without the last NUL, which is the item's own */
	struct am_map *tenants; /* by namespace */
	struct heap ready, delayed;
	size_t processing;
	uint64_t seq;
	struct am_queue_limits limits;
	struct class classes[QUEUE_CLASSES + 1]; /* the last one is for all others */
	size_t class_count;
	char *kinds[QUEUE_KINDS];
	size_t kind_count;
	struct item *rest_first, *rest_last; /* the oldest, the newest */
	size_t resting;
	int getters; /* threads inside get */
	bool draining, shut;
};

/* ---- heap.c */
void am_queue_heap_push(struct heap *heap, struct item *item);
void am_queue_heap_remove(struct heap *heap, struct item *item);
void am_queue_heap_fini(struct heap *heap);

/* ---- fair.c */
bool am_queue_ready_before(const struct item *a, const struct item *b);
void am_queue_tenant_enter(struct am_queue *queue, struct item *item);
void am_queue_tenant_leave(struct am_queue *queue, struct item *item);
/* The item becomes ready: gives it its turn. */
void am_queue_turn_take(struct am_queue *queue, struct item *item);
/* The item is handed out: the others' turns move on. */
void am_queue_turn_end(struct am_queue *queue, const struct item *item);
void am_queue_classes_init(struct am_queue *queue);
void am_queue_tenant_free(void *tenant);

/* ---- cause.c */
void am_queue_cause_note(struct am_queue *queue, struct item *item, const struct am_cause *cause, int64_t now,
			 int64_t delay);
void am_queue_causes_free(struct am_queue *queue, struct item *item);
void am_queue_kinds_free(struct am_queue *queue);

/* ---- meter.c */
void am_queue_meter_init(struct am_queue *queue);
struct am_metric *am_queue_meter_depth(const struct am_queue *queue, const char *priority);
void am_queue_meter_count(const struct am_queue *queue, struct am_metric *m);
void am_queue_meter_seconds(const struct am_queue *queue, struct am_metric *m, int64_t ns);
void am_queue_meter_depth_add(const struct am_queue *queue, const struct item *item, int by);

/* ---- queue.c */
struct item *am_queue_item_of(const struct am_queue *queue, const char *ns, const char *name);
/* Moves what is due from delayed to ready. */
void am_queue_mature(struct am_queue *queue);

static inline bool
item_is_ready(const struct item *item)
{
	return item->ready_pos != AM_HEAP_NOWHERE;
}

static inline bool
item_is_delayed(const struct item *item)
{
	return item->delayed_pos != AM_HEAP_NOWHERE;
}

#endif
