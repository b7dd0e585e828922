/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the agent from the runner's log: JSON objects with a seq and a type; a line that is none is shown as it
 * is.
 */
#include "core/ambientctl/ctl.h"

#include <ambient/message.h>

#include <stdio.h>

#include "core/base/mem.h"

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
put_message(const struct ctl_messages *m, const struct am_node *message)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	ctl_render(m->ctl, message, false, &text);
	(void)fputs(am_buf_str(&text), stdout);
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
