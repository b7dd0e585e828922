/* SPDX-License-Identifier: Apache-2.0 */
/* The queue's metrics, with controller-runtime's names, labels and buckets.  A queue without a name has none. */
#include "core/queue/queue_priv.h"

static const double duration_buckets[] = {1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000, 0};

static struct am_metric *
metric(const struct am_queue *queue, enum am_metric_type type, const char *name, const char *help, const char *priority)
{
	const char *labels[] = {"name",   queue->name, "controller", queue->name, priority != NULL ? "priority" : NULL,
				priority, NULL};

	return am_metric(type, name, help, labels, type == AM_HISTOGRAM ? duration_buckets : NULL);
}

void
am_queue_meter_init(struct am_queue *queue)
{
	struct meter *m = &queue->meter;

	m->adds = metric(queue, AM_COUNTER, "workqueue_adds_total", "Items added", NULL);
	m->retries = metric(queue, AM_COUNTER, "workqueue_retries_total", "Items added with a delay", NULL);
	m->latency = metric(queue, AM_HISTOGRAM, "workqueue_queue_duration_seconds",
			    "Time from being added to being handed out", NULL);
	m->work = metric(queue, AM_HISTOGRAM, "workqueue_work_duration_seconds", "Time that processing took", NULL);
	m->unfinished =
		metric(queue, AM_GAUGE, "workqueue_unfinished_work_seconds", "Time spent on items in work", NULL);
	m->longest = metric(queue, AM_GAUGE, "workqueue_longest_running_processor_seconds",
			    "Age of the oldest item in work", NULL);
	queue->metered = true;
}

struct am_metric *
am_queue_meter_depth(const struct am_queue *queue, const char *priority)
{
	return metric(queue, AM_GAUGE, "workqueue_depth", "Items that are ready", priority);
}

void
am_queue_meter_count(const struct am_queue *queue, struct am_metric *m)
{
	if (queue->metered && !queue->shut)
		am_metric_add(m, 1);
}

void
am_queue_meter_seconds(const struct am_queue *queue, struct am_metric *m, int64_t ns)
{
	if (queue->metered && !queue->shut)
		am_metric_observe(m, (double)ns / 1e9);
}

void
am_queue_meter_depth_add(const struct am_queue *queue, const struct item *item, int by)
{
	if (queue->metered)
		am_metric_add(queue->classes[item->class].depth, by);
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
		am_metric_set(queue->meter.unfinished, (double)sum / 1e9);
		am_metric_set(queue->meter.longest, (double)longest / 1e9);
	}
	am_unlock(&queue->lock);
}
