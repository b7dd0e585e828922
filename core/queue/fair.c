/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fairness: within a priority the namespaces take turns, whatever the number of names that each has waiting.
 *
 * An item that becomes ready gets the number of a round: one more than its namespace's last, but not less than the
 * round that is under way.  Ready items are ordered by priority, round, arrival.  So a namespace has one item in each
 * round, its own items keep their order, and one that had nothing waiting begins in the round under way, neither ahead
 * of the others nor behind their backlog.  All of it is a comparison in the heap: O(log n).
 *
 * Rounds are counted for each priority, else a backlog at a low one would hold up its owner at a high one.  Priorities
 * are few; from the twenty-sixth on they share one count.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/queue/queue_priv.h"

bool
am_queue_ready_before(const struct item *a, const struct item *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->round != b->round ? a->round < b->round : a->seq < b->seq;
}

/* ---- priorities */

static void
class_add(struct am_queue *queue, size_t i, int priority)
{
	char label[16];

	queue->classes[i].priority = priority;
	if (!queue->metered)
		return;
	(void)snprintf(label, sizeof(label), "%d", priority);
	queue->classes[i].depth = am_queue_meter_depth(queue, i < QUEUE_CLASSES ? label : "exceeded_cardinality_limit");
}

void
am_queue_classes_init(struct am_queue *queue)
{
	class_add(queue, queue->class_count++, AM_QUEUE_NORMAL);
	class_add(queue, queue->class_count++, AM_QUEUE_LOW);
}

static uint8_t
class_of(struct am_queue *queue, int priority)
{
	size_t i = 0;

	while (i < queue->class_count && i < QUEUE_CLASSES && queue->classes[i].priority != priority)
		i++;
	if (i == queue->class_count)
		class_add(queue, queue->class_count++, priority);
	return (uint8_t)i;
}

/* ---- namespaces */

void
am_queue_tenant_enter(struct am_queue *queue, struct item *item)
{
	struct tenant *tenant = am_map_get(queue->tenants, item->pub.ns);

	if (tenant == NULL) {
		tenant = am_xcalloc(1, sizeof(*tenant));
		tenant->ns = am_xstrdup(item->pub.ns);
		am_map_put(queue->tenants, tenant->ns, tenant);
	}
	tenant->items++;
	item->tenant = tenant;
}

void
am_queue_tenant_leave(struct am_queue *queue, struct item *item)
{
	struct tenant *tenant = item->tenant;

	item->tenant = NULL;
	if (--tenant->items == 0)
		am_map_del(queue->tenants, tenant->ns);
}

void
am_queue_tenant_free(void *arg)
{
	struct tenant *tenant = arg;

	free(tenant->last);
	free(tenant->ns);
	free(tenant);
}

/* ---- turns */

void
am_queue_turn_take(struct am_queue *queue, struct item *item)
{
	struct tenant *tenant = item->tenant;

	item->class = class_of(queue, item->priority);
	if (item->class >= tenant->lasts) {
		size_t n = (size_t)item->class + 1;

		tenant->last = am_xrealloc(tenant->last, n, sizeof(*tenant->last));
		while (tenant->lasts < n)
			tenant->last[tenant->lasts++] = 0;
	}
	item->round = AM_MAX(tenant->last[item->class] + 1, queue->classes[item->class].round);
	tenant->last[item->class] = item->round;
	item->seq = ++queue->seq;
}

void
am_queue_turn_end(struct am_queue *queue, const struct item *item)
{
	struct class *class = &queue->classes[item->class];

	class->round = AM_MAX(class->round, item->round);
}
