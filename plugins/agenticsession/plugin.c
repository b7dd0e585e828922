/* SPDX-License-Identifier: Apache-2.0 */
/* The agenticsession plugin: what it declares, what can be configured, and its life cycle. */
#include "plugins/agenticsession/agenticsession.h"

#include <stdlib.h>

#define OURS   "selector=app=ambient-code-runner map=annotation:ambient-code.io/session"
#define RIGHTS "selector=app=ambient-runner map=annotation:ambient-code.io/session"

AMBIENT_DECLARE("name=agenticsession\0"
		"version=" PACKAGE_VERSION "\0"
		"for=" AS_SESSION "\0"
		"watch=" AS_JOB " " OURS "\0"
		"watch=" AS_POD " selector=agentic-session map=annotation:ambient-code.io/session\0" /* of a run, or content */
		"watch=" AS_CM " " OURS "\0"
		"watch=" AS_SA " " RIGHTS "\0"
		"watch=" AS_ROLE " " RIGHTS "\0"
		"watch=" AS_BINDING " " RIGHTS "\0"
		"watch=" AS_NS " map=namespace when=labels\0"
		"watch=" AS_SETTINGS " map=namespace when=generation\0" /* its counts are no news */
		"watch=" AS_SESSION " when=/status/effective/workspace,/status/phase index=byParent\0"
		"watch=" AS_SESSION " when=/status/effective/workspace,/status/phase index=byParentVariable\0"
		"index=byParent:/metadata/annotations/vteam.ambient-code~1parent-session-id\0"
		"index=byParentVariable:/spec/environmentVariables/PARENT_SESSION_ID\0"
		"index=byWorkspace:/status/effective/workspace\0"
		"index=byAdmission:/status/admission\0"
		"index=byWaitsFor:/status/waitsFor\0"
		"may=" AS_SESSION ":delete\0"
		"may=" AS_SESSION "/status:patch,update\0"
		"may=" AS_JOB ":get,create,patch,delete\0"
		"may=" AS_POD ":get,create,delete\0"
		"may=" AS_CM ":get,create,patch\0"
		"may=" AS_PVC ":get,create\0"
		"may=" AS_SA ":get,create\0"
		"may=" AS_ROLE ":get,create,patch\0"
		"may=" AS_BINDING ":get,create,patch\0"
		"may=" AS_POLICY ":get,create,patch,delete\0"
		"may=" AS_EVENT ":list\0");

#define OPTION(var, ...) static const struct ambient_option var = { .size = sizeof(struct ambient_option), __VA_ARGS__ }
OPTION(opt_timeout, .name = "timeout", .type = AMBIENT_OPT_DURATION, .def = "1h", .min = AMBIENT_SECOND,
       .max = INT64_C(30) * 24 * 60 * AMBIENT_MINUTE,
       .text = "How long a run may take when neither session nor project say.");
OPTION(opt_start, .name = "startTimeout", .type = AMBIENT_OPT_DURATION, .def = "5m", .min = AMBIENT_SECOND,
       .max = 24 * 60 * AMBIENT_MINUTE,
       .text = "How long a container may fail to start (image, missing Secret) before the session fails.");
OPTION(opt_ttl, .name = "keepJob", .type = AMBIENT_OPT_DURATION, .def = "10m", .max = INT64_C(30) * 24 * 60 * AMBIENT_MINUTE,
       .text = "How long Job, pod and logs are kept after the end of a run.");
OPTION(opt_heartbeat, .name = "heartbeat", .type = AMBIENT_OPT_DURATION, .def = "25s", .min = AMBIENT_SECOND, .max = 10 * AMBIENT_MINUTE,
       .text = "How often a runner says that it is there; one that has said nothing for twice as long is told as RunnerSilent.");
OPTION(opt_content, .name = "contentIdle", .type = AMBIENT_OPT_DURATION, .def = "5m", .min = AMBIENT_SECOND, .max = 24 * 60 * AMBIENT_MINUTE,
       .text = "How long the pod that shows the files of a session that has ended stays while nobody reads.");
OPTION(opt_max, .name = "maxRunning", .type = AMBIENT_OPT_INT, .def = "0", .max = 1000000,
       .text = "How many sessions may run at once, over all namespaces; 0: as many as there are.");
OPTION(opt_user, .name = "runAsUser", .type = AMBIENT_OPT_INT, .def = "1001", .max = 2147483647,
       .text = "User and group of pods, and the group of their volumes; 0: the image's own user, as a node without a sandbox needs it.");
OPTION(opt_policy, .name = "networkPolicy", .type = AMBIENT_OPT_BOOL, .def = "false",
       .text = "A NetworkPolicy for each session: nobody calls its pod but at the runner's endpoint (port 8001, which asks for a key), "
	       "and it does not reach link-local addresses.");
OPTION(opt_model, .name = "model", .type = AMBIENT_OPT_STRING, .def = "claude-sonnet-4-5",
       .text = "Model of sessions when neither session nor project name one.");
OPTION(opt_secret, .name = "secret", .type = AMBIENT_OPT_STRING, .def = "ambient-runner-secrets",
       .text = "Secret of the session's namespace with the agent's key, when neither session nor project name one.");
OPTION(opt_integrations, .name = "integrationSecret", .type = AMBIENT_OPT_STRING, .def = "ambient-non-vertex-integrations",
       .text = "Secret with GITHUB_TOKEN, GITLAB_TOKEN, GIT_USER_NAME and GIT_USER_EMAIL for the runner, if it exists.");
OPTION(opt_size, .name = "workspaceSize", .type = AMBIENT_OPT_STRING, .def = "5Gi",
       .text = "What a session's workspace claim asks for.");
OPTION(opt_class, .name = "storageClass", .type = AMBIENT_OPT_STRING, .def = "",
       .text = "Storage class of workspace claims; empty: the cluster's default.");
OPTION(opt_github, .name = "githubApi", .type = AMBIENT_OPT_STRING, .def = "",
       .text = "Base URL of GitHub's REST API for pull requests; empty: https://api.github.com, and https://HOST/api/v3 of other hosts.");
OPTION(opt_gitlab, .name = "gitlabApi", .type = AMBIENT_OPT_STRING, .def = "",
       .text = "Base URL of GitLab's REST API for merge requests; empty: https://HOST/api/v4.");
OPTION(opt_pull, .name = "imagePullPolicy", .type = AMBIENT_OPT_STRING, .def = "IfNotPresent",
       .text = "Always, IfNotPresent or Never.");

static const struct ambient_option *const options[] = {
	&opt_timeout, &opt_start, &opt_ttl, &opt_heartbeat, &opt_content, &opt_max, &opt_user, &opt_policy, &opt_model, &opt_secret, &opt_integrations,
	&opt_size, &opt_class, &opt_github, &opt_gitlab, &opt_pull,
	NULL,
};

static int
check(const struct ambient_host *host, const struct ambient_conf *conf, struct ambient_error *err)
{
	const char *pull = host->conf->str(conf, "imagePullPolicy", "IfNotPresent");

	if (strcmp(pull, "Always") != 0 && strcmp(pull, "IfNotPresent") != 0 && strcmp(pull, "Never") != 0)
		return ambient_err(err, AMBIENT_E_INVALID,
				   "imagePullPolicy is \"%s\"; it must be Always, IfNotPresent or Never", pull);
	static const char *const apis[] = { "githubApi", "gitlabApi" };
	for (size_t i = 0; i < sizeof(apis) / sizeof(apis[0]); i++) {
		const char *api = host->conf->str(conf, apis[i], "");

		if (api[0] != '\0' && strncmp(api, "https://", 8) != 0 && strncmp(api, "http://", 7) != 0)
			return ambient_err(err, AMBIENT_E_INVALID, "%s is \"%.200s\"; it must be an https or http URL", apis[i], api);
	}
	return 0;
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	const struct ambient_conf_api *read = host->conf;
	struct as_plugin *plugin = calloc(1, sizeof(*plugin));

	if (plugin == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if ((plugin->queue = as_queue_new()) == NULL) {
		free(plugin);
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	}
	plugin->host = host;
	plugin->run_as_user = read->integer(conf, "runAsUser", 1001);
	plugin->network_policy = read->integer(conf, "networkPolicy", 0) != 0;
	plugin->max_running = read->integer(conf, "maxRunning", 0);
	plugin->timeout_s = read->integer(conf, "timeout", 60 * AMBIENT_MINUTE) / AMBIENT_SECOND;
	plugin->start_timeout_s = read->integer(conf, "startTimeout", 5 * AMBIENT_MINUTE) / AMBIENT_SECOND;
	plugin->job_ttl_s = read->integer(conf, "keepJob", 10 * AMBIENT_MINUTE) / AMBIENT_SECOND;
	plugin->heartbeat_s = read->integer(conf, "heartbeat", 25 * AMBIENT_SECOND) / AMBIENT_SECOND;
	plugin->content_idle_s = read->integer(conf, "contentIdle", 5 * AMBIENT_MINUTE) / AMBIENT_SECOND;
	plugin->model = read->str(conf, "model", "claude-sonnet-4-5");
	plugin->secret = read->str(conf, "secret", "ambient-runner-secrets");
	plugin->integrations = read->str(conf, "integrationSecret", "ambient-non-vertex-integrations");
	plugin->workspace_size = read->str(conf, "workspaceSize", "5Gi");
	plugin->storage_class = read->str(conf, "storageClass", "");
	plugin->github_api = read->str(conf, "githubApi", "");
	plugin->gitlab_api = read->str(conf, "gitlabApi", "");
	plugin->pull_policy = read->str(conf, "imagePullPolicy", "IfNotPresent");
	*ret_self = plugin;
	return 0;
}

static void
destroy(void *self)
{
	struct as_plugin *plugin = self;

	as_queue_free(plugin->queue);
	free(plugin);
}

static const struct ambient_reconciler session = {
	.size = sizeof(session),
	.name = NULL,
	.reconcile = as_reconcile,
};
static const struct ambient_reconciler *const reconcilers[] = { &session, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.check = check,
	.create = create,
	.destroy = destroy,
	.reconcilers = reconcilers,
};
