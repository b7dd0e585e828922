/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shims: starting one, asking it to end, knowing whether it lives.  The lock on shim.lock is the proof of life:
 * the kernel drops it with the process, however that ends, and no process number is ever trusted.
 */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool
shim_alive(const struct local *local)
{
	char path[600];
	bool alive;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/shim.lock", local->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	alive = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	(void)close(fd);
	return alive;
}

int
shim_start(struct node *node, struct local *local, const struct text *spec, struct ambient_error *err)
{
	const char *const argv[] = { node->shim, "--spec", "0", NULL };
	struct ambient_spawn_options options = {
		.size = sizeof(options), .argv = argv, .cwd = "/", .input = spec->p, .input_len = spec->len,
		.timeout_ns = 30 * AMBIENT_SECOND,
	};
	/* The shim runs podman with what it has. */
	char **env = node->podman_count > 0 ? podman_environment() : NULL;
	union { char **in; const char *const *out; } envp = { .in = env };
	struct ambient_spawn_result result = { .size = sizeof(result) };
	int rc;

	if (!AMBIENT_HAS(node->host->spawn, run))
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "this host starts no programs");
	options.envp = envp.out;
	rc = node->host->spawn->run(node->host, &options, &result, err);
	for (size_t i = 0; env != NULL && env[i] != NULL; i++)
		free(env[i]);
	free(env);
	if (rc < 0)
		return rc;
	/* 3: a shim has this pod; 4: the pod was started before.  Both mean: look at the state. */
	if (result.exit_code != 0 && result.exit_code != 3 && result.exit_code != 4)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "%s", result.err != NULL && result.err[0] != '\0'
				 ? result.err : "ambient-shim failed without a word");
	node->host->spawn->release(node->host, &result);
	if (rc == 0)
		local->started = true;
	return rc;
}

int
shim_connect(const struct local *local)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int dir = open(local->dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, rc;

	if (dir < 0)
		return -errno;
	/* The path may be longer than a socket's address. */
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -errno : 0;
	if (rc == 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		(void)close(fd);
	}
	(void)close(dir);
	return rc < 0 ? rc : fd;
}

/* Says a line, with a descriptor unless it is -1, and hears the answer: 0, -ENOTSUP when the shim refuses, or -errno. */
static int
ask(const struct local *local, const char *line, int with)
{
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)line, strlen(line) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .events = POLLIN };
	char answer[512];
	int fd = shim_connect(local), rc = -ETIMEDOUT;
	size_t got = 0;

	if (fd < 0)
		return fd;
	if (with >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &with, sizeof(with));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)iov.iov_len) {
		(void)close(fd);
		return -EPIPE;
	}
	/* Its greeting, then its answer: two lines. */
	p.fd = fd;
	for (int lines = 0; lines < 2 && got < sizeof(answer) - 1 && poll(&p, 1, 5000) > 0;) {
		ssize_t r = recv(fd, answer + got, sizeof(answer) - 1 - got, 0);

		if (r <= 0)
			break;
		for (ssize_t i = 0; i < r; i++)
			lines += answer[got + (size_t)i] == '\n';
		got += (size_t)r;
		answer[got] = '\0';
		if (lines >= 2)
			rc = strstr(answer, "\"ok\":true") != NULL ? 0 : -ENOTSUP;
	}
	(void)close(fd);
	return rc;
}

int
shim_stop(const struct local *local, int64_t grace_ms)
{
	char line[96];

	(void)snprintf(line, sizeof(line), "{\"op\":\"stop\",\"graceMs\":%lld}\n", (long long)grace_ms);
	return ask(local, line, -1);
}

int
shim_deadline(const struct local *local, int64_t seconds)
{
	char line[96];

	(void)snprintf(line, sizeof(line), "{\"op\":\"deadline\",\"seconds\":%lld}\n", (long long)seconds);
	return ask(local, line, -1);
}

int
shim_hold(const struct local *local, const char *container)
{
	char line[160];

	(void)snprintf(line, sizeof(line), "{\"op\":\"hold\",\"container\":\"%.63s\"}\n", container);
	return ask(local, line, -1);
}

/* By a memory file: what is in it, a Secret's values among it, is on no disk, and may be longer than a line. */
int
shim_define(const struct local *local, const char *container, const struct text *spec)
{
	int fd = memfd_create("definition", MFD_CLOEXEC), rc = fd < 0 ? -errno : 0;
	char line[160];

	for (size_t at = 0; rc == 0 && at < spec->len;) {
		ssize_t n = write(fd, spec->p + at, spec->len - at);

		rc = n <= 0 ? -EIO : 0;
		at += n > 0 ? (size_t)n : 0;
	}
	(void)snprintf(line, sizeof(line), "{\"op\":\"define\",\"container\":\"%.63s\"}\n", container);
	rc = rc == 0 ? ask(local, line, fd) : rc;
	if (fd >= 0)
		(void)close(fd);
	return rc;
}
