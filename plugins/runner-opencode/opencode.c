/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "opencode": the opencode CLI, as "opencode run --format json".  It takes one prompt; the next goes on with
 * the session.  The model is PROVIDER/MODEL, and the provider decides which key the Secret must hold.  The container is
 * the sandbox, so every tool is allowed; the whole configuration is ours and comes by the environment, a repository's
 * opencode.json is not read.  Plugins in a repository's .opencode are loaded all the same, as far as 1.18: nothing that
 * the CLI offers turns that off, and what they do the agent could do as well.
 *
 * There is no last event: a step that finished for another reason than to call tools is the end of a turn.
 */
#include "plugins/runner-shared/cli.h"

#include <stdlib.h>

AMBIENT_DECLARE("name=runner-opencode\0version=0.1.0\0runner=opencode\0needs=network");

RS_OPTIONS("opencode", "the provider's API");
static const struct ambient_option *const options[] = {&opt_base_url, &opt_cli, &opt_idle, NULL};

static const struct rs_cli cli = {.title = "the opencode CLI",
				  .type = "opencode",
				  .program = "opencode",
				  .variable = "AMBIENT_OPENCODE",
				  .package = "opencode-ai",
				  .major = 1,
				  .minor = 0,
				  .samples = 1};

static const struct {
	const char *name, *key;
} providers[] = {
	{"anthropic", "ANTHROPIC_API_KEY"}, {"openai", "OPENAI_API_KEY"},         {"google", "GOOGLE_GENERATIVE_AI_API_KEY"},
	{"mistral", "MISTRAL_API_KEY"},     {"openrouter", "OPENROUTER_API_KEY"}, {"groq", "GROQ_API_KEY"},
	{"xai", "XAI_API_KEY"},             {"deepseek", "DEEPSEEK_API_KEY"},
};

/* The key of the model's provider; NULL: it names none of those that are known. */
static const char *
key_of(const char *model)
{
	size_t n = strcspn(model, "/");

	for (size_t i = 0; model[n] == '/' && model[n + 1] != '\0' && i < sizeof(providers) / sizeof(providers[0]); i++)
		if (strlen(providers[i].name) == n && strncmp(providers[i].name, model, n) == 0)
			return providers[i].key;
	return NULL;
}

static int
plan(void *self, const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
     struct ambient_error *err)
{
	const char *key = key_of(ambient_str(in->effective, "/model", ""));
	char text[400] = "must be PROVIDER/MODEL, such as anthropic/claude-sonnet-4-5, with one of the providers";

	if (key != NULL)
		return rs_plan(self, &cli, key, "AMBIENT_OPENCODE_BASE_URL", in, fragment, problems, err);
	for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
		size_t n = strlen(text);

		(void)snprintf(text + n, sizeof(text) - n, "%s %s", i > 0 ? "," : "", providers[i].name);
	}
	rs_problem(problems, "spec.model", text);
	return 0;
}

/* ---- drive */

/* All of the CLI's configuration. */
static void
set_configuration(struct ambient_run *run, struct ambient_command *cmd)
{
	const struct ambient_command_api *api = run->host->message->command;
	const char *url = getenv("AMBIENT_OPENCODE_BASE_URL"), *temperature = rs_setting(RS_TEMPERATURE);
	struct text t = {0};

	text_puts(&t, "{\"permission\":\"allow\",\"share\":\"disabled\",\"autoupdate\":false");
	if (url != NULL && *url != '\0') {
		text_puts(&t, ",\"provider\":{");
		rs_stringn(&t, run->model, strcspn(run->model, "/"));
		text_puts(&t, ":{\"options\":{\"baseURL\":");
		rs_string(&t, url);
		text_puts(&t, "}}}");
	}
	/* Of the agent that "run" has by default; the CLI leaves it out for models that take none. */
	if (temperature != NULL) {
		text_puts(&t, ",\"agent\":{\"build\":{\"temperature\":");
		text_puts(&t, temperature);
		text_puts(&t, "}}");
	}
	text_puts(&t, "}");
	if (!t.failed)
		api->env(cmd, "OPENCODE_CONFIG_CONTENT", t.p);
	text_fini(&t);
	if (rs_setting(RS_MAX_TOKENS) != NULL)
		api->env(cmd, "OPENCODE_EXPERIMENTAL_OUTPUT_TOKEN_MAX", rs_setting(RS_MAX_TOKENS));
}

static void
set_environment(struct ambient_run *run, struct ambient_command *cmd)
{
	static const char *const on[] = {"OPENCODE_DISABLE_AUTOUPDATE",     "OPENCODE_DISABLE_MODELS_FETCH",
					 "OPENCODE_DISABLE_LSP_DOWNLOAD",   "OPENCODE_DISABLE_PROJECT_CONFIG",
					 "OPENCODE_DISABLE_DEFAULT_PLUGINS", "OPENCODE_DISABLE_SHARE"};
	static const struct {
		const char *name, *sub;
	} dirs[] = {{"XDG_DATA_HOME", "data"}, {"XDG_CONFIG_HOME", "config"}, {"XDG_STATE_HOME", "state"}, {"XDG_CACHE_HOME", "cache"}};
	const struct ambient_command_api *api = run->host->message->command;
	char path[4200];

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		api->env(cmd, on[i], "1");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		(void)snprintf(path, sizeof(path), "%.4000s/opencode/%s", run->statedir, dirs[i].sub);
		api->env(cmd, dirs[i].name, path);
	}
}

static int
is_session(const char *id)
{
	size_t n = strlen(id);

	return n > 4 && n < 80 && strncmp(id, "ses_", 4) == 0 &&
	       strspn(id + 4, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == n - 4;
}

static int
command(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	const struct ambient_command_api *api = run->host->message->command;
	static const char *const fixed[] = {"run", "--format", "json", "--pure"};
	int rc = rs_begin(self, run, &cli, err);

	if (rc < 0)
		return rc;
	api->arg(cmd, rs_program(&cli));
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		api->arg(cmd, fixed[i]);
	if ((rc = rs_add_model(run, cmd, "--model", err)) < 0)
		return rc;
	if (is_session(run->resume)) {
		api->arg(cmd, "--session");
		api->arg(cmd, run->resume);
	}
	set_configuration(run, cmd);
	set_environment(run, cmd);
	return 0;
}

/* ---- what the CLI says */

/* A call and what came of it are one event. */
static void
on_tool(struct ambient_run *run, const struct ambient_object *msg)
{
	const char *id = ambient_str(msg, "/part/callID", ""), *pointer;
	int bad = rs_is(msg, "/part/state/status", "error");

	rs_call(run, id, ambient_str(msg, "/part/tool", ""), msg, "/part/state/input");
	pointer = bad ? "/part/state/error" : "/part/state/output";
	rs_returned(run, id, ambient_str(msg, pointer, ""), ambient_len(msg, pointer),
		    bad || ambient_int(msg, "/part/state/metadata/exit", 0) != 0);
}

static void
on_step_finish(struct ambient_run *run, const struct ambient_object *msg)
{
	struct rs_run *rs = run->slot;

	rs->have_usage = 1;
	rs->turns++;
	rs->input += ambient_int(msg, "/part/tokens/input", 0);
	rs->output += ambient_int(msg, "/part/tokens/output", 0);
	rs->cache_read += ambient_int(msg, "/part/tokens/cache/read", 0);
	rs->cache_write += ambient_int(msg, "/part/tokens/cache/write", 0);
	if (ambient_type(msg, "/part/cost") == AMBIENT_T_NUMBER) {
		double cost = ambient_real(msg, "/part/cost", 0);

		rs->have_cost = 1;
		rs->cost += cost > 0 && cost < 1e6 ? cost : 0;
	}
	if (rs_is(msg, "/part/reason", "tool-calls"))
		return;
	rs->have_result = 1;
	run->host->message->turn_done(run);
}

static void
on_error(struct ambient_run *run, const struct ambient_object *msg)
{
	const char *text = ambient_str(msg, "/error/data/message", ambient_str(msg, "/error/name", "the agent failed"));
	int64_t status = ambient_int(msg, "/error/data/statusCode", rs_is(msg, "/error/name", "APIError") ? 0 : -1);

	rs_failed(run, status, text);
}

static int
line(void *self, struct ambient_run *run, int stream, const char *text, size_t len, int cut, struct ambient_error *err)
{
	const struct ambient_object *msg = NULL;
	int rc = rs_object(run, stream, text, len, cut, &msg, err);

	if (rc <= 0)
		return rc;
	rs_session(run, ambient_str(msg, "/sessionID", ""), run->model);
	if (rs_is(msg, "/type", "text") && ambient_type(msg, "/part/text") == AMBIENT_T_STRING)
		rs_say(run, ambient_str(msg, "/part/text", ""), ambient_len(msg, "/part/text"));
	else if (rs_is(msg, "/type", "reasoning"))
		rs_emit_text(run, AMBIENT_MSG_THINKING, ambient_str(msg, "/part/text", ""), ambient_len(msg, "/part/text"));
	else if (rs_is(msg, "/type", "tool_use"))
		on_tool(run, msg);
	else if (rs_is(msg, "/type", "step_finish"))
		on_step_finish(run, msg);
	else if (rs_is(msg, "/type", "error"))
		on_error(run, msg);
	ambient_unref((struct ambient_object *)(uintptr_t)msg);
	return 0;
}

static const struct ambient_runner runner = {
	.size = sizeof(runner),
	.type = "opencode",
	.plan = plan,
	.command = command,
	.prompt = rs_prompt,
	.line = line,
	.exited = rs_exited,
	.one_prompt = 1,
};
static const struct ambient_runner *const runners[] = {&runner, NULL};

const struct ambient_plugin ambient_plugin_v1 = {AMBIENT_PLUGIN_HEAD, .options = options, .create = rs_create,
						 .destroy = rs_destroy, .runners = runners};
