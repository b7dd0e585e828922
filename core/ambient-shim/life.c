/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One container from its start to its end, and again.  Invariants: "starting n" is durable before instance n is
 * started; an instance has ended when its process is reaped and its output is on disk (or 2 s later, if something
 * else holds the pipes); once the pod is closing nothing is started again.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
#define LISTEN_LOOK (2 * AM_NS_PER_MS)   /* between looks whether it hears signals; twice as long each time, up to */
#define LISTEN_MAX  (200 * AM_NS_PER_MS)
#define BLOCKED_LOOKS 4
#define PODMAN_LOOK (50 * AM_NS_PER_MS)  /* podman's keeper tells; this is for who waits for the first start */
#define EXEC_TIME   (2 * AM_NS_PER_S)    /* then it is said to run anyway */

static void
send_signal(const struct shim_container *c, int signal)
{
	if (c->child_fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, c->child_fd, signal, NULL, 0);
	else if (signal == SIGKILL && c->pid > 0 && !c->reaped)
		/* bubblewrap itself takes its container along; podman's keeper takes it away. */
		(void)kill(c->pid, c->sandbox == SHIM_PODMAN ? SIGTERM : SIGKILL);
}

/* ---- start ---- */

/* sync: the last of those that start together; it makes all their records durable. */
void
shim_life_announce(struct shim *shim, struct shim_container *c, bool sync)
{
	struct am_buf line = { 0 };

	shim_record(&line, "starting", c);
	if (c->of != NULL)
		am_json_addf(&line, ",\"of\":%s", c->of);
	if (c->image_id != NULL)
		am_json_addf(&line, ",\"image\":%s,\"imageID\":%s", c->image, c->image_id);
	shim_record_end(shim, &line, sync);
	c->phase = SHIM_STARTING;
}

static void
set_running(struct shim *shim, struct shim_container *c)
{
	struct am_buf line = { 0 };
	char t[32];

	c->phase = SHIM_RUNNING;
	shim_probe_begin(shim, c);
	shim_stamp(t, c->started_wall);
	shim_record(&line, "running", c);
	am_json_addf(&line, ",\"pid\":%d,\"started\":%s,\"up\":%b,\"ready\":%b", (int)c->child, t, c->up, c->ready);
	shim_record_end(shim, &line, false);
}

static void finish(struct shim *shim, struct shim_container *c, int code, const char *reason, const char *message);

void
shim_life_start(struct shim *shim, struct shim_container *c)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	c->pid = 0;
	c->reaped = c->stop_wanted = c->signalled = c->up = c->ready = false;
	c->mount_ns = c->listen_at = 0;
	c->blocked = 0;
	c->started = shim_now();
	c->started_wall = am_clock_wall(am_clock_real());
	/* Only the log of the instance before is asked for. */
	if (c->restart > 1)
		shim_log_remove(shim_container_dir(shim, c), c->restart - 2);
	/* Without a sandbox all processes of the machine share one. */
	bool shares = shim->share && c->sandbox != SHIM_NONE;

	if ((shares && shim_pause_begin(shim, &err) < 0) || shim_cgroup_make(shim, c, &err) < 0 ||
	    shim_sandbox_start(shim, c, &err) < 0) {
		finish(shim, c, 128, "StartError", err.message);
		return;
	}
	if (c->sandbox == SHIM_NONE)
		set_running(shim, c);
}

/* ---- end ---- */

static void
back_off(struct shim *shim, struct shim_container *c)
{
	int64_t delay = shim_backoff(&c->tries, shim->backoff, shim_now() - c->started);
	struct am_buf line = { 0 };
	char text[160], length[32];

	c->restart++;
	c->phase = SHIM_BACKOFF;
	c->retry_at = shim_now() + delay;
	if (delay == 0)
		return;
	shim_backoff_text(length, delay);
	(void)snprintf(text, sizeof(text), "back-off %s restarting failed container=%.64s", length, c->name);
	shim_record(&line, "waiting", c);
	am_json_addf(&line, ",\"reason\":\"CrashLoopBackOff\",\"message\":%s", text);
	shim_record_end(shim, &line, false);
	shim_note(shim, c, "BackOff", "Back-off restarting failed container %s", c->name);
}

static void
close_container(struct shim_container *c)
{
	if (c->child_fd >= 0)
		(void)close(c->child_fd);
	if (c->status_fd >= 0)
		(void)close(c->status_fd);
	if (c->input_fd >= 0)
		(void)close(c->input_fd);
	if (c->terminal >= 0)
		(void)close(c->terminal);
	if (c->mount_fd >= 0)
		(void)close(c->mount_fd);
	c->child_fd = c->mount_fd = c->status_fd = c->input_fd = c->terminal = -1;
	shim_log_close(c->log);
	c->log = NULL;
	am_buf_fini(&c->status);
	c->status = (struct am_buf){ 0 };
}

static bool
comes_back(const struct shim *shim, const struct shim_container *c)
{
	if (shim->closing)
		return false;
	if (c->sidecar || c->held)
		return true;
	return shim->restart == SHIM_ALWAYS ? !c->init || c->code != 0 : shim->restart == SHIM_ON_FAILURE && c->code != 0;
}

static void
finish(struct shim *shim, struct shim_container *c, int code, const char *reason, const char *message)
{
	am_auto(am_buf_fini) struct am_buf termination = { 0 };
	const char *dir = shim_container_dir(shim, c);
	struct am_buf line = { 0 };
	char started[32], finished[32];

	close_container(c);
	shim_probe_end(shim, c);
	shim_exec_end(shim, c);
	shim_attach_end(shim, c);
	if (code == 137 && shim_cgroup_oom(shim, c))
		reason = "OOMKilled";
	shim_cgroup_end(shim, c);
	if (message == NULL) {
		am_auto(am_freep) char *path = am_xasprintf("%s/termination-log", dir);

		(void)am_file_read(path, 4096, &termination, NULL);
		if (termination.len == 0 && c->fallback && code != 0)
			shim_log_last(dir, c->restart, &termination);
		message = am_buf_str(&termination);
	}
	shim_stamp(started, c->started_wall);
	shim_stamp(finished, am_clock_wall(am_clock_real()));
	c->code = code;
	shim_record(&line, "exit", c);
	am_json_addf(&line, ",\"code\":%d,\"reason\":%s,\"message\":%s,\"started\":%s,\"finished\":%s", code, reason, message,
		     started, finished);
	shim_record_end(shim, &line, true);
	if (comes_back(shim, c) && c->held) {
		/* What it was is no more, so neither is its back-off. */
		c->restart++;
		c->phase = SHIM_WAITING;
		return;
	}
	if (comes_back(shim, c)) {
		back_off(shim, c);
		return;
	}
	c->phase = SHIM_ENDED;
	if (c->init && !c->sidecar && code != 0)
		shim->failed_init = true;
}

/* Of podman's the program is nobody's child of ours: it is the one that is said if it is a child of the process that
 * its keeper says to be its parent, which is a child of the keeper's.  A number that was given to somebody else since
 * fails. */
static bool
is_child(const struct shim_container *c, pid_t parent)
{
	return c->sandbox != SHIM_PODMAN ||
	       (shim_stat_field(c->child, 1) == parent && shim_stat_field(parent, 1) == c->pid);
}

/* The kernel gives the number of a namespace to the next one as soon as the last process has left it: only while it is held does
 * the number say whose a process is.  bubblewrap has said it. */
static void
hold_mounts(struct shim_container *c)
{
	am_auto(am_freep) char *path = am_xasprintf("/proc/%d/ns/mnt", (int)c->child);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && (c->mount_ns == 0 || (int64_t)st.st_ino == c->mount_ns)) {
		c->mount_ns = (int64_t)st.st_ino;
		c->mount_fd = fd;
	} else {
		(void)close(fd);
	}
}

/* Lines of bubblewrap: {"child-pid":N,…} once it has forked, {"exit-code":N} at the end of an executed program.
 * podman's keeper says "child-pid" when the program has been executed, and "parent" with it. */
void
shim_life_read_status(const struct shim *shim, struct shim_container *c)
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
			c->mount_ns = am_json_int(text, "/mnt-namespace", c->mount_ns);
		}
		if (child > 0 && c->child_fd < 0) {
			c->child = (pid_t)child;
			c->child_fd = (int)syscall(SYS_pidfd_open, c->child, 0);
			if (c->child_fd >= 0 && !is_child(c, (pid_t)am_json_int(text, "/parent", 0))) {
				(void)close(c->child_fd);
				c->child_fd = -1;
			}
			if (c->child_fd >= 0 && shim->share)
				hold_mounts(c);
		}
		am_buf_consume(&c->status, (size_t)(nl - c->status.data) + 1);
	}
}

/* In our words what bubblewrap said, "bwrap: execvp NAME: TEXT", or podman, "Error: TEXT". */
static void
start_error(const struct shim_container *c, char *out, size_t size)
{
	const char *said = shim_log_tail(c->log);

	if (am_starts(said, "bwrap: execvp "))
		(void)snprintf(out, size, "cannot start %s", said + strlen("bwrap: execvp "));
	else if (am_starts(said, "bwrap: "))
		(void)snprintf(out, size, "cannot make the sandbox: %s", said + strlen("bwrap: "));
	else if (am_starts(said, "Error: "))
		(void)snprintf(out, size, "podman: %s", said + strlen("Error: "));
	else if (said[0] != '\0')
		(void)snprintf(out, size, "cannot start %s: %s", c->argv[0], said);
	else /* its first process was killed before it became the program */
		(void)snprintf(out, size, "cannot start %s: the sandbox ended with status %d and said nothing; try again", c->argv[0],
			       WEXITSTATUS(c->wait_status));
}

/* Ends the instance when all that it left is on disk. */
static void
settle(struct shim *shim, struct shim_container *c)
{
	int64_t limit = shim_log_blocked(c->log) ? BLOCK_TIME : DRAIN_TIME;
	int status = c->wait_status;

	if (!shim_log_done(c->log) && shim_now() < c->reaped_at + limit)
		return;
	shim_life_read_status(shim, c);
	if (c->status_code >= 0)
		finish(shim, c, c->status_code, c->status_code == 0 ? "Completed" : "Error", NULL);
	else if (WIFSIGNALED(status))
		finish(shim, c, 128 + WTERMSIG(status), "Error", NULL);
	else if (c->sandbox != SHIM_NONE) {
		char text[640];

		start_error(c, text, sizeof(text));
		finish(shim, c, 128, "StartError", text);
	} else
		finish(shim, c, WEXITSTATUS(status), WEXITSTATUS(status) == 0 ? "Completed" : "Error", NULL);
}

/* ---- being asked to end ---- */

void
shim_life_stop(struct shim *shim, struct shim_container *c, int64_t kill_at)
{
	if (c->phase == SHIM_WAITING || c->phase == SHIM_BACKOFF)
		c->phase = SHIM_ENDED;
	if (c->phase == SHIM_ENDED)
		return;
	if (c->stop_wanted) {
		c->kill_at = AM_MIN(c->kill_at, kill_at);
		return;
	}
	c->stop_wanted = true;
	c->kill_at = kill_at;
	/* A postStart that still runs has lost its point. */
	shim_task_drop(shim, &c->hook);
	if (c->phase == SHIM_RUNNING && c->pre_stop.kind != SHIM_NOTHING && kill_at > shim_now())
		c->hook = shim_task_start(shim, c, &c->pre_stop, kill_at - shim_now());
}

/* A set of signals in the text of /proc/PID/status. */
static bool
has_signal(const char *status, const char *set, int signal)
{
	const char *p = strstr(status, set);

	return p != NULL && (strtoull(p + strlen(set), NULL, 16) >> (signal - 1) & 1) != 0;
}

/* The first process of a PID namespace never gets a signal that it has no handler for: the kernel drops it.  One that was started
 * a moment ago may be about to have one.  Who blocks a signal may wait for it that way, or does so only while a process is made:
 * that is known when it is still blocked after a few looks.  What cannot be read is taken for one that hears. */
static bool
hears(struct shim_container *c)
{
	am_auto(am_freep) char *path = am_xasprintf("/proc/%d/status", (int)c->child);
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const char *p;

	if (c->stop_signal == SIGKILL || c->child <= 0 || am_file_read(path, 65536, &text, NULL) < 0 ||
	    (p = strstr(am_buf_str(&text), "\nNSpid:")) == NULL)
		return true;
	size_t n = strcspn(p + 1, "\n") + 1;
	if (n < 2 || p[n - 1] != '1' || p[n - 2] != '\t') /* not the first */
		return true;
	if (has_signal(am_buf_str(&text), "\nSigCgt:", c->stop_signal) || has_signal(am_buf_str(&text), "\nSigIgn:", c->stop_signal))
		return true;
	c->blocked = has_signal(am_buf_str(&text), "\nSigBlk:", c->stop_signal) ? c->blocked + 1 : 0;
	return c->blocked >= BLOCKED_LOOKS;
}

/* Before the program has been executed, and before it hears, nobody would take the signal. */
static void
ask_to_end(struct shim_container *c)
{
	bool first = !c->signalled;

	c->signalled = true;
	if (hears(c)) {
		c->listen_at = 0;
		send_signal(c, c->stop_signal);
		return;
	}
	c->listen_ns = first ? LISTEN_LOOK : AM_MIN(c->listen_ns * 2, LISTEN_MAX);
	c->listen_at = shim_now() + c->listen_ns;
}

static int64_t
stop_tick(struct shim *shim, struct shim_container *c)
{
	if (shim_now() >= c->kill_at) {
		send_signal(c, SIGKILL);
		return shim_now() + 50 * AM_NS_PER_MS;
	}
	if (c->hook != NULL && shim_task_done(c->hook)) {
		if (!shim_task_ok(c->hook))
			shim_note(shim, c, "FailedPreStopHook", "PreStopHook failed: %s", shim_task_text(c->hook));
		shim_task_drop(shim, &c->hook);
	}
	if (c->hook == NULL && c->phase == SHIM_RUNNING && (!c->signalled || (c->listen_at != 0 && shim_now() >= c->listen_at)))
		ask_to_end(c);
	return c->listen_at != 0 ? AM_MIN(c->kill_at, c->listen_at) : c->kill_at;
}

int64_t
shim_life_tick(struct shim *shim, struct shim_container *c)
{
	int64_t next = AM_FOREVER;

	if (c->phase == SHIM_BACKOFF)
		return c->retry_at;
	if (c->phase != SHIM_STARTING && c->phase != SHIM_RUNNING)
		return next;
	if (c->phase == SHIM_STARTING && !c->reaped && c->child > 0 &&
	    (shim_sandbox_executed(shim, c) || shim_now() >= c->started + EXEC_TIME))
		set_running(shim, c);
	if (c->stop_wanted)
		next = stop_tick(shim, c);
	if (c->reaped)
		settle(shim, c);
	else if (c->phase == SHIM_RUNNING)
		next = AM_MIN(next, shim_probe_tick(shim, c));
	if (c->log != NULL && shim_log_blocked(c->log))
		next = AM_MIN(next, shim_now() + RETRY_DISK);
	if (c->phase == SHIM_BACKOFF)
		return c->retry_at;
	if (c->phase == SHIM_STARTING && !c->reaped)
		next = AM_MIN(next, shim_now() + (c->sandbox == SHIM_PODMAN ? PODMAN_LOOK : EXEC_LOOK));
	else if ((c->phase == SHIM_RUNNING || c->phase == SHIM_STARTING) && c->reaped)
		next = AM_MIN(next, shim_now() + 100 * AM_NS_PER_MS);
	return next;
}
