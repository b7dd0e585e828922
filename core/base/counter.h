/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in memory: counters, gauges and histograms, registered once by name and labels, updated with
 * atomics.  The page in Prometheus' text form is made by core/ops from am_metric_each.
 */
#ifndef AM_BASE_COUNTER_H
#define AM_BASE_COUNTER_H

#include "core/base/attr.h"
#include "core/base/buf.h"

enum am_metric_type { AM_COUNTER, AM_GAUGE, AM_HISTOGRAM };

struct am_metric;

/* Returns the metric of that name and labels, made on first use; never fails, lives for the process.
 * labels: name, value, ..., NULL; or NULL.  buckets (histograms): ascending, ended by 0. */
struct am_metric *am_metric(enum am_metric_type type, const char *name, const char *help,
			    const char *const *labels, const double *buckets);
void am_metric_add(struct am_metric *m, double by);
void am_metric_set(struct am_metric *m, double value);
void am_metric_observe(struct am_metric *m, double value);
double am_metric_value(const struct am_metric *m); /* of a histogram: its count */
void am_metric_page(struct am_buf *out);           /* text exposition format 0.0.4, families sorted by name */

#endif
