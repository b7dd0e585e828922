/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "claude-code": the Claude Code CLI, driven by its stream-json protocol: find the CLI and its version, compose
 * the command line, judge the end.  The container is the sandbox, so a batch run allows what the CLI asks for.
 */
#include "plugins/runner-claude-code/claude.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/random.h>
#include <sys/stat.h>

AMBIENT_DECLARE("name=runner-claude-code\0version=0.1.0\0runner=claude-code\0needs=network");

RS_OPTIONS("claude", "the Messages API");
static const struct ambient_option *const options[] = {&opt_base_url, &opt_cli, &opt_idle, NULL};

static const struct rs_cli the_cli = {.title = "the Claude Code CLI",
				      .type = "claude-code",
				      .program = "claude",
				      .variable = "AMBIENT_CLAUDE",
				      .package = "@anthropic-ai/claude-code",
				      .major = 2,
				      .minor = 0};

static int
plan(void *self, const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
     struct ambient_error *err)
{
	return cc_plan(self, &the_cli, in, fragment, problems, err);
}

/* ---- drive */

void
cc_uuid(char out[37])
{
	unsigned char b[16] = {0};

	(void)!getrandom(b, sizeof(b), 0);
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		       b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void
forget_pending(struct cc_run *cc)
{
	for (int i = 0; i < CC_PENDING_MAX; i++) {
		free(cc->pending[i].id);
		free(cc->pending[i].input);
		cc->pending[i].id = cc->pending[i].input = NULL;
	}
}

void
cc_run_free(struct ambient_run *run)
{
	struct cc_run *cc = run->slot;

	if (cc == NULL)
		return;
	forget_pending(cc);
	run->host->mem->free(run->host, cc);
	run->slot = NULL;
}

/* The CLI keeps a conversation under the directory that it was begun in, with "-" for whatever is no letter or digit, and looks
 * for it under the present one.  Beyond this length it makes another name, which is its own business. */
#define SLUG_MAX 200

static int
slug_of(const char *dir, char out[SLUG_MAX + 1])
{
	size_t n = strlen(dir);

	if (n > SLUG_MAX)
		return -1;
	for (size_t i = 0; i <= n; i++)
		out[i] = dir[i] == '\0' || isalnum((unsigned char)dir[i]) ? dir[i] : '-';
	return 0;
}

/* Is the conversation still in the CLI's own state?  Its transcript is named after it; one that was begun elsewhere is moved to where
 * the CLI looks for it. */
static int
has_transcript(const struct ambient_run *run, const char *id)
{
	char pattern[4096], dir[4096], to[4200], slug[SLUG_MAX + 1];
	glob_t found;
	int yes = 0;

	for (const char *p = id; *p != '\0'; p++)
		if (!isxdigit((unsigned char)*p) && *p != '-')
			return 0;
	if (*id == '\0' || strlen(run->statedir) > sizeof(pattern) - 512 || strlen(id) > 64)
		return 0;
	(void)snprintf(pattern, sizeof(pattern), "%s/projects/*/%s.jsonl", run->statedir, id);
	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return 0;
	if (slug_of(run->workdir, slug) < 0) {
		globfree(&found);
		return 1; /* if it was begun here */
	}
	(void)snprintf(dir, sizeof(dir), "%s/projects/%s", run->statedir, slug);
	(void)snprintf(to, sizeof(to), "%s/%s.jsonl", dir, id);
	for (size_t i = 0; i < found.gl_pathc; i++)
		yes |= strcmp(found.gl_pathv[i], to) == 0;
	if (!yes) {
		(void)mkdir(dir, 0700);
		yes = rename(found.gl_pathv[0], to) == 0;
	}
	globfree(&found);
	return yes;
}

static void
set_environment(const struct ambient_run *run, struct ambient_command *cmd)
{
	static const char *const on[] = {
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
		"DISABLE_AUTOUPDATER",
		"DISABLE_TELEMETRY",
		"DISABLE_ERROR_REPORTING",
	};
	const struct ambient_command_api *api = run->host->message->command;

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		api->env(cmd, on[i], "1");
	api->env(cmd, "CLAUDE_CONFIG_DIR", run->statedir);
	/* Else the first turn begins without the tools of servers that are still starting. */
	api->env(cmd, "MCP_CONNECTION_NONBLOCKING", "0");
	api->env(cmd, "CLAUDECODE", NULL);
}

/* MCP servers go by file: what their environment holds is nobody's business who may list processes. */
static int
add_mcp(struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	const struct ambient_command_api *api = run->host->message->command;
	const char *text = getenv(CC_MCP_VARIABLE);
	char path[4200];
	int fd;

	api->env(cmd, CC_MCP_VARIABLE, NULL);
	if (text == NULL || *text == '\0')
		return 0;
	(void)snprintf(path, sizeof(path), "%.4000s/mcp.json", run->tmpdir);
	(void)unlink(path); /* of the process before */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	if (fd >= 0 && close(fd) < 0)
		rc = -1;
	if (rc < 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "cannot write \"%s\": %s", path, strerror(errno));
	api->arg(cmd, "--mcp-config");
	api->arg(cmd, path);
	return 0;
}

/* What the session says, then what its workflow does. */
static void
add_system_prompt(struct ambient_run *run, struct ambient_command *cmd)
{
	const char *own = ambient_str(run->config, "/appendSystemPrompt", "");
	const char *workflow = AMBIENT_HAS(run, instructions) ? run->instructions : "";
	struct text t = {0};

	if (own[0] == '\0' && workflow[0] == '\0')
		return;
	text_puts(&t, own);
	text_puts(&t, own[0] != '\0' && workflow[0] != '\0' ? "\n\n" : "");
	text_puts(&t, workflow);
	if (!t.failed) {
		run->host->message->command->arg(cmd, "--append-system-prompt");
		run->host->message->command->arg(cmd, t.p);
	}
	text_fini(&t);
}

/* The other repositories and artifacts. */
static void
add_dirs(struct ambient_run *run, struct ambient_command *cmd)
{
	for (size_t i = 0; AMBIENT_HAS(run, dirs) && run->dirs[i] != NULL; i++) {
		run->host->message->command->arg(cmd, "--add-dir");
		run->host->message->command->arg(cmd, run->dirs[i]);
	}
}

/* What spec.runnerConfig says, as the plan let it pass; the daemon's word is not taken for it here. */
static int
add_settings(struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	static const struct {
		const char *pointer, *flag;
	} lists[] = {{"/allowedTools", "--allowedTools"}, {"/disallowedTools", "--disallowedTools"}};
	const struct ambient_command_api *api = run->host->message->command;
	const struct cc_run *cc = run->slot;
	int64_t turns = ambient_int(run->config, "/maxTurns", 0);
	double budget = ambient_real(run->config, "/maxBudgetUSD", 0), left = budget - cc->cost_before;
	char text[4096];

	if (turns > 0) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)turns);
		api->arg(cmd, "--max-turns");
		api->arg(cmd, text);
	}
	if (budget > 0) {
		(void)snprintf(text, sizeof(text), "%.9f", left > 1e-9 ? left : 1e-9);
		api->arg(cmd, "--max-budget-usd");
		api->arg(cmd, text);
	}
	add_system_prompt(run, cmd);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (size_t k = 0; k < ambient_len(run->config, lists[i].pointer) && k < CC_TOOLS_MAX; k++) {
			(void)snprintf(text, sizeof(text), "%s=%.2000s", lists[i].flag,
				       ambient_str(ambient_item(run->config, lists[i].pointer, k, NULL), "", ""));
			api->arg(cmd, text);
		}
	return add_mcp(run, cmd, err);
}

static int
compose(struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	static const char *const fixed[] = {
		"-p",
		"--input-format",
		"stream-json",
		"--output-format",
		"stream-json",
		"--verbose",
		"--include-partial-messages",
		"--permission-mode",
		"acceptEdits",
		"--permission-prompt-tool",
		"stdio",
		"--strict-mcp-config",
	};
	const struct ambient_command_api *api = run->host->message->command;
	static const char fresh[] = "the conversation so far is not there any more; a new one begins";
	char text[128], uuid[37];
	int rc;

	api->arg(cmd, rs_program(&the_cli));
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		api->arg(cmd, fixed[i]);
	if ((rc = rs_add_model(run, cmd, "--model", err)) < 0)
		return rc;
	if (has_transcript(run, run->resume)) {
		(void)snprintf(text, sizeof(text), "--resume=%.64s", run->resume);
		api->arg(cmd, text);
	} else {
		if (run->resume[0] != '\0')
			rs_emit_text(run, AMBIENT_MSG_STATUS, fresh, sizeof(fresh) - 1);
		cc_uuid(uuid);
		api->arg(cmd, "--session-id");
		api->arg(cmd, uuid);
	}
	if ((rc = add_settings(run, cmd, err)) < 0)
		return rc;
	add_dirs(run, cmd);
	set_environment(run, cmd);
	return 0;
}

static int
command(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	struct cc_run *cc;
	int rc;

	if ((rc = rs_check_version(run, &the_cli, NULL, err)) < 0)
		return rc;
	if ((cc = run->host->mem->alloc(run->host, sizeof(*cc))) == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for the run");
	cc->max_tokens = ambient_int(run->config, "/maxTokens", 0);
	cc->ask = run->interactive && strcmp(ambient_str(run->config, "/permissions", ""), "ask") == 0;
	run->slot = cc;
	if ((rc = compose(run, cmd, err)) < 0)
		cc_run_free(run);
	return rc;
}

/* Limits go on being counted; what the process before was asked is asked no more. */
static int
restart(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	struct cc_run *cc = run->slot;

	forget_pending(cc);
	cc->cost_before += cc->cost; /* the CLI counts that of its process */
	cc->cost = 0;
	return compose(run, cmd, err);
}

/* ---- the end */

static const char *
reason_of(const struct cc_run *cc)
{
	const char *reason = rs_api_reason(cc->api_status);

	if (cc->over)
		return "TokensExhausted";
	if (cc->cut_short)
		return "AgentInterrupted";
	if (reason != NULL)
		return reason;
	if (strncmp(cc->text, "Not logged in", 13) == 0)
		return "ModelAuthenticationFailed";
	/* One that broke off after the first words is told in words alone. */
	if (strcmp(cc->terminal, "api_error") == 0 || (cc->api_status == 0 && strncmp(cc->text, CC_UNREACHED, sizeof(CC_UNREACHED) - 1) == 0))
		return "ModelUnreachable";
	if (strcmp(cc->subtype, "error_max_turns") == 0)
		return "MaxTurnsReached";
	if (strcmp(cc->subtype, "error_max_budget_usd") == 0)
		return "BudgetExhausted";
	return "AgentFailed";
}

static void
set_outcome(struct ambient_outcome *outcome, const char *reason, const char *text)
{
	(void)snprintf(outcome->reason, sizeof(outcome->reason), "%s", reason);
	(void)snprintf(outcome->message, sizeof(outcome->message), "%.*s", (int)sizeof(outcome->message) - 1, text);
}

static int
exited(void *self, struct ambient_run *run, const struct ambient_exit *end, struct ambient_outcome *outcome,
       struct ambient_error *err)
{
	struct cc_run *cc = run->slot;
	const char *tail = end->stderr_tail != NULL ? end->stderr_tail : "";
	char text[512];

	outcome->success = cc->have_result && !cc->is_error && end->code == 0 && end->asked != AMBIENT_ASKED_TIMEOUT;
	/* A conversation that a person ended has gone as far as it should, whatever its last turn came to; the CLI ends with
	 * 1 when that was interrupted, and has no result when there was none. */
	if (end->asked == AMBIENT_ASKED_END && end->signal == 0 && !cc->over && (end->code == 0 || cc->have_result))
		outcome->success = 1;
	outcome->exit_code = outcome->success ? 0 : 1;
	if (outcome->success) {
		cc_run_free(run);
		return 0;
	}
	if (end->asked == AMBIENT_ASKED_TIMEOUT) {
		set_outcome(outcome, "AgentTimeout", "the agent was ended because of a timeout");
	} else if (end->asked == AMBIENT_ASKED_STOP) {
		set_outcome(outcome, "AgentStopped", "the agent was stopped");
	} else if (end->signal != 0) {
		(void)snprintf(text, sizeof(text), "the Claude Code CLI was killed by signal %d", end->signal);
		set_outcome(outcome, "AgentKilled", text);
	} else if (cc->have_result && cc->is_error) {
		(void)snprintf(text, sizeof(text), "the run took more than the %lld tokens of spec.runnerConfig.maxTokens",
			       (long long)cc->max_tokens);
		set_outcome(outcome, reason_of(cc),
			    cc->over                ? text
			    : cc->text[0] != '\0' ? cc->text
						    : "the agent ended with an error");
	} else if (!cc->have_result) {
		(void)snprintf(text, sizeof(text),
			       "the Claude Code CLI ended with exit code %d and without a result%s%.*s", end->code,
			       tail[0] != '\0' ? ": " : "", (int)strcspn(tail, "\n"), tail);
		set_outcome(outcome, cc->interrupted ? "AgentInterrupted" : "AgentNotStarted", text);
	} else {
		(void)snprintf(text, sizeof(text), "the Claude Code CLI ended with exit code %d", end->code);
		set_outcome(outcome, "AgentFailed", text);
	}
	cc_run_free(run);
	return 0;
}

static const struct ambient_runner runner = {
	.size = sizeof(runner),
	.type = "claude-code",
	.plan = plan,
	.command = command,
	.prompt = cc_prompt,
	.line = cc_line,
	.interrupt = cc_interrupt,
	.answer = cc_answer,
	.stop = cc_stop,
	.exited = exited,
	.restart = restart,
};
static const struct ambient_runner *const runners[] = {&runner, NULL};

const struct ambient_plugin ambient_plugin_v1 = {AMBIENT_PLUGIN_HEAD, .options = options, .create = rs_create,
						 .destroy = rs_destroy, .runners = runners};
