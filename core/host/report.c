/* SPDX-License-Identifier: Apache-2.0 */
/* What `ambientctl top` and `ambientctl cache` are told: counters since the start of the process, as JSON. */
#include "core/base/counter.h"
#include "core/data/scan.h"
#include "core/host/host_priv.h"

static int64_t
count(const struct am_metric *m)
{
	return (int64_t)am_metric_value(m);
}

static void
tell_controller(const struct host_reconciler *r, struct am_buf *out)
{
	struct am_controller_status s;
	struct am_queue *queue = am_controller_queue(r->controller);

	am_controller_status(r->controller, &s);
	am_json_addf(out,
		     "{\"name\":%s,\"workers\":%d,\"active\":%d,\"stuck\":%d,\"paused\":%b,\"ready\":%l,\"delayed\":%l,\"runs\":%l,"
		     "\"errors\":%l}",
		     r->name, s.workers, s.active, s.stuck, s.paused, (int64_t)am_queue_len(queue),
		     (int64_t)am_queue_delayed(queue), (int64_t)s.calls, (int64_t)s.errors);
}

void
am_instance_report(struct am_instance *instance, struct am_buf *out)
{
	const struct host_meter *m = &instance->meter;
	int64_t objects = 0, bytes = 0;

	for (size_t i = 0; i < instance->watch_count; i++) {
		objects += (int64_t)am_stores_count(instance->watches[i].stores);
		bytes += (int64_t)am_stores_bytes(instance->watches[i].stores);
	}
	am_json_addf(out,
		     "{\"plugin\":%s,\"state\":%s,\"cpuMicros\":%l,\"requests\":%l,\"requestErrors\":%l,\"sentBytes\":%l,"
		     "\"receivedBytes\":%l,\"cacheObjects\":%l,\"cacheBytes\":%l,\"controllers\":[",
		     instance->name, am_plugin_state_name(am_instance_state(instance)),
		     (int64_t)(am_metric_value(m->cpu) * 1e6), count(m->requests), count(m->failures), count(m->sent),
		     count(m->received), objects, bytes);
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		if (i != 0)
			am_buf_addc(out, ',');
		tell_controller(&instance->reconcilers[i], out);
	}
	am_buf_adds(out, "]}");
}

static void
tell_informer(void *arg, struct am_informer *informer, int users)
{
	struct am_buf *out = arg;
	struct am_store *store = am_informer_store(informer);
	struct am_reflector_status s;
	char rv[64];

	am_informer_status(informer, &s);
	am_store_rv(store, rv, sizeof(rv));
	am_json_addf(out,
		     "%j{\"kind\":%s,\"selection\":%s,\"state\":%s,\"users\":%d,\"objects\":%l,\"bytes\":%l,\"resourceVersion\":%s,"
		     "\"lists\":%l,\"watches\":%l,\"events\":%l,\"skipped\":%l,\"error\":%s}",
		     out->len != 0 ? "," : "", am_informer_kind(informer), am_informer_selection(informer),
		     am_reflector_state_name(s.state), users, (int64_t)am_store_count(store), (int64_t)am_store_bytes(store), rv,
		     (int64_t)s.lists, (int64_t)s.watches, (int64_t)s.events, (int64_t)s.skipped, s.error);
}

void
am_host_report_cache(struct am_host *host, struct am_buf *out)
{
	struct am_buf items = { 0 };

	if (host->informers != NULL)
		am_informers_each(host->informers, tell_informer, &items);
	am_buf_addf(out, "[%s]", am_buf_str(&items));
	am_buf_fini(&items);
}
