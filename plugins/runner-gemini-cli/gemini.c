/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "gemini-cli": Google's Gemini CLI, as "gemini --output-format stream-json".  It takes one prompt; the next
 * resumes the session.  The container is the sandbox, so every tool is approved; the CLI wants the folder to be trusted
 * for that, so MCP servers, extensions and hooks are named away one by one: a repository must not bring its own.
 *
 * The settings that have no flag are written into the home that belongs to the agent, anew for each run.  A failure of
 * the API has its status only in the exit code, of which the low eight bits are left.
 */
#include "plugins/runner-shared/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

AMBIENT_DECLARE("name=runner-gemini-cli\0version=0.1.0\0runner=gemini-cli\0needs=network");

RS_OPTIONS("gemini", "the Gemini API");
static const struct ambient_option *const options[] = {&opt_base_url, &opt_cli, &opt_idle, NULL};

static const struct rs_cli cli = {.title = "the Gemini CLI",
				  .type = "gemini-cli",
				  .program = "gemini",
				  .variable = "AMBIENT_GEMINI",
				  .package = "@google/gemini-cli",
				  .major = 0,
				  .minor = 50,
				  .samples = 1};

static const char settings[] =
	"{\"security\":{\"auth\":{\"selectedType\":\"gemini-api-key\"}},\"general\":{\"enableAutoUpdate\":false,"
	"\"enableAutoUpdateNotification\":false},\"privacy\":{\"usageStatisticsEnabled\":false},\"telemetry\":{\"enabled\":false},"
	"\"hooksConfig\":{\"enabled\":false}";

static int
plan(void *self, const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
     struct ambient_error *err)
{
	return rs_plan(self, &cli, "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", in, fragment, problems, err);
}

/* ---- drive */

/* llmSettings are for what the agent says, not for the small requests by which the CLI sorts things out for itself. */
static void
add_model_settings(struct text *t)
{
	const char *temperature = rs_setting(RS_TEMPERATURE), *tokens = rs_setting(RS_MAX_TOKENS);

	if (temperature == NULL && tokens == NULL)
		return;
	text_puts(t, ",\"modelConfigs\":{\"customOverrides\":[{\"match\":{\"isChatModel\":true},\"modelConfig\":{"
		  "\"generateContentConfig\":{");
	if (temperature != NULL) {
		text_puts(t, "\"temperature\":");
		text_puts(t, temperature);
	}
	if (tokens != NULL) {
		text_puts(t, temperature != NULL ? ",\"maxOutputTokens\":" : "\"maxOutputTokens\":");
		text_puts(t, tokens);
	}
	text_puts(t, "}}}]}");
}

static int
write_settings(const char *home, struct ambient_error *err)
{
	struct text t = {0};
	char path[4300];
	int fd;

	text_puts(&t, settings);
	add_model_settings(&t);
	text_puts(&t, "}\n");
	(void)snprintf(path, sizeof(path), "%s/.gemini", home);
	(void)mkdir(home, 0755);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/.gemini/settings.json", home);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = 0;

	if (fd < 0 || t.failed || write(fd, t.p, t.len) != (ssize_t)t.len)
		rc = ambient_err(err, AMBIENT_E_INTERNAL, "cannot write \"%s\": %s", path, strerror(errno));
	text_fini(&t);
	if (fd >= 0 && close(fd) < 0 && rc == 0)
		rc = ambient_err(err, AMBIENT_E_INTERNAL, "cannot write \"%s\"", path);
	return rc;
}

static int
command(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	static const char *const fixed[] = {
		"--output-format", "stream-json", "--approval-mode", "yolo", "--skip-trust",
		"--allowed-mcp-server-names", "none", "--extensions", "none",
	};
	const struct ambient_command_api *api = run->host->message->command;
	char home[RS_PATH_MAX];
	int rc = rs_state_path(run, "home", home, err);

	if (rc < 0 || (rc = write_settings(home, err)) < 0 || (rc = rs_begin(self, run, &cli, err)) < 0)
		return rc;
	api->env(cmd, "HOME", home);
	api->env(cmd, "GEMINI_CLI_NO_RELAUNCH", "true"); /* one process, which gets our signals */
	api->arg(cmd, rs_program(&cli));
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		api->arg(cmd, fixed[i]);
	if ((rc = rs_add_model(run, cmd, "--model", err)) < 0)
		return rc;
	/* It keeps a session under the time and the first eight characters of its id. */
	if (rs_has_conversation(home, ".gemini/tmp/*/chats/session-*-%s.json*", run->resume, 8)) {
		api->arg(cmd, "--resume");
		api->arg(cmd, run->resume);
	}
	return 0;
}

/* ---- what the CLI says */

static void
on_result(struct ambient_run *run, const struct ambient_object *msg)
{
	struct rs_run *rs = run->slot;

	rs_flush(run);
	rs->have_result = 1;
	rs->turns++;
	rs->have_usage = 1;
	rs->input = ambient_int(msg, "/stats/input_tokens", 0);
	rs->output = ambient_int(msg, "/stats/output_tokens", 0);
	rs->cache_read = ambient_int(msg, "/stats/cached", 0);
	if (!rs_is(msg, "/status", "success")) {
		rs->is_error = 1;
		(void)snprintf(rs->failure, sizeof(rs->failure), "%.500s", ambient_str(msg, "/error/message", "the agent failed"));
	}
	run->host->message->turn_done(run);
}

static void
on_tool_result(struct ambient_run *run, const struct ambient_object *msg)
{
	int bad = !rs_is(msg, "/status", "success");
	const char *pointer = bad && ambient_type(msg, "/error/message") == AMBIENT_T_STRING ? "/error/message" : "/output";

	rs_returned(run, ambient_str(msg, "/tool_id", ""), ambient_str(msg, pointer, ""), ambient_len(msg, pointer), bad);
}

static int
line(void *self, struct ambient_run *run, int stream, const char *text, size_t len, int cut, struct ambient_error *err)
{
	const struct ambient_object *msg = NULL;
	int rc = rs_object(run, stream, text, len, cut, &msg, err);

	if (rc <= 0)
		return rc;
	if (rs_is(msg, "/type", "message") && rs_is(msg, "/role", "assistant") &&
	    ambient_type(msg, "/content") == AMBIENT_T_STRING) {
		rs_piece(run, ambient_str(msg, "/content", ""), ambient_len(msg, "/content"));
		if (ambient_bool(msg, "/delta", 0) != 1)
			rs_flush(run);
	} else if (rs_is(msg, "/type", "init")) {
		rs_session(run, ambient_str(msg, "/session_id", ""), ambient_str(msg, "/model", ""));
	} else if (rs_is(msg, "/type", "tool_use")) {
		rs_flush(run);
		rs_call(run, ambient_str(msg, "/tool_id", ""), ambient_str(msg, "/tool_name", ""), msg, "/parameters");
	} else if (rs_is(msg, "/type", "tool_result")) {
		on_tool_result(run, msg);
	} else if (rs_is(msg, "/type", "error")) {
		rs_emit_text(run, AMBIENT_MSG_STATUS, ambient_str(msg, "/message", ""), ambient_len(msg, "/message"));
	} else if (rs_is(msg, "/type", "result")) {
		on_result(run, msg);
	}
	ambient_unref((struct ambient_object *)(uintptr_t)msg);
	return 0;
}

/* What the CLI ends with when it is not the API's status. */
static const struct {
	int code;
	const char *reason, *text;
} codes[] = {
	{41, "ModelAuthenticationFailed", "the Gemini CLI found no way to authenticate; the Secret needs GEMINI_API_KEY"},
	{53, "MaxTurnsReached", "the agent reached its limit of turns"},
};

/* The status is the exit code, less 256, but for answers that the CLI has an error of its own for: it names them where it
 * says which report it wrote.  -1: it was not the API. */
static int64_t
status_of(const struct ambient_exit *end, const char *failure)
{
	static const struct {
		const char *name;
		int status;
	} errors[] = {{"ModelNotFoundError:", 404}, {"TerminalQuotaError:", 429}, {"RetryableQuotaError:", 429}};
	const char *said = end->stderr_tail != NULL ? strstr(end->stderr_tail, "Error when talking to Gemini API") : NULL;

	if (end->code >= 144)
		return 256 + end->code;
	for (size_t i = 0; said != NULL && i < sizeof(errors) / sizeof(errors[0]); i++) {
		const char *name = strstr(said, errors[i].name);

		if (name != NULL && (size_t)(name - said) < strcspn(said, "\n"))
			return errors[i].status;
	}
	return strstr(failure, "API Error") != NULL ? 0 : -1;
}

static int
exited(void *self, struct ambient_run *run, const struct ambient_exit *end, struct ambient_outcome *outcome,
       struct ambient_error *err)
{
	struct rs_run *rs = run->slot;
	char text[sizeof(rs->failure)];

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (end->code != codes[i].code || rs_was_ended(end))
			continue;
		rs->is_error = 1;
		(void)snprintf(rs->reason, sizeof(rs->reason), "%s", codes[i].reason);
		(void)snprintf(rs->failure, sizeof(rs->failure), "%s", codes[i].text);
	}
	if (rs->is_error && rs->reason[0] == '\0' && !rs_was_ended(end)) {
		memcpy(text, rs->failure, sizeof(text));
		rs_failed(run, status_of(end, text), text);
	}
	return rs_exited(self, run, end, outcome, err);
}

static const struct ambient_runner runner = {
	.size = sizeof(runner),
	.type = "gemini-cli",
	.plan = plan,
	.command = command,
	.prompt = rs_prompt,
	.line = line,
	.exited = exited,
	.one_prompt = 1,
};
static const struct ambient_runner *const runners[] = {&runner, NULL};

const struct ambient_plugin ambient_plugin_v1 = {AMBIENT_PLUGIN_HEAD, .options = options, .create = rs_create,
						 .destroy = rs_destroy, .runners = runners};
