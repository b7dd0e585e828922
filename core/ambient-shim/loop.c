/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a pod: what may start, what must stop, and when.  Init containers one after the other, of which
 * sidecars only need to come up; then the main containers together.  The pod closes when it is told to, when an
 * init container has failed for good, when its time is over, or when all main containers have ended; then the
 * sidecars end, the last one first.  When nothing runs any more, the record "end" is written and the loop returns.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/data/scan.h"

#define READY_TIME  AM_NS_PER_S
#define EVICT_GRACE AM_NS_PER_S
#define WATCH_MAX   (4 + 3 * SHIM_CLIENTS_MAX + 3 * SHIM_CONTAINERS_MAX + 128)

static bool
due(const struct shim_container *c)
{
	return !c->held && (c->phase == SHIM_WAITING || (c->phase == SHIM_BACKOFF && c->retry_at <= shim_now()));
}

static bool
undefined(const struct shim_container *c)
{
	return c->held && c->phase == SHIM_WAITING;
}

static bool
any(const struct shim *shim, int phase)
{
	for (size_t i = 0; i < shim->count; i++)
		if ((int)shim->containers[i].phase == phase)
			return true;
	return false;
}

static bool
runs(const struct shim_container *c)
{
	return c->phase == SHIM_STARTING || c->phase == SHIM_RUNNING;
}

/* ---- start ---- */

/* All main containers that are due; returns whether there were any. */
static bool
start_main(struct shim *shim)
{
	struct shim_container *set[SHIM_CONTAINERS_MAX];
	size_t n = 0;

	for (size_t i = shim->init_count; i < shim->count; i++) {
		if (due(&shim->containers[i]))
			set[n++] = &shim->containers[i];
		else if (undefined(&shim->containers[i]))
			shim_define_ask(shim, &shim->containers[i]);
	}
	for (size_t i = 0; i < n; i++)
		shim_life_announce(shim, set[i], i + 1 == n);
	for (size_t i = 0; i < n; i++)
		shim_life_start(shim, set[i]);
	return n > 0;
}

/* Starts whatever is due: the next init container, else all main containers that wait.  True when it did: what was
 * started wants a turn of its own, for its probes. */
static bool
advance(struct shim *shim)
{
	bool began = false;

	for (size_t i = 0; i < shim->init_count && !shim->closing; i++) {
		struct shim_container *c = &shim->containers[i];

		if (due(c)) {
			shim_life_announce(shim, c, true);
			shim_life_start(shim, c);
			began = true;
		} else if (undefined(c)) {
			shim_define_ask(shim, c);
		}
		if (shim->failed_init || (c->sidecar ? !c->was_up : c->phase != SHIM_ENDED))
			return began;
	}
	return (!shim->closing && start_main(shim)) || began;
}

/* ---- stop ---- */

static bool
mains_ended(const struct shim *shim)
{
	for (size_t i = shim->init_count; i < shim->count; i++)
		if (shim->containers[i].phase != SHIM_ENDED)
			return false;
	return true;
}

/* Sidecars serve the others to their end, and each other: one stops after all that were started after it. */
static void
stop_more(struct shim *shim)
{
	bool late = shim_now() >= shim->kill_at, wait = false;

	for (size_t i = 0; i < shim->count; i++) {
		struct shim_container *c = &shim->containers[i];

		if (!c->sidecar || late || !runs(c))
			shim_life_stop(shim, c, shim->kill_at);
		wait = wait || (!c->sidecar && runs(c));
	}
	for (size_t i = shim->init_count; i > 0 && !wait; i--) {
		struct shim_container *c = &shim->containers[i - 1];

		shim_life_stop(shim, c, shim->kill_at);
		wait = runs(c);
	}
}

static void
close_pod(struct shim *shim, int64_t kill_at)
{
	if (!shim->closing)
		shim->kill_at = kill_at;
	shim->kill_at = AM_MIN(shim->kill_at, kill_at);
	shim->closing = true;
	stop_more(shim);
}

void
shim_stop(struct shim *shim, int64_t grace)
{
	struct am_buf line = { 0 };

	/* Only a shorter grace is news. */
	if (shim->stopping && shim_now() + grace >= shim->kill_at)
		return;
	shim_record(&line, "stop", NULL);
	am_json_addf(&line, ",\"graceMs\":%l", grace / AM_NS_PER_MS);
	shim_record_end(shim, &line, false);
	shim->stopping = true;
	close_pod(shim, shim_now() + grace);
}

static int64_t
tick_deadline(struct shim *shim)
{
	int64_t at = shim->started - shim->elapsed + shim->deadline;
	struct am_buf line = { 0 };

	if (shim->deadline == 0 || shim->timed_out || shim->stopping)
		return AM_FOREVER;
	if (shim_now() < at)
		return at;
	shim->timed_out = true;
	shim_record(&line, "deadline", NULL);
	shim_record_end(shim, &line, true);
	shim_stop(shim, shim->grace);
	return AM_FOREVER;
}

/* What a pod keeps on disk is looked at from time to time; beyond its limit the pod is evicted. */
static int64_t
tick_quota(struct shim *shim)
{
	struct am_buf line = { 0 };

	if (shim->quota_count == 0 || shim->stopping)
		return AM_FOREVER;
	if (shim->measuring == NULL) {
		if (shim_now() < shim->measure_at)
			return shim->measure_at;
		shim->measuring = shim_task_measure(shim);
	}
	if (!shim_task_done(shim->measuring))
		return AM_FOREVER;
	shim->measure_at = shim_now() + shim->measure;
	if (!shim_task_ok(shim->measuring) && shim_task_text(shim->measuring)[0] != '\0') {
		shim->evicted = true;
		shim_record(&line, "evict", NULL);
		am_json_addf(&line, ",\"message\":%s", shim_task_text(shim->measuring));
		shim_record_end(shim, &line, true);
		shim_stop(shim, AM_MIN(shim->grace, EVICT_GRACE));
	}
	shim_task_drop(shim, &shim->measuring);
	return shim->measure_at;
}

/* It was asked to end after its own turn. */
static bool
unsignalled(const struct shim_container *c)
{
	return c->phase == SHIM_RUNNING && c->stop_wanted && c->hook == NULL && !c->signalled && !c->reaped;
}

/* What time does.  Returns the next time to look, AM_FOREVER when only events matter. */
static int64_t
tick(struct shim *shim)
{
	int64_t next = AM_MIN(tick_deadline(shim), tick_quota(shim));

	for (struct shim_task *t = shim->tasks; t != NULL; t = shim_task_next(t))
		next = AM_MIN(next, shim_task_tick(t));
	for (size_t i = 0; i < shim->count; i++)
		next = AM_MIN(next, shim_life_tick(shim, &shim->containers[i]));
	if (!shim->closing && (shim->failed_init || mains_ended(shim)))
		close_pod(shim, shim_now() + shim->grace);
	else if (shim->closing)
		stop_more(shim);
	else if (advance(shim))
		next = AM_MIN(next, shim_now());
	for (size_t i = 0; i < shim->count; i++) {
		if (shim->containers[i].phase == SHIM_STARTING && shim->containers[i].sandbox != SHIM_PODMAN)
			next = AM_MIN(next, shim_now() + AM_NS_PER_MS);
		else if (unsignalled(&shim->containers[i]))
			next = AM_MIN(next, shim_now());
	}
	return AM_MIN(next, shim_attach_tick(shim));
}

static bool
over(const struct shim *shim)
{
	return shim->closing && !any(shim, SHIM_STARTING) && !any(shim, SHIM_RUNNING) && shim->execs == NULL &&
	       shim->attaches == NULL;
}

void
shim_snapshot(struct shim *shim, struct am_buf *out)
{
	static const char *const phases[] = { "waiting", "starting", "running", "backoff", "ended" };

	am_json_addf(out, "{\"ok\":true,\"stopping\":%b,\"containers\":[", shim->stopping);
	for (size_t i = 0; i < shim->count; i++) {
		const struct shim_container *c = &shim->containers[i];

		am_json_addf(out, "%j{\"name\":%s,\"phase\":%s,\"n\":%d,\"pid\":%d,\"ready\":%b}", i > 0 ? "," : "", c->name,
			     phases[c->phase], c->restart, (int)c->child, c->ready);
	}
	am_buf_adds(out, "]}\n");
}

static void
reap(struct shim *shim)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (shim_task_reaped(shim, pid, status) || shim_exec_reaped(shim, pid, status) || shim_pause_reaped(shim, pid))
			continue;
		for (size_t i = 0; i < shim->count; i++) {
			struct shim_container *c = &shim->containers[i];

			if (c->pid != pid || c->reaped)
				continue;
			c->reaped = true;
			c->wait_status = status;
			c->reaped_at = shim_now();
			shim_life_read_status(shim, c);
			shim_sandbox_sweep(shim, c);
		}
	}
}

/* ---- events ---- */

struct watch {
	struct pollfd fds[WATCH_MAX];
	struct shim_container *owner[WATCH_MAX];
	int stream[WATCH_MAX];
	size_t count;
};

static void
add(struct watch *w, int fd, struct shim_container *owner, int stream)
{
	if (fd < 0 || w->count == WATCH_MAX)
		return;
	w->fds[w->count] = (struct pollfd){ .fd = fd, .events = POLLIN };
	w->owner[w->count] = owner;
	w->stream[w->count++] = stream;
}

/* Only wakes us, for the next tick. */
static void
add_out(struct watch *w, int fd)
{
	size_t before = w->count;

	add(w, fd, NULL, 0);
	if (w->count > before)
		w->fds[before].events = POLLOUT;
}

static void
read_output(struct shim *shim, struct shim_container *c, int stream)
{
	am_auto(am_buf_fini) struct am_buf copy = { 0 };
	bool watched = shim_attach_any(shim, c);

	shim_log_read(c->log, stream, watched ? &copy : NULL);
	if (copy.len > 0)
		shim_attach_feed(shim, c, stream, copy.data, copy.len);
}

static void
wait_events(struct shim *shim, int64_t until)
{
	struct watch w = { .count = 0 };
	size_t clients = shim->client_count, first;
	struct signalfd_siginfo info;
	int timeout = -1;

	add(&w, shim->signal_fd, NULL, 0);
	add(&w, shim->listen_fd, NULL, 0);
	first = w.count;
	for (size_t i = 0; i < clients; i++)
		add(&w, shim->clients[i].fd, NULL, 0);
	for (size_t i = 0; i < shim->count; i++) {
		struct shim_container *c = &shim->containers[i];

		if (c->log == NULL)
			continue;
		/* Who is attached and reads slowly holds up the program, as a terminal would; but not its end. */
		if (c->reaped || !shim_attach_full(shim, c)) {
			add(&w, shim_log_fd(c->log, 0), c, 0);
			add(&w, shim_log_fd(c->log, 1), c, 1);
		}
		add(&w, c->status_fd, c, 2);
	}
	/* Their output is drained below whatever poll says of which; this only wakes us. */
	for (const struct shim_task *t = shim->tasks; t != NULL; t = shim_task_next(t))
		add(&w, shim_task_fd(t), NULL, 0);
	for (const struct shim_attach *a = shim->attaches; a != NULL; a = shim_attach_next(a)) {
		add_out(&w, shim_attach_fd(a, 0));
		add_out(&w, shim_attach_fd(a, 1));
	}
	if (until != AM_FOREVER)
		timeout = (int)AM_MIN(AM_MAX((until - shim_now() + AM_NS_PER_MS - 1) / AM_NS_PER_MS, 0), 60000);
	if (poll(w.fds, w.count, timeout) <= 0)
		return;
	for (struct shim_task *t = shim->tasks; t != NULL; t = shim_task_next(t))
		shim_task_read(t);
	for (size_t i = first + clients; i < w.count; i++) {
		if (w.fds[i].revents == 0 || w.owner[i] == NULL)
			continue;
		if (w.stream[i] == 2)
			shim_life_read_status(shim, w.owner[i]);
		else
			read_output(shim, w.owner[i], w.stream[i]);
	}
	if (w.fds[0].revents != 0) {
		while (read(shim->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
			;
		reap(shim);
	}
	/* From the last to the first: dropping one moves only later ones. */
	for (size_t i = clients; i > 0; i--)
		if (w.fds[first + i - 1].revents != 0 && i <= shim->client_count)
			shim_control_read(shim, i - 1);
	if (w.fds[1].revents != 0)
		shim_control_accept(shim);
}

void
shim_loop(struct shim *shim, int ready_fd)
{
	struct am_buf line = { 0 };
	int64_t next;

	shim->started = shim_now();
	shim->measure_at = shim->started + shim->measure;
	shim_record(&line, "shim", NULL);
	am_json_addf(&line, ",\"version\":%d,\"pid\":%d", SHIM_STATE_VERSION, (int)getpid());
	shim_record_end(shim, &line, true);
	(void)advance(shim);
	for (;;) {
		next = tick(shim);
		if (ready_fd >= 0 && (!any(shim, SHIM_STARTING) || shim_now() >= shim->started + READY_TIME)) {
			(void)!write(ready_fd, "+", 1);
			(void)close(ready_fd);
			ready_fd = -1;
		}
		if (over(shim))
			break;
		wait_events(shim, next);
	}
	shim_pause_end(shim);
	shim_cgroup_close(shim);
	shim_record(&line, "end", NULL);
	shim_record_end(shim, &line, true);
	shim_control_close(shim);
}
