/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "command": any program.  spec.runnerConfig.command is its argv; the prompt is on its standard input, in
 * the file $AMBIENT_PROMPT_FILE and, when it is short, in $PROMPT; each line that it writes is a text message; its
 * exit code is the outcome: 0 success, 2 a missing prerequisite, anything else failure.
 */
#include "plugins/runner-shared/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcntl.h>

AMBIENT_DECLARE("name=runner-command\0version=0.1.0\0runner=command");

#define ARGS_MAX      256
#define ARG_MAX_BYTES (100 * 1024)
#define PROMPT_IN_ENV (64 * 1024)
#define TEXT_MAX      (64 * 1024) /* of one message; longer lines are cut into several */
#define LAST_MAX      9900        /* with the mark, what a report takes as the result */
#define MARK_MAX      80

struct state {
	int64_t started;
	size_t last_len;
	char last[LAST_MAX + MARK_MAX]; /* the last line that said anything: the result */
};

/* ---- life */

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	static char nothing;

	*ret_self = &nothing;
	return 0;
}

/* ---- plan */

/* What is wrong with the argv at pointer, or NULL. */
static const char *
argv_problem(const struct ambient_object *obj, const char *pointer)
{
	size_t n = ambient_len(obj, pointer);

	if (ambient_type(obj, pointer) != AMBIENT_T_ARRAY || n == 0)
		return "must be a list of strings, for example [\"sh\", \"-c\", \"make test\"]";
	if (n > ARGS_MAX)
		return "must have at most 256 elements";
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *arg = ambient_item(obj, pointer, i, NULL);

		if (arg == NULL || ambient_type(arg, "") != AMBIENT_T_STRING)
			return "must be a list of strings";
		if (ambient_len(arg, "") > ARG_MAX_BYTES)
			return "must not have an element over 100 KiB";
		if (i == 0 && ambient_len(arg, "") == 0)
			return "must begin with a program";
	}
	return NULL;
}

/* What a session says of the model is the command's to heed, in the variables that the platform's runner has. */
static int
put_fragment(const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_error *err)
{
	struct text env = {0}, t = {0};

	rs_put_env(&env, "LLM_MODEL", ambient_str(in->effective, "/model", ""));
	rs_put_settings(&env, in, "LLM_TEMPERATURE", "LLM_MAX_TOKENS");
	text_puts(&t, "{\"agentEnv\":[");
	text_puts(&t, env.p != NULL ? env.p + 1 : "");
	text_puts(&t, "],\"honours\":[\"temperature\",\"maxTokens\"]}");
	int rc = env.failed || t.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for a plan") : 0;

	if (rc == 0)
		fragment->put(fragment, t.p, t.len);
	text_fini(&env);
	text_fini(&t);
	return rc;
}

static int
plan(void *self, const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
     struct ambient_error *err)
{
	const char *problem = argv_problem(in->session, "/spec/runnerConfig/command");
	static const char *const settings[] = {"command", NULL};

	if (rs_unknown_setting(in, "command", settings, problems))
		return 0;
	if (problem == NULL)
		return put_fragment(in, fragment, err);
	rs_problem(problems, "spec.runnerConfig.command", problem);
	return 0;
}

/* ---- drive */

static void
set_prompt_env(struct ambient_run *run, struct ambient_command *cmd)
{
	const struct ambient_command_api *api = run->host->message->command;
	char *text = malloc(PROMPT_IN_ENV + 1);
	int fd = open(run->prompt_file, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = -1;

	while (text != NULL && fd >= 0 && n <= PROMPT_IN_ENV && (got = read(fd, text + n, PROMPT_IN_ENV + 1 - n)) > 0)
		n += (size_t)got;
	if (fd >= 0)
		(void)close(fd);
	if (got == 0 && n < PROMPT_IN_ENV && memchr(text, '\0', n) == NULL) {
		text[n] = '\0';
		api->env(cmd, "PROMPT", text);
	}
	free(text);
}

static int
command(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err)
{
	const struct ambient_command_api *api = run->host->message->command;
	const char *problem = argv_problem(run->config, "/command");
	size_t n = ambient_len(run->config, "/command");

	if (problem != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "spec.runnerConfig.command %s", problem);
	if ((run->slot = run->host->mem->alloc(run->host, sizeof(struct state))) == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for the run");
	((struct state *)run->slot)->started = run->host->clock->monotonic(run->host);
	for (size_t i = 0; i < n; i++)
		api->arg(cmd, ambient_str(ambient_item(run->config, "/command", i, NULL), "", ""));
	api->env(cmd, "AMBIENT_PROMPT_FILE", run->prompt_file);
	set_prompt_env(run, cmd);
	return 0;
}

/* One prompt only: its input ends with it. */
static int
prompt(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err)
{
	int rc = run->host->message->write(run, text, len, err);

	return rc < 0 ? rc : run->host->message->write(run, NULL, 0, err);
}

static void
emit_text(struct ambient_run *run, int stream, const char *p, size_t n)
{
	struct text t = {0};

	text_puts(&t, "{\"text\":");
	rs_stringn(&t, p, n);
	text_puts(&t, stream == AMBIENT_STDERR ? ",\"stream\":\"stderr\"}" : "}");
	if (t.p != NULL)
		run->host->message->emit(run, AMBIENT_MSG_TEXT, t.p, t.len);
	text_fini(&t);
}

/* A line that is too long ends with a mark, as every result that is not whole. */
static void
keep_last(struct state *state, const char *text, size_t len, bool cut)
{
	size_t n = len;

	if (n > LAST_MAX)
		for (n = LAST_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	memcpy(state->last, text, n);
	state->last_len = n;
	if (n < len || cut)
		state->last_len += (size_t)snprintf(state->last + n, MARK_MAX, "\n[cut here: %zu of %s%zu bytes]", n,
						    cut ? "more than " : "", len);
}

static int
line(void *self, struct ambient_run *run, int stream, const char *text, size_t len, int cut, struct ambient_error *err)
{
	struct state *state = run->slot;
	size_t at = 0;

	if (stream == AMBIENT_STDOUT && len > 0 && strspn(text, " \t\r") < len)
		keep_last(state, text, len, cut != 0);
	do {
		size_t n = len - at < TEXT_MAX ? len - at : TEXT_MAX;

		while (n > TEXT_MAX / 2 && at + n < len && ((unsigned char)text[at + n] & 0xc0) == 0x80)
			n--;
		emit_text(run, stream, text + at, n);
		at += n;
	} while (at < len);
	if (cut)
		emit_text(run, stream, "[the line was too long and is cut here]", 39);
	return 0;
}

static int
exited(void *self, struct ambient_run *run, const struct ambient_exit *end, struct ambient_outcome *outcome,
       struct ambient_error *err)
{
	struct state *state = run->slot;
	struct text t = {0};
	char numbers[96];
	size_t n;

	outcome->success = end->code == 0 && end->asked == AMBIENT_ASKED_NONE;
	outcome->exit_code = outcome->success ? 0 : end->code == 2 ? 2 : 1;
	if (!outcome->success) {
		const char *words = rs_last_words(end->stderr_tail, &n);

		(void)snprintf(outcome->reason, sizeof(outcome->reason), "%s",
			       end->asked == AMBIENT_ASKED_STOP      ? "AgentStopped"
			       : end->asked == AMBIENT_ASKED_TIMEOUT ? "AgentTimeout"
			       : end->code == 2                      ? "PrerequisiteMissing"
								     : "AgentFailed");
		if (end->asked != AMBIENT_ASKED_NONE)
			(void)snprintf(outcome->message, sizeof(outcome->message), "the command was ended");
		else if (end->signal != 0)
			(void)snprintf(outcome->message, sizeof(outcome->message),
				       "the command was killed by signal %d", end->signal);
		else
			(void)snprintf(outcome->message, sizeof(outcome->message),
				       "the command ended with exit code %d%s%.*s", end->code, n > 0 ? ": " : "",
				       (int)n, words);
	}
	text_puts(&t, "{\"text\":");
	rs_stringn(&t, state->last, state->last_len);
	(void)snprintf(numbers, sizeof(numbers), ",\"isError\":%s,\"turns\":1,\"durationMs\":%lld}",
		       outcome->success ? "false" : "true",
		       (long long)((run->host->clock->monotonic(run->host) - state->started) / 1000000));
	text_puts(&t, numbers);
	if (t.p != NULL)
		run->host->message->emit(run, AMBIENT_MSG_RESULT, t.p, t.len);
	text_fini(&t);
	run->host->mem->free(run->host, state);
	run->slot = NULL;
	return 0;
}

static const struct ambient_runner runner = {
	.size = sizeof(runner),
	.type = "command",
	.plan = plan,
	.command = command,
	.prompt = prompt,
	.line = line,
	.exited = exited,
};
static const struct ambient_runner *const runners[] = {&runner, NULL};

const struct ambient_plugin ambient_plugin_v1 = {AMBIENT_PLUGIN_HEAD, .create = create, .runners = runners};
