/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "jira": no agent, but `ambient-runner jira` in the agent's place, which makes a document of the main repository
 * an issue.  What is to be published stands in spec.runnerConfig, where the plugin rfeworkflow writes it; the account is a Secret
 * of the namespace, which this container alone gets.  Nobody who may only write sessions can send its token elsewhere: the
 * server is the Secret's or the configuration's, and variables of the session do not count.
 */
#include "plugins/runner-shared/cli.h"

#include <stdlib.h>

AMBIENT_DECLARE("name=runner-jira\0version=0.1.0\0runner=jira\0needs=network");

#define SECRET "ambient-non-vertex-integrations"

#define OPTION(var, ...) static const struct ambient_option var = {.size = sizeof(struct ambient_option), __VA_ARGS__}
OPTION(opt_secret, .name = "secret", .type = AMBIENT_OPT_STRING, .def = SECRET,
       .text = "Secret of a project with JIRA_URL, JIRA_PROJECT, JIRA_API_TOKEN and, for atlassian.net, JIRA_EMAIL");
OPTION(opt_url, .name = "url", .type = AMBIENT_OPT_STRING,
       .text = "URL of the Jira of all projects, instead of JIRA_URL in their Secrets");
OPTION(opt_plain, .name = "plainHTTP", .type = AMBIENT_OPT_BOOL, .def = "false",
       .text = "whether a URL with http, which shows the token to the network, is taken for other hosts than this one");
OPTION(opt_retry, .name = "retryDelay", .type = AMBIENT_OPT_DURATION, .def = "1s", .min = INT64_C(1000000),
       .max = INT64_C(60000000000), .text = "how long to wait before a request is tried again; doubled once");
OPTION(opt_program, .name = "program", .type = AMBIENT_OPT_STRING, .def = "ambient-runner",
       .text = "ambient-runner in the runner image: a name looked up in PATH, or an absolute path");
static const struct ambient_option *const options[] = {&opt_secret, &opt_url, &opt_plain, &opt_retry, &opt_program, NULL};

static const struct rs_cli cli = {.title = "ambient-runner jira", .type = "jira", .program = "ambient-runner", .variable = "AMBIENT_JIRA"};

/* ---- plan */

/* What is wrong with the session, as a field and a sentence; false: nothing. */
static int
is_refused(const struct ambient_plan *in, const char **field, const char **message)
{
	static const char *const needed[] = {"/spec/runnerConfig/path", "/spec/runnerConfig/summary", "/spec/runnerConfig/label",
					     "/spec/runnerConfig/type"};
	const char *name;

	*field = "spec.runnerConfig";
	*message = "needs path, summary, label and type, as an RFEWorkflow writes them";
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (ambient_str(in->session, needed[i], "")[0] == '\0')
			return 1;
	*field = "spec.environmentVariables";
	*message = "runner type \"jira\" takes no variables that begin with JIRA_; the account is a Secret of the project";
	for (size_t i = 0; i < ambient_len(in->session, "/spec/environmentVariables"); i++) {
		(void)ambient_item(in->session, "/spec/environmentVariables", i, &name);
		if (strncmp(name, "JIRA_", 5) == 0)
			return 1;
	}
	*field = "spec.interactive";
	*message = "runner type \"jira\" publishes one document and ends; set it to false";
	return ambient_bool(in->effective, "/interactive", 0) == 1;
}

static int
plan(void *self, const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
     struct ambient_error *err)
{
	const struct rs_instance *instance = self;
	const struct ambient_conf_api *conf = instance->host->conf;
	static const char *const settings[] = {"path",   "type", "summary", "label", "source", "key", "parent", "implements",
					       "attachments", NULL};
	const char *secret = conf->str(instance->conf, "secret", SECRET), *url = conf->str(instance->conf, "url", ""), *field, *message;
	struct text t = {0};
	char ms[32];
	int rc;

	if (rs_unknown_setting(in, "jira", settings, problems))
		return 0;
	if (is_refused(in, &field, &message)) {
		rs_problem(problems, field, message);
		return 0;
	}
	text_puts(&t, "{\"agentEnv\":[");
	rs_put_key(&t, secret, "JIRA_API_TOKEN", 0);
	text_puts(&t, ",");
	rs_put_key(&t, secret, "JIRA_PROJECT", 0);
	text_puts(&t, ",");
	rs_put_key(&t, secret, "JIRA_EMAIL", 1);
	if (url[0] == '\0') {
		text_puts(&t, ",");
		rs_put_key(&t, secret, "JIRA_URL", 0);
	}
	rs_put_env(&t, "JIRA_URL", url);
	rs_put_env(&t, "AMBIENT_JIRA_PLAIN_HTTP", conf->integer(instance->conf, "plainHTTP", 0) != 0 ? "1" : "");
	(void)snprintf(ms, sizeof(ms), "%lld", (long long)(conf->integer(instance->conf, "retryDelay", INT64_C(1000000000)) / 1000000));
	rs_put_env(&t, "AMBIENT_JIRA_RETRY_MS", ms);
	rs_put_env(&t, cli.variable, conf->str(instance->conf, "program", cli.program));
	text_puts(&t, "],\"requiredSecretKeys\":[\"JIRA_API_TOKEN\",\"JIRA_PROJECT\"]}");
	rc = t.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for a plan") : 0;
	if (rc == 0)
		fragment->put(fragment, t.p, t.len);
	text_fini(&t);
	return rc;
}

/* ---- drive */

static int
command(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	const struct ambient_command_api *api = run->host->message->command;
	struct rs_run *rs = run->host->mem->alloc(run->host, sizeof(*rs));

	if (rs == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for the run");
	rs->cli = &cli;
	rs->instance = self;
	rs->started = run->host->clock->monotonic(run->host);
	run->slot = rs;
	api->arg(cmd, rs_program(&cli));
	api->arg(cmd, "jira");
	return 0;
}

/* The order, whatever the prompt says for people. */
static int
prompt(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err)
{
	struct text t = {0};
	int rc;

	rs_json(&t, run->config, "", "{}");
	rc = t.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for the order") : rs_prompt(self, run, t.p, t.len, err);
	text_fini(&t);
	return rc;
}

/* One line is all that it says: what it has done, which is the result as it is, or why it could not. */
static int
line(void *self, struct ambient_run *run, int stream, const char *text, size_t len, int cut, struct ambient_error *err)
{
	const struct ambient_object *msg = NULL;
	struct rs_run *rs = run->slot;
	int rc = rs_object(run, stream, text, len, cut, &msg, err);

	if (rc <= 0)
		return rc;
	if (ambient_str(msg, "/key", "")[0] != '\0') {
		rs_say(run, text, len);
		rs->have_result = 1;
		rs->turns = 1;
		run->host->message->turn_done(run);
	} else {
		rs_failed(run, -1, ambient_str(msg, "/text", "it does not say why"));
		(void)snprintf(rs->reason, sizeof(rs->reason), "%.63s", ambient_str(msg, "/reason", "AgentFailed"));
	}
	ambient_unref((struct ambient_object *)(uintptr_t)msg);
	return 0;
}

static const struct ambient_runner runner = {
	.size = sizeof(runner),
	.type = "jira",
	.plan = plan,
	.command = command,
	.prompt = prompt,
	.line = line,
	.exited = rs_exited,
};
static const struct ambient_runner *const runners[] = {&runner, NULL};

const struct ambient_plugin ambient_plugin_v1 = {AMBIENT_PLUGIN_HEAD, .options = options, .create = rs_create,
						 .destroy = rs_destroy, .runners = runners};
