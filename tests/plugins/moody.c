/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that may misbehave, as its configuration says: it refuses the mood "bad" on a reload, and with hang = true
 * its reconciles end only with the process, whatever they are asked.
 */
#include <stdlib.h>
#include <unistd.h>

#include <ambient/plugin.h>

AMBIENT_DECLARE("name=moody\0"
		"version=1.0.0\0"
		"for=v1/namespaces\0");

static const struct ambient_option mood = { .size = sizeof(mood), .name = "mood", .type = AMBIENT_OPT_STRING,
					    .flags = AMBIENT_OPT_RELOAD, .def = "good", .text = "Its mood." };
static const struct ambient_option hang = { .size = sizeof(hang), .name = "hang", .type = AMBIENT_OPT_BOOL, .def = "false",
					    .text = "Never come back." };
static const struct ambient_option *const options[] = { &mood, &hang, NULL };

struct self {
	const struct ambient_host *host;
	int64_t hang;
};

static int
take(struct self *self, const struct ambient_conf *conf)
{
	self->hang = self->host->conf->integer(conf, "hang", 0);
	ambient_log(self->host, AMBIENT_LOG_INFO, "%s is %s", self->host->instance, self->host->conf->str(conf, "mood", "?"));
	return 0;
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	struct self *self = calloc(1, sizeof(*self));

	if (self == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	self->host = host;
	*ret_self = self;
	return take(self, conf);
}

static int
reload(void *self, const struct ambient_conf *conf, struct ambient_error *err)
{
	const struct ambient_host *host = ((struct self *)self)->host;

	if (strcmp(host->conf->str(conf, "mood", ""), "bad") == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the mood \"bad\" is not to be had");
	return take(self, conf);
}

static void
stop(void *self)
{
	const struct ambient_host *host = ((struct self *)self)->host;

	ambient_log(host, AMBIENT_LOG_INFO, "%s is asked to stop", host->instance);
}

static int
reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	(void)result;
	(void)err;
	while (((struct self *)self)->hang) {
		ambient_log(call->host, AMBIENT_LOG_INFO, "hangs on %s", req->name);
		(void)sleep(3600);
	}
	return 0;
}

static const struct ambient_reconciler only = { .size = sizeof(only), .reconcile = reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &only, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.create = create,
	.reload = reload,
	.stop = stop,
	.destroy = free,
	.reconcilers = reconcilers,
};
