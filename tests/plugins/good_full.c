/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of declaration and every table, so that the loader's copies can be compared with what stands here. */
#include <stdlib.h>

#include <ambient/plugin.h>

AMBIENT_DECLARE("name=good-full\0"
		"version=2.1.0-rc1\0"
		"needs=network\0"
		"reconciler=widgets\0"
		"for=example.com/v1/widgets\0"
		"owns=v1/configmaps\0"
		"watch=v1/pods selector=app=x field=status.phase=Running map=label:agentic-session\0"
		"watch=v1/secrets index=bySecret\0"
		"index=bySecret:/spec/secretName\0"
		"reconciler=gadgets\0"
		"for=example.com/v1beta1/gadgets\0"
		"watch=v1/namespaces map=all\0"
		"may=v1/secrets:get example.com/v1/widgets/status:get,patch\0"
		"may=v1/pods/log:get\0"
		"runner=echo\0"
		"server=web\0");

struct self {
	int count;
};

static int
check(const struct ambient_host *host, const struct ambient_conf *conf, struct ambient_error *err)
{
	(void)host;
	(void)conf;
	(void)err;
	return 0;
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	(void)host;
	(void)conf;
	*ret_self = calloc(1, sizeof(struct self));
	return *ret_self != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "no memory");
}

static void
destroy(void *self)
{
	free(self);
}

static int
reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	(void)call;
	(void)req;
	(void)err;
	((struct self *)self)->count++;
	return ambient_requeue_after(result, ((struct self *)self)->count * AMBIENT_SECOND);
}

static int
command(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	(void)self;
	(void)run;
	(void)cmd;
	(void)err;
	return 0;
}

static int
start(void *self, struct ambient_error *err)
{
	(void)self;
	(void)err;
	return 0;
}

static void
stop(void *self)
{
	(void)self;
}

static const struct ambient_option region = { sizeof(region), "region", AMBIENT_OPT_STRING, AMBIENT_OPT_RELOAD, "eu", 0, 0,
					      "Where widgets live.", NULL };
static const struct ambient_option *const options[] = { &region, NULL };

static const struct ambient_reconciler widgets = { .size = sizeof(widgets), .name = "widgets", .reconcile = reconcile },
				       gadgets = { .size = sizeof(gadgets), .name = "gadgets", .reconcile = reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &gadgets, &widgets, NULL };
static const struct ambient_runner echo = { .size = sizeof(echo), .type = "echo", .command = command };
static const struct ambient_runner *const runners[] = { &echo, NULL };
static const struct ambient_server web = { .size = sizeof(web), .name = "web", .start = start, .stop = stop };
static const struct ambient_server *const servers[] = { &web, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.check = check,
	.create = create,
	.stop = stop,
	.destroy = destroy,
	.reconcilers = reconcilers,
	.runners = runners,
	.servers = servers,
};
