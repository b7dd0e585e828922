/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the agent, as people read them.  They are lines of the runner's log: JSON objects with a seq and a
 * type; a line that is none is shown as it is.  A type that is not known here is shown by its name, since runner
 * types may be newer than this program.
 */
#include "core/ambientctl/ctl.h"

#include <ambient/message.h>

#include <inttypes.h>
#include <stdio.h>

#include "core/base/mem.h"

#define INPUT_SHOWN  160
#define RESULT_LINES 6

struct style {
	const char *type;
	const char *color, *mark;
	const char *text;  /* member that is shown; NULL: by its own function */
	bool shown;
};

static const struct style styles[] = {
	{ AMBIENT_MSG_SESSION, "dim", "- ", "/text", true },
	{ AMBIENT_MSG_TEXT, "reset", "", "/text", true },
	{ AMBIENT_MSG_PARTIAL, "reset", "", "/text", false },   /* the whole text follows */
	{ AMBIENT_MSG_THINKING, "dim", "~ ", "/text", true },
	{ AMBIENT_MSG_TOOL_CALL, "cyan", "> ", NULL, true },
	{ AMBIENT_MSG_TOOL_RESULT, "dim", "  ", NULL, true },
	{ AMBIENT_MSG_PERMISSION, "yellow", "? ", "/tool", true },
	{ AMBIENT_MSG_QUESTION, "yellow", "? ", "/text", true },
	{ AMBIENT_MSG_STATUS, "dim", "- ", "/text", true },
	{ AMBIENT_MSG_USAGE, "dim", "", "/text", false },
	{ AMBIENT_MSG_RESULT, "bold", "= ", NULL, true },
	{ AMBIENT_MSG_ERROR, "red", "! ", "/text", true },
};

static void
cut(char *text, size_t max)
{
	if (strlen(text) <= max)
		return;
	while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	memcpy(text + max, "...", 4);
}

static void
put_tool_call(const struct am_node *message)
{
	const struct am_node *input = am_node_get(message, "input");
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	ctl_put_clean(stdout, ctl_text(message, "/name"), true);
	if (input == NULL)
		return;
	/* A single string says it best as it is. */
	if (input->type == AMBIENT_T_OBJECT && input->count == 1 && input->first->type == AMBIENT_T_STRING)
		am_buf_adds(&text, input->first->text);
	else
		am_node_print(input, &text);
	am_buf_adds(&text, "    "); /* room for the dots */
	if (text.data == NULL)
		return;
	text.data[text.len - 4] = '\0';
	cut(text.data, INPUT_SHOWN);
	(void)fputs(": ", stdout);
	ctl_put_clean(stdout, text.data, true);
}

static void
put_tool_result(const struct am_node *message)
{
	const char *text = ctl_text(message, "/text");
	int lines = 0;

	while (*text != '\0' && lines++ < RESULT_LINES) {
		size_t n = strcspn(text, "\n");
		am_auto(am_freep) char *line = am_xasprintf("%.*s", (int)AM_MIN(n, (size_t)400), text);

		if (lines > 1)
			(void)fputs("\n  ", stdout);
		ctl_put_clean(stdout, line, true);
		text += n + (text[n] == '\n');
	}
	if (*text != '\0')
		(void)fputs("\n  ...", stdout);
}

static void
put_result(const struct am_node *message)
{
	const struct am_node *cost = am_node_get(message, "costUSD");
	const char *text = ctl_text(message, "/text");
	int64_t turns = 0, ms = 0;

	ctl_put_clean(stdout, text, false);
	(void)am_node_get_int(message, "turns", &turns);
	(void)am_node_get_int(message, "durationMs", &ms);
	(void)fputs(text[0] != '\0' ? " (" : "(", stdout);
	if (turns > 0)
		(void)printf("%" PRId64 " turn%s, ", turns, turns > 1 ? "s" : "");
	if (cost != NULL && cost->type == AMBIENT_T_NUMBER)
		(void)printf("%.12s USD, ", cost->text);
	(void)printf("%" PRId64 ".%" PRId64 " s)", ms / 1000, ms % 1000 / 100);
}

static void
put_message(struct ctl_messages *m, const struct am_node *message)
{
	const char *type = ctl_text(message, "/type");
	const struct style *style = NULL;

	for (size_t i = 0; i < AM_COUNTOF(styles); i++)
		if (am_streq(styles[i].type, type))
			style = &styles[i];
	if (style != NULL && !style->shown)
		return;
	(void)fputs(ctl_color(m->ctl, style != NULL ? style->color : "dim"), stdout);
	(void)fputs(style != NULL ? style->mark : "- ", stdout);
	if (style == NULL)
		ctl_put_clean(stdout, type, true);
	else if (style->text != NULL)
		ctl_put_clean(stdout, ctl_text(message, style->text), false);
	else if (am_streq(type, AMBIENT_MSG_TOOL_CALL))
		put_tool_call(message);
	else if (am_streq(type, AMBIENT_MSG_TOOL_RESULT))
		put_tool_result(message);
	else
		put_result(message);
	(void)fputs(ctl_color(m->ctl, "reset"), stdout);
	(void)fputc('\n', stdout);
}

/* Lines that are no messages come from programs that crash, or are the runner's own log; that often repeats, behind
 * its time and level, what a message has just said. */
static void
put_plain(struct ctl_messages *m, const char *line, size_t n)
{
	am_auto(am_freep) char *text = NULL;

	if (++m->plain <= m->plain_shown)
		return;
	m->plain_shown = m->plain;
	if (m->said.len > 0 && n >= m->said.len && memcmp(line + n - m->said.len, m->said.data, m->said.len) == 0)
		return;
	text = am_xstrndup(line, n);
	ctl_put_clean(stdout, text, true);
	(void)putchar('\n');
}

static void
put_line(struct ctl_messages *m, const char *line, size_t n)
{
	struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *message = n > 0 && line[0] == '{' ? am_node_parse(arena, line, n, &err) : NULL;
	int64_t seq = 0;

	if (message != NULL && am_node_get_int(message, "seq", &seq) && ctl_text(message, "/type")[0] != '\0') {
		if (seq > m->last_seq) {
			m->last_seq = seq;
			if (m->ctl->json)
				(void)printf("%.*s\n", (int)n, line);
			else
				put_message(m, message);
			am_buf_reset(&m->said);
			am_buf_adds(&m->said, ctl_text(message, "/text"));
		}
	} else if (!m->ctl->json && n > 0) {
		put_plain(m, line, n);
	}
	am_arena_free(arena);
}

void
ctl_messages_feed(struct ctl_messages *m, const char *p, size_t n)
{
	size_t done = 0;
	char *end;

	m->line.max = 4 * AMBIENT_MESSAGE_MAX;
	am_buf_add(&m->line, p, n);
	if (m->before != NULL)
		m->before(m->arg);
	while (m->line.len > done && (end = memchr(m->line.data + done, '\n', m->line.len - done)) != NULL) {
		size_t len = (size_t)(end - m->line.data) - done;

		put_line(m, m->line.data + done, len);
		done += len + 1;
	}
	am_buf_consume(&m->line, done);
	if (m->line.failed)
		am_buf_reset(&m->line); /* no message is as long as that */
	(void)fflush(stdout);
	if (m->after != NULL)
		m->after(m->arg);
}

void
ctl_messages_again(struct ctl_messages *m)
{
	am_buf_reset(&m->line);
	m->plain = 0;
}

void
ctl_messages_fini(struct ctl_messages *m)
{
	am_buf_fini(&m->line);
	am_buf_fini(&m->said);
}
