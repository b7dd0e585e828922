/* SPDX-License-Identifier: Apache-2.0 */
/* The small tables: log, clock, mem, spawn, metrics, queue, event. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/base/log.h"
#include "core/base/spawn.h"
#include "core/host/host_priv.h"

/* ---- log */

static int
log_enabled(const struct ambient_host *host am_unused_, int level)
{
	return am_log_enabled(level);
}

static void
log_write(const struct ambient_host *host, int level, const char *text, const char *const *fields)
{
	if (level < AMBIENT_LOG_ERROR || level > AMBIENT_LOG_DEBUG)
		level = AMBIENT_LOG_INFO;
	am_log_fields(level, instance_of(host)->name, fields, "%s", text);
}

const struct ambient_log_api host_log_api = { sizeof(host_log_api), log_enabled, log_write };

/* ---- clock */

static int64_t
clock_monotonic(const struct ambient_host *host)
{
	return am_clock_boot(instance_of(host)->host->clock);
}

static int64_t
clock_wall(const struct ambient_host *host)
{
	return am_clock_wall(instance_of(host)->host->clock);
}

const struct ambient_clock_api host_clock_api = { sizeof(host_clock_api), clock_monotonic, clock_wall };

/* ---- mem */

static void *
mem_alloc(const struct ambient_host *host am_unused_, size_t n)
{
	return calloc(1, n != 0 ? n : 1);
}

static void
mem_free(const struct ambient_host *host am_unused_, void *p)
{
	free(p);
}

static void *
mem_scratch(struct ambient_call *call, size_t n)
{
	return am_arena_zalloc(am_pool_arena(call_of(call)->head.pool), n);
}

const struct ambient_mem_api host_mem_api = { sizeof(host_mem_api), mem_alloc, mem_free, mem_scratch };

/* ---- spawn */

static int
spawn_run(const struct ambient_host *host am_unused_, const struct ambient_spawn_options *options,
	  struct ambient_spawn_result *result, struct ambient_error *err)
{
	char *home = am_xasprintf("HOME=%s", getenv("HOME") != NULL ? getenv("HOME") : "/nonexistent");
	char *path = am_xasprintf("PATH=%s", getenv("PATH") != NULL ? getenv("PATH") : "/usr/bin:/bin");
	const char *const few[] = { home, path, "LANG=C.UTF-8", NULL };
	const struct am_spawn spec = {
		.argv = options->argv,
		.envp = options->envp != NULL ? options->envp : few,
		.cwd = options->cwd,
		.fds = { -1, -1, -1 },
	};
	const int32_t *cancelled = AMBIENT_HAS(options, cancelled) ? options->cancelled : NULL;
	struct am_run_result got = { 0 };
	int rc = am_run(&spec, options->input, options->input_len, options->output_max != 0 ? options->output_max : 64 * 1024,
			options->timeout_ns != 0 ? options->timeout_ns : 60 * AM_NS_PER_S, cancelled, &got, err);

	free(home);
	free(path);
	if (rc == 0) {
		result->exit_code = got.exit_code;
		result->timed_out = got.timed_out;
		result->out_len = got.out.len;
		result->err_len = got.err.len;
		result->out = am_buf_steal(&got.out, NULL);
		result->err = am_buf_steal(&got.err, NULL);
	}
	am_run_result_fini(&got);
	return rc;
}

static void
spawn_release(const struct ambient_host *host am_unused_, struct ambient_spawn_result *result)
{
	free(result->out);
	free(result->err);
	result->out = result->err = NULL;
}

const struct ambient_spawn_api host_spawn_api = { sizeof(host_spawn_api), spawn_run, spawn_release };

/* ---- metrics */

static struct am_metric *
plugin_metric(const struct ambient_host *host, enum am_metric_type type, const char *name, const char *suffix)
{
	const struct am_instance *instance = instance_of(host);
	const char *const labels[] = { "plugin", instance->plugin->decl->name, "instance", instance->name, NULL };
	char full[96];

	if (strlen(name) == 0 || strlen(name) > 40 || name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] != '\0')
		return NULL;
	(void)snprintf(full, sizeof(full), "ambient_plugin_%s%s", name, suffix);
	return am_metric(type, full, "Reported by a plugin.", labels, NULL);
}

static void
metrics_count(const struct ambient_host *host, const char *name, int64_t by)
{
	struct am_metric *m = plugin_metric(host, AM_COUNTER, name, "_total");

	if (m != NULL && by > 0)
		am_metric_add(m, (double)by);
}

static void
metrics_gauge(const struct ambient_host *host, const char *name, double value)
{
	struct am_metric *m = plugin_metric(host, AM_GAUGE, name, "");

	if (m != NULL)
		am_metric_set(m, value);
}

const struct ambient_metrics_api host_metrics_api = { sizeof(host_metrics_api), metrics_count, metrics_gauge };

/* ---- queue */

static int
queue_add(const struct ambient_host *host, const char *reconciler, const char *ns, const char *name, int64_t delay_ns)
{
	static const struct am_cause asked = { .type = AM_CAUSE_REQUEST };
	const struct am_instance *instance = instance_of(host);

	for (size_t i = 0; i < instance->reconciler_count; i++) {
		struct host_reconciler *r = &instance->reconcilers[i];
		if (reconciler != NULL && strcmp(r->decl->name, reconciler) != 0)
			continue;
		if (r->watch != NULL && am_stores_of(r->watch->stores, ns) == NULL && host_parts(r->watch) > 0)
			return -AMBIENT_E_UNSUPPORTED;
		am_queue_add_for(am_controller_queue(r->controller), ns, name, AM_QUEUE_NORMAL, delay_ns, &asked);
		return 0;
	}
	return -AMBIENT_E_NOTFOUND;
}

const struct ambient_queue_api host_queue_api = { sizeof(host_queue_api), queue_add };

/* ---- event */

static void
event_emit(struct ambient_call *call, const struct ambient_object *about, const char *type, const char *reason, const char *text)
{
	struct am_host *host = instance_of(call->host)->host;
	const char *ns = ambient_str(about, "/metadata/namespace", ""), *name = ambient_str(about, "/metadata/name", "");
	struct am_buf involved = { 0 };

	if (instance_of(call->host)->readonly) {
		am_metric_add(instance_of(call->host)->refused, 1);
		return;
	}
	am_json_addf(&involved, "{\"apiVersion\":%s,\"kind\":%s,\"namespace\":%s,\"name\":%s,\"uid\":%s,\"resourceVersion\":%s}",
		     ambient_str(about, "/apiVersion", ""), ambient_str(about, "/kind", ""), ns, name,
		     ambient_str(about, "/metadata/uid", ""), ambient_str(about, "/metadata/resourceVersion", ""));
	if (!involved.failed)
		am_recorder_emit(host->recorder, am_buf_str(&involved), ns, name, type, reason, text);
	am_buf_fini(&involved);
}

const struct ambient_event_api host_event_api = { sizeof(host_event_api), event_emit };
