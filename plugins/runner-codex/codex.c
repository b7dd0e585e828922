/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "codex": OpenAI's Codex CLI, as "codex exec --json".  It takes one prompt; the next resumes the thread.
 * The container is the sandbox, so the CLI's own is off.  The model's API is a provider that we define, so that neither
 * a login nor a configuration file counts; what reaches out beside it (plugins, apps, hooks, updates) is off.
 *
 * "turn.completed" alone says that a turn ended well; its usage is the thread's so far.
 */
#include "plugins/runner-shared/cli.h"

#include <stdlib.h>

#include <sys/stat.h>

AMBIENT_DECLARE("name=runner-codex\0version=0.1.0\0runner=codex\0needs=network");

#define API "https://api.openai.com/v1"

RS_OPTIONS("codex", "the Responses API, up to and with /v1");
static const struct ambient_option *const options[] = {&opt_base_url, &opt_cli, &opt_idle, NULL};

static const struct rs_cli cli = {.title = "the Codex CLI",
				  .type = "codex",
				  .program = "codex",
				  .variable = "AMBIENT_CODEX",
				  .package = "@openai/codex",
				  .major = 0,
				  .minor = 100};

static int
plan(void *self, const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
     struct ambient_error *err)
{
	return rs_plan(self, &cli, "OPENAI_API_KEY", "AMBIENT_CODEX_BASE_URL", in, fragment, problems, err);
}

/* ---- drive */

/* The provider as a TOML value; the URL is a string of JSON, which TOML reads alike. */
static void
add_provider(struct ambient_command *cmd, const struct ambient_command_api *api)
{
	const char *url = getenv("AMBIENT_CODEX_BASE_URL");
	struct text t = {0};

	text_puts(&t, "model_providers.ambient={name=\"ambient\",wire_api=\"responses\",env_key=\"OPENAI_API_KEY\",base_url=");
	rs_string(&t, url != NULL && *url != '\0' ? url : API);
	text_puts(&t, "}");
	api->arg(cmd, "-c");
	if (!t.failed)
		api->arg(cmd, t.p);
	text_fini(&t);
}

static int
command(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	static const char *const fixed[] = {
		"--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--ignore-user-config",
		"--ignore-rules", "--disable", "plugins", "--disable", "apps", "--disable", "hooks",
		"-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false", "-c", "model_provider=ambient",
	};
	const struct ambient_command_api *api = run->host->message->command;
	char home[RS_PATH_MAX];
	int rc = rs_state_path(run, "codex", home, err);

	if (rc < 0 || (rc = rs_begin(self, run, &cli, err)) < 0)
		return rc;
	(void)mkdir(home, 0700); /* the CLI says what is wrong with it */
	api->env(cmd, "CODEX_HOME", home);
	api->arg(cmd, rs_program(&cli));
	api->arg(cmd, "exec");
	if (rs_has_conversation(home, "sessions/*/*/*/rollout-*-%s.jsonl", run->resume, 0)) {
		api->arg(cmd, "resume");
		api->arg(cmd, run->resume);
	}
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		api->arg(cmd, fixed[i]);
	add_provider(cmd, api);
	if ((rc = rs_add_model(run, cmd, "-m", err)) < 0)
		return rc;
	api->arg(cmd, "-"); /* the prompt comes on standard input */
	return 0;
}

/* ---- what the CLI says */

static const char *
id_of(const struct ambient_object *item)
{
	return ambient_str(item, "/id", "");
}

/* A call whose input is one member. */
static void
call(struct ambient_run *run, const struct ambient_object *item, const char *name, const char *member, const char *pointer)
{
	struct text t = {0};

	text_puts(&t, "{\"");
	text_puts(&t, member);
	text_puts(&t, "\":");
	rs_json(&t, item, pointer, "null");
	text_puts(&t, "}");
	if (!t.failed)
		rs_call_json(run, id_of(item), name, t.p);
	text_fini(&t);
}

static void
on_command(struct ambient_run *run, const struct ambient_object *item, int done)
{
	int64_t code = ambient_int(item, "/exit_code", 0);

	call(run, item, "shell", "command", "/command");
	if (done)
		rs_returned(run, id_of(item), ambient_str(item, "/aggregated_output", ""),
			    ambient_len(item, "/aggregated_output"), code != 0 || rs_is(item, "/status", "failed"));
}

static void
on_changes(struct ambient_run *run, const struct ambient_object *item, int done)
{
	call(run, item, "edit", "changes", "/changes");
	if (done)
		rs_returned(run, id_of(item), ambient_str(item, "/status", ""), ambient_len(item, "/status"),
			    !rs_is(item, "/status", "completed"));
}

static void
on_mcp(struct ambient_run *run, const struct ambient_object *item, int done)
{
	const char *error = ambient_str(item, "/error/message", NULL);
	char name[200];
	struct text t = {0};

	(void)snprintf(name, sizeof(name), "%.90s/%.90s", ambient_str(item, "/server", ""), ambient_str(item, "/tool", ""));
	rs_call(run, id_of(item), name, item, "/arguments");
	if (!done)
		return;
	for (size_t i = 0; i < ambient_len(item, "/result/content"); i++) {
		const struct ambient_object *part = ambient_item(item, "/result/content", i, NULL);

		text_puts(&t, part != NULL ? ambient_str(part, "/text", "[not text]") : "");
	}
	if (error != NULL)
		text_puts(&t, error);
	rs_returned(run, id_of(item), t.p != NULL ? t.p : "", t.len, error != NULL || rs_is(item, "/status", "failed"));
	text_fini(&t);
}

static void
on_search(struct ambient_run *run, const struct ambient_object *item, int done)
{
	call(run, item, "web_search", "query", "/query");
	if (done)
		rs_returned(run, id_of(item), "", 0, 0);
}

static void
on_message(struct ambient_run *run, const struct ambient_object *item, int done)
{
	if (done)
		rs_say(run, ambient_str(item, "/text", ""), ambient_len(item, "/text"));
}

static void
on_reasoning(struct ambient_run *run, const struct ambient_object *item, int done)
{
	if (done)
		rs_emit_text(run, AMBIENT_MSG_THINKING, ambient_str(item, "/text", ""), ambient_len(item, "/text"));
}

/* Most of them are warnings: the turn says whether it failed. */
static void
on_notice(struct ambient_run *run, const struct ambient_object *item, int done)
{
	if (done)
		rs_emit_text(run, AMBIENT_MSG_STATUS, ambient_str(item, "/message", ""), ambient_len(item, "/message"));
}

static void
on_item(struct ambient_run *run, const struct ambient_object *msg, int done)
{
	static const struct {
		const char *type;
		void (*on)(struct ambient_run *run, const struct ambient_object *item, int done);
	} kinds[] = {
		{"agent_message", on_message}, {"reasoning", on_reasoning}, {"command_execution", on_command},
		{"file_change", on_changes},   {"mcp_tool_call", on_mcp},   {"web_search", on_search},
		{"error", on_notice},
	};
	const struct ambient_object *item = ambient_at(msg, "/item");

	for (size_t i = 0; item != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (rs_is(item, "/type", kinds[i].type))
			kinds[i].on(run, item, done);
}

/* The API's status is only in the text; a body of the API instead of a text is what it says to a bad request, and of some
 * answers the CLI has words of its own. */
static int64_t
status_of(const char *text)
{
	static const struct {
		const char *words;
		int status;
	} known[] = {
		{"experiencing high demand", 500}, {"at capacity", 503}, {"Quota exceeded", 429}, {"usage limit", 429},
		{"stream disconnected", 0}, {"error sending request", 0}, {"onnection", 0}, {"timed out", 0}, {"timeout", 0},
	};
	const char *p = strstr(text, "status");
	int status = 0;

	if (p != NULL && sscanf(p + 6, "%*[: ]%3d", &status) == 1 && status >= 400 && status < 600)
		return status;
	if (text[0] == '{' && strstr(text, "\"error\"") != NULL)
		return 400;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(text, known[i].words) != NULL)
			return known[i].status;
	return -1;
}

static void
on_failure(struct ambient_run *run, const struct ambient_object *msg)
{
	const char *text = ambient_str(msg, "/error/message", "the turn failed");
	const struct ambient_object *body = NULL;
	int64_t status = status_of(text);
	struct ambient_error ignored = AMBIENT_ERROR_INIT;

	if (text[0] == '{' && run->host->object->parse(NULL, text, strlen(text), &body, &ignored) == 0)
		rs_failed(run, status, ambient_str(body, "/error/message", text));
	else
		rs_failed(run, status, text);
	ambient_unref((struct ambient_object *)(uintptr_t)body);
}

static void
on_completed(struct ambient_run *run, const struct ambient_object *msg)
{
	struct rs_run *rs = run->slot;

	rs->have_result = 1;
	rs->turns++;
	rs->have_usage = 1;
	rs->input = ambient_int(msg, "/usage/input_tokens", 0);
	rs->output = ambient_int(msg, "/usage/output_tokens", 0);
	rs->cache_read = ambient_int(msg, "/usage/cached_input_tokens", 0);
	rs->cache_write = ambient_int(msg, "/usage/cache_write_input_tokens", 0);
	run->host->message->turn_done(run);
}

static int
line(void *self, struct ambient_run *run, int stream, const char *text, size_t len, int cut, struct ambient_error *err)
{
	const struct ambient_object *msg = NULL;
	int rc = rs_object(run, stream, text, len, cut, &msg, err);

	if (rc <= 0)
		return rc;
	if (rs_is(msg, "/type", "thread.started"))
		rs_session(run, ambient_str(msg, "/thread_id", ""), run->model);
	else if (rs_is(msg, "/type", "item.started") || rs_is(msg, "/type", "item.completed"))
		on_item(run, msg, rs_is(msg, "/type", "item.completed"));
	else if (rs_is(msg, "/type", "turn.completed"))
		on_completed(run, msg);
	else if (rs_is(msg, "/type", "turn.failed"))
		on_failure(run, msg);
	else if (rs_is(msg, "/type", "error")) /* said before each retry, and once more by turn.failed */
		rs_emit_text(run, AMBIENT_MSG_STATUS, ambient_str(msg, "/message", ""), ambient_len(msg, "/message"));
	ambient_unref((struct ambient_object *)(uintptr_t)msg);
	return 0;
}

static const struct ambient_runner runner = {
	.size = sizeof(runner),
	.type = "codex",
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
