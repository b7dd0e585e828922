/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to a session's runner: one thread reads its messages, for as long as the session lasts and whatever breaks
 * in between, the other sends.  Both tell the loop by events in one queue, whose size is bounded: a terminal that is
 * held makes the reader wait, and the runner in turn.
 *
 * Messages are numbered, so after a break the next one is asked for: nothing is lost, and what comes twice is dropped.
 * What is sent has an id, so that it can be sent again until it was acknowledged, and is taken once.  `lock` guards
 * what stands below it.
 */
#include "core/ambientctl/chat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>

#include "core/base/clock.h"
#include "core/base/lock.h"
#include "core/base/mem.h"

#define QUEUE_MAX  ((size_t)4 << 20)
#define LINE_MAX   ((size_t)1 << 20)
#define PAUSE_MIN  (100 * AM_NS_PER_MS)
#define PAUSE_MAX  (2 * AM_NS_PER_S)
#define RENEW_NS   (1800 * AM_NS_PER_S)
#define SEND_NS    (60 * AM_NS_PER_S) /* how long a text is tried to be sent to somebody who is there */
#define FOR_EVER   (INT64_C(365) * 24 * 3600 * AM_NS_PER_S)
#define OVER_NS    (15 * AM_NS_PER_S) /* from the last message to the session's last phase */

struct item {
	struct item *next;
	char id[32];
	bool urgent;
	struct am_buf body;
};

struct ctl_link {
	struct ctl *ctl;
	struct ctl_endpoint *endpoint;
	struct am_clock *clock;
	struct am_thread *reader, *sender;
	int wake_fd;

	/* the reader's own */
	int64_t from;              /* of the next message; 0 and below: not known yet */
	struct am_buf line;
	char waiting[600];         /* what was said last */
	char phase[32], message[512];
	bool met, said_away, interactive, gone; /* met: was up at least once */
	bool preparing;            /* the agent had not started when its runner was asked */
	bool run_over;             /* the run's last message has come */
	int64_t moved;             /* when something came last */

	struct am_lock lock;
	struct am_cond changed;
	struct ctl_event *first, *last;
	size_t queued;
	struct item *out;
	size_t unheard;            /* items that are not urgent, until it is known what became of them */
	bool up, closing, over;
	int32_t cancelled;         /* for requests */
};

/* ---- events */

static bool
is_closing(struct ctl_link *link)
{
	return __atomic_load_n(&link->cancelled, __ATOMIC_ACQUIRE) != 0;
}

static void
tell_of(struct ctl_link *link, enum ctl_event_kind kind, const char *id, int code, const char *text, size_t n)
{
	struct ctl_event *event = malloc(sizeof(*event) + n + 1);

	if (event == NULL)
		return;
	*event = (struct ctl_event){ .kind = kind, .code = code, .n = n };
	(void)am_strlcpy(event->id, id, sizeof(event->id));
	memcpy(event->text, text, n);
	event->text[n] = '\0';
	am_lock(&link->lock);
	while (link->queued > QUEUE_MAX && !link->closing)
		(void)am_cond_wait(&link->changed, &link->lock, AM_FOREVER);
	link->queued += n;
	if (link->last != NULL)
		link->last->next = event;
	else
		link->first = event;
	link->last = event;
	link->over = link->over || kind == CTL_EVENT_OVER;
	am_cond_broadcast(&link->changed);
	am_unlock(&link->lock);
	(void)!write(link->wake_fd, "", 1);
}

static void
set_up(struct ctl_link *link, bool up)
{
	am_lock(&link->lock);
	link->up = up;
	am_unlock(&link->lock);
}

static void
tell(struct ctl_link *link, enum ctl_event_kind kind, const char *text)
{
	tell_of(link, kind, "", 0, text, strlen(text));
}

static void
finish(struct ctl_link *link, int code, const char *text)
{
	tell_of(link, CTL_EVENT_OVER, "", code, text, strlen(text));
}

static void
rest(struct ctl_link *link, int64_t ns)
{
	int64_t until = am_clock_boot(link->clock) + ns;

	am_lock(&link->lock);
	while (!link->closing && am_clock_boot(link->clock) < until)
		(void)am_cond_wait(&link->changed, &link->lock, until);
	am_unlock(&link->lock);
}

struct ctl_event *
ctl_link_next(struct ctl_link *link)
{
	struct ctl_event *event;

	am_lock(&link->lock);
	event = link->first;
	if (event != NULL) {
		link->first = event->next;
		link->last = link->first != NULL ? link->last : NULL;
		link->queued -= event->n;
		am_cond_broadcast(&link->changed);
	}
	am_unlock(&link->lock);
	return event;
}

/* ---- reading */

/* The run's last message says how it ended. */
static bool
is_last(struct am_slice message)
{
	static const char *const ends[] = { "completed", "failed", "stopped" };
	struct am_slice type, state;
	bool ended = false;

	if (!am_json_find(message, "/type", &type) || !am_json_str_eq(type, "session") || !am_json_find(message, "/state", &state))
		return false;
	for (size_t i = 0; i < AM_COUNTOF(ends); i++)
		ended = ended || am_json_str_eq(state, ends[i]);
	return ended;
}

/* Of a message that was too large for a line all is asked for; where that fails, the line says that it was cut. */
static void
tell_message(struct ctl_link *link, struct am_slice line)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf whole = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *message = NULL;

	if (!link->ctl->json && memmem(line.p, line.n, "\"large/", 7) != NULL)
		message = am_node_parse(arena, line.p, line.n, &err);
	if (message != NULL && ctl_is_cut(message) && !am_streq(ctl_text(message, "/type"), AMBIENT_MSG_TOOL_RESULT) &&
	    ctl_fetch_cut(link->endpoint, line.p, line.n, &whole, &err) == 0)
		line = am_slice(whole.data, whole.len);
	tell_of(link, CTL_EVENT_MESSAGE, "", 0, line.p, line.n);
}

static int
ask_status(struct ctl_link *link, struct am_buf *answer, struct ambient_error *err)
{
	int rc = ctl_endpoint_do(link->endpoint, "GET", "/v1/status", NULL, answer, err);

	if (rc < 0)
		return rc;
	if (am_json_check(am_buf_str(answer), answer->len, err) < 0)
		return am_err_prefix(err, "the runner's status");
	am_auto(am_freep) char *state = am_json_dup(am_slice(am_buf_str(answer), answer->len), "/state");

	link->preparing = am_streq(state, "preparing");
	return 0;
}

/* While the session is prepared a message may say that the agent starts, and whether with a turn is asked for. */
static void
look_for_start(struct ctl_link *link)
{
	am_auto(am_buf_fini) struct am_buf answer = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (link->preparing && ask_status(link, &answer, &err) == 0 && !link->preparing)
		tell(link, CTL_EVENT_UP, am_buf_str(&answer));
}

static int
on_data(void *arg, const char *p, size_t n)
{
	struct ctl_link *link = arg;
	size_t done = 0;
	char *end;

	link->moved = am_clock_boot(link->clock);
	link->line.max = LINE_MAX;
	am_buf_add(&link->line, p, n);
	if (link->line.failed)
		am_buf_reset(&link->line); /* no message is as long as that */
	while (link->line.len > done && (end = memchr(link->line.data + done, '\n', link->line.len - done)) != NULL) {
		size_t len = (size_t)(end - link->line.data) - done;
		struct am_slice text = am_slice(link->line.data + done, len);
		int64_t seq = len > 0 && am_json_check(text.p, text.n, NULL) == 0 ? am_json_int(text, "/seq", 0) : 0;

		/* An empty line is the heartbeat. */
		if (seq >= link->from) {
			link->from = seq + 1;
			link->run_over = is_last(text);
			look_for_start(link);
			tell_message(link, text);
		}
		done += len + 1;
	}
	am_buf_consume(&link->line, done);
	return is_closing(link) ? -AMBIENT_E_CANCELLED : 0;
}

/* What the session says of itself; enough: there is a pod to talk to, or there will be none. */
static bool
look(void *arg, const struct am_node *session)
{
	struct ctl_link *link = arg;
	const struct am_node *interactive = session != NULL ? am_node_at(session, "/status/effective/interactive") : NULL;
	const char *phase = session != NULL ? ctl_text(session, "/status/phase") : "";
	const char *message = session != NULL ? ctl_text(session, "/status/message") : "";

	link->gone = session == NULL;
	if (link->gone)
		return true;
	link->interactive = interactive == NULL || interactive->boolean;
	(void)am_strlcpy(link->phase, phase[0] != '\0' ? phase : "Pending", sizeof(link->phase));
	(void)am_strlcpy(link->message, message, sizeof(link->message));
	am_lock(&link->lock);
	(void)am_strlcpy(link->endpoint->pod, ctl_text(session, "/status/runnerPodName"), sizeof(link->endpoint->pod));
	am_unlock(&link->lock);
	if (ctl_terminal(phase) || !link->interactive)
		return true;
	if (am_streq(phase, "Running") && link->endpoint->pod[0] != '\0')
		return true;

	am_auto(am_freep) char *said = am_xasprintf("%s%s%s", link->phase, message[0] != '\0' ? ": " : "", message);

	if (!am_streq(said, link->waiting))
		tell(link, CTL_EVENT_WAITING, said);
	(void)am_strlcpy(link->waiting, said, sizeof(link->waiting));
	return false;
}

static bool
look_for_end(void *arg, const struct am_node *session)
{
	struct ctl_link *link = arg;

	(void)look(arg, session);
	return link->gone || ctl_terminal(link->phase);
}

/* True: it is over, and was told. */
static bool
conclude(struct ctl_link *link)
{
	const char *name = link->endpoint->session;
	am_auto(am_freep) char *text = NULL;
	bool never = !link->met;

	if (link->gone) {
		text = am_xasprintf("session \"%s\" was deleted", name);
		finish(link, CTL_NOTFOUND, text);
	} else if (!link->interactive) {
		text = am_xasprintf("session \"%s\" is not interactive, so its agent takes no words; see what it does with: ambientctl "
				    "messages -f %s -n %s", name, name, link->ctl->ns);
		finish(link, CTL_REFUSED, text);
	} else if (ctl_terminal(link->phase)) {
		const char *colon = link->message[0] != '\0' ? ": " : "";

		text = never ? am_xasprintf("session \"%s\" has ended (%s%s%s); go on with it: ambientctl start %s -n %s", name,
					    link->phase, colon, link->message, name, link->ctl->ns)
			     : am_xasprintf("session \"%s\" has ended: %s%s%s", name, link->phase, colon, link->message);
		finish(link, never ? CTL_REFUSED : ctl_exit_of(link->phase), text);
	}
	return text != NULL;
}

/* The runner is there; its status says with which number to begin. */
static int
meet(struct ctl_link *link, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf answer = { 0 };
	int64_t last;
	int rc = ask_status(link, &answer, err);

	if (rc < 0)
		return rc;
	last = am_json_int(am_slice(am_buf_str(&answer), answer.len), "/lastSeq", 0);
	if (link->from <= 0)
		link->from = AM_MAX(last + link->from + 1, 1);
	if (link->met && last < link->from - 1)
		link->from = 1; /* another session of that name */
	tell(link, CTL_EVENT_UP, am_buf_str(&answer));
	link->met = true;
	set_up(link, true);
	link->said_away = false;
	return 0;
}

/* One stream, until it ends in order. */
static int
read_once(struct ctl_link *link, struct ambient_error *err)
{
	char path[96];
	int rc = meet(link, err);

	if (rc < 0)
		return rc;
	am_buf_reset(&link->line);
	(void)snprintf(path, sizeof(path), "/v1/messages?from=%" PRId64 "&follow=true&partial=true", link->from);
	return ctl_endpoint_stream(link->endpoint, path, on_data, link, err);
}

static void
fail(struct ctl_link *link, const struct ambient_error *err)
{
	am_auto(am_freep) char *text = am_xasprintf("session \"%s\": %s", link->endpoint->session, err->message);

	finish(link, err->code == AMBIENT_E_NOTFOUND ? CTL_NOTFOUND : err->code == AMBIENT_E_UNAVAILABLE ? CTL_UNREACHABLE
									   : CTL_REFUSED, text);
}

/* Broken: wait a little, longer each time as long as nothing comes, and begin again with what the session says.  err
 * NULL: the stream ended in order, only too early. */
static bool
broken(struct ctl_link *link, const struct ambient_error *err, int64_t *pause)
{
	/* Of a pod that is gone the session tells in a moment; a refusal is no matter of time. */
	if (err != NULL && (err->code == AMBIENT_E_UNAUTHORIZED || err->code == AMBIENT_E_FORBIDDEN)) {
		fail(link, err);
		return false;
	}
	if (err != NULL && (link->up || *pause == PAUSE_MAX)) {
		if (!link->said_away)
			tell(link, CTL_EVENT_AWAY, err->message);
		link->said_away = true;
	}
	set_up(link, false);
	rest(link, *pause);
	*pause = AM_MIN(2 * *pause, PAUSE_MAX);
	return true;
}

static void
reader(void *arg)
{
	struct ctl_link *link = arg;
	int64_t pause = PAUSE_MIN;

	while (!is_closing(link)) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		int64_t moved = link->moved;
		int rc = ctl_await(link->ctl, CTL_KIND, link->endpoint->session, &link->cancelled,
				   am_clock_boot(link->clock) + FOR_EVER, look, link, &err);

		if (rc < 0 && !is_closing(link))
			fail(link, &err);
		if (rc < 0 || conclude(link))
			return;
		link->run_over = false;
		rc = read_once(link, &err);
		if (rc == 0 && link->run_over) {
			/* The run is over, and the session is about to say so. */
			rc = ctl_await(link->ctl, CTL_KIND, link->endpoint->session, &link->cancelled,
				       am_clock_boot(link->clock) + OVER_NS, look_for_end, link, &err);
			if (rc == 0 && conclude(link))
				return;
			set_up(link, false);
		} else if (!is_closing(link)) {
			/* A stream whose key's time was over ends in order, too. */
			pause = link->moved != moved ? PAUSE_MIN : pause;
			if (!broken(link, rc < 0 ? &err : NULL, &pause))
				return;
		}
	}
}

/* ---- sending */

static struct item *
take_item(struct ctl_link *link, int64_t *renew)
{
	struct item *item;

	am_lock(&link->lock);
	while (link->out == NULL && !link->closing && am_clock_boot(link->clock) < *renew)
		(void)am_cond_wait(&link->changed, &link->lock, *renew);
	item = link->closing ? NULL : link->out;
	if (item != NULL)
		link->out = item->next;
	am_unlock(&link->lock);
	return item;
}

static void
free_item(struct item *item)
{
	am_buf_fini(&item->body);
	free(item);
}

/* What is needed to send; false: there is nobody any more.  As long as nobody is there yet, or again, time does not count. */
static bool
prepare(struct ctl_link *link, struct ctl_endpoint *endpoint, int64_t *until)
{
	bool over;

	am_lock(&link->lock);
	*endpoint = *link->endpoint;
	if (!link->up)
		*until = am_clock_boot(link->clock) + SEND_NS;
	over = link->over || link->closing;
	am_unlock(&link->lock);
	return !over;
}

/* Is it a matter of time?  A pod that is not found is being replaced, or the session is about to end. */
static bool
is_passing(const struct ambient_error *err)
{
	return err->code == AMBIENT_E_UNAVAILABLE || err->code == AMBIENT_E_TIMEOUT || err->code == AMBIENT_E_NOTFOUND ||
	       err->code == AMBIENT_E_THROTTLED || am_streq(err->reason, "NotReady");
}

/* Until it was acknowledged or refused: while the API server or the runner is away it is kept. */
static void
send_item(struct ctl_link *link, struct item *item)
{
	int64_t until = am_clock_boot(link->clock) + SEND_NS, pause = PAUSE_MIN;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ctl_endpoint endpoint;
	bool tried = false;
	int rc = 0;

	while (prepare(link, &endpoint, &until)) {
		tried = true;
		rc = endpoint.pod[0] == '\0' ? ambient_err(&err, AMBIENT_E_UNAVAILABLE, "the session has no pod yet")
					     : ctl_endpoint_do(&endpoint, "POST", "/v1/input", &item->body, NULL, &err);
		if (rc == 0 || !is_passing(&err) || am_clock_boot(link->clock) > until)
			break;
		rest(link, pause);
		pause = AM_MIN(2 * pause, PAUSE_MAX);
	}
	am_lock(&link->lock);
	link->unheard -= !item->urgent && tried && (rc == 0 || !is_passing(&err));
	am_unlock(&link->lock);
	if (!is_closing(link))
		tell_of(link, rc == 0 ? CTL_EVENT_SENT : CTL_EVENT_REFUSED, item->id, 0, rc == 0 ? "" : err.message,
			rc == 0 ? 0 : strlen(err.message));
}

static void
sender(void *arg)
{
	struct ctl_link *link = arg;
	int64_t renew = am_clock_boot(link->clock) + RENEW_NS;

	while (!is_closing(link)) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct item *item = take_item(link, &renew);

		if (item != NULL) {
			send_item(link, item);
			free_item(item);
		}
		if (am_clock_boot(link->clock) >= renew)
			renew = am_clock_boot(link->clock) + (ctl_endpoint_renew(link->endpoint, &err) == 0 ? RENEW_NS : PAUSE_MAX);
	}
}

void
ctl_link_send(struct ctl_link *link, const char *id, struct am_buf *body, bool urgent)
{
	struct item *item = am_xcalloc(1, sizeof(*item)), **at = &link->out;

	(void)am_strlcpy(item->id, id, sizeof(item->id));
	item->urgent = urgent;
	item->body = *body;
	*body = (struct am_buf){ 0 };
	am_lock(&link->lock);
	while (!urgent && *at != NULL)
		at = &(*at)->next;
	item->next = *at;
	*at = item;
	link->unheard += !urgent;
	am_cond_broadcast(&link->changed);
	am_unlock(&link->lock);
}

size_t
ctl_link_unheard(struct ctl_link *link)
{
	am_lock(&link->lock);
	size_t n = link->unheard;
	am_unlock(&link->lock);
	return n;
}

/* ---- its life */

struct ctl_link *
ctl_link_open(struct ctl *ctl, struct ctl_endpoint *endpoint, int64_t from, int wake_fd)
{
	struct ctl_link *link = am_xcalloc(1, sizeof(*link));

	link->ctl = ctl;
	link->endpoint = endpoint;
	link->clock = am_clock_real();
	link->wake_fd = wake_fd;
	link->from = from;
	endpoint->cancelled = &link->cancelled;
	am_lock_init(&link->lock, "link");
	am_cond_init(&link->changed, link->clock);
	link->reader = am_thread_new("reader", 0, reader, link);
	link->sender = link->reader != NULL ? am_thread_new("sender", 0, sender, link) : NULL;
	if (link->sender != NULL)
		return link;
	ctl_link_close(link);
	return NULL;
}

void
ctl_link_close(struct ctl_link *link)
{
	struct ctl_event *event;

	if (link == NULL)
		return;
	am_lock(&link->lock);
	link->closing = true;
	__atomic_store_n(&link->cancelled, 1, __ATOMIC_RELEASE);
	am_cond_broadcast(&link->changed);
	am_unlock(&link->lock);
	am_thread_join(link->reader);
	am_thread_join(link->sender);
	link->endpoint->cancelled = &ctl_interrupted;
	while ((event = ctl_link_next(link)) != NULL)
		free(event);
	for (struct item *item; (item = link->out) != NULL;) {
		link->out = item->next;
		free_item(item);
	}
	am_buf_fini(&link->line);
	am_cond_fini(&link->changed);
	am_lock_fini(&link->lock);
	free(link);
}
