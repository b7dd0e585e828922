/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the CLI's stream-json and our messages.  The CLI adds types and fields with every release: what is not known
 * is ignored, nothing depends on the order of members, and only "result" says how a turn ended, by is_error.
 */
#include "plugins/runner-claude-code/claude.h"

#include <stdlib.h>

static int
say(struct ambient_run *run, struct text *t, struct ambient_error *err)
{
	int rc = -AMBIENT_E_NOMEM;

	text_puts(t, "\n");
	if (!t->failed)
		rc = run->host->message->write(run, t->p, t->len, err);
	else
		(void)ambient_err(err, AMBIENT_E_NOMEM, "no memory for a line to the CLI");
	text_fini(t);
	return rc;
}

/* ---- what the CLI is told */

int
cc_prompt(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err)
{
	struct text t = {0};
	char uuid[37];

	cc_uuid(uuid);
	text_puts(&t, "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":");
	rs_stringn(&t, text, len);
	text_puts(&t, "},\"parent_tool_use_id\":null,\"session_id\":\"\",\"uuid\":");
	rs_string(&t, uuid);
	text_puts(&t, "}");
	return say(run, &t, err);
}

int
cc_interrupt(void *self, struct ambient_run *run, struct ambient_error *err)
{
	struct cc_run *cc = run->slot;
	struct text t = {0};
	char uuid[37];

	cc->interrupted = 1;
	cc_uuid(uuid);
	text_puts(&t, "{\"type\":\"control_request\",\"request_id\":");
	rs_string(&t, uuid);
	text_puts(&t, ",\"request\":{\"subtype\":\"interrupt\",\"cancel_queued\":true}}");
	return say(run, &t, err);
}

int
cc_stop(void *self, struct ambient_run *run, struct ambient_error *err)
{
	int rc = cc_interrupt(self, run, err);

	return rc < 0 ? rc : run->host->message->write(run, NULL, 0, err);
}

/* response: JSON of the answer, or NULL: error says why there is none. */
static int
respond(struct ambient_run *run, const char *id, const char *response, const char *error, struct ambient_error *err)
{
	struct text t = {0};

	text_puts(&t, "{\"type\":\"control_response\",\"response\":{\"subtype\":");
	rs_string(&t, response != NULL ? "success" : "error");
	text_puts(&t, ",\"request_id\":");
	rs_string(&t, id);
	text_puts(&t, response != NULL ? ",\"response\":" : ",\"error\":");
	if (response != NULL)
		text_puts(&t, response);
	else
		rs_string(&t, error);
	text_puts(&t, "}}");
	return say(run, &t, err);
}

/* input is the tool's input in JSON; answers (may be NULL) is added to it. */
static int
allow(struct ambient_run *run, const char *id, const char *input, const struct ambient_object *answers,
      struct ambient_error *err)
{
	struct text t = {0};
	size_t n = strlen(input);
	int rc;

	text_puts(&t, "{\"behavior\":\"allow\",\"updatedInput\":");
	if (answers != NULL && n >= 2 && input[n - 1] == '}') {
		size_t last = n - 1;

		while (last > 1 && strchr(" \t\r\n", input[last - 1]) != NULL)
			last--;
		text_put(&t, input, last);
		text_puts(&t, input[last - 1] == '{' ? "\"answers\":" : ",\"answers\":");
		rs_json(&t, answers, "", "{}");
		text_puts(&t, "}");
	} else {
		text_puts(&t, input);
	}
	text_puts(&t, "}");
	rc = t.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for an answer") : respond(run, id, t.p, NULL, err);
	text_fini(&t);
	return rc;
}

static int
deny(struct ambient_run *run, const char *id, const char *why, struct ambient_error *err)
{
	struct text t = {0};
	int rc;

	text_puts(&t, "{\"behavior\":\"deny\",\"message\":");
	rs_string(&t, why);
	text_puts(&t, "}");
	rc = t.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for an answer") : respond(run, id, t.p, NULL, err);
	text_fini(&t);
	return rc;
}

/* ---- permissions and questions */

static int
find_pending(const struct cc_run *cc, const char *id)
{
	for (int i = 0; i < CC_PENDING_MAX; i++)
		if (cc->pending[i].id != NULL && (id != NULL && strcmp(cc->pending[i].id, id) == 0))
			return i;
	return -1;
}

static void
drop_pending(struct cc_run *cc, int i)
{
	free(cc->pending[i].id);
	free(cc->pending[i].input);
	memset(&cc->pending[i], 0, sizeof(cc->pending[i]));
}

static int
keep_pending(struct cc_run *cc, const char *id, const char *input, int question)
{
	for (int i = 0; i < CC_PENDING_MAX; i++) {
		if (cc->pending[i].id != NULL)
			continue;
		cc->pending[i].id = strdup(id);
		cc->pending[i].input = strdup(input);
		cc->pending[i].question = question;
		if (cc->pending[i].id != NULL && cc->pending[i].input != NULL)
			return 0;
		drop_pending(cc, i);
		return -1;
	}
	return -1;
}

static void
emit_permission(struct ambient_run *run, const struct ambient_object *msg, const char *id, const char *decision)
{
	struct text t = {0};

	text_puts(&t, "{\"id\":");
	rs_string(&t, id);
	text_puts(&t, ",\"tool\":");
	rs_string(&t, ambient_str(msg, "/request/tool_name", ""));
	text_puts(&t, ",\"input\":");
	rs_json(&t, msg, "/request/input", "{}");
	if (decision != NULL) {
		text_puts(&t, ",\"decision\":");
		rs_string(&t, decision);
	}
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_PERMISSION, &t);
}

static void
emit_question(struct ambient_run *run, const struct ambient_object *msg, const char *id)
{
	struct text t = {0};

	text_puts(&t, "{\"id\":");
	rs_string(&t, id);
	text_puts(&t, ",\"text\":");
	rs_string(&t, ambient_str(msg, "/request/input/questions/0/question", "the agent asks"));
	text_puts(&t, ",\"questions\":");
	rs_json(&t, msg, "/request/input/questions", "[]");
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_QUESTION, &t);
}

/* The container is the sandbox: what a batch run's agent asks for is allowed, unless only a person can answer. */
static int
can_use_tool(struct ambient_run *run, const struct ambient_object *msg, const char *id, struct ambient_error *err)
{
	struct cc_run *cc = run->slot;
	const char *input = ambient_json(msg, "/request/input", NULL);
	int question = rs_is(msg, "/request/tool_name", "AskUserQuestion");
	struct text t = {0};
	int rc;

	/* ambient_json's text need not end with the value. */
	rs_json(&t, msg, "/request/input", "{}");
	if (t.failed || input == NULL) {
		text_fini(&t);
		return deny(run, id, "the request has no input", err);
	}
	if (question && !run->interactive) {
		rc = deny(run, id, "nobody is there to answer; decide yourself", err);
	} else if (!question && !cc->ask) {
		emit_permission(run, msg, id, "allow");
		rc = allow(run, id, t.p, NULL, err);
	} else if (keep_pending(cc, id, t.p, question) == 0) {
		if (question)
			emit_question(run, msg, id);
		else
			emit_permission(run, msg, id, NULL);
		rc = 0;
	} else {
		rc = deny(run, id, "too many requests wait for an answer", err);
	}
	text_fini(&t);
	return rc;
}

int
cc_answer(void *self, struct ambient_run *run, const char *id, const struct ambient_object *answer,
	  struct ambient_error *err)
{
	struct cc_run *cc = run->slot;
	int i = find_pending(cc, id), rc;

	if (i < 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "nothing with id \"%.60s\" waits for an answer", id);
	if (rs_is(answer, "/behavior", "deny"))
		rc = deny(run, id, ambient_str(answer, "/message", "a person refused"), err);
	else if (cc->pending[i].question ? ambient_type(answer, "/answers") != AMBIENT_T_OBJECT : !rs_is(answer, "/behavior", "allow"))
		return ambient_err(err, AMBIENT_E_INVALID, "the answer neither allows nor denies \"%.60s\"", id);
	else
		rc = allow(run, id, cc->pending[i].input,
			   cc->pending[i].question ? ambient_at(answer, "/answers") : NULL, err);
	drop_pending(cc, i);
	return rc;
}

static int
on_control_request(struct ambient_run *run, const struct ambient_object *msg, struct ambient_error *err)
{
	const char *id = ambient_str(msg, "/request_id", "");

	if (rs_is(msg, "/request/subtype", "can_use_tool"))
		return can_use_tool(run, msg, id, err);
	return respond(run, id, NULL, "this host does not answer requests of that kind", err);
}

/* ---- what the CLI says */

static void
on_init(struct ambient_run *run, const struct ambient_object *msg)
{
	struct cc_run *cc = run->slot;
	size_t n = ambient_len(msg, "/mcp_servers");
	const char *id = ambient_str(msg, "/session_id", "");
	struct text t = {0};

	if (id[0] != '\0')
		run->host->message->conversation(run, id);
	if (cc->announced)
		return;
	cc->announced = 1;
	text_puts(&t, "{\"state\":\"agent-ready\",\"text\":\"the agent is ready\",\"model\":");
	rs_string(&t, ambient_str(msg, "/model", ""));
	text_puts(&t, ",\"agentVersion\":");
	rs_string(&t, ambient_str(msg, "/claude_code_version", ""));
	text_puts(&t, ",\"permissionMode\":");
	rs_string(&t, ambient_str(msg, "/permissionMode", ""));
	text_puts(&t, ",\"conversation\":");
	rs_string(&t, id);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_SESSION, &t);
	/* A server that failed to start is said nowhere else. */
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *server = ambient_item(msg, "/mcp_servers", i, NULL);
		char text[300];

		if (server == NULL || rs_is(server, "/status", "connected") || rs_is(server, "/status", "pending"))
			continue;
		(void)snprintf(text, sizeof(text), "MCP server \"%.100s\" is not usable: %.100s",
			       ambient_str(server, "/name", ""), ambient_str(server, "/status", ""));
		rs_emit_text(run, AMBIENT_MSG_STATUS, text, strlen(text));
	}
}

static void
on_system(struct ambient_run *run, const struct ambient_object *msg)
{
	const char *sub = ambient_str(msg, "/subtype", "");
	char text[400] = "";

	if (strcmp(sub, "init") == 0)
		on_init(run, msg);
	else if (strcmp(sub, "api_retry") == 0)
		(void)snprintf(text, sizeof(text),
			       "the model's API failed (%lld %.60s); attempt %lld of %lld, next in %lld ms",
			       (long long)ambient_int(msg, "/error_status", 0), ambient_str(msg, "/error", "unknown"),
			       (long long)ambient_int(msg, "/attempt", 0),
			       (long long)ambient_int(msg, "/max_retries", 0),
			       (long long)ambient_int(msg, "/retry_delay_ms", 0));
	else if (strcmp(sub, "permission_denied") == 0)
		(void)snprintf(text, sizeof(text), "permission denied for %.60s: %.200s",
			       ambient_str(msg, "/tool_name", ""), ambient_str(msg, "/message", ""));
	else if (strcmp(sub, "compact_boundary") == 0)
		(void)snprintf(text, sizeof(text), "the conversation was compacted");
	else if (strcmp(sub, "model_fallback") == 0)
		(void)snprintf(text, sizeof(text), "another model is used");
	if (text[0] != '\0')
		rs_emit_text(run, AMBIENT_MSG_STATUS, text, strlen(text));
}

/* Adds ,"parent":ID for what a subagent says. */
static void
put_parent(struct text *t, const struct ambient_object *msg)
{
	const char *parent = ambient_str(msg, "/parent_tool_use_id", "");

	if (parent[0] == '\0')
		return;
	text_puts(t, ",\"parent\":");
	rs_string(t, parent);
}

/* As a report has it: from the API's status, where the text tells it, else from the CLI's word for it. */
static const char *
error_reason(const char *word, const char *text)
{
	static const struct {
		const char *word, *reason;
	} words[] = {
		{"authentication_failed", "ModelAuthenticationFailed"}, {"oauth_org_not_allowed", "ModelAuthenticationFailed"},
		{"billing_error", "ModelRequestRejected"},              {"invalid_request", "ModelRequestRejected"},
		{"model_not_found", "ModelNotFound"},                   {"rate_limit", "ModelRateLimited"},
		{"overloaded", "ModelUnavailable"},                     {"server_error", "ModelUnavailable"},
	};
	int status = 0;

	if (sscanf(text, "API Error: %3d", &status) == 1 && rs_api_reason(status) != NULL)
		return rs_api_reason(status);
	if (strncmp(text, CC_UNREACHED, sizeof(CC_UNREACHED) - 1) == 0)
		return "ModelUnreachable";
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].reason;
	return "AgentFailed";
}

static void
on_block(struct ambient_run *run, const struct ambient_object *msg, const struct ambient_object *block)
{
	int synthetic_error =
		ambient_type(msg, "/error") == AMBIENT_T_STRING || ambient_bool(msg, "/is_api_error_message", 0) == 1;
	struct text t = {0};
	const char *type;

	if (rs_is(block, "/type", "text")) {
		type = synthetic_error ? AMBIENT_MSG_ERROR : AMBIENT_MSG_TEXT;
		text_puts(&t, "{\"text\":");
		rs_json(&t, block, "/text", "\"\"");
		if (synthetic_error) {
			text_puts(&t, ",\"reason\":");
			rs_string(&t, error_reason(ambient_str(msg, "/error", ""), ambient_str(block, "/text", "")));
		}
	} else if (rs_is(block, "/type", "thinking")) {
		type = AMBIENT_MSG_THINKING;
		text_puts(&t, "{\"text\":");
		rs_json(&t, block, "/thinking", "\"\"");
	} else if (rs_is(block, "/type", "tool_use")) {
		type = AMBIENT_MSG_TOOL_CALL;
		text_puts(&t, "{\"id\":");
		rs_json(&t, block, "/id", "\"\"");
		text_puts(&t, ",\"name\":");
		rs_json(&t, block, "/name", "\"\"");
		text_puts(&t, ",\"input\":");
		rs_json(&t, block, "/input", "{}");
	} else {
		return;
	}
	put_parent(&t, msg);
	text_puts(&t, "}");
	rs_emit(run, type, &t);
}

static void
on_tool_result(struct ambient_run *run, const struct ambient_object *msg, const struct ambient_object *block)
{
	struct text t = {0}, text = {0};
	size_t n = ambient_len(block, "/content");

	/* A string, or an array of blocks of which the text ones are meant for reading. */
	if (ambient_type(block, "/content") == AMBIENT_T_STRING)
		text_put(&text, ambient_str(block, "/content", ""), n);
	else if (ambient_type(block, "/content") == AMBIENT_T_ARRAY)
		for (size_t i = 0; i < n; i++) {
			const struct ambient_object *part = ambient_item(block, "/content", i, NULL);

			if (part != NULL && rs_is(part, "/type", "text"))
				text_put(&text, ambient_str(part, "/text", ""), ambient_len(part, "/text"));
			else if (part != NULL)
				text_puts(&text, "[not text]");
		}
	text_puts(&t, "{\"id\":");
	rs_json(&t, block, "/tool_use_id", "\"\"");
	text_puts(&t, ",\"text\":");
	rs_stringn(&t, text.p != NULL ? text.p : "", text.len);
	text_puts(&t, ambient_bool(block, "/is_error", 0) == 1 ? ",\"isError\":true" : ",\"isError\":false");
	put_parent(&t, msg);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_TOOL_RESULT, &t);
	text_fini(&text);
}

static void
on_content(struct ambient_run *run, const struct ambient_object *msg, int assistant)
{
	size_t n = ambient_len(msg, "/message/content");

	if (ambient_type(msg, "/message/content") != AMBIENT_T_ARRAY)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *block = ambient_item(msg, "/message/content", i, NULL);

		if (block == NULL)
			continue;
		if (assistant)
			on_block(run, msg, block);
		else if (rs_is(block, "/type", "tool_result"))
			on_tool_result(run, msg, block);
		else if (rs_is(block, "/type", "text") && ambient_bool(msg, "/isSynthetic", 0) == 1)
			rs_emit_text(run, AMBIENT_MSG_STATUS, ambient_str(block, "/text", ""),
				  ambient_len(block, "/text"));
	}
}

/* The CLI knows a limit of cost, none of tokens: the API's own events say what each call took. */
static void
count_tokens(struct ambient_run *run, const struct ambient_object *msg)
{
	static const char *const in[] = {"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"};
	struct cc_run *cc = run->slot;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char pointer[64];

	if (cc->max_tokens <= 0 || cc->over)
		return;
	for (size_t i = 0; rs_is(msg, "/event/type", "message_start") && i < sizeof(in) / sizeof(in[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "/event/message/usage/%s", in[i]);
		int64_t n = ambient_int(msg, pointer, 0);
		cc->tokens += n > 0 && n < INT64_C(1000000000) ? n : 0;
	}
	if (rs_is(msg, "/event/type", "message_delta")) {
		int64_t n = ambient_int(msg, "/event/usage/output_tokens", 0);
		cc->tokens += n > 0 && n < INT64_C(1000000000) ? n : 0;
	}
	if (cc->tokens <= cc->max_tokens)
		return;
	cc->over = 1;
	rs_emit_text(run, AMBIENT_MSG_STATUS, "the limit of tokens is reached; the turn is ended", 49);
	(void)cc_interrupt(NULL, run, &err);
}

static void
on_stream_event(struct ambient_run *run, const struct ambient_object *msg)
{
	struct text t = {0};

	count_tokens(run, msg);
	if (!rs_is(msg, "/event/type", "content_block_delta") || !rs_is(msg, "/event/delta/type", "text_delta"))
		return;
	text_puts(&t, "{\"text\":");
	rs_json(&t, msg, "/event/delta/text", "\"\"");
	text_puts(&t, ",\"index\":");
	rs_number(&t, ambient_int(msg, "/event/index", 0));
	put_parent(&t, msg);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_PARTIAL, &t);
}

/* The CLI tells of its process; a run may have had several. */
static void
put_cost(struct text *t, struct cc_run *cc, const struct ambient_object *msg)
{
	double cost = ambient_real(msg, "/total_cost_usd", 0);
	char number[48];

	cc->cost = cost > 0 && cost < 1e6 ? cost : 0;
	(void)snprintf(number, sizeof(number), "%.9g", cc->cost_before + cc->cost);
	text_puts(t, number);
}

static void
emit_usage(struct ambient_run *run, const struct ambient_object *msg)
{
	static const struct {
		const char *name, *pointer;
	} fields[] = {
		{"inputTokens", "/usage/input_tokens"},
		{"outputTokens", "/usage/output_tokens"},
		{"cacheReadTokens", "/usage/cache_read_input_tokens"},
		{"cacheWriteTokens", "/usage/cache_creation_input_tokens"},
	};
	struct text t = {0};

	text_puts(&t, "{");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		text_puts(&t, "\"");
		text_puts(&t, fields[i].name);
		text_puts(&t, "\":");
		rs_number(&t, ambient_int(msg, fields[i].pointer, 0));
		text_puts(&t, ",");
	}
	text_puts(&t, "\"costUSD\":");
	put_cost(&t, run->slot, msg);
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_USAGE, &t);
}

static void
copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%.*s", (int)size - 1, from);
}

static void
on_result(struct ambient_run *run, const struct ambient_object *msg)
{
	struct cc_run *cc = run->slot;
	const char *text = ambient_str(msg, "/result", NULL);
	struct text t = {0};

	cc->have_result = 1;
	cc->is_error = ambient_bool(msg, "/is_error", 1) == 1 || cc->over;
	cc->cut_short = cc->interrupted && cc->is_error;
	cc->interrupted = 0;
	/* Of a turn that was interrupted the CLI says how it found it, which is for those who make the CLI. */
	if (text == NULL)
		text = cc->over ? "the limit of tokens is reached" : cc->cut_short ? "the turn was interrupted" : ambient_str(msg, "/errors/0", "");
	cc->turns += ambient_int(msg, "/num_turns", 0);
	cc->api_status = ambient_int(msg, "/api_error_status", 0);
	copy(cc->subtype, sizeof(cc->subtype), ambient_str(msg, "/subtype", ""));
	copy(cc->terminal, sizeof(cc->terminal), ambient_str(msg, "/terminal_reason", ""));
	copy(cc->text, sizeof(cc->text), text);
	if (ambient_str(msg, "/session_id", "")[0] != '\0')
		run->host->message->conversation(run, ambient_str(msg, "/session_id", ""));
	emit_usage(run, msg);
	text_puts(&t, "{\"text\":");
	rs_string(&t, text);
	text_puts(&t, cc->is_error ? ",\"isError\":true,\"turns\":" : ",\"isError\":false,\"turns\":");
	rs_number(&t, cc->turns);
	text_puts(&t, ",\"durationMs\":");
	rs_number(&t, ambient_int(msg, "/duration_ms", 0));
	if (ambient_type(msg, "/duration_api_ms") == AMBIENT_T_NUMBER) {
		text_puts(&t, ",\"durationApiMs\":");
		rs_number(&t, ambient_int(msg, "/duration_api_ms", 0));
	}
	if (ambient_type(msg, "/total_cost_usd") == AMBIENT_T_NUMBER) {
		text_puts(&t, ",\"costUSD\":");
		put_cost(&t, cc, msg);
	}
	text_puts(&t, ",\"subtype\":");
	rs_string(&t, cc->subtype);
	text_puts(&t, ",\"denials\":");
	rs_number(&t, (int64_t)ambient_len(msg, "/permission_denials"));
	text_puts(&t, ",\"conversation\":");
	rs_string(&t, ambient_str(msg, "/session_id", ""));
	text_puts(&t, "}");
	rs_emit(run, AMBIENT_MSG_RESULT, &t);
	/* More turns come by themselves when messages are still queued. */
	if (ambient_int(msg, "/queued_turn_count", 0) == 0)
		run->host->message->turn_done(run);
}

static void
on_cancel(struct ambient_run *run, const struct ambient_object *msg)
{
	int i = find_pending(run->slot, ambient_str(msg, "/request_id", ""));

	if (i >= 0)
		drop_pending(run->slot, i);
}

int
cc_line(void *self, struct ambient_run *run, int stream, const char *line, size_t len, int cut,
	struct ambient_error *err)
{
	const struct ambient_object *msg = NULL;
	int rc = rs_object(run, stream, line, len, cut, &msg, err);

	if (rc <= 0)
		return rc;
	rc = 0;
	const char *type = ambient_str(msg, "/type", "");
	if (strcmp(type, "assistant") == 0)
		on_content(run, msg, 1);
	else if (strcmp(type, "user") == 0)
		on_content(run, msg, 0);
	else if (strcmp(type, "stream_event") == 0)
		on_stream_event(run, msg);
	else if (strcmp(type, "result") == 0)
		on_result(run, msg);
	else if (strcmp(type, "system") == 0)
		on_system(run, msg);
	else if (strcmp(type, "control_request") == 0)
		rc = on_control_request(run, msg, err);
	else if (strcmp(type, "control_cancel_request") == 0)
		on_cancel(run, msg);
	ambient_unref((struct ambient_object *)(uintptr_t)msg);
	return rc;
}
