/* SPDX-License-Identifier: Apache-2.0 */
/* The least that is a plugin: one reconciler that does nothing. */
#include <ambient/plugin.h>

AMBIENT_DECLARE("name=good-min\0"
		"version=1.0.0\0"
		"for=example.com/v1/widgets\0");

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	(void)host;
	(void)conf;
	(void)err;
	*ret_self = NULL;
	return 0;
}

static int
reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	(void)self;
	(void)call;
	(void)req;
	(void)result;
	(void)err;
	return 0;
}

static const struct ambient_reconciler only = { .size = sizeof(only), .reconcile = reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &only, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.create = create,
	.reconcilers = reconcilers,
};
