/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See cli.h.  A run's outcome is judged in rs_exited alone: success needs an answer that ended in order, no failure
 * said, exit code 0, and nobody who asked for the end.  What the agent said last is its result.
 */
#include "plugins/runner-shared/cli.h"

#include <ctype.h>
#include <glob.h>
#include <stdlib.h>

#include <signal.h>

#define VERSION_LIMIT INT64_C(20000000000) /* node warms up slowly */
#define STDERR_MAX    2000
#define TEXT_MAX      (1u << 20) /* kept of one text */

static void
copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%.*s", (int)size - 1, from);
}

/* ---- life */

int
rs_create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	struct rs_instance *instance = calloc(1, sizeof(*instance));

	if (instance == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for an instance");
	instance->host = host;
	instance->conf = conf;
	*ret_self = instance;
	return 0;
}

void
rs_destroy(void *self)
{
	free(self);
}

/* ---- plan */

void
rs_put_key(struct text *t, const char *secret, const char *key, int optional)
{
	text_puts(t, "{\"name\":");
	rs_string(t, key);
	text_puts(t, ",\"valueFrom\":{\"secretKeyRef\":{\"name\":");
	rs_string(t, secret);
	text_puts(t, ",\"key\":");
	rs_string(t, key);
	text_puts(t, optional ? ",\"optional\":true}}}" : "}}}");
}

/* What a type whose program takes no settings cannot do. */
static int
refuse(const struct rs_cli *cli, const char *key, const struct ambient_plan *in, struct ambient_sink *problems)
{
	static const char *const none[] = {NULL};
	char text[300];

	if (rs_unknown_setting(in, cli->type, none, problems))
		return 1;
	if (ambient_str(in->effective, "/secretName", "")[0] == '\0') {
		(void)snprintf(text, sizeof(text),
			       "no Secret with %.60s is named here, in the project's settings or in the configuration", key);
		rs_problem(problems, "spec.anthropicApiKeySecret", text);
		return 1;
	}
	return 0;
}

int
rs_plan(const struct rs_instance *self, const struct rs_cli *cli, const char *key, const char *base_variable,
	const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
	struct ambient_error *err)
{
	const struct ambient_conf_api *conf = self->host->conf;
	struct text t = {0};
	char idle[32];

	if (refuse(cli, key, in, problems))
		return 0;
	text_puts(&t, "{\"agentEnv\":[");
	rs_put_key(&t, ambient_str(in->effective, "/secretName", ""), key, 0);
	if (base_variable != NULL)
		rs_put_env(&t, base_variable, conf->str(self->conf, "baseURL", ""));
	rs_put_env(&t, cli->variable, conf->str(self->conf, "cli", cli->program));
	(void)snprintf(idle, sizeof(idle), "%lld",
		       (long long)(conf->integer(self->conf, "idle", INT64_C(900000000000)) / INT64_C(1000000000)));
	rs_put_env(&t, "AMBIENT_AGENT_IDLE", idle);
	if (cli->samples)
		rs_put_settings(&t, in, RS_TEMPERATURE, RS_MAX_TOKENS);
	text_puts(&t, cli->samples ? "],\"honours\":[\"temperature\",\"maxTokens\"],\"requiredSecretKeys\":[" : "],\"requiredSecretKeys\":[");
	rs_string(&t, key);
	text_puts(&t, "]}");
	if (!t.failed)
		fragment->put(fragment, t.p, t.len);
	int rc = t.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for a plan") : 0;
	text_fini(&t);
	return rc;
}

/* ---- the program */

const char *
rs_program(const struct rs_cli *cli)
{
	const char *program = getenv(cli->variable);

	return program != NULL && *program != '\0' ? program : cli->program;
}

const char *
rs_setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && isdigit((unsigned char)*value) && strspn(value, "0123456789.") == strlen(value) ? value : NULL;
}

/* The first two numbers with a dot between them; some print their name before, some after. */
static int
read_version(const char *text, int *major, int *minor)
{
	for (const char *p = text; *p != '\0'; p++)
		if (isdigit((unsigned char)*p) && (p == text || !isdigit((unsigned char)p[-1])) &&
		    sscanf(p, "%d.%d", major, minor) == 2)
			return (int)(p - text);
	return -1;
}

int
rs_check_version(struct ambient_run *run, const struct rs_cli *cli, char version[RS_VERSION_MAX], struct ambient_error *err)
{
	const char *program = rs_program(cli), *argv[] = {program, "--version", NULL};
	struct ambient_spawn_options options = {.size = sizeof(options), .argv = argv, .timeout_ns = VERSION_LIMIT};
	struct ambient_spawn_result result = {.size = sizeof(result)};
	int major = 0, minor = 0, at, rc = 0;

	if (run->host->spawn->run(run->host, &options, &result, err) < 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND,
				   "%s is missing: there is no program \"%s\"; install it into the runner's image with "
				   "\"npm install -g %s\"",
				   cli->title, program, cli->package);
	at = read_version(result.out, &major, &minor);
	if (result.timed_out) /* a machine that is busy is no reason to end a run */
		ambient_log(run->host, AMBIENT_LOG_WARN, "\"%s --version\" did not answer in time; its version is not known",
			    program);
	else if (result.exit_code != 0 || at < 0)
		rc = ambient_err(err, AMBIENT_E_UNSUPPORTED, "\"%s --version\" does not answer like %s (exit code %d)",
				 program, cli->title, result.exit_code);
	else if (major < cli->major || (major == cli->major && minor < cli->minor))
		rc = ambient_err(err, AMBIENT_E_UNSUPPORTED,
				 "%s is too old: \"%s\" is version %.*s, at least %d.%d.0 is needed", cli->title, program,
				 (int)strcspn(result.out + at, " \r\n"), result.out + at, cli->major, cli->minor);
	if (version != NULL)
		(void)snprintf(version, RS_VERSION_MAX, "%.*s", at < 0 ? 0 : (int)strcspn(result.out + at, " \r\n"),
			       at < 0 ? "" : result.out + at);
	run->host->spawn->release(run->host, &result);
	return rc;
}

const char *
rs_api_reason(int64_t status)
{
	static const struct {
		int64_t low, high;
		const char *reason;
	} reasons[] = {
		{401, 401, "ModelAuthenticationFailed"}, {403, 403, "ModelAuthenticationFailed"},
		{429, 429, "ModelRateLimited"},          {404, 404, "ModelNotFound"},
		{400, 499, "ModelRequestRejected"},      {500, 599, "ModelUnavailable"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (status >= reasons[i].low && status <= reasons[i].high)
			return reasons[i].reason;
	return NULL;
}

/* ---- a run of one prompt */

int
rs_begin(void *self, struct ambient_run *run, const struct rs_cli *cli, struct ambient_error *err)
{
	struct rs_instance *instance = self;
	struct rs_run *rs;
	int rc = instance->checked ? 0 : rs_check_version(run, cli, instance->version, err);

	if (rc < 0)
		return rc;
	instance->checked = 1;
	if ((rs = run->host->mem->alloc(run->host, sizeof(*rs))) == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for the run");
	rs->cli = cli;
	rs->instance = instance;
	rs->started = run->host->clock->monotonic(run->host);
	run->slot = rs;
	return 0;
}

int
rs_state_path(const struct ambient_run *run, const char *sub, char out[RS_PATH_MAX], struct ambient_error *err)
{
	int n = snprintf(out, RS_PATH_MAX, "%s/%s", run->statedir, sub);

	return n < RS_PATH_MAX ? 0 : ambient_err(err, AMBIENT_E_INVALID, "the path of the agent's state is too long");
}

int
rs_has_conversation(const char *dir, const char *file, const char *id, size_t n)
{
	const char *hole = strstr(file, "%s");
	char pattern[RS_PATH_MAX + 200];
	glob_t found;
	int yes;

	if (strlen(id) < n || strlen(id) > 64 || id[strspn(id, "0123456789abcdefABCDEF-")] != '\0' || *id == '\0')
		return 0;
	(void)snprintf(pattern, sizeof(pattern), "%s/%.*s%.*s%s", dir, (int)(hole - file), file, (int)(n > 0 ? n : strlen(id)), id,
		       hole + 2);
	yes = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
	if (yes)
		globfree(&found);
	return yes;
}

int
rs_add_model(struct ambient_run *run, struct ambient_command *cmd, const char *flag, struct ambient_error *err)
{
	const struct ambient_command_api *api = run->host->message->command;

	if (run->model[0] == '\0')
		return 0;
	if (run->model[0] == '-')
		return ambient_err(err, AMBIENT_E_INVALID, "spec.model: \"%.60s\" is no name of a model", run->model);
	api->arg(cmd, flag);
	api->arg(cmd, run->model);
	return 0;
}

int
rs_prompt(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err)
{
	const struct ambient_message_api *api = run->host->message;
	const char *workflow = AMBIENT_HAS(run, instructions) ? run->instructions : "";
	int rc = 0;

	if (workflow[0] != '\0' && (rc = api->write(run, workflow, strlen(workflow), err)) == 0)
		rc = api->write(run, "\n\n", 2, err);
	if (rc < 0 || (rc = api->write(run, text, len, err)) < 0)
		return rc;
	return api->write(run, NULL, 0, err);
}

int
rs_object(struct ambient_run *run, int stream, const char *line, size_t len, int cut, const struct ambient_object **ret,
	  struct ambient_error *err)
{
	int rc;

	if (stream == AMBIENT_STDERR) {
		if (len > 0)
			rs_emit_text(run, AMBIENT_MSG_STATUS, line, len < STDERR_MAX ? len : STDERR_MAX);
		return 0;
	}
	if (cut)
		return ambient_err(err, AMBIENT_E_INVALID, "a line of the CLI was over 8 MiB and is dropped");
	while (len > 0 && strchr(" \t\r", *line) != NULL && *line != '\0')
		line++, len--;
	if (len == 0 || *line != '{')
		return 0;
	rc = run->host->object->parse(NULL, line, len, ret, err);
	return rc < 0 ? rc : 1;
}

int
rs_is(const struct ambient_object *obj, const char *pointer, const char *value)
{
	return strcmp(ambient_str(obj, pointer, ""), value) == 0;
}

void
rs_emit(struct ambient_run *run, const char *type, struct text *fields)
{
	if (!fields->failed && fields->p != NULL)
		run->host->message->emit(run, type, fields->p, fields->len);
	text_fini(fields);
}

void
rs_emit_text(struct ambient_run *run, const char *type, const char *text, size_t n)
{
	struct text t = {0};

	text_puts(&t, "{\"text\":");
	rs_stringn(&t, text, n);
	text_puts(&t, "}");
	rs_emit(run, type, &t);
}

void
rs_session(struct ambient_run *run, const char *id, const char *model)
{
	struct rs_run *rs = run->slot;
	struct text t = {0};

	if (id[0] == '\0' || rs->conversation[0] != '\0')
		return;
	copy(rs->conversation, sizeof(rs->conversation), id);
	run->host->message->conversation(run, rs->conversation);
	if (rs->instance->ready)
		return;
	rs->instance->ready = 1;
	text_puts(&t, "{\"state\":\"agent-ready\",\"text\":\"the agent is ready\",\"model\":");
	rs_string(&t, model);
	if (rs->instance->version[0] != '\0') {
		text_puts(&t, ",\"agentVersion\":");
		rs_string(&t, rs->instance->version);
	}
	text_puts(&t, ",\"conversation\":");
	rs_string(&t, rs->conversation);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_SESSION, &t);
}

void
rs_say(struct ambient_run *run, const char *text, size_t n)
{
	struct rs_run *rs = run->slot;

	rs_emit_text(run, AMBIENT_MSG_TEXT, text, n);
	text_fini(&rs->last);
	text_put(&rs->last, text, n < TEXT_MAX ? n : TEXT_MAX);
}

void
rs_piece(struct ambient_run *run, const char *text, size_t n)
{
	struct rs_run *rs = run->slot;
	struct text t = {0};

	text_puts(&t, "{\"text\":");
	rs_stringn(&t, text, n);
	text_puts(&t, ",\"index\":0}");
	rs_emit(run, AMBIENT_MSG_PARTIAL, &t);
	if (rs->piece.len + n <= TEXT_MAX)
		text_put(&rs->piece, text, n);
}

void
rs_flush(struct ambient_run *run)
{
	struct rs_run *rs = run->slot;

	if (rs->piece.p != NULL && rs->piece.len > 0)
		rs_say(run, rs->piece.p, rs->piece.len);
	text_fini(&rs->piece);
}

void
rs_call_json(struct ambient_run *run, const char *id, const char *name, const char *input)
{
	struct rs_run *rs = run->slot;
	struct text t = {0};
	char own[sizeof(rs->open[0])];

	copy(own, sizeof(own), id);
	for (size_t i = 0; i < RS_OPEN_MAX; i++)
		if (own[0] != '\0' && strcmp(rs->open[i], own) == 0)
			return;
	copy(rs->open[rs->opened++ % RS_OPEN_MAX], sizeof(own), own);
	text_puts(&t, "{\"id\":");
	rs_string(&t, id);
	text_puts(&t, ",\"name\":");
	rs_string(&t, name);
	text_puts(&t, ",\"input\":");
	text_puts(&t, input);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_TOOL_CALL, &t);
}

void
rs_call(struct ambient_run *run, const char *id, const char *name, const struct ambient_object *input, const char *pointer)
{
	struct text t = {0};

	rs_json(&t, input, pointer, "{}");
	if (!t.failed)
		rs_call_json(run, id, name, t.p);
	text_fini(&t);
}

void
rs_returned(struct ambient_run *run, const char *id, const char *text, size_t n, int is_error)
{
	struct text t = {0};

	text_puts(&t, "{\"id\":");
	rs_string(&t, id);
	text_puts(&t, ",\"text\":");
	rs_stringn(&t, text, n);
	text_puts(&t, is_error ? ",\"isError\":true}" : ",\"isError\":false}");
	rs_emit(run, AMBIENT_MSG_TOOL_RESULT, &t);
}

void
rs_failed(struct ambient_run *run, int64_t status, const char *text)
{
	struct rs_run *rs = run->slot;
	const char *reason = status == 0 ? "ModelUnreachable" : rs_api_reason(status);
	struct text t = {0};

	rs->is_error = 1;
	copy(rs->reason, sizeof(rs->reason), reason != NULL ? reason : "AgentFailed");
	copy(rs->failure, sizeof(rs->failure), text);
	text_puts(&t, "{\"reason\":");
	rs_string(&t, rs->reason);
	text_puts(&t, ",\"text\":");
	rs_string(&t, text);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_ERROR, &t);
}

/* ---- the end */

static void
emit_usage(struct ambient_run *run, const struct rs_run *rs)
{
	const struct {
		const char *name;
		int64_t value;
	} fields[] = {{"{\"inputTokens\":", rs->input},
		      {",\"outputTokens\":", rs->output},
		      {",\"cacheReadTokens\":", rs->cache_read},
		      {",\"cacheWriteTokens\":", rs->cache_write}};
	struct text t = {0};
	char cost[48];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		text_puts(&t, fields[i].name);
		rs_number(&t, fields[i].value);
	}
	(void)snprintf(cost, sizeof(cost), ",\"costUSD\":%.9g}", rs->instance->cost);
	text_puts(&t, rs->have_cost ? cost : "}");
	rs_emit(run, AMBIENT_MSG_USAGE, &t);
}

static void
emit_result(struct ambient_run *run, const struct rs_run *rs, int is_error)
{
	struct text t = {0};
	char cost[48];

	text_puts(&t, "{\"text\":");
	rs_stringn(&t, rs->last.p != NULL ? rs->last.p : "", rs->last.len);
	text_puts(&t, is_error ? ",\"isError\":true,\"turns\":" : ",\"isError\":false,\"turns\":");
	rs_number(&t, rs->instance->turns);
	text_puts(&t, ",\"durationMs\":");
	rs_number(&t, (run->host->clock->monotonic(run->host) - rs->started) / 1000000);
	(void)snprintf(cost, sizeof(cost), ",\"costUSD\":%.9g", rs->instance->cost);
	text_puts(&t, rs->have_cost ? cost : "");
	text_puts(&t, ",\"conversation\":");
	rs_string(&t, rs->conversation);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_RESULT, &t);
}

static void
judge(const struct rs_run *rs, const struct ambient_exit *end, struct ambient_outcome *outcome)
{
	const char *reason = "AgentFailed", *title = rs->cli->title;
	char text[512];
	size_t n;

	if (end->asked == AMBIENT_ASKED_TIMEOUT) {
		reason = "AgentTimeout";
		(void)snprintf(text, sizeof(text), "the agent was ended because of a timeout%s%.300s",
			       rs->failure[0] != '\0' ? "; it said last: " : "", rs->failure);
	} else if (end->asked == AMBIENT_ASKED_STOP) {
		reason = "AgentStopped";
		(void)snprintf(text, sizeof(text), "the agent was stopped");
	} else if (end->asked == AMBIENT_ASKED_INTERRUPT || end->signal == SIGINT || end->code == 128 + SIGINT) {
		reason = "AgentInterrupted";
		(void)snprintf(text, sizeof(text), "the agent was interrupted");
	} else if (end->signal != 0) {
		reason = "AgentKilled";
		(void)snprintf(text, sizeof(text), "%s was killed by signal %d", title, end->signal);
	} else if (rs->is_error) {
		reason = rs->reason;
		(void)snprintf(text, sizeof(text), "%s", rs->failure[0] != '\0' ? rs->failure : "the agent ended with an error");
	} else {
		const char *words = rs_last_words(end->stderr_tail, &n);

		reason = rs->have_result ? reason : "AgentNotStarted";
		(void)snprintf(text, sizeof(text), "%s ended with exit code %d%s%s%.*s", title, end->code,
			       rs->have_result ? "" : " and without a result", n > 0 ? ": " : "", (int)n, words);
	}
	for (char *p = text; *p != '\0'; p++)
		*p = *p == '\n' ? ' ' : *p;
	copy(outcome->reason, sizeof(outcome->reason), reason);
	copy(outcome->message, sizeof(outcome->message), text);
}

int
rs_was_ended(const struct ambient_exit *end)
{
	return end->asked != AMBIENT_ASKED_NONE && end->asked != AMBIENT_ASKED_END;
}

/* Can the conversation go on?  A program that could not even begin would fail the same way; so would a wrong key. */
static int
can_go_on(const struct rs_run *rs, const struct ambient_exit *end)
{
	if (end->asked == AMBIENT_ASKED_INTERRUPT)
		return 1;
	return !rs_was_ended(end) && end->signal == 0 && (rs->have_result || rs->is_error) &&
	       strcmp(rs->reason, "ModelAuthenticationFailed") != 0;
}

int
rs_exited(void *self, struct ambient_run *run, const struct ambient_exit *end, struct ambient_outcome *outcome,
	  struct ambient_error *err)
{
	struct rs_run *rs = run->slot;

	rs_flush(run);
	rs->instance->turns += rs->turns;
	rs->instance->cost += rs->cost;
	if (outcome->size > offsetof(struct ambient_outcome, again))
		outcome->again = run->interactive && can_go_on(rs, end);
	/* An interrupt may come too late. */
	outcome->success = rs->have_result && !rs->is_error && end->code == 0 &&
			   (!rs_was_ended(end) || end->asked == AMBIENT_ASKED_INTERRUPT);
	outcome->exit_code = outcome->success ? 0 : 1;
	if (!outcome->success)
		judge(rs, end, outcome);
	if (rs->have_usage)
		emit_usage(run, rs);
	emit_result(run, rs, !outcome->success);
	text_fini(&rs->piece);
	text_fini(&rs->last);
	run->host->mem->free(run->host, rs);
	run->slot = NULL;
	return 0;
}
