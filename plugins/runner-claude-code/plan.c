/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of "claude-code".  The model is reached with an API key, or through Bedrock or Vertex when the session's
 * environment says so as the CLI documents it (CLAUDE_CODE_USE_BEDROCK, CLAUDE_CODE_USE_VERTEX); whichever it is, the
 * credentials come from the session's Secret straight to the agent.  MCP servers are the project's and the session's,
 * never the repository's; the session's win by name, and either may disable one.
 */
#include "plugins/runner-claude-code/claude.h"

#include <stdlib.h>

#define PROMPT_MAX (64 * 1024)
#define MCP_MAX    (100 * 1024)

/* ---- spec.runnerConfig */

enum setting_kind { COUNT, AMOUNT, WORD_ASK, TEXT, TOOLS };

static const struct setting {
	const char *name;
	enum setting_kind kind;
} the_settings[] = {
	{"maxTurns", COUNT},       {"maxTokens", COUNT},       {"maxBudgetUSD", AMOUNT},      {"permissions", WORD_ASK},
	{"allowedTools", TOOLS},   {"disallowedTools", TOOLS}, {"appendSystemPrompt", TEXT},
};

static const char *
tools_problem(const struct ambient_object *value)
{
	if (ambient_type(value, "") != AMBIENT_T_ARRAY || ambient_len(value, "") > CC_TOOLS_MAX)
		return "must be a list of at most 128 strings, such as [\"Read\", \"Bash(git log *)\"]";
	for (size_t i = 0; i < ambient_len(value, ""); i++) {
		const struct ambient_object *item = ambient_item(value, "", i, NULL);
		size_t n = ambient_len(item, "");

		if (ambient_type(item, "") != AMBIENT_T_STRING || n == 0 || n > 2000)
			return "must be a list of strings of at most 2,000 bytes";
	}
	return NULL;
}

static const char *
setting_problem(const char *name, const struct ambient_object *value)
{
	for (size_t i = 0; i < sizeof(the_settings) / sizeof(the_settings[0]); i++) {
		if (strcmp(the_settings[i].name, name) != 0)
			continue;
		switch (the_settings[i].kind) {
		case COUNT:
			return ambient_int(value, "", 0) > 0 && ambient_int(value, "", 0) < INT64_C(1000000000000)
				       ? NULL
				       : "must be a whole number above 0";
		case AMOUNT:
			return ambient_type(value, "") == AMBIENT_T_NUMBER && ambient_real(value, "", 0) > 0 &&
					       ambient_real(value, "", 0) < 1e6
				       ? NULL
				       : "must be a number above 0 and below a million";
		case WORD_ASK:
			return rs_is(value, "", "ask") || rs_is(value, "", "allow") ? NULL : "must be \"ask\" or \"allow\"";
		case TEXT:
			return ambient_type(value, "") == AMBIENT_T_STRING && ambient_len(value, "") <= PROMPT_MAX
				       ? NULL
				       : "must be a text of at most 64 KiB";
		case TOOLS:
			return tools_problem(value);
		}
	}
	return "is no setting of runner type \"claude-code\", which has maxTurns, maxTokens, maxBudgetUSD, permissions, "
	       "allowedTools, disallowedTools and appendSystemPrompt";
}

/* 1: a problem was said. */
static int
check_settings(const struct ambient_plan *in, struct ambient_sink *problems)
{
	const char *name, *problem;
	char field[128];

	for (size_t i = 0; i < ambient_len(in->session, "/spec/runnerConfig"); i++) {
		const struct ambient_object *value = ambient_item(in->session, "/spec/runnerConfig", i, &name);

		if ((problem = setting_problem(name, value)) == NULL)
			continue;
		(void)snprintf(field, sizeof(field), "spec.runnerConfig.%.60s", name);
		rs_problem(problems, field, problem);
		return 1;
	}
	/* Who wants to be asked must not find that everything was allowed. */
	if (!rs_is(in->session, "/spec/runnerConfig/permissions", "ask") ||
	    (ambient_bool(in->effective, "/interactive", 0) == 1 && ambient_bool(in->session, "/spec/stopOnRunFinished", 0) != 1))
		return 0;
	rs_problem(problems, "spec.runnerConfig.permissions", "is \"ask\", which needs a person: a session that is interactive and without "
								"stopOnRunFinished");
	return 1;
}

/* ---- MCP servers */

static int
is_disabled(const struct ambient_object *of, const char *name)
{
	for (size_t i = 0; of != NULL && i < ambient_len(of, "/spec/mcpServers/disabled"); i++)
		if (rs_is(ambient_item(of, "/spec/mcpServers/disabled", i, NULL), "", name))
			return 1;
	return 0;
}

static int
has_server(const struct ambient_object *of, const char *name)
{
	const char *key;

	for (size_t i = 0; i < ambient_len(of, "/spec/mcpServers/custom"); i++) {
		(void)ambient_item(of, "/spec/mcpServers/custom", i, &key);
		if (strcmp(key, name) == 0)
			return 1;
	}
	return 0;
}

/* Adds the servers of one object; 1: a problem was said. */
static int
add_servers(struct text *t, const struct ambient_plan *in, const struct ambient_object *of, struct ambient_sink *problems)
{
	const char *name;
	char field[128];

	for (size_t i = 0; of != NULL && i < ambient_len(of, "/spec/mcpServers/custom"); i++) {
		const struct ambient_object *server = ambient_item(of, "/spec/mcpServers/custom", i, &name);

		if (is_disabled(in->session, name) || (of != in->session && is_disabled(of, name)) ||
		    (of != in->session && has_server(in->session, name)))
			continue;
		if (ambient_str(server, "/command", "")[0] == '\0' && ambient_str(server, "/url", "")[0] == '\0') {
			(void)snprintf(field, sizeof(field), "%sspec.mcpServers.custom.%.60s",
				       of == in->session ? "" : "ProjectSettings: ", name);
			rs_problem(problems, field, "must have a command or a url");
			return 1;
		}
		text_puts(t, t->len > 0 ? "," : "{\"mcpServers\":{");
		rs_string(t, name);
		text_puts(t, ":");
		rs_json(t, server, "", "{}");
	}
	return 0;
}

/* ---- how the model is reached */

static int
is_on(const struct ambient_plan *in, const char *pointer)
{
	const char *value = ambient_str(in->session, pointer, "");

	return strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
}

#define VERTEX_KEY "GOOGLE_APPLICATION_CREDENTIALS"

/* The first of agentEnv, with a comma before each; *rest gets what follows agentEnv. */
static void
add_access(struct text *t, const struct ambient_plan *in, const char *secret, struct text *rest)
{
	static const char *const aws[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
					  "AWS_BEARER_TOKEN_BEDROCK"};

	if (is_on(in, "/spec/environmentVariables/CLAUDE_CODE_USE_BEDROCK")) {
		for (size_t i = 0; i < sizeof(aws) / sizeof(aws[0]); i++) {
			text_puts(t, ",");
			rs_put_key(t, secret, aws[i], 1);
		}
		return;
	}
	if (is_on(in, "/spec/environmentVariables/CLAUDE_CODE_USE_VERTEX")) {
		rs_put_env(t, VERTEX_KEY, "/run/secrets/vertex/key.json");
		text_puts(rest, ",\"volumes\":[{\"name\":\"vertex\",\"secret\":{\"secretName\":");
		rs_string(rest, secret);
		text_puts(rest, ",\"items\":[{\"key\":\"" VERTEX_KEY "\",\"path\":\"key.json\"}]}}],\"volumeMounts\":[{\"name\":"
			     "\"vertex\",\"mountPath\":\"/run/secrets/vertex\",\"readOnly\":true}],\"requiredSecretKeys\":[\""
			     VERTEX_KEY "\"]");
		return;
	}
	text_puts(t, ",");
	rs_put_key(t, secret, "ANTHROPIC_API_KEY", 0);
	text_puts(rest, ",\"requiredSecretKeys\":[\"ANTHROPIC_API_KEY\"]");
}

static void
add_fragment(const struct rs_instance *self, const struct rs_cli *cli, const struct ambient_plan *in, const struct text *mcp,
	     struct text *t)
{
	const struct ambient_conf_api *conf = self->host->conf;
	struct text env = {0}, rest = {0};
	char idle[32];

	add_access(&env, in, ambient_str(in->effective, "/secretName", ""), &rest);
	rs_put_env(&env, "ANTHROPIC_BASE_URL", conf->str(self->conf, "baseURL", ""));
	rs_put_env(&env, cli->variable, conf->str(self->conf, "cli", cli->program));
	(void)snprintf(idle, sizeof(idle), "%lld",
		       (long long)(conf->integer(self->conf, "idle", INT64_C(900000000000)) / INT64_C(1000000000)));
	rs_put_env(&env, "AMBIENT_AGENT_IDLE", idle);
	rs_put_env(&env, CC_MCP_VARIABLE, mcp->p);
	if (ambient_int(in->effective, "/maxTokens", 0) > 0) {
		(void)snprintf(idle, sizeof(idle), "%lld", (long long)ambient_int(in->effective, "/maxTokens", 0));
		rs_put_env(&env, "CLAUDE_CODE_MAX_OUTPUT_TOKENS", idle);
	}
	text_puts(t, "{\"agentEnv\":[");
	text_puts(t, env.p != NULL ? env.p + 1 : "");
	text_puts(t, "],\"honours\":[\"maxTokens\",\"mcpServers\"]");
	text_puts(t, rest.p != NULL ? rest.p : "");
	text_puts(t, "}");
	t->failed |= env.failed | rest.failed | mcp->failed;
	text_fini(&env);
	text_fini(&rest);
}

int
cc_plan(const struct rs_instance *self, const struct rs_cli *cli, const struct ambient_plan *in, struct ambient_sink *fragment,
	struct ambient_sink *problems, struct ambient_error *err)
{
	struct text mcp = {0}, t = {0};
	int rc = 0;

	if (ambient_str(in->effective, "/secretName", "")[0] == '\0') {
		rs_problem(problems, "spec.anthropicApiKeySecret",
			   "no Secret with ANTHROPIC_API_KEY is named here, in the project's settings or in the configuration");
		return 0;
	}
	if (check_settings(in, problems) || add_servers(&mcp, in, in->settings, problems) ||
	    add_servers(&mcp, in, in->session, problems))
		goto out;
	if (mcp.len > 0)
		text_puts(&mcp, "}}");
	if (mcp.len > MCP_MAX) {
		rs_problem(problems, "spec.mcpServers.custom", "is, with those of the project, larger than 100 KiB");
		goto out;
	}
	add_fragment(self, cli, in, &mcp, &t);
	if (t.failed)
		rc = ambient_err(err, AMBIENT_E_NOMEM, "no memory for a plan");
	else
		fragment->put(fragment, t.p, t.len);
out:
	text_fini(&mcp);
	text_fini(&t);
	return rc;
}
