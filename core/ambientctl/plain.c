/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat without a terminal, for scripts: each line of standard input is a message, sent when the turn before it is over;
 * what the agent says is printed, or with -o json each message as the runner wrote it.  What the agent asks is printed on
 * standard error, and the next line is the answer.  With --end the session is asked to end when all was said.
 */
#include "core/ambientctl/chat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/mem.h"

struct plain {
	struct ctl *ctl;
	struct ctl_link *link;
	struct ctl_talk *talk;
	struct am_buf input;   /* what was read and not sent */
	bool up, ended, unsent, over;
	bool ending, failed;   /* the session is asked to end; the last turn before that failed */
	int code;
};

static void
on_event(struct plain *p, const struct ctl_event *event)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	switch (event->kind) {
	case CTL_EVENT_MESSAGE:
		ctl_talk_message(p->talk, event->text, event->n, &text);
		if (p->ctl->json)
			(void)printf("%s\n", event->text);
		else
			(void)fputs(am_buf_str(&text), stdout);
		break;
	case CTL_EVENT_UP:
		p->up = true;
		ctl_talk_status(p->talk, event->text);
		break;
	case CTL_EVENT_SENT:
		p->unsent = false;
		break;
	case CTL_EVENT_REFUSED:
		(void)fputs("ambientctl: not taken: ", stderr);
		ctl_put_clean(stderr, event->text, true);
		(void)fputc('\n', stderr);
		p->code = CTL_REFUSED;
		p->over = true;
		break;
	case CTL_EVENT_OVER:
		(void)fprintf(stderr, "ambientctl: ");
		ctl_put_clean(stderr, event->text, true);
		(void)fputc('\n', stderr);
		p->code = event->code == CTL_OK && p->failed ? CTL_FAILED : event->code;
		p->over = true;
		break;
	default:
		break;
	}
}

static void
read_input(struct plain *p)
{
	char bytes[16384];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n > 0)
		am_buf_add(&p->input, bytes, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		p->ended = true;
	if (p->input.failed) {
		p->over = true;
		p->code = ctl_usage("a line of standard input is longer than 256 KiB");
	}
}

/* The next text: a line, and those that lines with a backslash at their end go on with.  NULL: it is not whole yet. */
static char *
next_text(struct plain *p)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	size_t at = 0;

	while (at < p->input.len) {
		const char *from = p->input.data + at, *end = memchr(from, '\n', p->input.len - at);
		size_t n = end != NULL ? (size_t)(end - from) : p->input.len - at;
		bool goes_on = n > 0 && from[n - 1] == '\\' && end != NULL;

		if (end == NULL && !p->ended)
			break;
		am_buf_add(&text, from, goes_on ? n - 1 : n);
		at += n + (end != NULL);
		if (goes_on) {
			am_buf_addc(&text, '\n');
			continue;
		}
		am_buf_consume(&p->input, at);
		return text.len > 0 ? am_buf_steal(&text, NULL) : am_xstrdup("");
	}
	return NULL;
}

static void
send_next(struct plain *p)
{
	am_auto(am_buf_fini) struct am_buf said = { 0 };
	am_auto(am_freep) char *text = next_text(p);
	struct am_buf body = { 0 };
	char id[32];

	if (text == NULL || text[strspn(text, " \t\r")] == '\0')
		return;
	if (!am_utf8_valid(text, strlen(text))) {
		p->code = ctl_usage("standard input is no UTF-8 text");
		p->over = true;
	} else if (ctl_talk_say(p->talk, text, id, &body, &said)) {
		ctl_link_send(p->link, id, &body, false);
		p->unsent = true;
	} else if (said.len > 0) {
		(void)fprintf(stderr, "ambientctl: %s\n", said.data);
	}
}

static void
show_prompt(struct plain *p)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	if (!p->talk->asked)
		return;
	p->talk->asked = false;
	ctl_talk_prompt(p->talk, &text);
	(void)fputs(am_buf_str(&text), stderr);
}

/* Can the next line be sent?  At rest, or as an answer. */
static bool
is_free(const struct plain *p)
{
	return p->up && !p->talk->preparing && !p->unsent && (!p->talk->running || p->talk->ask_count > 0);
}

static void
send_end(struct plain *p)
{
	struct am_buf body = { 0 };
	char id[32];

	ctl_talk_order("end", id, &body);
	ctl_link_send(p->link, id, &body, false);
	p->ending = p->unsent = true;
	p->failed = p->talk->failed;
}

/* Nothing more will be said. */
static bool
is_done(struct plain *p)
{
	if (p->ending || !p->ended || p->input.len > 0 || !is_free(p))
		return false;
	if (ctl_has(p->ctl, "end") && p->talk->ask_count == 0) {
		send_end(p);
		return false; /* the session's end is told */
	}
	if (p->talk->ask_count > 0) {
		(void)fputs("ambientctl: the agent waits for an answer, and standard input has ended\n", stderr);
		p->code = CTL_FAILED;
	} else {
		p->code = p->talk->failed ? CTL_FAILED : CTL_OK;
	}
	return true;
}

int
ctl_chat_plain(struct ctl *ctl, struct ctl_link *link, struct ctl_talk *talk, const struct ctl_signals *signals)
{
	struct plain p = { .ctl = ctl, .link = link, .talk = talk, .input.max = CTL_EDIT_MAX };

	while (!p.over && !is_done(&p)) {
		struct ctl_event *event;
		bool wants = !p.ended && memchr(am_buf_str(&p.input), '\n', p.input.len) == NULL;

		if (ctl_wait(signals, wants, is_free(&p) && p.input.len > 0 && !wants ? 0 : -1) != 0)
			read_input(&p);
		while (!p.over && (event = ctl_link_next(link)) != NULL) {
			on_event(&p, event);
			free(event);
		}
		if (!ctl_flush()) {
			p.over = true;
			p.code = CTL_FAILED;
		}
		show_prompt(&p);
		if (!p.over && is_free(&p))
			send_next(&p);
		if (__atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE)) {
			p.over = true;
			p.code = CTL_INTERRUPTED;
		}
	}
	am_buf_fini(&p.input);
	return p.code;
}
