/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people say, on its way from the endpoint to the agent.  It is written into the messages first, so that every
 * reader sees who said what, in the order in which the agent hears it; then it goes to the agent's side, which says
 * when the runner type has taken it, and only then is the client answered.
 *
 * Which permissions and questions wait for an answer is known from what the agent said.
 */
#include <stdlib.h>

#include <ambient/message.h>

#include "core/ambient-runner/runner_priv.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define LOOK_MAX ((size_t)8 << 20)

/* ---- what waits for an answer */

static struct am_pending *
find_pending(struct am_runner *runner, const char *id)
{
	for (size_t i = 0; i < runner->n_pending; i++)
		if (am_streq(runner->pending[i].id, id))
			return &runner->pending[i];
	return NULL;
}

static void
publish_pending(struct am_runner *runner)
{
	am_auto(am_buf_fini) struct am_buf json = {0};

	for (size_t i = 0; i < runner->n_pending; i++)
		am_json_addf(&json, "%j{\"id\":%s,\"type\":%s,\"tool\":%s}", i > 0 ? "," : "", runner->pending[i].id,
			     runner->pending[i].question ? AMBIENT_MSG_QUESTION : AMBIENT_MSG_PERMISSION,
			     runner->pending[i].tool);
	am_endpoint_turn(runner->endpoint, runner->turn ? "running" : "idle", am_buf_str(&json));
	am_runner_hurry(runner);
}

static void
drop_pending(struct am_runner *runner, struct am_pending *pending)
{
	*pending = runner->pending[--runner->n_pending];
}

static void
note_pending(struct am_runner *runner, bool question, struct am_slice fields)
{
	am_auto(am_freep) char *id = am_json_dup(fields, "/id");
	am_auto(am_freep) char *tool = am_json_dup(fields, "/tool");
	struct am_slice decision;

	if (am_empty(id) || strlen(id) > AM_INPUT_TO)
		return;
	struct am_pending *pending = find_pending(runner, id);
	bool decided = am_json_find(fields, "/decision", &decision);

	if (decided && pending != NULL)
		drop_pending(runner, pending);
	if (decided || pending != NULL || runner->n_pending == AM_COUNTOF(runner->pending))
		return;
	pending = &runner->pending[runner->n_pending++];
	pending->question = question;
	(void)am_strlcpy(pending->id, id, sizeof(pending->id));
	(void)am_strlcpy(pending->tool, tool != NULL ? tool : "", sizeof(pending->tool));
}

void
am_runner_input_note(struct am_runner *runner, const char *type, struct am_slice fields)
{
	static const char *const at_work[] = {AMBIENT_MSG_TEXT, AMBIENT_MSG_PARTIAL, AMBIENT_MSG_THINKING, AMBIENT_MSG_TOOL_CALL};
	size_t before = runner->n_pending;
	bool turn = runner->turn;

	/* A prompt that was said while a turn ended begins another one, of which nobody tells. */
	for (size_t i = 0; i < AM_COUNTOF(at_work); i++)
		runner->turn = runner->turn || am_streq(type, at_work[i]);
	if (am_streq(type, AMBIENT_MSG_PERMISSION) || am_streq(type, AMBIENT_MSG_QUESTION))
		note_pending(runner, am_streq(type, AMBIENT_MSG_QUESTION), fields);
	if (turn != runner->turn || before != runner->n_pending)
		publish_pending(runner);
}

void
am_runner_input_turn(struct am_runner *runner, bool running)
{
	runner->turn = running;
	if (!running)
		runner->n_pending = 0;
	publish_pending(runner);
}

/* ---- what is said */

/* Writes a message about it; the number of it, or -1. */
static int64_t
write_down(struct am_runner *runner, const struct am_input *input, const char *type, struct am_buf *fields)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_json_addf(fields, ",\"id\":%s,\"client\":%s}", input->to != NULL ? input->to : input->id, input->client);
	int rc = runner->log_error.code != 0 ? -runner->log_error.code
		 : am_runner_msglog_add(runner->log, type, am_slice(am_buf_str(fields), fields->len), &err);
	if (rc < 0 && rc != -AMBIENT_E_INVALID && runner->log_error.code == 0)
		runner->log_error = err;
	return rc < 0 ? -1 : am_runner_msglog_seq(runner->log);
}

/* The frame is whole but for its end. */
static void
hand_over(struct am_runner *runner, struct am_input *input, struct am_buf *frame)
{
	input->ref = ++runner->input_ref;
	am_json_addf(frame, ",\"ref\":%l}", input->ref);
	am_runner_channel_send(&runner->agent, am_buf_str(frame), frame->len);
	if (input->kind != AM_INPUT_LOOK)
		am_runner_touch(runner);
}

static bool
behaves(struct am_slice answer, const char *how)
{
	struct am_slice behavior;

	return am_json_find(answer, "/behavior", &behavior) && am_json_str_eq(behavior, how);
}

/* NULL: it says what is asked.  Nothing but the word for it allows anything. */
static const char *
unclear(const struct am_pending *pending, const struct am_input *input)
{
	struct am_slice answer = am_slice_of(input->answer), answers;

	if (behaves(answer, "deny"))
		return NULL;
	if (pending->question)
		return am_json_find(answer, "/answers", &answers) && am_json_type(answers) == AMBIENT_T_OBJECT ? NULL
			: "the answer to a question must have \"answers\", an object, or the \"behavior\" \"deny\"";
	return behaves(answer, "allow") ? NULL : "the answer to a permission must have the \"behavior\" \"allow\" or \"deny\"";
}

/* NULL: it may be said now. */
static const char *
problem(struct am_runner *runner, const struct am_input *input, const char **reason)
{
	bool chat = am_runner_session_chat(am_runner_session(runner));

	*reason = "Ended";
	if (runner->exited || am_runner_is_asked() != 0 || runner->timed_out || runner->idle_out || runner->log_error.code != 0)
		return "the agent is ending";
	if (input->kind == AM_INPUT_LOOK)
		return NULL;
	*reason = "NotInteractive";
	if (!chat && input->kind != AM_INPUT_INTERRUPT && input->kind != AM_INPUT_ANSWER)
		return "the session is not interactive: its agent does what its prompt says and ends; to end it earlier, stop it";
	if (runner->said_end) {
		*reason = "Ending";
		if (input->kind == AM_INPUT_MESSAGE || input->kind == AM_INPUT_END)
			return "somebody has ended the conversation";
	}
	*reason = "NoTurn";
	if (input->kind == AM_INPUT_INTERRUPT && !runner->turn)
		return "the agent is doing nothing that could be interrupted";
	*reason = "NotPending";
	const struct am_pending *pending = input->kind == AM_INPUT_ANSWER ? find_pending(runner, input->to) : NULL;
	if (input->kind == AM_INPUT_ANSWER && pending == NULL)
		return "nothing with the id \"to\" waits for an answer";
	*reason = "Unclear";
	if (pending != NULL && unclear(pending, input) != NULL)
		return unclear(pending, input);
	if (am_runner_channel_full(&runner->agent)) {
		*reason = "NotReady";
		return "the agent's side is slow to take what was said before";
	}
	return NULL;
}

static const char *
base_of(const struct am_runner *runner, const char *repo)
{
	for (size_t i = 0; i < runner->repos.n; i++)
		if (am_streq(runner->repos.v[i].name, repo))
			return runner->repos.v[i].base;
	return "";
}

static void
say(struct am_runner *runner, struct am_input *input)
{
	am_auto(am_buf_fini) struct am_buf fields = {0};
	am_auto(am_buf_fini) struct am_buf frame = {0};
	const char *reason, *why = problem(runner, input, &reason), *type = AMBIENT_MSG_STATUS;

	if (why != NULL) {
		am_endpoint_input_refused(runner->endpoint, input, reason, why);
		return;
	}
	switch (input->kind) {
	case AM_INPUT_MESSAGE:
		type = AMBIENT_MSG_USER;
		am_json_addf(&fields, "{\"text\":%s", input->text);
		am_json_addf(&frame, "{\"t\":\"prompt\",\"text\":%s", input->text);
		break;
	case AM_INPUT_INTERRUPT:
		am_json_addf(&fields, "{\"text\":%s", "a person interrupts the turn");
		am_json_addf(&frame, "{\"t\":%s", "interrupt");
		break;
	case AM_INPUT_ANSWER: /* written when it was taken */
		am_json_addf(&frame, "{\"t\":\"answer\",\"id\":%s,\"answer\":%j", input->to, input->answer);
		break;
	case AM_INPUT_LOOK:
		am_json_addf(&frame, "{\"t\":\"look\",\"repo\":%s,\"base\":%s,\"diff\":%b", input->to, base_of(runner, input->to),
			     (int)input->diff);
		break;
	case AM_INPUT_END:
		am_json_addf(&fields, "{\"text\":%s", "a person ends the conversation");
		am_json_addf(&frame, "{\"t\":%s", "end");
		break;
	}
	if (fields.len > 0 && (input->seq = write_down(runner, input, type, &fields)) < 0) {
		am_endpoint_input_refused(runner->endpoint, input, "LogFailed", "the message log cannot be written");
		return;
	}
	if (input->kind == AM_INPUT_MESSAGE)
		am_runner_input_turn(runner, true);
	runner->said_end = runner->said_end || input->kind == AM_INPUT_END;
	hand_over(runner, input, &frame);
}

void
am_runner_input(struct am_runner *runner)
{
	struct am_input *input;

	while ((input = am_endpoint_input_next(runner->endpoint)) != NULL)
		say(runner, input);
}

/* ---- what became of it */

static void
answered(struct am_runner *runner, struct am_input *input)
{
	struct am_pending *pending = find_pending(runner, input->to);
	am_auto(am_buf_fini) struct am_buf fields = {0};
	bool denied = behaves(am_slice_of(input->answer), "deny");

	if (pending == NULL) { /* the turn ended meanwhile */
		am_endpoint_input_taken(runner->endpoint, input, am_runner_msglog_seq(runner->log));
		return;
	}
	am_json_addf(&fields, "{\"tool\":%s,\"decision\":%s,\"answer\":%j", pending->tool,
		     denied ? "deny" : pending->question ? "answered" : "allow", input->answer);
	const char *type = pending->question ? AMBIENT_MSG_QUESTION : AMBIENT_MSG_PERMISSION;
	drop_pending(runner, pending);
	publish_pending(runner);
	am_endpoint_input_taken(runner->endpoint, input, write_down(runner, input, type, &fields));
}

/* What the agent's side says of a clone is no more than its word. */
static void
looked(struct am_runner *runner, struct am_input *input, struct am_slice line)
{
	am_auto(am_buf_fini) struct am_buf json = {0};
	struct am_slice answer;

	if (!am_json_find(line, "/answer", &answer) || am_json_type(answer) != AMBIENT_T_OBJECT || answer.n > LOOK_MAX) {
		am_endpoint_input_refused(runner->endpoint, input, "Refused", "the agent's side gave no answer");
		return;
	}
	am_runner_redact_json(runner->redactor, answer, &json);
	am_endpoint_input_answered(runner->endpoint, input, &json);
}

void
am_runner_input_taken(struct am_runner *runner, struct am_slice line)
{
	struct am_input *input = am_endpoint_input_find(runner->endpoint, am_json_int(line, "/ref", -1));
	am_auto(am_freep) char *error = am_json_dup(line, "/error");

	if (input == NULL)
		return;
	if (!am_empty(error)) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		am_runner_redact_string(runner->redactor, error, strlen(error) + 1);
		if (input->kind == AM_INPUT_MESSAGE && runner->log_error.code == 0)
			(void)am_runner_msglog_say(runner->log, AMBIENT_MSG_ERROR, "reason", "InputRefused", error, &err);
		am_endpoint_input_refused(runner->endpoint, input, "Refused", error);
	} else if (input->kind == AM_INPUT_LOOK) {
		looked(runner, input, line);
	} else if (input->kind == AM_INPUT_ANSWER) {
		answered(runner, input);
	} else {
		am_endpoint_input_taken(runner->endpoint, input, input->seq);
	}
}
