/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the agent as people read them.  A type that is not known here is shown by its name, since runner types
 * may be newer than this program.  What agents say is cleaned of whatever would steer a terminal.
 */
#include "core/ambientctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>

#include <ambient/message.h>

#include "core/base/mem.h"

#define INPUT_SHOWN  160
#define RESULT_LINES 6
#define RESULT_SHOWN 400
#define OPTIONS_MAX  20

bool
ctl_is_cut(const struct am_node *message)
{
	const char *file = am_node_get_str(message, "file", "");
	int64_t bytes = 0, seq = 0;

	return am_starts(file, "large/") && am_node_get_int(message, "bytes", &bytes) && am_node_get_int(message, "seq", &seq) &&
	       bytes > 0 && seq > 0;
}

typedef void render_f(const struct am_node *message, bool chat, struct am_buf *out);

struct style {
	const char *type;
	const char *color, *mark;
	const char *text;  /* member that is shown; NULL: by its own function, or not at all */
	render_f *render;
};

void
ctl_render_input(const struct am_node *input, struct am_buf *out)
{
	const struct am_node *command = am_node_get(input, "command");
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	/* A single string says it best as it is; of a command its description is not what is done. */
	if (input->type == AMBIENT_T_OBJECT && input->count == 1 && input->first->type == AMBIENT_T_STRING)
		am_buf_adds(&text, input->first->text);
	else if (command != NULL && command->type == AMBIENT_T_STRING)
		am_buf_adds(&text, command->text);
	else
		am_node_print(input, &text);
	ctl_add_cut(out, am_buf_str(&text), text.len, INPUT_SHOWN);
}

static void
add_input(const struct am_node *message, struct am_buf *out)
{
	const struct am_node *input = am_node_get(message, "input");

	if (input == NULL)
		return;
	am_buf_adds(out, ": ");
	ctl_render_input(input, out);
}

static void
tool_call(const struct am_node *message, bool chat am_unused_, struct am_buf *out)
{
	ctl_add_clean(out, ctl_text(message, "/name"), true);
	add_input(message, out);
}

static void
tool_result(const struct am_node *message, bool chat am_unused_, struct am_buf *out)
{
	const char *text = ctl_text(message, "/text");
	int lines = 0;

	while (*text != '\0' && lines++ < RESULT_LINES) {
		size_t n = strcspn(text, "\n");

		if (lines > 1)
			am_buf_adds(out, "\n  ");
		ctl_add_cut(out, text, n, RESULT_SHOWN);
		text += n + (text[n] == '\n');
	}
	if (*text != '\0')
		am_buf_adds(out, "\n  ...");
}

static void
permission(const struct am_node *message, bool chat am_unused_, struct am_buf *out)
{
	const char *decision = ctl_text(message, "/decision");

	ctl_add_clean(out, ctl_text(message, "/tool"), true);
	add_input(message, out);
	if (decision[0] != '\0') {
		am_buf_adds(out, " (");
		ctl_add_clean(out, decision, true);
		am_buf_addc(out, ')');
	}
}

static void
answers(const struct am_node *message, struct am_buf *out)
{
	const struct am_node *all = am_node_at(message, "/answer/answers");

	for (const struct am_node *a = all != NULL ? all->first : NULL; a != NULL; a = a->next) {
		ctl_add_clean(out, a->key != NULL ? a->key : "", true);
		am_buf_adds(out, " ");
		ctl_add_clean(out, am_node_text(a, ""), true);
		am_buf_adds(out, a->next != NULL ? ", " : " ");
	}
	am_buf_addc(out, '(');
	ctl_add_clean(out, ctl_text(message, "/decision"), true);
	am_buf_addc(out, ')');
}

/* The first question as the message's text has it, and its answers to choose from; chat asks the others in turn. */
static void
question(const struct am_node *message, bool chat, struct am_buf *out)
{
	const struct am_node *options = am_node_at(message, "/questions/0/options");
	int n = 0;

	if (am_node_get(message, "decision") != NULL) {
		answers(message, out);
		return;
	}

	ctl_add_clean(out, ctl_text(message, "/text"), false);
	if (chat || options == NULL || options->type != AMBIENT_T_ARRAY)
		return;
	for (const struct am_node *o = options->first; o != NULL && n < OPTIONS_MAX; o = o->next) {
		am_buf_addf(out, "\n  %d. ", ++n);
		ctl_add_clean(out, am_node_get_str(o, "label", ""), true);
	}
}

static void
result(const struct am_node *message, bool chat, struct am_buf *out)
{
	const struct am_node *cost = am_node_get(message, "costUSD"), *failed = am_node_get(message, "isError");
	int64_t turns = 0, ms = 0;

	/* In a chat it was said just before. */
	if (!chat || (failed != NULL && failed->boolean)) {
		ctl_add_clean(out, ctl_text(message, "/text"), false);
		am_buf_adds(out, ctl_text(message, "/text")[0] != '\0' ? " " : "");
	}
	(void)am_node_get_int(message, "turns", &turns);
	(void)am_node_get_int(message, "durationMs", &ms);
	am_buf_addc(out, '(');
	if (turns > 0)
		am_buf_addf(out, "%" PRId64 " turn%s, ", turns, turns > 1 ? "s" : "");
	if (cost != NULL && cost->type == AMBIENT_T_NUMBER)
		am_buf_addf(out, "%.12s USD, ", cost->text);
	am_buf_addf(out, "%" PRId64 ".%" PRId64 " s)", ms / 1000, ms % 1000 / 100);
}

static const struct style styles[] = {
	{ AMBIENT_MSG_SESSION, "dim", "- ", "/text", NULL },
	{ AMBIENT_MSG_TEXT, "reset", "", "/text", NULL },
	{ AMBIENT_MSG_PARTIAL, "reset", "", NULL, NULL },       /* the whole text follows */
	{ AMBIENT_MSG_THINKING, "dim", "~ ", "/text", NULL },
	{ AMBIENT_MSG_TOOL_CALL, "cyan", "> ", NULL, tool_call },
	{ AMBIENT_MSG_TOOL_RESULT, "dim", "  ", NULL, tool_result },
	{ AMBIENT_MSG_PERMISSION, "yellow", "? ", NULL, permission },
	{ AMBIENT_MSG_QUESTION, "yellow", "? ", NULL, question },
	{ AMBIENT_MSG_STATUS, "dim", "- ", "/text", NULL },
	{ AMBIENT_MSG_USAGE, "dim", "", NULL, NULL },           /* its result says it */
	{ AMBIENT_MSG_RESULT, "bold", "= ", NULL, result },
	{ AMBIENT_MSG_ERROR, "red", "! ", "/text", NULL },
	{ AMBIENT_MSG_USER, "bold", "user: ", "/text", NULL },
};

void
ctl_render(const struct ctl *ctl, const struct am_node *message, bool chat, struct am_buf *out)
{
	const char *type = ctl_text(message, "/type");
	const struct style *style = NULL;

	for (size_t i = 0; i < AM_COUNTOF(styles); i++)
		if (am_streq(styles[i].type, type))
			style = &styles[i];
	if (style != NULL && style->text == NULL && style->render == NULL)
		return;
	am_buf_adds(out, ctl_color(ctl, style != NULL ? style->color : "dim"));
	am_buf_adds(out, style != NULL ? style->mark : "- ");
	if (style == NULL)
		ctl_add_clean(out, type, true);
	else if (style->text != NULL)
		ctl_add_clean(out, ctl_text(message, style->text), false);
	else
		style->render(message, chat, out);
	/* What is abridged here anyway says so by itself. */
	if (style != NULL && style->text != NULL && ctl_is_cut(message))
		am_buf_addf(out, " [cut here: the message has %s bytes]", am_node_get(message, "bytes")->text);
	am_buf_adds(out, ctl_color(ctl, "reset"));
	am_buf_addc(out, '\n');
}
