/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat: a terminal for a session.  One thread, the main one, has the terminal: it waits for keys, for what the link
 * tells and for signals, prints above, and draws the rows below again.  What is printed is the terminal's own output,
 * so that scrolling, searching and copying work as ever.
 */
#include "core/ambientctl/chat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"

#define LAST_MESSAGES 2000
#define TWICE_NS      (2 * AM_NS_PER_S)
#define ESCAPE_MS     50

struct chat {
	struct ctl *ctl;
	struct ctl_link *link;
	struct ctl_talk talk;
	struct ctl_signals *signals;
	struct ctl_screen screen;
	struct ctl_edit edit;
	struct ctl_keys keys;
	struct am_buf out;
	struct am_clock *clock;
	bool up, leaving, over, interrupting;
	int code;
	char waiting[512], away[512]; /* "": it is not so */
	char last[700];               /* the sentence at the end */
	int64_t since;                /* of the turn, the waiting, the absence */
	int64_t interrupted;
};

int32_t ctl_resized;
static int wake_fd = -1;

/* ---- waiting */

static void
on_signal(int signal_number)
{
	int saved = errno;

	__atomic_store_n(signal_number == SIGWINCH ? &ctl_resized : &ctl_interrupted, 1, __ATOMIC_RELEASE);
	(void)!write(wake_fd, "", 1);
	errno = saved;
}

int
ctl_signals_open(struct ctl_signals *signals, struct ambient_error *err)
{
	static const int which[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };
	struct sigaction action = { .sa_handler = on_signal };

	if (pipe2(signals->wake, O_CLOEXEC | O_NONBLOCK) < 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "the system gives no pipe: %s", strerror(errno));
	wake_fd = signals->wake[1];
	for (size_t i = 0; i < AM_COUNTOF(which); i++)
		(void)sigaction(which[i], &action, NULL);
	return 0;
}

void
ctl_signals_close(struct ctl_signals *signals)
{
	static const int which[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };

	for (size_t i = 0; i < AM_COUNTOF(which); i++)
		(void)signal(which[i], SIG_IGN);
	(void)close(signals->wake[0]);
	(void)close(signals->wake[1]);
}

void
ctl_signals_drain(const struct ctl_signals *signals)
{
	char bytes[256];

	while (read(signals->wake[0], bytes, sizeof(bytes)) > 0)
		;
}

int
ctl_wait(const struct ctl_signals *signals, bool input, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = input ? STDIN_FILENO : -1, .events = POLLIN }, { .fd = signals->wake[0], .events = POLLIN },
	};

	if (poll(fds, AM_COUNTOF(fds), timeout_ms) <= 0)
		return 0;
	if (fds[1].revents != 0)
		ctl_signals_drain(signals);
	return fds[0].revents;
}

/* ---- output */

static void
print(struct chat *c, const char *text, size_t n)
{
	ctl_screen_wipe(&c->screen, &c->out);
	ctl_screen_print(&c->screen, text, n, &c->out);
}

/* Whole lines of ours, above the unfinished one of the agent. */
static void
print_above(struct chat *c, const struct am_buf *lines)
{
	ctl_screen_wipe(&c->screen, &c->out);
	am_buf_add(&c->out, am_buf_str(lines), lines->len);
}

static void
say(struct chat *c, const char *color, const char *text)
{
	am_auto(am_buf_fini) struct am_buf line = { 0 };

	am_buf_addf(&line, "%s- ", ctl_color(c->ctl, color));
	ctl_add_clean(&line, text, true);
	am_buf_addf(&line, "%s\n", ctl_color(c->ctl, "reset"));
	print_above(c, &line);
}

/* What the person said, as it stays in the terminal. */
static void
echo(struct chat *c, const char *text)
{
	am_auto(am_buf_fini) struct am_buf lines = { 0 };

	am_buf_addf(&lines, "%syou: ", ctl_color(c->ctl, "bold"));
	for (; *text != '\0'; text++) {
		am_buf_addc(&lines, *text);
		if (*text == '\n')
			am_buf_adds(&lines, "     ");
	}
	am_buf_addf(&lines, "%s\n", ctl_color(c->ctl, "reset"));
	print_above(c, &lines);
}

static void
show_prompt(struct chat *c)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	if (!c->talk.asked)
		return;
	c->talk.asked = false;
	ctl_talk_prompt(&c->talk, &text);
	print_above(c, &text);
}

static int
seconds(const struct chat *c)
{
	return (int)((am_clock_boot(c->clock) - c->since) / AM_NS_PER_S);
}

static void
put_status(const struct chat *c, struct am_buf *out)
{
	const char *hint = ctl_talk_hint(&c->talk);

	if (c->away[0] != '\0')
		am_buf_addf(out, "the connection is broken, trying again (%d s): %s", seconds(c), c->away);
	else if (!c->up)
		am_buf_addf(out, "%s (%d s)", c->waiting[0] != '\0' ? c->waiting : "connecting", seconds(c));
	else if (c->interrupting && c->talk.running)
		am_buf_addf(out, "interrupting (%d s)", seconds(c));
	else if (hint[0] != '\0')
		am_buf_adds(out, hint);
	else if (c->talk.preparing)
		am_buf_addf(out, "the session is being prepared (%d s)", seconds(c));
	else if (c->talk.running)
		am_buf_addf(out, "working (%d s), Ctrl-C interrupts", seconds(c));
	else
		am_buf_addf(out, "session \"%s\" in namespace \"%s\", /help", c->ctl->words[0], c->ctl->ns);
}

static void
flush(struct chat *c)
{
	if (am_write_all(STDOUT_FILENO, am_buf_str(&c->out), c->out.len) < 0)
		c->leaving = true; /* there is no terminal any more */
	am_buf_reset(&c->out);
}

static void
draw(struct chat *c)
{
	am_auto(am_buf_fini) struct am_buf raw = { 0 };
	am_auto(am_buf_fini) struct am_buf status = { 0 };
	struct ctl_area area = {
		.edit = &c->edit, .prompt = c->talk.ask_count > 0 ? "? " : "> ", .dim = ctl_color(c->ctl, "dim"),
		.reset = ctl_color(c->ctl, "reset"),
	};

	put_status(c, &raw);
	ctl_add_clean(&status, am_buf_str(&raw), true);
	area.status = am_buf_str(&status);
	c->edit.columns = ctl_screen_columns(&c->screen, area.prompt);
	ctl_screen_draw(&c->screen, &area, &c->out);
	flush(c);
}

/* ---- what the person does */

static void
order(struct chat *c, const char *type)
{
	struct am_buf body = { 0 };
	char id[32];

	ctl_talk_order(type, id, &body);
	ctl_link_send(c->link, id, &body, true);
}

static void
help(struct chat *c)
{
	static const char *const lines[] = {
		"Enter sends; Alt-Enter, Ctrl-J, or a backslash before Enter begins a new line",
		"Ctrl-C interrupts what the agent does; twice at rest, or Ctrl-D, leaves, and the session goes on",
		"/end ends the session, /leave leaves it, /interrupt interrupts; //text sends /text",
	};

	for (size_t i = 0; i < AM_COUNTOF(lines); i++)
		say(c, "dim", lines[i]);
}

static void
interrupt(struct chat *c)
{
	order(c, "interrupt");
	c->interrupting = c->talk.running;
}

static void
end(struct chat *c)
{
	order(c, "end");
}

static void
leave(struct chat *c)
{
	c->leaving = true;
}

static const struct {
	const char *name;
	void (*fn)(struct chat *c);
} commands[] = {
	{ "/help", help }, { "/end", end }, { "/leave", leave }, { "/quit", leave }, { "/exit", leave }, { "/interrupt", interrupt },
};

/* "/word" and nothing more is for us; a path, or a slash in a sentence, is not. */
static bool
command(struct chat *c, const char *text)
{
	am_auto(am_freep) char *sentence = NULL;

	if (text[0] != '/' || text[1] == '/' || text[1] == '\0' || strpbrk(text + 1, "/ \t\n.") != NULL)
		return false;
	for (size_t i = 0; i < AM_COUNTOF(commands); i++)
		if (am_streq(text, commands[i].name)) {
			commands[i].fn(c);
			return true;
		}
	sentence = am_xasprintf("there is no command %.40s, see /help; /%.40s sends it to the agent", text, text);
	say(c, "yellow", sentence);
	return true;
}

static void
submit(struct chat *c)
{
	am_auto(am_buf_fini) struct am_buf said = { 0 };
	am_auto(am_freep) char *text = ctl_edit_take(&c->edit);
	const char *words = text;
	struct am_buf body = { 0 };
	bool was_running = c->talk.running;
	char id[32];

	if (text[strspn(text, " \t\n")] == '\0' || command(c, text))
		return;
	words += words[0] == '/' && words[1] == '/';
	if (c->talk.ask_count == 0 || c->talk.asks[0].question)
		echo(c, words);
	if (ctl_talk_say(&c->talk, words, id, &body, &said)) {
		ctl_link_send(c->link, id, &body, false);
		c->since = was_running ? c->since : am_clock_boot(c->clock);
	} else if (said.len > 0) {
		/* It was meant for the agent, perhaps; it is not lost. */
		(void)ctl_edit_key(&c->edit, CTL_KEY_TEXT, text, strlen(text));
		say(c, "yellow", said.data);
	}
	show_prompt(c); /* what else is asked */
}

static void
on_interrupt(struct chat *c)
{
	int64_t now = am_clock_boot(c->clock);

	if (c->talk.running || c->talk.ask_count > 0) {
		interrupt(c);
	} else if (c->edit.text.len > 0) {
		ctl_edit_clear(&c->edit);
	} else if (now - c->interrupted < TWICE_NS) {
		c->leaving = true;
	} else {
		c->interrupted = now;
		say(c, "dim", "Ctrl-C again leaves; the session goes on");
	}
}

static void
on_key(void *arg, enum ctl_key key, const char *text, size_t n)
{
	struct chat *c = arg;

	switch (key) {
	case CTL_KEY_INTERRUPT:
		on_interrupt(c);
		return;
	case CTL_KEY_SUSPEND:
		ctl_screen_wipe(&c->screen, &c->out);
		flush(c);
		ctl_term_suspend();
		__atomic_store_n(&ctl_resized, 1, __ATOMIC_RELEASE);
		return;
	case CTL_KEY_REDRAW:
		am_buf_adds(&c->out, "\033[H\033[2J");
		c->screen.rows = 0;
		return;
	case CTL_KEY_LEAVE:
		if (c->edit.text.len == 0)
			c->leaving = true;
		key = CTL_KEY_DELETE;
		break;
	default:
		break;
	}
	if (ctl_edit_key(&c->edit, key, text, n))
		submit(c);
	if (c->edit.full)
		say(c, "yellow", "a message has at most 256 KiB; what came last was left out");
}

static void
on_input(struct chat *c)
{
	char bytes[16384];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n > 0)
		ctl_keys_feed(&c->keys, bytes, (size_t)n, on_key, c);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		c->leaving = true;
}

/* ---- what the link tells */

static void
on_message(struct chat *c, const struct ctl_event *event)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	bool was_running = c->talk.running;

	ctl_talk_message(&c->talk, event->text, event->n, &text);
	if (text.len > 0)
		print(c, text.data, text.len);
	if (c->talk.running && !was_running)
		c->since = am_clock_boot(c->clock);
	c->interrupting = c->interrupting && c->talk.running;
	show_prompt(c);
}

static void
on_event(struct chat *c, const struct ctl_event *event)
{
	am_auto(am_freep) char *text = NULL;

	switch (event->kind) {
	case CTL_EVENT_MESSAGE:
		on_message(c, event);
		break;
	case CTL_EVENT_WAITING:
		c->up = false;
		c->away[0] = '\0';
		(void)am_strlcpy(c->waiting, event->text, sizeof(c->waiting));
		break;
	case CTL_EVENT_AWAY:
		c->since = c->away[0] != '\0' ? c->since : am_clock_boot(c->clock);
		(void)am_strlcpy(c->away, event->text, sizeof(c->away));
		break;
	case CTL_EVENT_UP:
		if (c->away[0] != '\0') {
			text = am_xasprintf("the connection was broken for %d s; it goes on where it was", seconds(c));
			say(c, "dim", text);
		}
		c->up = true;
		c->away[0] = c->waiting[0] = '\0';
		c->since = am_clock_boot(c->clock);
		ctl_talk_status(&c->talk, event->text);
		break;
	case CTL_EVENT_REFUSED:
		text = am_xasprintf("not taken: %s", event->text);
		say(c, "red", text);
		c->talk.running = false;
		break;
	case CTL_EVENT_OVER:
		c->over = true;
		c->code = event->code;
		(void)am_strlcpy(c->last, event->text, sizeof(c->last));
		break;
	default:
		break;
	}
}

static void
loop(struct chat *c)
{
	while (!c->leaving && !c->over) {
		struct ctl_event *event;
		bool counts = !c->up || c->away[0] != '\0' || c->talk.running || c->talk.preparing;
		int revents;

		draw(c);
		revents = ctl_wait(c->signals, true, c->keys.n > 0 ? ESCAPE_MS : counts ? 1000 : -1);
		if (__atomic_exchange_n(&ctl_resized, 0, __ATOMIC_ACQ_REL))
			ctl_term_size(&c->screen.columns, &c->screen.lines);
		if (revents != 0)
			on_input(c);
		else
			ctl_keys_idle(&c->keys);
		while ((event = ctl_link_next(c->link)) != NULL) {
			on_event(c, event);
			free(event);
		}
		if (__atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE)) {
			c->leaving = true;
			c->code = CTL_INTERRUPTED;
		}
	}
	ctl_screen_wipe(&c->screen, &c->out);
	ctl_screen_end_line(&c->screen, &c->out);
	flush(c);
}

static int
with_terminal(struct ctl *ctl, struct ctl_link *link, const char *client, struct ctl_signals *signals)
{
	struct chat c = {
		.ctl = ctl, .link = link, .talk = { .ctl = ctl, .client = client }, .signals = signals, .clock = am_clock_real(),
	};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	c.since = am_clock_boot(c.clock);
	c.interrupted = c.since - TWICE_NS;
	ctl_width_init();
	if (ctl_term_enter(&err) < 0)
		return ctl_fail(&err, "chat");
	ctl_term_size(&c.screen.columns, &c.screen.lines);
	loop(&c);
	ctl_term_leave();
	if (c.over)
		(void)fprintf(stderr, "ambientctl: %s\n", c.last);
	else
		(void)fprintf(stderr, "session \"%s\" goes on; come back with: ambientctl chat %s -n %s\n", ctl->words[0],
			      ctl->words[0], ctl->ns);
	if (ctl_link_unheard(link) > 0)
		(void)fprintf(stderr, "ambientctl: of what was said last, %zu message(s) did not reach the agent\n", ctl_link_unheard(link));
	ctl_talk_fini(&c.talk);
	ctl_edit_fini(&c.edit);
	ctl_screen_fini(&c.screen);
	am_buf_fini(&c.out);
	return c.code;
}

static bool
has_terminal(const struct ctl *ctl)
{
	const char *term = getenv("TERM");

	return ctl->terminal && !ctl->json && isatty(STDIN_FILENO) == 1 && !am_empty(term) && !am_streq(term, "dumb");
}

static int
run_chat(struct ctl *ctl)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ctl_signals signals;
	struct ctl_endpoint endpoint;
	struct ctl_link *link;
	bool terminal = has_terminal(ctl);
	int64_t from;
	int rc = ctl_from(ctl, &from);

	if (rc != 0)
		return rc;
	if (terminal && ctl_has(ctl, "end"))
		return ctl_usage("--end is for standard input that is no terminal; here /end does it");
	if (!ctl_has(ctl, "from"))
		from = terminal ? -LAST_MESSAGES : 0;
	if (ctl_signals_open(&signals, &err) < 0)
		return ctl_fail(&err, "chat");
	rc = ctl_endpoint_open(&endpoint, ctl, ctl->words[0], false, &ctl_interrupted, &err);
	if (rc < 0) {
		ctl_signals_close(&signals);
		return ctl_fail(&err, "session \"%s\"", ctl->words[0]);
	}
	link = ctl_link_open(ctl, &endpoint, from, signals.wake[1]);
	if (link == NULL) {
		(void)fputs("ambientctl: the system gives no thread\n", stderr);
		rc = CTL_FAILED;
	} else if (terminal) {
		rc = with_terminal(ctl, link, endpoint.id, &signals);
	} else {
		struct ctl_talk talk = { .ctl = ctl, .client = endpoint.id, .text_only = true };

		rc = ctl_chat_plain(ctl, link, &talk, &signals);
		ctl_talk_fini(&talk);
	}
	ctl_link_close(link);
	ctl_endpoint_close(&endpoint);
	ctl_signals_close(&signals);
	return rc;
}

static const struct ctl_option options[] = {
	{ "from", 0, "N", "begin with message N instead of the last 2,000" },
	{ "end", 0, NULL, "end the session when standard input has ended; not in a terminal" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_chat = {
	.name = "chat", .synopsis = "chat NAME [--from N] [--end]", .text = "Talk with the agent of an interactive session.",
	.options = options, .min = 1, .max = 1, .on_sessions = true, .run = run_chat,
};
