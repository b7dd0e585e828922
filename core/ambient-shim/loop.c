/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a pod.  Invariants: "starting n" is durable before instance n is started; an instance has ended
 * when its process is reaped and its output is on disk (or 2 s later, if something else holds the pipes); after
 * "stop" or "deadline" nothing is started; when nothing runs and nothing will, the record "end" is written and
 * the loop returns.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/str.h"
#include "core/data/scan.h"

#define DRAIN_TIME  (2 * AM_NS_PER_S)    /* for output after the end */
#define BLOCK_TIME  (10 * AM_NS_PER_S)   /* for a disk that takes nothing, after the end */
#define RETRY_DISK  AM_NS_PER_S
#define EXEC_LOOK   AM_NS_PER_MS         /* between looks whether the program has been executed */
#define EXEC_TIME   (2 * AM_NS_PER_S)    /* then it is said to run anyway */
#define BACKOFF_CAP (300 * AM_NS_PER_S)
#define BACKOFF_OK  (600 * AM_NS_PER_S)  /* a run that long starts the back-off anew */
#define READY_TIME  AM_NS_PER_S

static int64_t
now(void)
{
	return am_clock_boot(am_clock_real());
}

static void
stamp(char buf[32], int64_t wall)
{
	am_time_format(buf, wall, true);
}

/* Opens a record: {"t":…,"rec":…,"container":…,"n":… */
static void
record(struct am_buf *line, const char *rec, const struct shim_container *c)
{
	char t[32];

	stamp(t, am_clock_wall(am_clock_real()));
	am_json_addf(line, "{\"t\":%s,\"rec\":%s", t, rec);
	if (c != NULL)
		am_json_addf(line, ",\"container\":%s,\"n\":%d", c->name, c->restart);
}

static void
record_end(struct shim *shim, struct am_buf *line, bool sync)
{
	am_buf_addc(line, '}');
	shim_state_add(shim, line, sync);
	am_buf_fini(line);
}

static void
send_signal(const struct shim_container *c, int signal)
{
	if (c->child_fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, c->child_fd, signal, NULL, 0);
	else if (signal == SIGKILL && c->pid > 0 && !c->reaped)
		(void)kill(c->pid, SIGKILL); /* bubblewrap itself: takes its container along */
}

static void
set_running(struct shim *shim, struct shim_container *c)
{
	struct am_buf line = { 0 };
	char t[32];

	c->phase = SHIM_RUNNING;
	stamp(t, c->started_wall);
	record(&line, "running", c);
	am_json_addf(&line, ",\"pid\":%d,\"started\":%s", (int)c->child, t);
	record_end(shim, &line, false);
	if (c->term_wanted)
		send_signal(c, SIGTERM);
}

static void finish(struct shim *shim, struct shim_container *c, int code, const char *reason, const char *message);

static bool
due(const struct shim_container *c)
{
	return c->phase == SHIM_WAITING || (c->phase == SHIM_BACKOFF && c->retry_at <= now());
}

/* sync: the last of those that start together; it makes all their records durable. */
static void
announce(struct shim *shim, struct shim_container *c, bool sync)
{
	struct am_buf line = { 0 };

	record(&line, "starting", c);
	record_end(shim, &line, sync);
	c->phase = SHIM_STARTING;
}

static void
start(struct shim *shim, struct shim_container *c)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	c->pid = 0;
	c->reaped = c->term_wanted = false;
	c->started = now();
	c->started_wall = am_clock_wall(am_clock_real());
	if (shim_sandbox_start(shim, c, &err) < 0) {
		finish(shim, c, 128, "StartError", err.message);
		return;
	}
	if (shim->sandbox == SHIM_NONE)
		set_running(shim, c);
}

/* All main containers that are due. */
static void
start_main(struct shim *shim)
{
	struct shim_container *set[SHIM_CONTAINERS_MAX];
	size_t n = 0;

	for (size_t i = shim->init_count; i < shim->count; i++)
		if (due(&shim->containers[i]))
			set[n++] = &shim->containers[i];
	for (size_t i = 0; i < n; i++)
		announce(shim, set[i], i + 1 == n);
	for (size_t i = 0; i < n; i++)
		start(shim, set[i]);
}

/* Starts whatever is due: the next init container, else all main containers that wait. */
static void
advance(struct shim *shim)
{
	for (size_t i = 0; i < shim->init_count && !shim->stopping && !shim->failed_init; i++) {
		struct shim_container *c = &shim->containers[i];

		if (due(c)) {
			announce(shim, c, true);
			start(shim, c);
		}
		if (c->phase != SHIM_ENDED)
			return;
	}
	if (!shim->stopping && !shim->failed_init)
		start_main(shim);
}

static void
back_off(struct shim *shim, struct shim_container *c)
{
	int64_t delay = shim->backoff << AM_MIN(c->tries, 10);
	struct am_buf line = { 0 };
	char text[96];

	if (now() - c->started >= BACKOFF_OK) {
		c->tries = 0;
		delay = shim->backoff;
	}
	delay = AM_MIN(delay, BACKOFF_CAP);
	c->tries++;
	c->restart++;
	c->phase = SHIM_BACKOFF;
	c->retry_at = now() + delay;
	(void)snprintf(text, sizeof(text), "back-off %lldms restarting failed container", (long long)(delay / AM_NS_PER_MS));
	record(&line, "waiting", c);
	am_json_addf(&line, ",\"reason\":\"CrashLoopBackOff\",\"message\":%s", text);
	record_end(shim, &line, false);
}

static void
close_container(struct shim_container *c)
{
	if (c->child_fd >= 0)
		(void)close(c->child_fd);
	if (c->status_fd >= 0)
		(void)close(c->status_fd);
	c->child_fd = c->status_fd = -1;
	shim_log_close(c->log);
	c->log = NULL;
	am_buf_fini(&c->status);
	c->status = (struct am_buf){ 0 };
}

static void
finish(struct shim *shim, struct shim_container *c, int code, const char *reason, const char *message)
{
	am_auto(am_buf_fini) struct am_buf termination = { 0 };
	struct am_buf line = { 0 };
	char started[32], finished[32];
	bool retry;

	if (message == NULL) {
		am_auto(am_freep) char *path = am_xasprintf("%s/termination-log", shim_container_dir(shim, c));

		(void)am_file_read(path, 4096, &termination, NULL);
		message = am_buf_str(&termination);
	}
	close_container(c);
	stamp(started, c->started_wall);
	stamp(finished, am_clock_wall(am_clock_real()));
	c->code = code;
	record(&line, "exit", c);
	am_json_addf(&line, ",\"code\":%d,\"reason\":%s,\"message\":%s,\"started\":%s,\"finished\":%s", code, reason, message,
		     started, finished);
	record_end(shim, &line, true);
	retry = !shim->stopping && ((shim->restart == SHIM_ALWAYS && (!c->init || code != 0)) ||
				    (shim->restart == SHIM_ON_FAILURE && code != 0));
	if (retry) {
		back_off(shim, c);
		return;
	}
	c->phase = SHIM_ENDED;
	if (c->init && code != 0)
		shim->failed_init = true;
}

/* Lines of bubblewrap: {"child-pid":N,…} once it has forked, {"exit-code":N} at the end of an executed program. */
static void
read_status(struct shim_container *c)
{
	char chunk[1024], *nl;
	ssize_t n;

	if (c->status_fd < 0)
		return;
	while ((n = read(c->status_fd, chunk, sizeof(chunk))) > 0)
		am_buf_add(&c->status, chunk, (size_t)n);
	if (n == 0) {
		(void)close(c->status_fd);
		c->status_fd = -1;
	}
	while (c->status.len > 0 && (nl = memchr(c->status.data, '\n', c->status.len)) != NULL) {
		struct am_slice text = am_slice(c->status.data, (size_t)(nl - c->status.data));
		int64_t child = 0;

		if (am_json_check(text.p, text.n, NULL) == 0) {
			child = am_json_int(text, "/child-pid", 0);
			c->status_code = (int)am_json_int(text, "/exit-code", c->status_code);
		}
		if (child > 0 && c->child_fd < 0) {
			c->child = (pid_t)child;
			c->child_fd = (int)syscall(SYS_pidfd_open, c->child, 0);
		}
		am_buf_consume(&c->status, (size_t)(nl - c->status.data) + 1);
	}
}

static void
reap(struct shim *shim)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < shim->count; i++) {
			struct shim_container *c = &shim->containers[i];

			if (c->pid != pid || c->reaped)
				continue;
			c->reaped = true;
			c->wait_status = status;
			c->reaped_at = now();
			shim_sandbox_sweep(shim, c);
		}
	}
}

/* In our words what bubblewrap said: "bwrap: execvp NAME: TEXT". */
static void
start_error(const struct shim_container *c, char *out, size_t size)
{
	const char *said = shim_log_tail(c->log);

	if (am_starts(said, "bwrap: execvp "))
		(void)snprintf(out, size, "cannot start %s", said + strlen("bwrap: execvp "));
	else if (am_starts(said, "bwrap: "))
		(void)snprintf(out, size, "cannot make the sandbox: %s", said + strlen("bwrap: "));
	else
		(void)snprintf(out, size, "cannot start %s%s%s", c->argv[0], said[0] != '\0' ? ": " : "", said);
}

/* Ends the instance when all that it left is on disk. */
static void
settle(struct shim *shim, struct shim_container *c)
{
	int64_t limit = shim_log_blocked(c->log) ? BLOCK_TIME : DRAIN_TIME;
	int status = c->wait_status;

	if (!shim_log_done(c->log) && now() < c->reaped_at + limit)
		return;
	read_status(c);
	if (c->status_code >= 0)
		finish(shim, c, c->status_code, c->status_code == 0 ? "Completed" : "Error", NULL);
	else if (WIFSIGNALED(status))
		finish(shim, c, 128 + WTERMSIG(status), "Error", NULL);
	else if (shim->sandbox == SHIM_BWRAP) {
		char text[640];

		start_error(c, text, sizeof(text));
		finish(shim, c, 128, "StartError", text);
	} else
		finish(shim, c, WEXITSTATUS(status), WEXITSTATUS(status) == 0 ? "Completed" : "Error", NULL);
}

void
shim_stop(struct shim *shim, int64_t grace)
{
	struct am_buf line = { 0 };

	/* Only a shorter grace is news. */
	if (shim->stopping && now() + grace >= shim->kill_at)
		return;
	record(&line, "stop", NULL);
	am_json_addf(&line, ",\"graceMs\":%l", grace / AM_NS_PER_MS);
	record_end(shim, &line, false);
	shim->kill_at = now() + grace;
	for (size_t i = 0; i < shim->count; i++) {
		struct shim_container *c = &shim->containers[i];

		if (c->phase == SHIM_WAITING || c->phase == SHIM_BACKOFF) {
			c->phase = SHIM_ENDED;
			continue;
		}
		/* Before the program has been executed nobody would take the signal. */
		if (c->phase == SHIM_RUNNING && !c->term_wanted)
			send_signal(c, SIGTERM);
		c->term_wanted = true;
	}
	shim->stopping = true;
}

void
shim_snapshot(struct shim *shim, struct am_buf *out)
{
	static const char *const phases[] = { "waiting", "starting", "running", "backoff", "ended" };

	am_json_addf(out, "{\"ok\":true,\"stopping\":%b,\"containers\":[", shim->stopping);
	for (size_t i = 0; i < shim->count; i++) {
		const struct shim_container *c = &shim->containers[i];

		am_json_addf(out, "%j{\"name\":%s,\"phase\":%s,\"n\":%d,\"pid\":%d}", i > 0 ? "," : "", c->name,
			     phases[c->phase], c->restart, (int)c->child);
	}
	am_buf_adds(out, "]}\n");
}

/* What time does: programs that have come up, ends, the deadline, SIGKILL, retries.  Returns the next time to
 * look, AM_FOREVER when only events matter. */
static int64_t
tick(struct shim *shim)
{
	int64_t next = AM_FOREVER;

	if (shim->deadline > 0 && !shim->timed_out && now() >= shim->started + shim->deadline) {
		struct am_buf line = { 0 };

		shim->timed_out = true;
		record(&line, "deadline", NULL);
		record_end(shim, &line, true);
		shim_stop(shim, shim->grace);
	}
	for (size_t i = 0; i < shim->count; i++) {
		struct shim_container *c = &shim->containers[i];

		if (c->phase != SHIM_STARTING && c->phase != SHIM_RUNNING)
			continue;
		if (shim->stopping && now() >= shim->kill_at)
			send_signal(c, SIGKILL);
		if (c->reaped) {
			settle(shim, c);
		} else if (c->phase == SHIM_STARTING && c->child > 0 &&
			   (shim_sandbox_executed(shim, c) || now() >= c->started + EXEC_TIME)) {
			set_running(shim, c);
		}
		if (c->phase == SHIM_STARTING && !c->reaped)
			next = AM_MIN(next, now() + EXEC_LOOK);
		else if ((c->phase == SHIM_RUNNING || c->phase == SHIM_STARTING) && c->reaped)
			next = AM_MIN(next, now() + 100 * AM_NS_PER_MS);
		if (c->log != NULL && shim_log_blocked(c->log))
			next = AM_MIN(next, now() + RETRY_DISK);
	}
	advance(shim);
	for (size_t i = 0; i < shim->count; i++) {
		if (shim->containers[i].phase == SHIM_BACKOFF)
			next = AM_MIN(next, shim->containers[i].retry_at);
		else if (shim->containers[i].phase == SHIM_STARTING)
			next = AM_MIN(next, now() + EXEC_LOOK);
	}
	if (shim->deadline > 0 && !shim->timed_out)
		next = AM_MIN(next, shim->started + shim->deadline);
	if (shim->stopping)
		next = AM_MIN(next, AM_MAX(shim->kill_at, now() + 50 * AM_NS_PER_MS));
	return next;
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
over(const struct shim *shim)
{
	if (any(shim, SHIM_STARTING) || any(shim, SHIM_RUNNING) || any(shim, SHIM_BACKOFF))
		return false;
	return shim->stopping || shim->failed_init || !any(shim, SHIM_WAITING);
}

struct watch {
	struct pollfd fds[4 + SHIM_CLIENTS_MAX + 3 * SHIM_CONTAINERS_MAX];
	struct shim_container *owner[4 + SHIM_CLIENTS_MAX + 3 * SHIM_CONTAINERS_MAX];
	int stream[4 + SHIM_CLIENTS_MAX + 3 * SHIM_CONTAINERS_MAX];
	size_t count;
};

static void
add(struct watch *w, int fd, struct shim_container *owner, int stream)
{
	if (fd < 0)
		return;
	w->fds[w->count] = (struct pollfd){ .fd = fd, .events = POLLIN };
	w->owner[w->count] = owner;
	w->stream[w->count++] = stream;
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
		add(&w, shim_log_fd(c->log, 0), c, 0);
		add(&w, shim_log_fd(c->log, 1), c, 1);
		add(&w, c->status_fd, c, 2);
	}
	if (until != AM_FOREVER)
		timeout = (int)AM_MIN(AM_MAX((until - now() + AM_NS_PER_MS - 1) / AM_NS_PER_MS, 0), 60000);
	if (poll(w.fds, w.count, timeout) <= 0)
		return;
	for (size_t i = first + clients; i < w.count; i++) {
		if (w.fds[i].revents == 0)
			continue;
		if (w.stream[i] == 2)
			read_status(w.owner[i]);
		else
			shim_log_read(w.owner[i]->log, w.stream[i]);
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

	shim->started = now();
	record(&line, "shim", NULL);
	am_json_addf(&line, ",\"version\":%d,\"pid\":%d", SHIM_STATE_VERSION, (int)getpid());
	record_end(shim, &line, true);
	advance(shim);
	for (;;) {
		next = tick(shim);
		if (ready_fd >= 0 && (!any(shim, SHIM_STARTING) || now() >= shim->started + READY_TIME)) {
			(void)!write(ready_fd, "+", 1);
			(void)close(ready_fd);
			ready_fd = -1;
		}
		if (over(shim))
			break;
		wait_events(shim, next);
	}
	record(&line, "end", NULL);
	record_end(shim, &line, true);
	shim_control_close(shim);
}
