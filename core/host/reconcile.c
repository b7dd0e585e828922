/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of a plugin's reconciler: makes the call, with a pool of its own for everything that the plugin reads and
 * makes, names it in the log, and takes the result.
 */

#include "core/base/counter.h"
#include "core/base/log.h"
#include "core/host/host_priv.h"

/* A read of what the watch leaves out looks like a field that is not set: nobody is to decide by that unnoticed. */
static int
check_reads(const struct host_reconciler *r, const struct am_pool *pool, int rc, struct ambient_error *err)
{
	const char *what = am_pool_left_out(pool);

	if (what == NULL)
		return rc;
	(void)ambient_terminal(err, "plugin \"%s\" %s", r->instance->plugin->decl->name, what);
	err->code = AMBIENT_E_UNSUPPORTED;
	return -AMBIENT_E_UNSUPPORTED;
}

int
host_reconcile(void *arg, struct am_reconcile *request, struct ambient_error *err)
{
	struct host_reconciler *r = arg;
	struct am_instance *instance = r->instance;
	struct ambient_request in = { sizeof(in), request->ns, request->name };
	struct ambient_result result = { .size = sizeof(result) };
	struct host_call call = {
		.head = {
			.pub = {
				.size = sizeof(call.head.pub),
				.host = &instance->table.pub,
				.deadline = request->deadline,
				.cancelled = request->cancelled,
			},
			.pool = am_pool_new(),
		},
		.reconciler = r,
		.request = request,
	};

	am_log_push("kind", r->decl->for_kind); /* the controller has said the rest */
	int64_t before = am_clock_thread_cpu();
	int rc = r->code->reconcile(instance->self, &call.head.pub, &in, &result, err);
	am_metric_add(instance->meter.cpu, (double)(am_clock_thread_cpu() - before) / (double)AM_NS_PER_S);
	am_log_pop();
	rc = check_reads(r, call.head.pool, rc, err);
	am_pool_free(call.head.pool);
	if (rc >= 0) {
		request->requeue_after = AM_MAX(result.requeue_after, 0);
		request->requeue = result.requeue != 0;
		request->prioritized = result.prioritized != 0;
		request->new_priority = result.priority;
	}
	if (rc < 0 && err->code == 0)
		(void)ambient_err(err, rc > -AMBIENT_E__COUNT ? -rc : AMBIENT_E_INTERNAL, "the plugin gave no reason");
	return rc < 0 ? rc : 0;
}
