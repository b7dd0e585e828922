/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a session: one thread watches the session, one reads the messages, and main draws the progress line and
 * decides when it is over.  `lock` guards everything below it in struct follow and the terminal.
 *
 * The session is watched, not polled; when the stream breaks it is read again and the watch goes on from there.
 */
#include "core/ambientctl/ctl.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/lock.h"
#include "core/base/mem.h"

#define WATCH_S  300
#define LAST_NS  (5 * AM_NS_PER_S) /* for the last messages after the end */

struct follow {
	struct ctl *ctl;
	const char *name;
	bool phases, messages, progress;
	struct am_clock *clock;
	struct ctl_messages log;

	struct am_lock lock;
	struct am_cond changed;
	char phase[32], reason[64], message[600], pod[256], version[64];
	bool over, gone, drawn, messages_done, failed;
	bool unsaid;            /* the phase is not printed yet */
	bool lost;              /* there is nobody any more who reads */
	int64_t since;          /* of the phase */
	unsigned events;        /* of the session, as they came */
	struct ambient_error err;
};

static bool
interrupted(void)
{
	return __atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE) != 0;
}

static void
wipe(struct follow *f)
{
	if (f->drawn)
		(void)fputs("\r\033[K", stderr);
	f->drawn = false;
}

static void
before_output(void *arg)
{
	struct follow *f = arg;

	am_lock(&f->lock);
	wipe(f);
}

static void
after_output(void *arg)
{
	struct follow *f = arg;

	am_unlock(&f->lock);
}

/* With the lock held. */
static void
say_phase(struct follow *f)
{
	f->unsaid = false;
	wipe(f);
	(void)printf("%s%s%s", ctl_phase_color(f->ctl, f->phase), f->phase, ctl_color(f->ctl, "reset"));
	if (f->message[0] != '\0') {
		(void)fputs("  ", stdout);
		ctl_put_clean(stdout, f->message, true);
	}
	(void)putchar('\n');
	f->lost = f->lost || !ctl_flush();
	f->over = f->over || f->lost;
}

/* A new state of the session. */
static void
take(struct follow *f, const struct am_node *session)
{
	const struct am_node *ready = ctl_condition(session, "Ready");
	const char *phase = ctl_text(session, "/status/phase"), *reason = ready != NULL ? ctl_text(ready, "/reason") : "";
	const char *message = ctl_text(session, "/status/message");

	am_lock(&f->lock);
	(void)am_strlcpy(f->version, ctl_text(session, "/metadata/resourceVersion"), sizeof(f->version));
	(void)am_strlcpy(f->pod, ctl_text(session, "/status/runnerPodName"), sizeof(f->pod));
	phase = phase[0] != '\0' ? phase : "Pending";
	if (!am_streq(phase, f->phase) || !am_streq(reason, f->reason)) {
		if (!am_streq(phase, f->phase))
			f->since = am_clock_boot(f->clock);
		(void)am_strlcpy(f->phase, phase, sizeof(f->phase));
		(void)am_strlcpy(f->reason, reason, sizeof(f->reason));
		(void)am_strlcpy(f->message, message, sizeof(f->message));
		f->unsaid = f->phases && !f->ctl->json;
		/* The last phase comes after the last messages. */
		if (f->unsaid && (!ctl_terminal(phase) || f->messages_done))
			say_phase(f);
	}
	f->over = ctl_terminal(phase) || f->lost;
	f->events++;
	am_cond_broadcast(&f->changed);
	am_unlock(&f->lock);
}

static int
on_event(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct am_node *event = am_node_parse(arena, text, n, err), *object;
	struct follow *f = arg;
	const char *type;

	if (event == NULL)
		return -err->code;
	type = ctl_text(event, "/type");
	object = am_node_get(event, "object");
	if (am_streq(type, "ERROR"))
		return ambient_err(err, AMBIENT_E_GONE, "the watch ended");
	if (object == NULL || !am_streq(ctl_text(object, "/metadata/name"), f->name))
		return 0;
	if (am_streq(type, "DELETED")) {
		am_lock(&f->lock);
		f->gone = f->over = true;
		am_cond_broadcast(&f->changed);
		am_unlock(&f->lock);
	} else if (!am_streq(type, "BOOKMARK")) {
		take(f, object);
	}
	return f->over ? -AMBIENT_E_CANCELLED : 0;
}

static void
finish_with(struct follow *f, const struct ambient_error *err)
{
	am_lock(&f->lock);
	f->err = *err;
	f->failed = f->over = true;
	am_cond_broadcast(&f->changed);
	am_unlock(&f->lock);
}

static void
say_away(struct follow *f, const struct ambient_error *err)
{
	am_lock(&f->lock);
	wipe(f);
	(void)fputs("ambientctl: ", stderr);
	ctl_put_clean(stderr, err->message, true);
	(void)fputs("; trying again\n", stderr);
	am_unlock(&f->lock);
}

static void
watcher(void *arg)
{
	struct follow *f = arg;
	bool known = f->version[0] != '\0';
	int broken = 0;

	while (!f->over && !interrupted()) {
		struct am_arena *arena = am_arena_new();
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_node *session;
		int rc = known ? 0 : ctl_get(f->ctl, arena, f->name, &session, &err);

		if (rc == 0) {
			broken = 0;
			if (!known)
				take(f, session);
		}
		known = false;
		am_arena_free(arena);
		if (rc == 0 && !f->over) {
			rc = ctl_watch(f->ctl, CTL_KIND, f->name, f->version, WATCH_S, &ctl_interrupted, on_event, f, &err);
			/* Some pause, should every watch end at once. */
			if (rc < 0 && !f->over)
				(void)usleep(100 * 1000);
			rc = rc == -AMBIENT_E_FORBIDDEN ? rc : 0;
		} else if (rc < 0 && ((err.code != AMBIENT_E_UNAVAILABLE && err.code != AMBIENT_E_TIMEOUT) || f->version[0] == '\0'))
			return finish_with(f, &err); /* a server that never answered is no server that is away */
		/* Forbidden to watch, or the server is away: look again now and then, for ten minutes at most. */
		if (rc < 0 && rc != -AMBIENT_E_FORBIDDEN && ++broken > 600)
			return finish_with(f, &err);
		if (rc < 0 && rc != -AMBIENT_E_FORBIDDEN && broken == 1)
			say_away(f, &err);
		if (rc < 0)
			(void)usleep(1000 * 1000);
	}
}

static int
on_log(void *arg, const char *p, size_t n)
{
	struct follow *f = arg;

	if (ctl_messages_feed(&f->log, p, n))
		return 0;
	am_lock(&f->lock);
	f->lost = f->over = true;
	am_cond_broadcast(&f->changed);
	am_unlock(&f->lock);
	return -AMBIENT_E_CANCELLED;
}

/* There is no log yet, or it has ended: the session's next event tells more, or else it is time to look again. */
static void
wait_event(struct follow *f, unsigned seen)
{
	int64_t until = am_clock_boot(f->clock) + AM_NS_PER_S / 5;

	am_lock(&f->lock);
	while (f->events == seen && !f->over && !interrupted() && am_clock_boot(f->clock) < until)
		(void)am_cond_wait(&f->changed, &f->lock, until);
	am_unlock(&f->lock);
}

static void
reader(void *arg)
{
	struct follow *f = arg;
	bool last = false;

	while (!last && !interrupted()) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		char pod[256];
		unsigned seen;

		am_lock(&f->lock);
		while (f->pod[0] == '\0' && !f->over && !interrupted())
			(void)am_cond_wait(&f->changed, &f->lock, am_clock_boot(f->clock) + AM_NS_PER_S / 5);
		last = f->over;
		seen = f->events;
		(void)am_strlcpy(pod, f->pod, sizeof(pod));
		am_unlock(&f->lock);
		if (pod[0] == '\0')
			continue;
		ctl_messages_again(&f->log);
		if (ctl_stream_log(f->ctl, pod, "runner", true, on_log, f, &err) == 0)
			last = last || f->over;
		if (!last)
			wait_event(f, seen);
	}
	am_lock(&f->lock);
	f->messages_done = true;
	am_cond_broadcast(&f->changed);
	am_unlock(&f->lock);
}

static void
draw(struct follow *f)
{
	static const char spinner[] = "|/-\\";
	int64_t s = (am_clock_boot(f->clock) - f->since) / AM_NS_PER_S;

	if (!f->progress || f->phase[0] == '\0' || s < 2)
		return;
	(void)fprintf(stderr, "\r\033[K%c %s %llds", spinner[s % 4], f->phase, (long long)s);
	(void)fflush(stderr);
	f->drawn = true;
}

/* What came of it, after the end. */
static int
conclude(struct follow *f)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *session;

	if (f->lost)
		return CTL_FAILED;
	if (f->failed)
		return ctl_fail(&f->err, "session \"%s\"", f->name);
	if (f->gone) {
		(void)fprintf(stderr, "ambientctl: session \"%s\" was deleted\n", f->name);
		return CTL_NOTFOUND;
	}
	if (ctl_get(f->ctl, arena, f->name, &session, &err) < 0)
		return ctl_fail(&err, "session \"%s\"", f->name);
	if (f->ctl->json && f->phases)
		ctl_print_json(session);
	else if (f->phases)
		ctl_print_repos(f->ctl, session);
	else if (f->log.last_seq == 0 && f->log.plain_shown == 0 && !f->ctl->json)
		(void)ctl_say_why(f->name, "no messages", session);
	return ctl_exit_of(ctl_text(session, "/status/phase"));
}

int
ctl_follow(struct ctl *ctl, const char *name, const struct am_node *session, bool phases, bool messages)
{
	struct follow f = {
		.ctl = ctl, .name = name, .phases = phases, .messages = messages, .clock = am_clock_real(),
		.progress = ctl->terminal && isatty(STDERR_FILENO) == 1 && ctl->color,
		.messages_done = !messages,
	};
	struct am_thread *watching, *reading = NULL;
	int64_t last = AM_FOREVER;
	int rc;

	f.log = (struct ctl_messages){ .ctl = ctl, .session = name, .before = before_output, .after = after_output, .arg = &f };
	if (ctl_from(ctl, &f.log.last_seq) == 0)
		f.log.last_seq--;
	am_lock_init(&f.lock, "follow");
	am_cond_init(&f.changed, f.clock);
	if (session != NULL)
		take(&f, session);
	watching = am_thread_new("watch", 0, watcher, &f);
	if (watching != NULL && messages)
		reading = am_thread_new("messages", 0, reader, &f);
	if (watching == NULL || (messages && reading == NULL)) {
		ctl_interrupted = 1;
		am_thread_join(watching);
		(void)fputs("ambientctl: the system gives no thread\n", stderr);
		return CTL_FAILED;
	}
	am_lock(&f.lock);
	while (!interrupted() && !(f.over && f.messages_done) && am_clock_boot(f.clock) < last) {
		(void)am_cond_wait(&f.changed, &f.lock, am_clock_boot(f.clock) + AM_NS_PER_S / 4);
		f.lost = f.lost || !ctl_is_read();
		f.over = f.over || f.lost;
		if (f.over && last == AM_FOREVER)
			last = am_clock_boot(f.clock) + (f.gone || f.failed || f.lost ? 0 : LAST_NS);
		if (!f.over)
			draw(&f);
	}
	wipe(&f);
	if (f.unsaid && f.over && !f.gone && !f.lost)
		say_phase(&f);
	am_unlock(&f.lock);

	bool ended = f.over;

	__atomic_store_n(&ctl_interrupted, 1, __ATOMIC_RELEASE); /* ends both threads' requests */
	am_thread_join(watching);
	am_thread_join(reading);
	__atomic_store_n(&ctl_interrupted, 0, __ATOMIC_RELEASE);
	ctl_messages_fini(&f.log);
	if (ended) {
		rc = conclude(&f);
	} else {
		(void)fprintf(stderr, "\nsession \"%s\" goes on; see it with: ambientctl messages -f %s -n %s; end it with: "
			      "ambientctl stop %s -n %s\n", name, name, ctl->ns, name, ctl->ns);
		rc = CTL_INTERRUPTED;
	}
	am_cond_fini(&f.changed);
	am_lock_fini(&f.lock);
	return rc;
}
