/* SPDX-License-Identifier: Apache-2.0 */
/* The rfeworkflow plugin: what it declares, what can be configured, and its life cycle. */
#include "plugins/rfeworkflow/rfeworkflow.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

AMBIENT_DECLARE("name=rfeworkflow\0"
		"version=" PACKAGE_VERSION "\0"
		"for=" RFE_KIND "\0"
		"owns=" RFE_SESSION "\0"
		"watch=" RFE_SESSION " map=label:rfe-workflow\0"
		"watch=" RFE_CM " field=metadata.name=ambient-agents map=namespace\0"
		"watch=" RFE_NS " map=namespace\0"
		"index=byWaitsFor:/status/waitsFor\0"
		"may=" RFE_KIND "/status:patch,update\0"
		"may=" RFE_SESSION ":get,create,patch\0");

#define OPTION(var, ...) static const struct ambient_option var = { .size = sizeof(struct ambient_option), __VA_ARGS__ }
OPTION(opt_agents, .name = "agents", .type = AMBIENT_OPT_PATH,
       .text = "Directory of the agents' templates; unset: those that were installed.");
OPTION(opt_seed, .name = "seed", .type = AMBIENT_OPT_PATH,
       .text = "Directory of what umbrella repositories begin with, laid out like spec-kit's own repository: templates/, "
	       "templates/commands/, scripts/bash/, memory/; unset: what was installed.");
OPTION(opt_timeout, .name = "stepTimeout", .type = AMBIENT_OPT_DURATION, .def = "30m", .min = AMBIENT_SECOND,
       .max = INT64_C(30) * 24 * 60 * AMBIENT_MINUTE, .text = "How long a step may take when the workflow does not say.");
OPTION(opt_retries, .name = "retries", .type = AMBIENT_OPT_INT, .def = "1", .max = 10,
       .text = "How often a failed step is tried again when the workflow does not say.");
OPTION(opt_delay, .name = "retryDelay", .type = AMBIENT_OPT_DURATION, .def = "10s", .max = 60 * AMBIENT_MINUTE,
       .text = "How long to wait before the first of them; doubled with each.");
OPTION(opt_synthesis, .name = "synthesis", .type = AMBIENT_OPT_BOOL, .def = "true",
       .text = "Whether a last session writes the final document of a request when the workflow does not say; "
	       "else it is put together of what the steps said.");

static const struct ambient_option *const options[] = {
	&opt_agents, &opt_seed, &opt_timeout, &opt_retries, &opt_delay, &opt_synthesis, NULL,
};

static const char *
agents_of(const struct ambient_host *host, const struct ambient_conf *conf)
{
	const char *dir = host->conf->str(conf, "agents", "");

	return dir[0] != '\0' ? dir : AM_PKGDATADIR "/agents";
}

static const char *
seed_of(const struct ambient_host *host, const struct ambient_conf *conf)
{
	const char *dir = host->conf->str(conf, "seed", "");

	return dir[0] != '\0' ? dir : AM_PKGDATADIR "/seed";
}

static int
check(const struct ambient_host *host, const struct ambient_conf *conf, struct ambient_error *err)
{
	const char *dir = agents_of(host, conf);

	if (access(dir, R_OK | X_OK) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the directory of the agents' templates, \"%s\", cannot be read: %s; "
				   "set agents", dir, strerror(errno));
	dir = seed_of(host, conf);
	if (access(dir, R_OK | X_OK) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the directory of what umbrella repositories begin with, \"%s\", cannot be "
				   "read: %s; set seed", dir, strerror(errno));
	return 0;
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	const struct ambient_conf_api *read = host->conf;
	struct rfe_plugin *plugin = calloc(1, sizeof(*plugin));

	if (plugin == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	plugin->host = host;
	plugin->agents = agents_of(host, conf);
	plugin->seed = seed_of(host, conf);
	plugin->step_timeout_s = read->integer(conf, "stepTimeout", 30 * AMBIENT_MINUTE) / AMBIENT_SECOND;
	plugin->retries = read->integer(conf, "retries", 1);
	plugin->retry_delay = read->integer(conf, "retryDelay", 10 * AMBIENT_SECOND);
	plugin->synthesis = read->integer(conf, "synthesis", 1) != 0;
	*ret_self = plugin;
	return 0;
}

static const struct ambient_reconciler workflow = {
	.size = sizeof(workflow),
	.name = NULL,
	.reconcile = rfe_reconcile,
};
static const struct ambient_reconciler *const reconcilers[] = { &workflow, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.check = check,
	.create = create,
	.destroy = free,
	.reconcilers = reconcilers,
};
