/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conversation: what is printed of the runner's messages, and what a person's text becomes.  A text that streams
 * is printed as it comes; when it follows whole, only what was not printed yet is.  What the agent asks waits in a row
 * until it is answered, by this person or another.
 */
#include "core/ambientctl/chat.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <ambient/message.h>

#include "core/base/mem.h"
#include "core/base/util.h"

#define CHOICES_MAX 20

/* ---- what is asked */

static void
drop_ask(struct ctl_talk *t, size_t i)
{
	free(t->asks[i].id);
	free(t->asks[i].text);
	am_buf_fini(&t->asks[i].answers);
	memmove(&t->asks[i], &t->asks[i + 1], (--t->ask_count - i) * sizeof(t->asks[0]));
	t->asked = t->ask_count > 0;
}

static void
drop_asks(struct ctl_talk *t)
{
	while (t->ask_count > 0)
		drop_ask(t, t->ask_count - 1);
}

static void
take_ask(struct ctl_talk *t, const struct am_node *message, bool question)
{
	const char *id = ctl_text(message, "/id");
	bool open = am_node_get(message, "decision") == NULL && am_node_get(message, "answers") == NULL;
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const struct am_node *questions = am_node_get(message, "questions");

	for (size_t i = 0; i < t->ask_count; i++)
		if (am_streq(t->asks[i].id, id)) {
			drop_ask(t, i);
			break;
		}
	if (!open || t->ask_count == CTL_ASKS_MAX || id[0] == '\0')
		return;
	if (question && questions != NULL && questions->type == AMBIENT_T_ARRAY && questions->count > 0)
		am_node_print(questions, &text);
	else if (question)
		am_json_addf(&text, "[{\"question\":%s}]", ctl_text(message, "/text"));
	else
		ctl_render(t->ctl, message, true, &text);
	t->asks[t->ask_count++] = (struct ctl_ask){
		.id = am_xstrdup(id), .text = am_xstrdup(am_buf_str(&text)), .question = question,
	};
	t->asked = true;
}

static const struct am_node *
question_of(const struct ctl_ask *ask, struct am_arena *arena)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *list = am_node_parse(arena, ask->text, strlen(ask->text), &err), *q;
	size_t i = 0;

	for (q = list != NULL ? list->first : NULL; q != NULL && i < ask->at; q = q->next)
		i++;
	return q;
}

/* The choice of that number, from 1 on; NULL: there is none. */
static const struct am_node *
choice(const struct am_node *question, int number)
{
	const struct am_node *options = am_node_get(question, "options"), *o;

	if (options == NULL || options->type != AMBIENT_T_ARRAY || number < 1 || number > CHOICES_MAX)
		return NULL;
	for (o = options->first; o != NULL && number > 1; o = o->next)
		number--;
	return o;
}

void
ctl_talk_prompt(const struct ctl_talk *t, struct am_buf *out)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	const struct ctl_ask *ask = &t->asks[0];
	const struct am_node *question, *option;

	if (t->ask_count == 0)
		return;
	if (!ask->question) {
		am_buf_adds(out, ask->text);
		return;
	}
	question = question_of(ask, arena);
	am_buf_addf(out, "%s? ", ctl_color(t->ctl, "yellow"));
	ctl_add_clean(out, am_node_get_str(question, "question", "the agent asks"), false);
	for (int n = 1; (option = choice(question, n)) != NULL; n++) {
		am_buf_addf(out, "\n  %d. ", n);
		ctl_add_clean(out, am_node_get_str(option, "label", ""), true);
		if (am_node_get_str(option, "description", "")[0] != '\0') {
			am_buf_adds(out, " - ");
			ctl_add_clean(out, am_node_get_str(option, "description", ""), true);
		}
	}
	am_buf_addf(out, "%s\n", ctl_color(t->ctl, "reset"));
}

const char *
ctl_talk_hint(const struct ctl_talk *t)
{
	if (t->ask_count == 0)
		return "";
	return t->asks[0].question ? "answer with a number or with words" : "answer with y, with n, or with n and a reason";
}

/* ---- what comes */

static void
end_line(struct ctl_talk *t, struct am_buf *out)
{
	if (t->streamed.len > 0 && !t->broken_off)
		am_buf_addc(out, '\n');
	t->broken_off = t->streamed.len > 0;
}

static void
take_partial(struct ctl_talk *t, const struct am_node *message, struct am_buf *out)
{
	const char *text = ctl_text(message, "/text");

	t->running = true;
	/* Of a text whose beginning was before the first message, the end says nothing; it follows whole. */
	if (t->text_only || !t->begun || am_node_get(message, "parent") != NULL)
		return;
	am_buf_adds(&t->streamed, text);
	ctl_add_clean(out, text, false);
	t->broken_off = false;
}

static void
take_text(struct ctl_talk *t, const struct am_node *message, struct am_buf *out)
{
	const char *text = ctl_text(message, "/text"), *seen = am_buf_str(&t->streamed);

	if (am_node_get(message, "parent") != NULL) {
		end_line(t, out);
		ctl_render(t->ctl, message, true, out);
		return;
	}
	if (t->streamed.len > 0 && ctl_is_cut(message) && am_starts(seen, text)) {
		end_line(t, out); /* all of it was streamed */
	} else if (t->streamed.len > 0 && am_starts(text, seen)) {
		ctl_add_clean(out, text + t->streamed.len, false);
		am_buf_adds(out, t->broken_off && text[t->streamed.len] == '\0' ? "" : "\n");
	} else {
		end_line(t, out);
		ctl_render(t->ctl, message, true, out);
	}
	am_buf_reset(&t->streamed);
	t->broken_off = false;
}

/* Of the states of a session, which are messages as well, the last ones only. */
static bool
ends_turn(const char *type, const struct am_node *message)
{
	static const char *const ends[] = { "completed", "failed", "stopped" };
	bool last = false;

	for (size_t i = 0; i < AM_COUNTOF(ends); i++)
		last = last || am_streq(ctl_text(message, "/state"), ends[i]);
	return am_streq(type, AMBIENT_MSG_RESULT) || (am_streq(type, AMBIENT_MSG_SESSION) && last);
}

static void
take_turn(struct ctl_talk *t, const char *type, const struct am_node *message)
{
	static const char *const busy[] = { AMBIENT_MSG_TEXT, AMBIENT_MSG_THINKING, AMBIENT_MSG_TOOL_CALL, AMBIENT_MSG_TOOL_RESULT,
					    AMBIENT_MSG_PERMISSION, AMBIENT_MSG_QUESTION, AMBIENT_MSG_USER };

	for (size_t i = 0; i < AM_COUNTOF(busy); i++)
		t->running = t->running || am_streq(type, busy[i]);
	if (ends_turn(type, message)) {
		const struct am_node *failed = am_node_get(message, "isError");

		t->running = false;
		t->failed = failed != NULL && failed->boolean;
		drop_asks(t);
		am_buf_reset(&t->streamed);
		t->broken_off = false;
	}
	if (am_streq(type, AMBIENT_MSG_PERMISSION) || am_streq(type, AMBIENT_MSG_QUESTION))
		take_ask(t, message, am_streq(type, AMBIENT_MSG_QUESTION));
}

/* Is it shown when it comes?  What is asked is shown by the prompt; what this person said, when it was said. */
static bool
is_shown(const struct ctl_talk *t, const char *type, const struct am_node *message)
{
	if (am_streq(type, AMBIENT_MSG_USER))
		return !am_streq(ctl_text(message, "/client"), t->client);
	if (am_streq(type, AMBIENT_MSG_PERMISSION) || am_streq(type, AMBIENT_MSG_QUESTION))
		return am_node_get(message, "decision") != NULL;
	return true;
}

void
ctl_talk_status(struct ctl_talk *t, const char *status)
{
	am_auto(am_freep) char *turn = am_json_dup(am_slice_of(status), "/turn");
	am_auto(am_freep) char *state = am_json_dup(am_slice_of(status), "/state");

	t->preparing = am_streq(state, "preparing");
	/* That a turn is over is said by its last message, which may still be to come. */
	t->running = t->running || am_streq(turn, "running");
}

void
ctl_talk_message(struct ctl_talk *t, const char *line, size_t n, struct am_buf *out)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *message = am_node_parse(arena, line, n, &err);
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const char *type = message != NULL ? ctl_text(message, "/type") : "";
	int64_t seq = 0;

	if (type[0] == '\0')
		return;
	(void)am_node_get_int(message, "seq", &seq);
	t->begun = t->begun || seq == 1 || !am_streq(type, AMBIENT_MSG_PARTIAL);
	if (am_streq(type, AMBIENT_MSG_PARTIAL)) {
		take_partial(t, message, out);
	} else if (am_streq(type, AMBIENT_MSG_TEXT)) {
		take_turn(t, type, message);
		take_text(t, message, out);
	} else {
		if (is_shown(t, type, message) && !t->text_only)
			ctl_render(t->ctl, message, true, &text);
		if (text.len > 0)
			end_line(t, out);
		am_buf_add(out, am_buf_str(&text), text.len);
		take_turn(t, type, message);
	}
}

/* ---- what goes */

static void
begin_body(const char *type, char id[32], struct am_buf *body)
{
	id[0] = 'c';
	am_random_suffix(id + 1, 16);
	am_json_addf(body, "{\"type\":%s,\"id\":%s", type, id);
}

void
ctl_talk_order(const char *type, char id[32], struct am_buf *body)
{
	begin_body(type, id, body);
	am_buf_addc(body, '}');
}

/* Labels of the numbers in the text, with several of them where several may be chosen; or the text as it is. */
static void
add_answer(const struct am_node *question, const char *text, struct am_buf *answer)
{
	const struct am_node *several = am_node_get(question, "multiSelect"), *option;
	const char *p = text;

	while (*p != '\0') {
		char *end;
		long number = isdigit((unsigned char)*p) ? strtol(p, &end, 10) : 0;

		option = number > 0 && number <= CHOICES_MAX ? choice(question, (int)number) : NULL;
		if (option == NULL || (answer->len > 0 && (several == NULL || !several->boolean)))
			break;
		am_buf_addf(answer, "%s%s", answer->len > 0 ? ", " : "", am_node_get_str(option, "label", ""));
		p = end + strspn(end, ", ");
	}
	if (*p == '\0' && answer->len > 0)
		return;
	am_buf_reset(answer);
	am_buf_adds(answer, text);
}

/* False: there are more questions. */
static bool
answer_question(struct ctl_talk *t, const char *text, char id[32], struct am_buf *body)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf answer = { 0 };
	struct ctl_ask *ask = &t->asks[0];
	const struct am_node *question = question_of(ask, arena);

	add_answer(question, text, &answer);
	am_json_addf(&ask->answers, "%j%s:%s", ask->answers.len > 0 ? "," : "", am_node_get_str(question, "question", ""),
		     am_buf_str(&answer));
	ask->at++;
	t->asked = true;
	if (question != NULL && question->next != NULL)
		return false;
	begin_body("answer", id, body);
	am_json_addf(body, ",\"to\":%s,\"answer\":{\"answers\":{%j}}}", ask->id, am_buf_str(&ask->answers));
	drop_ask(t, 0);
	return true;
}

/* Is that the first word?  What stands behind it begins at *rest. */
static bool
begins_with(const char *text, const char *word, const char **rest)
{
	size_t n = strlen(word);

	if (strncasecmp(text, word, n) != 0 || (text[n] != '\0' && strchr(":,; \t\n", text[n]) == NULL))
		return false;
	*rest = text + n + strspn(text + n, ":,; \t\n");
	return true;
}

static bool
answer_permission(struct ctl_talk *t, const char *text, char id[32], struct am_buf *body, struct am_buf *said)
{
	const char *reason = "";
	bool yes, no;

	text += strspn(text, " \t");
	yes = (begins_with(text, "y", &reason) || begins_with(text, "yes", &reason)) && reason[0] == '\0';
	no = begins_with(text, "n", &reason) || begins_with(text, "no", &reason);
	if (!yes && !no) {
		am_buf_addf(said, "the agent waits: %s", ctl_talk_hint(t));
		return false;
	}
	begin_body("answer", id, body);
	am_json_addf(body, ",\"to\":%s,\"answer\":", t->asks[0].id);
	if (yes)
		am_buf_adds(body, "{\"behavior\":\"allow\"}}");
	else if (reason[0] != '\0')
		am_json_addf(body, "{\"behavior\":\"deny\",\"message\":%s}}", reason);
	else
		am_buf_adds(body, "{\"behavior\":\"deny\"}}");
	drop_ask(t, 0);
	return true;
}

bool
ctl_talk_say(struct ctl_talk *t, const char *text, char id[32], struct am_buf *body, struct am_buf *said)
{
	if (t->ask_count > 0)
		return t->asks[0].question ? answer_question(t, text, id, body) : answer_permission(t, text, id, body, said);
	begin_body("message", id, body);
	am_json_addf(body, ",\"text\":%s}", text);
	t->running = true;
	return true;
}

void
ctl_talk_fini(struct ctl_talk *t)
{
	drop_asks(t);
	am_buf_fini(&t->streamed);
}
