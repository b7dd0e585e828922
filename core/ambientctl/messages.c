/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the agent from the runner's log: JSON objects with a seq and a type; a line that is none is shown as it
 * is.  What was too large for the log is fetched from the runner's endpoint, where that can be had, and else shown cut.
 */
#include "core/ambientctl/ctl.h"

#include <ambient/message.h>

#include <stdio.h>
#include <stdlib.h>

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

/* Is all of it shown?  Of what tools answer and pieces of texts it is not. */
static bool
is_shown_whole(const struct am_node *message)
{
	const char *type = ctl_text(message, "/type");

	return !am_streq(type, AMBIENT_MSG_TOOL_RESULT) && !am_streq(type, AMBIENT_MSG_PARTIAL);
}

static struct ctl_endpoint *
endpoint_of(struct ctl_messages *m)
{
	if (m->endpoint != NULL || m->session == NULL || m->in_vain)
		return m->endpoint;
	m->endpoint = am_xcalloc(1, sizeof(*m->endpoint));
	m->own = ctl_reach(m->endpoint, m->ctl, m->session) == CTL_OK;
	m->in_vain = !m->own;
	if (m->in_vain) {
		free(m->endpoint);
		m->endpoint = NULL;
	}
	return m->endpoint;
}

/* A message that was cut, as it was; false: it is none, or that cannot be had. */
static bool
complete(struct ctl_messages *m, const char *line, size_t n, struct am_buf *whole)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *message;
	struct ctl_endpoint *ep;
	int64_t seq = 0;

	if (m->ctl->json || n == 0 || line[0] != '{' || memmem(line, n, "\"large/", 7) == NULL)
		return false;
	message = am_node_parse(arena, line, n, &err);
	if (message == NULL || !ctl_is_cut(message) || !is_shown_whole(message) || !am_node_get_int(message, "seq", &seq) ||
	    seq <= m->last_seq || (ep = endpoint_of(m)) == NULL)
		return false;
	return ctl_fetch_cut(ep, line, n, whole, &err) == 0;
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

bool
ctl_messages_feed(struct ctl_messages *m, const char *p, size_t n)
{
	size_t done = 0;
	char *end;

	m->line.max = 4 * AMBIENT_MESSAGE_MAX;
	am_buf_add(&m->line, p, n);
	while (m->line.len > done && (end = memchr(m->line.data + done, '\n', m->line.len - done)) != NULL) {
		size_t len = (size_t)(end - m->line.data) - done;
		am_auto(am_buf_fini) struct am_buf whole = { 0 };
		bool completed = complete(m, m->line.data + done, len, &whole);

		if (m->before != NULL)
			m->before(m->arg);
		put_line(m, completed ? whole.data : m->line.data + done, completed ? whole.len : len);
		if (m->after != NULL) {
			(void)ctl_flush();
			m->after(m->arg);
		}
		done += len + 1;
	}
	am_buf_consume(&m->line, done);
	if (m->line.failed)
		am_buf_reset(&m->line); /* no message is as long as that */
	return ctl_flush();
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
	if (m->own) {
		ctl_endpoint_close(m->endpoint);
		free(m->endpoint);
	}
}
