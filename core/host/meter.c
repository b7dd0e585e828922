/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each plugin costs: processor time of its reconciles, by the clock of the thread that runs them, and what it says
 * to and hears from the API server.  Metrics live for the process, so that a plugin that is reloaded goes on counting.
 */
#include "core/base/counter.h"
#include "core/host/host_priv.h"

void
host_meter_init(struct am_instance *instance)
{
	const char *labels[] = {"plugin", instance->name, NULL};
	struct host_meter *m = &instance->meter;

	m->cpu = am_metric(AM_COUNTER, "ambient_plugin_cpu_seconds_total", "Processor time of a plugin's reconciles.",
			   labels, NULL);
	m->requests = am_metric(AM_COUNTER, "ambient_plugin_api_requests_total",
				"Requests of a plugin to the API server.", labels, NULL);
	m->failures =
		am_metric(AM_COUNTER, "ambient_plugin_api_errors_total",
			  "Requests of a plugin that were refused, failed or not allowed to start.", labels, NULL);
	m->sent = am_metric(AM_COUNTER, "ambient_plugin_api_sent_bytes_total", "Bytes of request bodies of a plugin.",
			    labels, NULL);
	m->received = am_metric(AM_COUNTER, "ambient_plugin_api_received_bytes_total",
				"Bytes of the answers' bodies to a plugin.", labels, NULL);
}

void
host_meter_request(struct am_instance *instance, size_t sent, size_t received, bool failed)
{
	struct host_meter *m = &instance->meter;

	am_metric_add(m->requests, 1);
	am_metric_add(m->failures, failed);
	am_metric_add(m->sent, (double)sent);
	am_metric_add(m->received, (double)received);
}
