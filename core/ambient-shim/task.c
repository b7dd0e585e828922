/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What probes and hooks do, and the measuring of volumes: each in a child of its own, so that nothing that hangs
 * holds up the pod.  An exec runs in the container; the others are a fork of ourselves that tries one thing, says a
 * sentence when it fails, and ends with 0 or 1.  Invariant: a task is in the list until its child is reaped, also
 * when nobody waits for it any more.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/str.h"

#define TEXT_MAX 1024

struct shim_task {
	struct shim_task *next;
	pid_t pid;             /* 0: nothing runs: a sleep, or what could not be started */
	int pidfd, fd;
	int64_t until;         /* boot time; AM_FOREVER: no limit */
	bool sleeps, done, ok, timed_out, dropped;
	char text[TEXT_MAX + 1];
	size_t len;
};

static struct shim_task *
make(struct shim *shim, int64_t timeout)
{
	struct shim_task *task = am_xcalloc(1, sizeof(*task));

	task->pidfd = task->fd = -1;
	task->until = timeout > 0 ? shim_now() + timeout : AM_FOREVER;
	task->next = shim->tasks;
	shim->tasks = task;
	return task;
}

/* ---- in the child ---- */

static int
dial(const struct shim_action *a)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	char port[16];
	int fd = -1, rc;

	(void)snprintf(port, sizeof(port), "%d", (int)a->port);
	rc = getaddrinfo(a->host, port, &hints, &list);
	if (rc != 0) {
		printf("cannot find %s: %s", a->host, gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *i = list; i != NULL && fd < 0; i = i->ai_next) {
		fd = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) < 0) {
			rc = errno;
			(void)close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		printf("dial tcp %s:%s: %s", a->host, port, strerror(rc));
	return fd;
}

static int
http(const struct shim_action *a)
{
	struct am_buf head = { 0 };
	char answer[512];
	size_t got = 0;
	bool host = false;
	int fd = dial(a), code = 0;
	ssize_t n;

	if (fd < 0)
		return 1;
	am_buf_addf(&head, "GET %s%s HTTP/1.1\r\nConnection: close\r\nUser-Agent: kube-probe/1.32\r\nAccept: */*\r\n",
		    a->path[0] == '/' ? "" : "/", a->path);
	for (size_t i = 0; a->headers[i] != NULL; i++) {
		host = host || strncasecmp(a->headers[i], "Host:", 5) == 0;
		am_buf_addf(&head, "%s\r\n", a->headers[i]);
	}
	if (!host)
		am_buf_addf(&head, "Host: %s:%d\r\n", a->host, (int)a->port);
	am_buf_adds(&head, "\r\n");
	if (head.failed || am_write_all(fd, head.data, head.len) < 0) {
		printf("the connection was closed");
		return 1;
	}
	while (got < sizeof(answer) - 1 && (n = read(fd, answer + got, sizeof(answer) - 1 - got)) > 0)
		got += (size_t)n;
	answer[got] = '\0';
	if (sscanf(answer, "HTTP/%*d.%*d %d", &code) != 1) {
		printf("malformed HTTP response");
		return 1;
	}
	if (code >= 200 && code < 400)
		return 0;
	printf("HTTP probe failed with statuscode: %d", code);
	return 1;
}

static int
measure(const struct shim *shim)
{
	for (size_t i = 0; i < shim->quota_count; i++) {
		const struct shim_quota *q = &shim->quotas[i];
		int64_t sum = 0, one;

		for (size_t k = 0; q->paths[k] != NULL; k++)
			if (am_tree_size(q->paths[k], &one, NULL) == 0)
				sum += one;
		if (sum > q->limit) {
			printf("%s", q->message);
			return 1;
		}
	}
	return 0;
}

static void
child(const struct shim *shim, const struct shim_action *a, int fd)
{
	sigset_t none;
	int rc;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)dup2(fd, 1);
	(void)signal(SIGPIPE, SIG_IGN);
	if (a == NULL)
		rc = measure(shim);
	else
		rc = a->kind == SHIM_HTTP ? http(a) : dial(a) < 0;
	(void)fflush(stdout);
	_exit(rc != 0);
}

/* ---- in the shim ---- */

static void
fail(struct shim_task *task, const char *why)
{
	task->done = true;
	am_strlcpy(task->text, why, sizeof(task->text));
}

static void
launch(struct shim *shim, struct shim_task *task, const struct shim_container *c, const struct shim_action *a)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		fail(task, "there are too many open files");
		return;
	}
	if (a != NULL && a->kind == SHIM_EXEC) {
		if (shim_enter(shim, c, a->argv, (const int[]){ -1, fds[1], fds[1] }, NULL, &task->pid, &task->pidfd, &err) < 0)
			fail(task, err.message);
	} else {
		task->pid = fork();
		if (task->pid == 0)
			child(shim, a, fds[1]);
		if (task->pid < 0) {
			task->pid = 0;
			fail(task, "cannot fork");
		} else {
			task->pidfd = (int)syscall(SYS_pidfd_open, task->pid, 0);
		}
	}
	(void)close(fds[1]);
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	task->fd = fds[0];
}

struct shim_task *
shim_task_start(struct shim *shim, const struct shim_container *c, const struct shim_action *a, int64_t timeout)
{
	struct shim_task *task = make(shim, a->kind == SHIM_SLEEP ? a->sleep : timeout);

	task->sleeps = a->kind == SHIM_SLEEP;
	if (task->sleeps && a->sleep == 0)
		task->done = task->ok = true;
	else if (!task->sleeps)
		launch(shim, task, c, a);
	return task;
}

struct shim_task *
shim_task_measure(struct shim *shim)
{
	struct shim_task *task = make(shim, 0);

	launch(shim, task, NULL, NULL);
	return task;
}

int
shim_task_fd(const struct shim_task *task)
{
	return task->fd;
}

struct shim_task *
shim_task_next(const struct shim_task *task)
{
	return task->next;
}

/* What is beyond the first kilobyte is read and dropped: the program shall not wait for us. */
void
shim_task_read(struct shim_task *task)
{
	char chunk[4096];
	ssize_t n;

	if (task->fd < 0)
		return;
	while ((n = read(task->fd, chunk, sizeof(chunk))) > 0) {
		size_t take = AM_MIN((size_t)n, TEXT_MAX - task->len);

		memcpy(task->text + task->len, chunk, take);
		task->len += take;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	(void)close(task->fd);
	task->fd = -1;
}

static void
unlink_task(struct shim *shim, struct shim_task *task)
{
	for (struct shim_task **p = &shim->tasks; *p != NULL; p = &(*p)->next)
		if (*p == task) {
			*p = task->next;
			break;
		}
	if (task->fd >= 0)
		(void)close(task->fd);
	if (task->pidfd >= 0)
		(void)close(task->pidfd);
	free(task);
}

bool
shim_task_reaped(struct shim *shim, pid_t pid, int status)
{
	for (struct shim_task *t = shim->tasks; t != NULL; t = t->next) {
		if (t->pid != pid)
			continue;
		shim_task_read(t);
		t->pid = 0;
		t->done = true;
		t->ok = WIFEXITED(status) && WEXITSTATUS(status) == 0 && !t->timed_out;
		if (t->dropped)
			unlink_task(shim, t);
		return true;
	}
	return false;
}

static void
kill_task(const struct shim_task *task)
{
	if (task->pid > 0 && task->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, task->pidfd, SIGKILL, NULL, 0);
}

int64_t
shim_task_tick(struct shim_task *task)
{
	if (task->done || task->until == AM_FOREVER)
		return AM_FOREVER;
	if (shim_now() < task->until)
		return task->until;
	task->until = AM_FOREVER;
	if (task->sleeps) {
		task->done = task->ok = true;
		return shim_now();
	}
	task->timed_out = true;
	kill_task(task);
	return AM_FOREVER;
}

bool
shim_task_done(const struct shim_task *task)
{
	return task->done;
}

bool
shim_task_ok(const struct shim_task *task)
{
	return task->ok;
}

const char *
shim_task_text(const struct shim_task *task)
{
	return task->timed_out ? "it took too long" : task->text;
}

void
shim_task_drop(struct shim *shim, struct shim_task **ptr)
{
	struct shim_task *task = *ptr;

	*ptr = NULL;
	if (task == NULL)
		return;
	if (task->pid > 0) {
		task->dropped = true;
		kill_task(task);
	} else {
		unlink_task(shim, task);
	}
}
